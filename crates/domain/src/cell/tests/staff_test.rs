//! A supervisor's hands on conversations and agents: taken back, assigned, set not ready.

use super::support::*;
use crate::cell::agent::SetBy;
use crate::cell::command::*;
use crate::cell::conversation::{Held, Phase};
use crate::cell::defects;
use crate::cell::floor::OfferOutcome;
use crate::cell::receipts::{Found, Order, Receipt};
use crate::cell::refusal::Refusal;
use crate::cell::reply::{Done, Reply};
use crate::cell::requests::REQUESTS_MAX;
use crate::cell::transcript::{Author, ItemKind, RequeueReason};
use crate::ids::*;
use crate::plan::*;

fn last_receipt(floor: &Floor, id: ConversationId) -> Receipt {
    Receipt::clone(floor.conversation(id).receipts.last().unwrap())
}

fn by_mia(why: &str) -> Option<Box<Order>> {
    Some(Box::new(Order {
        by: Author::Staff(staff()),
        why: why.into(),
        to: None,
    }))
}

/// The remarks of a conversation: who wrote them and what.
fn remarks(floor: &Floor, id: ConversationId) -> Vec<(Author, String)> {
    let remarks = floor.conversation(id).remarks.iter();
    remarks
        .map(|remark| {
            let text = String::from_utf8_lossy(&remark.body.bytes).into_owned();
            (remark.author.clone(), text)
        })
        .collect()
}

fn requeue_command(floor: &mut Floor, id: ConversationId) -> Requeue {
    Requeue {
        conversation: id,
        request_id: floor.fresh(),
        staff: staff(),
        reason: "a second look".into(),
    }
}

/// A conversation that ana and ben have both declined, while both are free.
fn declined_by_all(floor: &mut Floor, customer: &str) -> ConversationId {
    let id = floor.open(customer);
    floor.decline(id).unwrap();
    floor.decline(id).unwrap();
    assert!(floor.conversation(id).is_waiting());
    id
}

#[test]
fn work_that_a_supervisor_takes_from_its_agent_is_at_its_old_place_and_the_agent_is_not_asked_again()
 {
    let mut floor = Floor::with(|plan| plan.agents.get_mut(&agent("ana")).unwrap().capacity = 25);
    floor.log_in("ana");
    let id = floor.active("zoe");
    floor.agent_says(id, "hello");
    floor.at += 5_000;
    let younger = floor.open("yan");
    let (aged_from, epoch) = (floor.conversation(id).aged_from, floor.epoch(id));
    floor.at += 5_000;
    floor.requeue(id).unwrap();
    assert_eq!(floor.line("sales"), [id]);
    assert_eq!(floor.offered_to(younger).as_deref(), Some("ana"));
    let found = floor.conversation(id);
    assert_eq!(found.aged_from, aged_from);
    assert_eq!(found.owner_epoch, OwnerEpoch(epoch.0 + 1));
    let told = ItemKind::Requeued {
        reason: RequeueReason::BySupervisor,
    };
    assert_eq!(
        found.items.last().unwrap().kind,
        told,
        "the customer is told"
    );
    let why = "the customer complains";
    assert_eq!(
        remarks(&floor, id),
        [(Author::Staff(staff()), why.to_owned())]
    );
    let receipt = last_receipt(&floor, id);
    assert_eq!((receipt.found, receipt.chosen), (Found::Requeued, None));
    assert_eq!(receipt.ordered, by_mia(why));
    floor.accept(younger);
    let late = floor.try_send(id, floor.actor(id, "ana"), "still me");
    assert!(matches!(late, Err(Refusal::NotOwner { .. })), "{late:?}");
    floor.close_by(younger, supervisor()).unwrap();
    floor.finish(younger).unwrap();
    assert_eq!(floor.offered_to(id), None, "as after a decline");
    floor.wait_ms(60_000);
    assert_eq!(floor.offered_to(id).as_deref(), Some("ana"));
}

