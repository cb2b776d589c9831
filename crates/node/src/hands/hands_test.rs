//! Claims about what an operator may do with one node, through the API.

use std::io;
use std::time::Duration;

use client::Client;
use client::api::{ErrorReason, GetNodeReportRequest, SetLogLevelRequest};
use runtime::{Env, memory};
use tokio::time::{sleep, timeout};

use super::Process;
use crate::config::Config;
use crate::dev::talk_test::{WAIT, client_of, formed_with};
use crate::dev::{Dev, DevOptions};
use crate::log::{Logs, Place, subscriber};

/// Three nodes that share this process's log, which nobody reads.
async fn logging(env: &Env) -> (Dev, Client, Logs, tracing::subscriber::DefaultGuard) {
    let config = Config::default();
    let (subscriber, logs) = subscriber(&config, Place::default(), false, io::sink).unwrap();
    let guard = tracing::subscriber::set_default(subscriber);
    let options = DevOptions {
        process: Process {
            logs: Some(logs.clone()),
            settings: None,
        },
        ..DevOptions::default()
    };
    let dev = formed_with(env, options).await;
    let client = client_of(env, &dev.api_addresses()[..1]);
    (dev, client, logs, guard)
}

fn filter(text: &str, seconds: u64) -> SetLogLevelRequest {
    SetLogLevelRequest {
        filter: text.to_owned(),
        for_ms: seconds * 1_000,
        staff: "mia".to_owned(),
        ..SetLogLevelRequest::default()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_filter_is_refused_before_a_byte_of_it_is_logged() {
    let env = memory::env(61);
    let (dev, client, logs, _guard) = logging(&env).await;
    let planted = "planted\nby somebody";
    for text in [planted.to_owned(), "planted,".repeat(10_000)] {
        let refused = client.operator().set_log_level(filter(&text, 60)).await;
        let refused = refused.expect_err("it is no filter");
        assert_eq!(refused.reason, ErrorReason::FieldInvalid, "{refused:?}");
    }
    let (said, _) = logs.ring.text();
    assert!(!said.contains("planted"), "{said}");
    assert_eq!(logs.levels.now().left, None);
    client
        .operator()
        .set_log_level(filter("info,raft=debug", 60))
        .await
        .unwrap();
    let (said, _) = logs.ring.text();
    assert!(said.contains("the log's filter is set by hand"), "{said}");
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_is_set_again_and_again_leaves_one_task_and_the_last_one_ends_it() {
    let env = memory::env(62);
    let (dev, client, logs, _guard) = logging(&env).await;
    let operator = client.operator();
    operator
        .set_log_level(filter("debug", 24 * 3_600))
        .await
        .unwrap();
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    for _ in 0..200 {
        operator
            .set_log_level(filter("debug", 24 * 3_600))
            .await
            .unwrap();
    }
    // What serves the calls comes and goes.
    assert!(tasks() < before + 50, "{} after {before}", tasks());
    operator.set_log_level(filter("warn", 60)).await.unwrap();
    sleep(Duration::from_secs(61)).await;
    assert_eq!(logs.levels.now().left, None);
    dev.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_nodes_part_of_a_bundle_has_its_page_and_names_what_it_lacks() {
    let env = memory::env(63);
    let (dev, client, ..) = logging(&env).await;
    let operator = client.operator();
    let asked = operator.get_node_report(GetNodeReportRequest::default());
    let part = timeout(WAIT, asked).await.unwrap().unwrap();
    let names: Vec<&str> = part.files.iter().map(|file| file.name.as_str()).collect();
    // The port was chosen by the system: the configuration does not say which it is.
    let expected = [
        "node.json",
        "config.json",
        "disk.json",
        "log.txt",
        "metrics.txt",
    ];
    assert_eq!(names, expected);
    assert_eq!(part.missing, []);
    dev.shutdown().await;
    let dev = formed_with(&env, DevOptions::default()).await;
    let client = client_of(&env, &dev.api_addresses()[..1]);
    let operator = client.operator();
    let asked = operator.get_node_report(GetNodeReportRequest::default());
    let part = timeout(WAIT, asked).await.unwrap().unwrap();
    assert!(part.files.iter().all(|file| file.name != "log.txt"));
    let gap = &part.missing[0];
    assert_eq!(gap.what, "log.txt");
    assert!(gap.why.contains("not its own to read"), "{gap:?}");
    dev.shutdown().await;
}
