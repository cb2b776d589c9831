//! Accounts and the intake table: every conversation must find a queue that exists.
//! Promise: a plan that passes has a queue for each conversation, and no rule in vain.
//! Not here: finding the queue of one conversation (`cell`).

use super::{Faults, LABEL_BYTES_MAX, PlanPath, PlanProblem};
use crate::ids::{ChannelId, LanguageId, QueueId, SiteId};
use crate::plan::{FloorPlan, IntakeRule};

pub(super) fn check(plan: &FloorPlan, faults: &mut Faults) {
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
    }
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
        if let Some(by) = plan.intake[..at]
            .iter()
            .position(|earlier| hides(earlier, rule))
        {
            faults.add(path, PlanProblem::RuleUnreachable { by: by + 1 });
        }
    }
}

/// Whether `earlier` fits everything that `rule` fits.
fn hides(earlier: &IntakeRule, rule: &IntakeRule) -> bool {
    let language = earlier.language.is_none() || earlier.language == rule.language;
    let topic = earlier.topic.is_none() || earlier.topic == rule.topic;
    language && topic
}
