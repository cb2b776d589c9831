//! Idle: what three sites in one process cost while nobody does anything.
//! Promise: the process is `dev --headless --no-demo` as anybody starts it, on ports of its own; processor time is
//! what the kernel counts, its own included.
//! Not here: three processes under load (`messages`, `streams`).

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::cluster::START_PATIENCE;
use super::usage;
use crate::args::IdleArgs;

/// From the moment at which it is ready: caches are filled and the first rounds of every task are over.
const REST: Duration = Duration::from_secs(10);
/// What it may take of one processor, in per cent.
const GOAL_PERCENT: f64 = 5.0;

/// The whole result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Seconds measured.
    pub seconds: f64,
    /// Processor seconds in them, in user and kernel mode.
    pub cpu_s: f64,
    /// Of one processor, in per cent.
    pub core_percent: f64,
    /// What it may be.
    pub goal_percent: f64,
    /// Memory that is resident at the end, in MiB.
    pub rss_mib: f64,
}

impl Report {
    fn new(cpu_s: f64, seconds: f64, rss_mib: f64) -> Self {
        Self {
            seconds,
            cpu_s,
            core_percent: 100.0 * cpu_s / seconds,
            goal_percent: GOAL_PERCENT,
            rss_mib,
        }
    }

    /// The result for people.
    pub fn told(&self) -> String {
        let word = match self.core_percent <= self.goal_percent {
            true => "within",
            false => "over",
        };
        format!(
            "three idle sites: {:.1}% of one processor ({:.2} CPU s in {:.0} s), {word} the goal of {:.0}%; {:.0} MiB",
            self.core_percent, self.cpu_s, self.seconds, self.goal_percent, self.rss_mib
        )
    }
}

/// Runs the whole benchmark.
pub async fn run(args: &IdleArgs) -> anyhow::Result<Report> {
    let binary = std::env::current_exe().context("cannot find this program")?;
    let mut child = ready(&binary).await?;
    let pid = child.id().context("it has ended already")?;
    sleep(REST).await;
    let (before, begun) = (usage::cpu_s(pid), Instant::now());
    sleep(Duration::from_secs(args.seconds.into())).await;
    let (after, took) = (usage::cpu_s(pid), begun.elapsed());
    let rss_mib = usage::rss_mib(pid);
    if let Some(status) = child.try_wait()? {
        bail!("it ended meanwhile with {status}");
    }
    child.kill().await?;
    Ok(Report::new(after - before, took.as_secs_f64(), rss_mib))
}

/// Three sites in one process that take calls: it prints its addresses then.
async fn ready(binary: &Path) -> anyhow::Result<Child> {
    let mut command = Command::new(binary);
    command.args(["dev", "--headless", "--no-demo", "--port", "0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn()?;
    let said = child.stdout.take().context("it has no output")?;
    let mut lines = BufReader::new(said).lines();
    let first = timeout(START_PATIENCE, lines.next_line()).await;
    let first = first.context("it is not ready in time")??;
    match first {
        Some(line) => eprintln!("measuring {}", line.trim()),
        None => bail!("it ended with {}", child.wait().await?),
    }
    Ok(child)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_one_processor_is_held_against_the_goal() {
        let report = Report::new(3.0, 60.0, 70.0);
        let told = "three idle sites: 5.0% of one processor (3.00 CPU s in 60 s), within the goal of 5%; 70 MiB";
        assert_eq!(report.told(), told);
        let over = Report::new(3.1, 60.0, 70.0).told();
        assert!(over.contains("over the goal"), "{over}");
    }
}
