//! From the domain's floor plan to the stored one.
//! Promise: tables are written in order of their keys.
//! Not here: the way back (`from_wire`).

use std::collections::BTreeMap;
use std::fmt::Display;

use ::pb::store::v1 as pb;
use domain::plan::{
    AgentPlan, ChannelPlan, FloorPlan, FloorPolicy, IntakeRule, Level, OnAgentLost, QueuePlan,
    Requirement, ServiceLevel, ServiceLevelDefinition, Strategy, Timers, Urgency, WrapUpMode,
};

use super::PLAN_FORMAT;

pub(crate) fn plan(plan: &FloorPlan) -> pb::FloorPlan {
    pb::FloorPlan {
        format: PLAN_FORMAT,
        tenant: plan.tenant.to_string(),
        sites: rows(&plan.sites, |id, site| pb::SitePlan {
            id,
            display_name: site.display_name.clone(),
            time_zone: site.time_zone.clone(),
        }),
        skills: rows(&plan.skills, |id, text| pb::Label {
            id,
            text: text.clone(),
        }),
        languages: rows(&plan.languages, |id, text| pb::Label {
            id,
            text: text.clone(),
        }),
        channels: rows(&plan.channels, channel),
        accounts: rows(&plan.accounts, |id, account| pb::AccountPlan {
            id,
            channel: account.channel.to_string(),
            site: account.site.to_string(),
            queue: account.queue.to_string(),
            boost_ms: account.boost_ms,
        }),
        intake: plan.intake.iter().map(rule).collect(),
        queues: rows(&plan.queues, queue),
        agents: rows(&plan.agents, agent),
        policy: Some(policy(&plan.policy)),
    }
}

fn rows<K: Display, V, R>(table: &BTreeMap<K, V>, row: impl Fn(String, &V) -> R) -> Vec<R> {
    table
        .iter()
        .map(|(key, value)| row(key.to_string(), value))
        .collect()
}

fn channel(id: String, channel: &ChannelPlan) -> pb::ChannelPlan {
    pb::ChannelPlan {
        id,
        cost: channel.cost,
        count_max: channel.count_max,
        exclusive: channel.exclusive,
        gone_ms: channel.gone_ms,
        gone_our_fault_ms: channel.gone_our_fault_ms,
        short_abandon_ms: channel.short_abandon_ms,
    }
}

fn rule(rule: &IntakeRule) -> pb::IntakeRule {
    pb::IntakeRule {
        language: rule.language.as_ref().map(ToString::to_string),
        topic: rule.topic.clone(),
        queue: rule.queue.to_string(),
        boost_ms: rule.boost_ms,
    }
}

fn requirement(requirement: &Requirement) -> pb::Requirement {
    use pb::requirement::Attribute;
    let (attribute, level) = match requirement {
        Requirement::Skill(skill, level) => (Attribute::Skill(skill.to_string()), level),
        Requirement::Language(language, level) => {
            (Attribute::Language(language.to_string()), level)
        }
    };
    pb::Requirement {
        attribute: Some(attribute),
        level: u32::from(level.0),
    }
}

pub(crate) fn queue(id: String, queue: &QueuePlan) -> pb::QueuePlan {
    pb::QueuePlan {
        id,
        requires: queue.requires.iter().map(requirement).collect(),
        urgency: urgency(queue.urgency).into(),
        strategy: strategy(queue.strategy).into(),
        waiting_max: queue.waiting_max,
        paused: queue.paused,
        on_agent_lost: on_agent_lost(queue.on_agent_lost).into(),
        wrap_up: wrap_up(queue.wrap_up).into(),
        timers: Some(timers(&queue.timers)),
        service_level: Some(service_level(&queue.service_level)),
        boost_ms_max: queue.boost_ms_max,
        texts: Some(pb::QueueTexts {
            greeting: queue.texts.greeting.to_string(),
            full: queue.texts.full.to_string(),
            paused: queue.texts.paused.to_string(),
            nobody_staffed: queue.texts.nobody_staffed.to_string(),
        }),
    }
}

