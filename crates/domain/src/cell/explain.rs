//! Why a conversation waits and why an agent has no work, read from the state at one index.
//! Promise: changes nothing, bounded in size, judged by the rules that match.
//! Not here: what was decided before (`receipts`), sentences for people (`cli`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::agent::{Agent, SetBy};
use super::capacity::{Load, can_take, is_eligible};
use super::command::{Intent, LeaseState};
use super::conversation::{Conversation, Held, Phase};
use super::floor::Steered;
use super::receipts::{Exclusion, Receipt};
use super::state::{OFFER_SHARDS, State};
use crate::ids::{AgentId, CellTime, ChannelId, ConversationId, LogIndex, QueueId};
use crate::plan::Requirement;

/// Agents named with why they do not get a conversation: a team, and a screen.
pub const AGENTS_EXPLAINED_MAX: usize = 64;
/// Conversations at the head of each line that are looked at for an agent.
pub const LINE_EXPLAINED_MAX: usize = 256;
/// Kinds of waiting work that are shown to an agent.
pub const WORK_EXPLAINED_MAX: usize = 64;
/// The cell's last offers whose conversations are looked through for an agent's name: with 8 receipts of 9
/// names each 37,000 comparisons, a millisecond.
pub const OFFERS_SEARCHED_MAX: u64 = 512;
/// Receipts that name an agent, newest first.
pub const MENTIONS_MAX: usize = 8;

/// A reason for which a conversation waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCause<'s> {
    /// It was set aside after a defect at this log index.
    SetAside(LogIndex),
    /// A supervisor has paused its queue.
    PausedByStaff(&'s Steered),
    /// The floor plan pauses its queue.
    PausedByPlan,
    /// It is kept for one agent until then.
    KeptFor(&'s AgentId, CellTime),
    /// It waits in one agent's own line.
    OwnLine(&'s AgentId),
    /// No agent of the plan has what is required.
    NobodyEligible,
    /// Nobody who has it is logged in.
    NobodyLoggedIn,
    /// Everybody who has it and is logged in is taken, away or not asked for it.
    NobodyFree,
    /// So many are before it in its line, for agents who are free.
    BehindOthers(u64),
}

/// An agent beside a conversation that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing<'s> {
    /// Who.
    pub agent: &'s Agent,
    /// Why the agent does not get it; `None` for one who is free.
    pub why: Option<Exclusion>,
    /// When that ends by itself, if it does.
    pub until: Option<CellTime>,
}

/// Why a conversation waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waits<'s> {
    /// The reasons, the one to mend first at the head.
    pub causes: Vec<WaitCause<'s>>,
    /// What an agent must have.
    pub requires: &'s [Requirement],
    /// How many wait in its queue.
    pub line: u64,
    /// Agents of the plan who have what is required.
    pub eligible: u32,
    /// Those among them who are logged in.
    pub logged_in: u32,
    /// They, free ones first, at most 64.
    pub agents: Vec<Standing<'s>>,
    /// How many more there are.
    pub agents_more: u32,
}

/// A reason for which an agent has no work, or no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleCause<'s> {
    /// The newest plan lacks the agent.
    Retired,
    /// Not logged in since then.
    LoggedOut(CellTime),
    /// The client has been silent since then.
    Unreachable(LeaseState, CellTime),
    /// Takes no work since then, for a reason.
    NotReady(&'s str, CellTime, Option<&'s SetBy>),
    /// Takes no work after the present one, for a reason.
    NotReadyNext(&'s str),
    /// Nothing waits.
    NothingWaits,
    /// What waits needs what the agent lacks.
    NothingFits,
}

/// Why work of one kind does not come to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkWhy<'s> {
    /// The agent lacks this.
    Lacks(&'s Requirement),
    /// The queue is paused.
    Paused,
    /// The agent is not free for it, and when that ends by itself.
    Busy(Exclusion, Option<CellTime>),
    /// All of it was declined by the agent, or taken from the agent, a moment ago.
    Declined(CellTime),
    /// All of it waits for other agents alone.
    KeptForOthers,
    /// Nothing: the agent is asked next.
    Next,
}

/// Waiting work of one queue and channel, as one agent sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work<'s> {
    /// The queue.
    pub queue: &'s QueueId,
    /// The channel.
    pub channel: &'s ChannelId,
    /// How many of it are among the first 256 of the line.
    pub waiting: u32,
    /// The first of them.
    pub first: ConversationId,
    /// Why it does not come to the agent.
    pub why: WorkWhy<'s>,
}

/// Why an agent has no work, or no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle<'s> {
    /// The reasons, the one to mend first at the head.
    pub causes: Vec<IdleCause<'s>>,
    /// What waits, at most 64 kinds, by queue and channel.
    pub work: Vec<Work<'s>>,
    /// Receipts that name the agent, newest first, at most 8, from the cell's last 512 offers.
    pub mentions: Vec<(ConversationId, Arc<Receipt>)>,
}

