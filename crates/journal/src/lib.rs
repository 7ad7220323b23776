//! The append-only event store.
//!
//! Floor 2. An append is durable before it is acknowledged. Sequence numbers have no gaps and are assigned by the
//! only writer at the append. Every stored line is chained by hash to the preceding one. The journal knows streams,
//! not tasks: payloads, summaries and snapshots are opaque bytes to it. Lines are stored by an [`Engine`], which is
//! a crate of its own, or [`Memory`] for tests and simulation.

mod batch;
mod engine;
mod erasure;
mod error;
mod handle;
mod memory;
mod moment;
mod reader;
mod relay;
mod subscription;
mod transfer;
mod verify;
mod writer;

pub use batch::{Append, Appended, Expected};
pub use engine::{
    ChainedLine, Changes, Direction, Engine, GivenBack, Holder, Lines, LookupKeys, LookupRows,
    Query, READS_MAX, RawStream, Row, SNAPSHOTS_KEPT, StreamChange, StreamName, StreamRow, Summary,
    Walker, Writer,
};
pub use erasure::{Erased, Makers};
pub use error::Error;
pub use handle::Journal;
pub use memory::Memory;
pub use moment::Moment;
pub use reader::{Filter, Head, Page, ReadLimit, SNAPSHOT_BYTES_MAX, Snapshot, StreamInfo};
pub use subscription::Subscription;
pub use transfer::{Export, Format, Import, ImportReport, RefusedLine};
pub use verify::{BadRecord, Flaw, VerifyReport};
