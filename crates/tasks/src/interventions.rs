//! What users can do with submitted tasks. Each intervention is an event that is durable when the call returns. It
//! takes effect at the task's next event boundary.

use std::collections::HashMap;

use journeyman_api::limits::{check_source, check_text};
use journeyman_event::payload::{
    CodeOrigin, FailureReason, Limits, LimitsChanged, ModuleSkipped, OutChanged, PauseReason,
    RequestedStop, RetentionChanged, StopRequested, TaskQueued, UserAnswered, UserIntervention,
};
use journeyman_event::state::{Ending, ModuleState, Status};
use journeyman_event::{Principal, TaskId, TaskState};
use journeyman_journal::StreamName;
use journeyman_queue::{AdmissionError, Withdrawal};
use journeyman_workflow::{Fact, Recorded, Role, StopReason, module_path, without_time};

use crate::{Error, OnlyAt, Tasks, check_may_change, give_up_soon};

/// The most tasks that are searched for a cycle of dependencies.
const CIRCLE_MAX: usize = 10_000;
/// How many times resuming is tried if the task changes each time.
const RESUME_TRIES: u32 = 20;

/// A user's action on a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intervention {
    /// Give an additional instruction, which is part of every prompt from now on.
    Instruct {
        /// The user's words.
        instruction: String,
    },
    /// Answer a question.
    Answer {
        /// The id or text of the question, if there was one.
        question: Option<String>,
        /// The user's words.
        answer: String,
    },
    /// Write a module's file as its next version, which is tested like any other.
    EditFile {
        /// The path as in the list of files.
        path: String,
        /// The complete file.
        source: String,
    },
    /// No more work on a module.
    SkipModule {
        /// The module, by its name or by its file as the list of files names it.
        module: String,
    },
    /// The task rests until the user resumes it.
    Pause,
    /// Resume the task, optionally with other limits or another output folder.
    Resume {
        /// The new limits.
        limits: Option<Limits>,
        /// The new output folder. Also resumes a task that failed because its result could not be written.
        out: Option<String>,
    },
    /// The task ends.
    Cancel,
    /// The task is not erased, neither by retention nor by its user, until [`Intervention::Unkeep`]. Ended tasks can be
    /// kept as well.
    Keep,
    /// The task may be erased again.
    Unkeep,
}

impl Tasks {
    /// Does what the user wants with a task, if it has a version for which that is meant, and gives the state after it.
    pub async fn intervene(
        &self,
        principal: &Principal,
        task: &TaskId,
        intervention: Intervention,
        only_at: OnlyAt,
    ) -> Result<TaskState, Error> {
        check_may_change(principal)?;
        let (tasks, principal, task) = (self.clone(), principal.clone(), task.clone());
        let done = async move {
            let done = tasks.intervene_now(&principal, &task, intervention, &only_at);
            done.await
        };
        self.detached.run(done).await
    }

    /// The same within a call that is already detached.
    pub(crate) async fn intervene_now(
        &self,
        principal: &Principal,
        task: &TaskId,
        intervention: Intervention,
        only_at: &OnlyAt,
    ) -> Result<TaskState, Error> {
        match intervention {
            Intervention::Instruct { instruction } => {
                check_text("instruction", &instruction)?;
                let said = UserIntervention { instruction };
                let fact = Fact::of_task(Role::User, said);
                let fact = |_: &TaskState| Ok(fact.clone());
                self.record(principal, task, only_at, fact).await
            }
            Intervention::Answer { question, answer } => {
                check_text("answer", &answer)?;
                let said = UserAnswered { question, answer };
                Box::pin(self.answer(principal, task, &said, only_at)).await
            }
            Intervention::EditFile { path, source } => {
                check_source("source", &source)?;
                let edit = |state: &TaskState| edit(task, state, &path, &source);
                self.record(principal, task, only_at, edit).await
            }
            Intervention::SkipModule { module } => {
                let skip = |state: &TaskState| {
                    let found = module_called(task, state, &module)?;
                    Ok(Fact::of_module(
                        Role::User,
                        &found.plan.name,
                        ModuleSkipped {},
                    ))
                };
                self.record(principal, task, only_at, skip).await
            }
            Intervention::Pause => {
                self.stop(principal, task, RequestedStop::Pause, only_at)
                    .await
            }
            Intervention::Cancel => {
                self.stop(principal, task, RequestedStop::Cancel, only_at)
                    .await
            }
            Intervention::Keep => {
                let mark = RetentionChanged { keep: true };
                self.mark(principal, task, mark, only_at).await
            }
            Intervention::Unkeep => {
                let mark = RetentionChanged { keep: false };
                self.mark(principal, task, mark, only_at).await
            }
            Intervention::Resume { limits, out } => {
                if let Some(out) = &out {
                    self.check_out(task, out).await?;
                }
                let mut tries = 0;
                loop {
                    let resumed = self.resume(principal, task, limits, out.as_deref(), only_at);
                    match Box::pin(resumed).await {
                        // Somebody else recorded something first: it is said anew of the state after that.
                        Err(Error::Conflict { .. }) if tries < RESUME_TRIES => tries += 1,
                        done => return done,
                    }
                }
            }
        }
    }

