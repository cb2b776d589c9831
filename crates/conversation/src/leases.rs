//! When an agent was last heard from, in the leader's memory, and what follows.
//! Promise: only changes become entries; under a new leader every lease has its full period again.
//! Not here: what a change does (the machine), the clock (the caller).

use std::collections::BTreeMap;

use domain::cell::command::LeaseState;
use domain::ids::{AgentId, NodeId, Session};

/// The lease periods that hold for one agent, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    /// Silent this long: Suspect.
    pub suspect_ms: u64,
    /// Silent this long: Lost.
    pub lost_ms: u64,
    /// Silent this long: the session ends.
    pub gone_ms: u64,
}

/// A session as the machine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Who.
    pub agent: AgentId,
    /// The login.
    pub session: Session,
    /// The lease in force.
    pub lease: LeaseState,
    /// The periods that hold.
    pub periods: Periods,
    /// The agent is lost, and its edge has gone meanwhile: work is due that waited for its queue.
    pub overdue: bool,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    session: Session,
    at_ms: u64,
    /// Through which edge the agent's word came; `None` at the beginning of a leadership.
    edge: Option<NodeId>,
}

/// Last heard, per agent.
#[derive(Debug, Default)]
pub struct Leases {
    heard: BTreeMap<AgentId, Heard>,
}

impl Leases {
    /// Notes that `session` of `agent` was heard from through `edge`.
    pub fn hear(&mut self, agent: &AgentId, session: Session, edge: NodeId, now_ms: u64) {
        let word = Heard {
            session,
            at_ms: now_ms,
            edge: Some(edge),
        };
        match self.heard.get_mut(agent) {
            Some(entry) => *entry = word,
            None => {
                self.heard.insert(agent.clone(), word);
            }
        }
    }

    /// The edge of the last word of an agent.
    pub fn edge(&self, agent: &AgentId) -> Option<NodeId> {
        self.heard.get(agent).and_then(|heard| heard.edge)
    }

    /// Compares the sessions of the machine with what was heard; gives the changes to propose.
    /// A session that was never heard of counts from now: a new leader grants the full period.
    pub fn changes(
        &mut self,
        sessions: &[Known],
        now_ms: u64,
    ) -> Vec<(AgentId, Session, LeaseState)> {
        let mut changes = Vec::new();
        let mut kept = BTreeMap::new();
        for known in sessions {
            let heard = match self.heard.get(&known.agent) {
                Some(&heard) if heard.session == known.session => heard,
                _ => Heard {
                    session: known.session,
                    at_ms: now_ms,
                    edge: None,
                },
            };
            kept.insert(known.agent.clone(), heard);
            let due = state_after(now_ms.saturating_sub(heard.at_ms), known.periods);
            let once_more = known.overdue && due == LeaseState::Lost;
            if once_more || follows(known.lease, due, heard.edge.is_some()) {
                changes.push((known.agent.clone(), known.session, due));
            }
        }
        self.heard = kept;
        changes
    }
}

fn state_after(silent_ms: u64, periods: Periods) -> LeaseState {
    if silent_ms >= periods.gone_ms {
        LeaseState::Gone
    } else if silent_ms >= periods.lost_ms {
        LeaseState::Lost
    } else if silent_ms >= periods.suspect_ms {
        LeaseState::Suspect
    } else {
        LeaseState::Alive
    }
}

/// Whether `due` is a change worth an entry: worse than `now`, or alive again by a word.
fn follows(now: LeaseState, due: LeaseState, by_word: bool) -> bool {
    let rank = |state| match state {
        LeaseState::Alive => 0,
        LeaseState::Suspect => 1,
        LeaseState::Lost => 2,
        LeaseState::Gone => 3,
    };
    due != now && (rank(due) > rank(now) || (due == LeaseState::Alive && by_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIODS: Periods = Periods {
        suspect_ms: 15_000,
        lost_ms: 60_000,
        gone_ms: 3_600_000,
    };

    const EDGE: NodeId = NodeId(3);

    fn ana(lease: LeaseState) -> Known {
        let agent = AgentId::new("ana").expect("well formed");
        Known {
            agent,
            session: Session(7),
            lease,
            periods: PERIODS,
            overdue: false,
        }
    }

    fn due(leases: &mut Leases, lease: LeaseState, now_ms: u64) -> Option<LeaseState> {
        leases
            .changes(&[ana(lease)], now_ms)
            .pop()
            .map(|(_, _, state)| state)
    }

    #[test]
    fn silence_makes_suspect_then_lost_then_gone_and_a_word_makes_alive() {
        let mut leases = Leases::default();
        leases.hear(&ana(LeaseState::Alive).agent, Session(7), EDGE, 0);
        assert_eq!(due(&mut leases, LeaseState::Alive, 14_999), None);
        assert_eq!(
            due(&mut leases, LeaseState::Alive, 15_000),
            Some(LeaseState::Suspect)
        );
        assert_eq!(due(&mut leases, LeaseState::Suspect, 59_999), None);
        assert_eq!(
            due(&mut leases, LeaseState::Suspect, 60_000),
            Some(LeaseState::Lost)
        );
        leases.hear(&ana(LeaseState::Alive).agent, Session(7), EDGE, 61_000);
        assert_eq!(
            due(&mut leases, LeaseState::Lost, 61_001),
            Some(LeaseState::Alive)
        );
        assert_eq!(
            due(&mut leases, LeaseState::Alive, 3_700_000),
            Some(LeaseState::Gone)
        );
    }

    #[test]
    fn work_that_an_edge_makes_due_is_lost_once_more_after_the_full_silence() {
        let mut leases = Leases::default();
        let overdue = Known {
            overdue: true,
            ..ana(LeaseState::Lost)
        };
        let mut at = |now_ms| leases.changes(std::slice::from_ref(&overdue), now_ms);
        assert_eq!(at(0), []);
        assert_eq!(at(59_999), [], "a new leader grants the full period");
        assert_eq!(at(60_000).len(), 1);
    }

    #[test]
    fn a_new_leader_grants_the_full_period() {
        let mut leases = Leases::default();
        assert_eq!(due(&mut leases, LeaseState::Alive, 1_000_000), None);
        assert_eq!(due(&mut leases, LeaseState::Alive, 1_014_999), None);
        assert_eq!(
            due(&mut leases, LeaseState::Alive, 1_015_000),
            Some(LeaseState::Suspect)
        );
    }

    #[test]
    fn a_new_leader_makes_nobody_alive_without_a_word() {
        let mut leases = Leases::default();
        assert_eq!(due(&mut leases, LeaseState::Suspect, 1_000), None);
        leases.hear(&ana(LeaseState::Suspect).agent, Session(7), EDGE, 1_100);
        assert_eq!(
            due(&mut leases, LeaseState::Suspect, 1_200),
            Some(LeaseState::Alive)
        );
    }

    #[test]
    fn an_older_session_s_word_does_not_count() {
        let mut leases = Leases::default();
        leases.hear(&ana(LeaseState::Alive).agent, Session(6), EDGE, 0);
        assert_eq!(
            due(&mut leases, LeaseState::Alive, 20_000),
            None,
            "counts from now, not from then"
        );
    }
}
