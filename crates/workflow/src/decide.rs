//! Decides the next step of a task: a pure function of its state. Effects are carried out in `effects`, never here.

mod summaries;

use jiff::SignedDuration;
use journeyman_context::{Descriptor, may_ask};
use journeyman_event::payload::{
    AgentOutcome, CodeUnderTest, FailureReason, Form, OutputStarted, PauseReason, Purpose,
    TaskCancelled, TaskComplete, TaskFailed, TaskPaused, TestFailureKind, TestOrigin, TestScope,
    TestStarted, ToolRequest, Verification,
};
use journeyman_event::state::{Action, Agent, Ending, ModuleState, OpenEffect, Refusals, TestRun};
use journeyman_event::{ModuleName, TaskState, Tokens};
use journeyman_language::of_task;

use crate::agent_lifecycle::{LOOK_UPS_MAX, all_dropped, completed};
use crate::fact::{Fact, Role};
use crate::interpret::facts_of;
use crate::layout;
use crate::plan::{plan_of_names, plan_of_stub};
use crate::request::is_plain_question;
use crate::strategy::{ModuleStep, ModuleStrategy};
use crate::verdict::{broken_tests, unproven};

/// How many unusable answers in a row lead to failure of the task.
const REFUSALS_MAX: u32 = 4;
/// How many aborted calls in a row lead to failure of the task. For a model server that responds but crashes
/// while generating.
const BROKEN_CALLS_MAX: u32 = 10;
/// If fewer tokens than this are left, no call is started.
const TOKENS_MIN: Tokens = Tokens(256);

/// The most concurrent effects of a task: as many calls as a model server on one machine processes in parallel.
/// It also limits how many a crash interrupts.
const EFFECTS_MAX: usize = 4;

/// Circumstances at the time of a decision that are not part of the state.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The working time of the task so far.
    pub active: SignedDuration,
    /// Whether the model server has a slot for another concurrent call.
    pub has_model_slot: bool,
}

/// The next step of a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Record these facts.
    Record(Vec<Fact>),
    /// Call the model.
    CallModel {
        /// What the call is for.
        purpose: Purpose,
        /// How code is asked for.
        form: Form,
        /// The module it is for; `None` for the task as a whole.
        module: Option<ModuleName>,
        /// The sampling temperature.
        temperature: f32,
    },
    /// Run a module's tests, or all tests.
    RunTests {
        /// The module to test; `None` for all modules together.
        module: Option<ModuleName>,
        /// The intent to record.
        started: TestStarted,
    },
    /// Call a tool for an active agent.
    CallTool {
        /// The module the agent works on.
        module: Option<ModuleName>,
        /// The call it asks for.
        request: ToolRequest,
    },
    /// Analyse all modules for unused code.
    Analyse,
    /// Write the result to the output folder.
    WriteOutput(OutputStarted),
    /// Nothing until an effect in progress has an outcome, or another call may be started.
    Wait,
    /// Nothing: the task has ended.
    Ended,
}

/// Decides the next step of a task, given the effects in progress. If there are none, the result is never
/// [`Step::Wait`].
///
/// Effects may run concurrently for modules that do not depend on each other, at most one per module, and at
/// most one of them a test run: runs are short, and several at once on few cores would exceed their time
/// limits. Effects for the task as a whole run alone.
pub fn decide(state: &TaskState, strategy: &dyn ModuleStrategy, now: Now) -> Step {
    if state.status.is_ended() {
        return Step::Ended;
    }
    if let Some((reason, detail)) = limit(state, now.active) {
        return alone(state, end(state, Ending::Failed { reason, detail }));
    }
    if let Some(answer) = state.answers.first() {
        return Step::Record(facts_of(state, strategy, answer));
    }
    if state.effects.iter().any(|effect| effect.module.is_none()) {
        return Step::Wait;
    }
    if let Some(step) = state
        .active_agents
        .iter()
        .find_map(|agent| serve(state, agent))
    {
        return step;
    }
    if let Some(refusals) = useless(state) {
        let reason = if state.planned {
            FailureReason::Attempts
        } else {
            FailureReason::Plan
        };
        let last = refusals.last.as_deref().unwrap_or("unknown");
        let detail = format!(
            "{} model calls in a row gave no usable answer; the last: {last}",
            refusals.count
        );
        return alone(state, end(state, Ending::Failed { reason, detail }));
    }
    let started = state.started.as_ref();
    if !state.looked_up && started.is_some_and(|started| !started.tools.is_empty()) {
        return alone(state, ask(Purpose::LookUp, 0));
    }
    if state.reply.is_some() {
        return alone(state, end(state, Ending::Complete(Verification::None)));
    }
    if !state.planned {
        if state.open_questions().next().is_some() {
            let reason = PauseReason::Question;
            let detail = None;
            let paused = TaskPaused { reason, detail };
            return Step::Record(vec![Fact::of_task(Role::Planner, paused)]);
        }
        return plan(state);
    }
    if !state.modules_complete() {
        let summary = summaries::of_modules(state);
        let summary = summary.filter(|step| match step {
            Step::CallModel { .. } => may_call(state, now),
            _ => true,
        });
        return summary.unwrap_or_else(|| work_on_modules(state, strategy, now));
    }
    alone(
        state,
        match state.current_integration() {
            None => test_everything(state),
            Some(run) => conclude(state, run),
        },
    )
}

