use journeyman_crash_vfs::{Disk, Fault, FaultDuration, FaultKind};
use rusqlite::{Connection, ErrorCode, ffi};

use crate::common::{Stored, append, create, head, inspect, look, open_reader, open_writer};

/// A writer on a disk without faults so far, with one batch stored and a reader beside it.
fn prepared(seed: u64) -> (Disk, Connection, Connection) {
    let disk = Disk::new(seed);
    let mut writer = open_writer(&disk, "FULL").unwrap();
    create(&mut writer).unwrap();
    append(&mut writer, 1).unwrap();
    let reader = open_reader(&disk).unwrap();
    (disk, writer, reader)
}

/// Appends batches up to 6, each until it succeeds or fails; returns the last one that succeeded.
fn append_some(writer: &mut Connection, failed: &mut Vec<rusqlite::Error>) -> i64 {
    let mut last = 1;
    for _ in 0..5 {
        match append(writer, last + 1) {
            Ok(()) => last += 1,
            Err(error) => failed.push(error),
        }
    }
    last
}

/// The calls of a run without faults, without those that prepare it.
fn calls() -> u64 {
    let (disk, mut writer, _reader) = prepared(0);
    let before = disk.calls();
    assert_eq!(append_some(&mut writer, &mut Vec::new()), 6);
    disk.calls() - before
}

#[test]
fn a_full_disk_costs_only_the_commits_that_fail() {
    let mut failures = 0;
    for at in 1..=calls() {
        for lasts in [
            FaultDuration::Once,
            FaultDuration::Calls(3),
            FaultDuration::UntilHealed,
        ] {
            let seed = 2_000_000 + at;
            let (disk, mut writer, reader) = prepared(seed);
            disk.plan(Fault {
                at,
                kind: FaultKind::NoSpace,
                lasts,
            });
            let mut failed = Vec::new();
            let mut last = append_some(&mut writer, &mut failed);
            for error in &failed {
                let code = error.sqlite_error_code();
                assert_eq!(
                    code,
                    Some(ErrorCode::DiskFull),
                    "seed {seed}, call {at}: {error}"
                );
            }
            failures += failed.len();
            assert!(writer.is_autocommit(), "seed {seed}, call {at}");
            assert_eq!(
                look(&reader),
                Ok(Stored::UpTo(last)),
                "seed {seed}, call {at}"
            );
            disk.heal();
            for _ in 0..2 {
                last += 1;
                let result = append(&mut writer, last);
                assert_eq!(result, Ok(()), "seed {seed}, call {at}");
            }
            assert_eq!(
                look(&reader),
                Ok(Stored::UpTo(last)),
                "seed {seed}, call {at}"
            );
            disk.restart();
            assert_eq!(
                inspect(&disk),
                Ok(Stored::UpTo(last)),
                "seed {seed}, call {at}"
            );
        }
    }
    assert!(failures > 100, "{failures} commits met a full disk");
}

#[test]
fn an_io_error_costs_only_the_commits_that_fail() {
    let (mut failures, mut faults) = (0, 0);
    for at in 1..=calls() {
        for lasts in [
            FaultDuration::Once,
            FaultDuration::Calls(3),
            FaultDuration::UntilHealed,
        ] {
            let seed = 3_000_000 + at;
            let (disk, mut writer, reader) = prepared(seed);
            disk.plan(Fault {
                at,
                kind: FaultKind::Io,
                lasts,
            });
            let mut failed = Vec::new();
            let last = append_some(&mut writer, &mut failed);
            failures += failed.len();
            faults += disk.faults();
            disk.heal();
            drop((reader, writer));
            let stored = inspect(&disk);
            assert_eq!(
                stored,
                Ok(Stored::UpTo(last)),
                "seed {seed}, call {at}, {failed:?}"
            );
            let mut writer = open_writer(&disk, "FULL").unwrap();
            append(&mut writer, last + 1).unwrap();
            disk.restart();
            let stored = inspect(&disk);
            assert_eq!(
                stored,
                Ok(Stored::UpTo(last + 1)),
                "seed {seed}, call {at}, {failed:?}"
            );
        }
    }
    assert!(failures > 100, "{failures} commits met an I/O error");
    assert!(faults > 100);
}

