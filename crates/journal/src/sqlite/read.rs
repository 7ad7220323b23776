//! What is read of the file, with a connection that reads or the one that writes.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use journeyman_event::{ContentHash, ORIGIN_HASH, Owner, Sequence, StoredLine};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, ffi, params, params_from_iter};

use crate::engine::{Direction, Lines, Query, Row, Walker};
use crate::reader::Head;

pub(super) fn damaged(reason: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_CORRUPT),
        Some(reason.to_owned()),
    )
}

/// A position as `SQLite` counts; past its range is past every event.
pub(super) fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn read_head(connection: &Connection) -> rusqlite::Result<Head> {
    let last: Option<u64> =
        connection.query_row("SELECT max(sequence) FROM events", [], |row| row.get(0))?;
    let sequence = Sequence(last.unwrap_or(0));
    let hash = hash_at(connection, sequence)?.unwrap_or(ORIGIN_HASH);
    Ok(Head { sequence, hash })
}

/// Reads where each table begins: of a file that was cut short beside its log, some are gone.
pub(super) fn begin_every_table(connection: &Connection) -> rusqlite::Result<()> {
    let mut names = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let mut names = names.query([])?;
    while let Some(row) = names.next()? {
        let name: String = row.get(0)?;
        let sql = format!("SELECT * FROM \"{name}\" LIMIT 1");
        connection.prepare(&sql)?.exists([])?;
    }
    Ok(())
}

/// The last event, where the streams agree that it is the last one and it follows the one before it:
/// otherwise the newest events were cut off or changed, and going on would give their positions again.
pub(super) fn sound_head(connection: &Connection) -> rusqlite::Result<Head> {
    let head = read_head(connection)?;
    let last: Option<u64> =
        connection.query_row("SELECT max(sequence) FROM streams", [], |row| row.get(0))?;
    if Sequence(last.unwrap_or(0)) != head.sequence {
        return Err(damaged("its newest events are missing"));
    }
    if head.sequence > Sequence::ZERO {
        let before = Sequence(head.sequence.0 - 1);
        let line: String = connection.query_row(
            "SELECT line FROM events WHERE sequence = ?1",
            [head.sequence.0],
            |row| row.get(0),
        )?;
        let previous = hash_at(connection, before)?;
        let last = StoredLine::read(&line).map_err(|error| damaged(&error.to_string()))?;
        if !previous.is_some_and(|previous| last.follows(previous)) {
            return Err(damaged("its newest event is not as it was written"));
        }
    }
    Ok(head)
}

pub(super) fn hash_at(
    connection: &Connection,
    sequence: Sequence,
) -> rusqlite::Result<Option<ContentHash>> {
    if sequence == Sequence::ZERO {
        return Ok(Some(ORIGIN_HASH));
    }
    let line: Option<String> = connection
        .prepare_cached("SELECT line FROM events WHERE sequence = ?1")?
        .query_row([sequence.0], |row| row.get(0))
        .optional()?;
    let hash_of = |line: String| {
        journeyman_event::split_hash(&line)
            .map(|(_, hash)| hash)
            .ok_or_else(|| damaged("an event has no hash"))
    };
    line.map(hash_of).transpose()
}

pub(super) fn find_blob(
    connection: &Connection,
    owner: &Owner,
    hash: ContentHash,
) -> rusqlite::Result<Option<Bytes>> {
    connection
        .prepare_cached("SELECT bytes FROM blobs WHERE owner = ?1 AND hash = ?2")?
        .query_row(params![owner.as_str(), hash.as_bytes()], |row| {
            row.get::<_, Vec<u8>>(0)
        })
        .optional()
        .map(|bytes| bytes.map(Bytes::from))
}

