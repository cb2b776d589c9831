//! What one group answers to its peers.
//! Promise: a call that makes no sense or finds the replica stopped is answered so; nothing is
//! made up.
//! Not here: streams (`transport::inbox`), decisions (openraft).

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use openraft::Raft;
use openraft::raft::{AppendEntriesResponse, VoteRequest};
use openraft::storage::Snapshot;
use pb::raft::v1 as pb;
use ports::Machine;
use prost::Message;
use store::SnapshotWriter;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use crate::replica::{Replica, Shared, SnapshotBody, SnapshotPlace};
use crate::transport::{Answer, Inbound, Piece, failure};
use crate::types::{SnapshotMeta, Types, Vote};
use crate::wire::{self, BadMessage};

/// openraft for a machine.
pub(crate) type RaftOf<M> = Raft<Types<<M as Machine>::Reply>, Replica<M>>;

/// One group's end of the transport.
pub(crate) struct Served<M: Machine> {
    raft: RaftOf<M>,
    place: SnapshotPlace,
    shared: Arc<Shared>,
}

impl<M: Machine> Served<M> {
    pub(crate) fn new(raft: RaftOf<M>, place: SnapshotPlace, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            raft,
            place,
            shared,
        })
    }
}

fn protocol(error: &BadMessage) -> Answer {
    failure(pb::FailedReason::Protocol, error.to_string())
}

fn stopped(error: &impl std::fmt::Display) -> Answer {
    failure(pb::FailedReason::Stopped, error.to_string())
}

fn storage(error: &impl std::fmt::Display) -> Answer {
    failure(pb::FailedReason::Storage, error.to_string())
}

fn vote_request<R: Send + Sync + 'static>(
    call: pb::VoteCall,
) -> Result<VoteRequest<Types<R>>, Answer> {
    wire::vote_call_from(call).map_err(|error| protocol(&error))
}

#[async_trait]
impl<M: Machine> Inbound for Served<M> {
    async fn vote(&self, call: pb::VoteCall) -> Answer {
        match vote_request(call) {
            Ok(request) => match self.raft.vote(request).await {
                Ok(answer) => Answer::Vote(wire::vote_answer_to(&answer)),
                Err(error) => stopped(&error),
            },
            Err(answer) => answer,
        }
    }

    async fn pre_vote(&self, call: pb::VoteCall) -> Answer {
        match vote_request(call) {
            Ok(request) => match self.raft.pre_vote(request).await {
                Ok(answer) => Answer::Vote(wire::vote_answer_to(&answer)),
                Err(error) => stopped(&error),
            },
            Err(answer) => answer,
        }
    }

    async fn transfer(&self, call: pb::TransferCall) -> Answer {
        match wire::transfer_from(call) {
            Ok(request) => match self.raft.handle_transfer_leader(request).await {
                Ok(answer) => Answer::Transfer(wire::transfer_answer_to(&answer)),
                Err(error) => stopped(&error),
            },
            Err(error) => protocol(&error),
        }
    }

    async fn heartbeat(&self, call: pb::AppendCall) -> Answer {
        let request = match wire::append_from::<M::Reply>(call) {
            Ok(request) => request,
            Err(error) => return protocol(&error),
        };
        let prev = request.prev_log_id;
        let last = request.entries.last().map(|entry| entry.log_id).or(prev);
        match self.raft.append_entries(request).await {
            Ok(answer) => {
                // Whoever is told of a higher vote leads nothing.
                if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
                    *self.shared.heard.lock() = Some(Instant::now());
                }
                let answer = answer.into_stream_result(prev, last);
                Answer::Append(wire::append_answer_to(&answer))
            }
            Err(error) => stopped(&error),
        }
    }

    fn appends(&self, calls: mpsc::Receiver<pb::AppendCall>) -> BoxStream<'static, Answer> {
        // A call that makes no sense ends the session: what follows it would leave a gap.
        let requests = ReceiverStream::new(calls)
            .map(wire::append_from::<M::Reply>)
            .take_while(|request| std::future::ready(request.is_ok()))
            .filter_map(|request| std::future::ready(request.ok()));
        self.raft
            .stream_append(requests)
            .map(|answer| match answer {
                Ok(answer) => Answer::Append(wire::append_answer_to(&answer)),
                Err(error) => stopped(&error),
            })
            .boxed()
    }

    fn snapshot(
        self: Arc<Self>,
        begin: pb::SnapshotBegin,
        pieces: mpsc::Receiver<Piece>,
    ) -> BoxStream<'static, Answer> {
        let taking = Taking {
            served: self,
            pieces,
            step: Step::Begin(begin),
        };
        futures::stream::unfold(taking, Taking::next).boxed()
    }
}

