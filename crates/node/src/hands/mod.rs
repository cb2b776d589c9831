//! An operator's hands on one node: its log's filter, its configuration, its part of a support bundle.
//! Promise: asked at any node, done at the node that is named; what is done twice harms nobody; no
//! message's text and no secret leaves a node this way.
//! Not here: the services (`api`), what the log lets through (`log`), the values in force (`config`).

mod page;
mod report;
mod told;

#[cfg(test)]
mod hands_test;

use std::sync::Arc;
use std::time::Duration;

use api::errors::RefusalWith;
use pb::api::v1::{
    ErrorReason, GetLogLevelResponse, ReloadConfigResponse, SetLogLevelRequest, SetLogLevelResponse,
};
use pb::raft::v1::forward_answer::Response;
use pb::raft::v1::forward_call::Request;
use ports::CallAnswer;
use runtime::{Env, Stop};
use store::Identity;
use tokio::time::Instant;

use crate::config::{ConfigFault, Live, Reloaded, Settings};
use crate::control::StateWatch;
use crate::doors::{Doors, millis};
use crate::log::Logs;
use crate::log::level::{self, Change};
use crate::refuse::{self, field_invalid};
use crate::start::Addresses;

/// Another node is waited for no longer: its part of a report may be some MiB, and its page of metrics takes
/// up to 2 s.
const PEER_WAIT: Duration = Duration::from_secs(8);
/// How long a filter set by hand holds where nobody says.
const BY_HAND: Duration = Duration::from_secs(15 * 60);
/// The longest that it may hold: whoever needs more changes the configuration.
const BY_HAND_MAX: Duration = Duration::from_secs(24 * 3_600);

/// What the process around a node can do for its operators.
#[derive(Clone, Default)]
pub struct Process {
    /// The log, if it is the node's to change.
    pub logs: Option<Logs>,
    /// What reads the configuration again, if it came from layers.
    pub settings: Option<Arc<dyn Settings>>,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process")
            .field("logs", &self.logs.is_some())
            .field("settings", &self.settings.is_some())
            .finish()
    }
}

/// What hands are made of.
pub(crate) struct HandsParts {
    pub(crate) env: Env,
    pub(crate) identity: Identity,
    pub(crate) addresses: Addresses,
    pub(crate) started: Instant,
    pub(crate) logs: Option<Logs>,
    pub(crate) live: Live,
    pub(crate) control: StateWatch,
    pub(crate) doors: Doors,
    pub(crate) stop: Stop,
}

/// What an operator may do with this node, and through it with others. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Hands(Arc<HandsParts>);

#[async_trait::async_trait]
impl ports::Hands for Hands {
    async fn act(&self, node: &str, request: Request) -> CallAnswer {
        if node.is_empty() || node == self.0.identity.node_name {
            return self.here(request).await;
        }
        let control = self.0.control.borrow().clone();
        let found = control
            .living_nodes()
            .find(|(_, known)| known.name.as_str() == node);
        let Some((id, _)) = found else {
            let message = format!("no node of the cluster is called {node}");
            return Err(api::errors::refusal(ErrorReason::NodeNotFound, message).with("node", node));
        };
        let answered = self.0.doors.node_act(id.0, request, PEER_WAIT).await;
        answered.unwrap_or_else(|| {
            let message = format!("there is no way to node {node} at present");
            Err(api::errors::refusal(ErrorReason::NodeUnreachable, message).with("node", node))
        })
    }
}

