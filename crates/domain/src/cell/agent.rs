//! An agent's record: login, what the agent chose, whether the client is alive, pauses.
//! Promise: a plain value; units in use are derived from the conversations, never stored here.
//! Not here: eligibility and free units (`capacity`).

use std::sync::Arc;

use super::command::{Intent, LeaseState};
use super::requests::Remembered;
use crate::ids::{AgentId, CellTime, ChannelId, DeviceId, Session, SiteId, StaffId};
use crate::plan::AgentPlan;

/// Devices of one session: a desk, a phone, a spare and some that were never logged out. The oldest leaves.
pub const DEVICES_MAX: usize = 8;

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// The name.
    pub name: AgentId,
    /// The profile of the newest plan that has this agent.
    pub profile: Arc<AgentPlan>,
    /// The newest plan lacks this agent: no new work; the record goes when the work has ended.
    pub retired: bool,
    /// The login in force, `None` when logged out.
    pub session: Option<Session>,
    /// When that login began.
    pub session_since: CellTime,
    /// Devices of the session, oldest first.
    pub devices: Vec<DeviceId>,
    /// The site of the edge that took the last login.
    pub site: SiteId,
    /// What the agent chose.
    pub intent: Intent,
    /// What becomes the intent when the present work has ended.
    pub next: Option<Intent>,
    /// Since when the intent holds.
    pub intent_since: CellTime,
    /// The supervisor who set the intent; `None` where the agent chose it.
    pub set_by: Option<Box<SetBy>>,
    /// Whether the client is alive; `Gone` when logged out.
    pub lease: LeaseState,
    /// Since when.
    pub lease_since: CellTime,
    /// Since when the client has been silent, while the lease is not `Alive`.
    pub silent_since: CellTime,
    /// End of the last conversation that the agent handled; the first login until there is one.
    pub idle_since: CellTime,
    /// Conversations handled since the record exists.
    pub handled: u64,
    /// Pauses per channel; only channels on which an offer was missed.
    pub channels: Vec<ChannelPause>,
    /// Answers given within ten minutes.
    pub requests: Vec<Remembered>,
    /// The time under which the agent stands in the deadline index.
    pub deadline: Option<CellTime>,
}

/// A supervisor's hand on an agent's intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetBy {
    /// Who.
    pub staff: StaffId,
    /// Why, at most 1 KiB.
    pub why: Box<str>,
    /// What the agent had chosen before: a supervisor's ready never goes beyond it.
    pub chosen: Intent,
    /// What the agent had chosen for after the present work. It becomes `chosen` when that work has ended, and
    /// is what comes next again when the supervisor takes back what was set.
    pub next: Option<Intent>,
}

/// What missed offers on one channel have led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelPause {
    /// The channel.
    pub channel: ChannelId,
    /// Offers missed in a row.
    pub misses: u32,
    /// The last pause, in milliseconds; the next is twice as long.
    pub pause_ms: u64,
    /// When the last miss was counted: an offer made before it was missed by the same absence.
    pub missed_at: CellTime,
    /// No offers on the channel before this time.
    pub until: CellTime,
    /// No offers on the channel until the agent acts again.
    pub not_responding: bool,
}

impl Agent {
    /// A record for a profile that no login has used yet.
    pub fn new(name: AgentId, profile: Arc<AgentPlan>) -> Self {
        let site = profile.site.clone();
        Self {
            name,
            profile,
            retired: false,
            session: None,
            session_since: CellTime(0),
            devices: Vec::new(),
            site,
            intent: Intent::NotReady {
                reason: String::new(),
            },
            next: None,
            intent_since: CellTime(0),
            set_by: None,
            lease: LeaseState::Gone,
            lease_since: CellTime(0),
            silent_since: CellTime(0),
            idle_since: CellTime(0),
            handled: 0,
            channels: Vec::new(),
            requests: Vec::new(),
            deadline: None,
        }
    }

    /// Takes over what the agent chose, or what a supervisor set.
    pub(crate) fn choose(&mut self, intent: Intent, mut set_by: Option<Box<SetBy>>, now: CellTime) {
        if self.intent != intent {
            self.intent = intent;
            self.intent_since = now;
        }
        self.next = match (&self.intent, &mut set_by) {
            (Intent::Ready, Some(set_by)) => set_by.next.take(),
            _ => None,
        };
        self.set_by = set_by;
    }

    /// Whether something was chosen for after the present work.
    pub(crate) fn has_next(&self) -> bool {
        let beneath = self.set_by.as_ref().is_some_and(|by| by.next.is_some());
        self.next.is_some() || beneath
    }

    /// The present work has ended: what was chosen for after it holds, beneath what a supervisor has set.
    pub(crate) fn end_of_work(&mut self, now: CellTime) {
        if let Some(next) = self.next.take() {
            self.choose(next, None, now);
        } else if let Some(set_by) = &mut self.set_by
            && let Some(next) = set_by.next.take()
        {
            set_by.chosen = next;
        }
    }

    /// Whether missed offers have led to silence on a channel, until the agent acts again.
    pub fn is_not_responding(&self) -> bool {
        self.channels.iter().any(|pause| pause.not_responding)
    }

    /// Whether the agent is logged in and the client is alive.
    pub fn is_reachable(&self) -> bool {
        self.session.is_some() && self.lease == LeaseState::Alive
    }

    /// Whether the agent wants work now and after the present work.
    pub fn wants_work(&self) -> bool {
        self.intent == Intent::Ready && !matches!(self.next, Some(Intent::NotReady { .. }))
    }

    /// The pause on a channel, if one was ever missed.
    pub fn pause(&self, channel: &ChannelId) -> Option<&ChannelPause> {
        self.channels.iter().find(|pause| pause.channel == *channel)
    }
}
