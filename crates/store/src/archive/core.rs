//! What handles, the writer and the builder of the archive share.
//! Promise: a file is looked up in exactly one place: in memory while it is written to, in the index
//! after that; while one is in neither, nothing is answered as absent.
//! Not here: the order of writes (`writer`), filling the index (`builder`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use runtime::{Compute, Create, Disk, DiskFile, DiskLane, Lane, Open, Random};
use tokio::sync::watch;

use super::discard::Discard;
use super::entries::Entries;
use super::index::{IndexFault, OpenIndex, Opened};
use super::pages::Mark;
use super::segment::FileId;
use super::types::{
    ArchiveError, ArchiveNotice, ArchiveOptions, ArchiveStatus, Damage, IndexState,
};

/// How long a lookup waits for an index that is being built: as long as an edge waits before it asks
/// another node, with room for the answer.
const LOOKUP_WAIT: Duration = Duration::from_secs(2);
/// Files kept open for reading: some days of a few cells.
const OPEN_FILES_MAX: usize = 32;
/// Notices kept until somebody asks for them; older ones have been logged.
const NOTICES_MAX: usize = 64;
/// Damaged places that are told one by one; a disk with more of them is to be replaced.
const DAMAGES_MAX: usize = 4_096;

pub struct Core {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    pub options: ArchiveOptions,
    pub random: Random,
    pub lane: Lane,
    /// Compression and hashing.
    pub compute: Compute,
    pub opener: Arc<dyn OpenIndex>,
    pub state: Mutex<State>,
    /// Whether every file is in memory or in the index.
    pub whole: watch::Sender<bool>,
    handles: Mutex<VecDeque<(FileId, Arc<dyn DiskFile>)>>,
}

#[derive(Default)]
pub struct State {
    pub files: BTreeMap<FileId, FileState>,
    /// `None` while a broken one is replaced.
    pub index: Option<Opened>,
    pub generation: u64,
    /// A broken index that must be closed before the next one is opened.
    pub broken: Option<Opened>,
    /// The builder's task runs.
    pub building: bool,
    /// Bytes that the builder has read in this run.
    pub built_bytes: u64,
    pub discards: Vec<Discard>,
    /// Up to which entry records of a cell were dropped for lack of room.
    pub floors: BTreeMap<u32, u64>,
    pub notices: VecDeque<ArchiveNotice>,
    pub set_aside: u64,
    /// Damaged places that have been told, so that each is told once.
    pub damages: BTreeSet<(FileId, u64)>,
    pub last_damage: Option<Damage>,
    /// Where the scrub goes on.
    pub scrub: Option<(FileId, u64)>,
    /// The archive was closed: the builder ends.
    pub closed: bool,
}

/// One segment file.
pub struct FileState {
    pub salt: u32,
    /// Bytes that count: everything behind is no record.
    pub bytes: u64,
    /// Whether `bytes` is known; else it is the file's length, and its end may be torn.
    pub settled: bool,
    /// Counts how often the file was to be indexed anew.
    pub revision: u64,
    pub holds: Holds,
}

/// Where the entries of a file are.
pub enum Holds {
    /// In memory: it is being written to.
    Active(Arc<Entries>),
    /// Nowhere yet.
    Unindexed,
    /// In the index.
    Indexed(Arc<Mark>),
}

impl FileState {
    /// Has the file indexed anew from its content.
    pub fn unindex(&mut self) {
        self.holds = Holds::Unindexed;
        self.revision += 1;
    }
}

impl State {
    /// Bytes of files that are in neither place.
    pub fn unindexed_bytes(&self) -> u64 {
        let files = self.files.values();
        files
            .filter(|file| matches!(file.holds, Holds::Unindexed))
            .map(|file| file.bytes)
            .sum()
    }

    pub fn is_whole(&self) -> bool {
        let unindexed = |file: &FileState| matches!(file.holds, Holds::Unindexed);
        self.index.is_some() && !self.files.values().any(unindexed)
    }

    pub fn progress(&self) -> IndexState {
        match self.is_whole() {
            true => IndexState::Whole,
            false => IndexState::Rebuilding {
                done: self.built_bytes,
                of: self.built_bytes + self.unindexed_bytes(),
            },
        }
    }

    pub fn note(&mut self, notice: ArchiveNotice) {
        if self.notices.len() == NOTICES_MAX {
            self.notices.pop_front();
        }
        self.notices.push_back(notice);
    }
}

