//! `antiphon status`: the whole cluster on one screen.
//! Promise: the first line after the name says whether anything is to be done; exit 3 when it is.
//! Not here: how the sections look (`view`).

mod kept;
mod view;

use std::time::Duration;

use client::CallError;
use client::api::{self, Health};

use crate::args::{Output, StatusArgs};
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::terminal::Terminal;

/// Pause between two views of `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// A view that is older than this must not stand there as if it were the present. The question itself
/// is asked again for longer.
const WATCH_PATIENCE: Duration = Duration::from_secs(3);

pub async fn run(reach: &Reach, args: &StatusArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let operator = reach.client.operator();
    let ask = || operator.get_status(api::GetStatusRequest {});
    if !args.watch {
        let status = ask().await?;
        print(reach.output, &status, terminal)?;
        return Ok(exit_of(&status));
    }
    loop {
        let seen = in_time(ask()).await;
        terminal.clear();
        match seen {
            Ok(status) => print(reach.output, &status, terminal)?,
            Err(failure) => eprint!("{}", failure.render(terminal)),
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

/// The answer, or that none has come in time.
async fn in_time<T>(asked: impl Future<Output = Result<T, CallError>>) -> Result<T, Failure> {
    match tokio::time::timeout(WATCH_PATIENCE, asked).await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(_) => {
            let seconds = WATCH_PATIENCE.as_secs();
            let failure = Failure::plain(format!("nobody has answered for {seconds} s"));
            Err(failure
                .with_reason("UNREACHABLE")
                .with_exit(Exit::Unreachable)
                .with_next("wait: it is asked again, or name other nodes with --addr A,B,C"))
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_gets_no_answer_says_so_instead_of_showing_what_was() {
        let never = std::future::pending::<Result<(), CallError>>();
        let failure = in_time(never).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Unreachable);
        assert_eq!(failure.sentence, "nobody has answered for 3 s");
    }
}
