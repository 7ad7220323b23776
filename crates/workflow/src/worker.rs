//! Works on one task: asks `decide` for the next step, performs it, records what came of it.
//!
//! Everything that happens is recorded before anything is made of it, and every effect's intent
//! before the effect; so a worker that starts with a task half done goes on exactly where the last
//! one was cut off.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use journeyman_bus::Context;
use journeyman_context::{Descriptor, Refusal, ToolOffer};
use journeyman_event::payload::{
    AnalysisStarted, ContextRefused, EffectInterrupted, EffectRetried, Interruption,
    ModelCallStarted, PauseReason, Purpose, SentMessage, TaskPaused, TaskResumed, TaskStarted,
    TaskSubmitted, ToolCompleted, ToolExecuting, ToolOutcome, ToolRequest,
};
use journeyman_event::state::{Action, Status};
use journeyman_event::{
    ContentHash, Event, ModuleName, Payload, Principal, Randomness, Sequence, TaskId, TaskState,
    TimeSource, Tokens, word,
};
use journeyman_journal::{Filter, Journal};
use journeyman_language::check_runner;
use journeyman_llm::ModelInfo;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::bench::Bench;
use crate::control::Control;
use crate::crew::{at_work, may_call};
use crate::decide::{Step, decide};
use crate::effects::{Effects, Outcome};
use crate::fact::{Fact, Role};
use crate::notice::{Notice, Notices};
use crate::pace::Pace;
use crate::recorder::{PAGE, Recorded, Recorder};
use crate::snapshot;

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

const MODEL_RETRY_FIRST: Duration = Duration::from_millis(500);
const MODEL_RETRY_MAX: Duration = Duration::from_secs(10);
/// Between two calls of a server that answers questions about itself and fails at its work.
const MODEL_REST_MAX: Duration = Duration::from_mins(1);
/// Before a step is tried again for which something was short.
const SHORTAGE_FIRST: Duration = Duration::from_secs(1);
const SHORTAGE_MAX: Duration = Duration::from_secs(30);
/// Characters of the name of a tool that there is not.
const TOOL_NAME_MAX: usize = 128;

/// A moment in a task's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After the event at this position, or the last one before it.
    Sequence(Sequence),
    /// Before the first event that happened later than this.
    Time(Timestamp),
}

impl FromStr for Moment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(sequence) = text.parse() {
            return Ok(Self::Sequence(Sequence(sequence)));
        }
        let time = text.parse().map(Self::Time);
        time.map_err(|_| {
            format!("{text:?} is neither a sequence number nor a time like 2026-11-21T09:30:00Z")
        })
    }
}

/// The state of a task, folded from its events. None if there is no such task.
pub async fn load(
    journal: &Journal,
    principal: &Principal,
    task: &TaskId,
) -> Result<Option<TaskState>, Error> {
    load_at(journal, principal, task, None).await
}

