//! Random interleavings of everything that can happen; invariants after each step, replay twice.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_oneof};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::copies::{First, check_copy, pick_first};
use super::fired::{KINDS, fired};
use super::hands::{steered, supervised};
use super::overtakes::check_overtakes;
use super::plans::random_plan;
use super::support::*;
use crate::cell::command::*;
use crate::cell::conversation::Phase;
use crate::cell::defects;
use crate::cell::invariants::{check_invariants, check_step};
use crate::cell::{Applied, Cell, State};
use crate::ids::*;
use crate::plan::*;

/// One random step: what, and numbers that choose among what there is.
#[derive(Debug, Clone)]
struct Step {
    kind: u8,
    a: u8,
    b: u8,
    ms: u64,
}

/// Interleavings of the first property; the others need more work for each. Some ten seconds in all.
const CASES: u32 = 280;
/// Pairs of an offer and older or younger work of another line that the runs must come to at least.
const OVERTAKES_MANY: usize = 100;
const AGENTS: [&str; 4] = ["ana", "ben", "cem", "dea"];

/// Steps of this kind and those above it wait for the next deadline and let it fire.
const NEXT_DEADLINE: u8 = 38;
/// Steps of this kind wait for a deadline that may be far away.
const ANY_DEADLINE: u8 = 41;
/// Steps of this kind lose the agent who has the conversation; where nobody has it, one comes back.
const OWNER_LOST: u8 = 42;
/// Steps of this kind go on with what an agent has: a reply, a hold, the customer's word.
const GO_ON: u8 = 43;
/// Steps of this kind are a supervisor's: work taken from its agent, an agent named for it.
const SUPERVISED: u8 = 44;
/// Steps of this kind pause a queue or let it go on.
const STEERED: u8 = 45;

/// Runs whose first step says so adopt plans far more often than anybody does.
const PLANS_MANY: u64 = 20;

/// What a step works on.
struct Chosen {
    id: ConversationId,
    /// The owner, or the customer where there is none.
    by: Actor,
    agent: &'static str,
    customer: String,
}

fn choose(floor: &Floor, step: &Step) -> Option<Chosen> {
    let ids: Vec<ConversationId> = floor
        .state()
        .conversations()
        .map(|found| found.id)
        .collect();
    let live: Vec<ConversationId> = ids
        .iter()
        .copied()
        .filter(|id| !floor.phase(*id).is_over())
        .collect();
    // Every third step goes on with what an agent has, so that it comes to holds and their ends.
    let owned: Vec<ConversationId> = live
        .iter()
        .copied()
        .filter(|id| floor.owner(*id).is_some())
        .filter(|_| step.kind == GO_ON || step.ms.is_multiple_of(3))
        .collect();
    let pool = match (owned.is_empty(), live.is_empty()) {
        (_, true) => &ids,
        _ if step.b.is_multiple_of(16) => &ids,
        (true, false) => &live,
        (false, false) => &owned,
    };
    let id = pool.get(usize::from(step.a) % pool.len().max(1)).copied()?;
    let by = floor
        .owner(id)
        .map_or(Actor::Customer, |owner| floor.actor(id, &owner));
    let agent = AGENTS[usize::from(step.a) % AGENTS.len()];
    Some(Chosen {
        id,
        by,
        agent,
        customer: format!("c{}", step.a % 12),
    })
}

