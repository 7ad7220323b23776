//! The state of a disk: files, names, handles and planned faults, and the operations of the VFS on them. Errors are
//! result codes of `SQLite`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rusqlite::ffi;

use crate::directory::Directory;
use crate::fault::{Call, Failure, Fault, FaultKind, Faults};
use crate::file::File;
use crate::locks::{FileLocks, Level, SharedLocks};
use crate::rng::Rng;

/// The largest possible file. A write that would exceed it fails with "disk full".
const FILE_BYTES_MAX: usize = 1 << 30;

/// A region of shared memory. `SQLite` accesses it by address from any thread for as long as the handle that
/// mapped it is open.
pub(crate) type Region = Arc<[AtomicU64]>;

/// Counters of a disk since it was created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The number of successful writes.
    pub writes: u64,
    /// The number of successful syncs.
    pub syncs: u64,
    /// The number of changes (writes, truncations, creations, deletions) that a power loss or a failed sync lost, wholly
    /// or in part.
    pub lost: u64,
}

/// A disk and everything that is open on it.
pub(crate) struct State {
    rng: Rng,
    pub(crate) faults: Faults,
    pub(crate) statistics: Statistics,
    directory: Directory,
    /// The files by their ids.
    nodes: BTreeMap<u64, Node>,
    /// The open files by their ids, which are never used again.
    handles: BTreeMap<u64, Handle>,
    /// The number of kills and restarts so far. Handles from before the last one are invalid.
    life: u64,
    last_id: u64,
}

/// A file with its locks and shared memory, whether it has a name or not (an inode on Unix).
#[derive(Default)]
struct Node {
    file: File,
    locks: FileLocks,
    shared: Shared,
}

/// The shared memory of a file. It exists from the first handle that maps it to the last that unmaps it.
#[derive(Default)]
struct Shared {
    regions: Vec<Region>,
    users: BTreeSet<u64>,
    locks: SharedLocks,
}

/// An open file of one connection.
struct Handle {
    /// The value of [`State::life`] when it was opened.
    life: u64,
    /// The id of the file.
    node: u64,
    is_writable: bool,
    /// The mapped regions by their numbers. An invalid handle keeps them, because its connection may still read them.
    regions: BTreeMap<usize, Region>,
}

