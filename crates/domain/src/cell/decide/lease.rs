//! Leases of agents: Suspect, Lost, back, gone; and what becomes of their work.
//! Promise: courtesy, never safety: whoever speaks is judged by the owner epoch.
//! Not here: hearing heartbeats (`conversation`).

use super::own::{put_on_hold, take_up, units_beside};
use super::{find, offer};
use crate::cell::capacity::Load;
use crate::cell::command::{Lease, LeaseState};
use crate::cell::conversation::{Active, Conversation, Ending, Held, OnHold, Phase, Waiting};
use crate::cell::draft::Draft;
use crate::cell::event::{Event, Warning};
use crate::cell::refusal::Refusal;
use crate::cell::reply::Done;
use crate::cell::state::State;
use crate::cell::transcript::{HoldReason, RequeueReason};
use crate::ids::{AgentId, CellTime, ConversationId};
use crate::plan::OnAgentLost;

/// Heartbeats that a leader must have had time for before it calls anybody silent.
const HEARTBEATS_MIN: u64 = 3;
/// An agent whose edge the leader has lost is suspect after this, so that open offers go to others
/// soon, in milliseconds: longer than one heartbeat on its way through another edge.
const FAULT_SUSPECT_MS: u64 = 6_000;

impl State {
    /// How long an agent may be silent before the leader proposes Suspect; `our_fault` says that
    /// the agent's edge is out of reach.
    pub fn suspect_silence_ms(&self, our_fault: bool) -> u64 {
        let usual = self.plan().map_or(15_000, |plan| plan.policy.suspect_ms);
        if our_fault {
            usual.min(FAULT_SUSPECT_MS)
        } else {
            usual
        }
    }

    /// How long an agent may be silent before the leader proposes Lost.
    pub fn lost_silence_ms(&self, name: &AgentId, our_fault: bool) -> u64 {
        self.lost_for_ms(self.lost_after_ms(name), our_fault)
    }

    /// Whether a queue's policy is due for work of a lost agent whose edge is out of reach.
    pub fn is_lost_work_due(&self, name: &AgentId, now: CellTime) -> bool {
        let lost = self.agent(name);
        lost.filter(|agent| agent.lease == LeaseState::Lost)
            .is_some_and(|agent| {
                !self
                    .lost_work(name, (agent.silent_since, now), true)
                    .is_empty()
            })
    }

    /// The time of a queue or of the floor, or the one for a site that is down where that is shorter.
    fn lost_for_ms(&self, usual_ms: u64, our_fault: bool) -> u64 {
        let policy = self.plan().map(|plan| &plan.policy);
        match policy {
            Some(policy) if our_fault => usual_ms.min(policy.lost_site_down_ms),
            _ => usual_ms,
        }
    }

    /// Active conversations of an agent for which the silence has been long enough.
    fn lost_work(
        &self,
        name: &AgentId,
        (silent_since, now): (CellTime, CellTime),
        our_fault: bool,
    ) -> Vec<(&Conversation, &Active)> {
        let mut work = self.active_of(name);
        work.retain(|(conversation, active)| {
            let usual_ms = self
                .rules(conversation)
                .map_or(0, |rules| rules.timers.agent_lost_ms);
            let lost_ms = self.lost_for_ms(usual_ms, our_fault);
            let due = self.meta.leader.renewed(silent_since, lost_ms);
            !active.lost_handled && due <= now
        });
        work
    }

    fn active_of(&self, name: &AgentId) -> Vec<(&Conversation, &Active)> {
        let index = self.derived.agents.get(name);
        let owned = index
            .into_iter()
            .flat_map(|index| index.conversations.iter());
        let found = owned.filter_map(|index| self.conversations.get(index));
        found
            .filter_map(|conversation| match &conversation.phase {
                Phase::Active(active) => Some((&**conversation, active)),
                _ => None,
            })
            .collect()
    }
}

pub(super) fn lease(draft: &mut Draft<'_>, lease: &Lease) -> Result<Done, Refusal> {
    let name = &lease.agent;
    let Some(agent) = draft.agent_now(name) else {
        return Ok(Done::Nothing);
    };
    // Lost once more, by an edge that has gone meanwhile: queues that still waited wait no longer.
    let sooner = lease.state == LeaseState::Lost && lease.our_fault;
    if agent.session != Some(lease.session) || (agent.lease == lease.state && !sooner) {
        return Ok(Done::Nothing);
    }
    if lease.state != LeaseState::Alive {
        check_heard_long_enough(draft)?;
    }
    match lease.state {
        LeaseState::Alive => come_back(draft, name),
        LeaseState::Suspect if agent.lease == LeaseState::Lost => {}
        LeaseState::Suspect => suspect(draft, name, lease.our_fault),
        LeaseState::Lost if agent.lease == LeaseState::Lost => lose_work(draft, name, true),
        LeaseState::Lost => lose(draft, name, lease.our_fault),
        LeaseState::Gone => leave(draft, name),
    }
    Ok(Done::Nothing)
}

