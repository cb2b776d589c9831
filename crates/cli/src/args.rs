//! Arguments: the tree of commands, every word one word.
//! Promise: what clap accepts here is all that the commands get; nothing else reads the command line.
//! Not here: configuration of a node (`node::config`).

mod floor;
mod hands;
mod operate;
mod play;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use floor::{FloorArgs, FloorCommand};
pub use hands::{ActArgs, AgentSetArgs, AssignArgs, OnceArgs, PassOnArgs, QueueActArgs};
pub use operate::{
    CompletionArgs, ConfigArgs, ConfigCommand, LogArgs, LogCommand, ManArgs, ReportArgs,
    ReportCommand,
};

pub use play::{
    ArchiveArgs, BenchArgs, BenchCommand, IdleArgs, MessagesArgs, ReplayArgs, Speed, StreamsArgs,
};

/// The port of the first node.
const ADDR_DEFAULT: &str = "127.0.0.1:7400";

/// A contact center on several sites that answers as one.
#[derive(Debug, Parser)]
#[command(
    name = "antiphon",
    version,
    about,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Three sites in one process, with a sample floor and dialogues; nothing to install.
    Dev(DevArgs),
    /// Found a cluster: claim an empty data directory for its first node.
    Init(InitArgs),
    /// Run this node.
    Serve(ServeArgs),
    /// Become a member of a cluster through one of its nodes, then run. Writes the configuration: every
    /// later start is `antiphon serve`.
    Join(JoinArgs),
    /// The whole cluster on one screen.
    Status(StatusArgs),
    /// Prove that log, snapshots and state are what they must be.
    Verify(VerifyArgs),
    /// Look for what would keep this node from starting.
    Check(CheckArgs),
    /// The floor plan: queues, skills, agents.
    Floor(FloorArgs),
    /// Lines of work.
    Queue(QueueArgs),
    /// People who answer.
    Agent(AgentArgs),
    /// Exchanges with customers.
    Conversation(ConversationArgs),
    /// Replicated groups: where their replicas are, and what to do about one that stopped.
    Cell(CellArgs),
    /// Play recorded dialogues through a cluster and compare what it kept with what was said.
    Replay(ReplayArgs),
    /// Measure a cluster on this machine.
    Bench(BenchArgs),
    /// Configuration of a node: the defaults, a check, the values that apply here, reading it again.
    Config(ConfigArgs),
    /// The log of a running node.
    Log(LogArgs),
    /// A support bundle.
    Report(ReportArgs),
    /// Print what makes a shell complete these commands.
    Completion(CompletionArgs),
    /// Print the manual page, or write one for each command.
    Man(ManArgs),
    /// The version of this program.
    Version(VersionArgs),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// The names of the API, for programs.
    Json,
}

