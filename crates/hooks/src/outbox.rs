//! The outbox: the deliveries that are still to be made, in a file beside the journal, and the position up to which
//! the journal was read. Both change in one transaction, so a crash neither loses nor duplicates a delivery in the
//! outbox.
//!
//! A delivery refers to an event by hook, task and position. It holds nothing of the task's content.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

mod status;
mod upkeep;

pub(crate) use status::HookRow;

/// The name of the file in the data folder.
pub(crate) const FILE: &str = "hooks.db";
const FILE_MODE: u32 = 0o600;
/// The version of the file format.
const FORMAT: i64 = 1;
/// The largest number of pending deliveries of a configured hook, or of all webhooks of one owner's tasks. Further ones
/// are dead at once.
const PENDING_MAX: i64 = 10_000;
/// The largest number of dead deliveries that are kept of a configured hook, or of all webhooks of one owner's tasks;
/// older ones are deleted.
const DEAD_MAX: i64 = 1_000;
/// The largest number of characters kept of an error.
const ERROR_CHARS_MAX: usize = 300;
/// How long to wait for a lock on the file.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    store TEXT NOT NULL,
    position INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS hooks (
    name TEXT PRIMARY KEY,
    owner TEXT,
    target TEXT NOT NULL,
    used_at INTEGER NOT NULL,
    disabled INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0,
    last_delivered_at INTEGER,
    consecutive_failures INTEGER NOT NULL DEFAULT 0,
    failing_since INTEGER,
    paused_until INTEGER NOT NULL DEFAULT 0,
    error TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY,
    hook TEXT NOT NULL,
    quota TEXT NOT NULL,
    owner TEXT NOT NULL,
    task TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    enqueued_at INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    failing_since INTEGER,
    error TEXT,
    UNIQUE (hook, sequence)
);
CREATE INDEX IF NOT EXISTS lanes ON deliveries (hook, owner, task, sequence) WHERE state = 0;
CREATE INDEX IF NOT EXISTS due ON deliveries (hook, next_attempt_at, sequence) WHERE state = 0;
CREATE INDEX IF NOT EXISTS quotas ON deliveries (quota, state, id);
CREATE INDEX IF NOT EXISTS dead ON deliveries (hook, id) WHERE state = 1;
";

/// The location of an outbox and the journal it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The data folder; `None` for an outbox in memory.
    pub(crate) data_dir: Option<PathBuf>,
    /// The id of the journal's store.
    pub(crate) store: String,
    /// The position of the journal's last event when the process started.
    pub(crate) head: i64,
}

/// Whether a process opens its outbox for the first time, which is before any task of it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The journal still ends where it did when the process started.
    First,
    /// The journal may have grown meanwhile.
    Again,
}

/// A delivery to enqueue.
#[derive(Clone, Debug)]
pub(crate) struct NewDelivery {
    pub(crate) hook: String,
    /// The owner who may see the hook besides admins.
    pub(crate) hook_owner: Option<String>,
    /// The part of the hook's target that may be shown.
    pub(crate) target: String,
    pub(crate) owner: String,
    pub(crate) task: String,
    pub(crate) sequence: i64,
    pub(crate) kind: String,
}

impl NewDelivery {
    /// Whose bounds it counts for: those of a configured hook, or those of the owner whose tasks have the webhook. No
    /// configured hook has a name that begins with `task-`.
    fn quota(&self) -> String {
        match &self.hook_owner {
            Some(owner) => format!("task-{owner}"),
            None => self.hook.clone(),
        }
    }
}

/// A delivery that is due.
#[derive(Clone, Debug)]
pub(crate) struct PendingDelivery {
    pub(crate) id: i64,
    pub(crate) hook: String,
    /// Whose bounds it counts for.
    pub(crate) quota: String,
    pub(crate) owner: String,
    pub(crate) task: String,
    pub(crate) sequence: i64,
    pub(crate) kind: String,
    pub(crate) attempts: u32,
    /// The number of failed attempts of its hook in a row, for any delivery.
    pub(crate) hook_failures: u32,
}

/// A hook with due deliveries.
#[derive(Clone, Debug)]
pub(crate) struct DueHook {
    pub(crate) hook: String,
    /// The owner of the tasks whose webhook it is; `None` for a configured hook.
    pub(crate) owner: Option<String>,
    /// The number of failed attempts in a row.
    pub(crate) consecutive_failures: u32,
}

