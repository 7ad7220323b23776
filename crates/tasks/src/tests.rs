//! Tests that what is recorded is acted on, even if the caller is gone or the disk fails.

use std::collections::BTreeSet;
use std::future::poll_fn;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use journeyman_bus::Bus;
use journeyman_event::payload::{AskedQuestion, QuestionsAsked, TaskPaused};
use journeyman_event::{ContentHash, Owner, SeededRandom, SteppedTime};
use journeyman_journal::{
    Changes, Engine, GivenBack, Head, Holder, Lines, LookupKeys, LookupRows, Memory, Query,
    Snapshot, StreamRow, Walker, Writer,
};
use tokio_util::sync::CancellationToken;

use super::*;

mod erasure;

struct NoStamp;

impl journeyman_bus::Stamp for NoStamp {
    fn id(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}
use crate::naming::keyed;
use crate::recovery::goes_on;

/// A store that is full, or whose writer dies, when a test asks for it.
#[derive(Clone, Debug, Default)]
struct Disk {
    memory: Memory,
    is_full: Arc<AtomicBool>,
    is_deadly: Arc<AtomicBool>,
}

struct DiskWriter {
    writer: Box<dyn Writer>,
    disk: Disk,
}

impl Engine for Disk {
    fn open_writer(&self, id: &str) -> Result<Box<dyn Writer>, journeyman_journal::Error> {
        Ok(Box::new(DiskWriter {
            writer: self.memory.open_writer(id)?,
            disk: self.clone(),
        }))
    }
    fn holder(&self) -> Option<Holder> {
        self.memory.holder()
    }
    fn name(&self) -> &str {
        self.memory.name()
    }
    fn store_id(&self) -> Result<String, journeyman_journal::Error> {
        self.memory.store_id()
    }
    fn head(&self) -> Result<Head, journeyman_journal::Error> {
        self.memory.head()
    }
    fn lines(&self, query: &Query<'_>) -> Result<Lines, journeyman_journal::Error> {
        self.memory.lines(query)
    }
    fn blob(
        &self,
        owner: &Owner,
        hash: ContentHash,
    ) -> Result<Option<Bytes>, journeyman_journal::Error> {
        self.memory.blob(owner, hash)
    }
    fn streams(
        &self,
        owner: Option<&Owner>,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<StreamRow>, journeyman_journal::Error> {
        self.memory.streams(owner, before, limit)
    }
    fn snapshot(
        &self,
        stream: &StreamName,
        at: Sequence,
    ) -> Result<Option<Snapshot>, journeyman_journal::Error> {
        self.memory.snapshot(stream, at)
    }

    fn erasure(&self, stream: &StreamName) -> Result<Option<Sequence>, journeyman_journal::Error> {
        self.memory.erasure(stream)
    }

    fn loose_blobs(
        &self,
        limit: usize,
    ) -> Result<Vec<(Owner, ContentHash)>, journeyman_journal::Error> {
        self.memory.loose_blobs(limit)
    }

    fn bytes(&self) -> Result<u64, journeyman_journal::Error> {
        self.memory.bytes()
    }

    fn walk(&self, walker: &mut dyn Walker) -> Result<(), journeyman_journal::Error> {
        self.memory.walk(walker)
    }
}

impl Writer for DiskWriter {
    fn head(&mut self) -> Result<Head, journeyman_journal::Error> {
        self.writer.head()
    }
    fn hash_at(
        &mut self,
        sequence: Sequence,
    ) -> Result<Option<ContentHash>, journeyman_journal::Error> {
        self.writer.hash_at(sequence)
    }
    fn write(
        &mut self,
        wanted: &LookupKeys,
        plan: &mut dyn FnMut(&LookupRows) -> Changes,
    ) -> Result<(), journeyman_journal::Error> {
        let is_deadly = self.disk.is_deadly.load(Ordering::Relaxed);
        assert!(!is_deadly, "as a defect would");
        if self.disk.is_full.load(Ordering::Relaxed) {
            let store = "disk".into();
            return Err(journeyman_journal::Error::Full { store });
        }
        self.writer.write(wanted, plan)
    }
    fn keep_snapshot(
        &mut self,
        stream: &StreamName,
        snapshot: &Snapshot,
    ) -> Result<(), journeyman_journal::Error> {
        self.writer.keep_snapshot(stream, snapshot)
    }

