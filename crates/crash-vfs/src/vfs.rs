//! The tables of C functions through which `SQLite` uses a disk. They convert pointers to slices and results to
//! codes; everything else is in [`State`].

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rusqlite::ffi;

use crate::disk::locked;
use crate::file::SECTOR;
use crate::locks::Level;
use crate::state::State;

const PATH_BYTES_MAX: c_int = 1024;

/// The current time in `SQLite`'s unit, milliseconds of the Julian day: 2026-01-01, noon.
const NOW: ffi::sqlite3_int64 = 212_634_028_800_000;

/// What `SQLite` stores about a disk. Never freed, because a connection keeps a pointer to its VFS, and nothing
/// reports when the last connection is closed. The disk's state is reached through a weak reference, so the
/// state itself is freed.
#[repr(C)]
struct Vfs {
    base: ffi::sqlite3_vfs,
    name: CString,
    state: Weak<Mutex<State>>,
}

/// Keeps a VFS registered for as long as it lives.
pub(crate) struct Registration {
    name: String,
    vfs: *mut Vfs,
}

// SAFETY: the pointer is to a `Vfs` that is never freed, and it is only handed to SQLite's own
// functions, which guard the list of VFSes with a lock.
unsafe impl Send for Registration {}
// SAFETY: as above; no shared reference gives access to the pointer.
unsafe impl Sync for Registration {}

impl Registration {
    pub(crate) fn new(state: Weak<Mutex<State>>) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let name = format!("crash-{}", LAST.fetch_add(1, Ordering::Relaxed));
        let mut vfs = Box::new(Vfs {
            base: ffi::sqlite3_vfs {
                iVersion: 2,
                szOsFile: c_int::try_from(size_of::<OpenFile>()).unwrap_or(c_int::MAX),
                mxPathname: PATH_BYTES_MAX,
                pNext: ptr::null_mut(),
                zName: ptr::null(),
                pAppData: ptr::null_mut(),
                xOpen: Some(open),
                xDelete: Some(delete),
                xAccess: Some(access),
                xFullPathname: Some(full_pathname),
                // Only for loading extensions, which cannot be asked for without `unsafe`.
                xDlOpen: None,
                xDlError: None,
                xDlSym: None,
                xDlClose: None,
                xRandomness: Some(randomness),
                xSleep: Some(sleep),
                xCurrentTime: Some(current_time),
                xGetLastError: None,
                xCurrentTimeInt64: Some(current_time_int64),
                xSetSystemCall: None,
                xGetSystemCall: None,
                xNextSystemCall: None,
            },
            name: CString::new(name.as_str()).unwrap_or_default(),
            state,
        });
        vfs.base.zName = vfs.name.as_ptr();
        let vfs = Box::into_raw(vfs);
        // SAFETY: `vfs` points to a `Vfs`, which begins with a complete `sqlite3_vfs` (repr(C)) and
        // is never freed; so is the name that it points to, whose bytes are on the heap. If SQLite
        // refuses, opening a connection by this name fails.
        unsafe { ffi::sqlite3_vfs_register(vfs.cast(), 0) };
        Self { name, vfs }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: the pointer is the one that was registered, and it stays valid.
        unsafe { ffi::sqlite3_vfs_unregister(self.vfs.cast()) };
    }
}

/// What `SQLite` allocates for an open file (`szOsFile` bytes, aligned for any type of C).
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    state: Arc<Mutex<State>>,
    handle: u64,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Converts the result to a code and catches panics. A panic would be a bug in this crate and must not reach C.
fn guarded(body: impl FnOnce() -> Result<(), c_int>) -> c_int {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => ffi::SQLITE_OK,
        Ok(Err(code)) => code,
        Err(_) => ffi::SQLITE_INTERNAL,
    }
}

/// # Safety
///
/// `vfs` is what `SQLite` was given by [`Registration::new`].
unsafe fn on_vfs(
    vfs: *mut ffi::sqlite3_vfs,
    body: impl FnOnce(&mut State) -> Result<(), c_int>,
) -> c_int {
    // SAFETY: `vfs` points to the start of a `Vfs` that is never freed. Its `state` is not written to any more,
    // and the reference covers only this field: SQLite may write to `base` meanwhile.
    let state = unsafe { &(*vfs.cast::<Vfs>()).state };
    guarded(|| {
        let state = state.upgrade().ok_or(ffi::SQLITE_IOERR)?;
        body(&mut locked(&state))
    })
}

/// # Safety
///
/// `file` was opened by [`open`] with success and is not closed yet.
unsafe fn on_file(
    file: *mut ffi::sqlite3_file,
    body: impl FnOnce(&mut State, u64) -> Result<(), c_int>,
) -> c_int {
    let file = file.cast::<OpenFile>();
    // SAFETY: `open` has written a whole `OpenFile` there, and these two fields are not written to until
    // `close`.
    let (state, handle) = unsafe { (&(*file).state, (*file).handle) };
    guarded(|| body(&mut locked(state), handle))
}

