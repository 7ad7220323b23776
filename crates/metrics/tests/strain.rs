//! All trackers at once: many threads with readers beside them.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use journeyman_bus::Stamp;
use journeyman_event::{PicoUsd, TimeSource};
use journeyman_metrics::{Format, Names, Prices, Report, Telemetry, TelemetryOptions};
use journeyman_signal::{
    BatchSizeChanged, BudgetReset, CacheHit, CostCalculated, ErrorOccurred, Key, RequestCompleted,
    Signal, StartedTask, StreamCompleted, StreamStarted, StreamTokenGenerated, Text, UsageRecorded,
    WorkerAssigned,
};
use uuid::Uuid;

struct Epoch;

impl TimeSource for Epoch {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

impl Stamp for Epoch {
    fn id(&self) -> Uuid {
        Uuid::nil()
    }

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

fn telemetry() -> Telemetry {
    let telemetry = Telemetry::new(TelemetryOptions {
        stamp: Arc::new(Epoch),
        time: Arc::new(Epoch),
        prices: Prices::default(),
        otlp: None,
        budgets: Vec::new(),
    });
    let telemetry = telemetry.unwrap();
    telemetry.begin().unwrap();
    telemetry
}

/// The report, as soon as no signal waits. The first report without waiting signals may be from between two locks, so a
/// second one is read.
async fn settled(telemetry: &Telemetry) -> Report {
    let began = Instant::now();
    let is_idle = |report: &Report| report.subscribers.iter().all(|one| one.waiting == 0);
    while !is_idle(&telemetry.report().unwrap()) {
        assert!(began.elapsed() < Duration::from_mins(1), "signals wait");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    telemetry.report().unwrap()
}

/// One operation of a thread, as the signals of every tracker.
fn operation(thread: u64, number: u64) -> [Signal; 10] {
    let key = Key((u128::from(thread) << 64) | u128::from(number));
    let text = |text: &str| Text::from(text);
    let usage = UsageRecorded {
        key: None,
        project: None,
        model: text("m"),
        endpoint: text("e"),
        owner: text("ada"),
        task: text("t-1"),
        prompt: 3,
        cached: 0,
        completion: 2,
    };
    let cost = CostCalculated {
        key: None,
        project: None,
        model: text("m"),
        endpoint: text("e"),
        owner: text("ada"),
        task: text("t-1"),
        pico_usd: Some(u128::from(number)),
        price: text("p"),
    };
    [
        RequestCompleted {
            key,
            endpoint: text("e"),
            model: None,
            took: Duration::from_millis(1),
        }
        .into(),
        StreamTokenGenerated {
            key: stream_of(thread),
            after: Duration::from_millis(number),
            tokens: 1,
        }
        .into(),
        ErrorOccurred {
            error: text("x"),
            endpoint: text("e"),
            message: format!("no answer after {number} s").into(),
            model: None,
            owner: text("ada"),
            sample: text("t-1"),
        }
        .into(),
        usage.into(),
        cost.into(),
        CacheHit {
            model: text("m"),
            tokens: 1,
        }
        .into(),
        WorkerAssigned { task: text("t-1") }.into(),
        BatchSizeChanged { calls: 1 }.into(),
        BudgetReset {
            budget: text("b"),
            scope: text("s"),
        }
        .into(),
        StartedTask {
            owner: text("ada"),
            task: text("t-1"),
        }
        .into(),
    ]
}

/// The stream of a thread, which goes on while its operations do.
fn stream_of(thread: u64) -> Key {
    Key(u128::MAX - u128::from(thread))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_threads_of_ten_thousand_operations_have_exact_totals_in_every_tracker() {
    const THREADS: u64 = 20;
    const OPERATIONS: u64 = 10_000;
    const ALL: u64 = THREADS * OPERATIONS;
    let telemetry = telemetry();
    let signals = telemetry.signals();
    for thread in 0..THREADS {
        let key = stream_of(thread);
        let model = "m".into();
        signals.emit(|| StreamStarted { key, model }.into());
    }
    settled(&telemetry).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (telemetry, is_over) = (telemetry.clone(), Arc::clone(&is_over));
        move || {
            let (mut before, mut reads) = (0, 0);
            while !is_over.load(Ordering::Relaxed) {
                let calls = telemetry.report().unwrap().costs.total.calls;
                assert!(calls >= before, "a total fell from {before} to {calls}");
                before = calls;
                let page = telemetry.exposition(Format::Prometheus, Names::Own);
                assert!(page.unwrap().contains("journeyman_"));
                reads += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            reads
        }
    });
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let signals = signals.clone();
            scope.spawn(move || {
                for number in 0..OPERATIONS {
                    for signal in operation(thread, number) {
                        signals.emit(|| signal);
                    }
                }
            });
        }
    });
    settled(&telemetry).await;
    is_over.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() > 1);
    for thread in 0..THREADS {
        let (key, after) = (stream_of(thread), Duration::from_secs(100));
        let tokens = 0; // counted by its pieces
        signals.emit(|| StreamCompleted { key, after, tokens }.into());
    }
    let report = settled(&telemetry).await;

    // What a full queue had no room for is counted as dropped. Journaled kinds have no queue.
    let dropped = |name: &str| -> u64 {
        let of = report.subscribers.iter().filter(|one| one.name == name);
        of.map(|one| one.dropped).sum()
    };
    let (group, cache) = (&report.errors.groups[0], &report.caches[0]);
    for (tracker, count) in [
        ("requests", report.requests.endpoints[0].completed),
        ("objectives", report.objectives[0].good),
        ("streaming", report.streaming.models[0].tokens),
        ("engine", report.engine.runs),
        ("alerts", report.alerts.raised["budget.reset"]),
    ] {
        let raised = dropped(tracker);
        assert_eq!(count + raised, ALL, "{tracker}: {raised} were dropped");
    }
    for (tracker, count) in [
        ("errors", report.errors.total),
        ("errors", group.count),
        ("cost", report.costs.total.calls),
        ("cost", report.costs.by_task["ada/t-1"].calls),
        ("models", report.models[0].calls),
        ("cache", cache.cached_tokens),
        ("work", report.work.happened["task.started"]),
    ] {
        assert_eq!(count, ALL, "{tracker}");
    }
    let usd = u128::from(THREADS * (OPERATIONS * (OPERATIONS - 1) / 2));
    assert_eq!(report.costs.total.usd, PicoUsd(usd));
    assert_eq!(report.batch.calls_max, 1);
    assert!(report.subscribers.iter().all(|one| one.failed == 0));
}