impl Hands {
    pub(crate) fn new(parts: HandsParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Does it on this node.
    async fn here(&self, request: Request) -> CallAnswer {
        match request {
            Request::GetLogLevel(_) => self.log_level().map(Response::GetLogLevel),
            Request::SetLogLevel(request) => {
                self.set_log_level(&request).map(Response::SetLogLevel)
            }
            Request::ReloadConfig(request) => self
                .reload_config(&request.staff)
                .map(Response::ReloadConfig),
            Request::GetNodeReport(_) => Ok(Response::GetNodeReport(report::of(&self.0).await)),
            _ => Err(refuse::internal("a node was asked for what a group does")),
        }
    }

    fn logs(&self) -> Result<&Logs, pb::api::v1::Refusal> {
        self.0.logs.as_ref().ok_or_else(|| {
            let message = "this node's log is not its own to change";
            api::errors::refusal(ErrorReason::NotAllowed, message)
        })
    }

    fn log_level(&self) -> Result<GetLogLevelResponse, pb::api::v1::Refusal> {
        let level = told::level(&self.0.identity.node_name, self.logs()?);
        Ok(GetLogLevelResponse { level: Some(level) })
    }

    fn set_log_level(
        &self,
        request: &SetLogLevelRequest,
    ) -> Result<SetLogLevelResponse, pb::api::v1::Refusal> {
        let logs = self.logs()?;
        let wrong = |error: crate::log::LogError| field_invalid("filter", error.told());
        let (node, staff) = (&self.0.identity.node_name, &request.staff);
        if request.filter.is_empty() {
            logs.levels.end_by_hand(None).map_err(wrong)?;
            tracing::info!(
                at_node = node,
                staff,
                "the log's filter is the configured one"
            );
            return Ok(SetLogLevelResponse {
                level: Some(told::level(node, logs)),
            });
        }
        let lasts = lasts(request.for_ms)?;
        // Read before anything of it is said: what is no filter could be anything, and of any length.
        level::read(&request.filter).map_err(wrong)?;
        // Said before it holds: a filter may let nothing of this through.
        let lasts_ms = millis(lasts);
        tracing::warn!(
            at_node = node,
            staff,
            filter = request.filter,
            lasts_ms,
            "the log's filter is set by hand"
        );
        let set = logs.levels.set_by_hand(&request.filter, lasts);
        let (change, until) = set.map_err(wrong)?;
        let ending = self.clone().end_at(change, until);
        let ending = self.0.env.edge.spawn("log filter by hand", ending);
        logs.levels.ended_by(ending.abort_on_drop());
        Ok(SetLogLevelResponse {
            level: Some(told::level(node, logs)),
        })
    }

    /// Ends what was set by hand when its time is over.
    async fn end_at(self, change: Change, until: Instant) {
        tokio::select! {
            biased;
            () = self.0.stop.stopped() => {}
            () = tokio::time::sleep_until(until) => {}
        }
        let Some(logs) = &self.0.logs else { return };
        let node = &self.0.identity.node_name;
        match logs.levels.end_by_hand(Some(change)) {
            Ok(true) => tracing::info!(at_node = node, "the log's filter is the configured one"),
            Ok(false) => {}
            Err(error) => tracing::warn!(at_node = node, %error, "the log's filter stays"),
        }
    }

    fn reload_config(&self, staff: &str) -> Result<ReloadConfigResponse, pb::api::v1::Refusal> {
        if !self.0.live.can_reload() {
            let message = "this node's configuration was made by its program, not read";
            return Err(api::errors::refusal(ErrorReason::NotAllowed, message));
        }
        let node = self.0.identity.node_name.clone();
        Ok(match self.reload(staff) {
            Ok(reloaded) => ReloadConfigResponse {
                node,
                taken: reloaded.taken.iter().map(told::change).collect(),
                waiting: reloaded.waiting.iter().map(told::change).collect(),
                ..ReloadConfigResponse::default()
            },
            Err(faults) => ReloadConfigResponse {
                node,
                faults: faults.iter().map(told::fault).collect(),
                ..ReloadConfigResponse::default()
            },
        })
    }

    /// Reads the configuration again; the log says what came of it.
    pub(crate) fn reload(&self, by: &str) -> Result<Reloaded, Vec<ConfigFault>> {
        let node = &self.0.identity.node_name;
        let reloaded = self.0.live.reload().inspect_err(|faults| {
            for fault in faults {
                tracing::error!(at_node = node, %fault, "the configuration has a fault: nothing is taken over");
            }
        })?;
        for change in &reloaded.taken {
            let (key, old, new) = (&change.key, &change.old, &change.new);
            tracing::info!(at_node = node, key, old, new, by, "a key is taken over");
        }
        for change in &reloaded.waiting {
            let (key, old, new) = (&change.key, &change.old, &change.new);
            tracing::warn!(
                at_node = node,
                key,
                old,
                new,
                by,
                "a key differs and needs a restart"
            );
        }
        if reloaded == Reloaded::default() {
            tracing::info!(
                at_node = node,
                by,
                "the configuration was read again; nothing differs"
            );
        }
        let level = &self.0.live.layered().config.log.level;
        if let Some(Err(error)) = self
            .0
            .logs
            .as_ref()
            .map(|logs| logs.levels.configure(level))
        {
            tracing::warn!(at_node = node, %error, "the log's filter stays");
        }
        Ok(reloaded)
    }
}

fn lasts(for_ms: u64) -> Result<Duration, pb::api::v1::Refusal> {
    let lasts = match for_ms {
        0 => BY_HAND,
        ms => Duration::from_millis(ms),
    };
    let range = Duration::from_secs(1)..=BY_HAND_MAX;
    if !range.contains(&lasts) {
        let problem = "lies outside 1 s to 24 h; for longer change log.level in the configuration";
        return Err(field_invalid("for_ms", problem));
    }
    Ok(lasts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_by_hand_holds_a_quarter_of_an_hour_unless_it_is_said_how_long() {
        assert_eq!(lasts(0), Ok(BY_HAND));
        assert_eq!(lasts(1_000), Ok(Duration::from_secs(1)));
        assert_eq!(lasts(86_400_000), Ok(BY_HAND_MAX));
        for ms in [1, 999, 86_400_001, u64::MAX] {
            let refused = lasts(ms).unwrap_err();
            assert_eq!(refused.reason(), ErrorReason::FieldInvalid);
            assert!(refused.message.starts_with("for_ms lies outside"));
        }
    }
}
