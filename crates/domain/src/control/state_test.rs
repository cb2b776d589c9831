//! Claims about the control machine, one test each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check_test::small_plan;
use super::command::{
    Addresses, ApplyPlan, ClusterId, ControlCommand, ControlEntry, CreateCell, FIRST_CELL, Found,
    Join, NodeAddress, PlaceCell, Profile, RemoveNode, SiteProfile,
};
use super::placement::{cell_members, control_voters};
use super::reply::{ControlDone, ControlEvent, ControlRefusal, ControlReply};
use super::state::{Control, PLANS_KEPT};
use super::{BUCKETS, Bucket};
use crate::ids::{
    AccountId, CellId, CellTime, CustomerKey, LogIndex, MachineVersion, NodeId, NodeName,
    PlanVersion, RequestId, SiteId, StaffId, TenantId,
};

fn site(name: &str) -> SiteId {
    SiteId::new(name).expect("well formed")
}

fn request(text: &str) -> RequestId {
    RequestId::new(text).expect("well formed")
}

fn staff() -> StaffId {
    StaffId::new("op").expect("well formed")
}

fn addresses(host: &str) -> Addresses {
    Addresses {
        peer: format!("{host}:7101"),
        api: format!("{host}:7100"),
    }
}

fn profile_of(name: &str) -> SiteProfile {
    SiteProfile {
        site: site(name),
        time_zone: "Europe/Berlin".to_owned(),
    }
}

/// A control machine with its log.
struct Bench {
    control: Control,
    index: u64,
    now: u64,
}

impl Bench {
    fn new() -> Self {
        Self {
            control: Control::new(),
            index: 0,
            now: 0,
        }
    }

    fn founded() -> Self {
        let mut bench = Self::new();
        bench.ask(found("c1")).expect("the first entry founds");
        bench
    }

    fn with_three_sites() -> Self {
        let mut bench = Self::founded();
        bench.ask(join("j2", "sha-n1", "sha")).expect("joins");
        bench.ask(join("j3", "iad-n1", "iad")).expect("joins");
        bench
    }

    fn with_cell() -> Self {
        let mut bench = Self::with_three_sites();
        let members = cell_members(bench.control.parts());
        bench
            .ask(create_cell("k1", "main", members))
            .expect("is created");
        bench
    }

    fn ask(&mut self, command: ControlCommand) -> ControlReply {
        self.apply(command).0
    }

    fn apply(&mut self, command: ControlCommand) -> (ControlReply, Vec<ControlEvent>) {
        self.index += 1;
        let entry = ControlEntry {
            at: CellTime(self.now),
            wall_ms: 1_700_000_000_000 + self.now,
            command,
        };
        let applied = self.control.apply(LogIndex(self.index), &entry);
        (applied.reply, applied.changed)
    }
}

fn found(cluster: &str) -> ControlCommand {
    ControlCommand::Found(Found {
        cluster: ClusterId::new(cluster).expect("well formed"),
        cluster_name: "demo".to_owned(),
        profile: Profile::Lan,
        node: NodeName::new("fra-n1").expect("well formed"),
        site: profile_of("fra"),
        addresses: addresses("fra-n1"),
        program: "0.1.0".to_owned(),
        machine: MachineVersion(1),
    })
}

fn join(id: &str, name: &str, at: &str) -> ControlCommand {
    ControlCommand::Join(join_of(id, name, at))
}

fn join_of(id: &str, name: &str, at: &str) -> Join {
    Join {
        request_id: request(id),
        node: NodeName::new(name).expect("well formed"),
        site: profile_of(at),
        addresses: addresses(name),
        profile: Profile::Lan,
        program: "0.1.0".to_owned(),
        machine: MachineVersion(1),
    }
}

fn remove(id: &str, node: u64) -> ControlCommand {
    ControlCommand::RemoveNode(RemoveNode {
        request_id: request(id),
        by: staff(),
        node: NodeId(node),
    })
}

fn create_cell(id: &str, name: &str, members: BTreeMap<SiteId, NodeId>) -> ControlCommand {
    let home = members
        .keys()
        .next()
        .cloned()
        .unwrap_or_else(|| site("fra"));
    ControlCommand::CreateCell(CreateCell {
        request_id: request(id),
        by: staff(),
        name: name.to_owned(),
        home,
        members,
    })
}

