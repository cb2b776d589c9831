//! Failures: what a command says when it does not do what it was asked for.
//! Promise: one sentence, then the stable reason, then what to try; the exit code tells programs.
//! Not here: why (`client::CallError`, `node`).

use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use client::{CallError, Kind, REQUEST_ID};
use pb::api::v1::ErrorReason;

use crate::terminal::Terminal;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// An error of any other kind.
    Error = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The cluster answers and is not as it should be (`status`), or not as a file says (`floor diff`).
    Degraded = 3,
    /// Nobody answers.
    Unreachable = 4,
    /// A precondition does not hold.
    Refused = 5,
    /// Waiting ended; the action may go on.
    TimedOut = 6,
}

impl Exit {
    /// The reason of a failure that has no narrower one.
    fn reason(self) -> &'static str {
        match self {
            Self::Ok | Self::Error => "ERROR",
            Self::Usage => "USAGE",
            Self::Degraded => "DEGRADED",
            Self::Unreachable => "UNREACHABLE",
            Self::Refused => "REFUSED",
            Self::TimedOut => "TIMED_OUT",
        }
    }

    /// What to do about a failure of which nothing more is known.
    fn next(self) -> &'static str {
        match self {
            Self::Usage => "the same command with --help",
            Self::Unreachable => "antiphon status --addr HOST:PORT, on another node",
            Self::Degraded | Self::TimedOut => "antiphon status",
            Self::Refused => "the same command with --help, for what it takes",
            Self::Ok | Self::Error => "antiphon report save, for whoever looks into it",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended without doing what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One sentence, without a full stop.
    pub sentence: String,
    /// The stable reason, if there is one.
    pub reason: Option<String>,
    /// What to type or do next.
    pub next: Option<String>,
    /// The exit code.
    pub exit: Exit,
}

impl Failure {
    /// A failure of this machine or program.
    pub fn plain(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            reason: None,
            next: None,
            exit: Exit::Error,
        }
    }

    /// A command that does not make sense as it was written.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            ..Self::plain(sentence)
        }
    }

    /// A file that cannot be read.
    pub fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        let failure = Self::plain(format!("{} cannot be read: {error}", file.display()))
            .with_reason("FILE_UNREADABLE");
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        match (error.kind(), folder) {
            (std::io::ErrorKind::NotFound, Some(folder)) => {
                failure.with_next(format!("ls {}", folder.display()))
            }
            (std::io::ErrorKind::NotFound, None) => failure.with_next("ls"),
            (std::io::ErrorKind::InvalidData, _) => failure.with_next(format!(
                "file {}, for its encoding: UTF-8 is read",
                file.display()
            )),
            _ => failure.with_next(format!("ls -ld {}", file.display())),
        }
    }

    /// A file or folder that cannot be written.
    pub fn unwritable(path: &Path, error: &std::io::Error) -> Self {
        let folder = path.parent().filter(|above| !above.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        Self::plain(format!("{} cannot be written: {error}", path.display()))
            .with_reason("FILE_UNWRITABLE")
            .with_next(format!("ls -ld {}", folder.display()))
    }

    pub fn with_next(self, next: impl Into<String>) -> Self {
        Self {
            next: Some(next.into()),
            ..self
        }
    }

    pub fn with_reason(self, reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..self
        }
    }

    pub fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// What is printed to stderr: always three lines, so that people and programs find each in its place.
    pub fn render(&self, terminal: Terminal) -> String {
        let sentence = self.sentence.lines().map(str::trim).collect::<Vec<_>>();
        let reason = self.reason.as_deref().unwrap_or(self.exit.reason());
        let next = self.next.as_deref().unwrap_or(self.exit.next());
        format!(
            "{} {}\nreason: {reason}\ntry: {next}\n",
            terminal.bad("error:"),
            sentence.join(" ").trim_end_matches('.'),
        )
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let exit = match error.kind {
            // Certainly not done, and nothing goes on.
            _ if error.reason == ErrorReason::NodeUnreachable => Exit::Unreachable,
            Kind::Refused | Kind::Later => Exit::Refused,
            Kind::Unreachable => Exit::Unreachable,
            Kind::OutcomeUnknown | Kind::TimedOut => Exit::TimedOut,
            Kind::Defect => Exit::Error,
        };
        Self {
            sentence: error.message.trim_end_matches('.').to_owned(),
            reason: Some(error.reason_name().to_owned()),
            next: next_of_named(&error).or(next_of(&error).map(str::to_owned)),
            exit,
        }
    }
}

