//! What was erased is in no file any more, the space of it is given back, and neither a failing disk nor the end of
//! the process leaves an erasure half done.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use common::{fresh, line, on, open, open_read_only, set_line, tamper, try_open};
use journeyman_crash_vfs::{Disk, Fault, FaultDuration, FaultKind};
use journeyman_event::{
    ContentHash, Principal, Revision, SeededRandom, Sequence, SteppedTime, TaskId,
};
use journeyman_journal::{
    Append, BadRecord, Erased, Error, Expected, Filter, Flaw, Journal, Makers, Snapshot,
    StreamName, VerifyReport,
};
use journeyman_journal_conformance::{Maker, all, append, assert_sound, of_task};
use journeyman_journal_sqlite::Sqlite;
use rusqlite::Connection;
use tempfile::TempDir;

fn name(task: &str) -> StreamName {
    StreamName::of(Principal::local().owner(), &TaskId::new(task).unwrap())
}

/// Each makes other names.
fn source() -> (SteppedTime, SeededRandom) {
    static SEED: AtomicU64 = AtomicU64::new(1_000);
    let seed = SEED.fetch_add(1, Ordering::Relaxed);
    (SteppedTime::default(), SeededRandom::new(seed))
}

async fn begin(journal: &Journal, task: &str, revision: u64) -> Result<Erased, Error> {
    let (time, randomness) = source();
    let makers = Makers {
        time: &time,
        randomness: &randomness,
    };
    let (me, revision) = (Principal::local(), Revision(revision));
    journal
        .begin_erasure(&me, &name(task), revision, "a wish", Vec::new(), makers)
        .await
}

async fn finish(journal: &Journal) -> Result<u64, Error> {
    let (time, randomness) = source();
    let makers = Makers {
        time: &time,
        randomness: &randomness,
    };
    journal.finish_erasures(makers).await
}

async fn verified(journal: &Journal) -> VerifyReport {
    journal.verify(&Principal::system(), None).await.unwrap()
}

/// What a task says, which stands nowhere else.
fn secret(task: &str) -> String {
    format!("secret-of-{task}-")
}

/// Events of a task of all sizes, with a text that they cite, a summary and a state that is kept.
async fn fill(journal: &Journal, make: &Maker, task: &str, bytes: usize) {
    let me = Principal::local();
    let secret = secret(task);
    let long = secret.repeat(bytes / secret.len() + 1);
    let text = Bytes::from(format!("text {long}"));
    let cited = ContentHash::of(&text);
    let events = [&*secret, &*long, &format!("{cited} {secret}")];
    let append = Append {
        blobs: vec![text],
        summary: Some(long.clone().into_bytes()),
        ..append(
            task,
            Expected::Any,
            events.map(|text| make.event(&me, task, text)).into(),
        )
    };
    let events = journal.append(&me, append).await.unwrap().events;
    let state = Snapshot::after(&events[2], Bytes::from(format!("state {long}")));
    let task = TaskId::new(task).unwrap();
    journal.keep_snapshot(&me, &task, state).await.unwrap();
}

