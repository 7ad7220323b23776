//! What answers look like. What is absent is `null`, never a missing member.

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use journeyman_event::payload::{PauseReason, Verification};
use journeyman_event::state::{Ending, ModuleState, Question, Status};
use journeyman_event::{Principal, Priority, TaskId, TaskState, word};
use journeyman_tasks::Listed;
use journeyman_workflow::{Listing, headline, module_path, remarks};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::Problem;

pub(crate) fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| format!("{at:.6}"))
}

/// How a result was checked: a word, and how sure that is.
fn checked(verification: Option<&Verification>) -> (Option<String>, Option<f64>) {
    match verification {
        None => (None, None),
        Some(Verification::GivenTests) => (Some("given_tests".to_owned()), None),
        Some(Verification::Agreement { confidence }) => {
            (Some("agreement".to_owned()), Some(*confidence))
        }
        Some(Verification::None) => (Some("none".to_owned()), None),
    }
}

/// Where more about a task is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Urls {
    /// The task.
    task: String,
    /// Its events.
    events: String,
    /// Its events as they come, as server-sent events.
    stream: String,
    /// Its events as they come, over a WebSocket.
    socket: String,
    /// Its files.
    files: String,
}

impl Urls {
    pub(crate) fn of(task: &TaskId, headers: &HeaderMap) -> Self {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let host = host.unwrap_or("localhost");
        let task_url = format!("/api/v1/tasks/{task}");
        Self {
            events: format!("{task_url}/events"),
            stream: format!("{task_url}/stream"),
            socket: format!("ws://{host}/ws/{task}"),
            files: format!("{task_url}/files"),
            task: task_url,
        }
    }
}

/// A task that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// Its name.
    pub(crate) task_id: String,
    /// The position of its first event.
    pub(crate) sequence: u64,
    /// Whether the same submission, by its idempotency key, had been taken before.
    pub(crate) is_duplicate: bool,
    /// What is made of it, and what is not: the examples that are run, lines that look like tests and are
    /// not, names that were changed. Left out where there is nothing to say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(crate) notices: Vec<String>,
    /// Where more about it is.
    pub(crate) urls: Urls,
}

/// One task in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskSummary {
    /// Its name.
    task_id: String,
    /// `queued`, `running`, `paused`, `complete`, `failed` or `cancelled`.
    #[schema(value_type = StatusWord)]
    status: String,
    /// Why it rests.
    pause: Option<String>,
    /// Its level's name, or the number.
    priority: String,
    /// How its result was checked: `given_tests`, `agreement` or `none`.
    verification: Option<String>,
    /// How sure that is, 0 to 1.
    confidence: Option<f64>,
    /// The beginning of the prompt.
    prompt: String,
    /// Modules planned.
    modules: usize,
    /// Modules done.
    modules_complete: usize,
    /// Tokens spent.
    tokens: u64,
    /// Seconds spent working, up to the last pause or end.
    active_seconds: f64,
    /// When it was submitted.
    submitted_at: Option<String>,
    /// The position of its last event.
    sequence: u64,
    /// Its events.
    revision: u64,
}

impl TaskSummary {
    /// A task of a list, and where it stands.
    pub fn new(listed: Listed, (status, pause): (Status, Option<PauseReason>)) -> Self {
        let listing: Listing = listed.listing;
        let (verification, confidence) = checked(listing.verification.as_ref());
        Self {
            task_id: listed.task_id.to_string(),
            status: status.as_str().to_owned(),
            pause: pause.as_ref().and_then(word),
            priority: listing.priority.to_string(),
            verification,
            confidence,
            prompt: listing.prompt,
            modules: listing.modules,
            modules_complete: listing.modules_complete,
            tokens: listing.tokens,
            active_seconds: listing.active_seconds,
            submitted_at: time(listing.submitted_at),
            sequence: listed.sequence.0,
            revision: listed.revision,
        }
    }
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StatusWord {
    Queued,
    Running,
    Paused,
    Complete,
    Failed,
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

/// One module of a task.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModuleView {
    /// Its name.
    name: String,
    /// Its file.
    path: String,
    /// What it is for.
    purpose: String,
    /// What it must offer.
    signatures: Vec<String>,
    /// The modules that it imports.
    depends_on: Vec<String>,
    /// The version of its code, 0 before there is any.
    version: u64,
    /// The hash of that.
    code_hash: Option<String>,
    /// Rounds so far.
    iteration: u32,
    /// Tests of the last run.
    tests: Option<usize>,
    /// Of these, passed.
    tests_passed: Option<usize>,
    /// Whether it is done.
    is_complete: bool,
    /// Whether the user wanted no more work on it.
    is_skipped: bool,
}

impl ModuleView {
    fn of(module: &ModuleState) -> Self {
        let run = module.runs.last();
        let plan = &module.plan;
        let functions = plan.functions.iter();
        Self {
            name: plan.name.to_string(),
            path: module_path(&plan.name),
            purpose: plan.purpose.clone(),
            signatures: functions.map(|f| f.signature.clone()).collect(),
            depends_on: plan.depends_on.iter().map(ToString::to_string).collect(),
            version: module.version(),
            code_hash: module.code().map(|code| code.hash.to_string()),
            iteration: module.iteration,
            tests: run.map(|run| run.tests.len()),
            tests_passed: run.map(journeyman_event::state::TestRun::passed),
            is_complete: module.completion.is_some(),
            is_skipped: module.skipped,
        }
    }
}

/// A question that the planner asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QuestionView {
    /// Its name, for the answer.
    pub(crate) id: String,
    /// The question.
    pub(crate) text: String,
    /// What the user answered.
    pub(crate) answer: Option<String>,
    /// Whether the task waits for its answer.
    pub(crate) is_open: bool,
}

