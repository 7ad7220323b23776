//! What can go wrong with the journal: what happened, why, what to do.

use journeyman_event::{InvalidEvent, Revision, Sequence, TaskId};
use thiserror::Error;

use crate::engine::Holder;

/// Why the journal did not do what was asked. Nothing that was acknowledged is ever lost by any of
/// these.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Another writer has the store.
    #[error(
        "the journal in {store} is in use by {holder}; wait for it, end it, or name another folder with --data-dir"
    )]
    Locked {
        /// What the store is called.
        store: String,
        /// Who has it.
        holder: Holder,
    },
    /// The stream is not where the caller thought.
    #[error("task {task} is at revision {actual}, not {expected}; nothing was written")]
    WrongRevision {
        /// The stream.
        task: TaskId,
        /// What the caller expected.
        expected: Revision,
        /// What it is.
        actual: Revision,
    },
    /// Some of these events are stored already, or differently.
    #[error(
        "event {id} is stored already and the append is not the same again; nothing was written"
    )]
    IdInUse {
        /// The event's id.
        id: String,
    },
    /// An event breaks a rule.
    #[error(transparent)]
    Invalid(#[from] InvalidEvent),
    /// The append itself breaks a rule.
    #[error("append refused: {reason}")]
    BadAppend {
        /// Which.
        reason: String,
    },
    /// The principal may not do that.
    #[error("only the system principal may {what}")]
    Forbidden {
        /// What was asked.
        what: &'static str,
    },
    /// This journal was opened for reading.
    #[error("this journal is open for reading only")]
    ReadOnly,
    /// No space. Nothing was written; what was recorded stays readable.
    #[error("no space left for the journal in {store}; free some")]
    Full {
        /// What the store is called.
        store: String,
    },
    /// No right to write. Nothing was written.
    #[error(
        "the journal in {store} cannot be written to ({reason}); check its rights and its disk"
    )]
    NotWritable {
        /// What the store is called.
        store: String,
        /// What the system said.
        reason: String,
    },
    /// An I/O error at the commit: it may or may not have been written. The same append again
    /// tells.
    #[error(
        "the journal had an I/O error ({reason}); whether the events were written is not known, try the same again"
    )]
    Unknown {
        /// What the system said.
        reason: String,
    },
    /// After an I/O error something that was acknowledged is not there any more.
    #[error(
        "the journal {store} lost events that were acknowledged; stop, keep its folder as it is, and \
         restore it from a copy"
    )]
    LostAcknowledged {
        /// What the store is called.
        store: String,
    },
    /// An event is not as it was written, or is missing. All others can still be read.
    #[error(
        "event {sequence} in {store} is damaged: {reason}. What stands before and after it can still be \
         read; keep the file as it is and restore a copy"
    )]
    Damaged {
        /// What the store is called.
        store: String,
        /// Its position.
        sequence: Sequence,
        /// What is wrong.
        reason: String,
    },
    /// The file is not a sound journal.
    #[error(
        "{store} is damaged or not a journal ({reason}); keep it as it is and restore a copy, or name another folder"
    )]
    Corrupt {
        /// What the store is called.
        store: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no store to be read.
    #[error("there is no journal in {store} yet; `journeyman run` makes one")]
    NoStore {
        /// What the store is called.
        store: String,
    },
    /// What lies there is not whole, and may be all that is left of what was acknowledged. Nothing of
    /// it was opened or changed.
    #[error(
        "{store} holds what looks like the remains of a journal ({found}); nothing was touched. Copy the \
         folder, then put back what is missing; if nothing in it is wanted, move the files \
         journal.db* away; or name another folder with --data-dir"
    )]
    Remains {
        /// What the store is called.
        store: String,
        /// What is there.
        found: String,
    },
    /// A file of the store was moved, deleted, replaced, cut short or written to by another program while it was
    /// in use. Nothing more is acknowledged.
    #[error(
        "{store} was moved, deleted, replaced or changed by another program while it was in use; nothing more is \
         written. Put it back, and it goes on by itself; or stop this process and start it again to use what is \
         there now"
    )]
    Moved {
        /// What the store is called.
        store: String,
    },
    /// A newer version wrote it.
    #[error(
        "{store} was written by a newer version of journeyman (format {found}, this one knows {known}); update journeyman"
    )]
    Newer {
        /// What the store is called.
        store: String,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// The `SQLite` library is too old to be trusted with WAL.
    #[error("SQLite {found} is too old for the journal: 3.51.3 or newer is needed")]
    OldSqlite {
        /// Its version.
        found: String,
    },
    /// The writer is gone: the journal was closed.
    #[error("the journal is closed, nothing more is recorded; start journeyman again")]
    Closed,
}

impl Error {
    /// Whether the same append may succeed later without anyone calling differently.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Full { .. }
                | Self::NotWritable { .. }
                | Self::Unknown { .. }
                | Self::Moved { .. }
        )
    }

    /// Whether nothing was written because the caller's view is not the store's.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::WrongRevision { .. } | Self::IdInUse { .. })
    }

    pub(crate) fn bad_append(reason: impl ToString) -> Self {
        Self::BadAppend {
            reason: reason.to_string(),
        }
    }
}
