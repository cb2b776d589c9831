//! What replicas of a group say to each other.
//! Promise: see the crate; what was read is written again with the same meaning.
//! Not here: streams of frames (`raft::transport`), what openraft makes of them.

use pb::raft::v1::exchange_request::Body as Call;
use pb::raft::v1::exchange_response::Body as Answer;
use pb::raft::v1::{ExchangeRequest, ExchangeResponse};
use prost::Message;
use raft::wire;

/// A frame between replicas: behind the first byte a request where it is even, else an answer.
pub fn raft_frame(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    if kind.is_multiple_of(2) {
        if let Some(call) = ExchangeRequest::decode(bytes)
            .ok()
            .and_then(|frame| frame.body)
        {
            read_call(call);
        }
    } else if let Some(answer) = ExchangeResponse::decode(bytes)
        .ok()
        .and_then(|frame| frame.body)
    {
        read_answer(answer);
    }
}

/// Reads, writes, reads again: the second writing is the first.
macro_rules! comes_back {
    ($message:expr, $from:path, $to:path) => {
        if let Ok(read) = $from($message) {
            let written = $to(&read);
            let again = $from(written.clone()).expect("what was written can be read");
            assert_eq!($to(&again), written);
        }
    };
}

fn read_call(call: Call) {
    match call {
        Call::Vote(vote) | Call::PreVote(vote) => {
            comes_back!(vote, wire::vote_call_from::<()>, wire::vote_call_to::<()>);
        }
        Call::Transfer(transfer) => {
            comes_back!(transfer, wire::transfer_from::<()>, wire::transfer_to::<()>);
        }
        Call::Heartbeat(append) | Call::Append(append) => {
            let entries = append.entries.len();
            if let Ok(read) = wire::append_from::<()>(append.clone()) {
                assert_eq!(read.entries.len(), entries);
            }
            comes_back!(append, wire::append_from::<()>, wire::append_to::<()>);
        }
        Call::SnapshotBegin(begin) => {
            if let Some(meta) = begin.meta {
                comes_back!(meta, wire::meta_from, wire::meta_to);
            }
        }
        Call::Hello(_) | Call::AppendEnd(_) | Call::SnapshotChunk(_) | Call::SnapshotEnd(_) => {}
    }
}

fn read_answer(answer: Answer) {
    match answer {
        Answer::Vote(vote) => {
            comes_back!(
                vote,
                wire::vote_answer_from::<()>,
                wire::vote_answer_to::<()>
            );
        }
        Answer::Append(append) => {
            comes_back!(
                append,
                wire::append_answer_from::<()>,
                wire::append_answer_to::<()>
            );
        }
        Answer::Transfer(transfer) => {
            comes_back!(
                transfer,
                wire::transfer_answer_from::<()>,
                wire::transfer_answer_to::<()>
            );
        }
        Answer::Welcome(_)
        | Answer::Refused(_)
        | Answer::SnapshotAck(_)
        | Answer::Snapshot(_)
        | Answer::Failed(_) => {}
    }
}
