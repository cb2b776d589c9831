//! Drain: a node that is asked to end, under load.
//! Promise: it exits 0 within 10 s; each stream is told where it stands and where to go on.
//! Not here: nodes that are killed (`replay`).

use std::time::Duration;

use client::api::ErrorReason;

use crate::support::raw::{self, Attached};
use crate::support::{PATIENCE, TestCluster, people};

const SLOW: [&str; 4] = ["--speed", "16", "--concurrency", "20"];
/// The promise of SIGTERM.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_exits_0_in_time_and_streams_go_on_elsewhere() -> anyhow::Result<()> {
    let mut cluster = TestCluster::start().await?;
    let leader = cluster.leader(PATIENCE).await?;
    let client = cluster.client_at((leader + 1) % 3)?;
    let id = people::open(&client, "stays", "Guten Tag").await?;
    let channel = raw::connect(&cluster.nodes[leader].api).await?;
    let mut told = Attached::observe(channel, &id).await?;
    let replay = cluster.replay(&SLOW)?;
    cluster.busy().await?;

    let (status, ended) = tokio::join!(cluster.terminate(leader, DRAIN_WITHIN), told.ended());
    assert_eq!(status?.code(), Some(0));
    let ended = ended?;
    assert_eq!(ended.reason(), ErrorReason::NodeDraining, "{ended:?}");
    assert!(ended.cursor > 0, "the stream was told no cursor");
    assert!(
        !ended.endpoints.is_empty(),
        "the stream was told no endpoint"
    );

    let channel = raw::connect(&ended.endpoints[0].address).await?;
    let begin = raw::begin(&id, ended.cursor, true);
    Attached::open(channel, begin).await?;
    replay.ends_exactly().await?;
    Ok(())
}
