//! Every reason of a refusal, provoked through the public API of nodes in process: one table, whose rows are
//! played.
//! Promise: a reason without a row, a row whose scene does not hear it, and a reason that a scene hears without
//! a row for it fail the test; code, reason and retry hint are those that clients were promised.
//! Not here: what a refusal carries beside them (`api::errors`), the machines' own tests.

mod agents_test;
mod archives_test;
mod cluster_test;
mod customers_test;
mod outages_test;
mod planted_test;
mod staff_test;
mod streams_test;

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::future::Future;

use pb::api::v1::{ErrorReason as R, StreamEnded};
use runtime::{Env, memory};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::talk_test::formed_with;
use super::{Dev, DevOptions};

/// A small floor on which every refusal of the desk can be had.
const FLOOR: &str = include_str!("reasons_test/floor.toml");

/// Three nodes on that floor.
async fn formed(seed: u64) -> (Env, Dev) {
    let env = memory::env(seed);
    let options = DevOptions {
        floor: Some(FLOOR.to_owned()),
        ..DevOptions::default()
    };
    let dev = formed_with(&env, options).await;
    (env, dev)
}

/// Whether asking again after a while, with the same request id, helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hint {
    /// It does; the refusal says after how long.
    Waits,
    /// It does not, or nobody knows when.
    Final,
}

/// What provokes a reason.
#[derive(Debug, Clone, Copy)]
enum By {
    /// A scene of this module.
    Played(Scene),
    /// A test against real processes: where it stands, its text, its name. Its text names the reason.
    Processes(&'static str, &'static str, &'static str),
    /// Nothing that a client can send, for this cause.
    Nothing(&'static str),
}

struct Row(R, Code, Hint, By);

/// Declares the scenes, each with the test that plays it, so that none is left out.
macro_rules! scenes {
    ($($scene:ident, $test:ident, $play:path;)+) => {
        /// One cluster and what is done wrong there.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Scene {
            $($scene,)+
        }

        $(
            #[tokio::test(start_paused = true)]
            async fn $test() {
                plays(Scene::$scene, $play()).await;
            }
        )+
    };
}

scenes! {
    Customers, what_customers_may_not, customers_test::play;
    Agents, what_agents_may_not, agents_test::play;
    Staff, what_supervisors_and_operators_may_not, staff_test::play;
    Streams, what_streams_are_refused_and_ended_for, streams_test::play;
    Forming, what_a_node_that_begins_or_joins_is_told, cluster_test::play;
    Outage, what_a_node_without_the_others_says, outages_test::play;
    Archives, what_archives_that_fail_cost, archives_test::play;
    Planted, what_takes_a_long_life_or_a_defect, planted_test::play;
}

use By::{Nothing, Played, Processes};
use Hint::{Final, Waits};

const STREAMS: &str = include_str!("../../../../tests/streams.rs");
const SLOW: &str = "a_client_that_never_reads_is_ended_and_others_are_served";

/// The rows: reason, code, hint, and the scene that plays it or what else does.
macro_rules! rows {
    (@by ($by:expr)) => { $by };
    (@by $scene:ident) => { Played(Scene::$scene) };
    ($($reason:ident, $code:ident, $hint:ident, $by:tt;)+) => {
        /// One row for each reason, in the order of the schema.
        const ROWS: &[Row] = &[$(Row(R::$reason, Code::$code, $hint, rows!(@by $by))),+];
    };
}

rows! {
    ConversationNotFound, NotFound, Final, Customers;
    ConversationClosed, FailedPrecondition, Final, Customers;
    WrongState, FailedPrecondition, Final, Customers;
    MessageEmpty, InvalidArgument, Final, Customers;
    MessageTooLarge, InvalidArgument, Final, Customers;
    ScoreOutOfRange, InvalidArgument, Final, Customers;
    QueueNotFound, NotFound, Final, Customers;
    QueuePaused, FailedPrecondition, Final, Staff;
    QueueFull, ResourceExhausted, Waits, Customers;
    AccountNotFound, NotFound, Final, Customers;
    AgentNotFound, NotFound, Final, Agents;
    AgentNotLoggedIn, FailedPrecondition, Final, Agents;
    AgentNotReady, FailedPrecondition, Final, Agents;
    AgentUnreachable, FailedPrecondition, Final, Agents;
    AgentAtCapacity, FailedPrecondition, Final, Agents;
    AgentNotSkilled, FailedPrecondition, Final, Agents;
    StaleSession, Aborted, Final, Agents;
    StaleOwnerEpoch, Aborted, Final, Agents;
    OfferNotFound, NotFound, Final, Agents;
    OfferEnded, FailedPrecondition, Final, Agents;
    OfferNotYours, PermissionDenied, Final, Agents;
    RequestIdReused, AlreadyExists, Final, Customers;
    RateLimited, ResourceExhausted, Waits, Customers;
    CursorFromTheFuture, OutOfRange, Final, Streams;
    MachineDefect, Internal, Waits, Planted;
    PlanBehind, Unavailable, Waits, Planted;
    BucketElsewhere, Unavailable, Waits, Planted;
    CellFull, ResourceExhausted, Waits, Planted;
    WrapUpNotOver, FailedPrecondition, Final, Agents;
    NotLeader, Unavailable, Waits, Outage;
    QuorumLost, Unavailable, Waits, Outage;
    OutcomeUnknown, Unknown, Waits, Outage;
    ResourceExhausted, ResourceExhausted, Waits, Streams;
    FieldInvalid, InvalidArgument, Final, Customers;
    MessageMalformed, InvalidArgument, Final, Customers;
    PlanVersionStale, Aborted, Final, Staff;
    StreamProtocol, InvalidArgument, Final, Streams;
    // To fill every queue on the way takes thousands of messages: real processes take them faster.
    SlowConsumer, ResourceExhausted, Waits, (Processes("tests/streams.rs", STREAMS, SLOW));
    NodeDraining, Unavailable, Waits, Streams;
    ClusterForming, Unavailable, Waits, Forming;
    WrongCluster, FailedPrecondition, Final, Forming;
    NodeNameTaken, AlreadyExists, Final, Forming;
    ProfileDiffers, FailedPrecondition, Final, Forming;
    Internal, Internal, Final, (Nothing(DEFECT));
    NotOwner, PermissionDenied, Final, Agents;
    NotAllowed, PermissionDenied, Final, Customers;
    ArchiveBehind, ResourceExhausted, Waits, Archives;
    ArchiveUnreachable, Unavailable, Waits, Archives;
    QueueNotPaused, FailedPrecondition, Final, Staff;
    NodeNotFound, NotFound, Final, Staff;
    // Nobody knows when a node that is named comes back: `status` shows it, and a person asks again.
    NodeUnreachable, Unavailable, Final, Staff;
}

const DEFECT: &str = "each place that gives it says what the types leave open and no code does: an answer of \
    another kind than the call, a call to a group that does not serve it. `hostile_test` asks at random for it, \
    and fails when it comes";

fn row(reason: R) -> &'static Row {
    let found = ROWS.iter().find(|row| row.0 == reason);
    found.unwrap_or_else(|| panic!("{reason:?} has no row"))
}

