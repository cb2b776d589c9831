//! Files of snapshots.
//! Promise: see the crate; what is read whole is what was written.
//! Not here: what the chunks hold (`machines`).

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use runtime::memory::MemoryDisk;
use store::{GroupId, SnapshotStore};

use crate::ground::{block_on, env, put};
use crate::{made, seal};

const GROUP: GroupId = GroupId(1);

fn dir() -> &'static Path {
    Path::new("/snapshots")
}

/// A snapshot's file, its checksums made right where the first byte is odd.
pub fn snapshot_file(data: &[u8]) {
    let Some((mode, file)) = data.split_first() else {
        return;
    };
    let mut file = file.to_vec();
    if mode % 2 == 1 {
        seal::snapshot(&mut file);
    }
    block_on(read(&file));
}

async fn read(file: &[u8]) {
    let disk = MemoryDisk::default();
    put(&disk, &dir().join("0000000001-0000000000000001.snap"), file).await;
    let store = SnapshotStore::as_they_stand(Arc::new(disk), dir());
    let Ok(current) = store.current(GROUP).await else {
        return;
    };
    let snapshot = current.expect("the folder holds a file of the group");
    let mut reader = snapshot.reader();
    let (mut chunks, mut bytes) = (0, snapshot.meta().len());
    while let Ok(chunk) = reader.next_chunk().await {
        let Some(chunk) = chunk else {
            assert_eq!(
                chunks,
                snapshot.chunks(),
                "a whole snapshot has all its chunks"
            );
            return;
        };
        chunks += 1;
        bytes += chunk.len();
        assert!(bytes < file.len(), "chunks are no larger than their file");
    }
}

/// A small snapshot as `store` writes it.
pub fn seeds() -> Vec<Vec<u8>> {
    let written = block_on(async {
        let disk = MemoryDisk::default();
        let store = SnapshotStore::open(&env(&disk), dir()).await?;
        for chunks in [vec![], vec![Bytes::from_static(b"one"), made::blob(40)]] {
            let mut writer = store.begin(GROUP, Bytes::from_static(b"header")).await?;
            for chunk in chunks {
                writer.write(chunk).await?;
            }
            writer.finish().await?;
        }
        let path = disk.paths().pop();
        Ok::<_, store::SnapshotError>(path.and_then(|path| disk.content(&path)))
    });
    let file = written
        .ok()
        .flatten()
        .expect("a disk in memory takes a snapshot");
    vec![[&[1], &file[..]].concat()]
}
