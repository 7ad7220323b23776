//! The file of the index: opened, checked, emptied where it is of another journal or format, put aside where it is
//! damaged.

use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior};

/// The format version. A file with another version is rebuilt.
const FORMAT: i64 = 2;
/// The suffix of a damaged file that was moved aside.
const DAMAGED: &str = "damaged";
/// How long to wait for another process that changes the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The id of a node is never given again, so that what was made of its text cannot become that of another one. `changes`
/// counts the changes of nodes and vectors, whichever process makes them.
const SCHEMA: &str = "
    CREATE TABLE about (store TEXT NOT NULL, changes INTEGER NOT NULL);
    CREATE TABLE tasks (
        id INTEGER PRIMARY KEY, owner TEXT NOT NULL, task TEXT NOT NULL, sequence INTEGER NOT NULL,
        UNIQUE (owner, task)
    );
    CREATE TABLE nodes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, task INTEGER NOT NULL REFERENCES tasks, node TEXT NOT NULL,
        kind TEXT NOT NULL, summary TEXT NOT NULL, sequence INTEGER
    );
    CREATE INDEX nodes_of_task ON nodes (task);
    CREATE TABLE vectors (
        node INTEGER NOT NULL REFERENCES nodes, model TEXT NOT NULL, dimensions INTEGER NOT NULL, vector BLOB NOT NULL
    );
    CREATE UNIQUE INDEX vectors_of_node ON vectors (node, model, dimensions);
    CREATE VIRTUAL TABLE words USING fts5(name, summary);
    INSERT INTO words (words, rank) VALUES ('secure-delete', 1);
";

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
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
pub(super) fn aside(file: &Path) -> PathBuf {
    let mut aside = file.as_os_str().to_owned();
    aside.push(format!(".{DAMAGED}"));
    aside.into()
}

/// Renames the damaged file, replacing one that was damaged earlier.
pub(super) fn put_aside(file: &Path) -> io::Result<()> {
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

/// Makes the file one that its user alone can read, like the journal: it has the texts of all tasks. SQLite gives the files
/// beside it the same permissions.
fn make_private(file: &Path) -> io::Result<()> {
    const PRIVATE: u32 = 0o600;
    let mut options = fs::OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE);
    options.open(file)?;
    for file in files_of(file) {
        match fs::set_permissions(file, fs::Permissions::from_mode(PRIVATE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Opens the index after checking it, or creates it. An index of another journal or format is emptied.
pub(super) fn opened(file: &Path, store: &str) -> Result<Connection, rusqlite::Error> {
    make_private(file).map_err(|error| {
        let problem = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
        rusqlite::Error::SqliteFailure(problem, Some(error.to_string()))
    })?;
    let mut open = Connection::open(file)?;
    open.pragma_update(None, "journal_mode", "WAL")?;
    // Deleted content is overwritten, because tasks are erased.
    open.pragma_update(None, "secure_delete", true)?;
    // What a loss of power takes is made again.
    open.pragma_update(None, "synchronous", "NORMAL")?;
    open.busy_timeout(BUSY_TIMEOUT)?;
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
        for table in ["words", "vectors", "nodes", "tasks", "about"] {
            change.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
        }
        change.execute_batch(SCHEMA)?;
        change.execute("INSERT INTO about (store, changes) VALUES (?1, 0)", [store])?;
        change.pragma_update(None, "user_version", FORMAT)?;
        change.commit()?;
    }
    Ok(open)
}
