//! From the stored floor plan to the domain's.
//! Promise: every name is checked, no key comes twice; meaning is not judged here.
//! Not here: the way there (`to_wire`).

use std::collections::BTreeMap;
use std::fmt::Display;

use ::pb::store::v1 as pb;
use domain::plan::{
    AccountPlan, AgentPlan, ChannelPlan, FloorPlan, FloorPolicy, IntakeRule, Level, OnAgentLost,
    QueuePlan, QueueTexts, Requirement, ServiceLevel, ServiceLevelDefinition, SitePlan, Strategy,
    Timers, Urgency, WrapUpMode,
};

use super::check_plan_format;
use crate::error::WireError;
use crate::ids::{bad_enum, name, need, optional_name};

type Read<T> = Result<T, WireError>;

pub(crate) fn plan(stored: &pb::FloorPlan) -> Read<FloorPlan> {
    check_plan_format(stored)?;
    Ok(FloorPlan {
        tenant: name(&stored.tenant, "plan.tenant")?,
        sites: table("plan.sites", &stored.sites, |row| {
            let (display_name, time_zone) = (row.display_name.clone(), row.time_zone.clone());
            Ok((
                name(&row.id, "plan.sites")?,
                SitePlan {
                    display_name,
                    time_zone,
                },
            ))
        })?,
        skills: table("plan.skills", &stored.skills, |row| {
            Ok((name(&row.id, "plan.skills")?, row.text.clone()))
        })?,
        languages: table("plan.languages", &stored.languages, |row| {
            Ok((name(&row.id, "plan.languages")?, row.text.clone()))
        })?,
        channels: table("plan.channels", &stored.channels, |row| {
            Ok((name(&row.id, "plan.channels")?, channel(row)))
        })?,
        accounts: table("plan.accounts", &stored.accounts, |row| {
            Ok((name(&row.id, "plan.accounts")?, account(row)?))
        })?,
        intake: stored.intake.iter().map(rule).collect::<Read<_>>()?,
        queues: table("plan.queues", &stored.queues, |row| {
            Ok((name(&row.id, "plan.queues")?, queue(row)?))
        })?,
        agents: table("plan.agents", &stored.agents, |row| {
            Ok((name(&row.id, "plan.agents")?, agent(row)?))
        })?,
        policy: policy(need(stored.policy.as_ref(), "plan.policy")?),
    })
}

/// Reads a table; a key that comes twice is refused.
fn table<R, K: Ord + Display, V>(
    field: &'static str,
    rows: &[R],
    read: impl Fn(&R) -> Read<(K, V)>,
) -> Read<BTreeMap<K, V>> {
    let mut table = BTreeMap::new();
    for row in rows {
        let (key, value) = read(row)?;
        let text = key.to_string();
        if table.insert(key, value).is_some() {
            return Err(WireError::Repeated { field, key: text });
        }
    }
    Ok(table)
}

fn channel(stored: &pb::ChannelPlan) -> ChannelPlan {
    ChannelPlan {
        cost: stored.cost,
        count_max: stored.count_max,
        exclusive: stored.exclusive,
        gone_ms: stored.gone_ms,
        gone_our_fault_ms: stored.gone_our_fault_ms,
        short_abandon_ms: stored.short_abandon_ms,
    }
}

fn account(stored: &pb::AccountPlan) -> Read<AccountPlan> {
    Ok(AccountPlan {
        channel: name(&stored.channel, "account.channel")?,
        site: name(&stored.site, "account.site")?,
        queue: name(&stored.queue, "account.queue")?,
        boost_ms: stored.boost_ms,
    })
}

fn rule(stored: &pb::IntakeRule) -> Read<IntakeRule> {
    Ok(IntakeRule {
        language: optional_name(stored.language.as_ref(), "intake.language")?,
        topic: stored.topic.clone(),
        queue: name(&stored.queue, "intake.queue")?,
        boost_ms: stored.boost_ms,
    })
}

fn level(field: &'static str, stored: u32) -> Read<Level> {
    u8::try_from(stored)
        .map(Level)
        .map_err(|_| WireError::BadValue {
            field,
            value: u64::from(stored),
        })
}

fn requirement(stored: &pb::Requirement) -> Read<Requirement> {
    use pb::requirement::Attribute;
    let level = level("requirement.level", stored.level)?;
    Ok(
        match need(stored.attribute.as_ref(), "requirement.attribute")? {
            Attribute::Skill(skill) => Requirement::Skill(name(skill, "requirement.skill")?, level),
            Attribute::Language(language) => {
                Requirement::Language(name(language, "requirement.language")?, level)
            }
        },
    )
}

pub(crate) fn queue(stored: &pb::QueuePlan) -> Read<QueuePlan> {
    let texts = need(stored.texts.as_ref(), "queue.texts")?;
    Ok(QueuePlan {
        requires: stored
            .requires
            .iter()
            .map(requirement)
            .collect::<Read<_>>()?,
        urgency: urgency(stored.urgency)?,
        strategy: strategy(stored)?,
        waiting_max: stored.waiting_max,
        paused: stored.paused,
        on_agent_lost: on_agent_lost(stored)?,
        wrap_up: wrap_up(stored.wrap_up)?,
        timers: timers(need(stored.timers.as_ref(), "queue.timers")?),
        service_level: service_level(need(stored.service_level.as_ref(), "queue.service_level")?)?,
        boost_ms_max: stored.boost_ms_max,
        texts: QueueTexts {
            greeting: texts.greeting.as_str().into(),
            full: texts.full.as_str().into(),
            paused: texts.paused.as_str().into(),
            nobody_staffed: texts.nobody_staffed.as_str().into(),
        },
    })
}

