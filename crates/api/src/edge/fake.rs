//! An edge for tests: its owner is the test itself.
//! Promise: everything that the edge asks is seen by the test in order.
//! Not here: a cluster.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use domain::ids::CellId;
use futures::{Stream, StreamExt};
use pb::api::v1::{
    Endpoint, FloorView, GetStatusResponse, Refusal, SkipEntryRequest, SkipEntryResponse,
    VerifyCellRequest, VerifyCellResponse,
};
use pb::raft::v1::{ForwardCall, ForwardUp, forward_call};
use ports::{CallAnswer, Cluster, Door, Hands, Opened, Operator, StreamDown, StreamUp};
use runtime::{Lane, mailbox};
use tokio::sync::watch;
use tonic::Status;

use super::{Edge, EdgeParts, Floor, OneCell, Streams};

/// The owner's ends of a stream.
pub(crate) struct Owned {
    pub first: ForwardUp,
    pub up: mailbox::Receiver<StreamUp>,
    pub down: mailbox::Sender<StreamDown>,
}

/// What the test steers.
#[derive(Default)]
pub(crate) struct Fake {
    pub calls: Mutex<Vec<ForwardCall>>,
    /// What was asked of which node.
    pub acts: Mutex<Vec<(String, forward_call::Request)>>,
    pub answers: Mutex<VecDeque<CallAnswer>>,
    pub refuse_open: Mutex<Option<Refusal>>,
    pub opened: Mutex<VecDeque<Owned>>,
    pub draining: AtomicBool,
    pub silent: AtomicBool,
    pub applied: watch::Sender<u64>,
}

#[async_trait::async_trait]
impl Door for Fake {
    async fn call(&self, call: ForwardCall) -> CallAnswer {
        self.calls.lock().expect("no panic").push(call);
        if self.silent.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.answers
            .lock()
            .expect("no panic")
            .pop_front()
            .expect("the test gives an answer")
    }

    async fn open(&self, first: ForwardUp) -> Result<Opened, Refusal> {
        if let Some(refusal) = self.refuse_open.lock().expect("no panic").take() {
            return Err(refusal);
        }
        let (up, up_end) = mailbox::bounded("fake.up", 8);
        let (down_end, mut down) = mailbox::bounded("fake.down", 8);
        self.opened.lock().expect("no panic").push_back(Owned {
            first,
            up: up_end,
            down: down_end,
        });
        Ok(Opened::new(move |mut ups| {
            let pulling = async move {
                while let Some(message) = ups.next().await
                    && up.send(message).await.is_ok()
                {}
            };
            let lane = Lane::new("edge", tokio::runtime::Handle::current());
            let pulling = lane.spawn("fake owner", pulling).abort_on_drop();
            Box::pin(futures::stream::poll_fn(move |context| {
                // The owner stops reading when its stream is dropped.
                let _ = &pulling;
                down.poll_next_unpin(context)
            }))
        }))
    }
}

/// A node of another site.
pub(crate) fn elsewhere() -> Endpoint {
    Endpoint {
        site: "sha".into(),
        node: "sha-n1".into(),
        address: "127.0.0.1:7402".into(),
    }
}

impl Cluster for Fake {
    fn endpoints(&self) -> Vec<Endpoint> {
        vec![elsewhere()]
    }

    fn site(&self) -> String {
        "fra".into()
    }

    fn node_name(&self) -> String {
        "fra-n1".into()
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl Operator for Fake {
    async fn status(&self) -> GetStatusResponse {
        GetStatusResponse {
            cluster: "test".into(),
            ..GetStatusResponse::default()
        }
    }

    async fn verify_cell(&self, request: VerifyCellRequest) -> Result<VerifyCellResponse, Refusal> {
        Ok(VerifyCellResponse {
            index: request.index,
            replicas: Vec::new(),
        })
    }

    async fn skip_entry(&self, request: SkipEntryRequest) -> Result<SkipEntryResponse, Refusal> {
        Ok(SkipEntryResponse {
            logged: request.index + 1,
            ..SkipEntryResponse::default()
        })
    }
}

#[async_trait::async_trait]
impl Hands for Fake {
    async fn act(&self, node: &str, request: forward_call::Request) -> CallAnswer {
        let asked = (node.to_owned(), request);
        self.acts.lock().expect("no panic").push(asked);
        let answer = self.answers.lock().expect("no panic").pop_front();
        answer.expect("the test gives an answer")
    }
}

#[tonic::async_trait]
impl Floor for Fake {
    async fn floor(&self) -> Option<FloorView> {
        Some(FloorView {
            cell: "main".into(),
            applied_index: 7,
            ..FloorView::default()
        })
    }

    fn plan(&self) -> Option<domain::plan::VersionedPlan> {
        None
    }

    fn applied(&self) -> Option<watch::Receiver<u64>> {
        Some(self.applied.subscribe())
    }
}

/// An edge and what steers it.
pub(crate) fn edge() -> (Edge, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let edge = Edge::new(EdgeParts {
        door: fake.clone(),
        cluster: fake.clone(),
        operator: fake.clone(),
        hands: fake.clone(),
        floor: fake.clone(),
        homes: Arc::new(OneCell(CellId(1))),
        streams: Streams::new(2),
        rpc: Arc::new(crate::metrics::RpcMetrics::new().expect("compiled in")),
        tracer: runtime::Tracer::default(),
    });
    (edge, fake)
}

/// The client's end of a stream.
pub(crate) struct Client<Up>(pub mailbox::Sender<Result<Up, Status>>);

/// A client's messages on their way in.
pub(crate) struct Sent<Up>(mailbox::Receiver<Result<Up, Status>>);

/// A client and what the edge reads of it.
pub(crate) fn client<Up>() -> (Client<Up>, Sent<Up>) {
    let (client, sent) = mailbox::bounded("fake.client", 64);
    (Client(client), Sent(sent))
}

impl<Up: Send + 'static> Client<Up> {
    pub(crate) fn send(&self, message: Up) {
        assert!(
            self.0.try_send(Ok(message)).is_ok(),
            "the fake client's mailbox is full"
        );
    }
}

impl<Up> Stream for Sent<Up> {
    type Item = Result<Up, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Up, Status>>> {
        self.0.poll_next_unpin(context)
    }
}