/// The outcome of an attempt.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// The delivery was made; a command may still have failed.
    Delivered { error: Option<String> },
    /// The task no longer exists.
    Obsolete,
    /// The receiver wants no further deliveries.
    Disabled { error: String },
    /// The attempt failed.
    Failed {
        error: String,
        /// When to try again.
        next_attempt_at: i64,
        /// Until when no delivery of the hook is attempted.
        paused_until: i64,
        /// How long a delivery may fail before it is dead.
        lifetime_ms: i64,
    },
}

/// The deliveries that are still to be made. Its methods block.
#[derive(Debug)]
pub struct Outbox {
    connection: Connection,
}

impl Outbox {
    /// Opens the outbox, or creates it at the journal's current end. An outbox of another journal is reset.
    pub(crate) fn open(place: &Place, opening: Opening) -> rusqlite::Result<Self> {
        let connection = match &place.data_dir {
            Some(data_dir) => {
                let file = data_dir.join(FILE);
                make(&file);
                Connection::open(file)?
            }
            None => Connection::open_in_memory()?,
        };
        let mut outbox = Self {
            connection: prepare(connection)?,
        };
        outbox.bind_to_journal(place, opening)?;
        Ok(outbox)
    }

    /// Binds the outbox to this journal.
    fn bind_to_journal(&mut self, place: &Place, opening: Opening) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        let known: Option<(String, i64)> = transaction
            .query_row("SELECT store, position FROM meta", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        match known {
            Some((store, position)) if store == place.store => {
                // A journal restored from an older copy assigns the positions after its end again.
                if opening == Opening::First && position > place.head {
                    transaction
                        .execute("DELETE FROM deliveries WHERE sequence > ?1", [place.head])?;
                    set_position(&transaction, place.head)?;
                }
            }
            Some(_) => {
                tracing::warn!(
                    "the journal was replaced: pending deliveries of the old one are dropped"
                );
                transaction.execute("DELETE FROM deliveries", [])?;
                transaction.execute(
                    "UPDATE meta SET store = ?1, position = ?2",
                    params![place.store, place.head],
                )?;
            }
            None => {
                transaction.execute(
                    "INSERT INTO meta (id, store, position) VALUES (1, ?1, ?2)",
                    params![place.store, place.head],
                )?;
            }
        }
        transaction.commit()
    }

    /// The position up to which the journal was read.
    pub(crate) fn position(&mut self) -> rusqlite::Result<i64> {
        let read = |row: &Row<'_>| row.get(0);
        self.connection
            .query_row("SELECT position FROM meta", [], read)
    }

    /// Enqueues deliveries and advances the position, in one transaction.
    pub(crate) fn enqueue(
        &mut self,
        deliveries: &[NewDelivery],
        position: i64,
        now: i64,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for delivery in deliveries {
            enqueue_one(&transaction, delivery, now)?;
        }
        set_position(&transaction, position)?;
        transaction.commit()
    }

    /// Deletes what is kept of the webhooks of an owner's tasks, because one of these tasks was erased: where they are
    /// sent to and how that went. Hooks with deliveries stay until those are made, and disabled ones stay.
    pub(crate) fn forget(&mut self, owner: &str) -> rusqlite::Result<()> {
        forget_idle_hooks(&self.connection, owner)
    }

    /// The number of pending deliveries of all hooks.
    pub(crate) fn pending_count(&mut self) -> rusqlite::Result<i64> {
        let sql = "SELECT COUNT(*) FROM deliveries WHERE state = 0";
        self.connection.query_row(sql, [], |row| row.get(0))
    }

