//! Why a conversation waits and why an agent has no work, as supervisors read it.
//! Promise: every time is a span at the state's cell time; bounded by the domain's bounds.
//! Not here: finding the reasons (`domain`), sentences (`cli`).

use domain::cell::State;
use domain::cell::conversation::{Conversation, Phase};
use domain::cell::explain::{IdleCause, Standing, WaitCause, Work, WorkWhy};
use domain::cell::receipts::Exclusion;
use domain::ids::{AgentId, CellTime};
use domain::plan::Requirement;
use pb::api::v1::{self as api, WhyNot, idle_cause, wait_cause};

use super::{Speakers, agent_display_name, agent_summary, conversation_summary, item, receipt};
use crate::limits;

/// Why a conversation waits, and why it went where it went.
pub(crate) fn explain_conversation(
    state: &State,
    found: &Conversation,
) -> api::ExplainConversationResponse {
    let waits = state.waits(found);
    let mut explained = api::ExplainConversationResponse {
        conversation: Some(conversation_summary(state, found)),
        state_ms: state.now().since_ms(stands_since(found)),
        receipts: found.receipts.iter().map(|one| receipt(one)).collect(),
        changes: changes(state, found),
        applied_index: state.meta().applied.0,
        at_ms: state.now().0,
        ..Default::default()
    };
    if let Some(waits) = waits {
        let causes = waits.causes.iter();
        explained.causes = causes.map(|cause| wait_cause(state, cause)).collect();
        explained.requires = waits.requires.iter().map(requirement).collect();
        explained.line = waits.line;
        explained.eligible = waits.eligible;
        explained.logged_in = waits.logged_in;
        let agents = waits.agents.iter();
        explained.agents = agents.map(|standing| verdict(state, standing)).collect();
        explained.agents_more = waits.agents_more;
    }
    explained
}

/// Since when a conversation stands where it stands.
fn stands_since(found: &Conversation) -> CellTime {
    match &found.phase {
        Phase::Bot => found.created_at,
        Phase::Queued(_) => found.entered_at.max(found.returned_at),
        Phase::Offered(offer) => offer.made_at,
        Phase::Active(active) => active.since,
        Phase::OnHold(hold) => hold.since,
        Phase::WrapUp(wrap_up) => wrap_up.since,
        Phase::Closed(closed) => closed.at,
    }
}

/// The last changes of a transcript, oldest first.
fn changes(state: &State, found: &Conversation) -> Vec<api::Item> {
    let mut speakers = Speakers::of(found);
    let changes = found.items.iter().rev();
    let changes = changes
        .filter(|item| item.message().is_none())
        .take(limits::CHANGES_EXPLAINED_MAX);
    let mut shown: Vec<api::Item> = changes
        .map(|one| {
            item(&one, &mut speakers, |agent| {
                agent_display_name(state, agent)
            })
        })
        .collect();
    shown.reverse();
    shown
}

fn wait_cause(state: &State, cause: &WaitCause<'_>) -> api::WaitCause {
    use wait_cause::Kind;
    let of = |kind: Kind| api::WaitCause {
        kind: kind.into(),
        ..Default::default()
    };
    let about = |kind: Kind, agent: &AgentId| api::WaitCause {
        agent: agent.to_string(),
        ..of(kind)
    };
    match cause {
        WaitCause::SetAside(index) => api::WaitCause {
            log_index: index.0,
            ..of(Kind::SetAside)
        },
        WaitCause::PausedByStaff(steered) => api::WaitCause {
            staff: steered.by.to_string(),
            reason: steered.why.to_string(),
            ms: state.now().since_ms(steered.at),
            ..of(Kind::PausedBySupervisor)
        },
        WaitCause::PausedByPlan => of(Kind::PausedByPlan),
        WaitCause::KeptFor(agent, until) => api::WaitCause {
            ms: until.since_ms(state.now()),
            ..about(Kind::KeptForAgent, agent)
        },
        WaitCause::OwnLine(agent) => about(Kind::OwnLine, agent),
        WaitCause::NobodyEligible => of(Kind::NobodyEligible),
        WaitCause::NobodyLoggedIn => of(Kind::NobodyLoggedIn),
        WaitCause::NobodyFree => of(Kind::NobodyFree),
        WaitCause::BehindOthers(ahead) => api::WaitCause {
            ahead: *ahead,
            ..of(Kind::BehindOthers)
        },
    }
}

