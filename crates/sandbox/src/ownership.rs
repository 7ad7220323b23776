//! Changes the owner of a task's folder to the sandbox's user when we are root. Uses open folder handles and never
//! follows a link, so that code running there cannot redirect the change to other files.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, chownat, open, openat, statat};
use rustix::process::{Gid, Uid};

/// The deepest nesting of folders allowed. Deeper nesting is an attempt to exhaust our resources.
const DEPTH_MAX: usize = 128;

/// Makes `uid` the owner of the folder and of everything in it. Blocking.
pub(crate) fn give(folder: &Path, uid: u32) -> io::Result<()> {
    let opened = open(folder, flags(), Mode::empty())?;
    chown_one(CWD, folder, uid)?;
    give_contents(&opened, uid, 0)
}

fn flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn chown_one<P: rustix::path::Arg>(parent: impl AsFd, name: P, uid: u32) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    Ok(chownat(
        parent,
        name,
        Some(user),
        Some(group),
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

fn give_contents(folder: &OwnedFd, uid: u32, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other(format!(
            "folders are nested more than {DEPTH_MAX} deep"
        )));
    }
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes() == b"." || name.to_bytes() == b".." {
            continue;
        }
        let about = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_folder = FileType::from_raw_mode(about.st_mode) == FileType::Directory;
        // A file with a second hard link may belong to someone else.
        if about.st_uid != uid && (is_folder || about.st_nlink == 1) {
            chown_one(folder, name, uid)?;
        }
        if is_folder {
            give_contents(
                &openat(folder, name, flags(), Mode::empty())?,
                uid,
                depth + 1,
            )?;
        }
    }
    Ok(())
}