pub(super) fn read_lines(connection: &Connection, query: &Query<'_>) -> rusqlite::Result<Lines> {
    let filter = query.filter;
    let mut conditions = String::new();
    let mut values: Vec<Value> = vec![Value::Integer(integer(query.position.0))];
    let mut and = |condition: String| {
        conditions.push_str(" AND ");
        conditions.push_str(&condition);
    };
    if let Some(until) = filter.until {
        values.push(Value::Integer(integer(until.0)));
        and(format!("e.sequence <= ?{}", values.len()));
    }
    if let Some(owner) = query.owner {
        values.push(Value::Text(owner.to_string()));
        and(format!("s.owner = ?{}", values.len()));
    }
    if let Some(task) = &filter.task_id {
        values.push(Value::Text(task.to_string()));
        and(format!("s.task_id = ?{}", values.len()));
    }
    if !filter.kinds.is_empty() {
        let from = values.len() + 1;
        values.extend(filter.kinds.iter().cloned().map(Value::Text));
        let places: Vec<String> = (from..=values.len()).map(|at| format!("?{at}")).collect();
        and(format!("e.kind IN ({})", places.join(",")));
    }
    // Within one stream its own index is walked, else the store in order: more than one owner may
    // have a task of this name, and only their common order is the store's.
    let one_stream = filter.task_id.is_some() && query.owner.is_some();
    let (comparison, order) = match (query.direction, one_stream) {
        (Direction::Forwards, true) => (">", "e.stream, e.sequence"),
        (Direction::Forwards, false) => (">", "e.sequence"),
        (Direction::Backwards, true) => ("<", "e.stream DESC, e.sequence DESC"),
        (Direction::Backwards, false) => ("<", "e.sequence DESC"),
    };
    values.push(Value::Integer(
        i64::try_from(query.lines_max).unwrap_or(i64::MAX),
    ));
    let sql = format!(
        "SELECT e.line FROM events e JOIN streams s ON s.id = e.stream \
         WHERE e.sequence {comparison} ?1{conditions} ORDER BY {order} LIMIT ?{}",
        values.len()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let line: Arc<str> = row.get(0)?;
        bytes += line.len();
        lines.push(line);
        if bytes >= query.bytes_max {
            break;
        }
    }
    let ended = lines.len() < query.lines_max && bytes < query.bytes_max;
    Ok(Lines { lines, ended })
}

/// Shows the walker the store; breaks off where it does.
pub(super) fn walk(
    connection: &Connection,
    walker: &mut dyn Walker,
) -> rusqlite::Result<ControlFlow<()>> {
    let mut statement = connection.prepare("SELECT owner, hash, bytes FROM blobs")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (owner, hash, bytes) = (row.get_ref(0)?, row.get_ref(1)?, row.get_ref(2)?);
        if walker
            .blob(owner.as_str()?, hash.as_blob()?, bytes.as_blob()?)
            .is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
    }
    // A stream that is missing shows as one without a name.
    let mut statement = connection.prepare(
        "SELECT e.sequence, e.revision, e.event_id, e.kind, coalesce(s.owner, ''), \
         coalesce(s.task_id, ''), e.line \
         FROM events e LEFT JOIN streams s ON s.id = e.stream ORDER BY e.sequence",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let sequence = row.get(0)?;
        let flow = match event_row(row, sequence) {
            Ok(row) => walker.event(&row),
            Err(error) => walker.unreadable(sequence, error.to_string()),
        };
        if flow.is_break() {
            return Ok(flow);
        }
    }
    // Reads and retries find events by these: one that an index misses would be as good as lost.
    let count = |how: &str| -> rusqlite::Result<i64> {
        let sql = format!("SELECT count(*) FROM events {how}");
        connection.query_row(&sql, [], |row| row.get(0))
    };
    let events = count("NOT INDEXED")?;
    for index in ["events_by_stream", "sqlite_autoindex_events_1"] {
        let found = count(&format!("INDEXED BY {index}"))?;
        if found != events {
            let reason = format!("the index {index} has {found} events of {events}");
            return Ok(walker.unreadable(0, reason));
        }
    }
    let mut statement = connection
        .prepare("SELECT owner, task_id, revision, sequence FROM streams ORDER BY sequence")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (owner, task_id) = (row.get_ref(0)?, row.get_ref(1)?);
        let flow = walker.stream(owner.as_str()?, task_id.as_str()?, row.get(2)?, row.get(3)?);
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn event_row<'a>(row: &'a rusqlite::Row<'_>, sequence: i64) -> rusqlite::Result<Row<'a>> {
    Ok(Row {
        sequence,
        revision: row.get(1)?,
        id: row.get_ref(2)?.as_blob()?,
        kind: row.get_ref(3)?.as_str()?,
        owner: row.get_ref(4)?.as_str()?,
        task_id: row.get_ref(5)?.as_str()?,
        line: row.get_ref(6)?.as_str()?,
    })
}
