//! The real sources of time and randomness: the only place where the product reads a clock or asks
//! the system for random bits.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use journeyman_event::{Randomness, SeededRandom, TimeSource};

/// The system's clock.
pub(crate) struct SystemTime {
    start: Instant,
}

impl SystemTime {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl TimeSource for SystemTime {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The system's random bits; where it has none, bits from the clock: ids are not secrets.
pub(crate) struct SystemRandom;

impl Randomness for SystemRandom {
    fn next_u64(&self) -> u64 {
        getrandom::u64().unwrap_or_else(|_| {
            let ns = Timestamp::now().as_nanosecond();
            SeededRandom::new(u64::try_from(ns & i128::from(u64::MAX)).unwrap_or(0)).next_u64()
        })
    }
}
