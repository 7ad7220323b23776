//! Who runs when: order, slots, preemption, dependencies.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::time::Duration;

use common::{Act, Lab, ids, job, leaves, quiet, single, start, submit};
use journeyman_event::Priority;
use journeyman_queue::{AdmissionError, Ageing, Queue, QueueOptions, WhenFull};

/// Frees jobs one after another; in which order they were started.
async fn order(lab: &Lab, first: &str, count: usize) -> Vec<String> {
    lab.log();
    let mut order = Vec::new();
    let mut running = first.to_owned();
    for _ in 0..count {
        lab.free(&running);
        quiet().await;
        let started = lab.log().into_iter().find(|line| line.starts_with('+'));
        started.expect("one was started")[1..].clone_into(&mut running);
        order.push(running.clone());
    }
    order
}

#[tokio::test(start_paused = true)]
async fn the_more_urgent_runs_first_and_equals_in_the_order_of_their_submission() {
    let (queue, lab) = start(&single());
    submit(&queue, "x", Priority::CRITICAL).await;
    for (id, priority) in [
        ("low", Priority::LOW),
        ("medium-1", Priority::MEDIUM),
        ("critical", Priority::CRITICAL),
        ("medium-2", Priority::MEDIUM),
        ("high", Priority::HIGH),
        ("medium-3", Priority::MEDIUM),
    ] {
        submit(&queue, id, priority).await;
    }
    let expected = [
        "critical", "high", "medium-1", "medium-2", "medium-3", "low",
    ];
    assert_eq!(order(&lab, "x", 6).await, expected);
}

#[tokio::test(start_paused = true)]
async fn with_ageing_background_work_is_late_but_not_starved() {
    let ageing = Some(Ageing {
        step: Duration::from_mins(1),
        levels_max: 3,
    });
    for (waited_seconds, first) in [(119, "fresh"), (121, "old")] {
        let (queue, lab) = start(&QueueOptions { ageing, ..single() });
        submit(&queue, "x", Priority::CRITICAL).await;
        submit(&queue, "old", Priority::BACKGROUND).await;
        tokio::time::sleep(Duration::from_secs(waited_seconds)).await;
        submit(&queue, "fresh", Priority::MEDIUM).await;
        assert_eq!(order(&lab, "x", 1).await, [first]);
    }
}

#[tokio::test(start_paused = true)]
async fn ageing_ends_at_its_cap() {
    let ageing = Some(Ageing {
        step: Duration::from_mins(1),
        levels_max: 3,
    });
    let (queue, lab) = start(&QueueOptions { ageing, ..single() });
    submit(&queue, "x", Priority::CRITICAL).await;
    submit(&queue, "old", Priority::BACKGROUND).await;
    tokio::time::sleep(Duration::from_hours(10)).await;
    submit(&queue, "critical", Priority::CRITICAL).await;
    submit(&queue, "high", Priority::HIGH).await;
    // It has risen to HIGH, where it came first; never to CRITICAL.
    assert_eq!(order(&lab, "x", 3).await, ["critical", "old", "high"]);
}

#[tokio::test(start_paused = true)]
async fn an_aged_job_preempts_nobody_and_is_preempted_like_any_other() {
    let ageing = Some(Ageing {
        step: Duration::from_secs(1),
        levels_max: 4,
    });
    let (queue, lab) = start(&QueueOptions { ageing, ..single() });
    submit(&queue, "medium", Priority::MEDIUM).await;
    submit(&queue, "old", Priority::BACKGROUND).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    submit(&queue, "later", Priority::LOW).await;
    assert_eq!(lab.log(), ["+medium"]);
    lab.free("medium");
    quiet().await;
    assert_eq!(lab.log(), ["-medium", "+old"]);
    submit(&queue, "new", Priority::MEDIUM).await;
    assert_eq!(lab.log(), ["old: preempted by new", "-old", "+new"]);
}

#[tokio::test(start_paused = true)]
async fn a_slot_goes_to_the_one_it_was_cleared_for_whoever_has_aged_meanwhile() {
    let ageing = Some(Ageing {
        step: Duration::from_secs(1),
        levels_max: 4,
    });
    let (queue, lab) = start(&QueueOptions { ageing, ..single() });
    submit(&queue, "low", Priority::LOW).await;
    submit(&queue, "old", Priority::BACKGROUND).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    submit(&queue, "high", Priority::HIGH).await;
    assert_eq!(order(&lab, "high", 1).await, ["old"]);
}

#[tokio::test(start_paused = true)]
async fn an_aged_job_keeps_its_slot_against_those_it_was_preferred_to() {
    let ageing = Some(Ageing {
        step: Duration::from_secs(1),
        levels_max: 4,
    });
    let (queue, lab) = start(&QueueOptions { ageing, ..single() });
    submit(&queue, "first", Priority::MEDIUM).await;
    submit(&queue, "old", Priority::BACKGROUND).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    submit(&queue, "second", Priority::MEDIUM).await;
    lab.free("first");
    quiet().await;
    assert_eq!(lab.log(), ["+first", "-first", "+old"]);
}

