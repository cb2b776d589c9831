//! Reaching a cluster: the SDK as the command line uses it.
//! Promise: one client for one list of addresses.
//! Not here: what is asked.

use std::time::Duration;

use client::{Client, Options};

use crate::args::{Output, ReachArgs};
use crate::failure::Failure;

/// A person waits so long for an answer: longer than two elections of the slowest profile take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client and the form of its answers.
pub struct Reach {
    pub client: Client,
    pub output: Output,
}

impl Reach {
    pub fn of(args: &ReachArgs) -> Result<Self, Failure> {
        Ok(Self {
            client: client_of(&args.addr)?,
            output: args.output,
        })
    }
}

/// A client of the nodes at these addresses.
pub fn client_of(addresses: &[String]) -> Result<Client, Failure> {
    let options = Options {
        call_budget: PATIENCE,
        ..Options::default()
    };
    let client = Client::connect(addresses.iter().cloned(), options);
    client.map_err(|error| Failure::usage(error.message).with_next("--addr HOST:PORT"))
}
