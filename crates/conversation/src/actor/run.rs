//! The loop of an actor: it awaits what `step` has decided about.
//! Promise: everything that was taken from the mailbox is answered, also at passivation and at the
//! loss of leadership.
//! Not here: decisions (`step`, the machine).

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use domain::cell::command::{Actor, Command, CustomerPresence};
use domain::cell::event::Event;
use domain::cell::refusal::Refusal;
use domain::cell::reply::{Done, Reply};
use domain::ids::{ConversationId, Sequence};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use ports::{Committed, ProposeError};
use runtime::trace::Trace;
use runtime::{mailbox, supervise};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

use super::step::{NewReader, PresenceWatch, Streams};
use super::{Answer, IDLE_MS, MAILBOX_MAX, PROPOSALS_MAX, ToActor};
use crate::concern;
use crate::error::{ActError, RETRY_FULL_MS};
use crate::handle::Core;
use crate::hub::{ActorEnd, ActorRef, Serving};
use crate::leader::Edge;
use crate::stream::{AttachEvent, Attachment, DeskEvent, EndReason, Held, Leave, MarkFrom};

type Outcome = Result<Committed<Reply>, ProposeError>;
type Proposal = BoxFuture<'static, (For, Outcome)>;

/// Pause after an entry about the customer's presence that failed.
const PRESENCE_AGAIN: Duration = Duration::from_secs(1);

/// Whom the outcome of a proposal is for.
enum For {
    /// A caller.
    Caller(Answer<Done>),
    /// The actor itself: the customer came or went.
    Presence,
}

struct ConversationActor {
    id: ConversationId,
    core: Arc<Core>,
    me: ActorRef,
    term: u64,
    generation: u64,
    streams: Streams,
    presence: PresenceWatch,
    proposals: FuturesUnordered<Proposal>,
    /// A proposal was made that the set has not polled.
    fresh: bool,
    /// The conversation was seen to end, and the next look is not yet sooner.
    ended: bool,
    /// What this actor last knew of serving.
    serving: Serving,
}

/// Starts the actor of a conversation in `term`.
pub(crate) fn activate(core: &Arc<Core>, id: ConversationId, term: u64) -> ActorRef {
    let (sender, receiver) = mailbox::bounded("conversation", MAILBOX_MAX);
    let me = Arc::new(ActorEnd {
        mailbox: sender,
        missed: AtomicBool::new(false),
        customer: AtomicBool::new(false),
        woken: Notify::new(),
    });
    // Boxed: a future holds what it is given twice, before and after its first step.
    let actor = Box::new(ConversationActor {
        id,
        core: core.clone(),
        me: me.clone(),
        term,
        generation: core.view.shared.hub.generation(),
        streams: Streams::new(core.view.shared.mono_ms()),
        presence: PresenceWatch::default(),
        proposals: FuturesUnordered::new(),
        fresh: false,
        ended: false,
        serving: Serving::Yes {
            term,
            interrupted_ms: None,
        },
    });
    let (panicked, failed) = (core.clone(), me.clone());
    let task = supervise(
        &core.env.edge,
        "conversation",
        actor.run(receiver),
        move || {
            let hub = &panicked.view.shared.hub;
            hub.forget(id, &failed);
            hub.panics.fetch_add(1, Ordering::Relaxed);
            if failed.customer.load(Ordering::Acquire) {
                tell_gone(&panicked, id, term);
            }
        },
    );
    task.detach();
    me
}

/// After a failed actor: its customer's streams have ended by our fault, and no actor knows of it.
fn tell_gone(core: &Arc<Core>, conversation: ConversationId, term: u64) {
    let payload = core.stamp(Command::CustomerPresence(CustomerPresence {
        conversation,
        attached: false,
        our_fault: true,
    }));
    let group = core.group.clone();
    core.env
        .edge
        .spawn("conversation-gone", async move {
            // A failure is made good by the count of the next leader.
            let _ = group.propose(term, payload).await;
        })
        .detach();
}

enum Wake {
    Proposed(For, Outcome),
    Message(Option<ToActor>),
    Timer,
}

