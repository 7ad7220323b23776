//! Answers about tasks, made of what their events say.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use jiff::Timestamp;
use journeyman_api::{ModuleView, QuestionView, TaskSummary, TaskView, Urls};
use journeyman_event::payload::{PauseReason, Verification};
use journeyman_event::state::{Ending, ModuleState, Question, Status};
use journeyman_event::{Principal, Priority, Revision, TaskId, TaskState, word};
use journeyman_tasks::ListedTask;
use journeyman_workflow::{Listing, headline, module_path, remarks};

use crate::app::App;
use crate::conditions::{AnswerBasis, Tag, json, to_bytes};
use crate::problem::Rejection;

pub(crate) fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| format!("{at:.6}"))
}

/// How a result was verified: one word, and how certain it is.
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

/// The URLs with more about a task.
pub(crate) fn urls(task: &TaskId, headers: &HeaderMap) -> Urls {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.unwrap_or("localhost");
    let task_url = format!("/api/v1/tasks/{task}");
    Urls {
        events: format!("{task_url}/events"),
        stream: format!("{task_url}/stream"),
        socket: format!("ws://{host}/ws/{task}"),
        files: format!("{task_url}/files"),
        task: task_url,
    }
}

/// A task in a list, with its status.
pub fn summary(listed: ListedTask, (status, pause): (Status, Option<PauseReason>)) -> TaskSummary {
    let listing: Listing = listed.listing;
    let (verification, confidence) = checked(listing.verification.as_ref());
    TaskSummary {
        task_id: listed.task_id.to_string(),
        status: status.into(),
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
        keep: listing.keep,
        sequence: listed.sequence.0,
        revision: listed.revision,
    }
}

fn module(state: &TaskState, module: &ModuleState) -> ModuleView {
    let run = module.runs.last();
    let plan = &module.plan;
    let functions = plan.functions.iter();
    ModuleView {
        name: plan.name.to_string(),
        path: module_path(state, &plan.name),
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

fn question(question: &Question) -> QuestionView {
    QuestionView {
        id: question.id.clone(),
        text: question.text.clone(),
        answer: question.answer.clone(),
        is_open: question.is_open(),
    }
}

/// A task as it is answered, and the tag of that answer.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) view: TaskView,
    pub(crate) tag: Tag,
}

impl Shown {
    /// The tag covers the whole response except its URLs. A client that reaches the server under two host names can
    /// therefore use the tag of one response in a request under the other name.
    fn new(
        view: TaskView,
        basis: AnswerBasis,
        headers: &HeaderMap,
        task: &TaskId,
    ) -> Result<Self, Rejection> {
        let tag = Tag::of_task(&to_bytes(&view)?, Revision(view.revision), basis);
        let urls = urls(task, headers);
        Ok(Self {
            view: TaskView { urls, ..view },
            tag,
        })
    }

    /// A task as it was, as its events say.
    pub(crate) fn at(
        task: &TaskId,
        state: &TaskState,
        headers: &HeaderMap,
    ) -> Result<Self, Rejection> {
        Self::new(self::task(task, state), AnswerBasis::Events, headers, task)
    }

    /// A task as it is now.
    pub(crate) async fn now(
        app: &App,
        principal: &Principal,
        task: &TaskId,
        headers: &HeaderMap,
    ) -> Result<Self, Rejection> {
        let (state, status, pause) = app.tasks.current_status(principal, task).await?;
        let basis = if (status, pause) == (state.status, state.pause) {
            AnswerBasis::Events
        } else {
            AnswerBasis::Process
        };
        let view = TaskView {
            status: status.into(),
            pause: pause.as_ref().and_then(word),
            ..self::task(task, &state)
        };
        Self::new(view, basis, headers, task)
    }

    /// The task, as the answer to a request that changed it.
    pub(crate) fn changed(self) -> Result<Response, Rejection> {
        let place = HeaderValue::from_str(&self.view.urls.task).ok();
        let tag = HeaderValue::from_str(&self.tag.quoted()).ok();
        let mut response = json(to_bytes(&self.view)?);
        let headers = response.headers_mut();
        // What is answered is what `GET` answers there, and so is the tag.
        headers.extend(place.map(|place| (header::CONTENT_LOCATION, place)));
        headers.extend(tag.map(|tag| (header::ETAG, tag)));
        Ok(response)
    }
}

/// A task as its events say, for a client that calls the server by no name.
fn task(task: &TaskId, state: &TaskState) -> TaskView {
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
    TaskView {
        task_id: task.to_string(),
        status: state.status.into(),
        pause: state
            .pause
            .as_ref()
            .and_then(|pause: &PauseReason| word(pause)),
        priority: priority.to_string(),
        prompt: asked.map_or_else(String::new, |asked| asked.prompt.clone()),
        language: asked.map_or_else(String::new, |asked| asked.language.clone()),
        instructions: state.instructions.clone(),
        questions: state.questions.iter().map(question).collect(),
        depends_on: others.iter().map(ToString::to_string).collect(),
        forked_from: asked
            .and_then(|asked| asked.fork.as_ref())
            .map(|fork| fork.task_id.to_string()),
        model: state.started.as_ref().map(|started| started.model.clone()),
        modules: state.modules.iter().map(|one| module(state, one)).collect(),
        tokens: state.spent.0,
        tokens_max: state.token_budget().0,
        active_seconds: state.worked().as_secs_f64(),
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
        keep: state.keep,
        submitted_at: time(state.submitted_at),
        changed_at: time(state.last_at),
        sequence: state.sequence.0,
        revision: state.revision.0,
        urls: urls(task, &HeaderMap::new()),
    }
}
