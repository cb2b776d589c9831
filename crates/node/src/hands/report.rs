//! A node's part of a support bundle.
//! Promise: bounded in bytes and time, and what is not in it is named with the reason; no message's text and
//! no secret is in it: it is made of the node's own figures, of the configuration, which holds none, and of log
//! lines, in which no text of a conversation is written.
//! Not here: the cluster's part and the bundle itself (`cli`).

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use pb::api::v1::{GetNodeReportResponse, ReportFile, ReportGap};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{HandsParts, page};
use crate::config::Config;
use crate::doors::millis;

/// A disk that does not answer is left out after this: the others of the bundle must not wait for it.
const DISK_WAIT: Duration = Duration::from_secs(2);

/// The part of this node: its files, and what could not be had of them.
pub(super) async fn of(parts: &HandsParts) -> GetNodeReportResponse {
    let mut files = vec![
        json_file("node.json", &node(parts)),
        json_file("config.json", &config(parts)),
    ];
    let mut missing = Vec::new();
    let mut take = |name: &str, content: Result<Vec<u8>, String>| match content {
        Ok(content) => files.push(ReportFile {
            name: name.to_owned(),
            content: content.into(),
        }),
        Err(why) => missing.push(ReportGap {
            what: name.to_owned(),
            why,
        }),
    };
    let (disk, metrics) = tokio::join!(disk(parts), metrics(parts));
    take("disk.json", disk);
    take("log.txt", log(parts));
    take("metrics.txt", metrics);
    GetNodeReportResponse {
        node: parts.identity.node_name.clone(),
        files,
        missing,
    }
}

fn log(parts: &HandsParts) -> Result<Vec<u8>, String> {
    let logs = parts.logs.as_ref();
    let logs = logs.ok_or("the node's log is not its own to read")?;
    let (lines, dropped) = logs.ring.text();
    Ok(format!("# {dropped} earlier lines are not kept\n{lines}").into_bytes())
}

async fn metrics(parts: &HandsParts) -> Result<Vec<u8>, String> {
    // Where the port was bound, not where the configuration asks for it: that may be any free port.
    let address = parts.addresses.admin;
    let address = address.ok_or("the node has no port for whoever looks after it")?;
    page::metrics(&*parts.env.network, &address.to_string()).await
}

fn text_of(content: &Value) -> Vec<u8> {
    format!("{content:#}\n").into_bytes()
}

fn json_file(name: &str, content: &Value) -> ReportFile {
    ReportFile {
        name: name.to_owned(),
        content: text_of(content).into(),
    }
}

fn node(parts: &HandsParts) -> Value {
    let identity = &parts.identity;
    let level = parts.logs.as_ref().map(|logs| logs.levels.now());
    json!({
        "node": identity.node_name,
        "nodeId": identity.node_id,
        "site": identity.site,
        "clusterId": identity.cluster_id,
        "profile": identity.profile,
        "api": parts.addresses.api.to_string(),
        "peer": parts.addresses.peer.to_string(),
        "version": crate::VERSION,
        "machine": domain::cell::version::NEWEST_VERSION.0,
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "upMs": millis(parts.started.elapsed()),
        "wallMs": parts.env.clock.now_ms(),
        "logFilter": level.map(|level| level.filter),
    })
}

/// Every key with its value and where it came from.
fn config(parts: &HandsParts) -> Value {
    let key = |(key, value, origin): (String, String, crate::config::Origin)| {
        let live = Config::is_live(&key);
        let told = json!({"value": value, "origin": origin.to_string(), "live": live});
        (key, told)
    };
    let layered = parts.live.layered();
    Value::Object(layered.values().into_iter().map(key).collect())
}

async fn disk(parts: &HandsParts) -> Result<Vec<u8>, String> {
    let dir = parts.live.layered().config.node.data_dir;
    let asked = parts.env.disk.free_space(Path::new(&dir));
    disk_of(&dir, asked).await
}

async fn disk_of(
    dir: &str,
    asked: impl Future<Output = std::io::Result<u64>>,
) -> Result<Vec<u8>, String> {
    match timeout(DISK_WAIT, asked).await {
        Ok(Ok(free)) => Ok(text_of(&json!({"dataDir": dir, "freeBytes": free}))),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("the disk did not answer within {DISK_WAIT:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_is_stuck_is_named_and_not_waited_for() {
        let begun = tokio::time::Instant::now();
        let stuck = disk_of("/data", std::future::pending()).await;
        assert_eq!(begun.elapsed(), DISK_WAIT);
        let why = stuck.unwrap_err();
        assert!(why.contains("did not answer within 2s"), "{why}");
        let answered = disk_of("/data", std::future::ready(Ok(7))).await.unwrap();
        assert!(
            String::from_utf8(answered)
                .unwrap()
                .contains("\"freeBytes\": 7")
        );
    }
}
