//! Archive: conversations that are opened, written in and ended, one after the other, until all of
//! them have left the state of the cell.
//! Promise: three processes; everything goes through the public API; memory and disk are what the
//! kernel and the nodes count; lookups are asked at the leader's node and at another one.
//! Not here: the store of the archive alone (its own benchmark), the processes (`cluster`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use client::CallError;
use client::api::{self, item};
use futures::{StreamExt as _, TryStreamExt as _};
use rpc::api::v1::floor_service_client::FloorServiceClient;
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::cluster::{LocalCluster, START_PATIENCE};
use super::ground::{self, Limits};
use super::load::{self, Stub};
use super::usage;
use crate::args::ArchiveArgs;
use crate::replay::dialogue::Dialogue;
use crate::replay::figures::{Spread, Times};

/// Conversations under way at once.
const AT_ONCE: usize = 192;
/// Connections that they share.
const CONNECTIONS: usize = 4;
/// Messages of each: the one that opens it, and those that follow.
const MESSAGES: usize = 5;
/// One call, refusals for a full archive and their waits included.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// A refused call is tried again after this.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Looks at memory during the load.
const LOOKS: u64 = 10;
/// Lookups of each kind at each node.
const LOOKUPS: usize = 2_000;
/// The youngest rest for ten minutes before they are sealed, and then leave in seconds.
const LEAVE_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Memory of the three servers, in MiB, when so much of the load was done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Look {
    /// Conversations that had ended.
    pub ended: u64,
    /// Of those, how many had not left the state at the node that keeps most: they rest for ten minutes.
    pub resting: u64,
    /// What the server that has most had resident.
    pub rss_mib: f64,
}

/// Lookups at one node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lookups {
    /// A transcript by its conversation's id.
    pub by_id_ms: Spread,
    /// The conversations of one customer.
    pub by_customer_ms: Spread,
}

/// The whole result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Conversations.
    pub conversations: u64,
    /// Messages of each.
    pub messages_each: usize,
    /// Bytes of text of each, on average.
    pub text_bytes_each: u64,
    /// Conversations opened, written in and ended in a second.
    pub ended_per_s: f64,
    /// Calls that were refused for a while and made again: opens because the archive was behind, others
    /// because a quorum or a leader was missing.
    pub made_again: u64,
    /// Memory by and by.
    pub memory: Vec<Look>,
    /// Seconds from the last end until everything had left at every node.
    pub left_after_s: f64,
    /// Bytes of the archive for each conversation at the node that takes most.
    pub disk_bytes_each: f64,
    /// At the leader's node.
    pub leader_node: Lookups,
    /// At another one.
    pub other_node: Lookups,
}

/// Runs the whole benchmark.
pub async fn run(args: &ArchiveArgs, dialogues: &[Arc<Dialogue>]) -> anyhow::Result<Report> {
    let turns = dialogues.iter().flat_map(|dialogue| &dialogue.turns);
    let texts = turns.map(|turn| turn.text.clone()).collect();
    let dir = ground::data_dir(args.data.as_deref())?;
    ground::on_cluster(dir.path(), async |cluster| {
        measure(args, texts, cluster).await
    })
    .await
}

async fn measure(
    args: &ArchiveArgs,
    texts: Arc<[String]>,
    cluster: &LocalCluster,
) -> anyhow::Result<Report> {
    let account = ground::limit(cluster, Limits::Lifted).await?;
    let leader = cluster.leader(START_PATIENCE).await?;
    let load = Arc::new(Load {
        account,
        texts,
        text_bytes: AtomicU64::new(0),
        made_again: AtomicU64::new(0),
    });
    let count = u64::from(args.conversations);
    let began = Instant::now();
    let (ids, memory) = converse(&load, cluster, leader, args).await?;
    let took = began.elapsed().as_secs_f64();
    let left_after_s = wait_until_left(cluster, count).await?;
    let disk_bytes_each = disk(cluster, count).await?;
    let elsewhere = &cluster.nodes[(leader + 1) % cluster.nodes.len()].api;
    Ok(Report {
        conversations: count,
        messages_each: MESSAGES,
        text_bytes_each: load.text_bytes.load(Ordering::Relaxed) / count,
        ended_per_s: (count as f64 / took).round(),
        made_again: load.made_again.load(Ordering::Relaxed),
        memory,
        left_after_s,
        disk_bytes_each,
        leader_node: look_up(&cluster.nodes[leader].api, &load.account, &ids).await?,
        other_node: look_up(elsewhere, &load.account, &ids).await?,
    })
}

