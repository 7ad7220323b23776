//! One data folder: who holds it, what is refused to be opened, what happens when it is full.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::Bytes;
use common::{fresh, open, open_read_only, try_open, try_open_read_only};
use journeyman_event::{Principal, Sequence};
use journeyman_journal::{Append, Error, Expected, Filter, Holder, Snapshot};
use journeyman_journal_conformance::{Maker, all, append, assert_sound, lines, sequences};
use journeyman_journal_sqlite::Sqlite;
use rusqlite::Connection;
use tempfile::TempDir;

fn refused(folder: &Path) -> Error {
    let error = try_open(Sqlite::new(folder.to_owned())).unwrap_err();
    assert!(
        error.to_string().contains(folder.to_str().unwrap()),
        "it names the place: {error}"
    );
    error
}

#[tokio::test]
async fn a_second_writer_is_told_who_holds_the_folder() {
    let (folder, journal) = fresh();
    let (me, make) = (Principal::local(), Maker::new(1));
    assert_eq!(journal.holder(), Some(Holder::process(std::process::id())));
    let locked = Error::Locked {
        store: folder.path().display().to_string(),
        holder: Holder::process(std::process::id()),
    };
    assert_eq!(refused(folder.path()), locked);
    // The first is not disturbed.
    journal
        .append(&me, make.append(&me, "t-1", 1))
        .await
        .unwrap();

    let clone = journal.clone();
    drop(journal);
    assert_eq!(
        refused(folder.path()),
        locked,
        "a clone is the same journal"
    );
    let reader = open_read_only(folder.path());
    assert_eq!(reader.holder(), Some(Holder::process(std::process::id())));
    drop(clone);
    assert_eq!(reader.holder(), None);
    let again = open(folder.path());
    assert_eq!(sequences(&all(&again, &me).await), [1]);
    assert_eq!(reader.holder(), Some(Holder::process(std::process::id())));
}

#[test]
fn a_lock_of_somebody_who_says_nothing_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = std::fs::File::create(folder.path().join("journal.lock")).unwrap();
    foreign.lock().unwrap();
    let told = refused(folder.path()).to_string();
    assert!(
        told.contains("in use by a process that does not tell"),
        "{told}"
    );
}

#[tokio::test]
async fn a_journal_goes_on_where_it_ended() {
    let (folder, mut journal) = fresh();
    let (me, make) = (Principal::local(), Maker::new(1));
    let mut written = Vec::new();
    let part = journal.store_part().to_owned();
    assert_eq!(part.len(), 16, "64 random bits");
    for _ in 0..5 {
        let answer = journal
            .append(&me, make.append(&me, "t-1", 3))
            .await
            .unwrap();
        written.extend(lines(&answer.events));
        drop(journal);
        journal = open(folder.path());
        assert_eq!(journal.store_part(), part, "drawn once");
        assert_eq!(lines(&all(&journal, &me).await), written);
    }
    assert_sound(&journal).await;
}

