//! What the replicas of each group have, held against each other and against the pure machine.
//! Promise: one leader in a term; what one node has applied at an index, every node applies there, for ever; a
//! leader's log reaches as far as what was applied before its term; every state is what the entries make.
//! Not here: where this is seen (`witness`).

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::cell::derived::Gauges;
use domain::cell::{Cell, State};
use domain::ids::CellId;
use node::{Breach, Prover};
use store::{Chain, Record};

use super::Violation;
use crate::invariants::cell_time::CellTime;
use crate::invariants::committed_immutable::{Applied, Entry};
use crate::invariants::committed_on_quorum::{Committed, Said};
use crate::invariants::election_safety::Leaders;
use crate::invariants::floor_as_stored::{Floor, Floors};
use crate::invariants::leader_completeness::LastOfTerms;
use crate::invariants::log_matching::Chains;
use crate::invariants::node_keeps::Kept;
use crate::invariants::same_states::{self, States};
use crate::invariants::{self, Found, no_gap};

/// All groups.
#[derive(Default)]
pub struct Groups {
    groups: BTreeMap<u32, Known>,
    kept: Kept,
}

/// One group as all its replicas together show it.
struct Known {
    applied: Applied,
    next: u64,
    leaders: Leaders,
    lasts: LastOfTerms,
    chains: Chains,
    /// The chain that the entries up to `next` make.
    chain: Chain,
    committed: Committed,
    prover: Prover,
    states: States,
    clock: CellTime,
    floors: Floors,
}

impl Known {
    fn new(group: u32) -> Self {
        let skips: Arc<std::collections::BTreeSet<u64>> = Arc::default();
        let prover = match group {
            0 => Prover::control(None, skips),
            cell => Prover::cell(CellId(cell), None, skips),
        };
        Self {
            applied: Applied::default(),
            next: 0,
            leaders: Leaders::default(),
            lasts: LastOfTerms::default(),
            chains: Chains::default(),
            chain: Chain::default(),
            committed: Committed::default(),
            prover,
            states: States::default(),
            clock: CellTime::default(),
            floors: Floors::default(),
        }
    }

    /// Remembers what the entries make up to here.
    fn remember(&mut self) -> Found {
        let state = self.prover.state();
        let (Some(cell), Some(applied)) = (state, self.prover.applied()) else {
            return Ok(());
        };
        self.states.made(applied, cell.state().meta().chain.0);
        self.floors.made(cell.applied().0, floor_of(cell.state()))
    }
}

/// The floor of a cell as clients may be shown it.
fn floor_of(state: &State) -> Floor {
    let queues = state.queues().map(|queue| {
        let gauges = state.gauges(&queue.name).map(|(_, gauges)| gauges);
        let all = gauges.fold(Gauges::default(), |sum, site| sum.plus(site));
        let numbers = [
            all.waiting,
            all.offered,
            all.active,
            all.on_hold,
            all.wrap_up,
        ];
        (queue.name.to_string(), numbers)
    });
    let agents = state.agents().map(|agent| {
        let view = state.agent_view(&agent.name);
        let used = view.map_or(0, |view| u64::from(view.load.used));
        let capacity = u64::from(agent.profile.capacity);
        (agent.name.to_string(), (used, capacity))
    });
    Floor {
        queues: queues.collect(),
        agents: agents.collect(),
    }
}

fn content(record: &Record) -> [u8; 16] {
    let mut content = [0; 16];
    content.copy_from_slice(&blake3::hash(&record.payload).as_bytes()[..16]);
    content
}

/// What does not hold of something.
fn of(subject: impl FnOnce() -> String) -> impl FnOnce(invariants::Breach) -> Violation {
    move |(rule, seen)| Violation::new(rule, subject(), seen)
}

/// A rule of a cell that does not hold.
fn of_cell(subject: String, breach: Breach) -> Violation {
    let subject = match &breach.about {
        Some(about) => format!("{} at {subject}", about.who),
        None => subject,
    };
    let before = breach.before().to_vec();
    let mut violation = Violation::new("the rules of the cell", subject, breach.seen);
    violation.before.push(format!("rule: {}", breach.rule));
    violation.before.extend(before);
    violation
}

impl Groups {
    fn known(&mut self, group: u32) -> &mut Known {
        self.groups
            .entry(group)
            .or_insert_with(|| Known::new(group))
    }

    /// A node says that it leads a group in a term, with a log up to `last`.
    ///
    /// # Errors
    /// When another one led in that term, or its log is short of what was applied in earlier terms.
    pub fn leads(
        &mut self,
        node: usize,
        group: u32,
        term: u64,
        last: u64,
    ) -> Result<(), Violation> {
        let known = self.known(group);
        let subject = || format!("group {group} in term {term}");
        let news = known.leaders.leads(node, term).map_err(of(subject))?;
        match news {
            true => known.lasts.leads(node, term, last).map_err(of(subject)),
            false => Ok(()),
        }
    }

