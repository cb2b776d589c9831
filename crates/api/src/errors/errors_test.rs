//! Claims about the one mapping of errors.

use domain::cell::refusal::Refusal as Domain;
use domain::ids::*;
use pb::api::v1::{ErrorReason, Refusal};
use tonic::Code;
use tonic_types::StatusExt;

use super::*;

/// Every reason of the schema, `NODE_UNREACHABLE` being the last.
fn reasons() -> Vec<ErrorReason> {
    let all: Vec<_> = (0..1_000)
        .map_while(|number| ErrorReason::try_from(number).ok())
        .collect();
    assert!(all.contains(&ErrorReason::NodeUnreachable));
    all
}

fn conversation() -> ConversationId {
    ConversationId {
        cell: CellId(1),
        index: LogIndex(7),
    }
}

fn offer_id() -> OfferId {
    OfferId {
        cell: CellId(1),
        agent_cell: CellId(1),
        n: 3,
    }
}

fn ana() -> AgentId {
    AgentId::new("ana").expect("a name")
}

fn billing() -> QueueId {
    QueueId::new("billing").expect("a name")
}

type Case = (Domain, ErrorReason, &'static [&'static str]);

/// One of each refusal of the machine with the reason and the metadata keys that clients get.
/// `covered` below fails to compile when a variant is added here or there alone.
fn every_refusal() -> Vec<Case> {
    let parts = [
        first_cases(),
        second_cases(),
        third_cases(),
        fourth_cases(),
        fifth_cases(),
        sixth_cases(),
    ];
    parts.into_iter().flatten().collect()
}

fn first_cases() -> Vec<Case> {
    use ErrorReason as R;
    let queue = billing();
    let conversation = conversation();
    let text = String::from("come later");
    vec![
        (
            Domain::ConversationNotFound { conversation },
            R::ConversationNotFound,
            &["conversation"],
        ),
        (
            Domain::ConversationClosed { conversation },
            R::ConversationClosed,
            &["conversation"],
        ),
        (
            Domain::WrongState {
                conversation,
                state: "queued",
            },
            R::WrongState,
            &["conversation", "state"],
        ),
        (Domain::MessageEmpty, R::MessageEmpty, &[]),
        (
            Domain::MessageTooLarge { bytes: 9, limit: 8 },
            R::MessageTooLarge,
            &["bytes", "limitBytes"],
        ),
        (
            Domain::ScoreOutOfRange { score: 6 },
            R::ScoreOutOfRange,
            &["score"],
        ),
        (
            Domain::QueueNotFound {
                queue: queue.clone(),
            },
            R::QueueNotFound,
            &["queue"],
        ),
        (
            Domain::QueuePaused {
                queue: queue.clone(),
                text: text.clone(),
                by_plan: true,
            },
            R::QueuePaused,
            &["byPlan", "queue", "text"],
        ),
    ]
}

fn second_cases() -> Vec<Case> {
    use ErrorReason as R;
    let agent = ana();
    let queue = billing();
    let text = String::from("come later");
    let retry_after_ms = 500;
    vec![
        (
            Domain::QueueFull {
                queue: queue.clone(),
                limit: 5,
                text,
                retry_after_ms,
            },
            R::QueueFull,
            &["limit", "queue", "text"],
        ),
        (
            Domain::AccountNotFound {
                account: "web".into(),
            },
            R::AccountNotFound,
            &["account"],
        ),
        (
            Domain::AgentNotFound {
                agent: agent.clone(),
            },
            R::AgentNotFound,
            &["agent"],
        ),
        (
            Domain::AgentNotLoggedIn {
                agent: agent.clone(),
            },
            R::AgentNotLoggedIn,
            &["agent"],
        ),
        (
            Domain::AgentNotReady {
                agent: agent.clone(),
            },
            R::AgentNotReady,
            &["agent"],
        ),
        (
            Domain::AgentUnreachable {
                agent: agent.clone(),
            },
            R::AgentUnreachable,
            &["agent"],
        ),
    ]
}

fn third_cases() -> Vec<Case> {
    use ErrorReason as R;
    let agent = ana();
    let queue = billing();
    let offer = offer_id();
    vec![
        (
            Domain::AgentAtCapacity {
                agent: agent.clone(),
                free: 0,
                needed: 25,
            },
            R::AgentAtCapacity,
            &["agent", "free", "needed"],
        ),
        (
            Domain::AgentNotSkilled {
                agent: agent.clone(),
                queue,
            },
            R::AgentNotSkilled,
            &["agent", "queue"],
        ),
        (
            Domain::StaleSession {
                agent: agent.clone(),
                session: Session(1),
                current: Session(2),
            },
            R::StaleSession,
            &["agent", "currentSession", "session"],
        ),
        (
            Domain::StaleOwnerEpoch {
                given: OwnerEpoch(1),
                current: OwnerEpoch(2),
                owner: Some(agent.clone()),
            },
            R::StaleOwnerEpoch,
            &["currentOwnerEpoch", "owner", "ownerEpoch"],
        ),
        (
            Domain::OfferNotFound { offer },
            R::OfferNotFound,
            &["offer"],
        ),
    ]
}