/// What to type where the refusal names what it is about.
fn next_of_named(error: &CallError) -> Option<String> {
    let named = |key: &str| error.metadata.get(key).cloned();
    if error.kind == Kind::OutcomeUnknown {
        let id = named(REQUEST_ID)?;
        return Some(format!(
            "antiphon status, then the same command again with --request-id {id}"
        ));
    }
    match error.reason {
        ErrorReason::QueuePaused | ErrorReason::QueueNotPaused
            if named("byPlan").is_some_and(|by_plan| by_plan == "true") =>
        {
            Some("antiphon floor show".to_owned())
        }
        ErrorReason::QueuePaused => {
            let queue = named("queue")?;
            Some(format!("antiphon queue resume {queue} --reason TEXT"))
        }
        ErrorReason::QueueNotPaused => Some("antiphon queue list".to_owned()),
        ErrorReason::AgentNotReady
        | ErrorReason::AgentUnreachable
        | ErrorReason::AgentAtCapacity
        | ErrorReason::AgentNotLoggedIn => {
            Some(format!("antiphon agent explain {}", named("agent")?))
        }
        ErrorReason::AgentNotSkilled => Some(format!("antiphon agent show {}", named("agent")?)),
        ErrorReason::MachineDefect => {
            let id = named("conversation")?;
            Some(format!("antiphon conversation release {id} --reason TEXT"))
        }
        ErrorReason::WrongState => {
            let id = named("conversation")?;
            Some(format!("antiphon conversation explain {id}"))
        }
        _ => None,
    }
}

fn next_of(error: &CallError) -> Option<&'static str> {
    let next = match (error.reason, error.kind) {
        (ErrorReason::Unspecified, Kind::Unreachable) => {
            "antiphon dev, or name a running node with --addr HOST:PORT"
        }
        (ErrorReason::ConversationNotFound, _) => "antiphon conversation list",
        (ErrorReason::QueueNotFound, _) => "antiphon queue list",
        (ErrorReason::AgentNotFound, _) => "antiphon agent list",
        (ErrorReason::NodeNotFound | ErrorReason::NodeUnreachable, _) => "antiphon status",
        (ErrorReason::PlanVersionStale, _) => {
            "antiphon floor show, bring your changes into it, then antiphon floor apply"
        }
        (ErrorReason::FieldInvalid, _) => "the same command with --help, for what it takes",
        (ErrorReason::NotLeader | ErrorReason::QuorumLost | ErrorReason::ClusterForming, _) => {
            "antiphon status"
        }
        (_, Kind::OutcomeUnknown) => "antiphon status, then the same command again",
        (_, Kind::Later) => "the same command again in a while",
        _ => return None,
    };
    Some(next)
}

/// A command line that clap refuses, in the form that all failures have.
impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let sentence = text.split("\n\n").next().unwrap_or_default();
        let sentence = sentence.trim_start_matches("error: ").to_owned();
        let help = format!("{} --help", command_of(&error));
        let next = match suggestion(&error) {
            Some(meant) => format!("{meant}, or {help}"),
            None => help,
        };
        Self::usage(sentence).with_next(next)
    }
}

/// The command that was asked for, by the usage that clap knows of it.
fn command_of(error: &clap::Error) -> String {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let is_word = |word: &&str| word.chars().all(|letter| letter.is_ascii_lowercase());
    let words = usage.trim_start_matches("Usage: ").split_whitespace();
    let words: Vec<&str> = words.take_while(is_word).collect();
    match words.is_empty() {
        true => "antiphon".to_owned(),
        false => words.join(" "),
    }
}

