//! What is not as it was written is named by whoever reads it, in the journal and in lists; the rest is
//! read, exported and imported all the same.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{fresh, open_read_only};
use journeyman_event::{Event, Principal, Sequence};
use journeyman_journal::{Append, Error, Expected, Filter, Flaw, Format, Journal};
use journeyman_journal_conformance::{Maker, append, assert_sound, of_task, user};
use rusqlite::Connection;
use tempfile::TempDir;

/// Of the local user 1 to 5 in `t-1`, 6 in `t-2` with its payload in a blob, 8 to 10 in `t-1` again;
/// of another owner 7.
async fn stored() -> TempDir {
    let (folder, journal) = fresh();
    let (me, other, make) = (Principal::local(), user("ada"), Maker::new(1));
    let large = make.event(&me, "t-2", &"x".repeat(1 << 20));
    for (owner, one) in [
        (&me, make.append(&me, "t-1", 5)),
        (&me, append("t-2", Expected::Any, vec![large])),
        (&other, make.append(&other, "t-1", 1)),
        (&me, make.append(&me, "t-1", 3)),
    ] {
        let task = one.task_id.to_string();
        let summary = Some(format!("of {task}").into_bytes());
        journal
            .append(owner, Append { summary, ..one })
            .await
            .unwrap();
    }
    folder
}

fn tamper(folder: &Path, sql: &str) {
    let connection = Connection::open(folder.join("journal.db")).unwrap();
    connection
        .pragma_update(None, "foreign_keys", false)
        .unwrap();
    connection.execute_batch(sql).unwrap();
}

