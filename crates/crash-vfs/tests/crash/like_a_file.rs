use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use journeyman_crash_vfs::Disk;
use rusqlite::{Connection, OpenFlags, params};

use crate::common::{FILE, Stored, append, create, head, look, open_reader, open_writer, run};

#[test]
fn a_writer_and_readers_on_threads_work_as_on_a_file() {
    const BATCHES: i64 = 150;
    let disk = Disk::new(1);
    let mut writer = open_writer(&disk, "FULL").unwrap();
    create(&mut writer).unwrap();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            let (disk, is_done) = (&disk, &is_done);
            scope.spawn(move || {
                let reader = open_reader(disk).unwrap();
                let mut last = 0;
                while !is_done.load(Ordering::Acquire) {
                    let transaction = reader.unchecked_transaction().unwrap();
                    let seen = head(&transaction).unwrap();
                    assert!(seen >= last, "{seen} after {last}");
                    let parts: i64 = transaction
                        .query_row("SELECT count(*) FROM parts", [], |row| row.get(0))
                        .unwrap();
                    assert_eq!(parts, 3 * seen);
                    last = seen;
                }
                assert_eq!(look(&reader), Ok(Stored::UpTo(BATCHES)));
            });
        }
        for batch in 1..=BATCHES {
            append(&mut writer, batch).unwrap();
        }
        is_done.store(true, Ordering::Release);
    });
    // On a busy machine a reader always stands in the way of those that come by themselves.
    writer
        .query_row("PRAGMA wal_checkpoint", [], |_| Ok(()))
        .unwrap();
    let files = disk.files();
    let (database, wal) = (files[FILE].len(), files[&format!("{FILE}-wal")].len());
    assert!(
        database > 100_000,
        "checkpoints write to the database: {database}"
    );
    assert!(wal > 0);
    writer.close().unwrap();
    assert_eq!(
        disk.files().keys().collect::<Vec<_>>(),
        [FILE],
        "the last one deletes the WAL"
    );
    assert_eq!(
        look(&open_reader(&disk).unwrap()),
        Ok(Stored::UpTo(BATCHES))
    );
    assert_eq!(disk.faults(), 0);
    assert!(disk.statistics().syncs > 150);
}

#[test]
fn the_database_has_the_bytes_that_a_real_file_has() {
    let disk = Disk::new(2);
    assert_eq!(run(&disk, "FULL").1, Ok(()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    for session in 0..2 {
        let mut writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        if session == 0 {
            create(&mut writer).unwrap();
        }
        for batch in 1..=4 {
            append(&mut writer, session * 4 + batch).unwrap();
        }
        writer.close().unwrap();
    }
    let real = std::fs::read(&path).unwrap();
    assert_eq!(disk.files()[FILE].len(), real.len());
    assert!(disk.files()[FILE] == real, "the bytes differ");
}

#[test]
fn a_second_writer_waits_and_a_reader_writes_nothing() {
    let disk = Disk::new(3);
    let mut writer = open_writer(&disk, "FULL").unwrap();
    create(&mut writer).unwrap();
    let other = open_writer(&disk, "FULL").unwrap();
    other.busy_timeout(std::time::Duration::ZERO).unwrap();
    let transaction = writer.transaction().unwrap();
    transaction
        .execute("UPDATE head SET batch = 0", [])
        .unwrap();
    let error = other.execute("UPDATE head SET batch = 0", []).unwrap_err();
    assert_eq!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy)
    );
    transaction.commit().unwrap();
    other.execute("UPDATE head SET batch = 0", []).unwrap();
    let reader = open_reader(&disk).unwrap();
    let error = reader.execute("UPDATE head SET batch = 0", []).unwrap_err();
    assert_eq!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::ReadOnly)
    );
}

#[test]
fn rollback_journals_vacuum_and_temporary_files_work() {
    let disk = Disk::new(4);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = Connection::open_with_flags_and_vfs("plain.db", flags, disk.vfs()).unwrap();
    connection
        .execute_batch(
            "PRAGMA temp_store = FILE; PRAGMA cache_size = 5;
            CREATE TABLE numbers(number INTEGER, text TEXT);
            CREATE TEMP TABLE copies(number INTEGER, text TEXT);",
        )
        .unwrap();
    for number in 0..400 {
        let text = "x".repeat(300);
        connection
            .execute(
                "INSERT INTO temp.copies VALUES(?1, ?2)",
                params![number, text],
            )
            .unwrap();
    }
    connection
        .execute_batch(
            "INSERT INTO numbers SELECT * FROM temp.copies ORDER BY number DESC;
            BEGIN; DELETE FROM numbers; ROLLBACK;
            DELETE FROM numbers WHERE number % 2 = 0; VACUUM;",
        )
        .unwrap();
    let count: i64 = connection
        .query_row("SELECT count(*) FROM numbers", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 200);
    connection.close().unwrap();
    assert_eq!(disk.files().keys().collect::<Vec<_>>(), ["plain.db"]);
}

#[test]
fn a_connection_that_outlives_its_disk_goes_on_and_a_new_one_is_refused() {
    let disk = Disk::new(5);
    let vfs = disk.vfs().to_owned();
    let mut writer = open_writer(&disk, "FULL").unwrap();
    create(&mut writer).unwrap();
    let empty =
        Connection::open_with_flags_and_vfs(":memory:", OpenFlags::default(), &*vfs).unwrap();
    drop(disk.clone());
    drop(disk);
    append(&mut writer, 1).unwrap();
    assert_eq!(head(&writer), Ok(1));
    let refused = Connection::open_with_flags_and_vfs(FILE, OpenFlags::default(), &*vfs);
    assert!(refused.is_err());
    writer.close().unwrap();
    empty
        .execute_batch("PRAGMA temp_store = FILE; PRAGMA cache_size = 1")
        .unwrap();
    let spill = "CREATE TEMP TABLE many AS WITH RECURSIVE more(n) AS
        (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < 5000)
        SELECT n, hex(randomblob(200)) FROM more";
    assert!(
        empty.execute_batch(spill).is_err(),
        "no files without a disk"
    );
}
