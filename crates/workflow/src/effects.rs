//! Carries out effects: model calls, test runs, the analysis, tool calls and writing the result. Each starts from
//! its recorded intent alone and returns the fact of its outcome. Nothing is recorded here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::answer::is_torn;
use journeyman_context::Descriptor;
use journeyman_event::payload::{
    Charge, DeadCodeAnalysis, EffectInterrupted, Interruption, ModelCallCompleted, ModelCallFailed,
    ModelCallStarted, OutputFailed, OutputWritten, TestFailed, TestFailureKind, TestPassed,
    TestResult, TestScope, TestStarted, ToolCompleted, ToolExecuting, ToolOutcome, UnusedCode,
};
use journeyman_event::state::{Action, Ending, ModuleState, OpenEffect};
use journeyman_event::{
    ContentHash, ModuleName, Principal, Priority, Randomness, SpanId, TaskId, TaskState,
    TimeSource, Tokens, TraceContext, TraceId, TraceParent, last_chars, word,
};
use journeyman_journal::Journal;
use journeyman_language::{DeadCode, Runner, TestOutcome, TestReport, of_task};
use journeyman_llm::{Answer, FinishReason, Message, ModelInfo, Request};
use journeyman_metrics::Usage;

use journeyman_tools::{CallContext, Completed};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::fact::{Fact, Role};
use crate::folder::FreshFolder;
use crate::layout::{self, Files, module_path, output_files, working_files};
use crate::notice::{Notice, Notices};
use crate::output::write_output;
use crate::slots::{Claim, Slot};
use crate::telemetry::{self, Waiting, located};
use crate::worker_context::WorkerContext;
use crate::workspace::TaskWorkspace;

/// How many characters of a test run's output are kept, from its end.
const OUTPUT_CHARS_MAX: usize = 4_000;
/// How many characters of a failing test's message are kept.
const MESSAGE_CHARS_MAX: usize = 2_000;
/// How many characters are kept of a text that a model repeated.
const REPEATED_CHARS_MAX: usize = 200;

/// How an effect ended.
pub(crate) enum Outcome {
    /// It reached its outcome, which this fact records.
    Reached(Fact),
    /// It was stopped before that. `fact` builds the fact from the reason.
    Stopped { fact: Fact, tokens: Tokens },
    /// The model server is unreachable, or asks to be called again after this time.
    ModelGone {
        fact: Fact,
        problem: String,
        wait: Duration,
    },
    /// A resource it needs is currently short.
    Short { fact: Fact, problem: String },
}

/// Whether a call already has a slot at the model server when it starts.
pub(crate) enum CallSlot {
    /// It has a slot.
    Acquired(Slot),
    /// It must still wait for a slot.
    Wanted(Claim),
}

/// The priority of a task.
pub(crate) fn priority_of(state: &TaskState) -> Priority {
    let asked = state.submission.as_ref();
    asked.map_or(Priority::MEDIUM, |asked| asked.priority)
}

pub(crate) struct Effects {
    pub(crate) journal: Journal,
    pub(crate) principal: Principal,
    pub(crate) worker_context: WorkerContext,
    pub(crate) time: Arc<dyn TimeSource>,
    pub(crate) randomness: Arc<dyn Randomness>,
    pub(crate) notices: Notices,
}

impl Effects {
    /// Carries out an open effect of `state`, as described by its recorded intent.
    pub(crate) async fn perform(
        &self,
        task: &TaskId,
        state: &TaskState,
        effect: &OpenEffect,
        slot: CallSlot,
        stop: &CancellationToken,
    ) -> Result<Outcome, Error> {
        match self.try_to(task, state, effect, slot, stop).await {
            Err(error) if error.is_transient() => Ok(Outcome::Short {
                fact: interrupted(effect, Interruption::Shortage),
                problem: error.to_string(),
            }),
            done => done,
        }
    }

