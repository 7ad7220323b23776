//! Tests with many concurrent writers.

use std::sync::Arc;

use crate::{
    Fresh, Maker, all, append, assert_sound, at, fresh, lines, of_task, revisions, sequences,
};
use journeyman_event::{Principal, Sequence};
use journeyman_journal::{Append, Appended, Error, Expected, Journal};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const WRITERS: u64 = 100;

fn numbers(to: u64) -> Vec<u64> {
    (1..=to).collect()
}

/// Each writer appends to a stream of its own and, without an expected revision, to a shared one.
pub async fn a_hundred_writers_leave_no_gap_and_no_repeat(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Arc::new(Maker::new(1)));
    let start = Arc::new(Barrier::new(100));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (journal, make, start, me) = (journal.clone(), make.clone(), start.clone(), me.clone());
        writers.spawn(async move {
            let (own, mut shared) = (format!("own-{writer}"), 0);
            let mut counts = (0, 0);
            start.wait().await;
            for round in 0..10 {
                let two = append(&own, at(round * 2), make.events(&me, &own, 2));
                journal.append(&me, two).await.unwrap();
                counts.0 += 2;
                let one = append("shared", at(shared), make.events(&me, "shared", 1));
                match journal.append(&me, one).await {
                    Ok(answer) => {
                        shared = answer.events[0].revision().0;
                        counts.1 += 1;
                    }
                    Err(Error::WrongRevision { actual, .. }) => shared = actual.0,
                    Err(other) => panic!("{other:?}"),
                }
            }
            counts
        });
    }
    let counts = writers.join_all().await;
    let own: u64 = counts.iter().map(|counts| counts.0).sum();
    let shared: u64 = counts.iter().map(|counts| counts.1).sum();
    assert_eq!(
        own,
        WRITERS * 20,
        "a conflict elsewhere never fails an append"
    );
    assert!(shared > 0);

    let events = all(&journal, &me).await;
    assert_eq!(sequences(&events), numbers(own + shared));
    let of = async |task: &str| {
        let page = journal
            .read(&me, &of_task(task), Sequence::ZERO, 10_000)
            .await
            .unwrap()
            .events;
        revisions(&page)
    };
    assert_eq!(of("shared").await, numbers(shared));
    for writer in 0..WRITERS {
        assert_eq!(of(&format!("own-{writer}")).await, numbers(20));
    }
    assert_sound(&journal).await;
}

/// Makes many calls concurrently, from one async task.
async fn at_once(journal: &Journal, appends: Vec<Append>) -> Vec<Result<Appended, Error>> {
    let me = Principal::local();
    let mut calls: Vec<_> = appends
        .into_iter()
        .map(|one| Box::pin(journal.append(&me, one)))
        .collect();
    let mut answers: Vec<Option<_>> = calls.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (call, answer) in calls.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let std::task::Poll::Ready(result) = call.as_mut().poll(context)
            {
                *answer = Some(result);
            }
        }
        if answers.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}

pub async fn of_those_who_expect_the_same_revision_exactly_one_wins(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    for round in 0..20 {
        let rivals = (0..20).map(|_| append("t-1", at(round), make.events(&me, "t-1", 1)));
        let answers = at_once(&journal, rivals.collect()).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        for answer in answers {
            assert!(answer.map_or_else(|error| error.is_conflict(), |_| true));
        }
    }
    assert_eq!(sequences(&all(&journal, &me).await), numbers(20));
}

pub async fn conflicts_in_a_group_commit_leave_their_neighbours_alone(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let known = make.append(&me, "known", 2);
    journal.append(&me, known.clone()).await.unwrap();
    let mut appends = Vec::new();
    for n in 0..50 {
        appends.push(make.append(&me, &format!("good-{n}"), 2));
        appends.push(append("known", at(77), make.events(&me, "known", 1)));
        let mut partly = known.events.clone();
        partly.push(make.event(&me, "known", "new"));
        appends.push(append("known", Expected::Any, partly));
        appends.push(known.clone());
    }
    for (n, answer) in at_once(&journal, appends).await.into_iter().enumerate() {
        match (n % 4, answer) {
            (0, Ok(answer)) => assert!(!answer.duplicate),
            (1, Err(Error::WrongRevision { .. })) | (2, Err(Error::IdInUse { .. })) => {}
            (3, Ok(answer)) => assert_eq!(sequences(&answer.events), [1, 2]),
            (_, answer) => panic!("{n}: {answer:?}"),
        }
    }
    assert_eq!(sequences(&all(&journal, &me).await), numbers(102));
    assert_sound(&journal).await;
}

pub async fn the_same_append_many_times_at_once_is_written_once(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let one = append("t-1", at(0), make.events(&me, "t-1", 3));
    let answers = at_once(&journal, vec![one; 50]).await;
    let answers: Vec<Appended> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| !answer.duplicate).count(), 1);
    for answer in &answers {
        assert_eq!(lines(&answer.events), lines(&answers[0].events));
    }
    assert_eq!(sequences(&all(&journal, &me).await), [1, 2, 3]);
}

/// More than fit into the queue at a time.
pub async fn callers_wait_when_the_queue_is_full(store: Fresh) {
    let (_store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let appends = (0..3_000)
        .map(|n| make.append(&me, &format!("t-{}", n % 7), 1))
        .collect();
    assert!(at_once(&journal, appends).await.iter().all(Result::is_ok));
    assert_eq!(sequences(&all(&journal, &me).await), numbers(3_000));
    assert_sound(&journal).await;
}

/// Fifty calls of two steps each, because a tokio task yields after 128 operations.
pub async fn dropping_the_journal_finishes_what_it_accepted(store: Fresh) {
    let (store, journal) = fresh(store);
    let (me, make) = (Principal::local(), Maker::new(1));
    let mut calls: Vec<_> = (0..50)
        .map(|_| Box::pin(journal.append(&me, make.append(&me, "t-1", 1))))
        .collect();
    std::future::poll_fn(|context| {
        for call in &mut calls {
            let _ = call.as_mut().poll(context);
        }
        std::task::Poll::Ready(())
    })
    .await;
    drop(calls);
    drop(journal);
    let journal = store.open();
    assert_eq!(sequences(&all(&journal, &me).await), numbers(50));
}
