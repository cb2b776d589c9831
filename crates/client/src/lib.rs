//! The SDK: customers, agents, supervisors and operators of a cluster, through any of its nodes.
//! Promise: a call that is retried keeps its request id; a stream resumes at any endpoint from its
//! cursor with neither gap nor repeat; one message of a conversation at a time is on the way; every
//! queue, wait and retry has a bound; nothing is asked of the machine but through [`Seams`].
//! Not here: what the calls mean (`domain`), how they look on a screen (`cli`).
//!
//! ```no_run
//! # async fn example() -> Result<(), client::CallError> {
//! let client = client::Client::connect(["127.0.0.1:7400"], client::Options::default())?;
//! let customer = client.customer();
//! let opened = customer
//!     .open(client::api::OpenRequest {
//!         account: "web".into(),
//!         customer: "ann".into(),
//!         text: "Where is my parcel?".into(),
//!         ..Default::default()
//!     })
//!     .await?;
//! let mut conversation = customer.attach(&opened.conversation_id, 0);
//! while let Some(event) = conversation.next().await {
//!     println!("{event:?}");
//! }
//! # Ok(())
//! # }
//! ```

mod agent;
mod attach;
mod backoff;
mod call;
mod customer;
mod desk;
mod error;
mod floor;
mod follow;
mod link;
mod operator;
mod options;
mod pool;
mod seams;
mod unary;

use std::sync::Arc;

pub use agent::Agent;
pub use attach::{Conversation, Event, Unsent, Writer};
pub use backoff::Backoff;
pub use customer::{Customer, Transcript};
pub use desk::{ActFailed, AgentDesk, DeskEvent, DeskHand, DeskLogin, Transfer};
pub use error::{CallError, Kind, REQUEST_ID, reason_name};
pub use floor::{Floor, Supervisor};
pub use operator::Operator;
pub use options::{
    CALL_BUDGET_DEFAULT, CONNECT_TIMEOUT_DEFAULT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, Options,
    RETRY_FOR_MAX,
};
pub use pb::api::v1 as api;
pub use seams::{BoxIo, Dial, Io, Seams, Source, Spawn};

use crate::call::Core;

/// A connection to a cluster: several endpoints, of which one at a time is used. Cheap to clone;
/// clones share connections, and the order and health of the endpoints.
#[derive(Clone)]
pub struct Client {
    core: Arc<Core>,
}

impl Client {
    /// A client of the cluster behind `endpoints` (`host:port`, best first). Nothing is dialled yet.
    pub fn connect<I, A>(endpoints: I, options: Options) -> Result<Self, CallError>
    where
        I: IntoIterator<Item = A>,
        A: Into<String>,
    {
        Self::connect_with(endpoints, options, Seams::default())
    }

    /// The same with a given connector, random source and spawner.
    pub fn connect_with<I, A>(
        endpoints: I,
        options: Options,
        seams: Seams,
    ) -> Result<Self, CallError>
    where
        I: IntoIterator<Item = A>,
        A: Into<String>,
    {
        let addresses: Vec<String> = endpoints.into_iter().map(Into::into).collect();
        let core = Core::new(addresses, options, seams)?;
        Ok(Self {
            core: Arc::new(core),
        })
    }

    /// What customers do.
    pub fn customer(&self) -> Customer {
        Customer::new(self.core.clone())
    }

    /// What agents do.
    pub fn agent(&self) -> Agent {
        Agent::new(self.core.clone())
    }

    /// What supervisors see and do.
    pub fn supervisor(&self) -> Supervisor {
        Supervisor::new(self.core.clone())
    }

    /// What operators do.
    pub fn operator(&self) -> Operator {
        Operator::new(self.core.clone())
    }

    /// The same client for what is a part of a trace: each of its calls, and each stream that it opens, carries
    /// this W3C `traceparent`. Clones and handles made from it share it, and the connections with this one.
    pub fn traced(&self, traceparent: &str) -> Result<Self, CallError> {
        let core = self.core.traced(traceparent)?;
        Ok(Self {
            core: Arc::new(core),
        })
    }

    /// A new request id: a random UUID.
    pub fn request_id(&self) -> String {
        self.core.request_id()
    }

    /// The addresses known by now, best first: those given, then those that the cluster named.
    pub fn addresses(&self) -> Vec<String> {
        self.core.pool.addresses()
    }
}
