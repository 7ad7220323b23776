//! Waits for a task with progress reports, for less time than clients wait for a response, and passes the task's
//! questions to the user in the way that the protocol revision supports.

use std::collections::BTreeMap;
use std::time::Duration;

use journeyman_api::limits::{PAGE_MAX, TEXT_CHARS_MAX};
use journeyman_api::{Call, Client, EventsQuery, NewIntervention, Position, Problem};
use journeyman_event::{Sequence, TaskId};
use rmcp::model::{
    ElicitRequest, ElicitRequestParams, ElicitationAction, ElicitationSchema, InputRequest,
    InputRequests, InputResponses, LoggingLevel, PrimitiveSchemaDefinition,
    ProgressNotificationParam, StringSchema,
};
use rmcp::service::RequestContext;
use rmcp::{Peer, RoleServer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::session::{Session, is_modern};
use crate::tools::{GivenAnswer, answer_one, look, tell};

/// Clients give up after a minute, and REST waits at most 50 s for an event. Before that they get a result from
/// which they can continue.
pub(crate) const WAIT_SECONDS_MAX: f64 = 49.0;
const WAIT_SECONDS: f64 = 45.0;
/// The intervention that resumes a task unchanged.
const RESUME: NewIntervention = NewIntervention::Resume {
    budget: None,
    timeout: None,
    max_iterations: None,
    out: None,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitFor {
    task_id: TaskId,
    timeout_seconds: Option<f64>,
}

/// The result of waiting.
pub(crate) enum WaitOutcome {
    /// A result to return.
    Told(Value),
    /// The client must ask its user and call again with this state.
    Asks(InputRequests, String),
}

/// How a client lets its user be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AskMethod {
    /// By a request from the server while the client's own request is in progress (before 2026-07-28).
    Elicit,
    /// By a result that says what input is missing (2026-07-28).
    Answer,
    /// It does not support that.
    None,
}

impl AskMethod {
    fn of(context: &RequestContext<RoleServer>) -> Self {
        let capabilities = context.client_capabilities();
        if capabilities.is_none_or(|capabilities| capabilities.elicitation.is_none()) {
            return Self::None;
        }
        if is_modern(context) {
            Self::Answer
        } else {
            Self::Elicit
        }
    }
}

pub(crate) fn is_settled(view: &Value) -> bool {
    let status = view["status"].as_str().unwrap_or_default();
    ["complete", "failed", "cancelled"].contains(&status) || waits_for_user(view)
}

fn waits_for_user(view: &Value) -> bool {
    let pause = view["pause"].as_str().unwrap_or_default();
    ["question", "user"].contains(&pause)
}

pub(crate) fn asks(view: &Value) -> bool {
    view["pause"] == "question"
}

/// The open questions of a task: id and text.
fn questions(view: &Value) -> impl Iterator<Item = (&str, &str)> {
    let all = view["questions"].as_array().into_iter().flatten();
    all.filter(|question| question["is_open"] == true)
        .filter_map(|question| Some((question["id"].as_str()?, question["text"].as_str()?)))
}

/// What a client should do about a task in this state.
fn next(view: &Value) -> &'static str {
    match view["status"].as_str().unwrap_or_default() {
        "complete" if view["answer"].is_string() => {
            "It was a question: `answer` is what the model says, and nothing of it was run or checked."
        }
        "complete" => "It is done: get_files has the result.",
        "failed" => "It has failed; `result` says why. get_files has what there is.",
        "cancelled" => "It was cancelled.",
        _ if asks(view) => {
            "It asks something: answer_questions answers, or intervene with {\"kind\":\"resume\"} lets it go on without."
        }
        _ if waits_for_user(view) => {
            "It was paused: intervene with {\"kind\":\"resume\"} lets it go on."
        }
        _ => "It goes on: call wait_for_task again.",
    }
}

