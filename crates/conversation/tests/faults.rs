//! What we caused never counts against anyone: an edge that the leader cannot reach.
//! Promise: one rule, one claim, at the leader of a cell.
//! Not here: when an edge counts as lost (`node`), what an entry does (`domain`).

#[allow(dead_code, reason = "each file of tests needs a part of it")]
mod floor;
#[allow(dead_code, reason = "each file of tests needs a part of it")]
mod group;

use std::time::Duration;

use domain::cell::command::LeaseState;
use domain::cell::conversation::Phase;
use domain::ids::{AgentId, ConversationId, NodeId, OfferId, Sequence};
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