impl ConversationActor {
    async fn run(mut self: Box<Self>, mut receiver: mailbox::Receiver<ToActor>) {
        let mut check = pin!(sleep(Duration::from_millis(IDLE_MS)));
        while self.serves() {
            let mut again = false;
            match self.wake(&mut receiver, check.as_mut()).await {
                Wake::Proposed(asker, outcome) => again = self.proposed(asker, outcome),
                Wake::Message(Some(message)) => self.message(message),
                Wake::Message(None) => break,
                Wake::Timer => {
                    check.as_mut().reset(Instant::now() + self.rests_after());
                    self.streams.sweep();
                    self.presence.look_again();
                    self.reconcile_presence();
                    if self.rests(&receiver) {
                        break;
                    }
                }
            }
            self.read_what_was_missed();
            self.reconcile_presence();
            again |= self.start_proposals().await;
            let ended = std::mem::take(&mut self.ended);
            let sooner = match again {
                true => Some(PRESENCE_AGAIN),
                false => ended.then(|| self.rests_after()),
            };
            if let Some(soon) = sooner.map(|within| Instant::now() + within)
                && soon < check.deadline()
            {
                check.as_mut().reset(soon);
            }
        }
        self.close(&mut receiver).await;
    }

    fn rests_after(&self) -> Duration {
        Duration::from_millis(self.streams.rests_after_ms())
    }

    async fn wake(
        &mut self,
        receiver: &mut mailbox::Receiver<ToActor>,
        check: Pin<&mut Sleep>,
    ) -> Wake {
        let room = self.proposals.len() < PROPOSALS_MAX;
        // Each branch that is not ready registers itself: the busy ones come first.
        tokio::select! {
            biased;
            Some((asker, outcome)) = self.proposals.next() => Wake::Proposed(asker, outcome),
            message = receiver.recv(), if room => Wake::Message(message),
            () = self.me.woken.notified(), if !room => Wake::Message(Some(ToActor::Look)),
            () = check => Wake::Timer,
        }
    }

    /// Whether this actor's term goes on; passes an interruption on. The hub wakes every actor after a
    /// change, and it is seen here also when other work was ready at the same time.
    fn serves(&mut self) -> bool {
        let now = self.core.view.shared.hub.serving();
        if self.outlived(now) {
            return false;
        }
        let changed = now != self.serving;
        self.serving = now;
        !changed || !self.left(now)
    }

    /// Whether this actor was left behind by a change of serving that it did not see by itself.
    fn outlived(&mut self, now: Serving) -> bool {
        if self.generation == self.core.view.shared.hub.generation() {
            return false;
        }
        self.streams.end(match now {
            Serving::Lapsed { .. } => EndReason::QuorumLost,
            _ => EndReason::NotLeader,
        });
        true
    }

    /// Whether this actor's term has passed; passes an interruption on otherwise.
    fn left(&mut self, now: Serving) -> bool {
        match now {
            Serving::Yes {
                term,
                interrupted_ms,
            } if term == self.term => {
                let event = match interrupted_ms {
                    Some(since_ms) => AttachEvent::Interrupted { since_ms },
                    None => AttachEvent::Resumed,
                };
                self.streams.tell(&event);
                false
            }
            Serving::Lapsed { .. } => {
                self.streams.end(EndReason::QuorumLost);
                true
            }
            _ => {
                self.streams.end(EndReason::NotLeader);
                true
            }
        }
    }

    fn message(&mut self, message: ToActor) {
        match message {
            ToActor::Act {
                command,
                trace,
                answer,
            } => self.act(*command, trace, answer),
            ToActor::Attach {
                cursor,
                observe,
                edge,
                answer,
            } => {
                let reader = NewReader { observe, edge };
                self.attach(cursor, reader, answer);
            }
            ToActor::Leave { key, our_fault } => {
                if self.streams.leave(key) {
                    self.presence.left(our_fault);
                }
            }
            ToActor::Mark { from, typing, read } => self.mark(from, typing, read),
            ToActor::Applied(event) => self.applied(&event),
            // What was missed is read after each message.
            ToActor::Look => {}
            #[cfg(test)]
            ToActor::Panic => panic!("a planted defect"),
        }
    }