#[test]
fn a_late_answer_to_an_offer_that_a_supervisor_took_back_learns_that() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.log_in("ben");
    let id = floor.open("zoe");
    let accept = floor.accept_command(id);
    floor.requeue(id).unwrap();
    assert_eq!(floor.offered_to(id).as_deref(), Some("ben"));
    assert!(matches!(
        floor.ask(Command::Accept(accept)),
        Err(Refusal::OfferEnded {
            outcome: "rescinded",
            ..
        })
    ));
    let receipts = &floor.conversation(id).receipts;
    let outcomes: Vec<_> = receipts
        .iter()
        .map(|receipt| (receipt.found, receipt.outcome))
        .collect();
    let by_strategy = Found::ByStrategy(Strategy::LongestIdle);
    assert_eq!(
        outcomes,
        [
            (by_strategy, Some(OfferOutcome::Rescinded)),
            (Found::Requeued, None),
            (by_strategy, None)
        ]
    );
}

#[test]
fn assigned_work_is_offered_to_that_agent_ahead_of_the_line_and_keeps_its_place() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.log_in("ben");
    let older = declined_by_all(&mut floor, "zoe");
    floor.at += 1_000;
    let id = declined_by_all(&mut floor, "yan");
    let epoch = floor.epoch(id);
    floor.assign(id, "ben", false).unwrap();
    assert_eq!(floor.offered_to(id).as_deref(), Some("ben"));
    assert_eq!(floor.used("ben"), 25);
    assert_eq!(floor.epoch(id), OwnerEpoch(epoch.0 + 1));
    let receipt = last_receipt(&floor, id);
    assert_eq!(receipt.chosen, Some(agent("ben")));
    assert_eq!(receipt.found, Found::Assigned);
    assert_eq!(receipt.ordered, by_mia("knows the case"));
    assert_eq!(floor.line("sales"), [older]);
    floor.wait_ms(20_000);
    assert_eq!(floor.line("sales"), [older, id], "nobody answered");
    floor.wait_ms(10_000);
    floor.assign(id, "ben", false).unwrap();
    floor.accept(id);
    assert_eq!(floor.owner(id).as_deref(), Some("ben"));
}

#[test]
fn an_agent_who_is_full_not_ready_lost_or_unskilled_is_assigned_nothing() {
    let law = Requirement::Skill(skill("law"), Level(1));
    let mut floor = Floor::with(|plan| {
        plan.queues.get_mut(&queue("billing")).unwrap().requires = vec![law];
        plan.agents.get_mut(&agent("ben")).unwrap().capacity = 10;
    });
    let id = floor.open("zoe");
    let billing = floor.open_in("yan", "billing");
    let refused = floor.assign(id, "nobody", true);
    let nobody = agent("nobody");
    assert_eq!(refused, Err(Refusal::AgentNotFound { agent: nobody }));
    let refused = floor.assign(id, "ana", true);
    let ana = || agent("ana");
    assert_eq!(refused, Err(Refusal::AgentNotLoggedIn { agent: ana() }));
    floor.log_in("ben");
    let (ben, free, needed) = (agent("ben"), 10, 25);
    let full = Refusal::AgentAtCapacity {
        agent: ben.clone(),
        free,
        needed,
    };
    assert_eq!(floor.assign(id, "ben", false), Err(full.clone()));
    assert_eq!(floor.assign(id, "ben", true), Err(full), "never enough");
    let unskilled = Refusal::AgentNotSkilled {
        agent: ben,
        queue: queue("billing"),
    };
    assert_eq!(floor.assign(billing, "ben", true), Err(unskilled));
    let before = floor.conversation(id).clone();
    let request_id = floor.fresh();
    let log_in = LogIn {
        agent: ana(),
        request_id,
        device: device("desk"),
        session: None,
        intent: Intent::NotReady {
            reason: "lunch".into(),
        },
        site: site("fra"),
    };
    let Ok(Done::LoggedIn(logged_in)) = floor.ask(Command::LogIn(log_in)) else {
        panic!("the login was refused")
    };
    floor.sessions.insert(ana(), logged_in.session);
    let refused = floor.assign(id, "ana", false);
    assert_eq!(refused, Err(Refusal::AgentNotReady { agent: ana() }));
    floor.lease("ana", LeaseState::Suspect).unwrap();
    let refused = floor.assign(id, "ana", false);
    assert_eq!(refused, Err(Refusal::AgentUnreachable { agent: ana() }));
    assert_eq!(*floor.conversation(id), before);
}