    /// Records whether a task is kept, whatever its status, unless it is recorded already.
    async fn mark(
        &self,
        principal: &Principal,
        task: &TaskId,
        mark: RetentionChanged,
        only_at: &OnlyAt,
    ) -> Result<TaskState, Error> {
        let mut state = self.state(principal, task).await?;
        loop {
            // What is recorded below expects this very version.
            only_at.check(task, &state)?;
            if state.keep == mark.keep {
                return Ok(state);
            }
            let fact = vec![Fact::of_task(Role::User, mark.clone())];
            let (recorder, cancel) = (self.recorder(principal), give_up_soon());
            let recorded = recorder.record(task, &mut state, fact, Vec::new(), &cancel);
            if recorded.await? == Recorded::Appended {
                return Ok(state);
            }
        }
    }

    /// Records an answer; the last one that a resting task waits for lets it go on.
    async fn answer(
        &self,
        principal: &Principal,
        task: &TaskId,
        said: &UserAnswered,
        only_at: &OnlyAt,
    ) -> Result<TaskState, Error> {
        let facts = |state: &TaskState| {
            let mut facts = vec![Fact::of_task(Role::User, said.clone())];
            let mut open = state.open_questions();
            let is_last = match (open.next(), open.next()) {
                (Some(only), None) => said
                    .question
                    .as_ref()
                    .is_none_or(|named| *named == only.id || *named == only.text),
                _ => false,
            };
            if is_last && state.pause == Some(PauseReason::Question) {
                facts.push(Fact::of_task(Role::User, TaskQueued {}));
            }
            Ok(facts)
        };
        let recorded = self.record_all(principal, task, only_at, |_| false, facts);
        let state = recorded.await?;
        if state.status == Status::Queued {
            let name = StreamName::of(principal.owner(), task);
            self.enqueue(&name, &state).await?;
        }
        Ok(state)
    }

    /// Records the facts that follow from the current state, unless the task has ended. The task's worker
    /// notices them at the next event boundary.
    async fn record(
        &self,
        principal: &Principal,
        task: &TaskId,
        only_at: &OnlyAt,
        fact: impl Fn(&TaskState) -> Result<Fact, Error>,
    ) -> Result<TaskState, Error> {
        let facts = |state: &TaskState| Ok(vec![fact(state)?]);
        self.record_all(principal, task, only_at, |_| false, facts)
            .await
    }

    /// The same with several facts. Where the state is already as it is wanted (`is_done`), also by
    /// somebody else meanwhile, nothing is recorded.
    async fn record_all(
        &self,
        principal: &Principal,
        task: &TaskId,
        only_at: &OnlyAt,
        is_done: impl Fn(&TaskState) -> bool,
        facts: impl Fn(&TaskState) -> Result<Vec<Fact>, Error>,
    ) -> Result<TaskState, Error> {
        let mut state = self.state(principal, task).await?;
        loop {
            // What is recorded below expects this very version.
            only_at.check(task, &state)?;
            if is_done(&state) {
                return Ok(state);
            }
            if state.status.is_ended() {
                return Err(ended(task, &state));
            }
            let facts = facts(&state)?;
            let cancel = give_up_soon();
            let recorder = self.recorder(principal);
            let recorded = recorder.record(task, &mut state, facts, Vec::new(), &cancel);
            if recorded.await? == Recorded::Appended {
                return Ok(state);
            }
        }
    }