    fn replace(
        &mut self,
        lines: &[(Sequence, String)],
        cited: &BTreeSet<(Owner, ContentHash)>,
    ) -> Result<(), journeyman_journal::Error> {
        self.writer.replace(lines, cited)
    }

    fn repack(&mut self, positions: &[Sequence]) -> Result<(), journeyman_journal::Error> {
        self.writer.repack(positions)
    }

    fn settle_blobs(
        &mut self,
        kept: &BTreeSet<(Owner, ContentHash)>,
        dropped: &BTreeSet<(Owner, ContentHash)>,
    ) -> Result<(), journeyman_journal::Error> {
        self.writer.settle_blobs(kept, dropped)
    }

    fn give_back(&mut self) -> Result<GivenBack, journeyman_journal::Error> {
        self.writer.give_back()
    }

    fn write_anew(&mut self) -> Result<(), journeyman_journal::Error> {
        self.writer.write_anew()
    }

    fn reopen(&mut self) -> Result<(), journeyman_journal::Error> {
        self.writer.reopen()
    }
}

/// A search index that nothing is searched in.
fn no_index() -> Offline {
    Offline::at("no-such-folder/knowledge.db".into())
}

/// A service that records and queues tasks but does not work on them.
fn service(disk: &Disk) -> Tasks {
    let randomness = Arc::new(SeededRandom::new(7));
    let options = TasksOptions {
        journal: Journal::open(Arc::new(disk.clone()), &*randomness).unwrap(),
        time: Arc::new(SteppedTime::default()),
        randomness,
        notices: Notices::new(Bus::start(), Arc::new(NoStamp)),
        knowledge: no_index(),
        worker_context: None,
    };
    Tasks::start(options, &journeyman_queue::QueueOptions::default())
}

fn id(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

fn name(task: &str) -> StreamName {
    StreamName::of(Principal::local().owner(), &id(task))
}

async fn submit(tasks: &Tasks, task: &str, key: Option<&str>) -> Result<(), Error> {
    let submission = Submission {
        task_id: key.is_none().then(|| id(task)),
        content: CheckedTask::new(TaskSubmitted::of("a word counter")).unwrap(),
        full: WhenFull::Refuse,
        idempotency_key: key.map(str::to_owned),
    };
    tasks
        .submit(&Principal::local(), submission)
        .await
        .map(|_| ())
}

/// Records a fact without acting on it.
async fn record(tasks: &Tasks, task: &str, facts: Vec<Fact>) {
    let me = Principal::local();
    let state = load(tasks.journal(), &me, &id(task)).await.unwrap();
    let mut state = state.unwrap_or_default();
    let (recorder, task) = (tasks.recorder(&me), id(task));
    let cancel = give_up_soon();
    let recorded = recorder.record(&task, &mut state, facts, Vec::new(), &cancel);
    recorded.await.unwrap();
}

/// Polls a future up to `times` times, then drops it. Returns its result if it has one by then.
async fn polled<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The state of the task `t` before the call under test.
#[derive(Clone, Copy)]
enum Before {
    NotThere,
    Queued,
    Paused,
    Asked,
}

async fn prepare(tasks: &Tasks, before: Before) {
    if matches!(before, Before::NotThere) {
        return;
    }
    submit(tasks, "t", None).await.unwrap();
    if matches!(before, Before::Paused | Before::Asked) {
        intervene(tasks, Intervention::Pause).await.unwrap();
    }
    if matches!(before, Before::Asked) {
        let question = AskedQuestion {
            id: "q1".to_owned(),
            text: "Which words?".to_owned(),
        };
        let questions = vec![question];
        let reason = PauseReason::Question;
        let facts = vec![
            Fact::of_task(Role::Planner, QuestionsAsked { questions }),
            Fact::of_task(
                Role::Planner,
                TaskPaused {
                    reason,
                    detail: None,
                },
            ),
        ];
        record(tasks, "t", facts).await;
    }
}

type Call = for<'a> fn(&'a Tasks) -> BoxFuture<'a, Result<(), Error>>;

fn intervene(tasks: &Tasks, intervention: Intervention) -> BoxFuture<'_, Result<(), Error>> {
    intervene_in(tasks, "t", intervention).boxed()
}

async fn intervene_in(tasks: &Tasks, task: &str, intervention: Intervention) -> Result<(), Error> {
    let (me, task) = (Principal::local(), id(task));
    let done = tasks.intervene(&me, &task, intervention, OnlyAt::Any);
    done.await.map(|_| ())
}

/// Does this to the task `t`, if it has this version.
fn at_version(
    tasks: &Tasks,
    version: u64,
    intervention: Intervention,
) -> BoxFuture<'_, Result<(), Error>> {
    async move {
        let (me, task) = (Principal::local(), id("t"));
        let only_at = OnlyAt::version(Some(version));
        let done = tasks.intervene(&me, &task, intervention, only_at);
        done.await.map(|_| ())
    }
    .boxed()
}

