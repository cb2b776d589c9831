//! The way from an edge to the owner of a group.
//! Promise: a call answered with a refusal that carries a retry hint may be asked again with the
//! same request id; a stream that ends without a word has lost its path; a stream does nothing but
//! what its reader pulls.
//! Not here: finding the leader (`node`), judging the call (`api::owner`).

use std::fmt;
use std::pin::Pin;

use futures::Stream;
use pb::api::v1::{
    Endpoint, GetStatusResponse, Item, Refusal, SkipEntryRequest, SkipEntryResponse,
    VerifyCellRequest, VerifyCellResponse, attach_request, attach_response, item, work_request,
    work_response,
};
use pb::raft::v1::{
    ForwardCall, ForwardUp, forward_answer, forward_call, forward_down, forward_up,
};
use runtime::mailbox;
use runtime::trace::Trace;

/// The answer to a unary call.
pub type CallAnswer = Result<forward_answer::Response, Refusal>;

/// Reaches the owner of the group that a call names.
#[async_trait::async_trait]
pub trait Door: Send + Sync + 'static {
    /// Asks and waits, no longer than the call's own deadline.
    async fn call(&self, call: ForwardCall) -> CallAnswer;

    /// Opens a stream with its first message. Nothing is lost by asking again elsewhere as long as
    /// nobody has joined it.
    ///
    /// # Errors
    /// A refusal when nobody serves the group at present or too many streams are open.
    async fn open(&self, first: ForwardUp) -> Result<Opened, Refusal>;
}

/// The client's side of a stream. It ends after a `Stop`; an end without one means that the client has gone.
pub trait ClientSide: Stream<Item = StreamUp> + Send {
    /// If it is dropped now, before its end: whether the client was cut off by us.
    fn our_fault(&self) -> bool {
        false
    }
}

/// A queue of what a client sends: its end without a `Stop` is the client's.
impl ClientSide for mailbox::Receiver<StreamUp> {}

/// What a client sends, pulled by the owner of its stream as that has room.
pub type Ups = Pin<Box<dyn ClientSide>>;

/// What a client gets, pulled by its edge as the client reads. An end without `Failed`: the path broke.
/// Dropping it ends the stream at its owner.
pub type Downs = Pin<Box<dyn Stream<Item = StreamDown> + Send>>;

/// A stream that its owner has opened and that carries nothing yet. Dropping it gives it up.
pub struct Opened {
    join: Box<dyn FnOnce(Ups) -> Downs + Send>,
}

impl Opened {
    /// A stream that `join` sets going.
    pub fn new(join: impl FnOnce(Ups) -> Downs + Send + 'static) -> Self {
        Self {
            join: Box::new(join),
        }
    }

    /// Joins both directions: whoever pulls what comes down also moves what goes up, in one task.
    pub fn join(self, ups: Ups) -> Downs {
        (self.join)(ups)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened")
    }
}

/// A message of a client's stream on its way up.
#[derive(Debug)]
pub enum StreamUp {
    /// What the client sent.
    Message(Box<forward_up::Request>),
    /// What the client sent, as a part of a trace.
    Traced(Box<TracedUp>),
    /// The client is gone, or the edge is.
    Stop {
        /// The edge goes away: the client's lease gets the longer grace.
        our_fault: bool,
    },
}

/// A message that is traced on its way up.
#[derive(Debug)]
pub struct TracedUp {
    /// The trace and the span at the edge.
    pub trace: Trace,
    /// The message.
    pub message: forward_up::Request,
}

impl StreamUp {
    /// What came over the hop between nodes; `None` where it holds nothing.
    pub fn of(up: ForwardUp) -> Option<Self> {
        let message = up.request?;
        Some(match Trace::read(&up.traceparent) {
            None => Self::Message(Box::new(message)),
            Some(trace) => Self::Traced(Box::new(TracedUp { trace, message })),
        })
    }

    /// What goes over the hop between nodes; `None` for a stop, which goes another way.
    pub fn into_forward(self) -> Option<ForwardUp> {
        let (message, traceparent) = match self {
            Self::Message(message) => (*message, String::new()),
            Self::Traced(traced) => (traced.message, traced.trace.to_string()),
            Self::Stop { .. } => return None,
        };
        Some(ForwardUp {
            request: Some(message),
            traceparent,
            ..ForwardUp::default()
        })
    }

