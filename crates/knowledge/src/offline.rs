//! The search index over all tasks of a user: a SQLite file beside the journal that survives
//! restarts.
//!
//! It is a cache. It is rebuilt from the journal if the file is damaged, belongs to another journal or was
//! written by another version. It is updated on each search, so the workflow neither feeds it nor
//! waits for it. Erased tasks are removed from it ([`Offline::forget`]).

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use journeyman_event::{Owner, Principal, Sequence, TaskId};
use journeyman_journal::{Error as JournalError, Journal, StreamName};
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params,
};
use thiserror::Error;

use crate::projection::Knowledge;
use crate::rebuild::rebuild;
use crate::words::words;

/// The format version. A file with another version is rebuilt.
const FORMAT: i64 = 1;
/// The most tasks that one search re-indexes, most recently changed first. The next search continues.
const TASKS_MAX: usize = 200;
/// The most results of a search.
const FOUND_MAX: usize = 1_000;
/// The suffix of a damaged file that was moved aside.
const DAMAGED: &str = "damaged";

const SCHEMA: &str = "
    CREATE TABLE about (store TEXT NOT NULL);
    CREATE TABLE tasks (
        id INTEGER PRIMARY KEY, owner TEXT NOT NULL, task TEXT NOT NULL, sequence INTEGER NOT NULL,
        UNIQUE (owner, task)
    );
    CREATE TABLE nodes (
        id INTEGER PRIMARY KEY, task INTEGER NOT NULL REFERENCES tasks, node TEXT NOT NULL, kind TEXT NOT NULL,
        summary TEXT NOT NULL, sequence INTEGER
    );
    CREATE INDEX nodes_of_task ON nodes (task);
    CREATE VIRTUAL TABLE words USING fts5(name, summary);
    INSERT INTO words (words, rank) VALUES ('secure-delete', 1);
";

/// Why a search failed.
#[derive(Debug, Error)]
pub enum OfflineError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The index file could not be used. No data is lost: the index can be deleted and rebuilt.
    #[error("what is known of all tasks cannot be searched: {file}: {error}", file = .file.display())]
    File {
        /// The path of the file.
        file: PathBuf,
        /// The underlying error.
        error: rusqlite::Error,
    },
    /// A damaged index file could not be moved aside.
    #[error("{file} is damaged and cannot be put aside: {error}; remove it, it is made anew", file = .file.display())]
    Aside {
        /// The path of the file.
        file: PathBuf,
        /// The underlying error.
        error: io::Error,
    },
    /// The search was cancelled because the runtime shut down or the search panicked.
    #[error("the search was broken off")]
    Broken,
}

/// The results of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundAcross {
    /// The best matches first.
    pub hits: Vec<Hit>,
    /// The number of changed tasks that are not re-indexed yet. The next search continues with them.
    pub behind: usize,
}

/// A node that matches the search.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The id of the task whose graph has the node.
    pub task: TaskId,
    /// The id of the node in the task's graph.
    pub node: String,
    /// The kind of the node.
    pub kind: String,
    /// The summary of the node.
    pub summary: String,
    /// The event with the full content.
    pub sequence: Option<Sequence>,
    /// The BM25 score; comparable only within one search.
    pub score: f64,
}

/// A handle of the index. Clones share it.
#[derive(Clone, Debug)]
pub struct Offline {
    file: PathBuf,
    open: Arc<Mutex<Option<Connection>>>,
}

impl Offline {
    /// A handle of the index at this path. The file is opened or created by the first search.
    pub fn at(file: PathBuf) -> Self {
        Self {
            file,
            open: Arc::default(),
        }
    }

