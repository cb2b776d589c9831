//! No entry that takes units leaves an agent with more in use than there are; units are what the channel costs when
//! they are taken, and stay until the agent is done.

use std::collections::BTreeMap;

use super::Rule;
use super::frame::{About, At, Found, Invariant, Touched, Whole, broken};
use super::known::{Known, Taken};
use super::plain;
use crate::cell::conversation::Phase;
use crate::cell::event::Event;
use crate::cell::state::State;
use crate::ids::{AgentId, ConversationId};

#[derive(Default)]
pub(super) struct CapacityHolds {
    /// Units of agents before they took more in the present entry.
    had: BTreeMap<AgentId, u64>,
}

impl Invariant for CapacityHolds {
    fn step(&self, before: &Whole<'_>, after: &Whole<'_>) -> Found {
        after.work.iter().try_for_each(|(name, work)| {
            let had = before.work.get(name).map_or(0, plain::units);
            check_capacity(after.state, name, (had, plain::units(work)))
        })
    }

    fn begins(&mut self, _: &Known, _: &At<'_>) -> Found {
        self.had.clear();
        Ok(())
    }

    fn event(&mut self, known: &Known, at: &At<'_>, event: &Event) -> Found {
        let Event::PhaseChanged {
            conversation,
            phase,
            ..
        } = event
        else {
            return Ok(());
        };
        let seen = known.seen(conversation.index);
        let taken = seen.and_then(|seen| seen.taken.as_ref());
        check_units(at.state, *conversation, taken, phase)?;
        if let Some((agent, _)) = phase.taken()
            && at.state.conversation(*conversation).is_some()
            && !self.had.contains_key(agent)
        {
            let had = plain::units(&known.held(agent));
            self.had.insert(agent.clone(), had);
        }
        Ok(())
    }

    fn ends(&mut self, known: &Known, at: &At<'_>, _: &Touched<'_>) -> Found {
        self.had.iter().try_for_each(|(agent, had)| {
            let used = plain::units(&known.held(agent));
            check_capacity(at.state, agent, (*had, used))
        })
    }
}

fn check_capacity(state: &State, name: &AgentId, (had, used): (u64, u64)) -> Found {
    let agent = state.agents.get(name);
    let capacity = agent.map_or(0, |agent| agent.profile.capacity);
    if used <= had || used <= u64::from(capacity) {
        return Ok(());
    }
    let what = format!("{name} has {used} units in use of {capacity}");
    broken(Rule::CapacityHolds, name, what)
}

fn check_units(state: &State, id: ConversationId, before: Option<&Taken>, phase: &Phase) -> Found {
    let (Some((agent, units)), Some(found)) = (phase.taken(), state.conversation(id)) else {
        return Ok(());
    };
    let kept = before.filter(|(holder, _, _)| holder == agent);
    let due = kept.map_or_else(
        || state.channel(&found.channel).cost,
        |(_, _, units)| *units,
    );
    if units == due {
        return Ok(());
    }
    let what = format!("{id} takes {units} units of {agent} and not {due}");
    let about = About::Both(id, agent.clone());
    broken(Rule::CapacityHolds, about, what)
}

#[cfg(test)]
mod tests {
    use super::super::made::*;
    use super::*;
    use crate::cell::conversation::Active;
    use crate::cell::tests::support::agent;
    use crate::ids::OwnerEpoch;

    /// Ana takes the conversation of ann in this entry, with so many units in all.
    fn taken_of(capacity: u32) -> Made {
        let (floor, ann, _) = busy();
        let mut made = Made::of(&floor);
        let phase = made.after(ann).phase.clone();
        let owner_epoch = made.after(ann).owner_epoch;
        record(&mut made.before, ann).phase = Phase::Bot;
        let ana = person(&mut made.after, "ana");
        let mut profile = (*ana.profile).clone();
        profile.capacity = capacity;
        ana.profile = profile.into();
        made.events = vec![Event::PhaseChanged {
            conversation: ann,
            phase,
            owner_epoch,
        }];
        made.after.meta.more_due = true;
        // That ana owns it in an epoch in which nobody did is seen first: the epoch moves too.
        made.after(ann).owner_epoch = OwnerEpoch(owner_epoch.0 + 1);
        made
    }

    #[test]
    fn an_entry_that_takes_more_than_there_is_is_seen() {
        let enough = taken_of(25);
        assert_eq!(enough.judged_by(CapacityHolds::default()), Ok(()));
        let made = taken_of(10);
        assert_eq!(made.breaks(), Rule::CapacityHolds);
        let found = step(&CapacityHolds::default(), &made.before, &made.after);
        assert_eq!(rule_of(found), Some(Rule::CapacityHolds));
    }

    #[test]
    fn a_capacity_that_shrinks_below_what_is_in_use_holds() {
        let mut made = taken_of(10);
        made.before = made.after.clone();
        made.events.clear();
        assert_eq!(made.judged_by(CapacityHolds::default()), Ok(()));
        let found = step(&CapacityHolds::default(), &made.before, &made.after);
        assert_eq!(found, Ok(()));
    }

    #[test]
    fn units_that_are_not_what_the_channel_costs_or_shrink_with_the_same_agent_are_seen() {
        let (floor, ann, _) = busy();
        let found = floor.state().conversation(ann).unwrap();
        let Phase::Active(active) = &found.phase else {
            panic!("ana has it")
        };
        let changed = |agent: AgentId, units| Event::PhaseChanged {
            conversation: ann,
            phase: Phase::Active(Active {
                agent,
                units,
                ..active.clone()
            }),
            owner_epoch: found.owner_epoch,
        };
        let mut made = Made::of(&floor);
        made.events = vec![changed(active.agent.clone(), 0)];
        assert_eq!(made.breaks(), Rule::CapacityHolds, "ana held more");
        let mut made = Made::of(&floor);
        made.events = vec![changed(agent("ben"), 1)];
        assert_eq!(made.breaks(), Rule::CapacityHolds, "web costs 25");
    }
}
