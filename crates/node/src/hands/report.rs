//! A node's part of a support bundle.
//! Promise: bounded; no message's text and no secret is in it: it is made of the node's own figures, of the
//! configuration, which holds none, and of log lines, in which no text of a conversation is written.
//! Not here: the cluster's part and the bundle itself (`cli`).

use std::path::Path;

use pb::api::v1::ReportFile;
use serde_json::{Value, json};

use super::{HandsParts, page};
use crate::config::Config;
use crate::doors::millis;

/// The files of this node.
pub(super) async fn files(parts: &HandsParts) -> Vec<ReportFile> {
    let mut files = vec![
        json_file("node.json", &node(parts)),
        json_file("config.json", &config(parts)),
        json_file("disk.json", &disk(parts).await),
    ];
    if let Some(logs) = &parts.logs {
        let (lines, dropped) = logs.ring.text();
        let head = format!("# {dropped} earlier lines are not kept\n");
        files.push(file("log.txt", head + &lines));
    }
    let values = parts.live.layered().values();
    if let Some(address) = page::address(&values)
        && let Some(content) = page::metrics(&*parts.env.network, address).await
    {
        files.push(ReportFile {
            name: "metrics.txt".to_owned(),
            content: content.into(),
        });
    }
    files
}

fn file(name: &str, content: String) -> ReportFile {
    ReportFile {
        name: name.to_owned(),
        content: content.into_bytes().into(),
    }
}

fn json_file(name: &str, content: &Value) -> ReportFile {
    file(name, format!("{content:#}\n"))
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

async fn disk(parts: &HandsParts) -> Value {
    let dir = parts.live.layered().config.node.data_dir;
    match parts.env.disk.free_space(Path::new(&dir)).await {
        Ok(free) => json!({"dataDir": dir, "freeBytes": free}),
        Err(error) => json!({"dataDir": dir, "error": error.to_string()}),
    }
}