/// The positions that are read one after another, and those that are named on the way.
async fn read(journal: &Journal, principal: &Principal, filter: &Filter) -> (Vec<u64>, Vec<u64>) {
    let (mut good, mut bad, mut after) = (Vec::new(), Vec::new(), 0);
    loop {
        // One at a time: what is read does not depend on what else is on its page.
        let page = journal.read(principal, filter, Sequence(after), 1).await;
        match page {
            Ok(page) => {
                good.extend(page.events.iter().map(|event| event.sequence().0));
                if page.ended {
                    return (good, bad);
                }
                after = *good.last().unwrap();
            }
            Err(Error::Damaged { sequence, .. }) => {
                assert!(sequence.0 > after);
                after = sequence.0;
                bad.push(after);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

type Damage = (&'static str, &'static [u64], &'static [u64]);

/// What is done to the store; what the system, who reads all of it, and a reader of the local user's
/// `t-1` find damaged. Whose predecessor is another line is not linked to it either.
const DAMAGES: &[Damage] = &[
    ("SELECT 1", &[], &[]),
    (
        "UPDATE events SET line = replace(line, 't-1 3', 't-1 9') WHERE sequence = 4",
        &[4],
        &[4],
    ),
    (
        "UPDATE events SET line = replace(line, '\"actor\":\"user\"', '\"actor\":\"root\"') WHERE sequence = 2",
        &[2],
        &[2],
    ),
    (
        "UPDATE events SET line = '{}' WHERE sequence = 4",
        &[4],
        &[4],
    ),
    (
        "UPDATE events SET line = substr(line, 1, 200) WHERE sequence = 7",
        &[7],
        &[],
    ),
    (
        "UPDATE events SET line = CAST(replace(CAST(line AS BLOB), x'742d312033', x'742dff2033') AS TEXT) WHERE sequence = 4",
        &[4],
        &[4],
    ),
    (
        "UPDATE events SET line = (SELECT line FROM events WHERE sequence = 3) WHERE sequence = 4",
        &[4, 5],
        &[4, 5],
    ),
    (
        "UPDATE events SET sequence = 99 WHERE sequence = 3; UPDATE events SET sequence = 3 WHERE sequence = 4; UPDATE events SET sequence = 4 WHERE sequence = 99",
        &[3, 4, 5],
        &[3, 4, 5],
    ),
    ("DELETE FROM events WHERE sequence = 1", &[1], &[2]),
    ("DELETE FROM events WHERE sequence = 4", &[4], &[5]),
    ("DELETE FROM events WHERE sequence IN (3, 4)", &[3, 4], &[5]),
    ("DELETE FROM events WHERE sequence = 7", &[7], &[]),
    ("DELETE FROM events WHERE sequence = 10", &[10], &[10]),
    ("DELETE FROM events WHERE sequence > 7", &[8, 9, 10], &[10]),
    ("UPDATE events SET stream = 2 WHERE sequence = 3", &[], &[4]),
    ("UPDATE blobs SET bytes = x'7b7d'", &[6], &[]),
    ("UPDATE blobs SET bytes = x'ff'", &[6], &[]),
    ("DELETE FROM blobs", &[6], &[]),
];

#[tokio::test]
async fn a_damaged_event_is_named_by_whoever_reads_it_and_the_rest_is_read() {
    for (sql, whole, task) in DAMAGES {
        let folder = stored().await;
        tamper(folder.path(), sql);
        let journal = open_read_only(folder.path());
        let (system, me) = (Principal::system(), Principal::local());
        let (good, bad) = read(&journal, &system, &Filter::default()).await;
        let named = bad.clone();
        // A tail that is gone is named once, by its end.
        let tail = whole.contains(&8);
        assert_eq!(if tail { vec![8, 9, 10] } else { bad }, *whole, "{sql}");
        let sound: Vec<u64> = (1..=10).filter(|at| !whole.contains(at)).collect();
        assert_eq!(good, sound, "{sql}");
        let (good, bad) = read(&journal, &me, &of_task("t-1")).await;
        assert_eq!(bad, *task, "{sql}");
        assert!(good.iter().all(|at| !bad.contains(at)), "{sql}");
        // A whole page has an error where it has one.
        let page = journal
            .read(&system, &Filter::default(), Sequence::ZERO, 100)
            .await;
        match (page, named.first()) {
            (Ok(page), None) => assert_eq!(page.events.len(), 10),
            (Err(Error::Damaged { sequence, .. }), Some(&first)) => {
                assert!(sequence.0 == first || tail, "{sql}");
            }
            (page, _) => panic!("{sql}: {page:?}"),
        }
    }
}

#[tokio::test]
async fn events_of_another_owner_do_not_come_in_by_a_changed_row() {
    let folder = stored().await;
    tamper(
        folder.path(),
        "UPDATE events SET stream = 1 WHERE sequence = 7",
    );
    let journal = open_read_only(folder.path());
    let (good, bad) = read(&journal, &Principal::local(), &Filter::default()).await;
    assert_eq!((good.contains(&7), bad.contains(&7)), (false, true));
}

#[tokio::test]
async fn backwards_the_same_is_named() {
    for (sql, _, task) in DAMAGES.iter().filter(|(_, _, task)| !task.is_empty()) {
        let folder = stored().await;
        tamper(folder.path(), sql);
        let journal = open_read_only(folder.path());
        let newest = Sequence(u64::MAX);
        let page = journal
            .read_backwards(&Principal::local(), &of_task("t-1"), newest, 100)
            .await;
        let is_cut = sql.contains("= 10") || sql.contains("> 7");
        assert_eq!(
            matches!(page, Err(Error::Damaged { .. })),
            !is_cut,
            "{sql} {task:?}"
        );
    }
}

#[tokio::test]
async fn an_export_leaves_out_what_is_damaged_says_so_and_can_be_imported() {
    for (sql, whole, _) in DAMAGES {
        let folder = stored().await;
        let sound: Vec<Event> = {
            let journal = open_read_only(folder.path());
            journeyman_journal_conformance::all(&journal, &Principal::system()).await
        };
        tamper(folder.path(), sql);
        let journal = open_read_only(folder.path());
        let mut export = journal.export(&Principal::system(), Filter::default(), Format::Stored);
        let (_copy, copy) = fresh();
        let mut import = copy.import(&Principal::system());
        loop {
            let lines = export.next().await.unwrap();
            if lines.is_empty() {
                break;
            }
            for line in lines {
                import.line(line.as_bytes()).await.unwrap();
            }
        }
        let (left_out, named) = export.left_out();
        assert_eq!(left_out > 0, !whole.is_empty(), "{sql}");
        assert!(
            named
                .iter()
                .all(|error| matches!(error, Error::Damaged { .. }))
        );
        let done = import.finish().await.unwrap();
        // Of a stream what comes after the damage waits for it.
        let streams: BTreeSet<_> = sound
            .iter()
            .filter(|event| whole.contains(&event.sequence().0))
            .map(|event| (event.owner().clone(), event.task_id().clone()))
            .collect();
        let is_there = |event: &&Event| {
            let name = (event.owner().clone(), event.task_id().clone());
            let first_bad = sound.iter().find(|one| {
                (one.owner(), one.task_id()) == (event.owner(), event.task_id())
                    && whole.contains(&one.sequence().0)
            });
            !streams.contains(&name)
                || first_bad.is_none_or(|bad| event.sequence() < bad.sequence())
        };
        assert_eq!(
            usize::try_from(done.events).unwrap(),
            sound.iter().filter(is_there).count(),
            "{sql}"
        );
        assert_sound(&copy).await;
    }
}

#[tokio::test]
async fn what_lists_show_is_what_was_written_or_nothing() {
    for sql in [
        "UPDATE streams SET summary = x'00' WHERE id = 2",
        "UPDATE streams SET summary_hash = NULL WHERE id = 2",
        "UPDATE streams SET summary_hash = x'00' WHERE id = 2",
        "UPDATE streams SET summary = NULL WHERE id = 2",
        // Of another stream, with its hash.
        "UPDATE streams SET (summary, summary_hash) = \
         (SELECT summary, summary_hash FROM streams WHERE id = 1) WHERE id = 2",
    ] {
        let folder = stored().await;
        tamper(folder.path(), sql);
        let journal = open_read_only(folder.path());
        let streams = journal.streams(&Principal::local(), 10).await.unwrap();
        for stream in streams {
            let shown = (stream.task_id.as_str() == "t-1").then(|| b"of t-1".to_vec());
            assert_eq!(stream.summary, shown, "{sql}");
        }
        let report = journal.verify(&Principal::system(), None).await.unwrap();
        let bad = report.first_bad.map(|bad| (bad.sequence.0, bad.what));
        assert_eq!(bad, Some((6, Flaw::Summary)), "{sql}");
    }
}

/// What an older version kept has no hash: it is shown as it is, also before the store is brought on.
#[tokio::test]
async fn summaries_without_hashes_of_an_older_version_are_taken_as_they_are() {
    let folder = stored().await;
    tamper(
        folder.path(),
        "ALTER TABLE streams DROP COLUMN summary_hash; ALTER TABLE streams DROP COLUMN erasure; \
         DROP TABLE loose_blobs; PRAGMA user_version = 2",
    );
    for journal in [open_read_only(folder.path()), common::open(folder.path())] {
        let streams = journal.streams(&Principal::system(), 10).await.unwrap();
        assert_eq!(streams.len(), 3);
        assert!(streams.iter().all(|stream| stream.summary.is_some()));
        assert_sound(&journal).await;
    }
}
