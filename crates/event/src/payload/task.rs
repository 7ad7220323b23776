//! Payloads about the task as a whole, and its plan.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{ModuleName, Sequence, TaskId};
use crate::priority::Priority;
use crate::tokens::Tokens;

/// A user asked for something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSubmitted {
    /// What is wanted, in the user's words.
    pub prompt: String,
    /// The programming language, `python` for now.
    pub language: String,
    /// Tests that rule: the user's files, and those made of the examples in the prompt.
    pub tests: Vec<GivenTest>,
    /// What the task may spend.
    pub limits: Limits,
    /// Where the result goes; none keeps it in the journal only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
    /// Which tasks it waits for, and which wait for it.
    pub priority: Priority,
    /// What the user answers beforehand to questions that may come up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// The tools that its agents may call, by name or pattern (`*`); none leaves it to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Whether the finished code is to be reviewed by the model.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub review: bool,
    /// Whether somebody is there to answer questions: then the planner may ask some.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ask: bool,
    /// Whether examples in the prompt are left alone: only files are then tests that rule.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_examples: bool,
    /// Tasks of the same owner that must have ended before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<TaskId>,
    /// The task whose past this one goes on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<Fork>,
}

impl TaskSubmitted {
    /// A Python task with no more than a prompt.
    pub fn of(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            language: "python".to_owned(),
            tests: Vec::new(),
            limits: Limits::default(),
            out: None,
            priority: Priority::default(),
            answers: Vec::new(),
            tools: None,
            review: false,
            ask: false,
            no_examples: false,
            depends_on: Vec::new(),
            fork: None,
        }
    }

    /// The same with another prompt, and the tests that stand in that one instead of those that stood
    /// in the old one.
    pub fn with_prompt(self, prompt: String, tests_in: impl Fn(&str) -> Vec<GivenTest>) -> Self {
        let mut tests = if self.no_examples {
            Vec::new()
        } else {
            tests_in(&prompt)
        };
        let files = self.tests.into_iter();
        tests.extend(files.filter(|test| test.origin == TestOrigin::File));
        Self {
            prompt,
            tests,
            ..self
        }
    }
}

/// Where a task was forked from another one. Of the events that it copied, each has its `origin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The other task.
    pub task_id: TaskId,
    /// The last position of its past that counts.
    pub sequence: Sequence,
}

/// A test that the user gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenTest {
    /// The file's name, without a folder.
    pub name: String,
    /// Where it came from.
    pub origin: TestOrigin,
    /// The file's text; for examples, the examples as they stood in the prompt.
    pub source: String,
}

/// Where a test comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestOrigin {
    /// Doctest-style examples in the prompt.
    Examples,
    /// `assert` lines in the prompt.
    Assertions,
    /// Test functions and other code of several lines in the prompt, as a file.
    Code,
    /// A file of the user's.
    File,
    /// Written by the model: it proves agreement, not correctness.
    Generated,
}

impl TestOrigin {
    /// Whether such a test is a file that has its own imports, and no list of examples.
    pub fn is_file(self) -> bool {
        matches!(self, Self::Code | Self::File)
    }
}

/// What a task may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Prompt and generated tokens together, for the whole task; none means 20,000 a planned module.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokens_max: Option<Tokens>,
    /// Code versions tried per module.
    pub iterations_max: NonZeroU32,
    /// Time spent working; pauses do not count.
    pub active_ms_max: u64,
}

impl Limits {
    /// The token budget of a module for tasks that set none of their own.
    pub const TOKENS_PER_MODULE: Tokens = Tokens(20_000);

    /// The token budget of a task with this many planned modules (none planned yet counts as one).
    pub fn token_budget(&self, modules: usize) -> Tokens {
        let modules = u64::try_from(modules.max(1)).unwrap_or(u64::MAX);
        self.tokens_max
            .unwrap_or(Tokens(Self::TOKENS_PER_MODULE.0.saturating_mul(modules)))
    }

    /// The time limit.
    pub fn active_max(&self) -> Duration {
        Duration::from_millis(self.active_ms_max)
    }
}

impl Default for Limits {
    /// 20,000 tokens a module, 5 iterations a module, 30 minutes.
    fn default() -> Self {
        const FIVE: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
        Self {
            tokens_max: None,
            iterations_max: FIVE,
            active_ms_max: 30 * 60 * 1_000,
        }
    }
}

/// Work began, with what the machine offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskStarted {
    /// The model's name.
    pub model: String,
    /// What kind of model server.
    pub server: String,
    /// The model's real window.
    pub window: Tokens,
    /// The sandbox level that was probed.
    pub sandbox: String,
    /// The tools by which something may be looked up before it is planned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// The strategy by which its modules are written, to the end; none of a task that an older version
    /// started, which had only the one of whole files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
}

