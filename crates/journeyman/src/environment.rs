//! The real sources of time and randomness, for everything that is recorded or decided.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use journeyman_bus::Stamp;
use journeyman_event::{EventId, Randomness, SeededRandom, TimeSource};
use uuid::Uuid;

/// The system's clock.
pub(crate) struct SystemTime;

impl TimeSource for SystemTime {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn steady(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}

/// What is told over the bus has ids and times of its own: who listens changes nothing that is
/// recorded.
pub(crate) struct SystemStamp;

impl Stamp for SystemStamp {
    fn id(&self) -> Uuid {
        Uuid::from_bytes(*EventId::new(&SystemTime, &SystemRandom).as_bytes())
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
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
