//! Report of the figures: a table of how many signals of each sort are taken in a second, and how long reports take, with the
//! least that we want (floor) and what would be good (aim).
//!
//! `cargo run --release -p journeyman-metrics --example metrics_figures`
//!
//! With `memory`, ten million signals and the memory after each million instead.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)] // a program for developers

mod rounds;

use std::time::{Duration, Instant};

use journeyman_metrics::{Format, Names, Telemetry};
use journeyman_signal::{
    DecodeCompleted, DecodeStarted, ErrorOccurred, Key, LatencyMeasured, PrefillCompleted,
    PrefillStarted, RequestCompleted, RequestStarted, Signal, StreamCompleted, StreamFirstToken,
    StreamStarted, Text, TokensBatchGenerated, TokensGenerated,
};
use rounds::{letters, resident_bytes, round, settle, telemetry, usage};

/// Signals that may wait for a tracker before the next ones are emitted: half of its queue.
const WAITING: usize = 32_768;
/// Signals between two looks at that.
const PART: u64 = 8_192;

fn row(what: &str, ours: &str, floor: &str, aim: &str) {
    println!("| {what} | {ours} | {floor} | {aim} |");
}

fn per_second(count: u64, began: Instant) -> String {
    let rate = count as f64 / began.elapsed().as_secs_f64();
    format!("{rate:.0}")
}

/// A mean of several runs of the same.
fn mean(times: u32, run: impl Fn()) -> String {
    run();
    let began = Instant::now();
    for _ in 0..times {
        run();
    }
    let ms = began.elapsed().as_secs_f64() * 1e3 / f64::from(times);
    format!("{ms:.3} ms")
}

/// Emits signals as fast as they are taken, so that none is dropped, and waits until all are.
async fn take(telemetry: &Telemetry, all: impl Iterator<Item = Signal>) -> u64 {
    let signals = telemetry.signals();
    let mut emitted = 0;
    for signal in all {
        signals.emit(|| signal);
        emitted += 1;
        if emitted % PART == 0 {
            settle(telemetry, WAITING).await;
        }
    }
    assert_eq!(settle(telemetry, 0).await, 0, "signals were dropped");
    emitted
}

/// The signals of a model call, as the workflow emits them, without those of further pieces.
fn call(number: u64, model: &Text, endpoint: &Text) -> Vec<Signal> {
    let (key, tokens) = (Key(number.into()), 100);
    let (model, endpoint) = (|| model.clone(), || endpoint.clone());
    let took = Duration::from_millis(100 + number % 1_000);
    let after = took;
    let (started, asked) = (
        RequestStarted {
            key,
            endpoint: endpoint(),
            model: Some(model()),
        },
        StreamStarted {
            key,
            model: model(),
        },
    );
    let completed = RequestCompleted {
        key,
        endpoint: endpoint(),
        model: Some(model()),
        took,
    };
    let generated = TokensGenerated {
        model: model(),
        tokens,
        took,
    };
    let measured = LatencyMeasured {
        model: model(),
        took,
    };
    vec![
        started.into(),
        asked.into(),
        PrefillStarted { key, tokens }.into(),
        StreamFirstToken { key, after }.into(),
        PrefillCompleted { key, tokens, took }.into(),
        DecodeStarted { key }.into(),
        DecodeCompleted { key, tokens, took }.into(),
        StreamCompleted { key, after, tokens }.into(),
        generated.into(),
        measured.into(),
        completed.into(),
    ]
}

/// A stream of so many tokens, in batches of at most 64.
fn stream(number: u64, tokens: u64, model: &Text) -> Vec<Signal> {
    let key = Key(number.into());
    let piece = |piece: u64| Duration::from_millis(100 + 20 * piece);
    let started = StreamStarted {
        key,
        model: model.clone(),
    };
    let after = piece(0);
    let mut all: Vec<Signal> = vec![started.into(), StreamFirstToken { key, after }.into()];
    let pieces: Vec<Duration> = (1..tokens).map(piece).collect();
    all.extend(pieces.chunks(64).map(|batch| {
        let after = batch.into();
        TokensBatchGenerated { key, after }.into()
    }));
    let after = piece(tokens);
    all.push(StreamCompleted { key, after, tokens }.into());
    all
}

fn error(message: String) -> Signal {
    let error = ErrorOccurred {
        error: "model_call_failed".into(),
        endpoint: "workflow/code".into(),
        message: message.into(),
        model: None,
        owner: "ada".into(),
        sample: "t-1".into(),
    };
    error.into()
}

