//! Desks: the agents of the plan, one Work stream each, who take what the machine offers them.
//! Promise: an offer of a play is shown and accepted at once; a seat whose stream ended logs in again;
//! what earlier replays left behind is closed, what others own is passed by; sessions that were begun
//! here are ended here.
//! Not here: what agents say (`play`), who hears of it (`switchboard`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::api::{self, work_request::Request};
use client::{AgentDesk, Client, DeskEvent, DeskHand, DeskLogin};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use runtime::{Lane, Stop, StopSource, Task};
use tokio::sync::watch;
use tokio::time::Instant;

use super::switchboard::{News, Seen, Switchboard};

/// Customers of replays are named so; what is named so and not of this replay was left behind.
pub const CUSTOMER_PREFIX: &str = "replay-";
/// A seat whose stream ended logs in again after this.
const PAUSE: Duration = Duration::from_millis(500);

/// All seats.
pub struct Desks {
    seats: Vec<Arc<Seat>>,
    tasks: Vec<Task<()>>,
    stop: StopSource,
}

/// One agent's seat.
struct Seat {
    index: usize,
    agent: String,
    /// Whether the agent was logged in before: then only this device leaves at the end.
    was_here: bool,
    device_id: String,
    hand: watch::Sender<Option<DeskHand>>,
    switchboard: Arc<Switchboard>,
}

type Acting = FuturesUnordered<BoxFuture<'static, ()>>;

impl Desks {
    /// Seats `agents`.
    pub fn open(
        client: &Client,
        lane: &Lane,
        agents: &[api::AgentSummary],
        switchboard: &Arc<Switchboard>,
    ) -> Self {
        let stop = StopSource::new();
        let mut seats = Vec::new();
        let mut tasks = Vec::new();
        for (index, agent) in agents.iter().enumerate() {
            let seat = Arc::new(Seat {
                index,
                agent: agent.agent.clone(),
                was_here: agent.session != 0,
                device_id: client.request_id(),
                hand: watch::Sender::new(None),
                switchboard: switchboard.clone(),
            });
            let attend = seat.clone().attend(client.clone(), stop.token());
            tasks.push(lane.spawn("seat", attend));
            seats.push(seat);
        }
        Self { seats, tasks, stop }
    }

    /// The agent's name at a seat.
    pub fn agent(&self, seat: usize) -> &str {
        &self.seats[seat].agent
    }

