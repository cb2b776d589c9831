//! Claims about the stored form of the control group's entries.

use std::sync::Arc;

use domain::control::command::{
    Addresses, ApplyPlan, ClusterId, ControlCommand, ControlEntry, CreateCell, Found, Join,
    NodeAddress, PlaceCell, Profile, RemoveNode, SiteProfile,
};
use domain::ids::{CellId, CellTime, MachineVersion, NodeId, PlanVersion, RequestId};
use proptest::prelude::*;

use super::{decode_entry, encode_entry};
use crate::error::WireError;
use crate::samples::{empty_plan, names, plans, texts};

fn request(text: &str) -> RequestId {
    RequestId::new(text).expect("well formed")
}

fn profiles() -> impl Strategy<Value = Profile> {
    prop_oneof![
        Just(Profile::Lan),
        Just(Profile::Regional),
        Just(Profile::Global)
    ]
}

fn joins() -> impl Strategy<Value = Join> {
    (
        names(),
        names(),
        texts(),
        texts(),
        texts(),
        profiles(),
        1_u32..9,
    )
        .prop_map(
            |(node, site, time_zone, peer, program, profile, machine)| Join {
                request_id: request("j-1"),
                node,
                site: SiteProfile { site, time_zone },
                addresses: Addresses {
                    api: format!("{peer}0"),
                    peer,
                },
                profile,
                program,
                machine: MachineVersion(machine),
            },
        )
}

fn commands() -> impl Strategy<Value = ControlCommand> {
    let members = || proptest::collection::btree_map(names(), any::<u64>().prop_map(NodeId), 0..4);
    prop_oneof![
        joins().prop_map(|join| ControlCommand::Found(Found {
            cluster: ClusterId::new("6f1c2d3e-0000-4abc-8def-0123456789ab").expect("well formed"),
            cluster_name: join.program.clone(),
            profile: join.profile,
            node: join.node,
            site: join.site,
            addresses: join.addresses,
            program: join.program,
            machine: join.machine,
        })),
        joins().prop_map(ControlCommand::Join),
        (any::<u64>(), joins()).prop_map(|(id, join)| ControlCommand::NodeAddress(NodeAddress {
            node: NodeId(id),
            addresses: join.addresses,
            profile: join.profile,
            program: join.program,
            machine: join.machine,
        })),
        (any::<u64>(), names()).prop_map(|(node, by)| ControlCommand::RemoveNode(RemoveNode {
            request_id: request("r-1"),
            by,
            node: NodeId(node),
        })),
        (names(), texts(), names(), members()).prop_map(|(by, name, home, members)| {
            ControlCommand::CreateCell(CreateCell {
                request_id: request("c-1"),
                by,
                name,
                home,
                members,
            })
        }),
        (any::<u32>(), members()).prop_map(|(cell, members)| {
            ControlCommand::PlaceCell(PlaceCell {
                cell: CellId(cell),
                members,
            })
        }),
        any::<u32>().prop_map(|cell| ControlCommand::CellRunning { cell: CellId(cell) }),
        (names(), any::<u64>(), plans()).prop_map(|(by, expected, plan)| {
            ControlCommand::ApplyPlan(ApplyPlan {
                request_id: request("p-1"),
                by,
                expected: PlanVersion(expected),
                plan: Arc::new(plan),
            })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_control_entry_comes_back_as_it_was(at in any::<u64>(), wall_ms in any::<u64>(), command in commands()) {
        let entry = ControlEntry { at: CellTime(at), wall_ms, command };
        prop_assert_eq!(decode_entry(&encode_entry(&entry)), Ok(entry));
    }

    #[test]
    fn bytes_from_outside_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = decode_entry(&bytes);
    }

    #[test]
    fn a_damaged_entry_never_panics(command in commands(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = encode_entry(&ControlEntry { at: CellTime(1), wall_ms: 2, command });
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _ = decode_entry(&bytes);
        let _ = decode_entry(&bytes[..at]);
    }
}

#[test]
fn a_plan_inside_an_entry_carries_its_own_format() {
    let plan = ApplyPlan {
        request_id: request("p-1"),
        by: "op".parse().expect("well formed"),
        expected: PlanVersion(0),
        plan: Arc::new(empty_plan()),
    };
    let entry = ControlEntry {
        at: CellTime(1),
        wall_ms: 2,
        command: ControlCommand::ApplyPlan(plan),
    };
    let mut bytes = encode_entry(&entry);
    let tenant = bytes
        .windows(7)
        .position(|window| window == b"default")
        .expect("the plan's tenant is in it");
    // Before the tenant stand its tag and length, before them the plan's format.
    bytes[tenant - 3] = 7;
    assert_eq!(
        decode_entry(&bytes),
        Err(WireError::NewerFormat { found: 7, known: 1 })
    );
}
