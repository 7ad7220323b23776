//! A task as shown to clients. In these views absent values are `null` and members are never missing, except lists of
//! notices, which are left out when they are empty.

use journeyman_event::state::Status;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The URLs with more about a task.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Urls {
    /// The task itself.
    pub task: String,
    /// The events of the task.
    pub events: String,
    /// Its live events, as server-sent events.
    pub stream: String,
    /// Its live events, over a WebSocket.
    pub socket: String,
    /// The files of the task.
    pub files: String,
}

/// A task that was accepted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// The id of the task.
    pub task_id: String,
    /// The position of its first event.
    pub sequence: u64,
    /// Whether the task had already been created by a request with the same idempotency key.
    pub is_duplicate: bool,
    /// Notices about how the submission was understood: the examples that are run, lines that look like tests
    /// and are not, names that were changed. Left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub notices: Vec<String>,
    /// The URLs with more about the task.
    pub urls: Urls,
}

/// A task in a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskSummary {
    /// The id of the task.
    pub task_id: String,
    /// One of `queued`, `running`, `paused`, `complete`, `failed` and `cancelled`.
    pub status: StatusWord,
    /// Why it is paused.
    pub pause: Option<String>,
    /// The name of the level, or the number.
    pub priority: String,
    /// How the result was verified: `given_tests`, `agreement` or `none`.
    pub verification: Option<String>,
    /// The confidence of the verification, 0 to 1.
    pub confidence: Option<f64>,
    /// The beginning of the prompt.
    pub prompt: String,
    /// The number of planned modules.
    pub modules: usize,
    /// The number of completed modules.
    pub modules_complete: usize,
    /// The tokens spent.
    pub tokens: u64,
    /// Working time in seconds, up to the last pause or end.
    pub active_seconds: f64,
    /// When it was submitted.
    pub submitted_at: Option<String>,
    /// Whether it is marked to be kept, so that neither retention nor `delete` erases it.
    #[serde(default)]
    #[schema(required = true)]
    pub keep: bool,
    /// The position of its last event.
    pub sequence: u64,
    /// The version of the task: the number of its events.
    pub revision: u64,
}

/// The status of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatusWord {
    /// It waits to be worked on.
    Queued,
    /// It is being worked on.
    Running,
    /// It is paused, for a reason stated separately.
    Paused,
    /// It ended with a result.
    Complete,
    /// It ended without the result that was asked for.
    Failed,
    /// It was cancelled by its user.
    Cancelled,
}

impl From<StatusWord> for Status {
    fn from(word: StatusWord) -> Self {
        match word {
            StatusWord::Queued => Self::Queued,
            StatusWord::Running => Self::Running,
            StatusWord::Paused => Self::Paused,
            StatusWord::Complete => Self::Complete,
            StatusWord::Failed => Self::Failed,
            StatusWord::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Status> for StatusWord {
    fn from(status: Status) -> Self {
        match status {
            Status::Queued => Self::Queued,
            Status::Running => Self::Running,
            Status::Paused => Self::Paused,
            Status::Complete => Self::Complete,
            Status::Failed => Self::Failed,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

/// A module of a task.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ModuleView {
    /// The name of the module.
    pub name: String,
    /// The path of its file.
    pub path: String,
    /// What the module is for.
    pub purpose: String,
    /// The functions and classes it must define.
    pub signatures: Vec<String>,
    /// The modules it imports.
    pub depends_on: Vec<String>,
    /// The version of its code, 0 before there is any.
    pub version: u64,
    /// The hash of its code.
    pub code_hash: Option<String>,
    /// The number of iterations so far.
    pub iteration: u32,
    /// The number of tests in the last run.
    pub tests: Option<usize>,
    /// How many of them passed.
    pub tests_passed: Option<usize>,
    /// Whether it is complete.
    pub is_complete: bool,
    /// Whether the user asked for no more work on it.
    pub is_skipped: bool,
}

/// A question asked by the planner.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct QuestionView {
    /// The id of the question, for answering it.
    pub id: String,
    /// The wording of the question.
    pub text: String,
    /// The user's answer.
    pub answer: Option<String>,
    /// Whether the task waits for an answer.
    pub is_open: bool,
}

/// A task in the state given by its events.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// The id of the task.
    pub task_id: String,
    /// The status of the task.
    pub status: StatusWord,
    /// Why it is paused.
    pub pause: Option<String>,
    /// The name of the level, or the number.
    pub priority: String,
    /// The prompt: what the code should do.
    pub prompt: String,
    /// The programming language.
    pub language: String,
    /// The instructions that the user has given after the submission, and answers given in advance.
    pub instructions: Vec<String>,
    /// The planner's questions.
    pub questions: Vec<QuestionView>,
    /// The tasks that must end before it starts.
    pub depends_on: Vec<String>,
    /// The task it was forked from.
    pub forked_from: Option<String>,
    /// The model that last worked on it.
    pub model: Option<String>,
    /// The modules; empty before there is a plan.
    pub modules: Vec<ModuleView>,
    /// The tokens spent.
    pub tokens: u64,
    /// The token budget.
    pub tokens_max: u64,
    /// Working time in seconds.
    pub active_seconds: f64,
    /// The limit of working time in seconds.
    pub timeout: f64,
    /// How the result was verified: `given_tests`, `agreement` or `none`.
    pub verification: Option<String>,
    /// The confidence of the verification, 0 to 1.
    pub confidence: Option<f64>,
    /// Why it failed.
    pub reason: Option<String>,
    /// How it ended, in words.
    pub result: Option<String>,
    /// Remarks about its tests, one sentence each: given tests that were skipped or cannot fail, and generated
    /// ones that the code does not pass or that could not be run.
    pub remarks: Vec<String>,
    /// The model's answer to a prompt that is a plain question. Nothing in it was run or checked.
    pub answer: Option<String>,
    /// The findings of the model's review of the finished code, if one was requested.
    pub review: Option<Vec<String>>,
    /// The files of the result that were written out.
    pub output: Option<Vec<String>>,
    /// Whether it is marked to be kept, so that neither retention nor `delete` erases it.
    #[serde(default)]
    #[schema(required = true)]
    pub keep: bool,
    /// When it was submitted.
    pub submitted_at: Option<String>,
    /// The time of its last event.
    pub changed_at: Option<String>,
    /// The position of its last event.
    pub sequence: u64,
    /// The version of the task: the number of its events.
    pub revision: u64,
    /// The URLs with more about the task.
    pub urls: Urls,
}
