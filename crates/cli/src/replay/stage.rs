//! Stage: what all plays of one replay share.
//! Promise: customers' clients are at the first node, agents' at the second, transcripts are read at
//! the third; each falls back on the others when its own is gone.
//! Not here: one dialogue (`play`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::api::{self, ErrorReason};
use client::{CallError, Client, Options, RETRY_FOR_MAX, Transcript};
use indicatif::ProgressBar;
use tokio::time::{Instant, sleep};

use super::accounts::Accounts;
use super::desks::{CUSTOMER_PREFIX, Desks};
use super::figures::Figures;
use super::play::{PATIENCE, PAUSE};
use super::switchboard::Switchboard;
use crate::args::Speed;

/// A person types about so many characters in a second.
const TYPED_PER_S: f64 = 5.0;
/// The longest pause before a turn at speed 1.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The pause before `text` is said.
pub fn pause_before(text: &str, speed: Speed) -> Duration {
    let Speed::Times(times) = speed else {
        return Duration::ZERO;
    };
    let typed = Duration::from_secs_f64((text.chars().count() as f64) / TYPED_PER_S);
    // A speed next to zero would divide to more than a duration holds.
    Duration::try_from_secs_f64(typed.min(PAUSE_MAX).as_secs_f64() / times).unwrap_or(PAUSE_MAX)
}

/// The three clients of a replay.
#[derive(Clone)]
pub struct Clients {
    /// Customers.
    pub customers: Client,
    /// Agents.
    pub agents: Client,
    /// Reads transcripts.
    pub reader: Client,
}

impl Clients {
    /// At three nodes of the cluster behind `given`, which are the first three if there are as many,
    /// else those that the first answer names.
    pub async fn connect(given: &[String]) -> anyhow::Result<Self> {
        let first = client_at(given, 0)?;
        let mut addresses = given.to_vec();
        if addresses.len() < 3 {
            let status = first
                .operator()
                .get_status(api::GetStatusRequest {})
                .await?;
            let named = status.nodes.into_iter().filter(|node| node.reachable);
            for address in named.map(|node| node.api_address) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Ok(Self {
            customers: client_at(&addresses, 0)?,
            agents: client_at(&addresses, 1)?,
            reader: client_at(&addresses, 2)?,
        })
    }
}

/// A client that prefers the address at `at` and falls back on the others.
fn client_at(addresses: &[String], at: usize) -> Result<Client, CallError> {
    let mut order = addresses.to_vec();
    if !order.is_empty() {
        let len = order.len();
        order.rotate_left(at % len);
    }
    let options = Options {
        // A node that is restarted is back within seconds; a figure above this is a failure anyway.
        call_budget: RETRY_FOR_MAX,
        ..Options::default()
    };
    Client::connect(order, options)
}

/// What all plays share.
pub struct Stage {
    /// Customers' clients.
    pub customers: Client,
    /// Agents' clients.
    pub agents: Client,
    /// Reads transcripts.
    pub reader: Client,
    /// Where customers write in.
    pub accounts: Accounts,
    /// The agents.
    pub desks: Desks,
    /// Who hears of what.
    pub switchboard: Arc<Switchboard>,
    /// How fast turns follow each other.
    pub speed: Speed,
    /// Tells this replay's customers from those of another.
    pub run: String,
    /// Messages on the progress bar.
    pub messages_done: ProgressBar,
    /// What is measured.
    pub figures: Mutex<Figures>,
}

impl Stage {
    /// The key of the customer of the `number`th dialogue.
    pub fn customer_key(&self, number: usize) -> String {
        format!("{CUSTOMER_PREFIX}{}-{number}", self.run)
    }

    /// Adds to the figures.
    pub fn measure(&self, add: impl FnOnce(&mut Figures)) {
        add(&mut self.figures.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Opens, as long as patience lasts. A full line is waited for: others leave it.
    pub async fn open(&self, request: api::OpenRequest) -> anyhow::Result<api::OpenResponse> {
        let began = Instant::now();
        loop {
            let error = match self.customers.customer().open(request.clone()).await {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            let passes = error.is_retryable() || error.reason == ErrorReason::QueueFull;
            if !passes || began.elapsed() >= PATIENCE {
                anyhow::bail!("it was not opened: {error} ({})", error.reason_name());
            }
            sleep(PAUSE).await;
        }
    }

    /// Reads a transcript at the third node, as long as patience lasts.
    pub async fn read_back(&self, conversation_id: &str) -> anyhow::Result<Transcript> {
        let began = Instant::now();
        loop {
            let error = match self.reader.customer().transcript(conversation_id).await {
                Ok(transcript) => return Ok(transcript),
                Err(error) => error,
            };
            if !error.is_retryable() || began.elapsed() >= PATIENCE {
                anyhow::bail!(
                    "its transcript was not read: {error} ({})",
                    error.reason_name()
                );
            }
            sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_speed_is_half_the_pause() {
        let text = "ten chars!";
        let pause = |speed| pause_before(text, speed);
        assert_eq!(pause(Speed::Times(1.0)), Duration::from_secs(2));
        assert_eq!(pause(Speed::Times(2.0)), Duration::from_secs(1));
        assert_eq!(pause(Speed::Max), Duration::ZERO);
        assert_eq!(pause(Speed::Times(1e-300)), PAUSE_MAX);
    }
}
