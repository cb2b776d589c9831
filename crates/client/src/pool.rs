//! Pool: the endpoints of a cluster and the connections to them.
//! Promise: the first healthy endpoint in order is used; one that failed is left alone for a while
//! that doubles; a connection carries a bounded number of streams; endpoints are bounded.
//! Not here: deciding that an endpoint failed (`call`, `link`).

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use pb::api::v1::Endpoint;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::error::{CallError, Kind};
use crate::options::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, Options};
use crate::seams::Seams;

/// Three sites of eight nodes, and room for their successors.
const ENDPOINTS_MAX: usize = 32;
/// An endpoint that failed once is left alone for about this long.
const SHUN_BASE: Duration = Duration::from_millis(500);
/// It is tried again at least this often.
const SHUN_MAX: Duration = Duration::from_secs(10);
/// 2^5 half seconds is above [`SHUN_MAX`].
const SHUN_DOUBLINGS_MAX: u32 = 5;

/// Endpoints in order of preference.
pub(crate) struct Pool {
    known: Mutex<Vec<Known>>,
    options: Options,
    seams: Seams,
}

struct Known {
    address: String,
    node: String,
    connections: Vec<Connection>,
    /// Counts failures for ever, so that many streams that lose one connection count once.
    generation: u64,
    failures: u32,
    shunned_until: Option<Instant>,
}

struct Connection {
    channel: Channel,
    /// Held once here and once by each stream or call.
    users: Arc<()>,
}

/// The right to use one connection for one stream or call.
pub(crate) struct Lease {
    pub(crate) channel: Channel,
    pub(crate) address: String,
    generation: u64,
    _user: Arc<()>,
}

/// What the caller knows about where to go.
#[derive(Clone, Default)]
pub(crate) struct Wish {
    /// The endpoint that has just failed the caller.
    pub(crate) avoid: Option<String>,
    /// The node or address that leads.
    pub(crate) leader: Option<String>,
}

impl Pool {
    pub(crate) fn new(
        addresses: Vec<String>,
        options: Options,
        seams: Seams,
    ) -> Result<Self, CallError> {
        let pool = Self {
            known: Mutex::new(Vec::new()),
            options,
            seams,
        };
        for address in addresses {
            if uri_of(&address).is_none() {
                let message = format!("`{address}` is not an address of the form host:port");
                return Err(CallError::local(Kind::Defect, message));
            }
            pool.add(address, String::new());
        }
        if pool.known.lock().is_empty() {
            return Err(CallError::local(Kind::Defect, "no endpoint was given"));
        }
        Ok(pool)
    }

    /// Known addresses, best first.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let known = self.known.lock();
        known.iter().map(|known| known.address.clone()).collect()
    }

    /// Takes over endpoints that the cluster named, after those that were given.
    pub(crate) fn learn(&self, endpoints: &[Endpoint]) {
        if !self.options.learn_endpoints {
            return;
        }
        for endpoint in endpoints {
            if uri_of(&endpoint.address).is_some() {
                self.add(endpoint.address.clone(), endpoint.node.clone());
            }
        }
    }

    fn add(&self, address: String, node: String) {
        let mut known = self.known.lock();
        if let Some(present) = known.iter_mut().find(|known| known.address == address) {
            if !node.is_empty() {
                present.node = node;
            }
        } else if known.len() < ENDPOINTS_MAX {
            known.push(Known {
                address,
                node,
                connections: Vec::new(),
                generation: 0,
                failures: 0,
                shunned_until: None,
            });
        }
    }

    /// A connection for one stream or call.
    pub(crate) fn pick(&self, wish: &Wish) -> Lease {
        let mut known = self.known.lock();
        let at = choose(&known, wish, Instant::now());
        let chosen = &mut known[at];
        let (channel, user) = self.connection_of(chosen);
        Lease {
            channel,
            address: chosen.address.clone(),
            generation: chosen.generation,
            _user: user,
        }
    }

    fn connection_of(&self, known: &mut Known) -> (Channel, Arc<()>) {
        let in_use = |connection: &Connection| Arc::strong_count(&connection.users) - 1;
        let least = known
            .connections
            .iter()
            .enumerate()
            .min_by_key(|(_, c)| in_use(c));
        let room = least.filter(|(_, connection)| {
            in_use(connection) < self.options.streams_per_connection
                || known.connections.len() >= self.options.connections_per_endpoint
        });
        let at = match room {
            Some((at, _)) => at,
            None => {
                known.connections.push(self.dial(&known.address));
                known.connections.len() - 1
            }
        };
        let connection = &known.connections[at];
        (connection.channel.clone(), connection.users.clone())
    }

    fn dial(&self, address: &str) -> Connection {
        let uri = uri_of(address).unwrap_or_default();
        let seams = self.seams.clone();
        let spawner = self.seams.clone();
        let patience = self.options.connect_timeout;
        let target = address.to_owned();
        let connector = tower::service_fn(move |_: Uri| {
            let dialling = seams.dial.dial(target.clone());
            async move {
                match tokio::time::timeout(patience, dialling).await {
                    Ok(connected) => connected.map(TokioIo::new),
                    Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
                }
            }
        });
        let channel = Channel::builder(uri)
            .executor(Executor(spawner))
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(false)
            .connect_with_connector_lazy(connector);
        Connection {
            channel,
            users: Arc::new(()),
        }
    }

    /// The endpoint answered.
    pub(crate) fn worked(&self, lease: &Lease) {
        let mut known = self.known.lock();
        if let Some(known) = known
            .iter_mut()
            .find(|known| known.address == lease.address)
        {
            known.failures = 0;
            known.shunned_until = None;
        }
    }

    /// The endpoint failed: it is left alone for a while, and its connections are given up.
    pub(crate) fn failed(&self, lease: &Lease) {
        let mut known = self.known.lock();
        let failed = known
            .iter_mut()
            .find(|known| known.address == lease.address && known.generation == lease.generation);
        if let Some(known) = failed {
            let longest = SHUN_BASE
                .saturating_mul(1 << known.failures.min(SHUN_DOUBLINGS_MAX))
                .min(SHUN_MAX);
            let half_us = u64::try_from(longest.as_micros() / 2).unwrap_or(u64::MAX);
            let pause = longest / 2 + Duration::from_micros(self.seams.up_to(half_us));
            known.shunned_until = Some(Instant::now() + pause);
            known.failures = known.failures.saturating_add(1);
            known.generation += 1;
            known.connections.clear();
        }
    }
}

