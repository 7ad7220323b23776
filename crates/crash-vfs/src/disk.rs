//! The disk as tests hold it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fault::Fault;
use crate::state::{State, Statistics};
use crate::vfs::Registration;

/// A disk in memory, known to `SQLite` as a VFS. Clones are the same disk.
///
/// When the last clone is dropped, its VFS is known no longer. Connections that are still open go on
/// safely: the files live as long as they do, and calls that need a file opened or deleted fail once
/// none is left. Of every disk some five hundred bytes stay in memory for good, so that a connection
/// which outlives it has something to point to.
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
    /// A new, empty disk. All its chances are drawn from the seed.
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

    /// To be printed when a test fails.
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// The name of its VFS, unlike that of any other disk in this process.
    pub fn vfs(&self) -> &str {
        self.inner.registration.name()
    }

    /// Plans a fault beside those already planned.
    pub fn plan(&self, fault: Fault) {
        self.state().plan(fault);
    }

    /// Forgets all planned faults. The power, if it is off, stays off.
    pub fn heal(&self) {
        self.state().faults.heal();
    }

    /// Switches the power off: every call fails from now on.
    pub fn lose_power(&self) {
        self.state().faults.set_power(false);
    }

    /// Loses power, if that has not happened yet, and comes back with what survived. Handles of
    /// before fail for ever; locks and shared memory are gone. Planned faults stay planned, counted
    /// from when they were planned.
    pub fn restart(&self) {
        self.state().restart();
    }

    /// The process is killed, and the computer goes on: all that was written is there to be read, as
    /// safe or unsafe as before. Handles of before fail for ever; locks and shared memory are gone.
    pub fn kill(&self) {
        self.state().kill();
    }

    /// How many calls that can fail were made so far, those with the power off not counted.
    pub fn calls(&self) -> u64 {
        self.state().faults.calls
    }

    /// How many calls were made to fail so far, those with the power off counted. A test that plans
    /// faults and finds 0 here has tested nothing.
    pub fn faults(&self) -> u64 {
        self.state().faults.failed
    }

    /// What was done so far.
    pub fn statistics(&self) -> Statistics {
        self.state().statistics
    }

    /// The files, by name, as readers see them.
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

/// A lock whose holder panicked is taken over: no operation leaves the state half changed in a way
/// that matters to a test which has failed anyway.
pub(crate) fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
