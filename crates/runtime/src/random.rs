//! Randomness: one seeded generator per node.
//! Promise: the same seed and the same order of calls give the same values in every run of one build.
//! Not here: keys and certificates of TLS (rustls brings its own).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// The generator of one node; clones share it. Strong enough for ids and tokens.
#[derive(Clone)]
pub struct Random {
    generator: Arc<Mutex<StdRng>>,
}

impl Random {
    /// A generator that repeats itself for the same seed: tests and the simulation.
    pub fn from_seed(seed: u64) -> Self {
        Self::of(StdRng::seed_from_u64(seed))
    }

    /// A generator seeded by the operating system: production.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where a production node takes its seed"
    )]
    pub fn from_os() -> Self {
        Self::of(StdRng::from_os_rng())
    }

    /// A uniform number of 64 bits.
    pub fn next_u64(&self) -> u64 {
        self.generator.lock().next_u64()
    }

    /// A uniform number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        match bound {
            0 => 0,
            bound => self.generator.lock().random_range(0..bound),
        }
    }

    /// A random UUID (version 4) in its usual text of 36 characters.
    pub fn uuid(&self) -> String {
        let mut bytes = [0_u8; 16];
        self.fill(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ]
        .join("-")
    }

    /// Fills `bytes` with random ones.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.generator.lock().fill_bytes(bytes);
    }

    /// `duration` changed by a uniform share of at most `spread` in both directions: with 0.2 the
    /// result lies between 80 % and 120 %. `spread` is held to `0.0..=1.0`.
    pub fn jitter(&self, duration: Duration, spread: f64) -> Duration {
        let spread = spread.clamp(0.0, 1.0);
        let share = self.generator.lock().random_range(-1.0..=1.0) * spread;
        duration.mul_f64(1.0 + share)
    }

    /// A generator of its own, seeded from this one, for a part whose number of calls must not
    /// move what the others draw.
    pub fn fork(&self) -> Self {
        let mut seed = <StdRng as SeedableRng>::Seed::default();
        self.fill(&mut seed);
        Self::of(StdRng::from_seed(seed))
    }

    fn of(generator: StdRng) -> Self {
        Self {
            generator: Arc::new(Mutex::new(generator)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let (a, b) = (Random::from_seed(7), Random::from_seed(7));
        assert_eq!(a.next_u64(), b.next_u64());
        assert_eq!(a.uuid(), b.uuid());
        assert_eq!(a.fork().next_u64(), b.fork().next_u64());
    }

    #[test]
    fn a_uuid_is_of_version_4() {
        let uuid = Random::from_seed(1).uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&uuid.as_bytes()[19]));
    }

    #[test]
    fn jitter_stays_within_its_spread() {
        let random = Random::from_seed(3);
        for _ in 0..1_000 {
            let got = random.jitter(Duration::from_millis(100), 0.2);
            assert!(got >= Duration::from_millis(80) && got <= Duration::from_millis(120));
        }
    }

    #[test]
    fn below_nothing_is_zero() {
        assert_eq!(Random::from_seed(1).below(0), 0);
        assert_eq!(Random::from_seed(1).below(1), 0);
    }
}
