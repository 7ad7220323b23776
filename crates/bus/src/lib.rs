//! In-process publish and subscribe, generic over the message.
//!
//! Floor 1. A [`Bus`] hands each message to all who asked for its kind. Everyone has a bounded
//! queue of their own and a rule for when it is full, so that nobody waits for anybody else; only a
//! subscriber whose rule is [`Overflow::Wait`] slows publishers down, and only those that wait
//! ([`Bus::publish`]). Handlers are contained: a panic is a failure, time is limited, and a circuit
//! breaker rests one that keeps failing.
//!
//! The bus keeps nothing: what must not be lost is in a store, and a subscriber that was told of a
//! drop reads it there again. It knows no events, no tasks and no journal.

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
