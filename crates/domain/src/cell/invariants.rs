//! What holds in every state of a cell, and between a state and the next.
//! Promise: checked against the stored records alone, by other ways than those that keep it.
//! Not here: repairing anything.

use std::collections::{BTreeMap, BTreeSet};

use super::capacity::{FreeKey, can_take, is_eligible};
use super::classes::ClassKey;
use super::conversation::{Conversation, Held, ITEMS_MAX, ITEMS_RESERVE, Phase};
use super::deadlines::first_due;
use super::derived::{Gauges, LineKey};
use super::requests::{REQUESTS_MAX, Side};
use super::state::{PLANS_MAX, State};
use crate::ids::{AgentId, CellTime, ConversationId, LogIndex, OfferId, QueueId, SiteId};

/// What does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A transcript has a gap or its counters are wrong.
    #[error("transcript of {conversation} does not add up")]
    Transcript {
        /// The conversation.
        conversation: ConversationId,
    },
    /// A customer's entry does not name the open conversation, or another one is open too.
    #[error("customer of {conversation} has another open conversation")]
    OpenTwice {
        /// The conversation.
        conversation: ConversationId,
    },
    /// An offer to an agent who is not there.
    #[error("offer {offer} is made to an agent who is out of reach or logged in anew")]
    OfferToNobody {
        /// The offer.
        offer: OfferId,
    },
    /// A timer would fire too late.
    #[error("deadline of {conversation} is later than its first timer, or missing")]
    Deadline {
        /// The conversation.
        conversation: ConversationId,
    },
    /// Work waits beside an agent who could have it.
    #[error("{conversation} waits beside {agent}, who is free and may serve it")]
    IdleBesideWork {
        /// The conversation.
        conversation: ConversationId,
        /// The agent.
        agent: AgentId,
    },
    /// A table of requests is larger than its bound.
    #[error("the table of requests of {object} is over its bound")]
    Requests {
        /// Whose.
        object: String,
    },
    /// A conversation names a plan that cannot be read, or there are too many plans.
    #[error("plans are missing or too many")]
    Plans,
    /// An index is not what the records make it.
    #[error("the index `{index}` differs from the records")]
    Index {
        /// Which.
        index: &'static str,
    },
    /// The counts of conversations are wrong.
    #[error("the counts of conversations differ from the records")]
    Counts,
    /// Something that only grows has shrunk.
    #[error("{what} ran back")]
    RanBack {
        /// What.
        what: String,
    },
    /// An entry that took units left more in use than there are.
    #[error("{agent} has {used} units in use of {capacity}")]
    OverCapacity {
        /// The agent.
        agent: AgentId,
        /// Units in use.
        used: u32,
        /// Units in all.
        capacity: u32,
    },
}

/// Checks everything that holds in one state.
///
/// # Errors
/// Names the first thing that does not hold.
pub fn check_invariants(state: &State) -> Result<(), Violation> {
    check_records(state)?;
    check_plans(state)?;
    check_indexes(state)?;
    if state.meta.more_due {
        Ok(())
    } else {
        check_nobody_idle(state)
    }
}

/// Checks what holds between a state and a later one.
///
/// # Errors
/// Names the first thing that does not hold.
pub fn check_step(before: &State, after: &State) -> Result<(), Violation> {
    let ran_back = |what: String| Err(Violation::RanBack { what });
    if after.meta.now < before.meta.now {
        return ran_back("cell time".into());
    }
    for old in before.conversations() {
        let Some(new) = after.conversation(old.id) else {
            return ran_back(format!("{}", old.id));
        };
        if new.owner_epoch < old.owner_epoch {
            return ran_back(format!("owner epoch of {}", old.id));
        }
        if new.items.len() < old.items.len() || new.items[..old.items.len()] != old.items[..] {
            return ran_back(format!("transcript of {}", old.id));
        }
        if old.is_waiting() && new.is_waiting() && old.queue == new.queue && new.rank() > old.rank()
        {
            return ran_back(format!("place of {}", old.id));
        }
        let (was, is) = (old.phase.owner(), new.phase.owner());
        if was != is && is.is_some() && new.owner_epoch == old.owner_epoch {
            return ran_back(format!("owner of {} within an epoch", old.id));
        }
    }
    for (name, index) in &after.derived.agents {
        let had = before
            .derived
            .agents
            .get(name)
            .map_or(0, |index| index.load.used);
        let capacity = after
            .agents
            .get(name)
            .map_or(0, |agent| agent.profile.capacity);
        if index.load.used > had && index.load.used > capacity {
            return Err(Violation::OverCapacity {
                agent: name.clone(),
                used: index.load.used,
                capacity,
            });
        }
    }
    Ok(())
}