#[test]
fn opening_meets_every_fault_and_succeeds_afterwards() {
    for kind in [FaultKind::NoSpace, FaultKind::Io] {
        let mut faults = 0;
        for at in 1.. {
            let seed = 4_000_000 + at;
            let disk = Disk::new(seed);
            let lasts = FaultDuration::Once;
            disk.plan(Fault { at, kind, lasts });
            let created = open_writer(&disk, "FULL").and_then(|mut writer| create(&mut writer));
            if disk.faults() == 0 {
                assert_eq!(created, Ok(()));
                break;
            }
            faults += disk.faults();
            let mut writer = open_writer(&disk, "FULL").unwrap();
            create(&mut writer).unwrap();
            append(&mut writer, 1).unwrap();
            disk.restart();
            let stored = inspect(&disk);
            assert_eq!(
                stored,
                Ok(Stored::UpTo(1)),
                "seed {seed}, call {at}, {kind:?}"
            );
        }
        assert!(faults > 5, "{faults} calls failed with {kind:?}");
    }
}

/// A disk on which the commit of batch 2 has just failed at its n-th call; `None` if it failed for
/// another reason than a sync, or not at all.
fn failed_sync(seed: u64, at: u64) -> Option<(Disk, Connection)> {
    let (disk, mut writer, _reader) = prepared(seed);
    disk.plan(Fault {
        at,
        kind: FaultKind::Io,
        lasts: FaultDuration::Once,
    });
    let error = append(&mut writer, 2).err()?;
    let code = error.sqlite_error()?.extended_code;
    (code == ffi::SQLITE_IOERR_FSYNC).then_some((disk, writer))
}

/// For 100 seeds. Which call is the sync does not depend on them.
fn failed_syncs() -> impl Iterator<Item = (u64, Disk, Connection)> {
    let syncs: Vec<u64> = (1..calls())
        .filter(|at| failed_sync(0, *at).is_some())
        .collect();
    assert!(!syncs.is_empty(), "no sync was met");
    let tries = (1..=100).flat_map(move |seed| syncs.clone().into_iter().map(move |at| (seed, at)));
    tries.filter_map(|(seed, at)| failed_sync(seed, at).map(|(disk, writer)| (seed, disk, writer)))
}

#[test]
fn a_failed_sync_costs_at_most_its_own_commit() {
    let (mut kept, mut lost) = (0, 0);
    for (seed, disk, _writer) in failed_syncs() {
        disk.restart();
        match inspect(&disk) {
            Ok(Stored::UpTo(1)) => lost += 1,
            Ok(Stored::UpTo(2)) => kept += 1,
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(kept > 0 && lost > 0, "{kept} kept, {lost} lost");
}

/// A commit whose sync failed stays in the WAL for readers. If the process dies then, the next one
/// finds it there whole, and appends behind it; but on the disk it has a hole. So a store that was
/// not closed well is to be checkpointed before it is written to: this writes all of it anew.
#[test]
fn after_a_failed_sync_and_a_kill_only_a_checkpoint_makes_the_wal_safe() {
    let lost = |with_checkpoint: bool| {
        let mut lost = 0;
        for (seed, disk, _writer) in failed_syncs() {
            disk.kill();
            let mut writer = open_writer(&disk, "FULL").unwrap();
            if with_checkpoint {
                let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
                let busy: i64 = writer.query_row(checkpoint, [], |row| row.get(0)).unwrap();
                assert_eq!(busy, 0, "seed {seed}");
            }
            let next = head(&writer).unwrap() + 1;
            append(&mut writer, next).unwrap();
            disk.restart();
            let found = inspect(&disk).unwrap_or_else(|reason| panic!("seed {seed}: {reason}"));
            lost += u64::from(found < Stored::UpTo(next));
        }
        lost
    };
    assert!(lost(false) > 0, "the hole was never met");
    assert_eq!(lost(true), 0);
}
