//! What is known of a task: the fold of its events. Shapes and questions here, the fold in `evolve`.
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
    CodeOrigin, CodeUnderTest, FailureReason, GivenTest, Limits, ModelCallStarted, ModuleComplete,
    OutputFile, OutputStarted, PauseReason, PlannedModule, PromptAnswered, Purpose,
    ReviewCompleted, TaskStarted, TaskSubmitted, TestFailureKind, TestOrigin, TestResult,
    TestScope, TestStarted, ToolExecuting, ToolOutcome, ToolRequest, UnusedCode,
};
use crate::tokens::Tokens;

/// Where a task stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Submitted, or waiting for its turn again.
    #[default]
    Queued,
    /// Being worked on.
    Running,
    /// Resting; it can be resumed.
    Paused,
    /// Ended with a result.
    Complete,
    /// Ended without what was asked for.
    Failed,
    /// Ended by the user.
    Cancelled,
}

impl Status {
    /// The name as shown.
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

    /// Whether nothing more will happen by itself.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Cancelled)
    }
}

/// An effect whose intent is recorded and whose outcome is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenEffect {
    /// The intent.
    pub intent: EventId,
    /// 1 at first; one more for each crash that cut it off.
    pub attempt: u32,
    /// The module it is for.
    pub module: Option<ModuleName>,
    /// What is to be done.
    pub action: Action,
    /// What was known when it was begun.
    #[serde(default)]
    pub clock: VectorClock,
    /// Whether the user wrote the module's code meanwhile: a model's answer is about another one.
    #[serde(default)]
    pub overtaken: bool,
    /// Whether the model server broke off another call while this one was under way: where it breaks off
    /// this one as well, that is no further sign of anything.
    #[serde(default)]
    pub excused: bool,
}

/// What an effect does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Call the model.
    CallModel(ModelCallStarted),
    /// Run tests.
    RunTests(TestStarted),
    /// Analyse the whole for unused code.
    Analyse,
    /// Write the result out.
    WriteOutput(OutputStarted),
    /// Call a tool for an agent.
    CallTool(ToolExecuting),
}

/// A tool call of an agent's that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// What was wanted.
    pub request: ToolRequest,
    /// How it ended.
    pub outcome: ToolOutcome,
    /// What the tool answered, or why it did not.
    pub text: String,
}

/// An agent at work: a role on one thing, until its answer was used or refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Its name within the task.
    pub id: String,
    /// Its role.
    pub role: String,
    /// What it is to do.
    pub purpose: Purpose,
    /// For which module.
    pub module: Option<ModuleName>,
    /// The tools that it may call.
    pub tools: Vec<String>,
    /// Steps so far in which it called tools.
    pub steps: u32,
    /// Calls that it wants and that were not made yet.
    pub wanted: Vec<ToolRequest>,
    /// Calls that were made, and what came of each.
    pub calls: Vec<ToolCall>,
    /// Whether the model is still to answer it.
    pub awaits_model: bool,
}

/// A model's answer that nothing was made of yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingAnswer {
    /// The event that carries it.
    pub event: EventId,
    /// What it is to be.
    pub purpose: Purpose,
    /// The module it is for.
    pub module: Option<ModuleName>,
    /// The whole answer.
    pub text: String,
    /// Whether it was cut at the token limit.
    pub cut_short: bool,
    /// What was said again and again, where that is why it was cut.
    #[serde(default)]
    pub repeated: Option<String>,
}

/// Answers of the model's that were of no use, since the last one that was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// How many, in a row.
    pub count: u32,
    /// Why the last of them could not be used, in words for the model.
    pub last: Option<String>,
}

/// A question of the planner's, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its name within the task.
    pub id: String,
    /// The question.
    pub text: String,
    /// What the user answered.
    pub answer: Option<String>,
    /// Whether the user let the task go on without an answer.
    pub waived: bool,
}

impl Question {
    /// Whether the task waits for its answer.
    pub fn is_open(&self) -> bool {
        self.answer.is_none() && !self.waived
    }
}

