//! Switchboard: brings what agents' clients see to the play that it belongs to.
//! Promise: a play hears of its own conversation alone, in the order in which one agent's client saw
//! it; a play that has ended is forgotten.
//! Not here: the agents' clients (`desks`), what a play does with the news (`play`).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use runtime::mailbox;
use tokio::time::Instant;

/// A play reads its news while it waits for anything; a conversation of 2,000 items fits.
const NEWS_BOUND: usize = 2_048;

/// What an agent's client saw of one conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The seat, by its index.
    pub seat: usize,
    /// When it saw it.
    pub at: Instant,
    /// What it saw.
    pub what: Seen,
}

/// What can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The accept was acknowledged; the agent speaks in `epoch`.
    Accepted {
        /// The epoch in which the agent speaks.
        epoch: u64,
    },
    /// The agent holds the conversation and has its transcript up to `last_sequence`.
    Held {
        /// The epoch in which the agent speaks.
        epoch: u64,
        /// The last item that it has.
        last_sequence: u64,
    },
    /// A new item.
    Item {
        /// Its place.
        sequence: u64,
    },
    /// The agent no longer holds it.
    Gone,
}

/// Plays by their customers' keys.
#[derive(Default)]
pub struct Switchboard {
    lines: Mutex<BTreeMap<String, mailbox::Sender<News>>>,
}

impl Switchboard {
    /// The news of the conversation that `customer` is going to open.
    pub fn listen(&self, customer: &str) -> mailbox::Receiver<News> {
        let (line, news) = mailbox::bounded("news of a play", NEWS_BOUND);
        self.lines().insert(customer.to_owned(), line);
        news
    }

    /// The play of `customer` has ended.
    pub fn forget(&self, customer: &str) {
        self.lines().remove(customer);
    }

    /// Whether a play of `customer` listens.
    pub fn knows(&self, customer: &str) -> bool {
        self.lines().contains_key(customer)
    }

    /// Hands news over; those of a play that has ended are dropped.
    pub async fn tell(&self, customer: &str, news: News) {
        let line = self.lines().get(customer).cloned();
        if let Some(line) = line {
            // Closed: the play ended between the two steps.
            line.send(news).await.ok();
        }
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<String, mailbox::Sender<News>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