    async fn try_to(
        &self,
        task: &TaskId,
        state: &TaskState,
        effect: &OpenEffect,
        slot: CallSlot,
        stop: &CancellationToken,
    ) -> Result<Outcome, Error> {
        match &effect.action {
            Action::CallModel(call) => {
                let slot = match slot {
                    CallSlot::Acquired(slot) => slot,
                    CallSlot::Wanted(claim) => {
                        let context = &self.worker_context;
                        let waiting = Waiting::begin(&context.signals, effect.intent, call.purpose);
                        let slot = tokio::select! {
                            slot = context.slots.take(claim, priority_of(state), call.purpose) => Some(slot),
                            () = stop.cancelled() => None,
                        };
                        drop(waiting);
                        match slot {
                            Some(slot) => slot,
                            None => return Ok(stopped(effect)),
                        }
                    }
                };
                let context = &self.worker_context;
                telemetry::batch(&context.signals, &context.slots);
                let outcome = self.call_model(task, state, effect, call, stop).await;
                drop(slot);
                telemetry::batch(&context.signals, &context.slots);
                outcome
            }
            Action::RunTests(started) => self.run_tests(task, state, effect, started, stop).await,
            Action::CallTool(call) => Ok(self.call_tool(task, state, effect, call, stop).await),
            Action::Analyse => self.analyse(task, state, effect, stop).await,
            Action::WriteOutput(started) => match &started.ending {
                Some(ending) => {
                    self.write_output(task, state, effect, &started.folder, ending)
                        .await
                }
                None => Ok(stopped(effect)),
            },
        }
    }

