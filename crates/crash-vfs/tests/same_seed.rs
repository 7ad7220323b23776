//! The same seed gives the same bytes. A process of its own: the generator from which `SQLite` takes
//! the salts of its WAL belongs to the whole process.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::ptr;

use journeyman_crash_vfs::{Disk, Fault, FaultDuration, FaultKind, Statistics};
use rusqlite::{Connection, OpenFlags, ffi};

struct End {
    files: BTreeMap<String, Vec<u8>>,
    statistics: Statistics,
    calls: u64,
    faults: u64,
}

fn run(seed: u64) -> End {
    let salts: c_int = 1;
    // SAFETY: this request takes an int and a connection, which may be null; no other thread of this
    // process uses SQLite.
    unsafe {
        ffi::sqlite3_test_control(
            ffi::SQLITE_TESTCTRL_PRNG_SEED,
            salts,
            ptr::null_mut::<ffi::sqlite3>(),
        );
    }
    let disk = Disk::new(seed);
    for (at, kind) in [(60, FaultKind::Io), (100 + seed % 50, FaultKind::PowerLoss)] {
        let lasts = FaultDuration::Once;
        disk.plan(Fault { at, kind, lasts });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = Connection::open_with_flags_and_vfs("a.db", flags, disk.vfs()).unwrap();
    for sql in [
        "PRAGMA journal_mode = WAL",
        "PRAGMA wal_autocheckpoint = 5",
        "CREATE TABLE texts(text TEXT)",
    ]
    .into_iter()
    .chain(["INSERT INTO texts VALUES(hex(zeroblob(3000)))"; 40])
    {
        // Some fail, as they are meant to.
        let _ = connection.execute_batch(sql);
    }
    drop(connection);
    disk.restart();
    End {
        files: disk.files(),
        statistics: disk.statistics(),
        calls: disk.calls(),
        faults: disk.faults(),
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let mut unlike = 0;
    for seed in 0..100 {
        let (first, second) = (run(seed), run(seed));
        assert!(first.faults > 1, "seed {seed}: no fault");
        assert!(first.files == second.files, "seed {seed}: other bytes");
        assert_eq!(first.statistics, second.statistics, "seed {seed}");
        assert_eq!(
            (first.calls, first.faults),
            (second.calls, second.faults),
            "seed {seed}"
        );
        unlike += u64::from(run(seed + 50).files != first.files);
    }
    assert!(unlike > 50, "the seed makes no difference: {unlike}");
}
