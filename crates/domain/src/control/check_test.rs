//! Claims about what `check` refuses in a floor plan, one test each.

use std::collections::BTreeMap;

use super::check::{PlanProblem, check};
use crate::ids::{AccountId, AgentId, ChannelId, LanguageId, QueueId, SiteId, SkillId, TenantId};
use crate::plan::{
    AccountPlan, AgentPlan, ChannelPlan, FloorPlan, FloorPolicy, IntakeRule, Level, OnAgentLost,
    QueuePlan, QueueTexts, Requirement, ServiceLevel, SitePlan, Strategy, Timers, Urgency,
    WrapUpMode,
};

fn skill(name: &str) -> SkillId {
    SkillId::new(name).expect("well formed")
}

fn language(name: &str) -> LanguageId {
    LanguageId::new(name).expect("well formed")
}

fn queue(name: &str) -> QueueId {
    QueueId::new(name).expect("well formed")
}

fn web() -> ChannelId {
    ChannelId::new("web").expect("well formed")
}

fn ana() -> AgentId {
    AgentId::new("ana").expect("well formed")
}

/// One site, one queue that requires orders 2 and German 3, one agent who has both.
pub(super) fn small_plan() -> FloorPlan {
    let site = SiteId::new("fra").expect("well formed");
    let agent = AgentPlan {
        display_name: "Ana".to_owned(),
        site: site.clone(),
        cell: "main".to_owned(),
        capacity: 100,
        skills: BTreeMap::from([(skill("orders"), Level(3))]),
        languages: BTreeMap::from([(language("de"), Level(5))]),
        count_max: BTreeMap::new(),
        team: String::new(),
    };
    let account = AccountPlan {
        channel: web(),
        site: site.clone(),
        queue: queue("orders"),
        boost_ms: 0,
    };
    FloorPlan {
        tenant: TenantId::new("default").expect("well formed"),
        sites: BTreeMap::from([(
            site,
            SitePlan {
                display_name: "Frankfurt".to_owned(),
                time_zone: "Europe/Berlin".to_owned(),
            },
        )]),
        skills: BTreeMap::from([(skill("orders"), "Orders".to_owned())]),
        languages: BTreeMap::from([(language("de"), "German".to_owned())]),
        channels: BTreeMap::from([(web(), channel(25))]),
        accounts: BTreeMap::from([(AccountId::new("web-de").expect("well formed"), account)]),
        intake: vec![IntakeRule {
            language: Some(language("de")),
            topic: None,
            queue: queue("orders"),
            boost_ms: 0,
        }],
        queues: BTreeMap::from([(queue("orders"), orders_queue())]),
        agents: BTreeMap::from([(ana(), agent)]),
        policy: FloorPolicy::default(),
    }
}

fn channel(cost: u32) -> ChannelPlan {
    ChannelPlan {
        cost,
        count_max: None,
        exclusive: false,
        gone_ms: 120_000,
        gone_our_fault_ms: 600_000,
        short_abandon_ms: 10_000,
    }
}

fn orders_queue() -> QueuePlan {
    QueuePlan {
        requires: vec![
            Requirement::Skill(skill("orders"), Level(2)),
            Requirement::Language(language("de"), Level(3)),
        ],
        urgency: Urgency::Normal,
        strategy: Strategy::LongestIdle,
        waiting_max: 100,
        paused: false,
        on_agent_lost: OnAgentLost::Requeue,
        wrap_up: WrapUpMode::Optional,
        timers: Timers::default(),
        service_level: ServiceLevel::default(),
        boost_ms_max: 60_000,
        texts: QueueTexts::default(),
    }
}

/// The faults of the small plan after a change, as text.
fn faults_after(change: impl FnOnce(&mut FloorPlan)) -> Vec<String> {
    let mut plan = small_plan();
    change(&mut plan);
    check(&plan).iter().map(ToString::to_string).collect()
}

fn orders(plan: &mut FloorPlan) -> &mut QueuePlan {
    plan.queues.get_mut(&queue("orders")).expect("is there")
}

fn agent(plan: &mut FloorPlan) -> &mut AgentPlan {
    plan.agents.get_mut(&ana()).expect("is there")
}

#[test]
fn a_sound_plan_has_no_fault() {
    assert_eq!(check(&small_plan()), []);
}

#[test]
fn a_queue_that_nobody_can_serve_is_refused_with_the_nearest_agent() {
    let faults = faults_after(|plan| {
        orders(plan).requires[1] = Requirement::Language(language("de"), Level(5))
    });
    assert_eq!(faults, Vec::<String>::new());
    let faults = faults_after(|plan| {
        orders(plan).requires[0] = Requirement::Skill(skill("orders"), Level(4))
    });
    assert_eq!(
        faults,
        [
            "queue.orders: no agent can serve this queue: the nearest, ana, has skill orders at 3, 4 is required"
        ]
    );
}

