//! The accepting side of every lane.
//! Promise: a stream is served only after a `Hello` of a member that names this cluster, this node and
//! this profile, and ends when that one is removed; what is not taken is answered so, and the stream
//! lives on.
//! Not here: what a group does with a call (`serve`).

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{BoxStream, SelectAll};
use futures::{FutureExt, StreamExt};
use pb::exchange_request::Body;
use pb::raft::v1 as pb;
use rpc::raft::v1::raft_service_server::RaftService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::link::Answer;
use super::{APPENDS_IN_FLIGHT_MAX, Transport};
use crate::directory::Standing;

/// Answers that wait for the connection; full means that the stream is not read.
const OUT_FRAMES_MAX: usize = 256;
/// How long a peer may take to say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// Sessions open at a time on one stream: tens of groups, each with a session ending and one
/// beginning.
const SESSIONS_MAX: usize = 1_024;
/// Calls of one stream that are being answered: its sessions, and for each of as many groups a
/// heartbeat, two votes and a transfer. One more is refused.
pub(super) const ANSWERING_MAX: usize = SESSIONS_MAX + 4 * SESSIONS_MAX;
/// Snapshots that one stream takes in at a time: a peer encodes one, as many are ending. One more is
/// refused.
pub(super) const SNAPSHOTS_MAX: usize = 16;
/// The group that holds the list of members.
const MEMBERS_GROUP: u32 = 0;
/// Pieces of a snapshot that wait to be written, more than a sender leaves unacknowledged.
const PIECES_WAITING_MAX: usize = 8;

/// A piece of a snapshot.
#[derive(Debug)]
pub(crate) enum Piece {
    /// The next bytes.
    Chunk(pb::SnapshotChunk),
    /// All there are.
    End(pb::SnapshotEnd),
}

/// One group's answers to its peers.
#[async_trait]
pub(crate) trait Inbound: Send + Sync {
    async fn vote(&self, call: pb::VoteCall) -> Answer;
    async fn pre_vote(&self, call: pb::VoteCall) -> Answer;
    async fn transfer(&self, call: pb::TransferCall) -> Answer;
    async fn heartbeat(&self, call: pb::AppendCall) -> Answer;
    /// Answers appends in order; ends after the first that is not a match.
    fn appends(&self, calls: mpsc::Receiver<pb::AppendCall>) -> BoxStream<'static, Answer>;
    /// Takes a snapshot; acknowledges each piece, then answers once.
    fn snapshot(
        self: Arc<Self>,
        begin: pb::SnapshotBegin,
        pieces: mpsc::Receiver<Piece>,
    ) -> BoxStream<'static, Answer>;
}

/// The service that a node mounts.
#[derive(Clone)]
pub struct Inbox {
    transport: Transport,
}

impl Inbox {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport }
    }
}

#[async_trait]
impl RaftService for Inbox {
    type ExchangeStream = BoxStream<'static, Result<pb::ExchangeResponse, Status>>;

    async fn exchange(
        &self,
        request: Request<Streaming<pb::ExchangeRequest>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        let (out, answers) = mpsc::channel(OUT_FRAMES_MAX);
        let stream = Stream {
            transport: self.transport.clone(),
            from: 0,
            standing: Standing::Gone,
            out,
            answers: SelectAll::new(),
            appends: BTreeMap::new(),
            snapshots: BTreeMap::new(),
        };
        let served = stream.serve(request.into_inner());
        self.transport.env.raft.spawn("raft-inbox", served).detach();
        Ok(Response::new(ReceiverStream::new(answers).map(Ok).boxed()))
    }
}

/// One stream being served.
struct Stream {
    transport: Transport,
    /// The sender's node id.
    from: u64,
    standing: Standing,
    out: mpsc::Sender<pb::ExchangeResponse>,
    answers: SelectAll<BoxStream<'static, (u64, Answer)>>,
    appends: BTreeMap<u64, mpsc::Sender<pb::AppendCall>>,
    snapshots: BTreeMap<u64, mpsc::Sender<Piece>>,
}

/// What happens next on a stream.
enum Event {
    Answer((u64, Answer)),
    Frame(Option<pb::ExchangeRequest>),
    Members,
    Stop,
}