fn fork(tasks: &Tasks, at: Option<Sequence>) -> BoxFuture<'_, Result<(), Error>> {
    let fork = ForkRequest {
        at,
        task_id: Some(id("f")),
        ..ForkRequest::default()
    };
    async move {
        let (me, parent) = (Principal::local(), id("t"));
        tasks.fork(&me, &parent, fork).await.map(|_| ())
    }
    .boxed()
}

/// All calls that record something and act on it. To add one, add an entry.
const CALLS: &[(&str, Before, Call)] = &[
    ("submit", Before::NotThere, |tasks| {
        submit(tasks, "t", None).boxed()
    }),
    ("submit with a key", Before::NotThere, |tasks| {
        submit(tasks, "t", Some("key")).boxed()
    }),
    ("retry", Before::Queued, |tasks| fork(tasks, None)),
    ("fork", Before::Queued, |tasks| {
        fork(tasks, Some(Sequence(1)))
    }),
    ("cancel", Before::Queued, |tasks| {
        intervene(tasks, Intervention::Cancel)
    }),
    ("pause", Before::Queued, |tasks| {
        intervene(tasks, Intervention::Pause)
    }),
    ("cancel at a version", Before::Queued, |tasks| {
        at_version(tasks, 1, Intervention::Cancel)
    }),
    ("pause at a version", Before::Queued, |tasks| {
        at_version(tasks, 1, Intervention::Pause)
    }),
    ("keep", Before::Queued, |tasks| {
        intervene(tasks, Intervention::Keep)
    }),
    ("resume", Before::Paused, |tasks| {
        intervene(
            tasks,
            Intervention::Resume {
                limits: None,
                out: None,
            },
        )
    }),
    ("answer", Before::Asked, |tasks| {
        let answer = Intervention::Answer {
            question: None,
            answer: "All of them.".to_owned(),
        };
        intervene(tasks, answer)
    }),
];

/// Checks that exactly the tasks that continue according to the journal are in the queue.
async fn check(tasks: &Tasks, when: &str) {
    let me = Principal::local();
    let keyed = keyed(&me, "key");
    for task in [&id("t"), &id("f"), &keyed] {
        let state = load(tasks.journal(), &me, task).await.unwrap();
        let is_on = state.is_some_and(|state| goes_on(&Listing::of(&state)));
        let name = StreamName::of(me.owner(), task);
        assert_eq!(is_on, tasks.queue.contains(&name), "{when}: {task}");
    }
}

#[tokio::test]
async fn a_call_whose_caller_goes_away_at_any_moment_is_done_whole_or_not_at_all() {
    const POLLS_MAX: usize = 1_000;
    for (what, before, call) in CALLS {
        let mut was_cut_off = 0;
        for times in 1..=POLLS_MAX {
            let tasks = service(&Disk::default());
            prepare(&tasks, *before).await;
            let answered = polled(call(&tasks), times).await;
            tasks.detached.wait(Duration::from_mins(1)).await;
            // What was handed to the journal by then is there when this is.
            submit(&tasks, "last", None).await.unwrap();
            check(&tasks, &format!("{what}, dropped at poll {times}")).await;
            if let Some(answered) = answered {
                answered.unwrap();
                break;
            }
            was_cut_off += 1;
        }
        assert!((1..POLLS_MAX).contains(&was_cut_off), "{what}");
    }
}

