//! openraft's types <-> the messages between replicas.
//! Promise: what arrives is checked before openraft sees it; a missing field is an error, never a
//! default.
//! Not here: streams and calls (`transport`), what is stored around these messages (`log`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::entry::RaftEntry;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult,
    VoteRequest, VoteResponse,
};
use openraft::raft::{TransferLeaderError, TransferLeaderRequest};
use pb::raft::v1 as pb;

use crate::types::{
    Body, Entry, LeaderId, LogId, Member, Membership, SnapshotMeta, StoredMembership, Types, Vote,
};

/// A message that does not say what it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message between replicas makes no sense: {what}")]
pub struct BadMessage {
    what: String,
}

impl BadMessage {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

pub(crate) fn log_id_to(id: &LogId) -> pb::LogId {
    pb::LogId {
        term: id.leader_id.term,
        leader_node: id.leader_id.node_id,
        index: id.index,
    }
}

pub(crate) fn log_id_from(id: pb::LogId) -> LogId {
    log_id(id.term, id.leader_node, id.index)
}

/// A log id from its three numbers.
pub(crate) fn log_id(term: u64, leader_node: u64, index: u64) -> LogId {
    LogId::new(
        LeaderId {
            term,
            node_id: leader_node,
        },
        index,
    )
}

/// The stored form of a vote, and its frame.
pub fn vote_to(vote: &Vote) -> pb::Vote {
    pb::Vote {
        term: vote.leader_id.term,
        node: vote.leader_id.node_id,
        committed: vote.committed,
    }
}

/// A vote.
pub fn vote_from(vote: pb::Vote) -> Vote {
    Vote {
        leader_id: LeaderId {
            term: vote.term,
            node_id: vote.node,
        },
        committed: vote.committed,
    }
}

fn needed_vote(vote: Option<pb::Vote>) -> Result<Vote, BadMessage> {
    vote.map(vote_from)
        .ok_or_else(|| BadMessage::new("no vote"))
}

pub(crate) fn membership_to(membership: &Membership) -> pb::Membership {
    pb::Membership {
        configs: membership
            .get_joint_config()
            .iter()
            .map(|voters| pb::VoterSet {
                nodes: voters.iter().copied().collect(),
            })
            .collect(),
        members: membership
            .nodes()
            .map(|(node, member)| pb::Member {
                node: *node,
                name: member.name.clone(),
                site: member.site.clone(),
            })
            .collect(),
    }
}

pub(crate) fn membership_from(membership: pb::Membership) -> Result<Membership, BadMessage> {
    let configs: Vec<BTreeSet<u64>> = membership
        .configs
        .into_iter()
        .map(|set| set.nodes.into_iter().collect())
        .collect();
    let members: BTreeMap<u64, Member> = membership
        .members
        .into_iter()
        .map(|member| {
            (
                member.node,
                Member {
                    name: member.name,
                    site: member.site,
                },
            )
        })
        .collect();
    if configs.is_empty() && members.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, members).map_err(|error| BadMessage::new(error.to_string()))
}

/// A header without the chain, which only the log knows.
pub fn meta_to(meta: &SnapshotMeta) -> pb::SnapshotMeta {
    pb::SnapshotMeta {
        last_log_id: meta.last_log_id.as_ref().map(log_id_to),
        membership_log_id: meta.last_membership.log_id().as_ref().map(log_id_to),
        membership: Some(membership_to(meta.last_membership.membership())),
        chain: Bytes::new(),
    }
}

/// The header of a snapshot.
///
/// # Errors
/// When it has no membership, or one that cannot be.
pub fn meta_from(meta: pb::SnapshotMeta) -> Result<SnapshotMeta, BadMessage> {
    let membership = meta
        .membership
        .ok_or_else(|| BadMessage::new("no membership"))?;
    let last_log_id = meta.last_log_id.map(log_id_from);
    next_index(last_log_id.as_ref())?;
    Ok(SnapshotMeta {
        last_log_id,
        last_membership: StoredMembership::new(
            meta.membership_log_id.map(log_id_from),
            membership_from(membership)?,
        ),
    })
}

fn entry_to(entry: &Entry) -> pb::Entry {
    pb::Entry {
        log_id: Some(log_id_to(&entry.log_id)),
        body: entry.payload.encoded().clone(),
    }
}

fn entry_from(entry: pb::Entry) -> Result<Entry, BadMessage> {
    let id = entry
        .log_id
        .ok_or_else(|| BadMessage::new("an entry without a place"))?;
    let body =
        Body::from_encoded(entry.body).map_err(|error| BadMessage::new(error.to_string()))?;
    Ok(Entry::new(log_id_from(id), body))
}

