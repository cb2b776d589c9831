//! Receipts of routing decisions.
//! Promise: names the rule that chose and why others were left out.
//! Not here: choosing (`domain`).

use domain::cell::receipts::{Exclusion, Found, Receipt};
use domain::plan::Strategy;
use pb::api::v1 as api;

/// A receipt as supervisors read it.
pub(crate) fn receipt(receipt: &Receipt) -> api::Receipt {
    let excluded = receipt.excluded.iter().map(|(agent, why)| api::Exclusion {
        agent: agent.to_string(),
        reason: exclusion_word(*why).to_owned(),
    });
    api::Receipt {
        log_index: receipt.index.0,
        at_ms: receipt.at.0,
        plan_version: receipt.plan.0,
        decision: decision_word(receipt.found).to_owned(),
        agent: receipt.chosen.to_string(),
        rule: rule_word(receipt.found).to_owned(),
        candidates: receipt.candidates,
        excluded: excluded.collect(),
    }
}

fn decision_word(found: Found) -> &'static str {
    match found {
        Found::ByStrategy(_) => "offered",
        Found::Preferred => "preferred",
        Found::Named => "transferred",
    }
}

fn rule_word(found: Found) -> &'static str {
    match found {
        Found::ByStrategy(Strategy::LongestIdle) => "longest idle",
        Found::ByStrategy(Strategy::LeastLoad) => "least load",
        Found::Preferred => "preferred by the conversation",
        Found::Named => "named by a transfer",
    }
}

fn exclusion_word(why: Exclusion) -> &'static str {
    match why {
        Exclusion::NotReady => "not ready",
        Exclusion::Unreachable => "out of reach",
        Exclusion::AtCapacity => "at capacity",
        Exclusion::NotResponding => "not responding",
        Exclusion::BackOff => "back-off after a miss",
        Exclusion::PassedOver => "declined it",
        Exclusion::Retired => "retired",
    }
}
