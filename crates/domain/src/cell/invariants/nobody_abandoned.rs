//! Nobody is abandoned for our outage: what we caused never counts against anyone.
//!
//! A customer has the whole time to come back while the cell has a leader, and the longer one where we are to blame. An
//! agent misses no offer that a leader's start interrupted, that was shown late, that lapsed while the agent's edge was
//! out of reach or while very many lapse; nor is an agent doubted before a leader has had time to hear of it, and work is
//! not taken from one who was silent for less than the time that counts.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use super::frame::{About, At, Found, Invariant, broken};
use super::known::Known;
use super::plain;
use super::timers::gone_for;
use crate::cell::agent::Agent;
use crate::cell::command::{Command, LeaseState};
use crate::cell::conversation::{Conversation, Ending, Phase};
use crate::cell::event::Event;
use crate::cell::floor::OfferOutcome;
use crate::cell::state::State;
use crate::cell::transcript::{HoldReason, ItemKind, RequeueReason};
use crate::ids::{AgentId, CellTime, ChannelId, ConversationId, OfferId, QueueId};

/// Heartbeats that a leader must have had time for before anybody is called silent.
const HEARTBEATS: u64 = 3;
/// An offer that was shown after more than a quarter of its time was not missed.
const LATE_DIVISOR: u64 = 4;

#[derive(Default)]
pub(super) struct NobodyAbandoned {
    /// When open offers were shown.
    shown: BTreeMap<OfferId, CellTime>,
    /// Offers missed in a row by agent and channel, and whether that has led to silence.
    misses: BTreeMap<AgentId, Vec<(ChannelId, u32, bool)>>,
    /// Queues of which too many offers lapse.
    spiking: BTreeSet<QueueId>,
    /// Agents who have missed an offer in the present entry by their own doing, and its queue.
    missed: BTreeSet<(AgentId, QueueId)>,
}

impl NobodyAbandoned {
    /// From this state on.
    pub(super) fn of(state: &State) -> Self {
        let mut rule = Self::default();
        for found in state.conversations() {
            if let Phase::Offered(offer) = &found.phase {
                rule.shown.extend(offer.shown_at.map(|at| (offer.id, at)));
            }
        }
        for agent in state.agents.values() {
            rule.put(agent);
        }
        let spiking = state
            .queues
            .values()
            .filter(|queue| queue.spike_since.is_some());
        rule.spiking = spiking.map(|queue| queue.name.clone()).collect();
        rule
    }

    fn put(&mut self, agent: &Agent) {
        let misses = agent.channels.iter();
        let misses: Vec<_> = misses
            .map(|pause| (pause.channel.clone(), pause.misses, pause.not_responding))
            .collect();
        match misses.is_empty() {
            true => drop(self.misses.remove(&agent.name)),
            false => drop(self.misses.insert(agent.name.clone(), misses)),
        }
    }
}

fn fails(about: impl Into<About>, what: impl Into<String>) -> Found {
    broken(Rule::NobodyAbandoned, about, what)
}

impl Invariant for NobodyAbandoned {
    fn begins(&mut self, _: &Known, _: &At<'_>) -> Found {
        self.missed.clear();
        Ok(())
    }

    fn event(&mut self, known: &Known, at: &At<'_>, event: &Event) -> Found {
        match event {
            Event::OfferShown { offer, at, .. } => drop(self.shown.insert(*offer, *at)),
            Event::SpikeChanged { queue, since } => match since {
                Some(_) => drop(self.spiking.insert(queue.clone())),
                None => drop(self.spiking.remove(queue)),
            },
            Event::OfferEnded {
                offer,
                conversation,
                agent,
                outcome,
                queue,
                ..
            } => {
                let shown = self.shown.remove(offer);
                let whose = (*conversation, agent);
                if *outcome == OfferOutcome::Expired && !is_our_fault(known, at, whose, shown) {
                    self.missed.insert((agent.clone(), queue.clone()));
                }
            }
            Event::Ended {
                conversation,
                how: Ending::Abandoned { .. },
            } if matches!(at.entry.command, Command::Tick(_)) => {
                return check_abandoned(known, at.state, *conversation);
            }
            Event::PhaseChanged {
                conversation,
                phase: Phase::OnHold(hold),
                ..
            } if hold.reason == HoldReason::AgentLost => {
                return check_lost(known, at, *conversation, &hold.agent);
            }
            Event::ItemAdded { conversation, item } if is_of_lost(&item.kind) => {
                let seen = known.seen(conversation.index);
                let holder = seen.and_then(|seen| seen.taken.as_ref());
                return match holder {
                    Some((agent, ..)) => check_lost(known, at, *conversation, agent),
                    None => Ok(()),
                };
            }
            Event::AgentChanged { agent } => {
                self.check_missed(agent)?;
                self.put(agent);
                return check_doubted(known, at.state, agent);
            }
            _ => {}
        }
        Ok(())
    }

    fn prune(&mut self, state: &State) {
        self.shown
            .retain(|offer, _| state.offered(*offer).is_some());
        self.misses
            .retain(|name, _| state.agents.contains_key(name));
    }
}

