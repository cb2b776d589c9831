//! Claims about bounded mailboxes.

use std::mem::size_of;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use futures::{FutureExt, poll};

use super::*;

/// A task that reads a mailbox.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Woken {
    fn polled<T>(self: &Arc<Self>, receiver: &mut Receiver<T>) -> Poll<Option<T>> {
        let waker = Waker::from(Arc::clone(self));
        receiver.poll_recv(&mut Context::from_waker(&waker))
    }

    fn was_woken(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

#[test]
fn a_full_mailbox_hands_the_message_back() {
    let (sender, mut receiver) = bounded("test", 1);
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(sender.try_send(2), Err(SendError::Full(2)));
    assert_eq!(sender.len(), 1);
    assert_eq!(receiver.try_recv(), Some(1));
    assert_eq!(receiver.try_recv(), None);
    drop(receiver);
    assert_eq!(sender.try_send(3), Err(SendError::Closed(3)));
}

#[test]
fn an_idle_mailbox_is_small_and_the_room_for_a_burst_is_given_back() {
    assert!(
        size_of::<Shared<u64>>() <= 192,
        "{}",
        size_of::<Shared<u64>>()
    );
    let (sender, mut receiver) = bounded("test", 256);
    let capacity = |sender: &Sender<u64>| sender.shared.state.lock().waiting.capacity();
    assert_eq!(capacity(&sender), 0);
    for number in 0..256 {
        assert_eq!(sender.try_send(number), Ok(()));
    }
    assert!(capacity(&sender) >= 256);
    for number in 0..256 {
        assert_eq!(receiver.try_recv(), Some(number));
    }
    assert!(capacity(&sender) <= KEPT_SLOTS);
    assert_eq!(sender.len(), 0);
}

#[tokio::test]
async fn it_ends_when_every_sender_is_gone_and_nothing_waits() {
    let (sender, mut receiver) = bounded("test", 4);
    let other = sender.clone();
    drop(sender);
    let mut next = Box::pin(receiver.recv());
    assert!(poll!(&mut next).is_pending());
    assert_eq!(other.try_send(7), Ok(()));
    drop(other);
    assert_eq!(next.await, Some(7));
    assert_eq!(receiver.recv().await, None);
}

#[test]
fn the_last_sender_wakes_a_reader_that_waits() {
    let (sender, mut receiver) = bounded::<u64>("test", 4);
    let other = sender.clone();
    let task = Arc::new(Woken::default());
    assert!(task.polled(&mut receiver).is_pending());
    drop(sender);
    assert!(!task.was_woken(), "another one is there");
    drop(other);
    assert!(task.was_woken());
    assert_eq!(task.polled(&mut receiver), Poll::Ready(None));
}

#[tokio::test]
async fn whoever_waits_for_room_goes_on_in_turn() {
    let (sender, mut receiver) = bounded("test", 1);
    assert_eq!(sender.try_send(0), Ok(()));
    let mut first = Box::pin(sender.send(1));
    let mut second = Box::pin(sender.send(2));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    assert_eq!(receiver.recv().await, Some(0));
    assert!(poll!(&mut second).is_pending(), "the first is before it");
    assert_eq!(first.await, Ok(()));
    assert_eq!(receiver.recv().await, Some(1));
    assert_eq!(second.await, Ok(()));
    assert_eq!(receiver.recv().await, Some(2));
}

#[tokio::test]
async fn a_place_that_is_given_up_is_free_again() {
    let (sender, mut receiver) = bounded("test", 1);
    let place = sender.reserve().await.unwrap();
    assert_eq!(sender.try_send(1), Err(SendError::Full(1)));
    drop(place);
    sender.reserve().await.unwrap().send(2);
    assert_eq!(sender.len(), 1);
    assert_eq!(receiver.recv().await, Some(2));
    assert_eq!(sender.len(), 0);
}

#[tokio::test]
async fn a_closed_mailbox_still_gives_what_waits_and_what_had_a_place() {
    let (sender, mut receiver) = bounded("test", 4);
    assert_eq!(sender.try_send(1), Ok(()));
    let filled = sender.reserve().await.unwrap();
    let given_up = sender.reserve().await.unwrap();
    receiver.close();
    assert!(sender.is_closed());
    assert_eq!(sender.try_send(9), Err(SendError::Closed(9)));
    assert_eq!(sender.send(9).await, Err(SendError::Closed(9)));
    assert_eq!(receiver.recv().await, Some(1));
    let mut next = Box::pin(receiver.recv());
    assert!(poll!(&mut next).is_pending(), "two places are kept");
    filled.send(2);
    assert_eq!(next.await, Some(2));
    let task = Arc::new(Woken::default());
    assert!(task.polled(&mut receiver).is_pending(), "one is kept");
    drop(given_up);
    assert!(task.was_woken());
    assert_eq!(task.polled(&mut receiver), Poll::Ready(None));
}

#[tokio::test]
async fn the_end_of_the_receiver_is_seen_and_drops_what_waits() {
    let (sender, receiver) = bounded("test", 2);
    let (answer, mut answered) = tokio::sync::oneshot::channel::<()>();
    assert!(sender.try_send(answer).is_ok());
    let place = sender.reserve().await.unwrap();
    let mut waiting = Box::pin(sender.reserve());
    let mut closed = Box::pin(sender.closed());
    assert!(poll!(&mut waiting).is_pending());
    assert!(poll!(&mut closed).is_pending());
    drop(receiver);
    closed.await;
    assert_eq!(waiting.await.err(), Some(Closed { name: "test" }));
    assert!(answered.try_recv().is_err(), "nobody can answer any more");
    let (late, mut unread) = tokio::sync::oneshot::channel();
    place.send(late);
    assert!(matches!(
        unread.try_recv(),
        Err(tokio::sync::oneshot::error::TryRecvError::Closed)
    ));
    assert!(sender.closed().now_or_never().is_some());
}

#[test]
fn a_receiver_that_is_gone_keeps_no_task_alive() {
    let task = Arc::new(Woken::default());
    let (sender, mut receiver) = bounded::<u64>("test", 1);
    assert!(task.polled(&mut receiver).is_pending());
    drop(receiver);
    assert_eq!(Arc::strong_count(&task), 1);
    assert!(sender.is_closed());
}

#[tokio::test]
async fn a_reader_that_always_has_something_lets_others_run() {
    let (sender, mut receiver) = bounded("test", 4_096);
    for number in 0..4_096 {
        assert_eq!(sender.try_send(number), Ok(()));
    }
    let mut read = 0;
    let reading = async {
        while receiver.recv().await.is_some() {
            read += 1;
        }
    };
    tokio::select! { biased;
        () = reading => panic!("it took all its turns at once"),
        () = async {} => {}
    }
    assert!(read < 4_096, "{read}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_each_sender_keep_their_order_across_threads() {
    let (sender, mut receiver) = bounded("test", 3);
    let sending: Vec<_> = (0..4_u64)
        .map(|who| {
            let sender = sender.clone();
            crate::Lane::new("test", tokio::runtime::Handle::current()).spawn(
                "sender",
                async move {
                    for number in 0..2_000_u64 {
                        sender.send((who, number)).await.unwrap();
                    }
                },
            )
        })
        .collect();
    drop(sender);
    let mut next = [0; 4];
    while let Some((who, number)) = receiver.recv().await {
        let next = &mut next[usize::try_from(who).unwrap()];
        assert_eq!(number, *next);
        *next += 1;
    }
    assert_eq!(next, [2_000; 4]);
    for sent in sending {
        assert_eq!(sent.await, Ok(()));
    }
}
