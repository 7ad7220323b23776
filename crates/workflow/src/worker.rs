//! Works on one task: asks `decide` for the next step, starts it, and records its outcome. Several effects may be
//! in progress; their outcomes are recorded here, one after the other.
//!
//! Everything is recorded before it is acted on, and the intent of every effect before the effect. A worker that
//! resumes a task therefore continues exactly where the last one was interrupted.

mod backoff;
mod prepare;
mod running;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use backoff::{Backoff, MODEL_RETRY_FIRST, MODEL_RETRY_MAX};
use bytes::Bytes;
use jiff::SignedDuration;
use journeyman_bus::Context;
use journeyman_event::payload::{
    AnalysisStarted, EffectInterrupted, EffectRetried, Interruption, PauseReason, Purpose,
    TaskPaused, TaskResumed, TaskStarted, TaskSubmitted, ToolCompleted, ToolExecuting, ToolOutcome,
};
use journeyman_event::state::{Action, OpenEffect, Status};
use journeyman_event::{Principal, Randomness, TaskId, TaskState, TimeSource, Tokens};
use journeyman_journal::Journal;
use journeyman_knowledge::Knowledge;
use journeyman_llm::ModelInfo;
use running::{Ended, Running};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::control::Control;
use crate::decide::{Now, Step, decide, is_call};
use crate::effects::{CallSlot, Effects, Outcome, priority_of};
use crate::fact::{Fact, Role};
use crate::load::load;
use crate::notice::{Notice, Notices};
use crate::recorder::{Recorded, Recorder};
use crate::slots::{Claim, Slot};
use crate::work_clock::WorkClock;
use crate::worker_context::WorkerContext;

/// The parts of a worker.
#[derive(Clone)]
pub struct WorkerOptions {
    /// The journal for the events.
    pub journal: Journal,
    /// The principal on whose behalf it works.
    pub principal: Principal,
    /// The model server, sandbox and other parts that tasks are worked on with.
    pub worker_context: WorkerContext,
    /// The source of time.
    pub time: Arc<dyn TimeSource>,
    /// The source of randomness.
    pub randomness: Arc<dyn Randomness>,
    /// Where notices are published.
    pub notices: Notices,
}

/// Works on tasks, one at a time.
pub struct Worker {
    recorder: Recorder,
    effects: Effects,
    work_clock: WorkClock,
}

/// The work on one task, from its start until the task pauses or ends.
struct TaskRun<'w> {
    task: &'w TaskId,
    state: TaskState,
    /// The task's knowledge graph, as far as a prompt has needed it.
    known: Knowledge,
    /// Cancels the work.
    cancel: &'w CancellationToken,
    backoff: Backoff,
    /// The model of the last call, which is waited for if it cannot be reached; `None` for the default.
    model: Option<String>,
}

impl Worker {
    /// Creates a worker with these parts.
    pub fn new(options: WorkerOptions) -> Self {
        let WorkerOptions {
            journal,
            principal,
            worker_context,
            time,
            randomness,
            notices,
        } = options;
        Self {
            work_clock: WorkClock::new(Arc::clone(&time)),
            effects: Effects {
                journal: journal.clone(),
                principal: principal.clone(),
                worker_context,
                time: Arc::clone(&time),
                randomness: Arc::clone(&randomness),
                notices: notices.clone(),
            },
            recorder: Recorder {
                journal,
                principal,
                time,
                randomness,
                notices,
            },
        }
    }

    /// Records a new task. When this returns, the task is durable.
    pub async fn submit(
        &self,
        task: &TaskId,
        submission: TaskSubmitted,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let fact = Fact::of_task(Role::User, submission);
        let mut task_run = TaskRun {
            task,
            state: TaskState::default(),
            known: Knowledge::default(),
            cancel,
            backoff: Backoff::new(Arc::clone(&self.recorder.randomness)),
            model: None,
        };
        match self.record(&mut task_run, vec![fact]).await? {
            Recorded::Appended => Ok(()),
            Recorded::Conflict => Err(Error::TaskExists { task: task.clone() }),
        }
    }

