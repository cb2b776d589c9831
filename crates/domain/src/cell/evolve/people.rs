//! What events do to an agent's record, and what a leader's start does.
//! Promise: an agent's standing in every class follows the record in the same step.
//! Not here: conversations.

use std::sync::Arc;

use mutants::{Mutant, planted};

use crate::cell::agent::Agent;
use crate::cell::command::LeaseState;
use crate::cell::conversation::Phase;
use crate::cell::meta::{EXTENSIONS_MAX, Extension};
use crate::cell::state::State;
use crate::ids::LogIndex;

impl State {
    pub(super) fn set_agent(&mut self, agent: &Arc<Agent>) {
        let name = &agent.name;
        // Records are made and retired by plans alone.
        let Some(before) = self.agents.get(name) else {
            return;
        };
        let mut record = Agent::clone(agent);
        record.profile = before.profile.clone();
        record.retired = before.retired;
        record.requests.clone_from(&before.requests);
        record.deadline = before.deadline;
        let lease_changed = before.lease != record.lease;
        Arc::make_mut(&mut self.agents).insert(name.clone(), Arc::new(record));
        self.reindex_agent(name);
        self.refresh_agent_deadline(name);
        if lease_changed {
            let owned: Vec<LogIndex> = self
                .derived
                .agents
                .get(name)
                .map(|index| index.conversations.iter().copied().collect())
                .unwrap_or_default();
            let back = agent.lease == LeaseState::Alive;
            for index in owned {
                // Lost another time, the policy of the queue holds another time.
                if back
                    && let Some(found) = self.conversations.get_mut(&index)
                    && let Phase::Active(active) = &mut found.phase
                {
                    active.lost_handled = false;
                }
                self.refresh_deadline(index);
            }
        }
    }

    pub(super) fn leader_started(
        &mut self,
        series: u32,
        full: bool,
        without_leader_ms: u64,
        moved_ms: u64,
    ) {
        self.meta.now = self.meta.now.plus_ms(moved_ms);
        let now = self.meta.now;
        let leader = &mut self.meta.leader;
        leader.starts += 1;
        leader.started_at = now;
        leader.series = series;
        if planted(Mutant::EffectLostOnLeaderChange) {
            return;
        }
        if full {
            leader.full_since = now;
            leader.extensions.clear();
            return;
        }
        // The time that cell time was moved by was time without a leader as well.
        leader.extensions.push(Extension {
            at: now,
            ms: without_leader_ms.saturating_add(moved_ms),
        });
        if leader.extensions.len() > EXTENSIONS_MAX {
            let oldest = leader.extensions.remove(0);
            leader.extensions[0].ms = leader.extensions[0].ms.saturating_add(oldest.ms);
        }
    }
}
