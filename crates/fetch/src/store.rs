//! Where downloaded files are stored. Each file has its own folder, named after its source, which contains the file
//! (or the part downloaded so far) and a record with its metadata.

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
/// The length of a folder name; long enough to be unique per source.
const KEY_CHARS: usize = 16;

/// The metadata stored next to a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The source of the file, worded for a person.
    pub(crate) source: String,
    /// The file name, without a folder.
    pub(crate) file: String,
    /// The size in bytes.
    pub(crate) bytes: u64,
    /// The SHA-256 of a complete file, or the expected one of an incomplete file, if known.
    pub(crate) sha256: Option<String>,
    /// The entity tag that the part was downloaded with (RFC 9110, section 8.8.3).
    pub(crate) etag: Option<String>,
}

/// A downloaded file, complete or in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The source of the file, such as its URL.
    pub source: String,
    /// The path of the file, whether it is complete or not.
    pub path: PathBuf,
    /// Whether the file is complete and verified.
    pub complete: bool,
    /// The bytes downloaded so far.
    pub bytes_here: u64,
    /// The size of the complete file in bytes.
    pub bytes: u64,
    /// The SHA-256 as 64 hexadecimal digits. Always known for complete files.
    pub sha256: Option<String>,
}

/// The folder of a source within a store.
pub(crate) fn folder_of(store: &Path, source: &str) -> PathBuf {
    let mut key = hex(&Sha256::digest(source.as_bytes()));
    key.truncate(KEY_CHARS);
    store.join(key)
}

/// The lock file of a source. It is outside the folder, so that it stays the same when the folder is removed.
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

/// Reads the record in a folder. `None` if it is missing or unreadable; other files in the folder are then
/// ignored.
pub(crate) fn read_record(folder: &Path) -> Option<Record> {
    serde_json::from_slice(&fs::read(folder.join(RECORD)).ok()?).ok()
}

/// Writes the record atomically: at any time either the old or the new one exists.
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

/// Looks up the stored file of a source. Changes nothing.
pub fn find_stored(store: &Path, source: &str) -> Option<Stored> {
    look(&folder_of(store, source)).filter(|stored| stored.source == source)
}

/// Lists everything in a store, sorted by source. Changes nothing.
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

/// Removes the stored file of a source. Fails while it is being downloaded.
pub fn remove_stored(store: &Path, source: &str) -> Result<(), Error> {
    let folder = folder_of(store, source);
    let _lock = try_lock(&lock_of(&folder), source)?;
    remove_folder(&folder)
}