/// Which cluster is asked.
#[derive(Clone, Debug, Args)]
pub struct ReachArgs {
    /// Nodes to ask, best first, parted by commas.
    #[arg(long, env = "ANTIPHON_ADDR", default_value = ADDR_DEFAULT, value_delimiter = ',', value_name = "HOST:PORT")]
    pub addr: Vec<String>,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct DevArgs {
    /// Keep everything in this folder; without it everything is in memory.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The API port of the first site; the others follow.
    #[arg(long, default_value_t = 7400)]
    pub port: u16,
    /// Print the addresses and errors alone.
    #[arg(long)]
    pub headless: bool,
    /// Play no sample dialogues.
    #[arg(long)]
    pub no_demo: bool,
    /// Delay what the sites say to each other like three continents do.
    #[arg(long)]
    pub wan: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProfileArg {
    /// Sites in one metropolitan area.
    #[default]
    Lan,
    /// Round trips up to 60 ms.
    Regional,
    /// Round trips up to 250 ms.
    Global,
}

impl ProfileArg {
    pub fn word(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Regional => "regional",
            Self::Global => "global",
        }
    }
}

/// Where a node's configuration comes from: a flag wins over the environment (`ANTIPHON_SITE_NAME`),
/// that over the file, that over the default.
#[derive(Clone, Debug, Default, Args)]
pub struct NodeArgs {
    /// The configuration file; without it `antiphon.toml`, where there is one.
    #[arg(long, env = "ANTIPHON_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// `cluster.name`.
    #[arg(long, value_name = "CLUSTER")]
    pub name: Option<String>,
    /// `site.name`.
    #[arg(long, value_name = "SITE")]
    pub site: Option<String>,
    /// `site.region`.
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// `node.name`.
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// `node.data_dir`.
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// `listen.api`.
    #[arg(long, value_name = "HOST:PORT")]
    pub api: Option<String>,
    /// `listen.peer`.
    #[arg(long, value_name = "HOST:PORT")]
    pub peer: Option<String>,
    /// Any key, as SECTION.KEY=VALUE; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Founds a cluster. A configuration file that does not exist yet is written from the flags.
#[derive(Debug, Args)]
pub struct InitArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// Timing of the whole cluster; cannot be changed later.
    #[arg(long, value_enum, default_value_t)]
    pub profile: ProfileArg,
    /// The first floor plan; the sample without it.
    #[arg(long, value_name = "FILE")]
    pub floor: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub node: NodeArgs,
}

#[derive(Debug, Args)]
pub struct JoinArgs {
    /// Peer addresses of members, parted by commas.
    #[arg(required = true, value_delimiter = ',', value_name = "HOST:PORT")]
    pub members: Vec<String>,
    #[command(flatten)]
    pub node: NodeArgs,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub reach: ReachArgs,
    /// Ask again every second.
    #[arg(long)]
    pub watch: bool,
}

/// Applies snapshots and logs once more and checks every rule. Exit code 1 when something does not hold,
/// 3 when a replica could not be asked.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The data directory of a node that does not run, or a copy of one; nothing in it is changed. Without
    /// it the nodes of the cluster are asked.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The cell whose replicas are asked; all that `status` names without it. The control group is proven by
    /// `--data` alone.
    #[arg(long, conflicts_with = "data", value_name = "CELL")]
    pub cell: Option<String>,
    #[command(flatten)]
    pub reach: ReachArgs,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct QueueArgs {
    #[command(subcommand)]
    pub command: QueueCommand,
}

#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List queues, worst first.
    List {
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// Stop a queue: it takes nothing new and offers nothing; what waits keeps its place.
    Pause(QueueActArgs),
    /// Let a queue go on that a supervisor has paused.
    Resume(QueueActArgs),
}

#[derive(Debug, Args)]
pub struct CellArgs {
    #[command(subcommand)]
    pub command: CellCommand,
}

#[derive(Debug, Subcommand)]
pub enum CellCommand {
    /// List the cells with their replicas.
    Show {
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// Pass over an entry that stops every replica of a cell.
    Skip {
        /// The cell.
        #[arg(long, default_value = "main")]
        cell: String,
        /// The log index at which its replicas stopped.
        #[arg(long)]
        index: u64,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT", value_parser = hands::words)]
        reason: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        reach: ReachArgs,
    },
}

#[derive(Debug, Args)]
pub struct AgentArgs {
    #[command(subcommand)]
    pub command: AgentCommand,
}

#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// List agents by name.
    List {
        /// Only of this site.
        #[arg(long, default_value = "")]
        site: String,
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// Show one agent with what the agent holds.
    Show {
        /// The agent; the beginning of the name is enough.
        name: String,
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// Say why an agent has no work, or no more.
    Explain {
        /// The agent; the beginning of the name is enough.
        name: String,
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// Set an agent not ready, or ready again where a supervisor had set the agent not ready.
    Set(AgentSetArgs),
}

#[derive(Debug, Args)]
pub struct ConversationArgs {
    #[command(subcommand)]
    pub command: ConversationCommand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateArg {
    Queued,
    Offered,
    Active,
    Held,
    Wrapup,
    Closed,
    Abandoned,
}

#[derive(Debug, Subcommand)]
pub enum ConversationCommand {
    /// List conversations that have not ended, longest waiting first.
    List {
        /// Only of this queue; the beginning of its name is enough.
        #[arg(long, default_value = "")]
        queue: String,
        /// Only of this agent; the beginning of the name is enough.
        #[arg(long, default_value = "")]
        agent: String,
        /// Only in this state; ended ones come newest first.
        #[arg(long, value_enum)]
        state: Option<StateArg>,
        /// At most so many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Go on behind a listing that was cut short: its `nextPageToken`, with the same filters.
        #[arg(
            long,
            default_value = "",
            hide_default_value = true,
            value_name = "TOKEN"
        )]
        after: String,
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// Search the archive: ended conversations, newest first.
    Search(SearchArgs),
    /// Show one conversation, of the archive too: where it stands, why it went there, what was said.
    Show {
        /// The conversation; the beginning of its id is enough.
        id: String,
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// Follow what is said until it ends.
    Tail {
        /// The conversation; the beginning of its id is enough.
        id: String,
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// Say why a conversation waits, and why it went where it went.
    Explain {
        /// The conversation; the beginning of its id is enough.
        id: String,
        #[command(flatten)]
        reach: ReachArgs,
    },
    /// Pass a conversation on to a queue or an agent.
    Transfer(PassOnArgs),
    /// Take a conversation from its agent, back to its old place in line.
    Requeue(ActArgs),
    /// Offer waiting work to one agent, ahead of the line.
    Assign(AssignArgs),
    /// Put a conversation that was set aside after a defect back at its old place in line.
    Release(ActArgs),
    /// End a conversation.
    #[command(visible_alias = "end")]
    Close(ActArgs),
}

/// What is looked for in the archive.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// Only of this customer; needs --account.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        requires = "account"
    )]
    pub customer: String,
    /// The channel account on which the customer wrote.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub account: String,
    /// Only those in which this agent took part.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        conflicts_with = "customer"
    )]
    pub agent: String,
    /// Only those that ended within so many days.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub days: Option<u32>,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub limit: u32,
    /// Go on behind a search that was cut short: its `nextPageToken`, with the same filters.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "TOKEN"
    )]
    pub after: String,
    #[command(flatten)]
    pub reach: ReachArgs,
}

