//! Three nodes in one process: elections, losses, catching up, outcomes of proposals.
//! Promise: every wait is bounded, in tokio's time, which stands still while anything can run.
//! Not here: one stream (`transport_test`).

use std::time::Duration;

use bytes::Bytes;
use ports::{Cure, Group, Halt, HandOverError, ProposeError, ReadError};

use crate::testing::{Cluster, PATIENCE, POISON, until};
use crate::{GroupOptions, MemberError, Profile, SkipWord};

fn commands(from: &[&'static [u8]]) -> Vec<Bytes> {
    from.iter()
        .map(|command| Bytes::from_static(command))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn three_nodes_form_a_group_and_apply_the_same_entries() {
    let cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    let last = cluster.commit(b"two").await;
    for id in 1..=3 {
        cluster.applied(id, last).await;
        assert_eq!(cluster.kept(id), commands(&[b"one", b"two"]));
    }
    let (leader, term) = cluster.leader().await;
    let status = cluster.nodes[&leader].group.status();
    assert_eq!(status.voters, vec![1, 2, 3]);
    assert_eq!((status.leader, status.term), (Some(leader), term));
    assert_eq!(status.followers.len(), 2);
    assert!(status.quorum_ok);
    assert_eq!(cluster.nodes[&leader].group.linearize().await, Ok(last));
}

#[tokio::test(start_paused = true)]
async fn a_group_is_initialised_once() {
    let cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    let again = cluster.nodes[&2]
        .group
        .initialize(cluster.nodes[&2].group.members())
        .await;
    assert_eq!(again, Err(MemberError::AlreadyInitialized));
}

#[tokio::test(start_paused = true)]
async fn when_the_leader_is_killed_another_leads_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    cluster.commit(b"two").await;
    let (first, term) = cluster.leader().await;
    cluster.kill(first).await;
    let (second, later) = cluster.leader().await;
    assert!(second != first && later > term);
    let last = cluster.commit(b"three").await;
    for id in cluster.nodes.keys() {
        cluster.applied(*id, last).await;
        assert_eq!(cluster.kept(*id), commands(&[b"one", b"two", b"three"]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_restarted_node_catches_up_from_the_log() {
    let mut cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    let (leader, _) = cluster.leader().await;
    let follower = leader % 3 + 1;
    cluster.kill(follower).await;
    cluster.commit(b"two").await;
    cluster.start(follower).await;
    let last = cluster.commit(b"three").await;
    cluster.nodes[&follower]
        .group
        .recovered(PATIENCE)
        .await
        .unwrap();
    cluster.applied(follower, last).await;
    assert_eq!(
        cluster.kept(follower),
        commands(&[b"one", b"two", b"three"])
    );
    assert_eq!(cluster.nodes[&follower].group.status().snapshot, 0);
}

#[tokio::test(start_paused = true)]
async fn all_nodes_lose_power_and_serve_what_they_acknowledged() {
    let mut cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    cluster.commit(b"two").await;
    for id in 1..=3 {
        cluster.kill(id).await;
    }
    for id in 1..=3 {
        cluster.start(id).await;
    }
    let last = cluster.commit(b"three").await;
    for id in 1..=3 {
        cluster.applied(id, last).await;
        assert_eq!(cluster.kept(id), commands(&[b"one", b"two", b"three"]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_behind_the_purged_log_catches_up_by_snapshot() {
    let options = GroupOptions {
        keep_entries: 0,
        ..GroupOptions::default()
    };
    let mut cluster = Cluster::of_three_with(options).await;
    cluster.commit(b"one").await;
    let (leader, _) = cluster.leader().await;
    let follower = leader % 3 + 1;
    cluster.kill(follower).await;
    cluster.commit(b"two").await;
    cluster.commit(b"three").await;
    let (leader, _) = cluster.leader().await;
    cluster.nodes[&leader].group.snapshot().await.unwrap();
    let snapshot = cluster.nodes[&leader].group.status().snapshot;
    cluster.purged(leader, snapshot).await;
    cluster.start(follower).await;
    let last = cluster.commit(b"four").await;
    cluster.applied(follower, last).await;
    assert_eq!(
        cluster.kept(follower),
        commands(&[b"one", b"two", b"three", b"four"])
    );
    assert!(cluster.nodes[&follower].group.status().snapshot > 0);
    cluster.kill(follower).await;
    cluster.start(follower).await;
    cluster.applied(follower, last).await;
    assert_eq!(
        cluster.kept(follower),
        commands(&[b"one", b"two", b"three", b"four"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_that_has_logged_enough_takes_a_snapshot_by_itself() {
    let options = GroupOptions {
        snapshot_log_bytes: 256,
        ..GroupOptions::default()
    };
    let cluster = Cluster::of_three_with(options).await;
    for _ in 0..8 {
        cluster.commit(b"a command").await;
    }
    let group = &cluster.nodes[&1].group;
    let taken = async {
        while group.status().snapshot == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, taken)
        .await
        .expect("no snapshot was taken");
}

#[tokio::test(start_paused = true)]
async fn a_follower_refuses_and_names_the_leader() {
    let cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    let (leader, term) = cluster.leader().await;
    let follower = &cluster.nodes[&(leader % 3 + 1)].group;
    until(follower, |said| said.leader == Some(leader)).await;
    let refused = follower.propose(term, Bytes::from_static(b"two")).await;
    assert_eq!(
        refused.unwrap_err(),
        ProposeError::NotLeader {
            leader: Some(leader)
        }
    );
    let unread = follower.linearize().await;
    assert_eq!(
        unread,
        Err(ReadError::NotLeader {
            leader: Some(leader)
        })
    );
}

#[tokio::test(start_paused = true)]
async fn a_proposal_of_an_earlier_term_is_not_appended() {
    let cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    let (leader, term) = cluster.leader().await;
    let group = &cluster.nodes[&leader].group;
    let before = group.status().last_log;
    let refused = group.propose(term - 1, Bytes::from_static(b"two")).await;
    assert_eq!(
        refused.unwrap_err(),
        ProposeError::NotLeader {
            leader: Some(leader)
        }
    );
    assert_eq!(group.status().last_log, before);
}

#[tokio::test(start_paused = true)]
async fn an_appended_proposal_without_a_quorum_is_of_unknown_outcome_and_holds_its_place() {
    let options = GroupOptions {
        proposals_max: 1,
        ..GroupOptions::default()
    };
    let mut cluster = Cluster::of_three_with(options).await;
    cluster.commit(b"one").await;
    let (leader, term) = cluster.leader().await;
    for id in 1..=3 {
        if id != leader {
            cluster.kill(id).await;
        }
    }
    let group = cluster.nodes[&leader].group.clone();
    let lane = runtime::Lane::new("caller", tokio::runtime::Handle::current());
    let first = lane.spawn("first", {
        let group = group.clone();
        async move { group.propose(term, Bytes::from_static(b"two")).await }
    });
    let appended = async {
        while group.status().last_log < 3 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, appended)
        .await
        .expect("it is not appended");
    let second = group.propose(term, Bytes::from_static(b"three")).await;
    assert_eq!(second.unwrap_err(), ProposeError::Busy);
    group.shutdown().await;
    assert_eq!(
        first.await.unwrap().unwrap_err(),
        ProposeError::OutcomeUnknown
    );
    let after = group.propose(term, Bytes::from_static(b"four")).await;
    assert!(matches!(after, Err(ProposeError::Stopped { .. })));
}

#[tokio::test(start_paused = true)]
async fn leadership_is_handed_to_another_voter() {
    let cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    let (leader, _) = cluster.leader().await;
    let group = &cluster.nodes[&leader].group;
    group.transfer_leadership().await.unwrap();
    let said = until(group, |said| said.leader.is_some_and(|now| now != leader)).await;
    assert!(!said.is_self);
    cluster.commit(b"two").await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_voters_are_gone_says_that_it_has_no_heir() {
    let mut cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    let (leader, _) = cluster.leader().await;
    for node in [1, 2, 3] {
        if node != leader {
            cluster.kill(node).await;
        }
    }
    // Longer than the lease: nobody has answered lately. It leads on as far as it knows.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let refused = cluster.nodes[&leader].group.transfer_leadership().await;
    assert_eq!(refused, Err(HandOverError::NoHeir));
}

#[tokio::test(start_paused = true)]
async fn a_learner_catches_up_and_becomes_a_voter() {
    let mut cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    cluster.start(4).await;
    let (leader, _) = cluster.leader().await;
    let group = cluster.nodes[&leader].group.clone();
    group
        .add_learner(4, crate::testing::member(4))
        .await
        .unwrap();
    let gone = if leader == 3 { 2 } else { 3 };
    let voters = (1..=4).filter(|id| *id != gone).collect();
    group.set_voters(voters).await.unwrap();
    let last = cluster.commit(b"two").await;
    cluster.applied(4, last).await;
    assert_eq!(cluster.kept(4), commands(&[b"one", b"two"]));
    assert!(!group.status().voters.contains(&gone));
    assert_eq!(group.members()[&4].name, "n4");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_panics_halts_its_replica_but_not_its_log() {
    let cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    let (leader, term) = cluster.leader().await;
    let group = &cluster.nodes[&leader].group;
    let poisoned = group.propose(term, Bytes::from_static(POISON)).await;
    assert_eq!(poisoned.unwrap_err(), ProposeError::OutcomeUnknown);
    for node in cluster.nodes.values() {
        let mut halted = node.group.halted();
        let waiting = halted.wait_for(Option::is_some);
        let said = tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("it goes on")
            .unwrap();
        let reason = said.as_ref().unwrap().reason.clone();
        assert!(reason.contains("panicked in apply at "), "{reason}");
        assert!(
            !reason.contains("poisoned"),
            "what it said is kept: {reason}"
        );
    }
    let refused = group.propose(term, Bytes::from_static(b"two")).await;
    assert!(matches!(refused, Err(ProposeError::Stopped { .. })));
    assert_eq!(cluster.kept(leader), commands(&[b"one"]));
    assert!(group.status().leader.is_some());
    assert!(!until(group, |said| !said.is_self).await.is_self);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_node_has_recovered_only_with_all_that_it_had_before() {
    let mut cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    let last = cluster.commit(b"two").await;
    for id in 1..=3 {
        cluster.applied(id, last).await;
    }
    for id in 1..=3 {
        cluster.kill(id).await;
    }
    cluster.start(1).await;
    // Alone it cannot know what of its log was committed.
    let alone = cluster.nodes[&1]
        .group
        .recovered(Profile::Lan.election_max() * 10);
    assert_eq!(alone.await, Err(ReadError::QuorumLost));
    cluster.start(2).await;
    cluster.nodes[&1].group.recovered(PATIENCE).await.unwrap();
    assert_eq!(cluster.kept(1), commands(&[b"one", b"two"]));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_too_large_is_refused_and_nothing_is_appended() {
    let cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    let (leader, term) = cluster.leader().await;
    let group = &cluster.nodes[&leader].group;
    let before = group.status().last_log;
    let command = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
    let limit = crate::group::COMMAND_BYTES_MAX;
    assert_eq!(
        group.propose(term, command(limit + 1)).await.unwrap_err(),
        ProposeError::TooLarge {
            bytes: limit as u64 + 1,
            limit: limit as u64
        }
    );
    assert_eq!(group.status().last_log, before);
    assert!(group.propose(term, command(limit)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_lost_its_followers_says_so_within_two_election_time_outs() {
    let mut cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    let (leader, term) = cluster.leader().await;
    for id in (1..=3).filter(|id| *id != leader) {
        cluster.kill(id).await;
    }
    let group = cluster.nodes[&leader].group.clone();
    let lost = tokio::time::Instant::now();
    let read = group.linearize();
    let lapsed = async {
        while group.status().quorum_ok {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, lapsed)
        .await
        .expect("it goes on as if it had a quorum");
    assert!(lost.elapsed() <= Profile::Lan.election_max() * 2);
    let read = tokio::time::timeout(PATIENCE, read).await.expect("in time");
    assert!(
        matches!(
            read,
            Err(ReadError::QuorumLost | ReadError::NotLeader { .. })
        ),
        "{read:?}"
    );
    assert_eq!(
        group.leadership().borrow().term,
        term,
        "nobody else was elected"
    );
}

/// Proposes the poison, which stops every replica; its index.
async fn poisoned(cluster: &Cluster) -> u64 {
    let (leader, term) = cluster.leader().await;
    let group = &cluster.nodes[&leader].group;
    let poisoned = group.propose(term, Bytes::from_static(POISON)).await;
    assert_eq!(poisoned.unwrap_err(), ProposeError::OutcomeUnknown);
    let index = group.status().last_log;
    for id in cluster.nodes.keys() {
        assert_eq!(stopped(cluster, *id).await.index, index);
    }
    index
}

async fn stopped(cluster: &Cluster, id: u64) -> Halt {
    let mut halted = cluster.nodes[&id].group.halted();
    let waiting = halted.wait_for(Option::is_some);
    let said = tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("it goes on")
        .unwrap();
    Halt::clone(said.as_ref().unwrap())
}

async fn goes_on(cluster: &Cluster, id: u64) {
    let mut halted = cluster.nodes[&id].group.halted();
    let waiting = halted.wait_for(Option::is_none);
    let gone_on = tokio::time::timeout(PATIENCE, waiting).await;
    gone_on.expect("it stays halted").unwrap();
}

fn word(index: u64) -> SkipWord {
    SkipWord {
        index,
        by: "ops".to_owned(),
        reason: "it stops every replica".to_owned(),
        wall_ms: 1,
    }
}

/// Says on whoever leads, though all are halted, that an entry is passed over.
async fn skip(cluster: &Cluster, index: u64) {
    let trying = async {
        loop {
            for node in cluster.nodes.values() {
                if node.group.skip(word(index)).await.is_ok() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, trying)
        .await
        .expect("nobody takes the word");
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_stops_every_replica_is_passed_over_and_all_go_on() {
    let cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    let index = poisoned(&cluster).await;
    skip(&cluster, index).await;
    for id in 1..=3 {
        goes_on(&cluster, id).await;
    }
    let last = cluster.commit(b"two").await;
    for id in 1..=3 {
        cluster.applied(id, last).await;
        assert_eq!(cluster.kept(id), commands(&[b"one", b"two"]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_passed_entry_stays_passed_over_restarts_and_snapshots() {
    let mut cluster = Cluster::of_three().await;
    cluster.commit(b"one").await;
    let index = poisoned(&cluster).await;
    // One is away when the word is said, and one starts again after it.
    cluster.kill(3).await;
    skip(&cluster, index).await;
    goes_on(&cluster, 1).await;
    let last = cluster.commit(b"two").await;
    cluster.kill(2).await;
    cluster.start(2).await;
    cluster.start(3).await;
    for id in 1..=3 {
        cluster.applied(id, last).await;
        goes_on(&cluster, id).await;
        assert_eq!(cluster.kept(id), commands(&[b"one", b"two"]));
    }
    // From a snapshot behind the word, and from the log after it.
    for id in 1..=3 {
        cluster.nodes[&id].group.snapshot().await.unwrap();
    }
    let last = cluster.commit(b"three").await;
    for id in 1..=3 {
        cluster.kill(id).await;
    }
    for id in 1..=3 {
        cluster.start(id).await;
    }
    for id in 1..=3 {
        cluster.applied(id, last).await;
        assert_eq!(cluster.kept(id), commands(&[b"one", b"two", b"three"]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_whose_state_holds_a_passed_entry_makes_it_anew_or_stops_for_good() {
    let cluster = Cluster::of_three().await;
    let first = cluster.commit(b"one").await;
    let second = cluster.commit(b"two").await;
    for id in 1..=3 {
        cluster.applied(id, second).await;
    }
    // Whoever may say so is not asked here: what counts is what each replica does about it.
    let (odd, others) = (3, [1, 2]);
    cluster.nodes[&odd].group.snapshot().await.unwrap();
    skip(&cluster, first).await;
    let last = cluster.nodes[&1].group.status().last_log;
    for id in others {
        cluster.applied(id, last).await;
        goes_on(&cluster, id).await;
        assert_eq!(cluster.kept(id), commands(&[b"two"]));
    }
    let halt = stopped(&cluster, odd).await;
    assert_eq!((halt.index, halt.cure), (first, Cure::Replace));
    assert!(
        halt.reason.contains("its snapshot holds"),
        "{}",
        halt.reason
    );
}