#[tokio::test]
async fn a_folder_of_an_older_version_keeps_the_processes_of_its_clocks() {
    let (folder, journal) = fresh();
    drop(journal);
    let connection = Connection::open(folder.path().join("journal.db")).unwrap();
    let rename = "UPDATE meta SET value = ?1 WHERE key = 'store_id'";
    let older = "7f3a5f0c9d0e4b1aa1b2c3d4e5f60718";
    connection.execute(rename, [older]).unwrap();
    drop(connection);
    let journal = open(folder.path());
    assert_eq!((journal.store_part(), journal.store_id()), ("7f3a", older));
    drop(journal);
    let connection = Connection::open(folder.path().join("journal.db")).unwrap();
    for changed in ["", "7f3a", "7f3a5f0c9d0e4b1aa1b2c3d4e5f6071X"] {
        connection.execute(rename, [changed]).unwrap();
        let error = try_open_read_only(folder.path()).unwrap_err();
        assert!(
            matches!(error, Error::Corrupt { .. }),
            "{changed}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_folder_is_made_with_its_parents() {
    let folder = TempDir::new().unwrap();
    let deep = folder.path().join("a/b");
    assert_eq!(Sqlite::new(deep.clone()).exists(), Ok(false));
    drop(open(&deep));
    assert_eq!(Sqlite::new(deep.clone()).exists(), Ok(true));
}

#[tokio::test]
async fn reading_needs_a_journal() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("none");
    let error = try_open_read_only(&missing).unwrap_err();
    assert!(
        error.to_string().contains(missing.to_str().unwrap()),
        "{error}"
    );
    assert!(!missing.exists(), "reading makes nothing");
}

#[tokio::test]
async fn a_closed_journal_can_be_read_without_a_writer() {
    let (folder, journal) = fresh();
    let (me, make) = (Principal::local(), Maker::new(1));
    journal
        .append(&me, make.append(&me, "t-1", 3))
        .await
        .unwrap();
    drop(journal);
    let reader = open_read_only(folder.path());
    assert_eq!(reader.holder(), None);
    assert_eq!(all(&reader, &me).await.len(), 3);
    assert_sound(&reader).await;
}

#[test]
fn a_file_that_is_not_a_database_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("journal.db");
    let bytes = "this is not a database. ".repeat(1_000);
    fs::write(&file, &bytes).unwrap();
    assert!(matches!(refused(folder.path()), Error::Corrupt { .. }));
    assert!(try_open_read_only(folder.path()).is_err());
    assert_eq!(fs::read(&file).unwrap(), bytes.as_bytes());
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    for prepare in ["CREATE TABLE notes(text)", "PRAGMA user_version = 1"] {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("journal.db");
        Connection::open(&file)
            .unwrap()
            .execute_batch(prepare)
            .unwrap();
        let bytes = fs::read(&file).unwrap();
        assert!(matches!(refused(folder.path()), Error::Corrupt { .. }));
        assert!(matches!(
            try_open_read_only(folder.path()).unwrap_err(),
            Error::Corrupt { .. }
        ));
        assert!(fs::read(&file).unwrap() == bytes, "{prepare}");
    }
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let (folder, journal) = fresh();
    drop(journal);
    let connection = Connection::open(folder.path().join("journal.db")).unwrap();
    connection.pragma_update(None, "user_version", 7).unwrap();
    drop(connection);
    let read = try_open_read_only(folder.path()).unwrap_err();
    for error in [refused(folder.path()), read] {
        let Error::Newer { found, known, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!((found, known), (7, 4));
    }
}

#[test]
fn a_file_in_place_of_the_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(refused(&file), Error::NotWritable { .. }));
}

#[tokio::test]
async fn a_full_store_refuses_appends_whole_and_stays_readable() {
    let folder = TempDir::new().unwrap();
    let (me, make) = (Principal::local(), Maker::new(1));
    let journal = try_open(Sqlite::new(folder.path().to_owned()).bytes_max(1 << 20)).unwrap();
    let mut written = Vec::new();
    let refused = loop {
        let text = "x".repeat(20_000);
        let events = vec![make.event(&me, "t-1", &text), make.event(&me, "t-1", &text)];
        let one = Append {
            blobs: vec![Bytes::from(format!("blob {}", written.len()))],
            ..append("t-1", Expected::Any, events)
        };
        match journal.append(&me, one.clone()).await {
            Ok(answer) => written.extend(lines(&answer.events)),
            Err(error) => {
                assert_eq!(
                    error,
                    Error::Full {
                        store: folder.path().display().to_string()
                    }
                );
                assert!(error.is_transient());
                break one;
            }
        }
    };
    assert!(written.len() > 10);
    // It says so again, and nothing of it is there.
    for _ in 0..3 {
        let error = journal.append(&me, refused.clone()).await.unwrap_err();
        assert!(matches!(error, Error::Full { .. }), "{error:?}");
    }
    assert_eq!(lines(&all(&journal, &me).await), written);
    let hash = journeyman_event::ContentHash::of(&refused.blobs[0]);
    assert_eq!(journal.blob(&me, hash).await.unwrap(), None);
    assert_eq!(
        journal.streams(&me, 10).await.unwrap()[0].revision.0,
        written.len() as u64
    );
    assert_sound(&journal).await;

    drop(journal);
    let journal = try_open(Sqlite::new(folder.path().to_owned()).bytes_max(8 << 20)).unwrap();
    let answer = journal.append(&me, refused).await.unwrap();
    assert!(!answer.duplicate);
    written.extend(lines(&answer.events));
    assert_eq!(lines(&all(&journal, &me).await), written);
    assert_sound(&journal).await;
}

