//! Tasks that are deleted, and those that no rule of retention keeps.

use std::sync::atomic::AtomicI64;

use jiff::Timestamp;
use journeyman_event::Event;
use journeyman_journal::Error as JournalError;

use super::*;
use crate::{EndedTasks, Retained, Retention};

const DAY: Duration = Duration::from_hours(24);
const MEGABYTE: u64 = 1_000_000;

/// A clock that stands still until it is set.
#[derive(Debug, Default)]
struct Clock(AtomicI64);

impl Clock {
    fn go_on(&self, time: Duration) {
        let seconds = i64::try_from(time.as_secs()).unwrap();
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl TimeSource for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// A service that records and queues, and works on nothing, with a clock that is set by hand.
fn service() -> (Tasks, Arc<Clock>) {
    let (clock, randomness) = (Arc::new(Clock::default()), Arc::new(SeededRandom::new(7)));
    let options = TasksOptions {
        journal: Journal::open(Arc::new(Memory::new()), &*randomness).unwrap(),
        time: clock.clone(),
        randomness,
        notices: Notices::new(Bus::start(), Arc::new(NoStamp)),
        knowledge: no_index(),
        worker_context: None,
    };
    let many = journeyman_queue::QueueOptions {
        capacity: 1_000,
        ..Default::default()
    };
    (Tasks::start(options, &many), clock)
}

async fn submit_with(tasks: &Tasks, task: &str, prompt: &str) {
    let submission = Submission {
        task_id: Some(id(task)),
        content: CheckedTask::new(TaskSubmitted::of(prompt)).unwrap(),
        full: WhenFull::Refuse,
        idempotency_key: None,
    };
    tasks.submit(&Principal::local(), submission).await.unwrap();
}

async fn ended(tasks: &Tasks, task: &str, prompt: &str) {
    submit_with(tasks, task, prompt).await;
    let cancelled = intervene_in(tasks, task, Intervention::Cancel);
    cancelled.await.unwrap();
}

async fn names(tasks: &Tasks) -> Vec<String> {
    let me = Principal::local();
    let newest = Sequence(u64::MAX);
    let (listed, _) = tasks.list(&me, newest, 1_000, None).await.unwrap();
    let mut names: Vec<String> = listed.iter().map(|one| one.task_id.to_string()).collect();
    names.sort();
    names
}

async fn events(tasks: &Tasks) -> Vec<Event> {
    let (system, everything) = (Principal::system(), Filter::default());
    let page = tasks
        .journal()
        .read(&system, &everything, Sequence::ZERO, 10_000);
    page.await.unwrap().events
}

async fn delete(tasks: &Tasks, task: &str) -> Result<journeyman_journal::Erased, Error> {
    delete_at(tasks, task, OnlyAt::Any).await
}

async fn delete_at(
    tasks: &Tasks,
    task: &str,
    only_at: OnlyAt,
) -> Result<journeyman_journal::Erased, Error> {
    let (me, reason) = (Principal::local(), Some("a wish".to_owned()));
    let deletion = tasks.delete(&me, &id(task), reason, only_at).await?;
    assert_eq!(deletion.unfinished, None);
    Ok(deletion.erased)
}

fn is_erased(answer: &Result<impl fmt::Debug, Error>) -> bool {
    matches!(answer, Err(Error::Journal(JournalError::Erased(_))))
}

#[tokio::test]
async fn a_deleted_task_ends_first_and_is_gone_for_everybody() {
    let (tasks, _) = service();
    let me = Principal::local();
    submit_with(&tasks, "t", "a secret word counter").await;
    submit_with(&tasks, "u", "another one").await;
    tasks.current(&me, &id("t")).await.unwrap();
    let erased = delete(&tasks, "t").await.unwrap();
    assert_eq!((erased.events, &*erased.reason), (2, "a wish"));
    assert!(!tasks.queue.contains(&name("t")));
    let kinds: Vec<String> = events(&tasks)
        .await
        .iter()
        .map(|event| event.kind().to_owned())
        .collect();
    let expected = [
        "task_submitted",
        "task_submitted",
        "task_cancelled",
        "erasure_started",
        "erasure_completed",
    ];
    assert_eq!(kinds, expected);
    assert!(
        events(&tasks)
            .await
            .iter()
            .all(|event| !event.line().contains("secret"))
    );
    assert_eq!(names(&tasks).await, ["u"]);
    // Again is the same as once.
    assert_eq!(delete(&tasks, "t").await.unwrap(), erased);
    assert!(is_erased(&tasks.current(&me, &id("t")).await));
    assert!(is_erased(&tasks.current_status(&me, &id("t")).await));
    let resume = Intervention::Resume {
        limits: None,
        out: None,
    };
    for said in [Intervention::Cancel, Intervention::Keep, resume] {
        assert!(is_erased(&intervene_in(&tasks, "t", said).await));
    }
    assert!(is_erased(&fork(&tasks, None).await));
    assert!(is_erased(&fork(&tasks, Some(Sequence(1))).await));
    // Its name is nobody else's.
    assert!(is_erased(&submit(&tasks, "t", None).await));
    // Nobody looks for it, and a restart has nothing to do with it.
    for _ in 0..5 {
        tasks.requeue_lost().await.unwrap();
    }
    assert_eq!(tasks.obstacles(), [] as [&str; 0]);
    assert_eq!(
        tasks.recover().await.unwrap(),
        0,
        "u is in the queue already"
    );
    tasks.requeue_lost().await.unwrap();
    assert_eq!(tasks.requeued(), 0);
    let missing = delete(&tasks, "nobodys").await;
    assert!(
        matches!(missing, Err(Error::NoSuchTask { .. })),
        "{missing:?}"
    );
    let theirs = Principal::user(Owner::new("ada").unwrap());
    let theirs = tasks.delete(&theirs, &id("u"), None, OnlyAt::Any).await;
    assert!(
        matches!(theirs, Err(Error::NoSuchTask { .. })),
        "{theirs:?}"
    );
    for bad in [String::new(), " ".to_owned(), "x".repeat(201)] {
        let refused = tasks.delete(&me, &id("u"), Some(bad), OnlyAt::Any).await;
        assert!(matches!(refused, Err(Error::Limit(_))), "{refused:?}");
    }
    assert_eq!(names(&tasks).await, ["u"]);
}

#[tokio::test]
async fn a_key_stands_for_its_task_also_when_that_was_erased() {
    let (tasks, _) = service();
    submit(&tasks, "", Some("key")).await.unwrap();
    let task = keyed(&Principal::local(), "key");
    delete(&tasks, task.as_str()).await.unwrap();
    assert!(is_erased(&submit(&tasks, "", Some("key")).await));
}

#[tokio::test]
async fn what_waits_for_an_erased_task_waits_no_longer_and_nothing_new_waits_for_it() {
    let (tasks, _) = service();
    submit_with(&tasks, "first", "a word counter").await;
    let after = |task: &str| Submission {
        task_id: Some(id(task)),
        content: CheckedTask::new(TaskSubmitted {
            depends_on: vec![id("first")],
            ..TaskSubmitted::of("what comes after it")
        })
        .unwrap(),
        full: WhenFull::Refuse,
        idempotency_key: None,
    };
    let me = Principal::local();
    tasks.submit(&me, after("second")).await.unwrap();
    delete(&tasks, "first").await.unwrap();
    let refused = tasks.submit(&me, after("third")).await.unwrap_err();
    assert!(refused.to_string().contains("was erased"), "{refused}");
    intervene_in(&tasks, "second", Intervention::Pause)
        .await
        .unwrap();
    let resume = Intervention::Resume {
        limits: None,
        out: None,
    };
    intervene_in(&tasks, "second", resume).await.unwrap();
    let again = Tasks::start(
        (*tasks.options).clone(),
        &journeyman_queue::QueueOptions::default(),
    );
    assert_eq!(again.recover().await.unwrap(), 1);
}

#[tokio::test]
async fn a_kept_task_is_not_deleted_until_that_is_taken_back() {
    let (tasks, _) = service();
    ended(&tasks, "t", "a word counter").await;
    for _ in 0..2 {
        intervene_in(&tasks, "t", Intervention::Keep).await.unwrap();
    }
    let me = Principal::local();
    let state = tasks.state(&me, &id("t")).await.unwrap();
    assert_eq!((state.keep, state.revision.0), (true, 3));
    assert_eq!(state.status, Status::Cancelled);
    let refused = delete(&tasks, "t").await;
    assert!(matches!(refused, Err(Error::Kept { .. })), "{refused:?}");
    intervene_in(&tasks, "t", Intervention::Unkeep)
        .await
        .unwrap();
    assert!(!tasks.state(&me, &id("t")).await.unwrap().keep);
    assert_eq!(delete(&tasks, "t").await.unwrap().events, 4);
}

#[tokio::test]
async fn ended_tasks_go_by_their_age_and_no_others() {
    let mut known = EndedTasks::default();
    let (tasks, clock) = service();
    ended(&tasks, "old", "1").await;
    ended(&tasks, "kept", "2").await;
    intervene_in(&tasks, "kept", Intervention::Keep)
        .await
        .unwrap();
    submit_with(&tasks, "waiting", "3").await;
    submit_with(&tasks, "paused", "4").await;
    intervene_in(&tasks, "paused", Intervention::Pause)
        .await
        .unwrap();
    clock.go_on(10 * DAY);
    ended(&tasks, "young", "5").await;
    let rules = |days: u32| Retention {
        age: Some(days * DAY),
        bytes: None,
    };
    for (go_on, days, left) in [
        (0, 10, vec!["kept", "old", "paused", "waiting", "young"]),
        (1, 10, vec!["kept", "paused", "waiting", "young"]),
        (9, 10, vec!["kept", "paused", "waiting", "young"]),
        (1, 10, vec!["kept", "paused", "waiting"]),
        (1_000, 1, vec!["kept", "paused", "waiting"]),
    ] {
        clock.go_on(go_on * DAY);
        tasks
            .apply_retention(rules(days), &mut known)
            .await
            .unwrap();
        assert_eq!(names(&tasks).await, left, "{days}");
    }
    // Who takes the mark back begins its time anew.
    intervene_in(&tasks, "kept", Intervention::Unkeep)
        .await
        .unwrap();
    tasks.apply_retention(rules(1), &mut known).await.unwrap();
    assert_eq!(names(&tasks).await.len(), 3);
    clock.go_on(2 * DAY);
    let done = tasks.apply_retention(rules(1), &mut known).await.unwrap();
    assert_eq!(
        done,
        Retained {
            erased: 1,
            bytes_over: 0
        }
    );
    let (me, kept) = (Principal::local(), id("kept"));
    let gone = tasks.journal().erasure(&me, &kept).await;
    let gone = gone.unwrap().unwrap();
    assert_eq!(gone.by.as_str(), "system");
    assert!(gone.reason.contains("retention.age"), "{}", gone.reason);
    let report = tasks.journal().verify(&Principal::system(), None).await;
    assert!(report.unwrap().ok());
}

#[tokio::test]
async fn the_oldest_ended_tasks_go_until_the_journal_is_small_enough() {
    let mut known = EndedTasks::default();
    let (tasks, _) = service();
    let prompt = "x".repeat(90_000);
    ended(&tasks, "t-kept", &prompt).await;
    intervene_in(&tasks, "t-kept", Intervention::Keep)
        .await
        .unwrap();
    submit_with(&tasks, "t-waiting", &prompt).await;
    for n in 10..40 {
        ended(&tasks, &format!("t-{n}"), &prompt).await;
    }
    let bytes = async || bytes_of_tasks(&tasks).await;
    let rules = |bytes: u64| Retention {
        age: None,
        bytes: Some(bytes),
    };
    let before = bytes().await;
    assert!(before > 2 * MEGABYTE, "{before}");
    let done = tasks
        .apply_retention(rules(before), &mut known)
        .await
        .unwrap();
    assert_eq!(done, Retained::default());
    let done = tasks
        .apply_retention(rules(2 * MEGABYTE), &mut known)
        .await
        .unwrap();
    assert!(bytes().await <= 2 * MEGABYTE);
    assert!((9..=20).contains(&done.erased), "{done:?}");
    let left = names(&tasks).await;
    let oldest = 10 + done.erased;
    let expected: Vec<String> = (oldest..40).map(|n| format!("t-{n}")).collect();
    assert_eq!(left[..left.len() - 2], expected[..]);
    assert_eq!(left[left.len() - 2..], ["t-kept", "t-waiting"]);
    // More than there is to be erased.
    let done = tasks
        .apply_retention(rules(100_000), &mut known)
        .await
        .unwrap();
    assert_eq!(names(&tasks).await, ["t-kept", "t-waiting"]);
    assert!(done.bytes_over > 0, "{done:?}");
    let report = tasks.journal().verify(&Principal::system(), None).await;
    assert!(report.unwrap().ok());
}

/// The bytes of the journal without what erased events keep.
async fn bytes_of_tasks(tasks: &Tasks) -> u64 {
    let (journal, system) = (tasks.journal(), Principal::system());
    let bytes = journal.bytes(&system).await.unwrap();
    bytes.saturating_sub(journal.erased_bytes(&system).await.unwrap())
}

#[tokio::test]
async fn what_erased_events_keep_costs_no_later_task_its_place() {
    let (tasks, _) = service();
    let rules = Retention {
        age: None,
        bytes: Some(100_000),
    };
    let mut known = EndedTasks::default();
    for n in 0..400 {
        ended(&tasks, &format!("t-{n}"), "small").await;
    }
    tasks.apply_retention(rules, &mut known).await.unwrap();
    let kept = names(&tasks).await.len();
    assert!((20..390).contains(&kept), "{kept}");
    let bytes = tasks.journal().bytes(&Principal::system()).await.unwrap();
    assert!(bytes > 150_000, "{bytes}");
    ended(&tasks, "later", "small").await;
    for _ in 0..3 {
        let done = tasks.apply_retention(rules, &mut known).await.unwrap();
        assert!(done.erased <= 1, "{done:?}");
    }
    assert!(names(&tasks).await.contains(&"later".to_owned()));
}

#[tokio::test]
async fn a_journal_at_its_largest_size_stays_there_under_load() {
    let (tasks, _) = service();
    let limit = MEGABYTE;
    let prompt = "x".repeat(50_000);
    let load = async {
        for n in 0..120 {
            ended(&tasks, &format!("t-{n}"), &prompt).await;
            tokio::task::yield_now().await;
        }
    };
    let bytes = async || bytes_of_tasks(&tasks).await;
    let retain = async {
        let (mut most, mut known) = (0, EndedTasks::default());
        loop {
            let rules = Retention {
                age: None,
                bytes: Some(limit),
            };
            let done = tasks.apply_retention(rules, &mut known).await.unwrap();
            // What is over belongs to tasks that were not seen to have ended; on a busy machine they are several.
            assert!(done.bytes_over < limit, "{done:?}");
            most = most.max(bytes().await);
            if names(&tasks).await.contains(&"t-119".to_owned()) && bytes().await <= limit {
                return most;
            }
        }
    };
    let ((), most) = tokio::join!(load, retain);
    assert!(most < 2 * limit, "{most}");
    assert!(names(&tasks).await.len() >= 5);
    let report = tasks.journal().verify(&Principal::system(), None).await;
    assert!(report.unwrap().ok());
}

/// A clock that was ahead for a while gives times to tasks that lie after those of later ones.
#[tokio::test]
async fn a_task_of_a_clock_that_was_ahead_keeps_no_other_one() {
    let (tasks, clock) = service();
    ended(&tasks, "first", "1").await;
    clock.go_on(100 * DAY);
    ended(&tasks, "ahead", "2").await;
    clock.0.store(0, Ordering::Relaxed);
    ended(&tasks, "after", "3").await;
    clock.go_on(20 * DAY);
    let rules = Retention {
        age: Some(10 * DAY),
        bytes: None,
    };
    let mut known = EndedTasks::default();
    let done = tasks.apply_retention(rules, &mut known).await.unwrap();
    assert_eq!(
        (done.erased, names(&tasks).await),
        (2, vec!["ahead".to_owned()])
    );
    // A clock that is behind erases nothing early.
    clock.0.store(0, Ordering::Relaxed);
    let done = tasks.apply_retention(rules, &mut known).await.unwrap();
    assert_eq!(done.erased, 0);
    clock.go_on(111 * DAY);
    let done = tasks.apply_retention(rules, &mut known).await.unwrap();
    assert_eq!((done.erased, names(&tasks).await.len()), (1, 0));
}

#[tokio::test]
async fn what_is_meant_for_a_version_is_deleted_at_that_version_alone() {
    let (tasks, _) = service();
    ended(&tasks, "t", "a word counter").await;
    let at = |version: u64| OnlyAt::version(Some(version));
    let refused = delete_at(&tasks, "t", at(1)).await;
    assert!(
        matches!(refused, Err(Error::OtherVersion { version: 2, .. })),
        "{refused:?}"
    );
    assert_eq!(names(&tasks).await, ["t"]);
    assert_eq!(delete_at(&tasks, "t", at(2)).await.unwrap().events, 2);
    // It has no version any more.
    assert!(is_erased(&delete_at(&tasks, "t", at(2)).await));
    assert!(delete(&tasks, "t").await.is_ok());
    // One that goes on is stopped at the version, and erased with what that records.
    submit_with(&tasks, "u", "another one").await;
    let refused = delete_at(&tasks, "u", at(7)).await;
    assert!(
        matches!(refused, Err(Error::OtherVersion { version: 1, .. })),
        "{refused:?}"
    );
    assert!(tasks.queue.contains(&name("u")));
    assert_eq!(delete_at(&tasks, "u", at(1)).await.unwrap().events, 3);
    for (said, version) in [(Intervention::Keep, 1), (Intervention::Unkeep, 2)] {
        if version == 1 {
            submit_with(&tasks, "v", "a third one").await;
        }
        let (me, v) = (Principal::local(), id("v"));
        let wrong = tasks.intervene(&me, &v, said.clone(), at(9)).await;
        assert!(
            matches!(wrong, Err(Error::OtherVersion { .. })),
            "{wrong:?}"
        );
        let done = tasks.intervene(&me, &v, said, at(version)).await.unwrap();
        assert_eq!(done.revision.0, version + 1);
    }
}
