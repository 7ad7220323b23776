//! Finds a Python interpreter that can create virtual environments.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::python::run_python;

/// The system's own Python.
const SYSTEM: &str = "/usr/bin/python3";
/// A script that checks whether an interpreter can create virtual environments, and prints where it is.
const CHECK: &str = "import sys, venv, ensurepip
if sys.version_info < (3, 9): sys.exit('it is older than 3.9')
print(getattr(sys, '_base_executable', sys.executable))
print(sys.base_prefix)";
const EXECUTE_OTHERS: u32 = 0o001;

/// Returns a Python that can create virtual environments. When running as root, prefers one that every user can
/// read, because the sandbox may run code as another user.
pub(crate) async fn find_interpreter() -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<PathBuf> = std::env::split_paths(&path)
        .map(|folder| folder.join("python3"))
        .chain([PathBuf::from(SYSTEM)])
        .filter(|candidate| candidate.exists())
        .collect();
    candidates.dedup();
    let others_must_read = rustix::process::getuid().is_root();
    let mut private = None;
    let mut tried = Vec::new();
    for candidate in candidates {
        let arguments = [OsStr::new("-c"), OsStr::new(CHECK)];
        match run_python(&candidate, &arguments, "the check").await {
            Ok(places) if !others_must_read || places.lines().all(open_to_others) => {
                return Ok(candidate);
            }
            Ok(_) => {
                private.get_or_insert(candidate);
            }
            Err(error) => tried.push(format!("{}: {error}", candidate.display())),
        }
    }
    if let Some(candidate) = private {
        tracing::warn!(
            interpreter = %candidate.display(),
            "other users cannot read this Python, and no other was found; code that runs as \
             another user will not start with it"
        );
        return Ok(candidate);
    }
    if tried.is_empty() {
        tried.push("no python3 on the PATH".to_owned());
    }
    Err(Error::NoPython {
        tried: tried.join("; "),
    })
}

/// Whether every user can access a path.
fn open_to_others(place: &str) -> bool {
    let Ok(place) = fs::canonicalize(place) else {
        return false;
    };
    place
        .ancestors()
        .all(|step: &Path| fs::metadata(step).is_ok_and(|about| about.mode() & EXECUTE_OTHERS != 0))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_place_below_a_private_folder_is_not_open_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let set = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode));
        set(0o700).unwrap();
        assert!(!open_to_others(&inner.to_string_lossy()));
        assert!(open_to_others("/"));
        assert!(!open_to_others("/no/such/place"));
    }

    #[tokio::test]
    async fn the_interpreter_found_can_be_run() {
        let interpreter = find_interpreter().await.unwrap();
        let arguments = [OsStr::new("-c"), OsStr::new("print(6 * 7)")];
        let printed = run_python(&interpreter, &arguments, "a sum").await.unwrap();
        assert_eq!(printed.trim(), "42");
    }
}
