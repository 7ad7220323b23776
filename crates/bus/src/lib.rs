//! An in-process message bus: publish and subscribe, generic over the message.
//!
//! Floor 1. A [`Bus`] delivers each message to all subscribers of its kind. Every subscriber but an inline
//! handler has its own bounded queue and a rule for when it is full, so subscribers do not slow each other down.
//! Publishers are slowed down only by inline handlers ([`Bus::handle_inline`]) and, in [`Bus::publish`], by subscribers
//! with the rule [`Overflow::Wait`]. Handlers are contained:
//! a panic counts as a failure, run time is limited, and a circuit breaker pauses a handler that keeps failing.
//!
//! The bus stores nothing. What must not be lost is kept in a store, and a subscriber that learns of dropped
//! messages reads them from there. The bus does not know about events, tasks or the journal.

mod breaker;
mod bus;
mod emitter;
mod handler;
mod options;
mod queue;
mod statistics;
mod subscriber;

pub use breaker::BreakerState;
pub use bus::{Bus, Error, Message, Registration, Subscription};
pub use emitter::{Context, Emitted, Emitter, Stamp};
pub use handler::HandlerError;
pub use options::{Kinds, Overflow, SubscriberOptions};
pub use statistics::{Latency, Statistics, SubscriberStatistics};
