//! Claims about a stream that is served as it is read.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};

use futures::stream::repeat_with;
use pb::api::v1::{AttachRequest, AttachResponse, ErrorReason, MarkRequest, attach_request};
use pb::raft::v1::forward_down;
use ports::ClientSide;

use super::super::one_node::Node;
use super::*;

/// A side that says nothing and counts what it is asked for.
#[derive(Default)]
struct Silent {
    asked: usize,
    ended: bool,
    blamed: Arc<Mutex<Option<bool>>>,
    /// Parts of the backlog that are left.
    parts: usize,
}

impl Side for Silent {
    type About = ();
    type Event = ();

    fn backlog(&mut self, out: &mut Out) -> bool {
        let left = self.parts > 0;
        if left {
            self.parts -= 1;
            out.push_back(welcome());
        }
        left
    }

    fn poll_event(&mut self, _context: &mut Context<'_>) -> Poll<Option<()>> {
        match self.ended {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    }

    fn event(&mut self, (): (), _out: &mut Out) -> Result<(), Refusal> {
        Ok(())
    }

    fn asked(&mut self, _message: forward_up::Request, _acts: &mut Acts<()>, _out: &mut Out) {
        self.asked += 1;
    }

    fn answered(&mut self, _answered: Answered<()>, _out: &mut Out) {}

    fn blame(&mut self, our_fault: bool) {
        *self.blamed.lock().expect("no panic") = Some(our_fault);
    }

    fn why(&self) -> Refusal {
        crate::errors::slow_consumer()
    }

    fn quiet() -> StreamDown {
        welcome()
    }
}

fn welcome() -> StreamDown {
    StreamDown::Message(Box::new(forward_down::Response::Attach(
        AttachResponse::default(),
    )))
}

fn blamed(blamed: &Mutex<Option<bool>>) -> Option<bool> {
    *blamed.lock().expect("no panic")
}

fn marker() -> StreamUp {
    let request = Some(attach_request::Request::Mark(MarkRequest::default()));
    StreamUp::Message(Box::new(forward_up::Request::Attach(AttachRequest {
        request,
    })))
}

/// A client that is cut off by us.
struct Client<S>(S);

impl<S: Stream<Item = StreamUp> + Unpin> Stream for Client<S> {
    type Item = StreamUp;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<StreamUp>> {
        self.0.poll_next_unpin(context)
    }
}

impl<S: Stream<Item = StreamUp> + Unpin + Send> ClientSide for Client<S> {
    fn our_fault(&self) -> bool {
        true
    }
}

async fn served(
    side: Silent,
    ups: impl Stream<Item = StreamUp> + Unpin + Send + 'static,
) -> Served<Silent> {
    let node = Node::start().await;
    let acts = Acts::new(node.owner.handle.clone());
    let mut served = Served::new(side, acts, welcome(), Box::pin(Client(ups)));
    assert!(matches!(served.next().await, Some(StreamDown::Message(_))));
    served
}

#[tokio::test(start_paused = true)]
async fn a_flood_that_needs_no_answer_lets_others_run() {
    let mut served = served(Silent::default(), repeat_with(marker)).await;
    let polled = poll_fn(|context| Poll::Ready(served.poll_next_unpin(context))).await;
    assert!(polled.is_pending());
    assert_eq!(served.side.asked, TURNS_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_the_leader_ends_says_why_last_and_it_is_our_fault() {
    let side = Silent {
        ended: true,
        ..Silent::default()
    };
    let mut served = served(side, futures::stream::pending()).await;
    let Some(StreamDown::Failed(refusal)) = served.next().await else {
        panic!("not the reason")
    };
    assert_eq!(refusal.reason(), ErrorReason::SlowConsumer);
    assert_eq!(blamed(&served.side.blamed), Some(true));
    assert!(served.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ends_its_side_without_a_word_is_no_fault_of_ours() {
    let mut served = served(Silent::default(), futures::stream::empty()).await;
    assert!(matches!(served.next().await, Some(StreamDown::Message(_))));
    assert_eq!(blamed(&served.side.blamed), Some(false));
    assert!(served.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_asks_the_clients_side_whose_fault_that_is() {
    let side = Silent::default();
    let told = side.blamed.clone();
    drop(served(side, futures::stream::pending()).await);
    assert_eq!(blamed(&told), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_client_is_heard_between_the_parts_of_a_long_backlog() {
    let side = Silent {
        parts: 3,
        ..Silent::default()
    };
    let mut served = served(side, repeat_with(marker)).await;
    for heard in 1..=3 {
        assert!(matches!(served.next().await, Some(StreamDown::Message(_))));
        assert_eq!(served.side.asked, heard);
    }
}
