//! Queries on the journal's file, over a reader's or the writer's connection.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use journeyman_event::{
    ContentHash, HASH_SUFFIX_LEN, ORIGIN_HASH, Owner, Revision, Sequence, StoredLine, TaskId,
    line_hash,
};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, ffi, params, params_from_iter};

use journeyman_journal::Head;
use journeyman_journal::{
    ChainedLine, Direction, Lines, Query, RawStream, Row, StreamName, StreamRow, Summary, Walker,
};

pub(crate) fn damaged(reason: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        ffi::Error::new(ffi::SQLITE_CORRUPT),
        Some(reason.to_owned()),
    )
}

/// Converts to the signed integer of `SQLite`. Larger values become `i64::MAX`, which is after every event.
pub(crate) fn integer(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(crate) fn read_head(connection: &Connection) -> rusqlite::Result<Head> {
    let last: Option<u64> =
        connection.query_row("SELECT max(sequence) FROM events", [], |row| row.get(0))?;
    let sequence = Sequence(last.unwrap_or(0));
    let hash = hash_at(connection, sequence)?.unwrap_or(ORIGIN_HASH);
    Ok(Head { sequence, hash })
}

/// Reads one row of each table. Fails if the file was truncated while its log was not, because tables are then missing.
pub(crate) fn probe_tables(connection: &Connection) -> rusqlite::Result<()> {
    let mut names = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let mut names = names.query([])?;
    while let Some(row) = names.next()? {
        let name: String = row.get(0)?;
        let sql = format!("SELECT * FROM \"{name}\" LIMIT 1");
        connection.prepare(&sql)?.exists([])?;
    }
    Ok(())
}

/// The head of the journal. Fails if `streams` has another last sequence, or if the last line does not follow the one
/// before it: newest events were then lost, and the next append would assign their sequences again.
pub(crate) fn sound_head(connection: &Connection) -> rusqlite::Result<Head> {
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

/// The last position that anything in the store knows of.
pub(crate) fn last_sequence(connection: &Connection) -> rusqlite::Result<Sequence> {
    let sql = "SELECT max(coalesce((SELECT max(sequence) FROM events), 0), \
               coalesce((SELECT max(sequence) FROM streams), 0))";
    let last = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(Sequence(last))
}

pub(crate) fn hash_at(
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
    let hash_of = |line: String| line_hash(&line).ok_or_else(|| damaged("an event has no hash"));
    line.map(hash_of).transpose()
}

pub(crate) fn find_blob(
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

pub(crate) fn read_lines(connection: &Connection, query: &Query<'_>) -> rusqlite::Result<Lines> {
    // One transaction: what is read stands beside what its stream says of the same moment.
    let transaction = connection.unchecked_transaction()?;
    let found = find_lines(&transaction, query)?;
    transaction.commit()?;
    Ok(found)
}

fn find_lines(connection: &Connection, query: &Query<'_>) -> rusqlite::Result<Lines> {
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
    // One stream is read through its index. Otherwise the whole store is read in order, because several owners may have
    // a task with this name.
    let (mut newest, mut erasure): (Option<u64>, Option<u64>) = (None, None);
    let (mut table, mut order) = ("events e", "e.sequence");
    match (query.owner, &filter.task_id) {
        (None, None) => {
            let mut last = connection.prepare_cached("SELECT max(sequence) FROM streams")?;
            newest = last.query_row([], |row| row.get(0))?;
            newest = newest.or(Some(0));
        }
        (Some(owner), Some(task)) => {
            let at = erasure_column(connection)?;
            let stream = connection
                .prepare_cached(&format!(
                    "SELECT id, sequence, {at} FROM streams WHERE owner = ?1 AND task_id = ?2"
                ))?
                .query_row([owner.as_str(), task.as_str()], |row| {
                    Ok((row.get(0)?, row.get::<_, u64>(1)?, row.get(2)?))
                })
                .optional()?;
            let Some((id, last, erased)) = stream else {
                return Ok(Lines {
                    ended: true,
                    ..Lines::default()
                });
            };
            newest = Some(last);
            erasure = erased;
            order = "e.stream, e.sequence";
            values.push(Value::Integer(id));
            and(format!("e.stream = ?{}", values.len()));
        }
        (owner, task) => {
            table = "events e JOIN streams s ON s.id = e.stream";
            let names = [
                ("owner", owner.map(Owner::as_str)),
                ("task_id", task.as_ref().map(TaskId::as_str)),
            ];
            for (column, name) in names {
                if let Some(name) = name {
                    values.push(Value::Text(name.to_owned()));
                    and(format!("s.{column} = ?{}", values.len()));
                }
            }
        }
    }
    if !filter.kinds.is_empty() {
        let from = values.len() + 1;
        values.extend(filter.kinds.iter().cloned().map(Value::Text));
        let places: Vec<String> = (from..=values.len()).map(|at| format!("?{at}")).collect();
        and(format!("e.kind IN ({})", places.join(",")));
    }
    let (comparison, order) = match query.direction {
        Direction::Forwards => (">", order.to_owned()),
        Direction::Backwards => ("<", format!("{} DESC", order.replace(',', " DESC,"))),
    };
    values.push(Value::Integer(
        i64::try_from(query.lines_max).unwrap_or(i64::MAX),
    ));
    let sql = format!(
        "SELECT e.sequence, e.line FROM {table} \
         WHERE e.sequence {comparison} ?1{conditions} ORDER BY {order} LIMIT ?{}",
        values.len()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        // Invalid UTF-8 is replaced here. The line then fails its hash check and is reported with its sequence.
        let line: Arc<str> = String::from_utf8_lossy(row.get_ref(1)?.as_bytes()?).into();
        bytes += line.len();
        lines.push(ChainedLine {
            sequence: Sequence(row.get(0)?),
            line,
            previous: None,
        });
        if bytes >= query.bytes_max {
            break;
        }
    }
    let ended = lines.len() < query.lines_max && bytes < query.bytes_max;
    link(connection, &mut lines, query.direction)?;
    Ok(Lines {
        lines,
        ended,
        newest: newest.map(Sequence),
        erasure: erasure.map(Sequence),
    })
}

/// Finds the hash of the event before each line: in the line beside it where that is the one, else in
/// the store.
fn link(
    connection: &Connection,
    lines: &mut [ChainedLine],
    direction: Direction,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached("SELECT line FROM events WHERE sequence = ?1")?;
    for at in 0..lines.len() {
        let before = Sequence(lines[at].sequence.0.saturating_sub(1));
        let beside = match direction {
            Direction::Forwards => at.checked_sub(1),
            Direction::Backwards => Some(at + 1),
        };
        let beside = beside.and_then(|at| lines.get(at));
        lines[at].previous = if before == Sequence::ZERO {
            Some(ORIGIN_HASH)
        } else if let Some(beside) = beside.filter(|line| line.sequence == before) {
            line_hash(&beside.line)
        } else {
            let mut rows = statement.query([before.0])?;
            match rows.next()? {
                Some(row) => hash_at_end(row.get_ref(0)?.as_bytes()?),
                None => None,
            }
        };
    }
    Ok(())
}

/// The hash that a line carries, where its end is still that of a line.
fn hash_at_end(line: &[u8]) -> Option<ContentHash> {
    let end = line.get(line.len().checked_sub(HASH_SUFFIX_LEN)?..)?;
    line_hash(std::str::from_utf8(end).ok()?)
}

/// Whether summaries have hashes: they have none in a store that an older version made, until it is
/// written to. Then they are taken as they are.
fn are_summaries_hashed(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM pragma_table_info('streams') WHERE name = 'summary_hash'")?
        .exists([])
}

/// The expression for the position of the record of a stream's erasure. A store of an older version does not have the
/// column until it is opened for writing.
fn erasure_column(connection: &Connection) -> rusqlite::Result<&'static str> {
    let is_there = connection
        .prepare_cached("SELECT 1 FROM pragma_table_info('streams') WHERE name = 'erasure'")?
        .exists([])?;
    Ok(if is_there { "erasure" } else { "NULL" })
}

/// The position of the event that records a stream's erasure.
pub(crate) fn find_erasure(
    connection: &Connection,
    stream: &StreamName,
) -> rusqlite::Result<Option<Sequence>> {
    let at = erasure_column(connection)?;
    let found: Option<Option<u64>> = connection
        .prepare_cached(&format!(
            "SELECT {at} FROM streams WHERE owner = ?1 AND task_id = ?2"
        ))?
        .query_row([stream.owner.as_str(), stream.task_id.as_str()], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(found.flatten().map(Sequence))
}

/// Blobs for which it is not known whether any line cites them.
pub(crate) fn loose_blobs(
    connection: &Connection,
    limit: usize,
) -> rusqlite::Result<Vec<(Owner, ContentHash)>> {
    if erasure_column(connection)? == "NULL" {
        return Ok(Vec::new());
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement =
        connection.prepare_cached("SELECT owner, hash FROM loose_blobs LIMIT ?1")?;
    let rows = statement.query_map([limit], |row| {
        let owner = Owner::new(row.get::<_, String>(0)?).map_err(|e| damaged(&e.to_string()))?;
        Ok((owner, ContentHash::from_bytes(row.get(1)?)))
    })?;
    rows.collect()
}

/// Streams whose last event stands before a position, the newest first.
pub(crate) fn read_streams(
    connection: &Connection,
    owner: Option<&Owner>,
    before: Sequence,
    limit: usize,
) -> rusqlite::Result<Vec<StreamRow>> {
    let are_hashed = are_summaries_hashed(connection)?;
    let hash = if are_hashed { "summary_hash" } else { "NULL" };
    let erasure = erasure_column(connection)?;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT owner, task_id, revision, sequence, summary, {hash} FROM streams \
         WHERE sequence < ?2 AND (?1 IS NULL OR owner = ?1) AND {erasure} IS NULL \
         ORDER BY sequence DESC LIMIT ?3"
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let meant = params![owner.map(Owner::as_str), integer(before.0), limit];
    let rows = statement.query_map(meant, |row| {
        let text = |column| row.get::<_, String>(column);
        let name = StreamName {
            owner: Owner::new(text(0)?).map_err(|e| damaged(&e.to_string()))?,
            task_id: TaskId::new(text(1)?).map_err(|e| damaged(&e.to_string()))?,
        };
        let summary: Option<Vec<u8>> = row.get(4)?;
        let kept = row.get_ref(5)?.as_blob_or_null()?;
        let mut summary_hash = kept
            .and_then(|bytes| bytes.try_into().ok())
            .map(ContentHash::from_bytes);
        if !are_hashed {
            let taken = summary.as_ref();
            summary_hash = taken.map(|summary| Summary::new(&name, summary.clone()).hash);
        }
        Ok(StreamRow {
            name,
            revision: Revision(row.get(2)?),
            sequence: Sequence(row.get(3)?),
            summary,
            summary_hash,
        })
    })?;
    rows.collect()
}

/// Passes blobs, events and streams to the walker, and stops when it returns `Break`.
pub(crate) fn walk(
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
    // Streams are found by their indexes alone, and with them all that is theirs.
    let checked: String =
        connection.query_row("PRAGMA integrity_check(streams)", [], |row| row.get(0))?;
    if checked != "ok" {
        return Ok(walker.unreadable(0, format!("the table of streams: {checked}")));
    }
    let are_hashed = are_summaries_hashed(connection)?;
    let hash = if are_hashed { "summary_hash" } else { "NULL" };
    let erasure = erasure_column(connection)?;
    let mut statement = connection.prepare(&format!(
        "SELECT owner, task_id, revision, sequence, summary, {hash}, {erasure} FROM streams \
         ORDER BY sequence"
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (owner, task_id) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
        let summary = row.get_ref(4)?.as_blob_or_null()?;
        let taken = summary
            .filter(|_| !are_hashed)
            .map(|summary| Summary::hash_of(owner, task_id, summary));
        let taken = taken.as_ref().map(|hash| &hash.as_bytes()[..]);
        let flow = walker.stream(&RawStream {
            owner,
            task_id,
            revision: row.get(2)?,
            sequence: row.get(3)?,
            summary,
            summary_hash: taken.or(row.get_ref(5)?.as_blob_or_null()?),
            erasure: row.get(6)?,
        });
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
