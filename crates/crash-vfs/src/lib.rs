//! A disk in memory for `SQLite` that loses power, fills up and fails, all by a seed.
//!
//! Floor 1, for tests only: it depends on no other crate of ours, and no crate may depend on it but
//! as a dev-dependency. It must not know what is stored in the databases: no journal, no events, no
//! tables. It knows files, and what was written and what was synced.
//!
//! A [`Disk`] is an `SQLite` VFS under a name of its own ([`Disk::vfs`]); a connection is opened on
//! it with `Connection::open_with_flags_and_vfs`. It has file locks and shared memory, so that WAL
//! mode works between the connections of this process, on any of its threads. Faults are planned
//! for the n-th call from now ([`Disk::plan`]), so that a test can go through every n.
//!
//! # What survives a power loss
//!
//! Each file has the bytes that everybody reads and the bytes that are safe. A successful sync makes
//! the first the second. After [`Disk::restart`] a file has its safe bytes and, of the changes since,
//! what the seed chose:
//!
//! - Each write is there, gone, or torn at sectors of 512 bytes, each of which is there or gone; a
//!   later write may be there and an earlier one gone. A sector is never torn, and bytes outside of
//!   the written range are never damaged: this is `SQLITE_IOCAP_POWERSAFE_OVERWRITE`, which `SQLite`
//!   supposes of disks unless told otherwise, and which this VFS reports.
//! - Each truncation happened or did not. A file may have grown without the bytes, which are then 0.
//! - The directory (there is one, names with slashes or not) is looked at name by name: of a name's
//!   creations and deletions since the directory's last sync, the first few happened. It is synced by
//!   deleting with `syncDir` and by the first sync of a new file: common file systems do that for every
//!   file, `SQLite`'s own VFS for its journals and logs.
//!
//! A failed call may have done its work in part: a write its first bytes, a truncation or a deletion
//! all or nothing. After a failed sync, the pending changes are kept or lost as in a power loss, but
//! readers still see them all, and **no later sync makes the lost ones safe**. Linux is like that: a
//! failed page is marked clean.
//!
//! # What is the same for the same seed
//!
//! All of it, as long as one thread uses the disk. With several threads the order of their calls
//! differs from run to run, and so do the faults. One thing is beyond the seed: `SQLite` takes the
//! salts of its WAL from a generator that the whole process shares. No fault and no tear depends on
//! them. The clock stands still; sleeping is real, as busy timeouts count on it.

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