/// Returns `step` if no effect is in progress, else waits.
fn alone(state: &TaskState, step: Step) -> Step {
    if state.effects.is_empty() {
        step
    } else {
        Step::Wait
    }
}

/// What an active agent needs other than the next model call for its module; `None` if it must wait.
fn serve(state: &TaskState, agent: &Agent) -> Option<Step> {
    let is_busy = |effect: &OpenEffect| effect.module == agent.module;
    if state.effects.iter().any(is_busy) {
        return None;
    }
    let module = agent.module.as_ref().and_then(|name| state.module(name));
    // What the model said is of no use any more, and nothing was made of it; or nothing is wanted of it.
    let is_over = !agent.awaits_model && agent.wanted.is_empty();
    let is_settled = module.is_some_and(ModuleState::is_settled);
    if is_over || (is_settled && agent.purpose != Purpose::ModuleSummary) {
        return Some(Step::Record(vec![completed(agent, AgentOutcome::Dropped)]));
    }
    if let Some(request) = agent.wanted.first().cloned() {
        let module = agent.module.clone();
        let may_begin = state.effects.len() < EFFECTS_MAX;
        return may_begin.then_some(Step::CallTool { module, request });
    }
    if agent.purpose != Purpose::LookUp {
        return None;
    }
    Some(if agent.steps < LOOK_UPS_MAX {
        alone(state, ask(Purpose::LookUp, 0))
    } else {
        Step::Record(vec![completed(agent, AgentOutcome::Done)])
    })
}

/// The failure of a task that was never worked on and has a time limit of 0; `None` for all others.
pub fn without_time(state: &TaskState) -> Option<Fact> {
    let may_not = state.started.is_none() && state.limits.active_ms_max == 0;
    if !may_not || state.status.is_ended() {
        return None;
    }
    let (reason, detail) = limit(state, SignedDuration::ZERO)?;
    Some(Fact::of_task(
        Role::Conductor,
        TaskFailed { reason, detail },
    ))
}

/// The first unusable answers of which there were too many in a row, about the task or an open module.
fn useless(state: &TaskState) -> Option<&Refusals> {
    let open = state.modules.iter().filter(|module| !module.is_settled());
    let mut all = open.map(|module| &module.refusals).chain([&state.refusals]);
    all.find(|refusals| refusals.count >= REFUSALS_MAX)
}

/// Which of the task's limits is used up.
fn limit(state: &TaskState, active: SignedDuration) -> Option<(FailureReason, String)> {
    if let Some((reason, detail)) = &state.obstacle {
        return Some((*reason, detail.clone()));
    }
    if state.broken_calls >= BROKEN_CALLS_MAX {
        let last = state
            .model_problem
            .as_deref()
            .unwrap_or("it gave no reason");
        let detail = format!(
            "{} model calls in a row failed; the last: {last}",
            state.broken_calls
        );
        return Some((FailureReason::Model, detail));
    }
    let max = state.limits.active_max();
    if active >= SignedDuration::try_from(max).unwrap_or(SignedDuration::MAX) {
        let detail = format!("{} s of {} s are spent", active.as_secs(), max.as_secs());
        return Some((FailureReason::Timeout, detail));
    }
    // What was asked for already is still used: only a further call needs tokens.
    let needs_model =
        state.answers.is_empty() && state.reply.is_none() && !state.modules_complete();
    if needs_model && state.token_budget_left() < TOKENS_MIN {
        let detail = format!(
            "{} of {} tokens are spent",
            state.spent,
            state.token_budget()
        );
        return Some((FailureReason::Budget, detail));
    }
    None
}

