//! Seams: the connector, the random source and the spawner that the SDK is given.
//! Promise: the SDK touches the outside through these and `tokio::time` alone, so that it runs in a
//! simulation as it runs in production.
//! Not here: what is sent (`pool`, `link`).

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection: bytes in, bytes out.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// A boxed connection.
pub type BoxIo = Box<dyn Io>;

/// Dials.
pub trait Dial: Send + Sync + 'static {
    /// Connects to `host:port`. The SDK bounds the time that it takes.
    fn dial(&self, address: String) -> BoxFuture<'static, io::Result<BoxIo>>;
}

impl<F, Fut> Dial for F
where
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = io::Result<BoxIo>> + Send + 'static,
{
    fn dial(&self, address: String) -> BoxFuture<'static, io::Result<BoxIo>> {
        Box::pin(self(address))
    }
}

/// Draws numbers.
pub trait Source: Send + Sync + 'static {
    /// The next number, all 64 bits random.
    fn next_u64(&self) -> u64;
}

impl<F: Fn() -> u64 + Send + Sync + 'static> Source for F {
    fn next_u64(&self) -> u64 {
        self()
    }
}

/// Starts tasks.
pub trait Spawn: Send + Sync + 'static {
    /// Runs `task` until it ends by itself.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);
}

impl<F: Fn(&'static str, BoxFuture<'static, ()>) + Send + Sync + 'static> Spawn for F {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self(name, task);
    }
}

/// What the SDK is given of the outside.
#[derive(Clone)]
pub struct Seams {
    /// The connector.
    pub dial: Arc<dyn Dial>,
    /// The random source: jitter and request ids.
    pub source: Arc<dyn Source>,
    /// The spawner.
    pub spawn: Arc<dyn Spawn>,
}

impl Default for Seams {
    /// TCP, a generator seeded by the operating system, the tokio runtime that the caller runs in.
    fn default() -> Self {
        Self {
            dial: Arc::new(dial_tcp),
            source: Arc::new(Generator::from_os()),
            spawn: Arc::new(spawn_on_tokio),
        }
    }
}

impl Seams {
    /// A number in `0..=most`.
    pub(crate) fn up_to(&self, most: u64) -> u64 {
        match most.checked_add(1) {
            Some(choices) => self.source.next_u64() % choices,
            None => self.source.next_u64(),
        }
    }

    /// A random UUID, version 4.
    pub(crate) fn uuid(&self) -> String {
        let high = self.source.next_u64() & !0xf000 | 0x4000;
        let low = self.source.next_u64() & !(0b11 << 62) | (0b10 << 62);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }
}

#[allow(
    clippy::disallowed_types,
    reason = "this is the connector that applications get by default"
)]
async fn dial_tcp(address: String) -> io::Result<BoxIo> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the spawner that applications get by default"
)]
fn spawn_on_tokio(_name: &'static str, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
    tokio::spawn(task);
}

/// xoshiro256++ by Blackman and Vigna: for ids and jitter, not for secrets.
struct Generator {
    state: Mutex<[u64; 4]>,
}

impl Generator {
    /// The standard library draws the keys of its hash maps from the operating system.
    fn from_os() -> Self {
        let word = |salt: u64| {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_u64(salt);
            hasher.finish()
        };
        Self {
            state: Mutex::new([word(1), word(2), word(3), word(4) | 1]),
        }
    }
}

impl Source for Generator {
    fn next_u64(&self) -> u64 {
        let mut state = self.state.lock();
        let [a, b, c, d] = *state;
        let drawn = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        *state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_uuids_of_version_four_and_differ() {
        let seams = Seams::default();
        let ids: Vec<String> = (0..1_000).map(|_| seams.uuid()).collect();
        for id in &ids {
            assert_eq!(id.len(), 36);
            assert_eq!(id.as_bytes()[14], b'4');
            assert!(b"89ab".contains(&id.as_bytes()[19]));
        }
        let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }

    #[test]
    fn two_generators_of_one_process_differ() {
        assert_ne!(
            Generator::from_os().next_u64(),
            Generator::from_os().next_u64()
        );
    }
}
