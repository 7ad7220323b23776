//! The options of a subscriber: which messages it gets, and what happens when it is too slow or fails.

use std::time::Duration;

/// Which kinds of messages a subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// Messages of all kinds.
    All,
    /// Messages of exactly this kind.
    Exact(String),
    /// Messages of one of these kinds.
    Several(Vec<String>),
    /// Messages whose kind starts with this prefix.
    Prefix(String),
}

impl Kinds {
    /// Whether messages of `kind` are selected.
    pub fn take(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact(wanted) => wanted == kind,
            Self::Several(wanted) => wanted.iter().any(|wanted| wanted == kind),
            Self::Prefix(start) => kind.starts_with(start.as_str()),
        }
    }
}

/// What happens to a message when a queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The publisher waits for room. [`Bus::try_publish`](crate::Bus::try_publish) drops the message instead.
    Wait,
    /// The oldest queued message is dropped to make room.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
}

/// The options of a subscriber.
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
    /// The defaults: all messages, a queue of 1,024 that drops the oldest, 30 s per message, and a pause of 1 s
    /// after 5 failures in a row. The name appears in statistics and logs.
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

    /// Selects messages by kind.
    #[must_use]
    pub fn kinds(self, kinds: Kinds) -> Self {
        Self { kinds, ..self }
    }

    /// The most messages that may be queued, at least 1. A handler takes up to 64 further messages at a time.
    #[must_use]
    pub fn capacity(self, messages: usize) -> Self {
        Self {
            capacity: messages.max(1),
            ..self
        }
    }

    /// What happens when the queue is full.
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Self {
        Self { overflow, ..self }
    }

    /// The most time a handler may take for one message; after that it counts as failed. An async handler is
    /// then stopped. A blocking one cannot be, so while it hangs, further messages are skipped once its queue
    /// is full.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// After `failures_max` failures in a row (at least 1) the handler gets no messages for the pause, and then
    /// one message as a trial.
    #[must_use]
    pub fn breaker(self, failures_max: u32, pause: Duration) -> Self {
        Self {
            failures_max: failures_max.max(1),
            pause,
            ..self
        }
    }
}