/// The index behind an entry, which everything counts on.
fn next_index(last: Option<&LogId>) -> Result<u64, BadMessage> {
    let next = last.map_or(Some(0), |last| last.index.checked_add(1));
    next.ok_or_else(|| BadMessage::new("an entry behind which there is no place"))
}

/// The frame of an append.
pub fn append_to<R>(call: &AppendEntriesRequest<Types<R>>) -> pb::AppendCall
where
    R: Send + Sync + 'static,
{
    pb::AppendCall {
        vote: Some(vote_to(&call.vote)),
        prev_log_id: call.prev_log_id.as_ref().map(log_id_to),
        leader_commit: call.leader_commit.as_ref().map(log_id_to),
        entries: call.entries.iter().map(entry_to).collect(),
    }
}

/// An append, its entries checked one by one.
///
/// # Errors
/// When something is missing, an entry cannot be read, or there is a gap between them.
pub fn append_from<R>(call: pb::AppendCall) -> Result<AppendEntriesRequest<Types<R>>, BadMessage>
where
    R: Send + Sync + 'static,
{
    let entries: Vec<Entry> = call
        .entries
        .into_iter()
        .map(entry_from)
        .collect::<Result<_, _>>()?;
    let prev_log_id = call.prev_log_id.map(log_id_from);
    let mut next = next_index(prev_log_id.as_ref())?;
    for entry in &entries {
        if entry.log_id.index != next {
            return Err(BadMessage::new("entries with a gap"));
        }
        next = next_index(Some(&entry.log_id))?;
    }
    Ok(AppendEntriesRequest {
        vote: needed_vote(call.vote)?,
        prev_log_id,
        leader_commit: call.leader_commit.map(log_id_from),
        entries,
    })
}

/// The frame of an answer to an append.
pub fn append_answer_to<R>(answer: &StreamAppendResult<Types<R>>) -> pb::AppendAnswer
where
    R: Send + Sync + 'static,
{
    use pb::append_answer::Outcome;
    let outcome = match answer {
        Ok(matched) => Outcome::Matched(pb::AppendMatched {
            log_id: matched.as_ref().map(log_id_to),
        }),
        Err(StreamAppendError::Conflict(id)) => Outcome::Conflict(log_id_to(id)),
        Err(StreamAppendError::HigherVote(vote)) => Outcome::HigherVote(vote_to(vote)),
    };
    pb::AppendAnswer {
        outcome: Some(outcome),
    }
}

/// An answer to an append.
///
/// # Errors
/// When it says no outcome.
pub fn append_answer_from<R>(
    answer: pb::AppendAnswer,
) -> Result<StreamAppendResult<Types<R>>, BadMessage>
where
    R: Send + Sync + 'static,
{
    use pb::append_answer::Outcome;
    match answer.outcome {
        Some(Outcome::Matched(matched)) => Ok(Ok(matched.log_id.map(log_id_from))),
        Some(Outcome::Conflict(id)) => Ok(Err(StreamAppendError::Conflict(log_id_from(id)))),
        Some(Outcome::HigherVote(vote)) => Ok(Err(StreamAppendError::HigherVote(vote_from(vote)))),
        None => Err(BadMessage::new("an append without an outcome")),
    }
}

/// The answer to a single append in openraft's unary form.
pub(crate) fn unary_append_answer<R>(
    answer: StreamAppendResult<Types<R>>,
) -> AppendEntriesResponse<Types<R>>
where
    R: Send + Sync + 'static,
{
    match answer {
        Ok(matched) => AppendEntriesResponse::PartialSuccess(matched),
        Err(StreamAppendError::Conflict(_)) => AppendEntriesResponse::Conflict,
        Err(StreamAppendError::HigherVote(vote)) => AppendEntriesResponse::HigherVote(vote),
    }
}

/// The frame of a call for votes.
pub fn vote_call_to<R>(call: &VoteRequest<Types<R>>) -> pb::VoteCall
where
    R: Send + Sync + 'static,
{
    pb::VoteCall {
        vote: Some(vote_to(&call.vote)),
        last_log_id: call.last_log_id.as_ref().map(log_id_to),
        leadership_transfer: call.leadership_transfer,
    }
}

/// A call for votes.
///
/// # Errors
/// When it has no vote.
pub fn vote_call_from<R>(call: pb::VoteCall) -> Result<VoteRequest<Types<R>>, BadMessage>
where
    R: Send + Sync + 'static,
{
    Ok(VoteRequest {
        vote: needed_vote(call.vote)?,
        last_log_id: call.last_log_id.map(log_id_from),
        leadership_transfer: call.leadership_transfer,
    })
}

/// The frame of an answer to a call for votes.
pub fn vote_answer_to<R>(answer: &VoteResponse<Types<R>>) -> pb::VoteAnswer
where
    R: Send + Sync + 'static,
{
    pb::VoteAnswer {
        vote: Some(vote_to(&answer.vote)),
        granted: answer.vote_granted,
        last_log_id: answer.last_log_id.as_ref().map(log_id_to),
    }
}

