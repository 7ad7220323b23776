//! The shipped engine over a disk that fails: at every single call, and at random by seed.
//!
//! The disk is in memory and knows what was written and what was flushed (the crate `crash-vfs`).
//! Whatever happens to it, what was acknowledged is there with the same bytes, what was not is there
//! whole or not at all, the same append again is answered, positions have no gap, and a subscriber
//! gets everything once.
//!
//! `JOURNEYMAN_SIMULATION_SEEDS=10000 cargo test -p journeyman-journal-sqlite --test simulation` runs more
//! seeds; `JOURNEYMAN_SIMULATION_SEED=17` runs one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{on, try_open};
use journeyman_crash_vfs::{Disk, Fault, FaultDuration, FaultKind};
use journeyman_event::{
    ContentHash, Event, NewEvent, Principal, Randomness, SeededRandom, Sequence,
};
use journeyman_journal::{Append, Error, Filter, Journal, Subscription};
use journeyman_journal_conformance::{Maker, all, assert_sound, lines};
use tempfile::TempDir;

const SEEDS: u64 = 1_000;
/// Lives that go on at once.
const THREADS: u64 = 2;
/// Failures in a row after which the disk is well again.
const PATIENCE: u32 = 3;
/// Failures in a row after which the journal should have gone on.
const FAILURES_MAX: u32 = 12;

/// What happens in one life of a store.
#[derive(Clone, Copy, Debug)]
struct Life {
    seed: u64,
    /// The number of appends.
    steps: u64,
    /// A fault from the start.
    fault: Option<Fault>,
    /// Whether there are large appends, which bring the log into the file in between, ends of the
    /// process and the machine, and more faults, all at random.
    is_wild: bool,
    /// Whether the process ends over each failure, and the power goes once the next process has answered.
    dies_of_failures: bool,
}

/// A way in which the process or the machine ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// What was written and not flushed is there as far as the seed says.
    PowerLoss,
    /// What was written is there.
    Kill,
}

struct World {
    disk: Disk,
    folder: TempDir,
    journal: Option<Journal>,
    subscription: Option<Subscription>,
    maker: Maker,
    random: SeededRandom,
    /// The lines of what was acknowledged.
    acknowledged: Vec<String>,
    /// What was asked for and not answered yet.
    pending: Option<Append>,
    /// Texts that were acknowledged with them.
    blobs: Vec<Bytes>,
    /// Positions that subscribers were given.
    seen: u64,
    failures: u32,
    /// Whether the journal is the one that the present append began with.
    same_journal: bool,
    /// The number of appends that a lasting fault delayed and that the same journal wrote in the end.
    went_on: u64,
    is_wild: bool,
    dies_of_failures: bool,
}

impl World {
    fn new(life: Life) -> Self {
        let seed = life.seed;
        Self {
            disk: Disk::new(seed),
            folder: TempDir::new().unwrap(),
            journal: None,
            subscription: None,
            maker: Maker::new(seed),
            random: SeededRandom::new(seed),
            acknowledged: Vec::new(),
            pending: None,
            blobs: Vec::new(),
            seen: 0,
            failures: 0,
            same_journal: true,
            went_on: 0,
            is_wild: life.is_wild,
            dies_of_failures: life.dies_of_failures,
        }
    }

    fn below(&self, n: u64) -> u64 {
        self.random.next_u64() % n
    }

    /// Something did not work: after a few times the disk is mended.
    async fn failed(&mut self, error: Error) {
        assert!(error.is_transient(), "{error:?}");
        self.failures += 1;
        assert!(self.failures < FAILURES_MAX, "it never goes on: {error}");
        if self.failures == PATIENCE {
            // The same journal should go on now, unless the power went.
            self.disk.heal();
        } else if self.failures == 2 * PATIENCE {
            self.end(None).await;
        } else if self.dies_of_failures || self.is_wild && self.below(3) == 0 {
            // The process ends over it: the next one finds what the failed call left.
            self.end(Some(End::Kill)).await;
        }
    }

    /// Opens the journal if it is not open.
    async fn open(&mut self) -> Journal {
        loop {
            if let Some(journal) = &self.journal {
                return journal.clone();
            }
            match try_open(on(&self.disk, self.folder.path())) {
                Ok(journal) => {
                    self.journal = Some(journal);
                    self.check().await;
                    // Unless that failed and ended it.
                    let after = Sequence(self.seen);
                    self.subscription = self.journal.as_ref().map(|journal| {
                        journal.subscribe(&Principal::local(), Filter::default(), after)
                    });
                }
                Err(error) => Box::pin(self.failed(error)).await,
            }
        }
    }

