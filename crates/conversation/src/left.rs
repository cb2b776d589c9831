//! Conversations that have left the state: what is asked of them is answered from the archive.
//! Promise: a copy of what was asked before has its first answer; nobody is told that something does not
//! exist before the archives were asked.
//! Not here: the archives (`ports::Archive`), judging (`domain`).

use std::sync::Arc;

use bytes::Bytes;
use domain::cell::archive::ArchivedUpto;
use domain::cell::command::{Command, Open};
use domain::cell::conversation::Conversation;
use domain::cell::opened_before;
use domain::cell::refusal::Refusal;
use domain::cell::reply::Done;
use domain::ids::{AccountId, ConversationId, CustomerKey, LogIndex};
use ports::{Archive, ArchiveBy, ArchiveQuery, NoArchive};
use tokio::sync::{SemaphorePermit, watch};

use crate::concern;
use crate::error::ActError;
use crate::handle::CellHandle;

/// Episodes that are followed from the one that a command names: of 2,000 messages each.
const EPISODES_MAX: usize = 64;
/// A customer's last conversations that have left in which a repeated `open` is looked for: a copy comes ten
/// minutes late at the earliest, and seldom after so many conversations.
const EARLIER_MAX: usize = 8;
/// Acts and reads that ask an archive at once on one node: each costs a quorum's word, a look-up and at most
/// a question to every peer, some milliseconds, so that thousands a second pass. Full means come again.
pub(crate) const LEFT_MAX: usize = 64;
/// Opens that look for the customer's earlier conversations at once on one node, each with a page of
/// [`EARLIER_MAX`] conversations: 13 MiB of usual ones, 256 MiB of the largest. They are not among
/// [`LEFT_MAX`], nor among the acts outside any conversation: where no archive answers at once, these wait
/// a second, and neither logins nor opens of known customers wait with them. Full means come again.
pub(crate) const EARLIER_LOOKS_MAX: usize = 256;
/// An archive that cannot be read is asked again after this long, in milliseconds.
const ARCHIVE_RETRY_MS: u64 = 500;

/// The archives of a cell's replicas, as its leader uses them.
#[derive(Clone)]
pub struct Archives {
    /// Where conversations are that have left the state.
    pub kept: Arc<dyn Archive>,
    /// What enough archives are known to hold, while this node leads.
    pub safe: watch::Receiver<Option<Safe>>,
}

/// The word that enough archives hold what is to leave next, for one leader and one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Safe {
    /// The term in which the archives were asked.
    pub term: u64,
    /// What had left then.
    pub after: LogIndex,
    /// What may leave.
    pub next: ArchivedUpto,
}

impl Archives {
    /// None: nothing ever leaves the state.
    pub fn none() -> Self {
        Self {
            kept: Arc::new(NoArchive),
            safe: watch::channel(None).1,
        }
    }
}

/// A page of archived conversations, newest first.
#[derive(Debug, Clone, Default)]
pub struct ArchivedPage {
    /// Those that can be read.
    pub conversations: Vec<Arc<Conversation>>,
    /// How many more of this page are damaged here and being fetched from others.
    pub damaged: u32,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// What came of asking the archive.
pub(crate) enum Asked {
    /// It has the answer.
    Answered(Done),
    /// The conversation goes on in one that the state has: the command is for that.
    GoesOn(ConversationId, Command),
}

/// The key under which an archive finds the conversations of a customer.
pub fn archive_key(account: &AccountId, customer: &CustomerKey) -> Bytes {
    // Names hold no zero byte, so no two pairs have one key.
    Bytes::from(format!("{account}\0{customer}"))
}

impl CellHandle {
    /// A conversation, from the state or from the archive.
    ///
    /// # Errors
    /// See [`ActError`]; never `OutcomeUnknown`.
    pub async fn conversation(&self, id: ConversationId) -> Result<Arc<Conversation>, ActError> {
        self.read(|_| ()).await?;
        self.here_or_left(id).await
    }

    /// The same without asking a quorum: for a caller that has.
    async fn here_or_left(&self, id: ConversationId) -> Result<Arc<Conversation>, ActError> {
        let here = self.view().with(|cell, _| cell.conversation(id).cloned());
        match here {
            Some(found) => Ok(found),
            None => self.left(id).await,
        }
    }

    /// The conversations before one, newest first, at most `limit`: the chain of episodes.
    ///
    /// # Errors
    /// See [`ActError`]; never `OutcomeUnknown`.
    pub async fn earlier(
        &self,
        id: ConversationId,
        limit: usize,
    ) -> Result<Vec<Arc<Conversation>>, ActError> {
        let mut found = Vec::new();
        let mut next = self.conversation(id).await?.previous;
        while found.len() < limit
            && let Some(id) = next
        {
            let before = match self.here_or_left(id).await {
                Ok(before) => before,
                // Older than what archives keep.
                Err(ActError::Refused(Refusal::ConversationNotFound { .. })) => break,
                Err(error) => return Err(error),
            };
            next = before.previous;
            found.push(before);
        }
        Ok(found)
    }

    /// A page of archived conversations.
    ///
    /// # Errors
    /// When no archive can be read at present, or the token is of none.
    pub async fn archived(&self, query: ArchiveQuery) -> Result<ArchivedPage, ports::ArchiveError> {
        let cell = self.view().with(|cell, _| cell.state().meta().cell);
        // What has left since must be asked for as well.
        let current = self.core.group.linearize().await;
        current.map_err(|error| ports::ArchiveError::Unreachable {
            reason: error.to_string(),
        })?;
        let page = self.core.archive.find(cell.0, query).await?;
        Ok(ArchivedPage {
            conversations: decoded(&page.records)?,
            damaged: page.damaged,
            next: page.next,
        })
    }

