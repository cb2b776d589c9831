//! Customers and agents of a cell for tests, as the door knows them.
//! Promise: everything is asked through the door; no wait is longer than the patience.
//! Not here: the cell (`one_node`), claims.

use std::time::Duration;

use futures::StreamExt;
use pb::api::v1::attach_request::Request as Ask;
use pb::api::v1::attach_response::Response as Told;
use pb::api::v1::work_request::Request as Act;
use pb::api::v1::work_response::Response as Worked;
use pb::api::v1::*;
use pb::raft::v1::forward_answer::Response as Answer;
use pb::raft::v1::forward_call::Request as Call;
use pb::raft::v1::{ForwardUp, forward_down, forward_up};
use ports::{Door, Opened, StreamDown, StreamUp};
use runtime::{AbortOnDrop, Lane, mailbox};
use tokio::time::timeout;

use super::one_node::{CELL, Node};

pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A stream, and what its client sends on it.
pub(super) struct Joined {
    pub(super) up: mailbox::Sender<StreamUp>,
    pub(super) down: Pulled,
}

/// What a client gets: its connection reads the stream.
pub(super) struct Pulled {
    read: mailbox::Receiver<StreamDown>,
    _connection: AbortOnDrop<()>,
}

impl Pulled {
    pub(super) async fn recv(&mut self) -> Option<StreamDown> {
        self.read.recv().await
    }
}

fn join(opened: Opened) -> Joined {
    let (up, ups) = mailbox::bounded("test.up", 1_024);
    let mut downs = opened.join(Box::pin(ups));
    // What a connection takes ahead of its reader.
    let (give, read) = mailbox::bounded("test.down", 64);
    let reading = async move {
        while let Some(message) = downs.next().await
            && give.send(message).await.is_ok()
        {}
    };
    let lane = Lane::new("edge", tokio::runtime::Handle::current());
    let _connection = lane.spawn("connection", reading).abort_on_drop();
    Joined {
        up,
        down: Pulled { read, _connection },
    }
}

pub(super) async fn opened(
    node: &Node,
    request_id: &str,
    customer: &str,
    text: &str,
) -> OpenResponse {
    let open = OpenRequest {
        request_id: request_id.into(),
        account: "web-cn".into(),
        customer: customer.into(),
        display_name: "Li".into(),
        text: text.into(),
        ..OpenRequest::default()
    };
    match node.ask(Call::Open(open)).await {
        Ok(Answer::Open(opened)) => opened,
        other => panic!("not opened: {other:?}"),
    }
}

pub(super) fn a_send(id: &str, request_id: &str, text: &str) -> SendRequest {
    SendRequest {
        conversation_id: id.into(),
        request_id: request_id.into(),
        text: text.into(),
        ..SendRequest::default()
    }
}

pub(super) async fn sent(
    node: &Node,
    id: &str,
    request_id: &str,
    text: &str,
) -> Result<SendResponse, ErrorReason> {
    match node.ask(Call::Send(a_send(id, request_id, text))).await {
        Ok(Answer::Send(sent)) => Ok(sent),
        Ok(other) => panic!("another answer: {other:?}"),
        Err(refusal) => Err(refusal.reason()),
    }
}

pub(super) async fn attach(node: &Node, id: &str, cursor: u64) -> Result<Joined, Refusal> {
    let begin = AttachBegin {
        conversation_id: id.into(),
        cursor,
        observe: false,
    };
    let first = AttachRequest {
        request: Some(Ask::Begin(begin)),
    };
    let request = Some(forward_up::Request::Attach(first));
    node.owner
        .open(ForwardUp {
            group: CELL.0,
            site: "fra".into(),
            request,
            ..ForwardUp::default()
        })
        .await
        .map(join)
}

fn content(message: StreamDown) -> forward_down::Response {
    match message {
        StreamDown::Message(content) => *content,
        failed => panic!("not a message: {failed:?}"),
    }
}

pub(super) async fn told(stream: &mut Joined) -> Told {
    let message = timeout(PATIENCE, stream.down.recv())
        .await
        .expect("in time")
        .expect("not closed");
    match content(message) {
        forward_down::Response::Attach(response) => response.response.expect("a response"),
        other => panic!("not a customer's message: {other:?}"),
    }
}

/// The next message of a kind; others are passed over.
macro_rules! until {
    ($next:expr, $pattern:pat $(if $guard:expr)?) => {
        while !matches!($next.await, $pattern $(if $guard)?) {}
    };
    ($next:expr, $pattern:pat $(if $guard:expr)? => $value:expr) => {
        loop {
            match $next.await {
                $pattern $(if $guard)? => break $value,
                _ => {}
            }
        }
    };
}

pub(super) use until;

pub(super) fn say(stream: &Joined, request_id: &str, text: &str) {
    let request = Some(Ask::Send(a_send("", request_id, text)));
    let message = StreamUp::Message(Box::new(forward_up::Request::Attach(AttachRequest {
        request,
    })));
    stream.up.try_send(message).expect("room");
}

pub(super) struct Seat {
    pub(super) stream: Joined,
    pub(super) session: u64,
}

impl Seat {
    pub(super) async fn take(node: &Node, agent: &str, device: &str) -> Self {
        let hello = LogInRequest {
            agent: agent.into(),
            request_id: format!("login-{device}"),
            device_id: device.into(),
            session: 0,
            intent: Some(Intent {
                ready: true,
                reason: String::new(),
            }),
        };
        let first = WorkRequest {
            request: Some(Act::Hello(hello)),
        };
        let request = Some(forward_up::Request::Work(first));
        let opened = node
            .owner
            .open(ForwardUp {
                group: CELL.0,
                site: "fra".into(),
                request,
                ..ForwardUp::default()
            })
            .await;
        let mut seat = Self {
            stream: opened.map(join).expect("a desk"),
            session: 0,
        };
        let Worked::Welcome(welcome) = seat.next().await else {
            panic!("not a welcome")
        };
        seat.session = welcome.session;
        seat
    }

    pub(super) async fn next(&mut self) -> Worked {
        let message = timeout(PATIENCE, self.stream.down.recv())
            .await
            .expect("in time")
            .expect("not closed");
        match content(message) {
            forward_down::Response::Work(response) => response.response.expect("a response"),
            other => panic!("not an agent's message: {other:?}"),
        }
    }

    /// The next message if one comes in time.
    pub(super) async fn next_within(&mut self, wait: Duration) -> Option<Worked> {
        timeout(wait, self.next()).await.ok()
    }

    pub(super) fn act(&self, act: Act) {
        let message = StreamUp::Message(Box::new(forward_up::Request::Work(WorkRequest {
            request: Some(act),
        })));
        self.stream.up.try_send(message).expect("room");
    }

    pub(super) fn accept(&self, request_id: &str, offer: &Offer) {
        self.act(Act::Accept(AcceptOfferRequest {
            request_id: request_id.into(),
            offer_id: offer.offer_id.clone(),
            owner_epoch: offer.owner_epoch,
            ..AcceptOfferRequest::default()
        }));
    }

    pub(super) fn reply(&self, request_id: &str, id: &str, owner_epoch: u64, text: &str) {
        self.act(Act::Reply(ReplyRequest {
            request_id: request_id.into(),
            conversation_id: id.into(),
            owner_epoch,
            text: text.into(),
            ..ReplyRequest::default()
        }));
    }

    pub(super) async fn refused(&mut self) -> (ErrorReason, WorkRefused) {
        let refused = until!(self.next(), Worked::Refused(refused) => refused);
        (refused.refusal.as_ref().expect("why").reason(), refused)
    }
}