#[derive(Debug, Args)]
pub struct VersionArgs {
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_tree_is_consistent_and_every_word_is_one_word() {
        Cli::command().debug_assert();
        for command in Cli::command().get_subcommands() {
            assert!(command.get_name().chars().all(|c| c.is_ascii_lowercase()));
        }
    }

    #[test]
    fn the_commands_are_exactly_these() {
        let root = Cli::command();
        let names: Vec<&str> = root
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        let expected = "dev init serve join status verify check floor queue agent conversation cell replay bench config log report completion man version";
        assert_eq!(names.join(" "), expected);
    }

    /// A line of a text for people as it would be typed: what stands in capitals is filled in.
    fn filled_in(line: &str) -> String {
        let fill = |word: &str| match word {
            "INDEX" | "VERSION" => "7".to_owned(),
            "HOST:PORT" => "127.0.0.1:7400".to_owned(),
            word => word.to_owned(),
        };
        let words: Vec<String> = line.split_whitespace().map(fill).collect();
        words.join(" ")
    }

    #[test]
    fn every_command_of_the_runbook_can_be_typed() {
        let runbook = include_str!("../../../deploy/runbook.md").replace('\n', " ");
        let quoted = runbook.split('`').skip(1).step_by(2);
        let lines: Vec<&str> = quoted
            .filter(|text| text.starts_with("antiphon "))
            .collect();
        assert!(lines.len() >= 12, "{lines:?}");
        for line in lines {
            let parsed = parse(&filled_in(line));
            assert!(parsed.is_ok(), "`{line}`: {}", parsed.unwrap_err());
        }
        // Acts that have no command are not told to be done.
        for act in ["drain the", "remove it", "remove the"] {
            assert!(
                !runbook.to_lowercase().contains(act),
                "the runbook says: {act}"
            );
        }
    }

    #[test]
    fn several_addresses_are_given_in_one_word() {
        let cli =
            parse("antiphon replay a.jsonl --addr h1:1,h2:2,h3:3 --speed 4 --agents 8").unwrap();
        let Command::Replay(args) = cli.command else {
            panic!("replay was asked for")
        };
        assert_eq!(args.reach.addr, ["h1:1", "h2:2", "h3:3"]);
        assert_eq!(args.speed, Speed::Times(4.0));
        assert_eq!(args.agents, Some(8));
    }

    #[test]
    fn a_listing_goes_on_where_the_one_before_was_cut() {
        let after = |line| {
            let Command::Conversation(args) = parse(line).unwrap().command else {
                panic!("a conversation was asked for")
            };
            let ConversationCommand::List { after, .. } = args.command else {
                panic!("a list was asked for")
            };
            after
        };
        assert_eq!(after("antiphon conversation list"), "");
        let second = "antiphon conversation list --limit 5 --after 1.ff.2a";
        assert_eq!(after(second), "1.ff.2a");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for line in [
            "antiphon",
            "antiphon replay",
            "antiphon replay a --speed 0",
            "antiphon replay a --speed fast",
            "antiphon replay a --concurrency 0",
            "antiphon bench messages",
            "antiphon bench messages --in-flight 0",
            "antiphon status --output yaml",
            "antiphon floor apply",
            "antiphon conversation list --limit 0",
            "antiphon join",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn defaults_are_those_of_the_manual() {
        let Command::Bench(bench) = parse("antiphon bench messages --in-flight 64")
            .unwrap()
            .command
        else {
            panic!("bench was asked for")
        };
        let BenchCommand::Messages(messages) = bench.command else {
            panic!("messages were asked for")
        };
        assert_eq!((messages.seconds, messages.conversations), (10, 10_000));
        let Command::Init(init) = parse("antiphon init").unwrap().command else {
            panic!("init was asked for")
        };
        assert_eq!(init.profile, ProfileArg::Lan);
    }
}