/// A snapshot being taken in.
struct Taking<M: Machine> {
    served: Arc<Served<M>>,
    pieces: mpsc::Receiver<Piece>,
    step: Step,
}

/// How far a snapshot is.
enum Step {
    Begin(pb::SnapshotBegin),
    Pieces(Arriving),
    Over,
}

/// A snapshot between its beginning and its end.
struct Arriving {
    writer: Box<SnapshotWriter>,
    vote: Vote,
    meta: SnapshotMeta,
    next: u32,
}

impl<M: Machine> Taking<M> {
    async fn next(mut self) -> Option<(Answer, Self)> {
        let mut arriving = match std::mem::replace(&mut self.step, Step::Over) {
            Step::Over => return None,
            Step::Pieces(arriving) => arriving,
            Step::Begin(begin) => match self.begin(begin).await {
                Ok(arriving) => arriving,
                Err(answer) => return Some((answer, self)),
            },
        };
        match self.pieces.recv().await? {
            Piece::Chunk(chunk) => match take_chunk(&mut arriving, chunk).await {
                Ok(sequence) => {
                    self.step = Step::Pieces(arriving);
                    Some((Answer::SnapshotAck(pb::SnapshotAck { sequence }), self))
                }
                Err(answer) => Some((answer, self)),
            },
            Piece::End(end) => Some((self.install(arriving, &end).await, self)),
        }
    }

    async fn begin(&self, begin: pb::SnapshotBegin) -> Result<Arriving, Answer> {
        let (Some(vote), Some(header)) = (begin.vote, begin.meta) else {
            return Err(protocol(&BadMessage::new(
                "a snapshot without vote or header",
            )));
        };
        let stored = header.encode_to_vec();
        let meta = wire::meta_from(header).map_err(|error| protocol(&error))?;
        let place = &self.served.place;
        let begun = place.store.begin(place.group, stored.into()).await;
        let writer = begun.map_err(|error| storage(&error))?;
        Ok(Arriving {
            writer: Box::new(writer),
            vote: wire::vote_from(vote),
            meta,
            next: 0,
        })
    }

    async fn install(&self, arriving: Arriving, end: &pb::SnapshotEnd) -> Answer {
        if end.chunks != arriving.next {
            return protocol(&BadMessage::new("a snapshot with pieces missing"));
        }
        let snapshot = Snapshot {
            meta: arriving.meta,
            snapshot: SnapshotBody::Arriving(arriving.writer),
        };
        match self
            .served
            .raft
            .install_full_snapshot(arriving.vote, snapshot)
            .await
        {
            Ok(answer) => Answer::Snapshot(pb::SnapshotAnswer {
                vote: Some(wire::vote_to(&answer.vote)),
            }),
            Err(error) => stopped(&error),
        }
    }
}

async fn take_chunk(arriving: &mut Arriving, chunk: pb::SnapshotChunk) -> Result<u32, Answer> {
    if chunk.sequence != arriving.next {
        return Err(protocol(&BadMessage::new(
            "a snapshot's pieces out of order",
        )));
    }
    if crc32c::crc32c(&chunk.data) != chunk.crc32c {
        let detail = format!("piece {}", chunk.sequence);
        return Err(failure(pb::FailedReason::Damaged, detail));
    }
    let written: io::Result<()> = arriving
        .writer
        .write(chunk.data)
        .await
        .map_err(io::Error::other);
    written.map_err(|error| storage(&error))?;
    arriving.next += 1;
    Ok(chunk.sequence)
}