/// Turns a step into a command that fits what there is.
fn resolve(floor: &mut Floor, step: &Step) -> Command {
    let Some(chosen) = choose(floor, step) else {
        return Command::Open(floor.open_command("c0"));
    };
    let id = chosen.id;
    match step.kind {
        0..=3 => {
            let mut open = floor.open_command(&chosen.customer);
            open.queue = step.b.is_multiple_of(3).then(|| queue("billing"));
            open.account =
                AccountId::new(["web", "app", "voice"][usize::from(step.b) % 3]).unwrap();
            open.bot_first = step.b.is_multiple_of(11);
            open.boost_ms = u64::from(step.b) * 100;
            open.display_name = match step.a % 32 {
                0 => defects::IN_MATCHING.into(),
                1 => defects::IN_DEADLINE.into(),
                _ => String::new(),
            };
            Command::Open(open)
        }
        4..=7 => {
            let author = if step.b.is_multiple_of(2) {
                Actor::Customer
            } else {
                chosen.by
            };
            let sick = step.b.is_multiple_of(31);
            let text = if sick { defects::IN_DECIDE } else { "text" };
            Command::Send(floor.send_command(id, author, text))
        }
        8..=13 => answer(floor, step, id),
        14..=20 | 25..=26 | 28 | OWNER_LOST | GO_ON => change(floor, step, chosen),
        21 => Command::AdoptPlan(VersionedPlan {
            version: PlanVersion(floor.state().meta().plan.0 + 1),
            plan: std::sync::Arc::new(random_plan(u16::from_le_bytes([step.a, step.b]))),
        }),
        22 => Command::LeaderStarted(LeaderStarted {
            wall_ms: 0,
            without_leader_ms: u64::from(step.b) * 10,
            after_restart_of_all: step.b.is_multiple_of(7),
        }),
        23 | 24 => people(floor, step, chosen.agent),
        27 if step.b.is_multiple_of(2) => Command::ArchivedUpto(floor.archived_command()),
        27 => Command::MatchMore,
        SUPERVISED => supervised(floor, (step.a, step.b), id, chosen.agent),
        STEERED => steered(floor, (step.a, step.b)),
        _ => Command::tick(),
    }
}

fn change(floor: &mut Floor, step: &Step, chosen: Chosen) -> Command {
    let (id, by, name) = (chosen.id, chosen.by.clone(), chosen.agent);
    match step.kind {
        14 => {
            let (attached, our_fault) = (step.b % 4 < 2, step.b % 4 == 2);
            Command::CustomerPresence(CustomerPresence {
                conversation: id,
                attached,
                our_fault,
            })
        }
        15 => {
            let states = [
                LeaseState::Suspect,
                LeaseState::Lost,
                LeaseState::Alive,
                LeaseState::Gone,
            ];
            let state = states[usize::from(step.b) % 4];
            Command::Lease(Lease {
                agent: agent(name),
                session: floor.session(name),
                state,
                our_fault: false,
            })
        }
        OWNER_LOST => lose_owner(floor, step, &chosen),
        GO_ON => go_on(floor, step, chosen),
        16 => pass_on(floor, step, chosen),
        17 => Command::Hold(floor.act(id, by)),
        18 => Command::Resume(floor.act(id, by)),
        25 => Command::FinishWrapUp(floor.act(id, by)),
        26 => Command::HandOff(HandOff {
            conversation: id,
            request_id: floor.fresh(),
            owner_epoch: floor.epoch(id),
        }),
        28 => Command::Release(Release {
            conversation: id,
            request_id: floor.fresh(),
            staff: staff(),
            reason: String::new(),
        }),
        _ => {
            let by = if step.b.is_multiple_of(3) {
                Actor::Customer
            } else {
                by
            };
            let request_id = floor.fresh();
            Command::Close(Close {
                conversation: id,
                request_id,
                by,
                reason: String::new(),
                wrap_up: false,
            })
        }
    }
}

fn lose_owner(floor: &Floor, step: &Step, chosen: &Chosen) -> Command {
    let owner = floor.phase(chosen.id).owner().cloned();
    let state = match owner {
        Some(_) => LeaseState::Lost,
        None => LeaseState::Alive,
    };
    let agent = owner.unwrap_or(agent(chosen.agent));
    let session = floor.sessions.get(&agent).copied().unwrap_or_default();
    Command::Lease(Lease {
        agent,
        session,
        state,
        our_fault: step.b.is_multiple_of(4),
    })
}

