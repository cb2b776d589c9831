//! Claims about snapshots.

use std::collections::BTreeSet;

use domain::cell::Cell;
use domain::cell::command::{Command, Entry};
use domain::cell::conversation::Phase;
use domain::cell::version::NEWEST_VERSION;
use domain::control::command::{
    Addresses, ApplyPlan, ClusterId, ControlCommand, CreateCell, Found, Join, Profile, RemoveNode,
    SiteProfile,
};
use domain::control::placement::cell_members;
use domain::control::{Control, ControlEntry};
use domain::ids::{
    CellId, CellTime, LogIndex, MachineVersion, NodeId, PlanVersion, RequestId, StaffId,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::history::History;
use super::{CHUNK_BYTES_MAX, CellChunks, ControlChunks, decode_cell, decode_control};
use crate::error::WireError;

fn chunks(cell: &Cell) -> Vec<Vec<u8>> {
    CellChunks::new(cell.freeze()).collect()
}

fn after(numbers: &[u64]) -> History {
    let mut history = History::new();
    numbers.iter().for_each(|number| history.step(*number));
    history
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_cell_comes_back_as_it_was_with_the_same_bytes(numbers in vec(any::<u64>(), 0..300)) {
        let history = after(&numbers);
        let encoded = chunks(&history.cell);
        let decoded = decode_cell(&encoded).expect("is whole");
        prop_assert!(decoded == history.cell);
        prop_assert_eq!(chunks(&decoded), encoded);
    }

    #[test]
    fn an_archived_conversation_comes_back_with_the_same_bytes_and_knows_its_messages(
        numbers in vec(any::<u64>(), 0..300),
    ) {
        let history = after(&numbers);
        for found in history.cell.state().conversations() {
            let bytes = crate::archive::encode(found);
            let read = crate::archive::decode(&bytes).expect("is whole");
            prop_assert_eq!(&read, &**found);
            prop_assert_eq!(crate::archive::encode(&read), bytes.clone());
            // Cut anywhere it is refused or read, and never a panic.
            let _ = crate::archive::decode(&bytes[..bytes.len() / 2]);
        }
    }

    #[test]
    fn a_cell_from_a_snapshot_goes_on_as_the_one_that_was_never_stopped(
        before in vec(any::<u64>(), 0..200),
        later in vec(any::<u64>(), 0..100),
    ) {
        let mut stayed = after(&before);
        let mut restored = after(&before);
        restored.cell = decode_cell(&chunks(&restored.cell)).expect("is whole");
        for number in later {
            stayed.step(number);
            restored.step(number);
            prop_assert!(stayed.cell == restored.cell);
        }
    }

    #[test]
    fn a_damaged_snapshot_never_panics(
        numbers in vec(any::<u64>(), 50..150),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let mut bytes = chunks(&after(&numbers).cell).concat();
        let at = at.index(bytes.len());
        prop_assert!(decode_cell(&[&bytes[..at]]).is_err());
        bytes[at] ^= 1 << bit;
        let _ = decode_cell(&[&bytes]);
    }

    #[test]
    fn random_bytes_are_no_snapshot(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(decode_cell(&[&bytes]).is_err());
        prop_assert!(decode_control(&[&bytes]).is_err());
    }
}

#[test]
fn the_histories_reach_every_phase() {
    let mut reached = BTreeSet::new();
    let (mut attached, mut capped) = (false, false);
    let (mut returned, mut held_before_a_reply, mut missed) = (false, false, false);
    let mut history = History::new();
    let mut number = 1_u64;
    for _ in 0..4_000 {
        // Knuth's multiplier: a fixed, well mixed sequence.
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        history.step(number >> 11);
        reached.extend(
            history
                .cell
                .state()
                .conversations()
                .map(|found| found.phase.word()),
        );
        for found in history.cell.state().conversations() {
            attached |= found.attached_once;
            capped |= found.boost_ms < found.boost_asked_ms;
            returned |= found.returned_at > CellTime(0);
            held_before_a_reply |= matches!(&found.phase, Phase::OnHold(hold) if !hold.replied);
        }
        let mut agents = history.cell.state().agents();
        missed |= agents.any(|agent| {
            let mut pauses = agent.channels.iter();
            pauses.any(|pause| pause.missed_at > CellTime(0))
        });
    }
    assert!(
        attached && capped && returned && held_before_a_reply && missed,
        "what is stored beside the phase is reached too"
    );
    let all = [
        "active",
        "closed",
        "in wrap-up",
        "offered",
        "on hold",
        "queued",
        "with a bot",
    ];
    assert_eq!(reached.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn a_snapshot_of_another_format_is_refused() {
    let mut bytes = chunks(&Cell::new(CellId(1))).concat();
    // The record's length, its tag and length, the tag of the format, then the format.
    assert_eq!(bytes[4], 1);
    bytes[4] = 9;
    assert_eq!(
        decode_cell(&[bytes]).err(),
        Some(WireError::NewerFormat { found: 9, known: 1 })
    );
}

#[test]
fn a_snapshot_of_a_newer_machine_is_refused_and_says_which_version_it_needs() {
    let mut cell = Cell::new(CellId(1));
    let raise = |version| Entry {
        at: CellTime(1),
        wall_ms: 1,
        command: Command::RaiseVersion(version),
    };
    cell.apply(LogIndex(1), &raise(NEWEST_VERSION));
    let decoded = decode_cell(&chunks(&cell)).expect("is known");
    assert_eq!(decoded.version(), NEWEST_VERSION);
    let newer = MachineVersion(NEWEST_VERSION.0 + 1);
    cell.apply(LogIndex(2), &raise(newer));
    let refused = decode_cell(&chunks(&cell)).expect_err("is newer");
    assert!(refused.is_newer());
    let known = NEWEST_VERSION;
    assert_eq!(
        refused,
        WireError::NewerMachine {
            found: newer,
            known
        }
    );
}

#[test]
fn a_snapshot_without_its_end_is_refused() {
    let empty: [&[u8]; 0] = [];
    assert!(matches!(
        decode_cell(&empty),
        Err(WireError::NotWhole { .. })
    ));
    assert!(matches!(
        decode_control(&empty),
        Err(WireError::NotWhole { .. })
    ));
}

fn request(text: &str) -> RequestId {
    RequestId::new(text).expect("well formed")
}

fn operator() -> StaffId {
    "op".parse().expect("well formed")
}

fn found() -> ControlCommand {
    let Join {
        node,
        site,
        addresses,
        profile,
        program,
        machine,
        ..
    } = join("fra-n1", "fra");
    ControlCommand::Found(Found {
        cluster: ClusterId::new("c-1").expect("well formed"),
        cluster_name: "demo".to_owned(),
        profile,
        node,
        site,
        addresses,
        program,
        machine,
    })
}

fn join(node: &str, site: &str) -> Join {
    Join {
        request_id: request(node),
        node: node.parse().expect("well formed"),
        site: SiteProfile {
            site: site.parse().expect("well formed"),
            time_zone: "Europe/Berlin".to_owned(),
        },
        addresses: Addresses {
            peer: format!("{node}:1"),
            api: format!("{node}:2"),
        },
        profile: Profile::Regional,
        program: "0.1.0".to_owned(),
        machine: MachineVersion(2),
    }
}

fn create_cell(control: &Control) -> ControlCommand {
    ControlCommand::CreateCell(CreateCell {
        request_id: request("k"),
        by: operator(),
        name: "main".to_owned(),
        home: "fra".parse().expect("well formed"),
        members: cell_members(control.parts()),
    })
}

fn apply_plan(expected: u32) -> ControlCommand {
    let mut plan = crate::floor::parse(crate::floor::SAMPLE).expect("the sample has no fault");
    plan.policy.customer_commands_max = expected;
    ControlCommand::ApplyPlan(ApplyPlan {
        request_id: request(&format!("p{expected}")),
        by: operator(),
        expected: PlanVersion(u64::from(expected)),
        plan: std::sync::Arc::new(plan),
    })
}

fn ask(control: &mut Control, command: ControlCommand) {
    let index = control.parts().applied.0 + 1;
    let entry = ControlEntry {
        at: CellTime(index * 10),
        wall_ms: 1_700_000_000_000 + index,
        command,
    };
    control
        .apply(LogIndex(index), &entry)
        .reply
        .expect("is done");
}

/// A control machine with three sites, a cell, some plans and a removed node.
fn control() -> Control {
    let mut control = Control::new();
    ask(&mut control, found());
    for (node, site) in [("sha-n1", "sha"), ("iad-n1", "iad"), ("iad-n2", "iad")] {
        ask(&mut control, ControlCommand::Join(join(node, site)));
    }
    let create = create_cell(&control);
    ask(&mut control, create);
    ask(
        &mut control,
        ControlCommand::CellRunning { cell: CellId(1) },
    );
    let (request_id, by, node) = (request("r"), operator(), NodeId(4));
    ask(
        &mut control,
        ControlCommand::RemoveNode(RemoveNode {
            request_id,
            by,
            node,
        }),
    );
    (0..3).for_each(|version| ask(&mut control, apply_plan(version)));
    control
}

#[test]
fn a_control_state_comes_back_as_it_was_with_the_same_bytes() {
    for control in [Control::new(), control()] {
        let encoded: Vec<_> = ControlChunks::new(control.parts()).collect();
        assert!(encoded.iter().all(|chunk| chunk.len() <= CHUNK_BYTES_MAX));
        let decoded = decode_control(&encoded).expect("is whole");
        assert_eq!(decoded, control);
        assert_eq!(
            ControlChunks::new(decoded.parts()).collect::<Vec<_>>(),
            encoded
        );
    }
}

#[test]
fn a_control_snapshot_damaged_anywhere_never_panics() {
    let bytes = ControlChunks::new(control().parts())
        .collect::<Vec<_>>()
        .concat();
    for at in (0..bytes.len()).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let _ = decode_control(&[damaged]);
        assert!(decode_control(&[&bytes[..at]]).is_err());
    }
}

#[test]
fn the_histories_reach_what_supervisors_leave_behind() {
    let (mut paused, mut resumed, mut set, mut ordered, mut declined) = Default::default();
    let mut history = History::new();
    let mut number = 7_u64;
    for _ in 0..4_000 {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        history.step(number >> 11);
        let state = history.cell.state();
        for queue in state.queues() {
            paused |= queue.aside_from.is_some();
            resumed |= queue.steered.is_some() && queue.paused_by().is_none();
        }
        set |= state.agents().any(|agent| agent.set_by.is_some());
        for found in state.conversations() {
            ordered |= found.receipts.iter().any(|one| one.ordered.is_some());
            declined |= found.receipts.iter().any(|one| one.outcome.is_some());
        }
    }
    assert!(paused && resumed && set && ordered && declined);
}