/// A task's questions as input requests for the client's user.
pub(crate) fn input_requests(view: &Value) -> InputRequests {
    questions(view)
        .map(|(id, text)| {
            let form = form([("answer", text)]);
            let request = ElicitRequest::new(params(text.to_owned(), form));
            (id.to_owned(), InputRequest::Elicitation(request))
        })
        .collect()
}

fn params(message: String, requested_schema: ElicitationSchema) -> ElicitRequestParams {
    ElicitRequestParams::FormElicitationParams {
        meta: None,
        message,
        requested_schema,
    }
}

/// A form with one text field per question.
fn form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> ElicitationSchema {
    let mut properties = BTreeMap::new();
    for (name, text) in fields {
        let line = StringSchema::new()
            .description(text.to_owned())
            .min_length(1)
            .max_length(u32::try_from(TEXT_CHARS_MAX).unwrap_or(u32::MAX));
        properties.insert(name.to_owned(), PrimitiveSchemaDefinition::String(line));
    }
    let required = properties.keys().cloned().collect();
    ElicitationSchema::new(properties).with_required(required)
}

/// Processes the user's responses to [`input_requests`]. Missing or empty ones are asked again.
pub(crate) async fn take_responses(
    api: &Client,
    task: &TaskId,
    view: &Value,
    responses: &InputResponses,
) -> Result<(), Problem> {
    let mut declined = false;
    for (id, _) in questions(view) {
        let Some(response) = responses.get(id) else {
            continue;
        };
        match response["action"].as_str() {
            Some("decline") => declined = true,
            Some("accept") => {
                pass_on(api, task, id, &response["content"]["answer"]).await?;
            }
            _ => {}
        }
    }
    if declined {
        tell(api, task, &RESUME, None).await?;
    }
    Ok(())
}

/// Passes the user's answer to a question on. Returns false for an empty or blank answer.
async fn pass_on(
    api: &Client,
    task: &TaskId,
    question: &str,
    said: &Value,
) -> Result<bool, Problem> {
    let Some(answer) = said.as_str().filter(|answer| !answer.trim().is_empty()) else {
        return Ok(false);
    };
    let given = GivenAnswer {
        question: Some(question.to_owned()),
        answer: answer.to_owned(),
    };
    answer_one(api, task, &given, None).await?;
    Ok(true)
}

/// Waits for a task.
pub(crate) async fn wait(
    api: &Client,
    session: &Session,
    context: &RequestContext<RoleServer>,
    stopped: impl Future<Output = ()>,
    WaitFor {
        task_id,
        timeout_seconds,
    }: WaitFor,
    responses: Option<InputResponses>,
    state: Option<String>,
) -> Result<WaitOutcome, Problem> {
    let seconds = timeout_seconds.unwrap_or(WAIT_SECONDS);
    if !(0.0..=WAIT_SECONDS_MAX).contains(&seconds) {
        let detail = format!("`timeout_seconds` is a number from 0 to {WAIT_SECONDS_MAX}");
        return Err(Problem::field("timeout_seconds", detail));
    }
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    tokio::pin!(stopped);
    let way = AskMethod::of(context);
    let mut view = look(api, &task_id, None).await?;
    let last = state.and_then(|state| state.parse::<u64>().ok());
    let mut seen = Sequence(last.or(view["sequence"].as_u64()).unwrap_or_default());
    if let Some(responses) = responses {
        take_responses(api, &task_id, &view, &responses).await?;
        view = look(api, &task_id, None).await?;
    }
    loop {
        if asks(&view) && way == AskMethod::Answer {
            tell_events(api, session, context, &task_id, &mut seen, 0).await?;
            return Ok(WaitOutcome::Asks(input_requests(&view), seen.to_string()));
        }
        let left = until.saturating_duration_since(Instant::now());
        let mut goes_on = !is_settled(&view) && !left.is_zero();
        if asks(&view) && way == AskMethod::Elicit {
            goes_on = elicit(api, &context.peer, &task_id, &view, until).await?;
            view = look(api, &task_id, None).await?;
        } else if goes_on {
            drop(view); // many may wait, and long
            let ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            tokio::select! {
                biased;
                // While there is time to say so; the task is durable, and the client calls again.
                () = &mut stopped => goes_on = false,
                told = tell_events(api, session, context, &task_id, &mut seen, ms.max(1)) => told?,
                () = context.ct.cancelled() => goes_on = false,
            }
            view = look(api, &task_id, None).await?;
        }
        if !goes_on {
            tell_events(api, session, context, &task_id, &mut seen, 0).await?; // what the last look has too
            return Ok(WaitOutcome::Told(json!({
                "is_settled": is_settled(&view),
                "next": next(&view),
                "task": view,
            })));
        }
    }
}