fn go_on(floor: &mut Floor, step: &Step, Chosen { id, by, .. }: Chosen) -> Command {
    match floor.phase(id) {
        Phase::OnHold(_) => Command::Send(floor.send_command(id, Actor::Customer, "and?")),
        Phase::Active(active) if active.replied && step.b.is_multiple_of(2) => {
            Command::Hold(floor.act(id, by))
        }
        _ => Command::Send(floor.send_command(id, by, "let me see")),
    }
}

fn pass_on(floor: &mut Floor, step: &Step, chosen: Chosen) -> Command {
    let supervised = !step.b.is_multiple_of(2);
    let to_agent = Target::Agent {
        agent: agent(chosen.agent),
        wait: step.b % 8 < 4,
    };
    Command::Transfer(Transfer {
        conversation: chosen.id,
        request_id: floor.fresh(),
        by: if supervised { supervisor() } else { chosen.by },
        target: match step.b % 4 {
            0 | 1 => to_agent,
            2 => Target::Queue(queue("billing")),
            _ => Target::Queue(queue("sales")),
        },
        note: step.b.is_multiple_of(5).then(|| Body::clear("please")),
    })
}

fn answer(floor: &mut Floor, step: &Step, id: ConversationId) -> Command {
    let offered: Vec<ConversationId> = floor
        .state()
        .conversations()
        .filter(|found| matches!(found.phase, Phase::Offered(_)))
        .map(|found| found.id)
        .collect();
    let Some(id) = offered
        .get(usize::from(step.b) % offered.len().max(1))
        .copied()
    else {
        return Command::Send(floor.send_command(id, Actor::Customer, "still there?"));
    };
    match step.kind {
        8..=10 => Command::Accept(floor.accept_command(id)),
        11 => Command::Decline(Decline {
            request_id: floor.fresh(),
            offer: floor.offer_ref(id),
            reason: String::new(),
        }),
        12 => Command::OfferShown(floor.offer_ref(id)),
        _ => Command::Tick(Tick {
            // Every other time nobody can be reached.
            unreachable: floor
                .state()
                .agents()
                .filter(|_| step.b.is_multiple_of(2))
                .map(|agent| agent.name.clone())
                .collect(),
        }),
    }
}

fn people(floor: &mut Floor, step: &Step, name: &str) -> Command {
    let (session, request_id) = (floor.session(name), floor.fresh());
    let intent = if step.b.is_multiple_of(3) {
        Intent::NotReady {
            reason: "tea".into(),
        }
    } else {
        Intent::Ready
    };
    match step.b % 8 {
        7 => Command::SetIntent(SetIntent {
            agent: agent(name),
            request_id,
            session: None,
            staff: Some(staff()),
            intent,
            why: "by the roster".into(),
        }),
        0 => Command::LogOut(LogOut {
            agent: agent(name),
            request_id,
            session,
            device: None,
        }),
        1 => Command::SetIntent(SetIntent {
            agent: agent(name),
            request_id,
            session: Some(session),
            staff: None,
            intent,
            why: String::new(),
        }),
        2 => Command::SetNextStatus(SetIntent {
            agent: agent(name),
            request_id,
            session: Some(session),
            staff: None,
            intent,
            why: String::new(),
        }),
        _ => Command::LogIn(LogIn {
            agent: agent(name),
            request_id,
            device: device("desk"),
            session: None,
            intent,
            site: site("fra"),
        }),
    }
}

fn sessions(floor: &mut Floor) {
    floor.sessions = floor
        .state()
        .agents()
        .filter_map(|agent| Some((agent.name.clone(), agent.session?)))
        .collect();
}

/// What the steps of several runs have reached.
#[derive(Default)]
struct Reached {
    /// Ticks that fired a deadline, by its kind.
    fired: BTreeMap<&'static str, u32>,
    /// Offers beside which older work of another line was offerable to the same agent.
    compared: usize,
}