    /// The copy of a conversation that has left the state. The caller has asked a quorum.
    pub(crate) async fn left(&self, id: ConversationId) -> Result<Arc<Conversation>, ActError> {
        let _permit = self.permit_for_left()?;
        self.left_within(id).await
    }

    /// The same for whoever has a place among those who ask.
    async fn left_within(&self, id: ConversationId) -> Result<Arc<Conversation>, ActError> {
        let missing = || Refusal::ConversationNotFound { conversation: id }.into();
        let may = self.view().with(|cell, _| cell.state().may_have_left(id));
        if !may {
            return Err(missing());
        }
        let found = self.core.archive.conversation(id.cell.0, id.index.0).await;
        match found.and_then(|bytes| bytes.map(|bytes| decode(&bytes)).transpose()) {
            Ok(Some(left)) => Ok(Arc::new(left)),
            Ok(None) => Err(missing()),
            Err(error) => {
                tracing::warn!(conversation = %id, %error, "a conversation that has left cannot be read");
                let retry_after_ms = ARCHIVE_RETRY_MS;
                Err(Refusal::LookAgain {
                    conversation: id,
                    retry_after_ms,
                }
                .into())
            }
        }
    }

    /// Answers a command for a conversation that the state does not have.
    pub(crate) async fn ask_archive(
        &self,
        mut id: ConversationId,
        mut command: Command,
    ) -> Result<Asked, ActError> {
        self.admit_to_left(id)?;
        let _permit = self.permit_for_left()?;
        // A leader that was deposed without knowing it must not end an id for good.
        self.core.group.linearize().await?;
        for _ in 0..EPISODES_MAX {
            if self.view().with(|cell, _| concern::exists(cell, id)) {
                return Ok(Asked::GoesOn(id, command));
            }
            let left = self.left_within(id).await?;
            let reply = self
                .view()
                .with(|cell, _| cell.state().answer_for_left(&left, &command));
            let next = left
                .continued_to
                .filter(|_| matches!(reply, Err(Refusal::ConversationClosed { .. })));
            let Some(next) = next else {
                return Ok(Asked::Answered(reply?));
            };
            let Some(of_next) = command.for_episode(next) else {
                return Err(Refusal::ConversationClosed { conversation: id }.into());
            };
            (id, command) = (next, of_next);
        }
        Err(Refusal::ConversationClosed { conversation: id }.into())
    }

    /// For an `open` that may repeat one whose conversation has left: the first answer. For a customer
    /// whom the state does not know: the last conversation. An archive that cannot be read keeps nobody
    /// from opening.
    pub(crate) async fn look_for_earlier(&self, open: &mut Open) -> Result<Option<Done>, ActError> {
        let (any_left, known) = self.view().with(|cell, _| {
            let state = cell.state();
            let known = state.customer(&open.account, &open.customer).is_some();
            (state.meta().archive.upto.0 > 0, known)
        });
        if !any_left || (known && open.body.is_none()) {
            return Ok(None);
        }
        let _permit = self.permit_for_look()?;
        let query = ArchiveQuery {
            by: ArchiveBy::Customer(archive_key(&open.account, &open.customer)),
            from_ms: 0,
            to_ms: u64::MAX,
            after: None,
            size: EARLIER_MAX,
        };
        let cell = self.view().with(|cell, _| cell.state().meta().cell);
        let found = self.core.archive.find(cell.0, query).await;
        let earlier = match found.and_then(|page| {
            if page.damaged > 0 {
                tracing::warn!(
                    "earlier conversations of a customer are damaged, and are not looked at"
                );
            }
            decoded(&page.records)
        }) {
            Ok(earlier) => earlier,
            Err(error) => {
                tracing::warn!(%error, "a customer's earlier conversations cannot be read");
                return Ok(None);
            }
        };
        for left in &earlier {
            if let Some(done) = opened_before(left, open)? {
                return Ok(Some(done));
            }
        }
        if !known {
            open.previous = earlier.first().map(|last| last.id);
        }
        Ok(None)
    }

    /// The limit for acts on one conversation that is not in the state and has no actor to keep one.
    fn admit_to_left(&self, id: ConversationId) -> Result<(), ActError> {
        let limit = self.core.customer_limit();
        let now_ms = self.core.view.shared.mono_ms();
        let mut windows = self.core.left_windows.lock();
        let taken = windows.take("", &id.to_string(), now_ms, limit);
        taken.map_err(|retry_after_ms| Refusal::TooManyRequests { retry_after_ms }.into())
    }

    /// One of the places for opens that look for earlier conversations.
    fn permit_for_look(&self) -> Result<SemaphorePermit<'_>, ActError> {
        let permit = self.core.looks.try_acquire();
        permit.map_err(|_| ActError::Exhausted {
            retry_after_ms: ARCHIVE_RETRY_MS,
        })
    }

    /// One of the places for those who ask an archive.
    fn permit_for_left(&self) -> Result<SemaphorePermit<'_>, ActError> {
        let permit = self.core.left.try_acquire();
        permit.map_err(|_| ActError::Exhausted {
            retry_after_ms: ARCHIVE_RETRY_MS,
        })
    }
}

fn decoded(records: &[Bytes]) -> Result<Vec<Arc<Conversation>>, ports::ArchiveError> {
    let read = records.iter().map(|bytes| decode(bytes).map(Arc::new));
    read.collect()
}

fn decode(bytes: &[u8]) -> Result<Conversation, ports::ArchiveError> {
    wire::archive::decode(bytes).map_err(|error| ports::ArchiveError::Unreachable {
        reason: error.to_string(),
    })
}