/// What clap thinks was meant.
fn suggestion(error: &clap::Error) -> Option<String> {
    let kinds = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ];
    let said = kinds.into_iter().find_map(|kind| error.get(kind))?;
    match said {
        ContextValue::String(one) => Some(one.clone()),
        // The nearest comes last.
        ContextValue::Strings(several) => several.last().cloned(),
        _ => None,
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::plain(error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::plain(format!("{error:#}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::ErrorKind;

    use super::*;

    fn error(reason: ErrorReason, kind: Kind) -> CallError {
        CallError {
            reason,
            message: "queue sales takes nothing at present".to_owned(),
            metadata: BTreeMap::new(),
            retry_after: None,
            kind,
        }
    }

    #[test]
    fn a_failure_is_a_sentence_a_reason_and_what_to_try() {
        let failure = Failure::from(error(ErrorReason::QueueNotFound, Kind::Refused));
        assert_eq!(
            failure.render(Terminal::plain()),
            "error: queue sales takes nothing at present\nreason: QUEUE_NOT_FOUND\ntry: antiphon queue list\n"
        );
    }

    #[test]
    fn a_refusal_that_names_its_object_says_what_to_type_for_it() {
        let mut paused = error(ErrorReason::QueuePaused, Kind::Refused);
        paused.metadata.insert("queue".into(), "sales".into());
        let next = |error: CallError| Failure::from(error).next;
        let resume = "antiphon queue resume sales --reason TEXT";
        assert_eq!(next(paused.clone()).as_deref(), Some(resume));
        paused.metadata.insert("byPlan".into(), "true".into());
        assert_eq!(next(paused).as_deref(), Some("antiphon floor show"));
        let mut busy = error(ErrorReason::AgentAtCapacity, Kind::Refused);
        busy.metadata.insert("agent".into(), "ana".into());
        assert_eq!(next(busy).as_deref(), Some("antiphon agent explain ana"));
    }

    #[test]
    fn an_unknown_outcome_is_asked_for_again_under_the_same_id() {
        let mut unknown = error(ErrorReason::OutcomeUnknown, Kind::OutcomeUnknown);
        let next = |error: &CallError| Failure::from(error.clone()).next.unwrap();
        assert_eq!(
            next(&unknown),
            "antiphon status, then the same command again"
        );
        unknown.metadata.insert(REQUEST_ID.into(), "r-7".into());
        assert_eq!(
            next(&unknown),
            "antiphon status, then the same command again with --request-id r-7"
        );
        assert_eq!(Failure::from(unknown).exit, Exit::TimedOut);
    }

    #[test]
    fn every_failure_has_three_lines_whatever_is_known_of_it() {
        for exit in [
            Exit::Error,
            Exit::Usage,
            Exit::Degraded,
            Exit::Unreachable,
            Exit::Refused,
            Exit::TimedOut,
        ] {
            let failure = Failure::plain("it is so.\n  and so").with_exit(exit);
            let text = failure.render(Terminal::plain());
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), 3, "{text}");
            assert_eq!(lines[0], "error: it is so. and so");
            assert!(
                lines[1].starts_with("reason: ") && lines[1].len() > 10,
                "{text}"
            );
            assert!(
                lines[2].starts_with("try: ") && lines[2].len() > 10,
                "{text}"
            );
        }
    }

    #[test]
    fn a_wrong_command_line_says_what_was_meant_and_where_help_is() {
        use clap::Parser as _;
        let failure = |line: &str| {
            let parsed = crate::args::Cli::try_parse_from(line.split_whitespace());
            Failure::from(parsed.unwrap_err())
        };
        let argument = failure("antiphon floor show --verson 3");
        assert_eq!(argument.exit, Exit::Usage);
        assert_eq!(argument.sentence, "unexpected argument '--verson' found");
        assert_eq!(
            argument.next.as_deref(),
            Some("--version, or antiphon floor show --help")
        );
        let command = failure("antiphon flor");
        assert_eq!(command.next.as_deref(), Some("floor, or antiphon --help"));
        let missing = failure("antiphon floor diff");
        assert_eq!(missing.next.as_deref(), Some("antiphon floor diff --help"));
        assert!(
            missing
                .render(Terminal::plain())
                .starts_with("error: the following required arguments were not provided: <FILE>\n")
        );
    }

    #[test]
    fn exit_codes_tell_programs_how_it_ended() {
        let exit = |kind| Failure::from(error(ErrorReason::Unspecified, kind)).exit;
        assert_eq!(exit(Kind::Refused), Exit::Refused);
        assert_eq!(exit(Kind::Unreachable), Exit::Unreachable);
        assert_eq!(exit(Kind::OutcomeUnknown), Exit::TimedOut);
        assert_eq!(exit(Kind::TimedOut), Exit::TimedOut);
        assert_eq!(exit(Kind::Later), Exit::Refused);
        assert_eq!(exit(Kind::Defect), Exit::Error);
        let codes = [
            Exit::Ok,
            Exit::Error,
            Exit::Usage,
            Exit::Degraded,
            Exit::Unreachable,
        ];
        assert_eq!(codes.map(|exit| exit as u8), [0, 1, 2, 3, 4]);
        assert_eq!(
            [Exit::Refused, Exit::TimedOut].map(|exit| exit as u8),
            [5, 6]
        );
    }

    #[test]
    fn a_refused_value_points_to_what_the_command_takes() {
        let failure = Failure::from(error(ErrorReason::FieldInvalid, Kind::Refused));
        assert!(failure.next.unwrap().contains("--help"));
    }

    #[test]
    fn a_file_that_cannot_be_read_says_where_to_look() {
        let next = |file: &str, kind: ErrorKind| {
            let failure = Failure::unreadable(Path::new(file), &kind.into());
            assert!(failure.sentence.starts_with(file), "{failure:?}");
            failure.next.unwrap()
        };
        assert_eq!(next("plans/floor.toml", ErrorKind::NotFound), "ls plans");
        assert_eq!(next("floor.toml", ErrorKind::NotFound), "ls");
        let denied = next("plans/floor.toml", ErrorKind::PermissionDenied);
        assert_eq!(denied, "ls -ld plans/floor.toml");
    }

    #[test]
    fn nobody_answering_says_what_to_start() {
        let failure = Failure::from(error(ErrorReason::Unspecified, Kind::Unreachable));
        assert_eq!(failure.reason.as_deref(), Some("UNREACHABLE"));
        assert!(failure.next.unwrap().starts_with("antiphon dev"));
    }
}
