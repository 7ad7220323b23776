//! The state of a task, folded from its events. The types and queries are here, the fold in `evolve`.
//!
//! Nothing is decided here (that is `workflow`'s `decide`), and nothing is read from outside.

mod evolve;
mod rounds;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use evolve::FoldError;
pub use rounds::Rounds;

use crate::clock::VectorClock;
use crate::content::ContentHash;
use crate::ids::{EventId, ModuleName, Revision, Sequence};
use crate::ordering::CodeIdentity;
pub use crate::payload::Ending;
use crate::payload::{
    CodeOrigin, CodeUnderTest, FailureReason, Form, GivenTest, Limits, ModelCallStarted,
    ModuleComplete, OutputFile, OutputStarted, PauseReason, PlannedModule, PromptAnswered, Purpose,
    ReviewCompleted, SummaryCompleted, TaskStarted, TaskSubmitted, TestFailureKind, TestOrigin,
    TestResult, TestScope, TestStarted, ToolExecuting, ToolOutcome, ToolRequest, UnusedCode,
};
use crate::tokens::Tokens;

/// The status of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waiting in the queue, for the first time or again.
    #[default]
    Queued,
    /// Being worked on.
    Running,
    /// Paused; it can be resumed.
    Paused,
    /// Ended with a result.
    Complete,
    /// Ended without the result that was asked for.
    Failed,
    /// Cancelled by the user.
    Cancelled,
}

impl Status {
    /// The name as displayed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the task has ended, so that nothing more happens without the user.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Cancelled)
    }
}

/// An effect that has an intent but no outcome yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenEffect {
    /// The id of the event that recorded the intent.
    pub intent: EventId,
    /// The number of the attempt: 1 at first, and one more after each crash that interrupted it.
    pub attempt: u32,
    /// The module it is for, if it is for one.
    pub module: Option<ModuleName>,
    /// What the effect does.
    pub action: Action,
    /// The task's vector clock when the effect was started.
    #[serde(default)]
    pub clock: VectorClock,
    /// Whether the user has edited the module's code since the effect started. A model's answer is then about
    /// other code and is discarded.
    #[serde(default)]
    pub overtaken: bool,
    /// Whether the model server aborted another call while this one was running. If it then aborts this call
    /// too, that is not counted as a further failure.
    #[serde(default)]
    pub excused: bool,
}

/// What an effect does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Call the model.
    CallModel(ModelCallStarted),
    /// Run these tests.
    RunTests(TestStarted),
    /// Analyse all modules for unused code.
    Analyse,
    /// Write the result.
    WriteOutput(OutputStarted),
    /// Call a tool for an agent.
    CallTool(ToolExecuting),
}

/// A finished tool call of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The call that was asked for.
    pub request: ToolRequest,
    /// How the call ended.
    pub outcome: ToolOutcome,
    /// The tool's answer, or the reason for a failure or refusal.
    pub text: String,
}

/// An active agent: a role working on one thing, until its answer is used or rejected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// The agent's id within the task.
    pub id: String,
    /// The role it acts in.
    pub role: String,
    /// What it is to do.
    pub purpose: Purpose,
    /// The module it works on; `None` for the task as a whole.
    pub module: Option<ModuleName>,
    /// The tools it may call.
    pub tools: Vec<String>,
    /// The number of steps so far in which it asked for tool calls.
    pub steps: u32,
    /// Tool calls that it asked for and that were not made yet.
    pub wanted: Vec<ToolRequest>,
    /// Its finished tool calls.
    pub calls: Vec<ToolCall>,
    /// Whether it still waits for the model's answer.
    pub awaits_model: bool,
}

/// A model's answer that was not used yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingAnswer {
    /// The id of the event that contains it.
    pub event: EventId,
    /// What the answer is for.
    pub purpose: Purpose,
    /// How code was asked for.
    #[serde(skip_serializing_if = "Form::is_default", default)]
    pub form: Form,
    /// The module it is for.
    pub module: Option<ModuleName>,
    /// The complete answer.
    pub text: String,
    /// Whether the answer ended at the token limit.
    pub cut_short: bool,
    /// The text the model kept repeating, if the answer was stopped for that.
    #[serde(default)]
    pub repeated: Option<String>,
}