/// Ten million signals of all kinds, at the bounds of all trackers.
async fn memory() {
    let telemetry = telemetry();
    let (mut emitted, mut number, mut next) = (0, 0, 1_000_000);
    while emitted < 10_000_000 {
        emitted += round(&telemetry, number).await;
        number += 1;
        if emitted >= next {
            let megabytes = resident_bytes() as f64 / f64::from(1 << 20);
            println!("after {emitted} signals: {megabytes:.1} MiB");
            next += 1_000_000;
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    if std::env::args().nth(1).as_deref() == Some("memory") {
        return memory().await;
    }
    let (model, endpoint): (Text, Text) = ("m".into(), "workflow/code".into());
    row("what", "ours", "floor", "aim");
    row("---", "---", "---", "---");

    let lifecycle = telemetry();
    let began = Instant::now();
    let calls = (0..300_000).flat_map(|number| call(number, &model, &endpoint));
    let emitted = take(&lifecycle, calls).await;
    let rate = per_second(emitted, began);
    row("lifecycle signals/s", &rate, "350000", "2000000");

    let burst = telemetry();
    let signals = burst.signals();
    for number in 0..100_000 {
        let completed = || RequestCompleted {
            key: Key(number),
            endpoint: endpoint.clone(),
            model: None,
            took: Duration::from_millis(5),
        };
        signals.emit(|| completed().into());
    }
    settle(&burst, 0).await;
    let report = burst.report().unwrap();
    let of = |name: &str| {
        report
            .subscribers
            .iter()
            .find(|one| one.name == name)
            .unwrap()
    };
    let lost =
        ["requests", "objectives"].map(|name| 100_000 - of(name).delivered - of(name).dropped);
    let counted = of("requests").dropped + of("objectives").dropped;
    let lost = format!("{} ({counted} counted)", lost[0] + lost[1]);
    row("uncounted drops in a burst of 100,000", &lost, "0", "0");

    let tokens = telemetry();
    let streams: Vec<Signal> = (0..20_000)
        .flat_map(|number| stream(number, 513, &model))
        .collect();
    let began = Instant::now();
    take(&tokens, streams.into_iter()).await;
    let rate = per_second(20_000 * 513, began);
    row("token signals/s", &rate, "5000000", "20000000");

    let errors = telemetry();
    let began = Instant::now();
    let messages = (0..500_000).map(|number| {
        error(format!(
            "no answer from 10.0.0.7 after {number} s, request req_{number:08x}"
        ))
    });
    let emitted = take(&errors, messages).await;
    let rate = per_second(emitted, began);
    row("errors/s, distinct messages", &rate, "500000", "1000000");
    let groups = telemetry();
    let began = Instant::now();
    let messages = (0..200_000).map(|number| error(format!("no {} here", letters(number))));
    let emitted = take(&groups, messages).await;
    let rate = per_second(emitted, began);
    row(
        "errors/s, each a group of its own",
        &rate,
        "500000",
        "1000000",
    );

    let ledger = telemetry();
    let signals = ledger.signals();
    let record = |number: u64| {
        let task = format!("t-{}", number % 5_000);
        for signal in usage(number, "ada", &task) {
            signals.emit(|| signal);
        }
    };
    let mut number = 0;
    for history in [200_000, 10_000_000] {
        while number < history {
            record(number);
            number += 1;
        }
        let began = Instant::now();
        for _ in 0..500_000 {
            record(number);
            number += 1;
        }
        let what = format!("usage records/s at {history} of history");
        row(&what, &per_second(500_000, began), "300000", "2000000");
    }

    let reported = telemetry();
    let streams = (0..1_000).flat_map(|number| stream(number, 200, &model));
    take(&reported, streams).await;
    let time = mean(1_000, || drop(reported.report().unwrap()));
    row(
        "report over 1,000 streams x 200 tokens",
        &time,
        "5 ms",
        "1 ms",
    );

    let labelled = telemetry();
    let requests = (0..1_000_u64).map(|number| {
        let completed = RequestCompleted {
            key: Key(number.into()),
            endpoint: format!("e-{number}").into(),
            model: None,
            took: Duration::from_millis(5),
        };
        completed.into()
    });
    take(&labelled, requests).await;
    let time = mean(50, || {
        let page = labelled.exposition(Format::Prometheus, Names::Own);
        assert!(page.unwrap().lines().count() > 1_000);
    });
    row(
        "scrape of /metrics with 1,000 label sets",
        &time,
        "10 ms",
        "3 ms",
    );

    let began = Instant::now();
    take(
        &errors,
        (0..1_000).map(|number| error(format!("after {number} s"))),
    )
    .await;
    let time = format!("{:.3} ms", began.elapsed().as_secs_f64());
    row(
        "pattern detection (1 error, settled)",
        &time,
        "1 ms",
        "0.1 ms",
    );
    let time = mean(200, || drop(ledger.report().unwrap()));
    row(
        "an aggregation (the whole report, 5,000 tasks)",
        &time,
        "10 ms",
        "1 ms",
    );
    let time = mean(200, || drop(groups.report().unwrap()));
    row(
        "an error report (500 groups, 500 recent)",
        &time,
        "5 ms",
        "1 ms",
    );
}
