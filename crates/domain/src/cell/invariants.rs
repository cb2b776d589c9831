//! What holds in every state of a cell, and between a state and the next.
//! Promise: checked against the stored records alone, by other ways than those that keep it.
//! Not here: repairing anything.

mod leaving;
pub(crate) mod plain;
mod rules;
mod steer;
mod taken;
mod watch;
#[cfg(test)]
mod watch_test;

use std::collections::{BTreeMap, BTreeSet};

use super::capacity::FreeKey;
use super::classes::ClassKey;
use super::command::LeaseState;
use super::conversation::{Conversation, ITEMS_MAX, ITEMS_RESERVE, Phase};
use super::deadlines::first_due;
use super::derived::{Gauges, LineKey};
use super::requests::{REQUESTS_MAX, Side};
use super::state::{PLANS_MAX, State};
use super::transcript::{Author, Item};
use crate::ids::{AgentId, CellTime, ConversationId, LogIndex, OfferId, QueueId, SiteId};
use plain::Work;

pub use rules::Rule;
pub use watch::Watch;

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
    /// Units, or conversations of a channel, are counted wrong.
    #[error("the load of {agent} is not what the conversations take")]
    Load {
        /// The agent.
        agent: AgentId,
    },
    /// A line holds other conversations than those that wait in it, or in another order.
    #[error("{line} is not what waits there, in order")]
    Line {
        /// Which.
        line: String,
    },
    /// The agents who are free for work are others, or would be asked in another order.
    #[error("the free agents for {class} are not those who are free, in order")]
    Free {
        /// For which work.
        class: String,
    },
    /// A table of requests is larger than its bound.
    #[error("the table of requests of {object} is over its bound")]
    Requests {
        /// Whose.
        object: String,
    },
    /// A queue that a supervisor has paused offers work, or its work stands in the wrong lines.
    #[error("queue {queue} is paused and offers work, or its work stands in the wrong lines")]
    Paused {
        /// The queue.
        queue: QueueId,
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
    /// A record changed after it was sealed.
    #[error("{conversation} changed after it was sealed for the archive")]
    SealBroken {
        /// The conversation.
        conversation: ConversationId,
    },
    /// What is said to be archived is still here, or has gaps.
    #[error("the ranges that have left for the archives do not add up")]
    Archive,
    /// A rule does not hold between an entry and the one before.
    #[error("{what}")]
    Broken {
        /// Which rule.
        rule: Rule,
        /// What was seen.
        what: String,
    },
    /// An entry that took units left more in use than there are.
    #[error("{agent} has {used} units in use of {capacity}")]
    OverCapacity {
        /// The agent.
        agent: AgentId,
        /// Units in use.
        used: u64,
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
    leaving::check_archive(state)?;
    check_plans(state)?;
    check_indexes(state)?;
    let work = plain::work(state);
    check_loads(state, &work)?;
    check_lines(state)?;
    check_free(state, &work)?;
    if state.meta.more_due {
        Ok(())
    } else {
        check_nobody_idle(state, &work)
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
            if leaving::has_left(old, after) {
                continue;
            }
            return ran_back(format!("{}", old.id));
        };
        if old.is_sealed() && new != old {
            return Err(Violation::SealBroken {
                conversation: old.id,
            });
        }
        if new.owner_epoch < old.owner_epoch {
            return ran_back(format!("owner epoch of {}", old.id));
        }
        if !new.items.begin_with(&old.items) {
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
    let had = plain::work(before);
    for (name, work) in &plain::work(after) {
        let (had, used) = (had.get(name).map_or(0, plain::units), plain::units(work));
        let capacity = after
            .agents
            .get(name)
            .map_or(0, |agent| agent.profile.capacity);
        if used > had && used > u64::from(capacity) {
            return Err(Violation::OverCapacity {
                agent: name.clone(),
                used,
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
            let there = agent.is_some_and(|agent| {
                agent.session == Some(offer.session) && agent.lease == LeaseState::Alive
            });
            if !there {
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
    for queue in state.queues.values() {
        check_requests(&queue.requests, || queue.name.to_string())?;
        steer::check_paused(state, queue)?;
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
    let items: Vec<Item> = conversation.items.iter().collect();
    let messages = items.iter().filter_map(|item| item.message());
    let (count, bytes) = messages.fold((0, 0), |(n, bytes), message| {
        (n + 1, bytes + message.body.bytes.len() as u64)
    });
    let noted: u64 = conversation
        .remarks
        .iter()
        .map(|remark| remark.body.bytes.len() as u64)
        .sum();
    let stored = items.iter().filter_map(|item| item.message());
    let mut ids: Vec<_> = stored
        .map(|message| (&message.id, writer(&message.author)))
        .collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair[0] == pair[1]) {
        let what = format!("a message of {} is stored twice", conversation.id);
        let rule = Rule::AnsweredOnce;
        return Err(Violation::Broken { rule, what });
    }
    let tags = items
        .iter()
        .map(|item| item.message().map_or(0, |message| message.id.tag()));
    let adds_up = conversation.messages == count && conversation.message_bytes == bytes + noted;
    let bounded = conversation.entries() <= ITEMS_MAX + ITEMS_RESERVE + 2;
    if gapless
        && remarks
        && adds_up
        && tags.eq(conversation.items.tags().iter().copied())
        && bounded
    {
        return Ok(());
    }
    Err(Violation::Transcript {
        conversation: conversation.id,
    })
}

/// Who wrote a message, as far as its id goes.
fn writer(author: &Author) -> (u8, &str) {
    match author {
        Author::Customer => (0, ""),
        Author::Agent(agent) => (1, agent.as_str()),
        Author::Bot => (2, ""),
        Author::Staff(staff) => (3, staff.as_str()),
        Author::Machine => (4, ""),
    }
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

/// What each agent is said to hold against what the conversations take.
fn check_loads(state: &State, work: &BTreeMap<AgentId, Work>) -> Result<(), Violation> {
    let none = Work::new();
    let named = state.derived.agents.keys().chain(work.keys());
    for name in named {
        let taken = work.get(name).unwrap_or(&none);
        let load = state.derived.agents.get(name).map(|index| &index.load);
        let adds_up = load.is_some_and(|load| {
            let channels = taken.iter().all(|(channel, _)| {
                let of_channel = taken.iter().filter(|(name, _)| name == channel).count();
                load.channels
                    .iter()
                    .any(|(name, count)| name == channel && *count as usize == of_channel)
            });
            let counted: u32 = load.channels.iter().map(|(_, count)| count).sum();
            u64::from(load.used) == plain::units(taken)
                && load.count as usize == taken.len()
                && counted == load.count
                && channels
        });
        if !adds_up {
            return Err(Violation::Load {
                agent: name.clone(),
            });
        }
    }
    Ok(())
}

/// Where each waiting conversation belongs, by its record, against the lines.
fn check_lines(state: &State) -> Result<(), Violation> {
    let mut waiting: Vec<&Conversation> = state
        .conversations()
        .map(|found| &**found)
        .filter(|found| plain::waits(found))
        .collect();
    waiting.sort_by_key(|found| plain::place(found));
    let mut queues = BTreeMap::<&QueueId, Vec<LogIndex>>::new();
    let mut own = BTreeMap::<&AgentId, Vec<LogIndex>>::new();
    let mut classes = BTreeMap::<ClassKey, Vec<LogIndex>>::new();
    for found in waiting {
        let index = found.id.index;
        queues.entry(&found.queue).or_default().push(index);
        if let Some(agent) = plain::kept_for(found) {
            own.entry(agent).or_default().push(index);
        } else if !plain::is_paused(state, found.classed_by, found)
            && !plain::stands_aside(state, found)
        {
            classes
                .entry(class_of(state, found))
                .or_default()
                .push(index);
        }
    }
    let line =
        |keys: &BTreeSet<LineKey>| -> Vec<LogIndex> { keys.iter().map(|key| key.index).collect() };
    let broken = |line: String| Err(Violation::Line { line });
    for (name, index) in &state.derived.queues {
        if line(&index.line) != queues.remove(name).unwrap_or_default() {
            return broken(format!("the line of {name}"));
        }
    }
    for (name, index) in &state.derived.agents {
        if line(&index.own_line) != own.remove(name).unwrap_or_default() {
            return broken(format!("the own line of {name}"));
        }
    }
    for (_, class) in state.derived.classes.iter() {
        if line(&class.line) != classes.remove(&class.key).unwrap_or_default() {
            return broken(format!("the line of {:?}", class.key));
        }
    }
    if queues.is_empty() && own.is_empty() && classes.is_empty() {
        Ok(())
    } else {
        broken("a line that is missing".to_owned())
    }
}

fn class_of(state: &State, conversation: &Conversation) -> ClassKey {
    let rules = plain::rules(state, conversation.classed_by, conversation);
    ClassKey {
        requires: rules.map_or(Vec::new(), |rules| rules.requires.clone()),
        channel: conversation.channel.clone(),
        strategy: rules.map_or(crate::plan::Strategy::LongestIdle, |rules| rules.strategy),
    }
}

/// For every kind of work that waits, who is free for it and who is not, in the order of asking.
fn check_free(state: &State, work: &BTreeMap<AgentId, Work>) -> Result<(), Violation> {
    let none = Work::new();
    let held = |name: &AgentId| work.get(name).unwrap_or(&none);
    for (_, class) in state.derived.classes.iter() {
        if class.line.is_empty() {
            continue;
        }
        let serving = state.agents.values().filter(|agent| {
            agent.session.is_some() && plain::may_serve(agent, &class.key.requires)
        });
        let (mut free, busy): (Vec<_>, Vec<_>) = serving
            .partition(|agent| plain::is_free(state, agent, held(&agent.name), &class.key.channel));
        free.sort_by(|one, other| {
            let (of_one, of_other) = (held(&one.name), held(&other.name));
            plain::order(class.key.strategy, (one, of_one), (other, of_other))
        });
        let same = class
            .free
            .iter()
            .map(|key| &key.agent)
            .eq(free.iter().map(|agent| &agent.name))
            && class.busy.iter().eq(busy.iter().map(|agent| &agent.name));
        if !same {
            let class = format!("{:?}", class.key);
            return Err(Violation::Free { class });
        }
    }
    Ok(())
}

/// Every pair of a waiting conversation and an agent, judged by the records and the plan in force.
fn check_nobody_idle(state: &State, work: &BTreeMap<AgentId, Work>) -> Result<(), Violation> {
    let (none, plan) = (Work::new(), state.meta.plan);
    for conversation in state.conversations().filter(|found| plain::waits(found)) {
        if plain::is_paused(state, plan, conversation) || plain::is_stopped(state, conversation) {
            continue;
        }
        let rules = plain::rules(state, plan, conversation);
        let requires = rules.map_or(&[][..], |rules| &rules.requires);
        for agent in state.agents.values() {
            let asked = match plain::kept_for(conversation) {
                Some(only) => *only == agent.name,
                None => plain::may_serve(agent, requires),
            };
            let passed = conversation
                .passed_over
                .iter()
                .any(|passed| passed.agent == agent.name);
            let held = work.get(&agent.name).unwrap_or(&none);
            if asked && !passed && plain::is_free(state, agent, held, &conversation.channel) {
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
    if have.ended != want.ended {
        return differs("ended");
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