impl Reached {
    fn note(&mut self, (before, after): (&State, &State), entry: &Entry, done: &Applied) {
        self.compared += check_overtakes(before, after, done);
        if matches!(entry.command, Command::Tick(_)) {
            for kind in fired(before, done) {
                *self.fired.entry(kind).or_default() += 1;
            }
        }
    }
}

/// The time at which a deadline comes up of what is not over: the next one, or for some steps any one.
fn awaited(floor: &Floor, step: &Step) -> Option<CellTime> {
    let state = floor.state();
    let live = state.derived.deadlines.iter().filter(|(_, index)| {
        let found = state.conversations.get(index);
        found.is_some_and(|found| !matches!(found.phase, Phase::Closed(_)))
    });
    let live: Vec<CellTime> = live.map(|(at, _)| *at).collect();
    match step.kind {
        NEXT_DEADLINE..ANY_DEADLINE => live.first().copied().or(floor.cell.next_deadline()),
        ANY_DEADLINE => live.get(usize::from(step.b) % live.len().max(1)).copied(),
        _ => None,
    }
}

/// Runs the steps; the log that they made.
fn run(steps: &[Step]) -> (Floor, Vec<Entry>, Vec<Applied>) {
    run_noting(steps, &mut Reached::default())
}

/// The same, noting what was reached.
fn run_noting(steps: &[Step], reached: &mut Reached) -> (Floor, Vec<Entry>, Vec<Applied>) {
    let mut floor = Floor::with(|plan| *plan = random_plan(4));
    let first = Entry {
        at: CellTime(1_000_000),
        wall_ms: 1_700_001_000_000,
        command: Command::AdoptPlan(VersionedPlan {
            version: PlanVersion(1),
            plan: std::sync::Arc::new(random_plan(4)),
        }),
    };
    floor.cell = Cell::new(CELL);
    floor.index = 0;
    let mut log = Vec::new();
    let mut applied = Vec::new();
    let mut next = Some(first);
    let many_plans = steps.first().is_some_and(|step| step.b.is_multiple_of(4));
    let mut firsts: Vec<Option<First>> = Vec::new();
    for step in steps {
        let mut step = step.clone();
        if (30..NEXT_DEADLINE).contains(&step.kind) {
            let usual = [1, 2, 3, 8, 9, 14, GO_ON, GO_ON][usize::from(step.kind - 30)];
            step.kind = if many_plans { 21 } else { usual };
        }
        let again = (step.kind == 29)
            .then(|| pick_first(step.b, &firsts))
            .flatten();
        let entry = next.take().unwrap_or_else(|| {
            match awaited(&floor, &step) {
                Some(due) => floor.at = floor.at.max(due.0),
                None => floor.at += step.ms,
            }
            sessions(&mut floor);
            let command = match again {
                Some(at) => firsts[at].as_ref().unwrap().command.clone(),
                None => resolve(&mut floor, &step),
            };
            Entry {
                at: CellTime(floor.at),
                wall_ms: 1_700_000_000_000 + floor.at,
                command,
            }
        });
        let before = floor.cell.state().clone();
        floor.index += 1;
        let done = floor.cell.apply(LogIndex(floor.index), &entry);
        for broken in [
            check_invariants(floor.cell.state()),
            check_step(&before, floor.cell.state()),
        ] {
            broken.unwrap_or_else(|broken| panic!("{broken} after {entry:?}: {done:?}"));
        }
        reached.note((&before, floor.cell.state()), &entry, &done);
        if let Some(first) = again.and_then(|at| firsts[at].as_ref()) {
            check_copy(first, &done, floor.cell.state());
        }
        firsts.push(First::of(&entry, &done, floor.cell.state()).filter(|_| again.is_none()));
        log.push(entry);
        applied.push(done);
    }
    (floor, log, applied)
}