pub(crate) fn urgency(urgency: Urgency) -> pb::Urgency {
    match urgency {
        Urgency::Emergency => pb::Urgency::Emergency,
        Urgency::Normal => pb::Urgency::Normal,
        Urgency::Background => pb::Urgency::Background,
    }
}

fn strategy(strategy: Strategy) -> pb::Strategy {
    match strategy {
        Strategy::LongestIdle => pb::Strategy::LongestIdle,
        Strategy::LeastLoad => pb::Strategy::LeastLoad,
    }
}

fn on_agent_lost(policy: OnAgentLost) -> pb::OnAgentLost {
    match policy {
        OnAgentLost::Hold => pb::OnAgentLost::Hold,
        OnAgentLost::Requeue => pb::OnAgentLost::Requeue,
        OnAgentLost::Notify => pb::OnAgentLost::Notify,
    }
}

pub(crate) fn wrap_up(mode: WrapUpMode) -> pb::WrapUpMode {
    match mode {
        WrapUpMode::Optional => pb::WrapUpMode::Optional,
        WrapUpMode::Mandatory => pb::WrapUpMode::Mandatory,
        WrapUpMode::TimeBoxed => pb::WrapUpMode::TimeBoxed,
        WrapUpMode::TimeBoxedWithoutExit => pb::WrapUpMode::TimeBoxedWithoutExit,
        WrapUpMode::OnRequest => pb::WrapUpMode::OnRequest,
    }
}

fn timers(timers: &Timers) -> pb::Timers {
    pb::Timers {
        offer_ms: timers.offer_ms,
        misses_max: timers.misses_max,
        back_off_ms: timers.back_off_ms,
        back_off_ms_max: timers.back_off_ms_max,
        first_reply_warn_ms: timers.first_reply_warn_ms,
        first_reply_reclaim_ms: timers.first_reply_reclaim_ms,
        silent_warn_ms: timers.silent_warn_ms,
        silent_hold_ms: timers.silent_hold_ms,
        agent_lost_ms: timers.agent_lost_ms,
        prefer_ms: timers.prefer_ms,
        wrap_up_ms: timers.wrap_up_ms,
        hold_close_ms: timers.hold_close_ms,
    }
}

fn service_level(level: &ServiceLevel) -> pb::ServiceLevel {
    use pb::ServiceLevelDefinition as Stored;
    let definition = match level.definition {
        ServiceLevelDefinition::AbandonedInCount => Stored::AbandonedInCount,
        ServiceLevelDefinition::AnsweredOnly => Stored::AnsweredOnly,
        ServiceLevelDefinition::AllAbandonedAgainst => Stored::AllAbandonedAgainst,
        ServiceLevelDefinition::LateAbandonedAgainst => Stored::LateAbandonedAgainst,
        ServiceLevelDefinition::ShortAbandonedFor => Stored::ShortAbandonedFor,
        ServiceLevelDefinition::ShortAbandonedOut => Stored::ShortAbandonedOut,
    };
    pb::ServiceLevel {
        threshold_ms: level.threshold_ms,
        target_permille: level.target_permille,
        definition: definition.into(),
    }
}

pub(crate) fn agent(id: String, agent: &AgentPlan) -> pb::AgentPlan {
    let level = |id: String, level: &Level| pb::Count {
        id,
        count: u32::from(level.0),
    };
    pb::AgentPlan {
        id,
        display_name: agent.display_name.clone(),
        site: agent.site.to_string(),
        cell: agent.cell.clone(),
        capacity: agent.capacity,
        skills: rows(&agent.skills, level),
        languages: rows(&agent.languages, level),
        count_max: rows(&agent.count_max, |id, count| pb::Count {
            id,
            count: *count,
        }),
        team: agent.team.clone(),
    }
}

fn policy(policy: &FloorPolicy) -> pb::FloorPolicy {
    pb::FloorPolicy {
        heartbeat_ms: policy.heartbeat_ms,
        suspect_ms: policy.suspect_ms,
        lost_ms: policy.lost_ms,
        lost_site_down_ms: policy.lost_site_down_ms,
        customer_commands_max: policy.customer_commands_max,
        customer_window_ms: policy.customer_window_ms,
        expiry_spike_min: policy.expiry_spike_min,
        expiry_spike_permille: policy.expiry_spike_permille,
    }
}
