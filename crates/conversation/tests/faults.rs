//! What we caused never counts against anyone: an edge that the leader cannot reach.
//! Promise: one rule, one claim, at the leader of a cell.
//! Not here: when an edge counts as lost (`node`), what an entry does (`domain`).

#[allow(dead_code, reason = "each file of tests needs a part of it")]
mod floor;
#[allow(dead_code, reason = "each file of tests needs a part of it")]
mod group;

use std::time::Duration;

use domain::cell::command::{Accept, Command, Entry, LeaderStarted, LeaseState, OfferRef};
use domain::cell::conversation::Phase;
use domain::ids::{AgentId, CellTime, ConversationId, NodeId, OfferId, Sequence};
use floor::{EDGE, Floor};

const OTHER: NodeId = NodeId(3);

fn open_offer(floor: &Floor, id: ConversationId) -> Option<OfferId> {
    floor
        .cell
        .view()
        .with(|cell, _| match &cell.conversation(id)?.phase {
            Phase::Offered(offer) => Some(offer.id),
            _ => None,
        })
}

/// Missed offers that count against an agent, over all channels.
fn misses(floor: &Floor, agent: &AgentId) -> u32 {
    let view = floor.cell.view();
    view.with(|cell, _| {
        let agent = cell.state().agent(agent).expect("it is logged in");
        agent.channels.iter().map(|pause| pause.misses).sum()
    })
}

fn lease(floor: &Floor, agent: &AgentId) -> LeaseState {
    let view = floor.cell.view();
    view.with(|cell, _| cell.state().agent(agent).expect("it is logged in").lease)
}

/// An offer to an agent who was last heard through `edge`.
async fn offered(floor: &Floor, edge: NodeId) -> (AgentId, ConversationId) {
    let conversation = floor.open("anna").await;
    let agent = floor.eligible(conversation);
    let session = floor.log_in(&agent).await;
    floor
        .cell
        .heartbeat(&agent, session, edge)
        .expect("in force");
    floor
        .until(|floor| open_offer(floor, conversation).is_some())
        .await;
    (agent, conversation)
}