#[tokio::test(start_paused = true)]
async fn a_difference_of_20_preempts_and_one_of_10_does_not() {
    let (queue, lab) = start(&single());
    submit(&queue, "low", Priority::LOW).await;
    submit(&queue, "medium", Priority::MEDIUM).await;
    assert_eq!(lab.log(), ["+low"]);
    submit(&queue, "high", Priority::HIGH).await;
    assert_eq!(lab.log(), ["low: preempted by high", "-low", "+high"]);
    assert_eq!(queue.statistics().counts.preempted, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_preempted_while_a_slot_is_free() {
    let options = QueueOptions {
        max_concurrent: 2,
        ..QueueOptions::default()
    };
    let (queue, lab) = start(&options);
    submit(&queue, "background", Priority::BACKGROUND).await;
    submit(&queue, "critical", Priority::CRITICAL).await;
    assert_eq!(lab.log(), ["+background", "+critical"]);
}

#[tokio::test(start_paused = true)]
async fn a_preempted_job_goes_to_the_head_of_its_level_even_into_a_full_queue() {
    let (queue, lab) = start(&QueueOptions {
        capacity: 2,
        ..single()
    });
    submit(&queue, "low-1", Priority::LOW).await;
    submit(&queue, "low-2", Priority::LOW).await;
    // Both places are taken when it goes back.
    submit(&queue, "high", Priority::HIGH).await;
    assert_eq!(order(&lab, "high", 2).await, ["low-1", "low-2"]);
}

#[tokio::test(start_paused = true)]
async fn the_least_urgent_is_stopped_and_of_equals_the_one_started_last() {
    let options = QueueOptions {
        max_concurrent: 3,
        ..QueueOptions::default()
    };
    let (queue, lab) = start(&options);
    submit(&queue, "low", Priority::LOW).await;
    submit(&queue, "background-1", Priority::BACKGROUND).await;
    submit(&queue, "background-2", Priority::BACKGROUND).await;
    lab.log();
    for (id, victim) in [("a", "background-2"), ("b", "background-1"), ("c", "low")] {
        submit(&queue, id, Priority::CRITICAL).await;
        let told = format!("{victim}: preempted by {id}");
        assert_eq!(lab.log()[0], told);
    }
    submit(&queue, "d", Priority::CRITICAL).await;
    assert_eq!(lab.log(), ids(&[]));
}

#[tokio::test(start_paused = true)]
async fn one_waiting_job_stops_one_running_job() {
    let options = QueueOptions {
        max_concurrent: 2,
        ..QueueOptions::default()
    };
    let (queue, lab) = start(&options);
    lab.act("slow", Act::Ignore);
    submit(&queue, "other", Priority::LOW).await;
    submit(&queue, "slow", Priority::LOW).await;
    submit(&queue, "urgent", Priority::CRITICAL).await;
    submit(&queue, "patient", Priority::MEDIUM).await;
    assert_eq!(queue.statistics().counts.preempted, 1);
    lab.free("slow");
    quiet().await;
    assert_eq!(lab.log(), ["+other", "+slow", "-slow", "+urgent"]);
}

#[tokio::test(start_paused = true)]
async fn as_many_run_as_may_however_many_workers_there_are_and_however_that_changes() {
    for workers in [1, 3] {
        let options = QueueOptions {
            workers,
            max_concurrent: 2,
            ..QueueOptions::default()
        };
        let (queue, lab) = start(&options);
        queue.recover((0..20).map(|n| job(&n.to_string(), Priority::MEDIUM)));
        let running = || queue.statistics().running;
        quiet().await;
        assert_eq!(running(), 2);
        queue.set_max_concurrent(4);
        quiet().await;
        assert_eq!(running(), 4);
        queue.set_workers(4 - workers);
        lab.free("0");
        quiet().await;
        assert_eq!(running(), 4);
        queue.set_max_concurrent(1);
        quiet().await;
        assert_eq!(running(), 4);
        for (freed, left) in [("1", 3), ("2", 2), ("3", 1), ("4", 1)] {
            lab.free(freed);
            quiet().await;
            assert_eq!(running(), left);
        }
        queue.set_max_concurrent(0);
        lab.free("5");
        quiet().await;
        assert_eq!(running(), 0);
        queue.set_max_concurrent(100);
        queue.set_workers(0);
        quiet().await;
        assert_eq!(running(), 14);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_waits_until_those_it_depends_on_have_ended() {
    let (queue, lab) = start(&QueueOptions::default());
    lab.act("b", Act::Ignore);
    let needs_b = ids(&["b", "never-was"]);
    let a = queue
        .admit("a".into(), &needs_b, WhenFull::Refuse)
        .await
        .unwrap();
    let b = queue
        .admit("b".into(), &[], WhenFull::Refuse)
        .await
        .unwrap();
    queue.mark_ended(&"never-was".into());
    queue.mark_ended(&"b".into()); // which is not so: it is here, and the queue knows better
    a.submit(Priority::CRITICAL, None);
    b.submit(Priority::LAST, None);
    quiet().await;
    assert_eq!(lab.log(), ["+b"]);
    lab.free("b");
    quiet().await;
    assert_eq!(lab.log(), ["-b", "+a"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_job_depends_on_has_also_ended_when_it_was_given_up_cancelled_or_expired() {
    let (queue, lab) = start(&single());
    submit(&queue, "x", Priority::CRITICAL).await;
    let needed = ids(&["permit", "cancelled", "expired"]);
    let permit = queue
        .admit("permit".into(), &[], WhenFull::Refuse)
        .await
        .unwrap();
    submit(&queue, "cancelled", Priority::LOW).await;
    let soon = tokio::time::Instant::now() + Duration::from_secs(1);
    common::submit_until(&queue, "expired", Priority::LOW, Some(soon)).await;
    let last = queue
        .admit("last".into(), &needed, WhenFull::Refuse)
        .await
        .unwrap();
    last.submit(Priority::LOW, None);
    lab.free("x");
    leaves(queue.cancel(&"cancelled".into()));
    drop(permit);
    // What expires runs until then.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let log = lab.log();
    assert_eq!(log.last().unwrap(), "+last", "{log:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_job_depends_on_has_not_ended_while_it_only_rests() {
    let (queue, lab) = start(&QueueOptions::default());
    let admit = async |id: &str, needed: &[&str]| {
        let permit = queue.admit(id.into(), &ids(needed), WhenFull::Refuse).await;
        permit.unwrap().submit(Priority::MEDIUM, None);
        quiet().await;
    };
    submit(&queue, "runs", Priority::MEDIUM).await;
    admit("early", &["runs"]).await;
    drop(queue.pause(&"runs".into()));
    leaves(queue.pause(&"early".into()));
    quiet().await;
    admit("late", &["runs", "early"]).await;
    assert_eq!(lab.log(), ["+runs", "runs: paused", "-runs"]);
    // It comes back and ends; the other one ends where it rests.
    assert_eq!(queue.recover([job("runs", Priority::MEDIUM)]), []);
    lab.free("runs");
    quiet().await;
    assert_eq!(lab.log(), ["+runs", "-runs"]);
    queue.mark_ended(&"early".into());
    quiet().await;
    assert_eq!(lab.log(), ["+late"]);
}

async fn refused(queue: &Queue<Lab>, id: &str, needed: &[&str]) -> AdmissionError<String> {
    let admitted = queue.admit(id.into(), &ids(needed), WhenFull::Refuse).await;
    admitted.expect_err("it is refused")
}

#[tokio::test(start_paused = true)]
async fn a_cycle_is_refused_and_named() {
    let (queue, lab) = start(&single());
    submit(&queue, "x", Priority::CRITICAL).await;
    let admit = async |id: &str, needed: &[&str]| {
        let permit = queue.admit(id.into(), &ids(needed), WhenFull::Refuse).await;
        permit.unwrap().submit(Priority::MEDIUM, None);
    };
    admit("a", &["b"]).await;
    admit("c", &["other", "a"]).await;
    queue.mark_ended(&"other".into());
    let cycle = AdmissionError::Cycle {
        ids: ids(&["b", "c", "a"]),
    };
    assert_eq!(refused(&queue, "b", &["z", "c"]).await, cycle);
    assert_eq!(
        refused(&queue, "self", &["self"]).await.to_string(),
        "self waits for self: none of them could ever start; leave out one of the dependencies"
    );
    // Nothing of it stays: the same job without the circle is good, and all of them run.
    admit("b", &["z"]).await;
    queue.mark_ended(&"z".into());
    assert_eq!(order(&lab, "x", 3).await, ["b", "a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_started_waits_for_nothing_and_closes_no_circle() {
    let (queue, lab) = start(&single());
    let a = queue
        .admit("a".into(), &ids(&["b"]), WhenFull::Refuse)
        .await;
    a.unwrap().submit(Priority::MEDIUM, None);
    queue.mark_ended(&"b".into());
    quiet().await;
    assert_eq!(lab.log(), ["+a"]);
    let b = queue
        .admit("b".into(), &ids(&["a"]), WhenFull::Refuse)
        .await;
    b.unwrap().submit(Priority::MEDIUM, None);
    assert_eq!(order(&lab, "a", 1).await, ["b"]);
}
