//! Claims about an archive that drops for lack of room what it is being mended with, over three nodes in one
//! process.

use std::sync::Arc;
use std::time::Duration;

use runtime::memory;
use tokio::time::sleep;

use super::CellArchive;
use super::mend::Mended;
use crate::dev::DevOptions;
use crate::dev::archive_test::{RESTED, archives, ended, left, message, whole};
use crate::dev::talk_test::{client_of, formed_with, opened};

/// Until old days are dropped once more.
const PRUNED: Duration = Duration::from_secs(601);

#[tokio::test(start_paused = true)]
async fn what_is_dropped_for_lack_of_room_while_it_is_mended_is_not_fetched_back() {
    let clock = Arc::new(memory::ManualClock::default());
    let env = runtime::Env {
        clock: clock.clone(),
        ..memory::env(62)
    };
    // Nothing but the newest day has room.
    let options = DevOptions {
        archive_max_bytes: Some(1),
        ..DevOptions::default()
    };
    let dev = formed_with(&env, options).await;
    let client = client_of(&env, &dev.api_addresses());
    let mut ids = Vec::new();
    for text in ["old", "new"] {
        let id = opened(&client).await;
        ended(&client, &message(&id, text, text)).await;
        sleep(RESTED).await;
        ids.push(left(&dev, &id).await);
        clock.advance_ms(86_400_000);
    }
    let archives = archives(&dev);
    let (ours, peer) = (&archives[0], &archives[1]);
    let get = async |archive: &CellArchive| {
        let store = &archive.shared.of.store;
        store.get(1, ids[0].index.0).await.unwrap()
    };
    let range = ours.record().ranges[0];
    assert!(range.upto < ours.record().upto, "there is a newer one");
    let lost = peer.shared.of.store.get(1, ids[0].index.0).await.unwrap();
    let lost = lost.expect("it is dropped later");
    sleep(PRUNED).await;
    for archive in &archives {
        assert_eq!(get(archive).await, None);
        assert!(!archive.keeps(&range), "it goes as a whole");
        whole(archive).await;
    }
    // As another node has it that has more room.
    let store = &peer.shared.of.store;
    store.append(vec![lost.clone()]).await.unwrap();
    assert_eq!(
        ours.mend(&range, peer.shared.of.node).await,
        Ok(Mended::NotKept)
    );
    ours.append(vec![lost]).await.unwrap();
    assert_eq!(get(ours).await, None);
    ours.doubt();
    whole(ours).await;
    sleep(PRUNED).await;
    assert_eq!(get(ours).await, None);
    dev.shutdown().await;
}