/// Lets an offer of 20 s lapse while the agent's client speaks through `edge`, which `cut` loses.
async fn misses_after(edge: NodeId, cut: NodeId) -> u32 {
    let floor = Floor::new().await;
    let (agent, conversation) = offered(&floor, edge).await;
    let session = floor.cell.view().with(|cell, _| {
        let found = cell.state().agent(&agent);
        found.and_then(|found| found.session).expect("logged in")
    });
    // Heard so late that the lease does not take the offer back before it lapses.
    for wait_s in [14, 4] {
        tokio::time::sleep(Duration::from_secs(wait_s)).await;
        floor
            .cell
            .heartbeat(&agent, session, edge)
            .expect("in force");
    }
    floor.faults.cut(cut);
    let first = open_offer(&floor, conversation);
    assert!(first.is_some());
    floor
        .until(|floor| open_offer(floor, conversation) != first)
        .await;
    assert_eq!(lease(&floor, &agent), LeaseState::Alive);
    misses(&floor, &agent)
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_lapses_behind_a_lost_edge_was_not_missed() {
    assert_eq!(misses_after(EDGE, EDGE).await, 0);
    assert_eq!(
        misses_after(EDGE, OTHER).await,
        1,
        "another edge is no excuse"
    );
}

#[tokio::test(start_paused = true)]
async fn an_agent_behind_a_lost_edge_gets_no_offers_soon_and_one_behind_another_does() {
    for (cut, expected) in [(EDGE, LeaseState::Suspect), (OTHER, LeaseState::Alive)] {
        let floor = Floor::new().await;
        // A leader calls nobody silent before three heartbeats.
        tokio::time::sleep(Duration::from_secs(15)).await;
        let (agent, _) = offered(&floor, EDGE).await;
        floor.faults.cut(cut);
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(lease(&floor, &agent), expected);
        assert_eq!(misses(&floor, &agent), 0);
    }
}

/// Makes an agent who is heard through `EDGE` the owner of an offered conversation.
async fn owned(floor: &Floor) -> (AgentId, ConversationId) {
    let (agent, conversation) = offered(floor, EDGE).await;
    let view = floor.cell.view();
    let (session, owner_epoch) = view.with(|cell, _| {
        let session = cell.state().agent(&agent).and_then(|found| found.session);
        let found = cell.conversation(conversation).expect("it is open");
        (session.expect("logged in"), found.owner_epoch)
    });
    let offer = open_offer(floor, conversation).expect("it is offered");
    let accept = Command::Accept(Accept {
        request_id: floor.request(),
        offer: OfferRef {
            offer,
            agent: agent.clone(),
            session,
        },
        owner_epoch,
    });
    floor.cell.act(accept).await.expect("accepted");
    let heard = floor.cell.heartbeat(&agent, session, EDGE);
    heard.expect("in force");
    (agent, conversation)
}

#[tokio::test(start_paused = true)]
async fn an_agent_behind_a_lost_edge_keeps_its_work_for_15_seconds_and_no_longer() {
    let floor = Floor::new().await;
    // A leader calls nobody silent before three heartbeats.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let (agent, conversation) = owned(&floor).await;
    floor.faults.cut(EDGE);
    let owner = |floor: &Floor| {
        let view = floor.cell.view();
        view.with(|cell, _| {
            let found = cell.conversation(conversation);
            found.and_then(|found| match &found.phase {
                Phase::Active(active) => Some(active.agent.clone()),
                _ => None,
            })
        })
    };
    tokio::time::sleep(Duration::from_millis(14_900)).await;
    assert_eq!(owner(&floor).as_ref(), Some(&agent));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(lease(&floor, &agent), LeaseState::Lost);
    assert_eq!(owner(&floor), None);
}

#[tokio::test(start_paused = true)]
async fn a_customer_who_goes_with_a_lost_edge_gets_the_longer_grace() {
    for (cut, our_fault) in [(EDGE, true), (OTHER, false)] {
        let floor = Floor::new().await;
        let conversation = floor.open("anna").await;
        let attached = floor
            .cell
            .attach(conversation, Sequence(0), false, EDGE)
            .await
            .expect("attached");
        floor.faults.cut(cut);
        drop(attached);
        let gone = |floor: &Floor| {
            floor
                .cell
                .view()
                .with(|cell, _| cell.conversation(conversation).and_then(|found| found.gone))
        };
        floor.until(|floor| gone(floor).is_some()).await;
        assert_eq!(gone(&floor).map(|gone| gone.our_fault), Some(our_fault));
    }
}

fn is_closed(floor: &Floor, id: ConversationId) -> bool {
    let view = floor.cell.view();
    view.with(|cell, _| {
        cell.conversation(id)
            .is_none_or(|found| found.phase.is_over())
    })
}

fn gone_since(floor: &Floor, id: ConversationId) -> Option<CellTime> {
    let view = floor.cell.view();
    view.with(|cell, _| Some(cell.conversation(id)?.gone?.at))
}

/// No quorum for so many seconds, and then again one.
async fn without_a_quorum(floor: &Floor, seconds: u64) {
    floor.group.quorum(false);
    floor.until(|floor| !floor.cell.serves()).await;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    floor.group.quorum(true);
    floor.until(|floor| floor.cell.serves()).await;
}

#[tokio::test(start_paused = true)]
async fn a_quorum_that_was_away_for_a_minute_and_is_back_counts_against_nobody() {
    let floor = Floor::new().await;
    // Somebody who went before: 100 of 120 s are over when the quorum goes.
    let left = floor.open("bert").await;
    drop(floor.cell.attach(left, Sequence(0), false, EDGE).await);
    floor.until(|floor| gone_since(floor, left).is_some()).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let (agent, conversation) = offered(&floor, EDGE).await;
    let offer = open_offer(&floor, conversation);
    without_a_quorum(&floor, 90).await;
    let started = floor.group.started();
    let lapse_ms = started.last().map(|started| started.without_leader_ms);
    assert_eq!(
        started.len(),
        2,
        "the barrier of the term and of the return"
    );
    assert!(
        lapse_ms.is_some_and(|ms| (90_000..92_000).contains(&ms)),
        "{lapse_ms:?}"
    );
    for second in 0..14 {
        assert_eq!(lease(&floor, &agent), LeaseState::Alive, "second {second}");
        assert_eq!(open_offer(&floor, conversation), offer, "second {second}");
        assert!(!is_closed(&floor, left), "second {second}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(misses(&floor, &agent), 0);
    tokio::time::sleep(Duration::from_secs(6)).await;
    let silent = lease(&floor, &agent);
    assert_eq!(silent, LeaseState::Suspect, "silent since the return only");
    tokio::time::sleep(Duration::from_secs(94)).await;
    assert!(!is_closed(&floor, left), "the full time again");
    floor.until(|floor| is_closed(floor, left)).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_confirmed_quorum_time_decides_nothing() {
    let floor = Floor::new().await;
    let (agent, conversation) = offered(&floor, EDGE).await;
    let attached = floor
        .cell
        .attach(conversation, Sequence(0), false, EDGE)
        .await
        .expect("attached");
    tokio::time::sleep(Duration::from_secs(1)).await;
    floor.group.quorum(false);
    floor.until(|floor| !floor.cell.serves()).await;
    drop(attached);
    let before = floor.group.asked();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(
        floor.group.asked(),
        before,
        "no tick, no lease, no customer"
    );
    assert_eq!(lease(&floor, &agent), LeaseState::Alive);
}

#[tokio::test(start_paused = true)]
async fn a_customer_lost_while_the_cell_had_no_leader_has_ten_minutes() {
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    let attached = floor
        .cell
        .attach(conversation, Sequence(0), false, EDGE)
        .await
        .expect("attached");
    let is_here = |floor: &Floor| {
        let view = floor.cell.view();
        view.with(|cell, _| {
            let found = cell.conversation(conversation);
            found.is_some_and(|found| found.attached_once && found.gone.is_none())
        })
    };
    floor.until(is_here).await;
    floor.group.follow(2, None);
    floor.until(|floor| !floor.cell.serves()).await;
    drop(attached);
    tokio::time::sleep(Duration::from_secs(5)).await;
    floor.group.lead(3);
    floor.until(|floor| floor.cell.serves()).await;
    tokio::time::sleep(Duration::from_secs(599)).await;
    assert!(!is_closed(&floor, conversation), "ten minutes are not over");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(
        is_closed(&floor, conversation),
        "ten minutes and the return"
    );
}

/// What a node proposes first that begins with a log of an hour ago and is elected after 10 s;
/// `heard` says whether another leader gives it an entry before.
async fn first_entry_after_a_restart(heard: bool) -> LeaderStarted {
    let entry = |at: u64, wall_ms| {
        let first = LeaderStarted {
            wall_ms,
            without_leader_ms: 0,
            after_restart_of_all: false,
        };
        wire::cell::encode_entry(&Entry {
            at: CellTime(at),
            wall_ms,
            command: Command::LeaderStarted(first),
        })
    };
    let floor = Floor::before_any_leader(|group| {
        group.inject(&entry(5_000, 1_000));
        // The vote of before: it names the leader of then.
        group.follow(4, Some(7));
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    if heard {
        floor.group.inject(&entry(9_000, 2_000));
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    // Elected, but not yet proven: the leader named is this node itself.
    floor.group.follow(5, Some(1));
    tokio::time::sleep(Duration::from_millis(50)).await;
    floor.group.lead(5);
    floor.has_a_plan().await;
    floor.group.started()[0]
}

#[tokio::test(start_paused = true)]
async fn a_vote_from_before_the_restart_is_no_leader_met() {
    assert!(
        first_entry_after_a_restart(false)
            .await
            .after_restart_of_all
    );
    assert!(!first_entry_after_a_restart(true).await.after_restart_of_all);
}

#[tokio::test(start_paused = true)]
async fn the_time_without_a_leader_counts_from_the_last_sign_of_the_one_before() {
    for (heard, expected_ms) in [(false, 10_050), (true, 6_050)] {
        let without_ms = first_entry_after_a_restart(heard).await.without_leader_ms;
        assert!(
            (expected_ms..expected_ms + 100).contains(&without_ms),
            "{without_ms} ms, heard: {heard}"
        );
    }
}
