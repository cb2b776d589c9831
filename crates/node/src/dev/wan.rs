//! Round trips between sites that stand in one process.
//! Promise: bytes keep their order; each direction is late by half of the pair's round trip; the
//! bytes under way are bounded.
//! Not here: loss, cuts and rates (the simulation and `chaos`).

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use runtime::{BoxConn, Env, Lane, Listener, Network, mailbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, duplex, split};
use tokio::time::Instant;

use crate::Profile;

/// Round trips between the sites of `dev --wan`, milliseconds: Shanghai, Frankfurt, Virginia.
const ROUND_TRIPS_MS: [(&str, &str, u64); 3] =
    [("sha", "fra", 220), ("sha", "iad", 220), ("fra", "iad", 90)];
/// A round trip up to this is `regional`.
const REGIONAL_MS_MAX: u64 = 60;
/// Bytes read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces under way in one direction: at least 4 MiB, more than a window of 250 ms.
const PIECES_MAX: usize = 1_024;

/// The profile that fits the distances.
pub(super) fn profile() -> Profile {
    let longest = ROUND_TRIPS_MS
        .iter()
        .map(|(_, _, ms)| *ms)
        .max()
        .unwrap_or(0);
    if longest > REGIONAL_MS_MAX {
        Profile::Global
    } else {
        Profile::Regional
    }
}

/// How long a byte takes from one site to another.
#[must_use]
pub fn one_way(from: &str, to: &str) -> Duration {
    let pair = |(a, b, _): &&(&str, &str, u64)| (*a, *b) == (from, to) || (*b, *a) == (from, to);
    let round_trip = ROUND_TRIPS_MS.iter().find(pair).map_or(0, |(_, _, ms)| *ms);
    Duration::from_millis(round_trip / 2)
}

/// The sites of one process: which port belongs to which. Clones share it.
#[derive(Clone, Default)]
pub struct Links {
    delayed: bool,
    ports: Arc<Mutex<BTreeMap<u16, String>>>,
}

impl Links {
    /// Links with the round trips of real distances, or without any.
    #[must_use]
    pub fn new(delayed: bool) -> Self {
        Self {
            delayed,
            ports: Arc::default(),
        }
    }

    /// The network of `env` as a node of `site` has it.
    #[must_use]
    pub fn wrap(&self, env: &Env, site: &str) -> Arc<dyn Network> {
        if !self.delayed {
            return env.network.clone();
        }
        Arc::new(Wan {
            inner: env.network.clone(),
            site: site.to_owned(),
            ports: self.ports.clone(),
            lane: env.edge.clone(),
        })
    }
}

struct Wan {
    inner: Arc<dyn Network>,
    site: String,
    ports: Arc<Mutex<BTreeMap<u16, String>>>,
    lane: Lane,
}

#[async_trait]
impl Network for Wan {
    async fn listen(&self, addr: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let listener = self.inner.listen(addr).await?;
        self.ports
            .lock()
            .insert(listener.local_addr()?.port(), self.site.clone());
        Ok(listener)
    }

    async fn dial(&self, addr: &str) -> io::Result<BoxConn> {
        let port = addr
            .rsplit(':')
            .next()
            .and_then(|port| port.parse::<u16>().ok());
        let to = port.and_then(|port| self.ports.lock().get(&port).cloned());
        let delay = to.map_or(Duration::ZERO, |to| one_way(&self.site, &to));
        // SYN and SYN-ACK are on the way as long as anything else.
        tokio::time::sleep(delay * 2).await;
        let far = self.inner.dial(addr).await?;
        if delay.is_zero() {
            return Ok(far);
        }
        let (near, inside) = duplex(PIECE_BYTES);
        let (from_near, to_near) = split(inside);
        let (from_far, to_far) = split(far);
        carry(&self.lane, from_near, to_far, delay);
        carry(&self.lane, from_far, to_near, delay);
        Ok(Box::new(near))
    }
}

/// Carries one direction, each piece late by `delay`; the end of the stream as well.
fn carry<A, B>(lane: &Lane, from: ReadHalf<A>, to: WriteHalf<B>, delay: Duration)
where
    A: tokio::io::AsyncRead + Send + 'static,
    B: tokio::io::AsyncWrite + Send + 'static,
{
    let (give, take) = mailbox::bounded("wan", PIECES_MAX);
    lane.spawn("wan read", read(from, give, delay)).detach();
    lane.spawn("wan write", write(take, to)).detach();
}

async fn read<A: tokio::io::AsyncRead>(
    mut from: ReadHalf<A>,
    give: mailbox::Sender<(Instant, Bytes)>,
    delay: Duration,
) {
    loop {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let read = tokio::select! {
            biased;
            () = give.closed() => return,
            read = from.read_buf(&mut piece) => read,
        };
        // An empty piece is the end.
        let ended = !matches!(read, Ok(more) if more > 0);
        if give
            .send((Instant::now() + delay, piece.freeze()))
            .await
            .is_err()
            || ended
        {
            return;
        }
    }
}

async fn write<B: tokio::io::AsyncWrite>(
    mut take: mailbox::Receiver<(Instant, Bytes)>,
    mut to: WriteHalf<B>,
) {
    while let Some((due, piece)) = take.recv().await {
        tokio::time::sleep_until(due).await;
        if piece.is_empty() {
            break;
        }
        if to.write_all(&piece).await.is_err() || (take.is_empty() && to.flush().await.is_err()) {
            return;
        }
    }
    // The other side may have closed first.
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use runtime::memory;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_arrive_in_order_and_late_by_half_a_round_trip() {
        let env = memory::env(1);
        let links = Links::new(true);
        let (sha, fra) = (links.wrap(&env, "sha"), links.wrap(&env, "fra"));
        let mut listener = fra.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let start = Instant::now();
        let mut near = sha.dial(&address).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_millis(220));
        let (mut far, _) = listener.accept().await.unwrap();
        let start = Instant::now();
        near.write_all(b"one").await.unwrap();
        near.write_all(b"two").await.unwrap();
        let mut heard = [0; 6];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"onetwo");
        assert_eq!(start.elapsed(), Duration::from_millis(110));
        drop(near);
        assert_eq!(far.read(&mut heard).await.unwrap(), 0);
    }

    #[test]
    fn the_distances_of_dev_need_the_global_profile() {
        assert_eq!(profile(), Profile::Global);
        assert_eq!(one_way("iad", "fra"), Duration::from_millis(45));
        assert_eq!(one_way("fra", "fra"), Duration::ZERO);
    }
}
