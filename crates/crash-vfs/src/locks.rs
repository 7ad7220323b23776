//! The locks of one file and of its shared memory, by handle.

use std::collections::BTreeMap;
use std::ffi::c_int;

use rusqlite::ffi;

/// The level of a file lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

impl Level {
    pub(crate) fn of_code(code: c_int) -> Option<Self> {
        match code {
            ffi::SQLITE_LOCK_NONE => Some(Self::None),
            ffi::SQLITE_LOCK_SHARED => Some(Self::Shared),
            ffi::SQLITE_LOCK_RESERVED => Some(Self::Reserved),
            ffi::SQLITE_LOCK_PENDING => Some(Self::Pending),
            ffi::SQLITE_LOCK_EXCLUSIVE => Some(Self::Exclusive),
            _ => None,
        }
    }
}

#[derive(Default)]
pub(crate) struct FileLocks {
    held: BTreeMap<u64, Level>,
}

impl FileLocks {
    /// Raises a lock. Returns false if another handle's lock conflicts. A handle that waits for readers to
    /// finish before it gets an exclusive lock keeps new readers out from then on.
    pub(crate) fn raise(&mut self, handle: u64, wanted: Level) -> bool {
        let own = self.held.get(&handle).copied().unwrap_or(Level::None);
        if own >= wanted {
            return true;
        }
        let others = self.highest(Some(handle));
        let most = match wanted {
            Level::None | Level::Shared => Level::Reserved,
            Level::Reserved | Level::Pending | Level::Exclusive => Level::Shared,
        };
        if others > most {
            return false;
        }
        if wanted == Level::Exclusive && others > Level::None {
            self.held.insert(handle, Level::Pending);
            return false;
        }
        self.held.insert(handle, wanted);
        true
    }

    pub(crate) fn lower(&mut self, handle: u64, to: Level) {
        if to == Level::None {
            self.held.remove(&handle);
        } else if let Some(own) = self.held.get_mut(&handle) {
            *own = to.min(*own);
        }
    }

    /// Whether any handle has announced a write.
    pub(crate) fn is_reserved(&self) -> bool {
        self.highest(None) >= Level::Reserved
    }

    fn highest(&self, without: Option<u64>) -> Level {
        let others = self.held.iter().filter(|(id, _)| Some(**id) != without);
        others.map(|(_, level)| *level).max().unwrap_or(Level::None)
    }
}

/// The locks of shared memory: one bit for each of the eight locks.
#[derive(Default)]
pub(crate) struct SharedLocks {
    held: BTreeMap<u64, Held>,
}

#[derive(Default)]
struct Held {
    shared: u8,
    exclusive: u8,
}

impl SharedLocks {
    /// Returns false if another handle's lock conflicts.
    pub(crate) fn lock(&mut self, handle: u64, bits: u8, exclusive: bool) -> bool {
        let is_blocked = self.held.iter().any(|(id, held)| {
            let blocking = if exclusive {
                held.shared | held.exclusive
            } else {
                held.exclusive
            };
            *id != handle && blocking & bits != 0
        });
        if is_blocked {
            return false;
        }
        let held = self.held.entry(handle).or_default();
        if exclusive {
            held.exclusive |= bits;
        } else {
            held.shared |= bits;
        }
        true
    }

    pub(crate) fn unlock(&mut self, handle: u64, bits: u8, exclusive: bool) {
        if let Some(held) = self.held.get_mut(&handle) {
            if exclusive {
                held.exclusive &= !bits;
            } else {
                held.shared &= !bits;
            }
        }
    }

    pub(crate) fn release(&mut self, handle: u64) {
        self.held.remove(&handle);
    }
}

#[cfg(test)]
mod tests {
    use super::{FileLocks, Level, SharedLocks};

    #[test]
    fn one_reserves_beside_readers_and_waits_for_them_to_leave() {
        let mut locks = FileLocks::default();
        assert!(locks.raise(1, Level::Shared));
        assert!(locks.raise(2, Level::Shared));
        assert!(!locks.is_reserved());
        assert!(locks.raise(1, Level::Reserved));
        assert!(locks.is_reserved());
        assert!(!locks.raise(2, Level::Reserved));
        assert!(locks.raise(3, Level::Shared));
        assert!(!locks.raise(1, Level::Exclusive));
        assert!(!locks.raise(4, Level::Shared), "pending keeps readers out");
        locks.lower(2, Level::None);
        locks.lower(3, Level::None);
        assert!(locks.raise(1, Level::Exclusive));
        assert!(!locks.raise(2, Level::Shared));
        locks.lower(1, Level::Shared);
        assert!(locks.raise(2, Level::Shared));
        assert!(!locks.is_reserved());
    }

    #[test]
    fn shared_memory_is_locked_bit_by_bit() {
        let mut locks = SharedLocks::default();
        assert!(locks.lock(1, 0b0001, false));
        assert!(locks.lock(2, 0b0001, false));
        assert!(!locks.lock(2, 0b0011, true));
        assert!(locks.lock(2, 0b0110, true));
        assert!(!locks.lock(1, 0b0010, false));
        locks.unlock(2, 0b0010, true);
        assert!(locks.lock(1, 0b0010, false));
        locks.release(1);
        locks.unlock(2, 0b0001, false);
        assert!(locks.lock(3, 0b0001, true));
        assert!(!locks.lock(3, 0b0100, false));
    }
}
