//! Made-up floor plans.
//! Promise: each optional field and each word is drawn; requirements are sorted.
//! Not here: plans that make sense (`deploy/floor.toml`).

use std::collections::BTreeMap;

use domain::plan::{
    AccountPlan, AgentPlan, ChannelPlan, FloorPlan, FloorPolicy, IntakeRule, Level, OnAgentLost,
    QueuePlan, QueueTexts, Requirement, ServiceLevel, ServiceLevelDefinition, SitePlan,
    Strategy as Pick, Timers, Urgency, WrapUpMode,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::{names, texts};

fn levels() -> impl Strategy<Value = Level> {
    any::<u8>().prop_map(Level)
}

fn requirements() -> impl Strategy<Value = Vec<Requirement>> {
    let (skills, languages) = (
        btree_map(names(), levels(), 0..3),
        btree_map(names(), levels(), 0..3),
    );
    (skills, languages).prop_map(|(skills, languages)| {
        let skills = skills
            .into_iter()
            .map(|(skill, level)| Requirement::Skill(skill, level));
        let languages = languages
            .into_iter()
            .map(|(language, level)| Requirement::Language(language, level));
        skills.chain(languages).collect()
    })
}

fn timers() -> impl Strategy<Value = Timers> {
    (
        proptest::array::uniform11(0_u64..=i64::MAX as u64),
        any::<u32>(),
    )
        .prop_map(|(ms, misses_max)| Timers {
            offer_ms: ms[0],
            misses_max,
            back_off_ms: ms[1],
            back_off_ms_max: ms[2],
            first_reply_warn_ms: ms[3],
            first_reply_reclaim_ms: ms[4],
            silent_warn_ms: ms[5],
            silent_hold_ms: ms[6],
            agent_lost_ms: ms[7],
            prefer_ms: ms[8],
            wrap_up_ms: ms[9],
            hold_close_ms: ms[10],
        })
}

fn service_levels() -> impl Strategy<Value = ServiceLevel> {
    use ServiceLevelDefinition as Definition;
    let definitions = prop_oneof![
        Just(Definition::AbandonedInCount),
        Just(Definition::AnsweredOnly),
        Just(Definition::AllAbandonedAgainst),
        Just(Definition::LateAbandonedAgainst),
        Just(Definition::ShortAbandonedFor),
        Just(Definition::ShortAbandonedOut),
    ];
    (milliseconds(), 0_u32..2_000, definitions).prop_map(
        |(threshold_ms, target_permille, definition)| ServiceLevel {
            threshold_ms,
            target_permille,
            definition,
        },
    )
}

/// Times that TOML, whose numbers have 63 bits, can hold too.
fn milliseconds() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..200_000,
        0_u64..=i64::MAX as u64,
        (0_u64..1_000).prop_map(|n| n * 60_000)
    ]
}

fn queues() -> impl Strategy<Value = QueuePlan> {
    let urgency = prop_oneof![
        Just(Urgency::Emergency),
        Just(Urgency::Normal),
        Just(Urgency::Background)
    ];
    let strategy = prop_oneof![Just(Pick::LongestIdle), Just(Pick::LeastLoad)];
    let on_lost = prop_oneof![
        Just(OnAgentLost::Hold),
        Just(OnAgentLost::Requeue),
        Just(OnAgentLost::Notify)
    ];
    let wrap_up = prop_oneof![
        Just(WrapUpMode::Optional),
        Just(WrapUpMode::Mandatory),
        Just(WrapUpMode::TimeBoxed),
        Just(WrapUpMode::TimeBoxedWithoutExit),
        Just(WrapUpMode::OnRequest),
    ];
    let how = (
        urgency,
        strategy,
        on_lost,
        wrap_up,
        any::<u32>(),
        any::<bool>(),
    );
    let objective = (requirements(), timers(), service_levels(), milliseconds());
    (how, objective, (texts(), texts(), texts(), texts())).prop_map(|(how, objective, texts)| {
        QueuePlan {
            requires: objective.0,
            urgency: how.0,
            strategy: how.1,
            waiting_max: how.4,
            paused: how.5,
            on_agent_lost: how.2,
            wrap_up: how.3,
            timers: objective.1,
            service_level: objective.2,
            boost_ms_max: objective.3,
            texts: QueueTexts {
                greeting: texts.0.into(),
                full: texts.1.into(),
                paused: texts.2.into(),
                nobody_staffed: texts.3.into(),
            },
        }
    })
}

