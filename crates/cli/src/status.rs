//! `antiphon status`: the whole cluster on one screen.
//! Promise: the first line after the name says whether anything is to be done; exit 3 when it is.
//! Not here: how the sections look (`view`).

mod view;

use std::time::Duration;

use client::api::{self, Health};

use crate::args::{Output, StatusArgs};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::terminal::Terminal;

/// Pause between two views of `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);

pub async fn run(reach: &Reach, args: &StatusArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let operator = reach.client.operator();
    loop {
        let asked = operator.get_status(api::GetStatusRequest {}).await;
        if !args.watch {
            let status = asked?;
            print(reach.output, &status, terminal)?;
            return Ok(exit_of(&status));
        }
        terminal.clear();
        match asked {
            Ok(status) => print(reach.output, &status, terminal)?,
            Err(error) => eprint!("{}", Failure::from(error).render(terminal)),
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

fn print(
    output: Output,
    status: &api::GetStatusResponse,
    terminal: Terminal,
) -> Result<(), Failure> {
    match output {
        Output::Json => json::print("GetStatusResponse", status)?,
        Output::Table => out!("{}", view::screen(status, terminal)),
    }
    Ok(())
}

fn exit_of(status: &api::GetStatusResponse) -> Exit {
    match status.health() {
        Health::Ok => Exit::Ok,
        Health::Degraded | Health::Down | Health::Unspecified => Exit::Degraded,
    }
}
