//! The place of a store: checks what is in its folder before anything is opened, and afterwards that it is still the
//! same.
//!
//! A store is made only where nothing of one is. A file that is empty, cut short, missing beside its
//! log or another program's may be all that is left of what was acknowledged: it is an error that
//! says what to do, and `SQLite`, which would begin anew and delete the log, never gets to see it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::Vfs;
use crate::high_water_mark::{self, Acknowledged};
use crate::lock;
use crate::open_files::beginning;
use crate::schema::APPLICATION_ID;
use journeyman_journal::Error;

/// Others may pass through the folder (code runs below it as another user) but not list it.
const FOLDER_MODE: u32 = 0o711;
const FILE_MODE: u32 = 0o600;
/// The first bytes of every `SQLite` file.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Where in the header the application's id is, big-endian.
const APPLICATION_AT: usize = 68;
const HEADER_LEN: usize = 100;
/// The minimum size in bytes of the index (`-shm`) of a log that is in use. It is shorter where there was no space for it.
const INDEX_LEN: u64 = 32 << 10;
/// Bytes of a log that are held in memory while it is written once more.
const COPIED_BYTES: usize = 1 << 20;
/// The file that exists while a store is being made. Without it, an empty database is not a new store but one that was
/// emptied.
const MAKING: &str = "journal.new";

/// Where the file is and how it is opened.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    /// The path of the store's file, for errors.
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) bytes_max: Option<u64>,
    pub(crate) vfs: Option<Arc<dyn Vfs>>,
    /// The files that were opened, shared by clones of the place.
    opened: Arc<Opened>,
}

/// The files that this process has open.
#[derive(Debug, Default)]
struct Opened {
    /// The database, from the first connection on.
    database: Mutex<Option<FileId>>,
    /// The minimum length of the database.
    database_len: Mutex<Length>,
    /// The minimum length of the log: it is begun anew from its start and shrinks only when this process
    /// empties it.
    log_len: AtomicU64,
    /// The state of the database and its log after the last write; `None` while one is under way or after one failed.
    left: Mutex<Option<[Stamp; 2]>>,
    /// While this process writes: the files that it writes to or that keep others from it.
    written: Mutex<Vec<(PathBuf, FileId)>>,
    /// Why this process, which holds the store, cannot write yet.
    obstacle: Mutex<Option<Error>>,
}

/// The minimum length of a file in bytes.
#[derive(Clone, Copy, Debug)]
enum Length {
    /// The file only grows, so its minimum is the length at the last check.
    Grows(u64),
    /// This process returned space, and a later checkpoint may shorten the file to this length.
    Shrinks(u64),
}

impl Default for Length {
    fn default() -> Self {
        Self::Grows(0)
    }
}

/// Space of the database is being returned. Until [`Shrinking::end`], the file may have any length.
pub(crate) struct Shrinking<'a> {
    file: &'a Path,
    length: MutexGuard<'a, Length>,
}

impl Shrinking<'_> {
    /// Sets the length that the database has after a full checkpoint. `is_there` says whether the checkpoint is done.
    pub(crate) fn end(mut self, length: u64, is_there: bool) {
        *self.length = if is_there {
            Length::Grows(length)
        } else {
            // New pages may still be only in the log.
            Length::Shrinks(length.min(length_of(self.file)))
        };
    }
}

fn length_of(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |meta| meta.len())
}

/// What is found at the place of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FolderContent {
    /// Nothing, or a store whose making was begun and not finished.
    Nothing,
    /// A store, as far as its first bytes tell.
    Store,
}

/// What changes when anybody writes to a file: its length and the time of its last change.
type Stamp = Option<(u64, SystemTime)>;

/// The identity of a file (device and inode), whatever its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl FileId {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::metadata(path)?;
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
        })
    }
}

impl Place {
    pub(crate) fn new(folder: PathBuf) -> Self {
        let file = folder.join("journal.db");
        Self {
            name: file.display().to_string(),
            file,
            folder,
            bytes_max: None,
            vfs: None,
            opened: Arc::default(),
        }
    }

