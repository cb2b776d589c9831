//! No free eligible agent stands beside offerable work, unless matching goes on.

use super::Rule;
use super::frame::{About, At, Found, Invariant, Touched, Whole, broken};
use super::known::Known;
use super::plain::{self, Work};
use crate::cell::conversation::Conversation;
use crate::cell::state::State;
use crate::ids::AgentId;

/// Conversations of the line that one freed agent is compared with: the first ones would be served.
const LINE_LOOK_MAX: usize = 256;

#[derive(Default)]
pub(super) struct NobodyIdle;

impl Invariant for NobodyIdle {
    /// Every pair of a waiting conversation and an agent, judged by the records and the plan in force.
    fn whole(&self, whole: &Whole<'_>) -> Found {
        let state = whole.state;
        if state.meta.more_due {
            return Ok(());
        }
        let none = Work::new();
        for found in state.conversations().filter(|found| plain::waits(found)) {
            if is_stopped(state, found) {
                continue;
            }
            for name in state.agents.keys() {
                let held = whole.work.get(name).unwrap_or(&none);
                check_pair(state, found, (name, held))?;
            }
        }
        Ok(())
    }

    /// What was touched and waits, beside every agent; agents who were touched, beside the line.
    fn ends(&mut self, known: &Known, at: &At<'_>, touched: &Touched<'_>) -> Found {
        let state = at.state;
        if state.meta.more_due {
            return Ok(());
        }
        let waiting = touched.conversations.iter().filter_map(|index| {
            let seen = known.seen(*index)?;
            state.conversations.get(index).filter(|_| seen.waiting)
        });
        for found in waiting {
            for agent in state.agents.keys() {
                check_pair(state, found, (agent, &known.held(agent)))?;
            }
        }
        for agent in &touched.freed {
            for (_, _, index) in known.line.iter().take(LINE_LOOK_MAX) {
                if let Some(found) = state.conversations.get(index) {
                    check_pair(state, found, (agent, &known.held(agent)))?;
                }
            }
        }
        Ok(())
    }
}

/// Whether its queue serves nothing.
fn is_stopped(state: &State, found: &Conversation) -> bool {
    plain::is_paused(state, state.meta.plan, found) || plain::is_stopped(state, found)
}

fn check_pair(state: &State, found: &Conversation, (name, held): (&AgentId, &Work)) -> Found {
    let there = |agent: &&std::sync::Arc<crate::cell::agent::Agent>| agent.session.is_some();
    let Some(agent) = state.agents.get(name).filter(there) else {
        return Ok(());
    };
    let asked = match plain::kept_for(found) {
        Some(only) => only == name,
        None => {
            let rules = plain::rules(state, state.meta.plan, found);
            plain::may_serve(agent, rules.map_or(&[][..], |rules| &rules.requires))
        }
    };
    let passed = found.passed_over.iter().any(|passed| passed.agent == *name);
    let idle = asked
        && !passed
        && !is_stopped(state, found)
        && plain::is_free(state, agent, held, &found.channel);
    if !idle {
        return Ok(());
    }
    let what = format!(
        "{} waits beside {name}, who is free and may serve it",
        found.id
    );
    let about = About::Both(found.id, name.clone());
    broken(Rule::NobodyIdle, about, what)
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::cell::conversation::{Held, Phase, Waiting};

    #[test]
    fn an_agent_who_is_free_beside_work_is_seen_unless_matching_goes_on() {
        let (floor, ann, bob) = busy();
        let mut made = Made::of(&floor);
        made.touch(bob);
        assert_eq!(made.judged(), Ok(()), "ana is busy");
        // Ana's work is taken away and nobody looks for more.
        record(&mut made.before, ann).phase = Phase::Queued(Waiting {
            prefer: None,
            held: Held::OwnLine,
        });
        assert_eq!(made.breaks(), Rule::NobodyIdle);
        made.after.meta.more_due = true;
        assert_eq!(made.judged(), Ok(()));
    }

    #[test]
    fn an_agent_who_is_free_beside_work_is_seen_in_a_whole_state() {
        let (floor, ann, _) = busy();
        let mut state = floor.state().clone();
        assert_eq!(whole(&NobodyIdle, &state), Ok(()));
        record(&mut state, ann).phase = Phase::Bot;
        assert_eq!(rule_of(whole(&NobodyIdle, &state)), Some(Rule::NobodyIdle));
    }
}
