//! Arguments of what plays dialogues and measures.
//! Promise: every number that is accepted is within its bounds.
//! Not here: playing (`replay`), measuring (`bench`).

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Output, ReachArgs};

/// How fast dialogues are played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// Each turn as soon as the one before has arrived.
    Max,
    /// So many times as fast as people type.
    Times(f64),
}

fn speed(text: &str) -> Result<Speed, String> {
    match text {
        "max" => Ok(Speed::Max),
        number => match number.parse::<f64>() {
            Ok(times) if times > 0.0 && times.is_finite() => Ok(Speed::Times(times)),
            Ok(_) | Err(_) => Err(format!("`{number}` is neither a positive number nor `max`")),
        },
    }
}

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Dialogues, one JSON object a line.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub reach: ReachArgs,
    /// At most so many agents of the plan take a seat.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub agents: Option<u32>,
    /// Dialogues at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub concurrency: u32,
    /// `max`, or how many times as fast as people type.
    #[arg(long, default_value = "max", value_parser = speed, value_name = "X|max")]
    pub speed: Speed,
}

#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Acknowledged messages over streams, at the leader's node and at another one.
    Messages(MessagesArgs),
    /// What idle, unread and flooding streams cost the servers and those beside them.
    Streams(StreamsArgs),
    /// Conversations that end and leave for the archive: memory, disk, lookups.
    Archive(ArchiveArgs),
    /// What three sites in one process cost while nobody does anything: `dev --headless --no-demo`.
    Idle(IdleArgs),
}

#[derive(Debug, Args)]
pub struct MessagesArgs {
    /// Messages on the way at once, each in another conversation.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    pub in_flight: u32,
    /// How long is measured, after 2 s of warm-up.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// Open conversations.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub conversations: u32,
    /// Keep the nodes' data here instead of a folder that is removed at the end.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct StreamsArgs {
    /// Idle streams, a hundred on a connection.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=20_000))]
    pub streams: u32,
    /// How long each kind of load is measured, after 2 s of warm-up.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// Keep the nodes' data here instead of a folder that is removed at the end.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct ArchiveArgs {
    /// Dialogues whose turns are the texts, as for `replay`.
    #[arg(required = true, value_name = "FILE")]
    pub texts: Vec<PathBuf>,
    /// Conversations that are opened, written in and ended.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2_000..=10_000_000))]
    pub conversations: u32,
    /// Begin no more than so many a second; as many as the cluster takes where nothing is said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub per_second: Option<u32>,
    /// Keep the nodes' data here instead of a folder that is removed at the end.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct IdleArgs {
    /// How long is measured, after 10 s of rest.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}
