//! Telemetry signals: one type for each kind of thing that is measured, and the handle that emits them.
//!
//! Floor 1. A signal is a value. [`Signals`] gives it to a [`Sink`]; `metrics` implements that over the `bus` and adds an
//! id, a time and the task. Without a sink, or while nobody listens, no signal is even made. Emitting never waits and
//! never fails: nothing that is only measured may stop or slow the work.
//!
//! To add a signal, write one entry in `kinds.rs`, with its documentation, the crates that emit it and the trackers that
//! take it. The catalogue (`docs/reference/signals.md`) is generated from these entries.
//!
//! This crate does not know who takes signals. Signals contain no prompts, no answers and no secrets. Keys and ids are
//! there to connect the signals of a call; they never become labels of a metric.

mod catalogue;
mod emit;
mod kinds;

pub use catalogue::{Entry, Kept, catalogue};
pub use emit::{Signals, Sink};
pub use kinds::*;
