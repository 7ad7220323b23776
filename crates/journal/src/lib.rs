//! The append-only store of streams.
//!
//! Floor 2. An append is durable before it is acknowledged; sequences are gap-free and given by the
//! one writer at the append; every stored line is chained to the one before it. The journal knows
//! streams, not tasks: payloads, summaries and snapshots are opaque bytes to it. What it keeps its
//! lines in is an [`Engine`]: a crate of its own, or [`Memory`] for tests and simulation.

mod batch;
mod engine;
mod error;
mod handle;
mod memory;
mod reader;
mod relay;
mod subscription;
mod transfer;
mod verify;
mod writer;

pub use batch::{Append, Appended, Expected};
pub use engine::{
    Changes, Direction, Engine, Holder, Known, Lines, Linked, Query, READS_MAX, Row,
    SNAPSHOTS_KEPT, StreamChange, StreamName, StreamRow, StreamShown, Summary, Walker, Wanted,
    Writer,
};
pub use error::Error;
pub use handle::Journal;
pub use memory::Memory;
pub use reader::{Filter, Head, Most, Page, SNAPSHOT_BYTES_MAX, Snapshot, StreamInfo};
pub use subscription::Subscription;
pub use transfer::{Export, Format, Import, Imported, Refused};
pub use verify::{Bad, Flaw, VerifyReport};
