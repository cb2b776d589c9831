//! A client's stream at the leader: what customers' and agents' streams have in common.
//! Promise: it does only what its reader pulls: nothing is made ahead of a reader, and one that does not
//! read sends nothing either; a stream that ends says why last; what is certain is answered before.
//! Not here: what is said (`customer`, `desk`), moving it to another node (`node`).

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use conversation::ActError;
use futures::{FutureExt, Stream, StreamExt};
use pb::api::v1::Refusal;
use pb::raft::v1::forward_up;
use ports::{StreamDown, StreamUp, Ups};
use tokio::time::{Sleep, sleep};

use super::acts::{Acts, Answered};
use crate::errors::outcome_unknown;
use crate::limits;

/// Turns of a stream that says nothing, as with a flood of markers, before it lets others run: the lane's own
/// budget for a task is 128.
const TURNS_MAX: usize = 64;

/// What is to be said next, in order. It is read empty before anything is added.
pub(super) type Out = VecDeque<StreamDown>;

/// One kind of stream.
pub(super) trait Side: Send + Unpin + 'static {
    /// What identifies an act to the client.
    type About: Send + Unpin + 'static;
    /// What the leader tells.
    type Event;

    /// Says the next part of what was before the stream began; false once all of it is said.
    fn backlog(&mut self, out: &mut Out) -> bool;
    /// The next event; none when the leader has ended the stream.
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Self::Event>>;
    /// Says what an event means.
    ///
    /// # Errors
    /// Why the stream ends with it.
    fn event(&mut self, event: Self::Event, out: &mut Out) -> Result<(), Refusal>;
    /// Does what the client asks for.
    fn asked(&mut self, message: forward_up::Request, acts: &mut Acts<Self::About>, out: &mut Out);
    /// Says what came of an act.
    fn answered(&mut self, answered: Answered<Self::About>, out: &mut Out);
    /// Notes whose fault it is that the client is not served any more.
    fn blame(&mut self, our_fault: bool);
    /// Why the leader has ended the stream.
    fn why(&self) -> Refusal;
    /// Says that the stream is over and everything on it was answered.
    fn quiet() -> StreamDown;
}

type Timer = Pin<Box<Sleep>>;

fn timer(wait: Duration) -> Timer {
    Box::pin(sleep(wait))
}

/// How far the stream is.
enum Phase {
    /// It is on.
    On(Ups),
    /// The client has ended its side; what is under way is answered until then.
    Stopping(Timer),
    /// The leader has ended it; what becomes certain until then is said.
    Ending(Refusal, Timer),
    /// Its last word is said.
    Over,
}

/// What happens next.
enum Wake<S: Side> {
    Event(Option<S::Event>),
    Answered(Answered<S::About>),
    Up(Option<StreamUp>),
    Over(StreamDown),
}

/// A stream that is served as it is read.
pub(super) struct Served<S: Side> {
    side: S,
    acts: Acts<S::About>,
    out: Out,
    phase: Phase,
}

impl<S: Side> Served<S> {
    /// A stream that begins with `welcome`.
    pub(super) fn new(side: S, acts: Acts<S::About>, welcome: StreamDown, ups: Ups) -> Self {
        Self {
            side,
            acts,
            out: Out::from([welcome]),
            phase: Phase::On(ups),
        }
    }

    fn poll_wake(&mut self, context: &mut Context<'_>) -> Poll<Wake<S>> {
        if let Phase::Ending(why, by) = &mut self.phase {
            while let Poll::Ready(answered) = self.acts.poll_next(context) {
                if is_certain(&answered) {
                    return Poll::Ready(Wake::Answered(answered));
                }
            }
            if self.acts.is_empty() || by.poll_unpin(context).is_ready() {
                return Poll::Ready(Wake::Over(failed(why.clone())));
            }
            return Poll::Pending;
        }
        if matches!(self.phase, Phase::Stopping(_)) && self.acts.is_empty() {
            return Poll::Ready(Wake::Over(S::quiet()));
        }
        if let Poll::Ready(event) = self.side.poll_event(context) {
            return Poll::Ready(Wake::Event(event));
        }
        if let Poll::Ready(answered) = self.acts.poll_next(context) {
            return Poll::Ready(Wake::Answered(answered));
        }
        match &mut self.phase {
            Phase::Stopping(by) => by
                .poll_unpin(context)
                .map(|()| Wake::Over(failed(outcome_unknown()))),
            _ => self.poll_up(context).map(Wake::Up),
        }
    }