/// Asks the client's user. Returns whether that changed anything.
async fn elicit(
    api: &Client,
    peer: &Peer<RoleServer>,
    task: &TaskId,
    view: &Value,
    until: Instant,
) -> Result<bool, Problem> {
    let asked: Vec<(&str, &str)> = questions(view).collect();
    let message = format!("Task {task} asks before it plans.");
    let form = form(asked.iter().copied());
    let left = until.saturating_duration_since(Instant::now());
    let said = peer.create_elicitation_with_timeout(params(message, form), Some(left));
    let Ok(said) = said.await else {
        return Ok(false); // no time, or no client any more: it may answer in another way
    };
    match said.action {
        ElicitationAction::Decline => {
            tell(api, task, &RESUME, None).await?;
            Ok(true)
        }
        ElicitationAction::Accept => {
            let content = said.content.unwrap_or_default();
            let mut changed = false;
            for (id, _) in asked {
                changed |= pass_on(api, task, id, &content[id]).await?;
            }
            Ok(changed)
        }
        _ => Ok(false),
    }
}

/// Sends a client the events of a task after a position, as soon as there are some, and advances the position.
async fn tell_events(
    api: &Client,
    session: &Session,
    context: &RequestContext<RoleServer>,
    task: &TaskId,
    seen: &mut Sequence,
    wait_ms: u64,
) -> Result<(), Problem> {
    let mut wait_ms = Some(wait_ms).filter(|ms| *ms > 0);
    loop {
        let query = EventsQuery {
            after: Some(Position::from(*seen)),
            wait_ms: wait_ms.take(),
            limit: Some(PAGE_MAX),
            ..EventsQuery::default()
        };
        let page = api.call(Call::events(task, &query).as_json()).await?;
        for event in page["events"].as_array().into_iter().flatten() {
            tell_progress(session, context, event).await;
            *seen = event["sequence"].as_u64().map_or(*seen, Sequence);
        }
        if page["next"].is_null() {
            return Ok(());
        }
    }
}

/// Reports an event to a client as progress, if it wants that, and as a line in its log.
async fn tell_progress(session: &Session, context: &RequestContext<RoleServer>, event: &Value) {
    let kind = event["kind"].as_str().unwrap_or_default();
    let message = match event["module"].as_str() {
        Some(module) => format!("{} {module}", kind.replace('_', " ")),
        None => kind.replace('_', " "),
    };
    if let Some(token) = context.meta.get_progress_token() {
        // The number of the task's events: it grows with each.
        let progress = event["revision"].as_f64().unwrap_or_default();
        let told = ProgressNotificationParam::new(token, progress).with_message(message.clone());
        let _ = context.peer.notify_progress(told).await; // a client that is gone needs none
    }
    let level = match kind {
        "task_failed" | "output_failed" => LoggingLevel::Error,
        "model_call_failed" | "answer_rejected" | "planning_rejected" | "effect_retried" => {
            LoggingLevel::Warning
        }
        "task_complete" | "module_complete" | "test_failed" => LoggingLevel::Notice,
        _ => LoggingLevel::Info,
    };
    let data =
        json!({"task_id": event["task_id"], "sequence": event["sequence"], "event": message});
    session.log(context, level, data).await;
}
