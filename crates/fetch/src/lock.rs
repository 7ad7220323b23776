//! One process at a time: a lock file that the system frees when its holder ends, however it ends.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use crate::Error;
use crate::progress::{OnProgress, Progress};

/// File locks cannot be waited for without a thread, so they are asked for again and again.
const POLL: Duration = Duration::from_millis(200);

/// Waits until no other process holds the lock; it is free again when the value is dropped. The
/// wait has no bound: the holder may be downloading for an hour, and its end always frees the lock.
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

/// The lock, if no other process holds it.
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
