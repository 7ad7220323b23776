//! How jobs come in and go out: admission, deadlines, cancelling, panics, shutdown, figures.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::{Act, Lab, ids, job, leaves, quiet, single, start, submit, submit_until};
use futures_util::future::join_all;
use futures_util::poll;
use journeyman_event::Priority;
use journeyman_queue::{
    AdmissionError, Queue, QueueOptions, Removal, RunOutcome, Runner, Stop, StopReason, Stopped,
    WhenFull, Withdrawal,
};
use tokio::sync::Notify;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const MEDIUM: Priority = Priority::MEDIUM;

fn full(places: usize) -> QueueOptions {
    QueueOptions {
        capacity: places,
        ..single()
    }
}

async fn refused(queue: &Queue<Lab>, id: &str, full: WhenFull) -> AdmissionError<String> {
    let admitted = queue.admit(id.into(), &[], full).await;
    admitted.expect_err("it is refused")
}

#[tokio::test(start_paused = true)]
async fn the_101st_is_admitted_the_moment_one_leaves_and_the_102nd_after_it() {
    let (queue, _lab) = start(&single());
    queue.set_max_concurrent(0);
    for n in 0..100 {
        submit(&queue, &n.to_string(), MEDIUM).await;
    }
    let wait = WhenFull::Wait(SECOND * 100);
    let mut first = Box::pin(queue.admit("first".into(), &[], wait));
    let mut second = Box::pin(queue.admit("second".into(), &[], wait));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    assert!(matches!(
        refused(&queue, "third", WhenFull::Refuse).await,
        AdmissionError::Full { .. }
    ));
    let before = Instant::now();
    leaves(queue.cancel(&"50".into()));
    let permit = first.await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert!(poll!(&mut second).is_pending());
    // A start frees a place as well, and so does a permit that is not used.
    queue.set_max_concurrent(1);
    let second = second.await.unwrap();
    let mut third = Box::pin(queue.admit("third".into(), &[], wait));
    assert!(poll!(&mut third).is_pending());
    drop(permit);
    third.await.unwrap().submit(MEDIUM, None);
    second.submit(MEDIUM, None);
    assert_eq!(queue.statistics().occupied, 100);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_too_long_for_a_place_is_refused_at_the_deadline() {
    let (queue, _lab) = start(&full(1));
    submit(&queue, "runs", MEDIUM).await;
    submit(&queue, "waits", MEDIUM).await;
    let begin = Instant::now();
    let refusal = refused(&queue, "late", WhenFull::Wait(SECOND * 3)).await;
    assert!(matches!(refusal, AdmissionError::WaitedTooLong { .. }));
    assert_eq!(begin.elapsed(), SECOND * 3);
    assert_eq!(queue.statistics().submitters, 0);
    assert_eq!(queue.statistics().counts.refused, 1);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_came_to_one_who_had_gone_goes_to_the_next() {
    let (queue, _lab) = start(&full(1));
    submit(&queue, "runs", MEDIUM).await;
    submit(&queue, "waits", MEDIUM).await;
    let wait = WhenFull::Wait(SECOND * 100);
    let mut gone = Box::pin(queue.admit("gone".into(), &[], wait));
    let mut granted = Box::pin(queue.admit("granted".into(), &[], wait));
    let mut last = Box::pin(queue.admit("last".into(), &[], wait));
    assert!(poll!(&mut gone).is_pending());
    assert!(poll!(&mut granted).is_pending());
    assert!(poll!(&mut last).is_pending());
    drop(gone);
    leaves(queue.cancel(&"waits".into()));
    // It has the place, but does not know yet.
    drop(granted);
    last.await.unwrap().submit(MEDIUM, None);
    assert_eq!(queue.statistics().occupied, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_when_a_place_should_be_free() {
    let (queue, lab) = start(&full(1));
    let retry_after = async || match refused(&queue, "late", WhenFull::Refuse).await {
        AdmissionError::Full { retry_after } => retry_after,
        other => panic!("{other}"),
    };
    submit(&queue, "runs", MEDIUM).await;
    submit(&queue, "waits", MEDIUM).await;
    assert_eq!(retry_after().await, SECOND);
    tokio::time::sleep(SECOND * 10).await;
    lab.free("runs");
    quiet().await;
    submit(&queue, "next", MEDIUM).await;
    assert!(retry_after().await.abs_diff(SECOND * 10) < SECOND);
}

#[tokio::test(start_paused = true)]
async fn too_many_waiting_submitters_are_refused() {
    let options = QueueOptions {
        submitters_max: 0,
        ..full(1)
    };
    let (queue, _lab) = start(&options);
    submit(&queue, "runs", MEDIUM).await;
    submit(&queue, "waits", MEDIUM).await;
    let refusal = refused(&queue, "late", WhenFull::Wait(SECOND)).await;
    assert!(matches!(refusal, AdmissionError::Full { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_at_once_all_finish_or_are_refused() {
    let (queue, lab) = start(&QueueOptions::default());
    let submitting = (0..1_000).map(|n| {
        let (queue, lab) = (queue.clone(), lab.clone());
        async move {
            let id = n.to_string();
            lab.act(&id, Act::Done);
            let rule = if n % 2 == 0 {
                WhenFull::Refuse
            } else {
                WhenFull::Wait(SECOND)
            };
            let permit = queue.admit(id.clone(), &[], rule).await.ok()?;
            permit.submit(MEDIUM, None);
            queue.ended(&id).await.unwrap();
            Some(id)
        }
    });
    let finished: HashSet<String> = join_all(submitting).await.into_iter().flatten().collect();
    let starts = lab.log().into_iter().filter(|line| line.starts_with('+'));
    let started: Vec<String> = starts.map(|line| line[1..].to_owned()).collect();
    assert_eq!(started.len(), finished.len(), "each ran once");
    assert_eq!(started.into_iter().collect::<HashSet<_>>(), finished);
    let statistics = queue.statistics();
    assert!(
        finished.len() >= 500,
        "all that could wait: {}",
        finished.len()
    );
    assert_eq!(statistics.counts.refused + finished.len() as u64, 1_000);
    assert_eq!((statistics.occupied, statistics.running), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_admitted_waits_or_runs_is_refused_a_second_time() {
    let (queue, lab) = start(&full(2));
    let again = async |id: &str| refused(&queue, id, WhenFull::Wait(SECOND)).await;
    let duplicate = |id: &str| AdmissionError::Duplicate { id: id.into() };
    submit(&queue, "a", MEDIUM).await;
    assert_eq!(again("a").await, duplicate("a"));
    submit(&queue, "b", MEDIUM).await;
    assert_eq!(again("b").await, duplicate("b"));
    let permit = queue
        .admit("c".into(), &[], WhenFull::Refuse)
        .await
        .unwrap();
    assert_eq!(again("c").await, duplicate("c"));
    assert_eq!(
        queue.recover([job("c", MEDIUM)]),
        [("c".into(), duplicate("c"))]
    );
    let mut waits = Box::pin(queue.admit("d".into(), &[], WhenFull::Wait(SECOND)));
    assert!(poll!(&mut waits).is_pending());
    assert_eq!(again("d").await, duplicate("d"));
    drop((permit, waits));
    lab.free("a");
    quiet().await;
    submit(&queue, "a", MEDIUM).await;
    assert_eq!(queue.statistics().occupied, 1);
}

#[tokio::test(start_paused = true)]
async fn recovered_jobs_ignore_the_bound_and_keep_their_order() {
    let (queue, lab) = start(&full(1));
    let mut first = job("first", MEDIUM);
    first.depends_on = ids(&["second"]);
    let refused = queue.recover([first, job("second", MEDIUM), job("third", Priority::HIGH)]);
    assert_eq!(refused, []);
    quiet().await;
    lab.free("third");
    quiet().await;
    lab.free("second");
    quiet().await;
    let expected = ["+third", "-third", "+second", "-second", "+first"];
    assert_eq!(lab.log(), expected);
    assert_eq!(queue.statistics().counts.recovered, 3);
}

#[tokio::test(start_paused = true)]
async fn a_panic_harms_no_other_and_costs_no_slot() {
    let (queue, lab) = start(&single());
    for n in 0..10 {
        let id = format!("bad-{n}");
        lab.act(&id, Act::Panic);
        submit(&queue, &id, MEDIUM).await;
        let words = format!("{id} had enough");
        assert_eq!(lab.removals(), [(id.clone(), Removal::Panicked(words))]);
        assert_eq!(queue.ended(&id).await, Ok(()));
    }
    lab.log();
    submit(&queue, "good", MEDIUM).await;
    assert_eq!(lab.log(), ["+good"]);
    assert_eq!(queue.statistics().counts.panicked, 10);
    assert_eq!(queue.statistics().running, 1);
}

fn withdrawn(id: &str) -> Vec<(String, Removal<String>)> {
    vec![(id.into(), Removal::Withdrawn(StopReason::TimedOut))]
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_ends_a_job_at_once_and_it_does_not_run() {
    let (queue, lab) = start(&QueueOptions::default());
    submit_until(&queue, "zero", MEDIUM, Some(Instant::now())).await;
    assert_eq!(lab.log(), ids(&[]));
    assert_eq!(lab.removals(), withdrawn("zero"));
    assert_eq!(queue.statistics().counts.timed_out, 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_job_ends_at_its_deadline_and_not_before() {
    let (queue, lab) = start(&single());
    submit(&queue, "x", MEDIUM).await;
    let begin = Instant::now();
    submit_until(&queue, "late", MEDIUM, Some(begin + SECOND * 90_000)).await;
    submit_until(&queue, "soon", MEDIUM, Some(begin + SECOND * 2)).await;
    queue.ended(&"soon".into()).await.unwrap();
    assert!(begin.elapsed().abs_diff(SECOND * 2) < Duration::from_millis(5));
    assert_eq!(lab.removals(), withdrawn("soon"));
    queue.ended(&"late".into()).await.unwrap();
    assert!(begin.elapsed().abs_diff(SECOND * 90_000) < Duration::from_millis(5));
    assert_eq!(lab.log(), ["+x"]);
}

#[tokio::test(start_paused = true)]
async fn a_running_job_is_told_at_its_deadline_and_records_its_end_itself() {
    let (queue, lab) = start(&QueueOptions::default());
    submit_until(&queue, "a", MEDIUM, Some(Instant::now() + SECOND)).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(lab.log(), ["+a", "a: its deadline has passed", "-a"]);
    assert_eq!(lab.removals(), []);
    assert_eq!(queue.statistics().counts.timed_out, 1);
}

#[tokio::test(start_paused = true)]
async fn a_preempted_job_keeps_its_deadline() {
    let (queue, lab) = start(&single());
    submit_until(&queue, "low", Priority::LOW, Some(Instant::now() + SECOND)).await;
    submit(&queue, "critical", Priority::CRITICAL).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(lab.removals(), withdrawn("low"));
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_end_is_dropped_after_the_grace_and_its_slot_is_free() {
    let (queue, lab) = start(&single());
    for (id, reason) in [
        ("timed-out", StopReason::TimedOut),
        ("cancelled", StopReason::Cancelled),
    ] {
        lab.act(id, Act::Ignore);
        let in_time = reason == StopReason::TimedOut;
        let deadline = in_time.then(|| Instant::now() + SECOND);
        submit_until(&queue, id, MEDIUM, deadline).await;
        let end = match reason {
            StopReason::Cancelled => match queue.cancel(&id.into()) {
                Withdrawal::Running(end) => end,
                Withdrawal::WasWaiting(_) | Withdrawal::Unknown => panic!("it runs"),
            },
            _ => queue.ended(&id.into()),
        };
        let until_told = if in_time { SECOND } else { Duration::ZERO };
        tokio::time::sleep(until_told + Duration::from_millis(4_900)).await;
        assert_eq!(lab.log(), [format!("+{id}")]);
        tokio::time::sleep(SECOND / 5).await;
        assert_eq!(lab.log(), [format!("-{id}")]);
        end.await.unwrap();
        assert_eq!(
            lab.removals(),
            [(id.to_owned(), Removal::Abandoned(reason))]
        );
    }
    submit(&queue, "good", MEDIUM).await;
    assert_eq!(lab.log(), ["+good"]);
    assert_eq!(queue.statistics().counts.abandoned, 2);
}

#[tokio::test(start_paused = true)]
async fn cancelling_can_be_repeated_in_every_state() {
    let (queue, lab) = start(&single());
    lab.act("a", Act::Ignore);
    submit(&queue, "a", MEDIUM).await;
    submit(&queue, "b", MEDIUM).await;
    let cancel = |id: &str| queue.cancel(&id.to_owned());
    assert!(matches!(cancel("never-was"), Withdrawal::Unknown));
    let held = cancel("b");
    assert!(
        matches!(cancel("b"), Withdrawal::Unknown),
        "it is on its way"
    );
    leaves(held);
    assert!(matches!(cancel("b"), Withdrawal::Unknown));
    let Withdrawal::Running(first) = cancel("a") else {
        panic!("it runs");
    };
    let Withdrawal::Running(second) = cancel("a") else {
        panic!("it runs");
    };
    lab.free("a");
    assert_eq!((first.await, second.await), (Ok(()), Ok(())));
    assert!(matches!(cancel("a"), Withdrawal::Unknown));
    assert_eq!(queue.statistics().counts.cancelled, 2);
    let permit = queue
        .admit("c".into(), &[], WhenFull::Refuse)
        .await
        .unwrap();
    assert!(matches!(cancel("c"), Withdrawal::Unknown));
    permit.submit(MEDIUM, None);
    quiet().await;
    assert_eq!(lab.log(), ["+a", "-a", "+c"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_job_has_all_the_time_it_needs_and_comes_back_by_recovery() {
    let (queue, lab) = start(&single());
    lab.act("a", Act::Ignore);
    submit(&queue, "a", MEDIUM).await;
    submit(&queue, "b", MEDIUM).await;
    leaves(queue.pause(&"b".into()));
    assert!(matches!(queue.pause(&"a".into()), Withdrawal::Running(_)));
    tokio::time::sleep(SECOND * 1_000).await;
    assert_eq!(lab.log(), ["+a"]);
    lab.free("a");
    quiet().await;
    queue.recover([job("b", MEDIUM)]);
    quiet().await;
    assert_eq!(lab.log(), ["-a", "+b"]);
    queue.pause(&"b".into());
    quiet().await;
    assert_eq!(lab.log(), ["b: paused", "-b"]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_job_whose_leaving_is_not_recorded_stands_where_it_stood() {
    let (queue, lab) = start(&single());
    for id in ["runs", "first", "second", "third"] {
        submit(&queue, id, MEDIUM).await;
    }
    let held = queue.cancel(&"second".into());
    assert!(queue.contains(&"second".into()), "it keeps its place");
    assert_eq!(queue.statistics().occupied, 3);
    lab.free("runs");
    quiet().await;
    lab.free("first");
    quiet().await;
    assert_eq!(lab.log(), ["+runs", "-runs", "+first", "-first", "+third"]);
    drop(held);
    submit(&queue, "fourth", MEDIUM).await;
    lab.free("third");
    quiet().await;
    assert_eq!(lab.log(), ["-third", "+second"]);
    assert_eq!(queue.statistics().counts.cancelled, 0);
}

#[tokio::test(start_paused = true)]
async fn a_held_job_whose_deadline_passes_is_out_and_another_of_its_name_is_left_alone() {
    let (queue, lab) = start(&single());
    queue.set_max_concurrent(0);
    submit_until(&queue, "a", MEDIUM, Some(Instant::now() + SECOND)).await;
    let held = queue.cancel(&"a".into());
    tokio::time::sleep(SECOND * 2).await;
    assert!(!queue.contains(&"a".into()));
    assert_eq!(lab.removals().len(), 1);
    submit(&queue, "a", MEDIUM).await;
    leaves(held);
    assert!(queue.contains(&"a".into()));
    assert_eq!(queue.statistics().counts.cancelled, 0);
}

/// A name that cannot be looked up once a test says so.
#[derive(Clone, Debug)]
struct Fragile(u8, Arc<AtomicBool>);

impl PartialEq for Fragile {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Fragile {}

impl std::hash::Hash for Fragile {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        assert!(!self.1.load(Ordering::Relaxed), "a name that is broken");
        self.0.hash(state);
    }
}

impl std::fmt::Display for Fragile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

struct Never;

impl Runner for Never {
    type Id = Fragile;

    async fn run(&self, _: Fragile, _: Stop<Fragile>) -> RunOutcome {
        RunOutcome::Done
    }

    async fn removed(&self, _: Fragile, _: Removal<Fragile>) {}
}

#[tokio::test(start_paused = true)]
async fn a_queue_whose_own_task_died_says_which() {
    let queue = Queue::start(&single(), Never);
    quiet().await;
    let broken = Arc::new(AtomicBool::new(false));
    queue.set_max_concurrent(0);
    let id = Fragile(1, Arc::clone(&broken));
    let permit = queue.admit(id, &[], WhenFull::Refuse).await.unwrap();
    permit.submit(MEDIUM, None);
    quiet().await;
    assert_eq!(queue.statistics().died, [] as [&str; 0]);
    broken.store(true, Ordering::Relaxed);
    queue.set_max_concurrent(1);
    quiet().await;
    assert_eq!(queue.statistics().died, ["worker"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_says_that_its_time_was_up_is_counted_with_the_late_ones() {
    let (queue, lab) = start(&single());
    lab.act("late", Act::Late);
    submit(&queue, "late", MEDIUM).await;
    lab.act("done", Act::Done);
    submit(&queue, "done", MEDIUM).await;
    let counts = queue.statistics().counts;
    assert_eq!((counts.finished, counts.timed_out), (2, 1));
}

/// Answers that it wants to go back, when it is told to by the test.
#[derive(Clone, Default)]
struct Returns {
    told: Arc<Notify>,
    removals: Arc<Mutex<Vec<Removal<u8>>>>,
}

impl Runner for Returns {
    type Id = u8;

    async fn run(&self, _: u8, _: Stop<u8>) -> RunOutcome {
        self.told.notified().await;
        RunOutcome::Requeue
    }

    async fn removed(&self, _: u8, removal: Removal<u8>) {
        self.removals.lock().unwrap().push(removal);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_wants_to_go_back_after_it_was_cancelled_leaves() {
    let runner = Returns::default();
    let queue = Queue::start(&QueueOptions::default(), runner.clone());
    let permit = queue.admit(1, &[], WhenFull::Refuse).await.unwrap();
    permit.submit(MEDIUM, None);
    quiet().await;
    runner.told.notify_one();
    quiet().await;
    assert_eq!(queue.statistics().counts.started, 2, "it went back once");
    let Withdrawal::Running(end) = queue.cancel(&1) else {
        panic!("it runs");
    };
    runner.told.notify_one();
    end.await.unwrap();
    let expected = [Removal::Withdrawn(StopReason::Cancelled)];
    assert_eq!(*runner.removals.lock().unwrap(), expected);
    assert_eq!(queue.statistics().running, 0);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_refuses_tells_drops_and_leaves_what_waits() {
    let (queue, lab) = start(&QueueOptions {
        capacity: 1,
        max_concurrent: 2,
        ..QueueOptions::default()
    });
    lab.act("stubborn", Act::Ignore);
    submit(&queue, "good", MEDIUM).await;
    submit(&queue, "stubborn", MEDIUM).await;
    submit(&queue, "waits", MEDIUM).await;
    let waits = queue.ended(&"waits".into());
    let mut outside = Box::pin(queue.admit("outside".into(), &[], WhenFull::Wait(SECOND * 99)));
    assert!(poll!(&mut outside).is_pending());
    lab.log();
    let begin = Instant::now();
    let mut shutdown = Box::pin(queue.shutdown(SECOND * 3));
    assert!(poll!(&mut shutdown).is_pending());
    assert_eq!(
        outside.await.expect_err("refused"),
        AdmissionError::ShuttingDown
    );
    assert_eq!(
        refused(&queue, "new", WhenFull::Refuse).await,
        AdmissionError::ShuttingDown
    );
    assert_eq!(waits.await, Err(Stopped));
    assert_eq!(queue.ended(&"waits".into()).await, Err(Stopped));
    shutdown.await;
    assert_eq!(begin.elapsed().as_secs(), 3);
    let expected = ["good: the queue is shutting down", "-good", "-stubborn"];
    assert_eq!(lab.log(), expected);
    let dropped = Removal::Abandoned(StopReason::Shutdown);
    assert_eq!(lab.removals(), [("stubborn".into(), dropped)]);
    let statistics = queue.statistics();
    assert_eq!((statistics.running, statistics.occupied), (0, 1));
    // It is still now, and stays so.
    queue.shutdown(SECOND).await;
    assert_eq!(begin.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_second_shutdown_without_grace_stops_at_once() {
    let (queue, lab) = start(&single());
    lab.act("stubborn", Act::Ignore);
    submit(&queue, "stubborn", MEDIUM).await;
    let begin = Instant::now();
    tokio::join!(queue.shutdown(SECOND * 100), async {
        tokio::time::sleep(SECOND).await;
        queue.shutdown(Duration::ZERO).await;
    });
    assert!(begin.elapsed() < SECOND * 2);
}

#[tokio::test(start_paused = true)]
async fn a_queue_without_handles_starts_nothing_more() {
    let (queue, lab) = start(&single());
    submit(&queue, "a", MEDIUM).await;
    submit(&queue, "b", MEDIUM).await;
    drop(queue);
    lab.free("a");
    quiet().await;
    assert_eq!(lab.log(), ["+a", "-a"]);
}

/// Holds its thread until the test lets it go.
struct Blocks(
    std::sync::Mutex<mpsc::Receiver<()>>,
    mpsc::Sender<Removal<u8>>,
);

impl Runner for Blocks {
    type Id = u8;

    async fn run(&self, id: u8, _: Stop<u8>) -> RunOutcome {
        if id == 0 {
            let _ = self.0.lock().unwrap().recv();
            panic!("too late to be recorded");
        }
        RunOutcome::Done
    }

    async fn removed(&self, _: u8, removal: Removal<u8>) {
        self.1.send(removal).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn work_that_holds_its_thread_loses_its_slot_all_the_same() {
    let (free, held) = mpsc::channel();
    let (tell, removals) = mpsc::channel();
    let options = QueueOptions {
        kill_grace: Duration::from_millis(20),
        ..single()
    };
    let queue = Queue::start(&options, Blocks(held.into(), tell));
    let admitted = queue.admit(0, &[], WhenFull::Refuse).await.unwrap();
    admitted.submit(MEDIUM, Some(Instant::now() + Duration::from_millis(20)));
    queue.ended(&0).await.unwrap();
    let expected = Removal::Abandoned(StopReason::TimedOut);
    assert_eq!(removals.recv().unwrap(), expected);
    queue
        .admit(1, &[], WhenFull::Refuse)
        .await
        .unwrap()
        .submit(MEDIUM, None);
    queue.ended(&1).await.unwrap();
    free.send(()).unwrap();
    assert_eq!(queue.statistics().counts.finished, 1);
    drop(queue);
    // The runner goes with the last run.
    assert!(removals.recv().is_err(), "it is recorded once");
}

#[tokio::test(start_paused = true)]
async fn statistics_say_how_things_are_under_load() {
    let (queue, lab) = start(&QueueOptions {
        max_concurrent: 2,
        ..QueueOptions::default()
    });
    for (id, priority) in [
        ("a", MEDIUM),
        ("b", MEDIUM),
        ("c", Priority::LOW),
        ("d", MEDIUM),
    ] {
        submit(&queue, id, priority).await;
    }
    submit(&queue, "e", MEDIUM).await;
    let _permit = queue
        .admit("f".into(), &[], WhenFull::Refuse)
        .await
        .unwrap();
    tokio::time::sleep(SECOND * 4).await;
    let now = queue.statistics();
    assert_eq!(now.depth, [(MEDIUM, 2), (Priority::LOW, 1)]);
    assert_eq!((now.occupied, now.running, now.submitters), (4, 2, 0));
    assert_eq!(now.oldest_waiting.unwrap().as_secs(), 4);
    assert_eq!(now.service_time, None);
    lab.free("a");
    lab.free("b");
    quiet().await;
    let now = queue.statistics();
    assert_eq!(
        (
            now.counts.submitted,
            now.counts.started,
            now.counts.finished
        ),
        (5, 4, 2)
    );
    let served = now.service_time.unwrap().p50;
    assert!(served.abs_diff(SECOND * 4) < SECOND / 10, "{served:?}");
    let waited = now.waiting_time.unwrap();
    assert!(
        waited.p50 < SECOND && waited.max >= SECOND * 4,
        "{waited:?}"
    );
    assert_eq!(now.depth, [(Priority::LOW, 1)]);
}
