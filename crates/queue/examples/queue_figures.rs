//! Figures of the queue; the median of five runs each.
//!
//! `cargo run --release -p journeyman-queue --example queue_figures`
//!
//! Latency: one job at a time on an idle queue, from the call of submit to the job's first line, back to
//! back and with a rest before each.
//! Throughput: jobs that do nothing, from the first admission to the end of the last one, with one
//! and with four submitters that wait for places.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program for people; it ends by panicking

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use journeyman_event::Priority;
use journeyman_queue::{Queue, QueueOptions, Removal, RunOutcome, Runner, Stop, WhenFull};

const RUNS: usize = 5;

/// Notes when a job starts, and nothing else.
#[derive(Clone)]
struct Noop {
    started: Arc<Mutex<Option<Instant>>>,
    measures: bool,
    ended: Arc<AtomicU64>,
}

impl Runner for Noop {
    type Id = u64;

    async fn run(&self, _: u64, _: Stop<u64>) -> RunOutcome {
        if self.measures {
            *self.started.lock().unwrap() = Some(Instant::now());
        }
        self.ended.fetch_add(1, Ordering::Relaxed);
        RunOutcome::Done
    }

    async fn removed(&self, _: u64, _: Removal<u64>) {}
}

fn noop(measures: bool) -> Noop {
    Noop {
        started: Arc::default(),
        measures,
        ended: Arc::default(),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn micros(nanos: u64) -> f64 {
    f64::from(u32::try_from(nanos).unwrap()) / 1_000.0
}

/// Microseconds from submit to start: median, 99 of 100, and the longest.
async fn latency(jobs: u64, rest: Option<Duration>) -> [f64; 3] {
    let runner = noop(true);
    let queue = Queue::start(&QueueOptions::default(), runner.clone());
    let mut times = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
    for id in 0..jobs {
        let permit = queue.admit(id, &[], WhenFull::Refuse).await.unwrap();
        if let Some(rest) = rest {
            tokio::time::sleep(rest).await;
        }
        let begin = Instant::now();
        permit.submit(Priority::MEDIUM, None);
        queue.ended(&id).await.unwrap();
        let started = runner.started.lock().unwrap().take().unwrap();
        let nanos = started.duration_since(begin).as_nanos();
        times.record(u64::try_from(nanos).unwrap().max(1)).unwrap();
    }
    [0.5, 0.99, 1.0].map(|quantile| micros(times.value_at_quantile(quantile)))
}

/// Jobs a second.
async fn throughput(jobs: u64, submitters: u64, options: QueueOptions) -> f64 {
    let runner = noop(false);
    let queue = Queue::start(&options, runner.clone());
    let begin = Instant::now();
    let submitting: Vec<_> = (0..submitters)
        .map(|one| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for id in (one..jobs).step_by(usize::try_from(submitters).unwrap()) {
                    let wait = WhenFull::Wait(Duration::from_mins(1));
                    let permit = queue.admit(id, &[], wait).await.unwrap();
                    permit.submit(Priority::MEDIUM, None);
                }
            })
        })
        .collect();
    for one in submitting {
        one.await.unwrap();
    }
    while queue.statistics().counts.finished < jobs {
        tokio::task::yield_now().await;
    }
    let time = begin.elapsed();
    assert_eq!(runner.ended.load(Ordering::Relaxed), jobs);
    f64::from(u32::try_from(jobs).unwrap()) / time.as_secs_f64()
}

#[tokio::main]
async fn main() {
    for (what, jobs, rest) in [
        ("one after another", 20_000, None),
        ("rested for 2 ms", 500, Some(Duration::from_millis(2))),
    ] {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(tokio::spawn(latency(jobs, rest)).await.unwrap());
        }
        let of = |index: usize| median(runs.iter().map(|run| run[index]).collect());
        println!(
            "submit to start, idle queue, {what}: p50 {:.1} us, p99 {:.1} us, max {:.1} us",
            of(0),
            of(1),
            of(2)
        );
    }
    for (capacity, max_concurrent) in [(100, 5), (1_000, 64)] {
        for submitters in [1, 4] {
            let mut rates = Vec::new();
            for _ in 0..RUNS {
                let options = QueueOptions {
                    capacity,
                    max_concurrent,
                    ..QueueOptions::default()
                };
                rates.push(throughput(300_000, submitters, options).await);
            }
            println!(
                "no-op jobs, {submitters} submitters, {capacity} places, {max_concurrent} slots: {:.0}/s",
                median(rates)
            );
        }
    }
}
