//! Acts on conversations that have left, or were never there, cost a bounded amount at once.
//! Promise: what the archive is asked at one moment is bounded; who is not let in is told when to come again.
//! Not here: the archives (`node`), what a copy answers (`domain`).

#[allow(dead_code, reason = "each file of tests needs a part of it")]
mod floor;
#[allow(dead_code, reason = "each file of tests needs a part of it")]
mod group;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use conversation::{ActError, Archives};
use domain::cell::archive::ArchivedUpto;
use domain::cell::command::Command;
use domain::cell::refusal::Refusal;
use domain::ids::{CellId, ConversationId, LogIndex};
use floor::Floor;
use futures::future::join_all;
use ports::{Archive, ArchiveError, ArchivePage, ArchiveQuery};

/// An archive that has nothing and takes its time; how many ask at once, and how many look for a customer.
#[derive(Default)]
struct Slow {
    now: AtomicUsize,
    most: AtomicUsize,
    finds: AtomicUsize,
}

#[async_trait::async_trait]
impl Archive for Slow {
    async fn conversation(&self, _: u32, _: u64) -> Result<Option<Bytes>, ArchiveError> {
        let now = self.now.fetch_add(1, Ordering::AcqRel) + 1;
        self.most.fetch_max(now, Ordering::AcqRel);
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.now.fetch_sub(1, Ordering::AcqRel);
        Ok(None)
    }

    async fn find(&self, _: u32, _: ArchiveQuery) -> Result<ArchivePage, ArchiveError> {
        self.finds.fetch_add(1, Ordering::AcqRel);
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(ArchivePage::default())
    }
}

/// A cell from which everything so far has left, and an id of what has.
async fn emptied(archive: Arc<Slow>) -> (Floor, Vec<ConversationId>) {
    let kept: Arc<dyn Archive> = archive;
    let floor = Floor::with_archives(Archives {
        kept,
        ..Archives::none()
    })
    .await;
    // Entries that are no conversation's, each another id to ask for.
    for _ in 0..1_000 {
        let done = floor.cell.act(Command::MatchMore).await;
        done.expect("it is always allowed");
    }
    let last = floor.open("anna").await;
    let next = ArchivedUpto {
        upto: last.index,
        count: 0,
        day: 1,
        digest: Default::default(),
        keep_from_day: 0,
    };
    let archived = floor.cell.act(Command::ArchivedUpto(next)).await;
    archived.expect("nothing was sealed");
    let id = |index| ConversationId {
        cell: CellId(1),
        index: LogIndex(index),
    };
    (floor, (1..last.index.0).map(id).collect())
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_acts_on_absent_ids_few_ask_the_archive_at_once() {
    let archive = Arc::new(Slow::default());
    let (floor, absent) = emptied(archive.clone()).await;
    let sends = (0..10_000).map(|n| {
        floor
            .cell
            .act(floor.send(absent[n % absent.len()], "hello?"))
    });
    let mut exhausted = 0;
    for outcome in join_all(sends).await {
        match outcome {
            Err(ActError::Refused(
                Refusal::ConversationNotFound { .. } | Refusal::TooManyRequests { .. },
            )) => {}
            Err(ActError::Exhausted { retry_after_ms }) => {
                assert!(retry_after_ms > 0);
                exhausted += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(archive.most.load(Ordering::Acquire) <= 64);
    assert!(archive.most.load(Ordering::Acquire) > 0 && exhausted > 0);
}

#[tokio::test(start_paused = true)]
async fn one_absent_id_is_asked_for_sixteen_times_in_a_window() {
    let archive = Arc::new(Slow::default());
    let (floor, absent) = emptied(archive).await;
    for n in 0..17 {
        let refused = floor.cell.act(floor.send(absent[0], "hello?")).await;
        let limited = matches!(
            refused,
            Err(ActError::Refused(Refusal::TooManyRequests { .. }))
        );
        assert_eq!(limited, n == 16, "{n}: {refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_who_open_while_the_archive_is_slow_keep_nobody_from_logging_in() {
    let archive = Arc::new(Slow::default());
    let (floor, absent) = emptied(archive.clone()).await;
    let known = ConversationId {
        cell: CellId(1),
        index: LogIndex(absent.len() as u64 + 1),
    };
    let agent = floor.eligible(known);
    let looked = archive.finds.load(Ordering::Acquire);
    // More than all acts outside any conversation that may be under way.
    let opens = (0..5_000).map(|n| floor.cell.act(floor.opening(&format!("stranger-{n}"))));
    let opens = join_all(opens);
    let logging_in = async {
        let looks = || archive.finds.load(Ordering::Acquire) - looked;
        floor.until(|_| looks() > 0).await;
        floor.log_in(&agent).await;
        assert!(looks() <= 256, "{} look at once", looks());
    };
    let (opened, ()) = tokio::join!(opens, logging_in);
    let later = |outcome: &&Result<_, _>| matches!(outcome, Err(ActError::Exhausted { .. }));
    assert_eq!(opened.iter().filter(later).count(), 5_000 - 256);
}
