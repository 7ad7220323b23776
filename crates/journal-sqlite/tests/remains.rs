//! What looks like the remains of a store is touched by nobody, and a store whose files are moved
//! away while it is in use acknowledges nothing more.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::{fresh, open, open_read_only, try_open, try_open_read_only};
use journeyman_event::{Principal, Sequence};
use journeyman_journal::{Error, Filter, Journal};
use journeyman_journal_conformance::{Maker, all, assert_sound, lines, sequences};
use journeyman_journal_sqlite::Sqlite;
use rusqlite::Connection;
use tempfile::TempDir;

/// The files of a store that is open.
const STORE: [&str; 3] = ["journal.db", "journal.db-wal", "journal.db-shm"];

fn copy_of(store: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    for name in STORE {
        fs::copy(store.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

/// A store with 20 events as a killed process leaves it: the newest are in its log alone.
async fn killed() -> (TempDir, Vec<String>) {
    let (folder, journal) = fresh();
    let (me, make) = (Principal::local(), Maker::new(1));
    let twenty = make.append(&me, "t-1", 20);
    let written = journal.append(&me, twenty).await.unwrap().events;
    (copy_of(folder.path()), lines(&written))
}

/// The same in the folder where it was written, which knows what was acknowledged.
async fn killed_in_place() -> TempDir {
    let (folder, written) = fresh();
    let (me, make) = (Principal::local(), Maker::new(1));
    written
        .append(&me, make.append(&me, "t-1", 10))
        .await
        .unwrap();
    written
        .append(&me, make.append(&me, "t-2", 10))
        .await
        .unwrap();
    let kept = copy_of(folder.path());
    drop(written);
    // Into the same file: its inode is what the note is about.
    for name in STORE {
        let bytes = fs::read(kept.path().join(name)).unwrap();
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

/// What is done to a folder.
type Harm = (&'static str, fn(&Path));

/// What is lost of a store that a killed process left.
const LOST: &[Harm] = &[
    ("the log is emptied", |data| {
        cut(&data.join("journal.db-wal"), 0);
    }),
    ("the log is cut short", |data| {
        let log = data.join("journal.db-wal");
        let len = fs::metadata(&log).unwrap().len();
        cut(&log, len - 4_000);
    }),
    ("the log is deleted", |data| {
        fs::remove_file(data.join("journal.db-wal")).unwrap();
    }),
    ("the log and its index are deleted", |data| {
        fs::remove_file(data.join("journal.db-wal")).unwrap();
        fs::remove_file(data.join("journal.db-shm")).unwrap();
    }),
];

#[tokio::test]
async fn a_store_that_lost_what_it_acknowledged_is_refused_and_left_as_it_is() {
    let whole = killed_in_place().await;
    assert_eq!(read_all(whole.path()).await, Ok(20));
    for (what, harm) in LOST {
        let folder = killed_in_place().await;
        harm(folder.path());
        let before = contents(folder.path());
        let read = read_all(folder.path()).await.unwrap_err();
        let write = try_open(Sqlite::new(folder.path().to_owned())).unwrap_err();
        for error in [read, write] {
            assert!(matches!(error, Error::Remains { .. }), "{what}: {error:?}");
            assert!(
                error.to_string().contains("journal.db-wal"),
                "{what}: {error}"
            );
        }
        assert!(contents(folder.path()) == before, "{what}: it was changed");
    }
    // Who wants to go on with what is left can.
    let folder = killed_in_place().await;
    cut(&folder.path().join("journal.db-wal"), 0);
    fs::remove_file(folder.path().join("journal.last")).unwrap();
    assert_sound(&open(folder.path())).await;
}

#[tokio::test]
async fn a_log_that_is_cut_short_while_it_is_in_use_stops_every_append() {
    for left in [0, 6_000] {
        let (folder, journal) = fresh();
        let (me, make) = (Principal::local(), Maker::new(1));
        journal
            .append(&me, make.append(&me, "t-1", 10))
            .await
            .unwrap();
        cut(&folder.path().join("journal.db-wal"), left);
        let trouble = journal.write_error();
        assert!(matches!(trouble, Some(Error::Moved { .. })), "{trouble:?}");
        for _ in 0..2 {
            let error = journal
                .append(&me, make.append(&me, "t-1", 1))
                .await
                .unwrap_err();
            assert!(matches!(error, Error::Moved { .. }), "{error:?}");
            assert!(error.to_string().contains("journal.db-wal"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_store_that_was_cut_short_beside_its_log_is_not_called_sound() {
    let (folder, _) = killed().await;
    let file = folder.path().join("journal.db");
    cut(&file, fs::metadata(&file).unwrap().len() / 2);
    let journal = try_open_read_only(folder.path());
    let verified = match journal {
        Ok(journal) => journal.verify(&Principal::system(), None).await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert!(
        matches!(verified, Err(Error::Corrupt { .. })),
        "{verified:?}"
    );
}

/// Every file but the lock, with its bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.file_name() != "journal.lock")
        // SQLite's index of the log: made of it, and of no use without it.
        .filter(|entry| entry.file_name() != "journal.db-shm")
        .map(|entry| (entry.path(), fs::read(entry.path()).ok()))
        .collect()
}

type Case = (&'static str, fn(&Path), &'static str);

/// What was done to the folder, and what the error says.
const REMAINS: &[Case] = &[
    (
        "emptied beside its full log",
        |folder| fs::write(folder.join("journal.db"), "").unwrap(),
        "journal.db is empty",
    ),
    (
        "deleted beside its full log",
        |folder| fs::remove_file(folder.join("journal.db")).unwrap(),
        "journal.db is missing",
    ),
    (
        "deleted beside an empty log",
        |folder| {
            fs::remove_file(folder.join("journal.db")).unwrap();
            fs::write(folder.join("journal.db-wal"), "").unwrap();
        },
        "journal.db is missing",
    ),
    (
        "deleted beside the index of a log alone",
        |folder| {
            fs::remove_file(folder.join("journal.db")).unwrap();
            fs::remove_file(folder.join("journal.db-wal")).unwrap();
        },
        "journal.db is missing",
    ),
    (
        "emptied beside the index of a log alone",
        |folder| {
            fs::write(folder.join("journal.db"), "").unwrap();
            fs::remove_file(folder.join("journal.db-wal")).unwrap();
        },
        "journal.db is empty",
    ),
    (
        "emptied with nothing beside it",
        |folder| {
            fs::write(folder.join("journal.db"), "").unwrap();
            fs::remove_file(folder.join("journal.db-wal")).unwrap();
            fs::remove_file(folder.join("journal.db-shm")).unwrap();
        },
        "journal.db is empty",
    ),
    (
        "cut within its header",
        |folder| cut(&folder.join("journal.db"), 50),
        "no SQLite database",
    ),
    (
        "overwritten beside its log",
        |folder| fs::write(folder.join("journal.db"), "notes ".repeat(900)).unwrap(),
        "no SQLite database",
    ),
    (
        "another program's database beside its log",
        |folder| {
            let other = folder.join("other.db");
            let connection = Connection::open(&other).unwrap();
            connection
                .execute_batch("CREATE TABLE notes(text); PRAGMA application_id = 7")
                .unwrap();
            drop(connection);
            fs::rename(other, folder.join("journal.db")).unwrap();
        },
        "application id",
    ),
    (
        "a database without tables",
        |folder| {
            let file = folder.join("journal.db");
            for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
                fs::remove_file(folder.join(name)).unwrap();
            }
            let connection = Connection::open(file).unwrap();
            connection
                .execute_batch("CREATE TABLE t(x); DROP TABLE t")
                .unwrap();
        },
        "application id",
    ),
    (
        "a directory of its name",
        |folder| {
            fs::remove_file(folder.join("journal.db")).unwrap();
            fs::create_dir(folder.join("journal.db")).unwrap();
        },
        "a directory",
    ),
    (
        "a link to nowhere",
        |folder| {
            fs::remove_file(folder.join("journal.db")).unwrap();
            symlink("/no/such/disk/journal.db", folder.join("journal.db")).unwrap();
        },
        "a link to a file that is not there",
    ),
];

fn cut(file: &Path, len: u64) {
    let file = fs::File::options().write(true).open(file).unwrap();
    file.set_len(len).unwrap();
}

#[tokio::test]
async fn the_remains_of_a_store_are_refused_and_left_as_they_are() {
    for (what, harm, says) in REMAINS {
        let (folder, _) = killed().await;
        harm(folder.path());
        let before = contents(folder.path());
        let write = try_open(Sqlite::new(folder.path().to_owned())).unwrap_err();
        let read = match Sqlite::new(folder.path().to_owned()).exists() {
            Ok(exists) => {
                assert!(exists, "{what}: it is not taken for nothing");
                read_all(folder.path()).await.unwrap_err()
            }
            Err(error) => error,
        };
        for error in [&write, &read] {
            assert!(
                matches!(error, Error::Remains { .. } | Error::Corrupt { .. }),
                "{what}: {error:?}"
            );
            let text = error.to_string();
            assert!(text.contains(says), "{what}: {text}");
            assert!(
                text.contains("--data-dir") || text.contains("another folder"),
                "{text}"
            );
        }
        assert!(contents(folder.path()) == before, "{what}: it was changed");
    }
}

async fn read_all(folder: &Path) -> Result<usize, Error> {
    let journal = try_open_read_only(folder)?;
    let (system, filter) = (Principal::system(), Filter::default());
    let page = journal.read(&system, &filter, Sequence::ZERO, 100);
    Ok(page.await?.events.len())
}

#[tokio::test]
async fn a_store_that_was_cut_short_beside_its_log_is_not_written_to() {
    let (folder, _) = killed().await;
    cut(&folder.path().join("journal.db"), 8_192);
    let before = contents(folder.path());
    let error = try_open(Sqlite::new(folder.path().to_owned())).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert!(contents(folder.path()) == before);
}

#[tokio::test]
async fn what_a_killed_process_leaves_is_a_store() {
    let (folder, written) = killed().await;
    assert_eq!(read_all(folder.path()).await, Ok(20));
    let journal = open(folder.path());
    assert_eq!(lines(&all(&journal, &Principal::local()).await), written);
    assert_sound(&journal).await;
}

/// The process that made it ended before it was whole.
#[tokio::test]
async fn a_store_that_was_being_made_is_made_by_the_next_one() {
    for begun in ["", "file", "tables"] {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("journal.db");
        fs::write(folder.path().join("journal.new"), "").unwrap();
        match begun {
            "file" => fs::write(&file, "").unwrap(),
            "tables" => {
                let connection = Connection::open(&file).unwrap();
                connection
                    .pragma_update(None, "journal_mode", "WAL")
                    .unwrap();
            }
            _ => {}
        }
        assert!(try_open_read_only(folder.path()).is_err(), "{begun}");
        let journal = open(folder.path());
        assert!(!folder.path().join("journal.new").exists());
        assert!(all(&journal, &Principal::local()).await.is_empty());
        drop(journal);
        fs::write(&file, "").unwrap();
        let emptied = try_open(Sqlite::new(folder.path().to_owned())).unwrap_err();
        assert!(matches!(emptied, Error::Remains { .. }), "{emptied:?}");
    }
}

#[tokio::test]
async fn reading_makes_and_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let error = try_open_read_only(folder.path()).unwrap_err();
    assert!(matches!(error, Error::NoStore { .. }), "{error:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    let (folder, _) = killed().await;
    let before = contents(folder.path());
    let journal = open_read_only(folder.path());
    assert_sound(&journal).await;
    drop(journal);
    assert!(contents(folder.path()) == before);
}

/// What is done to the files of a store that is in use, and how it is undone, if it can be.
type Away = (&'static str, fn(&Path), Option<fn(&Path)>);

const AWAY: &[Away] = &[
    (
        "the file is moved",
        |data| fs::rename(data.join("journal.db"), data.join("kept")).unwrap(),
        Some(|data| fs::rename(data.join("kept"), data.join("journal.db")).unwrap()),
    ),
    (
        "the folder is moved",
        |data| fs::rename(data, data.with_extension("kept")).unwrap(),
        Some(|data| fs::rename(data.with_extension("kept"), data).unwrap()),
    ),
    (
        "the file is replaced by a copy",
        |data| {
            fs::copy(data.join("journal.db"), data.join("copy")).unwrap();
            fs::rename(data.join("copy"), data.join("journal.db")).unwrap();
        },
        None,
    ),
    (
        "the log is deleted",
        |data| fs::remove_file(data.join("journal.db-wal")).unwrap(),
        None,
    ),
    (
        "the lock is deleted",
        |data| fs::remove_file(data.join("journal.lock")).unwrap(),
        None,
    ),
];

#[tokio::test]
async fn a_store_that_is_moved_while_it_is_in_use_acknowledges_nothing_more() {
    for (what, away, back) in AWAY {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        let (me, make) = (Principal::local(), Maker::new(1));
        let journal = open(&data);
        let first = journal.append(&me, make.append(&me, "t-1", 3)).await;
        let mut written = lines(&first.unwrap().events);
        assert_eq!(journal.write_error(), None, "{what}");
        away(&data);
        let moved = journal.write_error();
        assert!(
            matches!(moved, Some(Error::Moved { .. })),
            "{what}: {moved:?}"
        );
        let next = make.append(&me, "t-1", 2);
        for _ in 0..2 {
            let error = journal.append(&me, next.clone()).await.unwrap_err();
            assert!(matches!(error, Error::Moved { .. }), "{what}: {error:?}");
            assert!(error.to_string().contains("Put it back"), "{error}");
            assert!(error.is_transient());
        }
        if let Some(back) = back {
            back(&data);
            let answer = journal.append(&me, next.clone()).await.unwrap();
            assert!(!answer.duplicate);
            written.extend(lines(&answer.events));
            assert_eq!(journal.write_error(), None, "{what}");
            assert_sound(&journal).await;
        }
        drop(journal);
        if *what != "the file is replaced by a copy" {
            let journal = open(&data);
            assert_eq!(lines(&all(&journal, &me).await), written, "{what}");
            assert_sound(&journal).await;
        }
    }
}

#[tokio::test]
async fn a_store_that_is_emptied_while_it_is_in_use_acknowledges_nothing_more_and_stays_as_it_is() {
    for left in [0, 4_096] {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        let (me, make) = (Principal::local(), Maker::new(1));
        let journal = open(&data);
        let first = journal.append(&me, make.append(&me, "t-1", 3)).await;
        first.unwrap();
        assert_eq!(journal.write_error(), None);
        let file = fs::OpenOptions::new()
            .write(true)
            .open(data.join("journal.db"));
        file.unwrap().set_len(left).unwrap();
        let trouble = journal.write_error();
        assert!(matches!(trouble, Some(Error::Moved { .. })), "{trouble:?}");
        for _ in 0..2 {
            let next = make.append(&me, "t-1", 1);
            let error = journal.append(&me, next).await.unwrap_err();
            assert!(matches!(error, Error::Moved { .. }), "{error:?}");
        }
        let log = fs::read(data.join("journal.db-wal")).unwrap();
        drop(journal);
        assert_eq!(fs::metadata(data.join("journal.db")).unwrap().len(), left);
        assert_eq!(fs::read(data.join("journal.db-wal")).unwrap(), log);
    }
}

#[tokio::test]
async fn a_backup_that_is_copied_over_a_store_in_use_stops_every_append() {
    let (folder, journal) = fresh();
    let (me, make) = (Principal::local(), Maker::new(1));
    journal
        .append(&me, make.append(&me, "t-1", 3))
        .await
        .unwrap();
    let files = ["journal.db", "journal.db-wal"];
    let backup: Vec<_> = files
        .map(|name| fs::read(folder.path().join(name)).unwrap())
        .into();
    journal
        .append(&me, make.append(&me, "t-1", 3))
        .await
        .unwrap();
    for (name, bytes) in files.iter().zip(backup) {
        let longer = fs::metadata(folder.path().join(name)).unwrap().len();
        fs::write(folder.path().join(name), bytes).unwrap();
        // As long as it was: only that it was written to can be noticed.
        cut(&folder.path().join(name), longer);
    }
    for _ in 0..2 {
        let error = journal
            .append(&me, make.append(&me, "t-1", 1))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Moved { .. }), "{error:?}");
    }
    drop(journal);
    let error = read_all(folder.path()).await.unwrap_err();
    assert!(matches!(error, Error::Remains { .. }), "{error:?}");
}

/// Any program may look into a store that is in use. Its log stays.
#[tokio::test]
async fn another_program_that_closes_a_store_in_use_does_not_delete_its_log() {
    let (folder, journal) = fresh();
    let (me, make) = (Principal::local(), Maker::new(1));
    let mut written = 0;
    for _ in 0..2 {
        journal
            .append(&me, make.append(&me, "t-1", 3))
            .await
            .unwrap();
        written += 3;
        assert_eq!(all(&journal, &me).await.len(), written);
        assert!(Sqlite::new(folder.path().to_owned()).exists().unwrap());
        let script = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); \
                      print(db.execute('SELECT count(*) FROM events').fetchone()[0]); db.close()";
        let seen = std::process::Command::new("python3")
            .args(["-c", script])
            .arg(folder.path().join("journal.db"))
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&seen.stdout).trim(),
            written.to_string()
        );
        assert!(folder.path().join("journal.db-wal").exists());
        assert_eq!(journal.write_error(), None);
    }
    assert_sound(&journal).await;
}

/// A store of the same name is not the one that was followed.
#[tokio::test]
async fn a_reader_does_not_go_on_in_another_store() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let (me, make) = (Principal::local(), Maker::new(1));
    let fill = async |count| {
        let journal: Journal = open(&data);
        let events = journal.append(&me, make.append(&me, "t-1", count)).await;
        events.unwrap();
    };
    fill(3).await;
    let reader = open_read_only(&data);
    assert_eq!(sequences(&all(&reader, &me).await), [1, 2, 3]);
    fs::rename(&data, folder.path().join("old")).unwrap();
    fill(5).await;
    let filter = Filter::default();
    let read = reader.read(&me, &filter, Sequence::ZERO, 10).await;
    assert!(matches!(read, Err(Error::Moved { .. })), "{read:?}");
}