#[test]
fn a_channel_that_no_eligible_agent_can_hold_is_refused() {
    let faults = faults_after(|plan| {
        plan.channels
            .insert(ChannelId::new("voice").expect("well formed"), channel(100));
        agent(plan).capacity = 50;
        let account = AccountPlan {
            channel: ChannelId::new("voice").expect("well formed"),
            site: SiteId::new("fra").expect("well formed"),
            queue: queue("orders"),
            boost_ms: 0,
        };
        plan.accounts
            .insert(AccountId::new("phone").expect("well formed"), account);
    });
    assert_eq!(
        faults,
        [
            "queue.orders: channel voice reaches this queue, but no eligible agent can hold its 100 units"
        ]
    );
}

#[test]
fn a_capacity_that_serves_no_channel_is_refused() {
    let faults = faults_after(|plan| agent(plan).capacity = 24);
    let expected =
        "agent.ana.capacity: a capacity of 24 units can serve no channel; the cheapest costs 25";
    assert_eq!(faults[0], expected);
}

#[test]
fn unknown_names_are_refused_with_a_did_you_mean() {
    let mut plan = small_plan();
    agent(&mut plan).skills.insert(skill("ordres"), Level(1));
    plan.intake[0].queue = queue("order");
    let faults = check(&plan);
    let told: Vec<_> = faults
        .iter()
        .map(|fault| (fault.to_string(), fault.suggestion.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (
                "agent.ana.skills.ordres: there is no skill \"ordres\"".to_owned(),
                Some("orders")
            ),
            (
                "intake[0].queue: there is no queue \"order\"".to_owned(),
                Some("orders")
            ),
        ]
    );
}

#[test]
fn every_reference_is_checked() {
    let nowhere = || SiteId::new("xyz").expect("well formed");
    let account = |plan: &mut FloorPlan, change: fn(&mut AccountPlan)| {
        plan.accounts.values_mut().for_each(change)
    };
    let at = |faults: Vec<String>| {
        faults
            .first()
            .map(|fault| fault.split(':').next().unwrap_or("").to_owned())
    };
    assert_eq!(
        at(faults_after(|plan| agent(plan).site = nowhere())).as_deref(),
        Some("agent.ana.site")
    );
    let faults = faults_after(|plan| {
        account(plan, |account| {
            account.site = SiteId::new("x").expect("well formed")
        })
    });
    assert_eq!(at(faults).as_deref(), Some("account.web-de.site"));
    let faults = faults_after(|plan| account(plan, |account| account.queue = queue("nothing")));
    assert_eq!(at(faults).as_deref(), Some("account.web-de.queue"));
    let faults = faults_after(|plan| {
        account(plan, |account| {
            account.channel = ChannelId::new("fax").expect("well formed")
        });
    });
    assert_eq!(at(faults).as_deref(), Some("account.web-de.channel"));
    let faults = faults_after(|plan| plan.intake[0].language = Some(language("fr")));
    assert_eq!(at(faults).as_deref(), Some("intake[0].language"));
    let faults = faults_after(|plan| {
        agent(plan)
            .count_max
            .insert(ChannelId::new("fax").expect("well formed"), 1);
    });
    assert_eq!(at(faults).as_deref(), Some("agent.ana.count_max.fax"));
}

#[test]
fn a_level_outside_one_to_five_is_refused() {
    let faults = faults_after(|plan| {
        agent(plan).languages.insert(language("de"), Level(6));
    });
    assert_eq!(
        faults,
        ["agent.ana.languages.de: level 6 is outside 1 to 5"]
    );
    let faults = faults_after(|plan| {
        orders(plan).requires[0] = Requirement::Skill(skill("orders"), Level(0))
    });
    assert_eq!(
        faults,
        ["queue.orders.skills.orders: level 0 is outside 1 to 5"]
    );
}

#[test]
fn a_requirement_named_twice_is_refused() {
    let faults = faults_after(|plan| {
        orders(plan)
            .requires
            .insert(0, Requirement::Skill(skill("orders"), Level(1)));
    });
    assert_eq!(
        faults,
        ["queue.orders: requirements must be sorted and name each skill and language once"]
    );
}

#[test]
fn more_than_256_work_classes_are_refused() {
    let mut plan = small_plan();
    for n in 0..256 {
        let name = format!("skill-{n}");
        plan.skills.insert(skill(&name), name.clone());
        agent(&mut plan).skills.insert(skill(&name), Level(5));
        let requires = vec![Requirement::Skill(skill(&name), Level(1))];
        plan.queues.insert(
            queue(&name),
            QueuePlan {
                requires,
                ..orders_queue()
            },
        );
    }
    let problems: Vec<_> = check(&plan)
        .into_iter()
        .map(|fault| fault.problem)
        .collect();
    assert_eq!(
        problems,
        [PlanProblem::TooManyClasses {
            sets: 257,
            channels: 1,
            classes: 257,
            limit: 256
        }]
    );
}

