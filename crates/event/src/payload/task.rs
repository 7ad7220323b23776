//! Payloads about the task as a whole, and about its plan.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{ModuleName, Sequence, TaskId};
use crate::priority::Priority;
use crate::tokens::Tokens;
use crate::trace::TraceContext;

/// A user submitted a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // each is something that users ask for by itself
pub struct TaskSubmitted {
    /// What the user asks for, in their own words.
    pub prompt: String,
    /// The programming language; only `python` for now.
    pub language: String,
    /// The given tests: the user's test files, and tests made of the examples in the prompt.
    pub tests: Vec<GivenTest>,
    /// The limits on tokens, iterations and time.
    pub limits: Limits,
    /// The output folder. `None` keeps the result in the journal only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
    /// The priority in the queue.
    pub priority: Priority,
    /// The user's answers, given in advance, to questions that may arise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// The tools the task's agents may call, as names or `*` patterns. `None` uses the server's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Whether the model reviews the finished code.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub review: bool,
    /// Whether the model summarises finished modules for those after them, and the task at its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub summaries: bool,
    /// Whether someone is available to answer questions. If so, the planner may ask some.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ask: bool,
    /// Whether examples in the prompt are ignored, so that only test files count as given tests.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_examples: bool,
    /// Tasks of the same owner that must end before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<TaskId>,
    /// The task whose history this one continues, if it was forked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<Fork>,
    /// A webhook for this task, in addition to the server's webhooks for all tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<TaskWebhook>,
    /// The label of the project that the task is for. Budgets can limit what a project spends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The name of the key (in the token file) with which the task was submitted. Budgets can limit what a key spends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The trace that the task belongs to, if its client named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

impl TaskSubmitted {
    /// A Python task with a prompt and defaults for everything else.
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
            summaries: false,
            ask: false,
            no_examples: false,
            depends_on: Vec::new(),
            fork: None,
            webhook: None,
            project: None,
            key: None,
            trace: None,
        }
    }

    /// Whether this asks for the same as `other`. With which key and in which trace it was asked is no part of that: a
    /// client that repeats a request may begin another span for it.
    pub fn asks_the_same_as(&self, other: &Self) -> bool {
        let key = other.key.clone();
        let trace = other.trace.clone();
        let this = Self {
            key,
            trace,
            ..self.clone()
        };
        this == *other
    }

    /// The same task with another prompt. Tests made of the old prompt are replaced by those in the new one.
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

/// The user exempted the task from retention, or ended the exemption. The event may come at any time, also after the
/// task's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionChanged {
    /// Whether the task is exempt from retention from now on.
    pub keep: bool,
}

/// The webhook of one task. It is recorded, shown to the task's owner and exported with the submission, so it contains no
/// secrets, only references that are resolved when a message is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskWebhook {
    /// The URL, or a reference to it (`env:NAME`, `file:PATH`) when the URL contains a secret.
    pub url: String,
    /// The events to send, as kinds (`task_failed`) or kinds with a reason (`task_failed:budget`). Empty for the events
    /// that end the task.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// The reference to the signing secret. `None` sends messages without a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// The task that a task was forked from. Each copied event has an `origin` as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fork {
    /// The id of the original task.
    pub task_id: TaskId,
    /// The position of the last event of the original's history that is continued.
    pub sequence: Sequence,
}

/// A test given by the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenTest {
    /// The name of the file, without a folder.
    pub name: String,
    /// Where the test comes from.
    pub origin: TestOrigin,
    /// The text of the file; for examples, the examples as they stand in the prompt.
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
    /// Test functions or other multi-line code in the prompt, used as a file.
    Code,
    /// A file given by the user.
    File,
    /// Written by the model. Passing such a test shows agreement, not correctness.
    Generated,
}

impl TestOrigin {
    /// Whether the test is a file with its own imports, as opposed to a list of examples.
    pub fn is_file(self) -> bool {
        matches!(self, Self::Code | Self::File)
    }
}

/// The limits of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most tokens, prompt and generated together, for the whole task. `None` means 20,000 per planned
    /// module.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokens_max: Option<Tokens>,
    /// The most versions of code tried per module.
    pub iterations_max: NonZeroU32,
    /// The most working time in milliseconds; pauses do not count.
    pub active_ms_max: u64,
}

impl Limits {
    /// The tokens per module for tasks without a token limit of their own.
    pub const TOKENS_PER_MODULE: Tokens = Tokens(20_000);

    /// The token budget of a task with `modules` planned modules. Before the plan is made it is that of one
    /// module.
    pub fn token_budget(&self, modules: usize) -> Tokens {
        let modules = u64::try_from(modules.max(1)).unwrap_or(u64::MAX);
        self.tokens_max
            .unwrap_or(Tokens(Self::TOKENS_PER_MODULE.0.saturating_mul(modules)))
    }

    /// The most working time.
    pub fn active_max(&self) -> Duration {
        Duration::from_millis(self.active_ms_max)
    }
}

impl Default for Limits {
    /// 20,000 tokens per module, 5 iterations per module, 30 minutes.
    fn default() -> Self {
        const FIVE: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
        Self {
            tokens_max: None,
            iterations_max: FIVE,
            active_ms_max: 30 * 60 * 1_000,
        }
    }
}

/// Work on the task started. Records the environment it runs in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskStarted {
    /// The name of the model.
    pub model: String,
    /// The kind of model server.
    pub server: String,
    /// The size of the model's context window as probed, in tokens.
    pub window: Tokens,
    /// The sandbox level as probed.
    pub sandbox: String,
    /// The tools available for looking things up before planning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// The strategy that writes the modules. It does not change during the task. `None` for tasks started by
    /// older versions, which had only the whole-file strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
}