fn check_records(state: &State) -> Result<(), Violation> {
    let mut open = BTreeSet::new();
    let (mut all, mut not_over) = (0, 0);
    for conversation in state.conversations() {
        all += 1;
        check_transcript(conversation)?;
        check_requests(&conversation.requests, || conversation.id.to_string())?;
        let id = conversation.id;
        if !conversation.phase.is_over() {
            not_over += 1;
            let customer = state.customer(&conversation.account, &conversation.customer);
            let named = customer.is_some_and(|record| record.open == Some(id));
            if !named || !open.insert((conversation.account.clone(), conversation.customer.clone()))
            {
                return Err(Violation::OpenTwice { conversation: id });
            }
        }
        if let Phase::Offered(offer) = &conversation.phase {
            let agent = state.agents.get(&offer.agent);
            if !agent
                .is_some_and(|agent| agent.session == Some(offer.session) && agent.is_reachable())
            {
                return Err(Violation::OfferToNobody { offer: offer.id });
            }
        }
        let due = first_due(state, conversation).map(|(at, _)| at);
        if due.is_some_and(|due| conversation.deadline.is_none_or(|at| at > due)) {
            return Err(Violation::Deadline { conversation: id });
        }
    }
    for agent in state.agents.values() {
        check_requests(&agent.requests, || agent.name.to_string())?;
    }
    let counted = state.meta.conversations == all && state.meta.open == not_over;
    if counted {
        Ok(())
    } else {
        Err(Violation::Counts)
    }
}

fn check_transcript(conversation: &Conversation) -> Result<(), Violation> {
    let gapless = conversation
        .items
        .iter()
        .zip(1_u64..)
        .all(|(item, n)| item.sequence.0 == n);
    let remarks = conversation
        .remarks
        .iter()
        .zip(1_u64..)
        .all(|(remark, n)| remark.number == n);
    let messages = conversation.items.iter().filter_map(|item| item.message());
    let (count, bytes) = messages.fold((0, 0), |(n, bytes), message| {
        (n + 1, bytes + message.body.bytes.len() as u64)
    });
    let noted: u64 = conversation
        .remarks
        .iter()
        .map(|remark| remark.body.bytes.len() as u64)
        .sum();
    let tags = conversation
        .items
        .iter()
        .map(|item| item.message().map_or(0, |message| message.id.tag()));
    let adds_up = conversation.messages == count && conversation.message_bytes == bytes + noted;
    let bounded = conversation.entries() <= ITEMS_MAX + ITEMS_RESERVE + 2;
    if gapless
        && remarks
        && adds_up
        && tags.eq(conversation.known.tags().iter().copied())
        && bounded
    {
        return Ok(());
    }
    Err(Violation::Transcript {
        conversation: conversation.id,
    })
}

fn check_requests(
    rows: &[super::requests::Remembered],
    object: impl Fn() -> String,
) -> Result<(), Violation> {
    for side in [Side::Customer, Side::Ours, Side::Staff] {
        if rows
            .iter()
            .filter(|row| row.principal.side() == side)
            .count()
            > REQUESTS_MAX
        {
            return Err(Violation::Requests { object: object() });
        }
    }
    Ok(())
}

fn check_plans(state: &State) -> Result<(), Violation> {
    let live = state
        .conversations()
        .filter(|found| !matches!(found.phase, Phase::Closed(_)));
    let readable = live
        .into_iter()
        .all(|found| state.plan_at(found.pinned).is_some() && state.rules(found).is_some());
    if readable && (state.plans.len() <= PLANS_MAX || state.meta.more_due) {
        Ok(())
    } else {
        Err(Violation::Plans)
    }
}