#[tokio::test]
async fn who_waits_for_a_place_and_goes_away_leaves_nothing() {
    let tasks = service(&Disk::default());
    let one = journeyman_queue::QueueOptions {
        capacity: 1,
        ..Default::default()
    };
    let tasks = Tasks::start((*tasks.options).clone(), &one);
    submit(&tasks, "first", None).await.unwrap();
    let submission = Submission {
        task_id: Some(id("t")),
        content: CheckedTask::new(TaskSubmitted::of("a word counter")).unwrap(),
        full: WhenFull::Wait(Duration::from_mins(10)),
        idempotency_key: None,
    };
    let me = Principal::local();
    let mut waits = Box::pin(tasks.submit(&me, submission));
    while tasks.statistics().submitters == 0 {
        assert!(futures_util::poll!(&mut waits).is_pending());
        tokio::task::yield_now().await;
    }
    drop(waits);
    assert_eq!(tasks.statistics().submitters, 0);
    let cancelled = intervene_in(&tasks, "first", Intervention::Cancel);
    cancelled.await.unwrap();
    assert_eq!(tasks.statistics().occupied, 0);
    check(&tasks, "the wish was given up").await;
}

#[tokio::test]
async fn a_task_in_a_language_that_is_not_known_is_refused_and_not_recorded() {
    let tasks = service(&Disk::default());
    let submission = Submission {
        task_id: Some(id("t")),
        content: CheckedTask::new(TaskSubmitted {
            language: "cobol".to_owned(),
            ..TaskSubmitted::of("a word counter")
        })
        .unwrap(),
        full: WhenFull::Refuse,
        idempotency_key: None,
    };
    let refused = tasks.submit(&Principal::local(), submission).await;
    let told = refused.map(|_| ()).unwrap_err().to_string();
    assert!(
        told.contains("language") && told.contains("cobol"),
        "{told}"
    );
    let state = load(tasks.journal(), &Principal::local(), &id("t")).await;
    assert!(state.unwrap().is_none());
}

#[tokio::test]
async fn a_viewer_sees_their_tasks_and_changes_nothing() {
    let tasks = service(&Disk::default());
    submit(&tasks, "t", None).await.unwrap();
    let viewer = Principal::viewer(Principal::local().owner().clone());
    let before = tasks.current(&viewer, &id("t")).await.unwrap();
    let submission = Submission {
        task_id: Some(id("u")),
        content: CheckedTask::new(TaskSubmitted::of("a word counter")).unwrap(),
        full: WhenFull::Refuse,
        idempotency_key: None,
    };
    let stop = CancellationToken::new();
    let refused = [
        tasks.submit(&viewer, submission).await.map(|_| ()),
        tasks
            .fork(&viewer, &id("t"), ForkRequest::default())
            .await
            .map(|_| ()),
        tasks
            .intervene(&viewer, &id("t"), Intervention::Cancel, OnlyAt::Any)
            .await
            .map(|_| ()),
        tasks
            .delete(&viewer, &id("t"), None, OnlyAt::Any)
            .await
            .map(|_| ()),
        tasks
            .call_tools(&viewer, &id("t"), Vec::new(), OnlyAt::Any, &stop)
            .await
            .map(|_| ()),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::MayNot)), "{refused:?}");
    }
    assert_eq!(tasks.current(&viewer, &id("t")).await.unwrap(), before);
}

#[tokio::test]
async fn a_queued_task_that_cannot_be_recorded_as_stopped_stays_in_the_queue() {
    for stop in [Intervention::Cancel, Intervention::Pause] {
        let disk = Disk::default();
        let tasks = service(&disk);
        submit(&tasks, "t", None).await.unwrap();
        disk.is_full.store(true, Ordering::Relaxed);
        let refused = intervene(&tasks, stop.clone()).await;
        assert!(matches!(refused, Err(Error::Journal(_))), "{refused:?}");
        assert!(tasks.queue.contains(&name("t")), "{stop:?}");
        disk.is_full.store(false, Ordering::Relaxed);
        intervene(&tasks, stop).await.unwrap();
        assert!(!tasks.queue.contains(&name("t")));
        check(&tasks, "with space").await;
    }
}

