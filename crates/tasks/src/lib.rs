//! The task service: submits, queues, runs and stops tasks, and lets users intervene, independent of the protocol a
//! client uses.
//!
//! Floor 6. Every call names its principal. When a call returns, its effect is durable. How a task is worked on is
//! defined by `workflow`, and protocols by `server`.

mod cache;
mod detached;
mod erasure;
mod error;
mod fork;
mod interventions;
mod naming;
mod only_at;
mod recovery;
mod retention;
mod runner;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod tools;
mod watchdog;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use journeyman_api::CheckedTask;
use journeyman_event::payload::{BackpressureAlert, PauseReason, TaskSubmitted};
use journeyman_event::state::Status;
use journeyman_event::{NewEvent, Principal, Randomness, Sequence, TaskId, TaskState, TimeSource};
use journeyman_journal::{Filter, Journal, StreamName};
use journeyman_knowledge::Offline;
use journeyman_queue::{AdmissionError, Permit, Queue, RecoveredJob, Statistics, WhenFull};
use journeyman_workflow::{
    Fact, Listing, Notices, PAGE, Recorded, Recorder, Role, Worker, WorkerContext, WorkerOptions,
    check_output, load,
};
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use cache::Cache;
use detached::DetachedCalls;
pub use erasure::Deletion;
pub use error::{Error, check_may_change};
pub use fork::ForkRequest;
pub use interventions::Intervention;
pub use only_at::OnlyAt;
pub use retention::{EndedTasks, Retained, Retention};
use runner::TaskRunner;
use watchdog::Watchdog;

/// How long to wait before checking again whether a concurrent submission with the same key was recorded.
const AGAIN: Duration = Duration::from_millis(20);
/// The least time that calls in progress get to finish at shutdown.
const CALLS_TIME: Duration = Duration::from_secs(2);

/// A request to create a task.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The id of the task; `None` draws a random one.
    pub task_id: Option<TaskId>,
    /// The content of the task.
    pub content: CheckedTask,
    /// What happens if the queue is full.
    pub full: WhenFull,
    /// A request with the same key and content returns the same task instead of creating another one.
    pub idempotency_key: Option<String>,
}

/// A task that was recorded and queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The id of the task.
    pub task_id: TaskId,
    /// The position of its submission in the store.
    pub sequence: Sequence,
    /// Whether it had already been submitted with the same key.
    pub is_duplicate: bool,
}

/// A task in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedTask {
    /// The id of the task.
    pub task_id: TaskId,
    /// The details shown in lists.
    pub listing: Listing,
    /// The position of its last event, from which the next page continues.
    pub sequence: Sequence,
    /// The number of its events.
    pub revision: u64,
}

/// The parts of the service.
#[derive(Clone)]
pub struct TasksOptions {
    /// The journal for the events.
    pub journal: Journal,
    /// The source of time.
    pub time: Arc<dyn TimeSource>,
    /// The source of randomness.
    pub randomness: Arc<dyn Randomness>,
    /// Where notices are published.
    pub notices: Notices,
    /// The search index over all tasks.
    pub knowledge: Offline,
    /// What tasks are worked on with. Without it, this service does not work on tasks, and what it records
    /// waits for a service that does.
    pub worker_context: Option<WorkerContext>,
}

/// Why the service stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownReason {
    /// The server is shutting down.
    Shutdown,
    /// The user pressed Ctrl-C.
    Interrupted,
}

