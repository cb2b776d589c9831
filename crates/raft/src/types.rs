//! The types that openraft is instantiated with.
//! Promise: the body of an entry is encoded once, when it is proposed, and the same bytes go to
//! the log, to the followers and back to the machine.
//! Not here: conversion from and to frames (`wire`), storage (`log`).

use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use openraft::RaftTypeConfig;
use openraft::entry::RaftPayload;
use openraft::raft::responder::Responder;
use openraft::type_config::alias::LogIdOf;
use pb::raft::v1 as pb;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::wire;

/// A leader: one node in one term. Ordered by term, then by node, so that a term may see a
/// second leader with a higher node id, as openraft's default mode allows.
pub(crate) type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>;
/// The place of an entry in a log.
pub(crate) type LogId = openraft::LogId<LeaderId>;
/// A vote.
pub(crate) type Vote = openraft::impls::Vote<LeaderId>;
/// The members of a group.
pub(crate) type Membership = openraft::Membership<u64, Member>;
/// The members of a group with the entry that made them so.
pub(crate) type StoredMembership = openraft::StoredMembership<LeaderId, u64, Member>;
/// What a snapshot holds.
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<LeaderId, u64, Member>;
/// One log entry.
pub(crate) type Entry = openraft::impls::Entry<LeaderId, Body>;

/// What a member of a group is called; its address is in the directory, not in the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// The node's name, for people.
    pub name: String,
    /// The site that it stands in.
    pub site: String,
}

/// openraft's type configuration for a machine that answers with `R`.
pub struct Types<R>(PhantomData<fn() -> R>);

impl<R> fmt::Debug for Types<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Types")
    }
}

impl<R> Clone for Types<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Types<R> {}

impl<R> Default for Types<R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<R> PartialEq for Types<R> {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl<R> Eq for Types<R> {}

impl<R> PartialOrd for Types<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R> Ord for Types<R> {
    fn cmp(&self, _other: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl<R: Send + Sync + 'static> RaftTypeConfig for Types<R> {
    type D = Command;
    type R = Option<R>;
    type NodeId = u64;
    type Node = Member;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Body;
    type Entry = Entry;
    type AsyncRuntime = openraft::TokioRuntime;
    type Responder<T>
        = Ticket<T>
    where
        T: Send + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: Send + 'static;
    type ErrorSource = openraft::AnyError;
}

/// What is proposed, on its way into the log. It prints a command's length, never its text.
#[derive(Clone, PartialEq)]
pub enum Command {
    /// A command for the machine.
    Machine(Bytes),
    /// An entry that is to be passed over.
    Skip(pb::Skip),
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(bytes) => write!(f, "command of {} bytes", bytes.len()),
            Self::Skip(skip) => write!(f, "skip of {}", skip.index),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// First byte of an encoded `EntryBody` that holds a command: field 1, length-delimited.
const TAG_COMMAND: u8 = 0x0a;
/// First byte of an encoded `EntryBody` that holds a membership: field 2, length-delimited.
const TAG_MEMBERSHIP: u8 = 0x12;

/// First byte of an encoded `EntryBody` that holds a skip: field 3, length-delimited.
const TAG_SKIP: u8 = 0x1a;

/// The encoded `EntryBody` of an entry. Empty for the mark of a new leader.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Body(Bytes);

/// A stored or received body that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body of an entry cannot be read: {reason}")]
pub(crate) struct BadBody {
    reason: String,
}

impl Body {
    /// Takes bytes from the log or from a peer.
    pub(crate) fn from_encoded(bytes: Bytes) -> Result<Self, BadBody> {
        match bytes.first() {
            None => Ok(Self(bytes)),
            Some(&TAG_COMMAND) => match command_of(&bytes) {
                Some(_) => Ok(Self(bytes)),
                None => Err(BadBody {
                    reason: "a command is cut short".to_owned(),
                }),
            },
            Some(&TAG_MEMBERSHIP) => match membership_of(&bytes) {
                Ok(_) => Ok(Self(bytes)),
                Err(reason) => Err(BadBody { reason }),
            },
            Some(&TAG_SKIP) => match skip_of(&bytes) {
                Some(_) => Ok(Self(bytes)),
                None => Err(BadBody {
                    reason: "a skip is cut short".to_owned(),
                }),
            },
            Some(tag) => Err(BadBody {
                reason: format!("unknown kind {tag:#04x}"),
            }),
        }
    }

