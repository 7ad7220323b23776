//! A simulated disk in memory for `SQLite` that loses power, fills up and fails, controlled by a seed.
//!
//! Floor 1, for tests only. It depends on no other crate of the workspace, and other crates may use it only as a
//! dev-dependency. It must not know what the databases contain: no journal, events or tables, only files, writes
//! and syncs.
//!
//! A [`Disk`] is an `SQLite` VFS with a name of its own ([`Disk::vfs`]). Open a connection on it with
//! `Connection::open_with_flags_and_vfs`. It supports file locks and shared memory, so WAL mode works between
//! connections and threads of this process. Faults are planned for the n-th call from now ([`Disk::plan`]), so that
//! a test can go through every n.
//!
//! # What survives a power loss
//!
//! Each file has the contents that readers see and the contents that are safe. A successful sync makes the former
//! safe. After [`Disk::restart`] a file has its safe contents plus a selection, drawn from the seed, of the changes
//! made since:
//!
//! - Each write is kept, lost, or torn at sectors of 512 bytes, each of which is kept or lost. A later write may be
//!   kept while an earlier one is lost. A sector is never torn, and bytes outside the written range are never
//!   damaged: this is `SQLITE_IOCAP_POWERSAFE_OVERWRITE`, which `SQLite` assumes of disks unless told otherwise,
//!   and which this VFS reports.
//! - Each truncation happened or did not. A file may have grown without its bytes, which are then 0.
//! - The directory (there is only one; names may contain slashes) is handled per name: of the creations and
//!   deletions of a name since the last sync of the directory, the first few happened. The directory is synced by a
//!   deletion with `syncDir` and by the first sync of a new file. Common file systems do the latter for every file,
//!   `SQLite`'s own VFS for its journals and logs.
//!
//! A failed call may have been carried out in part: a write may have written its first bytes, and a truncation or
//! deletion may have happened or not. After a failed sync the pending changes are kept or lost as in a power loss,
//! but readers still see all of them, and **no later sync makes the lost ones safe**. Linux behaves like this: it
//! marks a failed page as clean.
//!
//! # Determinism
//!
//! With one thread, everything is determined by the seed. With several threads the order of their calls differs
//! from run to run, and so do the faults. One thing is independent of the seed: `SQLite` takes the salts of its WAL
//! from a generator shared by the whole process. No fault or tear depends on them. The clock stands still, but
//! sleeping is real, because busy timeouts depend on it.

mod directory;
mod disk;
mod fault;
mod file;
mod locks;
mod rng;
mod state;
mod vfs;

pub use disk::Disk;
pub use fault::{Fault, FaultDuration, FaultKind};
pub use state::Statistics;
