//! Reading: events, blobs, streams. Readers have connections of their own and see only what is
//! committed; every call names its principal and shows what that principal owns.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Mutex;

use bytes::Bytes;
use jiff::Timestamp;
use journeyman_event::{
    ContentHash, Event, ModuleName, Owner, Principal, Revision, Sequence, TaskId,
};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::Error;
use crate::schema;

/// Events that one read gives at the most.
pub(crate) const READ_MAX: usize = 10_000;
/// Idle connections that are kept.
const IDLE_MAX: usize = 4;

/// Which events are meant; nothing set means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this task.
    pub task_id: Option<TaskId>,
    /// Of one of these kinds; empty means any.
    pub kinds: Vec<String>,
    /// About this module.
    pub module: Option<ModuleName>,
    /// Of this agent or user.
    pub actor: Option<String>,
    /// That happened then or later, by their makers' clocks.
    pub since: Option<Timestamp>,
    /// That happened before then.
    pub before: Option<Timestamp>,
    /// Up to this position.
    pub until: Option<Sequence>,
}

impl Filter {
    /// Whether an event is meant.
    pub(crate) fn takes(&self, event: &Event) -> bool {
        let task = self.task_id.as_ref();
        task.is_none_or(|task| event.task_id() == task)
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| event.kind() == kind))
            && self.until.is_none_or(|until| event.sequence() <= until)
            && self.takes_rest(event)
    }

    /// What the SQL does not choose by.
    fn takes_rest(&self, event: &Event) -> bool {
        let at = event.occurred_at();
        let module = self.module.as_ref();
        let actor = self.actor.as_ref();
        module.is_none_or(|module| event.module() == Some(module))
            && actor.is_none_or(|actor| actor == event.actor())
            && self.since.is_none_or(|since| at >= since)
            && self.before.is_none_or(|before| at < before)
    }
}

/// The last event of the store: enough to notice later that the tail was cut. Written
/// `17@b3:...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its position.
    pub sequence: Sequence,
    /// Its hash.
    pub hash: ContentHash,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.sequence, self.hash)
    }
}

impl FromStr for Head {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is no head of a journal; `journeyman journal head` prints one: 17@b3:..."
            )
        };
        let (sequence, hash) = text.split_once('@').ok_or_else(wrong)?;
        Ok(Self {
            sequence: Sequence(sequence.parse().map_err(|_| wrong())?),
            hash: hash.parse().map_err(|_| wrong())?,
        })
    }
}

/// One stream in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Whose.
    pub owner: Owner,
    /// Which.
    pub task_id: TaskId,
    /// Its events.
    pub revision: Revision,
    /// The position of its last event.
    pub sequence: Sequence,
    /// What its writer wants to be shown.
    pub summary: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) struct Readers {
    folder: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Runs a query on a connection of its own.
    pub(crate) fn with<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, Error> {
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.folder)?,
        };
        let result = query(&connection);
        if result.is_ok()
            && let Ok(mut idle) = self.idle.lock()
            && idle.len() < IDLE_MAX
        {
            idle.push(connection);
        }
        result.map_err(|error| match error {
            ReadError::Sqlite(error) => Error::of_sqlite(&self.folder, &error),
            ReadError::Journal(error) => error,
        })
    }

    pub(crate) fn corrupt(&self, reason: impl ToString) -> Error {
        Error::Corrupt {
            file: schema::file_in(&self.folder),
            reason: reason.to_string(),
        }
    }
}

/// A query ends with an error of `SQLite` or of ours.
pub(crate) enum ReadError {
    Sqlite(rusqlite::Error),
    Journal(Error),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for ReadError {
    fn from(error: Error) -> Self {
        Self::Journal(error)
    }
}

/// Which way a read goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From after the position towards the newest.
    Forwards,
    /// From before the position towards the oldest.
    Backwards,
}

/// Events from a position on. Fewer than `limit` means that there are no more.
pub(crate) fn read(
    readers: &Readers,
    principal: &Principal,
    filter: &Filter,
    position: Sequence,
    limit: usize,
    direction: Direction,
) -> Result<Vec<Event>, Error> {
    let limit = limit.min(READ_MAX);
    readers.with(|connection| {
        let mut events = Vec::new();
        let mut position = position;
        // Rows that the filter leaves out do not count, so pages are read until enough are there.
        while events.len() < limit {
            let page = page(
                connection, readers, principal, filter, position, limit, direction,
            )?;
            let full = page.len() == limit;
            position = page.last().map_or(position, Event::sequence);
            events.extend(page.into_iter().filter(|event| filter.takes_rest(event)));
            if !full {
                break;
            }
        }
        events.truncate(limit);
        Ok(events)
    })
}

