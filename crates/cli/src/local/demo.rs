//! The demo of `antiphon dev`: sample dialogues, so that something moves on the floor.
//! Promise: goes through the public API like anybody else; ends with the process.
//! Not here: real dialogues (`replay`).

mod sample;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::{Client, DeskEvent, DeskHand, DeskLogin, Event, Options, api};
use runtime::Lane;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use sample::{Dialogue, Side};

/// A new conversation comes this often.
const EVERY: Duration = Duration::from_secs(4);
/// Between two turns.
const TURN_PAUSE: Duration = Duration::from_millis(1_500);
/// Between an offer and its accept: people read first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(800);
/// A conversation that nobody takes is left.
const ACCEPT_WAIT: Duration = Duration::from_secs(120);
/// Two agents a language; the others are for whoever tries something.
const AGENTS_PER_LANGUAGE: usize = 2;
/// The demo's customers, told from others by this.
const CUSTOMER: &str = "demo-";

/// The agent who took a conversation and the epoch in which the agent speaks.
type Taken = (DeskHand, u64);

/// Who waits for an agent, by customer.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<HashMap<String, oneshot::Sender<Taken>>>>);

impl Waiting {
    fn enter(&self, customer: &str) -> oneshot::Receiver<Taken> {
        let (taken, wait) = oneshot::channel();
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(customer.to_owned(), taken);
        wait
    }

    fn take(&self, customer: &str) -> Option<oneshot::Sender<Taken>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(customer)
    }
}

/// Plays for ever.
pub async fn play(addresses: Vec<String>, lane: Lane) {
    let client = match Client::connect(addresses, Options::default()) {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "the demo does not start"),
    };
    let waiting = Waiting::default();
    match client.supervisor().agents("").await {
        Ok(agents) => seat(&client, agents, &waiting, &lane),
        Err(error) => return tracing::error!(%error, "the demo has no agents"),
    }
    for (count, dialogue) in sample::DIALOGUES.iter().cycle().enumerate() {
        let play = one(client.clone(), dialogue, count, waiting.clone());
        lane.spawn("demo dialogue", play).detach();
        sleep(EVERY).await;
    }
}

/// Gives seats to the first agents of each language.
fn seat(client: &Client, agents: Vec<api::AgentSummary>, waiting: &Waiting, lane: &Lane) {
    let mut seated: HashMap<String, usize> = HashMap::new();
    for agent in agents {
        let needed = agent
            .languages
            .keys()
            .any(|language| seated.get(language).copied().unwrap_or(0) < AGENTS_PER_LANGUAGE);
        if needed {
            for language in agent.languages.keys() {
                *seated.entry(language.clone()).or_default() += 1;
            }
            let work = work(client.clone(), agent.agent, waiting.clone(), lane.clone());
            lane.spawn("demo agent", work).detach();
        }
    }
}

async fn work(client: Client, agent: String, waiting: Waiting, lane: Lane) {
    let mut desk = client.agent().desk(DeskLogin {
        agent,
        ready: true,
        ..DeskLogin::default()
    });
    while let Some(event) = desk.next().await {
        if let DeskEvent::Offer(offer) = event {
            let summary = offer.conversation.clone().unwrap_or_default();
            if summary.customer.starts_with(CUSTOMER) {
                lane.spawn("demo accept", accept(desk.hand(), offer, waiting.clone()))
                    .detach();
            }
        }
    }
}

async fn accept(hand: DeskHand, offer: api::Offer, waiting: Waiting) {
    hand.offer_shown(&offer.offer_id);
    sleep(ACCEPT_PAUSE).await;
    let Ok(done) = hand.accept(&offer).await else {
        return; // lapsed or taken back
    };
    let customer = offer.conversation.unwrap_or_default().customer;
    if let Some(taken) = waiting.take(&customer) {
        taken.send((hand, done.owner_epoch)).ok();
    }
}

async fn one(client: Client, dialogue: &'static Dialogue, count: usize, waiting: Waiting) {
    let customer = format!("{CUSTOMER}{count}-{}", client.request_id());
    let wait = waiting.enter(&customer);
    if let Err(error) = talk(&client, dialogue, &customer, wait).await {
        tracing::info!(%error, "a demo dialogue ended early");
    }
    waiting.take(&customer);
}

async fn talk(
    client: &Client,
    dialogue: &Dialogue,
    customer: &str,
    wait: oneshot::Receiver<Taken>,
) -> anyhow::Result<()> {
    let customers = client.customer();
    let opened = customers
        .open(api::OpenRequest {
            account: dialogue.account.to_owned(),
            customer: customer.to_owned(),
            display_name: dialogue.name.to_owned(),
            language: dialogue.language.to_owned(),
            topics: vec![dialogue.topic.to_owned()],
            text: dialogue.opening.to_owned(),
            ..Default::default()
        })
        .await?;
    let id = &opened.conversation_id;
    let mut followed = customers.attach(id, 0);
    let writer = followed.writer();
    let reading = async { while !matches!(followed.next().await, None | Some(Event::Ended(_))) {} };
    let talking = async {
        let (hand, epoch) = timeout(ACCEPT_WAIT, wait).await??;
        for (side, text) in dialogue.turns {
            sleep(TURN_PAUSE).await;
            match side {
                Side::Customer => drop(writer.send(text).await?),
                Side::Agent => drop(hand.reply(id, epoch, text).await?),
            }
        }
        sleep(TURN_PAUSE).await;
        hand.close(id, epoch, "answered").await?;
        hand.finish_wrap_up(id, epoch).await.ok(); // the queue may have no wrap-up
        let rate = api::RateRequest {
            conversation_id: id.clone(),
            score: 5,
            ..Default::default()
        };
        customers.rate(rate).await?;
        anyhow::Ok(())
    };
    tokio::select! {
        biased;
        done = talking => done,
        () = reading => Ok(()),
    }
}
