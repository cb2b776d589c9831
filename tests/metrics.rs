//! Metrics: what a real process shows of itself, and what neither its pages nor its logs ever show.
//! Promise: the page is what a scraper reads: names, help, kinds, and numbers that follow what was done.
//! Not here: each number by itself (`node`), the checks of `promtool` (`.ci/run`).

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use client::api::{OpenRequest, RateRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::cluster::Setup;
use crate::support::canaries::{CANARIES, sung};
use crate::support::{TestCluster, data, people, until, within};

/// Asks the admin port for a path, as `curl` would; the body.
#[allow(
    clippy::disallowed_types,
    reason = "a scraper is no client of ours and knows no seam"
)]
async fn fetched(address: &str, path: &str) -> anyhow::Result<String> {
    let asking = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = within("the admin port", asking).await??;
    let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(body.to_owned())
}

/// The kinds of the page's series by name; each has one line of help.
fn kinds(page: &str) -> anyhow::Result<BTreeMap<&str, &str>> {
    let mut kinds = BTreeMap::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').context("a name and a kind")?;
        ensure!(kinds.insert(name, kind).is_none(), "{name} comes twice");
        let help = format!("# HELP {name} ");
        ensure!(page.matches(&help).count() == 1, "{name} has one help");
    }
    Ok(kinds)
}

/// The sum of a series' samples whose labels hold all of these.
fn sum(page: &str, name: &str, labels: &[&str]) -> f64 {
    let samples = page.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    let values = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    values.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_each_kind_of_series_follows_what_was_done() -> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    let client = cluster.client_at(1)?;
    people::open(&client, "measured", "Hallo").await?;
    let leader = cluster.leader(crate::support::PATIENCE).await?;
    let leading = fetched(&cluster.nodes[leader].admin, "/metrics").await?;
    let kinds = kinds(&leading)?;
    for (name, kind) in [
        ("antiphon_build_info", "gauge"),
        ("antiphon_rpc_requests_total", "counter"),
        ("antiphon_rpc_duration_seconds", "histogram"),
        ("antiphon_store_fsync_seconds", "histogram"),
        ("antiphon_disk_free_bytes", "gauge"),
        ("antiphon_raft_follower_lag_entries", "gauge"),
        ("antiphon_queue_wait_seconds", "summary"),
        ("antiphon_agents", "gauge"),
        ("process_resident_memory_bytes", "gauge"),
    ] {
        ensure!(
            kinds.get(name) == Some(&kind),
            "{name}: {:?}",
            kinds.get(name)
        );
    }
    ensure!(sum(&leading, "antiphon_conversations_offered_total", &[]) == 1.0);
    ensure!(sum(&leading, "antiphon_raft_voters", &["group=\"main\""]) == 3.0);
    ensure!(sum(&leading, "antiphon_store_fsync_seconds_count", &[]) > 0.0);
    ensure!(sum(&leading, "process_open_fds", &[]) > 0.0);
    let asked = fetched(&cluster.nodes[1].admin, "/metrics").await?;
    let opens = ["method=\"Open\"", "code=\"OK\""];
    ensure!(sum(&asked, "antiphon_rpc_requests_total", &opens) == 1.0);
    ensure!(sum(&asked, "antiphon_rpc_duration_seconds_count", &opens[..1]) == 1.0);
    let name = format!("node=\"{}\"", cluster.nodes[1].name);
    ensure!(sum(&asked, "antiphon_build_info", &[&name]) == 1.0);
    ensure!(fetched(&cluster.nodes[0].admin, "/readyz").await? == "ready\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_and_no_log_of_a_process_holds_what_people_wrote() -> anyhow::Result<()> {
    // What is set reaches the processes of those that join: two of three log everything.
    let setup = Setup {
        floor: Some(data("floor.toml")),
        set: vec!["log.level=trace".to_owned()],
    };
    let cluster = TestCluster::start_with(setup).await?;
    let (customers, agents) = (cluster.client_at(1)?, cluster.client_at(2)?);
    let [key, name, first, asks, says, note, reason, comment, ..] = CANARIES;
    let (mut desk, _) = people::seat(&agents, "ana").await?;
    let open = OpenRequest {
        display_name: name.to_owned(),
        ..people::opening(key, first)
    };
    let opened = customers.customer().open(open).await?;
    let id = opened.conversation_id;
    let offered = people::offer(&mut desk).await?;
    let epoch = desk.accept(&offered).await?.owner_epoch;
    desk.reply(&id, epoch, says).await?;
    let customer = customers.customer();
    customer.send(people::message(&id, asks)).await?;
    desk.note(&id, epoch, note).await?;
    desk.close(&id, epoch, reason).await?;
    let rating = RateRequest {
        conversation_id: id.clone(),
        score: 4,
        comment: comment.to_owned(),
        ..RateRequest::default()
    };
    customer.rate(rating).await?;
    let read = customer.transcript_with_notes(&id).await?;
    ensure!(read.items.len() >= 3, "{read:?}");
    until("a log that says much", || async {
        (1..3).all(|at| cluster.said(at).contains("\"level\":\"TRACE\""))
    })
    .await?;
    for at in 0..3 {
        let said = cluster.said(at);
        let found = sung(&said);
        ensure!(found.is_empty(), "{found:#?}");
        let page = fetched(&cluster.nodes[at].admin, "/metrics").await?;
        let found = sung(&page);
        ensure!(found.is_empty(), "{found:#?}");
    }
    Ok(())
}