pub(crate) fn urgency(stored: i32) -> Read<Urgency> {
    match pb::Urgency::try_from(stored) {
        Ok(pb::Urgency::Emergency) => Ok(Urgency::Emergency),
        Ok(pb::Urgency::Normal) => Ok(Urgency::Normal),
        Ok(pb::Urgency::Background) => Ok(Urgency::Background),
        Ok(pb::Urgency::Unspecified) | Err(_) => Err(bad_enum("urgency", stored)),
    }
}

fn strategy(stored: &pb::QueuePlan) -> Read<Strategy> {
    match stored.strategy() {
        pb::Strategy::LongestIdle => Ok(Strategy::LongestIdle),
        pb::Strategy::LeastLoad => Ok(Strategy::LeastLoad),
        pb::Strategy::Unspecified => Err(bad_enum("queue.strategy", stored.strategy)),
    }
}

fn on_agent_lost(stored: &pb::QueuePlan) -> Read<OnAgentLost> {
    match stored.on_agent_lost() {
        pb::OnAgentLost::Hold => Ok(OnAgentLost::Hold),
        pb::OnAgentLost::Requeue => Ok(OnAgentLost::Requeue),
        pb::OnAgentLost::Notify => Ok(OnAgentLost::Notify),
        pb::OnAgentLost::Unspecified => Err(bad_enum("queue.on_agent_lost", stored.on_agent_lost)),
    }
}

pub(crate) fn wrap_up(stored: i32) -> Read<WrapUpMode> {
    match pb::WrapUpMode::try_from(stored) {
        Ok(pb::WrapUpMode::Optional) => Ok(WrapUpMode::Optional),
        Ok(pb::WrapUpMode::Mandatory) => Ok(WrapUpMode::Mandatory),
        Ok(pb::WrapUpMode::TimeBoxed) => Ok(WrapUpMode::TimeBoxed),
        Ok(pb::WrapUpMode::TimeBoxedWithoutExit) => Ok(WrapUpMode::TimeBoxedWithoutExit),
        Ok(pb::WrapUpMode::OnRequest) => Ok(WrapUpMode::OnRequest),
        Ok(pb::WrapUpMode::Unspecified) | Err(_) => Err(bad_enum("wrap_up", stored)),
    }
}

fn timers(stored: &pb::Timers) -> Timers {
    Timers {
        offer_ms: stored.offer_ms,
        misses_max: stored.misses_max,
        back_off_ms: stored.back_off_ms,
        back_off_ms_max: stored.back_off_ms_max,
        first_reply_warn_ms: stored.first_reply_warn_ms,
        first_reply_reclaim_ms: stored.first_reply_reclaim_ms,
        silent_warn_ms: stored.silent_warn_ms,
        silent_hold_ms: stored.silent_hold_ms,
        agent_lost_ms: stored.agent_lost_ms,
        prefer_ms: stored.prefer_ms,
        wrap_up_ms: stored.wrap_up_ms,
        hold_close_ms: stored.hold_close_ms,
    }
}

fn service_level(stored: &pb::ServiceLevel) -> Read<ServiceLevel> {
    use pb::ServiceLevelDefinition as Stored;
    let definition = match stored.definition() {
        Stored::AbandonedInCount => ServiceLevelDefinition::AbandonedInCount,
        Stored::AnsweredOnly => ServiceLevelDefinition::AnsweredOnly,
        Stored::AllAbandonedAgainst => ServiceLevelDefinition::AllAbandonedAgainst,
        Stored::LateAbandonedAgainst => ServiceLevelDefinition::LateAbandonedAgainst,
        Stored::ShortAbandonedFor => ServiceLevelDefinition::ShortAbandonedFor,
        Stored::ShortAbandonedOut => ServiceLevelDefinition::ShortAbandonedOut,
        Stored::Unspecified => {
            return Err(bad_enum(
                "queue.service_level.definition",
                stored.definition,
            ));
        }
    };
    let (threshold_ms, target_permille) = (stored.threshold_ms, stored.target_permille);
    Ok(ServiceLevel {
        threshold_ms,
        target_permille,
        definition,
    })
}

pub(crate) fn agent(stored: &pb::AgentPlan) -> Read<AgentPlan> {
    Ok(AgentPlan {
        display_name: stored.display_name.clone(),
        site: name(&stored.site, "agent.site")?,
        cell: stored.cell.clone(),
        capacity: stored.capacity,
        skills: table("agent.skills", &stored.skills, |row| {
            Ok((
                name(&row.id, "agent.skills")?,
                level("agent.skills", row.count)?,
            ))
        })?,
        languages: table("agent.languages", &stored.languages, |row| {
            Ok((
                name(&row.id, "agent.languages")?,
                level("agent.languages", row.count)?,
            ))
        })?,
        count_max: table("agent.count_max", &stored.count_max, |row| {
            Ok((name(&row.id, "agent.count_max")?, row.count))
        })?,
        team: stored.team.clone(),
    })
}

fn policy(stored: &pb::FloorPolicy) -> FloorPolicy {
    FloorPolicy {
        heartbeat_ms: stored.heartbeat_ms,
        suspect_ms: stored.suspect_ms,
        lost_ms: stored.lost_ms,
        lost_site_down_ms: stored.lost_site_down_ms,
        customer_commands_max: stored.customer_commands_max,
        customer_window_ms: stored.customer_window_ms,
        expiry_spike_min: stored.expiry_spike_min,
        expiry_spike_permille: stored.expiry_spike_permille,
    }
}
