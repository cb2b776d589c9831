//! Claims about pressure over the hop: slow readers, slow owners, and everybody else.

use std::sync::Arc;
use std::time::Duration;

use api::errors::slow_consumer;
use pb::api::v1::{
    AttachRequest, AttachResponse, ErrorReason, Item, Refusal, ReloadConfigRequest, SendRequest,
    SetLogLevelRequest, attach_request, attach_response,
};
use pb::raft::v1::{
    ForwardCall, ForwardUp, forward_answer, forward_call, forward_down, forward_up,
};
use ports::{CallAnswer, Door, Opened, StreamDown, StreamUp};
use runtime::Lane;
use runtime::mailbox::{self, SendError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::Doors;
use super::credit::WINDOW;
use super::doors_test::{Bench, Client, MAIN, owned};
use crate::refuse;

/// Messages that wait at the owner of these tests, each way.
const OWN_BOUND: usize = 40;
/// With the clock paused it passes when nobody has anything to do.
const QUIET: Duration = Duration::from_millis(1);

/// The owner's ends of one stream.
struct Ends {
    down: mailbox::Sender<StreamDown>,
    ups: mailbox::Receiver<StreamUp>,
}

/// An owner that hands the ends of its streams to the test.
struct Handing(mpsc::Sender<Ends>, Lane);

#[async_trait::async_trait]
impl Door for Handing {
    async fn call(&self, _call: ForwardCall) -> CallAnswer {
        Err(refuse::not_leader(None))
    }

    async fn open(&self, _first: ForwardUp) -> Result<Opened, Refusal> {
        let (up, ups) = mailbox::bounded("test.up", OWN_BOUND);
        let (downs, down) = mailbox::bounded("test.down", OWN_BOUND);
        // The first answer opens the stream.
        assert!(downs.try_send(item(0)).is_ok());
        let ends = Ends { down: downs, ups };
        assert!(self.0.send(ends).await.is_ok());
        Ok(owned(up, down, &self.1))
    }
}

struct Hop {
    bench: Bench,
    edge: Doors,
    ends: mpsc::Receiver<Ends>,
}

impl Hop {
    async fn new() -> Self {
        let mut bench = Bench::new();
        let (hand, ends) = mpsc::channel(8);
        let edge = bench.node_with(1, "c", None).await;
        let owner: Arc<dyn Door> = Arc::new(Handing(hand, bench.env.edge.clone()));
        bench.node_with(2, "c", Some((true, owner))).await;
        Self { bench, edge, ends }
    }

    /// A stream over the hop: the client's end, whose first answer was read, and the owner's.
    async fn stream(&mut self) -> (Client, Ends) {
        let request = Some(forward_up::Request::Attach(AttachRequest::default()));
        let first = ForwardUp {
            group: MAIN,
            request,
            ..ForwardUp::default()
        };
        let deadline = Instant::now() + QUIET * 1_000;
        let opening = self.edge.open_at(2, &first, deadline);
        let opened = opening.await.unwrap().opened();
        let mut stream = Client::of(opened, &self.bench.env.edge);
        assert_eq!(number_of(stream.down.recv().await), Some(0));
        (stream, self.ends.recv().await.unwrap())
    }
}

fn item(sequence: u64) -> StreamDown {
    let item = Item {
        sequence,
        ..Item::default()
    };
    let response = Some(attach_response::Response::Item(item));
    StreamDown::Message(Box::new(forward_down::Response::Attach(AttachResponse {
        response,
    })))
}

fn number_of(message: Option<StreamDown>) -> Option<u64> {
    let Some(StreamDown::Message(message)) = message else {
        return None;
    };
    match *message {
        forward_down::Response::Attach(AttachResponse {
            response: Some(attach_response::Response::Item(item)),
        }) => Some(item.sequence),
        _ => None,
    }
}

fn send(number: usize) -> StreamUp {
    let send = SendRequest {
        request_id: number.to_string(),
        ..SendRequest::default()
    };
    let request = Some(attach_request::Request::Send(send));
    StreamUp::Message(Box::new(forward_up::Request::Attach(AttachRequest {
        request,
    })))
}

fn sent(message: Option<StreamUp>) -> Option<usize> {
    let Some(StreamUp::Message(message)) = message else {
        return None;
    };
    match *message {
        forward_up::Request::Attach(AttachRequest {
            request: Some(attach_request::Request::Send(send)),
        }) => send.request_id.parse().ok(),
        _ => None,
    }
}

/// Says numbered items until the owner's own bound refuses one although nobody has anything to do; how
/// many were said.
async fn say_until_full(down: &mailbox::Sender<StreamDown>, make: fn(u64) -> StreamDown) -> u64 {
    for number in 1.. {
        let Err(SendError::Full(message)) = down.try_send(make(number)) else {
            continue;
        };
        sleep(QUIET).await;
        if down.try_send(message).is_err() {
            return number - 1;
        }
    }
    unreachable!("numbers do not end")
}

/// Items and sends go through a stream both ways.
async fn goes_on(stream: &mut Client, ends: &mut Ends) {
    for number in 1..=3 * u64::from(WINDOW.messages) {
        assert!(ends.down.try_send(item(number)).is_ok());
        let heard = timeout(QUIET, stream.down.recv()).await.unwrap();
        assert_eq!(number_of(heard), Some(number));
        let number = usize::try_from(number).unwrap();
        stream.up.send(send(number)).await.unwrap();
        let heard = timeout(QUIET, ends.ups.recv()).await.unwrap();
        assert_eq!(sent(heard), Some(number));
    }
}

#[tokio::test(start_paused = true)]
async fn who_never_reads_holds_a_window_at_its_edge_and_the_owners_bound_and_is_told_so_last() {
    let mut hop = Hop::new().await;
    let (mut stream, ends) = hop.stream().await;
    let (mut other, mut others) = hop.stream().await;
    let said = say_until_full(&ends.down, item).await;
    // The first answer was read and its grant is still to come.
    let at_edge = u64::from(WINDOW.messages) - 1;
    assert_eq!(said, at_edge + OWN_BOUND as u64);
    goes_on(&mut other, &mut others).await;
    for number in 1..=said {
        if number == said {
            let slow = StreamDown::Failed(Box::new(slow_consumer()));
            ends.down.try_send(slow).unwrap();
        }
        let heard = timeout(QUIET, stream.down.recv()).await.unwrap();
        assert_eq!(number_of(heard), Some(number));
    }
    match timeout(QUIET, stream.down.recv()).await.unwrap() {
        Some(StreamDown::Failed(refusal)) => {
            assert_eq!(refusal.reason(), ErrorReason::SlowConsumer);
        }
        another => panic!("{another:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn large_messages_that_nobody_reads_are_bounded_by_their_bytes() {
    fn large(sequence: u64) -> StreamDown {
        let mut item = Item {
            sequence,
            ..Item::default()
        };
        let message = pb::api::v1::Message {
            text: "x".repeat(60_000),
            ..Default::default()
        };
        item.content = Some(pb::api::v1::item::Content::Message(message));
        let response = Some(attach_response::Response::Item(item));
        StreamDown::Message(Box::new(forward_down::Response::Attach(AttachResponse {
            response,
        })))
    }
    let mut hop = Hop::new().await;
    let (mut stream, ends) = hop.stream().await;
    let said = say_until_full(&ends.down, large).await;
    assert_eq!(
        said,
        5 + OWN_BOUND as u64,
        "256 KiB, the message that filled them, and what waits at the owner"
    );
    for number in 1..=said {
        let heard = timeout(QUIET, stream.down.recv()).await.unwrap();
        assert_eq!(number_of(heard), Some(number));
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_slow_makes_the_client_wait_and_gets_everything_in_order() {
    let mut hop = Hop::new().await;
    let (stream, mut ends) = hop.stream().await;
    let (mut other, mut others) = hop.stream().await;
    // The window, and one that the client's connection holds.
    let on_the_way = usize::try_from(WINDOW.messages).unwrap() + 1;
    for number in 0..on_the_way {
        timeout(QUIET, stream.up.send(send(number)))
            .await
            .unwrap()
            .unwrap();
    }
    let one_more = timeout(QUIET, stream.up.send(send(on_the_way))).await;
    assert!(one_more.is_err(), "the client waits");
    assert_eq!(ends.ups.len(), OWN_BOUND);
    goes_on(&mut other, &mut others).await;
    let total = 3 * on_the_way;
    let sending = async {
        for number in on_the_way..total {
            stream.up.send(send(number)).await.unwrap();
        }
    };
    let reading = async {
        for number in 0..total {
            assert_eq!(sent(ends.ups.recv().await), Some(number));
        }
    };
    timeout(QUIET, async { tokio::join!(sending, reading) })
        .await
        .unwrap();
    drop(stream);
    let stop = timeout(QUIET, ends.ups.recv()).await.unwrap();
    assert!(matches!(stop, Some(StreamUp::Stop { our_fault: false })));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_leaves_a_full_stream_frees_it_at_its_owner() {
    let mut hop = Hop::new().await;
    let (stream, mut ends) = hop.stream().await;
    say_until_full(&ends.down, item).await;
    drop(stream);
    sleep(QUIET).await;
    let taken = ends.down.try_send(item(0));
    assert!(taken.is_ok(), "what nobody reads is dropped, not kept");
    let stop = timeout(QUIET, ends.ups.recv()).await.unwrap();
    assert!(matches!(stop, Some(StreamUp::Stop { our_fault: false })));
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_is_given_up_ends_at_its_owner_and_is_our_fault() {
    let mut hop = Hop::new().await;
    let first = ForwardUp {
        group: MAIN,
        request: Some(forward_up::Request::Attach(AttachRequest::default())),
        ..ForwardUp::default()
    };
    let deadline = Instant::now() + QUIET * 1_000;
    let opened = hop.edge.open_at(2, &first, deadline).await.unwrap();
    let mut ends = hop.ends.recv().await.unwrap();
    drop(opened);
    let stop = timeout(QUIET, ends.ups.recv()).await.unwrap();
    assert!(matches!(stop, Some(StreamUp::Stop { our_fault: true })));
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_its_edge_went_reaches_an_owner_that_is_behind() {
    let mut hop = Hop::new().await;
    let (mut stream, mut ends) = hop.stream().await;
    for number in 0..2 * OWN_BOUND {
        stream.up.send(send(number)).await.unwrap();
    }
    sleep(QUIET).await;
    hop.bench.servers[1].cut();
    assert!(stream.down.recv().await.is_none(), "the path broke");
    for number in 0..2 * OWN_BOUND {
        let heard = timeout(QUIET, ends.ups.recv()).await.unwrap();
        assert_eq!(sent(heard), Some(number));
    }
    let stop = timeout(QUIET, ends.ups.recv()).await.unwrap();
    assert!(matches!(stop, Some(StreamUp::Stop { our_fault: true })));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_a_node_itself_is_done_there_and_its_refusal_comes_back() {
    let hop = Hop::new().await;
    let wait = Duration::from_secs(2);
    let act = |node, request| hop.edge.node_act(node, request, wait);
    let reload = forward_call::Request::ReloadConfig(ReloadConfigRequest::default());
    let done = act(2, reload.clone()).await;
    assert!(matches!(
        done,
        Some(Ok(forward_answer::Response::ReloadConfig(_)))
    ));
    let set = forward_call::Request::SetLogLevel(SetLogLevelRequest::default());
    let refused = act(2, set).await.unwrap().unwrap_err();
    assert_eq!(refused.reason(), ErrorReason::FieldInvalid);
    // Nobody listens there.
    let start = Instant::now();
    assert!(act(3, reload).await.is_none());
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}