/// The model's unusable answers since its last usable one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// How many there were in a row.
    pub count: u32,
    /// Why the last one could not be used, worded for the model.
    pub last: Option<String>,
}

/// The summary of a module or a task, and the failures to get one from the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summarised {
    /// The summary, once it was made.
    pub summary: Option<SummaryCompleted>,
    /// The calls that gave no usable summary.
    pub refusals: Refusals,
}

impl Summarised {
    fn refuse(&mut self, problem: &str) {
        self.refusals.count += 1;
        self.refusals.last = Some(problem.to_owned());
    }
}

/// A question of the planner, and the user's reaction to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The question's id within the task.
    pub id: String,
    /// The wording of the question.
    pub text: String,
    /// The user's answer.
    pub answer: Option<String>,
    /// Whether the user told the task to continue without an answer.
    pub waived: bool,
}

impl Question {
    /// Whether the task is waiting for an answer.
    pub fn is_open(&self) -> bool {
        self.answer.is_none() && !self.waived
    }
}

/// One version of a module's code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodeVersion {
    /// The version number, from 1.
    pub version: u64,
    /// The hash of the source.
    pub hash: ContentHash,
    /// The complete file.
    pub source: String,
    /// How this version was made.
    pub origin: CodeOrigin,
    /// The clock of the event that created it.
    pub clock: VectorClock,
}

/// A finished test run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestRun {
    /// What the run covered.
    pub scope: TestScope,
    /// Where the tests come from.
    pub origin: TestOrigin,
    /// The names of the test files.
    pub files: Vec<String>,
    /// The code that was tested.
    pub code: Vec<CodeUnderTest>,
    /// The number of times the generated tests had been written by then; 0 for given tests.
    pub tests_version: usize,
    /// The hash of everything besides the code that the result depends on. `None` if an older version recorded
    /// the run.
    #[serde(default)]
    pub basis: Option<ContentHash>,
    /// Why the run failed; `None` if every test passed.
    pub failure: Option<TestFailureKind>,
    /// The results of the tests.
    pub tests: Vec<TestResult>,
    /// Tests of a passed run that say nothing about the code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// Tests of a passed run that were skipped or expected to fail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// Whether given tests cannot be loaded because of an error in the tests themselves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broken_tests: bool,
    /// The end of the test runner's output.
    pub output: String,
    /// The task's vector clock when the run started. The run says nothing about code made later.
    pub clock: VectorClock,
    /// The id of the event that recorded the outcome.
    #[serde(default)]
    pub outcome: Option<EventId>,
    /// The position of that event; `None` in a snapshot of an older version.
    #[serde(default)]
    pub sequence: Option<Sequence>,
}

impl TestRun {
    /// The number of tests that passed.
    pub fn passed(&self) -> usize {
        self.tests.iter().filter(|test| test.passed).count()
    }

    /// The version of `module` that was tested.
    pub fn version_of(&self, module: &ModuleName) -> Option<u64> {
        self.code_of(module).map(|code| code.version)
    }

    /// The code of `module` that was tested.
    pub fn code_of(&self, module: &ModuleName) -> Option<&CodeUnderTest> {
        self.code.iter().find(|code| &code.module == module)
    }
}

/// A test failure that a correction starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bug {
    /// The version of the code that failed.
    pub version: u64,
    /// A summary of the failures.
    pub summary: String,
    /// Whether a given test fails.
    pub given: bool,
}

/// The state of one module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleState {
    /// The module's entry in the plan.
    pub plan: PlannedModule,
    /// Whether work on it has started.
    pub started: bool,
    /// The number of iterations so far.
    pub iteration: u32,
    /// The state kept for the whole-file strategy.
    pub rounds: Rounds,
    /// All versions of its code, oldest first.
    pub versions: Vec<CodeVersion>,
    /// The generated tests, one entry for each time they were written.
    pub generated_tests: Vec<String>,
    /// The runs of this module's own tests.
    pub runs: Vec<TestRun>,
    /// The failure that is being corrected.
    pub bug: Option<Bug>,
    /// Rejected answers about this module.
    pub refusals: Refusals,
    /// Tokens spent on this module.
    pub spent: Tokens,
    /// How it was completed; `None` while it is not.
    pub completion: Option<ModuleComplete>,
    /// Whether the user asked for no more work on it.
    #[serde(default)]
    pub skipped: bool,
    /// The summary of its current code.
    #[serde(default)]
    pub summarised: Summarised,
}

