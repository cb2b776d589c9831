//! The cell machine behind its group: entries in, replies and events out.
//! Promise: readers see the state between batches of entries, never inside one entry.
//! Not here: deciding (`domain`), streams (`hub`).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use domain::cell::Cell;
use domain::cell::checkpoint::{Checkpoint, Digest, Mark};
use domain::cell::command::Command;
use domain::cell::event::Event;
use domain::cell::reply::Reply;
use domain::ids::{AgentId, CellId, CellTime, ConversationId, LogIndex};
use mutants::{Mutant, planted};
use parking_lot::{Mutex, RwLock};
use ports::{Cure, Frozen, LogChain, Machine, MustStop, Position, RestoreError};
use runtime::Tracer;
use runtime::trace::Trace;
use tokio::sync::watch;
use tokio::time::Instant;
use wire::cell::Applier;

use crate::clock::CellClock;
use crate::hub::Hub;
use crate::leader::Seen;
use crate::marks::Marks;

/// Who owns a conversation, for the fan-out of events.
pub(crate) trait Owners {
    /// The agent who owns it, if one does.
    fn owner(&self, conversation: ConversationId) -> Option<AgentId>;
}

impl Owners for Cell {
    fn owner(&self, conversation: ConversationId) -> Option<AgentId> {
        crate::concern::owner(self, conversation)
    }
}

/// What the replica, its readers and the leader share.
pub(crate) struct Shared {
    pub(crate) cell: RwLock<Cell>,
    pub(crate) applied: watch::Sender<u64>,
    pub(crate) clock: Mutex<CellClock>,
    pub(crate) hub: Arc<Hub>,
    /// What the leader found wrong about checkpoints, if it did.
    pub(crate) alarm: Mutex<Option<String>>,
    marks: Mutex<Marks>,
    /// Commands that were passed over, the last ones: whoever sent one asks again, and the copy would
    /// stop every replica anew.
    passed_over: Mutex<VecDeque<(LogIndex, Command)>>,
    started: Instant,
}

/// Commands that are remembered because they were passed over; each of at most 64 KiB, and an operator
/// wrote a word for each.
const PASSED_OVER_MAX: usize = 16;

impl Shared {
    /// Where the same command was passed over, if it was.
    pub(crate) fn passed_over(&self, command: &Command) -> Option<LogIndex> {
        let passed_over = self.passed_over.lock();
        let mut same = passed_over.iter().filter(|(_, known)| known == command);
        same.next().map(|(index, _)| *index)
    }

    /// This node's monotonic clock in milliseconds.
    pub(crate) fn mono_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The machine that a group applies its entries to.
pub struct CellReplica {
    shared: Arc<Shared>,
    applier: Applier,
    log: Option<Arc<dyn LogChain>>,
    events: Vec<Event>,
    last: u64,
    tracer: Tracer,
    /// Why the state of the last snapshot could not be taken over: the program is too old for it.
    too_old: Option<MustStop>,
}

/// A reader of the local replica; possibly stale.
#[derive(Clone)]
pub struct View {
    pub(crate) shared: Arc<Shared>,
}

impl View {
    /// Reads the state and the index that it holds for. The reader must be quick: entries wait.
    pub fn with<T>(&self, read: impl FnOnce(&Cell, LogIndex) -> T) -> T {
        let cell = self.shared.cell.read();
        read(&cell, cell.applied())
    }

    /// Follows the applied index.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.shared.applied.subscribe()
    }

    /// What this replica has at an index, with the chain of its log there.
    pub fn seen(&self, index: LogIndex, log: Option<[u8; 16]>) -> Seen {
        match (self.shared.marks.lock().at(index), log) {
            (Some(machine), Some(log)) => Seen::Mark {
                log: Digest(log),
                machine,
            },
            (Some(_), None) => Seen::Behind,
            (None, _) if *self.shared.applied.borrow() < index.0 => Seen::Behind,
            (None, _) => Seen::Unknown,
        }
    }

    /// The last checkpoint, and how many milliseconds of cell time ago it was logged.
    pub fn checkpoint(&self) -> Option<(Checkpoint, u64)> {
        let now = self.shared.clock.lock().stamp(self.shared.mono_ms());
        let last = self.with(|cell, _| cell.state().meta().checkpoint)?;
        Some((last, now.since_ms(last.at)))
    }

    /// What the leader here found wrong about checkpoints, if it did.
    pub fn alarm(&self) -> Option<String> {
        self.shared.alarm.lock().clone()
    }

