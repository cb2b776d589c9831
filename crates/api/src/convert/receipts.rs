//! Receipts of routing decisions.
//! Promise: names the rule that chose, who decided and why others were left out.
//! Not here: choosing (`domain`).

use domain::cell::receipts::{Exclusion, Found, Receipt};
use domain::cell::transcript::Author as By;
use domain::plan::Strategy;
use pb::api::v1::author::Kind;
use pb::api::v1::{self as api, Author};

/// A receipt as supervisors read it.
pub(crate) fn receipt(receipt: &Receipt) -> api::Receipt {
    let excluded = receipt.excluded.iter().map(|(agent, why)| api::Exclusion {
        agent: agent.to_string(),
        reason: exclusion_word(*why).to_owned(),
    });
    let ordered = receipt.ordered.as_deref();
    let to = ordered.and_then(|order| order.to.as_ref());
    api::Receipt {
        log_index: receipt.index.0,
        at_ms: receipt.at.0,
        plan_version: receipt.plan.0,
        decision: decision_word(receipt.found).to_owned(),
        agent: receipt
            .chosen
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        rule: rule_word(receipt.found).to_owned(),
        candidates: receipt.candidates,
        excluded: excluded.collect(),
        excluded_more: receipt.excluded_more,
        waited_ms: receipt.waited_ms,
        outcome: receipt
            .outcome
            .map_or("", |outcome| outcome.word())
            .to_owned(),
        declined: receipt.declined.as_deref().unwrap_or_default().to_owned(),
        by: ordered.map(|order| author(&order.by)),
        why: ordered.map_or("", |order| &order.why).to_owned(),
        to_queue: to.map(ToString::to_string).unwrap_or_default(),
    }
}

/// Who decided; names are those of the floor plan.
fn author(by: &By) -> Author {
    let of = |kind: Kind, name: String| Author {
        kind: kind.into(),
        display_name: name.clone(),
        name,
    };
    match by {
        By::Customer => of(Kind::Customer, String::new()),
        By::Agent(agent) => of(Kind::Agent, agent.to_string()),
        By::Bot => of(Kind::Bot, String::new()),
        By::Staff(staff) => of(Kind::Staff, staff.to_string()),
        By::Machine => of(Kind::System, String::new()),
    }
}

fn decision_word(found: Found) -> &'static str {
    match found {
        Found::ByStrategy(_) => "offered",
        Found::Preferred => "preferred",
        Found::Named | Found::ToQueue => "transferred",
        Found::Assigned => "assigned",
        Found::ToOwnLine => "kept",
        Found::Requeued => "requeued",
        Found::Released => "released",
        Found::Ended => "ended",
    }
}

fn rule_word(found: Found) -> &'static str {
    match found {
        Found::ByStrategy(Strategy::LongestIdle) => "longest idle",
        Found::ByStrategy(Strategy::LeastLoad) => "least load",
        Found::Preferred => "preferred by the conversation",
        Found::Named => "named by a transfer",
        Found::ToQueue => "passed on to a line",
        Found::Assigned => "named by a supervisor",
        Found::ToOwnLine => "waits for the agent's own line",
        Found::Requeued => "taken back by a supervisor",
        Found::Released => "put back after a defect",
        Found::Ended => "ended by a supervisor",
    }
}

fn exclusion_word(why: Exclusion) -> &'static str {
    match why {
        Exclusion::NotReady => "not ready",
        Exclusion::Unreachable => "out of reach",
        Exclusion::AtCapacity => "at capacity",
        Exclusion::NotResponding => "not responding",
        Exclusion::BackOff => "back-off after a miss",
        // Both leave the same mark: not this one again, for a while.
        Exclusion::PassedOver => "declined it, or it was taken from that one",
        Exclusion::Retired => "retired",
    }
}
