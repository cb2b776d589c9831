//! Frozen: processes that hang and come back, with everything that they believed when they stopped.
//! Promise: nothing is acknowledged without a majority; what was acknowledged is there, once, in the same
//! order at every node; whoever slept through an election is not believed.
//! Not here: processes that die (`replay`).

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use client::api::{self, ErrorReason, attach_request, attach_response, item::Content};
use client::{Client, Conversation};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::Setup;
use crate::support::raw::{self, Attached, begin};
use crate::support::{PATIENCE, TestCluster, data, people, until, within};

/// Customers that write while the leader hangs.
const CUSTOMERS: usize = 4;
/// Messages of each that are stored before, and again after.
const STORED_MIN: usize = 5;

/// Without bounds on how fast a customer may write.
async fn small_floor() -> anyhow::Result<TestCluster> {
    let setup = Setup {
        floor: Some(data("floor.toml")),
        ..Default::default()
    };
    TestCluster::start_with(setup).await
}

fn said(id: &str, request_id: &str) -> api::SendRequest {
    api::SendRequest {
        request_id: request_id.to_owned(),
        ..people::message(id, request_id)
    }
}

/// A customer's stream at one node, welcomed.
async fn attached(cluster: &TestCluster, at: usize, id: &str) -> anyhow::Result<Attached> {
    let channel = raw::connect(&cluster.nodes[at].api).await?;
    let mut attached = Attached::open(channel, begin(id, 0, false)).await?;
    let first = attached.next().await?;
    ensure!(
        matches!(first, Some(attach_response::Response::Welcome(_))),
        "it began with {first:?}"
    );
    Ok(attached)
}

async fn send(stream: &Attached, message: api::SendRequest) -> anyhow::Result<()> {
    let request = Some(attach_request::Request::Send(message));
    let sending = stream.up.send(api::AttachRequest { request });
    within("room on a stream", sending).await??;
    Ok(())
}

/// Reads on until a message of the stream is stored; its place.
async fn stored(stream: &mut Attached) -> anyhow::Result<u64> {
    loop {
        match stream.next().await?.context("the stream ended")? {
            attach_response::Response::Sent(sent) => return Ok(sent.sequence),
            attach_response::Response::Ended(ended) => anyhow::bail!("it ended: {ended:?}"),
            _ => {}
        }
    }
}

fn text_of(item: &api::Item) -> Option<&str> {
    match &item.content {
        Some(Content::Message(message)) => Some(&message.text),
        _ => None,
    }
}

/// The texts with their places, the same at every node. Each stands there once.
async fn transcript(cluster: &TestCluster, id: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut seen: Option<Vec<api::Item>> = None;
    for at in 0..cluster.nodes.len() {
        let customer = cluster.client(&[at])?.customer();
        let items = customer.transcript(id).await?.items;
        if let Some(seen) = &seen {
            assert_eq!(*seen, items, "{id} at {}", cluster.nodes[at].name);
        }
        seen = Some(items);
    }
    let mut texts = BTreeMap::new();
    for item in seen.iter().flatten() {
        if let Some(text) = text_of(item) {
            let twice = texts.insert(text.to_owned(), item.sequence);
            assert_eq!(twice, None, "{text} stands twice in {id}");
        }
    }
    Ok(texts)
}

/// The reasons that a leader without its quorum may give.
fn is_no_quorum(reason: ErrorReason) -> bool {
    matches!(
        reason,
        ErrorReason::QuorumLost | ErrorReason::NotLeader | ErrorReason::OutcomeUnknown
    )
}

