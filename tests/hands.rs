//! An operator's hands on running nodes: their log, their configuration, a support bundle of them.
//! Promise: what is changed is changed at the node that is named, and nothing said or secret is shown.
//! Not here: plans and exit codes (`operate`), which keys there are (`node`).

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use client::api;

use crate::support::{Ended, TestCluster, folder, run, until};

/// What a customer says in these tests and must stay in the conversation.
const SAID: &str = "canary-said-4711";
/// What a file of secrets holds.
const SECRET: &str = "canary-secret-4712";

#[tokio::test(flavor = "multi_thread")]
async fn a_nodes_log_level_is_changed_through_any_node_and_falls_back_by_itself()
-> anyhow::Result<()> {
    let mut cluster = TestCluster::start().await?;
    let addr = cluster.addresses()[0].clone();
    let level = async |more: &[&str]| {
        let words = ["log", "level", "--addr", addr.as_str(), "--output", "json"];
        run(&[&words[..], more].concat()).await
    };
    let told = |ended: &Ended| -> anyhow::Result<(String, String)> {
        let answer: serde_json::Value = serde_json::from_str(&ended.stdout)?;
        let text = |key: &str| answer["level"][key].as_str().unwrap_or_default().to_owned();
        Ok((text("node"), text("filter")))
    };
    let of = |node: &str, filter: &str| (node.to_owned(), filter.to_owned());

    let first = level(&["debug", "--node", "sha-n1", "--for", "2s"]).await?;
    ensure!(told(&first)? == of("sha-n1", "debug"), "{first:?}");
    // The node at the address is another one.
    ensure!(told(&level(&[]).await?)? == of("fra-n1", "warn"));
    until("the configured filter", || async {
        let now = level(&["--node", "sha-n1"]).await;
        now.and_then(|now| told(&now))
            .is_ok_and(|now| now == of("sha-n1", "warn"))
    })
    .await?;
    ensure!(
        cluster.said(1).contains("\"level\":\"DEBUG\""),
        "nothing was let through"
    );

    let here = level(&["info,raft=debug"]).await?;
    ensure!(told(&here)? == of("fra-n1", "info,raft=debug"), "{here:?}");
    let reset = level(&["--reset"]).await?;
    ensure!(told(&reset)? == of("fra-n1", "warn"), "{reset:?}");

    let wrong = level(&["info,raft=debgu"]).await?;
    ensure!(wrong.code == Some(5), "{wrong:?}");
    ensure!(
        wrong
            .stderr
            .contains("`debgu` is no level; did you mean debug?"),
        "{wrong:?}"
    );
    ensure!(
        wrong.stderr.contains("reason: FIELD_INVALID\ntry: "),
        "{wrong:?}"
    );
    let nobody = level(&["--node", "mars-n1"]).await?;
    ensure!(nobody.code == Some(5), "{nobody:?}");
    ensure!(
        nobody
            .stderr
            .contains("reason: NODE_NOT_FOUND\ntry: antiphon status"),
        "{nobody:?}"
    );
    cluster.kill(2).await?;
    let gone = level(&["--node", "iad-n1"]).await?;
    ensure!(gone.code == Some(4), "{gone:?}");
    ensure!(
        gone.stderr.contains("reason: NODE_UNREACHABLE\n"),
        "{gone:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_node_takes_over_what_it_can_and_nothing_of_a_faulty_file() -> anyhow::Result<()>
{
    let cluster = TestCluster::start().await?;
    let (addr, file) = (cluster.addresses()[1].clone(), &cluster.nodes[1].config);
    let before = std::fs::read_to_string(file)?;
    let at_level = |level: &str| before.replace("level = \"warn", &format!("level = \"{level}"));
    let reload = async || run(&["config", "reload", "--addr", &addr]).await;

    // Through the API: a live key and one that waits.
    std::fs::write(
        file,
        format!("{}\n[limits]\nlog_segment_mib = 32\n", at_level("debug")),
    )?;
    let first = reload().await?;
    ensure!(first.code == Some(0), "{first:?}");
    let told = "taken over: log.level \"warn\" -> \"debug\"\n";
    ensure!(first.stdout.contains(told), "{first:?}");
    ensure!(
        first
            .stdout
            .contains("needs a restart: limits.log_segment_mib 64 -> 32\n"),
        "{first:?}"
    );
    let level = run(&["log", "level", "--addr", &addr]).await?;
    ensure!(level.stdout == "debug\n", "{level:?}");

    // By signal: a fault changes nothing and is said.
    std::fs::write(file, at_level("trace\"\nlevle = \"x"))?;
    cluster.hang_up(1).await?;
    until("the fault in the log", || async {
        cluster.said(1).contains("unknown key levle in [log]")
    })
    .await?;
    let faulty = reload().await?;
    ensure!(faulty.code == Some(5), "{faulty:?}");
    ensure!(faulty.stderr.contains("did you mean level?"), "{faulty:?}");
    ensure!(
        faulty.stderr.contains("reason: CONFIG_INVALID\ntry: "),
        "{faulty:?}"
    );
    let level = run(&["log", "level", "--addr", &addr]).await?;
    ensure!(level.stdout == "debug\n", "{level:?}");

    // By signal: what is sound is taken over; the limit is one connection, which this client holds.
    std::fs::write(
        file,
        format!("{}\n[limits]\nconnections = 1\n", at_level("info")),
    )?;
    cluster.hang_up(1).await?;
    until("the new limit", || async {
        cluster.said(1).contains("\"key\":\"limits.connections\"")
    })
    .await?;
    let client = cluster.client(&[1])?;
    until("a client that holds the one connection", || async {
        let status = client.operator().get_status(Default::default()).await;
        status.is_ok()
    })
    .await?;
    let refused = run(&["status", "--addr", &addr]).await?;
    ensure!(
        refused.code == Some(4) || refused.code == Some(6),
        "{refused:?}"
    );
    drop(client);
    Ok(())
}

/// Every file of a bundle with its content.
fn unpacked(file: &std::path::Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    use std::io::Read as _;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(file)?));
    let mut files = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(name, content);
    }
    Ok(files)
}

