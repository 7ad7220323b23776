//! A changed store is never taken for a sound one: each kind of tampering is named.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use bytes::Bytes;
use common::{fresh, line, open, open_read_only, set_line, tamper, try_open};
use journeyman_event::{ContentHash, Principal, Revision, Sequence};
use journeyman_journal::{Append, BadRecord, Error, Expected, Filter, Flaw, Head, VerifyReport};
use journeyman_journal_conformance::{Maker, all, append, user};
use journeyman_journal_sqlite::Sqlite;
use rusqlite::Connection;
use tempfile::TempDir;

/// Ten events: 1 to 5 of one stream, 6 of another with its payload in a blob, 7 cites a blob, 8 to
/// 10 of the first stream again.
async fn stored() -> TempDir {
    let (folder, journal) = fresh();
    let (me, make) = (Principal::local(), Maker::new(1));
    journal
        .append(&me, make.append(&me, "t-1", 5))
        .await
        .unwrap();
    let large = make.event(&me, "t-2", &"x".repeat(2 << 20));
    journal
        .append(&me, append("t-2", Expected::Any, vec![large]))
        .await
        .unwrap();
    let cited = make.event(&me, "t-2", &ContentHash::of(b"cited").to_string());
    let blobs = vec![Bytes::from_static(b"cited")];
    let cites = Append {
        blobs,
        ..append("t-2", Expected::Any, vec![cited])
    };
    journal.append(&me, cites).await.unwrap();
    journal
        .append(&me, make.append(&me, "t-1", 3))
        .await
        .unwrap();
    let report = journal.verify(&Principal::system(), None).await.unwrap();
    assert!(report.ok());
    assert_eq!((report.events, report.unknown_causes), (10, 0));
    assert_eq!(
        report.head,
        journal.head(&Principal::system()).await.unwrap()
    );
    folder
}

fn run(connection: &Connection, sql: &str) {
    assert!(connection.execute(sql, []).unwrap() > 0, "{sql}");
}

async fn verified(folder: &Path) -> VerifyReport {
    let journal = open_read_only(folder);
    journal.verify(&Principal::system(), None).await.unwrap()
}

async fn first_bad(folder: &Path) -> (u64, Flaw) {
    let report = verified(folder).await;
    assert!(!report.ok());
    let BadRecord { sequence, what } = report.first_bad.unwrap();
    assert!(!what.to_string().is_empty());
    (sequence.0, what)
}

#[tokio::test]
async fn changed_data_is_named() {
    let folder = stored().await;
    let connection = tamper(folder.path());
    let changed = line(&connection, 4).replace("t-1 3", "t-1 9");
    set_line(&connection, 4, &changed);
    assert_eq!(first_bad(folder.path()).await, (4, Flaw::Hash));
    let report = verified(folder.path()).await;
    assert_eq!(
        (report.events, report.head.sequence),
        (3, Sequence(3)),
        "sound up to there"
    );
}

#[tokio::test]
async fn a_changed_field_of_a_line_is_named() {
    let folder = stored().await;
    let connection = tamper(folder.path());
    let changed = line(&connection, 2).replace("\"actor\":\"user\"", "\"actor\":\"root\"");
    set_line(&connection, 2, &changed);
    assert_eq!(first_bad(folder.path()).await, (2, Flaw::Hash));
}

#[tokio::test]
async fn a_line_with_a_recomputed_hash_is_found_at_the_next_one() {
    let folder = stored().await;
    let connection = tamper(folder.path());
    let (body, _) = journeyman_event::split_hash(&line(&connection, 4)).unwrap();
    let body = body.replace("t-1 3", "t-1 9");
    let (_, previous) = journeyman_event::split_hash(&line(&connection, 3)).unwrap();
    let hash = journeyman_event::chain_hash(previous, &body);
    set_line(
        &connection,
        4,
        &format!("{},\"hash\":\"{hash}\"}}", &body[..body.len() - 1]),
    );
    assert_eq!(first_bad(folder.path()).await, (5, Flaw::Hash));
}

#[tokio::test]
async fn a_line_that_cannot_be_read_is_named() {
    for broken in ["", "{}", "not json", "{\"schema\":2}"] {
        let folder = stored().await;
        set_line(&tamper(folder.path()), 3, broken);
        let (sequence, what) = first_bad(folder.path()).await;
        assert_eq!(sequence, 3);
        assert!(matches!(what, Flaw::Unreadable(_)), "{what:?}");
    }
}

#[tokio::test]
async fn bytes_of_another_kind_are_named() {
    for sql in [
        "UPDATE events SET line = CAST(x'ff' AS TEXT) WHERE sequence = 3",
        "UPDATE events SET event_id = x'00' WHERE sequence = 3",
        "UPDATE events SET revision = -1 WHERE sequence = 3",
    ] {
        let folder = stored().await;
        run(&tamper(folder.path()), sql);
        let (sequence, what) = first_bad(folder.path()).await;
        assert_eq!(sequence, 3, "{sql}");
        assert!(
            matches!(what, Flaw::Unreadable(_) | Flaw::Columns),
            "{sql}: {what:?}"
        );
    }
}