    /// The process ends, and the machine with it if that is the way.
    async fn end(&mut self, end: Option<End>) {
        match end {
            Some(End::PowerLoss) => self.disk.lose_power(),
            Some(End::Kill) => self.disk.kill(),
            None => {}
        }
        self.subscription = None;
        self.journal = None;
        self.same_journal = false;
        if !matches!(end, Some(End::Kill)) {
            self.disk.restart();
        }
        tokio::task::yield_now().await;
    }

    /// Everything that was acknowledged is there; of what is pending all or nothing.
    async fn check(&mut self) {
        let Some(journal) = self.journal.clone() else {
            return;
        };
        let page = journal
            .read(
                &Principal::system(),
                &Filter::default(),
                Sequence::ZERO,
                10_000,
            )
            .await;
        drop(journal);
        let events = match page {
            Ok(page) => page.events,
            Err(error) => return self.failed(error).await,
        };
        let stored = lines(&events);
        let known = self.acknowledged.len();
        assert!(
            stored.len() >= known,
            "of {known} acknowledged events {} are there",
            stored.len()
        );
        assert!(stored[..known] == self.acknowledged[..], "other bytes");
        let more: Vec<_> = events[known..].iter().map(Event::id).collect();
        let pending = self.pending.iter().flat_map(|append| &append.events);
        let pending: Vec<_> = pending.map(NewEvent::id).collect();
        assert!(more.is_empty() || more == pending, "half an append");
    }

    fn append(&self) -> Append {
        let me = Principal::local();
        let task = format!("t-{}", self.below(3));
        let mut append = self
            .maker
            .append(&me, &task, 1 + usize::try_from(self.below(3)).unwrap());
        if self.below(4) == 0 {
            let text = format!("text {}", self.below(1_000));
            append.blobs = vec![Bytes::from(text.repeat(1_000))];
        }
        if self.is_wild && self.below(10) == 0 {
            // Large enough that the log is brought into the file now and then.
            append.blobs.push(Bytes::from(vec![7; 3_000_000]));
            append.blobs.push(Bytes::from(vec![8; 2_000_000]));
        }
        append
    }

    async fn step(&mut self) {
        let (me, append) = (Principal::local(), self.append());
        self.pending = Some(append.clone());
        self.failures = 0;
        self.same_journal = true;
        loop {
            let journal = self.open().await;
            match journal.append(&me, append.clone()).await {
                Ok(answer) => {
                    self.went_on += u64::from(self.failures >= PATIENCE && self.same_journal);
                    let first = self.acknowledged.len() as u64 + 1;
                    assert_eq!(answer.events[0].sequence().0, first, "a gap or a repeat");
                    self.acknowledged.extend(lines(&answer.events));
                    self.blobs.extend(append.blobs.iter().cloned());
                    self.pending = None;
                    break;
                }
                Err(error) => {
                    drop(journal);
                    self.failed(error).await;
                    self.check().await;
                }
            }
        }
        self.check().await;
    }

    /// The subscriber gets what is there, once and in order.
    async fn listen(&mut self) {
        while self.seen < self.acknowledged.len() as u64 {
            self.open().await;
            let Some(subscription) = &mut self.subscription else {
                continue;
            };
            let next = tokio::time::timeout(Duration::from_mins(1), subscription.next());
            match next.await.expect("a subscriber is told") {
                Ok(event) => {
                    let expected = &self.acknowledged[usize::try_from(self.seen).unwrap()];
                    assert_eq!(event.line(), expected);
                    self.seen += 1;
                }
                Err(error) => self.failed(error).await,
            }
        }
    }
}

/// What came of a life.
#[derive(Clone, Copy, Debug, Default)]
struct Lived {
    /// Calls of the disk.
    calls: u64,
    /// Those that failed.
    faults: u64,
    /// The number of delayed appends ([`World::went_on`]).
    went_on: u64,
}

