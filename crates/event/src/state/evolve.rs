//! The fold: applying events to the state of a task.

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use super::{
    Action, Agent, Bug, CodeVersion, Ending, ModuleState, OpenEffect, PendingAnswer, Question,
    Refusals, Status, Summarised, TaskState, TestRun, ToolCall,
};
use crate::content::ContentHash;
use crate::event::{Event, FoldInput, NewEvent};
use crate::ids::{ModuleName, Sequence};
use crate::ordering::{CodeIdentity, is_report_valid};
use crate::payload::{
    CodeOrigin, FailureReason, Interruption, PauseReason, Payload, Purpose, ReviewCompleted,
    TestFailureKind, TestResult, TestScope, ToolCompleted, ToolOutcome, Verification,
};
use crate::tokens::Tokens;

/// The actor of events written for the user. They do not prove that the task was being worked on.
const USER: &str = "user";

/// Why events could not be folded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FoldError {
    /// The event was folded already, or comes before one that was.
    #[error("sequence {given} was folded already (the state stands at {at})")]
    Duplicate {
        /// The position of the event.
        given: Sequence,
        /// The position that the state had reached.
        at: Sequence,
    },
}

impl TaskState {
    /// Folds the events of a task. They are sorted by sequence number first. Without events, the result is the
    /// empty initial state.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Self, FoldError> {
        let mut events: Vec<&Event> = events.into_iter().collect();
        events.sort_by_key(|event| event.sequence());
        let mut state = Self::default();
        for event in events {
            state.evolve(event)?;
        }
        Ok(state)
    }

    /// Applies one more event. It must come after all events that were applied before.
    pub fn evolve(&mut self, event: &Event) -> Result<(), FoldError> {
        if event.sequence() <= self.sequence {
            return Err(FoldError::Duplicate {
                given: event.sequence(),
                at: self.sequence,
            });
        }
        self.take_in(event.fold_input());
        Ok(())
    }

    /// Applies an event that is about to be appended. Its sequence number is not known yet, so the next one is
    /// assumed.
    pub fn evolve_proposed(&mut self, event: &NewEvent) {
        self.take_in(event.fold_input(self.sequence.next(), self.revision.next()));
    }

    fn take_in(&mut self, event: FoldInput<'_>) {
        self.apply(event);
        self.sequence = event.sequence;
        self.revision = event.revision;
        self.last_event = Some(event.id);
        self.last_at = Some(event.occurred_at);
        if self.active_since.is_some() && event.actor != USER {
            self.worked_at = Some(event.occurred_at);
        }
        self.clock.merge(event.clock);
    }

    fn apply(&mut self, event: FoldInput<'_>) {
        match event.payload {
            Payload::TaskSubmitted(submitted) => {
                self.limits = submitted.limits;
                self.submission = Some(submitted.clone());
                self.instructions.clone_from(&submitted.answers);
                self.submitted_at = Some(event.occurred_at);
            }
            Payload::TaskStarted(started) => {
                self.started = Some(started.clone());
                self.run_from(event);
            }
            Payload::TaskResumed(_) => self.run_from(event),
            Payload::ModelChanged(changed) => {
                if let Some(started) = &mut self.started {
                    started.model.clone_from(&changed.model);
                    started.server.clone_from(&changed.server);
                    started.window = changed.window;
                }
            }
            Payload::ClockJumped(jumped) => {
                let by = SignedDuration::from_millis(jumped.by_ms);
                let moved = |at: Timestamp| at.saturating_add(by).unwrap_or(at);
                self.active_since = self.active_since.map(moved);
            }
            Payload::TaskPaused(paused) => {
                self.stop_running(event);
                self.status = Status::Paused;
                self.pause = Some(paused.reason);
                if paused.detail.is_some() {
                    self.model_problem.clone_from(&paused.detail);
                }
            }
            Payload::LimitsChanged(changed) => {
                self.limits = changed.limits;
                self.obstacle = None;
                self.broken_calls = 0;
                if self.take_back_failure() {
                    self.output = None;
                    self.output_problem = None;
                }
            }
            Payload::OutChanged(changed) => {
                if let Some(submission) = &mut self.submission {
                    submission.out = Some(changed.out.clone());
                }
                self.output = None;
                self.output_problem = None;
                self.take_back_failure();
            }
            Payload::TaskPreempted(_) | Payload::TaskQueued(_) => {
                self.stop_running(event);
                if self.pause == Some(PauseReason::Question) {
                    // The user wants it to go on with what was answered.
                    for question in &mut self.questions {
                        question.waived = question.answer.is_none();
                    }
                }
                self.status = Status::Queued;
                self.pause = None;
            }
            Payload::UserAnswered(said) => self.answered(said.question.as_deref(), &said.answer),
            Payload::UserIntervention(said) => self.instructions.push(said.instruction.clone()),
            Payload::TaskCancelled(_) => self.end(event, Status::Cancelled, Ending::Cancelled),
            Payload::TaskFailed(failed) => {
                let (reason, detail) = (failed.reason, failed.detail.clone());
                if reason == FailureReason::Internal {
                    // The event's author does not work on the task: after a crash, work may not have started
                    // again.
                    self.stop_running_at_last_event();
                }
                self.end(event, Status::Failed, Ending::Failed { reason, detail });
            }
            Payload::TaskComplete(complete) => {
                let mut verification = complete.verification;
                // What is reported as verified was run.
                if verification == Verification::GivenTests && !self.ran_given_tests() {
                    self.uncounted.flagged += 1;
                    verification = Verification::None;
                }
                self.end(event, Status::Complete, Ending::Complete(verification));
            }
            Payload::PlanningComplete(plan) => {
                self.modules = plan.modules.iter().cloned().map(ModuleState::new).collect();
                self.plan_repairs.clone_from(&plan.repairs);
                self.planned = true;
                self.plan_problem = None;
                self.accept_answer(event.module);
            }
            Payload::PlanningRejected(rejected) => {
                self.plan_problem = Some(rejected.problem.clone());
                self.refuse_answer(event.module, &rejected.problem);
            }
            Payload::QuestionsAsked(asked) => {
                let questions = asked.questions.iter().map(|question| Question {
                    id: question.id.clone(),
                    text: question.text.clone(),
                    answer: None,
                    waived: false,
                });
                self.questions.extend(questions);
                self.accept_answer(event.module);
            }
            Payload::PromptAnswered(answered) => {
                self.reply = Some(answered.clone());
                self.accept_answer(event.module);
            }
            Payload::AgentStarted(started) => {
                self.agents += 1;
                self.looked_up |= started.purpose == Purpose::LookUp;
                self.active_agents
                    .retain(|agent| agent.module.as_ref() != event.module);
                self.active_agents.push(Agent {
                    id: started.agent.clone(),
                    role: event.actor.to_owned(),
                    purpose: started.purpose,
                    module: event.module.cloned(),
                    tools: started.tools.clone(),
                    steps: 0,
                    wanted: Vec::new(),
                    calls: Vec::new(),
                    awaits_model: true,
                });
            }
            Payload::AgentStep(step) => {
                match self
                    .active_agents
                    .iter_mut()
                    .find(|agent| agent.id == step.agent)
                {
                    Some(agent) => {
                        agent.steps = step.step;
                        agent.wanted.clone_from(&step.calls);
                        agent.awaits_model = true;
                        let about = agent.module.clone();
                        self.drop_answers(about.as_ref());
                    }
                    None => self.uncounted.flagged += 1,
                }
            }
            Payload::AgentCompleted(done) => {
                match self
                    .active_agents
                    .iter()
                    .position(|agent| agent.id == done.agent)
                {
                    Some(at) => {
                        let agent = self.active_agents.remove(at);
                        self.drop_answers(agent.module.as_ref());
                    }
                    None => self.uncounted.flagged += 1,
                }
            }
            Payload::ToolExecuting(call) if call.agent.is_some() => {
                self.open(event, Action::CallTool(call.clone()));
            }
            Payload::ToolCompleted(done) if done.agent.is_some() => {
                self.tool_completed(event, done);
            }
            // Nothing of a task's state follows from these; nor from tools that the user calls.
            Payload::ContextBuilt(_)
            | Payload::BackpressureAlert(_)
            | Payload::StopRequested(_)
            | Payload::ErasureStarted(_)
            | Payload::ErasureCompleted(_)
            | Payload::ToolExecuting(_)
            | Payload::ToolCompleted(_) => {}
            Payload::ContextRefused(refused) if refused.purpose == Purpose::Review => {
                self.not_reviewed(&refused.detail);
            }
            Payload::ContextRefused(refused) if refused.purpose.is_summary() => {
                self.not_summarised(event.module, &refused.detail);
            }
            Payload::ContextRefused(refused) => {
                self.obstacle = Some((refused.reason, refused.detail.clone()));
            }
            Payload::ModelCallStarted(call) => self.open(event, Action::CallModel(call.clone())),
            Payload::ModelCallCompleted(done) => {
                self.spend(event, done.prompt_tokens + done.completion_tokens);
                self.generated += done.completion_tokens;
                self.broken_calls = 0;
                self.model_problem = None;
                self.generating_ms += done.total_ms.saturating_sub(done.first_token_ms);
                let Some(OpenEffect {
                    module,
                    action: Action::CallModel(call),
                    overtaken,
                    ..
                }) = self.close(event)
                else {
                    return;
                };
                if call.model.is_none() {
                    self.served_model.clone_from(&done.served_model);
                }
                let mut agents = self.active_agents.iter_mut();
                if let Some(agent) = agents.find(|agent| agent.module == module) {
                    agent.awaits_model = false;
                }
                if overtaken {
                    return;
                }
                self.answers.push(PendingAnswer {
                    event: event.id,
                    purpose: call.purpose,
                    form: call.form,
                    module,
                    text: done.text.clone(),
                    cut_short: done.cut_short,
                    repeated: done.repeated.clone(),
                });
            }
            Payload::ModelCallFailed(failed) => {
                self.spend(event, failed.tokens);
                let closed = self.close(event).map(|effect| effect.action);
                let purpose = match closed {
                    Some(Action::CallModel(call)) => Some(call.purpose),
                    _ => None,
                };
                if purpose == Some(Purpose::Review) {
                    self.not_reviewed(&failed.problem);
                } else if purpose.is_some_and(Purpose::is_summary) {
                    self.not_summarised(event.module, &failed.problem);
                } else if failed.fatal {
                    // There was no answer; however often it is resumed, none was of no use.
                    self.obstacle = Some((FailureReason::Model, failed.problem.clone()));
                } else {
                    self.refuse_answer(event.module, &failed.problem);
                }
            }
            Payload::AnswerRejected(rejected) if rejected.purpose.is_summary() => {
                self.drop_answers(event.module);
                self.not_summarised(event.module, &rejected.problem);
            }
            Payload::AnswerRejected(rejected) => {
                self.refuse_answer(event.module, &rejected.problem);
            }
            Payload::EffectInterrupted(interrupted) => {
                self.spend(event, interrupted.tokens);
                let closed = self.close(event);
                if interrupted.reason == Interruption::ModelUnreachable {
                    let is_excused = closed.is_some_and(|effect| effect.excused);
                    self.broken_calls += u32::from(!is_excused);
                    for effect in &mut self.effects {
                        effect.excused = true;
                    }
                }
                if interrupted.reason == Interruption::Crashes {
                    let detail = "an effect was cut off by crashes again and again".to_owned();
                    self.obstacle = Some((FailureReason::Crashes, detail));
                }
            }
            Payload::EffectRetried(retried) => match self.effect_of(event) {
                Some(at) => {
                    self.effects[at].attempt = retried.attempt;
                    self.effects[at].excused = false;
                }
                None => self.uncounted.flagged += 1,
            },
            Payload::TestStarted(started) => self.open(event, Action::RunTests(started.clone())),
            Payload::TestPassed(passed) => {
                let unsaid = (&passed.idle[..], &passed.skipped[..]);
                self.tested(event, None, &passed.tests, unsaid, ("", false));
            }
            Payload::TestFailed(failed) => {
                let (kind, why) = (Some(failed.kind), (&*failed.output, failed.broken_tests));
                self.tested(event, kind, &failed.tests, (&[], &[]), why);
            }
            Payload::AnalysisStarted(_) => self.open(event, Action::Analyse),
            Payload::DeadCodeAnalysis(analysis) => {
                self.close(event);
                self.unused = Some(analysis.unused.clone());
            }
            Payload::ReviewCompleted(review) => {
                self.review = Some(review.clone());
                self.accept_answer(event.module);
            }
            Payload::SummaryCompleted(summary) => {
                self.drop_answers(event.module);
                if let Some(summarised) = self.summarised_mut(event.module) {
                    summarised.summary = Some(summary.clone());
                }
            }
            Payload::OutputStarted(started) => {
                self.open(event, Action::WriteOutput(started.clone()));
            }
            Payload::OutputWritten(written) => {
                self.close(event);
                self.output = Some(written.files.clone());
            }
            Payload::OutputFailed(failed) => {
                self.close(event);
                self.output_problem = Some(failed.problem.clone());
            }
            Payload::Unknown { .. } => self.uncounted.unknown += 1,
            Payload::Unreadable { .. } | Payload::Erased { .. } => self.uncounted.unreadable += 1,
            Payload::RetentionChanged(changed) => self.keep = changed.keep,
            Payload::ModuleStarted(_)
            | Payload::ModuleIteration(_)
            | Payload::CodeGenerated(_)
            | Payload::CorrectionStarted(_)
            | Payload::CorrectionCompleted(_)
            | Payload::ModuleComplete(_)
            | Payload::ModuleSkipped(_)
            | Payload::TestsGenerated(_)
            | Payload::BugReportReceived(_) => self.apply_to_module(event),
        }
    }

    fn apply_to_module(&mut self, event: FoldInput<'_>) {
        let Some(index) = event.module.and_then(|name| {
            self.modules
                .iter()
                .position(|module| &module.plan.name == name)
        }) else {
            self.uncounted.flagged += 1;
            return;
        };
        let module = &mut self.modules[index];
        let is_stale = matches!(event.payload, Payload::CodeGenerated(_))
            && event.code_version <= module.version();
        if is_stale {
            self.uncounted.stale += 1;
            return;
        }
        if !module.rounds.take_in(event.payload) {
            self.uncounted.flagged += 1;
        }
        match event.payload {
            Payload::ModuleStarted(_) => module.started = true,
            Payload::ModuleIteration(round) => module.iteration = round.iteration,
            Payload::CodeGenerated(code) => {
                module.versions.push(CodeVersion {
                    version: event.code_version,
                    hash: ContentHash::of(code.source.as_bytes()),
                    source: code.source.clone(),
                    origin: code.origin,
                    clock: event.clock.clone(),
                });
                module.completion = None;
                module.summarised = Summarised::default();
                self.summarised = Summarised::default();
                if code.origin == CodeOrigin::Edited {
                    module.bug = None;
                    self.overtake(event);
                } else {
                    self.accept_answer(event.module);
                }
            }
            Payload::ModuleSkipped(_) => {
                module.skipped = true;
                self.overtake(event);
            }
            Payload::CorrectionCompleted(_) => {
                module.bug = None;
                self.accept_answer(event.module);
            }
            Payload::ModuleComplete(_) if !module.was_tested() => self.uncounted.stale += 1,
            Payload::ModuleComplete(complete) => {
                module.completion = Some(complete.clone());
                module.bug = None;
                module.refusals = Refusals::default();
            }
            Payload::TestsGenerated(tests) => {
                module.generated_tests.push(tests.source.clone());
                module.bug = None;
                self.accept_answer(event.module);
            }
            Payload::BugReportReceived(report) => {
                // It knows no more than the run that it reports on. The event's own clock knows all
                // that was recorded before it, and so is never before the code.
                let runs = module.runs.iter().rev().chain(&self.integration);
                let run = runs
                    .filter(|run| run.outcome.is_some())
                    .find(|run| run.outcome == event.causation_id);
                let about = CodeIdentity {
                    version: report.version,
                    clock: run.map_or_else(|| event.clock.clone(), |run| run.clock.clone()),
                    hash: Some(report.code_hash),
                };
                let current = module.code_identity();
                if current.is_some_and(|current| is_report_valid(&about, &current).is_valid()) {
                    module.bug = Some(Bug {
                        version: report.version,
                        summary: report.summary.clone(),
                        given: report.given,
                    });
                    module.completion = None;
                } else {
                    self.uncounted.stale += 1;
                }
            }
            _ => {}
        }
    }

    fn run_from(&mut self, event: FoldInput<'_>) {
        self.stop_running_at_last_event();
        self.status = Status::Running;
        self.pause = None;
        self.active_since = Some(event.occurred_at);
    }

    /// Ends the working time: at `event`, or at the last event that proves work if the user wrote `event`. The
    /// user may also stop a task whose worker crashed earlier.
    fn stop_running(&mut self, event: FoldInput<'_>) {
        if event.actor != USER {
            self.worked_at = Some(event.occurred_at);
        }
        self.stop_running_at_last_event();
    }

    /// Ends the working time at the last event that proves work. Used after a crash, when no event recorded the
    /// end.
    fn stop_running_at_last_event(&mut self) {
        if let Some(last) = self.worked_at {
            self.active = self.active_until(last);
        }
        self.active_since = None;
        self.worked_at = None;
    }

    fn end(&mut self, event: FoldInput<'_>, status: Status, ending: Ending) {
        self.stop_running(event);
        self.active_agents.clear();
        self.status = status;
        self.pause = None;
        self.ending = Some(ending);
        self.ended_at = Some(event.sequence);
    }

    /// Turns a failed task into a paused one that can be resumed. Returns whether the task had failed.
    fn take_back_failure(&mut self) -> bool {
        let has_failed = self.status == Status::Failed;
        if has_failed {
            self.status = Status::Paused;
            self.ending = None;
            self.ended_at = None;
        }
        has_failed
    }

    fn open(&mut self, event: FoldInput<'_>, action: Action) {
        self.effects.push(OpenEffect {
            intent: event.id,
            attempt: 1,
            module: event.module.cloned(),
            action,
            clock: event.clock.clone(),
            overtaken: false,
            excused: false,
        });
    }

    /// Marks what the model has said, or is about to say, about this event's module as out of date.
    fn overtake(&mut self, event: FoldInput<'_>) {
        self.drop_answers(event.module);
        let open = self.effects.iter_mut();
        for effect in open.filter(|effect| effect.module.as_ref() == event.module) {
            effect.overtaken = true;
        }
    }

    /// The open effect that `event` is about.
    fn effect_of(&self, event: FoldInput<'_>) -> Option<usize> {
        let mut open = self.effects.iter();
        open.position(|effect| Some(effect.intent) == event.causation_id)
    }

    /// Removes and returns the open effect whose outcome `event` is.
    fn close(&mut self, event: FoldInput<'_>) -> Option<OpenEffect> {
        let Some(at) = self.effect_of(event) else {
            self.uncounted.flagged += 1;
            return None;
        };
        Some(self.effects.remove(at))
    }

    fn tested(
        &mut self,
        event: FoldInput<'_>,
        failure: Option<TestFailureKind>,
        tests: &[TestResult],
        (idle, skipped): (&[String], &[String]),
        (output, broken_tests): (&str, bool),
    ) {
        let Some(OpenEffect {
            module,
            action: Action::RunTests(started),
            clock,
            ..
        }) = self.close(event)
        else {
            return;
        };
        let basis = self.basis(module.as_ref());
        let is_copied = event.origin.is_some()
            && self
                .submission
                .as_ref()
                .is_some_and(|asked| asked.fork.is_some());
        let counts = started.basis.map_or(!is_copied, |known| known == basis);
        if !counts {
            // It is about other tests or another prompt than this task's, or may be.
            self.uncounted.stale += 1;
            return;
        }
        let module = module.and_then(|name| {
            self.modules
                .iter_mut()
                .find(|module| module.plan.name == name)
        });
        let run = TestRun {
            scope: started.scope,
            origin: started.origin,
            files: started.files,
            code: started.code,
            tests_version: module
                .as_ref()
                .map_or(0, |module| module.generated_tests.len()),
            basis: started.basis,
            failure,
            tests: tests.to_vec(),
            idle: idle.to_vec(),
            skipped: skipped.to_vec(),
            broken_tests,
            output: output.to_owned(),
            clock,
            outcome: Some(event.id),
            sequence: Some(event.sequence),
        };
        match (started.scope, module) {
            (TestScope::Module, Some(module)) => module.runs.push(run),
            (TestScope::Integration, _) => self.integration = Some(run),
            (TestScope::Module, None) => self.uncounted.flagged += 1,
        }
    }

    fn tool_completed(&mut self, event: FoldInput<'_>, done: &ToolCompleted) {
        // One that was refused was never begun.
        if done.outcome != ToolOutcome::Refused {
            self.close(event);
        }
        let agent = self
            .active_agents
            .iter_mut()
            .find(|agent| Some(&agent.id) == done.agent.as_ref());
        match agent {
            Some(agent) if !agent.wanted.is_empty() => {
                let call = ToolCall {
                    request: agent.wanted.remove(0),
                    outcome: done.outcome,
                    text: done.text.clone(),
                };
                if agent.purpose == Purpose::LookUp && call.outcome == ToolOutcome::Ok {
                    self.lookups.push(call.clone());
                }
                agent.calls.push(call);
            }
            _ => self.uncounted.flagged += 1,
        }
    }

    /// Adds the user's answer to the instructions, together with its question.
    fn answered(&mut self, question: Option<&str>, answer: &str) {
        let is_only = self.open_questions().count() == 1;
        let asked = self.questions.iter_mut().find(|known| match question {
            Some(named) => known.id == named || known.text == named,
            None => is_only && known.is_open(),
        });
        let question = match asked {
            Some(known) => {
                known.answer = Some(answer.to_owned());
                Some(known.text.as_str())
            }
            None => question,
        };
        self.instructions.push(match question {
            Some(question) => format!("{question} {answer}"),
            None => answer.to_owned(),
        });
    }

    /// Records that there is no review. A missing review does not fail a task.
    fn not_reviewed(&mut self, problem: &str) {
        self.review = Some(ReviewCompleted {
            findings: Vec::new(),
            problem: Some(problem.to_owned()),
        });
    }

    /// Records that the model gave no usable summary. That does not fail a task either.
    fn not_summarised(&mut self, about: Option<&ModuleName>, problem: &str) {
        if let Some(summarised) = self.summarised_mut(about) {
            summarised.refuse(problem);
        }
    }

    fn summarised_mut(&mut self, about: Option<&ModuleName>) -> Option<&mut Summarised> {
        let Some(name) = about else {
            return Some(&mut self.summarised);
        };
        let mut modules = self.modules.iter_mut();
        let module = modules.find(|module| &module.plan.name == name);
        module.map(|module| &mut module.summarised)
    }

    fn spend(&mut self, event: FoldInput<'_>, tokens: Tokens) {
        self.spent += tokens;
        let mut modules = self.modules.iter_mut();
        if let Some(module) = modules.find(|module| Some(&module.plan.name) == event.module) {
            module.spent += tokens;
        }
    }

    fn drop_answers(&mut self, about: Option<&ModuleName>) {
        self.answers
            .retain(|answer| answer.module.as_ref() != about);
    }

    fn refusals_mut(&mut self, about: Option<&ModuleName>) -> &mut Refusals {
        let mut modules = self.modules.iter_mut();
        match modules.find(|module| Some(&module.plan.name) == about) {
            Some(module) => &mut module.refusals,
            None => &mut self.refusals,
        }
    }

    fn accept_answer(&mut self, about: Option<&ModuleName>) {
        self.drop_answers(about);
        *self.refusals_mut(about) = Refusals::default();
    }

    fn refuse_answer(&mut self, about: Option<&ModuleName>, problem: &str) {
        self.drop_answers(about);
        let refusals = self.refusals_mut(about);
        refusals.count += 1;
        refusals.last = Some(problem.to_owned());
    }
}