    /// A leader says how far it is; the entry that must be on a quorum now, if there is another one.
    pub fn said(&mut self, group: u32, said: &Said) -> Option<u64> {
        self.known(group).committed.said(said)
    }

    /// A node has applied an entry; whether that is news.
    ///
    /// # Errors
    /// When another node has another entry or another chain there, or the machine finds a rule broken.
    pub fn applied(
        &mut self,
        node: usize,
        group: u32,
        record: &Record,
        chain: Option<Chain>,
    ) -> Result<bool, Violation> {
        let known = self.known(group);
        let index = record.index;
        let entry = Entry {
            term: record.term,
            leader: record.leader_node,
            content: content(record),
        };
        let subject = || format!("entry {index} of group {group}");
        if known.applied.knows(index) || index >= known.next {
            no_gap::check(known.next, index).map_err(of(subject))?;
            let before = known.applied.applied(node, index, entry);
            let before = before.map_err(of(subject))?;
            if let Some(chain) = chain {
                let shown = known.chains.shown(node, index, chain.0);
                shown.map_err(of(subject))?;
            }
            if before {
                return Ok(false);
            }
        } else {
            return Ok(false);
        }
        known.lasts.applied(index, record.term);
        known.next += 1;
        // A node that has purged the entry since it was read shows no chain.
        let made = known.chain.next(record.term, index, &record.payload);
        known.chain = made;
        let fits = known.chains.shown(node, index, made.0);
        fits.map_err(of(subject))?;
        let taken = known.prover.take(record, made);
        let shown = known.remember();
        match taken {
            Ok(()) => shown.map(|()| true).map_err(of(subject)),
            Err(breach) => Err(of_cell(subject(), breach)),
        }
    }

    /// A node's state of a cell holds for an index and has this machine chain.
    ///
    /// # Errors
    /// When the entries make another.
    pub fn state(
        &mut self,
        node: usize,
        group: u32,
        index: u64,
        chain: [u8; 16],
    ) -> Result<(), Violation> {
        let shown = self.known(group).states.shown(index, chain);
        shown.map_err(of(|| format!("node {node} of group {group}")))
    }

    /// A node's whole state of a cell, at the index up to which it has applied; whether it could be compared.
    ///
    /// # Errors
    /// When the entries make another.
    pub fn whole(
        &self,
        node: usize,
        group: u32,
        (cell, index): (&Cell, u64),
    ) -> Result<bool, Violation> {
        let known = self
            .groups
            .get(&group)
            .filter(|known| known.next == index + 1);
        let Some(ours) = known.and_then(|known| known.prover.state()) else {
            return Ok(false);
        };
        same_states::check_whole(index, ours, cell)
            .map_err(of(|| format!("node {node} of group {group}")))?;
        Ok(true)
    }

    /// The clock of a cell, looked at when the world's stands at `now_ms`.
    ///
    /// # Errors
    /// When it ran faster than the world's under one leader.
    pub fn clock(&mut self, group: u32, now_ms: u64) -> Result<(), Violation> {
        let Some(known) = self.groups.get_mut(&group) else {
            return Ok(());
        };
        let Some(cell) = known.prover.state() else {
            return Ok(());
        };
        let (starts, at) = (cell.state().meta().leader.starts, cell.state().now().0);
        let moved = known.clock.at(starts, at, now_ms);
        moved.map_err(of(|| format!("group {group}")))
    }

    /// A node has a log up to `last_log` and has applied up to `applied`.
    ///
    /// # Errors
    /// When its log ends before what it had applied in an earlier life.
    pub fn holds(&mut self, node: usize, group: u32, has: (u64, u64)) -> Result<(), Violation> {
        let held = self.kept.holds(node, group, has);
        held.map_err(of(|| format!("node {node} of group {group}")))
    }

    /// The disk of a node has lost what was not synced: what others committed may be among it.
    pub fn lost_power(&mut self, node: usize) {
        self.kept.lost_power(node);
    }

    /// Somebody was shown the floor at an index; where there are several cells, nobody knows whose it was.
    ///
    /// # Errors
    /// When the entries make another.
    pub fn shown(&mut self, index: u64, floor: Floor) -> Result<(), Violation> {
        let mut cells = self.groups.iter_mut().filter(|(group, _)| **group > 0);
        match (cells.next(), cells.next()) {
            (Some((group, known)), None) => {
                let shown = known.floors.shown(index, floor);
                shown.map_err(of(|| format!("group {group}")))
            }
            _ => Ok(()),
        }
    }