    /// The encoded form, as it is stored and sent.
    pub(crate) fn encoded(&self) -> &Bytes {
        &self.0
    }

    /// The command, if the entry holds one.
    pub(crate) fn command(&self) -> Option<&[u8]> {
        command_of(&self.0)
    }

    /// The word that an entry is to be passed over, if this entry holds one.
    pub(crate) fn skip(&self) -> Option<pb::Skip> {
        skip_of(&self.0)
    }
}

/// The command inside an encoded body.
fn command_of(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    if !rest.has_remaining() || rest.get_u8() != TAG_COMMAND {
        return None;
    }
    let length = prost::encoding::decode_varint(&mut rest).ok()?;
    let length = usize::try_from(length).ok()?;
    (rest.len() == length).then_some(rest)
}

/// The skip inside an encoded body.
fn skip_of(bytes: &Bytes) -> Option<pb::Skip> {
    if bytes.first() != Some(&TAG_SKIP) {
        return None;
    }
    match pb::EntryBody::decode(bytes.clone()).ok()?.kind? {
        pb::entry_body::Kind::Skip(skip) => Some(skip),
        _ => None,
    }
}

/// The membership inside an encoded body.
fn membership_of(bytes: &Bytes) -> Result<Membership, String> {
    let body = pb::EntryBody::decode(bytes.clone()).map_err(|error| error.to_string())?;
    match body.kind {
        Some(pb::entry_body::Kind::Membership(membership)) => {
            wire::membership_from(membership).map_err(|error| error.to_string())
        }
        _ => Err("no membership in it".to_owned()),
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.first() {
            None => f.write_str("blank"),
            Some(&TAG_MEMBERSHIP) => f.write_str("membership"),
            Some(&TAG_SKIP) => f.write_str("skip"),
            Some(_) => write!(f, "command of {} bytes", self.0.len()),
        }
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl RaftPayload for Body {
    type D = Command;
    type NodeId = u64;
    type Node = Member;

    fn blank() -> Self {
        Self::default()
    }

    fn with_normal(self, data: Command) -> Self {
        let kind = match data {
            Command::Machine(bytes) => pb::entry_body::Kind::Command(bytes),
            Command::Skip(skip) => pb::entry_body::Kind::Skip(skip),
        };
        let body = pb::EntryBody { kind: Some(kind) };
        Self(body.encode_to_vec().into())
    }

    fn with_membership(self, membership: Membership) -> Self {
        let membership = wire::membership_to(&membership);
        let body = pb::EntryBody {
            kind: Some(pb::entry_body::Kind::Membership(membership)),
        };
        Self(body.encode_to_vec().into())
    }

    fn get_membership(&self) -> Option<Membership> {
        if self.0.first() != Some(&TAG_MEMBERSHIP) {
            return None;
        }
        Some(membership_of(&self.0).expect("from_encoded and with_membership checked it"))
    }
}

/// Carries the answer to a proposal back, and with it the proposal's place among those under
/// way: the place is given up when openraft is done with the entry, not when the caller is.
pub struct Ticket<T> {
    answer: oneshot::Sender<T>,
    _place: OwnedSemaphorePermit,
}

impl<T> Ticket<T> {
    /// A ticket that holds `place`, and where its answer arrives.
    pub(crate) fn new(place: OwnedSemaphorePermit) -> (Self, oneshot::Receiver<T>) {
        let (answer, arrives) = oneshot::channel();
        (
            Self {
                answer,
                _place: place,
            },
            arrives,
        )
    }
}

impl<R, T> Responder<Types<R>, T> for Ticket<T>
where
    R: Send + Sync + 'static,
    T: Send + 'static,
{
    fn on_commit(&mut self, _log_id: LogIdOf<Types<R>>) {}

    fn on_complete(self, result: T) {
        // The caller may have given up; then nobody waits for the answer.
        let _ = self.answer.send(result);
    }
}