fn apply_plan(id: &str, expected: u64, greeting: &str) -> ControlCommand {
    let mut plan = small_plan();
    for queue in plan.queues.values_mut() {
        queue.texts.greeting = greeting.into();
    }
    let (request_id, expected) = (request(id), PlanVersion(expected));
    ControlCommand::ApplyPlan(ApplyPlan {
        request_id,
        by: staff(),
        expected,
        plan: Arc::new(plan),
    })
}

fn in_force(version: u64) -> ControlReply {
    Ok(ControlDone::PlanApplied {
        version: PlanVersion(version),
        unchanged: false,
    })
}

#[test]
fn nothing_is_done_before_the_cluster_is_founded() {
    assert_eq!(
        Bench::new().ask(join("j1", "a", "fra")),
        Err(ControlRefusal::NotFounded)
    );
}

#[test]
fn a_cluster_is_founded_once_and_a_repeat_gets_the_first_answer() {
    let mut bench = Bench::founded();
    let parts = bench.control.parts().clone();
    assert_eq!(
        bench.apply(found("c1")),
        (Ok(ControlDone::Joined { node: NodeId(1) }), Vec::new())
    );
    assert!(matches!(
        bench.ask(found("c2")),
        Err(ControlRefusal::AlreadyFounded { .. })
    ));
    assert_eq!(bench.control.parts().nodes, parts.nodes);
}

#[test]
fn node_ids_are_counted_and_never_used_again() {
    let mut bench = Bench::founded();
    assert_eq!(
        bench.ask(join("j2", "fra-n2", "fra")),
        Ok(ControlDone::Joined { node: NodeId(2) })
    );
    assert_eq!(bench.ask(remove("r1", 2)), Ok(ControlDone::Nothing));
    assert_eq!(
        bench.ask(join("j3", "fra-n2", "fra")),
        Ok(ControlDone::Joined { node: NodeId(3) })
    );
}

#[test]
fn a_repeated_join_gets_the_same_id_however_late() {
    let mut bench = Bench::founded();
    bench.ask(join("j2", "fra-n2", "fra")).expect("joins");
    bench.now = 90_000_000;
    assert_eq!(
        bench.apply(join("j2", "fra-n2", "fra")),
        (Ok(ControlDone::Joined { node: NodeId(2) }), Vec::new())
    );
    let reused = ControlRefusal::RequestIdReused {
        request_id: request("j2"),
    };
    assert_eq!(bench.ask(join("j2", "fra-n9", "fra")), Err(reused));
    bench.ask(remove("r1", 2)).expect("is removed");
    assert_eq!(
        bench.ask(join("j2", "fra-n2", "fra")),
        Err(ControlRefusal::NodeRemoved { node: NodeId(2) })
    );
}

#[test]
fn a_name_in_use_by_a_living_node_is_refused() {
    let mut bench = Bench::founded();
    let refusal = ControlRefusal::NodeNameInUse {
        name: NodeName::new("fra-n1").expect("well formed"),
        node: NodeId(1),
    };
    assert_eq!(bench.ask(join("j2", "fra-n1", "fra")), Err(refusal));
}

#[test]
fn another_profile_is_refused_at_join_and_at_restart() {
    let mut bench = Bench::founded();
    let refusal = ControlRefusal::ProfileDiffers {
        cluster: Profile::Lan,
        node: Profile::Global,
    };
    let join = Join {
        profile: Profile::Global,
        ..join_of("j2", "b", "fra")
    };
    assert_eq!(bench.ask(ControlCommand::Join(join)), Err(refusal.clone()));
    let moved = NodeAddress {
        node: NodeId(1),
        addresses: addresses("elsewhere"),
        profile: Profile::Global,
        program: "0.1.0".to_owned(),
        machine: MachineVersion(1),
    };
    assert_eq!(bench.ask(ControlCommand::NodeAddress(moved)), Err(refusal));
}