impl ModuleState {
    /// The initial state of a planned module.
    pub fn new(plan: PlannedModule) -> Self {
        Self {
            plan,
            started: false,
            iteration: 0,
            rounds: Rounds::default(),
            versions: Vec::new(),
            generated_tests: Vec::new(),
            runs: Vec::new(),
            bug: None,
            refusals: Refusals::default(),
            spent: Tokens::ZERO,
            completion: None,
            skipped: false,
            summarised: Summarised::default(),
        }
    }

    /// Whether no more work is needed on the module by itself.
    pub fn is_settled(&self) -> bool {
        self.skipped || self.completion.is_some()
    }

    /// The current code.
    pub fn code(&self) -> Option<&CodeVersion> {
        self.versions.last()
    }

    /// The current generated tests. `None` if none were written yet, or if they were discarded because they
    /// could not be run.
    pub fn tests(&self) -> Option<&str> {
        let last = self.generated_tests.last().map(String::as_str);
        last.filter(|source| !source.is_empty())
    }

    /// The current version number, 0 before there is code.
    pub fn version(&self) -> u64 {
        self.code().map_or(0, |code| code.version)
    }

    /// The identity of the current code, for comparison with reports.
    pub fn code_identity(&self) -> Option<CodeIdentity> {
        self.code().map(|code| CodeIdentity {
            version: code.version,
            clock: code.clock.clone(),
            hash: Some(code.hash),
        })
    }

    /// The current code as recorded in test runs.
    pub fn under_test(&self) -> Option<CodeUnderTest> {
        self.code().map(|code| CodeUnderTest {
            module: self.plan.name.clone(),
            version: code.version,
            hash: code.hash,
        })
    }

    /// Whether any run tested exactly the current code.
    pub fn was_tested(&self) -> bool {
        let now = self.code().map(|code| code.hash);
        let tested = |run: &TestRun| run.code_of(&self.plan.name).map(|code| code.hash);
        self.runs.iter().any(|run| tested(run) == now)
    }

    /// The latest run of this module's current tests on its current code.
    pub fn current_run(&self) -> Option<&TestRun> {
        self.runs.last().filter(|run| {
            let tested = run.code_of(&self.plan.name);
            tested.is_some()
                && tested == self.under_test().as_ref()
                && (run.origin != TestOrigin::Generated
                    || run.tests_version == self.generated_tests.len())
        })
    }
}

/// Counts of events that the fold ignored or found suspicious.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedEvents {
    /// Events of a kind that this version does not know.
    pub unknown: u64,
    /// Events of a known kind whose data could not be parsed, or was erased.
    pub unreadable: u64,
    /// Reports about code that is no longer current.
    pub stale: u64,
    /// Outcomes without an intent and corrections without a start. They are applied, but suspicious.
    pub flagged: u64,
}

