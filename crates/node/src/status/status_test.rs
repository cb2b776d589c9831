//! Claims about what a group survives and what a status says.

use pb::api::v1::{ArchiveView, GetStatusResponse, GroupView, Health, MemberView, NodeView};

use super::sentences::conclude;
use super::survive::{Survives, Voter, survives};

fn voters(of: &[(&str, bool)]) -> Vec<Voter> {
    of.iter()
        .map(|(site, alive)| Voter {
            site: (*site).to_owned(),
            alive: *alive,
        })
        .collect()
}

fn outcome(nodes: u32, sites: u32, serves: bool) -> Survives {
    Survives {
        nodes,
        sites,
        serves,
    }
}

#[test]
fn three_voters_at_three_sites_survive_one_node_and_one_site() {
    let all = [("sha", true), ("fra", true), ("iad", true)];
    assert_eq!(survives(&voters(&all)), outcome(1, 1, true));
    let one_lost = [("sha", true), ("fra", false), ("iad", true)];
    assert_eq!(survives(&voters(&one_lost)), outcome(0, 0, true));
    let two_lost = [("sha", true), ("fra", false), ("iad", false)];
    assert_eq!(survives(&voters(&two_lost)), outcome(0, 0, false));
}

#[test]
fn five_voters_at_three_sites_survive_two_nodes_but_one_site() {
    let all = [
        ("sha", true),
        ("sha", true),
        ("fra", true),
        ("fra", true),
        ("iad", true),
    ];
    assert_eq!(survives(&voters(&all)), outcome(2, 1, true));
    let far_lost = [
        ("sha", true),
        ("sha", true),
        ("fra", true),
        ("fra", true),
        ("iad", false),
    ];
    assert_eq!(survives(&voters(&far_lost)), outcome(1, 0, true));
}

#[test]
fn five_sites_survive_two() {
    let all = [
        ("a", true),
        ("b", true),
        ("c", true),
        ("d", true),
        ("e", true),
    ];
    assert_eq!(survives(&voters(&all)), outcome(2, 2, true));
}

#[test]
fn one_voter_and_none_survive_nothing() {
    assert_eq!(survives(&voters(&[("sha", true)])), outcome(0, 0, true));
    assert_eq!(survives(&[]), outcome(0, 0, false));
}

fn node(name: &str, reachable: bool) -> NodeView {
    let site = name.split('-').next().unwrap_or_default().to_owned();
    let peer_address = "127.0.0.1:7401".to_owned();
    NodeView {
        node: name.to_owned(),
        site,
        reachable,
        peer_address,
        ..NodeView::default()
    }
}

fn group(name: &str, leader: &str, members: &[&str]) -> GroupView {
    let member = |name: &&str| MemberView {
        halted: None,
        node: (*name).to_owned(),
        voter: true,
        trails: None,
        reachable: true,
    };
    GroupView {
        group: name.to_owned(),
        leader: leader.to_owned(),
        members: members.iter().map(member).collect(),
        ..GroupView::default()
    }
}

const THREE: [&str; 3] = ["sha-n1", "fra-n1", "iad-n1"];

fn of_three(reachable: [bool; 3]) -> GetStatusResponse {
    let nodes = THREE
        .iter()
        .zip(reachable)
        .map(|(name, reachable)| node(name, reachable))
        .collect();
    let groups = vec![
        group("control", "sha-n1", &THREE),
        group("main", "sha-n1", &THREE),
    ];
    GetStatusResponse {
        nodes,
        groups,
        plan_version: 1,
        ..GetStatusResponse::default()
    }
}

#[test]
fn a_whole_cluster_has_no_problems_and_nothing_to_do() {
    let mut status = of_three([true; 3]);
    conclude(&mut status);
    assert_eq!(status.health(), Health::Ok);
    assert_eq!(status.problems, Vec::<String>::new());
    assert_eq!(status.next, Vec::<String>::new());
    assert_eq!(
        (
            status.groups[1].survives_nodes,
            status.groups[1].survives_sites
        ),
        (1, 1)
    );
}

#[test]
fn a_lost_node_degrades_and_two_bring_it_down() {
    let mut status = of_three([true, false, true]);
    conclude(&mut status);
    assert_eq!(status.health(), Health::Degraded);
    assert_eq!(
        status.problems[0],
        "node fra-n1 of site fra does not answer"
    );
    assert_eq!(
        status.problems[2],
        "group main would not survive the loss of one more site"
    );
    let mut status = of_three([true, false, false]);
    conclude(&mut status);
    assert_eq!(status.health(), Health::Down);
    assert!(
        status
            .problems
            .contains(&"group main has lost its majority: nothing can be acknowledged".to_owned())
    );
}

#[test]
fn two_sites_are_a_problem_and_the_next_command_is_to_join() {
    let mut status = GetStatusResponse {
        nodes: vec![node("sha-n1", true), node("fra-n1", true)],
        groups: vec![group("control", "sha-n1", &["sha-n1"])],
        plan_version: 1,
        ..GetStatusResponse::default()
    };
    conclude(&mut status);
    assert_eq!(
        status.problems,
        ["there are two sites (sha, fra): the cluster cannot survive the loss of either; add a third".to_owned()]
            .map(|sentence| sentence.replace("sha, fra", "fra, sha"))
    );
    assert!(
        status.next[0].starts_with("antiphon join 127.0.0.1:7401 "),
        "{:?}",
        status.next
    );
}

#[test]
fn a_wall_clock_more_than_half_a_second_off_is_a_problem() {
    let mut status = of_three([true; 3]);
    status.nodes[2].clock_offset_ms = -501;
    conclude(&mut status);
    assert_eq!(
        status.problems,
        ["the wall clock of node iad-n1 is -501 ms off that of the answering node"]
    );
}

fn problems_with(change: impl FnOnce(&mut GetStatusResponse)) -> Vec<String> {
    let mut status = of_three([true; 3]);
    change(&mut status);
    conclude(&mut status);
    status.problems
}

#[test]
fn ended_conversations_that_do_not_leave_are_a_problem_before_they_refuse_new_ones() {
    let quiet = problems_with(|status| {
        status.groups[1].ended_waiting = 7_999;
        status.groups[1].ended_waiting_bytes = 53_687_091;
    });
    assert_eq!(quiet, Vec::<String>::new());
    let many = problems_with(|status| status.groups[1].ended_waiting = 8_000);
    assert_eq!(
        many,
        [
            "8000 ended conversations of main, 0 MiB, wait for the archives: at 10000, or 64 MiB, nothing new is \
             opened"
        ]
    );
    let large = problems_with(|status| status.groups[1].ended_waiting_bytes = 53_687_092);
    assert!(large[0].contains("51 MiB, wait"), "{large:?}");
}

#[test]
fn an_archive_whose_newest_day_has_no_room_is_a_problem_of_its_node() {
    let over = problems_with(|status| {
        status.nodes[1].archive = Some(ArchiveView {
            keeps_gib: 2,
            over_bytes: 3 << 29,
            ..ArchiveView::default()
        });
    });
    assert_eq!(over.len(), 1);
    let said = "the archive of node fra-n1 is 1.5 GiB over its 2 GiB: the newest day takes it";
    assert!(over[0].starts_with(said), "{over:?}");
}
