//! Claims about what is dropped: what is kept no longer, then what there is no room for.

use runtime::memory::MemoryDisk;

use super::archive_test::{
    CELL, DAY, DAY_MS, SMALL, START_MS, chain, open_report, record, records,
};
use super::*;

#[tokio::test]
async fn what_is_kept_no_longer_goes_and_then_what_is_too_much() {
    let disk = MemoryDisk::default();
    let options = SMALL;
    let archive = open_report(&disk, options).await.0;
    let on_day = |day: u64, n: u64| Record {
        closed_wall_ms: START_MS + day * DAY_MS + n,
        conversation: 100 * day + n,
        sealed: 100 * day + n,
        ..record(n)
    };
    for day in 0..5 {
        for batch in 0..6 {
            let records = (0..3).map(|n| on_day(day, batch * 3 + n + 1));
            archive.append(records.collect()).await.unwrap();
        }
    }
    let before = archive.status().await;
    let keep = |after, spared_after| {
        vec![Keep {
            cell: CELL,
            after,
            spared_after,
            ends: Vec::new(),
        }]
    };
    let pruned = archive.prune(keep(200, 400)).await.unwrap();
    assert_eq!(
        (&pruned.days[..], pruned.records),
        (&[DAY, DAY + 1][..], 36)
    );
    let after = archive.status().await;
    assert_eq!(after.segment_bytes, before.segment_bytes - pruned.bytes);
    assert_eq!(
        (after.files, after.records),
        (before.files - pruned.files, 54)
    );
    assert_eq!(after.oldest_day, Some(DAY + 2));
    assert_eq!(archive.get(CELL, 101).await.unwrap(), None);
    assert!(archive.figures(0..=DAY + 1).await.unwrap().is_empty());
    let again = archive.prune(keep(200, 400)).await.unwrap();
    assert_eq!(again, Pruned::default());
    assert_eq!(archive.dropped_upto(CELL), 0, "nothing lacked room");
    archive.close().await;

    let options = ArchiveOptions {
        archive_max_bytes: 1,
        ..options
    };
    let (archive, report) = open_report(&disk, options).await;
    assert_eq!((report.files, report.notices), (after.files, Vec::new()));
    let pruned = archive.prune(keep(200, 400)).await.unwrap();
    assert_eq!(pruned.days, [DAY + 2, DAY + 3]);
    assert_eq!(archive.dropped_upto(CELL), 318);
    assert_eq!(archive.get(CELL, 401).await.unwrap(), Some(on_day(4, 1)));
    // The name of a dropped file is free again.
    archive.append(vec![on_day(3, 1)]).await.unwrap();
    assert_eq!(archive.get(CELL, 301).await.unwrap(), Some(on_day(3, 1)));
    archive.close().await;
    let (archive, _) = open_report(&disk, options).await;
    assert_eq!(
        archive.dropped_upto(CELL),
        318,
        "it is known after a restart"
    );
}

#[tokio::test]
async fn for_lack_of_room_a_range_goes_as_a_whole_and_the_newest_one_stays() {
    let disk = MemoryDisk::default();
    let (archive, _) = open_report(&disk, SMALL).await;
    for batch in 0..10 {
        let first = 1 + batch * 3;
        archive.append(records(first..first + 3)).await.unwrap();
    }
    let before = archive.status().await;
    assert!(before.files > 3, "{before:?}");
    archive.close().await;
    // A byte too much: one file would be enough.
    let options = ArchiveOptions {
        archive_max_bytes: before.segment_bytes - 1,
        ..SMALL
    };
    let (archive, _) = open_report(&disk, options).await;
    let sealed = |n: u64| record(n).sealed;
    let keep = Keep {
        cell: CELL,
        after: 0,
        spared_after: sealed(24),
        ends: vec![sealed(18), sealed(24)],
    };
    archive.prune(vec![keep.clone()]).await.unwrap();
    assert_eq!(archive.dropped_upto(CELL), sealed(18));
    let rest = chain(&archive).await.unwrap();
    assert!(rest.count >= 12, "the other ranges are whole: {rest:?}");
    for n in 19..=30 {
        let kept = archive.get(CELL, record(n).conversation).await.unwrap();
        assert_eq!(kept, Some(record(n)));
    }
    assert_eq!(archive.get(CELL, record(1).conversation).await, Ok(None));
    assert_eq!(archive.over_cap(&[keep]), 0);
    archive.close().await;

    let options = ArchiveOptions {
        archive_max_bytes: 1,
        ..SMALL
    };
    let (archive, _) = open_report(&disk, options).await;
    let keep = Keep {
        cell: CELL,
        after: 0,
        spared_after: sealed(24),
        ends: vec![sealed(18), sealed(24)],
    };
    let over = archive.over_cap(std::slice::from_ref(&keep));
    archive.prune(vec![keep.clone()]).await.unwrap();
    assert_eq!(archive.dropped_upto(CELL), sealed(24));
    let left = archive.status().await.segment_bytes;
    assert!(left > 1, "the newest range is spared");
    assert_eq!(over, left - 1, "as was said before it was pruned");
    assert_eq!(archive.over_cap(&[keep]), left - 1);
}

#[tokio::test]
async fn a_record_of_a_wrong_clock_stays_as_long_as_its_neighbours() {
    let disk = MemoryDisk::default();
    let options = ArchiveOptions {
        archive_max_bytes: 1,
        ..SMALL
    };
    let archive = open_report(&disk, options).await.0;
    let of_1970 = Record {
        closed_wall_ms: 5,
        ..record(50)
    };
    archive.append(records(1..10)).await.unwrap();
    archive.append(vec![of_1970.clone()]).await.unwrap();
    let keep = Keep {
        cell: CELL,
        after: 0,
        spared_after: 400,
        ends: Vec::new(),
    };
    let pruned = archive.prune(vec![keep]).await.unwrap();
    assert_eq!(pruned.records, 9);
    assert_eq!(archive.dropped_upto(CELL), 90);
    assert_eq!(archive.get(CELL, 50).await.unwrap(), Some(of_1970));
}