/// The state of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    /// What the user submitted.
    pub submission: Option<TaskSubmitted>,
    /// When it was submitted.
    pub submitted_at: Option<Timestamp>,
    /// The task's status.
    pub status: Status,
    /// Why it is paused, if it is.
    pub pause: Option<PauseReason>,
    /// The current limits.
    pub limits: Limits,
    /// What was recorded when work on it last started, with the model that answers now.
    pub started: Option<TaskStarted>,
    /// Whether a plan was accepted.
    pub planned: bool,
    /// The planner's questions.
    #[serde(default)]
    pub questions: Vec<Question>,
    /// The model's answer, if the prompt is a plain question.
    #[serde(default)]
    pub reply: Option<PromptAnswered>,
    /// What was repaired in the plan.
    pub plan_repairs: Vec<String>,
    /// Why the last plan was rejected; `None` once a plan is accepted.
    pub plan_problem: Option<String>,
    /// The modules, in dependency order.
    pub modules: Vec<ModuleState>,
    /// Tokens spent so far.
    pub spent: Tokens,
    /// Tokens generated so far; `generating_ms` is the time that took.
    pub generated: Tokens,
    /// Milliseconds spent generating tokens.
    pub generating_ms: u64,
    /// The effects in progress, in the order they were started.
    pub effects: Vec<OpenEffect>,
    /// The agents at work: at most one per module, or one for the task as a whole.
    #[serde(rename = "crew")]
    pub active_agents: Vec<Agent>,
    /// The number of agents started so far.
    pub agents: u64,
    /// Whether the look-up step before planning was done.
    pub looked_up: bool,
    /// The tool calls of the look-up step; all later agents see their results.
    pub lookups: Vec<ToolCall>,
    /// Answers not used yet, in the order they arrived.
    pub answers: Vec<PendingAnswer>,
    /// How many times in a row the model server aborted a call. Several aborted at the same time count as one.
    pub broken_calls: u32,
    /// The model that the server of the task's own model says it used in the last call, where it calls it otherwise
    /// than it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_model: Option<String>,
    /// What the model server said when the task last paused because of it; `None` after a successful call.
    #[serde(default, rename = "trouble")]
    pub model_problem: Option<String>,
    /// Rejected answers about the task as a whole.
    pub refusals: Refusals,
    /// The latest run of all modules together.
    pub integration: Option<TestRun>,
    /// The unused code found by the analysis, once it ran.
    pub unused: Option<Vec<UnusedCode>>,
    /// The model's review of the finished code, once it was made.
    pub review: Option<ReviewCompleted>,
    /// The summary of the finished task.
    #[serde(default)]
    pub summarised: Summarised,
    /// The files written to the output folder.
    pub output: Option<Vec<OutputFile>>,
    /// Why the result could not be written.
    pub output_problem: Option<String>,
    /// Why the task cannot continue under the current limits.
    pub obstacle: Option<(FailureReason, String)>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// The position of the event that ended it; `None` if it has continued since.
    #[serde(default)]
    pub ended_at: Option<Sequence>,
    /// Instructions the user gave while it ran.
    pub instructions: Vec<String>,
    /// Working time up to `active_since`.
    pub active: SignedDuration,
    /// The time since which it is being worked on; `None` while it is not.
    pub active_since: Option<Timestamp>,
    /// The time of the last event.
    pub last_at: Option<Timestamp>,
    /// The time of the last event since `active_since` that was not written by the user, which proves that work
    /// was still going on then.
    #[serde(default)]
    pub worked_at: Option<Timestamp>,
    /// The position of the last event in the store.
    pub sequence: Sequence,
    /// The position of the last event in the stream.
    pub revision: Revision,
    /// The id of the last event.
    pub last_event: Option<EventId>,
    /// The merged vector clocks of all events of the task.
    pub clock: VectorClock,
    /// Counts of events that were ignored or suspicious.
    pub uncounted: SkippedEvents,
    /// Whether the user exempted the task from retention.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
}

/// The version of the fold. Stored states of another version are not used, because this version might fold the
/// same events differently. It must be raised with every change that alters the result for any history;
/// `tests/golden.rs` compares a recorded history.
pub const FOLD_VERSION: u32 = 5;

impl TaskState {
    /// Whether the task failed for a reason outside of it that may have passed since, so that another try is worthwhile:
    /// its model server, or a spending budget.
    pub fn may_be_tried_again(&self) -> bool {
        matches!(
            &self.ending,
            Some(Ending::Failed {
                reason: FailureReason::Model | FailureReason::Spending,
                ..
            })
        )
    }

    /// The module with the given name.
    pub fn module(&self, name: &ModuleName) -> Option<&ModuleState> {
        self.modules.iter().find(|module| &module.plan.name == name)
    }

    /// The effect in progress with the given intent.
    pub fn effect(&self, intent: EventId) -> Option<&OpenEffect> {
        self.effects.iter().find(|effect| effect.intent == intent)
    }

    /// The agent working on the given module, or on the task as a whole if `None`.
    pub fn agent(&self, module: Option<&ModuleName>) -> Option<&Agent> {
        let mut agents = self.active_agents.iter();
        agents.find(|agent| agent.module.as_ref() == module)
    }

