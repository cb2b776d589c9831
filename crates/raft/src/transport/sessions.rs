//! One append session: a pipeline of appends of one group to one peer.
//! Promise: up to [`APPENDS_IN_FLIGHT_MAX`] appends are unanswered at a time, answers come in the
//! order of the appends, and a session whose oldest append waits too long ends with an error.
//! Not here: what is appended and from where (openraft's replication).

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use mutants::{Mutant, planted};
use openraft::errors::{NetworkError, RPCError, Unreachable};
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use pb::raft::v1 as pb;
use tokio::time::{Instant, Sleep};

use super::link::{Answer, Call};
use super::{APPEND_BYTES_IN_FLIGHT_MAX, APPENDS_IN_FLIGHT_MAX};
use crate::types::{LogId, Types};
use crate::wire;

/// What a session yields.
pub(crate) type SessionItem<R> = Result<StreamAppendResult<Types<R>>, RPCError<Types<R>>>;

/// An append that is not answered.
struct Sent {
    at: Instant,
    bytes: usize,
}

/// A session under way.
pub(crate) struct Session<S> {
    call: Call,
    input: S,
    input_ended: bool,
    over: bool,
    sent: VecDeque<Sent>,
    /// The end of the last append sent: for the planted bug that takes it for answered.
    sent_to: Option<LogId>,
    bytes: usize,
    answer_within: Duration,
    timer: Pin<Box<Sleep>>,
}

/// What happens next in a session.
enum Event<R: Send + Sync + 'static> {
    Answer(Option<Answer>),
    Input(Option<AppendEntriesRequest<Types<R>>>),
    Timer,
}

impl<S> Session<S> {
    pub(crate) fn new(call: Call, input: S, answer_within: Duration) -> Self {
        Self {
            call,
            input,
            input_ended: false,
            over: false,
            sent: VecDeque::with_capacity(APPENDS_IN_FLIGHT_MAX),
            sent_to: None,
            bytes: 0,
            answer_within,
            timer: Box::pin(tokio::time::sleep(answer_within)),
        }
    }

    /// The answers of the session, in order.
    pub(crate) fn answers<'s, R>(self) -> impl Stream<Item = SessionItem<R>> + Send + 's
    where
        R: Send + Sync + 'static,
        S: Stream<Item = AppendEntriesRequest<Types<R>>> + Send + Unpin + 's,
    {
        futures::stream::unfold(self, |mut session| async move {
            let item = session.next().await?;
            Some((item, session))
        })
    }

    async fn next<R>(&mut self) -> Option<SessionItem<R>>
    where
        R: Send + Sync + 'static,
        S: Stream<Item = AppendEntriesRequest<Types<R>>> + Unpin,
    {
        while !self.over && (!self.input_ended || !self.sent.is_empty()) {
            let outcome = match self.event().await {
                Event::Answer(answer) => Some(self.on_answer(answer)),
                Event::Input(None) => {
                    self.input_ended = true;
                    None
                }
                Event::Input(Some(append)) => self.send(&append).await.err().map(Err),
                Event::Timer => match self.on_timer() {
                    Some(_) if planted(Mutant::CommitWithoutQuorum) && self.sent_to.is_some() => {
                        self.sent.clear();
                        Some(Ok(Ok(self.sent_to)))
                    }
                    late => late.map(Err),
                },
            };
            if let Some(item) = outcome {
                self.over = !matches!(item, Ok(Ok(_)));
                return Some(item);
            }
        }
        None
    }

    async fn event<R>(&mut self) -> Event<R>
    where
        R: Send + Sync + 'static,
        S: Stream<Item = AppendEntriesRequest<Types<R>>> + Unpin,
    {
        let room =
            self.sent.len() < APPENDS_IN_FLIGHT_MAX && self.bytes < APPEND_BYTES_IN_FLIGHT_MAX;
        tokio::select! {
            biased;
            answer = self.call.answer() => Event::Answer(answer),
            append = self.input.next(), if room && !self.input_ended => Event::Input(append),
            () = &mut self.timer, if !self.sent.is_empty() => Event::Timer,
        }
    }

    async fn send<R>(
        &mut self,
        append: &AppendEntriesRequest<Types<R>>,
    ) -> Result<(), RPCError<Types<R>>>
    where
        R: Send + Sync + 'static,
    {
        let at = Instant::now();
        let bytes = append
            .entries
            .iter()
            .map(|entry| entry.payload.encoded().len())
            .sum();
        let frame = pb::exchange_request::Body::Append(wire::append_to(append));
        let sending = tokio::time::timeout_at(at + self.answer_within, self.call.send(frame));
        match sending.await {
            Ok(Ok(())) => {
                if planted(Mutant::CommitWithoutQuorum) {
                    let last = append.entries.last().map(|entry| entry.log_id);
                    self.sent_to = last.or(self.sent_to);
                }
                self.sent.push_back(Sent { at, bytes });
                self.bytes += bytes;
                Ok(())
            }
            Ok(Err(_)) => Err(failed("the connection ended")),
            Err(_) => {
                self.call.cut_if_silent_since(at);
                Err(failed("the connection takes no more"))
            }
        }
    }

    fn on_answer<R>(&mut self, answer: Option<Answer>) -> SessionItem<R>
    where
        R: Send + Sync + 'static,
    {
        match answer {
            Some(Answer::Append(answer)) => {
                let Some(sent) = self.sent.pop_front() else {
                    return Err(failed("an answer to no append"));
                };
                self.bytes -= sent.bytes;
                wire::append_answer_from(answer)
                    .map_err(|error| RPCError::Network(NetworkError::new(&error)))
            }
            Some(Answer::Failed(reason)) => Err(refused(&reason)),
            Some(_) => Err(failed("an answer of another kind")),
            None => Err(failed("the connection ended")),
        }
    }

    /// The timer runs ahead of the oldest append; it is set again until that one is too old.
    fn on_timer<R>(&mut self) -> Option<RPCError<Types<R>>>
    where
        R: Send + Sync + 'static,
    {
        let oldest = self.sent.front()?.at;
        let due = oldest + self.answer_within;
        if Instant::now() < due {
            self.timer.as_mut().reset(due);
            return None;
        }
        self.call.cut_if_silent_since(oldest);
        Some(failed("the oldest append has no answer"))
    }
}

impl<S> Drop for Session<S> {
    fn drop(&mut self) {
        self.call
            .send_now(pb::exchange_request::Body::AppendEnd(pb::AppendEnd {}));
    }
}

/// A fault of the connection, tried again soon.
pub(crate) fn failed<R>(reason: &str) -> RPCError<Types<R>>
where
    R: Send + Sync + 'static,
{
    RPCError::Network(NetworkError::from_string(reason))
}

/// The peer does not take calls of this group; tried again after a pause.
pub(crate) fn refused<R>(reason: &pb::Failed) -> RPCError<Types<R>>
where
    R: Send + Sync + 'static,
{
    let text = format!("{}: {}", reason.reason().as_str_name(), reason.detail);
    RPCError::Unreachable(Unreachable::from_string(text))
}
