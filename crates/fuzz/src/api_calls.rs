//! Requests of clients, at the edge and behind a hop between nodes.
//! Promise: see the crate; what the edge lets pass the owner can convert, and the log can read back.
//! Not here: what the machine makes of a command (`machines`).

use api::{check, convert};
use domain::cell::command::{Command, Entry, Intent};
use domain::ids::{CellTime, Session};
use pb::api::v1::{Refusal, WorkRequest, work_request};
use pb::raft::v1::forward_call::Request;
use pb::raft::v1::{ForwardCall, ForwardRequest, ForwardResponse, forward_request, forward_up};
use pb::raft::v1::{ForwardUp, JoinRequest, JoinResponse};
use prost::Message;
use runtime::trace::Trace;

/// The edge at which every call comes in here.
const SITE: &str = "fra";
/// What an entry takes beside what its request says: numbers, tags, lengths, the site.
const ENTRY_BYTES_BESIDE: usize = 1_024;

/// A unary call or one act of a stream, as a client sends it: the call's own envelope between nodes names the
/// kind.
pub fn api_request(data: &[u8]) {
    let Some(request) = ForwardCall::decode(data).ok().and_then(|call| call.request) else {
        return;
    };
    let passed = edge(&request);
    let Some(command) = owner(request) else {
        return;
    };
    match command {
        Ok(command) => stored(command, data.len()),
        Err(refusal) => {
            assert!(!refusal.message.is_empty(), "a refusal says why");
            assert!(
                passed.is_err(),
                "the edge let pass what the owner refuses: {refusal:?}"
            );
        }
    }
}

/// A frame between nodes: behind the first byte one of the four messages.
pub fn forward_frame(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 4 {
        0 => request_frame(bytes),
        1 => comes_back::<ForwardResponse>(bytes),
        2 => comes_back::<JoinRequest>(bytes),
        _ => comes_back::<JoinResponse>(bytes),
    }
}

fn request_frame(bytes: &[u8]) {
    use forward_request::Frame;
    comes_back::<ForwardRequest>(bytes);
    let Some(frame) = ForwardRequest::decode(bytes)
        .ok()
        .and_then(|frame| frame.frame)
    else {
        return;
    };
    match frame {
        Frame::Unary(call) => {
            if let Some(trace) = Trace::read(&call.traceparent) {
                assert_eq!(Trace::read(&trace.to_string()), Some(trace));
            }
            if let Some(Ok(command)) = call.request.and_then(owner) {
                stored(command, bytes.len());
            }
        }
        Frame::Up(up) => stream(up, bytes.len()),
        Frame::Hello(_) | Frame::Stop(_) | Frame::Grant(_) | Frame::Unread(_) => {}
    }
}

/// One message of a stream, as its owner reads it.
fn stream(up: ForwardUp, bytes: usize) {
    use pb::api::v1::attach_request::Request as Up;
    let command = match up.request {
        Some(forward_up::Request::Attach(attach)) => match attach.request {
            Some(Up::Send(send)) => check::conversation(&send.conversation_id)
                .and_then(|conversation| convert::send(&send, conversation)),
            _ => return,
        },
        Some(forward_up::Request::Work(work)) => match act(work) {
            Some(command) => command,
            None => return,
        },
        None => return,
    };
    if let Ok(command) = command {
        stored(command, bytes);
    }
}

/// What a message says is kept when it is written and read again.
fn comes_back<M: Message + Default + PartialEq>(bytes: &[u8]) {
    if let Ok(read) = M::decode(bytes) {
        let written = read.encode_to_vec();
        let again = M::decode(&written[..]).expect("what was written can be read");
        assert_eq!(again.encoded_len(), written.len());
    }
}

/// The checks of the edge.
fn edge(request: &Request) -> Result<(), Refusal> {
    match request {
        Request::Open(open) => check::open(open),
        Request::Send(send) => {
            check::conversation(&send.conversation_id)?;
            check::send(send)
        }
        Request::Close(close) => {
            check::conversation(&close.conversation_id)?;
            check::close(close)
        }
        Request::Rate(rate) => {
            check::conversation(&rate.conversation_id)?;
            check::rate(rate)
        }
        Request::Work(work) => match &work.request {
            Some(act) => {
                check::act(act)?;
                check::name("agent", check::described(act).agent)
            }
            None => Ok(()),
        },
        Request::EndConversation(end) => check::staff::end(end).map(drop),
        Request::TransferConversation(transfer) => check::staff::transfer(transfer).map(drop),
        Request::RequeueConversation(requeue) => check::staff::requeue(requeue).map(drop),
        Request::AssignConversation(assign) => check::staff::assign(assign).map(drop),
        Request::ReleaseConversation(release) => check::staff::release(release).map(drop),
        Request::SetAgentIntent(intent) => check::staff::set_agent_intent(intent),
        Request::PauseQueue(pause) => check::staff::pause(pause),
        Request::ResumeQueue(resume) => check::staff::resume(resume),
        // What names nothing is checked where it is answered.
        _ => Ok(()),
    }
}

/// The owner's conversion; `None` for what is no command.
fn owner(request: Request) -> Option<Result<Command, Refusal>> {
    Some(match request {
        Request::Open(open) => convert::open(open, SITE),
        Request::Send(send) => check::conversation(&send.conversation_id)
            .and_then(|conversation| convert::send(&send, conversation)),
        Request::Close(close) => convert::close(close),
        Request::Rate(rate) => convert::rate(rate),
        Request::Work(work) => return act(work),
        Request::EndConversation(end) => convert::end(end),
        Request::TransferConversation(transfer) => convert::transfer(transfer),
        Request::RequeueConversation(requeue) => convert::requeue(requeue),
        Request::AssignConversation(assign) => convert::assign(assign),
        Request::ReleaseConversation(release) => convert::release(release),
        Request::SetAgentIntent(intent) => convert::set_agent_intent(intent),
        Request::PauseQueue(pause) => convert::pause(pause),
        Request::ResumeQueue(resume) => convert::resume(resume),
        Request::SearchArchive(search) => {
            if let Ok(query) = api::archive_query(&search) {
                assert!(query.size <= api::limits::ARCHIVE_PAGE.most);
            }
            return None;
        }
        Request::ListConversations(list) => {
            drop(api::Place::of(&list.page_token));
            return None;
        }
        _ => return None,
    })
}

fn act(work: WorkRequest) -> Option<Result<Command, Refusal>> {
    let request = work.request?;
    if let work_request::Request::Hello(hello) = &request {
        return Some(convert::log_in(hello, SITE).map(Command::LogIn));
    }
    let agent = match convert::agent_name(check::described(&request).agent) {
        Ok(agent) => agent,
        Err(refusal) => return Some(Err(refusal)),
    };
    let whose = convert::Whose {
        agent,
        session: Session(1),
    };
    convert::act(&request, &whose, || Intent::Ready).transpose()
}

/// An entry with this command is read from the log as it was written, and is no larger than what asked for it.
fn stored(command: Command, asked_bytes: usize) {
    let entry = Entry {
        at: CellTime(1),
        wall_ms: 1,
        command,
    };
    let bytes = wire::cell::encode_entry(&entry);
    assert!(
        bytes.len() <= 2 * asked_bytes + ENTRY_BYTES_BESIDE,
        "an entry of {} bytes for a request of {asked_bytes}",
        bytes.len()
    );
    assert_eq!(wire::cell::decode_entry(&bytes), Ok(entry));
}