/// Whether an item says that work went back to its line because its agent was lost.
fn is_of_lost(kind: &ItemKind) -> bool {
    let reason = RequeueReason::AgentLost;
    *kind == ItemKind::Requeued { reason }
}

/// Whether an offer that lapsed now was missed through no fault of the agent.
fn is_our_fault(
    known: &Known,
    at: &At<'_>,
    (conversation, agent): (ConversationId, &AgentId),
    shown: Option<CellTime>,
) -> bool {
    let Command::Tick(tick) = &at.entry.command else {
        return true;
    };
    let Some((made_at, period_ms)) = known.seen(conversation.index).and_then(|seen| seen.offered)
    else {
        return false;
    };
    let late = shown.is_some_and(|shown| shown.since_ms(made_at) > period_ms / LATE_DIVISOR);
    late || known.leaders.started_since(made_at) || tick.unreachable.contains(agent)
}

/// A customer who is gone has had the whole time while there was a leader.
fn check_abandoned(known: &Known, state: &State, id: ConversationId) -> Found {
    let Some(found) = state.conversation(id) else {
        return Ok(());
    };
    let Some((since, period_ms)) = gone_for(state, found) else {
        return fails(id, format!("{id} was abandoned, and its customer is there"));
    };
    let due = known.leaders.due(since, period_ms);
    if known.now >= due {
        return Ok(());
    }
    let what = format!(
        "{id} was abandoned at {}, and its customer had until {} with a leader",
        known.now.0, due.0
    );
    fails(id, what)
}

/// Whoever is called silent was so while a leader could have heard of it.
fn check_doubted(known: &Known, state: &State, agent: &Agent) -> Found {
    let doubted = matches!(agent.lease, LeaseState::Suspect | LeaseState::Lost);
    // What was said of the lease earlier was judged then.
    if !doubted || agent.lease_since != known.now {
        return Ok(());
    }
    let heartbeat_ms = state.plan().map_or(5_000, |plan| plan.policy.heartbeat_ms);
    let earliest = known
        .leaders
        .started_at
        .map(|at| at.plus_ms(heartbeat_ms.saturating_mul(HEARTBEATS)));
    match earliest {
        Some(earliest) if known.now < earliest => {
            let name = &agent.name;
            let what = format!(
                "{name} was called silent at {}, before {}, {HEARTBEATS} heartbeats after a leader's start",
                known.now.0, earliest.0
            );
            fails(name, what)
        }
        _ => Ok(()),
    }
}

/// Work that is kept for a lost agent was left alone for the time that counts.
fn check_lost(known: &Known, at: &At<'_>, id: ConversationId, name: &AgentId) -> Found {
    let state = at.state;
    let (Some(found), Some(agent)) = (state.conversation(id), state.agents.get(name)) else {
        return Ok(());
    };
    let Some(ms) = lost_ms(at, found) else {
        return Ok(());
    };
    let due = known.leaders.due(agent.silent_since, ms);
    if known.now >= due {
        return Ok(());
    }
    let what = format!(
        "{id} was taken from {name} at {} and not after {}, with a leader",
        known.now.0, due.0
    );
    fails(About::Both(id, name.clone()), what)
}

/// How long the owner of a conversation may be silent.
fn lost_ms(at: &At<'_>, found: &Conversation) -> Option<u64> {
    let rules = plain::rules(at.state, found.pinned, found)?;
    let usual_ms = rules.timers.agent_lost_ms;
    let policy = at.state.plan().map(|plan| &plan.policy);
    Some(match (&at.entry.command, policy) {
        (Command::Lease(lease), Some(policy)) if lease.our_fault => {
            usual_ms.min(policy.lost_site_down_ms)
        }
        _ => usual_ms,
    })
}

