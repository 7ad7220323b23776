//! A task, as it is shown. What is absent is `null`, never a missing member.

use journeyman_event::state::Status;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where more about a task is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Urls {
    /// The task.
    pub task: String,
    /// Its events.
    pub events: String,
    /// Its events as they come, as server-sent events.
    pub stream: String,
    /// Its events as they come, over a WebSocket.
    pub socket: String,
    /// Its files.
    pub files: String,
}

/// A task that was taken.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// Its name.
    pub task_id: String,
    /// The position of its first event.
    pub sequence: u64,
    /// Whether the same submission, by its idempotency key, had been taken before.
    pub is_duplicate: bool,
    /// What is made of it, and what is not: the examples that are run, lines that look like tests and are
    /// not, names that were changed. Left out where there is nothing to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub notices: Vec<String>,
    /// Where more about it is.
    pub urls: Urls,
}

/// One task in a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskSummary {
    /// Its name.
    pub task_id: String,
    /// `queued`, `running`, `paused`, `complete`, `failed` or `cancelled`.
    pub status: StatusWord,
    /// Why it rests.
    pub pause: Option<String>,
    /// Its level's name, or the number.
    pub priority: String,
    /// How its result was checked: `given_tests`, `agreement` or `none`.
    pub verification: Option<String>,
    /// How sure that is, 0 to 1.
    pub confidence: Option<f64>,
    /// The beginning of the prompt.
    pub prompt: String,
    /// Modules planned.
    pub modules: usize,
    /// Modules done.
    pub modules_complete: usize,
    /// Tokens spent.
    pub tokens: u64,
    /// Seconds spent working, up to the last pause or end.
    pub active_seconds: f64,
    /// When it was submitted.
    pub submitted_at: Option<String>,
    /// The position of its last event.
    pub sequence: u64,
    /// Its events.
    pub revision: u64,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatusWord {
    /// It waits to be worked on.
    Queued,
    /// It is worked on.
    Running,
    /// It rests, for a reason that stands beside it.
    Paused,
    /// It has ended with a result.
    Complete,
    /// It has ended without one.
    Failed,
    /// Its user ended it.
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

/// One module of a task.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ModuleView {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: String,
    /// What it is for.
    pub purpose: String,
    /// What it must offer.
    pub signatures: Vec<String>,
    /// The modules that it imports.
    pub depends_on: Vec<String>,
    /// The version of its code, 0 before there is any.
    pub version: u64,
    /// The hash of that.
    pub code_hash: Option<String>,
    /// Rounds so far.
    pub iteration: u32,
    /// Tests of the last run.
    pub tests: Option<usize>,
    /// Of these, passed.
    pub tests_passed: Option<usize>,
    /// Whether it is done.
    pub is_complete: bool,
    /// Whether the user wanted no more work on it.
    pub is_skipped: bool,
}

/// A question that the planner asked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct QuestionView {
    /// Its name, for the answer.
    pub id: String,
    /// The question.
    pub text: String,
    /// What the user answered.
    pub answer: Option<String>,
    /// Whether the task waits for its answer.
    pub is_open: bool,
}

/// A task, as its events say.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// Its name.
    pub task_id: String,
    /// Where it stands.
    pub status: StatusWord,
    /// Why it rests.
    pub pause: Option<String>,
    /// Its level's name, or the number.
    pub priority: String,
    /// What was asked.
    pub prompt: String,
    /// The programming language.
    pub language: String,
    /// What the user said since, and answered beforehand.
    pub instructions: Vec<String>,
    /// What the planner asked.
    pub questions: Vec<QuestionView>,
    /// The tasks that must have ended before it starts.
    pub depends_on: Vec<String>,
    /// The task whose past it goes on from.
    pub forked_from: Option<String>,
    /// The model that it was last worked on with.
    pub model: Option<String>,
    /// Its modules; empty before there is a plan.
    pub modules: Vec<ModuleView>,
    /// Tokens spent.
    pub tokens: u64,
    /// Tokens that it may spend.
    pub tokens_max: u64,
    /// Seconds spent working.
    pub active_seconds: f64,
    /// Seconds that it may work.
    pub timeout: f64,
    /// How its result was checked: `given_tests`, `agreement` or `none`.
    pub verification: Option<String>,
    /// How sure that is, 0 to 1.
    pub confidence: Option<f64>,
    /// Why it failed.
    pub reason: Option<String>,
    /// How it ended, in words.
    pub result: Option<String>,
    /// What there is to know of its tests beside that, a sentence each: given ones that were skipped or
    /// cannot fail, and those of the model that the code does not pass or that could not be run.
    pub remarks: Vec<String>,
    /// The model's answer to a prompt that is a plain question: nothing of it was run or checked.
    pub answer: Option<String>,
    /// What the model found in the finished code, where it was asked to review it.
    pub review: Option<Vec<String>>,
    /// The files of the result that were written out.
    pub output: Option<Vec<String>>,
    /// When it was submitted.
    pub submitted_at: Option<String>,
    /// The time of its last event.
    pub changed_at: Option<String>,
    /// The position of its last event.
    pub sequence: u64,
    /// Its events.
    pub revision: u64,
    /// Where more about it is.
    pub urls: Urls,
}
