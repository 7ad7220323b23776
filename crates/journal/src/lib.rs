//! The append-only store of streams.
//!
//! Floor 2. An append is durable before it is acknowledged; sequences are gap-free and given by the
//! one writer at the append; every stored line is chained to the one before it. The journal knows
//! streams, not tasks: payloads and summaries are opaque bytes to it. It is one `SQLite` file that
//! any `SQLite` tool can open.

mod error;
mod handle;
mod lock;
mod reader;
mod schema;
mod subscription;
mod transfer;
mod verify;
mod writer;

pub use error::Error;
pub use handle::{Journal, Options};
pub use reader::{Filter, Head, StreamInfo};
pub use schema::SQLITE_VERSION_MIN;
pub use subscription::Subscription;
pub use transfer::{Export, Format, Import, Imported, Refused};
pub use verify::{Bad, Flaw, VerifyReport};
pub use writer::{Append, Appended, Expected};
