//! What a bus promises, through its public interface.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

use journeyman_bus::{
    BreakerState, Bus, Context, Emitted, Emitter, Error, Kinds, Message, Overflow, Stamp,
    SubscriberOptions, Subscription,
};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Note {
    kind: &'static str,
    publisher: u64,
    number: u64,
}

impl Message for Note {
    fn kind(&self) -> &str {
        self.kind
    }
}

fn note(number: u64) -> Note {
    Note {
        kind: "note",
        publisher: 0,
        number,
    }
}

fn of_kind(kind: &'static str, number: u64) -> Note {
    Note {
        kind,
        ..note(number)
    }
}

async fn all(subscription: &mut Subscription<Note>) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(message) = subscription.recv().await {
        numbers.push(message.number);
    }
    numbers
}

/// Everything that waits for a subscriber, after the last publication.
async fn waiting(subscription: &mut Subscription<Note>) -> Vec<u64> {
    let mut messages = Vec::new();
    while subscription.statistics().depth > 0 {
        subscription.recv_many(&mut messages, 7).await;
    }
    messages.iter().map(|message| message.number).collect()
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn messages_go_to_those_who_asked_for_their_kind() {
    let bus = Bus::start();
    let ask = |kinds| {
        bus.subscribe(SubscriberOptions::new("one").kinds(kinds))
            .unwrap()
    };
    let mut every = ask(Kinds::All);
    let mut exact = ask(Kinds::Exact("task.started".into()));
    let mut prefix = ask(Kinds::Prefix("task.".into()));
    let several = ["model", "task", "model"].map(str::to_owned).into();
    let mut several = ask(Kinds::Several(several));
    for (number, kind) in [
        "task.started",
        "task",
        "task.ended",
        "model",
        "task.started",
    ]
    .into_iter()
    .enumerate()
    {
        bus.publish(of_kind(kind, number as u64)).await.unwrap();
    }
    assert_eq!(waiting(&mut every).await, [0, 1, 2, 3, 4]);
    assert_eq!(waiting(&mut exact).await, [0, 4]);
    assert_eq!(waiting(&mut prefix).await, [0, 2, 4]);
    // A kind that is named twice is delivered once.
    assert_eq!(waiting(&mut several).await, [1, 3]);
}

#[tokio::test]
async fn a_full_queue_drops_by_its_rule_and_counts() {
    let bus = Bus::start();
    let ask = |overflow| {
        let options = SubscriberOptions::new("small")
            .capacity(3)
            .overflow(overflow);
        bus.subscribe(options).unwrap()
    };
    let mut oldest = ask(Overflow::DropOldest);
    let mut newest = ask(Overflow::DropNewest);
    let mut waits = ask(Overflow::Wait);
    for number in 0..10 {
        bus.try_publish(note(number)).unwrap();
    }
    assert_eq!(
        (oldest.dropped(), newest.dropped(), waits.dropped()),
        (7, 7, 7)
    );
    assert_eq!(waiting(&mut oldest).await, [7, 8, 9]);
    assert_eq!(waiting(&mut newest).await, [0, 1, 2]);
    assert_eq!(waiting(&mut waits).await, [0, 1, 2]);
    let statistics = bus.statistics();
    assert_eq!((statistics.published, statistics.dropped), (10, 21));
    assert_eq!(statistics.delivered, 9);
    assert_eq!(statistics.subscribers[0].depth_max, 3);
}

#[tokio::test]
async fn a_publisher_waits_for_one_who_wants_it_and_others_have_the_message_already() {
    let bus = Bus::start();
    let options = SubscriberOptions::new("slow")
        .capacity(1)
        .overflow(Overflow::Wait);
    let mut slow = bus.subscribe(options).unwrap();
    let mut quick = bus.subscribe(SubscriberOptions::new("quick")).unwrap();
    bus.publish(note(0)).await.unwrap();
    let publisher = tokio::spawn({
        let bus = bus.clone();
        async move { bus.publish(note(1)).await }
    });
    assert_eq!(quick.recv().await.unwrap().number, 0);
    assert_eq!(quick.recv().await.unwrap().number, 1);
    assert!(!publisher.is_finished());
    assert_eq!(slow.recv().await.unwrap().number, 0);
    publisher.await.unwrap().unwrap();
    assert_eq!(slow.recv().await.unwrap().number, 1);
    assert_eq!(slow.dropped(), 0);
}

#[tokio::test]
async fn a_publisher_that_gives_up_waiting_has_dropped_its_message() {
    let bus = Bus::start();
    let options = SubscriberOptions::new("slow")
        .capacity(1)
        .overflow(Overflow::Wait);
    let mut slow = bus.subscribe(options).unwrap();
    bus.publish(note(0)).await.unwrap();
    let late = tokio::time::timeout(Duration::from_millis(5), bus.publish(note(1))).await;
    assert!(late.is_err());
    assert_eq!(slow.dropped(), 1);
    assert_eq!(waiting(&mut slow).await, [0]);
    bus.publish(note(2)).await.unwrap();
    assert_eq!(bus.drain(Duration::from_millis(5)).await, 1);
}

#[tokio::test]
async fn a_failing_handler_rests_and_is_tried_again() {
    tokio::time::pause();
    let bus = Bus::start();
    let broken = Arc::new(AtomicBool::new(true));
    let calls = Arc::new(AtomicU64::new(0));
    let _registration = bus
        .handle(
            SubscriberOptions::new("flaky").breaker(3, Duration::from_secs(10)),
            {
                let (broken, calls) = (Arc::clone(&broken), Arc::clone(&calls));
                move |message: Arc<Note>| {
                    let number = message.number;
                    let broken = broken.load(Ordering::SeqCst);
                    calls.fetch_add(1, Ordering::SeqCst);
                    async move {
                        match number % 2 {
                            _ if !broken => Ok(()),
                            0 => panic!("on purpose"),
                            _ => Err("on purpose".into()),
                        }
                    }
                }
            },
        )
        .unwrap();
    let one = || bus.statistics().subscribers[0].clone();
    let publish = async |count: u64| {
        let before = one();
        for number in 0..count {
            bus.publish(note(number)).await.unwrap();
        }
        until(|| {
            let now = one();
            now.delivered + now.failed + now.skipped
                == before.delivered + before.failed + before.skipped + count
        })
        .await;
    };
    publish(5).await;
    assert_eq!((one().failed, one().skipped), (3, 2));
    assert_eq!(one().breaker, BreakerState::Open);
    // Half open: one more is tried, and fails.
    tokio::time::advance(Duration::from_secs(11)).await;
    publish(3).await;
    assert_eq!((one().failed, one().skipped), (4, 4));
    broken.store(false, Ordering::SeqCst);
    tokio::time::advance(Duration::from_secs(11)).await;
    publish(3).await;
    assert_eq!((one().failed, one().skipped, one().delivered), (4, 4, 3));
    assert_eq!(one().breaker, BreakerState::Closed);
    assert_eq!(calls.load(Ordering::SeqCst), 7);
}

#[tokio::test]
async fn an_async_handler_that_hangs_is_stopped() {
    tokio::time::pause();
    let bus = Bus::start();
    let options = SubscriberOptions::new("hangs").time_limit(Duration::from_secs(2));
    let _registration = bus
        .handle(options, |message: Arc<Note>| async move {
            if message.number == 0 {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
        .unwrap();
    bus.publish(note(0)).await.unwrap();
    bus.publish(note(1)).await.unwrap();
    assert_eq!(bus.drain(Duration::from_mins(1)).await, 0);
    let one = &bus.statistics().subscribers[0];
    assert_eq!((one.timed_out, one.delivered), (1, 1));
    assert!(one.latency.unwrap().max >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_blocking_handler_that_hangs_delays_nobody() {
    let bus = Bus::start();
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let options = SubscriberOptions::new("hangs")
        .capacity(2)
        .overflow(Overflow::Wait)
        .time_limit(Duration::from_millis(20));
    let _hangs = bus
        .handle_blocking(options, move |_: &Note| {
            // Ends when the test lets go.
            let _ = held.lock().unwrap().recv();
            Ok(())
        })
        .unwrap();
    let mut other = bus.subscribe(SubscriberOptions::new("other")).unwrap();
    for number in 0..100 {
        bus.publish(note(number)).await.unwrap();
    }
    assert_eq!(waiting(&mut other).await, (0..100).collect::<Vec<_>>());
    let hangs = bus.statistics().subscribers[0].clone();
    assert_eq!(hangs.breaker, BreakerState::Open);
    assert!(hangs.skipped >= 90, "{hangs:?}");
    assert_eq!(hangs.dropped, 0);
    drop(release);
    until(|| bus.statistics().subscribers[0].timed_out == 1).await;
}

#[test]
fn inline_handlers_run_by_priority_in_the_publishers_call() {
    let bus = Bus::start();
    let order = Arc::new(Mutex::new(Vec::new()));
    let registrations: Vec<_> = [("b", 1), ("d", -1), ("a", 7), ("c", 1), ("panics", 3)]
        .into_iter()
        .map(|(name, priority)| {
            let order = Arc::clone(&order);
            bus.handle_inline(SubscriberOptions::new(name), priority, move |_: &Note| {
                assert_ne!(name, "panics", "on purpose");
                order.lock().unwrap().push(name);
                Ok(())
            })
            .unwrap()
        })
        .collect();
    bus.try_publish(note(0)).unwrap();
    assert_eq!(*order.lock().unwrap(), ["a", "b", "c", "d"]);
    assert_eq!(bus.statistics().failed, 1);
    drop(registrations);
    bus.try_publish(note(1)).unwrap();
    assert_eq!(order.lock().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_subscriber_sees_each_publishers_messages_in_order() {
    const PUBLISHERS: u64 = 4;
    const EACH: u64 = 5_000;
    let bus = Bus::start();
    let seen: Vec<Arc<Mutex<Vec<Note>>>> = (0..6).map(|_| Arc::default()).collect();
    let mut registrations = Vec::new();
    for (index, seen) in seen.iter().enumerate() {
        let options = SubscriberOptions::new("sees")
            .capacity(8)
            .overflow(Overflow::Wait);
        let seen = Arc::clone(seen);
        let registration = if index % 2 == 0 {
            bus.handle(options, move |message: Arc<Note>| {
                seen.lock().unwrap().push((*message).clone());
                async { Ok(()) }
            })
        } else {
            bus.handle_blocking(options, move |message: &Note| {
                seen.lock().unwrap().push(message.clone());
                Ok(())
            })
        };
        registrations.push(registration.unwrap());
    }
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let bus = bus.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    let message = Note {
                        publisher,
                        ..note(number)
                    };
                    bus.publish(message).await.unwrap();
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    assert_eq!(bus.drain(Duration::from_mins(1)).await, 0);
    for seen in seen {
        let seen = seen.lock().unwrap();
        for publisher in 0..PUBLISHERS {
            let its = seen.iter().filter(|one| one.publisher == publisher);
            assert!(its.map(|one| one.number).eq(0..EACH));
        }
    }
}

#[test]
fn a_subscriber_sees_all_from_its_coming_to_its_leaving() {
    let bus = Bus::start();
    let running = Arc::new(AtomicBool::new(true));
    let published = Arc::new(AtomicU64::new(0));
    let barrier = Arc::new(Barrier::new(2));
    let publisher = std::thread::spawn({
        let (bus, running) = (bus.clone(), Arc::clone(&running));
        let (published, barrier) = (Arc::clone(&published), Arc::clone(&barrier));
        move || {
            barrier.wait();
            let mut number = 0;
            while running.load(Ordering::SeqCst) {
                bus.try_publish(note(number)).unwrap();
                number += 1;
                published.store(number, Ordering::SeqCst);
            }
        }
    });
    barrier.wait();
    for _ in 0..500 {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let registration = bus
            .handle_inline(SubscriberOptions::new("passes by"), 0, {
                let seen = Arc::clone(&seen);
                move |message: &Note| {
                    seen.lock().unwrap().push(message.number);
                    Ok(())
                }
            })
            .unwrap();
        let first_meant = published.load(Ordering::SeqCst) + 1;
        while published.load(Ordering::SeqCst) < first_meant + 20 {
            std::hint::spin_loop();
        }
        registration.unsubscribe();
        let last_possible = published.load(Ordering::SeqCst);
        while published.load(Ordering::SeqCst) < last_possible + 5 {
            std::hint::spin_loop();
        }
        let seen = seen.lock().unwrap();
        let (first, last) = (seen[0], seen[seen.len() - 1]);
        assert!(first <= first_meant && last <= last_possible);
        assert!(seen.iter().copied().eq(first..=last), "no gap");
    }
    running.store(false, Ordering::SeqCst);
    publisher.join().unwrap();
    assert!(bus.statistics().subscribers.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_handles_all_that_was_accepted() {
    let bus = Bus::start();
    let handled = Arc::new(AtomicU64::new(0));
    let _registration = bus
        .handle(SubscriberOptions::new("slow").capacity(10_000), {
            let handled = Arc::clone(&handled);
            move |_: Arc<Note>| {
                let handled = Arc::clone(&handled);
                async move {
                    tokio::time::sleep(Duration::from_micros(10)).await;
                    handled.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                }
            }
        })
        .unwrap();
    for number in 0..200 {
        bus.publish(note(number)).await.unwrap();
    }
    assert_eq!(bus.drain(Duration::from_mins(1)).await, 0);
    assert_eq!(handled.load(Ordering::SeqCst), 200);
    assert_eq!(bus.publish(note(0)).await, Err(Error::Stopped));
    assert_eq!(bus.try_publish(note(0)), Err(Error::Stopped));
    assert_eq!(
        bus.subscribe(SubscriberOptions::new("late")).err(),
        Some(Error::Stopped)
    );
    assert_eq!(bus.statistics().published, 200);
}

#[tokio::test]
async fn a_drain_that_is_too_short_and_a_stop_say_what_was_discarded() {
    let bus = Bus::start();
    let mut nobody_reads = bus.subscribe(SubscriberOptions::new("asleep")).unwrap();
    for number in 0..4 {
        bus.publish(note(number)).await.unwrap();
    }
    assert_eq!(bus.drain(Duration::from_millis(5)).await, 4);
    assert_eq!(bus.stop(), 0);
    assert_eq!(all(&mut nobody_reads).await, Vec::<u64>::new());
    assert_eq!(bus.statistics().discarded, 4);
}

#[tokio::test]
async fn what_is_received_during_a_drain_is_not_discarded() {
    let bus = Bus::start();
    let mut reads = bus.subscribe(SubscriberOptions::new("reads")).unwrap();
    for number in 0..4 {
        bus.publish(note(number)).await.unwrap();
    }
    let reader = tokio::spawn(async move { all(&mut reads).await });
    assert_eq!(bus.drain(Duration::from_mins(1)).await, 0);
    assert_eq!(reader.await.unwrap(), [0, 1, 2, 3]);
}

#[tokio::test]
async fn those_who_left_are_still_in_the_totals() {
    let bus = Bus::start();
    let leaves = bus
        .subscribe(SubscriberOptions::new("leaves").capacity(2))
        .unwrap();
    for number in 0..5 {
        bus.publish(note(number)).await.unwrap();
    }
    drop(leaves);
    let statistics = bus.statistics();
    assert!(statistics.subscribers.is_empty());
    assert_eq!((statistics.dropped, statistics.discarded), (3, 2));
    assert!(!bus.has_subscribers());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_loses_only_what_the_rules_say() {
    const BURST: u64 = 100_000;
    let bus = Bus::start();
    let count = |overflow| {
        let handled = Arc::new(AtomicU64::new(0));
        let options = SubscriberOptions::new("counts")
            .capacity(100)
            .overflow(overflow);
        let registration = bus.handle(options, {
            let handled = Arc::clone(&handled);
            move |_: Arc<Note>| {
                handled.fetch_add(1, Ordering::Relaxed);
                async { Ok(()) }
            }
        });
        (handled, registration.unwrap())
    };
    let (waited, _first) = count(Overflow::Wait);
    let (dropped, _second) = count(Overflow::DropOldest);
    for number in 0..BURST {
        bus.publish(note(number)).await.unwrap();
    }
    assert_eq!(bus.drain(Duration::from_mins(1)).await, 0);
    assert_eq!(waited.load(Ordering::Relaxed), BURST);
    let second = &bus.statistics().subscribers[1];
    assert_eq!(dropped.load(Ordering::Relaxed) + second.dropped, BURST);
    assert_eq!(second.delivered, dropped.load(Ordering::Relaxed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_subscribers_get_every_message() {
    let bus = Bus::start();
    let mut subscriptions: Vec<_> = (0..1_000)
        .map(|number| {
            bus.subscribe(SubscriberOptions::new(format!("s{number}")))
                .unwrap()
        })
        .collect();
    for number in 0..50 {
        bus.publish(note(number)).await.unwrap();
    }
    for subscription in &mut subscriptions {
        assert!(waiting(subscription).await.into_iter().eq(0..50));
    }
}

#[test]
fn an_async_handler_outside_of_a_runtime_is_an_error_and_the_last_clone_stops_the_bus() {
    let bus: Bus<Note> = Bus::start();
    let refused = bus.handle(SubscriberOptions::new("async"), |_| async { Ok(()) });
    assert_eq!(refused.err(), Some(Error::NoRuntime));
    let mut subscription = bus.subscribe(SubscriberOptions::new("left alone")).unwrap();
    drop(bus);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    assert!(runtime.block_on(subscription.recv()).is_none());
}

struct Counted(AtomicU64);

impl Stamp for Counted {
    fn id(&self) -> uuid::Uuid {
        uuid::Uuid::from_u128(self.0.fetch_add(1, Ordering::SeqCst).into())
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(7).unwrap()
    }
}

#[tokio::test]
async fn an_emitter_says_when_and_for_whom_and_is_silent_when_nobody_listens() {
    let bus: Bus<Emitted<Note>> = Bus::start();
    let emitter = Emitter::new(bus.clone(), Arc::new(Counted(AtomicU64::new(1))));
    emitter.emit(|| panic!("nobody wants it"));
    let mut subscription = bus.subscribe(SubscriberOptions::new("listens")).unwrap();
    let context = Context {
        request_id: Some("r-1".into()),
        task_id: Some("t-1".into()),
    };
    emitter.emit(|| note(1));
    context
        .clone()
        .scope(async { emitter.clone().emit(|| note(2)) })
        .await;
    let first = subscription.recv().await.unwrap();
    assert_eq!(
        (first.id.as_u128(), first.context.clone()),
        (1, Context::default())
    );
    let second = subscription.recv().await.unwrap();
    assert_eq!(second.context, context);
    assert_eq!((second.id.as_u128(), second.at.as_second()), (2, 7));
    assert_eq!(second.kind(), "note");
    bus.stop();
    emitter.emit(|| note(3));
}
