//! The disk as tests use it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;

use crate::fault::Fault;
use crate::state::{State, Statistics};
use crate::vfs::Registration;

/// A disk in memory, registered with `SQLite` as a VFS. Clones share one disk.
///
/// When the last clone is dropped, the VFS is unregistered. Connections that are still open stay safe: their
/// files live as long as they do, but calls that open or delete a file fail. Some five hundred bytes per disk
/// are never freed, so that a connection that outlives the disk has a valid pointer.
#[derive(Clone)]
pub struct Disk {
    inner: Arc<Inner>,
}

struct Inner {
    seed: u64,
    state: Arc<Mutex<State>>,
    registration: Registration,
}

impl Disk {
    /// Creates an empty disk. All random choices derive from the seed.
    pub fn new(seed: u64) -> Self {
        let state = Arc::new(Mutex::new(State::new(seed)));
        let registration = Registration::new(Arc::downgrade(&state));
        Self {
            inner: Arc::new(Inner {
                seed,
                state,
                registration,
            }),
        }
    }

    /// The seed, to be printed when a test fails.
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// The name of the VFS, unique in this process.
    pub fn vfs(&self) -> &str {
        self.inner.registration.name()
    }

    /// Adds a fault to those already planned.
    pub fn plan(&self, fault: Fault) {
        self.state().plan(fault);
    }

    /// Cancels all planned faults. If the power is off, it stays off.
    pub fn heal(&self) {
        self.state().faults.heal();
    }

    /// Turns the power off: every call fails from now on.
    pub fn lose_power(&self) {
        self.state().faults.set_power(false);
    }

    /// Turns the power off if it is on, and then on again with what survived. Old handles fail from now on;
    /// locks and shared memory are gone. Planned faults stay planned, and their call counts continue.
    pub fn restart(&self) {
        self.state().restart();
    }

    /// Simulates a killed process on a computer that keeps running: everything written can still be read and is
    /// as safe or unsafe as before. Old handles fail from now on; locks and shared memory are gone.
    pub fn kill(&self) {
        self.state().kill();
    }

    /// Writes a file's bytes over themselves and syncs it, as a program can without `SQLite`. Does nothing if there
    /// is no such file or it is empty. Fails as planned, with [`io::ErrorKind::StorageFull`] if the disk is full.
    pub fn write_again(&self, name: &str) -> io::Result<()> {
        let written = self.state().write_again(name);
        written.map_err(|code| match code {
            ffi::SQLITE_FULL => io::ErrorKind::StorageFull.into(),
            code => io::Error::other(format!("simulated failure, SQLite's code {code}")),
        })
    }

    /// The number of calls so far that can fail, not counting those made while the power was off.
    pub fn calls(&self) -> u64 {
        self.state().faults.calls
    }

    /// The number of calls that were made to fail, counting those made while the power was off. If a test plans
    /// faults and this stays 0, it has tested nothing.
    pub fn faults(&self) -> u64 {
        self.state().faults.failed
    }

    /// The counters since the disk was created.
    pub fn statistics(&self) -> Statistics {
        self.state().statistics
    }

    /// The names and contents of the files, as readers see them.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.state().files()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.inner.state)
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Disk")
            .field("seed", &self.seed())
            .field("vfs", &self.vfs())
            .finish_non_exhaustive()
    }
}

/// Takes the lock even if a thread panicked while holding it: no operation leaves the state in a condition that
/// matters to a test that has already failed.
pub(crate) fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