    /// What lies here. Nothing is opened for writing, made or changed. What looks like the remains of
    /// a store is [`Error::Remains`], what is something else altogether [`Error::Corrupt`].
    pub(crate) fn look(&self) -> Result<FolderContent, Error> {
        let failed = |error: io::Error| self.failed_io(&error);
        match fs::symlink_metadata(&self.file) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return self.look_beside(),
            Err(error) => return Err(failed(error)),
        }
        if self.vfs.is_some() {
            return Ok(FolderContent::Store); // what is in it, only SQLite can tell
        }
        let meta = match fs::metadata(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(self.remains("journal.db is a link to a file that is not there"));
            }
            meta => meta.map_err(failed)?,
        };
        if meta.is_dir() {
            return Err(self.remains("journal.db is a directory"));
        }
        if !meta.is_file() {
            return Err(self.remains("journal.db is not a file"));
        }
        if meta.len() == 0 {
            return if self.is_being_made() {
                Ok(FolderContent::Nothing)
            } else {
                Err(self.remains("journal.db is empty"))
            };
        }
        let Some(header) = beginning(&self.file, HEADER_LEN).map_err(failed)? else {
            return Ok(FolderContent::Store); // this process has it open: it was looked into then
        };
        let id = header.get(APPLICATION_AT..).and_then(<[u8]>::first_chunk);
        let (true, Some(id)) = (header.starts_with(MAGIC), id) else {
            return Err(self.corrupt("it is no SQLite database".to_owned()));
        };
        let id = i64::from(u32::from_be_bytes(*id));
        // The first commit of a young store may still be in its log.
        let may_be_young = id == 0 && (self.is_being_made() || self.log_len() > 0);
        if self.has_lost_its_log() {
            return Err(
                self.remains("journal.db-wal is missing, and its index journal.db-shm is there")
            );
        }
        if id == APPLICATION_ID || may_be_young {
            return Ok(FolderContent::Store);
        }
        Err(self.corrupt(format!("its application id is {id:#x}")))
    }

    /// There is no `journal.db`: then nothing that belongs to one may be there.
    fn look_beside(&self) -> Result<FolderContent, Error> {
        for end in ["-wal", "-shm", "-journal"] {
            if fs::symlink_metadata(self.beside(end)).is_ok() {
                let found = format!("journal.db is missing, and its journal.db{end} is there");
                return Err(self.remains(&found));
            }
        }
        Ok(FolderContent::Nothing)
    }

    /// A file that `SQLite` keeps beside the database.
    fn beside(&self, end: &str) -> PathBuf {
        // Beside the file itself, where the path is a link to it.
        let file = fs::canonicalize(&self.file);
        let mut name = file.as_ref().unwrap_or(&self.file).clone().into_os_string();
        name.push(end);
        name.into()
    }

    /// Writes the log's bytes over themselves and syncs them.
    ///
    /// After a failed sync, Linux takes what it could not write for written: it can still be read, and later syncs
    /// succeed without writing it (fsync(2); lwn.net/Articles/752063). After a power loss such a log ends early, and
    /// what is left of it would be laid over newer pages of the file.
    pub(crate) fn write_log_again(&self) -> io::Result<()> {
        let log = self.beside("-wal");
        if let Some(vfs) = &self.vfs {
            return vfs.write_again(&log);
        }
        let file = match OpenOptions::new().read(true).write(true).open(&log) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        let (mut bytes, mut offset) = (vec![0; COPIED_BYTES], 0);
        loop {
            let count = file.read_at(&mut bytes, offset)?;
            let Some(read) = bytes.get(..count).filter(|read| !read.is_empty()) else {
                return if offset > 0 { file.sync_all() } else { Ok(()) };
            };
            file.write_all_at(read, offset)?;
            offset += count as u64;
        }
    }

    fn log_len(&self) -> u64 {
        fs::metadata(self.beside("-wal")).map_or(0, |log| log.len())
    }

    /// Whether there is no log, not even an empty one.
    pub(crate) fn has_no_log(&self) -> bool {
        self.vfs.is_none() && fs::symlink_metadata(self.beside("-wal")).is_err()
    }

    /// Whether a process that had the store open left the index of its log, and the log is gone.
    fn has_lost_its_log(&self) -> bool {
        let index = fs::metadata(self.beside("-shm"));
        self.has_no_log() && index.is_ok_and(|index| index.len() >= INDEX_LEN)
    }

    /// The newest event that was acknowledged here, as far as it is noted.
    pub(crate) fn acknowledged(&self) -> Option<Acknowledged> {
        let about = FileId::of(&self.file).ok().filter(|_| self.vfs.is_none())?;
        high_water_mark::noted(&self.folder, about)
    }

    /// Records that a write or the emptying of the log begins.
    pub(crate) fn begin_write(&self) {
        self.opened.log_len.store(0, Ordering::SeqCst);
        *self.left() = None;
    }

    /// Records the state of the files after a write.
    pub(crate) fn end_write(&self) {
        self.opened.log_len.store(self.log_len(), Ordering::SeqCst);
        *self.left() = self.vfs.is_none().then(|| self.stamps());
    }

    /// Checks that no other process changed the files since the last write of this one, which is the writer.
    /// [`Error::Moved`] otherwise.
    pub(crate) fn unchanged(&self) -> Result<(), Error> {
        let left = *self.left();
        // One that is gone is another matter, see `in_place`.
        let differs = |(left, now): (Stamp, Stamp)| now.is_some() && left != now;
        let changed = left.and_then(|left| left.into_iter().zip(self.stamps()).position(differs));
        match changed {
            None => Ok(()),
            Some(0) => Err(moved(&self.file)),
            Some(_) => Err(moved(&self.beside("-wal"))),
        }
    }

    fn stamps(&self) -> [Stamp; 2] {
        [self.file.clone(), self.beside("-wal")].map(|path| {
            let meta = fs::metadata(path).ok()?;
            Some((meta.len(), meta.modified().ok()?))
        })
    }

    fn left(&self) -> MutexGuard<'_, Option<[Stamp; 2]>> {
        self.opened
            .left
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the log is empty and there is no index of one, which a process that has the file open for writing keeps, and
    /// one that was killed leaves.
    pub(crate) fn is_at_rest(&self) -> bool {
        // A writer always has both beside it. Of another VFS nothing is known.
        let index = fs::metadata(self.beside("-shm"));
        self.vfs.is_none()
            && index.map_or(true, |index| index.len() < INDEX_LEN)
            && self.log_len() == 0
    }

    /// Whether the making of a store was begun here and has not ended.
    pub(crate) fn is_being_made(&self) -> bool {
        self.folder.join(MAKING).exists()
    }

    /// Makes the folder if there is none.
    pub(crate) fn make_folder(&self) -> io::Result<()> {
        if self.folder.exists() {
            return Ok(());
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(&self.folder)?;
        // Its entry must survive a power loss as surely as what is acknowledged in it.
        match self.folder.parent().filter(|parent| parent.is_dir()) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Begins to make a store: before `SQLite` opens the file, so that the files beside it take over
    /// its mode.
    pub(crate) fn begin_making(&self) -> io::Result<()> {
        File::create(self.folder.join(MAKING))?;
        // No file with nothing in it may survive a power loss that this does not.
        File::open(&self.folder)?.sync_all()?;
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&self.file);
        match made {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Ends the making of a store.
    pub(crate) fn end_making(&self) {
        match fs::remove_file(self.folder.join(MAKING)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, "cannot remove {MAKING}; the journal is made all the same");
            }
            _ => {}
        }
    }

    /// Sets the mode of the store's files to 0600.
    pub(crate) fn close_to_others(&self) -> io::Result<()> {
        let mode = fs::metadata(&self.file)?.permissions().mode();
        if mode & 0o777 == FILE_MODE {
            return Ok(());
        }
        fs::set_permissions(&self.file, Permissions::from_mode(FILE_MODE))
    }

    /// Records which file the path means when it is first opened; later checks that it still means that one.
    pub(crate) fn same_database(&self) -> Result<(), Error> {
        if self.vfs.is_some() {
            return Ok(());
        }
        let now = FileId::of(&self.file).ok();
        let known = self.opened.database.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        if known.is_some() && *known != now {
            return Err(moved(&self.file));
        }
        *known = now;
        Ok(())
    }

    /// Notes the files that this process writes to from now on.
    pub(crate) fn note_written(&self) {
        if self.vfs.is_some() {
            return;
        }
        let paths = [
            self.file.clone(),
            lock::path(&self.folder),
            self.beside("-wal"),
        ];
        let ids = paths
            .into_iter()
            .filter_map(|path| FileId::of(&path).ok().map(|id| (path, id)));
        *self.written() = ids.collect();
        *self.database_len() = Length::default();
        self.end_write();
    }

    /// Forgets the log, which goes with its last connection.
    pub(crate) fn forget_log(&self) {
        let log = self.beside("-wal");
        self.written().retain(|(path, _)| path != &log);
    }

    /// Records that this process does not write any more.
    pub(crate) fn forget_written(&self) {
        self.written().clear();
        self.note_obstacle(None);
    }

    /// Notes why this process cannot write yet, or that it can.
    pub(crate) fn note_obstacle(&self, obstacle: Option<Error>) {
        let known = self.opened.obstacle.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = obstacle;
    }

    /// What stands in the way of the next write, as far as that is known without trying.
    pub(crate) fn obstacle(&self) -> Option<Error> {
        let known = self.opened.obstacle.lock();
        let known = known.unwrap_or_else(PoisonError::into_inner).clone();
        known.or_else(|| self.in_place().err())
    }

    /// Whether this process writes here.
    pub(crate) fn is_written(&self) -> bool {
        !self.written().is_empty()
    }

    /// Whether what is written still goes where others find it: [`Error::Moved`] otherwise.
    pub(crate) fn in_place(&self) -> Result<(), Error> {
        let written = self.written();
        let gone = written
            .iter()
            .find(|(path, id)| FileId::of(path).ok() != Some(*id));
        match gone {
            Some((path, _)) => Err(moved(path)),
            None if written.is_empty() => Ok(()),
            None if self.is_log_cut_short() => Err(moved(&self.beside("-wal"))),
            None if self.is_cut_short() => Err(moved(&self.file)),
            None => Ok(()),
        }
    }

    /// Whether another program wrote to the database or its log. What is left of them is then not changed.
    pub(crate) fn is_overwritten(&self) -> bool {
        self.is_cut_short() || self.is_log_cut_short() || self.unchanged().is_err()
    }

    /// Whether the database was longer at the last check: another program truncated or overwrote it.
    fn is_cut_short(&self) -> bool {
        if self.vfs.is_some() {
            return false; // Only the VFS knows where the file is.
        }
        let mut length = self.database_len();
        let now = length_of(&self.file);
        match &mut *length {
            Length::Shrinks(least) => now < *least,
            Length::Grows(known) => {
                let is_shorter = now < *known;
                *known = now.max(*known);
                is_shorter
            }
        }
    }

    /// Announces that space of the database will be returned. Checks of its length wait until that is done.
    pub(crate) fn shrink(&self) -> Shrinking<'_> {
        let mut length = self.database_len();
        // If returning space fails in between, any checkpoint may shorten the file.
        *length = Length::Shrinks(0);
        Shrinking {
            file: &self.file,
            length,
        }
    }

    fn database_len(&self) -> MutexGuard<'_, Length> {
        let length = self.opened.database_len.lock();
        length.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the log was longer when this process last wrote to it.
    fn is_log_cut_short(&self) -> bool {
        // In this order: it may be emptied meanwhile. One that was deleted is whole where it is open.
        let now = fs::metadata(self.beside("-wal")).map(|log| log.len());
        let known = self.opened.log_len.load(Ordering::SeqCst);
        self.vfs.is_none() && now.is_ok_and(|now| now < known)
    }

    fn written(&self) -> MutexGuard<'_, Vec<(PathBuf, FileId)>> {
        let written = self.opened.written.lock();
        // It is replaced as a whole: sound whatever panicked.
        written.unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn failed_io(&self, error: &io::Error) -> Error {
        failed_io(&self.folder, error)
    }

    /// The path of the folder, for errors.
    pub(crate) fn folder_name(&self) -> String {
        self.folder.display().to_string()
    }

    pub(crate) fn corrupt(&self, reason: String) -> Error {
        Error::Corrupt {
            store: self.name.clone(),
            reason,
        }
    }

    pub(crate) fn remains(&self, found: &str) -> Error {
        Error::Remains {
            store: self.folder_name(),
            found: found.to_owned(),
        }
    }
}

fn moved(file: &Path) -> Error {
    Error::Moved {
        store: file.display().to_string(),
    }
}

/// What an error of the file system means for the journal in a folder.
pub(crate) fn failed_io(folder: &Path, error: &io::Error) -> Error {
    let store = folder.display().to_string();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full { store },
        _ => Error::NotWritable {
            store,
            reason: error.to_string(),
        },
    }
}
