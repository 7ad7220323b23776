//! What a user does to a running task. The answer comes when it is durable.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use journeyman_event::{ModuleName, TaskId};
use journeyman_tasks::Intervention;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::app::App;
use crate::body::{Body, MaybeBody, Whole, part};
use crate::door::Caller;
use crate::problem::Problem;
use crate::query::Task;
use crate::tasks::{TaskPath, checked_out, limits};
use crate::view::TaskView;

/// Characters of a question.
const QUESTION_CHARS_MAX: usize = 10_000;

/// What a user does to a task. It takes effect at the task's next event boundary.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum NewIntervention {
    /// Say what else is wanted.
    Instruction {
        /// The words: part of every prompt from now on.
        #[schema(pattern = "\\S", max_length = 100_000)]
        instruction: String,
    },
    /// Answer a question.
    Answer {
        /// The question, by its name (`q1`) or its text. Nothing means the only open one, or that none
        /// was asked.
        #[schema(max_length = 10_000)]
        question: Option<String>,
        /// The answer.
        #[schema(pattern = "\\S", max_length = 100_000)]
        answer: String,
    },
    /// Write a module's file oneself: its next version, tested like any other.
    EditFile {
        /// The file, as the list of files names it.
        #[schema(min_length = 1, max_length = 300)]
        path: String,
        /// The whole file.
        #[schema(pattern = "\\S", max_length = 262_144)]
        source: String,
    },
    /// Want no more work on a module.
    SkipModule {
        /// The module.
        #[schema(
            pattern = "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
            max_length = 200
        )]
        module: String,
    },
    /// Let the task rest until it is resumed.
    Pause {},
    /// Let it go on; with larger limits also one that failed at a limit.
    Resume {
        /// Tokens that it may spend.
        #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_u64)]
        budget: Option<Whole>,
        /// Seconds that it may work.
        #[schema(minimum = 0, maximum = 31_536_000)]
        timeout: Option<f64>,
        /// Code versions tried for a module.
        #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000)]
        max_iterations: Option<Whole>,
        /// Another folder for the result, on the server's machine: only for those who sit at it. A task
        /// whose result could not be written goes on with it.
        #[schema(value_type = Option<String>, max_length = 0)]
        out: Option<String>,
    },
    /// End it.
    Cancel {},
}

/// What the members are in all interventions that have them. What is read by its kind cannot say which
/// member is at fault; this can.
#[derive(Deserialize)]
#[allow(dead_code)] // read for its errors
struct Members {
    kind: String,
    instruction: Option<String>,
    question: Option<String>,
    answer: Option<String>,
    path: Option<String>,
    source: Option<String>,
    module: Option<String>,
    budget: Option<Whole>,
    timeout: Option<f64>,
    max_iterations: Option<Whole>,
    out: Option<String>,
}

fn wanted(body: Map<String, Value>) -> Result<NewIntervention, Problem> {
    let body = Value::Object(body);
    part::<Members>(&body)?;
    // Where no member is named, its kind is what is not known.
    part(&body).map_err(|problem: Problem| problem.or_of_field("kind"))
}

/// Do something to a task.
#[utoipa::path(
    post, path = "/tasks/{task_id}/interventions", tag = "tasks", params(TaskPath),
    request_body = NewIntervention, responses((status = 200, body = TaskView)),
)]
pub(crate) async fn intervene(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    headers: HeaderMap,
    Body(body): Body<Map<String, Value>>,
) -> Result<Json<TaskView>, Problem> {
    apply(&app, &caller, &task, body, &headers).await.map(Json)
}

/// Does what a body says, over whichever protocol it came.
pub(crate) async fn apply(
    app: &App,
    caller: &Caller,
    task: &TaskId,
    body: Map<String, Value>,
    headers: &HeaderMap,
) -> Result<TaskView, Problem> {
    app.door.again(caller)?; // a socket is open for long
    caller.may_do()?;
    let intervention = match wanted(body)? {
        NewIntervention::Instruction { instruction } => Intervention::Instruct { instruction },
        NewIntervention::Answer { question, answer } => {
            if let Some(question) = &question
                && question.chars().count() > QUESTION_CHARS_MAX
            {
                let detail =
                    format!("`question` has more than {QUESTION_CHARS_MAX} characters; shorten it");
                return Err(Problem::too_large(detail).of_field("question"));
            }
            Intervention::Answer { question, answer }
        }
        NewIntervention::EditFile { path, source } => Intervention::EditFile { path, source },
        NewIntervention::SkipModule { module } => {
            let named = ModuleName::new(module.as_str());
            let module = named.map_err(|error| Problem::field("module", error.to_string()))?;
            Intervention::SkipModule { module }
        }
        NewIntervention::Pause {} => Intervention::Pause,
        NewIntervention::Cancel {} => Intervention::Cancel,
        NewIntervention::Resume {
            budget,
            timeout,
            max_iterations,
            out,
        } => {
            let out = checked_out(out, caller)?;
            let says_something = budget.is_some() || timeout.is_some() || max_iterations.is_some();
            let new = if says_something {
                let state = app.tasks.current(&caller.principal, task).await?;
                Some(limits(state.limits, budget, timeout, max_iterations)?)
            } else {
                None
            };
            Intervention::Resume { limits: new, out }
        }
    };
    does(app, caller, task, intervention, headers).await
}

async fn does(
    app: &App,
    caller: &Caller,
    task: &TaskId,
    intervention: Intervention,
    headers: &HeaderMap,
) -> Result<TaskView, Problem> {
    let principal = &caller.principal;
    app.tasks.intervene(principal, task, intervention).await?;
    TaskView::now(app, principal, task, headers).await
}

/// Nothing.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// End a task, wherever it is. Again is the same as once.
#[utoipa::path(
    post, path = "/tasks/{task_id}/cancel", tag = "tasks", params(TaskPath),
    request_body = Option<Nothing>, responses((status = 200, body = TaskView)),
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    headers: HeaderMap,
    MaybeBody(Nothing {}): MaybeBody<Nothing>,
) -> Result<Json<TaskView>, Problem> {
    caller.may_do()?;
    does(&app, &caller, &task, Intervention::Cancel, &headers)
        .await
        .map(Json)
}