/// A version of a module's code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CodeVersion {
    /// 1, 2, 3 ...
    pub version: u64,
    /// The hash of its bytes.
    pub hash: ContentHash,
    /// The bytes.
    pub source: String,
    /// How it came to be.
    pub origin: CodeOrigin,
    /// The clock of the event that made it.
    pub clock: VectorClock,
}

/// A run of tests that reached its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestRun {
    /// What was covered.
    pub scope: TestScope,
    /// Where the tests come from.
    pub origin: TestOrigin,
    /// The test files.
    pub files: Vec<String>,
    /// The code that was tested.
    pub code: Vec<CodeUnderTest>,
    /// How many times the generated tests had been written: 0 for given tests.
    pub tests_version: usize,
    /// The hash of what it is about besides the code; none of a run that an older version recorded.
    #[serde(default)]
    pub basis: Option<ContentHash>,
    /// None if every test passed.
    pub failure: Option<TestFailureKind>,
    /// Each test.
    pub tests: Vec<TestResult>,
    /// Tests of a run that passed which say nothing of the code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// Tests of a run that passed which were skipped or were expected to fail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// Whether given tests cannot be loaded by a fault of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broken_tests: bool,
    /// The end of what was printed.
    pub output: String,
    /// What was known when it was begun: it tells nothing of code that was made later.
    pub clock: VectorClock,
    /// The event that carries the outcome.
    #[serde(default)]
    pub outcome: Option<EventId>,
}

impl TestRun {
    /// Tests that passed.
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

/// What a correction starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bug {
    /// The version it is about.
    pub version: u64,
    /// What fails.
    pub summary: String,
    /// Whether a ruling test fails.
    pub given: bool,
}

/// What is known of one module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleState {
    /// As planned.
    pub plan: PlannedModule,
    /// Whether work on it began.
    pub started: bool,
    /// Rounds so far.
    pub iteration: u32,
    /// What the strategy of whole files knows of it.
    pub rounds: Rounds,
    /// Every version of its code.
    pub versions: Vec<CodeVersion>,
    /// Every writing of its generated tests.
    pub generated_tests: Vec<String>,
    /// Every run of its tests alone.
    pub runs: Vec<TestRun>,
    /// The bug that is being worked on.
    pub bug: Option<Bug>,
    /// Answers about it that could not be used.
    pub refusals: Refusals,
    /// Tokens spent on it.
    pub spent: Tokens,
    /// How it ended, once it is done.
    pub completion: Option<ModuleComplete>,
    /// Whether the user wants no more work on it.
    #[serde(default)]
    pub skipped: bool,
}

impl ModuleState {
    /// A module of which no more than its plan is known.
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
        }
    }

    /// Whether there is nothing more to do for it alone.
    pub fn is_settled(&self) -> bool {
        self.skipped || self.completion.is_some()
    }

    /// The current code.
    pub fn code(&self) -> Option<&CodeVersion> {
        self.versions.last()
    }

    /// The generated tests as they now are; none before there are any, and none once they were
    /// dropped because they could not be run.
    pub fn tests(&self) -> Option<&str> {
        let last = self.generated_tests.last().map(String::as_str);
        last.filter(|source| !source.is_empty())
    }

    /// The current code's version, 0 before there is code.
    pub fn version(&self) -> u64 {
        self.code().map_or(0, |code| code.version)
    }

    /// What a report must be about to be about the current code.
    pub fn code_identity(&self) -> Option<CodeIdentity> {
        self.code().map(|code| CodeIdentity {
            version: code.version,
            clock: code.clock.clone(),
            hash: Some(code.hash),
        })
    }

    /// The current code, as a run of tests names it.
    pub fn under_test(&self) -> Option<CodeUnderTest> {
        self.code().map(|code| CodeUnderTest {
            module: self.plan.name.clone(),
            version: code.version,
            hash: code.hash,
        })
    }

    /// Whether a run was made with the bytes that are the current code.
    pub fn was_tested(&self) -> bool {
        let now = self.code().map(|code| code.hash);
        let tested = |run: &TestRun| run.code_of(&self.plan.name).map(|code| code.hash);
        self.runs.iter().any(|run| tested(run) == now)
    }

    /// The latest run of this module's tests as they now are on its current code.
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