    /// Rejected answers about `module`, or about the task as a whole if `None`.
    pub fn refusals(&self, module: Option<&ModuleName>) -> &Refusals {
        let module = module.and_then(|name| self.module(name));
        module.map_or(&self.refusals, |module| &module.refusals)
    }

    /// The questions the task is waiting for.
    pub fn open_questions(&self) -> impl Iterator<Item = &Question> {
        self.questions.iter().filter(|question| question.is_open())
    }

    /// The user's prompt; empty before the task was submitted.
    pub fn prompt(&self) -> &str {
        let asked = self.submission.as_ref();
        asked.map_or("", |asked| asked.prompt.as_str())
    }

    /// The tests given by the user.
    pub fn given_tests(&self) -> &[GivenTest] {
        self.submission
            .as_ref()
            .map_or(&[], |submission| &submission.tests)
    }

    /// The most tokens the task may use.
    pub fn token_budget(&self) -> Tokens {
        self.limits.token_budget(self.modules.len())
    }

    /// The part of the token budget that is not spent.
    pub fn token_budget_left(&self) -> Tokens {
        self.token_budget() - self.spent
    }

    /// The part of the token budget that is neither spent nor reserved for calls in progress, and so is
    /// available to another call.
    pub fn token_budget_free(&self) -> Tokens {
        let calls = self
            .effects
            .iter()
            .filter_map(|effect| match &effect.action {
                Action::CallModel(call) => Some(call.prompt_tokens + call.max_tokens),
                _ => None,
            });
        calls.fold(self.token_budget_left(), |left, most| left - most)
    }

    /// Working time up to `now`, which must be read from the same clock as the times of the events.
    pub fn active_until(&self, now: Timestamp) -> SignedDuration {
        let running = self.active_since.map_or(SignedDuration::ZERO, |since| {
            now.duration_since(since).max(SignedDuration::ZERO)
        });
        self.active.saturating_add(running)
    }

    /// Working time up to the last event that proves work. Used for running tasks and for tasks whose worker
    /// crashed.
    pub fn worked(&self) -> SignedDuration {
        let last = self.worked_at.map(|last| self.active_until(last));
        last.unwrap_or(self.active)
    }

    /// Whether there is a result to write: code, or the answer to a question.
    pub fn has_result(&self) -> bool {
        self.reply.is_some() || self.modules.iter().any(|module| module.code().is_some())
    }

    /// Whether every module is complete or skipped.
    pub fn modules_complete(&self) -> bool {
        self.planned && self.modules.iter().all(ModuleState::is_settled)
    }

    /// The latest integration run, if it was made with the current code, tests and prompt.
    pub fn current_integration(&self) -> Option<&TestRun> {
        self.integration.as_ref().filter(|run| {
            let code = self.modules.iter().filter_map(ModuleState::under_test);
            let same_basis = |basis| basis == self.basis(None);
            code.eq(run.code.iter().cloned()) && run.basis.is_none_or(same_basis)
        })
    }

    /// The hash of everything besides the code that a test run depends on: the prompt, the given tests, and the
    /// generated tests of `module`, or of all modules if `None`. A run recorded with another hash is out of
    /// date.
    pub fn basis(&self, module: Option<&ModuleName>) -> ContentHash {
        let asked = self.submission.as_ref();
        let prompt = asked.map(|asked| asked.prompt.as_str());
        let meant = self
            .modules
            .iter()
            .filter(|other| module.is_none_or(|name| *name == other.plan.name));
        let generated: Vec<_> = meant
            .filter_map(|other| Some((&other.plan.name, other.generated_tests.last()?)))
            .collect();
        let all = serde_json::to_vec(&(prompt, self.given_tests(), generated));
        ContentHash::of(&all.unwrap_or_default())
    }

    /// Whether the given tests were run on the whole program in its current state.
    fn ran_given_tests(&self) -> bool {
        let run = self.current_integration();
        let counts = |run: &TestRun| {
            run.origin != TestOrigin::Generated
                && run.passed() > 0
                && matches!(run.failure, None | Some(TestFailureKind::Failed))
        };
        !self.given_tests().is_empty() && run.is_some_and(counts)
    }
}