#[tokio::test]
async fn a_small_append_still_fits_after_a_large_one_did_not() {
    let folder = TempDir::new().unwrap();
    let (me, make) = (Principal::local(), Maker::new(1));
    let journal = try_open(Sqlite::new(folder.path().to_owned()).bytes_max(1 << 20)).unwrap();
    let large = make.event(&me, "t-1", &"x".repeat(3 << 20));
    let large = append("t-1", Expected::Any, vec![large]);
    let (refused, small) = tokio::join!(
        journal.append(&me, large),
        journal.append(&me, make.append(&me, "t-2", 1))
    );
    assert!(matches!(refused.unwrap_err(), Error::Full { .. }));
    assert_eq!(sequences(&small.unwrap().events), [1]);
    let page = journal
        .read(&me, &Filter::default(), Sequence::ZERO, 10)
        .await
        .unwrap()
        .events;
    assert_eq!(page.len(), 1);
}

/// The folder may be passed through by others, so every file in it must be closed to them from the
/// first moment.
#[tokio::test]
async fn only_the_owner_can_read_the_files_of_a_new_journal() {
    let (folder, journal) = fresh();
    let (me, make) = (Principal::local(), Maker::new(1));
    journal
        .append(&me, make.append(&me, "t-1", 1))
        .await
        .unwrap();
    for name in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        let mode = folder
            .path()
            .join(name)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn sqlite_is_new_enough_to_be_trusted_with_wal() {
    assert!(
        rusqlite::version_number() >= 3_051_003,
        "{}",
        rusqlite::version()
    );
    assert_eq!(journeyman_journal_sqlite::SQLITE_VERSION_MIN, 3_051_003);
}

#[tokio::test]
async fn a_store_of_the_first_format_is_read_as_it_is_and_brought_on_by_the_writer() {
    let (folder, journal) = fresh();
    let (me, make) = (Principal::local(), Maker::new(1));
    let three = make.append(&me, "t-1", 3);
    let events = journal.append(&me, three).await.unwrap().events;
    drop(journal);
    Connection::open(folder.path().join("journal.db"))
        .unwrap()
        .execute_batch(
            "DROP TABLE snapshots; ALTER TABLE streams DROP COLUMN summary_hash; \
             ALTER TABLE streams DROP COLUMN erasure; DROP TABLE loose_blobs; \
             PRAGMA user_version = 1",
        )
        .unwrap();
    let task = events[0].task_id();
    let reader = open_read_only(folder.path());
    let newest = Sequence(u64::MAX);
    assert_eq!(reader.snapshot(&me, task, newest).await.unwrap(), None);
    assert_sound(&reader).await;
    let snapshot = Snapshot::after(&events[2], Bytes::from_static(b"state"));
    let journal = open(folder.path());
    let kept = journal.keep_snapshot(&me, task, snapshot.clone()).await;
    kept.unwrap();
    let found = reader.snapshot(&me, task, newest).await.unwrap();
    assert_eq!(found, Some(snapshot));
    assert_eq!(lines(&all(&journal, &me).await), lines(&events));
}
