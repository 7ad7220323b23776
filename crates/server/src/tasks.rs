//! Tasks: submit, list, look at.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use journeyman_event::payload::{GivenTest, Limits, TaskSubmitted, TestOrigin};
use journeyman_event::{Principal, Priority, Sequence, TaskId, TaskState, Tokens};
use journeyman_queue::Full;
use journeyman_tasks::{Submission, Submitted};
use journeyman_workflow::limits::{
    TESTS_MAX, check_count, check_source, check_submission, check_text,
};
use journeyman_workflow::{
    Examples, Moment, examples_notice, imports_problem, load_at, prompt_note, prompt_problem,
    test_file_name, test_file_problem, tests_notes,
};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::app::App;
use crate::body::{Body, Object, Whole};
use crate::door::Caller;
use crate::problem::Problem;
use crate::query::{Asked, Position, Task};
use crate::view::{Accepted, StatusWord, TaskSummary, TaskView, Urls};

/// How long a submitter may wait for a place in the queue, in milliseconds.
const WAIT_MS_MAX: u64 = 600_000;
/// Seconds that a task may work at the most: a year.
const TIMEOUT_MAX: f64 = 31_536_000.0;
/// Tokens that a task may spend at the most.
const BUDGET_MAX: u64 = 1_000_000_000_000;
/// Code versions that may be tried for a module at the most.
const ITERATIONS_MAX: u32 = 1_000;
/// Tasks on one page.
const PAGE_MAX: usize = 1_000;
const PAGE: usize = 50;

/// `critical`, `high`, `medium`, `low`, `background`, or a number from 0 (first) to 100.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct PriorityWord(pub(crate) Priority);

impl PartialSchema for PriorityWord {
    fn schema() -> RefOr<Schema> {
        let names = Priority::LEVELS.map(|(name, _)| name);
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(names));
        let number = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .maximum(Some(100));
        let either = AnyOfBuilder::new().item(name).item(number);
        let words = "A name in any case, or a number: lower comes first.";
        RefOr::T(Schema::AnyOf(either.description(Some(words)).build()))
    }
}

impl ToSchema for PriorityWord {}

/// The programming language.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    Python,
}

/// A test file that must pass.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTest {
    /// The file's name. One that pytest could not load is kept as another, and `notices` of the answer
    /// says so.
    name: String,
    /// Its text.
    #[schema(pattern = "\\S", max_length = 262_144)]
    source: String,
}

/// A task to be done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTask {
    /// What is wanted.
    #[schema(pattern = "\\S", max_length = 100_000)]
    prompt: String,
    /// Answers given beforehand to questions that may come up.
    #[schema(max_items = 1_000)]
    answers: Option<Vec<Answer>>,
    /// The tools that its agents may call, by name or pattern (`*`); what the server allows if nothing
    /// is said.
    #[schema(max_items = 100)]
    tools: Option<Vec<ToolPattern>>,
    /// Whether the finished code is to be reviewed by the model: told, and not part of what is verified.
    review: Option<bool>,
    /// Whether somebody is there to answer questions: then the planner may ask some, and the task
    /// rests (`pause` is `question`) until they are answered. It asks none if nothing is said.
    ask: Option<bool>,
    /// Whether the examples in the prompt are run as tests that rule; they are if nothing is said.
    examples: Option<bool>,
    /// How urgent it is; medium if nothing is said.
    priority: Option<PriorityWord>,
    /// The programming language; Python if nothing is said.
    language: Option<Language>,
    /// The model: the one that this server serves, or nothing.
    #[schema(value_type = Option<String>, max_length = 0)]
    model: Option<String>,
    /// Test files that must pass.
    #[schema(value_type = Option<Vec<NewTest>>, max_items = 100)]
    tests: Option<Vec<Object<NewTest>>>,
    /// Tokens that it may spend, prompts and answers together; 20,000 a module if nothing is said.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_u64)]
    budget: Option<Whole>,
    /// Seconds that it may work; 1,800 if nothing is said.
    #[schema(minimum = 0, maximum = 31_536_000)]
    timeout: Option<f64>,
    /// Code versions tried for a module; 5 if nothing is said.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000)]
    max_iterations: Option<Whole>,
    /// How long to wait for a place in a full queue, in milliseconds; refused at once if nothing is
    /// said.
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 600_000)]
    wait_ms: Option<Whole>,
    /// Its name; drawn if nothing is said.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
    task_id: Option<String>,
    /// Tasks that must have ended before it starts, however they end. Each must be there already.
    #[schema(max_items = 100)]
    depends_on: Option<Vec<TaskName>>,
    /// The same key and content again is the same task again. `Idempotency-Key` says the same.
    #[schema(pattern = "^[\\x21-\\x7e]{1,200}$")]
    idempotency_key: Option<String>,
    /// Folder for the result, on the server's machine: taken over the socket in its data folder alone.
    #[schema(value_type = Option<String>, max_length = 0)]
    out: Option<String>,
}

