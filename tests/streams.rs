//! Streams: clients that send garbage, that idle by the thousand, that never read.
//! Promise: the node bounds what they cost it and goes on serving the others.
//! Not here: streams that resume (`replay`, `drain`).

use anyhow::Context as _;
use client::api::{self, ErrorReason, attach_request, attach_response};
use client::{AgentDesk, Client};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::cluster::Setup;
use crate::support::raw::{self, Attached, Desk, begin};
use crate::support::{PATIENCE, TestCluster, data, people, within};

const IDLE_STREAMS: usize = 10_000;
const STREAMS_PER_CONNECTION: usize = 100;
/// A conversation bears 64 streams.
const IDLE_CONVERSATIONS: usize = 200;
/// 10,000 streams at 24 KiB each over all nodes, buffers of the connection included: twice what is aimed at, because
/// this is no optimised build.
const IDLE_MIB_MAX: u64 = 10_000 * 24 / 1_024;
/// A desk's queues on the way hold 1,024 events at its owner and 256 at the edge of another node; two rounds
/// of 3,600 messages are more than both and what the connection holds.
const UNREAD_ROUNDS: usize = 2;
/// A conversation takes 2,000 messages.
const UNREAD_MESSAGES: usize = 3_600;
/// A conversation has 32 proposals on the way.
const UNREAD_AT_ONCE: usize = 32;

async fn small_floor() -> anyhow::Result<TestCluster> {
    let setup = Setup {
        floor: Some(data("floor.toml")),
        ..Default::default()
    };
    TestCluster::start_with(setup).await
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_a_stream_is_refused_and_the_node_serves_on() -> anyhow::Result<()> {
    let cluster = small_floor().await?;
    let client = cluster.client_at(0)?;
    let id = people::open(&client, "garbage", "Hallo").await?;
    let address = cluster.nodes[0].api.clone();

    let first = attach_request::Request::Send(people::message(&id, "zu früh"));
    let opened = Attached::open(raw::connect(&address).await?, first).await;
    let status = match opened {
        Err(status) => status,
        Ok(mut attached) => match within("the refusal", attached.down.message()).await? {
            Err(status) => status,
            Ok(answer) => panic!("a stream without a begin was answered: {answer:?}"),
        },
    };
    let refused = client::CallError::from_status(&status);
    assert_eq!(refused.reason, ErrorReason::StreamProtocol, "{status:?}");

    let channel = raw::connect(&address).await?;
    let mut twice = Attached::observe(channel, &id).await?;
    let request = Some(begin(&id, 0, true));
    twice.up.send(api::AttachRequest { request }).await?;
    assert_eq!(
        refused_or_ended(&mut twice).await?,
        ErrorReason::StreamProtocol
    );

    for bytes in [
        &[0xff_u8; 4_096][..],
        b"GET / HTTP/1.0\r\n\r\n",
        &PREFACE_AND_GARBAGE,
    ] {
        bytes_are_answered_or_cut_off(&address, bytes).await?;
    }
    let sent = client
        .customer()
        .send(people::message(&id, "alles gut"))
        .await?;
    assert!(sent.sequence > 0);
    Ok(())
}

/// How HTTP/2 begins, and then not.
const PREFACE_AND_GARBAGE: [u8; 64] = {
    let mut bytes = [0xee; 64];
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut at = 0;
    while at < preface.len() {
        bytes[at] = preface[at];
        at += 1;
    }
    bytes
};

#[allow(
    clippy::disallowed_types,
    reason = "the test is a client that no library would be"
)]
async fn bytes_are_answered_or_cut_off(address: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let mut connection = tokio::net::TcpStream::connect(address).await?;
    // The node may close while this is written; that is an answer too.
    connection.write_all(bytes).await.ok();
    connection.shutdown().await.ok();
    let mut answer = Vec::new();
    let mut answers = connection.take(1 << 20);
    let read = answers.read_to_end(&mut answer);
    within("the end of a connection with garbage", read)
        .await?
        .ok();
    Ok(())
}