    /// The seat's hand, as soon as the agent has one.
    pub async fn hand(&self, seat: usize) -> DeskHand {
        let mut hands = self.seats[seat].hand.subscribe();
        loop {
            if let Some(hand) = hands.borrow_and_update().clone() {
                return hand;
            }
            if hands.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Ends the sessions and waits until all have.
    pub async fn close(self) {
        self.stop.stop();
        for task in self.tasks {
            // A seat that panicked has been logged by its lane.
            task.await.ok();
        }
    }
}

impl Seat {
    async fn attend(self: Arc<Self>, client: Client, stop: Stop) {
        while !stop.is_stopped() {
            let desk = client.agent().desk(DeskLogin {
                agent: self.agent.clone(),
                device_id: self.device_id.clone(),
                session: 0,
                ready: true,
            });
            self.hand.send_replace(Some(desk.hand()));
            self.serve(desk, &stop).await;
            self.hand.send_replace(None);
            tokio::select! {
                biased;
                () = stop.stopped() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Until the desk ends or the replay is over.
    async fn serve(&self, mut desk: AgentDesk, stop: &Stop) {
        let hand = desk.hand();
        let mut acting = Acting::new();
        let mut customers = BTreeMap::new();
        loop {
            tokio::select! {
                biased;
                () = stop.stopped() => break,
                Some(()) = acting.next() => {}
                event = desk.next() => match event {
                    None => return,
                    Some(DeskEvent::Ended(error)) => {
                        tracing::warn!(agent = self.agent, %error, "the desk ended");
                        return;
                    }
                    Some(event) => self.on(event, &hand, &mut acting, &mut customers).await,
                },
            }
        }
        self.leave(&hand).await;
    }

    async fn leave(&self, hand: &DeskHand) {
        let device_id = match self.was_here {
            true => self.device_id.clone(),
            false => String::new(),
        };
        let leave = Request::LogOut(api::LogOutRequest {
            device_id,
            ..Default::default()
        });
        if let Err(error) = hand.act(leave).await {
            tracing::debug!(agent = self.agent, %error, "the session was not ended");
        }
    }

    async fn on(
        &self,
        event: DeskEvent,
        hand: &DeskHand,
        acting: &mut Acting,
        customers: &mut BTreeMap<String, String>,
    ) {
        match event {
            DeskEvent::Offer(offer) => self.on_offer(offer, hand, acting),
            DeskEvent::Held(held) => self.on_held(held, hand, acting, customers).await,
            DeskEvent::Item {
                conversation_id,
                item,
            } => {
                let sequence = item.sequence;
                let customer = customers.get(&conversation_id);
                self.tell(customer, Seen::Item { sequence }).await;
            }
            DeskEvent::Gone(gone) => {
                let customer = customers.remove(&gone.conversation_id);
                self.tell(customer.as_ref(), Seen::Gone).await;
            }
            DeskEvent::Agent(agent) => self.on_agent(&agent, hand, acting),
            _ => {}
        }
    }

    fn on_offer(&self, offer: api::Offer, hand: &DeskHand, acting: &mut Acting) {
        let customer = offer.conversation.as_ref().map_or("", |it| &it.customer);
        let ours = customer.starts_with(CUSTOMER_PREFIX);
        hand.offer_shown(&offer.offer_id);
        let (hand, seat) = (hand.clone(), self.index);
        let (customer, switchboard) = (customer.to_owned(), self.switchboard.clone());
        acting.push(Box::pin(async move {
            if !ours {
                let why = "not of this replay";
                let declined = hand.decline(&offer.offer_id, why).await;
                return log("decline", declined.err());
            }
            match hand.accept(&offer).await {
                Ok(done) => {
                    let epoch = done.owner_epoch;
                    let (at, what) = (Instant::now(), Seen::Accepted { epoch });
                    switchboard.tell(&customer, News { seat, at, what }).await;
                }
                Err(failed) => log("accept", Some(failed)),
            }
        }));
    }

    async fn on_held(
        &self,
        held: api::HeldConversation,
        hand: &DeskHand,
        acting: &mut Acting,
        customers: &mut BTreeMap<String, String>,
    ) {
        let Some(conversation) = held.conversation else {
            return;
        };
        let customer = conversation.customer;
        let (id, epoch) = (conversation.conversation_id, conversation.owner_epoch);
        if self.switchboard.knows(&customer) {
            let last_sequence = held.items.last().map_or(0, |item| item.sequence);
            let seen = Seen::Held {
                epoch,
                last_sequence,
            };
            self.tell(Some(&customer), seen).await;
            customers.insert(id, customer);
        } else if customer.starts_with(CUSTOMER_PREFIX) {
            let hand = hand.clone();
            acting.push(Box::pin(async move {
                // Refused when it is in wrap-up already: then only the second step is left.
                log(
                    "close",
                    hand.close(&id, epoch, "left behind by a replay")
                        .await
                        .err(),
                );
                log("wrap-up", hand.finish_wrap_up(&id, epoch).await.err());
            }));
        }
    }

    fn on_agent(&self, agent: &api::AgentSummary, hand: &DeskHand, acting: &mut Acting) {
        let ready = agent.intent.as_ref().is_some_and(|intent| intent.ready);
        if agent.session != 0 && !ready {
            let hand = hand.clone();
            let intent = api::Intent {
                ready: true,
                reason: String::new(),
            };
            acting.push(Box::pin(async move {
                log("ready", hand.set_intent(intent).await.err());
            }));
        }
    }

    async fn tell(&self, customer: Option<&String>, what: Seen) {
        if let Some(customer) = customer {
            let (seat, at) = (self.index, Instant::now());
            self.switchboard
                .tell(customer, News { seat, at, what })
                .await;
        }
    }
}

fn log(act: &str, failed: Option<client::ActFailed>) {
    if let Some(error) = failed {
        tracing::debug!(act, %error, "an act of an agent failed");
    }
}
