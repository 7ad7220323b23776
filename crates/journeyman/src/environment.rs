//! The real sources of time and randomness, for everything that is recorded or decided.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use journeyman_bus::Stamp;
use journeyman_event::{EventId, Randomness, SeededRandom, TimeSource};
use uuid::Uuid;

/// The clocks of the operating system.
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

/// Ids and times for messages on the bus. They are separate, so that subscribers do not influence what is
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

/// The operating system's random bits, or bits of the clock if it has none. Ids are not secrets.
pub(crate) struct SystemRandom;

impl Randomness for SystemRandom {
    fn next_u64(&self) -> u64 {
        getrandom::u64().unwrap_or_else(|_| {
            let ns = Timestamp::now().as_nanosecond();
            SeededRandom::new(u64::try_from(ns & i128::from(u64::MAX)).unwrap_or(0)).next_u64()
        })
    }
}