/// A conversation in which the canary was said twice.
async fn said(cluster: &TestCluster) -> anyhow::Result<String> {
    let customer = cluster.client_at(1)?.customer();
    let open = api::OpenRequest {
        account: "web-cn".into(),
        customer: "li".into(),
        text: SAID.into(),
        ..Default::default()
    };
    let conversation_id = customer.open(open).await?.conversation_id;
    let send = api::SendRequest {
        conversation_id: conversation_id.clone(),
        text: SAID.into(),
        ..Default::default()
    };
    customer.send(send).await?;
    Ok(conversation_id)
}

/// Asserts that a bundle has all its files and that no canary is in any of them.
fn is_whole_and_silent(files: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    for name in [
        "meta.json",
        "status.json",
        "floor.toml",
        "floor-history.json",
        "SHA256SUMS",
        "nodes/fra-n1/node.json",
        "nodes/fra-n1/config.json",
        "nodes/fra-n1/disk.json",
        "nodes/fra-n1/log.txt",
        "nodes/fra-n1/metrics.txt",
        "nodes/sha-n1/log.txt",
        "nodes/sha-n1/metrics.txt",
    ] {
        let content = files.get(&format!("antiphon-report/{name}"));
        ensure!(
            content.is_some_and(|content| !content.is_empty()),
            "{name} is not there"
        );
    }
    let log = String::from_utf8_lossy(&files["antiphon-report/nodes/fra-n1/log.txt"]);
    ensure!(log.contains("the log's filter is set by hand"), "{log}");
    ensure!(log.contains("telemetry.otlp: holds a name"), "{log}");
    let config: serde_json::Value =
        serde_json::from_slice(&files["antiphon-report/nodes/sha-n1/config.json"])?;
    ensure!(config["site.name"]["value"] == "\"sha\"", "{config}");
    for (name, content) in files {
        for canary in [SAID, SECRET] {
            let found = content
                .windows(canary.len())
                .any(|window| window == canary.as_bytes());
            ensure!(!found, "{canary} is in {name}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_support_bundle_shows_the_cluster_and_nothing_that_was_said_or_is_secret()
-> anyhow::Result<()> {
    let mut cluster = TestCluster::start().await?;
    let addr = cluster.addresses().join(",");
    // The most that a log can say, while something is said.
    for node in ["fra-n1", "sha-n1", "iad-n1"] {
        let words = ["log", "level", "trace", "--node", node, "--addr", &addr];
        ensure!(run(&words).await?.code == Some(0));
    }
    let conversation = said(&cluster).await?;
    // A secret where somebody could think that it belongs: the address is refused, and shown to nobody.
    let mut settings = std::fs::read_to_string(&cluster.nodes[0].config)?;
    settings.push_str(&format!(
        "\n[telemetry]\notlp = \"http://me:{SECRET}@127.0.0.1:4317\"\n"
    ));
    std::fs::write(&cluster.nodes[0].config, settings)?;
    let reload = ["config", "reload", "--node", "fra-n1", "--addr", &addr];
    let refused = run(&reload).await?;
    ensure!(refused.code == Some(5), "{refused:?}");
    ensure!(
        refused.stderr.contains("telemetry.otlp: holds a name"),
        "{refused:?}"
    );
    ensure!(!format!("{refused:?}").contains(SECRET), "{refused:?}");
    cluster.kill(2).await?;

    let dir = folder()?;
    let file = dir.path().join("report.tar.gz");
    let path = file.to_str().context("a path")?;
    let saved = run(&["report", "save", path, "--addr", &addr]).await?;
    ensure!(saved.code == Some(3), "a node is missing: {saved:?}");
    ensure!(saved.stdout.trim() == path, "{saved:?}");
    ensure!(
        saved
            .stderr
            .contains("missing: node iad-n1 (NODE_UNREACHABLE"),
        "{saved:?}"
    );

    is_whole_and_silent(&unpacked(&file)?)?;
    // The canary sings where it may: the transcript has it, so that the search above could find it.
    let shown = run(&["conversation", "show", &conversation, "--addr", &addr]).await?;
    ensure!(shown.stdout.contains(SAID), "{shown:?}");

    let again = run(&["report", "save", path, "--addr", &addr]).await?;
    ensure!(again.code == Some(5), "{again:?}");
    ensure!(
        again.stderr.contains("reason: FILE_EXISTS\ntry: "),
        "{again:?}"
    );
    Ok(())
}