    async fn call_model(
        &self,
        task: &TaskId,
        state: &TaskState,
        effect: &OpenEffect,
        call: &ModelCallStarted,
        stop: &CancellationToken,
    ) -> Result<Outcome, Error> {
        let mut messages = Vec::new();
        for message in &call.messages {
            let content = self.text(message.blob).await?;
            let role = message
                .role
                .parse()
                .map_err(|()| Error::BadRole(message.role.clone()))?;
            messages.push(Message { role, content });
        }
        let schema = match call.schema {
            Some(hash) => serde_json::from_str(&self.text(hash).await?).ok(),
            None => None,
        };
        let request = Request {
            messages,
            max_tokens: call.max_tokens,
            temperature: call.temperature,
            seed: Some(call.seed),
            stop: Vec::new(),
            schema,
            trace: Some(self.trace(task, state, effect)),
        };
        // About a token each: what a call that is lost has cost.
        let mut deltas = 0;
        let context = &self.worker_context;
        let server = context.models.server(call.model.as_deref());
        // Remembered since the prompt was built, unless the call is repeated after a crash.
        let info = context.models.description(call.model.as_deref()).await.ok();
        let model = info.as_ref().map_or("unknown", |info| &info.name);
        let mut measured = telemetry::Call::begin(&context.signals, effect.intent, call, model);
        let mut show = |delta: journeyman_llm::Delta<'_>| {
            deltas += 1;
            measured.piece(delta.text);
            self.notices.emit(|| Notice::Delta {
                intent: effect.intent,
                text: delta.text.to_owned(),
            });
        };
        let role = Role::Conductor;
        self.notices.emit(|| Notice::Asked {
            intent: effect.intent,
        });
        let answer = server.answer(&request, &mut show, stop);
        let time_max = Descriptor::of(call.purpose).time_max;
        let result = within(time_max, answer).await;
        match &result {
            Some(result) => measured.end(result),
            None => drop(measured),
        }
        let charge = match &result {
            Some(Ok(answer)) => self.charge(answer, call, info).await,
            _ => None,
        };
        if let Some(Ok(answer)) = &result
            && let Some(what) = answer.remark.clone()
        {
            self.notices.emit(|| Notice::Remark { what });
        }
        let lost = match deltas {
            0 => Tokens::ZERO,
            some => call.prompt_tokens + Tokens(some),
        };
        let Some(result) = result else {
            let failed = ModelCallFailed {
                problem: "it took too long".to_owned(),
                tokens: lost,
                fatal: false,
            };
            return Ok(reached(effect, role, failed));
        };
        Ok(match result {
            Ok(answer) => reached(
                effect,
                role,
                ModelCallCompleted {
                    cut_short: match answer.finish {
                        FinishReason::Stop => false,
                        FinishReason::Length | FinishReason::Repetition => true,
                        FinishReason::Unknown => is_torn(of_task(state), &answer.text),
                    },
                    repeated: answer
                        .repeated
                        .map(|text| first_chars(&text, REPEATED_CHARS_MAX)),
                    text: answer.text,
                    prompt_tokens: answer.usage.prompt,
                    cached_tokens: answer.usage.cached,
                    cache_write_tokens: answer.usage.cache_write,
                    completion_tokens: answer.usage.completion,
                    exact: answer.usage.exact,
                    first_token_ms: answer.time_to_first_token_ms,
                    total_ms: answer.total_ms,
                    served_model: answer.served_model,
                    service_tier: answer.service_tier,
                    charge,
                },
            ),
            Err(journeyman_llm::Error::Interrupted {
                tokens, was_asked, ..
            }) => {
                let Outcome::Stopped { fact, .. } = stopped(effect) else {
                    return Err(Error::NoEffect);
                };
                Outcome::Stopped {
                    fact,
                    tokens: if was_asked {
                        call.prompt_tokens + tokens
                    } else {
                        Tokens::ZERO
                    },
                }
            }
            Err(error) if error.is_shortage() => return Err(error.into()),
            // A summary is not waited for: what is extracted stands in for it.
            Err(error) if error.is_transient() && !call.purpose.is_summary() => {
                let reason = if error.is_busy() {
                    Interruption::ModelBusy
                } else {
                    Interruption::ModelUnreachable
                };
                let interrupted = EffectInterrupted {
                    reason,
                    tokens: lost,
                };
                let (problem, wait) = (error.to_string(), error.wait());
                let Outcome::Reached(fact) = reached(effect, role, interrupted) else {
                    return Err(Error::NoEffect);
                };
                Outcome::ModelGone {
                    fact,
                    problem,
                    wait,
                }
            }
            Err(error) => {
                let fatal = !error.is_retryable();
                let problem = error.to_string();
                reached(
                    effect,
                    role,
                    ModelCallFailed {
                        problem,
                        tokens: lost.max(error.tokens()),
                        fatal,
                    },
                )
            }
        })
    }

    /// The task's trace, with the span of this effect.
    fn trace(&self, task: &TaskId, state: &TaskState, effect: &OpenEffect) -> TraceContext {
        let asked = state.submission.as_ref();
        let named = asked.and_then(|asked| asked.trace.as_ref());
        let owner = self.principal.owner();
        let span_id = SpanId::of_event(effect.intent);
        TraceContext {
            traceparent: match named {
                Some(named) => TraceParent {
                    span_id,
                    ..named.traceparent
                },
                None => TraceParent {
                    trace_id: TraceId::of_task(self.journal.store_id(), owner, task),
                    span_id,
                    is_sampled: true,
                },
            },
            tracestate: named.and_then(|named| named.tracestate.clone()),
        }
    }

    /// The price of an answer; `None` if the model server does not describe itself any more.
    async fn charge(
        &self,
        answer: &Answer,
        call: &ModelCallStarted,
        info: Option<ModelInfo>,
    ) -> Option<Charge> {
        let WorkerContext { models, money, .. } = &self.worker_context;
        let name = call.model.as_deref();
        let info = match info {
            Some(info) => info,
            None => models.description(name).await.ok()?,
        };
        let mut at = located(&info, name);
        if let Some(served) = &answer.served_model {
            at.model = served;
        }
        at.tier = answer.service_tier.as_deref();
        let usage = Usage {
            prompt: answer.usage.prompt,
            cached: answer.usage.cached,
            cache_write: answer.usage.cache_write,
            completion: answer.usage.completion,
        };
        Some(money.charge(at, usage, self.time.now()))
    }

    /// The text of a blob that an intent refers to.
    async fn text(&self, hash: ContentHash) -> Result<String, Error> {
        let bytes = self.journal.blob(&self.principal, hash).await?;
        let bytes = bytes.ok_or(Error::MissingBlob { hash })?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Error::MissingBlob { hash })
    }

    async fn run_tests(
        &self,
        task: &TaskId,
        state: &TaskState,
        effect: &OpenEffect,
        started: &TestStarted,
        stop: &CancellationToken,
    ) -> Result<Outcome, Error> {
        if !is_as_it_was(state, effect, started) {
            // The user wrote other code since: what is to be run is decided anew.
            return Ok(stopped(effect));
        }
        let (runner, sandbox) = (
            self.worker_context.runners.of_task(state)?,
            &self.worker_context.sandbox,
        );
        let files = working_files(state);
        let folder = self.fresh_folder(task, effect, &files).await?;
        let imported = self
            .import_in(runner, folder.path(), started, effect, stop)
            .await;
        folder.remove().await;
        if let Some(outcome) = imported? {
            return Ok(outcome);
        }
        // Generated tests never run beside given ones: what they change in the process, they change for
        // all tests in it. And code that ran in a folder may have changed the tests there.
        let given = layout::given_paths(state);
        let files_of_run = started.files.iter().map(String::as_str);
        let (given, generated): (Vec<&str>, Vec<&str>) =
            files_of_run.partition(|&file| given.iter().any(|path| path == file));
        let mut whole: Option<TestReport> = None;
        for (names, are_given) in [(given, true), (generated, false)] {
            if names.is_empty() {
                continue;
            }
            let folder = self.fresh_folder(task, effect, &files).await?;
            let report = if are_given {
                let ran = runner.run_tests(sandbox, folder.path(), &names, None, stop);
                ran.await
            } else {
                let ran = runner.run_doubted_tests(sandbox, folder.path(), &names, stop);
                ran.await
            };
            folder.remove().await;
            let mut report = report?;
            // If all given tests are skipped or expected to fail, that is not an error of the code, but does
            // not verify it either.
            if are_given && report.outcome == TestOutcome::NoTests && !report.skipped.is_empty() {
                report.outcome = TestOutcome::Passed;
            }
            // Given tests rule as they are; which of them could not fail is found in a run of its own,
            // for what that does to the tests must not change their result.
            let rules = are_given
                && started.scope == TestScope::Integration
                && report.outcome == TestOutcome::Passed;
            if rules && !stop.is_cancelled() {
                let folder = self.fresh_folder(task, effect, &files).await?;
                let doubted = runner.run_doubted_tests(sandbox, folder.path(), &names, stop);
                let doubted = doubted.await;
                folder.remove().await;
                report.idle = doubted?.idle;
                let is_passed = |name: &String| report.tests.iter().any(|test| &test.name == name);
                report.idle.retain(is_passed);
            }
            if stop.is_cancelled() || report.outcome == TestOutcome::Cancelled {
                return Ok(stopped(effect));
            }
            let passed = report.outcome == TestOutcome::Passed;
            whole = Some(match whole {
                None => report,
                Some(first) => both(first, report),
            });
            if !passed {
                break;
            }
        }
        let outcome = whole.map(|report| outcome_of_report(effect, report));
        Ok(outcome.unwrap_or_else(|| {
            let passed = TestPassed {
                tests: Vec::new(),
                idle: Vec::new(),
                skipped: Vec::new(),
                wall_ms: 0,
            };
            reached(effect, Role::Tester, passed)
        }))
    }

    /// Imports each module, if the run is to do that. Returns the outcome of a failed import, or `None` if
    /// there was none.
    async fn import_in(
        &self,
        runner: &dyn Runner,
        folder: &Path,
        started: &TestStarted,
        effect: &OpenEffect,
        stop: &CancellationToken,
    ) -> Result<Option<Outcome>, Error> {
        // Without tests, and before everything is tested together, each module must at least load.
        if started.files.is_empty() || started.scope == TestScope::Integration {
            for code in &started.code {
                let sandbox = &self.worker_context.sandbox;
                let module = code.module.as_str();
                let check = runner.check_import(sandbox, folder, module, stop).await?;
                if stop.is_cancelled() {
                    return Ok(Some(stopped(effect)));
                }
                if !check.imports {
                    let failed = TestFailed {
                        kind: TestFailureKind::DoesNotImport,
                        tests: Vec::new(),
                        idle: Vec::new(),
                        broken_tests: false,
                        output: last_chars(&check.error, OUTPUT_CHARS_MAX).to_owned(),
                        wall_ms: 0,
                    };
                    return Ok(Some(reached(effect, Role::Tester, failed)));
                }
            }
        }
        Ok(None)
    }

    async fn analyse(
        &self,
        task: &TaskId,
        state: &TaskState,
        effect: &OpenEffect,
        stop: &CancellationToken,
    ) -> Result<Outcome, Error> {
        let runner = self.worker_context.runners.of_task(state)?;
        let folder = self
            .fresh_folder(task, effect, &working_files(state))
            .await?;
        let paths: Vec<String> = state
            .modules
            .iter()
            .map(|module| module_path(state, &module.plan.name))
            .collect();
        let files: Vec<&str> = paths.iter().map(String::as_str).collect();
        let found = runner.analyse(&self.worker_context.sandbox, folder.path(), &files, stop);
        let found = found.await;
        folder.remove().await;
        if stop.is_cancelled() {
            return Ok(stopped(effect));
        }
        // The analysis is a service: that it fails is worth a note, not the task.
        let analysis = match found {
            Err(error) if error.is_transient() => return Err(error.into()),
            Ok(found) => DeadCodeAnalysis {
                unused: unused(state, &found),
                problem: None,
            },
            Err(error) => DeadCodeAnalysis {
                unused: Vec::new(),
                problem: Some(error.to_string()),
            },
        };
        Ok(reached(effect, Role::Tester, analysis))
    }

    async fn write_output(
        &self,
        task: &TaskId,
        state: &TaskState,
        effect: &OpenEffect,
        folder: &str,
        ending: &Ending,
    ) -> Result<Outcome, Error> {
        let files = output_files(state, ending);
        let (folder, task) = (PathBuf::from(folder), task.clone());
        let written =
            tokio::task::spawn_blocking(move || write_output(&folder, &task, &files)).await?;
        Ok(match written {
            Ok(files) => reached(effect, Role::Conductor, OutputWritten { files }),
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(error) => reached(
                effect,
                Role::Conductor,
                OutputFailed {
                    problem: error.to_string(),
                },
            ),
        })
    }

    async fn fresh_folder(
        &self,
        task: &TaskId,
        effect: &OpenEffect,
        files: &Files,
    ) -> Result<FreshFolder, Error> {
        let name = format!("{task}-{}-{}", effect.intent, effect.attempt);
        FreshFolder::make(&self.worker_context.work_folder, &name, files).await
    }

    /// Calls a tool for an active agent.
    async fn call_tool(
        &self,
        task: &TaskId,
        state: &TaskState,
        effect: &OpenEffect,
        call: &ToolExecuting,
        stop: &CancellationToken,
    ) -> Outcome {
        let request = journeyman_tools::Request {
            name: call.tool.clone(),
            arguments: call.arguments.clone(),
        };
        let agent = state.agent(effect.module.as_ref());
        let role = agent.map_or(Role::Conductor, |agent| Descriptor::of(agent.purpose).role);
        let dispatcher = self.worker_context.tools.dispatcher();
        let context = self.calls_of(task, state, role, effect.module.clone(), stop);
        let completed = match dispatcher.check(&context, request) {
            Ok(checked) => dispatcher.run(checked).await,
            // It was there when the intent was recorded.
            Err(refusal) => {
                let gone = ToolCompleted {
                    agent: call.agent.clone(),
                    tool: call.tool.clone(),
                    outcome: ToolOutcome::Failed,
                    kind: word(&refusal.kind()),
                    text: refusal.to_string(),
                    truncated: false,
                    wall_ms: 0,
                };
                return reached(effect, role, gone);
            }
        };
        if stop.is_cancelled() && call.repeatable && !completed.is_ok() {
            return stopped(effect);
        }
        reached(effect, role, completed_call(call, &completed))
    }

    /// What an agent of this role may call, for this module of this task.
    pub(crate) fn calls_of(
        &self,
        task: &TaskId,
        state: &TaskState,
        role: Role,
        module: Option<ModuleName>,
        stop: &CancellationToken,
    ) -> CallContext {
        let asked = state.submission.as_ref();
        let allowed = asked.and_then(|asked| asked.tools.as_deref());
        CallContext {
            principal: self.principal.clone(),
            task_id: task.clone(),
            module,
            actor: role.as_str().to_owned(),
            grants: self.worker_context.tools.grants(role, allowed),
            workspace: Arc::new(TaskWorkspace {
                journal: self.journal.clone(),
                principal: self.principal.clone(),
                task: task.clone(),
                state: Arc::new(state.clone()),
                worker_context: self.worker_context.clone(),
                randomness: Arc::clone(&self.randomness),
                writer: None,
            }),
            cancel: stop.clone(),
        }
    }
}