fn agents() -> impl Strategy<Value = AgentPlan> {
    let tables = (
        btree_map(names(), levels(), 0..3),
        btree_map(names(), levels(), 0..3),
        btree_map(names(), any::<u32>(), 0..2),
    );
    (texts(), names(), texts(), any::<u32>(), tables, texts()).prop_map(
        |(display_name, site, cell, capacity, (skills, languages, count_max), team)| AgentPlan {
            display_name,
            site,
            cell,
            capacity,
            skills,
            languages,
            count_max,
            team,
        },
    )
}

fn channels() -> impl Strategy<Value = ChannelPlan> {
    (
        any::<u32>(),
        any::<Option<u32>>(),
        any::<bool>(),
        [milliseconds(), milliseconds(), milliseconds()],
    )
        .prop_map(
            |(cost, count_max, exclusive, [gone_ms, gone_our_fault_ms, short_abandon_ms])| {
                ChannelPlan {
                    cost,
                    count_max,
                    exclusive,
                    gone_ms,
                    gone_our_fault_ms,
                    short_abandon_ms,
                }
            },
        )
}

fn policies() -> impl Strategy<Value = FloorPolicy> {
    (
        proptest::array::uniform5(0_u64..=i64::MAX as u64),
        any::<u32>(),
        any::<u32>(),
        0_u32..2_000,
    )
        .prop_map(
            |(ms, customer_commands_max, expiry_spike_min, expiry_spike_permille)| FloorPolicy {
                heartbeat_ms: ms[0],
                suspect_ms: ms[1],
                lost_ms: ms[2],
                lost_site_down_ms: ms[3],
                customer_commands_max,
                customer_window_ms: ms[4],
                expiry_spike_min,
                expiry_spike_permille,
            },
        )
}

/// Plans that need not make sense, but whose requirements are sorted.
pub(crate) fn plans() -> impl Strategy<Value = FloorPlan> {
    let sites = btree_map(
        names(),
        (texts(), texts()).prop_map(|(display_name, time_zone)| SitePlan {
            display_name,
            time_zone,
        }),
        0..3,
    );
    let accounts = btree_map(
        names(),
        (names(), names(), names(), milliseconds()).prop_map(|(channel, site, queue, boost_ms)| {
            AccountPlan {
                channel,
                site,
                queue,
                boost_ms,
            }
        }),
        0..3,
    );
    let rule = (
        proptest::option::of(names()),
        proptest::option::of(texts()),
        names(),
        milliseconds(),
    )
        .prop_map(|(language, topic, queue, boost_ms)| IntakeRule {
            language,
            topic,
            queue,
            boost_ms,
        });
    let words = (
        names(),
        btree_map(names(), texts(), 0..3),
        btree_map(names(), texts(), 0..3),
    );
    let routes = (
        sites,
        btree_map(names(), channels(), 0..3),
        accounts,
        vec(rule, 0..3),
    );
    (
        words,
        routes,
        btree_map(names(), queues(), 0..3),
        btree_map(names(), agents(), 0..3),
        policies(),
    )
        .prop_map(|(words, routes, queues, agents, policy)| FloorPlan {
            tenant: words.0,
            sites: routes.0,
            skills: words.1,
            languages: words.2,
            channels: routes.1,
            accounts: routes.2,
            intake: routes.3,
            queues,
            agents,
            policy,
        })
}

/// A small plan, for states and entries that need one.
pub(crate) fn empty_plan() -> FloorPlan {
    FloorPlan {
        tenant: "default".parse().expect("well formed"),
        sites: BTreeMap::new(),
        skills: BTreeMap::new(),
        languages: BTreeMap::new(),
        channels: BTreeMap::new(),
        accounts: BTreeMap::new(),
        intake: Vec::new(),
        queues: BTreeMap::new(),
        agents: BTreeMap::new(),
        policy: FloorPolicy::default(),
    }
}