    /// Lets a task rest or end. Whoever works on it records that at the next event boundary. A stop that is meant for a
    /// version is recorded as asked for before anybody is stopped: that append is at the version or not at all.
    async fn stop(
        &self,
        principal: &Principal,
        task: &TaskId,
        stop: RequestedStop,
        only_at: &OnlyAt,
    ) -> Result<TaskState, Error> {
        let mut state = self.state(principal, task).await?;
        only_at.check(task, &state)?;
        let is_done = |state: &TaskState| match stop {
            RequestedStop::Cancel => state.status == Status::Cancelled,
            RequestedStop::Pause => state.pause == Some(PauseReason::User),
        };
        if is_done(&state) {
            return Ok(state);
        }
        if state.status.is_ended() {
            return Err(ended(task, &state));
        }
        if only_at.is_conditional() {
            let requested = |_: &TaskState| Ok(Fact::of_task(Role::User, StopRequested { stop }));
            state = self.record(principal, task, only_at, requested).await?;
        }
        let key = StreamName::of(principal.owner(), task);
        let (withdrawal, reason) = match stop {
            RequestedStop::Cancel => (self.queue.cancel(&key), StopReason::Cancelled),
            RequestedStop::Pause => (self.queue.pause(&key), StopReason::Paused),
        };
        let (mut held, mut had_run) = (None, false);
        match withdrawal {
            Withdrawal::WasWaiting(job) => held = Some(job),
            Withdrawal::Running(end) => {
                had_run = true;
                // If the queue was stopped meanwhile, the journal shows what happened to the task.
                let _ = end.await;
            }
            Withdrawal::Unknown => {}
        }
        let facts = |state: &TaskState| Ok(reason.clone().facts(state));
        let recorded = self.record_all(principal, task, &OnlyAt::Any, is_done, facts);
        let recorded = recorded.await;
        match &recorded {
            Ok(_) | Err(Error::Ended { .. }) => {
                if let Some(held) = held {
                    held.remove();
                }
            }
            // What is not recorded did not happen: it goes on. One that waited is put back when `held`
            // goes, to where it stood.
            Err(_) if had_run => self.enqueue(&key, &state).await?,
            Err(_) => {}
        }
        let is_over = match &recorded {
            Ok(state) => state.status.is_ended(),
            Err(error) => matches!(error, Error::Ended { .. }),
        };
        if is_over {
            self.queue.mark_ended(&key);
        }
        recorded
    }

    /// Puts a paused task back into the queue. A failed task can be resumed if it failed at a limit and the
    /// limit was raised, because of its model server, or because its result could not be written and the output
    /// folder was changed.
    async fn resume(
        &self,
        principal: &Principal,
        task: &TaskId,
        limits: Option<Limits>,
        out: Option<&str>,
        only_at: &OnlyAt,
    ) -> Result<TaskState, Error> {
        let mut state = self.state(principal, task).await?;
        only_at.check(task, &state)?;
        let mut facts = Vec::new();
        if let Some(limits) = limits.filter(|limits| *limits != state.limits) {
            facts.push(Fact::of_task(Role::User, LimitsChanged { limits }));
        }
        if state.may_be_tried_again() && facts.is_empty() {
            // What takes the failure back.
            let limits = state.limits;
            facts.push(Fact::of_task(Role::User, LimitsChanged { limits }));
        }
        let may_go_on = match &state.ending {
            Some(Ending::Failed { reason, .. }) => match reason {
                FailureReason::Budget
                | FailureReason::Timeout
                | FailureReason::Model
                | FailureReason::Spending => !facts.is_empty(),
                FailureReason::Output => out.is_some(),
                _ => false,
            },
            Some(_) => false,
            None => true,
        };
        if !may_go_on {
            return Err(ended(task, &state));
        }
        // The same folder once more is another try only where the last one failed.
        let failed_there = state.status == Status::Failed || state.output_problem.is_some();
        let asked = state.submission.as_ref();
        let is_there = asked.is_some_and(|asked| asked.out.as_deref() == out);
        if let Some(out) = out.filter(|_| failed_there || !is_there) {
            let out = out.to_owned();
            facts.push(Fact::of_task(Role::User, OutChanged { out }));
        }
        match state.status {
            Status::Complete | Status::Cancelled | Status::Failed | Status::Paused => {
                facts.push(Fact::of_task(Role::User, TaskQueued {}));
            }
            Status::Queued | Status::Running => {}
        }
        if !facts.is_empty() {
            let revision = state.revision;
            let unchanged = |state: &TaskState| state.revision == revision;
            let cancel = give_up_soon();
            let recorder = self.recorder(principal);
            let recorded = recorder.record_with_retry(task, &mut state, &facts, &cancel, unchanged);
            if !recorded.await? {
                return Err(Error::Conflict { task: task.clone() });
            }
        }
        if Box::pin(self.end_without_time(principal, task, &mut state)).await? {
            // It may wait for its turn, which it does not need.
            let key = StreamName::of(principal.owner(), task);
            if let Withdrawal::WasWaiting(held) = self.queue.pause(&key) {
                held.remove();
            }
            self.queue.mark_ended(&key);
            return Ok(state);
        }
        self.enqueue(&StreamName::of(principal.owner(), task), &state)
            .await?;
        Ok(state)
    }

    /// Fails a task whose time limit is 0 without queueing it. Returns whether it is such a task.
    pub(crate) async fn end_without_time(
        &self,
        principal: &Principal,
        task: &TaskId,
        state: &mut TaskState,
    ) -> Result<bool, Error> {
        let Some(end) = without_time(state) else {
            return Ok(false);
        };
        let (recorder, cancel) = (self.recorder(principal), give_up_soon());
        let still = |state: &TaskState| without_time(state).is_some();
        recorder
            .record_with_retry(task, state, &[end], &cancel, still)
            .await?;
        if state.status.is_ended() {
            let key = StreamName::of(principal.owner(), task);
            self.queue.mark_timed_out(&key);
        }
        Ok(state.status.is_ended())
    }