    fn act(&mut self, command: Command, trace: Option<Box<Trace>>, answer: Answer<Done>) {
        let now_ms = self.core.view.shared.mono_ms();
        self.streams.worked(now_ms);
        if is_customers(&command) {
            let (max, window_ms) = self.core.customer_limit();
            if let Err(retry_after_ms) = self.streams.window.take(now_ms, max, window_ms) {
                let refusal = Refusal::TooManyRequests { retry_after_ms };
                let _ = answer.send(Err(ActError::Refused(refusal)));
                return;
            }
        }
        let payload = self.core.stamp_traced(command, trace.as_deref());
        self.propose(payload, For::Caller(answer));
    }

    fn propose(&mut self, payload: Bytes, asker: For) {
        let group = self.core.group.clone();
        let term = self.term;
        self.fresh = true;
        self.proposals
            .push(async move { (asker, group.propose(term, payload).await) }.boxed());
    }

    /// Polls new proposals once, so that they enter the log in the order in which they were made.
    async fn start_proposals(&mut self) -> bool {
        if !std::mem::take(&mut self.fresh) {
            return false;
        }
        let ready = poll_fn(|context| match self.proposals.poll_next_unpin(context) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => Poll::Ready(None),
        })
        .await;
        ready.is_some_and(|(asker, outcome)| self.proposed(asker, outcome))
    }

    /// Passes an outcome on; true when an entry about presence has to be tried again later.
    fn proposed(&mut self, asker: For, outcome: Outcome) -> bool {
        match asker {
            For::Caller(answer) => {
                answer_proposal(answer, outcome);
                false
            }
            For::Presence => {
                let failed = outcome.is_err();
                self.presence.settled(failed);
                failed
            }
        }
    }

    /// Compares who is attached with what the machine believes, and proposes the difference.
    fn reconcile_presence(&mut self) {
        let here = self.streams.customer_streams() > 0;
        self.me.customer.store(here, Ordering::Release);
        self.presence.notice(here);
        if !self.presence.may_look() {
            return;
        }
        let id = self.id;
        let believed = self
            .core
            .view
            .with(|cell, _| concern::believed_here(cell, id));
        if !here && self.is_cut_off() {
            self.presence.cut_off();
        }
        let Some(presence) = believed.and_then(|believed| self.presence.differs(here, believed))
        else {
            return;
        };
        let command = Command::CustomerPresence(CustomerPresence {
            conversation: self.id,
            attached: presence.attached,
            our_fault: presence.our_fault,
        });
        let payload = self.core.stamp(command);
        self.propose(payload, For::Presence);
    }

    /// Whether the edge of the customer's last stream cannot be reached.
    fn is_cut_off(&self) -> bool {
        let edge = self.streams.edge.map(Edge::Node);
        edge.is_some_and(|edge| self.core.faults.our_fault(&edge))
    }

    fn attach(&mut self, cursor: Sequence, new: NewReader, answer: Answer<Attachment>) {
        self.streams.worked(self.core.view.shared.mono_ms());
        if !self.streams.has_room() {
            let _ = answer.send(Err(ActError::Exhausted {
                retry_after_ms: RETRY_FULL_MS,
            }));
            return;
        }
        let id = self.id;
        let found = self
            .core
            .view
            .with(|cell, _| cell.conversation(id).cloned());
        let Some(read) = found.map(|found| concern::items_after(&found, cursor)) else {
            let _ = answer.send(Err(
                Refusal::ConversationNotFound { conversation: id }.into()
            ));
            return;
        };
        if cursor > read.last {
            let refusal = Refusal::CursorFromTheFuture {
                given: cursor,
                last: read.last,
            };
            let _ = answer.send(Err(refusal.into()));
            return;
        }
        let key = self.core.view.shared.hub.next_key();
        let reader = self.streams.attach(key, new, read.last);
        let leave = Leave {
            actor: self.me.clone(),
            key,
            our_fault: false,
        };
        let attachment = Attachment {
            backlog: read.items,
            events: reader.events,
            left: None,
            held: Held::ByActor(leave),
            why: reader.why,
        };
        if answer.send(Ok(attachment)).is_err() {
            self.streams.leave(key);
            return;
        }
        if let Serving::Yes {
            interrupted_ms: Some(since_ms),
            ..
        } = self.serving
        {
            self.streams
                .tell_one(key, AttachEvent::Interrupted { since_ms });
        }
        if !new.observe {
            self.presence.came();
        }
    }

    fn mark(&mut self, from: MarkFrom, typing: bool, read: Sequence) {
        self.streams.worked(self.core.view.shared.mono_ms());
        if !self
            .streams
            .may_mark(&from, self.core.view.shared.mono_ms())
        {
            return;
        }
        self.streams.mark(&from, typing, read);
        if from == MarkFrom::Customer {
            let id = self.id;
            let owner = self.core.view.with(|cell, _| concern::owner(cell, id));
            if let Some(agent) = owner {
                let event = DeskEvent::Marker {
                    conversation: id,
                    from,
                    typing,
                    read,
                };
                self.core.view.shared.hub.mark_agent(&agent, &event);
            }
        }
    }

    fn applied(&mut self, event: &Event) {
        match event {
            Event::CustomerPresence { .. } => self.presence.look_again(),
            Event::Ended { .. } => {
                self.streams.is_over(self.core.customer_limit().1);
                self.ended = true;
            }
            _ => {}
        }
        match concern::item(event) {
            Some(item) => {
                if !self.streams.item(item) {
                    self.me.missed.store(true, Ordering::Release);
                }
            }
            None => {
                if concern::changes_summary(event) {
                    self.streams.tell(&AttachEvent::Changed);
                }
            }
        }
    }

    /// After a full mailbox: gives the streams what the state has and they lack.
    fn read_what_was_missed(&mut self) {
        if !self.me.missed.swap(false, Ordering::AcqRel) {
            return;
        }
        let Some(from) = self.streams.complete_to() else {
            return;
        };
        let id = self.id;
        let found = self
            .core
            .view
            .with(|cell, _| cell.conversation(id).cloned());
        let read = found.map(|found| concern::items_after(&found, from));
        for item in read.iter().flat_map(|read| &read.items) {
            self.streams.item(item);
        }
        self.streams.tell(&AttachEvent::Changed);
    }

    fn rests(&self, receiver: &mailbox::Receiver<ToActor>) -> bool {
        self.proposals.is_empty()
            && receiver.is_empty()
            && self.presence.is_settled()
            && self.streams.may_rest(self.core.view.shared.mono_ms())
    }

    /// Leaves the table, then answers whatever still waits.
    async fn close(&mut self, receiver: &mut mailbox::Receiver<ToActor>) {
        self.core.view.shared.hub.forget(self.id, &self.me);
        receiver.close();
        let leader = match self.core.view.shared.hub.serving() {
            Serving::No { leader } => leader,
            Serving::Yes { .. } | Serving::Lapsed { .. } => None,
        };
        while let Some(message) = receiver.try_recv() {
            match message {
                ToActor::Act { answer, .. } => {
                    drop(answer.send(Err(ActError::NotLeader { leader })))
                }
                ToActor::Attach { answer, .. } => {
                    drop(answer.send(Err(ActError::NotLeader { leader })))
                }
                _ => {}
            }
        }
        while let Some((asker, outcome)) = self.proposals.next().await {
            self.proposed(asker, outcome);
        }
    }
}

fn answer_proposal(answer: Answer<Done>, outcome: Outcome) {
    let reply = match outcome {
        Ok(committed) => committed.reply.map_err(ActError::Refused),
        Err(error) => Err(error.into()),
    };
    // Nobody waits any more: the caller's deadline has passed, the outcome stands in the log.
    let _ = answer.send(reply);
}

/// Whether a command counts against its customer's limit.
fn is_customers(command: &Command) -> bool {
    match command {
        Command::Send(send) => send.author == Actor::Customer,
        Command::Close(close) => close.by == Actor::Customer,
        Command::Rate(_) => true,
        _ => false,
    }
}