#[tokio::test]
async fn a_service_whose_journal_lost_its_writer_says_so() {
    let disk = Disk::default();
    let tasks = service(&disk);
    submit(&tasks, "t", None).await.unwrap();
    assert_eq!(tasks.obstacles(), [] as [&str; 0]);
    disk.is_deadly.store(true, Ordering::Relaxed);
    let lost = submit(&tasks, "u", None).await;
    let closed = journeyman_journal::Error::Closed;
    assert!(matches!(&lost, Err(Error::Journal(error)) if *error == closed));
    let told = async {
        while tasks.obstacles().is_empty() {
            tokio::task::yield_now().await; // it answers while it still dies
        }
    };
    let told = tokio::time::timeout(Duration::from_mins(1), told).await;
    assert!(told.is_ok(), "nobody says so");
    assert_eq!(tasks.obstacles(), [format!("journal: {closed}")]);
}

#[tokio::test]
async fn a_task_that_is_durable_and_nowhere_is_told_and_put_back() {
    let tasks = service(&Disk::default());
    submit(&tasks, "ended", None).await.unwrap();
    let cancelled = intervene_in(&tasks, "ended", Intervention::Cancel);
    cancelled.await.unwrap();
    assert_eq!(tasks.recover().await.unwrap(), 0);
    let lost = TaskSubmitted::of("a word counter");
    record(&tasks, "t", vec![Fact::of_task(Role::User, lost)]).await;
    tasks.requeue_lost().await.unwrap();
    assert_eq!(tasks.obstacles(), [] as [&str; 0], "it may be on its way");
    tasks.requeue_lost().await.unwrap();
    let [told] = &tasks.obstacles()[..] else {
        panic!("{:?}", tasks.obstacles());
    };
    assert!(
        told.contains("1 recorded as going on") && told.contains("(t)"),
        "{told}"
    );
    assert!(tasks.queue.contains(&name("t")));
    tasks.requeue_lost().await.unwrap();
    assert_eq!(tasks.obstacles(), [] as [&str; 0]);
    assert_eq!(tasks.requeued(), 1);
}

#[tokio::test]
async fn what_is_lost_again_and_again_is_put_back_ever_more_seldom_and_told_for_good() {
    let tasks = service(&Disk::default());
    tasks.recover().await.unwrap();
    submit(&tasks, "t", None).await.unwrap();
    let mut looks = Vec::new();
    for look in 0..200 {
        let before = tasks.requeued();
        if let journeyman_queue::Withdrawal::WasWaiting(held) = tasks.queue.cancel(&name("t")) {
            held.remove(); // and nothing is recorded of it
        }
        tasks.requeue_lost().await.unwrap();
        if tasks.requeued() > before {
            looks.push(look);
        }
    }
    assert_eq!(looks, [1, 3, 7, 15, 31]);
    assert_eq!(tasks.obstacles().len(), 1);
    tasks
        .shut_down(Duration::ZERO, ShutdownReason::Shutdown)
        .await;
}

/// The versions of the task `t` and the kinds of its events.
async fn history(tasks: &Tasks) -> (u64, Vec<String>) {
    let (me, filter) = (Principal::local(), Filter::of_task(&id("t")));
    let page = tasks.journal().read(&me, &filter, Sequence::ZERO, PAGE);
    let events = page.await.unwrap().events;
    let kinds = events.iter().map(|event| event.kind().to_owned());
    (events.len() as u64, kinds.collect())
}

