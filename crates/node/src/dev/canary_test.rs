//! Claims about what nodes say of themselves: nothing that customers or agents wrote, and no token, is in it.

#[path = "../../../../tests/support/canaries.rs"]
mod canaries;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use client::api::{
    CloseRequest, ListQueuesRequest, OpenRequest, PauseQueueRequest, RateRequest,
    ResumeQueueRequest, SendRequest,
};
use client::{Client, Transfer};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rpc::api::v1::conversation_service_client::ConversationServiceClient;
use runtime::{Env, memory};
use tokio::time::timeout;
use tonic::transport::{Endpoint, Uri};
use tonic::{Code, Request};

pub(crate) use self::canaries::sung;
use self::canaries::{CANARIES, forms};
use super::DevOptions;
use super::proof_test::{chained, halted};
use super::talk_test::{
    by_role, client_of, desks, formed, formed_with, opened, opened_as, read_until, taken,
};
use crate::config::{Config, LogFormat};
use crate::hands::Process;
use crate::log::{Place, subscriber};

#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

impl io::Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps all that is logged on this thread from now on.
fn listening(level: &str, format: LogFormat) -> (Memory, tracing::subscriber::DefaultGuard) {
    let memory = Memory::default();
    let out = memory.clone();
    let mut config = Config::default();
    config.log.level = level.to_owned();
    config.log.format = format;
    let (subscriber, _) =
        subscriber(&config, Place::default(), false, move || out.clone()).unwrap();
    (memory, tracing::subscriber::set_default(subscriber))
}

/// A whole conversation with a canary wherever somebody writes or is named.
pub(crate) async fn dialogue(env: &Env, customers: &Client, agents: &Client) {
    let [
        key,
        name,
        first,
        asks,
        says,
        note,
        reason,
        comment,
        refused,
        _,
    ] = CANARIES;
    let desks = desks(agents);
    let open = OpenRequest {
        account: "web-us".to_owned(),
        customer: key.to_owned(),
        display_name: name.to_owned(),
        language: "en".to_owned(),
        text: first.to_owned(),
        ..OpenRequest::default()
    };
    let id = customers.customer().open(open).await.unwrap();
    let id = id.conversation_id;
    let mut conversation = customers.customer().attach(&id, 0);
    let (desk, epoch) = taken(desks, env, &id).await;
    desk.reply(&id, epoch, says).await.unwrap();
    read_until(&mut conversation, says).await;
    conversation.send(asks).await.unwrap();
    desk.note(&id, epoch, note).await.unwrap();
    let long = refused.repeat(64 * 1024 / refused.len() + 1);
    assert!(conversation.send(&long).await.is_err(), "it is too long");
    let elsewhere = Transfer::Queue("no-such-queue".to_owned());
    assert!(desk.transfer(&id, epoch, elsewhere, note).await.is_err());
    let stale = desk.reply(&id, epoch + 7, refused).await;
    assert!(stale.is_err(), "the epoch is not in force");
    let customer = customers.customer();
    customer.transcript_with_notes(&id).await.unwrap();
    desk.close(&id, epoch, reason).await.unwrap();
    let rating = RateRequest {
        conversation_id: id.clone(),
        score: 5,
        comment: comment.to_owned(),
        ..RateRequest::default()
    };
    customer.rate(rating).await.unwrap();
    let again = CloseRequest {
        conversation_id: id,
        reason: reason.to_owned(),
        ..CloseRequest::default()
    };
    // Whether or not it can be closed once more: what it says must not be logged.
    let _ = customer.close(again).await;
    supervised(agents, (note, reason)).await;
}

/// What a supervisor does, and is refused, for reasons that name somebody.
async fn supervised(client: &Client, (first, second): (&str, &str)) {
    let supervisor = client.supervisor();
    let listed = supervisor.list_queues(ListQueuesRequest {}).await.unwrap();
    let queue = listed.queues[0].queue.clone();
    let pause = PauseQueueRequest {
        queue: queue.clone(),
        staff: "mia".to_owned(),
        reason: first.to_owned(),
        ..PauseQueueRequest::default()
    };
    supervisor.pause_queue(pause.clone()).await.unwrap();
    supervisor.pause_queue(pause).await.unwrap_err();
    let resume = ResumeQueueRequest {
        queue,
        staff: "mia".to_owned(),
        reason: second.to_owned(),
        ..ResumeQueueRequest::default()
    };
    supervisor.resume_queue(resume).await.unwrap();
}