/// Why a task is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The user paused it. Only the user can resume it.
    User,
    /// Ctrl-C or a signal.
    Interrupted,
    /// The model server does not respond.
    ModelUnreachable,
    /// The server is shutting down.
    Shutdown,
    /// The planner asked questions that are not answered yet.
    Question,
    /// File descriptors, memory, processes or disk space ran short. The task resumes by itself.
    Shortage,
}

/// The task was paused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskPaused {
    /// Why it was paused.
    pub reason: PauseReason,
    /// What the model server said, if the task waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The system clock was set, or the machine slept, while the task was running. The difference does not count as
/// working time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockJumped {
    /// How far the clock moved forward, in milliseconds; negative if it moved back.
    pub by_ms: i64,
}

/// Work on the task continues.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResumed {}

/// The model calls from here on go to a model, a kind of server or a window other than those recorded last: the task is worked
/// on by a process with another model, or the model server was restarted differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelChanged {
    /// The name of the model.
    pub model: String,
    /// The kind of model server.
    pub server: String,
    /// The size of the model's context window as probed, in tokens.
    pub window: Tokens,
}

/// The user changed the limits. A task that failed because of a limit can then be resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitsChanged {
    /// The new limits.
    pub limits: Limits,
}

/// The user changed the output folder. A task that failed because its result could not be written can then be
/// resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutChanged {
    /// The path of the new folder.
    pub out: String,
}

/// A paused task was put back into the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskQueued {}

/// A more urgent task needs this one's slot, so this one was put back into the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskPreempted {
    /// The task that runs instead.
    pub by: TaskId,
}

/// The planner asked about something the prompt leaves open. The task pauses until the user answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionsAsked {
    /// What the planner wants to know.
    pub questions: Vec<AskedQuestion>,
}

/// The prompt was a plain question, and the model answered it. Nothing in the answer was run or checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptAnswered {
    /// The answer, with terminal control characters removed.
    pub text: String,
    /// Whether the answer ended at the token limit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
}

/// A question from the planner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedQuestion {
    /// The question's id within the task: `q1`, `q2` and so on.
    pub id: String,
    /// The wording of the question.
    pub text: String,
}

/// The user answered a question, or gave an answer that no question asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserAnswered {
    /// The id or text of the question, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// The user's words.
    pub answer: String,
}

/// The user wants no more work on a module. It stays as it is, or is left out of the result if it has no code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModuleSkipped {}

/// The user asked for the task to rest or to end, and meant the version that the task had before this event. Nothing of the
/// state follows from it: that the task rests or has ended is recorded when it does. Where a crash comes before that, the
/// request has come to nothing, and nobody was told that it was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequested {
    /// What was asked for.
    pub stop: RequestedStop,
}

/// What a user wants of a task that is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestedStop {
    /// It is to rest until the user resumes it.
    Pause,
    /// It is to end.
    Cancel,
}

/// The user gave an instruction while the task was running.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserIntervention {
    /// The user's words.
    pub instruction: String,
}

/// The user cancelled the task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskCancelled {}

/// Why a task failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The model gave no usable plan.
    Plan,
    /// A module still fails its tests after the last attempt.
    Attempts,
    /// The given tests fail on the finished program.
    GivenTests,
    /// The token budget is used up.
    Budget,
    /// A spending budget refused a model call.
    Spending,
    /// The time limit is used up.
    Timeout,
    /// The model server refuses the task's calls.
    Model,
    /// The task and the output format do not fit into the model's context window.
    Window,
    /// Crashes interrupted the same effect five times.
    Crashes,
    /// The result could not be written to the output folder.
    Output,
    /// An internal error that the task did not cause.
    Internal,
}

/// The task failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFailed {
    /// Why it failed.
    pub reason: FailureReason,
    /// An explanation for a person.
    pub detail: String,
}

/// How a result was verified.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Verification {
    /// The user's tests or examples ran and passed.
    GivenTests,
    /// Generated tests and candidate solutions agree.
    Agreement {
        /// The share of generated tests that the code passes, 0 to 1. Not calibrated.
        confidence: f64,
    },
    /// The result was not verified.
    None,
}

/// How a task ended, or will end as soon as its result is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// With a result that was verified as stated.
    Complete(Verification),
    /// Without the result that was asked for.
    Failed {
        /// Why it failed.
        reason: FailureReason,
        /// An explanation for a person.
        detail: String,
    },
    /// Cancelled by the user.
    Cancelled,
}

/// The task ended with a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskComplete {
    /// How the result was verified.
    pub verification: Verification,
}

/// A module in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedModule {
    /// The name of the module.
    pub name: ModuleName,
    /// What the module is for.
    pub purpose: String,
    /// The functions and classes it must define.
    pub functions: Vec<PlannedFunction>,
    /// The modules of the plan that it imports.
    pub depends_on: Vec<ModuleName>,
    /// The names of the given tests that are run when the module is written.
    pub given_tests: Vec<String>,
    /// Whether the prompt itself is the beginning of the module's file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub completes_prompt: bool,
}

/// A function or class that a module must define.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFunction {
    /// The signature, such as `def validate_email(address: str) -> bool`.
    pub signature: String,
    /// What it must do.
    pub behaviour: String,
}

/// A plan was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanningComplete {
    /// The modules. Each comes after the modules it depends on.
    pub modules: Vec<PlannedModule>,
    /// What was repaired in the model's plan.
    pub repairs: Vec<String>,
}

/// A plan could not be used. The model is asked again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanningRejected {
    /// What is wrong with the plan.
    pub problem: String,
}
