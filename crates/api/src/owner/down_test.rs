//! Claims about the owner's way down to one client.

use pb::api::v1::{AttachResponse, ErrorReason, Item, Message, attach_response, item};
use pb::raft::v1::forward_down;

use super::*;

fn message() -> StreamDown {
    StreamDown::Message(Box::new(forward_down::Response::Attach(
        AttachResponse::default(),
    )))
}

fn of_bytes(bytes: usize) -> StreamDown {
    let content = item::Content::Message(Message {
        text: "x".repeat(bytes),
        ..Message::default()
    });
    let item = Item {
        content: Some(content),
        ..Item::default()
    };
    StreamDown::Message(Box::new(forward_down::Response::Attach(AttachResponse {
        response: Some(attach_response::Response::Item(item)),
    })))
}

#[tokio::test]
async fn a_reader_that_reads_nothing_is_slow_and_told_so_when_it_reads() {
    let (mut down, mut reader) = down();
    for _ in 0..limits::STREAM_DOWN_BOUND {
        down.push(message()).expect("below the bound");
    }
    assert_eq!(down.push(message()), Err(Unheard::Slow));
    let reading = async {
        let mut last = None;
        while let Some(message) = reader.recv().await {
            last = Some(message);
        }
        last
    };
    down.unheard(Unheard::Slow);
    let last = reading.await;
    let Some(StreamDown::Failed(refusal)) = last else {
        panic!("not the reason")
    };
    assert_eq!(refusal.reason(), ErrorReason::SlowConsumer);
}

#[tokio::test]
async fn long_messages_meet_the_bound_of_bytes_and_what_was_read_counts_no_more() {
    let (mut down, mut reader) = down();
    let long = limits::TEXT_BYTES_MAX;
    let mut waiting = 0;
    while down.push(of_bytes(long)).is_ok() {
        waiting += 1;
    }
    let bytes = waiting * long;
    let bound = limits::STREAM_DOWN_BYTES_MAX;
    assert!(bytes <= bound && bytes + 2 * long > bound, "{waiting} wait");
    assert!(reader.try_recv().is_some());
    assert_eq!(down.push(of_bytes(long)), Ok(()));
    assert_eq!(down.push(of_bytes(long)), Err(Unheard::Slow));
    drop(reader);
    assert_eq!(down.push(of_bytes(long)), Err(Unheard::Gone));
}

#[tokio::test]
async fn one_message_beyond_the_bound_of_a_backlog_passes_alone() {
    let (mut down, mut reader) = down();
    let beyond = limits::STREAM_BACKLOG_BYTES_MAX + 1;
    down.catch_up(of_bytes(beyond)).await.expect("alone");
    assert!(reader.try_recv().is_some());
    down.catch_up(of_bytes(beyond)).await.expect("alone again");
}

#[tokio::test]
async fn a_backlog_is_made_as_its_reader_reads() {
    let (mut down, mut reader) = down();
    let many = 8 * limits::STREAM_BACKLOG_BYTES_MAX / 1_024;
    let saying = async {
        for _ in 0..many {
            down.catch_up(of_bytes(1_024))
                .await
                .expect("the reader reads");
        }
        drop(down);
    };
    let reading = async {
        let (mut read, mut most) = (0, 0);
        while let Some(message) = reader.recv().await {
            read += 1;
            most = most.max(message.weight() * (reader.len() + 1));
            tokio::task::yield_now().await;
        }
        (read, most)
    };
    let ((), (read, most)) = tokio::join!(saying, reading);
    assert_eq!(read, many, "everything arrives");
    assert!(most <= limits::STREAM_BACKLOG_BYTES_MAX, "{most} waited");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_catches_up_is_waited_for_but_not_for_ever() {
    let (mut down, _reader) = down();
    let slow = loop {
        if let Err(unheard) = down.catch_up(message()).await {
            break unheard;
        }
    };
    assert_eq!(slow, Unheard::Slow);
}
