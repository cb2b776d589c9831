//! Plays: one dialogue from open to rating, both sides of it.
//! Promise: each turn waits until the other side's client has received the one before; a play ends
//! after minutes without progress, with what it waited for.
//! Not here: the agents' clients (`desks`), the calls and their repetition (`ask`), comparing (`verify`).

use std::sync::Arc;
use std::time::Duration;

use client::api::{self, ErrorReason};
use client::{CallError, Conversation, Event};
use runtime::mailbox;
use tokio::time::{Instant, sleep, timeout_at};

use super::ask::Spoken;
use super::dialogue::{Dialogue, Side, Turn};
use super::stage::{Stage, pause_before};
use super::switchboard::{News, Seen};
use super::verify::Said;

/// Three nodes restarted one after the other, twice over.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Between attempts that a budget of the SDK has ended.
pub const PAUSE: Duration = Duration::from_millis(500);

/// How a play ended.
#[derive(Debug, Default)]
pub struct Played {
    /// The conversation, once it was open.
    pub conversation_id: String,
    /// What was said and acknowledged, in order.
    pub said: Vec<Said>,
    /// The rating, once it was acknowledged; 0 before.
    pub score: u32,
    /// Why it did not come to its end.
    pub failure: Option<String>,
}

/// The agent who holds the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub(super) seat: usize,
    pub(super) epoch: u64,
}

/// What one side's client has received.
#[derive(Debug, Default)]
struct Received {
    last: u64,
    /// Since the present turn began.
    arrivals: Vec<(u64, Instant)>,
}

/// One dialogue that is played.
pub struct Play {
    pub(super) stage: Arc<Stage>,
    dialogue: Arc<Dialogue>,
    pub(super) customer: String,
    pub(super) conversation: Conversation,
    pub(super) conversation_id: String,
    news: mailbox::Receiver<News>,
    pub(super) owner: Option<Owner>,
    /// The owner's client has the transcript.
    held: bool,
    accepted_at: Option<Instant>,
    by_customer: Received,
    by_agent: Received,
    progress_at: Instant,
    played: Played,
}

/// Plays `dialogue` on `stage` as its `number`th.
pub async fn play(stage: Arc<Stage>, dialogue: Arc<Dialogue>, number: usize) -> Played {
    let customer = stage.customer_key(number);
    let news = stage.switchboard.listen(&customer);
    let failed = |error: anyhow::Error| Some(format!("{error:#}"));
    let played = match Play::open(stage.clone(), dialogue, customer.clone(), news).await {
        Ok(mut play) => {
            let ended = play.perform(number).await;
            play.played.failure = ended.err().and_then(failed);
            play.played
        }
        Err(error) => Played {
            failure: failed(error),
            ..Default::default()
        },
    };
    stage.switchboard.forget(&customer);
    played
}

impl Play {
    /// Opens, and notes the first message if the customer speaks first.
    async fn open(
        stage: Arc<Stage>,
        dialogue: Arc<Dialogue>,
        customer: String,
        news: mailbox::Receiver<News>,
    ) -> anyhow::Result<Self> {
        let began = Instant::now();
        let request = api::OpenRequest {
            request_id: stage.customers.request_id(),
            account: stage.accounts.of(&dialogue.language).to_owned(),
            customer: customer.clone(),
            display_name: dialogue.id.clone(),
            language: dialogue.language.clone(),
            topics: dialogue.topics.clone(),
            text: dialogue.opening().to_owned(),
            ..Default::default()
        };
        let spoken = |sequence| Spoken {
            name: customer.clone(),
            request_id: request.request_id.clone(),
            sequence,
        };
        let opened = stage.open(request.clone()).await?;
        let conversation_id = opened.conversation_id;
        let mut play = Self {
            conversation: stage.customers.customer().attach(&conversation_id, 0),
            conversation_id: conversation_id.clone(),
            customer: customer.clone(),
            dialogue: dialogue.clone(),
            stage,
            news,
            owner: None,
            held: false,
            accepted_at: None,
            by_customer: Received::default(),
            by_agent: Received::default(),
            progress_at: Instant::now(),
            played: Played {
                conversation_id,
                ..Default::default()
            },
        };
        if !dialogue.opening().is_empty() {
            play.note(&dialogue.turns[0], spoken(opened.sequence), began);
        }
        play.wait_for_agent(began).await;
        Ok(play)
    }