impl Core {
    pub fn new(
        env: &runtime::Env,
        dir: PathBuf,
        opener: Arc<dyn OpenIndex>,
        options: ArchiveOptions,
    ) -> Self {
        Self {
            disk: env.disk.clone(),
            dir,
            options,
            random: env.random.clone(),
            lane: env.edge.clone(),
            compute: env.compute.clone(),
            opener,
            state: Mutex::default(),
            whole: watch::Sender::new(false),
            handles: Mutex::default(),
        }
    }

    pub fn path(&self, file: FileId) -> PathBuf {
        file.path(&self.dir)
    }

    /// A handle for reading `file`, on the disk's bulk lane.
    pub async fn handle(&self, file: FileId) -> io::Result<Arc<dyn DiskFile>> {
        let open = self
            .handles
            .lock()
            .iter()
            .find(|(open, _)| *open == file)
            .cloned();
        if let Some((_, handle)) = open {
            return Ok(handle);
        }
        let handle = self.disk.open(&self.path(file), BULK).await?;
        let mut handles = self.handles.lock();
        if handles.len() == OPEN_FILES_MAX {
            handles.pop_front();
        }
        handles.push_back((file, handle.clone()));
        Ok(handle)
    }

    /// Closes the handle of a file that goes.
    pub fn forget_handle(&self, file: FileId) {
        self.handles.lock().retain(|(open, _)| *open != file);
    }

    /// Waits until every file can be looked up, at most [`LOOKUP_WAIT`].
    pub async fn until_whole(&self) -> Result<(), ArchiveError> {
        let mut whole = self.whole.subscribe();
        if self.state.lock().closed {
            return Err(ArchiveError::Closed);
        }
        match tokio::time::timeout(LOOKUP_WAIT, whole.wait_for(|whole| *whole)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(self.rebuilding()),
        }
    }

    pub fn rebuilding(&self) -> ArchiveError {
        match self.state.lock().progress() {
            IndexState::Rebuilding { done, of } => ArchiveError::Rebuilding { done, of },
            // It has become whole just now: the caller asks again.
            IndexState::Whole => ArchiveError::Rebuilding { done: 0, of: 0 },
        }
    }

    /// Sets the index aside because of `fault`, once for each, and has it built anew.
    pub fn fault(self: &Arc<Self>, generation: u64, fault: &IndexFault) {
        let mut state = self.state.lock();
        let present = state.index.take_if(|index| index.generation == generation);
        let Some(broken) = present else { return };
        tracing::error!(%fault, "the archive's index is set aside and built anew");
        state.broken = Some(broken);
        state.set_aside += 1;
        state.built_bytes = 0;
        state.note(ArchiveNotice::IndexSetAside {
            why: fault.to_string(),
        });
        for file in state.files.values_mut() {
            if matches!(file.holds, Holds::Indexed(_)) {
                file.unindex();
            }
        }
        drop(state);
        self.build();
    }

    /// Notes damage of a segment.
    pub fn damaged(&self, file: FileId, offset: u64, what: &'static str) -> Damage {
        let damage = Damage {
            file: self.path(file),
            offset,
            what,
        };
        let mut state = self.state.lock();
        if state.damages.len() < DAMAGES_MAX && state.damages.insert((file, offset)) {
            tracing::error!(%damage, "closed conversations are damaged and not served");
            state.note(ArchiveNotice::Damaged(damage.clone()));
        }
        state.last_damage = Some(damage.clone());
        damage
    }

    pub fn status(&self, index_bytes: u64) -> ArchiveStatus {
        let state = self.state.lock();
        let records = state.files.values().map(|file| match &file.holds {
            Holds::Active(entries) => u64::from(entries.records),
            Holds::Indexed(mark) => u64::from(mark.records),
            Holds::Unindexed => 0,
        });
        ArchiveStatus {
            segment_bytes: state.files.values().map(|file| file.bytes).sum(),
            index_bytes,
            files: state.files.len() as u64,
            records: records.sum(),
            oldest_day: state.files.keys().map(|file| u32::from(file.day)).min(),
            index: state.progress(),
            set_aside: state.set_aside,
            damages: state.damages.len() as u64,
            last_damage: state.last_damage.clone(),
        }
    }
}

/// How segments are opened: off the log's commit path.
pub const BULK: Open = Open {
    create: Create::Never,
    lane: DiskLane::Bulk,
};