/// An answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = "\\S", max_length = 100_000)]
pub(crate) struct Answer(pub(crate) String);

/// A tool's name, in which `*` stands for any characters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = "^[A-Za-z0-9_.*-]{1,128}$")]
pub(crate) struct ToolPattern(String);

/// A task's name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
pub(crate) struct TaskName(String);

/// What is looked for by a name, if anything is.
pub(crate) fn checked_word(field: &str, word: Option<&str>, max: usize) -> Result<(), Problem> {
    if word.is_none_or(|word| (1..=max).contains(&word.chars().count())) {
        return Ok(());
    }
    let detail = format!("`{field}` has 1 to {max} characters");
    Err(Problem::field(field, detail))
}

pub(crate) fn task_name(field: &str, text: &str) -> Result<TaskId, Problem> {
    TaskId::new(text).map_err(|error| Problem::field(field, error.to_string()))
}

/// Limits from what was said of them.
pub(crate) fn limits(
    base: Limits,
    budget: Option<Whole>,
    timeout: Option<f64>,
    max_iterations: Option<Whole>,
) -> Result<Limits, Problem> {
    if budget.is_some_and(|Whole(tokens)| tokens == 0 || tokens > BUDGET_MAX) {
        let detail = format!("`budget` is a number of tokens from 1 to {BUDGET_MAX}");
        return Err(Problem::field("budget", detail));
    }
    let iterations_max = match max_iterations {
        None => base.iterations_max,
        Some(Whole(max)) => {
            let small = u32::try_from(max).ok().filter(|&max| max <= ITERATIONS_MAX);
            small.and_then(NonZeroU32::new).ok_or_else(|| {
                let detail = format!("`max_iterations` is a number from 1 to {ITERATIONS_MAX}");
                Problem::field("max_iterations", detail)
            })?
        }
    };
    let bad_timeout = || {
        Problem::field(
            "timeout",
            "`timeout` is a number of seconds from 0 to 31536000",
        )
    };
    let active_ms_max = match timeout {
        None => base.active_ms_max,
        Some(seconds) if (0.0..=TIMEOUT_MAX).contains(&seconds) => {
            let time = Duration::try_from_secs_f64(seconds).map_err(|_| bad_timeout())?;
            u64::try_from(time.as_millis()).map_err(|_| bad_timeout())?
        }
        Some(_) => return Err(bad_timeout()),
    };
    Ok(Limits {
        tokens_max: budget
            .map(|Whole(tokens)| Tokens(tokens))
            .or(base.tokens_max),
        iterations_max,
        active_ms_max,
    })
}

/// The tests that rule: those in a prompt unless its examples are to be left alone, and files. What
/// becomes of their names is noted.
fn given_tests(
    prompt: &str,
    no_examples: bool,
    files: Option<Vec<Object<NewTest>>>,
    notes: &mut Vec<String>,
) -> Result<Vec<GivenTest>, Problem> {
    let examples = if no_examples {
        Examples::default()
    } else {
        Examples::of(prompt)
    };
    notes.extend(examples_notice(&examples.tests));
    notes.extend(examples.left_out);
    let mut tests = examples.tests;
    let files = files.unwrap_or_default();
    check_count("tests", files.len(), TESTS_MAX)?;
    for Object(file) in files {
        check_source("tests", &file.source)?;
        if let Some(problem) = test_file_problem(&file.source) {
            return Err(Problem::field("tests", format!("{}: {problem}", file.name)));
        }
        let name = test_file_name(&file.name, &file.source, &tests);
        if name != file.name {
            notes.push(format!("the test file {:?} is kept as {name}", file.name));
        }
        tests.push(GivenTest {
            name,
            origin: TestOrigin::File,
            source: file.source,
        });
    }
    if let Some(problem) = imports_problem(&tests) {
        return Err(Problem::field("tests", problem));
    }
    notes.extend(tests_notes(&tests, prompt));
    Ok(tests)
}