    /// A wait that does not end is told by the first turn, which waits for the same.
    async fn wait_for_agent(&mut self, began: Instant) {
        let said = self.played.said.last().map_or(0, |said| said.sequence);
        let waited = self.until("an agent", |play| play.agent_has(said)).await;
        if let (Ok(()), Some(accepted_at)) = (waited, self.accepted_at) {
            let wait = accepted_at.saturating_duration_since(began);
            self.stage.measure(|figures| figures.wait.add(wait));
        }
    }

    async fn perform(&mut self, number: usize) -> anyhow::Result<()> {
        let dialogue = self.dialogue.clone();
        self.owner().await?;
        for turn in dialogue.turns.iter().skip(self.played.said.len()) {
            sleep(pause_before(&turn.text, self.stage.speed)).await;
            self.by_customer.arrivals.clear();
            self.by_agent.arrivals.clear();
            self.turn(turn).await?;
        }
        self.close().await?;
        let score = 1 + u32::try_from(number % 5)?;
        self.rate(score).await?;
        self.played.score = score;
        self.finish_wrap_up().await;
        Ok(())
    }

    /// Says one turn and waits until the other side has it.
    async fn turn(&mut self, turn: &Turn) -> anyhow::Result<()> {
        let began = Instant::now();
        let spoken = match turn.from {
            Side::Customer => self.say_as_customer(&turn.text).await?,
            Side::Agent => self.say_as_agent(&turn.text).await?,
        };
        let sequence = spoken.sequence;
        self.note(turn, spoken, began);
        let received = match turn.from {
            Side::Customer => {
                let has = |play: &Self| play.agent_has(sequence);
                self.until("the agent's receipt", has).await?;
                &self.by_agent
            }
            Side::Agent => {
                let has = |play: &Self| play.by_customer.last >= sequence;
                self.until("the customer's receipt", has).await?;
                &self.by_customer
            }
        };
        let delivered = received.first_at(sequence).saturating_duration_since(began);
        self.stage
            .measure(|figures| figures.delivery.add(delivered));
        Ok(())
    }

    fn note(&mut self, turn: &Turn, spoken: Spoken, began: Instant) {
        let now = Instant::now();
        self.progress_at = now;
        self.stage.measure(|figures| {
            figures.messages += 1;
            figures.ack.add(now - began);
        });
        self.stage.messages_done.inc(1);
        self.played.said.push(Said {
            from: turn.from,
            name: spoken.name,
            text: turn.text.clone(),
            request_id: spoken.request_id,
            sequence: spoken.sequence,
        });
    }

    fn agent_has(&self, sequence: u64) -> bool {
        self.owner.is_some() && self.held && self.by_agent.last >= sequence
    }

    /// The agent who holds the conversation and has all of it that was said.
    pub(super) async fn owner(&mut self) -> anyhow::Result<Owner> {
        let said = self.played.said.last().map_or(0, |said| said.sequence);
        self.until("an owner", |play| play.agent_has(said)).await?;
        self.owner
            .ok_or_else(|| anyhow::anyhow!("the owner left between two steps"))
    }

    /// Watches both clients until `reached`.
    async fn until(&mut self, what: &str, reached: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        while !reached(self) {
            let by = self.progress_at + PATIENCE;
            match timeout_at(by, self.step()).await {
                Ok(stepped) => stepped?,
                Err(_) => anyhow::bail!(
                    "no progress for {} s after turn {} while waiting for {what} \
                     (owner {:?}, agent has {}, customer has {})",
                    PATIENCE.as_secs(),
                    self.played.said.len(),
                    self.owner,
                    self.by_agent.last,
                    self.by_customer.last,
                ),
            }
        }
        Ok(())
    }

