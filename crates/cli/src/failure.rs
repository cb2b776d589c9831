//! Failures: what a command says when it does not do what it was asked for.
//! Promise: one sentence, then the stable reason, then what to try; the exit code tells programs.
//! Not here: why (`client::CallError`, `node`).

use std::path::Path;
use std::process::ExitCode;

use client::{CallError, Kind};
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
        let failure = Self::plain(format!("{} cannot be read: {error}", file.display()));
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

    /// What is printed to stderr.
    pub fn render(&self, terminal: Terminal) -> String {
        let mut text = format!("{} {}\n", terminal.bad("error:"), self.sentence);
        if let Some(reason) = &self.reason {
            text.push_str(&format!("reason: {reason}\n"));
        }
        if let Some(next) = &self.next {
            text.push_str(&format!("try: {next}\n"));
        }
        text
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let exit = match error.kind {
            // Certainly not done, and nothing goes on.
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
    match error.reason {
        ErrorReason::QueuePaused => Some(format!("antiphon queue resume {}", named("queue")?)),
        ErrorReason::QueueNotPaused if named("byPlan")? == "true" => {
            Some("antiphon floor show".to_owned())
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
            Some(format!("antiphon conversation release {id}"))
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
        (ErrorReason::PlanVersionStale, _) => {
            "antiphon floor show, bring your changes into it, then antiphon floor apply"
        }
        (ErrorReason::PlanInvalid, _) => "antiphon floor check FILE",
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
        assert_eq!(next(paused).as_deref(), Some("antiphon queue resume sales"));
        let mut busy = error(ErrorReason::AgentAtCapacity, Kind::Refused);
        busy.metadata.insert("agent".into(), "ana".into());
        assert_eq!(next(busy).as_deref(), Some("antiphon agent explain ana"));
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