/// Whether the text is in any file of the folder.
fn is_anywhere(folder: &Path, text: &str) -> bool {
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .any(|bytes| contains(&bytes, text))
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn nothing_of_what_was_erased_is_left_in_any_file() {
    let (folder, journal) = fresh();
    let make = Maker::new(1);
    let sizes = [10, 300, 1_500, 4_000, 9_000, 60];
    let tasks: Vec<String> = (0..60).map(|n| format!("t-{n}")).collect();
    for (n, task) in tasks.iter().enumerate() {
        fill(&journal, &make, task, sizes[n % sizes.len()]).await;
    }
    for task in &tasks {
        // Rows of lists change their lengths all the time.
        fill(&journal, &make, task, 700).await;
    }
    for round in [3, 2, 1] {
        for task in tasks.iter().step_by(round) {
            match begin(&journal, task, 6).await {
                Ok(_) | Err(Error::Erased(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        finish(&journal).await.unwrap();
        for (n, task) in tasks.iter().enumerate() {
            let is_erased = [3, 2, 1].iter().any(|&done| done >= round && n % done == 0);
            let found = is_anywhere(folder.path(), &secret(task));
            assert_eq!(found, !is_erased, "{task} after round {round}");
        }
        let report = verified(&journal).await;
        assert_eq!(report.first_bad, None);
    }
    assert_sound(&journal).await;
    drop(journal);
    assert_sound(&open(folder.path())).await;
    assert!(!is_anywhere(folder.path(), "secret-of-"));
}

#[tokio::test]
async fn the_space_is_given_back_while_appends_and_readers_go_on() {
    let (folder, journal) = fresh();
    let (me, make) = (Principal::local(), Maker::new(1));
    let length = || {
        fs::metadata(folder.path().join("journal.db"))
            .unwrap()
            .len()
    };
    for n in 0..40 {
        let task = format!("t-{}", n % 2);
        let blobs = vec![Bytes::from(vec![n; 300_000])];
        let hash = ContentHash::of(&blobs[0]).to_string();
        let mut events = vec![make.event(&me, &task, &hash)];
        events.extend(make.events(&me, &task, 200));
        let append = Append {
            blobs,
            ..append(&task, Expected::Any, events)
        };
        journal.append(&me, append).await.unwrap();
    }
    let reader = open_read_only(folder.path());
    let (system, other) = (Principal::system(), of_task("t-1"));
    let bytes = || journal.bytes(&system);
    let before = bytes().await.unwrap();
    begin(&journal, "t-0", 20 * 201).await.unwrap();
    let appends = async {
        for _ in 0..50 {
            let one = make.append(&me, "t-2", 1);
            journal.append(&me, one).await.unwrap();
            let read = reader.read(&me, &other, Sequence::ZERO, 10);
            assert_eq!(read.await.unwrap().events.len(), 10);
            assert_eq!(journal.write_error(), None);
        }
    };
    let (finished, ()) = tokio::join!(finish(&journal), appends);
    assert_eq!(finished.unwrap(), 1);
    let after = bytes().await.unwrap();
    println!(
        "{before} bytes, {after} after half of it was erased; the file has {}",
        length()
    );
    // Of 12 MB of texts half are gone; lines keep their envelopes.
    assert!(after < before - 5_500_000, "{before} -> {after}");
    assert!(length() < after + 1_000_000, "{} for {after}", length());
    // It goes on, and nobody takes the shorter file for one that was cut off.
    let one = make.append(&me, "t-2", 1);
    journal.append(&me, one).await.unwrap();
    assert_eq!(journal.write_error(), None);
    assert_sound(&journal).await;
    assert_sound(&reader).await;
}

#[tokio::test]
async fn a_reader_that_holds_on_to_the_store_is_waited_for() {
    let (folder, journal) = fresh();
    let make = Maker::new(1);
    fill(&journal, &make, "t-1", 2_000).await;
    let other = Connection::open(folder.path().join("journal.db")).unwrap();
    other.execute_batch("BEGIN").unwrap();
    let count: i64 = other
        .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 3);
    begin(&journal, "t-1", 3).await.unwrap();
    let finishing = finish(&journal);
    tokio::pin!(finishing);
    let soon = std::time::Duration::from_millis(300);
    let waits = tokio::time::timeout(soon, &mut finishing).await;
    assert!(waits.is_err(), "{waits:?}");
    // Appends do not wait for it.
    let one = make.append(&Principal::local(), "t-2", 1);
    journal.append(&Principal::local(), one).await.unwrap();
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(finishing.await.unwrap(), 1);
    assert!(!is_anywhere(folder.path(), &secret("t-1")));
    assert_sound(&journal).await;
}

#[tokio::test]
async fn a_reader_that_does_not_finish_defers_the_erasure_and_keeps_no_store_closed() {
    let (folder, journal) = fresh();
    let make = Maker::new(1);
    fill(&journal, &make, "t-1", 2_000).await;
    let other = Connection::open(folder.path().join("journal.db")).unwrap();
    let read = "BEGIN; SELECT count(*) FROM events;";
    other.execute_batch(read).unwrap();
    begin(&journal, "t-1", 3).await.unwrap();
    let held = finish(&journal).await;
    assert!(matches!(held, Err(Error::Held { .. })), "{held:?}");
    drop(journal);
    let journal = open(folder.path());
    let held = finish(&journal).await;
    assert!(matches!(held, Err(Error::Held { .. })), "{held:?}");
    let one = make.append(&Principal::local(), "t-2", 1);
    journal.append(&Principal::local(), one).await.unwrap();
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(finish(&journal).await.unwrap(), 1);
    assert!(!is_anywhere(folder.path(), &secret("t-1")));
    assert_sound(&journal).await;
}

/// The log that a process leaves may hold an erasure: when the reader has finished, the file becomes shorter by the next
/// process's first write, which is no change by another program.
#[tokio::test]
async fn a_file_that_becomes_shorter_once_a_reader_has_finished_is_written_to_as_before() {
    let (folder, journal) = fresh();
    let make = Maker::new(1);
    fill(&journal, &make, "t-1", 200_000).await;
    fill(&journal, &make, "t-2", 2_000).await;
    // What it has is in the file then, and not in its log.
    drop(journal);
    let journal = open(folder.path());
    let reader = || {
        let other = Connection::open(folder.path().join("journal.db")).unwrap();
        other
            .execute_batch("BEGIN; SELECT count(*) FROM events;")
            .unwrap();
        other
    };
    let first = reader();
    begin(&journal, "t-1", 3).await.unwrap();
    let held = finish(&journal).await;
    assert!(matches!(held, Err(Error::Held { .. })), "{held:?}");
    drop(journal);
    let second = reader();
    drop(first);
    let before = fs::metadata(folder.path().join("journal.db"))
        .unwrap()
        .len();
    let journal = open(folder.path());
    // Appends do not wait for the reader, the erasure does.
    let one = make.append(&Principal::local(), "t-3", 1);
    journal.append(&Principal::local(), one).await.unwrap();
    let held = finish(&journal).await;
    assert!(matches!(held, Err(Error::Held { .. })), "{held:?}");
    drop(second);
    assert_eq!(finish(&journal).await.unwrap(), 1);
    let after = fs::metadata(folder.path().join("journal.db"))
        .unwrap()
        .len();
    assert!(after < before, "{after} of {before}");
    assert!(!is_anywhere(folder.path(), &secret("t-1")));
    assert_sound(&journal).await;
}

#[tokio::test]
async fn a_full_store_can_be_erased_from_and_takes_appends_again() {
    let folder = TempDir::new().unwrap();
    let (me, make) = (Principal::local(), Maker::new(1));
    let journal = try_open(Sqlite::new(folder.path().to_owned()).bytes_max(1 << 20)).unwrap();
    let mut tasks = 0;
    let refused = loop {
        let task = format!("t-{tasks}");
        let event = make.event(&me, &task, &secret(&task).repeat(1_000));
        let one = append(&task, Expected::Any, vec![event]);
        match journal.append(&me, one.clone()).await {
            Ok(_) => tasks += 1,
            Err(Error::Full { .. }) => break one,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(tasks > 10, "{tasks}");
    for n in 0..tasks / 2 {
        begin(&journal, &format!("t-{n}"), 1).await.unwrap();
    }
    assert_eq!(finish(&journal).await.unwrap(), tasks / 2);
    journal.append(&me, refused).await.unwrap();
    let length = fs::metadata(folder.path().join("journal.db"))
        .unwrap()
        .len();
    assert!(length <= 1 << 20, "{length}");
    assert!(!is_anywhere(folder.path(), &secret("t-0")));
    assert_sound(&journal).await;
}

#[tokio::test]
async fn a_store_of_an_older_version_gives_space_back_too_and_keeps_no_trace() {
    let (folder, journal) = fresh();
    let make = Maker::new(1);
    for task in ["t-1", "t-2"] {
        fill(&journal, &make, task, 50_000).await;
    }
    drop(journal);
    let file = folder.path().join("journal.db");
    let old = Connection::open(&file).unwrap();
    old.execute_batch(
        "ALTER TABLE streams DROP COLUMN erasure; DROP TABLE loose_blobs; PRAGMA user_version = 3; \
         PRAGMA auto_vacuum = NONE; VACUUM; \
         CREATE TABLE old(text); INSERT INTO old VALUES('a-trace-of-before'); DROP TABLE old;",
    )
    .unwrap();
    drop(old);
    assert!(is_anywhere(folder.path(), "a-trace-of-before"));
    // Read as it is, brought on by the writer.
    assert_sound(&open_read_only(folder.path())).await;
    let journal = open(folder.path());
    assert!(!is_anywhere(folder.path(), "a-trace-of-before"));
    let length = || fs::metadata(&file).unwrap().len();
    let before = length();
    begin(&journal, "t-1", 3).await.unwrap();
    finish(&journal).await.unwrap();
    assert!(length() < before * 2 / 3, "{before} -> {}", length());
    assert!(!is_anywhere(folder.path(), &secret("t-1")));
    assert_sound(&journal).await;
    journal.compact(&Principal::system()).await.unwrap();
    let one = make.append(&Principal::local(), "t-2", 1);
    journal.append(&Principal::local(), one).await.unwrap();
    assert_sound(&journal).await;
}

/// One erasure with a fault on the way; how many calls of the disk it took.
async fn live(fault: Option<Fault>) -> u64 {
    let (disk, folder) = (Disk::new(1), TempDir::new().unwrap());
    let reopen = || try_open(on(&disk, folder.path())).unwrap();
    let mut journal = reopen();
    let make = Maker::new(1);
    for task in ["t-1", "t-2", "t-1"] {
        fill(&journal, &make, task, 5_000).await;
    }
    let whole = all(&journal, &Principal::local()).await;
    let calls = disk.calls();
    if let Some(fault) = fault {
        disk.plan(fault);
    }
    let mut failures = 0;
    loop {
        let begun = match begin(&journal, "t-1", 6).await {
            Err(Error::Erased(_)) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        let done = match begun {
            Ok(()) => finish(&journal).await.map(drop),
            Err(error) => Err(error),
        };
        let Err(error) = done else { break };
        assert!(error.is_transient(), "{fault:?}: {error}");
        failures += 1;
        assert!(failures < 5, "{fault:?}: {error}");
        disk.heal();
        // At first the same journal goes on, unless the power went; then the process ends.
        if fault.is_some_and(|fault| fault.kind == FaultKind::PowerLoss) {
            drop(journal);
            disk.restart();
            journal = reopen();
        } else if failures > 1 {
            disk.kill();
            drop(journal);
            journal = reopen();
        }
        // Wherever it stopped, nothing is damaged.
        let report = verified(&journal).await;
        assert_eq!(report.first_bad, None, "{fault:?}");
    }
    let calls = disk.calls() - calls;
    disk.heal();
    for _ in 0..2 {
        let report = verified(&journal).await;
        assert_eq!(report.first_bad, None, "{fault:?}");
        let counts = (report.erased, report.erasures, report.erasures_unfinished);
        assert_eq!(counts, (6, 1, 0), "{fault:?}");
        let left = all(&journal, &Principal::local()).await;
        assert_eq!(left.len(), whole.len());
        for (before, now) in whole.iter().zip(&left) {
            let is_erased = before.task_id().as_str() == "t-1";
            assert_eq!((before.hash(), before.id()), (now.hash(), now.id()));
            assert_eq!(now.erased().is_some(), is_erased);
            assert!(is_erased || before.line() == now.line());
        }
        let files = disk.files();
        let is_left = |text: &str| files.values().any(|bytes| contains(bytes, text));
        assert!(!is_left(&secret("t-1")), "{fault:?}");
        assert!(is_left(&secret("t-2")), "{fault:?}");
        drop(journal);
        disk.lose_power();
        disk.restart();
        journal = reopen();
    }
    calls
}

#[test]
fn a_disk_that_fails_at_any_single_call_leaves_no_erasure_half_done() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let calls = runtime.block_on(live(None));
    assert!(calls > 50, "{calls}");
    for (kind, lasts) in [
        (FaultKind::Io, FaultDuration::Once),
        (FaultKind::NoSpace, FaultDuration::UntilHealed),
        (FaultKind::PowerLoss, FaultDuration::Once),
    ] {
        for at in 1..=calls {
            runtime.block_on(live(Some(Fault { at, kind, lasts })));
        }
    }
    println!("{calls} calls, each failed in three ways");
}

/// Makes a line look as if it had been erased with the first one.
fn look_erased(connection: &Connection, sequence: u64) {
    let (first, whole) = (line(connection, 1), line(connection, sequence));
    let mark = first.find("{\"erased\"").unwrap();
    let mark = &first[mark..mark + 49];
    let data = whole.find("\"data\":").unwrap() + "\"data\":".len();
    let hash = whole.rfind(",\"hash\"").unwrap();
    let erased = format!("{}{mark}{}", &whole[..data], &whole[hash..]);
    set_line(connection, sequence, &erased);
}

/// Two tasks of three events each, side by side, of which the first was erased: records at 7 and 8.
async fn erased() -> TempDir {
    let (folder, journal) = fresh();
    let (me, make) = (Principal::local(), Maker::new(1));
    for _ in 0..3 {
        for task in ["t-1", "t-2"] {
            let one = make.append(&me, task, 1);
            journal.append(&me, one).await.unwrap();
        }
    }
    begin(&journal, "t-1", 3).await.unwrap();
    finish(&journal).await.unwrap();
    let report = verified(&journal).await;
    assert_eq!(report.first_bad, None);
    assert_eq!((report.events, report.erased), (8, 3));
    folder
}

/// What is done to a store, and what is found then.
type Tampering = (&'static str, fn(&Connection), u64, Flaw);

#[tokio::test]
async fn nobody_passes_a_change_off_as_an_erasure() {
    let cases: &[Tampering] = &[
        (
            "one more line looks erased",
            |connection| look_erased(connection, 2),
            2,
            Flaw::Unrecorded,
        ),
        (
            "a line in the middle of a stream looks erased",
            |connection| look_erased(connection, 4),
            4,
            Flaw::Unrecorded,
        ),
        (
            "the envelope of an erased line is changed",
            |connection| {
                let changed = line(connection, 3).replace("\"user\"", "\"root\"");
                set_line(connection, 3, &changed);
            },
            1,
            Flaw::ErasedOthers(Sequence(7)),
        ),
        (
            "an erased line names another record",
            |connection| {
                let changed = line(connection, 5);
                let at = changed.find("{\"erased\":\"").unwrap() + 11;
                let other = if &changed[at..=at] == "0" { "1" } else { "0" };
                let changed = format!("{}{other}{}", &changed[..at], &changed[at + 1..]);
                set_line(connection, 5, &changed);
            },
            5,
            Flaw::Unrecorded,
        ),
        (
            "the record is about another task",
            |connection| {
                let changed =
                    line(connection, 7).replace("\"task_id\":\"t-1\"", "\"task_id\":\"t-2\"");
                set_line(connection, 7, &changed);
            },
            7,
            Flaw::Hash,
        ),
        (
            "the stream does not say that it was erased",
            |connection| {
                let sql = "UPDATE streams SET erasure = NULL WHERE task_id = 't-1'";
                connection.execute(sql, []).unwrap();
            },
            5,
            Flaw::Stream,
        ),
        (
            "another stream says that it was",
            |connection| {
                let sql = "UPDATE streams SET erasure = 7 WHERE task_id = 't-2'";
                connection.execute(sql, []).unwrap();
            },
            6,
            Flaw::Stream,
        ),
        (
            "the records are cut off",
            |connection| {
                let folder = Path::new(connection.path().unwrap()).parent();
                fs::remove_file(folder.unwrap().join("journal.last")).unwrap();
                connection
                    .execute_batch(
                        "DELETE FROM events WHERE sequence > 6; \
                         DELETE FROM streams WHERE task_id = 'sys.erasure'",
                    )
                    .unwrap();
            },
            5,
            Flaw::Stream,
        ),
    ];
    for (what, change, sequence, flaw) in cases {
        let folder = erased().await;
        change(&tamper(folder.path()));
        let report = verified(&open_read_only(folder.path())).await;
        let expected = BadRecord {
            sequence: Sequence(*sequence),
            what: flaw.clone(),
        };
        assert_eq!(report.first_bad, Some(expected), "{what}");
    }
    // What a line said, put back as it was, is what it says: but it is not erased, as it should be.
    let folder = {
        let (folder, journal) = fresh();
        let (me, make) = (Principal::local(), Maker::new(1));
        let three = make.append(&me, "t-1", 3);
        let written = journal.append(&me, three).await.unwrap().events;
        begin(&journal, "t-1", 3).await.unwrap();
        finish(&journal).await.unwrap();
        drop(journal);
        let connection = tamper(folder.path());
        for event in &written[1..] {
            set_line(&connection, event.sequence().0, event.line());
        }
        folder
    };
    let report = verified(&open_read_only(folder.path())).await;
    let expected = BadRecord {
        sequence: Sequence(1),
        what: Flaw::NotErased(Sequence(4)),
    };
    assert_eq!(report.first_bad, Some(expected));
    // A read does not take it either.
    let folder = erased().await;
    let connection = tamper(folder.path());
    look_erased(&connection, 2);
    let reader = open_read_only(folder.path());
    let read = reader
        .read(&Principal::system(), &Filter::default(), Sequence::ZERO, 10)
        .await;
    assert!(
        matches!(
            read,
            Err(Error::Damaged {
                sequence: Sequence(2),
                ..
            })
        ),
        "{read:?}"
    );
}
