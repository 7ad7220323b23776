//! Figures of the bus beside `tokio::sync::broadcast` in the same run; the median of five runs each.
//!
//! `cargo run --release -p journeyman-bus --example bus_figures`
//!
//! Throughput: one publisher, 7 subscribers that all get every message, nothing lost: handlers with
//! the rule `Wait`, and receivers whose publisher waits for them before their ring overflows.
//! Latency: 100,000 messages/s for 2 s, from the call of publish to the handler's first line.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program for people; it ends by panicking

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use journeyman_bus::{Bus, Message, Overflow, SubscriberOptions};
use tokio::sync::broadcast;

const RUNS: usize = 5;
const SUBSCRIBERS: usize = 7;
const CAPACITY: usize = 4_096;

#[derive(Debug)]
struct Tick {
    sent: Instant,
    number: u64,
}

impl Message for Tick {
    fn kind(&self) -> &'static str {
        "tick"
    }
}

fn tick(number: u64) -> Tick {
    Tick {
        sent: Instant::now(),
        number,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn per_second(count: u64, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / time.as_secs_f64()
}

/// Messages a second through our bus to `subscribers` handlers.
async fn ours(count: u64, subscribers: usize) -> f64 {
    let bus = Bus::start();
    let handled = Arc::new(AtomicU64::new(0));
    let registrations: Vec<_> = (0..subscribers)
        .map(|_| {
            let options = SubscriberOptions::new("counts")
                .capacity(CAPACITY)
                .overflow(Overflow::Wait);
            let handled = Arc::clone(&handled);
            let last = count - 1;
            bus.handle(options, move |message: Arc<Tick>| {
                if message.number == last {
                    handled.fetch_add(1, Ordering::Relaxed);
                }
                std::future::ready(Ok(()))
            })
            .unwrap()
        })
        .collect();
    let start = Instant::now();
    let sent = start;
    let publisher = tokio::spawn({
        let bus = bus.clone();
        async move {
            for number in 0..count {
                bus.publish(Tick { sent, number }).await.unwrap();
            }
        }
    });
    publisher.await.unwrap();
    assert_eq!(bus.drain(Duration::from_mins(1)).await, 0);
    let time = start.elapsed();
    assert_eq!(handled.load(Ordering::Relaxed), subscribers as u64);
    assert_eq!(bus.statistics().delivered, count * subscribers as u64);
    drop(registrations);
    per_second(count, time)
}

/// The same through `tokio::sync::broadcast`. It has no rule to wait: its publisher looks at how
/// much is not received yet after every quarter of the ring.
async fn broadcast_peer(count: u64, subscribers: usize) -> f64 {
    let (sender, _) = broadcast::channel::<Arc<Tick>>(CAPACITY);
    let receivers: Vec<_> = (0..subscribers)
        .map(|_| {
            let mut receiver = sender.subscribe();
            tokio::spawn(async move {
                let mut got = 0_u64;
                loop {
                    match receiver.recv().await {
                        Ok(_) => got += 1,
                        Err(broadcast::error::RecvError::Closed) => return got,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let start = Instant::now();
    let sent = start;
    let publisher = tokio::spawn(async move {
        for number in 0..count {
            if number % (CAPACITY as u64 / 4) == 0 {
                while sender.len() > CAPACITY / 2 {
                    tokio::task::yield_now().await;
                }
            }
            sender.send(Arc::new(Tick { sent, number })).unwrap();
        }
    });
    publisher.await.unwrap();
    for receiver in receivers {
        assert_eq!(receiver.await.unwrap(), count);
    }
    per_second(count, start.elapsed())
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap()
}

/// Sends 100 messages every millisecond, evenly in between, until `count` were sent.
async fn paced(count: u64, mut send: impl FnMut(u64)) {
    let start = Instant::now();
    for number in 0..count {
        let due = start + Duration::from_micros(10) * u32::try_from(number).unwrap();
        // A timer is too coarse for 10 us; the other tasks get the thread meanwhile.
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        send(number);
    }
}

/// Microseconds from publish to handler: median, 99 of 100, and the longest.
async fn our_latency(count: u64) -> [f64; 3] {
    let bus = Bus::start();
    let times: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| Arc::new(Mutex::new(histogram())))
        .collect();
    let registrations: Vec<_> = times
        .iter()
        .map(|times| {
            let times = Arc::clone(times);
            let options = SubscriberOptions::new("times").capacity(100_000);
            bus.handle(options, move |message: Arc<Tick>| {
                let nanos = u64::try_from(message.sent.elapsed().as_nanos()).unwrap();
                times.lock().unwrap().saturating_record(nanos);
                std::future::ready(Ok(()))
            })
            .unwrap()
        })
        .collect();
    let publisher = tokio::spawn({
        let bus = bus.clone();
        async move { paced(count, |number| bus.try_publish(tick(number)).unwrap()).await }
    });
    publisher.await.unwrap();
    assert_eq!(bus.drain(Duration::from_mins(1)).await, 0);
    assert_eq!(bus.statistics().dropped, 0);
    drop(registrations);
    quantiles(times.iter().map(|times| times.lock().unwrap().clone()))
}

async fn broadcast_latency(count: u64) -> [f64; 3] {
    let (sender, _) = broadcast::channel::<Arc<Tick>>(131_072);
    let receivers: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| {
            let mut receiver = sender.subscribe();
            tokio::spawn(async move {
                let mut times = histogram();
                while let Ok(message) = receiver.recv().await {
                    let nanos = u64::try_from(message.sent.elapsed().as_nanos()).unwrap();
                    times.saturating_record(nanos);
                }
                times
            })
        })
        .collect();
    let publisher = tokio::spawn(async move {
        paced(count, |number| {
            let _ = sender.send(Arc::new(tick(number)));
        })
        .await;
    });
    publisher.await.unwrap();
    let mut all = Vec::new();
    for receiver in receivers {
        all.push(receiver.await.unwrap());
    }
    quantiles(all.into_iter())
}

fn quantiles(each: impl Iterator<Item = Histogram<u64>>) -> [f64; 3] {
    let mut sum = histogram();
    each.for_each(|one| sum.add(one).unwrap());
    [0.5, 0.99, 1.0].map(|quantile| {
        let nanos = u32::try_from(sum.value_at_quantile(quantile)).unwrap_or(u32::MAX);
        f64::from(nanos) / 1_000.0
    })
}

/// Messages lost in a burst that nobody waits for, with room for all of it.
async fn lost_in_burst(count: u64) -> u64 {
    let bus = Bus::start();
    let options = SubscriberOptions::new("bursts").capacity(usize::try_from(count).unwrap());
    let _registration = bus
        .handle(options, |_: Arc<Tick>| std::future::ready(Ok(())))
        .unwrap();
    for number in 0..count {
        bus.try_publish(tick(number)).unwrap();
    }
    assert_eq!(bus.drain(Duration::from_mins(1)).await, 0);
    count - bus.statistics().delivered
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let million = 1_000_000;
    let (mut bus, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        bus.push(ours(2 * million, SUBSCRIBERS).await);
        peer.push(broadcast_peer(2 * million, SUBSCRIBERS).await);
    }
    let (bus, peer) = (median(bus), median(peer));
    println!("through {SUBSCRIBERS} subscribers, nothing lost, messages/s, median of {RUNS}");
    println!("  bus                     {bus:>12.0}");
    println!(
        "  tokio::sync::broadcast  {peer:>12.0}   bus/broadcast {:.2}",
        bus / peer
    );

    let (mut bus, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        bus.push(our_latency(200_000).await);
        peer.push(broadcast_latency(200_000).await);
    }
    println!(
        "publish to handler at 100,000 messages/s, {SUBSCRIBERS} subscribers, us, median of {RUNS}"
    );
    for (name, runs) in [("bus", bus), ("tokio::sync::broadcast", peer)] {
        let at = |index: usize| median(runs.iter().map(|run| run[index]).collect());
        println!(
            "  {name:<22}  p50 {:>8.1}  p99 {:>8.1}  max {:>9.1}",
            at(0),
            at(1),
            at(2)
        );
    }

    let burst = 100_000;
    println!(
        "burst of {burst} without waiting, room for all: lost {}",
        lost_in_burst(burst).await
    );
    let mut many = Vec::new();
    for _ in 0..RUNS {
        many.push(ours(20_000, 1_000).await * 1_000.0);
    }
    println!(
        "1,000 subscribers: {:.0} deliveries/s, median of {RUNS}",
        median(many)
    );
}