/// Reads a stream whose quorum is gone to its end: first interrupted, nothing stored, nothing shown.
async fn ends_without_a_word_too_many(stream: &mut Attached) -> anyhow::Result<()> {
    use attach_response::Response;
    let mut interrupted = false;
    loop {
        match stream
            .next()
            .await?
            .context("it broke off without a word")?
        {
            Response::Interrupted(_) => interrupted = true,
            Response::Refused(refused) => {
                let reason = refused.refusal.unwrap_or_default().reason();
                assert!(is_no_quorum(reason), "{reason:?}");
            }
            Response::Ended(ended) => {
                assert!(is_no_quorum(ended.reason()), "{ended:?}");
                assert!(interrupted, "it ended without a warning");
                assert!(!ended.endpoints.is_empty() && ended.cursor > 0, "{ended:?}");
                return Ok(());
            }
            Response::Summary(_) | Response::Marker(_) => {}
            Response::Item(item) if text_of(&item) != Some("under-way") => {}
            wrong => panic!("without a quorum it said {wrong:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_followers_hang_acknowledges_nothing_until_they_are_back()
-> anyhow::Result<()> {
    let cluster = small_floor().await?;
    let leader = cluster.leader(PATIENCE).await?;
    let followers = [(leader + 1) % 3, (leader + 2) % 3];
    let client = cluster.client_at(leader)?;
    let id = people::open(&client, "patient", "Guten Tag").await?;
    let mut stream = attached(&cluster, leader, &id).await?;
    send(&stream, said(&id, "before")).await?;
    let before = stored(&mut stream).await?;

    for at in followers {
        cluster.freeze(at).await?;
    }
    send(&stream, said(&id, "under-way")).await?;
    ends_without_a_word_too_many(&mut stream).await?;
    // Its client asks again until its own budget is over, and hears no other word.
    let alone = cluster.client(&[leader])?;
    let refused = people::refusal(alone.customer().send(said(&id, "later")).await);
    assert!(is_no_quorum(refused.reason), "{refused:?}");
    for at in followers {
        cluster.thaw(at).await?;
    }

    let mut places = BTreeMap::from([("before".to_owned(), before)]);
    for text in ["under-way", "later"] {
        let first = client.customer().send(said(&id, text)).await?.sequence;
        let again = client.customer().send(said(&id, text)).await?.sequence;
        assert_eq!(first, again, "{text} has one answer");
        places.insert(text.to_owned(), first);
    }
    cluster.healthy(PATIENCE).await?;
    let mut read = transcript(&cluster, &id).await?;
    read.retain(|text, _| places.contains_key(text));
    assert_eq!(read, places);
    Ok(())
}

/// What a customer was told to be stored: texts and their places.
type Stored = BTreeMap<String, u64>;

/// Writes one message after the other until the test has seen enough; tells what is stored.
async fn write(
    mut conversation: Conversation,
    enough: watch::Receiver<bool>,
    told: Arc<watch::Sender<Stored>>,
) -> anyhow::Result<()> {
    let writer = conversation.writer();
    let writing = async {
        for number in 0.. {
            if *enough.borrow() {
                break;
            }
            let text = format!("message {number}");
            let sent = writer.send(&text).await;
            let sent = sent.map_err(|unsent| anyhow::anyhow!("{unsent:?}"))?;
            told.send_modify(|stored| {
                stored.insert(text, sent.sequence);
            });
        }
        Ok(())
    };
    let reading = async { while conversation.next().await.is_some() {} };
    tokio::select! {
        biased;
        wrote = writing => wrote,
        () = reading => anyhow::bail!("the conversation ended"),
    }
}

/// Customers that write at a node that may hang.
struct Writers {
    ids: Vec<String>,
    stored: Vec<Arc<watch::Sender<Stored>>>,
    enough: watch::Sender<bool>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Writers {
    #[allow(
        clippy::disallowed_methods,
        reason = "the test is several clients, not a part of a node"
    )]
    async fn begin(client: &Client) -> anyhow::Result<Self> {
        let mut writers = Self {
            ids: Vec::new(),
            stored: Vec::new(),
            enough: watch::Sender::new(false),
            tasks: JoinSet::new(),
        };
        for number in 0..CUSTOMERS {
            let id = people::open(client, &format!("writer-{number}"), "Guten Tag").await?;
            let told = Arc::new(watch::Sender::default());
            let conversation = client.customer().attach(&id, 0);
            let enough = writers.enough.subscribe();
            writers
                .tasks
                .spawn(write(conversation, enough, told.clone()));
            writers.ids.push(id);
            writers.stored.push(told);
        }
        Ok(writers)
    }

    /// Waits until each customer has so many more messages stored than now.
    async fn go_on(&self) -> anyhow::Result<()> {
        let count = |told: &Arc<watch::Sender<Stored>>| told.borrow().len();
        let before: Vec<usize> = self.stored.iter().map(count).collect();
        until("every customer's messages are stored", || async {
            let now = self.stored.iter().map(count);
            now.zip(&before)
                .all(|(now, before)| now >= before + STORED_MIN)
        })
        .await
    }

    /// Ends them; each conversation with what its customer was told.
    async fn end(mut self) -> anyhow::Result<Vec<(String, Stored)>> {
        self.enough.send_replace(true);
        while let Some(ended) = within("the end of a customer", self.tasks.join_next()).await? {
            ended??;
        }
        let stored = self.stored.iter().map(|told| told.borrow().clone());
        Ok(self.ids.into_iter().zip(stored).collect())
    }
}

/// Reads a stream of a leader that slept to its end; it must not have stored anything.
async fn nothing_is_stored(stream: &mut Attached) -> anyhow::Result<()> {
    use attach_response::Response;
    loop {
        let message = within("the end of a late stream", stream.down.message()).await?;
        // A connection that was cut is an end as well.
        let Ok(Some(message)) = message else {
            return Ok(());
        };
        match message.response {
            Some(Response::Sent(sent)) => anyhow::bail!("it stored too late: {sent:?}"),
            Some(Response::Ended(ended)) => {
                assert!(is_no_quorum(ended.reason()), "{ended:?}");
                return Ok(());
            }
            Some(Response::Refused(refused)) => {
                let reason = refused.refusal.unwrap_or_default().reason();
                assert!(is_no_quorum(reason), "{reason:?}");
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_hangs_is_succeeded_and_says_nothing_true_when_it_wakes() -> anyhow::Result<()>
{
    let cluster = small_floor().await?;
    let old = cluster.leader(PATIENCE).await?;
    let client = cluster.client_at(old)?;
    let late_id = people::open(&client, "late", "Guten Tag").await?;
    let mut late = attached(&cluster, old, &late_id).await?;
    let writers = Writers::begin(&client).await?;
    writers.go_on().await?;

    cluster.freeze(old).await?;
    send(&late, said(&late_id, "too-late")).await?;
    writers.go_on().await?;
    cluster.thaw(old).await?;
    nothing_is_stored(&mut late).await?;
    writers.go_on().await?;
    cluster.healthy(PATIENCE).await?;
    let status = cluster.status(old).await?;
    let cell = status.groups.iter().find(|group| group.group != "control");
    let leader = cell.context("the cell is not shown")?.leader.clone();
    assert_ne!(leader, cluster.nodes[old].name, "it has stepped down");

    for (id, stored) in writers.end().await? {
        let mut read = transcript(&cluster, &id).await?;
        read.retain(|text, _| text.starts_with("message "));
        assert_eq!(read, stored, "{id}: stored is what was acknowledged");
        let numbers: Vec<u64> = (0..read.len())
            .filter_map(|number| read.get(&format!("message {number}")).copied())
            .collect();
        assert_eq!(numbers.len(), read.len(), "none is missing");
        assert!(numbers.is_sorted(), "{id}: as they were written");
    }
    let read = transcript(&cluster, &late_id).await?;
    assert!(!read.contains_key("too-late"), "{read:?}");
    Ok(())
}
