//! The lock file: one writer per data folder. The operating system releases the lock when the holder ends for
//! any reason.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use journeyman_journal::{Error, Holder};

use crate::place::failed_io;

/// How often a writer tries to take the lock. Readers hold it briefly to check it.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Lock {
    /// The lock is held for as long as this value lives.
    _file: File,
}

/// The path of the lock file.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join("journal.lock")
}

impl Lock {
    pub(crate) fn take(folder: &Path) -> Result<Self, Error> {
        let failed = |error: std::io::Error| failed_io(folder, &error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path(folder))
            .map_err(failed)?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < TRIES => thread::sleep(BETWEEN_TRIES),
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Locked {
                        store: folder.display().to_string(),
                        holder: holder(read_pid(&mut file).unwrap_or(0)),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        // A full disk must not keep anyone from opening the journal: the pid is for people only.
        let note = file
            .set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()));
        if let Err(error) = note {
            tracing::warn!(%error, "cannot note the process id in the lock file");
        }
        Ok(Self { _file: file })
    }
}

/// The process that holds the data folder, if there is one; 0 if it is unknown.
pub(crate) fn process(folder: &Path) -> Option<u32> {
    let mut file = File::open(path(folder)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(read_pid(&mut file).unwrap_or(0)),
        _ => None,
    }
}

/// A holder with the process id it has written.
pub(crate) fn holder(process: u32) -> Holder {
    match process {
        0 => Holder::new("a process that does not tell its number"),
        number => Holder::process(number),
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