    /// Bytes that it holds while it waits, nearly.
    pub fn weight(&self) -> usize {
        let message = match self {
            Self::Message(message) => &**message,
            Self::Traced(traced) => &traced.message,
            Self::Stop { .. } => return ENVELOPE_BYTES,
        };
        let texts = match message {
            forward_up::Request::Attach(attach) => match &attach.request {
                Some(attach_request::Request::Send(send)) => send.text.len(),
                _ => 0,
            },
            forward_up::Request::Work(work) => match &work.request {
                Some(work_request::Request::Reply(reply)) => reply.text.len(),
                Some(work_request::Request::Note(note)) => note.text.len(),
                _ => 0,
            },
        };
        ENVELOPE_BYTES + texts
    }
}

/// A message of a client's stream on its way down.
///
/// Boxed, as on the way up: an idle queue between nodes keeps room for 32 messages.
#[derive(Debug)]
pub enum StreamDown {
    /// What the client gets.
    Message(Box<forward_down::Response>),
    /// The stream failed; nothing follows.
    Failed(Box<Refusal>),
}

/// Bytes that a message takes beside its texts: ids, times, names. An estimate from above for most.
const ENVELOPE_BYTES: usize = 256;

impl StreamDown {
    /// Bytes that it holds while it waits, nearly.
    pub fn weight(&self) -> usize {
        let Self::Message(message) = self else {
            return ENVELOPE_BYTES;
        };
        let texts = match &**message {
            forward_down::Response::Attach(attach) => match &attach.response {
                Some(attach_response::Response::Item(item)) => text_bytes(item),
                _ => 0,
            },
            forward_down::Response::Work(work) => work.response.as_ref().map_or(0, worked_bytes),
        };
        ENVELOPE_BYTES + texts
    }
}

fn worked_bytes(response: &work_response::Response) -> usize {
    use work_response::Response;
    match response {
        Response::Item(item) => item.item.as_ref().map_or(0, text_bytes),
        Response::Note(note) => note.note.as_ref().map_or(0, |note| note.text.len()),
        Response::Conversation(held) => {
            let items = held.items.iter().map(text_bytes);
            let notes = held.notes.iter().map(|note| note.text.len());
            let envelopes = (held.items.len() + held.notes.len()) * ENVELOPE_BYTES;
            items.chain(notes).sum::<usize>() + envelopes
        }
        Response::Refused(refused) => refused.draft.len(),
        _ => 0,
    }
}

fn text_bytes(item: &Item) -> usize {
    match &item.content {
        Some(item::Content::Message(message)) => message.text.len(),
        Some(item::Content::Change(change)) => change.text.len(),
        None => 0,
    }
}

/// What an edge tells its clients about the cluster.
pub trait Cluster: Send + Sync + 'static {
    /// Where else clients can connect: nodes of other sites first.
    fn endpoints(&self) -> Vec<Endpoint>;
    /// The edge's own site.
    fn site(&self) -> String;
    /// The edge's own node name.
    fn node_name(&self) -> String;
    /// Whether the node is going away.
    fn draining(&self) -> bool;
}

/// What the operator's services ask of the node.
#[async_trait::async_trait]
pub trait Operator: Send + Sync + 'static {
    /// The whole cluster as this node sees it, asking every member that it can reach.
    async fn status(&self) -> GetStatusResponse;
    /// Begins the proof of a cell's replicas, or says how far it is.
    ///
    /// # Errors
    /// When there is no such cell.
    async fn verify_cell(&self, request: VerifyCellRequest) -> Result<VerifyCellResponse, Refusal>;
    /// Passes over an entry that stops every replica of a cell.
    ///
    /// # Errors
    /// A refusal that says why the entry may not be passed over, or that nobody could write it.
    async fn skip_entry(&self, request: SkipEntryRequest) -> Result<SkipEntryResponse, Refusal>;
}

/// What an operator may do with one node: look at its log and its configuration, and change them.
#[async_trait::async_trait]
pub trait Hands: Send + Sync + 'static {
    /// Does it at the node of this name, at the node that is asked for an empty one. What is done twice
    /// harms nobody. Bounded: another node is waited for no longer than a call may take.
    ///
    /// # Errors
    /// `NODE_NOT_FOUND`, `NODE_UNREACHABLE`, or the node's own refusal.
    async fn act(&self, node: &str, request: forward_call::Request) -> CallAnswer;
}
