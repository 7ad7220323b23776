//! The hooks in the outbox, as people see and retry them.

use std::path::Path;

use journeyman_api::HookView;
use rusqlite::{Connection, Row, params};

use super::{FILE, Outbox, prepare};
use crate::time_text;

/// The stored state of a hook.
#[derive(Clone, Debug)]
pub(crate) struct HookRow {
    pub(crate) name: String,
    pub(crate) owner: Option<String>,
    pub(crate) target: String,
    disabled: bool,
    delivered: i64,
    last_delivered_at: Option<i64>,
    consecutive_failures: i64,
    failing_since: Option<i64>,
    paused_until: i64,
    error: Option<String>,
    pending: i64,
    dead: i64,
    next_attempt_at: Option<i64>,
}

impl HookRow {
    /// The state of a hook without deliveries.
    pub(crate) fn unused(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            owner: None,
            target: String::new(),
            disabled: false,
            delivered: 0,
            last_delivered_at: None,
            consecutive_failures: 0,
            failing_since: None,
            paused_until: 0,
            error: None,
            pending: 0,
            dead: 0,
            next_attempt_at: None,
        }
    }

    /// The hook as the API shows it.
    pub(crate) fn view(&self, target: &str, is_known: bool, now: i64) -> HookView {
        let state = match self {
            _ if !is_known => "unknown",
            Self { disabled: true, .. } => "disabled",
            Self {
                consecutive_failures: 1..,
                ..
            } => "failing",
            // A command is not tried again: its only attempt is its last one.
            Self {
                name,
                error: Some(_),
                ..
            } if name == crate::ON_END => "failing",
            _ => "ok",
        };
        let due = self
            .next_attempt_at
            .map(|at| at.max(self.paused_until).max(now));
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        HookView {
            hook: self.name.clone(),
            kind: match self.name.as_str() {
                crate::ON_END => "command".to_owned(),
                _ => "webhook".to_owned(),
            },
            target: target.to_owned(),
            state: state.to_owned(),
            pending: count(self.pending),
            dead: count(self.dead),
            delivered: count(self.delivered),
            consecutive_failures: count(self.consecutive_failures),
            failing_since: self.failing_since.and_then(time_text),
            last_delivered_at: self.last_delivered_at.and_then(time_text),
            last_error: self.error.clone(),
            next_attempt_at: due
                .filter(|_| is_known && !self.disabled)
                .and_then(time_text),
        }
    }
}

impl Outbox {
    /// Opens the outbox of a data folder that no process holds, to show it or to retry a hook. Returns `None` when
    /// there is none. The caller makes sure that no other process makes deliveries meanwhile.
    ///
    /// # Errors
    /// [`crate::Error::Outbox`] if the file cannot be used.
    pub fn open_existing(data_dir: &Path) -> Result<Option<Self>, crate::Error> {
        let file = data_dir.join(FILE);
        if !file.exists() {
            return Ok(None);
        }
        let connection = Connection::open(&file).and_then(prepare);
        match connection {
            Ok(connection) => Ok(Some(Self { connection })),
            Err(error) => Err(outbox_error(&file, &error)),
        }
    }

    /// Lists all hooks that ever had a delivery, sorted by name. Whether they are still configured is not known
    /// here.
    ///
    /// # Errors
    /// [`crate::Error::Outbox`] if the file cannot be read.
    pub fn views(&mut self, now_ms: i64) -> Result<Vec<HookView>, crate::Error> {
        let rows = self.hooks();
        let rows = rows.map_err(|error| outbox_error(Path::new(FILE), &error))?;
        let views = rows.iter().map(|row| row.view(&row.target, true, now_ms));
        Ok(views.collect())
    }

    /// Makes all pending and dead deliveries of a hook due, for the next process that holds the data folder. Returns
    /// their number.
    ///
    /// # Errors
    /// [`crate::Error::NoSuchHook`]; [`crate::Error::Outbox`] if the file cannot be written.
    pub fn retry_hook(&mut self, hook: &str, now_ms: i64) -> Result<usize, crate::Error> {
        let failed = |error| outbox_error(Path::new(FILE), &error);
        if !self
            .hooks()
            .map_err(failed)?
            .iter()
            .any(|row| row.name == hook)
        {
            let hook = hook.to_owned();
            return Err(crate::Error::NoSuchHook { hook });
        }
        self.retry(hook, now_ms).map_err(failed)
    }

    /// Makes all pending and dead deliveries of a hook due now, and enables it. Returns their number.
    pub(crate) fn retry(&mut self, hook: &str, now: i64) -> rusqlite::Result<usize> {
        let transaction = self.connection.transaction()?;
        let count = transaction.execute(
            "UPDATE deliveries SET state = 0, attempts = 0, failing_since = NULL, next_attempt_at = ?2 WHERE hook = ?1",
            params![hook, now],
        )?;
        transaction.execute(
            "UPDATE hooks SET disabled = 0, consecutive_failures = 0, failing_since = NULL, paused_until = 0 WHERE name = ?1",
            [hook],
        )?;
        transaction.commit()?;
        Ok(count)
    }

    /// All hooks that ever had a delivery, sorted by name.
    pub(crate) fn hooks(&mut self) -> rusqlite::Result<Vec<HookRow>> {
        let mut found = self.connection.prepare_cached(
            "SELECT name, owner, target, disabled, delivered, last_delivered_at, consecutive_failures, failing_since, paused_until, error, \
             (SELECT COUNT(*) FROM deliveries WHERE hook = name AND state = 0), \
             (SELECT COUNT(*) FROM deliveries WHERE hook = name AND state = 1), \
             (SELECT MIN(next_attempt_at) FROM deliveries WHERE hook = name AND state = 0) \
             FROM hooks ORDER BY name",
        )?;
        let read = |row: &Row<'_>| {
            Ok(HookRow {
                name: row.get(0)?,
                owner: row.get(1)?,
                target: row.get(2)?,
                disabled: row.get(3)?,
                delivered: row.get(4)?,
                last_delivered_at: row.get(5)?,
                consecutive_failures: row.get(6)?,
                failing_since: row.get(7)?,
                paused_until: row.get(8)?,
                error: row.get(9)?,
                pending: row.get(10)?,
                dead: row.get(11)?,
                next_attempt_at: row.get(12)?,
            })
        };
        found.query_map([], read)?.collect()
    }
}

fn outbox_error(file: &Path, error: &rusqlite::Error) -> crate::Error {
    crate::Error::Outbox {
        file: file.display().to_string(),
        reason: error.to_string(),
    }
}