fn said(words: &str) -> Intervention {
    Intervention::Instruct {
        instruction: words.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_calls_at_once_that_are_meant_for_one_version_one_is_done() {
    const RESUME: Intervention = Intervention::Resume {
        limits: None,
        out: None,
    };
    for (before, intervention, recorded) in [
        (Before::Queued, said("be brief"), &["user_intervention"][..]),
        (
            Before::Queued,
            Intervention::Pause,
            &["stop_requested", "task_paused"][..],
        ),
        (
            Before::Queued,
            Intervention::Cancel,
            &["stop_requested", "task_cancelled"][..],
        ),
        (Before::Paused, RESUME, &["task_queued"][..]),
        (
            Before::Paused,
            Intervention::Cancel,
            &["stop_requested", "task_cancelled"][..],
        ),
    ] {
        let tasks = service(&Disk::default());
        prepare(&tasks, before).await;
        let (version, mut kinds) = history(&tasks).await;
        let calls = (0..64).map(|_| {
            let (tasks, intervention) = (tasks.clone(), intervention.clone());
            tokio::spawn(async move { at_version(&tasks, version, intervention).await })
        });
        let mut done = 0;
        for call in calls.collect::<Vec<_>>() {
            match call.await.unwrap() {
                Ok(()) => done += 1,
                Err(Error::OtherVersion { version: told, .. }) => assert!(told > version),
                Err(error) => panic!("{intervention:?}: {error}"),
            }
        }
        assert_eq!(done, 1, "{intervention:?}");
        kinds.extend(recorded.iter().map(|kind| (*kind).to_owned()));
        assert_eq!(history(&tasks).await.1, kinds, "{intervention:?}");
        check(&tasks, "after the race").await;
    }
}

#[tokio::test]
async fn what_is_meant_for_another_version_changes_nothing_of_the_task_or_the_queue() {
    let tasks = service(&Disk::default());
    prepare(&tasks, Before::Queued).await;
    let before = history(&tasks).await;
    for version in [0, 2, u64::MAX] {
        for intervention in [
            said("be brief"),
            Intervention::Pause,
            Intervention::Cancel,
            Intervention::Resume {
                limits: None,
                out: None,
            },
        ] {
            let refused = at_version(&tasks, version, intervention).await;
            let told = matches!(refused, Err(Error::OtherVersion { version: 1, .. }));
            assert!(told, "{refused:?}");
        }
    }
    assert_eq!(history(&tasks).await, before);
    check(&tasks, "refused").await;
}

#[tokio::test]
async fn one_of_several_versions_is_enough_and_none_is_never() {
    let tasks = service(&Disk::default());
    prepare(&tasks, Before::Queued).await;
    let (me, task) = (Principal::local(), id("t"));
    let say = async |versions: &[u64]| {
        let only_at = OnlyAt::OneOf(versions.to_vec());
        tasks.intervene(&me, &task, said("more"), only_at).await
    };
    assert!(matches!(say(&[]).await, Err(Error::OtherVersion { .. })));
    say(&[7, 1]).await.unwrap();
    assert!(matches!(
        say(&[7, 1]).await,
        Err(Error::OtherVersion { .. })
    ));
    say(&[1, 2, 3]).await.unwrap();
    say(&[1, 2, 3]).await.unwrap();
    assert_eq!(history(&tasks).await.0, 4);
}

#[tokio::test]
async fn a_fork_that_is_meant_for_a_version_is_made_of_that_one_alone_and_repeated_whatever_came_since()
 {
    let tasks = service(&Disk::default());
    prepare(&tasks, Before::Queued).await;
    let (me, parent) = (Principal::local(), id("t"));
    let fork = async |key: &str, version: u64| {
        let fork = ForkRequest {
            at: Some(Sequence(1)),
            idempotency_key: Some(key.to_owned()),
            only_at: OnlyAt::version(Some(version)),
            ..ForkRequest::default()
        };
        tasks.fork(&me, &parent, fork).await
    };
    assert!(matches!(
        fork("one", 2).await,
        Err(Error::OtherVersion { version: 1, .. })
    ));
    let first = fork("one", 1).await.unwrap();
    intervene(&tasks, said("more")).await.unwrap();
    let again = fork("one", 1).await.unwrap();
    assert_eq!((again.task_id, again.is_duplicate), (first.task_id, true));
    assert!(matches!(
        fork("two", 1).await,
        Err(Error::OtherVersion { version: 2, .. })
    ));
}
