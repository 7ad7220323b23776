//! Events, principals, vector clocks, ordering, and the pure fold of a task's state.
//!
//! Floor 1. Everything here is a value or a pure function: no I/O and no async; the clock and random numbers are
//! inputs (see [`TimeSource`] and [`Randomness`]). The stored format of an event is defined only here. Assigning
//! positions and storing lines is up to the `journal`.
//!
//! To add an event kind: add its payload type to a file under `payload/` and one line to the `payloads!` table in
//! `payload.rs`; give it a meaning in `state/evolve.rs` if the state depends on it.

mod clock;
mod cloud_event;
mod content;
mod event;
mod ids;
mod line;
mod money;
mod ordering;
pub mod payload;
mod printable;
mod priority;
mod role;
mod shortage;
pub mod state;
mod time;
mod tokens;
mod trace;
mod turns;
mod versioned;

pub use clock::{ClockError, ClockOrder, ProcessId, VectorClock};
pub use content::ContentHash;
pub use event::{
    CopyOverrides, Draft, Event, InvalidEvent, NewEvent, ORIGIN_HASH, Origin, TIME_AHEAD_MAX,
};
pub use ids::{EventId, InvalidId, ModuleName, Owner, Principal, Revision, Sequence, TaskId};
pub use line::{
    HASH_SUFFIX_LEN, SCHEMA, StoredLine, chain_hash, erase_line, erasure_digest, line_hash,
    split_hash,
};
pub use money::{InvalidAmount, PicoUsd};
pub use ordering::{CodeIdentity, Staleness, Validity, is_report_valid};
pub use payload::Payload;
pub use printable::{last_chars, printable, word};
pub use priority::Priority;
pub use role::Role;
pub use shortage::{is_shortage, names_shortage};
pub use state::{FOLD_VERSION, TaskState};
pub use time::{Randomness, SeededRandom, SteppedTime, TimeSource};
pub use tokens::Tokens;
pub use trace::{InvalidTraceParent, SpanId, TraceContext, TraceId, TraceParent};
pub use turns::{TurnDetector, end_of_turn};
pub use versioned::{StaleVersion, Versioned};
