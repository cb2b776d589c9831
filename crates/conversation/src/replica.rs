//! The cell machine behind its group: entries in, replies and events out.
//! Promise: readers see the state between batches of entries, never inside one entry.
//! Not here: deciding (`domain`), streams (`hub`).

use std::sync::Arc;

use bytes::Bytes;
use domain::cell::Cell;
use domain::cell::event::Event;
use domain::cell::reply::Reply;
use domain::ids::{AgentId, CellId, CellTime, ConversationId, LogIndex};
use parking_lot::{Mutex, RwLock};
use ports::{Frozen, Machine, Position, RestoreError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::CellClock;
use crate::hub::Hub;

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
    started: Instant,
}

impl Shared {
    /// This node's monotonic clock in milliseconds.
    pub(crate) fn mono_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The machine that a group applies its entries to.
pub struct CellReplica {
    shared: Arc<Shared>,
    events: Vec<Event>,
    last: u64,
    /// Why the state of the last snapshot could not be taken over: the program is too old for it.
    too_old: Option<String>,
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
        started: Instant::now(),
    });
    (
        CellReplica {
            shared: shared.clone(),
            events: Vec::new(),
            last: 0,
            too_old: None,
        },
        View { shared },
    )
}

impl Machine for CellReplica {
    type Reply = Reply;

    fn apply(&mut self, at: Position, payload: &[u8]) -> Reply {
        let entry = match wire::cell::decode_entry(payload) {
            Ok(entry) => entry,
            // A newer or damaged entry: this replica must not go on (design, rule 2).
            Err(error) => halt(&unreadable(&format!("log entry {}", at.index), &error)),
        };
        if let Err(too_new) = self.shared.cell.read().check_version(&entry.command) {
            halt(&format!(
                "log entry {} must not be here: {too_new}",
                at.index
            ));
        }
        self.shared
            .clock
            .lock()
            .heard(at.term, entry.at, self.shared.mono_ms());
        let applied = self.shared.cell.write().apply(LogIndex(at.index), &entry);
        self.events.extend(applied.events);
        self.last = at.index;
        applied.reply
    }

    fn flush(&mut self) {
        if let Some(reason) = &self.too_old {
            halt(reason);
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
        self.too_old = None;
        self.last = cell.applied().0;
        *self.shared.cell.write() = cell;
        self.events.clear();
        self.shared.applied.send_replace(self.last);
        Ok(())
    }
}

/// Why this program cannot go on, and what to do about it.
fn unreadable(what: &str, error: &wire::WireError) -> String {
    if error.is_newer() {
        format!(
            "{what} was written by a newer program: {error}; install the program that the other \
             nodes of the cell run and start this node again, its data is whole"
        )
    } else {
        format!("{what} cannot be read: {error}")
    }
}

/// Ends this replica; its group takes the panic for it, and goes on with log and vote.
fn halt(reason: &str) -> ! {
    panic!("{reason}")
}

struct FrozenChunks(wire::snapshot::CellChunks);

impl Frozen for FrozenChunks {
    fn next_chunk(&mut self) -> Option<Vec<u8>> {
        self.0.next()
    }
}