    /// Works on a task until it ends or `control` asks to stop. Returns the state it is left in.
    pub async fn run(&self, task: &TaskId, control: &Control) -> Result<TaskState, Error> {
        let context = Context {
            task_id: Some(task.as_str().into()),
            ..Context::current()
        };
        context.scope(Box::pin(self.work_on(task, control))).await
    }

    async fn work_on(&self, task: &TaskId, control: &Control) -> Result<TaskState, Error> {
        let mut task_run = TaskRun {
            task,
            state: self.load(task).await?,
            known: Knowledge::default(),
            cancel: control.token(),
            backoff: Backoff::new(Arc::clone(&self.recorder.randomness)),
            model: None,
        };
        // Before anything is begun that nothing here could run.
        self.effects
            .worker_context
            .runners
            .of_task(&task_run.state)?;
        let owner = self.recorder.principal.owner();
        let presence = self.effects.worker_context.agents.enter(owner, task);
        while !task_run.state.status.is_ended() {
            if self.begin(&mut task_run).await? == Recorded::Appended {
                break;
            }
        }
        let mut running = Running::default();
        // Had for the call that is begun next.
        let mut next_slot = None;
        // Whether another call would take more than those under way leave of the budget.
        let mut is_full = false;
        while !task_run.state.status.is_ended() {
            presence.note(&task_run.state, self.recorder.time.now());
            if task_run.state.status != Status::Paused {
                self.start_open_effects(&task_run, &mut running, &mut next_slot);
            }
            // Also when it is to stop: an effect whose intent is recorded has its outcome recorded.
            if control.is_stopped() && !running.is_empty() {
                task_run.backoff.clear();
                running.wait().await;
            }
            if let Some(ended) = running.take() {
                // What comes of it may be that nothing is begun for a while.
                (next_slot, is_full) = (None, false);
                running.during(self.conclude(&mut task_run, ended)).await?;
                continue;
            }
            if control.is_stopped() {
                let stopped = control.facts(&task_run.state);
                match self.record(&mut task_run, stopped).await? {
                    Recorded::Appended => break,
                    Recorded::Conflict => continue,
                }
            }
            match task_run.state.pause {
                Some(PauseReason::Question) => break,
                Some(PauseReason::Shortage) => {
                    self.wait_for_more(&mut task_run).await?;
                    continue;
                }
                _ if task_run.state.status == Status::Paused => {
                    self.wait_for_model(&mut task_run).await?;
                    continue;
                }
                _ => {}
            }
            if !task_run.state.answers.is_empty() {
                task_run.backoff.reset_calls();
            }
            // If someone else has recorded an event meanwhile, the decision is made again.
            let strategy = self.effects.worker_context.strategies.of(&task_run.state)?;
            let now = Now {
                active: self.active(&task_run.state),
                has_model_slot: next_slot.is_some(),
            };
            let step = decide(&task_run.state, strategy, now);
            // What follows from answers that are there is recorded all the same: it begins nothing.
            if let Some(delay) = task_run.backoff.current()
                && !matches!(step, Step::Record(_))
            {
                let until = delay.until;
                if running.is_empty() && until > Instant::now() {
                    // No effect is under way any more: the delay becomes a pause of the whole task.
                    let pause = vec![self.pause_fact(delay.reason, &delay.problem)];
                    if self.record(&mut task_run, pause).await? == Recorded::Appended {
                        task_run.backoff.became_a_pause();
                    }
                    continue;
                }
                tokio::select! {
                    biased;
                    () = running.wait() => {}
                    () = tokio::time::sleep_until(until) => task_run.backoff.clear(),
                }
                continue;
            }
            match step {
                Step::Ended => break,
                Step::Wait if running.is_empty() => return Err(Error::NoEffect),
                Step::Wait => {
                    // A slot that this task cannot use goes to another.
                    let had_one = next_slot.take().is_some();
                    let further = Now {
                        has_model_slot: true,
                        ..now
                    };
                    let wants_one = !had_one
                        && !is_full
                        && decide(&task_run.state, strategy, further) != Step::Wait;
                    let (slots, priority) = (
                        &self.effects.worker_context.slots,
                        priority_of(&task_run.state),
                    );
                    tokio::select! {
                        biased;
                        () = running.wait() => {}
                        slot = slots.take(Claim::Further, priority, Purpose::Code), if wants_one => {
                            next_slot = Some(slot);
                        }
                    }
                }
                step => {
                    if !running.during(self.take_step(&mut task_run, step)).await? {
                        (next_slot, is_full) = (None, true);
                    }
                }
            }
        }
        Ok(task_run.state)
    }

