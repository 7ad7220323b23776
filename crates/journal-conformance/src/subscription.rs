//! Tests that a subscriber gets every event once and in order, however it races with writers.

use std::sync::Arc;

use crate::{Fresh, Maker, fresh, of_task, user};
use journeyman_event::{Principal, Randomness, SeededRandom, Sequence};
use journeyman_journal::{Filter, Journal};
use tokio::task::{JoinSet, yield_now};

const WRITERS: u64 = 8;
const APPENDS: u64 = 60;

/// Eight writers that append 1 to 4 events at a time to four streams. Returns the number of events.
async fn write(journal: Journal, seed: u64) -> u64 {
    let (make, random) = (
        Arc::new(Maker::new(seed)),
        Arc::new(SeededRandom::new(seed)),
    );
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (journal, make, random) = (journal.clone(), make.clone(), random.clone());
        writers.spawn(async move {
            let (me, mut count) = (Principal::local(), 0);
            for _ in 0..APPENDS {
                let events = 1 + random.next_u64() % 4;
                let task = format!("t-{}", writer % 4);
                let append = make.append(&me, &task, usize::try_from(events).unwrap());
                journal.append(&me, append).await.unwrap();
                count += events;
            }
            count
        });
    }
    writers.join_all().await.into_iter().sum()
}

/// Reads until the last event of the stream `end`, and occasionally drops the subscription and subscribes again
/// with `after`; a slow reader yields at random.
async fn follow(journal: Journal, after: u64, seed: u64, slow: bool) -> Vec<u64> {
    let (me, random) = (Principal::local(), SeededRandom::new(seed));
    let mut seen = Vec::new();
    let mut position = Sequence(after);
    let mut subscription = journal.subscribe(&me, Filter::default(), position);
    loop {
        let event = subscription.next().await.unwrap();
        position = event.sequence();
        seen.push(position.0);
        if event.task_id().as_str() == "end" {
            return seen;
        }
        if random.next_u64().is_multiple_of(150) {
            subscription = journal.subscribe(&me, Filter::default(), position);
        }
        if slow {
            for _ in 0..random.next_u64() % 30 {
                yield_now().await;
            }
        }
    }
}

pub async fn racing_appends_reach_every_subscriber_once_and_in_order(store: Fresh) {
    for seed in 0..3 {
        let (_store, journal) = fresh(store);
        let (me, random) = (Principal::local(), SeededRandom::new(seed));
        let writing = tokio::spawn(write(journal.clone(), seed));
        let mut readers = JoinSet::new();
        for reader in 0..12 {
            // They join while the writers are at it, somewhere before or after the head.
            while journal.head(&Principal::system()).await.unwrap().sequence.0 < reader * 50 {
                yield_now().await;
            }
            let after = random.next_u64() % (reader * 60 + 1);
            let followed = follow(journal.clone(), after, seed ^ (reader + 1), reader % 2 == 0);
            readers.spawn(async move { (after, followed.await) });
        }
        let count = writing.await.unwrap();
        journal
            .append(&me, Maker::new(99).append(&me, "end", 1))
            .await
            .unwrap();
        for (after, seen) in readers.join_all().await {
            assert_eq!(
                seen,
                (after + 1..=count + 1).collect::<Vec<u64>>(),
                "seed {seed}"
            );
        }
    }
}

pub async fn a_filtered_subscription_gets_its_own_events_only(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(99));
    let reader = journal.clone();
    let reading = tokio::spawn(async move {
        let mut subscription = reader.subscribe(&Principal::local(), of_task("t-2"), Sequence(0));
        let mut revisions = Vec::new();
        loop {
            let event = subscription.next().await.unwrap();
            revisions.push(event.revision().0);
            if event.actor() == "end" {
                return revisions;
            }
        }
    });
    write(journal.clone(), 7).await;
    let mut last = make.draft(&me, "t-2", "");
    last.actor = "end".to_owned();
    let events = vec![crate::new_event(last)];
    let append = crate::append("t-2", journeyman_journal::Expected::Any, events);
    let last = journal.append(&me, append).await.unwrap();
    let expected: Vec<u64> = (1..=last.events[0].revision().0).collect();
    assert_eq!(reading.await.unwrap(), expected);
}

pub async fn a_subscriber_waits_while_only_others_write(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, other, make) = (Principal::local(), user("other"), Maker::new(1));
    let mut subscription = journal.subscribe(&me, Filter::default(), Sequence::ZERO);
    for _ in 0..50 {
        let theirs = make.append(&other, "t-1", 1);
        tokio::select! {
            biased;
            event = subscription.next() => panic!("{event:?}"),
            written = journal.append(&other, theirs) => assert!(written.is_ok()),
        }
    }
    journal
        .append(&me, make.append(&me, "t-1", 1))
        .await
        .unwrap();
    assert_eq!(subscription.next().await.unwrap().sequence(), Sequence(51));
}