fn fourth_cases() -> Vec<Case> {
    use ErrorReason as R;
    let agent = ana();
    let conversation = conversation();
    let offer = offer_id();
    let retry_after_ms = 500;
    vec![
        (
            Domain::OfferEnded {
                offer,
                outcome: "expired",
                by: Some(agent.clone()),
                late_ms: 4,
            },
            R::OfferEnded,
            &["by", "lateMs", "offer", "outcome"],
        ),
        (
            Domain::OfferNotYours {
                offer,
                agent: agent.clone(),
            },
            R::OfferNotYours,
            &["agent", "offer"],
        ),
        (
            Domain::RequestIdReused {
                request_id: RequestId::new("r1").expect("an id"),
            },
            R::RequestIdReused,
            &["requestId"],
        ),
        (
            Domain::TooManyRequests { retry_after_ms },
            R::RateLimited,
            &[],
        ),
        (
            Domain::CursorFromTheFuture {
                given: Sequence(9),
                last: Sequence(3),
            },
            R::CursorFromTheFuture,
            &["cursor", "lastSequence"],
        ),
        (
            Domain::MachineDefect {
                conversation: Some(conversation),
                index: LogIndex(8),
                retry_after_ms,
            },
            R::MachineDefect,
            &["conversation", "logIndex"],
        ),
    ]
}

fn fifth_cases() -> Vec<Case> {
    use ErrorReason as R;
    let agent = ana();
    let conversation = conversation();
    let retry_after_ms = 500;
    vec![
        (
            Domain::PlanBehind {
                version: 4,
                retry_after_ms,
            },
            R::PlanBehind,
            &["version"],
        ),
        (
            Domain::BucketElsewhere { retry_after_ms },
            R::BucketElsewhere,
            &[],
        ),
        (
            Domain::CellFull {
                limit: 10,
                retry_after_ms,
            },
            R::CellFull,
            &["limit"],
        ),
        (
            Domain::WrapUpNotOver {
                conversation,
                remaining_ms: 5,
            },
            R::WrapUpNotOver,
            &["conversation", "remainingMs"],
        ),
        (
            Domain::NotOwner {
                agent: agent.clone(),
                owner: Some(agent),
            },
            R::NotOwner,
            &["agent", "owner"],
        ),
        (
            Domain::NotAllowed {
                actor: "customer",
                act: "transfer",
            },
            R::NotAllowed,
            &["act", "actor"],
        ),
    ]
}

fn sixth_cases() -> Vec<Case> {
    use ErrorReason as R;
    let retry_after_ms = 500;
    vec![
        (
            Domain::LeaseTooEarly { retry_after_ms },
            R::ResourceExhausted,
            &[],
        ),
        (
            Domain::FieldTooLong {
                field: "reason",
                limit: 128,
            },
            R::FieldInvalid,
            &["field", "limit"],
        ),
        (
            Domain::ArchiveBehind {
                waiting: 10_000,
                bytes: 9,
                retry_after_ms,
            },
            R::ArchiveBehind,
            &["bytes", "waiting"],
        ),
        (
            Domain::LookAgain {
                conversation: conversation(),
                retry_after_ms,
            },
            R::ArchiveUnreachable,
            &["conversation"],
        ),
        (
            Domain::ArchiveDiffers {
                upto: LogIndex(9),
                count: 1,
                said: 2,
            },
            R::Internal,
            &[],
        ),
        (
            Domain::QueuePausedAlready {
                queue: billing(),
                by: StaffId::new("mia").expect("a name"),
                why: "maintenance".into(),
            },
            R::QueuePaused,
            &["by", "queue", "why"],
        ),
        (
            Domain::QueueNotPaused {
                queue: billing(),
                by_plan: true,
            },
            R::QueueNotPaused,
            &["byPlan", "queue"],
        ),
    ]
}

