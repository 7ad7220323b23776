//! A lock file that lets one process work at a time. The operating system releases it when the process ends for any
//! reason.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use crate::Error;
use crate::progress::{OnProgress, Progress};

/// How often a held lock is tried again. Waiting for a file lock would need a thread of its own.
const POLL: Duration = Duration::from_millis(200);

/// Waits until no other process holds the lock. Dropping the returned value releases it. The wait is unbounded,
/// because the holder may be downloading for an hour; its end always releases the lock.
pub(crate) async fn lock(path: &Path, what: &str, report: OnProgress<'_>) -> Result<File, Error> {
    let file = File::create(path).map_err(|e| Error::io(path, e))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                if !told {
                    let text = format!("waiting for another process that prepares {what}");
                    report(Progress::step(text));
                    told = true;
                }
                tokio::time::sleep(POLL).await;
            }
            Err(TryLockError::Error(error)) => return Err(Error::io(path, error)),
        }
    }
}

/// Takes the lock if no other process holds it.
pub(crate) fn try_lock(path: &Path, what: &str) -> Result<File, Error> {
    let file = File::create(path).map_err(|e| Error::io(path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Busy {
            what: what.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(Error::io(path, error)),
    }
}