fn check_heard_long_enough(draft: &Draft<'_>) -> Result<(), Refusal> {
    let leader = &draft.state.meta.leader;
    let heartbeat_ms = draft
        .state
        .plan()
        .map_or(5_000, |plan| plan.policy.heartbeat_ms);
    let earliest = leader
        .started_at
        .plus_ms(heartbeat_ms.saturating_mul(HEARTBEATS_MIN));
    let retry_after_ms = earliest.since_ms(draft.now());
    if leader.starts > 0 && retry_after_ms > 0 {
        Err(Refusal::LeaseTooEarly { retry_after_ms })
    } else {
        Ok(())
    }
}

fn conversations_of(draft: &Draft<'_>, name: &AgentId) -> Vec<ConversationId> {
    let cell = draft.state.meta.cell;
    let index = draft.state.derived.agents.get(name);
    let owned = index
        .into_iter()
        .flat_map(|index| index.conversations.iter());
    owned
        .map(|index| ConversationId {
            cell,
            index: *index,
        })
        .collect()
}

/// Takes back every open offer of an agent.
pub(super) fn rescind_offers(draft: &mut Draft<'_>, name: &AgentId) {
    let state = draft.state;
    for conversation in conversations_of(draft, name)
        .into_iter()
        .filter_map(|id| find(state, id).ok())
    {
        if let Phase::Offered(open) = &conversation.phase {
            offer::rescind(draft, conversation, open);
        }
    }
}

/// Which waiting conversations are let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LetGo {
    /// Those kept for a while.
    HeldForAWhile,
    /// Those, and the agent's own line.
    All,
}

/// Lets conversations that wait for this agent alone be offered to everybody.
pub(super) fn let_go(draft: &mut Draft<'_>, name: &AgentId, which: LetGo) {
    let_go_where(draft, name, |conversation| {
        let held_for_a_while = matches!(
            &conversation.phase,
            Phase::Queued(waiting) if matches!(waiting.held, Held::For { .. })
        );
        which == LetGo::All || held_for_a_while
    });
}

/// Lets those of them be offered to everybody for which `wanted` holds.
pub(super) fn let_go_where(
    draft: &mut Draft<'_>,
    name: &AgentId,
    wanted: impl Fn(&Conversation) -> bool,
) {
    let state = draft.state;
    let waiting = state
        .derived
        .agents
        .get(name)
        .into_iter()
        .flat_map(|index| index.own_line.iter());
    let cell = state.meta.cell;
    let waiting: Vec<ConversationId> = waiting
        .map(|key| ConversationId {
            cell,
            index: key.index,
        })
        .collect();
    for conversation in waiting.into_iter().filter_map(|id| find(state, id).ok()) {
        let Phase::Queued(Waiting { prefer, .. }) = &conversation.phase else {
            continue;
        };
        if wanted(conversation) {
            let phase = Phase::Queued(Waiting {
                prefer: prefer.clone(),
                held: Held::No,
            });
            draft.phase(conversation, phase, conversation.owner_epoch);
        }
    }
}

fn set_lease(draft: &mut Draft<'_>, name: &AgentId, state: LeaseState, our_fault: bool) {
    let now = draft.now();
    // The leader has waited for the shortest time that holds for this agent, not for every queue's.
    let silent_ms = match state {
        LeaseState::Alive | LeaseState::Gone => 0,
        LeaseState::Suspect => draft.state.suspect_silence_ms(our_fault),
        LeaseState::Lost => draft.state.lost_silence_ms(name, our_fault),
    };
    let since = CellTime(now.0.saturating_sub(silent_ms));
    if let Some(agent) = draft.agent(name) {
        agent.silent_since = if agent.lease == LeaseState::Alive || state == LeaseState::Alive {
            since
        } else {
            agent.silent_since.min(since)
        };
        agent.lease = state;
        agent.lease_since = now;
    }
}

/// No new offers; open ones are taken back at once.
fn suspect(draft: &mut Draft<'_>, name: &AgentId, our_fault: bool) {
    set_lease(draft, name, LeaseState::Suspect, our_fault);
    rescind_offers(draft, name);
    let_go(draft, name, LetGo::HeldForAWhile);
}