/// Events that did not count, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedEvents {
    /// Of a kind that this version does not know.
    pub unknown: u64,
    /// Of a known kind with data that does not fit.
    pub unreadable: u64,
    /// About code that is not the current one.
    pub stale: u64,
    /// Outcomes without an intent, corrections without a start: kept, but suspicious.
    pub flagged: u64,
}

/// The state of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    /// What was asked.
    pub submission: Option<TaskSubmitted>,
    /// When.
    pub submitted_at: Option<Timestamp>,
    /// Where it stands.
    pub status: Status,
    /// Why it rests, if it does.
    pub pause: Option<PauseReason>,
    /// What it may spend now.
    pub limits: Limits,
    /// What it was started with, last.
    pub started: Option<TaskStarted>,
    /// Whether a plan was accepted.
    pub planned: bool,
    /// What the planner asked.
    #[serde(default)]
    pub questions: Vec<Question>,
    /// The model's answer to a prompt that is a plain question.
    #[serde(default)]
    pub reply: Option<PromptAnswered>,
    /// What was repaired in the plan.
    pub plan_repairs: Vec<String>,
    /// Why the last plan was refused, until one is accepted.
    pub plan_problem: Option<String>,
    /// The modules, in dependency order.
    pub modules: Vec<ModuleState>,
    /// Tokens spent.
    pub spent: Tokens,
    /// Tokens generated, and the time that took.
    pub generated: Tokens,
    /// Milliseconds in which tokens were generated.
    pub generating_ms: u64,
    /// The effects under way, in the order in which they were begun.
    pub effects: Vec<OpenEffect>,
    /// The agents at work: one for each module that somebody is at, or one for the task as a whole.
    #[serde(rename = "crew")]
    pub active_agents: Vec<Agent>,
    /// Agents that were ever at work.
    pub agents: u64,
    /// Whether it was asked what has to be looked up.
    pub looked_up: bool,
    /// What was looked up, for all agents to come.
    pub lookups: Vec<ToolCall>,
    /// The answers nothing was made of yet, in the order in which they came.
    pub answers: Vec<PendingAnswer>,
    /// Times in a row that the model server broke off a call, or several at once.
    pub broken_calls: u32,
    /// What it said when the task last rested because of it; none once it answered.
    #[serde(default, rename = "trouble")]
    pub model_problem: Option<String>,
    /// Answers about the task as a whole that could not be used.
    pub refusals: Refusals,
    /// The latest run of everything together.
    pub integration: Option<TestRun>,
    /// What nothing refers to, once analysed.
    pub unused: Option<Vec<UnusedCode>>,
    /// What the model found in the finished code, once it was asked.
    pub review: Option<ReviewCompleted>,
    /// The files written out.
    pub output: Option<Vec<OutputFile>>,
    /// Why they could not be.
    pub output_problem: Option<String>,
    /// What makes going on impossible under the present limits.
    pub obstacle: Option<(FailureReason, String)>,
    /// How it ended.
    pub ending: Option<Ending>,
    /// The position of the event that ended it, unless it has gone on since.
    #[serde(default)]
    pub ended_at: Option<Sequence>,
    /// What the user said while it ran.
    pub instructions: Vec<String>,
    /// Time spent working up to `active_since`.
    pub active: SignedDuration,
    /// Since when it is being worked on.
    pub active_since: Option<Timestamp>,
    /// The time of the last event.
    pub last_at: Option<Timestamp>,
    /// The time up to which it is known to have been worked on since `active_since`: that of the last
    /// event which its user did not write.
    #[serde(default)]
    pub worked_at: Option<Timestamp>,
    /// The position of the last event in the store.
    pub sequence: Sequence,
    /// Its position in the stream.
    pub revision: Revision,
    /// Its name.
    pub last_event: Option<EventId>,
    /// Everything that any event of the task knew.
    pub clock: VectorClock,
    /// Events that did not count.
    pub uncounted: SkippedEvents,
}

