//! One group's entries applied once more by the pure machine, every rule checked on the way.
//! Promise: the first thing that does not hold is named with its index, its rule and what was seen;
//! memory is that of the state, whatever the length of the log.
//! Not here: where entries come from (`directory`, `live`), whether records fit their chain.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use domain::cell::Cell;
use domain::cell::checkpoint::{Digest, Mark};
use domain::cell::command::{Command, Entry};
use domain::cell::event::Event;
use domain::cell::invariants::{Violation, Watch, check_invariants};
use domain::control::Control;
use domain::ids::{CellId, LogIndex};
use store::{Chain, Record};
use wire::cell::Applier;

use super::{About, Breach, rules};

/// Entries whose chains are remembered for a checkpoint that names one of them: as many as a replica
/// remembers.
const MARKS_MAX: usize = 16_384;
/// The whole state is looked at after so many entries, or four times as many as it has conversations:
/// so a look costs each entry as much as four conversations do.
const SWEEP_ENTRIES: u64 = 10_000;
/// The first byte of an entry's body that holds a command, and of one that is a word to skip.
pub(crate) const TAG_COMMAND: u8 = 0x0a;

/// What a machine did so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Entries taken, those without a command included.
    pub entries: u64,
    /// Commands among them that were not passed over.
    pub commands: u64,
    /// Messages that were stored.
    pub messages: u64,
    /// Checkpoints that could be compared.
    pub checkpoints: u64,
    /// The first leader's wall clock that an entry names, milliseconds since 1970; 0 for none.
    pub first_wall_ms: u64,
    /// The last one.
    pub last_wall_ms: u64,
}

/// The machine of one group under proof.
pub struct Prover {
    machine: Machine,
    skips: Arc<BTreeSet<u64>>,
    applied: Option<u64>,
    /// What it did so far.
    pub tally: Tally,
}

enum Machine {
    Cell(Box<CellProver>),
    Control(Box<Control>),
}

impl Prover {
    /// A cell from the state of a snapshot and the chain of its log there, or from nothing.
    pub fn cell(
        id: CellId,
        from: Option<(Cell, u64, Option<Chain>)>,
        skips: Arc<BTreeSet<u64>>,
    ) -> Self {
        let applied = from.as_ref().map(|(_, applied, _)| *applied);
        let prover = match from {
            None => CellProver::new(Cell::new(id)),
            Some((cell, applied, chain)) => {
                let mut prover = CellProver::new(cell);
                if let Some(chain) = chain {
                    // A word of the voters may be about the very entry that the snapshot ends with.
                    prover.mark(applied, chain);
                }
                prover
            }
        };
        Self {
            machine: Machine::Cell(Box::new(prover)),
            skips,
            applied,
            tally: Tally::default(),
        }
    }

    /// The control machine from the state of a snapshot, or from nothing.
    pub fn control(from: Option<(Control, u64)>, skips: Arc<BTreeSet<u64>>) -> Self {
        let applied = from.as_ref().map(|(_, applied)| *applied);
        let control = from.map_or_else(Control::new, |(control, _)| control);
        Self {
            machine: Machine::Control(Box::new(control)),
            skips,
            applied,
            tally: Tally::default(),
        }
    }

    /// The last entry taken, or the one that the snapshot holds.
    pub fn applied(&self) -> Option<u64> {
        self.applied
    }

    /// The cell, if this is one.
    pub fn state(&self) -> Option<&Cell> {
        match &self.machine {
            Machine::Cell(prover) => Some(&prover.cell),
            Machine::Control(_) => None,
        }
    }

    /// Takes the next committed entry; those that the snapshot holds are passed by.
    ///
    /// # Errors
    /// The first rule that does not hold, and where.
    pub fn take(&mut self, record: &Record, chain: Chain) -> Result<(), Breach> {
        let index = record.index;
        match self.applied {
            Some(applied) if index <= applied => return Ok(()),
            Some(applied) if index > applied + 1 => {
                let seen = format!("entry {index} follows entry {applied}");
                return Err(Breach::new(index, rules::NO_GAP, seen));
            }
            _ => {}
        }
        self.applied = Some(index);
        self.tally.entries += 1;
        let Some(command) = command_of(&record.payload) else {
            return Ok(());
        };
        if self.skips.contains(&index) {
            return Ok(());
        }
        self.tally.commands += 1;
        match &mut self.machine {
            Machine::Cell(prover) => {
                prover.take((index, record.term), command, chain, &mut self.tally)
            }
            Machine::Control(control) => take_control(control, index, command),
        }
    }

    /// Looks at the whole state.
    ///
    /// # Errors
    /// The first rule that does not hold in it.
    pub fn finish(&mut self) -> Result<(), Breach> {
        let applied = self.applied.unwrap_or(0);
        match &mut self.machine {
            Machine::Cell(prover) => prover.sweep(applied),
            Machine::Control(_) => Ok(()),
        }
    }
}

/// The command inside an encoded body.
fn command_of(body: &[u8]) -> Option<&[u8]> {
    let (tag, mut rest) = body.split_first()?;
    if *tag != TAG_COMMAND {
        return None;
    }
    let length = prost::encoding::decode_varint(&mut rest).ok()?;
    (rest.len() as u64 == length).then_some(rest)
}