fn verdict(state: &State, standing: &Standing<'_>) -> api::AgentVerdict {
    api::AgentVerdict {
        agent: agent_summary(state, &standing.agent.name),
        why: standing.why.map_or(WhyNot::Unspecified, why_not).into(),
        ends_in_ms: ends_in(state, standing.until),
    }
}

fn ends_in(state: &State, until: Option<CellTime>) -> u64 {
    until.map_or(0, |until| until.since_ms(state.now()))
}

fn why_not(why: Exclusion) -> WhyNot {
    match why {
        Exclusion::NotReady => WhyNot::NotReady,
        Exclusion::Unreachable => WhyNot::Unreachable,
        Exclusion::AtCapacity => WhyNot::AtCapacity,
        Exclusion::NotResponding => WhyNot::NotResponding,
        Exclusion::BackOff => WhyNot::BackOff,
        Exclusion::PassedOver => WhyNot::Declined,
        Exclusion::Retired => WhyNot::Retired,
    }
}

fn requirement(requirement: &Requirement) -> api::Requirement {
    let (kind, name, level) = match requirement {
        Requirement::Skill(skill, level) => ("skill", skill.to_string(), level),
        Requirement::Language(language, level) => ("language", language.to_string(), level),
    };
    api::Requirement {
        kind: kind.to_owned(),
        name,
        level: level.0.into(),
    }
}

/// Why an agent has no work, or no more; `None` for one whom the cell does not know.
pub(crate) fn explain_agent(state: &State, name: &AgentId) -> Option<api::ExplainAgentResponse> {
    let idle = state.idle(name)?;
    let agent = state.agent(name)?;
    let pauses = agent.channels.iter().map(|pause| api::AgentPause {
        channel: pause.channel.to_string(),
        misses: pause.misses,
        ends_in_ms: pause.until.since_ms(state.now()),
        not_responding: pause.not_responding,
    });
    let mentions = idle.mentions.iter().map(|(id, one)| api::AgentReceipt {
        conversation_id: id.to_string(),
        receipt: Some(receipt(one)),
    });
    Some(api::ExplainAgentResponse {
        agent: agent_summary(state, name),
        causes: idle
            .causes
            .iter()
            .map(|one| idle_cause(state, one))
            .collect(),
        pauses: pauses.collect(),
        work: idle.work.iter().map(|one| work(state, one)).collect(),
        receipts: mentions.collect(),
        applied_index: state.meta().applied.0,
        at_ms: state.now().0,
    })
}

fn idle_cause(state: &State, cause: &IdleCause<'_>) -> api::IdleCause {
    use idle_cause::Kind;
    let of = |kind: Kind| api::IdleCause {
        kind: kind.into(),
        ..Default::default()
    };
    let since = |kind: Kind, since: CellTime| api::IdleCause {
        for_ms: state.now().since_ms(since),
        ..of(kind)
    };
    match cause {
        IdleCause::Retired => of(Kind::Retired),
        IdleCause::LoggedOut(at) => since(Kind::LoggedOut, *at),
        IdleCause::Unreachable(_, at) => since(Kind::Unreachable, *at),
        IdleCause::NotReady(reason, at, set_by) => api::IdleCause {
            reason: (*reason).to_owned(),
            staff: set_by.map(|by| by.staff.to_string()).unwrap_or_default(),
            why: set_by.map(|by| by.why.to_string()).unwrap_or_default(),
            ..since(Kind::NotReady, *at)
        },
        IdleCause::NotReadyNext(reason) => api::IdleCause {
            reason: (*reason).to_owned(),
            ..of(Kind::NotReadyNext)
        },
        IdleCause::NothingWaits => of(Kind::NothingWaits),
        IdleCause::NothingFits => of(Kind::NothingFits),
    }
}

fn work(state: &State, work: &Work<'_>) -> api::WaitingWork {
    let (why, until, lacks) = match work.why {
        WorkWhy::Lacks(lacks) => (WhyNot::Lacks, None, Some(requirement(lacks))),
        WorkWhy::Paused => (WhyNot::QueuePaused, None, None),
        WorkWhy::Busy(why, until) => (why_not(why), until, None),
        WorkWhy::Declined(until) => (WhyNot::Declined, Some(until), None),
        WorkWhy::KeptForOthers => (WhyNot::KeptForOthers, None, None),
        WorkWhy::Next => (WhyNot::Unspecified, None, None),
    };
    api::WaitingWork {
        queue: work.queue.to_string(),
        channel: work.channel.to_string(),
        waiting: work.waiting,
        conversation_id: work.first.to_string(),
        why: why.into(),
        ends_in_ms: ends_in(state, until),
        lacks,
    }
}