/// The version of the rules by which states are folded: a state that was kept under another version is not
/// what this one would make of the same events. It is raised with every change after which a history gives
/// another state; `tests/golden.rs` compares one that was recorded.
pub const FOLD_VERSION: u32 = 2;

impl TaskState {
    /// Whether it ended by its model server's fault, so that another try is worth it.
    pub fn failed_by_model(&self) -> bool {
        let reason = FailureReason::Model;
        matches!(&self.ending, Some(Ending::Failed { reason: failed, .. }) if *failed == reason)
    }

    /// The module of this name.
    pub fn module(&self, name: &ModuleName) -> Option<&ModuleState> {
        self.modules.iter().find(|module| &module.plan.name == name)
    }

    /// The effect with this intent, if it is under way.
    pub fn effect(&self, intent: EventId) -> Option<&OpenEffect> {
        self.effects.iter().find(|effect| effect.intent == intent)
    }

    /// The agent at work on this module, or on the task as a whole.
    pub fn agent(&self, module: Option<&ModuleName>) -> Option<&Agent> {
        let mut agents = self.active_agents.iter();
        agents.find(|agent| agent.module.as_ref() == module)
    }

    /// Answers about this module, or about the task as a whole, that could not be used.
    pub fn refusals(&self, module: Option<&ModuleName>) -> &Refusals {
        let module = module.and_then(|name| self.module(name));
        module.map_or(&self.refusals, |module| &module.refusals)
    }

    /// The questions that the task waits for.
    pub fn open_questions(&self) -> impl Iterator<Item = &Question> {
        self.questions.iter().filter(|question| question.is_open())
    }

    /// What was asked, in the user's words; empty before it was.
    pub fn prompt(&self) -> &str {
        let asked = self.submission.as_ref();
        asked.map_or("", |asked| asked.prompt.as_str())
    }

    /// The given tests.
    pub fn given_tests(&self) -> &[GivenTest] {
        self.submission
            .as_ref()
            .map_or(&[], |submission| &submission.tests)
    }

    /// The token budget.
    pub fn token_budget(&self) -> Tokens {
        self.limits.token_budget(self.modules.len())
    }

    /// What is left of it.
    pub fn token_budget_left(&self) -> Tokens {
        self.token_budget() - self.spent
    }

    /// What of that the calls under way may not take: another call may.
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

    /// Time spent working, up to `now`, by the clock that its events have their times from.
    pub fn active_until(&self, now: Timestamp) -> SignedDuration {
        let running = self.active_since.map_or(SignedDuration::ZERO, |since| {
            now.duration_since(since).max(SignedDuration::ZERO)
        });
        self.active.saturating_add(running)
    }

    /// The time spent on it up to the last event of that work: what is known of a task that is being worked on, or
    /// whose worker died.
    pub fn worked(&self) -> SignedDuration {
        let last = self.worked_at.map(|last| self.active_until(last));
        last.unwrap_or(self.active)
    }

    /// Whether there is something to write out: code, or the answer to a question.
    pub fn has_result(&self) -> bool {
        self.reply.is_some() || self.modules.iter().any(|module| module.code().is_some())
    }

    /// Whether every module is done.
    pub fn modules_complete(&self) -> bool {
        self.planned && self.modules.iter().all(ModuleState::is_settled)
    }

    /// The integration run, if it was made with the code, the tests and the prompt as they are now.
    pub fn current_integration(&self) -> Option<&TestRun> {
        self.integration.as_ref().filter(|run| {
            let code = self.modules.iter().filter_map(ModuleState::under_test);
            let same_basis = |basis| basis == self.basis(None);
            code.eq(run.code.iter().cloned()) && run.basis.is_none_or(same_basis)
        })
    }

    /// The hash of what a run of tests is about besides the code: the prompt, the given tests, and the
    /// generated tests of `module`, or of all modules for a run of everything together. With another one
    /// the run says nothing.
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

    /// Whether the given tests were run on everything as it is now.
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