    /// Makes this replica's machine chain another one from the next entry on, as a machine would that
    /// does something else than the others.
    #[cfg(feature = "defects")]
    pub fn spoil(&self, with: u8) {
        let mut cell = self.shared.cell.write();
        let mut chain = cell.state().meta().chain;
        chain.0[0] ^= with;
        cell.set_chain(chain);
    }

    /// Brings this replica to a state that takes long to come to; to be done to every replica alike.
    #[cfg(feature = "defects")]
    pub fn plant(&self, planted: domain::cell::Planted) {
        self.shared.cell.write().plant(planted);
    }

    /// Conversations with a live actor here.
    pub fn actors(&self) -> usize {
        self.shared.hub.actors()
    }

    /// Cell time at this moment, which goes on while no entry comes.
    pub fn now(&self) -> CellTime {
        let applied = self.shared.cell.read().now();
        let clock = *self.shared.clock.lock();
        applied.max(clock.stamp(self.shared.mono_ms()))
    }

    /// What waits in the mailboxes of those actors.
    pub fn waiting(&self) -> crate::metrics::Waiting {
        self.shared.hub.waiting()
    }

    /// Actors that have failed since the start.
    pub fn actor_failures(&self) -> u64 {
        self.shared
            .hub
            .panics
            .load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Makes an empty replica of a cell and the reader of it.
pub fn replica(cell: CellId) -> (CellReplica, View) {
    let shared = Arc::new(Shared {
        cell: RwLock::new(Cell::new(cell)),
        applied: watch::Sender::new(0),
        clock: Mutex::new(CellClock::default()),
        hub: Arc::new(Hub::new()),
        alarm: Mutex::new(None),
        marks: Mutex::default(),
        passed_over: Mutex::default(),
        started: Instant::now(),
    });
    (
        CellReplica {
            shared: shared.clone(),
            applier: Applier::default(),
            log: None,
            events: Vec::new(),
            last: 0,
            tracer: Tracer::default(),
            too_old: None,
        },
        View { shared },
    )
}

impl CellReplica {
    /// The same, showing what it applies of requests that are traced.
    #[must_use]
    pub fn traced(mut self, tracer: Tracer) -> Self {
        self.tracer = tracer;
        self
    }

    /// Shows that an entry was applied, as a span that links to the trace in which it was proposed: as a part of
    /// that trace each replica would lengthen it.
    fn show(&self, traceparent: &str, begun: Instant, (at, wall_ms): (Position, u64)) {
        let cause = Trace::read(traceparent);
        let span = cause.and_then(|cause| self.tracer.applied(cause, begun, wall_ms));
        if let Some(mut span) = span {
            span.number("antiphon.index", at.index);
            span.number("antiphon.term", at.term);
        }
    }
}

impl Machine for CellReplica {
    type Reply = Reply;

    fn follow(&mut self, log: Arc<dyn LogChain>) {
        self.log = Some(log);
    }

    fn apply(&mut self, at: Position, payload: &[u8]) -> Reply {
        let (mut entry, traceparent) = match wire::cell::decode_traced(payload) {
            Ok(decoded) => decoded,
            // A newer or damaged entry: this replica must not go on (design, rule 2).
            Err(error) => halt(unreadable(&format!("log entry {}", at.index), &error)),
        };
        if let Err(too_new) = self.shared.cell.read().check_version(&entry.command) {
            let reason = format!("log entry {} must not be here: {too_new}", at.index);
            halt(MustStop {
                reason,
                cure: Cure::Skip,
            });
        }
        if let Command::Checkpoint(mark) = &entry.command {
            self.compare(mark);
        }
        self.shared
            .clock
            .lock()
            .heard(at.term, entry.at, self.shared.mono_ms());
        if planted(Mutant::LocalClockInApply) {
            entry.at = self.shared.clock.lock().stamp(self.shared.mono_ms());
        }
        if planted(Mutant::ReadNodeInApply)
            && let Command::CustomerPresence(presence) = &mut entry.command
        {
            presence.attached = self.shared.hub.has_customer(presence.conversation);
        }
        let traced = (!traceparent.is_empty()).then(Instant::now);
        let index = LogIndex(at.index);
        let (applied, chain) = {
            let mut cell = self.shared.cell.write();
            let applied = self.applier.apply(&mut cell, index, &entry);
            (applied, cell.state().meta().chain)
        };
        self.shared.marks.lock().push(index, chain);
        if let Some(begun) = traced {
            self.show(&traceparent, begun, (at, entry.wall_ms));
        }
        self.events.extend(applied.events);
        self.last = at.index;
        applied.reply
    }

    fn passed_over(&mut self, at: Position, payload: &[u8]) {
        let Ok(entry) = wire::cell::decode_entry(payload) else {
            return;
        };
        let mut passed_over = self.shared.passed_over.lock();
        let index = LogIndex(at.index);
        if passed_over.iter().all(|(known, _)| *known != index) {
            if passed_over.len() == PASSED_OVER_MAX {
                passed_over.pop_front();
            }
            passed_over.push_back((index, entry.command));
        }
    }

    fn flush(&mut self) {
        if let Some(stop) = self.too_old.take() {
            halt(stop);
        }
        let events = std::mem::take(&mut self.events);
        if !events.is_empty() {
            let cell = self.shared.cell.read();
            self.shared.hub.publish(events, &*cell);
        }
        self.shared.applied.send_replace(self.last);
    }

    fn freeze(&mut self) -> Box<dyn Frozen> {
        let frozen = self.shared.cell.read().freeze();
        Box::new(FrozenChunks(wire::snapshot::CellChunks::new(frozen)))
    }

    fn reset(&mut self) {
        let id = self.shared.cell.read().state().meta().cell;
        self.take_over(Cell::new(id));
    }

    fn restore(&mut self, chunks: Vec<Bytes>) -> Result<(), RestoreError> {
        let cell = match wire::snapshot::decode_cell(&chunks) {
            Ok(cell) => cell,
            // The log and the vote must go on, which a refused snapshot would end: the replica is
            // halted at the flush that follows.
            Err(error) if error.is_newer() => {
                self.too_old = Some(unreadable("the snapshot", &error));
                return Ok(());
            }
            Err(error) => {
                let reason = error.to_string();
                return Err(RestoreError { reason });
            }
        };
        self.take_over(cell);
        Ok(())
    }
}

/// Why this program cannot go on, and what to do about it.
fn unreadable(what: &str, error: &wire::WireError) -> MustStop {
    if !error.is_newer() {
        return MustStop {
            reason: format!("{what} cannot be read: {error}"),
            cure: Cure::Skip,
        };
    }
    MustStop {
        cure: Cure::Upgrade,
        reason: format!(
            "{what} was written by a newer program: {error}; install the program that the other \
             nodes of the cell run and start this node again, its data is whole"
        ),
    }
}

/// Ends this replica; its group takes what it unwinds with, and goes on with log and vote.
fn halt(stop: MustStop) -> ! {
    std::panic::resume_unwind(Box::new(stop))
}

impl CellReplica {
    /// Goes on from a state that this replica has not made itself.
    fn take_over(&mut self, cell: Cell) {
        self.too_old = None;
        self.last = cell.applied().0;
        let chain = cell.state().meta().chain;
        self.shared.marks.lock().restart(cell.applied(), chain);
        *self.shared.cell.write() = cell;
        self.events.clear();
        self.shared.applied.send_replace(self.last);
    }

    /// Compares what a majority had with what this replica has, as far as it remembers: one that
    /// differs serves nothing any more, the leader first of all.
    fn compare(&self, theirs: &Mark) {
        let log = self.log.as_ref();
        let log = log.and_then(|log| log.chain(theirs.index.0)).map(Digest);
        let machine = self.shared.marks.lock().at(theirs.index);
        if let Some(ours) = log.filter(|ours| *ours != theirs.log) {
            halt(differs("the log chain c", theirs.index, ours, theirs.log));
        }
        if let Some(ours) = machine.filter(|ours| *ours != theirs.machine) {
            let what = "the machine chain h";
            halt(differs(what, theirs.index, ours, theirs.machine));
        }
    }
}

/// What a replica says that is not what the majority is.
fn differs(what: &str, index: LogIndex, ours: Digest, theirs: Digest) -> MustStop {
    MustStop {
        cure: Cure::Replace,
        reason: format!(
            "at log index {index} {what} of this replica is {ours}, and that of a majority is {theirs}: \
             its data is not the cell's, and it serves nothing any more. Stop this node, keep its data \
             directory aside and start nothing on it. To serve clients here again, join under another \
             node name with an empty directory: `antiphon join HOST:PORT --config NEWFILE --site SITE \
             --node NEWNAME --data NEWDIR`, HOST:PORT being the peer address of a healthy node"
        ),
    }
}

struct FrozenChunks(wire::snapshot::CellChunks);

impl Frozen for FrozenChunks {
    fn next_chunk(&mut self) -> Option<Vec<u8>> {
        self.0.next()
    }
}