/// Drops the future at every point where it waits.
pub async fn a_dropped_wait_loses_nothing(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let mut subscription = journal.subscribe(&me, Filter::default(), Sequence::ZERO);
    let mut seen = Vec::new();
    for _ in 0..100 {
        journal
            .append(&me, make.append(&me, "t-1", 3))
            .await
            .unwrap();
        for polls in 1..4 {
            let mut left = polls;
            let mut next = Box::pin(subscription.next());
            let given = std::future::poll_fn(|context| {
                left -= 1;
                match next.as_mut().poll(context) {
                    std::task::Poll::Ready(event) => std::task::Poll::Ready(Some(event)),
                    std::task::Poll::Pending if left > 0 => {
                        context.waker().wake_by_ref();
                        std::task::Poll::Pending
                    }
                    std::task::Poll::Pending => std::task::Poll::Ready(None),
                }
            });
            if let Some(event) = given.await {
                seen.push(event.unwrap().sequence().0);
            }
        }
    }
    while seen.len() < 300 {
        seen.push(subscription.next().await.unwrap().sequence().0);
    }
    assert_eq!(seen, (1..=300).collect::<Vec<u64>>());
}

pub async fn a_backlog_of_many_pages_is_given_whole(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    // Two full pages exactly, then none, then one more.
    journal
        .append(&me, make.append(&me, "t-1", 1_000))
        .await
        .unwrap();
    let mut subscription = journal.subscribe(&me, Filter::default(), Sequence::ZERO);
    for expected in 1..=1_000 {
        assert_eq!(subscription.next().await.unwrap().sequence().0, expected);
    }
    journal
        .append(&me, make.append(&me, "t-1", 1))
        .await
        .unwrap();
    assert_eq!(subscription.next().await.unwrap().sequence().0, 1_001);
}

pub async fn a_position_beyond_the_end_is_waited_for(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let mut subscription = journal.subscribe(&me, Filter::default(), Sequence(5));
    journal
        .append(&me, make.append(&me, "t-1", 7))
        .await
        .unwrap();
    assert_eq!(subscription.next().await.unwrap().sequence(), Sequence(6));
}

pub async fn a_read_only_journal_follows_live_appends(store: Fresh) {
    let (store, journal) = fresh(store);
    let me = Principal::local();
    let reader = store.open_read_only();
    assert!(reader.holder().is_some());
    assert_eq!(reader.store_part(), journal.store_part());
    let following = tokio::spawn(follow(reader.clone(), 0, 5, false));
    let count = write(journal.clone(), 5).await;
    journal
        .append(&me, Maker::new(99).append(&me, "end", 1))
        .await
        .unwrap();
    assert_eq!(
        following.await.unwrap(),
        (1..=count + 1).collect::<Vec<u64>>()
    );
    let refused = reader
        .append(&me, Maker::new(98).append(&me, "t-1", 1))
        .await;
    assert_eq!(refused.unwrap_err(), journeyman_journal::Error::ReadOnly);
}

pub async fn a_live_reader_that_falls_far_behind_misses_nothing(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let mut subscription = journal.subscribe(&me, Filter::default(), Sequence::ZERO);
    let mut expected = 0;
    // More than ever waits for a reader, and fewer, in turns.
    for events in [1, 2_000, 3, 700, 257, 256, 255, 1_000] {
        let mut appended = 0;
        while appended < events {
            let count = (events - appended).min(100);
            let append = make.append(&me, "t-1", count);
            journal.append(&me, append).await.unwrap();
            appended += count;
        }
        for _ in 0..events {
            expected += 1;
            assert_eq!(subscription.next().await.unwrap().sequence().0, expected);
        }
    }
}

/// Between its events are those of other tasks, and of another owner's task with the same id. A reader whose
/// filter has further conditions sees only some of its own events.
pub async fn a_live_reader_of_one_task_that_falls_far_behind_misses_nothing(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, other, make) = (Principal::local(), user("other"), Maker::new(1));
    let mut all = journal.subscribe(&me, of_task("t-1"), Sequence::ZERO);
    let nobody = Filter {
        actor: Some("nobody".to_owned()),
        ..of_task("t-1")
    };
    let mut none = journal.subscribe(&me, nobody, Sequence::ZERO);
    let mut expected = 0;
    for events in [1, 600, 2, 257, 256, 255, 1, 900] {
        let mut appended = 0;
        while appended < events {
            let count = (events - appended).min(40);
            appended += count;
            for (who, task, count) in [(&other, "t-1", 3), (&me, "t-1", count), (&me, "t-2", 2)] {
                let append = make.append(who, task, count);
                journal.append(who, append).await.unwrap();
            }
        }
        for _ in 0..events {
            expected += 1;
            let event = all.next().await.unwrap();
            assert_eq!((event.revision().0, event.owner()), (expected, me.owner()));
        }
    }
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(50), none.next());
    assert!(waiting.await.is_err(), "an event that is nobody's");
}
