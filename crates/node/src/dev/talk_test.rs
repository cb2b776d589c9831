//! Claims about conversations over three nodes in one process, through the SDK.

use std::sync::Arc;
use std::time::Duration;

use client::api::{OpenRequest, item::Content};
use client::{AgentDesk, BoxIo, Client, Conversation, DeskEvent, DeskLogin, Event, Options, Seams};
use runtime::{Env, memory};
use tokio::time::timeout;

use super::{Dev, DevOptions, dev};
use crate::start::Node;

/// A virtual minute: far above every deadline on the way.
pub(crate) const WAIT: Duration = Duration::from_secs(60);

pub(crate) fn client_of(env: &Env, addresses: &[String]) -> Client {
    let (network, random, lane) = (env.network.clone(), env.random.fork(), env.edge.clone());
    let seams = Seams {
        dial: Arc::new(move |address: String| {
            let network = network.clone();
            async move { Ok(Box::new(network.dial(&address).await?) as BoxIo) }
        }),
        source: Arc::new(move || random.next_u64()),
        spawn: Arc::new(move |name: &'static str, task| lane.spawn(name, task).detach()),
    };
    Client::connect_with(addresses.to_vec(), Options::default(), seams).unwrap()
}

pub(crate) async fn formed(env: &Env, wan: bool) -> Dev {
    let options = DevOptions {
        wan,
        ..DevOptions::default()
    };
    formed_with(env, options).await
}

pub(crate) async fn formed_with(env: &Env, options: DevOptions) -> Dev {
    let options = DevOptions { port: 0, ..options };
    let dev = dev(env.clone(), options).await.unwrap();
    timeout(WAIT, dev.ready())
        .await
        .expect("three nodes form a cluster");
    dev
}

/// The addresses of the nodes, that of the cell's leader last; the leader's place in `dev`.
pub(crate) async fn by_role(dev: &Dev) -> (Vec<String>, usize) {
    let leader = async {
        loop {
            if let Some(at) = dev.nodes().iter().position(Node::leads_a_cell) {
                return at;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let at = timeout(WAIT, leader).await.expect("a node leads the cell");
    let mut order = dev.api_addresses();
    let leader = order.remove(at);
    order.push(leader);
    (order, at)
}

/// Desks of everybody who serves in English.
pub(crate) fn desks(client: &Client) -> Vec<AgentDesk> {
    let plan = wire::floor::parse(wire::floor::SAMPLE).unwrap();
    let names = plan
        .agents
        .iter()
        .filter(|(_, agent)| agent.languages.keys().any(|tag| tag.as_str() == "en"));
    let login = |name: &str| DeskLogin {
        agent: name.to_owned(),
        device_id: String::new(),
        session: 0,
        ready: true,
    };
    names
        .map(|(name, _)| client.agent().desk(login(name.as_str())))
        .collect()
}

/// The desk that took the conversation, and its owner epoch.
pub(crate) async fn taken(
    desks: Vec<AgentDesk>,
    env: &Env,
    conversation: &str,
) -> (AgentDesk, u64) {
    let (found, mut first) = runtime::mailbox::bounded("test", 64);
    for mut desk in desks {
        let (found, wanted) = (found.clone(), conversation.to_owned());
        let watching = async move {
            while let Some(event) = desk.next().await {
                let DeskEvent::Offer(offer) = event else {
                    continue;
                };
                if offer
                    .conversation
                    .as_ref()
                    .is_some_and(|summary| summary.conversation_id == wanted)
                    && desk.accept(&offer).await.is_ok()
                {
                    let _ = found.try_send((desk, offer.owner_epoch));
                    return;
                }
            }
        };
        env.edge.spawn("desk", watching).detach();
    }
    let (mut desk, _) = timeout(WAIT, first.recv())
        .await
        .expect("an agent is offered the work")
        .unwrap();
    let epoch = timeout(WAIT, held(&mut desk))
        .await
        .expect("the agent holds it");
    (desk, epoch)
}

async fn held(desk: &mut AgentDesk) -> u64 {
    loop {
        if let Some(DeskEvent::Held(held)) = desk.next().await {
            return held
                .conversation
                .map(|summary| summary.owner_epoch)
                .unwrap_or_default();
        }
    }
}

/// Texts that the customer reads, until `text` has come.
pub(crate) async fn read_until(conversation: &mut Conversation, text: &str) {
    let reading = async {
        while let Some(event) = conversation.next().await {
            if let Event::Item(item) = event
                && let Some(Content::Message(message)) = item.content
                && message.text == text
            {
                return;
            }
        }
        panic!("the stream ended before {text:?} came");
    };
    timeout(WAIT, reading).await.expect("the message arrives");
}

pub(crate) async fn opened(client: &Client) -> String {
    opened_as(client, "ann").await
}

pub(crate) async fn opened_as(client: &Client, customer: &str) -> String {
    let request = OpenRequest {
        account: "web-us".to_owned(),
        customer: customer.to_owned(),
        language: "en".to_owned(),
        text: "hello".to_owned(),
        ..OpenRequest::default()
    };
    client
        .customer()
        .open(request)
        .await
        .unwrap()
        .conversation_id
}

pub(crate) async fn texts(client: &Client, conversation: &str) -> Vec<String> {
    let transcript = client.customer().transcript(conversation).await.unwrap();
    let message = |item: client::api::Item| match item.content {
        Some(Content::Message(message)) => Some(message.text),
        _ => None,
    };
    transcript.items.into_iter().filter_map(message).collect()
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_held_between_two_nodes_and_read_at_the_third() {
    let env = memory::env(11);
    let dev = formed(&env, false).await;
    let (order, _) = by_role(&dev).await;
    let (customers, agents, readers) = (
        client_of(&env, &order[..1]),
        client_of(&env, &order[1..2]),
        client_of(&env, &order[2..]),
    );
    let desks = desks(&agents);
    let id = opened(&customers).await;
    let mut conversation = customers.customer().attach(&id, 0);
    let (desk, epoch) = taken(desks, &env, &id).await;
    desk.reply(&id, epoch, "how can I help?").await.unwrap();
    read_until(&mut conversation, "how can I help?").await;
    conversation.send("where is my parcel?").await.unwrap();
    assert_eq!(
        texts(&readers, &id).await,
        ["hello", "how can I help?", "where is my parcel?"]
    );
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_conversation_goes_on_when_the_leader_s_node_is_lost() {
    let env = memory::env(12);
    let dev = formed(&env, false).await;
    let (order, leader) = by_role(&dev).await;
    let customers = client_of(&env, &order[..2]);
    let id = opened(&customers).await;
    let mut conversation = customers.customer().attach(&id, 0);
    read_until(&mut conversation, "hello").await;
    for turn in 0..5 {
        conversation.send(&format!("before {turn}")).await.unwrap();
    }
    dev.nodes()[leader].kill().await;
    for turn in 0..5 {
        timeout(WAIT, conversation.send(&format!("after {turn}")))
            .await
            .expect("it is answered")
            .unwrap();
    }
    let sent = (0..5)
        .map(|turn| format!("before {turn}"))
        .chain((0..5).map(|turn| format!("after {turn}")));
    let expected: Vec<String> = std::iter::once("hello".to_owned()).chain(sent).collect();
    assert_eq!(texts(&customers, &id).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_stream_at_a_node_that_drains_resumes_elsewhere_without_gap_or_repeat() {
    let env = memory::env(13);
    let dev = formed(&env, false).await;
    let (order, leader) = by_role(&dev).await;
    let customers = client_of(&env, &order[2..]);
    let id = opened(&customers).await;
    let mut conversation = customers.customer().attach(&id, 0);
    read_until(&mut conversation, "hello").await;
    let going = dev.nodes()[leader].clone();
    let drain = env
        .edge
        .spawn("drain", async move { going.shutdown().await });
    for turn in 0..20 {
        timeout(WAIT, conversation.send(&format!("{turn}")))
            .await
            .expect("it is answered")
            .unwrap();
        read_until(&mut conversation, &format!("{turn}")).await;
    }
    timeout(WAIT, drain).await.expect("the drain ends").unwrap();
    let expected: Vec<String> = std::iter::once("hello".to_owned())
        .chain((0..20).map(|turn| turn.to_string()))
        .collect();
    assert_eq!(texts(&customers, &id).await, expected);
}

#[tokio::test(start_paused = true)]
async fn three_sites_with_real_distances_form_and_serve() {
    let env = memory::env(14);
    let dev = formed(&env, true).await;
    assert_eq!(dev.nodes()[0].identity().profile, "global");
    let (order, _) = by_role(&dev).await;
    let customers = client_of(&env, &order[..1]);
    let id = opened(&customers).await;
    assert_eq!(texts(&customers, &id).await, ["hello"]);
    dev.shutdown().await;
}
