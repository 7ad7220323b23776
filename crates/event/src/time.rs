//! Sources of time and randomness: the traits are here, the real implementations in the binary.
//!
//! Nothing that is recorded or decided uses any other clock or generator, so a test can run the shipped code
//! deterministically and every failure can be reproduced from its seed. How long a call took is measured where the
//! call is made.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// A source of time.
pub trait TimeSource: Send + Sync {
    /// The wall clock. It may jump, so nothing is ordered by it.
    fn now(&self) -> Timestamp;

    /// The time since a fixed moment, by a monotonic clock that is never set and does not advance while the
    /// machine sleeps. The default implementation uses the wall clock and is right only for one that never
    /// jumps.
    fn steady(&self) -> Duration {
        Duration::try_from(self.now().as_duration()).unwrap_or_default()
    }
}

/// A source of random numbers.
pub trait Randomness: Send + Sync {
    /// Draws 64 random bits.
    fn next_u64(&self) -> u64;
}

/// A clock for tests and simulation. It starts at 2026-01-01T00:00:00Z and advances by one millisecond with
/// every reading.
#[derive(Debug, Default)]
pub struct SteppedTime {
    ms: AtomicU64,
}

impl SteppedTime {
    const START_S: i64 = 1_767_225_600;
}

impl TimeSource for SteppedTime {
    fn now(&self) -> Timestamp {
        let ms = self.ms.fetch_add(1, Ordering::Relaxed);
        let ms = i64::try_from(ms).unwrap_or(i64::MAX / 2_000);
        Timestamp::from_millisecond(Self::START_S * 1_000 + ms).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// A seeded generator for tests and simulation: `SplitMix64` (Steele, Lea, Flood: Fast Splittable Pseudorandom
/// Number Generators, OOPSLA 2014). Not suitable for secrets.
#[derive(Debug)]
pub struct SeededRandom {
    state: AtomicU64,
}

impl SeededRandom {
    /// Starts from a seed. The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self {
            state: AtomicU64::new(seed),
        }
    }
}

impl Randomness for SeededRandom {
    fn next_u64(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self
            .state
            .fetch_add(GAMMA, Ordering::Relaxed)
            .wrapping_add(GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