impl State {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            faults: Faults::new(),
            statistics: Statistics::default(),
            directory: Directory::default(),
            nodes: BTreeMap::new(),
            handles: BTreeMap::new(),
            life: 0,
            last_id: 0,
        }
    }

    pub(crate) fn plan(&mut self, fault: Fault) {
        self.faults.plan(fault);
    }

    /// Simulates a killed process: invalidates all handles and releases all locks. Files keep what was written.
    pub(crate) fn kill(&mut self) {
        self.life += 1;
        for node in self.nodes.values_mut() {
            node.locks = FileLocks::default();
            node.shared = Shared::default();
        }
    }

    /// Simulates a power loss and a restart: also loses a random part of what was not synced.
    pub(crate) fn restart(&mut self) {
        self.kill();
        for node in self.nodes.values_mut() {
            self.statistics.lost += node.file.settle(&mut self.rng);
            node.file.restart();
        }
        self.statistics.lost += self.directory.restart(&mut self.rng);
        self.faults.set_power(true);
        self.sweep();
    }

    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let names = self.directory.names();
        names
            .filter_map(|(name, id)| {
                let node = self.nodes.get(&id)?;
                Some((name.to_owned(), node.file.bytes().to_vec()))
            })
            .collect()
    }

    pub(crate) fn fill_randomly(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.rng.next().to_le_bytes()) {
                *to = from;
            }
        }
    }

    /// Opens a file, or an unnamed file if `name` is `None`. Returns the handle and whether it is writable. A
    /// file to be deleted on close has no name from the start.
    pub(crate) fn open(&mut self, name: Option<&str>, flags: c_int) -> Result<(u64, bool), c_int> {
        let asked = |flag| flags & flag != 0;
        let name = name.filter(|_| !asked(ffi::SQLITE_OPEN_DELETEONCLOSE));
        let found = name.and_then(|name| self.directory.get(name));
        let creates = found.is_none();
        self.call(Call::Open { creates })
            .map_err(|failure| failure.code)?;
        let is_wrong = match found {
            Some(_) => asked(ffi::SQLITE_OPEN_EXCLUSIVE),
            None => name.is_some() && !asked(ffi::SQLITE_OPEN_CREATE),
        };
        if is_wrong {
            return Err(ffi::SQLITE_CANTOPEN);
        }
        let node = found.unwrap_or_else(|| {
            let id = self.new_id();
            self.nodes.insert(id, Node::default());
            if let Some(name) = name {
                self.directory.set(name, Some(id));
            }
            id
        });
        let id = self.new_id();
        let is_writable = !asked(ffi::SQLITE_OPEN_READONLY);
        let handle = Handle {
            life: self.life,
            node,
            is_writable,
            regions: BTreeMap::new(),
        };
        self.handles.insert(id, handle);
        Ok((id, is_writable))
    }

    pub(crate) fn close(&mut self, handle: u64) {
        self.unlock(handle, Level::None);
        self.unmap_shared(handle);
        self.handles.remove(&handle);
        self.sweep();
    }

    /// Deletes a file. A power loss can undo the deletion unless `sync` is set.
    pub(crate) fn delete(&mut self, name: &str, sync: bool) -> Result<(), c_int> {
        let call = self.call(Call::Delete);
        if call.is_ok() && self.directory.get(name).is_none() {
            return Err(ffi::SQLITE_IOERR_DELETE_NOENT);
        }
        if self.happens(call) && self.directory.get(name).is_some() {
            self.directory.set(name, None);
        }
        call.map_err(|failure| failure.code)?;
        if sync {
            self.directory.sync();
        }
        self.sweep();
        Ok(())
    }

    /// Whether the file exists. Like the Unix VFS, this treats an empty file as missing.
    pub(crate) fn exists(&mut self, name: &str) -> Result<bool, c_int> {
        self.call(Call::Access).map_err(|failure| failure.code)?;
        let node = self.directory.get(name).and_then(|id| self.nodes.get(&id));
        Ok(node.is_some_and(|node| !node.file.bytes().is_empty()))
    }

    /// Reads into a buffer that the caller has filled with zeros.
    pub(crate) fn read(
        &mut self,
        handle: u64,
        buffer: &mut [u8],
        offset: i64,
    ) -> Result<(), c_int> {
        let failed = Call::Read.io_error();
        let node = self.live(handle).ok_or(failed)?.node;
        self.call(Call::Read).map_err(|failure| failure.code)?;
        let node = self.nodes.get(&node).ok_or(failed)?;
        let offset = usize::try_from(offset).map_err(|_| failed)?;
        if node.file.read(buffer, offset) < buffer.len() {
            return Err(ffi::SQLITE_IOERR_SHORT_READ);
        }
        Ok(())
    }

    /// Writes to a file. A failed write may have written none, some or all of the bytes, but not all if the
    /// disk is full.
    pub(crate) fn write(&mut self, handle: u64, bytes: &[u8], offset: i64) -> Result<(), c_int> {
        let failed = Call::Write.io_error();
        let node = self.writable(handle).ok_or(failed)?;
        let offset = usize::try_from(offset).map_err(|_| failed)?;
        if offset.saturating_add(bytes.len()) > FILE_BYTES_MAX {
            return Err(ffi::SQLITE_FULL);
        }
        let call = self.call(Call::Write);
        let count = match call.map_err(|failure| failure.hit) {
            Ok(()) => bytes.len(),
            Err(None) => 0,
            Err(Some(FaultKind::NoSpace)) => self.rng.below(bytes.len()),
            Err(Some(FaultKind::Io | FaultKind::PowerLoss)) => match self.rng.below(3) {
                0 => 0,
                1 => bytes.len(),
                _ => self.rng.below(bytes.len()),
            },
        };
        let written = bytes.get(..count).unwrap_or_default();
        let node = self.nodes.get_mut(&node).ok_or(failed)?;
        if !written.is_empty() {
            node.file.write(written, offset);
        }
        call.map_err(|failure| failure.code)?;
        self.statistics.writes += 1;
        Ok(())
    }

    pub(crate) fn truncate(&mut self, handle: u64, size: i64) -> Result<(), c_int> {
        let failed = Call::Truncate.io_error();
        let node = self.writable(handle).ok_or(failed)?;
        let size = usize::try_from(size).map_err(|_| failed)?;
        if size > FILE_BYTES_MAX {
            return Err(failed);
        }
        let call = self.call(Call::Truncate);
        if self.happens(call) {
            let node = self.nodes.get_mut(&node).ok_or(failed)?;
            node.file.resize(size);
        }
        call.map_err(|failure| failure.code)
    }

    /// Syncs a file. The first sync of a new file also syncs the directory.
    pub(crate) fn sync(&mut self, handle: u64) -> Result<(), c_int> {
        let failed = Call::Sync.io_error();
        let id = self.live(handle).ok_or(failed)?.node;
        let call = self.call(Call::Sync);
        let node = self.nodes.get_mut(&id).ok_or(failed)?;
        match call {
            Ok(()) => {
                node.file.sync();
                if self.directory.is_new(id) {
                    self.directory.sync();
                }
                self.statistics.syncs += 1;
                Ok(())
            }
            Err(failure) => {
                // After a power loss the restart decides what is lost.
                if failure.hit == Some(FaultKind::Io) {
                    self.statistics.lost += node.file.settle(&mut self.rng);
                }
                Err(failure.code)
            }
        }
    }

    /// Writes a file's bytes over themselves and syncs it. Does nothing if there is no such file or it is empty.
    pub(crate) fn write_again(&mut self, name: &str) -> Result<(), c_int> {
        let node = self.directory.get(name).and_then(|id| self.nodes.get(&id));
        let bytes = node.map(|node| node.file.bytes().to_vec());
        let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        let (handle, _) = self.open(Some(name), ffi::SQLITE_OPEN_READWRITE)?;
        let written = self.write(handle, &bytes, 0);
        let synced = written.and_then(|()| self.sync(handle));
        self.close(handle);
        synced
    }

    pub(crate) fn size(&mut self, handle: u64) -> Result<i64, c_int> {
        let failed = Call::Size.io_error();
        let node = self.live(handle).ok_or(failed)?.node;
        self.call(Call::Size).map_err(|failure| failure.code)?;
        let node = self.nodes.get(&node).ok_or(failed)?;
        i64::try_from(node.file.bytes().len()).map_err(|_| failed)
    }

    /// Raises a lock. Like on Unix, a read-only handle cannot get an exclusive lock, so `SQLite` makes no
    /// checkpoint when the last connection was read-only.
    pub(crate) fn lock(&mut self, handle: u64, code: c_int) -> Result<(), c_int> {
        let failed = ffi::SQLITE_IOERR_LOCK;
        let wanted = Level::of_code(code).ok_or(failed)?;
        let node = if wanted <= Level::Shared {
            self.live(handle).map(|handle| handle.node)
        } else {
            self.writable(handle)
        };
        let node = node.and_then(|id| self.nodes.get_mut(&id)).ok_or(failed)?;
        if !self.faults.has_power() {
            return Err(failed);
        }
        if node.locks.raise(handle, wanted) {
            Ok(())
        } else {
            Err(ffi::SQLITE_BUSY)
        }
    }

    /// Lowers a lock. An invalid handle has no locks; a valid one can always release its own.
    pub(crate) fn unlock(&mut self, handle: u64, to: Level) {
        if let Some(node) = self.live_node(handle) {
            node.locks.lower(handle, to);
        }
    }

    pub(crate) fn is_reserved(&mut self, handle: u64) -> Result<bool, c_int> {
        let node = self.live_node(handle);
        let node = node.ok_or(ffi::SQLITE_IOERR_CHECKRESERVEDLOCK)?;
        Ok(node.locks.is_reserved())
    }

    /// Maps the region with this number, `size` bytes long; `None` if it does not exist and is not to be
    /// created.
    pub(crate) fn map_shared(
        &mut self,
        handle: u64,
        number: usize,
        size: usize,
        extend: bool,
    ) -> Result<Option<Region>, c_int> {
        let failed = ffi::SQLITE_IOERR_SHMMAP;
        let node = self.live(handle).ok_or(failed)?.node;
        let count = self.nodes.get(&node).map(|node| node.shared.regions.len());
        let is_missing = number >= count.ok_or(failed)?;
        let grows = is_missing && extend;
        self.call(Call::MapShared { grows })
            .map_err(|failure| failure.code)?;
        let shared = &mut self.nodes.get_mut(&node).ok_or(failed)?.shared;
        shared.users.insert(handle);
        while extend && shared.regions.len() <= number {
            let words = (0..size.div_ceil(8)).map(|_| AtomicU64::new(0));
            shared.regions.push(words.collect());
        }
        let region = shared.regions.get(number).cloned();
        if let (Some(region), Some(handle)) = (&region, self.handles.get_mut(&handle)) {
            handle.regions.insert(number, Arc::clone(region));
        }
        Ok(region)
    }

    pub(crate) fn lock_shared(
        &mut self,
        handle: u64,
        bits: u8,
        exclusive: bool,
    ) -> Result<(), c_int> {
        let has_power = self.faults.has_power();
        let node = self.live_node(handle).filter(|_| has_power);
        let node = node.ok_or(ffi::SQLITE_IOERR_SHMLOCK)?;
        if node.shared.locks.lock(handle, bits, exclusive) {
            Ok(())
        } else {
            Err(ffi::SQLITE_BUSY)
        }
    }

    pub(crate) fn unlock_shared(&mut self, handle: u64, bits: u8, exclusive: bool) {
        if let Some(node) = self.live_node(handle) {
            node.shared.locks.unlock(handle, bits, exclusive);
        }
    }

    pub(crate) fn unmap_shared(&mut self, handle: u64) {
        if let Some(node) = self.live_node(handle) {
            node.shared.locks.release(handle);
            node.shared.users.remove(&handle);
            if node.shared.users.is_empty() {
                node.shared = Shared::default();
            }
        }
        if let Some(handle) = self.handles.get_mut(&handle) {
            handle.regions.clear();
        }
    }

    fn call(&mut self, call: Call) -> Result<(), Failure> {
        self.faults.call(call)
    }

    /// Decides whether a failed all-or-nothing call takes effect nevertheless.
    fn happens(&mut self, call: Result<(), Failure>) -> bool {
        match call {
            Ok(()) => true,
            Err(failure) => failure.hit.is_some() && self.rng.coin(),
        }
    }

    /// The handle, if it is valid.
    fn live(&self, handle: u64) -> Option<&Handle> {
        let handle = self.handles.get(&handle)?;
        (handle.life == self.life).then_some(handle)
    }

    fn live_node(&mut self, handle: u64) -> Option<&mut Node> {
        let node = self.live(handle)?.node;
        self.nodes.get_mut(&node)
    }

    /// The file of a handle that is valid and may write.
    fn writable(&self, handle: u64) -> Option<u64> {
        let handle = self.live(handle).filter(|handle| handle.is_writable)?;
        Some(handle.node)
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Removes files that have neither a name nor a handle.
    fn sweep(&mut self) {
        let (directory, handles, life) = (&self.directory, &self.handles, self.life);
        self.nodes.retain(|id, _| {
            let mut live = handles.values().filter(|handle| handle.life == life);
            directory.has(*id) || live.any(|handle| handle.node == *id)
        });
    }
}
