//! Asks: the calls of a play, repeated until they are answered.
//! Promise: a call keeps its request id as long as its speaker stays the same; a reply that may be
//! stored is looked for in the transcript before another owner says it anew.
//! Not here: the order of the calls (`play`).

use client::api::{self, ErrorReason, work_request::Request};
use client::{ActFailed, CallError};

use super::play::{Owner, Play};

/// Wrap-up ends by itself after its limit, so it is not asked for without end.
const WRAP_UP_ATTEMPTS: usize = 3;

/// A turn that was acknowledged.
pub struct Spoken {
    /// The customer's key or the agent's name.
    pub name: String,
    /// The id under which it stands.
    pub request_id: String,
    /// Its place.
    pub sequence: u64,
}

impl Play {
    pub(super) async fn say_as_customer(&mut self, text: &str) -> anyhow::Result<Spoken> {
        let draft = api::SendRequest {
            request_id: self.stage.customers.request_id(),
            text: text.to_owned(),
            ..Default::default()
        };
        loop {
            let writer = self.conversation.writer();
            let error = match self
                .while_watching(writer.send_again(draft.clone()))
                .await?
            {
                Ok(sent) => {
                    return Ok(Spoken {
                        name: self.customer.clone(),
                        request_id: draft.request_id,
                        sequence: sent.sequence,
                    });
                }
                Err(unsent) => unsent.error,
            };
            if !error.is_retryable() {
                return Err(refused("the customer's message", &error));
            }
            self.patience("the customer's message", &error).await?;
        }
    }

    pub(super) async fn say_as_agent(&mut self, text: &str) -> anyhow::Result<Spoken> {
        let mut request_id = self.stage.agents.request_id();
        let mut speaker: Option<Owner> = None;
        loop {
            let owner = self.owner().await?;
            if let Some(before) = speaker.filter(|before| *before != owner) {
                let found = self.find(&request_id).await?;
                if let Some(sequence) = found {
                    return Ok(self.spoken(before, request_id, sequence));
                }
                request_id = self.stage.agents.request_id();
            }
            speaker = Some(owner);
            let error = match self.reply(owner, &request_id, text).await? {
                Ok(done) => return Ok(self.spoken(owner, request_id, done.sequence)),
                Err(failed) => failed.error,
            };
            let passes = error.reason == ErrorReason::AgentUnreachable;
            if !error.is_retryable() && !moved(error.reason) && !passes {
                return Err(refused("the agent's message", &error));
            }
            if moved(error.reason) && self.owner == Some(owner) {
                self.lose_owner();
            }
            self.patience("the agent's message", &error).await?;
        }
    }

    async fn reply(
        &mut self,
        owner: Owner,
        request_id: &str,
        text: &str,
    ) -> anyhow::Result<Result<api::WorkDone, ActFailed>> {
        let stage = self.stage.clone();
        let reply = Request::Reply(api::ReplyRequest {
            request_id: request_id.to_owned(),
            conversation_id: self.conversation_id.clone(),
            owner_epoch: owner.epoch,
            text: text.to_owned(),
            ..Default::default()
        });
        let asking = async move { stage.desks.hand(owner.seat).await.act(reply).await };
        self.while_watching(asking).await
    }

    fn spoken(&self, owner: Owner, request_id: String, sequence: u64) -> Spoken {
        Spoken {
            name: self.stage.desks.agent(owner.seat).to_owned(),
            request_id,
            sequence,
        }
    }

    /// Where a message with this id stands, if it is stored.
    async fn find(&mut self, request_id: &str) -> anyhow::Result<Option<u64>> {
        let stage = self.stage.clone();
        let id = self.conversation_id.clone();
        let read = async move { stage.read_back(&id).await };
        let transcript = self.while_watching(read).await??;
        let found = transcript.items.iter().find(|item| match &item.content {
            Some(api::item::Content::Message(message)) => message.request_id == request_id,
            _ => false,
        });
        Ok(found.map(|item| item.sequence))
    }

    pub(super) async fn close(&mut self) -> anyhow::Result<()> {
        let stage = self.stage.clone();
        let request = api::CloseRequest {
            conversation_id: self.conversation_id.clone(),
            request_id: stage.customers.request_id(),
            reason: "the dialogue has ended".to_owned(),
        };
        loop {
            let customer = stage.customers.customer();
            let error = match self.while_watching(customer.close(request.clone())).await? {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if !error.is_retryable() {
                return Err(refused("the close", &error));
            }
            self.patience("the close", &error).await?;
        }
    }

    pub(super) async fn rate(&mut self, score: u32) -> anyhow::Result<()> {
        let stage = self.stage.clone();
        let request = api::RateRequest {
            conversation_id: self.conversation_id.clone(),
            request_id: stage.customers.request_id(),
            score,
            comment: String::new(),
        };
        loop {
            let customer = stage.customers.customer();
            let error = match self.while_watching(customer.rate(request.clone())).await? {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if !error.is_retryable() {
                return Err(refused("the rating", &error));
            }
            self.patience("the rating", &error).await?;
        }
    }

    /// Frees the agent at once. Nothing is lost when it fails: wrap-up ends after its limit.
    pub(super) async fn finish_wrap_up(&mut self) {
        let Some(owner) = self.owner else { return };
        let finish = Request::FinishWrapUp(api::FinishWrapUpRequest {
            request_id: self.stage.agents.request_id(),
            conversation_id: self.conversation_id.clone(),
            owner_epoch: owner.epoch,
            ..Default::default()
        });
        for _ in 0..WRAP_UP_ATTEMPTS {
            let hand = self.stage.desks.hand(owner.seat).await;
            match hand.act(finish.clone()).await {
                Err(failed) if failed.error.is_retryable() => continue,
                Err(failed) => {
                    tracing::debug!(error = %failed.error, "wrap-up was not finished");
                    return;
                }
                Ok(_) => return,
            }
        }
    }
}

/// The speaker's seat or epoch has passed: the conversation goes on with whoever holds it next.
fn moved(reason: ErrorReason) -> bool {
    matches!(
        reason,
        ErrorReason::StaleOwnerEpoch
            | ErrorReason::StaleSession
            | ErrorReason::WrongState
            | ErrorReason::AgentNotLoggedIn
    )
}

fn refused(what: &str, error: &CallError) -> anyhow::Error {
    anyhow::anyhow!("{what} was refused: {error} ({})", error.reason_name())
}