async fn refused_or_ended(attached: &mut Attached) -> anyhow::Result<ErrorReason> {
    loop {
        let message = within("a message of the stream", attached.down.message()).await?;
        let response = match message {
            Err(status) => return Ok(client::CallError::from_status(&status).reason),
            Ok(None) => anyhow::bail!("the stream broke off without a word"),
            Ok(Some(message)) => message.response,
        };
        match response {
            Some(attach_response::Response::Ended(ended)) => return Ok(ended.reason()),
            Some(attach_response::Response::Refused(refused)) => {
                return Ok(refused.refusal.unwrap_or_default().reason());
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_streams_are_borne_and_others_are_served() -> anyhow::Result<()> {
    let cluster = small_floor().await?;
    let client = cluster.client_at(0)?;
    let mut ids = Vec::new();
    for number in 0..IDLE_CONVERSATIONS {
        ids.push(people::open(&client, &format!("idle-{number}"), "Hallo").await?);
    }
    let before = resident_mib(&cluster)?;
    let mut held = Vec::new();
    for connection in 0..IDLE_STREAMS / STREAMS_PER_CONNECTION {
        let channel = raw::connect(&cluster.nodes[0].api).await?;
        let first = connection * STREAMS_PER_CONNECTION % ids.len();
        let here = &ids[first..first + STREAMS_PER_CONNECTION];
        let opening = here.iter().map(|id| Attached::observe(channel.clone(), id));
        let opening = futures::stream::iter(opening).buffered(STREAMS_PER_CONNECTION);
        held.extend(opening.try_collect::<Vec<Attached>>().await?);
    }
    assert_eq!(held.len(), IDLE_STREAMS);
    let grown = resident_mib(&cluster)?.saturating_sub(before);
    assert!(
        grown <= IDLE_MIB_MAX,
        "{IDLE_STREAMS} idle streams cost {grown} MiB"
    );

    let sent = client
        .customer()
        .send(people::message(&ids[0], "noch da?"))
        .await?;
    assert!(sent.sequence > 0);
    let heard = loop {
        match held[0].next().await? {
            Some(attach_response::Response::Item(item)) if item.sequence == sent.sequence => {
                break item.sequence;
            }
            Some(_) => {}
            None => anyhow::bail!("an idle stream was ended"),
        }
    };
    assert_eq!(heard, sent.sequence);
    Ok(())
}

/// What all nodes have resident.
fn resident_mib(cluster: &TestCluster) -> anyhow::Result<u64> {
    let mut kib = 0;
    for at in 0..cluster.nodes.len() {
        let pid = cluster.pid(at).context("the node runs")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let line = line.context("the kernel says what is resident")?;
        kib += line.trim().trim_end_matches(" kB").parse::<u64>()?;
    }
    Ok(kib / 1_024)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_ended_and_others_are_served() -> anyhow::Result<()> {
    let cluster = small_floor().await?;
    let client = cluster.client_at(1)?;
    let (mut desk, _) = people::seat(&client, "ana").await?;
    // At the leader, and one hop away from it.
    let leader = cluster.leader(PATIENCE).await?;
    let mut deaf = Vec::new();
    for at in [leader, (leader + 1) % 3] {
        let channel = raw::connect(&cluster.nodes[at].api).await?;
        deaf.push(Desk::open(channel, "ana", &format!("deaf-{at}")).await?);
    }
    for round in 0..UNREAD_ROUNDS {
        let mut held = Vec::new();
        for customer in ["one", "two"] {
            let customer = format!("{customer} of round {round}");
            held.push(people::taken(&client, &mut desk, &customer).await?);
        }
        let talk = messages(&client, &held);
        tokio::select! {
            biased;
            talked = talk => talked?,
            ended = read_on(&mut desk) => ended?,
        }
        for (id, epoch) in &held {
            desk.close(id, *epoch, "done").await?;
            desk.finish_wrap_up(id, *epoch).await?;
        }
    }
    for desk in &mut deaf {
        let ended = desk.ended().await?;
        assert_eq!(ended.reason(), ErrorReason::SlowConsumer);
    }
    Ok(())
}

/// What customers of two conversations write.
async fn messages(client: &Client, held: &[(String, u64)]) -> anyhow::Result<()> {
    let sending = (0..UNREAD_MESSAGES).map(|number| {
        let (id, _) = &held[number % held.len()];
        let message = people::message(id, "Es regnet noch immer, und der Zug kommt nicht.");
        async move { client.customer().send(message).await }
    });
    let mut sending = futures::stream::iter(sending).buffer_unordered(UNREAD_AT_ONCE);
    while let Some(sent) = sending.next().await {
        assert!(sent?.sequence > 0);
    }
    Ok(())
}

async fn read_on(desk: &mut AgentDesk) -> anyhow::Result<()> {
    loop {
        people::event(desk).await?;
    }
}
