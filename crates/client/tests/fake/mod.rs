//! A cluster in memory that does what a test tells it: nodes that die, stay silent, refuse, repeat.
//! Promise: one transcript behind all nodes; each message id is stored once; time is the test's.
//! Not here: claims (the tests beside this folder).
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a poisoned lock has failed the test")]
#![allow(
    clippy::disallowed_methods,
    reason = "the fake is the outside of the SDK"
)]

mod cluster;
mod desk;
mod dialogue;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{BoxIo, Client, Options, Seams, api};
use rpc::api::v1::agent_service_server::AgentServiceServer;
use rpc::api::v1::cluster_service_server::ClusterServiceServer;
use rpc::api::v1::conversation_service_server::ConversationServiceServer;
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Bytes that a connection holds.
const PIPE_BYTES: usize = 256 * 1024;

/// How a node behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It works.
    Up,
    /// Nobody listens.
    Refusing,
    /// Packets vanish.
    BlackHole,
}

struct Node {
    mode: Mode,
    incoming: mpsc::Sender<DuplexStream>,
    pipes: Vec<AbortHandle>,
}

/// What all nodes share, and what the test may set.
#[derive(Default)]
pub struct Shared {
    /// The transcript.
    pub items: Vec<api::Item>,
    /// Sequences by message id.
    pub stored: BTreeMap<String, u64>,
    /// Every mutating request: node, request id.
    pub asked: Vec<(String, String)>,
    /// Cursors of every stream that began: node, cursor.
    pub begun: Vec<(String, u64)>,
    /// Answers to unary calls, before they are done.
    pub statuses: VecDeque<Status>,
    /// Answers to messages of streams, before they are stored.
    pub refusals: VecDeque<api::Refusal>,
    /// So many messages are stored and never acknowledged.
    pub swallow_acks: usize,
    /// Streams of this node leave this sequence out, once.
    pub skip_once: Option<u64>,
    /// Streams repeat this many items before the cursor.
    pub repeat: u64,
    /// Messages on the way at once: the most that were seen.
    pub endpoints: Vec<api::Endpoint>,
    /// Hellos of desks.
    pub hellos: Vec<api::LogInRequest>,
    /// Heartbeats of desks.
    pub beats: usize,
    /// Open offers and held conversations that a desk's snapshot shows.
    pub offers: Vec<api::Offer>,
    /// Whether the desk's snapshot holds the conversation.
    pub holds: bool,
}

/// A cluster in memory.
#[derive(Clone)]
pub struct Fake {
    nodes: Arc<Mutex<BTreeMap<String, Node>>>,
    pub shared: Arc<Mutex<Shared>>,
    pub changed: watch::Sender<u64>,
}

impl Fake {
    /// Nodes at these addresses, all up.
    pub fn of(addresses: &[&str]) -> Self {
        let fake = Self {
            nodes: Arc::default(),
            shared: Arc::default(),
            changed: watch::Sender::new(0),
        };
        for address in addresses {
            fake.start(address);
        }
        fake
    }

    fn start(&self, address: &str) {
        let (incoming, accepted) = mpsc::channel::<DuplexStream>(64);
        let service = Service {
            node: address.to_owned(),
            fake: self.clone(),
        };
        let router = Server::builder()
            .add_service(ConversationServiceServer::new(service.clone()))
            .add_service(AgentServiceServer::new(service.clone()))
            .add_service(ClusterServiceServer::new(service));
        let connections = ReceiverStream::new(accepted).map(Ok::<_, io::Error>);
        tokio::spawn(router.serve_with_incoming(connections));
        let node = Node {
            mode: Mode::Up,
            incoming,
            pipes: Vec::new(),
        };
        self.nodes.lock().unwrap().insert(address.to_owned(), node);
    }

    /// Changes a node; its connections break unless it stays up.
    pub fn set(&self, address: &str, mode: Mode) {
        let mut nodes = self.nodes.lock().unwrap();
        let node = nodes.get_mut(address).expect("the node exists");
        node.mode = mode;
        for pipe in node.pipes.drain(..) {
            pipe.abort();
        }
    }

    /// A client that dials this cluster.
    pub fn client(&self, addresses: &[&str]) -> Client {
        self.client_with(addresses, Options::default())
    }

