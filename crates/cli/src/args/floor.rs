//! Arguments of `antiphon floor`.
//! Promise: every command that changes the plan can be asked for without a question (`--yes`).
//! Not here: what the commands do (`crate::floor`).

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{OnceArgs, ReachArgs};

#[derive(Debug, Args)]
pub struct FloorArgs {
    #[command(subcommand)]
    pub command: FloorCommand,
}

#[derive(Debug, Subcommand)]
pub enum FloorCommand {
    /// Print the plan in force.
    Show {
        /// An earlier version that is still kept.
        #[arg(long, default_value_t = 0)]
        version: u64,
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// Check a plan and say what applying it would change.
    Check {
        /// The plan; `-` reads it from standard input.
        file: PathBuf,
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// Show key by key what applying a plan would change; ends with 3 when it would change something.
    Diff {
        /// The plan; `-` reads it from standard input.
        file: PathBuf,
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// List the versions that are kept, newest first, with who applied each and what it changed.
    History {
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// Bring the content of an earlier version into force, as a new version.
    Revert {
        /// The version whose content is wanted; without it the one before the one in force.
        #[arg(long, value_name = "VERSION")]
        to: Option<u64>,
        /// The version in force that is to be replaced; without it the one in force now.
        #[arg(long, value_name = "VERSION")]
        expect: Option<u64>,
        /// Show what would change, change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        once: OnceArgs,
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// Bring a plan into force.
    Apply {
        /// The plan; `-` reads it from standard input.
        file: PathBuf,
        /// The version that it was made against; without it the one in force now.
        #[arg(long)]
        expect: Option<u64>,
        /// Check alone, change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        once: OnceArgs,
        #[command(flatten)]
        reach: ReachArgs,
    },
}
