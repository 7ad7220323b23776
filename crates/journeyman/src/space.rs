//! Whether there is space to work in. Where there is none, the first thing that writes would fail and
//! be blamed for it: the sandbox, the model server, Python.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What is written to find out: less is not worth beginning with.
const TRIED_BYTES: usize = 256 << 10;

/// A disk is full.
#[derive(Debug, thiserror::Error)]
#[error(
    "no space left in {}: work cannot begin before there are {} KiB at least; free some",
    folder.display(),
    TRIED_BYTES >> 10
)]
pub(crate) struct NoSpace {
    folder: PathBuf,
}

/// Tries whether the data folder and the one of temporary files take a little more. What else may be
/// wrong with them is for those to tell who need them.
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