    /// Looks at the whole state of every cell.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn sweep(&mut self) -> Result<(), Violation> {
        for (group, known) in &mut self.groups {
            known.prover.finish().map_err(|breach| {
                let subject = format!("group {group} at entry {}", breach.index);
                of_cell(subject, breach)
            })?;
        }
        Ok(())
    }

    /// The cells that were seen, with the state that their entries make.
    pub fn cells(&self) -> impl Iterator<Item = (u32, &Cell)> {
        self.groups
            .iter()
            .filter_map(|(group, known)| Some((*group, known.prover.state()?)))
    }

    /// Entries that were applied, in all groups.
    pub fn entries(&self) -> u64 {
        self.groups.values().map(|known| known.next).sum()
    }

    /// Terms in which somebody led, in all groups.
    pub fn elections(&self) -> u64 {
        self.groups
            .values()
            .map(|known| known.leaders.terms())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn record(index: u64, term: u64, payload: &'static [u8]) -> Record {
        Record {
            term,
            leader_node: term,
            index,
            payload: Bytes::from_static(payload),
        }
    }

    #[test]
    fn two_leaders_in_a_term_are_found() {
        let mut groups = Groups::default();
        assert_eq!(groups.leads(0, 1, 5, 0), Ok(()));
        assert_eq!(groups.leads(0, 1, 5, 9), Ok(()));
        assert_eq!(groups.leads(1, 2, 5, 0), Ok(()), "another group");
        let found = groups.leads(1, 1, 5, 0).unwrap_err();
        assert_eq!(found.rule, "election safety");
        assert_eq!(groups.elections(), 2);
    }

    #[test]
    fn another_entry_at_an_applied_index_is_found() {
        let mut groups = Groups::default();
        for index in 0..3 {
            assert_eq!(groups.applied(0, 1, &record(index, 1, b""), None), Ok(true));
            assert_eq!(
                groups.applied(1, 1, &record(index, 1, b""), None),
                Ok(false)
            );
        }
        let other_term = groups.applied(2, 1, &record(1, 2, b""), None).unwrap_err();
        assert_eq!(other_term.rule, "committed entries are immutable");
        let other_content = groups.applied(2, 1, &record(2, 1, b"x"), None).unwrap_err();
        assert_eq!(other_content.rule, "committed entries are immutable");
        let gap = groups.applied(2, 1, &record(4, 1, b""), None).unwrap_err();
        assert_eq!(gap.rule, "the log has no gap");
    }

    #[test]
    fn a_leader_with_a_log_that_is_too_short_is_found() {
        let mut groups = Groups::default();
        for index in 0..3 {
            groups.applied(0, 1, &record(index, 1, b""), None).unwrap();
        }
        assert_eq!(groups.leads(1, 1, 2, 2), Ok(()));
        let found = groups.leads(2, 1, 3, 1).unwrap_err();
        assert_eq!(found.rule, "leader completeness");
    }

    #[test]
    fn a_node_that_comes_back_with_less_is_found_unless_it_lost_its_power() {
        let mut groups = Groups::default();
        assert_eq!(groups.holds(0, 1, (7, 9)), Ok(()));
        assert_eq!(groups.holds(0, 2, (0, 3)), Ok(()), "another group");
        assert_eq!(groups.holds(0, 1, (2, 7)), Ok(()));
        let found = groups.holds(0, 1, (2, 6)).unwrap_err();
        assert_eq!(found.rule, "a node keeps what it had");
        groups.lost_power(0);
        assert_eq!(groups.holds(0, 1, (2, 6)), Ok(()));
    }

    #[test]
    fn a_whole_state_that_differs_under_the_same_chain_is_found() {
        let mut groups = Groups::default();
        groups.applied(0, 1, &record(0, 1, b""), None).unwrap();
        let same = groups.cells().next().unwrap().1.clone();
        assert_eq!(groups.whole(0, 1, (&same, 0)), Ok(true));
        assert_eq!(groups.whole(0, 1, (&same, 5)), Ok(false), "not comparable");
        let mut other = same.clone();
        other.set_chain(domain::cell::checkpoint::Digest([3; 16]));
        let found = groups.whole(0, 1, (&other, 0)).unwrap_err();
        assert_eq!(found.rule, "every state is what the entries make");
    }

    #[test]
    fn a_state_that_the_entries_do_not_make_is_found() {
        let mut groups = Groups::default();
        groups.applied(0, 1, &record(0, 1, b""), None).unwrap();
        let made = groups.cells().next().unwrap().1.state().meta().chain.0;
        assert_eq!(groups.state(0, 1, 0, made), Ok(()));
        assert_eq!(groups.state(0, 1, 7, [9; 16]), Ok(()), "not comparable");
        let found = groups.state(0, 1, 0, [9; 16]).unwrap_err();
        assert_eq!(found.rule, "every state is what the entries make");
    }
}