/// The fact that records how a tool call ended.
pub fn completed_call(call: &ToolExecuting, completed: &Completed) -> ToolCompleted {
    let (outcome, kind) = match &completed.outcome {
        journeyman_tools::Outcome::Ok => (ToolOutcome::Ok, None),
        journeyman_tools::Outcome::Failed(kind) => (ToolOutcome::Failed, word(kind)),
        journeyman_tools::Outcome::Refused(kind) => (ToolOutcome::Refused, word(kind)),
    };
    ToolCompleted {
        agent: call.agent.clone(),
        tool: call.tool.clone(),
        outcome,
        kind,
        text: completed.text.clone(),
        truncated: completed.truncated,
        wall_ms: completed.wall_ms,
    }
}

/// What the call says, or nothing if it takes longer than it may. It is then dropped, which closes its connection.
async fn within<T>(time_max: Option<Duration>, call: impl Future<Output = T>) -> Option<T> {
    match time_max {
        Some(max) => tokio::time::timeout(max, call).await.ok(),
        None => Some(call.await),
    }
}

fn reached(
    effect: &OpenEffect,
    role: Role,
    payload: impl Into<journeyman_event::Payload>,
) -> Outcome {
    let fact = Fact {
        module: effect.module.clone(),
        ..Fact::of_task(role, payload)
    };
    Outcome::Reached(fact.caused_by(effect.intent))
}

