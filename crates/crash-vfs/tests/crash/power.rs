use journeyman_crash_vfs::{Disk, Fault, FaultDuration, FaultKind};

use crate::common::{Stored, append, create, head, inspect, open_reader, open_writer, run};

/// What became of one run whose power went at the n-th call.
struct Outcome {
    acknowledged: Stored,
    found: Result<Stored, String>,
    lost: u64,
}

fn lose_power_at(seed: u64, at: u64, synchronous: &str) -> Outcome {
    let disk = Disk::new(seed);
    disk.plan(Fault {
        at,
        kind: FaultKind::PowerLoss,
        lasts: FaultDuration::Once,
    });
    let (acknowledged, result) = run(&disk, synchronous);
    assert!(disk.faults() > 0, "seed {seed}, call {at}: no fault");
    // A failed call goes unnoticed if it was the checkpoint's, which is tried again later.
    if result.is_ok() {
        assert_eq!(acknowledged, Stored::UpTo(8), "seed {seed}, call {at}");
    }
    disk.restart();
    let lost = disk.statistics().lost;
    Outcome {
        acknowledged,
        found: inspect(&disk),
        lost,
    }
}

fn calls(synchronous: &str) -> u64 {
    let disk = Disk::new(0);
    assert_eq!(run(&disk, synchronous), (Stored::UpTo(8), Ok(())));
    assert_eq!(disk.faults(), 0);
    disk.calls()
}

/// Seeds with any number of the call; the same ones every time.
fn seeds(count: u64, calls: u64) -> impl Iterator<Item = (u64, u64)> {
    (1..=count).map(move |seed| (seed, seed.wrapping_mul(0x2545_f491_4f6c_dd1d) % calls + 1))
}

fn must_keep(seed: u64, at: u64, outcome: &Outcome) {
    let found = match &outcome.found {
        Ok(found) => *found,
        Err(reason) => panic!("seed {seed}, call {at}: {reason}"),
    };
    let acknowledged = outcome.acknowledged;
    assert!(
        found >= acknowledged,
        "seed {seed}, call {at}: {acknowledged:?} acknowledged, {found:?} found"
    );
}

#[test]
fn full_keeps_what_it_acknowledged_wherever_the_power_goes() {
    let (mut lost, mut more) = (0, 0);
    for at in 1..=calls("FULL") {
        let seed = 1_000_000 + at;
        let outcome = lose_power_at(seed, at, "FULL");
        must_keep(seed, at, &outcome);
        lost += u64::from(outcome.lost > 0);
        more += u64::from(outcome.found > Ok(outcome.acknowledged));
    }
    assert!(lost > 50, "{lost} runs lost unsynced changes");
    assert!(more > 0, "no commit in flight ever survived");
}

#[test]
fn full_keeps_what_it_acknowledged_for_a_thousand_seeds() {
    let mut lost = 0;
    for (seed, at) in seeds(1_000, calls("FULL")) {
        let outcome = lose_power_at(seed, at, "FULL");
        must_keep(seed, at, &outcome);
        lost += u64::from(outcome.lost > 0);
    }
    assert!(lost > 300, "{lost} runs lost unsynced changes");
}

#[test]
fn off_is_caught_losing_and_damaging() {
    let (mut lost, mut damaged) = (0, 0);
    for (seed, at) in seeds(200, calls("OFF")) {
        let outcome = lose_power_at(seed, at, "OFF");
        match outcome.found {
            Ok(found) => lost += u64::from(found < outcome.acknowledged),
            Err(_) => damaged += 1,
        }
    }
    assert!(lost > 20, "{lost} runs lost acknowledged commits");
    assert!(damaged > 5, "{damaged} databases damaged");
}

#[test]
fn normal_is_caught_losing_but_never_damages() {
    let mut lost = 0;
    for (seed, at) in seeds(200, calls("NORMAL")) {
        match lose_power_at(seed, at, "NORMAL") {
            Outcome {
                found: Err(reason), ..
            } => panic!("seed {seed}, call {at}: {reason}"),
            Outcome {
                found: Ok(found),
                acknowledged,
                ..
            } => lost += u64::from(found < acknowledged),
        }
    }
    assert!(lost > 20, "{lost} runs lost acknowledged commits");
}

#[test]
fn power_lost_again_during_recovery_loses_no_more() {
    let calls = calls("FULL");
    let mut again = 0;
    for (seed, at) in seeds(200, calls) {
        let disk = Disk::new(seed);
        let power_loss = |at| Fault {
            at,
            kind: FaultKind::PowerLoss,
            lasts: FaultDuration::Once,
        };
        disk.plan(power_loss(at));
        let (acknowledged, _) = run(&disk, "FULL");
        disk.restart();
        disk.plan(power_loss(1 + seed % 25));
        again += u64::from(inspect(&disk).is_err());
        disk.heal();
        disk.restart();
        let outcome = Outcome {
            acknowledged,
            found: inspect(&disk),
            lost: 0,
        };
        must_keep(seed, at, &outcome);
    }
    assert!(again > 100, "{again} recoveries were cut short");
}

#[test]
fn handles_of_before_are_dead_and_do_no_harm() {
    let disk = Disk::new(7);
    let mut old = open_writer(&disk, "FULL").unwrap();
    create(&mut old).unwrap();
    let old_reader = open_reader(&disk).unwrap();
    append(&mut old, 1).unwrap();
    assert_eq!(head(&old_reader), Ok(1));
    disk.lose_power();
    assert!(append(&mut old, 2).is_err());
    disk.restart();
    assert!(append(&mut old, 2).is_err());
    let mut new = open_writer(&disk, "FULL").unwrap();
    append(&mut new, 2).unwrap();
    assert!(append(&mut old, 3).is_err());
    assert!(head(&old_reader).is_err());
    drop((old, old_reader));
    append(&mut new, 3).unwrap();
    drop(new);
    assert_eq!(inspect(&disk), Ok(Stored::UpTo(3)));
}

#[test]
fn a_killed_process_loses_nothing_even_without_syncs() {
    let disk = Disk::new(8);
    let mut old = open_writer(&disk, "OFF").unwrap();
    create(&mut old).unwrap();
    for batch in 1..=5 {
        append(&mut old, batch).unwrap();
    }
    let _open = old.unchecked_transaction().unwrap();
    disk.kill();
    assert_eq!(inspect(&disk), Ok(Stored::UpTo(5)));
    assert_eq!(disk.faults(), 0);
}