fn take_control(control: &mut Control, index: u64, command: &[u8]) -> Result<(), Breach> {
    let entry = wire::control::decode_entry(command)
        .map_err(|error| Breach::new(index, rules::READABLE, error.to_string()))?;
    let applied = catch_unwind(AssertUnwindSafe(|| control.apply(LogIndex(index), &entry)));
    match applied {
        Ok(_) => Ok(()),
        Err(_) => Err(Breach::new(index, rules::GOES_ON, "the machine panicked")),
    }
}

struct CellProver {
    cell: Cell,
    applier: Applier,
    watch: Watch,
    marks: VecDeque<Mark>,
    since_sweep: u64,
    /// The term of the last command, once there was one.
    term: Option<u64>,
}

impl CellProver {
    fn new(cell: Cell) -> Self {
        Self {
            watch: Watch::begin(cell.state()),
            cell,
            applier: Applier::default(),
            marks: VecDeque::new(),
            since_sweep: 0,
            term: None,
        }
    }

    fn take(
        &mut self,
        (index, term): (u64, u64),
        command: &[u8],
        chain: Chain,
        tally: &mut Tally,
    ) -> Result<(), Breach> {
        let entry = wire::cell::decode_entry(command)
            .map_err(|error| Breach::new(index, rules::READABLE, error.to_string()))?;
        self.cell
            .check_version(&entry.command)
            .map_err(|error| Breach::new(index, rules::VERSION, error.to_string()))?;
        let begins = self.term.replace(term).is_some_and(|last| last < term);
        if begins && !matches!(entry.command, Command::LeaderStarted(_)) {
            let seen = format!("the first command of term {term} is another");
            return Err(Breach::new(index, rules::BARRIER, seen));
        }
        if let Command::Checkpoint(mark) = &entry.command {
            tally.checkpoints += u64::from(self.compare(index, mark)?);
        }
        self.apply(index, &entry, tally)?;
        self.mark(index, chain);
        self.since_sweep += 1;
        let conversations = self.cell.state().meta().conversations;
        if self.since_sweep >= SWEEP_ENTRIES.max(4 * conversations) {
            self.sweep(index)?;
        }
        Ok(())
    }

    /// Remembers what this replay has at an index, for words about it that come later.
    fn mark(&mut self, index: u64, chain: Chain) {
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark {
            index: LogIndex(index),
            log: Digest(chain.0),
            machine: self.cell.state().meta().chain,
        });
    }

    fn apply(&mut self, index: u64, entry: &Entry, tally: &mut Tally) -> Result<(), Breach> {
        let (applier, cell) = (&mut self.applier, &mut self.cell);
        let applied = catch_unwind(AssertUnwindSafe(|| {
            applier.apply(cell, LogIndex(index), entry)
        }));
        let applied = applied
            .map_err(|_| Breach::new(index, rules::GOES_ON, "the machine panicked in evolve"))?;
        let items = applied.events.iter().filter_map(|event| match event {
            Event::ItemAdded { item, .. } => item.message(),
            _ => None,
        });
        tally.messages += items.count() as u64;
        if entry.wall_ms > 0 {
            tally.last_wall_ms = entry.wall_ms;
            if tally.first_wall_ms == 0 {
                tally.first_wall_ms = entry.wall_ms;
            }
        }
        let checked = self.watch.check(self.cell.state(), entry, &applied);
        checked.map_err(|violation| self.broken(index, &violation))
    }

    /// Compares what a majority had with what this replay has; whether it still knows that.
    fn compare(&self, at: u64, theirs: &Mark) -> Result<bool, Breach> {
        let found = self
            .marks
            .binary_search_by_key(&theirs.index, |mark| mark.index);
        let Some(ours) = found.ok().and_then(|place| self.marks.get(place)) else {
            return Ok(false);
        };
        if ours.log != theirs.log {
            let seen = differs("log chain c", theirs.index, (ours.log, theirs.log));
            return Err(Breach::new(at, rules::LOG_CHAIN, seen));
        }
        if ours.machine != theirs.machine {
            let both = (ours.machine, theirs.machine);
            let seen = differs("machine chain h", theirs.index, both);
            return Err(Breach::new(at, rules::MACHINE_CHAIN, seen));
        }
        Ok(true)
    }

    fn sweep(&mut self, index: u64) -> Result<(), Breach> {
        self.since_sweep = 0;
        self.watch.prune(self.cell.state());
        check_invariants(self.cell.state()).map_err(|violation| self.broken(index, &violation))
    }

    fn broken(&self, index: u64, violation: &Violation) -> Breach {
        let about = About {
            who: violation.about.to_string(),
            before: self.watch.recent(&violation.about),
        };
        Breach {
            about: Some(Box::new(about)),
            ..Breach::new(index, violation.rule().to_string(), violation.to_string())
        }
    }
}

fn differs(what: &str, at: LogIndex, (ours, theirs): (Digest, Digest)) -> String {
    format!("the {what} at entry {at} is {ours} here, and the checkpoint says {theirs}")
}