fn interrupted(effect: &OpenEffect, reason: Interruption) -> Fact {
    let interrupted = EffectInterrupted {
        reason,
        tokens: Tokens::ZERO,
    };
    let fact = Fact {
        module: effect.module.clone(),
        ..Fact::of_task(Role::Conductor, interrupted)
    };
    fact.caused_by(effect.intent)
}

fn stopped(effect: &OpenEffect) -> Outcome {
    Outcome::Stopped {
        fact: interrupted(effect, Interruption::Requested),
        tokens: Tokens::ZERO,
    }
}

/// Whether code, tests and prompt are still those the run was started for.
fn is_as_it_was(state: &TaskState, effect: &OpenEffect, started: &TestStarted) -> bool {
    let basis = state.basis(effect.module.as_ref());
    let same_code = started.code.iter().all(|code| {
        let now = state.module(&code.module).and_then(ModuleState::under_test);
        now.as_ref() == Some(code)
    });
    same_code && started.basis.is_none_or(|known| known == basis)
}

/// Combines a passed run and the run after it.
fn both(first: TestReport, second: TestReport) -> TestReport {
    let joined = |first: String, second: String| match (first.is_empty(), second.is_empty()) {
        (false, false) => format!("{first}\n{second}"),
        _ => first + &second,
    };
    TestReport {
        // Generated tests of which none counts take nothing from those that passed.
        outcome: match second.outcome {
            TestOutcome::NoTests => first.outcome,
            other => other,
        },
        detail: joined(first.detail, second.detail),
        passed: first.passed + second.passed,
        failed: first.failed + second.failed,
        skipped: first.skipped.into_iter().chain(second.skipped).collect(),
        tests: first.tests.into_iter().chain(second.tests).collect(),
        idle: first.idle.into_iter().chain(second.idle).collect(),
        // The second run has generated tests, which are not reported as broken.
        broken_tests: first.broken_tests,
        runner: first.runner.or(second.runner),
        output: joined(first.output, second.output),
        wall_ms: first.wall_ms + second.wall_ms,
    }
}