    /// Starts every open effect that is not in progress in this process. If there is a free slot, a call gets
    /// it.
    fn start_open_effects<'w>(
        &'w self,
        task_run: &TaskRun<'w>,
        running: &mut Running<'w>,
        slot: &mut Option<Slot>,
    ) {
        let open = &task_run.state.effects;
        for (at, effect) in open.iter().enumerate() {
            if running.has(effect.intent) {
                continue;
            }
            let claim = if open[..at].iter().any(is_call) {
                Claim::Further
            } else {
                Claim::First
            };
            let slot = slot.take_if(|_| is_call(effect));
            let slot = slot.map_or(CallSlot::Wanted(claim), CallSlot::Acquired);
            let state = Arc::new(task_run.state.clone());
            let work = self.perform(task_run.task, state, effect.clone(), slot, task_run.cancel);
            running.begin(effect.intent, work);
        }
    }

    /// Records the facts of a step, or the intent of its effect. Returns whether there was room for it.
    async fn take_step(&self, task_run: &mut TaskRun<'_>, step: Step) -> Result<bool, Error> {
        let facts = match step {
            Step::Record(facts) => facts,
            Step::CallModel {
                purpose,
                form,
                module,
                temperature,
            } => {
                let asked = prepare::Asked {
                    purpose,
                    form,
                    module,
                    temperature,
                };
                let prepared = self.prepare_call(task_run, asked);
                return prepared.await;
            }
            Step::CallTool { module, request } => {
                self.prepare_tool(task_run, module, request).await?;
                return Ok(true);
            }
            Step::RunTests { module, started } => vec![Fact {
                module,
                ..Fact::of_task(Role::Tester, started)
            }],
            Step::Analyse => vec![Fact::of_task(Role::Tester, AnalysisStarted {})],
            Step::WriteOutput(started) => vec![Fact::of_task(Role::Conductor, started)],
            Step::Wait | Step::Ended => Vec::new(),
        };
        if !facts.is_empty() {
            self.record(task_run, facts).await?;
        }
        Ok(true)
    }

    async fn load(&self, task: &TaskId) -> Result<TaskState, Error> {
        load(&self.recorder.journal, &self.recorder.principal, task)
            .await?
            .ok_or_else(|| Error::NoSuchTask { task: task.clone() })
    }

    async fn record(
        &self,
        task_run: &mut TaskRun<'_>,
        facts: Vec<Fact>,
    ) -> Result<Recorded, Error> {
        self.record_with(task_run, facts, Vec::new()).await
    }

    /// Records facts, preceded by a jump of the wall clock if there was one, because the times of the facts are
    /// read from that clock.
    async fn record_with(
        &self,
        task_run: &mut TaskRun<'_>,
        facts: Vec<Fact>,
        blobs: Vec<Bytes>,
    ) -> Result<Recorded, Error> {
        let now = self.work_clock.read();
        let facts = self.work_clock.timed(&task_run.state, now, facts);
        let recorder = &self.recorder;
        let recorded = recorder.record(
            task_run.task,
            &mut task_run.state,
            facts,
            blobs,
            task_run.cancel,
        );
        let recorded = recorded.await?;
        if recorded == Recorded::Appended {
            self.work_clock.note(now);
        }
        Ok(recorded)
    }

    /// The working time of the task, corrected for changes of the wall clock.
    fn active(&self, state: &TaskState) -> SignedDuration {
        state.active_until(self.work_clock.now())
    }

    /// Records that work starts or continues, and what happens to effects that a crash interrupted.
    async fn begin(&self, task_run: &mut TaskRun<'_>) -> Result<Recorded, Error> {
        let state = &task_run.state;
        if state.started.is_none() && state.limits.active_ms_max == 0 {
            // Not a moment is to be spent: `decide` says so.
            return Ok(Recorded::Appended);
        }
        let first = if state.started.is_none() {
            let Some(info) = self.model(None, task_run.cancel).await? else {
                return Ok(Recorded::Appended);
            };
            let strategy = self.effects.worker_context.strategies.of(state)?;
            Fact::of_task(
                Role::Conductor,
                TaskStarted {
                    model: info.name,
                    server: info.server,
                    window: info.window.tokens,
                    sandbox: self.effects.worker_context.sandbox.level().to_string(),
                    tools: self
                        .offers(state, Purpose::LookUp)
                        .into_iter()
                        .map(|offer| offer.name)
                        .collect(),
                    strategy: Some(strategy.name().to_owned()),
                },
            )
        } else {
            Fact::of_task(Role::Conductor, TaskResumed {})
        };
        let mut facts = vec![first];
        for effect in &state.effects {
            let attempt = effect.attempt + 1;
            let fact = if let Action::CallTool(call) = &effect.action
                && !call.repeatable
            {
                Fact::of_task(Role::Conductor, lost(call))
            } else if attempt > EffectRetried::ATTEMPTS_MAX {
                let reason = Interruption::Crashes;
                Fact::of_task(
                    Role::Conductor,
                    EffectInterrupted {
                        reason,
                        tokens: Tokens::ZERO,
                    },
                )
            } else {
                Fact::of_task(Role::Conductor, EffectRetried { attempt })
            };
            facts.push(Fact {
                module: effect.module.clone(),
                ..fact.caused_by(effect.intent)
            });
        }
        self.work_clock.begin();
        let recorder = &self.recorder;
        let state = &mut task_run.state;
        let recorded = recorder.record(task_run.task, state, facts, Vec::new(), task_run.cancel);
        recorded.await
    }

    /// Waits until the server of a model responds and returns its description; `None` if `cancel` comes first.
    async fn model(
        &self,
        name: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<Option<ModelInfo>, Error> {
        let server = self.effects.worker_context.models.server(name);
        let mut pause = MODEL_RETRY_FIRST;
        loop {
            let asked = match server.describe().await {
                Ok(info) => return Ok(Some(info)),
                Err(error) if error.is_transient() => {
                    self.recorder.notices.emit(|| Notice::Waiting {
                        what: error.to_string(),
                    });
                    error.wait()
                }
                Err(error) => return Err(error.into()),
            };
            tokio::select! {
                () = tokio::time::sleep(pause.max(asked)) => pause = (2 * pause).min(MODEL_RETRY_MAX),
                () = cancel.cancelled() => return Ok(None),
            }
        }
    }

    /// Carries out an effect within the task's remaining time.
    async fn perform(
        &self,
        task: &TaskId,
        state: Arc<TaskState>,
        effect: OpenEffect,
        slot: CallSlot,
        cancel: &CancellationToken,
    ) -> Ended {
        let left = SignedDuration::try_from(state.limits.active_max())
            .unwrap_or(SignedDuration::MAX)
            .saturating_sub(self.active(&state));
        let stop = cancel.child_token();
        let mut work = pin!(self.effects.perform(task, &state, &effect, slot, &stop));
        let outcome = tokio::select! {
            outcome = &mut work => outcome,
            () = tokio::time::sleep(left.try_into().unwrap_or_default()) => {
                stop.cancel();
                work.await
            }
        };
        Ended {
            intent: effect.intent,
            outcome,
            is_overdue: stop.is_cancelled() && !cancel.is_cancelled(),
        }
    }

    /// Records the outcome of an effect.
    async fn conclude(&self, task_run: &mut TaskRun<'_>, ended: Ended) -> Result<(), Error> {
        let now = self.work_clock.read();
        let facts = vec![match ended.outcome? {
            Outcome::Reached(fact) => fact,
            Outcome::Stopped { fact, tokens } => {
                let reason = if ended.is_overdue {
                    Interruption::TimeLimit
                } else {
                    Interruption::Requested
                };
                Fact {
                    payload: EffectInterrupted { reason, tokens }.into(),
                    ..fact
                }
            }
            Outcome::ModelGone {
                fact,
                problem,
                wait,
            } => {
                let reason = PauseReason::ModelUnreachable;
                task_run.backoff.delay(reason, problem, wait);
                fact
            }
            Outcome::Short { fact, problem } => {
                tracing::warn!(
                    problem,
                    "the task is paused until the missing resource is available"
                );
                let reason = PauseReason::Shortage;
                task_run.backoff.delay(reason, problem, Duration::ZERO);
                fact
            }
        }];
        let facts = self.work_clock.timed(&task_run.state, now, facts);
        // What came of it is recorded whatever the user said meanwhile, unless that was the end.
        let is_open =
            |state: &TaskState| state.effect(ended.intent).is_some() && !state.status.is_ended();
        let (recorder, state) = (&self.recorder, &mut task_run.state);
        let recorded =
            recorder.record_with_retry(task_run.task, state, &facts, task_run.cancel, is_open);
        if recorded.await? {
            self.work_clock.note(now);
        }
        let is_short = task_run.state.pause == Some(PauseReason::Shortage);
        if !is_short && task_run.backoff.current().is_none() {
            task_run.backoff.reset_shortage();
        }
        Ok(())
    }

    /// The fact that records that the task is waiting, and why.
    fn pause_fact(&self, reason: PauseReason, problem: &str) -> Fact {
        let what = problem.to_owned();
        self.recorder.notices.emit(|| Notice::Waiting { what });
        let paused = TaskPaused {
            reason,
            detail: Some(problem.to_owned()),
        };
        Fact::of_task(Role::Conductor, paused)
    }

    /// Waits a while before trying again after a shortage.
    async fn wait_for_more(&self, task_run: &mut TaskRun<'_>) -> Result<(), Error> {
        let rest = tokio::time::sleep(task_run.backoff.next_shortage_delay());
        if task_run.cancel.run_until_cancelled(rest).await.is_some() {
            let fact = Fact::of_task(Role::Conductor, TaskResumed {});
            self.record(task_run, vec![fact]).await?;
        }
        Ok(())
    }

    /// Waits until the model server can be reached again.
    async fn wait_for_model(&self, task_run: &mut TaskRun<'_>) -> Result<(), Error> {
        let rest = tokio::time::sleep(task_run.backoff.next_call_delay());
        if task_run.cancel.run_until_cancelled(rest).await.is_some()
            && self
                .model(task_run.model.as_deref(), task_run.cancel)
                .await?
                .is_some()
        {
            let fact = Fact::of_task(Role::Conductor, TaskResumed {});
            self.record(task_run, vec![fact]).await?;
        }
        Ok(())
    }
}

/// A call that a crash interrupted and that must not simply be repeated.
fn lost(call: &ToolExecuting) -> ToolCompleted {
    ToolCompleted {
        agent: call.agent.clone(),
        tool: call.tool.clone(),
        outcome: ToolOutcome::Unknown,
        kind: None,
        text: "the call was cut off by a crash; whether it was done is not known".to_owned(),
        truncated: false,
        wall_ms: 0,
    }
}
