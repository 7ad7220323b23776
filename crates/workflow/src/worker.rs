//! Works on one task: asks `decide` for the next step, begins it, records what came of it. Several effects may
//! be under way; one place, here, records what becomes of them, one after the other.
//!
//! Everything that happens is recorded before anything is made of it, and every effect's intent
//! before the effect; so a worker that starts with a task half done goes on exactly where the last
//! one was cut off.

mod patience;
mod prepare;
mod running;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

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
use journeyman_language::check_runner;
use journeyman_llm::ModelInfo;
use patience::{MODEL_RETRY_FIRST, MODEL_RETRY_MAX, Patience};
use running::{Ended, Running};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::bench::Bench;
use crate::control::Control;
use crate::decide::{Now, Step, decide, is_call};
use crate::effects::{Effects, Outcome, Place, priority_of};
use crate::fact::{Fact, Role};
use crate::load::load;
use crate::notice::{Notice, Notices};
use crate::pace::Pace;
use crate::recorder::{Recorded, Recorder};
use crate::slots::{Claim, Slot};

/// What a worker needs.
#[derive(Clone)]
pub struct Options {
    /// Where events go.
    pub journal: Journal,
    /// On whose behalf.
    pub principal: Principal,
    /// What tasks are worked on with.
    pub bench: Bench,
    /// The clock.
    pub time: Arc<dyn TimeSource>,
    /// The random numbers.
    pub randomness: Arc<dyn Randomness>,
    /// Where others hear what happens.
    pub notices: Notices,
}

/// Works on tasks, one at a time.
pub struct Worker {
    recorder: Recorder,
    effects: Effects,
    pace: Pace,
}

/// Work on one task, from when it is taken up until it rests.
struct Shift<'w> {
    task: &'w TaskId,
    state: TaskState,
    /// Tells it to stop.
    cancel: &'w CancellationToken,
    patience: Patience,
}

