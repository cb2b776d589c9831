//! What a node tells an operator, as the API's messages have it.
//! Promise: total; values of the configuration stand as TOML.
//! Not here: what is told (`mod`, `report`).

use pb::api::v1 as api;

use crate::config::{ConfigFault, KeyChange};
use crate::doors::millis;
use crate::log::Logs;

pub(super) fn level(node: &str, logs: &Logs) -> api::LogLevelView {
    let level = logs.levels.now();
    api::LogLevelView {
        node: node.to_owned(),
        filter: level.filter,
        configured: level.configured,
        falls_back_ms: level
            .left
            .map(|left| millis(left).max(1))
            .unwrap_or_default(),
    }
}

pub(super) fn change(change: &KeyChange) -> api::ConfigChange {
    api::ConfigChange {
        key: change.key.clone(),
        old_value: change.old.clone(),
        new_value: change.new.clone(),
    }
}

pub(super) fn fault(fault: &ConfigFault) -> api::ConfigFault {
    api::ConfigFault {
        place: fault.place.clone(),
        message: fault.message.clone(),
        suggestion: fault.suggestion.clone().unwrap_or_default(),
    }
}