struct Load {
    account: String,
    texts: Arc<[String]>,
    text_bytes: AtomicU64,
    made_again: AtomicU64,
}

/// A conversation that ended: its number, which names its customer, and its id.
type Ended = (u64, String);

/// All conversations; some of them for lookups, and the memory by and by.
async fn converse(
    load: &Arc<Load>,
    cluster: &LocalCluster,
    leader: usize,
    args: &ArchiveArgs,
) -> anyhow::Result<(Vec<Ended>, Vec<Look>)> {
    let channels = load::connect(&cluster.nodes[leader].api, CONNECTIONS).await?;
    let count = u64::from(args.conversations);
    let began = Instant::now();
    let due = |number: u64| {
        let at_s = number as f64 / args.per_second.map_or(f64::INFINITY, f64::from);
        began + Duration::from_secs_f64(at_s)
    };
    let conversing = (0..count).map(|number| {
        let stub = Stub::new(channels[number as usize % channels.len()].clone());
        let (load, due) = (load.clone(), due(number));
        async move {
            sleep_until(due).await;
            load.one(stub, number).await.map(|id| (number, id))
        }
    });
    let mut ending = futures::stream::iter(conversing).buffered(AT_ONCE);
    let (mut kept, mut memory) = (Vec::new(), Vec::new());
    let keep_every = (count / LOOKUPS as u64).max(1);
    let look_every = (count / LOOKS).max(1);
    while let Some((number, id)) = ending.try_next().await? {
        if number % keep_every == 0 {
            kept.push((number, id));
        }
        let ended = number + 1;
        if ended % look_every == 0 {
            let look = look(cluster, ended).await?;
            eprintln!("{}", look.told());
            memory.push(look);
        }
    }
    Ok((kept, memory))
}

async fn look(cluster: &LocalCluster, ended: u64) -> anyhow::Result<Look> {
    let pids = (0..cluster.nodes.len()).filter_map(|at| cluster.pid(at));
    let rss_mib = pids.map(usage::rss_mib).fold(0.0, f64::max).round();
    let archives = archives(cluster).await?;
    Ok(Look {
        ended,
        resting: archives
            .iter()
            .map(|archive| archive.waiting)
            .max()
            .unwrap_or(0),
        rss_mib,
    })
}

impl Look {
    /// In words.
    pub fn told(&self) -> String {
        let Self {
            ended,
            resting,
            rss_mib,
        } = self;
        format!("{ended} ended, {resting} of them not left yet: {rss_mib} MiB")
    }
}

impl Load {
    /// Opens, writes, ends.
    async fn one(&self, mut stub: Stub, number: u64) -> anyhow::Result<String> {
        let text = |at: usize| {
            let place = number as usize * MESSAGES + at;
            let text = self.texts[place % self.texts.len()].clone();
            self.text_bytes
                .fetch_add(text.len() as u64, Ordering::Relaxed);
            text
        };
        let request_id = |at: usize| format!("{number:08x}-0000-4000-8000-{at:012x}");
        let open = api::OpenRequest {
            request_id: request_id(0),
            account: self.account.clone(),
            customer: customer(number),
            text: text(0),
            ..Default::default()
        };
        let opened = self.call(&mut stub, open, async |stub, open| stub.open(open).await);
        let conversation_id = opened.await?.conversation_id;
        for at in 1..MESSAGES {
            let send = api::SendRequest {
                conversation_id: conversation_id.clone(),
                request_id: request_id(at),
                text: text(at),
                ..Default::default()
            };
            self.call(&mut stub, send, async |stub, send| stub.send(send).await)
                .await?;
        }
        let close = api::CloseRequest {
            conversation_id: conversation_id.clone(),
            request_id: request_id(MESSAGES),
            ..Default::default()
        };
        self.call(&mut stub, close, async |stub, close| {
            stub.close(close).await
        })
        .await?;
        Ok(conversation_id)
    }

