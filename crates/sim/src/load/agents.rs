//! Agents: they log in, take most of what they are offered, answer, pass on, hold, vanish and come back.
//! Not here: who writes to them (`customers`).

use std::collections::BTreeMap;
use std::time::Duration;

use client::api::{HeldConversation, Intent, Offer, WorkDone};
use client::{ActFailed, AgentDesk, DeskEvent, DeskHand, DeskLogin, Transfer};
use serde_json::json;
use tokio::time::sleep;

use super::customers::why;
use super::{Ctx, QUEUES, outcome_of, readers};
use crate::invariants::late_acts_fenced::{self, Act};
use crate::judge::history::Outcome;

/// How long an agent who has left stays away at most: three times what makes a lease doubtful.
const AWAY_MS_MAX: u64 = 45_000;

/// Sits down again and again.
pub(super) async fn run(ctx: Ctx) {
    loop {
        ctx.pause().await;
        let login = DeskLogin {
            agent: ctx.name.clone(),
            device_id: String::new(),
            session: 0,
            ready: true,
        };
        let desk = ctx.client.agent().desk(login);
        Seat::new(&ctx, &desk).work(desk).await;
        if ctx.once_in(3) && !ctx.closing() {
            // Long enough that the lease of a session that was not ended is doubted.
            sleep(Duration::from_millis(ctx.random.below(AWAY_MS_MAX))).await;
        }
    }
}

/// What an agent knows at a desk.
struct Seat<'c> {
    ctx: &'c Ctx,
    hand: DeskHand,
    /// Conversations that the agent holds, with the epoch in which the agent speaks.
    held: BTreeMap<String, u64>,
}

impl<'c> Seat<'c> {
    fn new(ctx: &'c Ctx, desk: &AgentDesk) -> Self {
        Self {
            ctx,
            hand: desk.hand(),
            held: BTreeMap::new(),
        }
    }

    /// Works until the stream ends or the agent walks away.
    async fn work(mut self, mut desk: AgentDesk) {
        loop {
            let pause = self.ctx.pause();
            let event = tokio::select! {
                biased;
                event = desk.next() => event,
                () = pause => {
                    if !self.act().await {
                        return;
                    }
                    continue;
                }
            };
            match event {
                Some(DeskEvent::Offer(offer)) => self.offered(&offer).await,
                Some(DeskEvent::Held(held)) => self.holds(&held),
                Some(DeskEvent::Gone(gone)) => {
                    self.held.remove(&gone.conversation_id);
                }
                Some(DeskEvent::Summary(summary)) => {
                    if let Some(epoch) = self.held.get_mut(&summary.conversation_id) {
                        *epoch = summary.owner_epoch;
                    }
                }
                Some(DeskEvent::Ended(_)) | None => return,
                Some(_) => {}
            }
        }
    }

    fn holds(&mut self, held: &HeldConversation) {
        let Some(summary) = &held.conversation else {
            return;
        };
        readers::seen(self.ctx, &summary.conversation_id, &held.items);
        self.held
            .insert(summary.conversation_id.clone(), summary.owner_epoch);
    }

    async fn offered(&mut self, offer: &Offer) {
        self.hand.offer_shown(&offer.offer_id);
        let Some(summary) = &offer.conversation else {
            return;
        };
        let id = summary.conversation_id.clone();
        let called_us = self.ctx.now_us();
        match self.ctx.random.below(10) {
            // Looks away until it lapses.
            0 if !self.ctx.closing() => {}
            1 if !self.ctx.closing() => {
                let done = self.hand.decline(&offer.offer_id, "busy").await;
                self.told("decline", (&id, None), called_us, done);
            }
            _ => {
                let done = self.hand.accept(offer).await;
                if let Some(done) = self.told("accept", (&id, None), called_us, done) {
                    self.held.insert(id, done.owner_epoch);
                }
            }
        }
    }