/// A model call about the task as a whole, after this many rejected answers: the temperature rises so that the
/// same question gets a different answer.
fn ask(purpose: Purpose, refusals: u32) -> Step {
    ask_about(None, purpose, refusals)
}

/// The same about a module.
fn ask_about(module: Option<ModuleName>, purpose: Purpose, refusals: u32) -> Step {
    let times = f32::from(u16::try_from(refusals).unwrap_or(u16::MAX));
    Step::CallModel {
        purpose,
        form: Form::File,
        module,
        temperature: (Descriptor::of(purpose).temperature + 0.2 * times).min(1.0),
    }
}

fn plan(state: &TaskState) -> Step {
    let (prompt, tests) = (state.prompt(), state.given_tests());
    // A user who gives tests wants code.
    if tests.is_empty() && is_plain_question(prompt) {
        return ask(Purpose::Answer, state.refusals.count);
    }
    let language = of_task(state);
    let own_plan = || plan_of_names(language, prompt, tests).filter(|_| !may_ask(state));
    if let Some(plan) = plan_of_stub(language, prompt, tests).or_else(own_plan) {
        return Step::Record(vec![Fact::of_task(Role::Planner, plan)]);
    }
    ask(Purpose::Plan, state.refusals.count)
}

/// The next step of a module that can be worked on. Modules earlier in the plan come first.
fn work_on_modules(state: &TaskState, strategy: &dyn ModuleStrategy, now: Now) -> Step {
    let open = state.modules.iter().filter(|module| !module.is_settled());
    // The dependencies of a module precede it.
    let ready = open.enumerate().filter(|(at, module)| {
        let mut needed = module.plan.depends_on.iter();
        let is_settled = |name| state.module(name).is_none_or(ModuleState::is_settled);
        *at == 0 || needed.all(is_settled)
    });
    let ready = ready
        .map(|(_, module)| module)
        .filter(|module| is_free(state, &module.plan.name));
    let next: Vec<(&ModuleState, ModuleStep)> = ready
        .map(|module| (module, strategy.next(state, module)))
        .collect();
    let given_up = next.iter().find_map(|(_, step)| match step {
        ModuleStep::GiveUp { reason, detail } => Some((*reason, detail.clone())),
        _ => None,
    });
    if let Some((reason, detail)) = given_up {
        return alone(state, end(state, Ending::Failed { reason, detail }));
    }
    let may_begin = |module: &ModuleState, step: &ModuleStep| match step {
        // A module that could go no further is not begun.
        ModuleStep::Record(_) => module.started || may_call(state, now),
        ModuleStep::CallModel { .. } => may_call(state, now),
        ModuleStep::RunTests { .. } => may_test(state),
        ModuleStep::GiveUp { .. } => false,
    };
    let mut next = next.into_iter();
    let first = next.find(|(module, step)| may_begin(module, step));
    first.map_or(Step::Wait, |(module, step)| step_of(state, module, step))
}

/// Whether no current or pending effect conflicts with an effect of this module.
fn is_free(state: &TaskState, name: &ModuleName) -> bool {
    let open = state.effects.iter();
    let mut open = open.filter_map(|effect| effect.module.as_ref());
    let agent = state.agent(Some(name));
    agent.is_none_or(|agent| agent.wanted.is_empty())
        && open
            .all(|other| other != name && !needs(state, other, name) && !needs(state, name, other))
}

/// Whether a module depends on another one, directly or indirectly. Dependencies precede it in the plan; others
/// are not dependencies.
fn needs(state: &TaskState, one: &ModuleName, other: &ModuleName) -> bool {
    let all = &state.modules;
    let at = all.iter().position(|module| &module.plan.name == one);
    at.is_some_and(|at| {
        let before = &all[..at];
        let mut needed = all[at].plan.depends_on.iter();
        needed.any(|name| {
            before.iter().any(|module| &module.plan.name == name)
                && (name == other || needs(state, name, other))
        })
    })
}

