//! Where downloaded files lie, and what is known of them. Each has a folder of its own, named after
//! its source, with the file (or, while it is on its way, its part) and a record beside it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::lock::try_lock;
use crate::python::remove_folder;

const RECORD: &str = "source.json";
/// Characters of a folder's name: enough to tell any two sources apart.
const KEY_CHARS: usize = 16;

/// What is written beside a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// What a person calls the file.
    pub(crate) source: String,
    /// Its name, without a folder.
    pub(crate) file: String,
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// Its SHA-256: until it is complete, what is expected, if that is known.
    pub(crate) sha256: Option<String>,
    /// With which validator its part was fetched (RFC 9110, section 8.8.3).
    pub(crate) etag: Option<String>,
}

/// A file that was downloaded, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What a person calls it, such as its URL.
    pub source: String,
    /// Where it is, or will be.
    pub path: PathBuf,
    /// Whether all of it is there and fitted its checksum.
    pub complete: bool,
    /// Bytes that are there.
    pub bytes_here: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256, 64 hexadecimal digits: always if it is complete, else where it is known.
    pub sha256: Option<String>,
}

/// The folder of one source in a store.
pub(crate) fn folder_of(store: &Path, source: &str) -> PathBuf {
    let mut key = hex(&Sha256::digest(source.as_bytes()));
    key.truncate(KEY_CHARS);
    store.join(key)
}

/// The lock of one source. It outlives the folder, so that who waits for it sees the same file.
pub(crate) fn lock_of(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

pub(crate) fn part_of(folder: &Path, file: &str) -> PathBuf {
    folder.join(format!("{file}.part"))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The record in a folder. None if there is none, or none that can be read: then what else lies
/// there counts for nothing.
pub(crate) fn read_record(folder: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(folder.join(RECORD)).ok()?).ok()
}

/// Writes the record: the old one or the new one is there at any time.
pub(crate) fn write_record(folder: &Path, record: &Record) -> Result<(), Error> {
    let path = folder.join(RECORD);
    let new = folder.join(format!("{RECORD}.new"));
    let write = || -> io::Result<()> {
        let file = File::create(&new)?;
        serde_json::to_writer_pretty(&file, record)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    write().map_err(|e| Error::io(&path, e))
}

fn look(folder: &Path) -> Option<Stored> {
    let record = read_record(folder)?;
    // A record names a file beside it and nothing else.
    let name = Path::new(&record.file).file_name()?;
    let path = folder.join(name);
    let size = |path: &Path| fs::metadata(path).map_or(0, |about| about.len());
    // It got its name only when it was complete.
    let complete = path.is_file() && size(&path) == record.bytes;
    let bytes_here = if complete {
        record.bytes
    } else {
        size(&part_of(folder, &record.file))
    };
    Some(Stored {
        source: record.source,
        path,
        complete,
        bytes_here,
        bytes: record.bytes,
        sha256: record.sha256,
    })
}

/// What a store has of one source. Looks only.
pub fn find_stored(store: &Path, source: &str) -> Option<Stored> {
    look(&folder_of(store, source)).filter(|stored| stored.source == source)
}

/// Everything that was downloaded into a store, in the order of the sources. Looks only.
pub fn list_stored(store: &Path) -> Result<Vec<Stored>, Error> {
    let entries = match fs::read_dir(store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|e| Error::io(store, e))?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let folder = entry.map_err(|e| Error::io(store, e))?.path();
        all.extend(look(&folder));
    }
    all.sort_by(|one, two| one.source.cmp(&two.source));
    Ok(all)
}

/// Removes what a store has of one source. Refused while it is being fetched.
pub fn remove_stored(store: &Path, source: &str) -> Result<(), Error> {
    let folder = folder_of(store, source);
    let _lock = try_lock(&lock_of(&folder), source)?;
    remove_folder(&folder)
}