/// An answer to a call for votes.
///
/// # Errors
/// When it has no vote.
pub fn vote_answer_from<R>(answer: pb::VoteAnswer) -> Result<VoteResponse<Types<R>>, BadMessage>
where
    R: Send + Sync + 'static,
{
    Ok(VoteResponse {
        vote: needed_vote(answer.vote)?,
        vote_granted: answer.granted,
        last_log_id: answer.last_log_id.map(log_id_from),
    })
}

/// The frame that hands the lead over.
pub fn transfer_to<R>(call: &TransferLeaderRequest<Types<R>>) -> pb::TransferCall
where
    R: Send + Sync + 'static,
{
    pb::TransferCall {
        from_leader: Some(vote_to(call.from_leader())),
        to_node: *call.to_node_id(),
        last_log_id: call.last_log_id().map(log_id_to),
    }
}

/// The lead handed over.
///
/// # Errors
/// When it does not say who led.
pub fn transfer_from<R>(
    call: pb::TransferCall,
) -> Result<TransferLeaderRequest<Types<R>>, BadMessage>
where
    R: Send + Sync + 'static,
{
    Ok(TransferLeaderRequest::new(
        needed_vote(call.from_leader)?,
        call.to_node,
        call.last_log_id.map(log_id_from),
    ))
}

/// The frame of an answer to a lead handed over.
pub fn transfer_answer_to<R>(
    answer: &Result<(), TransferLeaderError<Types<R>>>,
) -> pb::TransferAnswer
where
    R: Send + Sync + 'static,
{
    use pb::transfer_answer::Refusal;
    let refusal = match answer {
        Ok(()) => None,
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            Some(Refusal::VoteChanged(pb::VoteChanged {
                expected: Some(vote_to(expected)),
                actual: Some(vote_to(actual)),
            }))
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            Some(Refusal::LogBehind(pb::LogBehind {
                expected: expected.as_ref().map(log_id_to),
                actual: actual.as_ref().map(log_id_to),
            }))
        }
    };
    pb::TransferAnswer { refusal }
}

/// An answer to a lead handed over.
///
/// # Errors
/// When a refusal does not say by which vote.
pub fn transfer_answer_from<R>(
    answer: pb::TransferAnswer,
) -> Result<Result<(), TransferLeaderError<Types<R>>>, BadMessage>
where
    R: Send + Sync + 'static,
{
    use pb::transfer_answer::Refusal;
    Ok(match answer.refusal {
        None => Ok(()),
        Some(Refusal::VoteChanged(changed)) => Err(TransferLeaderError::VoteChanged {
            expected: needed_vote(changed.expected)?,
            actual: needed_vote(changed.actual)?,
        }),
        Some(Refusal::LogBehind(behind)) => Err(TransferLeaderError::LogNotFlushed {
            expected: behind.expected.map(log_id_from),
            actual: behind.actual.map(log_id_from),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u64) -> Option<pb::LogId> {
        Some(log_id_to(&log_id(1, 1, index)))
    }

    fn append(prev: u64, indexes: &[u64]) -> Result<(), BadMessage> {
        let entry = |index: &u64| pb::Entry {
            log_id: id(*index),
            body: Bytes::new(),
        };
        let call = pb::AppendCall {
            vote: Some(pb::Vote::default()),
            prev_log_id: id(prev),
            leader_commit: None,
            entries: indexes.iter().map(entry).collect(),
        };
        append_from::<()>(call).map(drop)
    }

    #[test]
    fn an_append_at_the_last_index_there_is_is_refused_and_not_counted_over() {
        assert_eq!(append(u64::MAX - 2, &[u64::MAX - 1]), Ok(()));
        for (prev, entries) in [
            (u64::MAX, &[][..]),
            (u64::MAX, &[0]),
            (u64::MAX - 1, &[u64::MAX]),
        ] {
            assert!(append(prev, entries).is_err(), "{entries:?} after {prev}");
        }
    }

    #[test]
    fn an_append_with_a_gap_is_refused() {
        assert_eq!(append(6, &[7, 8]), Ok(()));
        assert_eq!(
            append(6, &[7, 9]),
            Err(BadMessage::new("entries with a gap"))
        );
        assert_eq!(append(6, &[6]), Err(BadMessage::new("entries with a gap")));
    }

    #[test]
    fn a_snapshot_that_ends_at_the_last_index_there_is_is_refused() {
        let meta = |index| pb::SnapshotMeta {
            last_log_id: id(index),
            membership: Some(pb::Membership::default()),
            ..pb::SnapshotMeta::default()
        };
        assert!(meta_from(meta(u64::MAX - 1)).is_ok());
        assert!(meta_from(meta(u64::MAX)).is_err());
    }
}