async fn live(life: Life) -> Lived {
    let mut world = World::new(life);
    if let Some(fault) = life.fault {
        world.disk.plan(fault);
    }
    for _ in 0..life.steps {
        world.step().await;
        if world.below(3) == 0 {
            world.listen().await;
        }
        if life.dies_of_failures && world.disk.faults() > 0 {
            world.end(Some(End::PowerLoss)).await;
        }
        if life.is_wild && world.below(4) == 0 {
            let end = [End::PowerLoss, End::Kill][usize::try_from(world.below(2)).unwrap()];
            world.end(Some(end)).await;
        }
        if life.is_wild && world.below(4) == 0 {
            let fault = fault_of(&world.random, 60);
            world.disk.plan(fault);
        }
    }
    world.failures = 0;
    world.listen().await;
    let (calls, faults) = (world.disk.calls(), world.disk.faults());
    world.disk.heal();
    world.end(Some(End::PowerLoss)).await;
    let journal = world.open().await;
    let events = all(&journal, &Principal::system()).await;
    assert!(
        lines(&events) == world.acknowledged,
        "not what was acknowledged"
    );
    assert_sound(&journal).await;
    for blob in &world.blobs {
        let kept = journal
            .blob(&Principal::local(), ContentHash::of(blob))
            .await;
        assert_eq!(kept.unwrap().as_ref(), Some(blob), "a text is gone");
    }
    Lived {
        calls,
        faults,
        went_on: world.went_on,
    }
}

fn fault_of(random: &SeededRandom, within: u64) -> Fault {
    let below = |n: u64| usize::try_from(random.next_u64() % n).unwrap();
    Fault {
        at: 1 + random.next_u64() % within,
        kind: [FaultKind::NoSpace, FaultKind::Io, FaultKind::PowerLoss][below(3)],
        lasts: [
            FaultDuration::Once,
            FaultDuration::Calls(5),
            FaultDuration::UntilHealed,
        ][below(3)],
    }
}

fn run(life: Life) -> Lived {
    let lived = std::panic::catch_unwind(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(live(life))
    });
    lived.unwrap_or_else(|_| panic!("{life:?}"))
}

/// Runs them all, some at once, and gives how many met no fault and what [`Lived::went_on`] is in all.
fn run_all(lives: &[Life]) -> (u64, u64) {
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut silent, mut went_on) = (0, 0);
        while let Some(life) = lives.get(next.fetch_add(1, Ordering::Relaxed)) {
            let lived = run(*life);
            silent += u64::from(lived.faults == 0);
            went_on += lived.went_on;
        }
        (silent, went_on)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let done = threads.into_iter().map(|thread| thread.join().unwrap());
        done.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    })
}

#[test]
fn a_disk_that_fails_at_any_single_call_loses_nothing() {
    let well = Life {
        seed: 1,
        steps: 4,
        fault: None,
        is_wild: false,
        dies_of_failures: false,
    };
    let calls = run(well).calls;
    assert!(calls > 100, "{calls}");
    let mut lives = Vec::new();
    // Other seeds tear other writes.
    for (kind, lasts, seed, dies_of_failures) in [
        (FaultKind::NoSpace, FaultDuration::Once, 1, false),
        (FaultKind::NoSpace, FaultDuration::UntilHealed, 1, false),
        (FaultKind::Io, FaultDuration::Once, 1, false),
        (FaultKind::Io, FaultDuration::Once, 1, true),
        (FaultKind::Io, FaultDuration::Once, 2, true),
        (FaultKind::Io, FaultDuration::Once, 3, true),
        (FaultKind::Io, FaultDuration::UntilHealed, 1, false),
        // It lasts until the power is back.
        (FaultKind::PowerLoss, FaultDuration::Once, 1, false),
        (FaultKind::PowerLoss, FaultDuration::Once, 2, false),
    ] {
        let faults = (1..=calls).map(|at| Fault { at, kind, lasts });
        lives.extend(faults.map(|fault| Life {
            seed,
            fault: Some(fault),
            dies_of_failures,
            ..well
        }));
    }
    let (silent, went_on) = run_all(&lives);
    assert!(went_on > 100, "{went_on}");
    // A full disk is not noticed after the last write.
    let silent_max = lives.len() as u64 / 60;
    assert!(silent < silent_max, "{silent} of {silent_max}");
    println!(
        "{calls} calls, each failed in nine ways; {silent} lives met no fault, {went_on} appends went on after lasting ones"
    );
}

#[test]
fn random_faults_crashes_and_losses_of_power_lose_nothing() {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().unwrap())
    };
    let wild = |seed: u64| Life {
        seed,
        steps: 12,
        // One for certain; the others come on the way.
        fault: Some(fault_of(&SeededRandom::new(!seed), 100)),
        is_wild: true,
        dies_of_failures: false,
    };
    if let Some(seed) = number("JOURNEYMAN_SIMULATION_SEED") {
        run(wild(seed));
        return;
    }
    let seeds = number("JOURNEYMAN_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let lives: Vec<Life> = (0..seeds).map(wild).collect();
    let (silent, went_on) = run_all(&lives);
    assert_eq!(silent, 0, "a life without a fault shows nothing");
    println!("{seeds} seeds, each met faults; {went_on} appends went on after lasting ones");
}