/// Whether another model call may be started now.
fn may_call(state: &TaskState, now: Now) -> bool {
    let has_model_slot = now.has_model_slot || !state.effects.iter().any(is_call);
    has_model_slot && state.effects.len() < EFFECTS_MAX
}

/// Whether an effect is a model call.
pub(crate) fn is_call(effect: &OpenEffect) -> bool {
    matches!(effect.action, Action::CallModel(_))
}

/// Whether a test run may be started now.
fn may_test(state: &TaskState) -> bool {
    let is_test = |effect: &OpenEffect| matches!(effect.action, Action::RunTests(_));
    state.effects.len() < EFFECTS_MAX && !state.effects.iter().any(is_test)
}

fn step_of(state: &TaskState, module: &ModuleState, step: ModuleStep) -> Step {
    let name = &module.plan.name;
    match step {
        ModuleStep::Record(facts) => Step::Record(facts),
        ModuleStep::CallModel {
            purpose,
            form,
            temperature,
        } => Step::CallModel {
            purpose,
            form,
            module: Some(name.clone()),
            temperature,
        },
        ModuleStep::RunTests { origin, given } => Step::RunTests {
            module: Some(name.clone()),
            started: TestStarted {
                scope: TestScope::Module,
                origin,
                files: layout::test_files(state, Some(module), &given),
                code: under_test(state.modules.iter().filter(|other| {
                    other.completion.is_some() || other.plan.name == module.plan.name
                })),
                basis: Some(state.basis(Some(name))),
            },
        },
        ModuleStep::GiveUp { reason, detail } => end(state, Ending::Failed { reason, detail }),
    }
}

fn under_test<'a>(modules: impl Iterator<Item = &'a ModuleState>) -> Vec<CodeUnderTest> {
    modules.filter_map(ModuleState::under_test).collect()
}

fn test_everything(state: &TaskState) -> Step {
    let given: Vec<String> = state
        .given_tests()
        .iter()
        .map(|test| test.name.clone())
        .collect();
    Step::RunTests {
        module: None,
        started: TestStarted {
            scope: TestScope::Integration,
            origin: if given.is_empty() {
                TestOrigin::Generated
            } else {
                TestOrigin::File
            },
            files: layout::test_files(state, None, &given),
            code: under_test(state.modules.iter()),
            basis: Some(state.basis(None)),
        },
    }
}

/// The conclusion from the test run of all modules together.
fn conclude(state: &TaskState, run: &TestRun) -> Step {
    match run.failure {
        None => {}
        // None of the model's own tests says anything: then nothing is verified, and nothing wrong.
        Some(TestFailureKind::NoTests) if run.origin == TestOrigin::Generated => {}
        Some(TestFailureKind::Failed) => {
            let is_given = layout::given_names(state);
            let ruling: Vec<&str> = run
                .tests
                .iter()
                .filter(|test| !test.passed && is_given(&test.name))
                .map(|test| test.name.as_str())
                .collect();
            if !ruling.is_empty() {
                let detail = format!("given tests fail on the whole: {}", ruling.join(", "));
                return end(
                    state,
                    Ending::Failed {
                        reason: FailureReason::GivenTests,
                        detail,
                    },
                );
            }
        }
        Some(_) if run.broken_tests => {
            let reason = FailureReason::GivenTests;
            let detail = broken_tests(run);
            return end(state, Ending::Failed { reason, detail });
        }
        Some(kind) => {
            let detail = format!(
                "the modules do not work together ({}): {}",
                kind.in_words(),
                run.output
            );
            return end(
                state,
                Ending::Failed {
                    reason: FailureReason::Attempts,
                    detail,
                },
            );
        }
    }
    // What is reported as verified was run: a given file that ran nothing verifies nothing.
    let passed = run.tests.iter().filter(|test| test.passed);
    let found: Vec<&String> = passed.map(|test| &test.name).chain(&run.skipped).collect();
    let mut given = layout::given_paths(state).into_iter();
    let language = of_task(state);
    let idle = given.find(|path| !found.iter().any(|name| language.is_test_of(name, path)));
    let idle = idle.map(|path| format!("no test of the given {path} was run"));
    if let Some(detail) = idle.or_else(|| hidden(state)) {
        let reason = FailureReason::GivenTests;
        return end(state, Ending::Failed { reason, detail });
    }
    if state.unused.is_none() {
        return Step::Analyse;
    }
    let asked = state.submission.as_ref();
    if asked.is_some_and(|asked| asked.review) && state.review.is_none() {
        return ask(Purpose::Review, 0);
    }
    if let Some(step) = summaries::of_task(state) {
        return step;
    }
    end(state, Ending::Complete(verification(state, run)))
}

