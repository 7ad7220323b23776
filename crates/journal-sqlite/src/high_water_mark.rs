//! The position of the last acknowledged event, written to a separate file. If the log is truncated or deleted,
//! `SQLite` takes it for one that ends early and silently returns the older state; this file reveals that.
//!
//! It is written after each commit and not synced, because what it refers to was synced before. It survives a
//! killed process; a power loss may leave an older version or none, which only weakens the check. It is bound to
//! one database file, by device and inode: a copy of a store has none and opens as it is.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use journeyman_event::{ContentHash, Sequence};

use crate::place::FileId;

const NAME: &str = "journal.last";
const MODE: u32 = 0o600;
/// The length of the file in bytes; always the same, so that a new mark overwrites an old one completely.
const LEN: usize = 160;

/// An acknowledged event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) sequence: Sequence,
    pub(crate) hash: ContentHash,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct HighWaterMark {
    file: File,
    about: FileId,
}

impl HighWaterMark {
    /// Opens or creates the mark for the database `about`.
    pub(crate) fn open(folder: &Path, about: FileId) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(MODE)
            .open(path(folder))?;
        Ok(Self { file, about })
    }

    pub(crate) fn note(&self, newest: Acknowledged) -> io::Result<()> {
        let FileId { device, inode } = self.about;
        let Acknowledged { sequence, hash } = newest;
        let note = format!("{device} {inode} {sequence} {hash}");
        self.file
            .write_all_at(format!("{note:<LEN$}\n").as_bytes(), 0)
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// The last acknowledged event of the database `about`, as far as known.
pub(crate) fn noted(folder: &Path, about: FileId) -> Option<Acknowledged> {
    let note = fs::read_to_string(path(folder)).ok()?;
    let mut words = note.split_ascii_whitespace();
    let mut number = || words.next()?.parse::<u64>().ok();
    let (device, inode, sequence) = (number()?, number()?, number()?);
    let hash = words.next()?.parse().ok()?;
    let newest = Acknowledged {
        sequence: Sequence(sequence),
        hash,
    };
    (about == FileId { device, inode }).then_some(newest)
}
