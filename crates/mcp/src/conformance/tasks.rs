//! The suites' tools that run as tasks of the protocol (SEP-2663). These tasks are kept in memory, separate from
//! the tasks of the journal.

use std::time::Duration;

use futures_util::future::try_join_all;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
    CreateTaskResult,
};
use rmcp::service::RequestContext;
use rmcp::task_manager::{TaskContext, TaskExit, TaskOptions};
use rmcp::{ErrorData, RoleServer};
use serde_json::Value;

use super::Fixtures;
use super::input::{self, Ask, CallProgress, Round, State, Steps, answer};

/// Whether a call becomes a task.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TaskSupport {
    /// It never does.
    Forbidden,
    /// It does if the client supports tasks.
    Optional,
    /// It always does; the call fails if the client does not support tasks.
    Required,
}

/// How a call ends.
#[derive(Clone, Copy)]
enum Outcome {
    /// The tool returns a result.
    Success,
    /// The tool returns a result that reports an error.
    ToolError,
    /// The call is answered with a JSON-RPC error.
    ProtocolError,
}

struct Job {
    name: &'static str,
    words: &'static str,
    task_support: TaskSupport,
    /// A request made before the task is created.
    before: Option<Steps>,
    /// A request made by the task at its start.
    during: Round,
    outcome: Outcome,
}

const PLAIN: Job = Job {
    name: "greet",
    words: "Greets at once.",
    task_support: TaskSupport::Forbidden,
    before: None,
    during: &[],
    outcome: Outcome::Success,
};

const JOBS: &[Job] = &[
    PLAIN,
    Job {
        name: "slow_compute",
        words: "Takes so many seconds.",
        task_support: TaskSupport::Optional,
        ..PLAIN
    },
    Job {
        name: "failing_job",
        words: "Fails after a while.",
        task_support: TaskSupport::Required,
        outcome: Outcome::ToolError,
        ..PLAIN
    },
    Job {
        name: "protocol_error_job",
        words: "Breaks after a while.",
        task_support: TaskSupport::Optional,
        outcome: Outcome::ProtocolError,
        ..PLAIN
    },
    Job {
        name: "confirm_delete",
        words: "Asks before it goes on.",
        task_support: TaskSupport::Required,
        during: &[("confirm", Ask::User("Delete it?", "confirm", "boolean"))],
        ..PLAIN
    },
    Job {
        name: "multi_input",
        words: "Asks two things before it goes on.",
        task_support: TaskSupport::Required,
        during: &[
            ("first", Ask::User("The first value?", "value", "string")),
            ("second", Ask::User("The second value?", "value", "string")),
        ],
        ..PLAIN
    },
    Job {
        name: "test_tool_with_task",
        words: "Asks, and then becomes a task.",
        task_support: TaskSupport::Required,
        before: Some(Steps {
            rounds: &[&[input::NAME]],
            state: State::None,
            words: "Hello",
        }),
        ..PLAIN
    },
];
/// The default duration.
const SECONDS: f64 = 0.2;
const SECONDS_MAX: f64 = 60.0;

/// The names and descriptions of the tools.
pub(super) fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    JOBS.iter().map(|job| (job.name, job.words))
}

/// Calls a tool; `None` if it is not one of these.
pub(super) async fn call(
    fixtures: &Fixtures,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Option<Result<CallToolResponse, ErrorData>> {
    let job = JOBS.iter().find(|job| job.name == request.name)?;
    Some(start(fixtures, job, request, context).await)
}

async fn start(
    fixtures: &Fixtures,
    job: &'static Job,
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let client = context.client_capabilities().unwrap_or_default();
    if job.task_support == TaskSupport::Required && !client.supports_tasks() {
        let wanted = ClientCapabilities::builder().enable_tasks().build();
        return Err(ErrorData::missing_required_client_capability(wanted));
    }
    let given = |name: &str| request.arguments.as_ref().and_then(|all| all.get(name));
    let words = match &job.before {
        None => {
            let name = given("name").and_then(Value::as_str);
            name.map_or_else(
                || "It is done.".to_owned(),
                |name| format!("Hello, {name}!"),
            )
        }
        Some(steps) => {
            let said = (&request.request_state, &request.input_responses);
            match input::go(&fixtures.codec, steps, said, context)? {
                CallProgress::InputRequired(asks) => return Ok(asks.into()),
                CallProgress::Complete(words) => words,
            }
        }
    };
    if job.task_support == TaskSupport::Forbidden {
        return Ok(CallToolResult::success(vec![ContentBlock::text(words)]).into());
    }
    let seconds = given("seconds").and_then(Value::as_f64).unwrap_or(SECONDS);
    let time = Duration::from_secs_f64(seconds.clamp(0.0, SECONDS_MAX));
    if !client.supports_tasks() {
        return work(job, time, words).await.map(Into::into);
    }
    let task = fixtures.tasks.spawn(TaskOptions::default(), |task| {
        Box::pin(async move {
            tokio::select! {
                () = task.cancelled() => Err(TaskExit::Cancelled),
                result = ask_and_work(job, &task, time, words) => result,
            }
        })
    });
    Ok(CreateTaskResult::new(task).into())
}

async fn ask_and_work(
    job: &Job,
    task: &TaskContext,
    time: Duration,
    mut words: String,
) -> Result<CallToolResult, TaskExit> {
    let asked = job.during.iter().map(|(name, what)| async {
        let request = what.request().map_err(TaskExit::Error)?;
        task.request_input(*name, request).await
    });
    for response in try_join_all(asked).await? {
        words = format!("{words} {}", answer(&response));
    }
    work(job, time, words).await.map_err(TaskExit::Error)
}

async fn work(job: &Job, time: Duration, words: String) -> Result<CallToolResult, ErrorData> {
    tokio::time::sleep(time).await;
    let content = vec![ContentBlock::text(words)];
    match job.outcome {
        Outcome::Success => Ok(CallToolResult::success(content)),
        Outcome::ToolError => Ok(CallToolResult::error(content)),
        Outcome::ProtocolError => Err(ErrorData::internal_error("this tool always breaks", None)),
    }
}