/// The state of a task as it was then, or as it is now. None if there was no such task.
pub async fn load_at(
    journal: &Journal,
    principal: &Principal,
    task: &TaskId,
    moment: Option<Moment>,
) -> Result<Option<TaskState>, Error> {
    let until = match moment {
        Some(Moment::Sequence(sequence)) => Some(sequence),
        _ => None,
    };
    let filter = Filter {
        task_id: Some(task.clone()),
        until,
        ..Filter::default()
    };
    let is_later = |event: &Event| match moment {
        Some(Moment::Time(time)) => event.occurred_at() > time,
        _ => false,
    };
    // Of a moment in time a snapshot does not say whether any of its events happened later.
    let snapshot = if let Some(Moment::Time(_)) = moment {
        None
    } else {
        let at = until.unwrap_or(Sequence(u64::MAX));
        let found = journal.snapshot(principal, task, at).await;
        found.unwrap_or_else(|error| {
            tracing::warn!(%error, "a snapshot cannot be read and is passed over");
            None
        })
    };
    let kept = snapshot.as_ref().and_then(snapshot::state_in);
    let mut state = kept.unwrap_or_default();
    loop {
        let page = journal
            .read(principal, &filter, state.sequence, PAGE)
            .await?;
        let later = page.events.iter().position(is_later);
        for event in &page.events[..later.unwrap_or(page.events.len())] {
            state.evolve(event)?;
        }
        if page.ended || later.is_some() {
            break;
        }
    }
    Ok((state.sequence > Sequence::ZERO).then_some(state))
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
        let mut state = TaskState::default();
        match self.record(task, &mut state, vec![fact], cancel).await? {
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
        let cancel = control.token();
        let mut state = self.load(task).await?;
        check_runner(&state, self.effects.bench.runner.language())?;
        let owner = self.recorder.principal.owner();
        let presence = self.effects.bench.agents.enter(owner, task);
        while !state.status.is_ended() {
            if self.begin(task, &mut state, control).await? == Recorded::Here {
                break;
            }
        }
        // Before the next call, when one came to nothing; and as long as the server asked for.
        let mut rest = MODEL_RETRY_FIRST;
        let mut asked = Duration::ZERO;
        let mut patience = SHORTAGE_FIRST;
        while !state.status.is_ended() {
            presence.note(&state, self.recorder.time.now());
            // Also when it is to stop: an effect whose intent is recorded has its outcome recorded.
            if !state.effects.is_empty() && state.status != Status::Paused {
                asked = self.perform(task, &mut state, cancel).await?;
                if state.pause != Some(PauseReason::Shortage) {
                    patience = SHORTAGE_FIRST;
                }
                continue;
            }
            if control.is_stopped() {
                let stopped = control.facts(&state);
                match self.record(task, &mut state, stopped, cancel).await? {
                    Recorded::Here => break,
                    Recorded::Overtaken => continue,
                }
            }
            if state.pause == Some(PauseReason::Question) {
                break;
            }
            if state.pause == Some(PauseReason::Shortage) {
                self.wait_for_more(task, &mut state, patience, cancel)
                    .await?;
                patience = (2 * patience).min(SHORTAGE_MAX);
                continue;
            }
            if state.status == Status::Paused {
                let rested = rest.max(std::mem::take(&mut asked));
                self.wait_for_model(task, &mut state, rested, cancel)
                    .await?;
                rest = (2 * rest).min(MODEL_REST_MAX);
                continue;
            }
            if !state.answers.is_empty() {
                rest = MODEL_RETRY_FIRST;
            }
            // Whatever is decided is decided anew where somebody else recorded something since.
            let strategy = self.effects.bench.strategies.of(&state)?;
            match decide(&state, strategy, self.active(&state)) {
                Step::Record(facts) => {
                    self.record(task, &mut state, facts, cancel).await?;
                }
                Step::CallModel {
                    purpose,
                    module,
                    temperature,
                } => {
                    self.prepare_call(task, &mut state, purpose, module, temperature, cancel)
                        .await?;
                }
                Step::RunTests { module, started } => {
                    let intent = Fact {
                        module,
                        ..Fact::of_task(Role::Tester, started)
                    };
                    self.record(task, &mut state, vec![intent], cancel).await?;
                }
                Step::CallTool { module, request } => {
                    self.prepare_tool(task, &mut state, module, request, cancel)
                        .await?;
                }
                Step::Analyse => {
                    let intent = Fact::of_task(Role::Tester, AnalysisStarted {});
                    self.record(task, &mut state, vec![intent], cancel).await?;
                }
                Step::WriteOutput(started) => {
                    let intent = Fact::of_task(Role::Conductor, started);
                    self.record(task, &mut state, vec![intent], cancel).await?;
                }
                Step::Rest => break,
            }
        }
        Ok(state)
    }

    async fn load(&self, task: &TaskId) -> Result<TaskState, Error> {
        load(&self.recorder.journal, &self.recorder.principal, task)
            .await?
            .ok_or_else(|| Error::NoSuchTask { task: task.clone() })
    }

    async fn record(
        &self,
        task: &TaskId,
        state: &mut TaskState,
        facts: Vec<Fact>,
        cancel: &CancellationToken,
    ) -> Result<Recorded, Error> {
        self.record_with(task, state, facts, Vec::new(), cancel)
            .await
    }

    /// Records facts, and before them what the wall clock has jumped since the last ones: their times
    /// are from that clock.
    async fn record_with(
        &self,
        task: &TaskId,
        state: &mut TaskState,
        facts: Vec<Fact>,
        blobs: Vec<Bytes>,
        cancel: &CancellationToken,
    ) -> Result<Recorded, Error> {
        let now = self.pace.look();
        let facts = self.pace.timed(state, now, facts);
        let recorder = &self.recorder;
        let recorded = recorder.record(task, state, facts, blobs, cancel).await?;
        if recorded == Recorded::Here {
            self.pace.note(now);
        }
        Ok(recorded)
    }

    /// The time spent on the task, whatever became of the wall clock.
    fn active(&self, state: &TaskState) -> SignedDuration {
        state.active_until(self.pace.now())
    }

    /// Says that work begins or goes on, and what becomes of an effect that a crash cut off.
    async fn begin(
        &self,
        task: &TaskId,
        state: &mut TaskState,
        control: &Control,
    ) -> Result<Recorded, Error> {
        if state.started.is_none() && state.limits.active_ms_max == 0 {
            // Not a moment is to be spent: `decide` says so.
            return Ok(Recorded::Here);
        }
        let first = if state.started.is_none() {
            let Some(info) = self.model(control.token()).await? else {
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
        let recorded = recorder.record(task, state, facts, Vec::new(), control.token());
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

    /// Puts the prompt together and records it with the intent to send it.
    async fn prepare_call(
        &self,
        task: &TaskId,
        state: &mut TaskState,
        purpose: Purpose,
        module: Option<ModuleName>,
        temperature: f32,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let server = &*self.effects.bench.server;
        let role = Descriptor::of(purpose).role;
        let offers = self.offers(state, purpose);
        let names = offers.iter().map(|offer| offer.name.clone()).collect();
        let at_work = at_work(state, purpose, module.as_ref(), names);
        let may_call = !at_work.is_empty() || state.agent(module.as_ref()).is_some_and(may_call);
        let built = match server.describe().await {
            Ok(info) => {
                let request = journeyman_context::Request {
                    state,
                    purpose,
                    module: module.as_ref(),
                    window: info.window.tokens,
                    tools: if may_call { &offers } else { &[] },
                };
                journeyman_context::build(server, request).await
            }
            Err(error) => Err(Refusal::Count(error)),
        };
        let built = match built {
            Ok(built) => built,
            Err(Refusal::Count(error)) if error.may_pass() => {
                let fact = self.rests(PauseReason::ModelUnreachable, &error.to_string());
                self.record(task, state, vec![fact], cancel).await?;
                return Ok(());
            }
            Err(Refusal::Count(error)) => return Err(error.into()),
            Err(refusal @ Refusal::DoesNotFit { reason, .. }) => {
                let refused = ContextRefused {
                    purpose,
                    reason,
                    detail: refusal.to_string(),
                };
                let fact = Fact {
                    module,
                    ..Fact::of_task(Role::Conductor, refused)
                };
                self.record(task, state, vec![fact], cancel).await?;
                return Ok(());
            }
        };
        let mut blobs = Vec::new();
        let mut keep = |text: String| {
            let hash = ContentHash::of(text.as_bytes());
            blobs.push(Bytes::from(text));
            hash
        };
        let messages = built
            .messages
            .into_iter()
            .map(|message| SentMessage {
                role: message.role.as_str().to_owned(),
                blob: keep(message.content),
            })
            .collect();
        let schema = built.schema.map(|schema| keep(schema.to_string()));
        let started = ModelCallStarted {
            purpose,
            messages,
            prompt_tokens: built.prompt_tokens,
            exact: built.exact,
            max_tokens: built.max_tokens,
            temperature,
            seed: self.recorder.randomness.next_u64() >> 33,
            schema,
        };
        let mut facts = at_work;
        facts.push(Fact {
            module: module.clone(),
            ..Fact::of_task(role, built.record)
        });
        facts.push(Fact {
            module,
            ..Fact::of_task(role, started)
        });
        self.record_with(task, state, facts, blobs, cancel).await?;
        Ok(())
    }

    /// What an agent that is to do this is offered, as a model reads it. A plan is made of what was
    /// looked up before.
    fn offers(&self, state: &TaskState, purpose: Purpose) -> Vec<ToolOffer> {
        let Descriptor {
            role, takes_tools, ..
        } = *Descriptor::of(purpose);
        if !takes_tools {
            return Vec::new();
        }
        let asked = state.submission.as_ref();
        let allowed = asked.and_then(|asked| asked.tools.as_deref());
        let specs = self.effects.bench.tools.offers(role, allowed).into_iter();
        let offers = specs.map(|spec| ToolOffer {
            name: spec.name.to_string(),
            description: spec.description,
            schema: spec.input_schema.into(),
        });
        offers.collect()
    }

    /// Records the intent to call a tool, or why it is not called.
    async fn prepare_tool(
        &self,
        task: &TaskId,
        state: &mut TaskState,
        module: Option<ModuleName>,
        request: ToolRequest,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let Some(agent) = state.agent(module.as_ref()) else {
            return Err(Error::NoEffect);
        };
        let role = Descriptor::of(agent.purpose).role;
        let agent = Some(agent.id.clone());
        let wanted = journeyman_tools::Request {
            name: request.name.clone(),
            arguments: request.arguments.clone(),
        };
        let context = self
            .effects
            .calls_of(task, state, role, module.clone(), cancel);
        let payload = match self
            .effects
            .bench
            .tools
            .dispatcher()
            .check(&context, wanted)
        {
            Ok(checked) => Payload::from(ToolExecuting {
                agent,
                tool: request.name,
                arguments: request.arguments,
                repeatable: checked.spec().repeatable,
            }),
            Err(refusal) => Payload::from(ToolCompleted {
                agent,
                tool: request.name.chars().take(TOOL_NAME_MAX).collect(),
                outcome: ToolOutcome::Refused,
                kind: word(&refusal.kind()),
                text: refusal.to_string(),
                truncated: false,
                wall_ms: 0,
            }),
        };
        let fact = Fact {
            module,
            ..Fact::of_task(role, payload)
        };
        self.record(task, state, vec![fact], cancel).await?;
        Ok(())
    }

    /// Performs the open effect and records what came of it. How long the model server asks to be left
    /// alone is given back.
    async fn perform(
        &self,
        task: &TaskId,
        state: &mut TaskState,
        cancel: &CancellationToken,
    ) -> Result<Duration, Error> {
        let left = SignedDuration::try_from(state.limits.active_max())
            .unwrap_or(SignedDuration::MAX)
            .saturating_sub(self.active(state));
        let stop = cancel.child_token();
        let outcome = {
            let Some(effect) = state.effects.first() else {
                return Err(Error::NoEffect);
            };
            let work = self.effects.perform(task, state, effect, &stop);
            tokio::pin!(work);
            let deadline = tokio::time::sleep(left.try_into().unwrap_or_default());
            tokio::select! {
                outcome = &mut work => outcome?,
                () = deadline => {
                    stop.cancel();
                    work.await?
                }
            }
        };
        let now = self.pace.look();
        let mut asked = Duration::ZERO;
        let facts = match outcome {
            Outcome::Reached(fact) => vec![fact],
            Outcome::Stopped { fact, tokens } => {
                let reason = if stop.is_cancelled() && !cancel.is_cancelled() {
                    Interruption::TimeLimit
                } else {
                    Interruption::Requested
                };
                vec![Fact {
                    payload: EffectInterrupted { reason, tokens }.into(),
                    ..fact
                }]
            }
            Outcome::ModelGone {
                fact,
                problem,
                wait,
            } => {
                asked = wait;
                vec![fact, self.rests(PauseReason::ModelUnreachable, &problem)]
            }
            Outcome::Short { fact, problem } => {
                tracing::warn!(problem, "the task rests until what it needs is there");
                vec![fact, self.rests(PauseReason::Shortage, &problem)]
            }
        };
        let facts = self.pace.timed(state, now, facts);
        // What came of it is recorded whatever the user said meanwhile, unless that was the end.
        let is_open = |state: &TaskState| !state.effects.is_empty() && !state.status.is_ended();
        let recorder = &self.recorder;
        let recorded = recorder.record_surely(task, state, &facts, cancel, is_open);
        if recorded.await? {
            self.pace.note(now);
        }
        Ok(asked)
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
    async fn wait_for_more(
        &self,
        task: &TaskId,
        state: &mut TaskState,
        patience: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        tokio::select! {
            () = tokio::time::sleep(patience) => {}
            () = cancel.cancelled() => return Ok(()),
        }
        let fact = Fact::of_task(Role::Conductor, TaskResumed {});
        self.record(task, state, vec![fact], cancel).await?;
        Ok(())
    }

    /// Goes on after a rest, as soon as the model server can be reached.
    async fn wait_for_model(
        &self,
        task: &TaskId,
        state: &mut TaskState,
        rest: Duration,
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        let rested = cancel.run_until_cancelled(tokio::time::sleep(rest)).await;
        if rested.is_none() {
            return Ok(());
        }
        if self.model(cancel).await?.is_some() {
            let fact = Fact::of_task(Role::Conductor, TaskResumed {});
            self.record(task, state, vec![fact], cancel).await?;
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