    /// Does the next thing; whether the agent stays.
    async fn act(&mut self) -> bool {
        let choice = self.ctx.random.below(self.held.len().max(1) as u64) as usize;
        let Some((id, epoch)) = self
            .held
            .iter()
            .nth(choice)
            .map(|(id, epoch)| (id.clone(), *epoch))
        else {
            return self.idle().await;
        };
        let called_us = self.ctx.now_us();
        let draw = match self.ctx.closing() {
            true => 0,
            false => self.ctx.random.below(20),
        };
        match draw {
            0..5 => {
                let done = self.hand.close(&id, epoch, "done").await;
                if self
                    .told("close", (&id, Some(epoch)), called_us, done)
                    .is_some()
                {
                    self.held.remove(&id);
                    self.ctx.closed(&id);
                }
            }
            5 => {
                let queue = QUEUES[self.ctx.random.below(QUEUES.len() as u64) as usize];
                let to = Transfer::Queue(queue.to_owned());
                let done = self.hand.transfer(&id, epoch, to, "please").await;
                if self
                    .told("transfer", (&id, Some(epoch)), called_us, done)
                    .is_some()
                {
                    self.held.remove(&id);
                }
            }
            6 => {
                let done = self.hand.hold(&id, epoch).await;
                self.told("hold", (&id, Some(epoch)), called_us, done);
            }
            7 => {
                let done = self.hand.resume(&id, epoch).await;
                if let Some(done) = self.told("resume", (&id, Some(epoch)), called_us, done) {
                    self.held.insert(id, done.owner_epoch);
                }
            }
            // A word from a window that was left open since an earlier owner epoch.
            8 if epoch > 0 => self.late_reply(&id, epoch - 1).await,
            // The browser crashes.
            9 => return !self.ctx.once_in(4),
            _ => self.reply(&id, epoch).await,
        }
        true
    }

    async fn reply(&self, id: &str, epoch: u64) {
        let _storing = self.ctx.storing();
        let called_us = self.ctx.now_us();
        let text = format!("{} at {called_us}", self.ctx.name);
        let done = self.hand.reply(id, epoch, &text).await;
        match &done {
            Ok(done) => self.ctx.acknowledged(id, done.sequence, &done.request_id),
            Err(failed) => self.ctx.not_stored(id, &failed.request_id, &failed.error),
        }
        self.told("send", (id, Some(epoch)), called_us, done);
    }

    async fn late_reply(&self, id: &str, epoch: u64) {
        let called_us = self.ctx.now_us();
        let text = format!("late {} at {called_us}", self.ctx.name);
        let done = self.hand.reply(id, epoch, &text).await;
        let act = match done.is_ok() {
            true => Act::Done,
            false => Act::NotDone,
        };
        // The epoch in which the agent was told to speak was the one after it.
        let judged = late_acts_fenced::check(&self.ctx.name, (epoch, epoch + 1), act);
        self.ctx.judged(id, judged);
        self.told("late", (id, None), called_us, done);
    }

    async fn idle(&self) -> bool {
        if self.ctx.closing() || !self.ctx.once_in(30) {
            return true;
        }
        let called_us = self.ctx.now_us();
        match self.ctx.random.below(3) {
            0 => {
                let away = Intent {
                    ready: false,
                    reason: "break".to_owned(),
                };
                let done = self.hand.set_intent(away).await;
                self.told("capacity", ("", None), called_us, done);
                self.ctx.pause().await;
                let back = Intent {
                    ready: true,
                    reason: String::new(),
                };
                let done = self.hand.set_intent(back).await;
                self.told("capacity", ("", None), called_us, done);
                true
            }
            1 => {
                let done = self.hand.log_out().await;
                self.told("login", ("", None), called_us, done);
                false
            }
            _ => false,
        }
    }

    /// Notes an act, and the owner epoch in which it was done if there was one.
    fn told(
        &self,
        op: &'static str,
        (id, epoch): (&str, Option<u64>),
        called_us: u64,
        done: Result<WorkDone, ActFailed>,
    ) -> Option<WorkDone> {
        match done {
            Ok(done) => {
                let value = json!({ "sequence": done.sequence, "epoch": done.owner_epoch });
                let args = json!({ "id": done.request_id, "epoch": epoch });
                self.ctx
                    .ended(op, id, args, called_us, (Outcome::Ok, value));
                Some(done)
            }
            Err(failed) => {
                let end = (outcome_of(&failed.error), why(&failed.error));
                let args = json!({ "id": failed.request_id, "epoch": epoch });
                self.ctx.ended(op, id, args, called_us, end);
                None
            }
        }
    }
}