#[test]
fn a_restarted_node_announces_its_addresses_and_a_repeat_changes_nothing() {
    let mut bench = Bench::founded();
    let moved = NodeAddress {
        node: NodeId(1),
        addresses: addresses("elsewhere"),
        profile: Profile::Lan,
        program: "0.2.0".to_owned(),
        machine: MachineVersion(1),
    };
    let (reply, changed) = bench.apply(ControlCommand::NodeAddress(moved.clone()));
    assert_eq!(
        (reply, changed),
        (
            Ok(ControlDone::Nothing),
            vec![ControlEvent::NodeMoved(moved.clone())]
        )
    );
    assert_eq!(
        bench.control.parts().nodes[&NodeId(1)].addresses,
        addresses("elsewhere")
    );
    assert_eq!(bench.apply(ControlCommand::NodeAddress(moved)).1, []);
}

#[test]
fn a_removed_node_is_told_so_and_a_member_of_a_cell_is_not_removed() {
    let mut bench = Bench::with_cell();
    let refusal = ControlRefusal::NodeInCell {
        node: NodeId(2),
        cell: FIRST_CELL,
    };
    assert_eq!(bench.ask(remove("r1", 2)), Err(refusal));
    bench.ask(join("j4", "sha-n2", "sha")).expect("joins");
    let mut members = cell_members(bench.control.parts());
    members.insert(site("sha"), NodeId(4));
    bench
        .ask(ControlCommand::PlaceCell(PlaceCell {
            cell: FIRST_CELL,
            members,
        }))
        .expect("is placed");
    assert_eq!(bench.ask(remove("r2", 2)), Ok(ControlDone::Nothing));
    assert_eq!(bench.ask(remove("r2", 2)), Ok(ControlDone::Nothing));
    assert_eq!(
        bench.ask(remove("r3", 2)),
        Err(ControlRefusal::NodeRemoved { node: NodeId(2) })
    );
    assert_eq!(
        bench.ask(remove("r4", 99)),
        Err(ControlRefusal::NodeNotFound { node: NodeId(99) })
    );
}

#[test]
fn the_last_node_stays() {
    assert_eq!(
        Bench::founded().ask(remove("r1", 1)),
        Err(ControlRefusal::LastNode { node: NodeId(1) })
    );
}

#[test]
fn every_bucket_of_every_site_belongs_to_the_first_cell_also_of_a_later_site() {
    let mut bench = Bench::with_cell();
    bench.ask(join("j9", "lhr-n1", "lhr")).expect("joins");
    for name in ["fra", "sha", "iad", "lhr"] {
        let cells = &bench.control.parts().buckets.regions[&site(name)];
        assert_eq!(cells.len(), usize::from(BUCKETS));
        assert!(cells.iter().all(|cell| *cell == FIRST_CELL));
    }
    let tenant = TenantId::new("default").expect("well formed");
    let account = AccountId::new("web").expect("well formed");
    let bucket = Bucket::of(
        &tenant,
        &account,
        &CustomerKey::new("ming").expect("well formed"),
    );
    assert_eq!(
        bench.control.cell_of(&site("unheard-of"), bucket),
        Some(FIRST_CELL)
    );
}

#[test]
fn a_second_cell_gets_the_next_id_and_no_bucket() {
    let mut bench = Bench::with_cell();
    let members = cell_members(bench.control.parts());
    assert_eq!(
        bench.ask(create_cell("k2", "second", members)),
        Ok(ControlDone::CellCreated { cell: CellId(2) })
    );
    let held = bench
        .control
        .parts()
        .buckets
        .regions
        .values()
        .flatten()
        .any(|cell| *cell == CellId(2));
    assert!(!held);
}

#[test]
fn a_cell_with_impossible_members_is_refused() {
    let mut bench = Bench::with_three_sites();
    assert_eq!(
        bench.ask(create_cell("k1", "main", BTreeMap::new())),
        Err(ControlRefusal::NoMembers)
    );
    let wrong = BTreeMap::from([(site("sha"), NodeId(1))]);
    let refusal = ControlRefusal::MemberOfOtherSite {
        node: NodeId(1),
        site: site("sha"),
    };
    assert_eq!(bench.ask(create_cell("k2", "main", wrong)), Err(refusal));
    let unknown = BTreeMap::from([(site("sha"), NodeId(77))]);
    let refusal = ControlRefusal::NodeNotFound { node: NodeId(77) };
    assert_eq!(bench.ask(create_cell("k3", "main", unknown)), Err(refusal));
}

