//! The errors of the journal: what happened, why, and what to do.

use journeyman_event::{InvalidEvent, Revision, Sequence, TaskId};
use thiserror::Error;

use crate::engine::Holder;
use crate::erasure::Erased;

/// Why the journal did not do what was asked. Nothing that was acknowledged is ever lost by any of
/// these.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Another writer holds the store.
    #[error(
        "the journal in {store} is in use by {holder}; wait for it, end it, or name another folder with --data-dir"
    )]
    Locked {
        /// The name of the store.
        store: String,
        /// The holder of the store.
        holder: Holder,
    },
    /// The stream is not at the expected revision.
    #[error("task {task} is at revision {actual}, not {expected}; nothing was written")]
    WrongRevision {
        /// The task id of the stream.
        task: TaskId,
        /// The expected revision.
        expected: Revision,
        /// The actual revision.
        actual: Revision,
    },
    /// Some of the events are stored already, or with different content.
    #[error(
        "event {id} is stored already and the append is not the same again; nothing was written"
    )]
    IdInUse {
        /// The id of such an event.
        id: String,
    },
    /// An event is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidEvent),
    /// The append as a whole is invalid.
    #[error("append refused: {reason}")]
    BadAppend {
        /// The rule that the append breaks.
        reason: String,
    },
    /// The stream was erased. It can neither be read nor appended to.
    #[error("{0}; nothing of it can be read or continued")]
    Erased(Box<Erased>),
    /// The principal may not do that.
    #[error("only the system principal may {what}")]
    Forbidden {
        /// What was attempted.
        what: &'static str,
    },
    /// The journal is open for reading only.
    #[error("this journal is open for reading only")]
    ReadOnly,
    /// The disk is full. Nothing was written; recorded events stay readable.
    #[error("no space left for the journal in {store}; free some")]
    Full {
        /// The name of the store.
        store: String,
    },
    /// The store is not writable. Nothing was written.
    #[error(
        "the journal in {store} cannot be written to ({reason}); check its rights and its disk"
    )]
    NotWritable {
        /// The name of the store.
        store: String,
        /// The error of the operating system.
        reason: String,
    },
    /// Another program uses the store and does not finish. Nothing was written.
    #[error(
        "another program keeps using the journal in {store}; close it, or wait until it has finished"
    )]
    Held {
        /// The name of the store.
        store: String,
    },
    /// An I/O error at the commit: the append may or may not have been written. Repeating it shows which.
    #[error(
        "the journal had an I/O error ({reason}); whether the events were written is not known, try the same again"
    )]
    Unknown {
        /// The error of the operating system.
        reason: String,
    },
    /// After an I/O error, events that were acknowledged are missing.
    #[error(
        "the journal {store} lost events that were acknowledged; stop, keep its folder as it is, and \
         restore it from a copy"
    )]
    LostAcknowledged {
        /// The name of the store.
        store: String,
    },
    /// An event was changed or is missing. All others can still be read.
    #[error(
        "event {sequence} in {store} is damaged: {reason}. What stands before and after it can still be \
         read; keep the file as it is and restore a copy"
    )]
    Damaged {
        /// The name of the store.
        store: String,
        /// The position of the event.
        sequence: Sequence,
        /// What is wrong with it.
        reason: String,
    },
    /// The store as a whole is invalid.
    #[error(
        "{store} is damaged or not a journal ({reason}); keep it as it is and restore a copy, or name another folder"
    )]
    Corrupt {
        /// The name of the store.
        store: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no store.
    #[error("there is no journal in {store} yet; `journeyman run` makes one")]
    NoStore {
        /// The name of the store.
        store: String,
    },
    /// The files are incomplete and may be all that is left of a store. Nothing was opened or changed.
    #[error(
        "{store} holds what looks like the remains of a journal ({found}); nothing was touched. Copy the \
         folder, then put back what is missing; if nothing in it is wanted, move the files \
         journal.db* away; or name another folder with --data-dir"
    )]
    Remains {
        /// The name of the store.
        store: String,
        /// The files that exist.
        found: String,
    },
    /// While the store was in use, one of its files was moved, deleted, replaced, truncated or written to by
    /// another program. Nothing more is acknowledged.
    #[error(
        "{store} was moved, deleted, replaced or changed by another program while it was in use; nothing more is \
         written. Put it back, and it goes on by itself; or stop this process and start it again to use what is \
         there now"
    )]
    Moved {
        /// The name of the store.
        store: String,
    },
    /// The store was written by a newer version.
    #[error(
        "{store} was written by a newer version of journeyman (format {found}, this one knows {known}); update journeyman"
    )]
    Newer {
        /// The name of the store.
        store: String,
        /// The format of the store.
        found: i64,
        /// The newest format this version supports.
        known: i64,
    },
    /// The `SQLite` library is too old to be reliable with WAL.
    #[error("SQLite {found} is too old for the journal: 3.51.3 or newer is needed")]
    OldSqlite {
        /// The version of the library.
        found: String,
    },
    /// The journal was closed, or its writer has died.
    #[error("the journal is closed, nothing more is recorded; start journeyman again")]
    Closed,
}

impl Error {
    /// Whether the same append may succeed later unchanged.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Full { .. }
                | Self::NotWritable { .. }
                | Self::Held { .. }
                | Self::Unknown { .. }
                | Self::Moved { .. }
        )
    }

    /// Whether nothing was written because the caller's expectation did not match the store.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::WrongRevision { .. } | Self::IdInUse { .. })
    }

    pub(crate) fn bad_append(reason: impl ToString) -> Self {
        Self::BadAppend {
            reason: reason.to_string(),
        }
    }
}
