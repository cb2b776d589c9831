//! Conversations that have left the state of their cell, as those who read them see it.
//! Promise: what is given is what was sealed, byte for byte; a record that this node lacks is asked of
//! others before it is said to be missing.
//! Not here: files and indexes (`store`), what the bytes say (`wire`), who may read them (`api`).

use bytes::Bytes;

/// Records of one page at most.
pub const ARCHIVE_PAGE_MAX: usize = 256;

/// By what archived conversations are looked for; always newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveBy {
    /// One customer: the key that the writer gave.
    Customer(Bytes),
    /// An agent who took part.
    Agent(String),
    /// Any.
    Time,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveQuery {
    /// By what.
    pub by: ArchiveBy,
    /// Closed at or after this, Unix milliseconds.
    pub from_ms: u64,
    /// Closed before this, Unix milliseconds.
    pub to_ms: u64,
    /// Where the page before ended.
    pub after: Option<Vec<u8>>,
    /// At most so many, held to [`ARCHIVE_PAGE_MAX`].
    pub size: usize,
}

/// One page, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchivePage {
    /// The records' bytes.
    pub records: Vec<Bytes>,
    /// Records that are damaged here and being fetched from others; they are left out.
    pub damaged: u32,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// Why an archive has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// Neither this node nor another one can say at present.
    #[error("the archive cannot be read: {reason}")]
    Unreachable {
        /// What failed.
        reason: String,
    },
    /// The page token is of no archive.
    #[error("the page token is not one of the archive")]
    BadToken,
}

/// The archives of a cell's replicas.
#[async_trait::async_trait]
pub trait Archive: Send + Sync + 'static {
    /// The bytes of one conversation; `None` when no archive has it.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    async fn conversation(
        &self,
        cell: u32,
        conversation: u64,
    ) -> Result<Option<Bytes>, ArchiveError>;

    /// Conversations of a cell.
    ///
    /// # Errors
    /// See [`ArchiveError`].
    async fn find(&self, cell: u32, query: ArchiveQuery) -> Result<ArchivePage, ArchiveError>;
}

/// An archive that keeps nothing: for a cell from which nothing ever leaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoArchive;

#[async_trait::async_trait]
impl Archive for NoArchive {
    async fn conversation(&self, _: u32, _: u64) -> Result<Option<Bytes>, ArchiveError> {
        Ok(None)
    }

    async fn find(&self, _: u32, _: ArchiveQuery) -> Result<ArchivePage, ArchiveError> {
        Ok(ArchivePage::default())
    }
}
