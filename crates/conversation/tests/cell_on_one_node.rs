//! The cell on its leader, over a group of one that commits at once.
//! Promise: what streams, acts and the leader's duties owe their callers.
//! Not here: consensus (`raft`), rules of the business (`domain`).

#[allow(dead_code, reason = "each file of tests needs a part of it")]
mod floor;
#[allow(dead_code, reason = "each file of tests needs a part of it")]
mod group;

use std::time::Duration;

use conversation::{ActError, AttachEvent, DeskEvent, EndReason, MarkFrom};
use domain::cell::command::{Accept, Actor, Close, Command, CustomerPresence, OfferRef};
use domain::cell::event::{Event, OfferMade};
use domain::cell::refusal::Refusal;
use domain::cell::reply::Done;
use domain::ids::{CellId, ConversationId, LogIndex, Sequence, Session};
use floor::{EDGE, Floor};
use tokio::time::Instant;

async fn next_text(attachment: &mut conversation::Attachment) -> (u64, String) {
    loop {
        match attachment.events.recv().await.expect("the stream is open") {
            AttachEvent::Item(item) => {
                let text = item
                    .message()
                    .map(|message| String::from_utf8_lossy(&message.body.bytes).into_owned());
                return (item.sequence.0, text.unwrap_or_default());
            }
            _ => continue,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_gets_its_backlog_and_then_every_item_once() {
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    floor
        .cell
        .act(floor.send(conversation, "one"))
        .await
        .expect("stored");
    let mut attachment = floor
        .cell
        .attach(conversation, Sequence(0), false, EDGE)
        .await
        .expect("attached");
    let before = attachment
        .backlog
        .last()
        .expect("the message is there")
        .sequence
        .0;
    floor
        .cell
        .act(floor.send(conversation, "two"))
        .await
        .expect("stored");
    floor
        .cell
        .act(floor.send(conversation, "three"))
        .await
        .expect("stored");
    assert_eq!(
        next_text(&mut attachment).await,
        (before + 1, "two".to_owned())
    );
    assert_eq!(
        next_text(&mut attachment).await,
        (before + 2, "three".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_cursor_from_the_future_and_an_unknown_conversation_are_refused() {
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    let ahead = floor
        .cell
        .attach(conversation, Sequence(99), false, EDGE)
        .await
        .map(drop);
    assert!(
        matches!(
            ahead,
            Err(ActError::Refused(Refusal::CursorFromTheFuture { .. }))
        ),
        "{ahead:?}"
    );
    let unknown = ConversationId {
        cell: CellId(1),
        index: LogIndex(4_242),
    };
    let nobody = floor
        .cell
        .attach(unknown, Sequence(0), false, EDGE)
        .await
        .map(drop);
    assert_eq!(
        nobody,
        Err(Refusal::ConversationNotFound {
            conversation: unknown
        }
        .into())
    );
    let sent = floor.cell.act(floor.send(unknown, "hello")).await;
    assert_eq!(
        sent,
        Err(Refusal::ConversationNotFound {
            conversation: unknown
        }
        .into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_falls_behind_is_ended_with_a_reason_and_resumes_from_its_cursor() {
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    let mut slow = floor
        .cell
        .attach(conversation, Sequence(0), true, EDGE)
        .await
        .expect("attached");
    for n in 0..400 {
        floor
            .cell
            .act(floor.send(conversation, &format!("m{n}")))
            .await
            .expect("stored");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut last = slow.backlog.last().map_or(0, |item| item.sequence.0);
    while let Some(event) = slow.events.recv().await {
        if let AttachEvent::Item(item) = event {
            assert_eq!(item.sequence.0, last + 1, "a gap before the end");
            last = item.sequence.0;
        }
    }
    assert_eq!(slow.why(), EndReason::SlowConsumer);
    let again = floor
        .cell
        .attach(conversation, Sequence(last), true, EDGE)
        .await
        .expect("attached");
    let rest: Vec<u64> = again.backlog.iter().map(|item| item.sequence.0).collect();
    assert_eq!(rest.first(), Some(&(last + 1)));
    assert!(rest.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[tokio::test(start_paused = true)]
async fn lost_leadership_ends_streams_and_answers_acts_for_certain() {
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    let mut attachment = floor
        .cell
        .attach(conversation, Sequence(0), false, EDGE)
        .await
        .expect("attached");
    floor.group.follow(2, Some(7));
    while attachment.events.recv().await.is_some() {}
    assert_eq!(attachment.why(), EndReason::NotLeader);
    let refused = floor.cell.act(floor.send(conversation, "late")).await;
    assert_eq!(refused, Err(ActError::NotLeader { leader: Some(7) }));
    floor.group.lead(3);
    floor.until(|floor| floor.cell.serves()).await;
    floor
        .cell
        .act(floor.send(conversation, "again"))
        .await
        .expect("stored by the new leader");
}

#[tokio::test(start_paused = true)]
async fn an_idle_actor_is_passivated_and_comes_back_for_the_next_command() {
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    floor
        .cell
        .act(floor.send(conversation, "one"))
        .await
        .expect("stored");
    assert_eq!(floor.cell.view().actors(), 1);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(floor.cell.view().actors(), 0);
    floor
        .cell
        .act(floor.send(conversation, "two"))
        .await
        .expect("stored");
    assert_eq!(floor.cell.view().actors(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_actor_of_a_conversation_that_is_over_rests_when_its_customers_limit_has_passed() {
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    let close = Command::Close(Close {
        conversation,
        request_id: floor.request(),
        by: Actor::Customer,
        reason: String::new(),
        wrap_up: false,
    });
    floor.cell.act(close).await.expect("closed");
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(floor.cell.view().actors(), 1, "the limit's window is open");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(floor.cell.view().actors(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_customer_who_floods_is_refused_before_anything_is_proposed() {
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    for n in 0..16 {
        floor
            .cell
            .act(floor.send(conversation, &format!("m{n}")))
            .await
            .expect("stored");
    }
    let before = floor.group.proposed();
    let refused = floor
        .cell
        .act(floor.send(conversation, "one too many"))
        .await;
    assert!(
        matches!(
            refused,
            Err(ActError::Refused(Refusal::TooManyRequests {
                retry_after_ms: 1..
            }))
        ),
        "{refused:?}"
    );
    assert_eq!(floor.group.proposed(), before);
}

#[tokio::test(start_paused = true)]
async fn an_offer_reaches_the_agent_s_desk_and_expires_by_the_leader_s_tick() {
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    let agent = floor.eligible(conversation);
    let waiting = floor
        .cell
        .attach(conversation, Sequence(0), false, EDGE)
        .await
        .expect("attached");
    let session = floor.log_in(&agent).await;
    let mut desk = floor
        .cell
        .desk(&agent, session, EDGE)
        .expect("the session is in force");
    let offer = floor
        .cell
        .view()
        .with(|cell, _| cell.conversation(conversation).cloned())
        .expect("open");
    assert!(
        matches!(offer.phase, domain::cell::conversation::Phase::Offered(_)),
        "{:?}",
        offer.phase
    );
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(4)).await;
        floor
            .cell
            .heartbeat(&agent, session, EDGE)
            .expect("in force");
    }
    let ended = async {
        loop {
            if let Some(DeskEvent::Event(event)) = desk.events.recv().await
                && let Event::OfferEnded { outcome, .. } = &*event
            {
                return *outcome;
            }
        }
    };
    assert_eq!(ended.await.word(), "expired");
    drop(waiting);
}

#[tokio::test(start_paused = true)]
async fn an_accept_moves_the_conversation_to_the_agent_s_desk() {
    let floor = Floor::new().await;
    let first = floor.open("anna").await;
    let agent = floor.eligible(first);
    let session = floor.log_in(&agent).await;
    let mut desk = floor
        .cell
        .desk(&agent, session, EDGE)
        .expect("the session is in force");
    let second = floor.open("bert").await;
    let offer: OfferMade = loop {
        if let Some(DeskEvent::Event(event)) = desk.events.recv().await
            && let Event::OfferMade(offer) = &*event
        {
            break (**offer).clone();
        }
    };
    assert_eq!(offer.conversation, second);
    let accept = Command::Accept(Accept {
        request_id: floor.request(),
        offer: OfferRef {
            offer: offer.offer,
            agent: agent.clone(),
            session,
        },
        owner_epoch: offer.owner_epoch,
    });
    assert!(matches!(floor.cell.act(accept).await, Ok(Done::Owned(_))));
    floor
        .cell
        .act(floor.send(second, "hello"))
        .await
        .expect("stored");
    let text = loop {
        if let Some(DeskEvent::Event(event)) = desk.events.recv().await
            && let Event::ItemAdded { item, .. } = &*event
            && let Some(message) = item.message()
        {
            break String::from_utf8_lossy(&message.body.bytes).into_owned();
        }
    };
    assert_eq!(text, "hello");
    floor
        .cell
        .mark(second, MarkFrom::Customer, true, Sequence(0))
        .expect("passed on");
    let marked = loop {
        if let Some(DeskEvent::Marker {
            conversation,
            typing,
            ..
        }) = desk.events.recv().await
        {
            break (conversation, typing);
        }
    };
    assert_eq!(marked, (second, true));
}

#[tokio::test(start_paused = true)]
async fn a_silent_agent_becomes_suspect_and_a_word_makes_alive_again() {
    use domain::cell::command::LeaseState;
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    let agent = floor.eligible(conversation);
    let session = floor.log_in(&agent).await;
    let lease = |floor: &Floor| {
        floor
            .cell
            .view()
            .with(|cell, _| cell.state().agent(&agent).map(|found| found.lease))
    };
    floor
        .cell
        .heartbeat(&agent, session, EDGE)
        .expect("in force");
    tokio::time::sleep(Duration::from_millis(14_000)).await;
    assert_eq!(lease(&floor), Some(LeaseState::Alive));
    floor
        .until(|floor| lease(floor) == Some(LeaseState::Suspect))
        .await;
    floor
        .cell
        .heartbeat(&agent, session, EDGE)
        .expect("in force");
    floor
        .until(|floor| lease(floor) == Some(LeaseState::Alive))
        .await;
    let stale = floor.cell.heartbeat(&agent, Session(1), EDGE);
    assert!(
        matches!(stale, Err(ActError::Refused(Refusal::StaleSession { .. }))),
        "{stale:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lapsed_quorum_is_told_at_once_and_ends_streams_after_an_election_time_out() {
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    let mut attachment = floor
        .cell
        .attach(conversation, Sequence(0), false, EDGE)
        .await
        .expect("attached");
    floor.group.quorum(false);
    let told = loop {
        match attachment.events.recv().await {
            Some(AttachEvent::Interrupted { since_ms }) => break since_ms,
            Some(_) => continue,
            None => panic!("ended before it was told"),
        }
    };
    assert!(told < 300, "told after {told} ms");
    let mut late = floor
        .cell
        .attach(conversation, Sequence(0), true, EDGE)
        .await
        .expect("attached");
    assert!(
        matches!(
            late.events.recv().await,
            Some(AttachEvent::Interrupted { .. })
        ),
        "a stream that comes later is told as well"
    );
    while attachment.events.recv().await.is_some() {}
    assert_eq!(attachment.why(), EndReason::QuorumLost);
    assert_eq!(
        floor.cell.act(floor.send(conversation, "x")).await,
        Err(ActError::QuorumLost)
    );
    floor.group.quorum(true);
    floor.until(|floor| floor.cell.serves()).await;
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_waits_for_all_its_proposals_is_told_of_a_lapsed_quorum_as_soon() {
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    let mut attachment = floor
        .cell
        .attach(conversation, Sequence(0), false, EDGE)
        .await
        .expect("attached");
    floor.group.hold(true);
    let before = floor.group.asked();
    let presence = || {
        Command::CustomerPresence(CustomerPresence {
            conversation,
            attached: true,
            our_fault: false,
        })
    };
    // More than a conversation proposes at a time: its actor takes nothing more from its mailbox.
    let acts: Vec<_> = (0..64).map(|_| floor.cell.begin(presence())).collect();
    floor
        .until(|floor| floor.group.asked() >= before + 32)
        .await;
    let began = Instant::now();
    floor.group.quorum(false);
    while attachment.events.recv().await.is_some() {}
    assert_eq!(attachment.why(), EndReason::QuorumLost);
    assert!(began.elapsed() < Duration::from_secs(2));
    drop(acts);
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_of_all_voters_cell_time_goes_on_at_its_usual_pace() {
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    let before = floor.cell.view().with(|cell, _| cell.now());
    // Another leader of a cluster that was down for an hour: the wall clock moved cell time.
    let hour_ms = 3_600_000;
    let first = domain::cell::command::Entry {
        at: before,
        wall_ms: 0,
        command: Command::LeaderStarted(domain::cell::command::LeaderStarted {
            wall_ms: floor
                .cell
                .view()
                .with(|cell, _| cell.state().meta().wall_ms)
                + hour_ms,
            without_leader_ms: 0,
            after_restart_of_all: true,
        }),
    };
    floor.group.inject(&wire::cell::encode_entry(&first));
    floor.group.follow(2, None);
    floor.until(|floor| !floor.cell.serves()).await;
    floor.group.lead(3);
    floor.until(|floor| floor.cell.serves()).await;
    let moved = floor.cell.view().with(|cell, _| cell.now());
    assert!(
        moved.since_ms(before) >= hour_ms,
        "moved by {} ms",
        moved.since_ms(before)
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    floor
        .cell
        .act(floor.send(conversation, "later"))
        .await
        .expect("stored");
    let later = floor.cell.view().with(|cell, _| cell.now());
    assert!(
        (5_000..6_000).contains(&later.since_ms(moved)),
        "{} ms",
        later.since_ms(moved)
    );
}

#[tokio::test(start_paused = true)]
async fn a_customer_who_drops_and_returns_at_once_is_never_counted_as_gone() {
    let floor = Floor::new().await;
    let conversation = floor.open("anna").await;
    let first = floor
        .cell
        .attach(conversation, Sequence(0), false, EDGE)
        .await
        .expect("attached");
    let gone = |floor: &Floor| {
        floor.cell.view().with(|cell, _| {
            cell.conversation(conversation)
                .map(|found| found.gone.is_some())
        })
    };
    floor.group.hold(true);
    drop(first);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let second = floor
        .cell
        .attach(conversation, Sequence(0), false, EDGE)
        .await
        .expect("attached");
    floor.group.hold(false);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(gone(&floor), Some(false));
    drop(second);
    floor.until(|floor| gone(floor) == Some(true)).await;
}
