//! Measures how much disk space a run uses. Two measurements are needed, because neither sees everything: the files
//! in the run's folders (on any file system, but not deleted files that are still open), and the bytes that its
//! processes wrote according to the kernel (including deleted files, but not on in-memory file systems). Links are
//! never followed.

use std::ffi::CStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, chmodat, openat, renameat_with, statat,
};
use rustix::io::Errno;

/// The most files, folders and links allowed; more than any test creates.
const ENTRIES_MAX: u64 = 20_000;
/// The deepest nesting of folders allowed. Deeper nesting is an attempt to exhaust our resources.
const DEPTH_MAX: usize = 64;
/// The unit of `st_blocks`, regardless of the file system's block size.
const BLOCK_BYTES: u64 = 512;

/// Whether the contents of these folders take more than `bytes_max`, are more than 20,000 entries, or are
/// nested more than 64 deep. Entries that vanish or cannot be read count as nothing.
pub(super) fn folders_hold_more_than(folders: &[&Path], bytes_max: u64) -> bool {
    let mut left = Left {
        bytes: bytes_max,
        entries: ENTRIES_MAX,
    };
    folders.iter().any(|folder| {
        openat(CWD, *folder, flags(), Mode::empty())
            .is_ok_and(|opened| left.take_contents(&opened, 0).is_err())
    })
}

/// Prepares what a run left behind for removal without privileges and with few file descriptors: makes every
/// folder accessible to its owner, and reduces nesting to at most 64 levels. No process of the run may be
/// alive.
pub(super) fn make_removable(folder: &Path) {
    let Ok(top) = openat(CWD, folder, flags(), Mode::empty()) else {
        return;
    };
    let mut moved = 0;
    loop {
        let before = moved;
        lift_deep_folders(&top, &top, 0, &mut moved);
        if moved == before {
            return;
        }
    }
}

/// Moves folders that are nested too deep to the top. Folders that cannot be moved or opened are left alone.
fn lift_deep_folders(top: &OwnedFd, folder: &OwnedFd, depth: usize, moved: &mut u32) {
    let Ok(entries) = Dir::read_from(folder) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        if is_no_child(name) || !is_folder(folder, name) {
            continue;
        }
        let _ = chmodat(folder, name, Mode::RWXU, AtFlags::empty());
        if depth == DEPTH_MAX {
            let lifted = format!(".lifted-{moved}");
            let done = renameat_with(folder, name, top, lifted, RenameFlags::NOREPLACE);
            // The run itself used this name, so the next pass tries the next number.
            if matches!(done, Ok(()) | Err(Errno::EXIST)) {
                *moved += 1;
            }
        } else if let Ok(inner) = openat(folder, name, flags(), Mode::empty()) {
            lift_deep_folders(top, &inner, depth + 1, moved);
        }
    }
}

fn is_no_child(name: &CStr) -> bool {
    name.to_bytes() == b"." || name.to_bytes() == b".."
}

fn is_folder(parent: &OwnedFd, name: &CStr) -> bool {
    statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|about| FileType::from_raw_mode(about.st_mode) == FileType::Directory)
}

/// The bytes that a process and its reaped children wrote to files, minus those deleted before they reached the
/// disk. Negative for a process that deleted what others wrote; 0 if the kernel does not report it.
pub(super) fn written_bytes(pid: i32) -> i64 {
    let Ok(account) = fs::read_to_string(format!("/proc/{pid}/io")) else {
        return 0;
    };
    let field = |name: &str| {
        let line = account.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().parse().ok())
            .unwrap_or(0_i64)
    };
    field("write_bytes:").saturating_sub(field("cancelled_write_bytes:"))
}

/// How much more may be found before the limit is exceeded.
struct Left {
    bytes: u64,
    entries: u64,
}

/// The limit is exceeded.
struct Over;

impl Left {
    fn take_contents(&mut self, folder: &OwnedFd, depth: usize) -> Result<(), Over> {
        if depth > DEPTH_MAX {
            return Err(Over);
        }
        let Ok(entries) = Dir::read_from(folder) else {
            return Ok(());
        };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            if is_no_child(name) {
                continue;
            }
            let Ok(about) = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let is_folder = FileType::from_raw_mode(about.st_mode) == FileType::Directory;
            // A file with several names counts by each of them: rare, and safe.
            let bytes = u64::try_from(about.st_blocks).unwrap_or(0) * BLOCK_BYTES;
            self.entries = self.entries.checked_sub(1).ok_or(Over)?;
            self.bytes = self.bytes.checked_sub(bytes).ok_or(Over)?;
            if is_folder && let Ok(inner) = openat(folder, name, flags(), Mode::empty()) {
                self.take_contents(&inner, depth + 1)?;
            }
        }
        Ok(())
    }
}

fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustix::fs::mkdirat;

    use super::*;

    #[test]
    fn what_is_nested_too_deep_is_too_much_and_can_be_removed_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let mut inner = openat(CWD, folder.path(), flags(), Mode::empty()).unwrap();
        for _ in 0..1_000 {
            mkdirat(&inner, "deeper", Mode::RWXU).unwrap();
            inner = openat(&inner, "deeper", flags(), Mode::empty()).unwrap();
        }
        fs::create_dir(folder.path().join(".lifted-0")).unwrap();
        let closed = folder.path().join("deeper/closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        assert!(folders_hold_more_than(&[folder.path()], u64::MAX));
        make_removable(folder.path());
        assert!(!folders_hold_more_than(&[folder.path()], u64::MAX));
        let mode = fs::metadata(&closed).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn what_lies_in_folders_is_added_up() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for folder in &folders {
            fs::write(folder.path().join("file"), vec![1; 1 << 20]).unwrap();
        }
        let paths = [folders[0].path(), folders[1].path()];
        assert!(folders_hold_more_than(&paths, 1 << 20));
        assert!(!folders_hold_more_than(&paths, 3 << 20));
    }
}