/// Why a task rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The user asked for it; only the user resumes it.
    User,
    /// Ctrl-C or a signal.
    Interrupted,
    /// The model server does not answer.
    ModelUnreachable,
    /// The server shut down.
    Shutdown,
    /// The planner's questions are to be answered.
    Question,
    /// Descriptors, memory, processes or space are short; it goes on by itself.
    Shortage,
}

/// Work stopped for now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskPaused {
    /// Why.
    pub reason: PauseReason,
    /// What the model server said, where the task waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The system's clock was set, or the machine slept, while the task was worked on: what the times of its
/// events say beyond that was no work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockJumped {
    /// By how many milliseconds the clock was set forward; back where it is negative.
    pub by_ms: i64,
}

/// Work goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResumed {}

/// The user allowed more (or less): also what lets a task that failed at a limit go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitsChanged {
    /// The new limits.
    pub limits: Limits,
}

/// The user wants the result in another folder: also what lets a task go on that failed because it could
/// not be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutChanged {
    /// The new folder.
    pub out: String,
}

/// A task that rested waits for its turn again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskQueued {}

/// Something more urgent needs its place: it waits for its turn again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskPreempted {
    /// The task that runs instead.
    pub by: TaskId,
}

/// The prompt leaves something open that the code depends on: the task rests until the user has said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionsAsked {
    /// What is to be answered.
    pub questions: Vec<AskedQuestion>,
}

/// The prompt is a plain question, and this is the model's answer to it. Nothing of it was run or checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptAnswered {
    /// The answer, without characters that control a terminal.
    pub text: String,
    /// Whether it was cut at the token limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
}

/// One question of the planner's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedQuestion {
    /// Its name within the task: `q1`, `q2` ...
    pub id: String,
    /// The question.
    pub text: String,
}

/// The user answered a question, or said what they were not asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserAnswered {
    /// The question, by its name or its text, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// The answer.
    pub answer: String,
}

/// The user does not want more work on a module: it stays as it is, and is left out if there is no
/// code yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleSkipped {}

/// The user said something while the task ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserIntervention {
    /// The user's words.
    pub instruction: String,
}

/// The user ended the task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskCancelled {}

/// Why a task failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// No usable plan.
    Plan,
    /// A module's attempts are spent and it does not pass.
    Attempts,
    /// Given tests fail on the whole.
    GivenTests,
    /// The token budget is spent.
    Budget,
    /// The time is spent.
    Timeout,
    /// The model server refuses the task's calls.
    Model,
    /// The task and the output format do not fit the model's window.
    Window,
    /// An effect was cut off by crashes five times.
    Crashes,
    /// The result cannot be written where it was to go.
    Output,
    /// Working on it failed in a way that is not the task's own affair.
    Internal,
}

/// The task ended without what was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFailed {
    /// Why.
    pub reason: FailureReason,
    /// What happened, for a person.
    pub detail: String,
}

/// How a result was checked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Verification {
    /// The user's tests or examples ran and passed.
    GivenTests,
    /// Generated tests and candidates agreed.
    Agreement {
        /// 0 to 1: the share of generated tests that the code passes. Not calibrated.
        confidence: f64,
    },
    /// Not checked.
    None,
}

/// How a task ended, or is about to end once its result is written out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// With a result, and how that was checked.
    Complete(Verification),
    /// Without what was asked for.
    Failed {
        /// Why the result is not what was asked for.
        reason: FailureReason,
        /// What happened, in words for a person.
        detail: String,
    },
    /// By the wish of its user.
    Cancelled,
}

/// The task ended with a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskComplete {
    /// How it was checked.
    pub verification: Verification,
}

/// One module as planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedModule {
    /// Its name.
    pub name: ModuleName,
    /// What it is for.
    pub purpose: String,
    /// The functions and classes it must offer.
    pub functions: Vec<PlannedFunction>,
    /// Modules of the plan that it imports.
    pub depends_on: Vec<ModuleName>,
    /// The given tests (by name) that are run when it is written.
    pub given_tests: Vec<String>,
    /// Whether the prompt is itself the beginning of this module's file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub completes_prompt: bool,
}

/// One function or class that a module must offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFunction {
    /// Its signature, such as `def validate_email(address: str) -> bool`.
    pub signature: String,
    /// What it does.
    pub behaviour: String,
}

/// A plan was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanningComplete {
    /// The modules, each after those that it depends on.
    pub modules: Vec<PlannedModule>,
    /// What was repaired in the model's plan.
    pub repairs: Vec<String>,
}

/// A plan could not be used and is asked for again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanningRejected {
    /// What is wrong with it.
    pub problem: String,
}