fn steps(count: std::ops::Range<usize>) -> impl Generated<Value = Vec<Step>> {
    let ms = prop_oneof![4 => 0_u64..500, 3 => 500..15_000_u64, 1 => 15_000..200_000_u64];
    let step = (0..=STEERED, any::<u8>(), any::<u8>(), ms).prop_map(|(kind, a, b, ms)| Step {
        kind,
        a,
        b,
        ms,
    });
    proptest::collection::vec(step, count)
}

use proptest::strategy::Strategy as Generated;

fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]))
}

#[test]
fn every_invariant_holds_after_every_step_of_any_interleaving() {
    let plans = std::cell::Cell::new(0);
    let reached = RefCell::new(Reached::default());
    runner(CASES)
        .run(&steps(80..260), |steps| {
            let (floor, _, _) = run_noting(&steps, &mut reached.borrow_mut());
            plans.set(plans.get().max(floor.state().meta().plan.0));
            Ok(())
        })
        .unwrap();
    assert!(plans.get() > PLANS_MANY, "no run adopted many plans");
    let Reached { fired, compared } = reached.into_inner();
    for kind in KINDS {
        assert!(
            fired.contains_key(kind),
            "never in any run: {kind}; {fired:?}"
        );
    }
    assert!(
        compared > OVERTAKES_MANY,
        "only {compared} offers beside work of another line"
    );
}

#[test]
fn the_same_log_gives_the_same_state_through_a_snapshot_at_any_point() {
    runner(CASES / 2)
        .run(&(steps(80..260), any::<u16>()), |(steps, cut)| {
            let (floor, log, applied) = run(&steps);
            let cut = usize::from(cut) % log.len();
            let mut twin = Cell::new(CELL);
            for (at, entry) in log.iter().enumerate() {
                if at == cut {
                    let frozen = twin.freeze();
                    twin = Cell::from_parts(frozen.parts()).unwrap();
                }
                let done = twin.apply(LogIndex(at as u64 + 1), entry);
                prop_assert_eq!(&done, &applied[at], "entry {} differs", at + 1);
            }
            prop_assert!(twin == floor.cell, "the states differ");
            Ok(())
        })
        .unwrap();
}

#[test]
fn when_everybody_is_there_every_line_drains() {
    runner(CASES / 4)
        .run(&steps(50..150), |steps| {
            let (mut floor, _, _) = run(&steps);
            let version = floor.state().meta().plan.0 + 1;
            let mut content = random_plan(1);
            content.queues.get_mut(&queue("sales")).unwrap().wrap_up = WrapUpMode::Optional;
            floor.adopt(version, content);
            for name in ["sales", "billing"] {
                let act = floor.queue_act(name, "");
                floor.ask(Command::ResumeQueue(act)).ok();
            }
            sessions(&mut floor);
            for name in AGENTS {
                floor.log_in(name);
                floor.ready(name);
            }
            for _ in 0..4_000 {
                let offered = floor
                    .state()
                    .conversations()
                    .find(|found| matches!(found.phase, Phase::Offered(_)))
                    .map(|found| found.id);
                let active = floor
                    .state()
                    .conversations()
                    .find(|found| matches!(found.phase, Phase::Active(_)))
                    .map(|found| found.id);
                let wrap_up = floor
                    .state()
                    .conversations()
                    .find(|found| matches!(found.phase, Phase::WrapUp(_)))
                    .map(|found| found.id);
                if let Some(id) = offered {
                    floor.accept(id);
                } else if let Some(id) = active {
                    floor.close_by(id, supervisor()).unwrap();
                } else if let Some(id) = wrap_up {
                    let act = floor.act(id, supervisor());
                    floor.ask(Command::FinishWrapUp(act)).unwrap();
                } else {
                    break;
                }
            }
            floor.wait_ms(120_000);
            let left = floor
                .state()
                .conversations()
                .filter(|found| found.is_waiting())
                .count();
            prop_assert_eq!(left, 0, "a line did not drain");
            Ok(())
        })
        .unwrap();
}