#[tokio::test]
async fn changed_columns_are_named() {
    for sql in [
        "UPDATE events SET kind = 'task_failed' WHERE sequence = 3",
        "UPDATE events SET revision = 2000 WHERE sequence = 3",
        "UPDATE events SET event_id = randomblob(16) WHERE sequence = 3",
        "UPDATE events SET stream = 2 WHERE sequence = 3",
        "UPDATE events SET stream = 99 WHERE sequence = 3",
    ] {
        let folder = stored().await;
        run(&tamper(folder.path()), sql);
        assert_eq!(first_bad(folder.path()).await, (3, Flaw::Columns), "{sql}");
    }
}

#[tokio::test]
async fn a_deleted_row_is_named_by_the_one_after_it() {
    let folder = stored().await;
    run(
        &tamper(folder.path()),
        "DELETE FROM events WHERE sequence = 4",
    );
    let expected = Sequence(4);
    assert_eq!(
        first_bad(folder.path()).await,
        (5, Flaw::Sequence { expected })
    );
}

#[tokio::test]
async fn a_deleted_first_row_is_named() {
    let folder = stored().await;
    run(
        &tamper(folder.path()),
        "DELETE FROM events WHERE sequence = 1",
    );
    let expected = Sequence(1);
    assert_eq!(
        first_bad(folder.path()).await,
        (2, Flaw::Sequence { expected })
    );
}

#[tokio::test]
async fn a_deleted_last_row_shows_in_its_stream() {
    let folder = stored().await;
    run(
        &tamper(folder.path()),
        "DELETE FROM events WHERE sequence = 10",
    );
    assert_eq!(first_bad(folder.path()).await, (10, Flaw::Stream));
}

#[tokio::test]
async fn a_journal_whose_newest_events_are_gone_is_not_written_to() {
    let folder = stored().await;
    run(
        &tamper(folder.path()),
        "DELETE FROM events WHERE sequence = 10",
    );
    let error = try_open(Sqlite::new(folder.path().to_owned())).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    // What is left can still be read.
    let journal = open_read_only(folder.path());
    assert_eq!(all(&journal, &Principal::local()).await.len(), 9);
}