#[test]
fn timers_out_of_range_or_order_are_refused() {
    let faults = faults_after(|plan| orders(plan).timers.offer_ms = 0);
    assert_eq!(
        faults,
        ["queue.orders.timers.offer: 0 ms is outside 1 ms to 604800000 ms"]
    );
    let faults = faults_after(|plan| plan.policy.suspect_ms = 5_000);
    assert_eq!(
        faults,
        ["policy.suspect: 5000 ms must be longer than heartbeat, which is 5000 ms"]
    );
    let faults = faults_after(|plan| orders(plan).timers.first_reply_reclaim_ms = 60_000);
    assert_eq!(
        faults,
        [
            "queue.orders.timers.first_reply_reclaim: 60000 ms must be longer than first_reply_warn, which is 60000 ms"
        ]
    );
    let faults = faults_after(|plan| orders(plan).timers.agent_lost_ms = 10_000);
    assert_eq!(
        faults,
        ["queue.orders.timers.agent_lost: 10000 ms is outside 15000 ms to 120000 ms"]
    );
}

#[test]
fn a_rule_that_is_never_reached_is_refused() {
    let faults = faults_after(|plan| {
        let rule = IntakeRule {
            topic: Some("refund".to_owned()),
            ..plan.intake[0].clone()
        };
        plan.intake.push(rule);
    });
    assert_eq!(
        faults,
        ["intake[1]: this rule is never reached: rule 1 fits everything that it fits"]
    );
}

#[test]
fn a_boost_that_no_queue_allows_is_refused_where_it_stands() {
    let boosted = |plan: &mut FloorPlan| {
        plan.intake[0].boost_ms = 30_000;
        for account in plan.accounts.values_mut() {
            account.boost_ms = 10_000;
        }
    };
    assert_eq!(faults_after(boosted), Vec::<String>::new());
    let faults = faults_after(|plan| {
        boosted(plan);
        orders(plan).boost_ms_max = 0;
    });
    assert_eq!(
        faults,
        [
            "account.web-de.boost: no queue that this account reaches allows a boost: boost_max is 0 in all of them",
            "intake[0].boost: queue \"orders\" allows no boost: its boost_max is 0",
        ]
    );
}

#[test]
fn a_boost_of_more_than_a_day_is_refused() {
    let faults = faults_after(|plan| plan.intake[0].boost_ms = 86_400_001);
    assert_eq!(
        faults,
        ["intake[0].boost: 86400001 ms is outside 0 ms to 86400000 ms"]
    );
}

#[test]
fn an_account_without_any_queue_is_refused() {
    let faults = faults_after(|plan| {
        plan.intake.clear();
        plan.queues.clear();
    });
    assert_eq!(
        faults,
        ["account.web-de.queue: there is no queue for conversations that no intake rule fits"]
    );
}

#[test]
fn numbers_and_texts_outside_their_bounds_are_refused() {
    let faults = faults_after(|plan| orders(plan).waiting_max = 0);
    assert_eq!(
        faults,
        ["queue.orders.waiting_max: 0 is outside 1 to 1000000"]
    );
    let faults = faults_after(|plan| orders(plan).texts.full = "x".repeat(4_097).into());
    assert_eq!(
        faults,
        ["queue.orders.texts.full: a text of 4097 bytes is outside 0 to 4096 bytes"]
    );
    let faults = faults_after(|plan| {
        plan.sites
            .values_mut()
            .for_each(|site| "Berlin".clone_into(&mut site.time_zone))
    });
    assert_eq!(
        faults,
        ["site.fra.time_zone: \"Berlin\" is not a time zone such as \"Europe/Berlin\""]
    );
}

#[test]
fn a_set_of_requirements_counts_as_a_class_for_each_strategy() {
    let mut plan = small_plan();
    for n in 0..128 {
        let name = format!("skill-{n}");
        plan.skills.insert(skill(&name), name.clone());
        agent(&mut plan).skills.insert(skill(&name), Level(5));
        for strategy in [Strategy::LongestIdle, Strategy::LeastLoad] {
            let requires = vec![Requirement::Skill(skill(&name), Level(1))];
            plan.queues.insert(
                queue(&format!("{name}-{strategy:?}").to_lowercase()),
                QueuePlan {
                    requires,
                    strategy,
                    ..orders_queue()
                },
            );
        }
    }
    let problems: Vec<_> = check(&plan)
        .into_iter()
        .map(|fault| fault.problem)
        .collect();
    assert_eq!(
        problems,
        [PlanProblem::TooManyClasses {
            sets: 257,
            channels: 1,
            classes: 257,
            limit: 256
        }]
    );
}

#[test]
fn an_agent_of_a_cell_that_there_is_not_is_refused() {
    let faults = faults_after(|plan| agent(plan).cell = "mian".to_owned());
    assert_eq!(faults, ["agent.ana.cell: there is no cell \"mian\""]);
}
