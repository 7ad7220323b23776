//! The newest event that was acknowledged, noted in a file of its own. `SQLite` takes a log that was cut
//! short or deleted for one that ends early, and gives the older state without a word; the note tells.
//!
//! It is written after each commit and not flushed: what it says was flushed before. A process that is
//! killed leaves it whole, a loss of power may leave an older one, or none, which asks for less. It is
//! about one file, by device and inode: a copy of a store has no note, and opens as far as it goes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use journeyman_event::{ContentHash, Sequence};

use crate::place::FileId;

const NAME: &str = "journal.last";
const MODE: u32 = 0o600;
/// Every note has so many bytes: a newer one covers an older one.
const LEN: usize = 160;

/// An event that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) sequence: Sequence,
    pub(crate) hash: ContentHash,
}

/// The file of the note, open.
#[derive(Debug)]
pub(crate) struct HighWaterMark {
    file: File,
    about: FileId,
}

impl HighWaterMark {
    /// Begins to note what is acknowledged in the database `about`.
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

/// What was acknowledged in the database `about`, as far as is known.
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
