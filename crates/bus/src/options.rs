//! What a subscriber wants, and what happens when it is too slow or fails.

use std::time::Duration;

/// Which messages a subscriber gets, by their kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// Every message.
    All,
    /// Those of this kind.
    Exact(String),
    /// Those whose kind begins so.
    Prefix(String),
}

impl Kinds {
    /// Whether a message of this kind is wanted.
    pub fn take(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact(wanted) => wanted == kind,
            Self::Prefix(start) => kind.starts_with(start.as_str()),
        }
    }
}

/// What happens to a message for which a queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The publisher waits for room. One that never waits drops the message instead.
    Wait,
    /// The message that has waited longest is dropped for it.
    DropOldest,
    /// It is dropped.
    DropNewest,
}

/// How a subscriber is served.
#[derive(Clone, Debug)]
pub struct SubscriberOptions {
    pub(crate) name: String,
    pub(crate) kinds: Kinds,
    pub(crate) capacity: usize,
    pub(crate) overflow: Overflow,
    pub(crate) time_limit: Duration,
    pub(crate) failures_max: u32,
    pub(crate) pause: Duration,
}

impl SubscriberOptions {
    /// Every message, 1,024 waiting at most and the oldest dropped, 30 s for a message, and a pause
    /// of 1 s after 5 failures in a row. The name is for statistics and logs.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kinds: Kinds::All,
            capacity: 1_024,
            overflow: Overflow::DropOldest,
            time_limit: Duration::from_secs(30),
            failures_max: 5,
            pause: Duration::from_secs(1),
        }
    }

    /// Only these messages.
    #[must_use]
    pub fn kinds(self, kinds: Kinds) -> Self {
        Self { kinds, ..self }
    }

    /// So many messages may wait, at least 1. A handler has up to 64 more in its hands.
    #[must_use]
    pub fn capacity(self, messages: usize) -> Self {
        Self {
            capacity: messages.max(1),
            ..self
        }
    }

    /// What happens when they do.
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Self {
        Self { overflow, ..self }
    }

    /// A handler that takes longer for one message has failed. An async one is stopped; a blocking
    /// one cannot be, so while it hangs its messages are skipped once its queue is full.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// After so many failures in a row (at least 1) the handler gets nothing for the pause, then
    /// one message to show that it works again.
    #[must_use]
    pub fn breaker(self, failures_max: u32, pause: Duration) -> Self {
        Self {
            failures_max: failures_max.max(1),
            pause,
            ..self
        }
    }
}
