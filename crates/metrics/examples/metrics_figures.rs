//! Report of the figures: how many signals of each sort are taken in a second, and how long reports take.
//!
//! `cargo run --release -p journeyman-metrics --example metrics_figures`

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)] // a program for developers

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use journeyman_bus::Stamp;
use journeyman_event::TimeSource;
use journeyman_metrics::{Format, Names, Prices, Telemetry, TelemetryOptions};
use journeyman_signal::{
    CostCalculated, ErrorOccurred, Key, RequestCompleted, RequestStarted, Signal, StreamCompleted,
    StreamFirstToken, StreamStarted, StreamTokenGenerated, UsageRecorded,
};
use uuid::Uuid;

struct Clock;

impl TimeSource for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Stamp for Clock {
    fn id(&self) -> Uuid {
        Uuid::nil()
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

fn telemetry() -> Telemetry {
    let options = TelemetryOptions {
        stamp: Arc::new(Clock),
        time: Arc::new(Clock),
        prices: Prices::default(),
        budgets: Vec::new(),
    };
    let telemetry = Telemetry::new(options).unwrap();
    telemetry.begin().unwrap();
    telemetry
}

/// Waits until every tracker has processed its queue. Returns the number of dropped signals.
async fn settle(telemetry: &Telemetry) -> u64 {
    loop {
        let subscribers = telemetry.report().unwrap().subscribers;
        if subscribers.iter().all(|one| one.waiting == 0) {
            return subscribers.iter().map(|one| one.dropped).sum();
        }
        tokio::task::yield_now().await;
    }
}

async fn rate(what: &str, count: u64, make: impl Fn(u64) -> Vec<Signal>) {
    let telemetry = telemetry();
    let signals = telemetry.signals();
    let began = Instant::now();
    let mut told = 0_u64;
    for number in 0..count {
        for signal in make(number) {
            signals.emit(|| signal);
            told += 1;
        }
        if number % 1_024 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let dropped = settle(&telemetry).await;
    let rate = told as f64 / began.elapsed().as_secs_f64();
    println!("{what}: {rate:.0} signals/s ({told} told, {dropped} dropped and counted)");
}

fn usage(number: u64) -> Vec<Signal> {
    let (model, endpoint) = ("m".into(), "workflow/code".into());
    let (owner, task) = ("ada".into(), format!("t-{}", number % 5_000).into());
    let used = UsageRecorded {
        model,
        endpoint,
        owner,
        task,
        prompt: 1_000,
        cached: 0,
        completion: 100,
    };
    let cost = CostCalculated {
        model: used.model.clone(),
        endpoint: used.endpoint.clone(),
        owner: used.owner.clone(),
        task: used.task.clone(),
        pico_usd: Some(u128::from(number)),
        price: "file 1".into(),
    };
    vec![used.into(), cost.into()]
}

fn stream(number: u64, tokens: u64) -> Vec<Signal> {
    let key = Key(u128::from(number));
    let after = |piece: u64| Duration::from_millis(100 + 20 * piece);
    let mut all: Vec<Signal> = vec![
        StreamStarted {
            key,
            model: "m".into(),
        }
        .into(),
        StreamFirstToken {
            key,
            after: after(0),
        }
        .into(),
    ];
    for piece in 1..tokens {
        let after = after(piece);
        all.push(
            StreamTokenGenerated {
                key,
                after,
                tokens: 1,
            }
            .into(),
        );
    }
    let after = after(tokens);
    all.push(StreamCompleted { key, after, tokens }.into());
    all
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let request = |number: u64| {
        let (key, endpoint, model) = (Key(u128::from(number)), "workflow/code".into(), None);
        let took = Duration::from_millis(number % 1_000);
        let started = RequestStarted {
            key,
            endpoint,
            model,
        };
        let completed = RequestCompleted {
            key,
            endpoint: started.endpoint.clone(),
            model: None,
            took,
        };
        vec![started.into(), completed.into()]
    };
    rate("requests, started and completed", 1_000_000, request).await;
    rate("streams of 200 tokens", 10_000, |number| {
        stream(number, 200)
    })
    .await;
    rate("usage and cost", 500_000, usage).await;
    rate("errors, distinct messages", 200_000, |number| {
        let error = ErrorOccurred {
            error: "model_call_failed".into(),
            endpoint: "workflow/code".into(),
            message: format!("no answer from 10.0.0.7 after {number} s, request req_{number:08x}")
                .into(),
            model: None,
            owner: "ada".into(),
            sample: "t-1".into(),
        };
        vec![error.into()]
    })
    .await;

    // A record takes the same time, however many came before.
    let telemetry_ = telemetry();
    let signals = telemetry_.signals();
    for history in [0_u64, 200_000, 2_000_000] {
        let calls = || telemetry_.report().unwrap().costs.total.calls;
        for number in calls()..history {
            for signal in usage(number) {
                signals.emit(|| signal);
            }
        }
        let began = Instant::now();
        for number in 0..50_000 {
            for signal in usage(number) {
                signals.emit(|| signal);
            }
        }
        let rate = 50_000.0 / began.elapsed().as_secs_f64();
        println!("usage records behind {history} others: {rate:.0} records/s");
    }

    let reported = telemetry();
    let signals = reported.signals();
    for number in 0..1_000 {
        for signal in stream(number, 200) {
            signals.emit(|| signal);
        }
        if number % 100 == 0 {
            settle(&reported).await;
        }
    }
    settle(&reported).await;
    let began = Instant::now();
    let streams = reported.report().unwrap().streaming.models[0].completed;
    println!(
        "a report over {streams} streams of 200 tokens: {:?}",
        began.elapsed()
    );

    let labelled = telemetry();
    let signals = labelled.signals();
    for number in 0..1_200 {
        let endpoint = format!("e-{number}").into();
        let completed = RequestCompleted {
            key: Key(number),
            endpoint,
            model: None,
            took: Duration::from_millis(5),
        };
        signals.emit(|| completed.into());
    }
    settle(&labelled).await;
    let scrape = || {
        labelled
            .exposition(Format::Prometheus, Names::Own, Vec::new())
            .unwrap()
    };
    let page = scrape();
    let began = Instant::now();
    for _ in 0..20 {
        scrape();
    }
    println!(
        "a scrape with 1,000 label sets ({} lines): {:?}",
        page.lines().count(),
        began.elapsed() / 20
    );
}