impl State {
    /// Why a conversation waits; `None` if it does not.
    pub fn waits<'s>(&'s self, conversation: &'s Conversation) -> Option<Waits<'s>> {
        let Phase::Queued(waiting) = &conversation.phase else {
            return None;
        };
        let rules = self.queue_plan(conversation.classed_by, &conversation.queue);
        let requires = rules.map_or(&[][..], |rules| &rules.requires);
        let kept_for = waiting.prefer.as_ref().filter(|_| waiting.held != Held::No);
        let asked = self.agents.values().filter(|agent| {
            !agent.retired
                && is_eligible(agent, requires)
                && kept_for.is_none_or(|only| *only == agent.name)
        });
        let mut eligible = 0;
        let mut agents = Vec::new();
        for agent in asked {
            eligible += 1;
            if agent.session.is_some() {
                agents.push(self.beside(conversation, agent));
            }
        }
        agents.sort_by_key(|standing| standing.why.map(|why| why as u8));
        let logged_in = agents.len();
        let mut causes = self.hindrances(conversation);
        let hindered = !causes.is_empty();
        if let (Some(agent), held) = (kept_for, waiting.held) {
            causes.push(match held {
                Held::For { since, ms } => {
                    WaitCause::KeptFor(agent, self.meta.leader.renewed(since, ms))
                }
                _ => WaitCause::OwnLine(agent),
            });
        }
        let free = agents.iter().any(|standing| standing.why.is_none());
        causes.extend(match (eligible, logged_in, free) {
            (0, _, _) => Some(WaitCause::NobodyEligible),
            (_, 0, _) => Some(WaitCause::NobodyLoggedIn),
            (_, _, false) => Some(WaitCause::NobodyFree),
            _ if hindered => None,
            _ => self
                .position(conversation.id)
                .map(|position| WaitCause::BehindOthers(position - 1)),
        });
        agents.truncate(AGENTS_EXPLAINED_MAX);
        Some(Waits {
            causes,
            requires,
            line: self.waiting(&conversation.queue),
            eligible,
            logged_in: logged_in as u32,
            agents_more: (logged_in - agents.len()) as u32,
            agents,
        })
    }