fn outcome_of_report(effect: &OpenEffect, report: TestReport) -> Outcome {
    let tests: Vec<TestResult> = report
        .tests
        .into_iter()
        .map(|test| TestResult {
            name: test.name,
            passed: test.passed,
            message: last_chars(&test.message, MESSAGE_CHARS_MAX).to_owned(),
        })
        .collect();
    let kind = match report.outcome {
        TestOutcome::Passed => {
            let passed = TestPassed {
                tests,
                idle: report.idle,
                skipped: report.skipped,
                wall_ms: report.wall_ms,
            };
            return reached(effect, Role::Tester, passed);
        }
        TestOutcome::Failed => TestFailureKind::Failed,
        TestOutcome::DoesNotImport => TestFailureKind::DoesNotImport,
        TestOutcome::NoTests => TestFailureKind::NoTests,
        TestOutcome::TimedOut => TestFailureKind::TimedOut,
        TestOutcome::Killed | TestOutcome::Cancelled => TestFailureKind::Killed,
    };
    let output = if report.detail.is_empty() {
        report.output
    } else {
        format!("{}\n{}", report.output, report.detail)
    };
    let output = last_chars(&output, OUTPUT_CHARS_MAX).to_owned();
    reached(
        effect,
        Role::Tester,
        TestFailed {
            kind,
            tests,
            idle: report.idle,
            broken_tests: report.broken_tests,
            output,
            wall_ms: report.wall_ms,
        },
    )
}

/// The definitions that nothing refers to, except those required by the plan, which are there for callers.
fn unused(state: &TaskState, found: &[DeadCode]) -> Vec<UnusedCode> {
    let language = of_task(state);
    let mut unused = Vec::new();
    for module in &state.modules {
        let path = module_path(state, &module.plan.name);
        let planned: Vec<&str> = module
            .plan
            .functions
            .iter()
            .filter_map(|function| language.defined_name(&function.signature))
            .collect();
        let own = found.iter().filter(|item| item.file == path);
        unused.extend(
            own.filter(|item| !planned.contains(&item.name.as_str()))
                .map(|item| UnusedCode {
                    module: module.plan.name.clone(),
                    name: item.name.clone(),
                    kind: item.kind.to_string(),
                    line: item.line,
                }),
        );
    }
    unused
}

pub(crate) fn first_chars(text: &str, max: usize) -> String {
    text.trim().chars().take(max).collect()
}
