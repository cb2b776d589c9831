//! Claims about traces of a whole cluster, as a collector in the same process sees them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use runtime::{Env, memory};
use tokio::time::{Instant, sleep, timeout};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::*;
use crate::dev::canary_test::{dialogue, sung};
use crate::dev::talk_test::{by_role, client_of, formed_with, opened, texts};
use crate::dev::{Dev, DevOptions};
use crate::listener::{Bounds, Callers, Served, Server};

const COLLECTOR: &str = "127.0.0.1:4317";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT_SPAN: &str = "b7ad6b7169203331";
/// A virtual minute: far above every deadline on the way.
const WAIT: Duration = Duration::from_secs(60);

/// A span with the node that it is of.
#[derive(Debug, Clone)]
struct Seen {
    node: String,
    span: Span,
}

/// Keeps what it is sent.
#[derive(Clone, Default)]
struct Collector {
    seen: Arc<Mutex<Vec<Seen>>>,
    said: Arc<Mutex<String>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        self.said.lock().push_str(&format!("{request:?}\n"));
        for of_node in request.resource_spans {
            let facts = of_node.resource.unwrap_or_default().attributes;
            let node = facts.iter().find(|fact| fact.key == "service.instance.id");
            let node = format!("{:?}", node.and_then(|node| node.value.clone()));
            for span in of_node
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans)
            {
                let node = node.clone();
                self.seen.lock().push(Seen { node, span });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Listens on the network of `env`.
    async fn start(env: &Env) -> (Self, Server) {
        let collector = Self::default();
        let listener = env
            .network
            .listen(COLLECTOR.parse().unwrap())
            .await
            .unwrap();
        let callers = Callers::Clients(Served {
            calls: None,
            routes: Routes::new(TraceServiceServer::new(collector.clone())).prepare(),
            lane: env.edge.clone(),
        });
        let server = Server::start(listener, callers, Bounds::api(16, WAIT), &env.random);
        (collector, server)
    }

    /// Waits until enough spans are of or linked to the trace; all of them.
    async fn of_trace(&self, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let looking = async {
            loop {
                let all = self.seen.lock().clone();
                let ours: Vec<Seen> = all.into_iter().filter(is_ours).collect();
                if enough(&ours) {
                    return ours;
                }
                sleep(Duration::from_millis(100)).await;
            }
        };
        let seen = timeout(WAIT, looking).await;
        seen.unwrap_or_else(|_| panic!("{:#?}", self.seen.lock()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_ours(seen: &Seen) -> bool {
    let linked = seen
        .span
        .links
        .iter()
        .any(|link| hex(&link.trace_id) == TRACE_ID);
    linked || hex(&seen.span.trace_id) == TRACE_ID
}

fn named<'s>(seen: &'s [Seen], name: &str) -> Vec<&'s Seen> {
    seen.iter().filter(|seen| seen.span.name == name).collect()
}

async fn traced_cluster(env: &Env, sample: f64) -> Dev {
    let mut options = DevOptions::default();
    options.telemetry.otlp = format!("http://{COLLECTOR}");
    options.telemetry.sample = sample.try_into().unwrap();
    formed_with(env, options).await
}

/// Three replicas have applied what was asked at the edge and answered by the leader.
fn is_whole(seen: &[Seen], edge: &str, owner: &str) -> bool {
    let nodes: BTreeSet<&str> = named(seen, "apply")
        .iter()
        .map(|seen| &*seen.node)
        .collect();
    !named(seen, edge).is_empty() && !named(seen, owner).is_empty() && nodes.len() == 3
}

#[tokio::test(start_paused = true)]
async fn a_call_has_one_trace_from_its_client_over_edge_and_leader_to_each_replica() {
    let env = memory::env(51);
    let (collector, _server) = Collector::start(&env).await;
    let dev = traced_cluster(&env, 0.0).await;
    let (order, leader) = by_role(&dev).await;
    let client = client_of(&env, &order[..1]);
    opened(&client.traced(TRACEPARENT).unwrap()).await;
    let edge = "/antiphon.api.v1.ConversationService/Open";
    let seen = collector
        .of_trace(|seen| is_whole(seen, edge, "answer"))
        .await;
    let (call, answer) = (named(&seen, edge)[0], named(&seen, "answer")[0]);
    assert_eq!(hex(&call.span.parent_span_id), CLIENT_SPAN);
    assert_eq!(answer.span.parent_span_id, call.span.span_id);
    assert_eq!(hex(&answer.span.trace_id), TRACE_ID);
    let leading = dev.nodes()[leader].identity().node_name.clone();
    assert!(answer.node.contains(&leading), "{answer:?}");
    assert!(
        !call.node.contains(&leading),
        "it came through another node"
    );
    for apply in named(&seen, "apply") {
        assert_ne!(
            hex(&apply.span.trace_id),
            TRACE_ID,
            "it links, it does not lengthen"
        );
        assert_eq!(apply.span.links[0].span_id, answer.span.span_id);
    }
    assert_eq!(named(&seen, "apply").len(), 3, "{seen:#?}");
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_stream_has_a_span_of_its_own_on_each_node_of_its_way() {
    let env = memory::env(52);
    let (collector, _server) = Collector::start(&env).await;
    let dev = traced_cluster(&env, 0.0).await;
    let (order, _) = by_role(&dev).await;
    let client = client_of(&env, &order[..1]);
    let id = opened(&client).await;
    let conversation = client
        .traced(TRACEPARENT)
        .unwrap()
        .customer()
        .attach(&id, 0);
    conversation.send("one").await.unwrap();
    conversation.send("two").await.unwrap();
    let enough = |seen: &[Seen]| named(seen, "apply").len() >= 6 && named(seen, "act").len() >= 2;
    let seen = collector.of_trace(enough).await;
    let (up, acts) = (named(&seen, "stream send"), named(&seen, "act"));
    assert_eq!((up.len(), acts.len()), (2, 2), "{seen:#?}");
    for act in acts {
        let parent = up
            .iter()
            .find(|up| up.span.span_id == act.span.parent_span_id);
        assert!(parent.is_some_and(|up| up.node != act.node), "{seen:#?}");
    }
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asked_for_is_traced_by_share_alone_and_says_nothing_of_people() {
    for (seed, sample) in [(53, 1.0), (54, 0.0)] {
        let env = memory::env(seed);
        let (collector, _server) = Collector::start(&env).await;
        let dev = traced_cluster(&env, sample).await;
        let (order, _) = by_role(&dev).await;
        let (customers, agents) = (client_of(&env, &order[..1]), client_of(&env, &order[1..2]));
        dialogue(&env, &customers, &agents).await;
        dev.shutdown().await;
        sleep(BATCH_WAIT * 2).await;
        let seen = collector.seen.lock().clone();
        let ours = seen
            .iter()
            .filter(|seen| seen.span.name.contains("stream"))
            .count();
        assert_eq!(ours > 0, sample > 0.0, "{seen:#?}");
        let found = sung(&collector.said.lock());
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// Ten messages one after the other through a node that does not lead; the longest that one of them took.
async fn ten_messages(env: &Env, dev: &Dev) -> Duration {
    let (order, _) = by_role(dev).await;
    let client = client_of(env, &order[..1]);
    let id = opened(&client).await;
    let conversation = client.customer().attach(&id, 0);
    let mut longest = Duration::ZERO;
    let mut said = vec!["hello".to_owned()];
    for turn in 0..10 {
        let begun = Instant::now();
        conversation.send(&turn.to_string()).await.unwrap();
        longest = longest.max(begun.elapsed());
        said.push(turn.to_string());
    }
    assert_eq!(texts(&client, &id).await, said);
    longest
}

/// A collector that takes connections, and neither reads nor answers.
async fn hanging(env: &Env) {
    let listener = env.network.listen(COLLECTOR.parse().unwrap()).await;
    let mut listener = listener.unwrap();
    let holding = async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    };
    env.edge.spawn("hanging collector", holding).detach();
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_not_there_or_hangs_costs_spans_and_nothing_else() {
    let untraced = {
        let env = memory::env(55);
        let dev = formed_with(&env, DevOptions::default()).await;
        let longest = ten_messages(&env, &dev).await;
        dev.shutdown().await;
        longest
    };
    for hangs in [false, true] {
        let env = memory::env(55);
        if hangs {
            hanging(&env).await;
        }
        let dev = traced_cluster(&env, 1.0).await;
        let longest = ten_messages(&env, &dev).await;
        // Time stands still but for what is waited for: a wait for the collector would show as its time-out.
        assert!(
            longest <= untraced + Duration::from_millis(20),
            "{longest:?} after {untraced:?}, hangs: {hangs}"
        );
        sleep(EXPORT_WAIT + BATCH_WAIT * 2).await;
        let counts = dev.nodes().iter().map(|node| node.telemetry().counts());
        let (sent, dropped) = counts.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert_eq!(sent, 0, "hangs: {hangs}");
        assert!(dropped > 0, "what was not taken is counted, hangs: {hangs}");
        let begun = Instant::now();
        dev.shutdown().await;
        assert!(begun.elapsed() < Duration::from_secs(5), "hangs: {hangs}");
    }
}