#[tokio::test]
async fn a_journal_whose_last_line_is_damaged_is_not_written_to() {
    let folder = stored().await;
    set_line(&tamper(folder.path()), 10, "{}");
    let error = try_open(Sqlite::new(folder.path().to_owned())).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_changed_or_deleted_stream_is_named() {
    for sql in [
        "UPDATE streams SET revision = 9 WHERE task_id = 't-2'",
        "UPDATE streams SET sequence = 6 WHERE task_id = 't-2'",
    ] {
        let folder = stored().await;
        run(&tamper(folder.path()), sql);
        assert_eq!(first_bad(folder.path()).await.1, Flaw::Stream, "{sql}");
    }
    let folder = stored().await;
    run(
        &tamper(folder.path()),
        "DELETE FROM streams WHERE task_id = 't-2'",
    );
    assert_eq!(first_bad(folder.path()).await, (6, Flaw::Columns));
    let folder = stored().await;
    run(
        &tamper(folder.path()),
        "UPDATE streams SET owner = 'other' WHERE task_id = 't-2'",
    );
    assert_eq!(first_bad(folder.path()).await, (6, Flaw::Columns));
}

#[tokio::test]
async fn swapped_lines_are_named() {
    let folder = stored().await;
    let connection = tamper(folder.path());
    let (first, second) = (line(&connection, 2), line(&connection, 3));
    set_line(&connection, 2, &second);
    set_line(&connection, 3, &first);
    assert_eq!(first_bad(folder.path()).await, (2, Flaw::Hash));
}

#[tokio::test]
async fn swapped_rows_are_named() {
    let folder = stored().await;
    let connection = tamper(folder.path());
    for (from, to) in [(2, 99), (3, 2), (99, 3)] {
        let sql = "UPDATE events SET sequence = ?2 WHERE sequence = ?1";
        connection.execute(sql, [from, to]).unwrap();
    }
    assert_eq!(first_bad(folder.path()).await, (2, Flaw::Hash));
}

#[tokio::test]
async fn a_changed_payload_blob_is_named_and_not_read() {
    for sql in [
        "UPDATE blobs SET bytes = x'7b7d' WHERE length(bytes) > 1000000",
        "DELETE FROM blobs WHERE length(bytes) > 1000000",
    ] {
        let folder = stored().await;
        run(&tamper(folder.path()), sql);
        let (sequence, what) = first_bad(folder.path()).await;
        assert_eq!(sequence, 6, "{sql}");
        assert!(matches!(what, Flaw::Blob(_)), "{what:?}");
        let journal = open(folder.path());
        let me = Principal::local();
        let error = journal
            .read(&me, &Filter::default(), Sequence(5), 10)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
        let before = journal
            .read(&me, &Filter::default(), Sequence::ZERO, 5)
            .await
            .unwrap()
            .events;
        assert_eq!(before.len(), 5, "the rest stays readable");
    }
}

#[tokio::test]
async fn a_changed_cited_blob_is_named_by_the_event_that_cites_it() {
    let folder = stored().await;
    run(
        &tamper(folder.path()),
        "UPDATE blobs SET bytes = x'00' WHERE length(bytes) = 5",
    );
    let hash = ContentHash::of(b"cited");
    assert_eq!(first_bad(folder.path()).await, (7, Flaw::Blob(hash)));
    let journal = open(folder.path());
    let error = journal.blob(&Principal::local(), hash).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert_eq!(journal.blob(&user("other"), hash).await.unwrap(), None);
}

#[tokio::test]
async fn a_revision_out_of_order_is_told_from_a_changed_column() {
    let folder = stored().await;
    let connection = tamper(folder.path());
    // Everything from event 8 on is chained anew, with revision 7 where 6 should stand.
    let mut previous = journeyman_event::split_hash(&line(&connection, 7))
        .unwrap()
        .1;
    for (sequence, revision) in [(8, 6), (9, 7), (10, 8)] {
        let (body, _) = journeyman_event::split_hash(&line(&connection, sequence)).unwrap();
        let body = body.replace(
            &format!("\"revision\":{revision}"),
            &format!("\"revision\":{}", revision + 1),
        );
        previous = journeyman_event::chain_hash(previous, &body);
        let open = &body[..body.len() - 1];
        set_line(
            &connection,
            sequence,
            &format!("{open},\"hash\":\"{previous}\"}}"),
        );
    }
    run(
        &connection,
        "UPDATE events SET revision = revision + 1 WHERE sequence >= 8",
    );
    let expected = Revision(6);
    assert_eq!(
        first_bad(folder.path()).await,
        (8, Flaw::Revision { expected })
    );
}

#[tokio::test]
async fn a_tail_that_was_cut_or_written_anew_shows_against_a_head_that_was_kept() {
    let folder = stored().await;
    let system = Principal::system();
    let head = |at| {
        let (_, hash) = journeyman_event::split_hash(&line(&tamper(folder.path()), at)).unwrap();
        let sequence = Sequence(at);
        Head { sequence, hash }
    };
    let (seventh, last) = (head(7), head(10));
    assert_eq!(last.to_string().parse::<Head>().unwrap(), last);
    // Everything that refers to 8, 9 and 10 goes with them.
    let connection = tamper(folder.path());
    connection
        .execute_batch(
            "DELETE FROM events WHERE sequence > 7;
             UPDATE streams SET revision = 5, sequence = 5 WHERE task_id = 't-1';",
        )
        .unwrap();
    drop(connection);
    let bad = |what| {
        let sequence = Sequence(10);
        Some(BadRecord { sequence, what })
    };
    // Where it was written it is known what is missing; a copy does not know.
    let refused = try_open(Sqlite::new(folder.path().to_owned())).unwrap_err();
    assert!(matches!(refused, Error::Remains { .. }), "{refused:?}");
    std::fs::remove_file(folder.path().join("journal.last")).unwrap();
    {
        let journal = open(folder.path());
        let verify = async |known| journal.verify(&system, known).await.unwrap();
        assert!(verify(None).await.ok(), "nothing inside shows it");
        assert!(verify(Some(seventh)).await.ok());
        let report = verify(Some(last)).await;
        assert_eq!(report.first_bad, bad(Flaw::Cut));
        let (me, make) = (Principal::local(), Maker::new(77));
        let others = make.append(&me, "t-9", 4);
        journal.append(&me, others).await.unwrap();
        assert_eq!(verify(Some(last)).await.first_bad, bad(Flaw::Rewritten));
    }
    for text in ["", "7", "7@", "x@b3:00", "7@b3:00"] {
        assert!(text.parse::<Head>().is_err(), "{text}");
    }
}

/// Such an event would be missing in its task, and would be written twice; such a stream in every list.
#[tokio::test]
async fn an_index_that_misses_something_is_named() {
    for (index, on, missing, named) in [
        (
            "events_by_stream",
            "events(stream, sequence)",
            4,
            "events_by_stream has 9 events of 10",
        ),
        (
            "streams_by_sequence",
            "streams(sequence)",
            10,
            "index streams_by_sequence",
        ),
    ] {
        let folder = stored().await;
        let update = "UPDATE sqlite_schema SET sql = ?1 WHERE name = ?2";
        let whole = format!("CREATE INDEX {index} ON {on}");
        let partial = format!("{whole} WHERE sequence <> {missing}");
        let connection = tamper(folder.path());
        let unlocked = connection.pragma_update(None, "writable_schema", true);
        unlocked.unwrap();
        connection.execute(update, [&*partial, index]).unwrap();
        drop(connection);
        tamper(folder.path()).execute_batch("REINDEX").unwrap();
        let connection = tamper(folder.path());
        let unlocked = connection.pragma_update(None, "writable_schema", true);
        unlocked.unwrap();
        connection.execute(update, [&*whole, index]).unwrap();
        drop(connection);
        let (sequence, what) = first_bad(folder.path()).await;
        assert_eq!(sequence, 0);
        assert!(what.to_string().contains(named), "{what}");
    }
}
