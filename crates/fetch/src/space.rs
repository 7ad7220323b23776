//! Checks for enough disk space before a download starts.

use std::path::Path;

use crate::Error;

/// Checks that the file system of `folder`, which must exist, has `needed` bytes free for the file `name`.
pub(crate) fn check_space(name: &str, folder: &Path, needed: u64) -> Result<(), Error> {
    let about = rustix::fs::statvfs(folder).map_err(|e| Error::io(folder, e.into()))?;
    let available = about.f_bavail.saturating_mul(about.f_frsize);
    if available >= needed {
        return Ok(());
    }
    Err(Error::NoSpace {
        name: name.to_owned(),
        folder: folder.to_owned(),
        needed,
        available,
    })
}
