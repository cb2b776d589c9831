//! Arguments of supervisors' acts: what each takes, and why it must say so.
//! Promise: no act is parsed without a reason; each can be asked for again under the id of an earlier try.
//! Not here: what an act does (`queue`, `agent`, `conversation`).

use clap::Args;

use super::ReachArgs;

/// How an act is told from its copies.
#[derive(Clone, Debug, Default, Args)]
pub struct OnceArgs {
    /// Ask again under the id of an earlier try that got no answer: nothing is done twice.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
    pub request_id: String,
}

/// A reason in words.
pub fn words(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it takes words".to_owned()),
        words => Ok(words.to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct QueueActArgs {
    /// The queue; the beginning of its name is enough.
    pub name: String,
    /// Why, for the record and for everybody who asks.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    pub reason: String,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub once: OnceArgs,
    #[command(flatten)]
    pub reach: ReachArgs,
}

#[derive(Debug, Args)]
pub struct AgentSetArgs {
    /// The agent; the beginning of the name is enough.
    pub name: String,
    /// Takes no more work, for this reason, which everybody sees beside the agent's name.
    #[arg(
        long,
        value_name = "REASON",
        conflicts_with = "ready",
        required_unless_present = "ready",
        value_parser = words
    )]
    pub not_ready: Option<String>,
    /// Takes work again, unless the agent has chosen otherwise.
    #[arg(long)]
    pub ready: bool,
    /// Why, for the record; without it the reason that everybody sees, if there is one.
    #[arg(
        long,
        value_name = "TEXT",
        required_if_eq("ready", "true"),
        value_parser = words
    )]
    pub reason: Option<String>,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub once: OnceArgs,
    #[command(flatten)]
    pub reach: ReachArgs,
}

#[derive(Debug, Args)]
pub struct ActArgs {
    /// The conversation; the beginning of its id is enough.
    pub id: String,
    /// Why, for the record and for whoever takes it.
    #[arg(long, value_name = "TEXT", value_parser = words)]
    pub reason: String,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub once: OnceArgs,
    #[command(flatten)]
    pub reach: ReachArgs,
}

#[derive(Debug, Args)]
pub struct PassOnArgs {
    #[command(flatten)]
    pub act: ActArgs,
    /// To this line, with the full age; the beginning of the queue's name is enough.
    #[arg(
        long,
        value_name = "QUEUE",
        conflicts_with = "to_agent",
        required_unless_present = "to_agent"
    )]
    pub to_queue: Option<String>,
    /// To this agent; the beginning of the name is enough.
    #[arg(long, value_name = "AGENT")]
    pub to_agent: Option<String>,
    /// Wait in the agent's own line where the agent cannot take it now.
    #[arg(long, conflicts_with = "to_queue")]
    pub wait: bool,
}

#[derive(Debug, Args)]
pub struct AssignArgs {
    #[command(flatten)]
    pub act: ActArgs,
    /// The agent; the beginning of the name is enough.
    #[arg(long, value_name = "AGENT")]
    pub agent: String,
    /// Wait in the agent's own line where the agent cannot take it now.
    #[arg(long)]
    pub wait: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::args::{AgentCommand, Cli, Command, ConversationCommand, QueueCommand};

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command)
    }

    #[test]
    fn an_act_that_takes_something_from_somebody_needs_a_reason_and_a_target() {
        for line in [
            "antiphon queue pause sales",
            "antiphon queue resume sales",
            "antiphon conversation release c1-7",
            "antiphon conversation close c1-7",
            "antiphon agent set ana --ready",
            "antiphon conversation requeue c1-7",
            "antiphon conversation assign c1-7 --reason x",
            "antiphon conversation transfer c1-7 --reason x",
            "antiphon conversation transfer c1-7 --reason x --to-queue q --to-agent a",
            "antiphon conversation transfer c1-7 --reason x --to-queue q --wait",
            "antiphon agent set ana",
            "antiphon agent set ana --ready --not-ready tea",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn blanks_are_no_reason_and_an_earlier_id_can_be_given() {
        let parsed = |words: [&str; 7]| Cli::try_parse_from(words);
        let queue = |reason, id| {
            parsed([
                "antiphon", "queue", "resume", "sales", "--reason", reason, id,
            ])
        };
        assert!(queue(" \t", "--yes").is_err());
        let Ok(Command::Queue(args)) =
            queue(" it is over ", "--request-id=r-1").map(|cli| cli.command)
        else {
            panic!("a queue was asked for")
        };
        let QueueCommand::Resume(resume) = args.command else {
            panic!("to go on was asked for")
        };
        let said = (resume.reason.as_str(), resume.once.request_id.as_str());
        assert_eq!(said, ("it is over", "r-1"));
        let blank = [
            "antiphon", "agent", "set", "ana", "--ready", "--reason", " ",
        ];
        assert!(parsed(blank).is_err());
    }

    #[test]
    fn a_not_ready_is_its_own_reason_and_end_is_another_word_for_close() {
        let Ok(Command::Agent(args)) = parse("antiphon agent set ana --not-ready tea") else {
            panic!("an agent was asked for")
        };
        let AgentCommand::Set(set) = args.command else {
            panic!("to set was asked for")
        };
        assert_eq!((set.not_ready.as_deref(), set.reason), (Some("tea"), None));
        let Ok(Command::Conversation(args)) = parse("antiphon conversation end c1-7 --reason over")
        else {
            panic!("a conversation was asked for")
        };
        assert!(matches!(args.command, ConversationCommand::Close(_)));
    }
}