impl Worker {
    /// A worker with these parts.
    pub fn new(options: Options) -> Self {
        let Options {
            journal,
            principal,
            bench,
            time,
            randomness,
            notices,
        } = options;
        Self {
            pace: Pace::new(Arc::clone(&time)),
            effects: Effects {
                journal: journal.clone(),
                principal: principal.clone(),
                bench,
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

    /// Records a new task; when this answers, it is durable.
    pub async fn submit(
        &self,
        task: &TaskId,
        submission: TaskSubmitted,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let fact = Fact::of_task(Role::User, submission);
        let mut shift = Shift {
            task,
            state: TaskState::default(),
            cancel,
            patience: Patience::default(),
        };
        match self.record(&mut shift, vec![fact]).await? {
            Recorded::Here => Ok(()),
            Recorded::Overtaken => Err(Error::TaskExists { task: task.clone() }),
        }
    }

    /// Works on a task until it ends or `control` says stop. Returns the state it is left in.
    pub async fn run(&self, task: &TaskId, control: &Control) -> Result<TaskState, Error> {
        let context = Context {
            task_id: Some(task.as_str().into()),
            ..Context::current()
        };
        context.scope(Box::pin(self.work_on(task, control))).await
    }

    async fn work_on(&self, task: &TaskId, control: &Control) -> Result<TaskState, Error> {
        let mut shift = Shift {
            task,
            state: self.load(task).await?,
            cancel: control.token(),
            patience: Patience::default(),
        };
        check_runner(&shift.state, self.effects.bench.runner.language())?;
        let owner = self.recorder.principal.owner();
        let presence = self.effects.bench.agents.enter(owner, task);
        while !shift.state.status.is_ended() {
            if self.begin(&mut shift).await? == Recorded::Here {
                break;
            }
        }
        let mut running = Running::default();
        // Had for the call that is begun next.
        let mut place = None;
        // Whether another call would take more than those under way leave of the budget.
        let mut is_full = false;
        while !shift.state.status.is_ended() {
            presence.note(&shift.state, self.recorder.time.now());
            if shift.state.status != Status::Paused {
                self.set_about(&shift, &mut running, &mut place);
            }
            // Also when it is to stop: an effect whose intent is recorded has its outcome recorded.
            if control.is_stopped() && !running.is_empty() {
                shift.patience.release();
                running.wait().await;
            }
            if let Some(ended) = running.take() {
                // What comes of it may be that nothing is begun for a while.
                (place, is_full) = (None, false);
                running.during(self.conclude(&mut shift, ended)).await?;
                continue;
            }
            if control.is_stopped() {
                let stopped = control.facts(&shift.state);
                match self.record(&mut shift, stopped).await? {
                    Recorded::Here => break,
                    Recorded::Overtaken => continue,
                }
            }
            match shift.state.pause {
                Some(PauseReason::Question) => break,
                Some(PauseReason::Shortage) => {
                    self.wait_for_more(&mut shift).await?;
                    continue;
                }
                _ if shift.state.status == Status::Paused => {
                    self.wait_for_model(&mut shift).await?;
                    continue;
                }
                _ => {}
            }
            if let Some(until) = shift.patience.held_until() {
                tokio::select! {
                    biased;
                    () = running.wait() => {}
                    () = tokio::time::sleep_until(until) => shift.patience.release(),
                }
                continue;
            }
            if !shift.state.answers.is_empty() {
                shift.patience.answered();
            }
            // Whatever is decided is decided anew where somebody else recorded something since.
            let strategy = self.effects.bench.strategies.of(&shift.state)?;
            let now = Now {
                active: self.active(&shift.state),
                has_place: place.is_some(),
            };
            match decide(&shift.state, strategy, now) {
                Step::Rest => break,
                Step::Wait if running.is_empty() => return Err(Error::NoEffect),
                Step::Wait => {
                    // A place that is of no use to it is somebody else's.
                    let had_one = place.take().is_some();
                    let further = Now {
                        has_place: true,
                        ..now
                    };
                    let wants_one = !had_one
                        && !is_full
                        && decide(&shift.state, strategy, further) != Step::Wait;
                    let (slots, priority) = (&self.effects.bench.slots, priority_of(&shift.state));
                    tokio::select! {
                        biased;
                        () = running.wait() => {}
                        slot = slots.take(Claim::Further, priority, Purpose::Code), if wants_one => {
                            place = Some(slot);
                        }
                    }
                }
                step => {
                    if !running.during(self.take_step(&mut shift, step)).await? {
                        (place, is_full) = (None, true);
                    }
                }
            }
        }
        Ok(shift.state)
    }

    /// Begins every open effect that is not under way here; a call has the place, where there is one.
    fn set_about<'w>(
        &'w self,
        shift: &Shift<'w>,
        running: &mut Running<'w>,
        place: &mut Option<Slot>,
    ) {
        let open = &shift.state.effects;
        for (at, effect) in open.iter().enumerate() {
            if running.has(effect.intent) {
                continue;
            }
            let claim = if open[..at].iter().any(is_call) {
                Claim::Further
            } else {
                Claim::First
            };
            let place = place.take_if(|_| is_call(effect));
            let place = place.map_or(Place::Wanted(claim), Place::Taken);
            let state = Arc::new(shift.state.clone());
            let work = self.perform(shift.task, state, effect.clone(), place, shift.cancel);
            running.begin(effect.intent, work);
        }
    }

    /// Records what follows from the state, or the intent of what is to be done. Whether there was room for it.
    async fn take_step(&self, shift: &mut Shift<'_>, step: Step) -> Result<bool, Error> {
        let facts = match step {
            Step::Record(facts) => facts,
            Step::CallModel {
                purpose,
                module,
                temperature,
            } => {
                let prepared = self.prepare_call(shift, purpose, module, temperature);
                return prepared.await;
            }
            Step::CallTool { module, request } => {
                self.prepare_tool(shift, module, request).await?;
                return Ok(true);
            }
            Step::RunTests { module, started } => vec![Fact {
                module,
                ..Fact::of_task(Role::Tester, started)
            }],
            Step::Analyse => vec![Fact::of_task(Role::Tester, AnalysisStarted {})],
            Step::WriteOutput(started) => vec![Fact::of_task(Role::Conductor, started)],
            Step::Wait | Step::Rest => Vec::new(),
        };
        if !facts.is_empty() {
            self.record(shift, facts).await?;
        }
        Ok(true)
    }

    async fn load(&self, task: &TaskId) -> Result<TaskState, Error> {
        load(&self.recorder.journal, &self.recorder.principal, task)
            .await?
            .ok_or_else(|| Error::NoSuchTask { task: task.clone() })
    }

    async fn record(&self, shift: &mut Shift<'_>, facts: Vec<Fact>) -> Result<Recorded, Error> {
        self.record_with(shift, facts, Vec::new()).await
    }

    /// Records facts, and before them what the wall clock has jumped since the last ones: their times
    /// are from that clock.
    async fn record_with(
        &self,
        shift: &mut Shift<'_>,
        facts: Vec<Fact>,
        blobs: Vec<Bytes>,
    ) -> Result<Recorded, Error> {
        let now = self.pace.look();
        let facts = self.pace.timed(&shift.state, now, facts);
        let recorder = &self.recorder;
        let recorded = recorder.record(shift.task, &mut shift.state, facts, blobs, shift.cancel);
        let recorded = recorded.await?;
        if recorded == Recorded::Here {
            self.pace.note(now);
        }
        Ok(recorded)
    }

    /// The time spent on the task, whatever became of the wall clock.
    fn active(&self, state: &TaskState) -> SignedDuration {
        state.active_until(self.pace.now())
    }

    /// Says that work begins or goes on, and what becomes of the effects that a crash cut off.
    async fn begin(&self, shift: &mut Shift<'_>) -> Result<Recorded, Error> {
        let state = &shift.state;
        if state.started.is_none() && state.limits.active_ms_max == 0 {
            // Not a moment is to be spent: `decide` says so.
            return Ok(Recorded::Here);
        }
        let first = if state.started.is_none() {
            let Some(info) = self.model(shift.cancel).await? else {
                return Ok(Recorded::Here);
            };
            let strategy = self.effects.bench.strategies.of(state)?;
            Fact::of_task(
                Role::Conductor,
                TaskStarted {
                    model: info.name,
                    server: info.server,
                    window: info.window.tokens,
                    sandbox: self.effects.bench.sandbox.level().to_string(),
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
        self.pace.begin();
        let recorder = &self.recorder;
        let state = &mut shift.state;
        let recorded = recorder.record(shift.task, state, facts, Vec::new(), shift.cancel);
        recorded.await
    }

    /// What the model server says of itself, as soon as it can be reached; none if `cancel` comes
    /// before that.
    async fn model(&self, cancel: &CancellationToken) -> Result<Option<ModelInfo>, Error> {
        let mut pause = MODEL_RETRY_FIRST;
        loop {
            let asked = match self.effects.bench.server.describe().await {
                Ok(info) => return Ok(Some(info)),
                Err(error) if error.may_pass() => {
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

    /// Performs an effect, within what is left of the task's time.
    async fn perform(
        &self,
        task: &TaskId,
        state: Arc<TaskState>,
        effect: OpenEffect,
        place: Place,
        cancel: &CancellationToken,
    ) -> Ended {
        let left = SignedDuration::try_from(state.limits.active_max())
            .unwrap_or(SignedDuration::MAX)
            .saturating_sub(self.active(&state));
        let stop = cancel.child_token();
        let mut work = pin!(self.effects.perform(task, &state, &effect, place, &stop));
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

    /// Records what came of an effect.
    async fn conclude(&self, shift: &mut Shift<'_>, ended: Ended) -> Result<(), Error> {
        let now = self.pace.look();
        let mut facts = vec![match ended.outcome? {
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
                shift.patience.hold(reason, problem, wait);
                fact
            }
            Outcome::Short { fact, problem } => {
                tracing::warn!(problem, "the task rests until what it needs is there");
                let reason = PauseReason::Shortage;
                shift.patience.hold(reason, problem, Duration::ZERO);
                fact
            }
        }];
        let mut open = shift.state.effects.iter();
        if open.all(|effect| effect.intent == ended.intent)
            && let Some(held) = shift.patience.take_held()
        {
            facts.push(self.rests(held.reason, &held.problem));
        }
        let facts = self.pace.timed(&shift.state, now, facts);
        // What came of it is recorded whatever the user said meanwhile, unless that was the end.
        let is_open =
            |state: &TaskState| state.effect(ended.intent).is_some() && !state.status.is_ended();
        let (recorder, state) = (&self.recorder, &mut shift.state);
        let recorded = recorder.record_surely(shift.task, state, &facts, shift.cancel, is_open);
        if recorded.await? {
            self.pace.note(now);
        }
        let is_short = shift.state.pause == Some(PauseReason::Shortage);
        if !is_short && shift.patience.held_until().is_none() {
            shift.patience.had_enough();
        }
        Ok(())
    }

    /// Says that the task waits for something, and why.
    fn rests(&self, reason: PauseReason, problem: &str) -> Fact {
        let what = problem.to_owned();
        self.recorder.notices.emit(|| Notice::Waiting { what });
        let paused = TaskPaused {
            reason,
            detail: Some(problem.to_owned()),
        };
        Fact::of_task(Role::Conductor, paused)
    }

    /// Goes on after a while: what was short may be there.
    async fn wait_for_more(&self, shift: &mut Shift<'_>) -> Result<(), Error> {
        let rest = tokio::time::sleep(shift.patience.before_more());
        if shift.cancel.run_until_cancelled(rest).await.is_some() {
            let fact = Fact::of_task(Role::Conductor, TaskResumed {});
            self.record(shift, vec![fact]).await?;
        }
        Ok(())
    }

    /// Goes on after a rest, as soon as the model server can be reached.
    async fn wait_for_model(&self, shift: &mut Shift<'_>) -> Result<(), Error> {
        let rest = tokio::time::sleep(shift.patience.before_call());
        if shift.cancel.run_until_cancelled(rest).await.is_some()
            && self.model(shift.cancel).await?.is_some()
        {
            let fact = Fact::of_task(Role::Conductor, TaskResumed {});
            self.record(shift, vec![fact]).await?;
        }
        Ok(())
    }
}

/// A call that a crash cut off and that may not simply be made again.
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
