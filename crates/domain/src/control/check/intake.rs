//! Accounts and the intake table: every conversation must find a queue that exists.
//! Promise: a plan that passes has a queue for each conversation, and no rule in vain.
//! Not here: finding the queue of one conversation (`cell`).

use super::{BOOST_MS_MAX, Faults, LABEL_BYTES_MAX, PlanPath, PlanProblem};
use crate::ids::{ChannelId, LanguageId, QueueId, SiteId};
use crate::plan::{AccountPlan, FloorPlan, IntakeRule};

pub(super) fn check(plan: &FloorPlan, faults: &mut Faults) {
    check_accounts(plan, faults);
    check_rules(plan, faults);
}

fn check_accounts(plan: &FloorPlan, faults: &mut Faults) {
    let queues = || plan.queues.keys().map(QueueId::as_str);
    for (id, account) in &plan.accounts {
        let path = PlanPath::keys(["account", id.as_str()]);
        let channel = ("channel", account.channel.as_str());
        faults.require_known(
            path.key("channel"),
            channel,
            plan.channels.keys().map(ChannelId::as_str),
        );
        let site = ("site", account.site.as_str());
        faults.require_known(
            path.key("site"),
            site,
            plan.sites.keys().map(SiteId::as_str),
        );
        if plan.queues.is_empty() {
            faults.add(path.key("queue"), PlanProblem::NoFallback);
        } else {
            faults.require_known(
                path.key("queue"),
                ("queue", account.queue.as_str()),
                queues(),
            );
        }
        check_account_boost(plan, &path.key("boost"), account, faults);
    }
}

fn check_rules(plan: &FloorPlan, faults: &mut Faults) {
    let queues = || plan.queues.keys().map(QueueId::as_str);
    for (at, rule) in plan.intake.iter().enumerate() {
        let path = PlanPath::keys(["intake"]).index(at);
        faults.require_known(path.key("queue"), ("queue", rule.queue.as_str()), queues());
        if let Some(language) = &rule.language {
            let known = plan.languages.keys().map(LanguageId::as_str);
            faults.require_known(path.key("language"), ("language", language.as_str()), known);
        }
        if let Some(topic) = &rule.topic {
            faults.require_text(path.key("topic"), topic, (1, LABEL_BYTES_MAX));
        }
        check_rule_boost(plan, &path.key("boost"), rule, faults);
        if let Some(by) = plan.intake[..at]
            .iter()
            .position(|earlier| hides(earlier, rule))
        {
            faults.add(path, PlanProblem::RuleUnreachable { by: by + 1 });
        }
    }
}

/// A rule's boost must have an effect in its queue. A queue that there is not has its own fault.
fn check_rule_boost(plan: &FloorPlan, path: &PlanPath, rule: &IntakeRule, faults: &mut Faults) {
    require_boost(path, rule.boost_ms, faults);
    let refused = plan
        .queues
        .get(&rule.queue)
        .is_some_and(|queue| queue.boost_ms_max == 0);
    if rule.boost_ms > 0 && refused {
        let queue = rule.queue.to_string();
        faults.add(path.clone(), PlanProblem::BoostNotAllowed { queue });
    }
}

/// An account's boost must have an effect in one of the queues that its conversations reach: its
/// own and those of the whole table, whose rules hold for every account.
fn check_account_boost(
    plan: &FloorPlan,
    path: &PlanPath,
    account: &AccountPlan,
    faults: &mut Faults,
) {
    require_boost(path, account.boost_ms, faults);
    let reached = plan.intake.iter().map(|rule| &rule.queue);
    let allowed = reached
        .chain([&account.queue])
        .filter_map(|queue| plan.queues.get(queue))
        .map(|queue| queue.boost_ms_max)
        .max();
    if account.boost_ms > 0 && allowed == Some(0) {
        faults.add(path.clone(), PlanProblem::BoostAllowedNowhere);
    }
}

fn require_boost(path: &PlanPath, value_ms: u64, faults: &mut Faults) {
    if value_ms > BOOST_MS_MAX {
        let problem = PlanProblem::TimerOutOfRange {
            value_ms,
            least_ms: 0,
            most_ms: BOOST_MS_MAX,
        };
        faults.add(path.clone(), problem);
    }
}

/// Whether `earlier` fits everything that `rule` fits.
fn hides(earlier: &IntakeRule, rule: &IntakeRule) -> bool {
    let language = earlier.language.is_none() || earlier.language == rule.language;
    let topic = earlier.topic.is_none() || earlier.topic == rule.topic;
    language && topic
}
