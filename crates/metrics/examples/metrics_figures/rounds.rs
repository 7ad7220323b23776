//! Rounds of signals that bring every tracker to its bounds, for the figures and for the test of memory.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use journeyman_bus::Stamp;
use journeyman_event::TimeSource;
use journeyman_metrics::{Prices, Telemetry, TelemetryOptions};
use journeyman_signal::{
    BudgetReset, CostCalculated, ErrorOccurred, Key, RequestCompleted, Signal, StreamCancelled,
    StreamCompleted, StreamFirstToken, StreamStarted, TokensBatchGenerated, UsageRecorded,
};
use uuid::Uuid;

pub(crate) struct Clock;

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

pub(crate) fn telemetry() -> Telemetry {
    let options = TelemetryOptions {
        stamp: Arc::new(Clock),
        time: Arc::new(Clock),
        prices: Prices::default(),
        budgets: Vec::new(),
        otlp: None,
    };
    let telemetry = Telemetry::new(options).unwrap();
    telemetry.begin().unwrap();
    telemetry
}

/// Waits until at most `waiting` signals wait for any tracker. Returns how many were dropped and counted.
pub(crate) async fn settle(telemetry: &Telemetry, waiting: usize) -> u64 {
    loop {
        let subscribers = telemetry.report().unwrap().subscribers;
        if subscribers.iter().all(|one| one.waiting <= waiting) {
            return subscribers.iter().map(|one| one.dropped).sum();
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// The resident memory of this process.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() * 1_024
}

/// A word that is like no other number's.
pub(crate) fn letters(mut number: u64) -> String {
    let mut word = String::from("g");
    while number > 0 {
        word.push(char::from(b'g' + u8::try_from(number % 20).unwrap()));
        number /= 20;
    }
    word
}

pub(crate) fn usage(number: u64, owner: &str, task: &str) -> [Signal; 2] {
    let used = UsageRecorded {
        key: None,
        project: None,
        model: "m".into(),
        endpoint: "workflow/code".into(),
        owner: owner.into(),
        task: task.into(),
        prompt: 1_000,
        cached: 0,
        completion: 100,
    };
    let cost = CostCalculated {
        key: None,
        project: None,
        model: used.model.clone(),
        endpoint: used.endpoint.clone(),
        owner: used.owner.clone(),
        task: used.task.clone(),
        pico_usd: Some(u128::from(number)),
        price: "file 1".into(),
    };
    [used.into(), cost.into()]
}

/// Emits a round of signals: more requests, streams, errors, owners, tasks and labels than are kept, others in each round, and
/// streams that never end. Returns how many.
pub(crate) async fn round(telemetry: &Telemetry, round: u64) -> u64 {
    /// More than the label sets of a metric.
    const LABELS: u64 = 1_100;
    /// More than half of the streams under way, of tasks and of groups of errors, four times.
    const NUMBERS: u64 = 24_000;
    /// Numbers before the trackers are waited for.
    const PART: u64 = 8_000;
    let signals = telemetry.signals();
    let mut emitted = 0;
    for number in 0..NUMBERS {
        let key = Key((u128::from(round) << 64) | u128::from(number));
        let label = number / 4 % LABELS + LABELS * round;
        let mut tell = |signal: Signal| {
            signals.emit(|| signal);
            emitted += 1;
        };
        let completed = RequestCompleted {
            key,
            endpoint: format!("e-{label}").into(),
            model: None,
            took: Duration::from_millis(number % 1_000),
        };
        tell(completed.into());
        let after = |ms: u64| Duration::from_millis(ms);
        match number % 4 {
            // Streams that never end, and some that end soon: of these each model has one.
            0 => {
                let model = format!("m-{label}").into();
                tell(StreamStarted { key, model }.into());
                if number < 4 * LABELS {
                    tell(
                        StreamCancelled {
                            key,
                            after: after(1),
                        }
                        .into(),
                    );
                }
            }
            1 if number < 4_000 => {
                let model = format!("answers-{}", number % 10).into();
                tell(StreamStarted { key, model }.into());
                tell(
                    StreamFirstToken {
                        key,
                        after: after(100),
                    }
                    .into(),
                );
                let pieces: Vec<Duration> = (1..20).map(|piece| after(100 + 20 * piece)).collect();
                tell(
                    TokensBatchGenerated {
                        key,
                        after: pieces.into(),
                    }
                    .into(),
                );
                let (after, tokens) = (after(500), 20);
                tell(StreamCompleted { key, after, tokens }.into());
            }
            2 => {
                let (owner, task) = (format!("o-{label}"), format!("t-{number}-{round}"));
                usage(number, &owner, &task).into_iter().for_each(&mut tell);
            }
            3 if number < 3_000 => {
                let error = ErrorOccurred {
                    error: "model_call_failed".into(),
                    endpoint: "workflow/code".into(),
                    message: letters(number + NUMBERS * round).into(),
                    model: Some("m".into()),
                    owner: "ada".into(),
                    sample: "t-1".into(),
                };
                tell(error.into());
                let (budget, scope) = ("b".into(), format!("o-{number}").into());
                tell(BudgetReset { budget, scope }.into());
            }
            _ => {}
        }
        if number % PART == 0 {
            settle(telemetry, 0).await;
        }
    }
    settle(telemetry, 0).await;
    emitted
}