/// Which line of `every_refusal` stands for a variant: total, so that a new variant needs a line.
fn covered(refused: &Domain) -> usize {
    match refused {
        Domain::ConversationNotFound { .. } => 0,
        Domain::ConversationClosed { .. } => 1,
        Domain::WrongState { .. } => 2,
        Domain::MessageEmpty => 3,
        Domain::MessageTooLarge { .. } => 4,
        Domain::ScoreOutOfRange { .. } => 5,
        Domain::QueueNotFound { .. } => 6,
        Domain::QueuePaused { .. } => 7,
        Domain::QueueFull { .. } => 8,
        Domain::AccountNotFound { .. } => 9,
        Domain::AgentNotFound { .. } => 10,
        Domain::AgentNotLoggedIn { .. } => 11,
        Domain::AgentNotReady { .. } => 12,
        Domain::AgentUnreachable { .. } => 13,
        Domain::AgentAtCapacity { .. } => 14,
        Domain::AgentNotSkilled { .. } => 15,
        Domain::StaleSession { .. } => 16,
        Domain::StaleOwnerEpoch { .. } => 17,
        Domain::OfferNotFound { .. } => 18,
        Domain::OfferEnded { .. } => 19,
        Domain::OfferNotYours { .. } => 20,
        Domain::RequestIdReused { .. } => 21,
        Domain::TooManyRequests { .. } => 22,
        Domain::CursorFromTheFuture { .. } => 23,
        Domain::MachineDefect { .. } => 24,
        Domain::PlanBehind { .. } => 25,
        Domain::BucketElsewhere { .. } => 26,
        Domain::CellFull { .. } => 27,
        Domain::WrapUpNotOver { .. } => 28,
        Domain::NotOwner { .. } => 29,
        Domain::NotAllowed { .. } => 30,
        Domain::LeaseTooEarly { .. } => 31,
        Domain::FieldTooLong { .. } => 32,
        Domain::ArchiveBehind { .. } => 33,
        Domain::LookAgain { .. } => 34,
        Domain::ArchiveDiffers { .. } => 35,
        Domain::QueuePausedAlready { .. } => 36,
        Domain::QueueNotPaused { .. } => 37,
    }
}

#[test]
fn every_refusal_of_the_machine_has_its_reason_and_carries_its_values() {
    for (at, (refused, reason, keys)) in every_refusal().into_iter().enumerate() {
        assert_eq!(covered(&refused), at, "{refused:?}");
        let refusal = domain(&refused);
        assert_eq!(refusal.reason(), reason, "{refused:?}");
        let machine = refused.to_string();
        assert!(refusal.message.starts_with(&machine), "{}", refusal.message);
        let mut have: Vec<_> = refusal.metadata.keys().map(String::as_str).collect();
        have.sort_unstable();
        assert_eq!(have, keys, "{refused:?}");
    }
}

#[test]
fn a_refusal_that_ends_by_waiting_says_how_long() {
    for (refused, ..) in every_refusal() {
        let waits = format!("{refused:?}").contains("retry_after_ms");
        assert_eq!(domain(&refused).retry_after_ms > 0, waits, "{refused:?}");
    }
}

#[test]
fn every_reason_has_a_code_and_a_name_that_error_info_allows() {
    for reason in reasons() {
        assert_ne!(code(reason), Code::Ok, "{reason:?}");
        let text = reason_text(reason);
        assert!(
            text.len() <= 63 && !text.starts_with("ERROR_REASON"),
            "{text}"
        );
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_'),
            "{text}"
        );
    }
}

#[test]
fn unavailable_means_certainly_not_done() {
    use ErrorReason as R;
    let not_done = [
        R::PlanBehind,
        R::BucketElsewhere,
        R::NotLeader,
        R::QuorumLost,
        R::NodeDraining,
        R::ClusterForming,
        R::ArchiveUnreachable,
        R::NodeUnreachable,
    ];
    for reason in reasons() {
        assert_eq!(
            code(reason) == Code::Unavailable,
            not_done.contains(&reason),
            "{reason:?}"
        );
    }
    assert_eq!(code(R::OutcomeUnknown), Code::Unknown);
}

#[test]
fn a_status_carries_one_error_info_and_a_retry_hint() {
    let refusal = Refusal {
        retry_after_ms: 250,
        ..message_too_large(70_000, 65_536)
    };
    let status = status(refusal);
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    let info = details.error_info().expect("an ErrorInfo");
    assert_eq!(
        (info.reason.as_str(), info.domain.as_str()),
        ("MESSAGE_TOO_LARGE", "antiphon")
    );
    assert_eq!(info.metadata["limitBytes"], "65536");
    let retry = details.retry_info().expect("a RetryInfo").retry_delay;
    assert_eq!(retry, Some(std::time::Duration::from_millis(250)));
}

#[test]
fn a_refusal_for_good_has_no_retry_hint() {
    let status = status(message_empty());
    assert!(status.get_error_details().retry_info().is_none());
}

#[test]
fn failures_of_the_machinery_are_told_apart() {
    use conversation::ActError;
    let failures = [
        (
            ActError::NotLeader { leader: Some(2) },
            ErrorReason::NotLeader,
        ),
        (ActError::QuorumLost, ErrorReason::QuorumLost),
        (ActError::OutcomeUnknown, ErrorReason::OutcomeUnknown),
        (
            ActError::Exhausted { retry_after_ms: 5 },
            ErrorReason::ResourceExhausted,
        ),
        (ActError::Stopped, ErrorReason::NotLeader),
        (
            ActError::Refused(Domain::MessageEmpty),
            ErrorReason::MessageEmpty,
        ),
    ];
    for (failure, reason) in failures {
        let refusal = act_error(&failure);
        assert_eq!(refusal.reason(), reason);
        let keeps_id = reason != ErrorReason::MessageEmpty;
        assert_eq!(refusal.retry_after_ms > 0, keeps_id, "{failure:?}");
    }
    assert_eq!(
        act_error(&ActError::NotLeader { leader: Some(2) }).metadata["leader"],
        "2"
    );
}