impl Stream {
    async fn serve(mut self, mut incoming: Streaming<pb::ExchangeRequest>) {
        let hello = tokio::time::timeout(HELLO_WITHIN, incoming.message()).await;
        let Ok(Ok(Some(first))) = hello else { return };
        let greeting = self.greet(first);
        let refused = matches!(greeting, Answer::Refused(_));
        if send(&self.out, 0, greeting).await.is_err() || refused {
            return;
        }
        let stop = self.transport.stop.clone();
        // Made once: it registers itself when it is first polled.
        let mut stopped = pin!(stop.stopped());
        let mut members = self.transport.directory.watch_members();
        members.mark_changed();
        loop {
            let event = tokio::select! {
                biased;
                () = stopped.as_mut() => Event::Stop,
                Ok(()) = members.changed() => Event::Members,
                Some(answer) = self.answers.next() => Event::Answer(answer),
                frame = incoming.message() => Event::Frame(frame.ok().flatten()),
            };
            match event {
                Event::Answer((call, answer)) => {
                    if send(&self.out, call, answer).await.is_err() {
                        return;
                    }
                }
                Event::Frame(Some(frame)) => {
                    let call = frame.call;
                    if let Err(reason) = self.take(frame)
                        && send(&self.out, call, failure(reason, String::new()))
                            .await
                            .is_err()
                    {
                        return;
                    }
                }
                Event::Members => {
                    self.standing = self.transport.directory.standing(self.from);
                    if self.standing == Standing::Gone {
                        // The next connection is told why.
                        return;
                    }
                }
                Event::Frame(None) | Event::Stop => return,
            }
        }
    }

    fn greet(&mut self, first: pb::ExchangeRequest) -> Answer {
        let us = &self.transport.identity;
        let Some(Body::Hello(hello)) = first.body else {
            return refusal(
                pb::RefusedReason::NoHello,
                "the first frame was not a hello".into(),
            );
        };
        if hello.cluster_id != us.cluster_id {
            let detail = format!(
                "this is cluster {}, not {}",
                us.cluster_id, hello.cluster_id
            );
            return refusal(pb::RefusedReason::OtherCluster, detail);
        }
        if hello.to_node != us.node_id {
            let detail = format!("this is node {}, not {}", us.node_id, hello.to_node);
            return refusal(pb::RefusedReason::OtherNode, detail);
        }
        if hello.profile != us.profile.name() {
            let ours = us.profile.name();
            let detail = format!("this cluster runs profile {ours}, not {}", hello.profile);
            return refusal(pb::RefusedReason::OtherProfile, detail);
        }
        self.from = hello.from_node;
        self.standing = self.transport.directory.standing(self.from);
        if self.standing == Standing::Gone {
            let detail = format!(
                "node {} is no member of the cluster, it was removed or never joined: stop it and \
                 join again with an empty data directory",
                self.from
            );
            return refusal(pb::RefusedReason::NoMember, detail);
        }
        Answer::Welcome(pb::Welcome {
            cluster_id: us.cluster_id.clone(),
            node_id: us.node_id,
        })
    }

    /// Takes one frame, or says why not; never waits.
    fn take(&mut self, frame: pb::ExchangeRequest) -> Result<(), pb::FailedReason> {
        let call = frame.call;
        let Some(body) = frame.body else {
            return Ok(());
        };
        if self.standing != Standing::Member && frame.group != MEMBERS_GROUP {
            return Err(pb::FailedReason::NotKnownYet);
        }
        match body {
            Body::AppendEnd(_) => {
                self.appends.remove(&call);
                Ok(())
            }
            Body::Append(append) => self.append(frame.group, call, append),
            Body::SnapshotChunk(chunk) => self.piece(call, Piece::Chunk(chunk)),
            Body::SnapshotEnd(end) => self.piece(call, Piece::End(end)),
            other => {
                let group = self.transport.group(frame.group);
                self.ask(group.ok_or(pb::FailedReason::UnknownGroup)?, call, other)
            }
        }
    }

