//! Claims about what the control group's leader does next.

use std::collections::{BTreeMap, BTreeSet};

use domain::control::command::{
    Addresses, ClusterId, ControlCommand, CreateCell, Found, Join, Profile, RemoveNode, SiteProfile,
};
use domain::control::{Control, ControlEntry};
use domain::ids::{
    CellId, CellTime, LogIndex, MachineVersion, NodeId, NodeName, RequestId, SiteId, StaffId,
};

use super::step::{Action, Seen, next};

struct Cluster {
    control: Control,
    index: u64,
}

fn site(name: &str) -> SiteId {
    SiteId::new(name).unwrap()
}

fn profile_of(name: &str) -> SiteProfile {
    SiteProfile {
        site: site(name),
        time_zone: "UTC".to_owned(),
    }
}

fn addresses() -> Addresses {
    Addresses {
        peer: "127.0.0.1:1".to_owned(),
        api: "127.0.0.1:2".to_owned(),
    }
}

impl Cluster {
    fn founded_at(name: &str) -> Self {
        let mut cluster = Self {
            control: Control::new(),
            index: 0,
        };
        cluster.apply(ControlCommand::Found(Found {
            cluster: ClusterId::new("c").unwrap(),
            cluster_name: "test".to_owned(),
            profile: Profile::Lan,
            node: NodeName::new(&format!("{name}-n1")).unwrap(),
            site: profile_of(name),
            addresses: addresses(),
            program: "1".to_owned(),
            machine: MachineVersion(1),
        }));
        cluster
    }

    fn joined(mut self, at: &str, node: &str) -> Self {
        self.apply(ControlCommand::Join(Join {
            request_id: RequestId::new(node).unwrap(),
            node: NodeName::new(node).unwrap(),
            site: profile_of(at),
            addresses: addresses(),
            profile: Profile::Lan,
            program: "1".to_owned(),
            machine: MachineVersion(1),
        }));
        self
    }

    fn of_three_sites() -> Self {
        Self::founded_at("sha")
            .joined("fra", "fra-n1")
            .joined("iad", "iad-n1")
    }

    fn with_main_cell(mut self) -> Self {
        self.apply(ControlCommand::CreateCell(CreateCell {
            request_id: RequestId::new("create-main").unwrap(),
            by: StaffId::new("test").unwrap(),
            name: "main".to_owned(),
            home: site("sha"),
            members: three(),
        }));
        self
    }

    fn apply(&mut self, command: ControlCommand) {
        self.index += 1;
        let entry = ControlEntry {
            at: CellTime(self.index),
            wall_ms: 0,
            command,
        };
        self.control
            .apply(LogIndex(self.index), &entry)
            .reply
            .unwrap();
    }

    fn next(&self, seen: &Seen) -> Option<Action> {
        next(self.control.parts(), seen)
    }
}

fn three() -> BTreeMap<SiteId, NodeId> {
    [("sha", 1), ("fra", 2), ("iad", 3)]
        .into_iter()
        .map(|(name, id)| (site(name), NodeId(id)))
        .collect()
}

fn seen(voters: &[u64], learners: &[u64]) -> Seen {
    let set = |ids: &[u64]| ids.iter().copied().collect::<BTreeSet<u64>>();
    Seen {
        voters: set(voters),
        learners: set(learners),
        ..Seen::default()
    }
}

#[test]
fn only_the_founder_founds_and_brings_the_first_plan_in() {
    let empty = Control::new();
    let founder = Seen {
        founding: true,
        ..seen(&[1], &[])
    };
    assert_eq!(next(empty.parts(), &founder), Some(Action::Found));
    assert_eq!(next(empty.parts(), &seen(&[1], &[])), None);
    assert_eq!(
        Cluster::founded_at("sha").next(&founder),
        Some(Action::FirstPlan)
    );
    assert_eq!(Cluster::founded_at("sha").next(&seen(&[1], &[])), None);
}

#[test]
fn a_node_that_joined_becomes_a_learner_unless_it_was_tried_a_moment_ago() {
    let cluster = Cluster::of_three_sites();
    assert_eq!(
        cluster.next(&seen(&[1], &[])),
        Some(Action::AddLearner(NodeId(2)))
    );
    let rested = Seen {
        resting: BTreeSet::from([2]),
        ..seen(&[1], &[])
    };
    assert_eq!(cluster.next(&rested), Some(Action::AddLearner(NodeId(3))));
}

#[test]
fn two_sites_keep_one_voter() {
    let cluster = Cluster::founded_at("sha").joined("fra", "fra-n1");
    assert_eq!(cluster.next(&seen(&[1], &[2])), None);
}

#[test]
fn three_sites_get_a_voter_each_and_then_the_cell() {
    let cluster = Cluster::of_three_sites();
    assert_eq!(
        cluster.next(&seen(&[1], &[2, 3])),
        Some(Action::SetVoters(BTreeSet::from([1, 2, 3])))
    );
    let create = Action::CreateCell {
        home: site("sha"),
        members: three(),
    };
    assert_eq!(cluster.next(&seen(&[1, 2, 3], &[])), Some(create));
}

#[test]
fn no_voter_is_made_of_a_node_that_does_not_answer() {
    let cluster = Cluster::of_three_sites();
    let rested = Seen {
        resting: BTreeSet::from([3]),
        ..seen(&[1], &[2, 3])
    };
    assert_eq!(cluster.next(&rested), None);
}

#[test]
fn a_cell_is_marked_as_running_once_every_member_takes_part() {
    let cluster = Cluster::of_three_sites().with_main_cell();
    assert_eq!(cluster.next(&seen(&[1, 2, 3], &[])), None);
    let complete = Seen {
        complete: BTreeSet::from([CellId(1)]),
        ..seen(&[1, 2, 3], &[])
    };
    assert_eq!(
        cluster.next(&complete),
        Some(Action::CellRunning(CellId(1)))
    );
}

#[test]
fn a_second_node_of_a_site_stays_a_learner() {
    let cluster = Cluster::of_three_sites()
        .with_main_cell()
        .joined("fra", "fra-n2");
    assert_eq!(
        cluster.next(&seen(&[1, 2, 3], &[])),
        Some(Action::AddLearner(NodeId(4)))
    );
    assert_eq!(cluster.next(&seen(&[1, 2, 3], &[4])), None);
}

#[test]
fn a_removed_node_leaves_the_group() {
    let mut cluster = Cluster::of_three_sites()
        .with_main_cell()
        .joined("fra", "fra-n2");
    cluster.apply(ControlCommand::RemoveNode(RemoveNode {
        request_id: RequestId::new("r").unwrap(),
        by: StaffId::new("test").unwrap(),
        node: NodeId(4),
    }));
    assert_eq!(
        cluster.next(&seen(&[1, 2, 3], &[4])),
        Some(Action::RemoveLearner(NodeId(4)))
    );
}
