//! Arguments of an operator's own tools.
//! Promise: none of them needs a cluster to be reached, unless it says so.
//! Not here: what the tools do.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::{NodeArgs, Output, ReachArgs};

#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell that is to complete.
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command into this folder.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every key with its default.
    Default,
    /// Print the JSON Schema of the file, for editors.
    Schema,
    /// Check a configuration without starting anything.
    Check {
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Print the values that a node started here would have, where each comes from, and which a running node takes
    /// over. No running node is asked.
    Show {
        #[command(flatten)]
        node: NodeArgs,
        /// The form of the answer.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Let a running node read its configuration again, as SIGHUP does.
    Reload {
        /// The node by its name; without it the one at the address.
        #[arg(long, value_name = "NODE")]
        node: Option<String>,
        #[command(flatten)]
        reach: ReachArgs,
    },
}

#[derive(Debug, Args)]
pub struct LogArgs {
    #[command(subcommand)]
    pub command: LogCommand,
}

#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Show what a node's log lets through, or change it for a while.
    Level {
        /// A level, or levels of modules: `debug`, `info,raft=trace`. Without it the present one is shown.
        filter: Option<String>,
        /// How long it holds, 1s to 24h; then the configured one holds again.
        #[arg(long = "for", default_value = "15m", value_parser = lasting, value_name = "TIME")]
        lasts: Duration,
        /// Let the configured one hold again at once.
        #[arg(long, conflicts_with = "filter")]
        reset: bool,
        /// The node by its name; without it the one at the address.
        #[arg(long, value_name = "NODE")]
        node: Option<String>,
        #[command(flatten)]
        reach: ReachArgs,
    },
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(subcommand)]
    pub command: ReportCommand,
}

#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// Gather status, floor plan, and each node's configuration, log and figures into one file. No text of a
    /// conversation and no secret is in it; the names of agents and queues are.
    Save {
        /// The file, which must not exist; without it antiphon-report-CLUSTER-SECONDS.tar.gz.
        file: Option<PathBuf>,
        #[command(flatten)]
        reach: ReachArgs,
    },
}

/// Reads `90s`, `15m`, `2h`.
fn lasting(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as 90s, 15m or 2h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    let count: u64 = number.parse().map_err(|_| wrong())?;
    let lasts = count.checked_mul(seconds).ok_or_else(wrong)?;
    match lasts {
        1..=86_400 => Ok(Duration::from_secs(lasts)),
        _ => Err(format!("`{text}` lies outside 1s to 24h")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_a_unit_and_a_bound() {
        assert_eq!(lasting("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(lasting("24h"), Ok(Duration::from_secs(86_400)));
        for text in [
            "",
            "s",
            "15",
            "1.5h",
            "-1s",
            "0s",
            "25h",
            "9999999999999999999h",
            "1d",
            "1\u{e9}",
        ] {
            assert!(lasting(text).is_err(), "{text}");
        }
    }
}