/// What the refusals of one scene were for.
#[derive(Default)]
struct Heard(BTreeSet<R>);

impl Heard {
    /// A call was refused so; the values that its sentence names.
    fn call<T: Debug>(&mut self, reason: R, answer: Result<T, Status>) -> HashMap<String, String> {
        let status = match answer {
            Ok(answer) => panic!("{reason:?} was to be heard, and the answer was {answer:?}"),
            Err(status) => status,
        };
        let Row(_, code, hint, _) = row(reason);
        let details = status.get_error_details();
        let info = details.error_info().unwrap_or_else(|| panic!("{status:?}"));
        let name = format!("ERROR_REASON_{}", info.reason);
        assert_eq!(name, reason.as_str_name(), "{status:?}");
        assert_eq!(info.domain, "antiphon", "{status:?}");
        assert_eq!(status.code(), *code, "{status:?}");
        assert!(!status.message().is_empty());
        let wait = details.retry_info().and_then(|retry| retry.retry_delay);
        let waits = wait.is_some_and(|wait| !wait.is_zero());
        assert_eq!(waits, *hint == Waits, "{reason:?}: {wait:?}");
        self.0.insert(reason);
        info.metadata.clone()
    }

    /// A stream was ended so.
    fn ended(&mut self, reason: R, ended: &StreamEnded) {
        assert_eq!(ended.reason(), reason);
        let waits = ended.retry_after_ms > 0;
        assert_eq!(waits, row(reason).2 == Waits, "{ended:?}");
        self.0.insert(reason);
    }
}

async fn plays(scene: Scene, playing: impl Future<Output = Heard>) {
    let heard = playing.await.0;
    let has = |row: &&Row| matches!(row.3, Played(by) if by == scene);
    let rows: BTreeSet<R> = ROWS.iter().filter(has).map(|row| row.0).collect();
    assert_eq!(heard, rows, "what {scene:?} heard, and its rows");
}

#[test]
fn every_reason_of_the_schema_has_one_row_that_says_what_provokes_it() {
    let schema = include_str!("../../../../proto/antiphon/api/v1/common.proto");
    let values = schema
        .lines()
        .filter(|line| line.starts_with("  ERROR_REASON_"));
    let named = values.map(|line| line.split_whitespace().next().unwrap_or_default());
    let reasons: Vec<R> = named.map(|name| R::from_str_name(name).unwrap()).collect();
    let rows: Vec<R> = std::iter::once(R::Unspecified)
        .chain(ROWS.iter().map(|row| row.0))
        .collect();
    assert_eq!(reasons, rows);
    for Row(reason, code, _, by) in ROWS {
        assert_eq!(*code, api::errors::code(*reason), "{reason:?}");
        match by {
            Played(_) => {}
            Processes(file, text, test) => {
                assert!(
                    text.contains(&format!("async fn {test}(")),
                    "{file}: {test}"
                );
                assert!(
                    text.contains(&format!("ErrorReason::{reason:?}")),
                    "{file}: {reason:?}"
                );
            }
            Nothing(why) => assert_eq!(*reason, R::Internal, "{why}"),
        }
    }
}