    /// Watches both clients while `work` goes on.
    pub(super) async fn while_watching<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> anyhow::Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                stepped = self.step() => stepped?,
            }
        }
    }

    /// After a failed attempt: waits a little, or fails when patience has ended.
    pub(super) async fn patience(&mut self, what: &str, error: &CallError) -> anyhow::Result<()> {
        if self.progress_at.elapsed() >= PATIENCE {
            anyhow::bail!("{what}: no progress for {} s: {error}", PATIENCE.as_secs());
        }
        tracing::debug!(conversation = self.conversation_id, what, %error, "asking again");
        self.while_watching(sleep(PAUSE)).await
    }

    /// The next thing that either client sees.
    async fn step(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            biased;
            news = self.news.recv() => match news {
                Some(news) => self.on_news(news),
                None => anyhow::bail!("the agents' clients have ended"),
            },
            event = self.conversation.next() => self.on_event(event)?,
        }
        Ok(())
    }

    fn on_news(&mut self, news: News) {
        let News { seat, at, what } = news;
        let owns = |play: &Self| play.owner.is_some_and(|owner| owner.seat == seat);
        match what {
            Seen::Accepted { epoch } => {
                self.accepted_at.get_or_insert(at);
                self.take_over(Owner { seat, epoch });
            }
            Seen::Held {
                epoch,
                last_sequence,
            } => {
                // An accept whose answer was lost shows in the next snapshot.
                self.accepted_at.get_or_insert(at);
                self.take_over(Owner { seat, epoch });
                if owns(self) {
                    self.held = true;
                    self.by_agent.up_to(last_sequence, at);
                }
            }
            Seen::Item { sequence } if owns(self) => self.by_agent.up_to(sequence, at),
            Seen::Gone if owns(self) => self.lose_owner(),
            Seen::Item { .. } | Seen::Gone => {}
        }
        self.progress_at = self.progress_at.max(at);
    }

    fn take_over(&mut self, owner: Owner) {
        match self.owner {
            Some(known) if known.epoch > owner.epoch => {}
            Some(known) if known.seat == owner.seat => self.owner = Some(owner),
            _ => {
                self.lose_owner();
                self.owner = Some(owner);
            }
        }
    }

    pub(super) fn lose_owner(&mut self) {
        self.owner = None;
        self.held = false;
        self.by_agent.last = 0;
    }

    fn on_event(&mut self, event: Option<Event>) -> anyhow::Result<()> {
        match event {
            Some(Event::Item(item)) => {
                let now = Instant::now();
                self.by_customer.up_to(item.sequence, now);
                self.progress_at = now;
            }
            Some(Event::Ended(error)) => self.attach_again(&error)?,
            None => anyhow::bail!("the customer's stream has ended"),
            Some(_) => {}
        }
        Ok(())
    }

    fn attach_again(&mut self, error: &CallError) -> anyhow::Result<()> {
        let closed = error.reason == ErrorReason::ConversationClosed;
        if !error.is_retryable() && !closed {
            anyhow::bail!("the customer's stream was refused: {error}");
        }
        let customer = self.stage.customers.customer();
        self.conversation = customer.attach(&self.conversation_id, self.by_customer.last);
        Ok(())
    }
}

impl Received {
    fn up_to(&mut self, sequence: u64, at: Instant) {
        self.last = self.last.max(sequence);
        self.arrivals.push((sequence, at));
    }

    fn first_at(&self, sequence: u64) -> Instant {
        let arrived = self.arrivals.iter().find(|(seen, _)| *seen >= sequence);
        arrived.map_or_else(Instant::now, |(_, at)| *at)
    }
}