#[test]
fn assigned_work_that_may_wait_stands_in_that_agents_own_line() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.not_ready("ana");
    let id = floor.open("zoe");
    floor.assign(id, "ana", true).unwrap();
    let Phase::Queued(waiting) = floor.phase(id).clone() else {
        panic!("it does not wait")
    };
    assert_eq!(
        (waiting.prefer, waiting.held),
        (Some(agent("ana")), Held::OwnLine)
    );
    let receipt = last_receipt(&floor, id);
    assert_eq!(
        (receipt.found, receipt.chosen),
        (Found::ToOwnLine, Some(agent("ana")))
    );
    floor.log_in("ben");
    assert_eq!(floor.offered_to(id), None, "nobody else is asked");
    floor.ready("ana");
    assert_eq!(floor.offered_to(id).as_deref(), Some("ana"));
}

#[test]
fn what_waits_for_one_agent_alone_is_given_to_everybody_by_a_requeue() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.not_ready("ana");
    let id = floor.open("zoe");
    floor.assign(id, "ana", true).unwrap();
    floor.log_in("ben");
    floor.requeue(id).unwrap();
    assert_eq!(floor.offered_to(id).as_deref(), Some("ben"));
}

/// Where a conversation of the table below stands.
const STAGES: [&str; 8] = [
    "bot",
    "queued",
    "offered",
    "active",
    "on hold",
    "wrap-up",
    "closed",
    "set aside",
];

fn stage(name: &str) -> (Floor, ConversationId) {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.log_in("ben");
    if name == "bot" {
        let mut open = floor.open_command("zoe");
        open.bot_first = true;
        let id = floor.opened(open).conversation;
        return (floor, id);
    }
    if name == "queued" {
        let id = declined_by_all(&mut floor, "zoe");
        return (floor, id);
    }
    let id = floor.open("zoe");
    if matches!(name, "active" | "on hold" | "wrap-up" | "closed") {
        floor.accept(id);
        floor.agent_says(id, "hello");
    }
    match name {
        "on hold" => drop(floor.hold(id).unwrap()),
        "wrap-up" | "closed" => {
            let by = floor.owner_actor(id);
            floor.close_by(id, by).unwrap();
        }
        "set aside" => drop(
            floor
                .try_send(id, Actor::Customer, defects::IN_DECIDE)
                .unwrap_err(),
        ),
        _ => {}
    }
    if name == "closed" {
        floor.finish(id).unwrap();
    }
    (floor, id)
}

/// Owners, lines and offers of a conversation; its end counts as one.
fn places(floor: &Floor, id: ConversationId) -> usize {
    let phase = floor.phase(id);
    if phase.is_over() {
        return 1;
    }
    let lines = ["sales", "billing"].map(|name| floor.line(name).contains(&id));
    let in_lines = lines.into_iter().filter(|stands| *stands).count();
    usize::from(phase.owner().is_some()) + in_lines + usize::from(floor.offered_to(id).is_some())
}

fn word(reply: &Reply) -> &'static str {
    match reply {
        Ok(_) => "done",
        Err(Refusal::WrongState { .. }) => "state",
        Err(Refusal::ConversationClosed { .. }) => "over",
        Err(Refusal::MachineDefect { .. }) => "defect",
        Err(_) => "other",
    }
}

type Hand = fn(&mut Floor, ConversationId) -> Reply;

fn to_ben(floor: &mut Floor, id: ConversationId) -> Reply {
    let target = Target::Agent {
        agent: agent("ben"),
        wait: false,
    };
    floor.transfer(id, supervisor(), target)
}

fn to_billing(floor: &mut Floor, id: ConversationId) -> Reply {
    floor.transfer(id, supervisor(), Target::Queue(queue("billing")))
}

