//! Refuses for want of space before the first byte is fetched, not after an hour.

use std::path::Path;

use crate::Error;

/// Whether `folder`, which exists, has room for `needed` bytes of the file `name`.
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