    /// What keeps a conversation from being offered to anybody.
    fn hindrances<'s>(&'s self, conversation: &Conversation) -> Vec<WaitCause<'s>> {
        let record = self.queues.get(&conversation.queue);
        let mut causes = Vec::new();
        causes.extend(conversation.quarantined.map(WaitCause::SetAside));
        let paused = record.and_then(|record| record.paused_by());
        causes.extend(paused.map(WaitCause::PausedByStaff));
        if self.is_paused_by_plan(&conversation.queue) {
            causes.push(WaitCause::PausedByPlan);
        }
        causes
    }

    /// Why an agent who may serve a conversation does not get it.
    fn beside<'s>(&'s self, conversation: &Conversation, agent: &'s Agent) -> Standing<'s> {
        let channel = &conversation.channel;
        let busy = can_take(self, agent, &self.load_of(&agent.name), channel).err();
        let passed = passed_until(conversation, &agent.name);
        let why = busy.or(passed.map(|_| Exclusion::PassedOver));
        let until = match why {
            Some(Exclusion::PassedOver) => passed,
            Some(why) => pause_until(agent, channel, why),
            None => None,
        };
        Standing { agent, why, until }
    }

    fn load_of(&self, name: &AgentId) -> Load {
        let index = self.derived.agents.get(name);
        index.map(|index| index.load.clone()).unwrap_or_default()
    }

    /// Why an agent has no work, or no more; `None` for one whom the cell does not know.
    pub fn idle<'s>(&'s self, name: &AgentId) -> Option<Idle<'s>> {
        let agent = &**self.agents.get(name)?;
        let work = self.work_beside(agent);
        let mut causes = Vec::new();
        if agent.retired {
            causes.push(IdleCause::Retired);
        }
        if agent.session.is_none() {
            causes.push(IdleCause::LoggedOut(agent.lease_since));
        } else if agent.lease != LeaseState::Alive {
            causes.push(IdleCause::Unreachable(agent.lease, agent.silent_since));
        }
        match (&agent.intent, &agent.next) {
            (Intent::NotReady { reason }, _) if agent.session.is_some() => {
                let set_by = agent.set_by.as_deref();
                causes.push(IdleCause::NotReady(reason, agent.intent_since, set_by));
            }
            (Intent::Ready, Some(Intent::NotReady { reason })) => {
                causes.push(IdleCause::NotReadyNext(reason));
            }
            _ => {}
        }
        if work.is_empty() {
            causes.push(IdleCause::NothingWaits);
        } else if work.iter().all(|one| matches!(one.why, WorkWhy::Lacks(_))) {
            causes.push(IdleCause::NothingFits);
        }
        Some(Idle {
            causes,
            work,
            mentions: self.mentions(name),
        })
    }

    /// What waits, by queue and channel, as an agent sees it.
    fn work_beside<'s>(&'s self, agent: &Agent) -> Vec<Work<'s>> {
        let load = self.load_of(&agent.name);
        let mut all = Vec::new();
        for (queue, index) in &self.derived.queues {
            let head = index.line.iter().take(LINE_EXPLAINED_MAX);
            let head = head.filter_map(|key| self.conversations.get(&key.index));
            let mut kinds = BTreeMap::<&ChannelId, Vec<&Conversation>>::new();
            for found in head {
                kinds.entry(&found.channel).or_default().push(found);
            }
            for (channel, waiting) in kinds {
                if all.len() < WORK_EXPLAINED_MAX {
                    all.push(Work {
                        queue,
                        channel,
                        waiting: waiting.len() as u32,
                        first: waiting[0].id,
                        why: self.why_not(agent, &load, queue, &waiting),
                    });
                }
            }
        }
        all
    }

    /// Why none of this work, of one queue and channel, comes to an agent.
    fn why_not<'s>(
        &'s self,
        agent: &Agent,
        load: &Load,
        queue: &QueueId,
        waiting: &[&Conversation],
    ) -> WorkWhy<'s> {
        let rules = self.queue_plan(self.meta.plan, queue);
        let requires = rules.map_or(&[][..], |rules| &rules.requires);
        // For whom alone a conversation waits; nobody for most.
        let kept = |found: &Conversation| match &found.phase {
            Phase::Queued(held) if held.held != Held::No => held.prefer.clone(),
            _ => None,
        };
        let own = |found: &&Conversation| kept(found).as_ref() == Some(&agent.name);
        let lacks = requires
            .iter()
            .find(|one| !is_eligible(agent, std::slice::from_ref(one)));
        if let Some(lacks) = lacks.filter(|_| !waiting.iter().any(own)) {
            return WorkWhy::Lacks(lacks);
        }
        if self.is_paused(queue) {
            return WorkWhy::Paused;
        }
        let channel = &waiting[0].channel;
        if let Err(why) = can_take(self, agent, load, channel) {
            return WorkWhy::Busy(why, pause_until(agent, channel, why));
        }
        let offerable = waiting
            .iter()
            .filter(|found| kept(found).is_none() || own(found));
        let mut offerable = offerable.peekable();
        if offerable.peek().is_none() {
            return WorkWhy::KeptForOthers;
        }
        let passed: Option<Vec<CellTime>> = offerable
            .map(|found| passed_until(found, &agent.name))
            .collect();
        let soonest = passed.and_then(|passed| passed.into_iter().min());
        soonest.map_or(WorkWhy::Next, WorkWhy::Declined)
    }

    /// Receipts of the cell's last offers' conversations that name an agent, newest first.
    fn mentions(&self, name: &AgentId) -> Vec<(ConversationId, Arc<Receipt>)> {
        let last = self.meta.offers;
        let mut looked = BTreeSet::new();
        let mut found = Vec::new();
        for n in (last.saturating_sub(OFFERS_SEARCHED_MAX)..last).rev() {
            let Some(index) = self.conversation_of_offer(n + 1) else {
                continue;
            };
            let Some(conversation) = self
                .conversations
                .get(&index)
                .filter(|_| looked.insert(index))
            else {
                continue;
            };
            let named = conversation.receipts.iter().filter(|receipt| {
                receipt.chosen.as_ref() == Some(name)
                    || receipt.excluded.iter().any(|(agent, _)| agent == name)
            });
            found.extend(named.map(|receipt| (conversation.id, receipt.clone())));
        }
        found.sort_by_key(|(id, receipt)| std::cmp::Reverse((receipt.index, id.index)));
        found.truncate(MENTIONS_MAX);
        found
    }

    /// The conversation of an offer of this cell, open or among those that have ended last.
    fn conversation_of_offer(&self, n: u64) -> Option<LogIndex> {
        let open = self.derived.offers.get(&n).copied();
        open.or_else(|| {
            let shard = self.ended_offers.get(n as usize % OFFER_SHARDS)?;
            shard.get(&n).map(|ended| ended.conversation.index)
        })
    }
}

/// Until when an agent is not asked for a conversation.
fn passed_until(conversation: &Conversation, name: &AgentId) -> Option<CellTime> {
    let passed = conversation.passed_over.iter();
    let mut passed = passed.filter(|passed| passed.agent == *name);
    passed.next().map(|passed| passed.until)
}

/// When a back-off on a channel ends.
fn pause_until(agent: &Agent, channel: &ChannelId, why: Exclusion) -> Option<CellTime> {
    let pause = agent.pause(channel).filter(|_| why == Exclusion::BackOff);
    pause.map(|pause| pause.until)
}