fn release(floor: &mut Floor, id: ConversationId) -> Reply {
    let request_id = floor.fresh();
    floor.ask(Command::Release(Release {
        conversation: id,
        request_id,
        staff: staff(),
        reason: "mended".into(),
    }))
}

/// Each act with what it comes to at each stage, in the order of `STAGES`.
fn hands() -> [(&'static str, Hand, &'static str); 7] {
    [
        (
            "requeue",
            |floor, id| floor.requeue(id),
            "state state done done done over over defect",
        ),
        (
            "assign",
            |floor, id| floor.assign(id, "ben", false),
            "state done done state state over over defect",
        ),
        (
            "assign and wait",
            |floor, id| floor.assign(id, "ben", true),
            "state done done state state over over defect",
        ),
        (
            "to ben",
            to_ben,
            "state done done done done over over defect",
        ),
        (
            "to billing",
            to_billing,
            "state done done done done over over defect",
        ),
        (
            "end",
            |floor, id| floor.close_by(id, supervisor()),
            "done done done done done over over done",
        ),
        (
            "release",
            release,
            "state state state state state over over done",
        ),
    ]
}

#[test]
fn after_every_act_at_every_stage_there_is_one_owner_or_one_line() {
    for (act, hand, expected) in hands() {
        for (name, expected) in STAGES.into_iter().zip(expected.split(' ')) {
            let (mut floor, id) = stage(name);
            floor.at += 7_000;
            let (aged_from, epoch) = (floor.conversation(id).aged_from, floor.epoch(id));
            let reply = hand(&mut floor, id);
            assert_eq!(word(&reply), expected, "{act}, {name}: {reply:?}");
            if reply.is_err() {
                continue;
            }
            let phase = floor.phase(id);
            assert_eq!(places(&floor, id), 1, "{act}, {name}: {phase:?}");
            assert_eq!(floor.conversation(id).aged_from, aged_from, "{act}, {name}");
            let raised = act == "release" || floor.epoch(id) > epoch;
            assert!(raised, "{act}, {name}: the epoch stays");
            let mut receipts = floor.conversation(id).receipts.iter();
            let told = receipts.any(|receipt| receipt.ordered.is_some());
            assert!(told, "{act}, {name}: no receipt tells who");
        }
    }
}

#[test]
fn the_same_act_twice_is_done_once_and_an_id_stands_for_one_content() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let requeue = requeue_command(&mut floor, id);
    floor.ask(Command::Requeue(requeue.clone())).unwrap();
    let after = floor.conversation(id).clone();
    assert_eq!(
        floor.ask(Command::Requeue(requeue.clone())),
        Ok(Done::Nothing)
    );
    let reused = Err(Refusal::RequestIdReused {
        request_id: requeue.request_id.clone(),
    });
    let other = Requeue {
        reason: "another one".into(),
        ..requeue
    };
    assert_eq!(floor.ask(Command::Requeue(other)), reused);
    assert_eq!(*floor.conversation(id), after);

    let assign = floor.assign_command(id, "ana", false);
    floor.ask(Command::Assign(assign.clone())).unwrap();
    floor.accept(id);
    let after = floor.conversation(id).clone();
    assert_eq!(
        floor.ask(Command::Assign(assign.clone())),
        Ok(Done::Nothing)
    );
    let reused = Err(Refusal::RequestIdReused {
        request_id: assign.request_id.clone(),
    });
    let other = Assign {
        wait: true,
        ..assign
    };
    assert_eq!(floor.ask(Command::Assign(other)), reused);
    assert_eq!(*floor.conversation(id), after);
}

#[test]
fn supervisors_fill_a_table_of_their_own() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    for _ in 0..REQUESTS_MAX {
        let note = Note {
            conversation: id,
            request_id: floor.fresh(),
            author: supervisor(),
            body: Body::clear("look"),
        };
        floor.ask(Command::Note(note)).unwrap();
    }
    let refused = floor.requeue(id);
    assert!(matches!(refused, Err(Refusal::TooManyRequests { .. })));
    assert_eq!(floor.owner(id).as_deref(), Some("ana"));
    floor.hold(id).unwrap();
    floor.wait_ms(600_000);
    floor.requeue(id).unwrap();
}