/// Out of reach: the policy of each conversation's queue holds from that queue's own time on, or from
/// the time for a site that is down.
fn lose(draft: &mut Draft<'_>, name: &AgentId, our_fault: bool) {
    set_lease(draft, name, LeaseState::Lost, our_fault);
    rescind_offers(draft, name);
    let_go(draft, name, LetGo::All);
    lose_work(draft, name, our_fault);
}

fn lose_work(draft: &mut Draft<'_>, name: &AgentId, our_fault: bool) {
    let state = draft.state;
    let agent = draft.agent_now(name);
    let silent_since = agent.map_or(draft.now(), |agent| agent.silent_since);
    for (conversation, active) in state.lost_work(name, (silent_since, draft.now()), our_fault) {
        owner_lost(draft, conversation, active);
    }
}

/// What the queue does with an active conversation whose owner is lost.
pub(super) fn owner_lost(draft: &mut Draft<'_>, conversation: &Conversation, active: &Active) {
    let policy = draft
        .state
        .rules(conversation)
        .map_or(OnAgentLost::Requeue, |rules| rules.on_agent_lost);
    match policy {
        OnAgentLost::Hold => put_on_hold(draft, conversation, active, HoldReason::AgentLost),
        OnAgentLost::Requeue => {
            let waiting = Waiting {
                prefer: Some(active.agent.clone()),
                held: Held::No,
            };
            draft.requeue(conversation, RequeueReason::AgentLost, waiting);
        }
        OnAgentLost::Notify => draft.push(Event::Warned {
            conversation: conversation.id,
            agent: active.agent.clone(),
            warning: Warning::OwnerLost,
        }),
    }
}

/// The client is heard again: what waited for this agent alone is taken up, as far as units reach.
pub(super) fn come_back(draft: &mut Draft<'_>, name: &AgentId) {
    let lease = draft
        .agent_now(name)
        .map_or(LeaseState::Gone, |agent| agent.lease);
    if lease == LeaseState::Alive {
        return;
    }
    set_lease(draft, name, LeaseState::Alive, false);
    let state = draft.state;
    let mut load = draft.load(name);
    for conversation in conversations_of(draft, name)
        .into_iter()
        .filter_map(|id| find(state, id).ok())
    {
        if let Phase::OnHold(hold) = &conversation.phase
            && hold.reason == HoldReason::AgentLost
        {
            take_up_or_requeue(draft, conversation, hold, &mut load);
        }
    }
}

/// Takes up one held conversation beside what the agent has after those before it in this step.
fn take_up_or_requeue(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    hold: &OnHold,
    load: &mut Load,
) {
    if let Ok(units) = units_beside(draft, conversation, hold, load) {
        take_up(draft, conversation, hold, units);
        load.take(&conversation.channel, units);
    } else {
        let waiting = draft.waiting_for(conversation, &hold.agent);
        draft.requeue(conversation, RequeueReason::AgentBusy, waiting);
    }
}

/// The session ends: nothing of it stays with the agent.
pub(super) fn leave(draft: &mut Draft<'_>, name: &AgentId) {
    rescind_offers(draft, name);
    let_go(draft, name, LetGo::All);
    let state = draft.state;
    for conversation in conversations_of(draft, name)
        .into_iter()
        .filter_map(|id| find(state, id).ok())
    {
        match &conversation.phase {
            Phase::Active(_) => {
                let waiting = Waiting {
                    prefer: None,
                    held: Held::No,
                };
                draft.requeue(conversation, RequeueReason::AgentLeft, waiting);
            }
            Phase::OnHold(hold) if hold.reason == HoldReason::AgentLost => {
                let waiting = Waiting {
                    prefer: Some(hold.agent.clone()),
                    held: Held::No,
                };
                draft.requeue(conversation, RequeueReason::AgentLeft, waiting);
            }
            Phase::WrapUp(_) => super::own::end_wrap_up(draft, conversation),
            _ => {}
        }
    }
    let now = draft.now();
    if let Some(agent) = draft.agent(name) {
        agent.session = None;
        agent.devices.clear();
        agent.next = None;
        if let Some(set_by) = &mut agent.set_by {
            set_by.next = None;
        }
        agent.channels.clear();
        agent.lease = LeaseState::Gone;
        agent.lease_since = now;
        agent.silent_since = now;
    }
}

/// Ends a conversation that was on hold for too long.
pub(super) fn hold_over(draft: &mut Draft<'_>, conversation: &Conversation) {
    super::close::end(
        draft,
        conversation,
        Ending::HoldOver,
        crate::cell::transcript::Author::Machine,
    );
}