impl NewTask {
    fn submission(
        self,
        app: &App,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Result<(Submission, Vec<String>), Problem> {
        let mut notes = Vec::new();
        check_text("prompt", &self.prompt)?; // tests are looked for in it
        if let Some(problem) = prompt_problem(&self.prompt) {
            return Err(Problem::field("prompt", format!("`prompt`: {problem}")));
        }
        let no_examples = !self.examples.unwrap_or(true);
        let answers = self.answers.unwrap_or_default();
        if let Some(model) = self
            .model
            .filter(|model| *model != app.model && !model.is_empty())
        {
            let detail = format!("this server works with {}, not with {model}", app.model);
            return Err(Problem::field("model", detail));
        }
        let out = checked_out(self.out, caller)?;
        let wait_ms = self.wait_ms.map_or(0, |Whole(ms)| ms);
        if wait_ms > WAIT_MS_MAX {
            let detail = format!("`wait_ms` is a number from 0 to {WAIT_MS_MAX}");
            return Err(Problem::field("wait_ms", detail));
        }
        let task_id = self.task_id.as_deref();
        let task_id = task_id.map(|text| task_name("task_id", text)).transpose()?;
        let depends_on = self.depends_on.unwrap_or_default();
        let others = depends_on
            .iter()
            .map(|TaskName(text)| task_name("depends_on", text));
        let limits = limits(
            Limits::default(),
            self.budget,
            self.timeout,
            self.max_iterations,
        )?;
        let Language::Python = self.language.unwrap_or(Language::Python);
        let content = TaskSubmitted {
            tests: given_tests(&self.prompt, no_examples, self.tests, &mut notes)?,
            no_examples,
            limits,
            out,
            priority: self.priority.map_or(Priority::MEDIUM, |word| word.0),
            answers: answers.into_iter().map(|Answer(text)| text).collect(),
            tools: self
                .tools
                .map(|all| all.into_iter().map(|ToolPattern(text)| text).collect()),
            review: self.review.unwrap_or_default(),
            ask: self.ask.unwrap_or_default(),
            depends_on: others.collect::<Result<_, _>>()?,
            ..TaskSubmitted::of(self.prompt)
        };
        check_submission(&content)?;
        let submission = Submission {
            task_id,
            full: match wait_ms {
                0 => Full::Refuse,
                ms => Full::Wait(Duration::from_millis(ms)),
            },
            idempotency_key: idempotency_key(self.idempotency_key, headers)?,
            content,
        };
        Ok((submission, notes))
    }
}

/// A folder for a result, if one is named by somebody who may.
pub(crate) fn checked_out(out: Option<String>, caller: &Caller) -> Result<Option<String>, Problem> {
    if out.is_some() && !caller.is_local() {
        let detail = "`out` names a folder of the server's machine, and is taken over the socket in \
                      its data folder alone: leave it out and fetch the files";
        return Err(Problem::forbidden(detail));
    }
    Ok(out.filter(|out| !out.is_empty()))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code)] // read by `idempotency_key`; here for the document
pub(crate) struct IdempotencyKey {
    /// The same key and content again is the same task again.
    #[param(rename = "Idempotency-Key", pattern = "^[\\x21-\\x7e]{1,200}$")]
    idempotency_key: Option<String>,
}

/// The key of a submission: in its body, in the header, or in both if they are the same.
pub(crate) fn idempotency_key(
    in_body: Option<String>,
    headers: &HeaderMap,
) -> Result<Option<String>, Problem> {
    let of_headers = headers.get_all("idempotency-key").iter();
    let of_headers = of_headers.map(|value| value.to_str().unwrap_or_default().to_owned());
    let mut keys = in_body.into_iter().chain(of_headers);
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    let bad = |detail| Err(Problem::field("idempotency_key", detail));
    if keys.any(|other| other != key) {
        return bad(
            "two different idempotency keys are given; give one, in `Idempotency-Key` or in \
             `idempotency_key`",
        );
    }
    if !(1..=200).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return bad("an idempotency key is 1 to 200 visible characters");
    }
    Ok(Some(key))
}