#[test]
fn a_reason_is_at_most_1_kib_and_one_without_room_keeps_nobody_from_acting() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let long = Err(Refusal::FieldTooLong {
        field: "reason",
        limit: 1_024,
    });
    let mut requeue = requeue_command(&mut floor, id);
    requeue.reason = "x".repeat(1_025);
    assert_eq!(floor.ask(Command::Requeue(requeue)), long);
    let mut pause = floor.queue_act("sales", "");
    pause.reason = "x".repeat(1_025);
    assert_eq!(floor.ask(Command::PauseQueue(pause)), long);
    let request_id = floor.fresh();
    let noted = floor.ask(Command::Transfer(Transfer {
        conversation: id,
        request_id,
        by: supervisor(),
        target: Target::Queue(queue("billing")),
        note: Some(Body::clear(&"x".repeat(1_025))),
    }));
    assert_eq!(noted, long);
    // 16 texts of 64 KiB fill the conversation to the byte.
    let first = "hello".len();
    for n in 0..16 {
        let bytes = 65_536 - if n == 0 { first } else { 0 };
        floor
            .try_send(id, Actor::Customer, &"x".repeat(bytes))
            .unwrap();
    }
    floor.requeue(id).unwrap();
    assert_eq!(remarks(&floor, id), []);
    let receipt = last_receipt(&floor, id);
    assert_eq!(receipt.ordered, by_mia("the customer complains"));
}

fn set_by_mia(floor: &mut Floor, name: &str, intent: Intent, why: &str) -> Reply {
    let request_id = floor.fresh();
    floor.ask(Command::SetIntent(SetIntent {
        agent: agent(name),
        request_id,
        session: None,
        staff: Some(staff()),
        intent,
        why: why.into(),
    }))
}

fn tea() -> Intent {
    Intent::NotReady {
        reason: "tea".into(),
    }
}

#[test]
fn a_supervisors_not_ready_says_who_and_why_and_reconnecting_does_not_undo_it() {
    let mut floor = Floor::new();
    let session = floor.log_in("ana");
    let id = floor.open("zoe");
    set_by_mia(&mut floor, "ana", tea(), "she asked for it").unwrap();
    assert_eq!(floor.offered_to(id), None, "the offer is taken back");
    let record = floor.state().agent(&agent("ana")).unwrap();
    let set_by = SetBy {
        staff: staff(),
        why: "she asked for it".into(),
        chosen: Intent::Ready,
        next: None,
    };
    assert_eq!(record.intent, tea());
    assert_eq!(record.set_by, Some(Box::new(set_by)));
    assert_eq!(floor.log_in("ana"), session);
    assert_eq!(floor.state().agent(&agent("ana")).unwrap().intent, tea());
    set_by_mia(&mut floor, "ana", Intent::Ready, "back").unwrap();
    assert_eq!(floor.offered_to(id).as_deref(), Some("ana"));
}

#[test]
fn a_supervisor_makes_nobody_ready_who_has_chosen_not_to_be() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    floor.not_ready("ana");
    let refused = Err(Refusal::NotAllowed {
        actor: "supervisor",
        act: "make an agent ready who has chosen not to be",
    });
    let ready = set_by_mia(&mut floor, "ana", Intent::Ready, "we need her");
    assert_eq!(ready, refused);
    set_by_mia(&mut floor, "ana", tea(), "for the roster").unwrap();
    let ready = set_by_mia(&mut floor, "ana", Intent::Ready, "we need her");
    assert_eq!(ready, refused, "her own choice lies under it");
    floor.ready("ana");
    let record = floor.state().agent(&agent("ana")).unwrap();
    assert_eq!((&record.intent, &record.set_by), (&Intent::Ready, &None));
}

#[test]
fn a_supervisor_cannot_set_the_intent_of_an_agent_who_is_not_there() {
    let mut floor = Floor::new();
    let refused = set_by_mia(&mut floor, "ana", tea(), "who");
    let ana = agent("ana");
    assert_eq!(refused, Err(Refusal::AgentNotLoggedIn { agent: ana }));
}