/// A message about two given test files with the same path, of which only one was run.
fn hidden(state: &TaskState) -> Option<String> {
    let mut paths = layout::given_paths(state);
    paths.sort_unstable();
    let two = paths.windows(2).find(|two| two[0] == two[1])?;
    Some(format!(
        "two given files are called {}: one hides the other",
        two[0]
    ))
}

/// The verification of a task. Called when all given tests that ran have passed; these decide. Without given
/// tests, it is the weakest verification of the modules and of the run of all modules together.
fn verification(state: &TaskState, run: &TestRun) -> Verification {
    if !state.given_tests().is_empty() {
        return match unproven(state, run) {
            None => Verification::GivenTests,
            Some(_) => Verification::None,
        };
    }
    let unchecked = state.modules.iter().any(|module| {
        module
            .completion
            .as_ref()
            .is_none_or(|done| done.verification == Verification::None)
    });
    if unchecked || run.tests.is_empty() {
        return Verification::None;
    }
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let mut confidence = count(run.passed()) / count(run.tests.len());
    for module in &state.modules {
        if let Some(Verification::Agreement { confidence: own }) =
            module.completion.as_ref().map(|done| done.verification)
        {
            confidence = confidence.min(own);
        }
    }
    Verification::Agreement { confidence }
}

/// Ends a task. The result is written before the end is recorded, even if the task failed: the user gets what
/// exists, with a summary of its state.
fn end(state: &TaskState, ending: Ending) -> Step {
    let ending = match (&state.output_problem, ending) {
        (Some(problem), Ending::Complete(_)) => Ending::Failed {
            reason: FailureReason::Output,
            detail: problem.clone(),
        },
        (_, ending) => ending,
    };
    let folder = state
        .submission
        .as_ref()
        .and_then(|submission| submission.out.clone());
    if let Some(folder) = folder
        && state.has_result()
        && state.output.is_none()
        && state.output_problem.is_none()
    {
        let ending = Some(ending);
        return Step::WriteOutput(OutputStarted { folder, ending });
    }
    let ended = match ending {
        Ending::Complete(verification) => {
            Fact::of_task(Role::Conductor, TaskComplete { verification })
        }
        Ending::Failed { reason, detail } => {
            Fact::of_task(Role::Conductor, TaskFailed { reason, detail })
        }
        Ending::Cancelled => Fact::of_task(Role::User, TaskCancelled {}),
    };
    let mut facts = all_dropped(state);
    facts.push(ended);
    Step::Record(facts)
}

#[cfg(test)]
mod tests {
    use journeyman_event::Payload;

    use super::*;
    use crate::strategy::WholeFile;

    #[test]
    fn a_server_that_breaks_off_every_call_is_not_asked_for_ever() {
        for (broken_calls, ends) in [(BROKEN_CALLS_MAX - 1, false), (BROKEN_CALLS_MAX, true)] {
            let state = TaskState {
                broken_calls,
                model_problem: Some("its words".to_owned()),
                ..TaskState::default()
            };
            let now = Now {
                active: SignedDuration::ZERO,
                has_model_slot: false,
            };
            let step = decide(&state, &WholeFile, now);
            let failed = match step {
                Step::Record(facts) => facts.into_iter().find_map(|fact| match fact.payload {
                    Payload::TaskFailed(failed) => Some(failed),
                    _ => None,
                }),
                _ => None,
            };
            assert_eq!(failed.is_some(), ends, "{broken_calls} calls");
            assert!(failed.is_none_or(|failed| {
                failed.reason == FailureReason::Model && failed.detail.contains("its words")
            }));
        }
    }
}