pub(crate) fn accepted(
    submitted: Submitted,
    notices: Vec<String>,
    headers: &HeaderMap,
) -> Response {
    let task = submitted.task_id;
    let location = [(header::LOCATION, format!("/api/v1/tasks/{task}"))];
    let accepted = Accepted {
        sequence: submitted.sequence.0,
        is_duplicate: submitted.is_duplicate,
        notices,
        urls: Urls::of(&task, headers),
        task_id: task.to_string(),
    };
    (StatusCode::ACCEPTED, location, Json(accepted)).into_response()
}

/// Submit a task. When this answers, the task is durable.
#[utoipa::path(
    post, path = "/tasks", tag = "tasks", request_body = NewTask,
    params(IdempotencyKey),
    responses((status = 202, body = Accepted, headers(("Location" = String, description = "The task")))),
)]
pub(crate) async fn submit(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Body(task): Body<NewTask>,
) -> Result<Response, Problem> {
    caller.may_do()?;
    let (submission, mut notices) = task.submission(&app, &caller, &headers)?;
    notices.extend(prompt_note(&submission.content.prompt));
    let submitted = app.tasks.submit(&caller.principal, submission).await?;
    Ok(accepted(submitted, notices, &headers))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only tasks of this status.
    status: Option<StatusWord>,
    /// Only tasks whose last event stands before this position: `next` of the page before.
    #[param(value_type = Option<u64>, minimum = 0)]
    before: Option<Position>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<usize>,
}

/// A page of tasks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TaskPage {
    /// Newest first.
    tasks: Vec<TaskSummary>,
    /// Where the next page begins (`before`); none if there is none.
    next: Option<u64>,
}

pub(crate) fn checked_limit(limit: Option<usize>, usual: usize) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(usual);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("`limit` is a number from 1 to {PAGE_MAX}");
    Err(Problem::field("limit", detail))
}

/// List tasks, the one that something happened to last first.
#[utoipa::path(
    get, path = "/tasks", tag = "tasks", params(ListQuery),
    responses((status = 200, body = TaskPage)),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<TaskPage>, Problem> {
    let before = query.before.map_or(Sequence(u64::MAX), Position::sequence);
    let limit = checked_limit(query.limit, PAGE)?;
    let status = query.status.map(Into::into);
    let (tasks, next) = app
        .tasks
        .list(&caller.principal, before, limit, status)
        .await?;
    let mut summaries = Vec::new();
    for listed in tasks {
        let recorded = (listed.listing.status, listed.listing.pause);
        let (principal, task) = (&caller.principal, &listed.task_id);
        let standing = app.tasks.standing(principal, task, recorded).await?;
        summaries.push(TaskSummary::new(listed, standing));
    }
    Ok(Json(TaskPage {
        tasks: summaries,
        next: next.map(|sequence| sequence.0),
    }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AtQuery {
    /// As it was after the event at this position, or the last one before it.
    #[param(value_type = Option<u64>, minimum = 0)]
    pub(crate) at: Option<Position>,
}

impl AtQuery {
    /// The state of a task at that moment; now, if none is named.
    pub(crate) async fn state(
        &self,
        app: &App,
        principal: &Principal,
        task: &TaskId,
    ) -> Result<Arc<TaskState>, Problem> {
        let Some(at) = self.at else {
            return Ok(app.tasks.current(principal, task).await?);
        };
        let moment = Some(Moment::Sequence(at.sequence()));
        let state = load_at(app.tasks.journal(), principal, task, moment).await?;
        let none = || Problem::not_found(format!("there was no task {task} then"));
        Ok(Arc::new(state.ok_or_else(none)?))
    }
}

/// Look at a task, as it is or as it was.
#[utoipa::path(
    get, path = "/tasks/{task_id}", tag = "tasks", params(TaskPath, AtQuery),
    responses((status = 200, body = TaskView)),
)]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    Asked(query): Asked<AtQuery>,
    headers: HeaderMap,
) -> Result<Json<TaskView>, Problem> {
    let principal = &caller.principal;
    let view = if query.at.is_none() {
        TaskView::now(&app, principal, &task, &headers).await?
    } else {
        let state = query.state(&app, principal, &task).await?;
        TaskView::of(&task, &state, &headers)
    };
    Ok(Json(view))
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code)] // read by `query::Task`; here for the document
pub(crate) struct TaskPath {
    /// The task.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
    task_id: String,
}