/// The leader if it is known and healthy; else the first healthy one; else the one that is healthy
/// soonest. Never the one to avoid unless it is the only one.
fn choose(known: &[Known], wish: &Wish, now: Instant) -> usize {
    let shunned = |known: &Known| known.shunned_until.is_some_and(|until| until > now);
    let avoided = |known: &Known| wish.avoid.as_deref() == Some(known.address.as_str());
    let leads = |known: &Known| {
        wish.leader
            .as_deref()
            .is_some_and(|leader| leader == known.node || leader == known.address)
    };
    let healthy = |known: &Known| !shunned(known) && !avoided(known);
    known
        .iter()
        .position(|known| leads(known) && healthy(known))
        .or_else(|| known.iter().position(healthy))
        .or_else(|| {
            let candidates = known
                .iter()
                .enumerate()
                .filter(|(_, known)| !avoided(known));
            candidates
                .min_by_key(|(_, known)| known.shunned_until)
                .map(|(at, _)| at)
        })
        .unwrap_or(0)
}

fn uri_of(address: &str) -> Option<Uri> {
    let uri: Uri = format!("http://{address}").parse().ok()?;
    uri.port_u16()?;
    uri.host()
        .is_some_and(|host| !host.is_empty())
        .then_some(uri)
}

/// Hands the tasks of tonic and hyper to the spawner.
#[derive(Clone)]
struct Executor(Seams);

impl hyper::rt::Executor<BoxFuture<'static, ()>> for Executor {
    fn execute(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn.spawn("connection", task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        let addresses = ["a:1", "b:1", "c:1"].map(str::to_owned).to_vec();
        Pool::new(addresses, Options::default(), Seams::default()).expect("addresses are good")
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_endpoint_is_used_until_it_fails_and_again_after_a_while() {
        let pool = pool();
        let first = pool.pick(&Wish::default());
        assert_eq!(first.address, "a:1");
        pool.failed(&first);
        assert_eq!(pool.pick(&Wish::default()).address, "b:1");
        tokio::time::advance(SHUN_BASE).await;
        assert_eq!(pool.pick(&Wish::default()).address, "a:1");
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_lose_one_connection_together_count_as_one_failure() {
        let pool = pool();
        let leases: Vec<Lease> = (0..50).map(|_| pool.pick(&Wish::default())).collect();
        leases.iter().for_each(|lease| pool.failed(lease));
        assert_eq!(pool.known.lock()[0].failures, 1);
    }

    #[tokio::test]
    async fn when_all_have_failed_the_one_to_avoid_comes_last() {
        let pool = pool();
        for _ in 0..3 {
            pool.failed(&pool.pick(&Wish::default()));
        }
        let wish = Wish {
            avoid: Some("a:1".to_owned()),
            leader: None,
        };
        assert_ne!(pool.pick(&wish).address, "a:1");
    }

    #[tokio::test]
    async fn a_leader_that_is_known_by_its_node_is_asked_first() {
        let pool = pool();
        pool.learn(&[Endpoint {
            site: "fra".to_owned(),
            node: "fra-n1".to_owned(),
            address: "c:1".to_owned(),
        }]);
        let wish = Wish {
            avoid: None,
            leader: Some("fra-n1".to_owned()),
        };
        assert_eq!(pool.pick(&wish).address, "c:1");
    }

    #[tokio::test]
    async fn a_connection_carries_a_hundred_streams() {
        let pool = pool();
        let leases: Vec<Lease> = (0..250).map(|_| pool.pick(&Wish::default())).collect();
        assert_eq!(pool.known.lock()[0].connections.len(), 3);
        drop(leases);
        drop(
            (0..100)
                .map(|_| pool.pick(&Wish::default()))
                .collect::<Vec<_>>(),
        );
        assert_eq!(pool.known.lock()[0].connections.len(), 3);
    }

    #[tokio::test]
    async fn learned_endpoints_come_after_the_given_ones_and_are_bounded() {
        let pool = pool();
        let many: Vec<Endpoint> = (0..100)
            .map(|at| Endpoint {
                site: String::new(),
                node: format!("n{at}"),
                address: format!("h{at}:1"),
            })
            .collect();
        pool.learn(&many);
        assert_eq!(pool.addresses().len(), ENDPOINTS_MAX);
        assert_eq!(pool.addresses()[..3], ["a:1", "b:1", "c:1"]);
    }

    #[test]
    fn an_address_without_a_port_is_refused() {
        for bad in ["", "host", "http://a:1", "a b:1", ":1"] {
            let made = Pool::new(vec![bad.to_owned()], Options::default(), Seams::default());
            assert!(made.is_err(), "{bad}");
        }
    }
}