/// A handle to the service; clones share it.
///
/// What a call records it also acts on, even if the caller stops waiting: every call that changes something
/// runs to its end once it has started (`detached.rs`). Dropping its future only discards the result, except
/// while it waits for a place in the queue, where dropping it cancels the request.
#[derive(Clone)]
pub struct Tasks {
    options: Arc<TasksOptions>,
    interrupted: Arc<AtomicBool>,
    queue: Queue<TaskRunner>,
    cache: Arc<Cache>,
    detached: DetachedCalls,
    watchdog: Arc<Watchdog>,
    /// Held for reading while a fork copies events, until the copies are recorded, because they cite blobs of the
    /// parent. Held for writing while an erasure is recorded.
    copying: Arc<RwLock<()>>,
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tasks = f.debug_struct("Tasks");
        tasks.field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl Tasks {
    /// Starts the service with an empty queue. See [`Tasks::recover`].
    pub fn start(options: TasksOptions, queue: &journeyman_queue::QueueOptions) -> Self {
        let options = Arc::new(options);
        let interrupted = Arc::new(AtomicBool::new(false));
        let runner = TaskRunner {
            options: Arc::clone(&options),
            interrupted: Arc::clone(&interrupted),
        };
        let max_concurrent = match options.worker_context {
            Some(_) => queue.max_concurrent,
            None => 0,
        };
        let queue = journeyman_queue::QueueOptions {
            max_concurrent,
            ..queue.clone()
        };
        Self {
            queue: Queue::start(&queue, runner),
            interrupted,
            options,
            cache: Arc::default(),
            detached: DetachedCalls::default(),
            watchdog: Arc::default(),
            copying: Arc::default(),
        }
    }

    /// The journal in which everything is recorded.
    pub fn journal(&self) -> &Journal {
        &self.options.journal
    }

    /// The search index over all tasks.
    pub fn knowledge(&self) -> &Offline {
        &self.options.knowledge
    }

    /// The current statistics of the queue.
    pub fn statistics(&self) -> Statistics {
        self.queue.statistics()
    }

    /// Tells the queue how many model calls are waiting, here and at the model server if it reports them, so
    /// that the queue can raise an alert.
    pub async fn note_waiting_calls(&self) {
        let Some(worker_context) = &self.options.worker_context else {
            return self.queue.set_downstream(None);
        };
        let there = worker_context
            .models
            .default_server()
            .waiting()
            .await
            .unwrap_or_default();
        let here = worker_context.slots.waiting() as u64;
        self.queue.set_downstream(Some(here.saturating_add(there)));
    }

    /// If the last append failed, tries whether the journal accepts events again by appending one that records
    /// this. [`Journal::write_error`] is then up to date although no task has written.
    pub async fn probe_journal(&self) {
        if self.options.journal.write_error().is_none() {
            return;
        }
        let recovered = BackpressureAlert {
            watched: "journal".to_owned(),
            level: "normal".to_owned(),
            percent: 0,
        };
        match runner::record_alert(&self.options, recovered, &give_up_soon()).await {
            Ok(()) => tracing::info!("the journal takes events again"),
            Err(error) => tracing::debug!(%error, "the journal takes no events yet"),
        }
    }

    /// Changes how many tasks may be worked on at once.
    pub fn set_max_concurrent(&self, tasks: usize) {
        self.queue.set_max_concurrent(tasks);
    }

    /// The reasons why tasks cannot be worked on, each as a sentence; empty if there are none.
    pub fn obstacles(&self) -> Vec<String> {
        let mut obstacles = Vec::new();
        if let Some(error) = self.options.journal.write_error() {
            obstacles.push(format!("journal: {error}"));
        }
        let died = self.queue.statistics().died;
        if !died.is_empty() {
            let died = died.join(", ");
            obstacles.push(format!(
                "queue: a task of its own died ({died}); start journeyman again, nothing recorded is lost"
            ));
        }
        obstacles.extend(self.watchdog.obstacle());
        let worker_context = self.options.worker_context.as_ref();
        obstacles
            .extend(worker_context.and_then(|worker_context| worker_context.agents.obstacle()));
        obstacles
    }

    /// How many times a task was found that should be in the queue but was not, and was put back; see
    /// [`Tasks::requeue_lost`].
    pub fn requeued(&self) -> u64 {
        self.watchdog.requeued()
    }

    /// Records a task and queues it. When this returns, the task is durable.
    pub async fn submit(
        &self,
        principal: &Principal,
        submission: Submission,
    ) -> Result<Submitted, Error> {
        check_may_change(principal)?;
        let Submission {
            task_id,
            content,
            full,
            idempotency_key,
        } = submission;
        let content = content.into_content();
        let name = self.name(principal, task_id, idempotency_key.as_deref());
        loop {
            if let Some(known) = self.known(principal, &name, &content).await? {
                return Ok(known);
            }
            let task_id = &name.task_id;
            check_language(&content.language)?;
            check_patterns(content.tools.as_deref().unwrap_or_default())?;
            fork::check_tests(&content)?;
            if let Some(out) = &content.out {
                self.check_out(task_id, out).await?;
            }
            let submitted = self.submit_new(principal, task_id, content.clone(), full);
            match submitted.await {
                // Another one with the same key is on its way: it is there soon, or gives up.
                Err(Error::TaskExists { .. }) if name.has_key => tokio::time::sleep(AGAIN).await,
                submitted => return submitted,
            }
        }
    }

    async fn submit_new(
        &self,
        principal: &Principal,
        task_id: &TaskId,
        content: TaskSubmitted,
        full: WhenFull,
    ) -> Result<Submitted, Error> {
        self.check_dependencies(principal, task_id, &content.depends_on)
            .await?;
        let key = StreamName::of(principal.owner(), task_id);
        let depends_on: Vec<StreamName> = content
            .depends_on
            .iter()
            .map(|other| StreamName::of(principal.owner(), other))
            .collect();
        let permit = self
            .queue
            .admit(key, &depends_on, full)
            .await
            .map_err(|refusal| refused(refusal, task_id))?;
        Box::pin(self.settle_dependencies(principal, task_id, &content.depends_on)).await?;
        let (tasks, principal, task_id) = (self.clone(), principal.clone(), task_id.clone());
        let submitted = async move { tasks.record_new(&principal, task_id, content, permit).await };
        self.detached.run(submitted).await
    }

    /// Records a task that has a place in the queue, and queues it.
    async fn record_new(
        &self,
        principal: &Principal,
        task_id: TaskId,
        content: TaskSubmitted,
        permit: Permit<TaskRunner>,
    ) -> Result<Submitted, Error> {
        let fact = Fact::of_task(Role::User, content);
        let recorder = self.recorder(principal);
        let (events, after) = recorder.events(&task_id, &TaskState::default(), vec![fact])?;
        self.append_new(principal, task_id, (events, after), permit)
            .await
    }

    /// Appends the first events of a task that has a place in the queue, and queues it. Each event comes with
    /// the state after it.
    async fn append_new(
        &self,
        principal: &Principal,
        task_id: TaskId,
        (events, after): (Vec<NewEvent>, TaskState),
        permit: Permit<TaskRunner>,
    ) -> Result<Submitted, Error> {
        let priority = after.submission.as_ref().map(|asked| asked.priority);
        let mut state = TaskState::default();
        let (recorder, cancel) = (self.recorder(principal), give_up_soon());
        let appended = recorder.append(&task_id, &mut state, (events, &after), Vec::new(), &cancel);
        if appended.await? == Recorded::Conflict {
            return Err(Error::TaskExists { task: task_id });
        }
        // The events of one append have consecutive sequence numbers.
        let sequence = Sequence(state.sequence.0 + 1 - state.revision.0);
        let ended = Box::pin(self.end_without_time(principal, &task_id, &mut state));
        // Where its end could not be recorded, it comes when it is its turn.
        if !ended.await.unwrap_or(false) {
            permit.submit(priority.unwrap_or_default(), None);
        }
        Ok(Submitted {
            task_id,
            sequence,
            is_duplicate: false,
        })
    }

    /// Checks whether a task may write its result to this folder, before any work is done.
    async fn check_out(&self, task: &TaskId, out: &str) -> Result<(), Error> {
        let worker_context = self.options.worker_context.as_ref();
        let ours = worker_context.and_then(|worker_context| worker_context.work_folder.parent());
        let (ours, out) = (ours.map(Path::to_owned), PathBuf::from(out));
        let task = task.clone();
        let checked =
            tokio::task::spawn_blocking(move || check_output(&out, Some(&task), ours.as_deref()));
        checked
            .await?
            .map_err(|error| Error::bad("out", error.to_string()))
    }

    /// Loads the state of a task.
    pub async fn state(&self, principal: &Principal, task: &TaskId) -> Result<TaskState, Error> {
        load(&self.options.journal, principal, task)
            .await?
            .ok_or_else(|| Error::NoSuchTask { task: task.clone() })
    }

    /// The state of a task like [`Tasks::state`], but shared and read-only. Fast if it was requested recently.
    pub async fn current(
        &self,
        principal: &Principal,
        task: &TaskId,
    ) -> Result<Arc<TaskState>, Error> {
        let name = StreamName::of(principal.owner(), task);
        let Some(known) = self.cache.get(&name) else {
            let state = Arc::new(self.state(principal, task).await?);
            self.cache.put(name, &state);
            return Ok(state);
        };
        let journal = &self.options.journal;
        let filter = Filter::of_task(task);
        let page = journal
            .read(principal, &filter, known.sequence, PAGE)
            .await?;
        if page.events.is_empty() {
            return Ok(known);
        }
        let mut state = Arc::unwrap_or_clone(known);
        for event in &page.events {
            state.evolve(event)?;
        }
        if !page.ended {
            state = self.state(principal, task).await?;
        }
        let state = Arc::new(state);
        self.cache.put(name, &state);
        Ok(state)
    }

    /// The principal's tasks whose last event is before a position, most recently changed first; with a status,
    /// only tasks with it. A page with fewer than `limit` tasks is not necessarily the last one; the returned
    /// `None` marks that.
    pub async fn list(
        &self,
        principal: &Principal,
        before: Sequence,
        limit: usize,
        status: Option<Status>,
    ) -> Result<(Vec<ListedTask>, Option<Sequence>), Error> {
        list(&self.options.journal, principal, before, limit, status).await
    }

    /// Changes how many async tasks start work; see [`journeyman_queue::QueueOptions::workers`].
    pub fn set_workers(&self, workers: usize) {
        self.queue.set_workers(workers);
    }

    /// The actual status of a task with this recorded status. A task recorded as running that no one is working
    /// on is paused.
    pub async fn status_of(
        &self,
        principal: &Principal,
        task: &TaskId,
        recorded: (Status, Option<PauseReason>),
    ) -> Result<(Status, Option<PauseReason>), Error> {
        if self.is_attended(principal, task, recorded.0) {
            return Ok(recorded);
        }
        let (_, status, pause) = self.current_status(principal, task).await?;
        Ok((status, pause))
    }

    /// The state of a task as from [`Tasks::current`], and its actual status.
    pub async fn current_status(
        &self,
        principal: &Principal,
        task: &TaskId,
    ) -> Result<(Arc<TaskState>, Status, Option<PauseReason>), Error> {
        let mut state = self.current(principal, task).await?;
        if !self.is_attended(principal, task, state.status) {
            // Or it has left the queue since it was looked up; the journal then shows what happened.
            state = self.current(principal, task).await?;
        }
        let (status, pause) = if self.is_attended(principal, task, state.status) {
            (state.status, state.pause)
        } else {
            (Status::Paused, Some(PauseReason::Interrupted))
        };
        Ok((state, status, pause))
    }

    fn is_attended(&self, principal: &Principal, task: &TaskId, status: Status) -> bool {
        let name = StreamName::of(principal.owner(), task);
        status != Status::Running || self.queue.contains(&name)
    }

    /// Waits until a task has left the queue, because it ended or was paused.
    pub async fn wait_until_left(&self, principal: &Principal, task: &TaskId) {
        let key = StreamName::of(principal.owner(), task);
        // If the queue was stopped, the task is paused too.
        let _ = self.queue.ended(&key).await;
    }

    /// Shuts the service down: admits no more tasks, lets running ones reach an event boundary, interrupts
    /// those that have not after `grace`, and lets calls in progress finish. After a restart [`Tasks::recover`]
    /// continues. A second call with a shorter grace period shortens it.
    pub async fn shut_down(&self, grace: Duration, reason: ShutdownReason) {
        let interrupted = reason == ShutdownReason::Interrupted;
        self.interrupted.store(interrupted, Ordering::Relaxed);
        self.watchdog.end();
        self.queue.shutdown(grace).await;
        self.detached.wait(grace.max(CALLS_TIME)).await;
    }

    /// Puts a task that continues into the queue, unless it is there.
    async fn enqueue(&self, name: &StreamName, state: &TaskState) -> Result<(), Error> {
        let asked = state.submission.as_ref();
        let priority = asked.map(|asked| asked.priority);
        // What it waits for counts until it was started once.
        let others = match asked {
            Some(asked) if state.started.is_none() => asked.depends_on.as_slice(),
            _ => &[],
        };
        let depends_on = others.iter();
        let depends_on = depends_on.map(|other| StreamName::of(&name.owner, other));
        if !self.queue.contains(name) {
            // Refused where it has just come there: then it goes on by itself.
            let _ = self.queue.recover([RecoveredJob {
                id: name.clone(),
                priority: priority.unwrap_or_default(),
                deadline: None,
                depends_on: depends_on.collect(),
            }]);
        }
        let owner = Principal::user(name.owner.clone());
        self.settle_dependencies(&owner, &name.task_id, others)
            .await
    }

    fn recorder(&self, principal: &Principal) -> Recorder {
        recorder(&self.options, principal)
    }
}

/// A page of a principal's tasks as for [`Tasks::list`], and the position where the next one continues.
pub async fn list(
    journal: &Journal,
    principal: &Principal,
    before: Sequence,
    limit: usize,
    status: Option<Status>,
) -> Result<(Vec<ListedTask>, Option<Sequence>), Error> {
    /// How many streams are examined for one page if not all of them match.
    const SEARCH: usize = 2_000;
    let looked_at = if status.is_some() { SEARCH } else { limit };
    let streams = journal.streams_before(principal, before, looked_at).await?;
    let ended = streams.len() < looked_at;
    let mut last = None;
    let mut tasks = Vec::new();
    for stream in streams {
        last = Some(stream.sequence);
        let listing = Listing::of_stream(journal, &stream).await?;
        if status.is_none_or(|status| status == listing.status) {
            tasks.push(ListedTask {
                task_id: stream.task_id,
                listing,
                sequence: stream.sequence,
                revision: stream.revision.0,
            });
        }
        if tasks.len() == limit {
            return Ok((tasks, last));
        }
    }
    Ok((tasks, last.filter(|_| !ended)))
}

fn recorder(options: &TasksOptions, principal: &Principal) -> Recorder {
    Recorder {
        journal: options.journal.clone(),
        principal: principal.clone(),
        time: Arc::clone(&options.time),
        randomness: Arc::clone(&options.randomness),
        notices: options.notices.clone(),
    }
}

fn worker(options: &TasksOptions, worker_context: &WorkerContext, principal: &Principal) -> Worker {
    Worker::new(WorkerOptions {
        journal: options.journal.clone(),
        principal: principal.clone(),
        worker_context: worker_context.clone(),
        time: Arc::clone(&options.time),
        randomness: Arc::clone(&options.randomness),
        notices: options.notices.clone(),
    })
}

fn refused(refusal: AdmissionError<StreamName>, task: &TaskId) -> Error {
    match refusal {
        AdmissionError::Duplicate { .. } => Error::TaskExists { task: task.clone() },
        other => Error::Refused(other),
    }
}

/// Checks whether the programming language is supported.
fn check_language(name: &str) -> Result<(), Error> {
    let found = journeyman_language::find(name);
    found.map_err(|error| Error::bad("language", error.to_string()))?;
    Ok(())
}

/// Checks a task's patterns for the tools its agents may call.
fn check_patterns(tools: &[String]) -> Result<(), Error> {
    let checked = journeyman_workflow::check_patterns(tools);
    checked.map_err(|error| Error::bad("tools", error.to_string()))
}

/// A cancelled token, for callers that wait for a reply: a store that is not writable is then an error at once.
fn give_up_soon() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}