impl NobodyAbandoned {
    /// Misses are counted only where an offer lapsed in the same entry that nobody else is to blame for.
    fn check_missed(&self, agent: &Agent) -> Found {
        let none = Vec::new();
        let before = self.misses.get(&agent.name).unwrap_or(&none);
        for pause in &agent.channels {
            let was = before
                .iter()
                .find(|(channel, ..)| *channel == pause.channel);
            let (misses, silent) = was.map_or((0, false), |(_, misses, silent)| (*misses, *silent));
            let grew = pause.misses > misses || (pause.not_responding && !silent);
            let theirs = |(name, queue): &(AgentId, QueueId)| {
                *name == agent.name && !self.spiking.contains(queue)
            };
            if grew && !self.missed.iter().any(theirs) {
                let name = &agent.name;
                let what = format!(
                    "{name} is said to have missed an offer on {} through no fault of theirs",
                    pause.channel
                );
                return fails(name, what);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::cell::command::Tick;
    use crate::cell::conversation::Gone;
    use crate::cell::tests::support::*;

    fn judged(made: &Made) -> Option<Rule> {
        rule_of(made.judged_by(NobodyAbandoned::of(&made.before)))
    }

    /// The tick in which the first deadline of a floor fires; one that was renewed is put back before it.
    fn due(floor: &mut Floor) -> Made {
        loop {
            floor.at = floor.cell.next_deadline().expect("one is set").0;
            let made = Made::apply(floor, Command::tick());
            let put_back = |event: &Event| matches!(event, Event::DeadlinePutBack { .. });
            if !made.events.iter().all(put_back) {
                return made;
            }
        }
    }

    /// A leader starts in the same moment, told by an event before all others.
    fn with_a_leader(made: &mut Made) {
        let started = Event::LeaderStarted {
            series: 1,
            full: true,
            without_leader_ms: 30_000,
            moved_ms: 0,
        };
        made.events.insert(0, started);
    }

    fn abandoned() -> (Made, ConversationId) {
        let mut floor = Floor::new();
        let ann = floor.open("ann");
        floor.gone(ann, false);
        let made = due(&mut floor);
        assert!(matches!(floor.phase(ann), Phase::Closed(_)));
        (made, ann)
    }

    #[test]
    fn a_customer_who_was_gone_for_long_enough_may_be_abandoned() {
        let (made, _) = abandoned();
        assert_eq!(judged(&made), None);
    }

    #[test]
    fn a_customer_who_is_abandoned_for_time_without_a_leader_is_seen() {
        let (mut made, _) = abandoned();
        with_a_leader(&mut made);
        assert_eq!(judged(&made), Some(Rule::NobodyAbandoned));
    }

    #[test]
    fn a_customer_who_was_lost_with_our_edge_has_the_longer_time() {
        let (mut made, ann) = abandoned();
        let at = made.after(ann).gone.expect("ann is gone").at;
        made.after(ann).gone = Some(Gone {
            at,
            our_fault: true,
        });
        assert_eq!(judged(&made), Some(Rule::NobodyAbandoned));
        made.after(ann).gone = None;
        assert_eq!(judged(&made), Some(Rule::NobodyAbandoned), "who is there");
    }

    #[test]
    fn an_offer_that_we_made_an_agent_miss_is_seen() {
        let (mut floor, _) = asked();
        let mut made = due(&mut floor);
        assert_eq!(judged(&made), None, "ana looked away");
        made.command = Command::Tick(Tick {
            unreachable: vec![agent("ana")],
        });
        assert_eq!(
            judged(&made),
            Some(Rule::NobodyAbandoned),
            "her edge is cut off"
        );
        made.command = Command::tick();
        with_a_leader(&mut made);
        assert_eq!(judged(&made), Some(Rule::NobodyAbandoned), "a leader began");
        made.events.remove(0);
        let spike = Event::SpikeChanged {
            queue: queue("sales"),
            since: Some(CellTime(0)),
        };
        made.events.insert(0, spike);
        assert_eq!(judged(&made), Some(Rule::NobodyAbandoned), "many lapse");
    }

    #[test]
    fn an_offer_that_was_shown_late_counts_for_nobody() {
        let (mut floor, ann) = asked();
        floor.at += 19_000;
        let shown = floor.offer_ref(ann);
        floor.ask(Command::OfferShown(shown)).unwrap();
        let mut made = due(&mut floor);
        assert_eq!(judged(&made), None, "and she is not said to have missed it");
        made.events.push(Event::AgentChanged {
            agent: {
                let mut ana = Agent::clone(made.after.agent(&agent("ana")).unwrap());
                ana.channels.push(crate::cell::agent::ChannelPause {
                    channel: channel("web"),
                    misses: 1,
                    pause_ms: 0,
                    missed_at: CellTime(0),
                    until: CellTime(0),
                    not_responding: false,
                });
                ana.into()
            },
        });
        assert_eq!(judged(&made), Some(Rule::NobodyAbandoned));
    }

    #[test]
    fn an_agent_who_is_doubted_right_after_a_leaders_start_is_seen() {
        let (mut floor, ..) = busy();
        floor.leader_starts(0);
        floor.at += 20_000;
        let lost = crate::cell::command::Lease {
            agent: agent("ana"),
            session: floor.session("ana"),
            state: LeaseState::Suspect,
            our_fault: false,
        };
        let mut made = Made::apply(&mut floor, Command::Lease(lost));
        assert_eq!(judged(&made), None, "after three heartbeats");
        with_a_leader(&mut made);
        assert_eq!(judged(&made), Some(Rule::NobodyAbandoned));
    }

    #[test]
    fn work_that_is_taken_from_an_agent_too_soon_is_seen() {
        let mut floor = Floor::with(|plan| {
            for queue in plan.queues.values_mut() {
                queue.on_agent_lost = crate::plan::OnAgentLost::Hold;
            }
        });
        floor.log_in("ana");
        let ann = floor.active("ann");
        floor.agent_says(ann, "hello");
        floor.at += 100_000;
        let lost = crate::cell::command::Lease {
            agent: agent("ana"),
            session: floor.session("ana"),
            state: LeaseState::Lost,
            our_fault: false,
        };
        let mut made = Made::apply(&mut floor, Command::Lease(lost));
        assert!(matches!(floor.phase(ann), Phase::OnHold(_)));
        assert_eq!(judged(&made), None);
        let now = made.after.now();
        person(&mut made.after, "ana").silent_since = now;
        assert_eq!(judged(&made), Some(Rule::NobodyAbandoned));
    }
}
