//! A short workload whose losses can be told from the database that is left.

use std::time::Duration;

use journeyman_crash_vfs::Disk;
use rusqlite::{Connection, OpenFlags, Result};

pub(crate) const FILE: &str = "/store/journal.db";

/// What is known to be stored: nothing, the tables only, or batches up to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stored {
    Nothing,
    UpTo(i64),
}

/// Opens as the journal's writer does.
pub(crate) fn open_writer(disk: &Disk, synchronous: &str) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(disk, flags)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    // So that there are checkpoints in a short run.
    connection.pragma_update(None, "wal_autocheckpoint", 12)?;
    Ok(connection)
}

pub(crate) fn open_reader(disk: &Disk) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    open(disk, flags)
}

fn open(disk: &Disk, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags_and_vfs(FILE, flags, disk.vfs())?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

pub(crate) fn create(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS parts(
            batch INTEGER NOT NULL, part INTEGER NOT NULL, text TEXT NOT NULL,
            PRIMARY KEY(batch, part)) STRICT;
        CREATE TABLE IF NOT EXISTS head(id INTEGER PRIMARY KEY, batch INTEGER NOT NULL) STRICT;
        INSERT OR IGNORE INTO head VALUES(1, 0);",
    )?;
    transaction.commit()
}

pub(crate) fn append(connection: &mut Connection, batch: i64) -> Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare_cached("INSERT INTO parts VALUES(?1, ?2, ?3)")?;
        for part in 1..=3 {
            insert.execute((batch, part, format!("{batch}.{part} ").repeat(200)))?;
        }
    }
    transaction.execute("UPDATE head SET batch = ?1 WHERE id = 1", [batch])?;
    transaction.commit()
}

pub(crate) fn head(connection: &Connection) -> Result<i64> {
    connection.query_row("SELECT batch FROM head", [], |row| row.get(0))
}

/// Two sessions of a writer and a reader; stops at the first error. Returns what was acknowledged.
pub(crate) fn run(disk: &Disk, synchronous: &str) -> (Stored, Result<()>) {
    let mut stored = Stored::Nothing;
    let mut batch = 0;
    let mut session = || -> Result<()> {
        let mut writer = open_writer(disk, synchronous)?;
        if stored == Stored::Nothing {
            create(&mut writer)?;
            stored = Stored::UpTo(0);
        }
        let reader = open_reader(disk)?;
        for _ in 0..4 {
            batch += 1;
            append(&mut writer, batch)?;
            stored = Stored::UpTo(batch);
            assert_eq!(head(&reader)?, batch, "a reader sees what is committed");
        }
        drop(reader);
        writer.close().map_err(|(_, error)| error)
    };
    let result = session().and_then(|()| session());
    (stored, result)
}

/// What is stored, read without a fault. An error says what is wrong with it.
pub(crate) fn inspect(disk: &Disk) -> std::result::Result<Stored, String> {
    let reason = |error: rusqlite::Error| error.to_string();
    let connection = open_writer(disk, "FULL").map_err(reason)?;
    look(&connection)
}

pub(crate) fn look(connection: &Connection) -> std::result::Result<Stored, String> {
    let reason = |error: rusqlite::Error| error.to_string();
    let number = |sql: &str| -> std::result::Result<i64, String> {
        let row = connection.query_row(sql, [], |row| row.get(0));
        row.map_err(reason)
    };
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(reason)?;
    if verdict != "ok" {
        return Err(format!("integrity_check: {verdict}"));
    }
    match number("SELECT count(*) FROM sqlite_schema WHERE type = 'table'")? {
        0 => return Ok(Stored::Nothing),
        2 => {}
        tables => return Err(format!("{tables} of 2 tables")),
    }
    let head = number("SELECT batch FROM head")?;
    let batches = number("SELECT count(DISTINCT batch) FROM parts")?;
    let parts = number("SELECT count(*) FROM parts WHERE length(text) >= 800")?;
    let last = number("SELECT coalesce(max(batch), 0) FROM parts")?;
    if (batches, parts, last) != (head, 3 * head, head) {
        let found = format!("{batches} batches with {parts} parts, the last one is {last}");
        return Err(format!(
            "half a transaction: {found}, and the head is {head}"
        ));
    }
    Ok(Stored::UpTo(head))
}