/// A call that carries a token, and is refused.
async fn with_a_token(env: &Env, address: &str) {
    let (network, address) = (env.network.clone(), address.to_owned());
    let connector = tower::service_fn(move |_: Uri| {
        let (network, address) = (network.clone(), address.clone());
        async move { network.dial(&address).await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://node").connect_with_connector_lazy(connector);
    let mut request = Request::new(client::api::GetTranscriptRequest {
        conversation_id: "c1-999999".to_owned(),
        ..Default::default()
    });
    let token = format!("Bearer {}", CANARIES[9]).parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    let status = ConversationServiceClient::new(channel)
        .get_transcript(request)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
}

#[test]
fn a_canary_is_found_in_each_of_its_forms() {
    for canary in CANARIES {
        for form in forms(canary) {
            let said = format!("one line\nfield={form} more");
            assert!(!sung(&said).is_empty(), "{form}");
        }
    }
    assert!(sung("Body(key 0, 21 bytes)").is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_word_of_a_dialogue_and_no_token_is_logged_even_when_everything_is() {
    for (seed, format) in [(31, LogFormat::Json), (32, LogFormat::Text)] {
        let (memory, _listening) = listening("trace,openraft=trace", format);
        let env = memory::env(seed);
        let dev = formed(&env, false).await;
        let (order, _) = by_role(&dev).await;
        let (customers, agents) = (client_of(&env, &order[..1]), client_of(&env, &order[1..2]));
        dialogue(&env, &customers, &agents).await;
        with_a_token(&env, &order[0]).await;
        timeout(Duration::from_secs(60), dev.shutdown())
            .await
            .expect("the nodes go");
        let said = memory.text();
        assert!(said.contains("the node is ready"), "something is logged");
        let found = sung(&said);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_panic_says_is_in_no_log_no_status_and_no_part_of_a_bundle() {
    let memory = Memory::default();
    let out = memory.clone();
    let mut config = Config::default();
    config.log.level = "trace,openraft=trace".to_owned();
    config.log.format = LogFormat::Json;
    let (subscriber, logs) =
        subscriber(&config, Place::default(), false, move || out.clone()).unwrap();
    let _listening = tracing::subscriber::set_default(subscriber);
    let env = memory::env(34);
    let process = Process {
        logs: Some(logs),
        settings: None,
    };
    let options = DevOptions {
        process,
        ..DevOptions::default()
    };
    let dev = formed_with(&env, options).await;
    chained(&dev).await;
    let client = client_of(&env, &dev.api_addresses());
    let id = opened(&client).await;
    let loud = |defect: &str| SendRequest {
        conversation_id: id.clone(),
        text: format!("\u{2620} {defect} {}", CANARIES[2]),
        ..SendRequest::default()
    };
    let refused = client.customer().send(loud("decide")).await.unwrap_err();
    assert_eq!(refused.reason_name(), "MACHINE_DEFECT", "{refused:?}");
    assert!(sung(&refused.message).is_empty(), "{refused:?}");
    let other = opened_as(&client, "bob").await;
    let evolve = SendRequest {
        conversation_id: other,
        ..loud("evolve")
    };
    let customer = client.customer();
    let sending = timeout(Duration::from_millis(500), customer.send(evolve));
    assert!(
        !matches!(sending.await, Ok(Ok(_))),
        "nobody can have applied it"
    );
    let halt = halted(&dev, 0).await;
    assert!(halt.reason.contains("panicked in apply"), "{}", halt.reason);
    let operator = client.operator();
    let status = operator.get_status(Default::default()).await.unwrap();
    let found = sung(&format!("{status:?}"));
    assert!(found.is_empty(), "{found:#?}");
    let part = operator.get_node_report(Default::default()).await.unwrap();
    for file in &part.files {
        let found = sung(&String::from_utf8_lossy(&file.content));
        assert!(found.is_empty(), "{}: {found:#?}", file.name);
    }
    let log = part
        .files
        .iter()
        .find(|file| file.name == "log.txt")
        .unwrap();
    let log = String::from_utf8_lossy(&log.content).into_owned();
    assert!(log.contains("the replica is halted"), "{log}");
    timeout(Duration::from_secs(60), dev.shutdown())
        .await
        .expect("the nodes go");
    let found = sung(&memory.text());
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test(start_paused = true)]
async fn each_node_of_a_process_signs_its_own_lines() {
    let (memory, _listening) = listening("info", LogFormat::Json);
    let env = memory::env(33);
    let dev = formed(&env, false).await;
    dev.shutdown().await;
    let said = memory.text();
    for node in dev.nodes() {
        let identity = node.identity();
        let ours = format!(
            "\"message\":\"the node is ready\",\"site\":\"{}\",\"node\":\"{}\"",
            identity.site, identity.node_name
        );
        assert_eq!(said.matches(&ours).count(), 1, "{ours}\n{said}");
    }
    let cells = said
        .lines()
        .filter(|line| line.contains("\"cell\":\"main\""));
    assert!(cells.count() >= 3, "a line of each replica names its cell");
}
