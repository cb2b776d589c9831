//! The floor is shown as it is stored: what clients read of queues and of agents' capacity is what the entries make at
//! the index that the read names.

use std::collections::{BTreeMap, VecDeque};

use super::{Breach, Found};

/// The rule's name.
pub const RULE: &str = "the floor is shown as it is stored";
/// Indexes that are remembered: an answer that is older is not compared.
const KNOWN_MAX: usize = 4_096;
/// Answers that wait until somebody has shown the entry that they name.
const WAITING_MAX: usize = 256;

/// What a queue holds: waiting, offered, active, on hold, in wrap-up.
pub type OfQueue = [u64; 5];
/// Units that an agent has in use, and has in all.
pub type OfAgent = (u64, u64);

/// Queues and agents by name, all of them or those that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Floor {
    /// Queues.
    pub queues: BTreeMap<String, OfQueue>,
    /// Agents.
    pub agents: BTreeMap<String, OfAgent>,
}

/// The floor of one cell, by index.
#[derive(Debug, Default)]
pub struct Floors {
    made: BTreeMap<u64, Floor>,
    waiting: VecDeque<(u64, Floor)>,
}

impl Floors {
    /// The entries up to an index make this floor.
    ///
    /// # Errors
    /// When somebody was shown another for that index before.
    pub fn made(&mut self, index: u64, floor: Floor) -> Found {
        let (now, later): (VecDeque<_>, VecDeque<_>) =
            self.waiting.drain(..).partition(|(at, _)| *at <= index);
        self.waiting = later;
        self.made.insert(index, floor);
        if self.made.len() > KNOWN_MAX {
            self.made.pop_first();
        }
        now.iter()
            .try_for_each(|(at, shown)| self.compare(*at, shown))
    }

    /// Somebody was shown this for an index.
    ///
    /// # Errors
    /// When the entries make another.
    pub fn shown(&mut self, index: u64, shown: Floor) -> Found {
        let last = self.made.last_key_value().map(|(index, _)| *index);
        if last.is_some_and(|last| index <= last) {
            return self.compare(index, &shown);
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((index, shown));
        }
        Ok(())
    }

    fn compare(&self, index: u64, shown: &Floor) -> Found {
        let Some(made) = self.made.get(&index) else {
            return Ok(());
        };
        for (name, numbers) in &shown.queues {
            same(index, ("queue", name), made.queues.get(name), numbers)?;
        }
        for (name, numbers) in &shown.agents {
            same(index, ("agent", name), made.agents.get(name), numbers)?;
        }
        Ok(())
    }
}

fn same<N: PartialEq + std::fmt::Debug>(
    index: u64,
    (kind, name): (&str, &str),
    made: Option<&N>,
    shown: &N,
) -> Result<(), Breach> {
    match made == Some(shown) {
        true => Ok(()),
        false => {
            let seen =
                format!("{kind} {name} was shown as {shown:?} at entry {index}, and is {made:?}");
            Err((RULE, seen))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(used: u64) -> Floor {
        Floor {
            queues: BTreeMap::from([("desk".to_owned(), [1, 0, 2, 0, 0])]),
            agents: BTreeMap::from([("ana".to_owned(), (used, 75))]),
        }
    }

    #[test]
    fn what_the_entries_make_may_be_shown_whole_or_in_part() {
        let mut floors = Floors::default();
        assert_eq!(floors.made(7, floor(25)), Ok(()));
        assert_eq!(floors.shown(7, floor(25)), Ok(()));
        assert_eq!(floors.shown(7, Floor::default()), Ok(()));
        assert_eq!(floors.shown(3, floor(0)), Ok(()), "not remembered");
    }

    #[test]
    fn another_load_or_line_is_found() {
        let mut floors = Floors::default();
        assert_eq!(floors.made(7, floor(25)), Ok(()));
        assert_eq!(floors.shown(7, floor(50)).unwrap_err().0, RULE);
        let mut line = floor(25);
        line.queues.insert("desk".to_owned(), [2, 0, 2, 0, 0]);
        assert_eq!(floors.shown(7, line).unwrap_err().0, RULE);
        let mut unknown = floor(25);
        unknown.agents.insert("ben".to_owned(), (0, 25));
        assert_eq!(floors.shown(7, unknown).unwrap_err().0, RULE);
    }

    #[test]
    fn an_answer_that_is_ahead_of_what_is_known_is_found_later() {
        let mut floors = Floors::default();
        assert_eq!(floors.shown(7, floor(50)), Ok(()));
        assert_eq!(floors.made(6, floor(25)), Ok(()));
        assert_eq!(floors.made(7, floor(25)).unwrap_err().0, RULE);
        assert_eq!(floors.made(8, floor(25)), Ok(()), "once");
    }
}