    /// Whether there are pending deliveries of any hook.
    pub(crate) fn has_pending(&mut self) -> rusqlite::Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE state = 0)";
        self.connection.query_row(sql, [], |row| row.get(0))
    }

    /// The hooks with deliveries that were not attempted yet, except failing and disabled hooks.
    pub(crate) fn hooks_with_first_attempts(&mut self) -> rusqlite::Result<Vec<String>> {
        let mut found = self.connection.prepare_cached(
            "SELECT DISTINCT m.hook FROM deliveries AS m JOIN hooks AS h ON h.name = m.hook \
             WHERE m.state = 0 AND m.attempts = 0 AND h.consecutive_failures = 0 AND h.disabled = 0",
        )?;
        found.query_map([], |row| row.get(0))?.collect()
    }

    /// The hooks with due deliveries that are not paused, the longest overdue first.
    pub(crate) fn due(&mut self, now: i64) -> rusqlite::Result<Vec<DueHook>> {
        let mut found = self.connection.prepare_cached(
            "SELECT name, owner, consecutive_failures, \
             (SELECT MIN(next_attempt_at) FROM deliveries WHERE hook = name AND state = 0) AS first \
             FROM hooks WHERE disabled = 0 AND paused_until <= ?1 AND first <= ?1 ORDER BY first",
        )?;
        let read = |row: &Row<'_>| {
            Ok(DueHook {
                hook: row.get(0)?,
                owner: row.get(1)?,
                consecutive_failures: row.get(2)?,
            })
        };
        found.query_map([now], read)?.collect()
    }

    /// When the next delivery that is not yet due becomes due.
    pub(crate) fn next_due(&mut self, now: i64) -> rusqlite::Result<Option<i64>> {
        let mut found = self.connection.prepare_cached(
            "SELECT MIN(due) FROM (SELECT MAX(paused_until, \
             (SELECT MIN(next_attempt_at) FROM deliveries WHERE hook = name AND state = 0)) AS due \
             FROM hooks WHERE disabled = 0) WHERE due > ?1",
        )?;
        found.query_row([now], |row| row.get(0))
    }

    /// The due deliveries of a hook that have no earlier pending delivery about the same task.
    pub(crate) fn next_deliveries(
        &mut self,
        hook: &str,
        now: i64,
        limit: usize,
    ) -> rusqlite::Result<Vec<PendingDelivery>> {
        let mut found = self.connection.prepare_cached(
            "SELECT id, hook, quota, owner, task, sequence, kind, attempts, \
             (SELECT consecutive_failures FROM hooks WHERE name = one.hook) \
             FROM deliveries AS one INDEXED BY due \
             WHERE hook = ?1 AND state = 0 AND next_attempt_at <= ?2 AND NOT EXISTS ( \
                 SELECT 1 FROM deliveries AS earlier INDEXED BY lanes \
                 WHERE earlier.hook = one.hook AND earlier.owner = one.owner AND earlier.task = one.task \
                 AND earlier.sequence < one.sequence AND earlier.state = 0) \
             ORDER BY next_attempt_at, sequence LIMIT ?3",
        )?;
        let read = |row: &Row<'_>| {
            Ok(PendingDelivery {
                id: row.get(0)?,
                hook: row.get(1)?,
                quota: row.get(2)?,
                owner: row.get(3)?,
                task: row.get(4)?,
                sequence: row.get(5)?,
                kind: row.get(6)?,
                attempts: row.get(7)?,
                hook_failures: row.get(8)?,
            })
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        found.query_map(params![hook, now, limit], read)?.collect()
    }

    /// Records the outcome of an attempt. Returns how many deliveries died by it.
    pub(crate) fn record_outcome(
        &mut self,
        delivery: &PendingDelivery,
        outcome: &Outcome,
        now: i64,
    ) -> rusqlite::Result<usize> {
        let transaction = self.connection.transaction()?;
        let (id, hook) = (delivery.id, &delivery.hook);
        let mut dead = 0;
        match outcome {
            Outcome::Delivered { error } => {
                transaction.execute("DELETE FROM deliveries WHERE id = ?1", [id])?;
                transaction.execute(
                    "UPDATE hooks SET delivered = delivered + 1, last_delivered_at = ?2, consecutive_failures = 0, failing_since = NULL, \
                     paused_until = 0, error = ?3 WHERE name = ?1",
                    params![hook, now, error.as_deref().map(short)],
                )?;
            }
            Outcome::Obsolete => {
                transaction.execute("DELETE FROM deliveries WHERE id = ?1", [id])?;
                forget_idle_hooks(&transaction, &delivery.owner)?;
            }
            Outcome::Disabled { error } => {
                let error = short(error);
                transaction.execute(
                    "UPDATE hooks SET disabled = 1, error = ?2 WHERE name = ?1",
                    params![hook, error],
                )?;
                dead = transaction.execute(
                    "UPDATE deliveries SET state = 1, error = ?2 WHERE hook = ?1 AND state = 0",
                    params![hook, error],
                )?;
            }
            Outcome::Failed {
                error,
                next_attempt_at,
                paused_until,
                lifetime_ms,
            } => {
                let error = short(error);
                transaction.execute(
                    "UPDATE deliveries SET attempts = attempts + 1, next_attempt_at = ?2, error = ?3, \
                     failing_since = COALESCE(failing_since, ?4) WHERE id = ?1",
                    params![id, next_attempt_at, error, now],
                )?;
                transaction.execute(
                    "UPDATE hooks SET consecutive_failures = consecutive_failures + 1, paused_until = ?2, error = ?3, \
                     failing_since = COALESCE(failing_since, ?4) WHERE name = ?1",
                    params![hook, paused_until, error, now],
                )?;
                let old = now.saturating_sub(*lifetime_ms);
                dead = transaction.execute(
                    "UPDATE deliveries SET state = 1 WHERE id = ?1 AND state = 0 AND failing_since <= ?2",
                    params![id, old],
                )?;
                // When the hook has failed for that long, so have the deliveries that were never attempted.
                dead += transaction.execute(
                    "UPDATE deliveries SET state = 1, error = ?3 WHERE hook = ?1 AND state = 0 AND enqueued_at <= ?2 \
                     AND (SELECT failing_since FROM hooks WHERE name = ?1) <= ?2",
                    params![hook, old, error],
                )?;
            }
        }
        if dead > 0 {
            prune_dead(&transaction, &delivery.quota)?;
        }
        transaction.commit()?;
        Ok(dead)
    }
}

