//! The upkeep of the outbox: what no delivery does by itself.

use std::time::Duration;

use rusqlite::params;

use super::{Outbox, prune_dead};

/// The largest number of webhooks of tasks that are kept without deliveries; the least recently used ones are deleted.
pub(super) const UNUSED_MAX: i64 = 1_000;
/// No attempt is scheduled further ahead than this, so one that is shows that the clock was set back.
const SCHEDULE_HORIZON: Duration = Duration::from_hours(2);

impl Outbox {
    /// Deletes webhooks of tasks that have no deliveries, except the most recently used ones.
    pub(crate) fn prune_hooks(&mut self) -> rusqlite::Result<usize> {
        self.connection.execute(
            "DELETE FROM hooks WHERE name GLOB 'task-*' AND name NOT IN (SELECT hook FROM deliveries) \
             AND name NOT IN (SELECT name FROM hooks WHERE name GLOB 'task-*' ORDER BY used_at DESC LIMIT ?1)",
            [UNUSED_MAX],
        )
    }

    /// Makes deliveries due that are scheduled too far ahead, because the clock was set back while no process ran.
    pub(crate) fn bring_near(&mut self, now: i64) -> rusqlite::Result<()> {
        let horizon = i64::try_from(SCHEDULE_HORIZON.as_millis()).unwrap_or(i64::MAX);
        self.make_due_beyond(now.saturating_add(horizon), now)
    }

    /// Makes everything due that is scheduled after a time, and lets no failure have begun in the future, which would
    /// extend its lifetime.
    pub(crate) fn make_due_beyond(&mut self, time: i64, now: i64) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "UPDATE deliveries SET next_attempt_at = ?1 WHERE state = 0 AND next_attempt_at > ?2",
            [now, time],
        )?;
        transaction.execute(
            "UPDATE hooks SET paused_until = 0 WHERE paused_until > ?1",
            [time],
        )?;
        transaction.execute(
            "UPDATE deliveries SET enqueued_at = MIN(enqueued_at, ?1), failing_since = MIN(failing_since, ?1) \
             WHERE state = 0 AND (enqueued_at > ?1 OR failing_since > ?1)",
            [now],
        )?;
        transaction.execute(
            "UPDATE hooks SET failing_since = ?1 WHERE failing_since > ?1",
            [now],
        )?;
        transaction.commit()
    }

    /// Lets pending deliveries die, after the lifetime, of configured hooks that are not in `known`. Returns their
    /// number.
    pub(crate) fn sweep(
        &mut self,
        known: &[String],
        now: i64,
        lifetime_ms: i64,
    ) -> rusqlite::Result<usize> {
        let transaction = self.connection.transaction()?;
        let hooks: Vec<String> = {
            let mut found = transaction.prepare(
                "SELECT DISTINCT hook FROM deliveries WHERE state = 0 AND hook NOT GLOB 'task-*'",
            )?;
            found
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?
        };
        let mut dead = 0;
        for hook in hooks.iter().filter(|hook| !known.contains(hook)) {
            dead += transaction.execute(
                "UPDATE deliveries SET state = 1, error = 'the hook is not configured any more' \
                 WHERE hook = ?1 AND state = 0 AND enqueued_at <= ?2",
                params![hook, now.saturating_sub(lifetime_ms)],
            )?;
            prune_dead(&transaction, hook)?;
        }
        transaction.commit()?;
        Ok(dead)
    }
}
