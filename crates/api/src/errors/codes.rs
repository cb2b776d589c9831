//! Which gRPC code each reason travels under.
//! Promise: total over `ErrorReason`; the compiler asks for a line when a reason is added.
//! Not here: the reasons' values.

use pb::api::v1::ErrorReason as R;
use tonic::Code;

/// The gRPC code of a reason.
///
/// `UNAVAILABLE` is given only where certainly nothing was done, so that a generic client or proxy
/// that retries on it by itself is right to do so. `OUTCOME_UNKNOWN` is `UNKNOWN`: the call may have
/// been done, and only a caller that keeps its request id may ask again.
pub fn code(reason: R) -> Code {
    match reason {
        R::Unspecified | R::OutcomeUnknown => Code::Unknown,
        R::ConversationNotFound
        | R::QueueNotFound
        | R::AccountNotFound
        | R::AgentNotFound
        | R::OfferNotFound
        | R::NodeNotFound => Code::NotFound,
        R::ConversationClosed
        | R::WrongState
        | R::QueuePaused
        | R::QueueNotPaused
        | R::AgentNotLoggedIn
        | R::AgentNotReady
        | R::AgentUnreachable
        | R::AgentAtCapacity
        | R::AgentNotSkilled
        | R::OfferEnded
        | R::WrapUpNotOver
        | R::WrongCluster
        | R::ProfileDiffers => Code::FailedPrecondition,
        R::MessageEmpty
        | R::MessageTooLarge
        | R::MessageMalformed
        | R::ScoreOutOfRange
        | R::FieldInvalid
        | R::StreamProtocol => Code::InvalidArgument,
        R::CursorFromTheFuture => Code::OutOfRange,
        R::StaleSession | R::StaleOwnerEpoch | R::PlanVersionStale => Code::Aborted,
        R::OfferNotYours | R::NotOwner | R::NotAllowed => Code::PermissionDenied,
        R::RequestIdReused | R::NodeNameTaken => Code::AlreadyExists,
        R::QueueFull
        | R::RateLimited
        | R::CellFull
        | R::ArchiveBehind
        | R::ResourceExhausted
        | R::SlowConsumer => Code::ResourceExhausted,
        R::PlanBehind
        | R::BucketElsewhere
        | R::NotLeader
        | R::QuorumLost
        | R::NodeDraining
        | R::ArchiveUnreachable
        | R::NodeUnreachable
        | R::ClusterForming => Code::Unavailable,
        R::MachineDefect | R::Internal => Code::Internal,
    }
}