#[test]
fn a_cell_is_marked_running_once() {
    let mut bench = Bench::with_cell();
    assert!(!bench.control.parts().cells[&FIRST_CELL].running);
    let running = ControlCommand::CellRunning { cell: FIRST_CELL };
    assert_eq!(
        bench.apply(running.clone()).1,
        [ControlEvent::CellStarted { cell: FIRST_CELL }]
    );
    assert_eq!(bench.apply(running).1, []);
    assert!(bench.control.parts().cells[&FIRST_CELL].running);
}

#[test]
fn a_plan_needs_the_version_it_was_made_against() {
    let mut bench = Bench::founded();
    assert_eq!(bench.ask(apply_plan("p1", 0, "one")), in_force(1));
    let refusal = ControlRefusal::PlanVersionDiffers {
        expected: PlanVersion(0),
        current: PlanVersion(1),
    };
    assert_eq!(bench.ask(apply_plan("p2", 0, "two")), Err(refusal));
    assert_eq!(bench.ask(apply_plan("p3", 1, "two")), in_force(2));
}

#[test]
fn a_repeated_apply_gets_the_first_answer_and_another_plan_is_refused() {
    let mut bench = Bench::founded();
    bench.ask(apply_plan("p1", 0, "one")).expect("is applied");
    bench.ask(apply_plan("p2", 1, "two")).expect("is applied");
    assert_eq!(
        bench.apply(apply_plan("p1", 0, "one")),
        (in_force(1), Vec::new())
    );
    let reused = ControlRefusal::RequestIdReused {
        request_id: request("p1"),
    };
    assert_eq!(bench.ask(apply_plan("p1", 0, "other")), Err(reused));
}

#[test]
fn the_plan_in_force_applied_again_makes_no_version() {
    let mut bench = Bench::founded();
    bench.ask(apply_plan("p1", 0, "one")).expect("is applied");
    let unchanged = ControlDone::PlanApplied {
        version: PlanVersion(1),
        unchanged: true,
    };
    assert_eq!(bench.ask(apply_plan("p2", 1, "one")), Ok(unchanged));
    assert_eq!(bench.control.parts().plans.len(), 1);
}

#[test]
fn the_last_sixteen_versions_are_kept_with_time_and_author() {
    let mut bench = Bench::founded();
    for version in 0..20 {
        bench.now += 1_000;
        let greeting = format!("hello {version}");
        bench
            .ask(apply_plan(&format!("p{version}"), version, &greeting))
            .expect("is applied");
    }
    let plans = &bench.control.parts().plans;
    assert_eq!(plans.len(), PLANS_KEPT);
    assert_eq!(
        (plans[0].version, plans[15].version),
        (PlanVersion(5), PlanVersion(20))
    );
    assert_eq!(
        (plans[15].wall_ms, &plans[15].by),
        (1_700_000_020_000, &staff())
    );
    assert_eq!(
        bench.control.plan().map(|plan| plan.version),
        Some(PlanVersion(20))
    );
}

#[test]
fn control_time_never_runs_back() {
    let mut bench = Bench::founded();
    bench.now = 5_000;
    bench.ask(join("j2", "b", "fra")).expect("joins");
    bench.now = 1_000;
    bench.ask(join("j3", "c", "fra")).expect("joins");
    assert_eq!(bench.control.parts().now, CellTime(5_000));
}

#[test]
fn each_site_votes_once_in_the_control_group_and_four_sites_give_three_voters() {
    let mut bench = Bench::with_three_sites();
    bench.ask(join("j4", "fra-n2", "fra")).expect("joins");
    let voters = |bench: &Bench| {
        control_voters(bench.control.parts())
            .into_values()
            .collect::<Vec<_>>()
    };
    assert_eq!(voters(&bench), [NodeId(1), NodeId(3), NodeId(2)]);
    bench.ask(join("j5", "lhr-n1", "lhr")).expect("joins");
    assert_eq!(voters(&bench).len(), 3);
    bench.ask(join("j6", "nrt-n1", "nrt")).expect("joins");
    assert_eq!(voters(&bench).len(), 5);
}