    /// Fails if a dependency does not exist. The task would not wait for it, so the user must have meant a
    /// different one.
    pub(crate) async fn check_dependencies(
        &self,
        principal: &Principal,
        task: &TaskId,
        depends_on: &[TaskId],
    ) -> Result<(), Error> {
        // A task that depends on itself is reported as a cycle.
        for other in depends_on.iter().filter(|other| *other != task) {
            match self.current(principal, other).await {
                Err(Error::NoSuchTask { .. }) => {
                    let reason = format!("there is no task {other}; submit it first");
                    return Err(Error::bad("depends_on", reason));
                }
                Err(error) if error.is_gone() => {
                    return Err(Error::bad("depends_on", error.to_string()));
                }
                known => drop(known?),
            }
        }
        Ok(())
    }

    /// Tells the queue which of these tasks have ended or do not exist (an imported task may depend on one that
    /// was not imported). The queue knows about the tasks it contains. Fails if `task` would close a cycle with
    /// paused tasks, and names the cycle.
    pub(crate) async fn settle_dependencies(
        &self,
        principal: &Principal,
        task: &TaskId,
        depends_on: &[TaskId],
    ) -> Result<(), Error> {
        // Who waits for whom, for a circle's sake: each with the one that needs it.
        let mut needed_by: HashMap<TaskId, TaskId> = HashMap::new();
        let mut open: Vec<TaskId> = Vec::new();
        for other in depends_on {
            let key = StreamName::of(principal.owner(), other);
            let goes_on = match self.current(principal, other).await {
                Err(error) if error.is_gone() => false,
                known => !known?.status.is_ended(),
            };
            if goes_on {
                needed_by.insert(other.clone(), task.clone());
                open.push(other.clone());
            } else {
                self.queue.mark_ended(&key);
            }
        }
        while let Some(at) = open.pop() {
            let state = match self.current(principal, &at).await {
                Err(error) if error.is_gone() => continue,
                state => state?,
            };
            // What was started waits for nothing any more.
            if state.started.is_some() || state.status.is_ended() {
                continue;
            }
            let asked = state.submission.as_ref();
            for next in asked.map_or(&[][..], |asked| &asked.depends_on) {
                if next == task {
                    return Err(cycle(principal, task, &at, &needed_by));
                }
                if needed_by.len() < CIRCLE_MAX && !needed_by.contains_key(next) {
                    needed_by.insert(next.clone(), at.clone());
                    open.push(next.clone());
                }
            }
        }
        Ok(())
    }
}

/// The cycle that `task` would close: from it along its dependencies to `last`, which depends on it.
fn cycle(
    principal: &Principal,
    task: &TaskId,
    last: &TaskId,
    needed_by: &HashMap<TaskId, TaskId>,
) -> Error {
    let mut path = vec![last];
    while let Some(before) = path.last().and_then(|step| needed_by.get(*step)) {
        path.push(before);
    }
    let ids = path.iter().rev();
    let ids = ids.map(|task| StreamName::of(principal.owner(), task));
    debug_assert_eq!(path.last(), Some(&task));
    Error::Refused(AdmissionError::Cycle { ids: ids.collect() })
}

pub(crate) fn ended(task: &TaskId, state: &TaskState) -> Error {
    Error::Ended {
        task: task.clone(),
        status: state.status,
    }
}

fn no_module(task: &TaskId, state: &TaskState, given: &str) -> Error {
    let modules = state.modules.iter();
    let known: Vec<String> = modules
        .map(|module| {
            let name = &module.plan.name;
            format!("{name} ({})", module_path(state, name))
        })
        .collect();
    Error::NoModule {
        task: task.clone(),
        given: given.to_owned(),
        known: if known.is_empty() {
            "there is no plan yet".to_owned()
        } else {
            format!("its modules are {}", known.join(", "))
        },
    }
}

/// The module of this name, or whose file is at this path.
fn module_called<'s>(
    task: &TaskId,
    state: &'s TaskState,
    given: &str,
) -> Result<&'s ModuleState, Error> {
    let mut modules = state.modules.iter();
    let found = modules.find(|module| {
        let name = &module.plan.name;
        module_path(state, name) == given || name.as_str() == given
    });
    found.ok_or_else(|| no_module(task, state, given))
}

/// The next version of the module that this file is; it may be given by the module's name as well.
fn edit(task: &TaskId, state: &TaskState, path: &str, source: &str) -> Result<Fact, Error> {
    let module = module_called(task, state, path)?;
    Ok(Fact::new_code(
        Role::User,
        &module.plan.name,
        module.version() + 1,
        CodeOrigin::Edited,
        source.to_owned(),
    ))
}