    /// Makes a call, and again while it is refused for a while: that is how the archive holds the load back.
    async fn call<R: Clone, T>(
        &self,
        stub: &mut Stub,
        request: R,
        call: impl AsyncFn(&mut Stub, R) -> Result<tonic::Response<T>, tonic::Status>,
    ) -> anyhow::Result<T> {
        let patient = async {
            loop {
                match call(stub, request.clone()).await {
                    Ok(done) => return Ok(done.into_inner()),
                    Err(no) if CallError::from_status(&no).is_retryable() => {
                        self.made_again.fetch_add(1, Ordering::Relaxed);
                        sleep(AGAIN_AFTER).await;
                    }
                    Err(no) => return Err(no.into()),
                }
            }
        };
        timeout(CALL_TIMEOUT, patient)
            .await
            .context("a call was refused for a minute")?
    }
}

fn customer(number: u64) -> String {
    format!("customer-{number}")
}

/// Waits until every conversation is in every node's archive; after how many seconds.
async fn wait_until_left(cluster: &LocalCluster, count: u64) -> anyhow::Result<f64> {
    let began = Instant::now();
    eprintln!("waiting until all have left the state");
    loop {
        let archives = archives(cluster).await?;
        if archives.len() == cluster.nodes.len()
            && archives
                .iter()
                .all(|archive| archive.conversations >= count)
        {
            return Ok(began.elapsed().as_secs_f64().round());
        }
        if began.elapsed() >= LEAVE_PATIENCE {
            bail!("after {LEAVE_PATIENCE:?} the archives hold {archives:?}");
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn archives(cluster: &LocalCluster) -> anyhow::Result<Vec<api::ArchiveView>> {
    let status = cluster.status(0).await?;
    Ok(status
        .nodes
        .into_iter()
        .filter_map(|node| node.archive)
        .collect())
}

async fn disk(cluster: &LocalCluster, count: u64) -> anyhow::Result<f64> {
    let archives = archives(cluster).await?;
    let most = archives.iter().map(|archive| archive.bytes).max();
    Ok((most.unwrap_or(0) as f64 / count as f64).round())
}

fn is_message(item: &api::Item) -> bool {
    matches!(item.content, Some(item::Content::Message(_)))
}

/// Looks the kept ones up, one after the other, in an order that jumps.
async fn look_up(at: &str, account: &str, ids: &[Ended]) -> anyhow::Result<Lookups> {
    let channels = load::connect(at, 1).await?;
    let channel = channels.into_iter().next().context("no connection")?;
    let (mut stub, mut floor) = (Stub::new(channel.clone()), FloorServiceClient::new(channel));
    let (mut by_id, mut by_customer) = (Times::default(), Times::default());
    for place in 0..ids.len() {
        // A step that is prime to no small length visits far places one after the other.
        let (number, id) = &ids[place * 7_919 % ids.len()];
        let began = Instant::now();
        let request = api::GetTranscriptRequest {
            conversation_id: id.clone(),
            ..Default::default()
        };
        let read = stub.get_transcript(request).await?.into_inner();
        by_id.add(began.elapsed());
        let messages = read.items.iter().filter(|item| is_message(item)).count();
        if messages != MESSAGES {
            bail!("{id} holds {messages} messages after it left");
        }
        let began = Instant::now();
        let request = api::SearchArchiveRequest {
            customer: customer(*number),
            account: account.to_owned(),
            ..Default::default()
        };
        let found = floor.search_archive(request).await?.into_inner();
        by_customer.add(began.elapsed());
        let found = found.conversations.len();
        if found != 1 {
            bail!("{found} conversations of {}", customer(*number));
        }
    }
    Ok(Lookups {
        by_id_ms: by_id.spread(),
        by_customer_ms: by_customer.spread(),
    })
}