impl QuestionView {
    fn of(question: &Question) -> Self {
        Self {
            id: question.id.clone(),
            text: question.text.clone(),
            answer: question.answer.clone(),
            is_open: question.is_open(),
        }
    }
}

/// A task, as its events say.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskView {
    /// Its name.
    task_id: String,
    /// Where it stands.
    #[schema(value_type = StatusWord)]
    status: String,
    /// Why it rests.
    pause: Option<String>,
    /// Its level's name, or the number.
    priority: String,
    /// What was asked.
    prompt: String,
    /// The programming language.
    language: String,
    /// What the user said since, and answered beforehand.
    instructions: Vec<String>,
    /// What the planner asked.
    pub(crate) questions: Vec<QuestionView>,
    /// The tasks that must have ended before it starts.
    depends_on: Vec<String>,
    /// The task whose past it goes on from.
    forked_from: Option<String>,
    /// The model that it was last worked on with.
    model: Option<String>,
    /// Its modules; empty before there is a plan.
    modules: Vec<ModuleView>,
    /// Tokens spent.
    tokens: u64,
    /// Tokens that it may spend.
    tokens_max: u64,
    /// Seconds spent working.
    active_seconds: f64,
    /// Seconds that it may work.
    timeout: f64,
    /// How its result was checked: `given_tests`, `agreement` or `none`.
    verification: Option<String>,
    /// How sure that is, 0 to 1.
    confidence: Option<f64>,
    /// Why it failed.
    reason: Option<String>,
    /// How it ended, in words.
    result: Option<String>,
    /// What there is to know of its tests beside that, a sentence each: given ones that were skipped or
    /// cannot fail, and those of the model that the code does not pass or that could not be run.
    remarks: Vec<String>,
    /// The model's answer to a prompt that is a plain question: nothing of it was run or checked.
    answer: Option<String>,
    /// What the model found in the finished code, where it was asked to review it.
    review: Option<Vec<String>>,
    /// The files of the result that were written out.
    output: Option<Vec<String>>,
    /// When it was submitted.
    submitted_at: Option<String>,
    /// The time of its last event.
    changed_at: Option<String>,
    /// The position of its last event.
    sequence: u64,
    /// Its events.
    revision: u64,
    /// Where more about it is.
    urls: Urls,
}

impl TaskView {
    /// A task as it is now.
    pub(crate) async fn now(
        app: &App,
        principal: &Principal,
        task: &TaskId,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let (state, status, pause) = app.tasks.seen(principal, task).await?;
        Ok(Self {
            status: status.as_str().to_owned(),
            pause: pause.as_ref().and_then(word),
            ..Self::of(task, &state, headers)
        })
    }

    /// A task as its events say.
    pub(crate) fn of(task: &TaskId, state: &TaskState, headers: &HeaderMap) -> Self {
        let asked = state.submission.as_ref();
        let verification = match &state.ending {
            Some(Ending::Complete(verification)) => Some(verification),
            _ => None,
        };
        let (verification, confidence) = checked(verification);
        let reason = match &state.ending {
            Some(Ending::Failed { reason, .. }) => word(reason),
            _ => None,
        };
        let others = asked.map_or(&[][..], |asked| &asked.depends_on);
        let output = state.output.as_ref();
        let priority = asked.map_or(Priority::MEDIUM, |asked| asked.priority);
        Self {
            task_id: task.to_string(),
            status: state.status.as_str().to_owned(),
            pause: state
                .pause
                .as_ref()
                .and_then(|pause: &PauseReason| word(pause)),
            priority: priority.to_string(),
            prompt: asked.map_or_else(String::new, |asked| asked.prompt.clone()),
            language: asked.map_or_else(String::new, |asked| asked.language.clone()),
            instructions: state.instructions.clone(),
            questions: state.questions.iter().map(QuestionView::of).collect(),
            depends_on: others.iter().map(ToString::to_string).collect(),
            forked_from: asked
                .and_then(|asked| asked.fork.as_ref())
                .map(|fork| fork.task_id.to_string()),
            model: state.started.as_ref().map(|started| started.model.clone()),
            modules: state.modules.iter().map(ModuleView::of).collect(),
            tokens: state.spent.0,
            tokens_max: state.budget().0,
            active_seconds: state.active.as_secs_f64(),
            timeout: state.limits.active_max().as_secs_f64(),
            verification,
            confidence,
            reason,
            result: state.ending.as_ref().map(|ending| headline(state, ending)),
            remarks: match state.ending {
                Some(_) => remarks(state),
                None => Vec::new(),
            },
            answer: state.reply.as_ref().map(|reply| reply.text.clone()),
            review: state.review.as_ref().map(|review| review.findings.clone()),
            output: output.map(|files| files.iter().map(|file| file.path.clone()).collect()),
            submitted_at: time(state.submitted_at),
            changed_at: time(state.last_at),
            sequence: state.sequence.0,
            revision: state.revision.0,
            urls: Urls::of(task, headers),
        }
    }
}