/// Makes the file, for its user alone, if it is missing. The files that `SQLite` keeps beside it take over its mode.
fn make(file: &Path) {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(file);
    if let Err(error) = made
        && error.kind() != ErrorKind::AlreadyExists
    {
        tracing::debug!(%error, "the outbox cannot be made"); // opening it says why
    }
}

/// Creates the tables if they are missing. Commits survive a crash of the process. After a power failure the file may
/// be at an earlier commit, so that some deliveries are made again.
fn prepare(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if format > FORMAT {
        let reason = format!(
            "written by a newer version of journeyman (format {format}); update journeyman"
        );
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
        return Err(rusqlite::Error::SqliteFailure(code, Some(reason)));
    }
    connection.execute_batch(SCHEMA)?;
    if format < FORMAT {
        connection.pragma_update(None, "user_version", FORMAT)?;
    }
    Ok(connection)
}

fn set_position(transaction: &Transaction<'_>, position: i64) -> rusqlite::Result<()> {
    transaction.execute("UPDATE meta SET position = ?1", [position])?;
    Ok(())
}

/// Deletes the webhooks of an owner's tasks that have no deliveries and are not disabled.
fn forget_idle_hooks(connection: &Connection, owner: &str) -> rusqlite::Result<()> {
    connection.execute(
        "DELETE FROM hooks WHERE name GLOB 'task-*' AND owner = ?1 AND disabled = 0 \
         AND name NOT IN (SELECT hook FROM deliveries)",
        [owner],
    )?;
    Ok(())
}

fn enqueue_one(
    transaction: &Transaction<'_>,
    delivery: &NewDelivery,
    now: i64,
) -> rusqlite::Result<()> {
    let hook = &delivery.hook;
    transaction.execute(
        "INSERT INTO hooks (name, owner, target, used_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (name) DO UPDATE SET target = excluded.target, used_at = excluded.used_at",
        params![hook, delivery.hook_owner, delivery.target, now],
    )?;
    let quota = delivery.quota();
    let (disabled, pending): (bool, i64) = transaction.query_row(
        "SELECT disabled, (SELECT COUNT(*) FROM deliveries WHERE quota = ?2 AND state = 0) FROM hooks \
         WHERE name = ?1",
        [hook, &quota],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if disabled {
        return Ok(());
    }
    let is_full = pending >= PENDING_MAX;
    transaction.execute(
        "INSERT OR IGNORE INTO deliveries \
         (hook, quota, owner, task, sequence, kind, state, attempts, enqueued_at, next_attempt_at, error) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?8, ?9)",
        params![
            hook,
            quota,
            delivery.owner,
            delivery.task,
            delivery.sequence,
            delivery.kind,
            i64::from(is_full),
            now,
            is_full.then_some("too many deliveries are pending for this hook"),
        ],
    )?;
    if is_full {
        prune_dead(transaction, &quota)?;
    }
    Ok(())
}

/// Deletes the oldest dead deliveries of a quota beyond [`DEAD_MAX`].
fn prune_dead(transaction: &Transaction<'_>, quota: &str) -> rusqlite::Result<()> {
    let deleted = transaction.execute(
        "DELETE FROM deliveries WHERE quota = ?1 AND state = 1 AND id <= ( \
             SELECT id FROM deliveries WHERE quota = ?1 AND state = 1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        params![quota, DEAD_MAX],
    )?;
    if deleted > 0 {
        tracing::warn!(of = quota, deleted, "old dead deliveries were deleted");
    }
    Ok(())
}

/// An error on one line, cut to [`ERROR_CHARS_MAX`].
fn short(error: &str) -> String {
    let words = error.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(ERROR_CHARS_MAX).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