fn page(
    connection: &Connection,
    readers: &Readers,
    principal: &Principal,
    filter: &Filter,
    position: Sequence,
    limit: usize,
    direction: Direction,
) -> Result<Vec<Event>, ReadError> {
    let number = |n: u64| Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let mut conditions = String::new();
    let mut values: Vec<Value> = vec![number(position.0)];
    let mut and = |condition: String| {
        conditions.push_str(" AND ");
        conditions.push_str(&condition);
    };
    if let Some(until) = filter.until {
        values.push(number(until.0));
        and(format!("e.sequence <= ?{}", values.len()));
    }
    if !principal.is_system() {
        values.push(Value::Text(principal.owner().to_string()));
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
    // Within one stream its own index is walked, else the store in order.
    let order = match (filter.task_id.is_some(), direction) {
        (true, Direction::Forwards) => "e.stream, e.sequence",
        (true, Direction::Backwards) => "e.stream DESC, e.sequence DESC",
        (false, Direction::Forwards) => "e.sequence",
        (false, Direction::Backwards) => "e.sequence DESC",
    };
    let (comparison, order) = match direction {
        // More than one owner may have a task of this name: only their common order is the store's.
        _ if principal.is_system() && direction == Direction::Forwards => (">", "e.sequence"),
        _ if principal.is_system() => ("<", "e.sequence DESC"),
        Direction::Forwards => (">", order),
        Direction::Backwards => ("<", order),
    };
    let sql = format!(
        "SELECT e.line, s.owner FROM events e JOIN streams s ON s.id = e.stream \
         WHERE e.sequence {comparison} ?1{conditions} ORDER BY {order} LIMIT {limit}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row: &Row<'_>| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let mut events = Vec::new();
    for row in rows {
        let (line, owner) = row?;
        let event = Event::from_line(line).map_err(|error| readers.corrupt(error))?;
        events.push(match event.blob() {
            None => event,
            Some(hash) => {
                let bytes = sound_blob(connection, readers, &owner, hash)?
                    .ok_or_else(|| readers.corrupt(format_args!("the blob {hash} is missing")))?;
                let text = std::str::from_utf8(&bytes).map_err(|e| readers.corrupt(e))?;
                event.with_data(text)
            }
        });
    }
    Ok(events)
}

/// A blob of one owner's, as it is stored.
pub(crate) fn find_blob(
    connection: &Connection,
    owner: &str,
    hash: ContentHash,
) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT bytes FROM blobs WHERE owner = ?1 AND hash = ?2")?
        .query_row(params![owner, hash.as_bytes()], |row| row.get(0))
        .optional()
}

/// A blob of one owner's, checked against its hash.
fn sound_blob(
    connection: &Connection,
    readers: &Readers,
    owner: &str,
    hash: ContentHash,
) -> Result<Option<Vec<u8>>, ReadError> {
    let bytes = find_blob(connection, owner, hash)?;
    if bytes.as_ref().is_some_and(|b| ContentHash::of(b) != hash) {
        let problem = readers.corrupt(format_args!("the blob {hash} has other bytes"));
        return Err(problem.into());
    }
    Ok(bytes)
}

/// A blob of the principal's.
pub(crate) fn blob(
    readers: &Readers,
    principal: &Principal,
    hash: ContentHash,
) -> Result<Option<Bytes>, Error> {
    readers.with(|connection| {
        let bytes = sound_blob(connection, readers, principal.owner().as_str(), hash)?;
        Ok(bytes.map(Bytes::from))
    })
}

/// The principal's streams, the one that was last written to first.
pub(crate) fn streams(
    readers: &Readers,
    principal: &Principal,
    limit: usize,
) -> Result<Vec<StreamInfo>, Error> {
    let limit = i64::try_from(limit.min(READ_MAX)).unwrap_or(i64::MAX);
    readers.with(|connection| {
        let mut statement = connection.prepare_cached(
            "SELECT owner, task_id, revision, sequence, summary FROM streams \
             WHERE ?1 OR owner = ?2 ORDER BY sequence DESC LIMIT ?3",
        )?;
        let rows = statement.query_map(
            params![principal.is_system(), principal.owner().as_str(), limit],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    Revision(row.get(2)?),
                    Sequence(row.get(3)?),
                    row.get(4)?,
                ))
            },
        )?;
        let mut streams = Vec::new();
        for row in rows {
            let (owner, task_id, revision, sequence, summary) = row?;
            streams.push(StreamInfo {
                owner: Owner::new(owner).map_err(|error| readers.corrupt(error))?,
                task_id: TaskId::new(task_id).map_err(|error| readers.corrupt(error))?,
                revision,
                sequence,
                summary,
            });
        }
        Ok(streams)
    })
}