/// # Safety
///
/// `name` is a C string that lives for `'a`.
unsafe fn text<'a>(name: *const c_char) -> Result<&'a str, c_int> {
    // SAFETY: by this function's own condition.
    let name = unsafe { CStr::from_ptr(name) };
    name.to_str().map_err(|_| ffi::SQLITE_CANTOPEN)
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: `file` is room for an `OpenFile`. Without methods, SQLite will not close it.
    unsafe { (*file).pMethods = ptr::null() };
    let name = if name.is_null() {
        None
    } else {
        // SAFETY: SQLite's file names are C strings that live longer than this call.
        match unsafe { text(name) } {
            Ok(name) => Some(name),
            Err(code) => return code,
        }
    };
    // SAFETY: SQLite calls this with the VFS to which the function belongs.
    let state = unsafe { &(*vfs.cast::<Vfs>()).state };
    guarded(|| {
        let state = state.upgrade().ok_or(ffi::SQLITE_CANTOPEN)?;
        let (handle, is_writable) = locked(&state).open(name, flags)?;
        let opened = OpenFile {
            base: ffi::sqlite3_file {
                pMethods: &raw const METHODS,
            },
            state,
            handle,
        };
        // SAFETY: `file` points to `szOsFile` bytes, the size of an `OpenFile`, aligned to eight,
        // with nothing in them that would have to be dropped.
        unsafe { ptr::write(file.cast(), opened) };
        if !flags_out.is_null() {
            let access = if is_writable {
                ffi::SQLITE_OPEN_READWRITE
            } else {
                ffi::SQLITE_OPEN_READONLY
            };
            let other = ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_READONLY;
            // SAFETY: not null, so it points to an int for the answer.
            unsafe { *flags_out = flags & !other | access };
        }
        Ok(())
    })
}

unsafe extern "C" fn delete(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_directory: c_int,
) -> c_int {
    let body = |state: &mut State| {
        // SAFETY: SQLite gives a C string that lives longer than this call.
        let name = unsafe { text(name) }?;
        state.delete(name, sync_directory != 0)
    };
    // SAFETY: SQLite calls this with the VFS to which the function belongs.
    unsafe { on_vfs(vfs, body) }
}

unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _flags: c_int,
    answer: *mut c_int,
) -> c_int {
    let body = |state: &mut State| {
        // SAFETY: SQLite gives a C string that lives longer than this call.
        let name = unsafe { text(name) }?;
        let exists = state.exists(name)?;
        // SAFETY: it points to an int for the answer.
        unsafe { *answer = c_int::from(exists) };
        Ok(())
    };
    // SAFETY: SQLite calls this with the VFS to which the function belongs.
    unsafe { on_vfs(vfs, body) }
}

/// A name is its own full path, because there are no folders.
unsafe extern "C" fn full_pathname(
    _vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    path: *mut c_char,
) -> c_int {
    guarded(|| {
        // SAFETY: SQLite gives a C string that lives longer than this call.
        let bytes = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
        if usize::try_from(room).is_ok_and(|room| bytes.len() <= room) {
            // SAFETY: `path` has room for `room` bytes, which was just compared, and is a buffer of
            // its own.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), path, bytes.len()) };
            Ok(())
        } else {
            Err(ffi::SQLITE_CANTOPEN)
        }
    })
}

/// `SQLite` only calls this on its default VFS, which this one usually is not.
unsafe extern "C" fn randomness(
    vfs: *mut ffi::sqlite3_vfs,
    count: c_int,
    buffer: *mut c_char,
) -> c_int {
    let body = |state: &mut State| {
        // SAFETY: `buffer` is `count` bytes for the answer.
        let buffer = unsafe { zeroed(buffer.cast(), count) };
        state.fill_randomly(buffer);
        Ok(())
    };
    // SAFETY: SQLite calls this with the VFS to which the function belongs.
    match unsafe { on_vfs(vfs, body) } {
        ffi::SQLITE_OK => count,
        _ => 0,
    }
}

unsafe extern "C" fn sleep(_vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    let time = Duration::from_micros(u64::try_from(microseconds).unwrap_or(0));
    std::thread::sleep(time);
    microseconds
}

