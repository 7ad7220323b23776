//! One data folder: who holds it, what is refused to be opened, what happens when it is full.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use bytes::Bytes;
use common::{Maker, all, append, assert_sound, fresh, lines, open, options, sequences};
use journeyman_event::{Principal, Sequence};
use journeyman_journal::{Append, Error, Expected, Filter, Journal};
use rusqlite::Connection;
use tempfile::TempDir;

fn refused(folder: &Path) -> Error {
    let error = Journal::open(options(folder)).unwrap_err();
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
    assert_eq!(journal.holder(), Some(std::process::id()));
    let locked = Error::Locked {
        folder: folder.path().to_owned(),
        pid: std::process::id(),
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
    let reader = Journal::open_read_only(folder.path().to_owned()).unwrap();
    assert_eq!(reader.holder(), Some(std::process::id()));
    drop(clone);
    assert_eq!(reader.holder(), None);
    let again = open(folder.path());
    assert_eq!(sequences(&all(&again, &me).await), [1]);
    assert_eq!(reader.holder(), Some(std::process::id()));
}

#[tokio::test]
async fn a_journal_goes_on_where_it_ended() {
    let (folder, mut journal) = fresh();
    let (me, make) = (Principal::local(), Maker::new(1));
    let mut written = Vec::new();
    let part = journal.store_part().to_owned();
    assert_eq!(part.len(), 4);
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
async fn a_folder_is_made_with_its_parents() {
    let folder = TempDir::new().unwrap();
    let deep = folder.path().join("a/b");
    assert!(!Journal::exists(&deep));
    drop(open(&deep));
    assert!(Journal::exists(&deep));
}

#[tokio::test]
async fn reading_needs_a_journal() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("none");
    let error = Journal::open_read_only(missing.clone()).unwrap_err();
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
    let reader = Journal::open_read_only(folder.path().to_owned()).unwrap();
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
    assert!(Journal::open_read_only(folder.path().to_owned()).is_err());
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
            Journal::open_read_only(folder.path().to_owned()).unwrap_err(),
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
    let read = Journal::open_read_only(folder.path().to_owned()).unwrap_err();
    for error in [refused(folder.path()), read] {
        let Error::Newer { found, known, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!((found, known), (7, 1));
    }
}

#[test]
fn a_directory_in_place_of_the_file_is_refused() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("journal.db")).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, Error::NotWritable { .. }), "{error:?}");
    assert!(error.to_string().contains("directory"), "{error}");
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
    let journal = Journal::open(options(folder.path()).bytes_max(1 << 20)).unwrap();
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
                        folder: folder.path().to_owned()
                    }
                );
                assert!(error.may_pass());
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
    let journal = Journal::open(options(folder.path()).bytes_max(8 << 20)).unwrap();
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
    let journal = Journal::open(options(folder.path()).bytes_max(1 << 20)).unwrap();
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
        .unwrap();
    assert_eq!(page.len(), 1);
}
