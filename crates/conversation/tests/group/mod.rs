//! A group of one: what is proposed in the right term commits at once.
//! Promise: the same contract as a real group, with leadership and quorum set by hand.
//! Not here: more than one replica.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use conversation::CellReplica;
use domain::cell::command::{Command, LeaderStarted};
use domain::cell::reply::Reply;
use parking_lot::Mutex;
use ports::{
    Committed, Group, GroupStatus, HandOverError, Leadership, Machine, Position, ProposeError,
    ReadError,
};
use tokio::sync::watch;

pub struct LocalGroup {
    replica: Mutex<CellReplica>,
    index: AtomicU64,
    asked: AtomicU64,
    started: Mutex<Vec<LeaderStarted>>,
    quorum: watch::Sender<bool>,
    held: watch::Sender<bool>,
    leadership: watch::Sender<Leadership>,
    applied: watch::Sender<u64>,
}

impl LocalGroup {
    pub fn new(replica: CellReplica) -> Self {
        Self {
            replica: Mutex::new(replica),
            index: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            started: Mutex::new(Vec::new()),
            quorum: watch::Sender::new(true),
            held: watch::Sender::new(false),
            leadership: watch::Sender::new(Leadership::default()),
            applied: watch::Sender::new(0),
        }
    }

    pub fn lead(&self, term: u64) {
        self.leadership.send_replace(Leadership {
            term,
            leader: Some(1),
            is_self: true,
        });
    }

    pub fn follow(&self, term: u64, leader: Option<u64>) {
        self.leadership.send_replace(Leadership {
            term,
            leader,
            is_self: false,
        });
    }

    /// Without a quorum proposals are appended and commit when it is back.
    pub fn quorum(&self, ok: bool) {
        self.quorum.send_replace(ok);
    }

    /// Proposals so far, committed or not.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// The leaders' entries that were proposed and committed.
    pub fn started(&self) -> Vec<LeaderStarted> {
        self.started.lock().clone()
    }

    /// Keeps proposals from committing until it is let go.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Commits an entry of another leader.
    pub fn inject(&self, payload: &[u8]) {
        self.commit(0, payload);
    }

    fn commit(&self, term: u64, payload: &[u8]) -> Committed<Reply> {
        let mut replica = self.replica.lock();
        let index = self.index.fetch_add(1, Ordering::AcqRel) + 1;
        let reply = replica.apply(Position { index, term }, payload);
        replica.flush();
        self.applied.send_replace(index);
        Committed { index, reply }
    }

    pub fn proposed(&self) -> u64 {
        self.index.load(Ordering::Acquire)
    }
}

/// The chain of every made-up log.
pub fn chain_at(index: u64) -> [u8; 16] {
    [index as u8; 16]
}

#[async_trait::async_trait]
impl Group<Reply> for LocalGroup {
    async fn propose(&self, term: u64, payload: Bytes) -> Result<Committed<Reply>, ProposeError> {
        let now = *self.leadership.borrow();
        if !now.is_self || now.term != term {
            return Err(ProposeError::NotLeader { leader: now.leader });
        }
        self.asked.fetch_add(1, Ordering::AcqRel);
        let mut held = self.held.subscribe();
        let _ = held.wait_for(|held| !held).await;
        let mut quorum = self.quorum.subscribe();
        let _ = quorum.wait_for(|ok| *ok).await;
        if let Ok(entry) = wire::cell::decode_entry(&payload)
            && let Command::LeaderStarted(started) = entry.command
        {
            self.started.lock().push(started);
        }
        Ok(self.commit(term, &payload))
    }

    async fn linearize(&self) -> Result<u64, ReadError> {
        let now = *self.leadership.borrow();
        if !*self.quorum.borrow() {
            return Err(ReadError::QuorumLost);
        }
        if now.is_self {
            Ok(self.proposed())
        } else {
            Err(ReadError::NotLeader { leader: now.leader })
        }
    }

    fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    fn chain(&self, index: u64) -> Option<[u8; 16]> {
        Some(chain_at(index))
    }

    fn status(&self) -> GroupStatus {
        GroupStatus {
            term: self.leadership.borrow().term,
            last_log: self.proposed(),
            quorum_ok: *self.quorum.borrow(),
            voters: vec![1, 2, 3],
            ..GroupStatus::default()
        }
    }

    async fn transfer_leadership(&self) -> Result<(), HandOverError> {
        Err(HandOverError::NotLeader { leader: None })
    }
}