unsafe extern "C" fn current_time(_vfs: *mut ffi::sqlite3_vfs, days: *mut f64) -> c_int {
    const DAYS: f64 = 2_461_042.0;
    // SAFETY: it points to a double for the answer.
    unsafe { *days = DAYS };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_int64(
    _vfs: *mut ffi::sqlite3_vfs,
    milliseconds: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: it points to a number for the answer.
    unsafe { *milliseconds = NOW };
    ffi::SQLITE_OK
}

/// A buffer of C as a slice, all zeros: it may never have been written to before.
///
/// # Safety
///
/// `buffer` points to `count` bytes that nobody else uses for `'a`.
unsafe fn zeroed<'a>(buffer: *mut u8, count: c_int) -> &'a mut [u8] {
    let Ok(count @ 1..) = usize::try_from(count) else {
        return &mut [];
    };
    // SAFETY: by this function's own condition; the bytes are initialized by the first call.
    unsafe {
        ptr::write_bytes(buffer, 0, count);
        std::slice::from_raw_parts_mut(buffer, count)
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let body = |state: &mut State, handle| {
        state.close(handle);
        Ok(())
    };
    // SAFETY: SQLite closes a file once, and one that was opened.
    let code = unsafe { on_file(file, body) };
    // SAFETY: as above. The file is not used after it was closed, so its one field with a destructor is dropped
    // once; this cannot panic.
    unsafe { ptr::drop_in_place(&raw mut (*file.cast::<OpenFile>()).state) };
    code
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    count: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite gives `count` bytes for the answer.
    let buffer = unsafe { zeroed(buffer.cast(), count) };
    // SAFETY: SQLite calls this with an open file.
    unsafe { on_file(file, |state, handle| state.read(handle, buffer, offset)) }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    count: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let bytes = match usize::try_from(count) {
        // SAFETY: SQLite gives `count` bytes to be written, and does not change them meanwhile.
        Ok(count @ 1..) => unsafe { std::slice::from_raw_parts(bytes.cast(), count) },
        _ => &[],
    };
    // SAFETY: SQLite calls this with an open file.
    unsafe { on_file(file, |state, handle| state.write(handle, bytes, offset)) }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls this with an open file.
    unsafe { on_file(file, |state, handle| state.truncate(handle, size)) }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: SQLite calls this with an open file.
    unsafe { on_file(file, State::sync) }
}

unsafe extern "C" fn file_size(
    file: *mut ffi::sqlite3_file,
    size: *mut ffi::sqlite3_int64,
) -> c_int {
    let body = |state: &mut State, handle| {
        let bytes = state.size(handle)?;
        // SAFETY: it points to a number for the answer.
        unsafe { *size = bytes };
        Ok(())
    };
    // SAFETY: SQLite calls this with an open file.
    unsafe { on_file(file, body) }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite calls this with an open file.
    unsafe { on_file(file, |state, handle| state.lock(handle, level)) }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    let body = |state: &mut State, handle| {
        state.unlock(
            handle,
            Level::of_code(level).ok_or(ffi::SQLITE_IOERR_UNLOCK)?,
        );
        Ok(())
    };
    // SAFETY: SQLite calls this with an open file.
    unsafe { on_file(file, body) }
}

unsafe extern "C" fn check_reserved_lock(
    file: *mut ffi::sqlite3_file,
    answer: *mut c_int,
) -> c_int {
    let body = |state: &mut State, handle| {
        let is_reserved = state.is_reserved(handle)?;
        // SAFETY: it points to an int for the answer.
        unsafe { *answer = c_int::from(is_reserved) };
        Ok(())
    };
    // SAFETY: SQLite calls this with an open file.
    unsafe { on_file(file, body) }
}

/// Supports none of the requests.
unsafe extern "C" fn file_control(
    _file: *mut ffi::sqlite3_file,
    _request: c_int,
    _argument: *mut c_void,
) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    c_int::try_from(SECTOR).unwrap_or(c_int::MAX)
}

unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE | ffi::SQLITE_IOCAP_SUBPAGE_READ
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    number: c_int,
    size: c_int,
    extend: c_int,
    address: *mut *mut c_void,
) -> c_int {
    // SAFETY: `address` points to a pointer for the answer: none, unless there is one.
    unsafe { *address = ptr::null_mut() };
    let body = |state: &mut State, handle| {
        let as_usize = |number| usize::try_from(number).map_err(|_| ffi::SQLITE_IOERR_SHMMAP);
        let (number, size) = (as_usize(number)?, as_usize(size)?);
        let region = state.map_shared(handle, number, size, extend != 0)?;
        let words = region.as_ref().map_or(ptr::null(), |words| words.as_ptr());
        // SAFETY: as above. The region, made of atomics, may be written to through shared references;
        // it lives until the handle unmaps or closes, and SQLite uses it no longer than that.
        unsafe { *address = words.cast_mut().cast() };
        Ok(())
    };
    // SAFETY: SQLite calls this with an open file.
    unsafe { on_file(file, body) }
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    let body = |state: &mut State, handle| {
        let bits = (offset..offset.saturating_add(count))
            .filter_map(|bit| 1_u8.checked_shl(u32::try_from(bit).ok()?))
            .fold(0, |bits, bit| bits | bit);
        let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
        if flags & ffi::SQLITE_SHM_LOCK != 0 {
            return state.lock_shared(handle, bits, exclusive);
        }
        state.unlock_shared(handle, bits, exclusive);
        Ok(())
    };
    // SAFETY: SQLite calls this with an open file.
    unsafe { on_file(file, body) }
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    fence(Ordering::SeqCst);
    // Taking the lock orders this thread with the others as well.
    // SAFETY: SQLite calls this with an open file.
    unsafe { on_file(file, |_, _| Ok(())) };
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    let body = |state: &mut State, handle| {
        state.unmap_shared(handle);
        Ok(())
    };
    // SAFETY: SQLite calls this with an open file.
    unsafe { on_file(file, body) }
}