    pub fn client_with(&self, addresses: &[&str], options: Options) -> Client {
        let fake = self.clone();
        let seams = Seams {
            dial: Arc::new(move |address: String| fake.clone().dial(address)),
            ..Seams::default()
        };
        Client::connect_with(addresses.iter().copied(), options, seams).expect("addresses are good")
    }

    async fn dial(self, address: String) -> io::Result<BoxIo> {
        let mode = {
            let nodes = self.nodes.lock().unwrap();
            nodes.get(&address).map_or(Mode::Refusing, |node| node.mode)
        };
        match mode {
            Mode::Refusing => return Err(io::ErrorKind::ConnectionRefused.into()),
            Mode::BlackHole => std::future::pending::<()>().await,
            Mode::Up => {}
        }
        let (mine, mut near) = duplex(PIPE_BYTES);
        let (mut far, server) = duplex(PIPE_BYTES);
        let pipe = tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await.ok() });
        let incoming = {
            let mut nodes = self.nodes.lock().unwrap();
            let node = nodes.get_mut(&address).expect("the node exists");
            node.pipes.push(pipe.abort_handle());
            node.incoming.clone()
        };
        incoming.send(server).await.map_err(io::Error::other)?;
        Ok(Box::new(mine))
    }

    /// Stores an item unless its message is known; its sequence.
    pub fn store(&self, author: api::author::Kind, id: &str, text: &str) -> u64 {
        let mut shared = self.shared.lock().unwrap();
        if let Some(sequence) = shared.stored.get(id) {
            return *sequence;
        }
        let sequence = shared.items.len() as u64 + 1;
        shared.items.push(message(sequence, author, id, text));
        shared.stored.insert(id.to_owned(), sequence);
        drop(shared);
        self.changed.send_modify(|version| *version += 1);
        sequence
    }

    /// The texts of the transcript.
    pub fn texts(&self) -> Vec<String> {
        let shared = self.shared.lock().unwrap();
        shared.items.iter().map(text_of).collect()
    }

    /// Request ids of mutating calls, in order.
    pub fn ids(&self) -> Vec<String> {
        let shared = self.shared.lock().unwrap();
        shared.asked.iter().map(|(_, id)| id.clone()).collect()
    }

    /// Nodes that were asked, in order.
    pub fn asked_nodes(&self) -> Vec<String> {
        let shared = self.shared.lock().unwrap();
        shared.asked.iter().map(|(node, _)| node.clone()).collect()
    }
}

/// The gRPC services of one node.
#[derive(Clone)]
pub struct Service {
    pub node: String,
    pub fake: Fake,
}

impl Service {
    /// Notes a mutating call; the answer that the test wants instead, if any.
    fn note(&self, id: &str) -> Result<(), Status> {
        let mut shared = self.fake.shared.lock().unwrap();
        shared.asked.push((self.node.clone(), id.to_owned()));
        match shared.statuses.pop_front() {
            Some(status) => Err(status),
            None => Ok(()),
        }
    }
}

/// A message of the transcript.
pub fn message(sequence: u64, author: api::author::Kind, id: &str, text: &str) -> api::Item {
    api::Item {
        sequence,
        content: Some(api::item::Content::Message(api::Message {
            request_id: id.to_owned(),
            author: Some(api::Author {
                kind: author.into(),
                ..Default::default()
            }),
            text: text.to_owned(),
            sent_ms: 0,
        })),
        ..Default::default()
    }
}

/// What an item says.
pub fn text_of(item: &api::Item) -> String {
    match &item.content {
        Some(api::item::Content::Message(message)) => message.text.clone(),
        _ => String::new(),
    }
}

/// A refusal as a status, as the API writes it.
pub fn status(reason: &str, retry: Option<Duration>, metadata: &[(&str, &str)]) -> Status {
    let metadata: std::collections::HashMap<String, String> = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let mut details = ErrorDetails::with_error_info(reason, "antiphon", metadata);
    if let Some(delay) = retry {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(Code::Unavailable, reason, details)
}

/// A refusal inside a stream.
pub fn refusal(reason: api::ErrorReason, retry_after_ms: u64) -> api::Refusal {
    api::Refusal {
        reason: reason.into(),
        message: reason.as_str_name().to_owned(),
        metadata: Default::default(),
        retry_after_ms,
    }
}