    /// Searches all tasks of the principal for words. Returns at most `limit` nodes. Updates the index first.
    pub async fn search(
        &self,
        journal: &Journal,
        principal: &Principal,
        text: &str,
        limit: usize,
    ) -> Result<FoundAcross, OfflineError> {
        let owner = principal.owner().clone();
        let store = journal.store_id().to_owned();
        let of = owner.clone();
        let mut indexed = self
            .with(store.clone(), move |open| indexed(open, &of))
            .await?;
        let mut behind = Vec::new();
        let mut before = Sequence(u64::MAX);
        loop {
            let streams = journal.streams_before(principal, before, FOUND_MAX).await?;
            let Some(last) = streams.last() else {
                break;
            };
            before = last.sequence;
            for stream in streams.into_iter().filter(|one| one.owner == owner) {
                let known = indexed.remove(&stream.task_id);
                if known.is_none_or(|known| known < stream.sequence) {
                    behind.push(stream.task_id);
                }
            }
        }
        // The journal does not list these any more.
        for task in indexed.into_keys() {
            self.forget(journal, &StreamName::of(&owner, &task)).await?;
        }
        let left = behind.len().saturating_sub(TASKS_MAX);
        behind.truncate(TASKS_MAX);
        for task in behind {
            let known = match rebuild(journal, principal, &task, None).await {
                Ok(Some(known)) => known,
                Ok(None) | Err(JournalError::Erased(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let name = StreamName::of(&owner, &task);
            let of = name.clone();
            let put = move |open: &mut Connection| put(open, &of, &known);
            self.with(store.clone(), put).await?;
            // An erasure that began after the task was read may have looked here before it was put in.
            if journal.erasure(principal, &task).await?.is_some() {
                self.forget(journal, &name).await?;
            }
        }
        let wanted = words(text);
        let limit = limit.min(FOUND_MAX);
        let look = move |open: &mut Connection| look(open, &owner, &wanted, limit);
        let hits = self.with(store, look).await?;
        Ok(FoundAcross { hits, behind: left })
    }

    /// Removes a task from the index, including from free space in its files. Does nothing if there is no index.
    pub async fn forget(&self, journal: &Journal, name: &StreamName) -> Result<(), OfflineError> {
        let name = name.clone();
        if self.file.exists() {
            let remove = move |open: &mut Connection| removed(open, &name);
            self.with(journal.store_id().to_owned(), remove).await?;
        }
        match fs::remove_file(aside(&self.file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(OfflineError::Aside {
                file: self.file.clone(),
                error,
            }),
            _ => Ok(()),
        }
    }

    /// Runs `work` on the open database on a blocking thread. If the file is damaged, moves it aside and retries
    /// once with a new one.
    async fn with<T: Send + 'static>(
        &self,
        store: String,
        work: impl Fn(&mut Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, OfflineError> {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || this.do_with(&store, &work));
        done.await.map_err(|_| OfflineError::Broken)?
    }

    fn do_with<T>(
        &self,
        store: &str,
        work: &dyn Fn(&mut Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, OfflineError> {
        // Each change is a transaction: a panic elsewhere leaves the file sound.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = |open: &mut Option<Connection>| {
            let connection = match open.take() {
                Some(connection) => connection,
                None => opened(&self.file, store)?,
            };
            work(open.insert(connection))
        };
        let result = match attempt(&mut open) {
            Err(error) if is_damage(&error) => {
                tracing::warn!(file = %self.file.display(), %error, "what is known of all tasks is damaged: it is put aside and made anew");
                *open = None;
                put_aside(&self.file).map_err(|error| OfflineError::Aside {
                    file: self.file.clone(),
                    error,
                })?;
                attempt(&mut open)
            }
            result => result,
        };
        result.map_err(|error| {
            *open = None;
            OfflineError::File {
                file: self.file.clone(),
                error,
            }
        })
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// The database file, its write-ahead log and the log's index.
fn files_of(file: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    })
}

/// Where a damaged file is moved.
fn aside(file: &Path) -> PathBuf {
    let mut aside = file.as_os_str().to_owned();
    aside.push(format!(".{DAMAGED}"));
    aside.into()
}

/// Renames the damaged file, replacing one that was damaged earlier.
fn put_aside(file: &Path) -> io::Result<()> {
    let [main, log, index] = files_of(file);
    fs::rename(&main, aside(file))?;
    for left in [log, index] {
        match fs::remove_file(left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Opens the index after checking it, or creates it. An index of another journal or format is emptied.
fn opened(file: &Path, store: &str) -> Result<Connection, rusqlite::Error> {
    let mut open = Connection::open(file)?;
    open.pragma_update(None, "journal_mode", "WAL")?;
    // Deleted content is overwritten, because tasks are erased.
    open.pragma_update(None, "secure_delete", true)?;
    // What a loss of power takes is made again.
    open.pragma_update(None, "synchronous", "NORMAL")?;
    open.busy_timeout(std::time::Duration::from_secs(5))?;
    let state: String = open.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if state != "ok" {
        let damage = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(damage, Some(state)));
    }
    let format: i64 = open.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known: Option<String> = if format == FORMAT {
        let about = open.query_row("SELECT store FROM about", [], |row| row.get(0));
        about.optional()?
    } else {
        None
    };
    if known.as_deref() != Some(store) {
        let change = open.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for table in ["words", "nodes", "tasks", "about"] {
            change.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
        }
        change.execute_batch(SCHEMA)?;
        change.execute("INSERT INTO about (store) VALUES (?1)", [store])?;
        change.pragma_update(None, "user_version", FORMAT)?;
        change.commit()?;
    }
    Ok(open)
}

/// The last indexed position of each task of an owner.
fn indexed(
    open: &mut Connection,
    owner: &Owner,
) -> Result<HashMap<TaskId, Sequence>, rusqlite::Error> {
    let mut rows = open.prepare("SELECT task, sequence FROM tasks WHERE owner = ?1")?;
    let rows = rows.query_map([owner.as_str()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))
    })?;
    let mut indexed = HashMap::new();
    for row in rows {
        let (task, sequence) = row?;
        if let Ok(task) = TaskId::new(task) {
            indexed.insert(task, Sequence(sequence));
        }
    }
    Ok(indexed)
}

/// Deletes the nodes of a task, and its row.
fn clear(change: &Transaction<'_>, name: &StreamName) -> Result<(), rusqlite::Error> {
    let task = params![name.owner.as_str(), name.task_id.as_str()];
    change.execute(
        "DELETE FROM words WHERE rowid IN (
             SELECT nodes.id FROM nodes JOIN tasks ON tasks.id = nodes.task WHERE owner = ?1 AND tasks.task = ?2
         )",
        task,
    )?;
    change.execute(
        "DELETE FROM nodes WHERE task IN (SELECT id FROM tasks WHERE owner = ?1 AND task = ?2)",
        task,
    )?;
    change.execute("DELETE FROM tasks WHERE owner = ?1 AND task = ?2", task)?;
    Ok(())
}

/// Removes a task, and the older pages that still have it.
fn removed(open: &mut Connection, name: &StreamName) -> Result<(), rusqlite::Error> {
    let change = open.transaction_with_behavior(TransactionBehavior::Immediate)?;
    clear(&change, name)?;
    change.commit()?;
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let is_busy: bool = open.query_row(checkpoint, [], |row| row.get(0))?;
    if is_busy {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, None));
    }
    Ok(())
}

/// Replaces the indexed nodes of a task.
fn put(open: &mut Connection, name: &StreamName, known: &Knowledge) -> Result<(), rusqlite::Error> {
    let change = open.transaction_with_behavior(TransactionBehavior::Immediate)?;
    clear(&change, name)?;
    let id: i64 = change.query_row(
        "INSERT INTO tasks (owner, task, sequence) VALUES (?1, ?2, ?3) RETURNING id",
        params![
            name.owner.as_str(),
            name.task_id.as_str(),
            known.sequence().0
        ],
        |row| row.get(0),
    )?;
    {
        let mut nodes = change.prepare(
            "INSERT INTO nodes (task, node, kind, summary, sequence) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let mut rows =
            change.prepare("INSERT INTO words (rowid, name, summary) VALUES (?1, ?2, ?3)")?;
        for node in known.graph().nodes() {
            let source = node.source.map(|source| source.0);
            let place = nodes.insert(params![
                id,
                node.id.as_str(),
                node.kind.as_str(),
                node.summary,
                source
            ])?;
            let name = words(node.id.name()).join(" ");
            let summary = words(&node.summary).join(" ");
            rows.execute(params![place, name, summary])?;
        }
    }
    change.commit()
}

/// The nodes that contain some of the words.
fn look(
    open: &mut Connection,
    owner: &Owner,
    wanted: &[String],
    limit: usize,
) -> Result<Vec<Hit>, rusqlite::Error> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    // They are of letters and digits alone.
    let wanted: Vec<String> = wanted.iter().map(|word| format!("\"{word}\"")).collect();
    let mut rows = open.prepare(
        "SELECT tasks.task, nodes.node, nodes.kind, nodes.summary, nodes.sequence, -bm25(words, 3.0, 1.0) AS score
         FROM words JOIN nodes ON nodes.id = words.rowid JOIN tasks ON tasks.id = nodes.task
         WHERE words MATCH ?1 AND tasks.owner = ?2
         ORDER BY score DESC, tasks.sequence DESC, nodes.node LIMIT ?3",
    )?;
    let rows = rows.query_map(params![wanted.join(" OR "), owner.as_str(), limit], |row| {
        let task: String = row.get(0)?;
        let sequence: Option<u64> = row.get(4)?;
        Ok(Hit {
            // Only names that were checked are put in.
            task: TaskId::new(task).map_err(|_| rusqlite::Error::InvalidQuery)?,
            node: row.get(1)?,
            kind: row.get(2)?,
            summary: row.get(3)?,
            sequence: sequence.map(Sequence),
            score: row.get(5)?,
        })
    })?;
    rows.collect()
}
