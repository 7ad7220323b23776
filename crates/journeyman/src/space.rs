//! Checks whether there is disk space before work starts. Otherwise the first part to write something would fail
//! and be blamed: the sandbox, the model server, Python.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// How many bytes are written to check. With less space it is not worth starting.
const TRIED_BYTES: usize = 256 << 10;

/// The error for a full disk.
#[derive(Debug, thiserror::Error)]
#[error(
    "no space left in {}: work cannot begin before there are {} KiB at least; free some",
    folder.display(),
    TRIED_BYTES >> 10
)]
pub(crate) struct NoSpace {
    folder: PathBuf,
}

/// Checks whether the data folder and the directory for temporary files have a little space. Other errors
/// are left to those who need these directories.
pub(crate) fn check(data_dir: &Path) -> Result<(), NoSpace> {
    for folder in [data_dir.to_owned(), std::env::temp_dir()] {
        let file = folder.join(format!(".journeyman-space-{}", std::process::id()));
        let written =
            File::create(&file).and_then(|mut file| file.write_all(&vec![b'.'; TRIED_BYTES]));
        // It may not even be there.
        let _ = fs::remove_file(&file);
        let is_full = written.is_err_and(|error| {
            matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded
            )
        });
        if is_full {
            return Err(NoSpace { folder });
        }
    }
    Ok(())
}