/// Every pair of a waiting conversation and an agent, judged by the records.
fn check_nobody_idle(state: &State) -> Result<(), Violation> {
    for conversation in state.conversations().filter(|found| found.is_waiting()) {
        let Phase::Queued(waiting) = &conversation.phase else {
            continue;
        };
        if state.is_paused(&conversation.queue) {
            continue;
        }
        let held = waiting.held != Held::No;
        let requires = state
            .queue_plan(conversation.classed_by, &conversation.queue)
            .map_or(&[][..], |plan| &plan.requires);
        for agent in state.agents.values() {
            let asked = if held {
                waiting.prefer.as_ref() == Some(&agent.name)
            } else {
                is_eligible(agent, requires)
            };
            let passed = conversation
                .passed_over
                .iter()
                .any(|passed| passed.agent == agent.name);
            let load = state
                .agent_view(&agent.name)
                .map(|view| view.load)
                .unwrap_or_default();
            if asked && !passed && can_take(state, agent, &load, &conversation.channel).is_ok() {
                return Err(Violation::IdleBesideWork {
                    conversation: conversation.id,
                    agent: agent.name.clone(),
                });
            }
        }
    }
    Ok(())
}

type Lines = BTreeMap<ClassKey, BTreeSet<LineKey>>;
type FreeSets = BTreeMap<ClassKey, (BTreeSet<FreeKey>, BTreeSet<AgentId>)>;

fn check_indexes(state: &State) -> Result<(), Violation> {
    let mut fresh = state.clone();
    fresh.rebuild();
    let (have, want) = (&state.derived, &fresh.derived);
    let differs = |index| Err(Violation::Index { index });
    if have.deadlines != want.deadlines || have.agent_deadlines != want.agent_deadlines {
        return differs("deadlines");
    }
    if have.offers != want.offers {
        return differs("offers");
    }
    if gauges(state) != gauges(&fresh) || queue_lines(state) != queue_lines(&fresh) {
        return differs("queues");
    }
    if have.classed != want.classed || have.pinned != want.pinned {
        return differs("plans");
    }
    for (name, index) in &want.agents {
        let same = have.agents.get(name).is_some_and(|other| {
            other.load == index.load
                && other.conversations == index.conversations
                && other.own_line == index.own_line
        });
        if !same {
            return differs("agents");
        }
    }
    let (lines, free) = classes(state);
    let (want_lines, want_free) = classes(&fresh);
    if lines != want_lines {
        return differs("lines");
    }
    let known = |key: &ClassKey| want_lines.contains_key(key);
    let only =
        |sets: FreeSets| -> FreeSets { sets.into_iter().filter(|(key, _)| known(key)).collect() };
    if only(free) == only(want_free) {
        Ok(())
    } else {
        differs("free agents")
    }
}

fn gauges(state: &State) -> BTreeMap<(QueueId, SiteId), Gauges> {
    let queues = state.derived.queues.iter();
    let all = queues.flat_map(|(queue, index)| {
        index
            .gauges
            .iter()
            .map(move |(site, found)| ((queue.clone(), site.clone()), *found))
    });
    all.filter(|(_, found)| *found != Gauges::default())
        .collect()
}

type QueueLine = (BTreeSet<LineKey>, BTreeSet<(CellTime, LogIndex)>);

fn queue_lines(state: &State) -> BTreeMap<QueueId, QueueLine> {
    let queues = state
        .derived
        .queues
        .iter()
        .filter(|(_, index)| !index.line.is_empty());
    queues
        .map(|(queue, index)| (queue.clone(), (index.line.clone(), index.entered.clone())))
        .collect()
}

/// Classes that hold work, with their lines and free agents.
fn classes(state: &State) -> (Lines, FreeSets) {
    let busy = state
        .derived
        .classes
        .iter()
        .filter(|(_, class)| !class.line.is_empty());
    let mut lines = Lines::new();
    let mut free = FreeSets::new();
    for (_, class) in busy {
        lines.insert(class.key.clone(), class.line.clone());
        free.insert(class.key.clone(), (class.free.clone(), class.busy.clone()));
    }
    (lines, free)
}
