//! openraft's network over the lanes.
//! Promise: heartbeats, votes and transfers use the signal lane, appends and snapshots their own;
//! a call that cannot reach its peer is an error, never a made-up answer.
//! Not here: frames of one session (`sessions`), connections (`link`).

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, stream_append_sequential};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, VoteRequest,
    VoteResponse,
};
use openraft::raft::{TransferLeaderRequest, TransferLeaderResponse};
use openraft::storage::Snapshot;
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use pb::exchange_request::Body;
use pb::raft::v1 as pb;
use tokio::time::Instant;

use super::link::{Answer, Call};
use super::sessions::{Session, SessionItem, failed, refused};
use super::{APPENDS_IN_FLIGHT_MAX, Lane, Transport};
use crate::replica::{SnapshotBody, header_of};
use crate::types::{LeaderId, Member, Types, Vote};
use crate::wire::{self, BadMessage};

/// Pieces of a snapshot on the way at a time: enough to keep a link of 250 ms busy at 16 MiB/s.
const CHUNKS_IN_FLIGHT_MAX: usize = 4;
/// How long a snapshot may stand still: the receiver writes and syncs, then loads its state.
const SNAPSHOT_STILL_MAX: Duration = Duration::from_secs(60);

/// Makes the clients of one group.
pub(crate) struct Peers<R> {
    transport: Transport,
    group: u32,
    reply: PhantomData<fn() -> R>,
}

impl<R> Peers<R> {
    pub(crate) fn new(transport: Transport, group: u32) -> Self {
        Self {
            transport,
            group,
            reply: PhantomData,
        }
    }

    fn peer(&self, target: u64, appends: Appends) -> Peer<R> {
        Peer {
            transport: self.transport.clone(),
            group: self.group,
            target,
            appends,
            reply: PhantomData,
        }
    }
}

/// How a client sends appends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Appends {
    /// Through an append session.
    Pipelined,
    /// One by one on the signal lane.
    AsHeartbeats,
}

impl<R: Send + Sync + 'static> RaftNetworkFactory<Types<R>> for Peers<R> {
    type Network = Peer<R>;

    async fn new_client(&mut self, target: u64, _node: &Member) -> Peer<R> {
        self.peer(target, Appends::Pipelined)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &Member) -> Peer<R> {
        self.peer(target, Appends::AsHeartbeats)
    }
}

/// One group's way to one peer.
pub(crate) struct Peer<R> {
    transport: Transport,
    group: u32,
    target: u64,
    appends: Appends,
    reply: PhantomData<fn() -> R>,
}

type Rpc<R, T> = Result<T, RPCError<Types<R>>>;

impl<R: Send + Sync + 'static> Peer<R> {
    /// Opens a call on `lane`, connecting first if need be.
    async fn open(&self, lane: Lane, answers_max: usize, deadline: Instant) -> Rpc<R, Call> {
        match self.transport.link(self.target, lane).conn(deadline).await {
            Ok(conn) => Ok(conn.call(self.group, answers_max)),
            Err(error) => Err(RPCError::Unreachable(Unreachable::new(&*error))),
        }
    }

    /// One call, one answer, on the signal lane.
    async fn ask(&self, body: Body, within: Duration) -> Rpc<R, Answer> {
        let deadline = Instant::now() + within;
        let asked = tokio::time::timeout_at(deadline, async {
            let mut call = self.open(Lane::Signal, 1, deadline).await?;
            call.send(body)
                .await
                .map_err(|_| failed("the connection ended"))?;
            match call.answer().await {
                Some(Answer::Failed(reason)) => Err(refused(&reason)),
                Some(answer) => Ok(answer),
                None => Err(failed("the connection ended")),
            }
        });
        asked
            .await
            .unwrap_or_else(|_| Err(failed("no answer in time")))
    }

    async fn session<'s, S>(&self, input: S) -> Rpc<R, BoxStream<'s, SessionItem<R>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types<R>>> + Send + Unpin + 's,
    {
        let profile = self.transport.identity.profile;
        let deadline = Instant::now() + profile.dial_deadline();
        let call = self
            .open(Lane::Append, APPENDS_IN_FLIGHT_MAX + 1, deadline)
            .await?;
        Ok(Session::new(call, input, profile.append_deadline())
            .answers()
            .boxed())
    }
}

fn nonsense<R: Send + Sync + 'static>(what: &str) -> RPCError<Types<R>> {
    failed(&BadMessage::new(what).to_string())
}

fn unreadable<R: Send + Sync + 'static>(error: &BadMessage) -> RPCError<Types<R>> {
    failed(&error.to_string())
}

