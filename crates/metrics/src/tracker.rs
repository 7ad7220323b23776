//! The interface of a tracker, which takes signals of some kinds and makes metrics of them.

use std::time::Duration;

use jiff::Timestamp;
use journeyman_bus::{Emitted, Message};
use journeyman_signal::Signal;

/// A signal, as a message of the bus.
#[derive(Clone, Debug, PartialEq)]
pub struct Told(pub Signal);

impl Message for Told {
    fn kind(&self) -> &str {
        self.0.kind()
    }
}

/// Takes signals and makes metrics of them. It must tolerate missing, repeated and reordered signals, and keep a bounded
/// amount of data.
pub(crate) trait Tracker: Send + 'static {
    /// The name in reports and in the catalogue of signals.
    const NAME: &'static str;
    /// The kinds of signals that it takes.
    const KINDS: &'static [&'static str];

    /// Takes a signal. Returns signals to be emitted because of it; that happens after the tracker is unlocked.
    fn take(&mut self, at: Timestamp, signal: &Signal) -> Vec<Signal>;
}

/// Whether more than `max` has passed between `since` and `now`.
pub(crate) fn is_older(now: Timestamp, since: Timestamp, max: Duration) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|age| age > max)
}

/// The time and the signal of a message of the bus.
pub(crate) fn of(emitted: &Emitted<Told>) -> (Timestamp, &Signal) {
    (emitted.at, &emitted.message.0)
}