    /// Answers a call with all that `answers` gives.
    fn answer(
        &mut self,
        call: u64,
        answers: BoxStream<'static, Answer>,
    ) -> Result<(), pb::FailedReason> {
        if self.answers.len() >= ANSWERING_MAX {
            return Err(pb::FailedReason::TooManyCalls);
        }
        self.answers
            .push(answers.map(move |answer| (call, answer)).boxed());
        Ok(())
    }

    fn ask(
        &mut self,
        group: Arc<dyn Inbound>,
        call: u64,
        body: Body,
    ) -> Result<(), pb::FailedReason> {
        let answering = match body {
            Body::Vote(vote) => async move { group.vote(vote).await }.boxed(),
            Body::PreVote(vote) => async move { group.pre_vote(vote).await }.boxed(),
            Body::Transfer(transfer) => async move { group.transfer(transfer).await }.boxed(),
            Body::Heartbeat(beat) => async move { group.heartbeat(beat).await }.boxed(),
            Body::SnapshotBegin(begin) => return self.begin_snapshot(group, call, begin),
            _ => return Err(pb::FailedReason::Protocol),
        };
        self.answer(call, answering.into_stream().boxed())
    }

    fn append(
        &mut self,
        group: u32,
        call: u64,
        append: pb::AppendCall,
    ) -> Result<(), pb::FailedReason> {
        let appends = match self.appends.get(&call) {
            Some(appends) => appends.clone(),
            None => self.begin_appends(group, call)?,
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = appends.try_send(append) {
            self.appends.remove(&call);
            return Err(pb::FailedReason::WindowExceeded);
        }
        // A session that ended has said why; what was already on the way to it is dropped.
        Ok(())
    }

    fn begin_appends(
        &mut self,
        group: u32,
        call: u64,
    ) -> Result<mpsc::Sender<pb::AppendCall>, pb::FailedReason> {
        let group = self
            .transport
            .group(group)
            .ok_or(pb::FailedReason::UnknownGroup)?;
        self.appends.retain(|_, appends| !appends.is_closed());
        if self.appends.len() >= SESSIONS_MAX {
            return Err(pb::FailedReason::TooManyCalls);
        }
        let (appends, calls) = mpsc::channel(APPENDS_IN_FLIGHT_MAX);
        self.answer(call, group.appends(calls))?;
        self.appends.insert(call, appends.clone());
        Ok(appends)
    }

    fn begin_snapshot(
        &mut self,
        group: Arc<dyn Inbound>,
        call: u64,
        begin: pb::SnapshotBegin,
    ) -> Result<(), pb::FailedReason> {
        self.snapshots.retain(|_, pieces| !pieces.is_closed());
        if self.snapshots.len() >= SNAPSHOTS_MAX {
            return Err(pb::FailedReason::TooManyCalls);
        }
        let (pieces, taken) = mpsc::channel(PIECES_WAITING_MAX);
        self.answer(call, group.snapshot(begin, taken))?;
        self.snapshots.insert(call, pieces);
        Ok(())
    }

    fn piece(&mut self, call: u64, piece: Piece) -> Result<(), pb::FailedReason> {
        let last = matches!(piece, Piece::End(_));
        let Some(pieces) = self.snapshots.get(&call) else {
            return Ok(());
        };
        let full = matches!(
            pieces.try_send(piece),
            Err(mpsc::error::TrySendError::Full(_))
        );
        if full || last {
            self.snapshots.remove(&call);
        }
        match full {
            true => Err(pb::FailedReason::WindowExceeded),
            false => Ok(()),
        }
    }
}

/// The peer reads no more.
struct Gone;

async fn send(
    out: &mpsc::Sender<pb::ExchangeResponse>,
    call: u64,
    answer: Answer,
) -> Result<(), Gone> {
    let frame = pb::ExchangeResponse {
        call,
        body: Some(answer),
    };
    out.send(frame).await.map_err(|_| Gone)
}

fn refusal(reason: pb::RefusedReason, detail: String) -> Answer {
    Answer::Refused(pb::Refused {
        reason: reason.into(),
        detail,
    })
}

/// An answer that says why a call failed.
pub(crate) fn failure(reason: pb::FailedReason, detail: String) -> Answer {
    Answer::Failed(pb::Failed {
        reason: reason.into(),
        detail,
    })
}