impl<R: Send + Sync + 'static> RaftNetworkV2<Types<R>> for Peer<R> {
    type SnapshotData = SnapshotBody;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types<R>>,
        option: RPCOption,
    ) -> Rpc<R, AppendEntriesResponse<Types<R>>> {
        let body = Body::Heartbeat(wire::append_to(&rpc));
        match self.ask(body, option.hard_ttl()).await? {
            Answer::Append(answer) => wire::append_answer_from(answer)
                .map(wire::unary_append_answer)
                .map_err(|error| unreadable(&error)),
            _ => Err(nonsense("a heartbeat's answer")),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Rpc<R, BoxStream<'s, Result<StreamAppendResult<Types<R>>, RPCError<Types<R>>>>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types<R>>> + OptionalSend + Unpin + 'static,
    {
        match self.appends {
            Appends::AsHeartbeats => stream_append_sequential(self, input, option),
            Appends::Pipelined => Box::pin(self.session(input)),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types<R>>,
        option: RPCOption,
    ) -> Rpc<R, VoteResponse<Types<R>>> {
        let body = Body::Vote(wire::vote_call_to(&rpc));
        vote_answer(self.ask(body, option.hard_ttl()).await?)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types<R>>,
        option: RPCOption,
    ) -> Rpc<R, VoteResponse<Types<R>>> {
        let body = Body::PreVote(wire::vote_call_to(&rpc));
        vote_answer(self.ask(body, option.hard_ttl()).await?)
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types<R>>,
        option: RPCOption,
    ) -> Rpc<R, TransferLeaderResponse<Types<R>>> {
        let body = Body::Transfer(wire::transfer_to(&req));
        match self.ask(body, option.hard_ttl()).await? {
            Answer::Transfer(answer) => {
                wire::transfer_answer_from(answer).map_err(|error| unreadable(&error))
            }
            _ => Err(nonsense("a transfer's answer")),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<LeaderId, u64, Member, SnapshotBody>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types<R>>, StreamingError<Types<R>>> {
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(vote, snapshot.snapshot) => Ok(sent?),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        let pause = self.transport.identity.profile.append_deadline();
        Some(Backoff::new(std::iter::repeat(pause)))
    }
}

fn vote_answer<R: Send + Sync + 'static>(answer: Answer) -> Rpc<R, VoteResponse<Types<R>>> {
    match answer {
        Answer::Vote(answer) => wire::vote_answer_from(answer).map_err(|error| unreadable(&error)),
        _ => Err(nonsense("a vote's answer")),
    }
}

impl<R: Send + Sync + 'static> Peer<R> {
    async fn send_snapshot(
        &self,
        vote: Vote,
        body: SnapshotBody,
    ) -> Rpc<R, SnapshotResponse<Types<R>>> {
        let SnapshotBody::Stored(file) = body else {
            return Err(failed("only a stored snapshot can be sent"));
        };
        let deadline = Instant::now() + self.transport.identity.profile.dial_deadline();
        let call = self
            .open(Lane::Snapshot, CHUNKS_IN_FLIGHT_MAX + 1, deadline)
            .await?;
        let mut sending = SnapshotSending { call, unacked: 0 };
        let meta = header_of(&file).map_err(|error| failed(&error.to_string()))?;
        let begin = pb::SnapshotBegin {
            vote: Some(wire::vote_to(&vote)),
            meta: Some(meta),
        };
        sending.send(Body::SnapshotBegin(begin)).await?;
        let mut reader = file.reader();
        let mut sequence = 0;
        while let Some(data) = reader
            .next_chunk()
            .await
            .map_err(|error| failed(&error.to_string()))?
        {
            sending.leave_room().await?;
            let crc32c = crc32c::crc32c(&data);
            let chunk = pb::SnapshotChunk {
                sequence,
                crc32c,
                data,
            };
            sending.send(Body::SnapshotChunk(chunk)).await?;
            sending.unacked += 1;
            sequence += 1;
        }
        sending
            .send(Body::SnapshotEnd(pb::SnapshotEnd { chunks: sequence }))
            .await?;
        sending.finish().await.map(SnapshotResponse::new)
    }
}

/// A snapshot on its way.
struct SnapshotSending {
    call: Call,
    unacked: usize,
}

impl SnapshotSending {
    async fn send<R: Send + Sync + 'static>(&self, body: Body) -> Rpc<R, ()> {
        match tokio::time::timeout(SNAPSHOT_STILL_MAX, self.call.send(body)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(failed("the connection ended")),
            Err(_) => Err(failed("the connection takes no more")),
        }
    }

    async fn answer<R: Send + Sync + 'static>(&mut self) -> Rpc<R, Answer> {
        match tokio::time::timeout(SNAPSHOT_STILL_MAX, self.call.answer()).await {
            Ok(Some(Answer::Failed(reason))) => Err(refused(&reason)),
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(failed("the connection ended")),
            Err(_) => Err(failed("the snapshot stands still")),
        }
    }

    /// Waits until one more piece may be sent.
    async fn leave_room<R: Send + Sync + 'static>(&mut self) -> Rpc<R, ()> {
        while self.unacked >= CHUNKS_IN_FLIGHT_MAX {
            match self.answer().await? {
                Answer::SnapshotAck(_) => self.unacked -= 1,
                _ => return Err(nonsense("a snapshot's acknowledgement")),
            }
        }
        Ok(())
    }

    /// Waits until the receiver has installed it.
    async fn finish<R: Send + Sync + 'static>(&mut self) -> Rpc<R, Vote> {
        loop {
            match self.answer().await? {
                Answer::SnapshotAck(_) => {}
                Answer::Snapshot(answer) => {
                    let vote = answer.vote.map(wire::vote_from);
                    return vote.ok_or_else(|| nonsense("a snapshot's answer"));
                }
                _ => return Err(nonsense("a snapshot's answer")),
            }
        }
    }
}