    /// The client's next message, while there is room for what it asks.
    fn poll_up(&mut self, context: &mut Context<'_>) -> Poll<Option<StreamUp>> {
        let Phase::On(ups) = &mut self.phase else {
            return Poll::Pending;
        };
        std::task::ready!(self.acts.poll_room(context));
        ups.poll_next_unpin(context)
    }

    fn on(&mut self, wake: Wake<S>) {
        match wake {
            Wake::Event(Some(event)) => {
                if let Err(refusal) = self.side.event(event, &mut self.out) {
                    self.over(failed(refusal));
                }
            }
            Wake::Event(None) => {
                self.side.blame(true);
                self.phase = Phase::Ending(self.side.why(), timer(limits::LAST_ANSWERS_WAIT));
            }
            Wake::Answered(answered) => self.side.answered(answered, &mut self.out),
            Wake::Up(Some(StreamUp::Message(message))) => {
                self.side.asked(*message, &mut self.acts, &mut self.out);
            }
            Wake::Up(Some(StreamUp::Traced(traced))) => {
                self.acts.trace(Some(traced.trace));
                let message = traced.message;
                self.side.asked(message, &mut self.acts, &mut self.out);
                self.acts.trace(None);
            }
            Wake::Up(Some(StreamUp::Stop { our_fault })) => self.stop(our_fault),
            Wake::Up(None) => self.stop(false),
            Wake::Over(last) => self.over(last),
        }
    }

    fn stop(&mut self, our_fault: bool) {
        self.side.blame(our_fault);
        self.phase = Phase::Stopping(timer(limits::UNARY_DEADLINE));
    }

    fn over(&mut self, last: StreamDown) {
        if matches!(last, StreamDown::Failed(_)) {
            self.side.blame(true);
        }
        self.out.push_back(last);
        self.phase = Phase::Over;
    }
}

impl<S: Side> Stream for Served<S> {
    type Item = StreamDown;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<StreamDown>> {
        let this = self.get_mut();
        for _ in 0..TURNS_MAX {
            if let Some(down) = this.out.pop_front() {
                return Poll::Ready(Some(down));
            }
            if matches!(this.phase, Phase::Over) {
                return Poll::Ready(None);
            }
            if this.side.backlog(&mut this.out) {
                // Heard between two parts: a long backlog must not end the lease of whoever reads it.
                if let Poll::Ready(up) = this.poll_up(context) {
                    this.on(Wake::Up(up));
                }
                continue;
            }
            match this.poll_wake(context) {
                Poll::Ready(wake) => this.on(wake),
                Poll::Pending => return Poll::Pending,
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// However it goes: a stream that is dropped asks the client's side whose fault that is.
impl<S: Side> Drop for Served<S> {
    fn drop(&mut self) {
        if let Phase::On(ups) = &self.phase {
            self.side.blame(ups.our_fault());
        }
    }
}

/// Whether an outcome can be told: what is not known is asked again elsewhere under the same id.
fn is_certain<A>((_, outcome): &Answered<A>) -> bool {
    matches!(outcome, Ok(_) | Err(ActError::Refused(_)))
}

fn failed(refusal: Refusal) -> StreamDown {
    StreamDown::Failed(Box::new(refusal))
}

#[cfg(test)]
#[path = "served_test.rs"]
mod served_test;
