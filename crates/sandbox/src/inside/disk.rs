//! How much a run holds on disk. Two looks, for neither sees everything: what lies in its folders (on any file system,
//! but not what was deleted and is still open), and what its processes wrote by the kernel's own account (deleted files
//! too, but not on file systems in memory). Reads only, and never follows a link.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};

/// More files, folders and links than any test makes.
const ENTRIES_MAX: u64 = 20_000;
/// Deeper than this is no project but an attempt to exhaust us.
const DEPTH_MAX: usize = 128;
/// What `st_blocks` counts in, whatever the file system's own blocks are.
const BLOCK_BYTES: u64 = 512;

/// Whether what lies in these folders takes more than `bytes_max`, or is more than 20,000 entries, or is nested more
/// than 128 deep. What vanishes or cannot be looked at counts as nothing.
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

/// Bytes that a process, and those of its children that are buried, have written to files and that were not deleted
/// before they reached the disk. Negative for one that deleted what others wrote; 0 where the kernel does not say.
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

/// What may still be found before it is too much.
struct Left {
    bytes: u64,
    entries: u64,
}

/// It is too much.
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
            if name.to_bytes() == b"." || name.to_bytes() == b".." {
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
