//! The tools: their names, what they take, and which request of REST each is.

use std::fmt::Write;
use std::sync::Arc;

use journeyman_event::TaskId;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::api::{Api, Refused};
use super::schema::Schemas;
use super::wait::WAIT_SECONDS_MAX;
use crate::body::{Object, part};
use crate::problem::Problem;

/// What stands in an address as it is (RFC 3986, section 2.3).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Bytes of files that one answer brings; of the others it says where they are.
const FILES_BYTES_MAX: usize = 256 << 10;

/// The names of the tools that are answered by [`call`].
pub(super) const START: &str = "start_coding_task";
pub(super) const WAIT: &str = "wait_for_task";

fn task_id() -> Value {
    json!({
        "type": "string",
        "description": "The task's name, as start_coding_task or list_tasks gives it.",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$"
    })
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required})
}

/// All of them.
pub(super) fn all(schemas: &Schemas) -> Vec<Tool> {
    let position = |words: &str| json!({"type": "integer", "minimum": 0, "description": words});
    let reads = || ToolAnnotations::new().read_only(true).open_world(false);
    let does = || {
        ToolAnnotations::new()
            .read_only(false)
            .destructive(false)
            .open_world(false)
    };
    let tool =
        |name: &'static str, title: &str, words: &'static str, input: Value, output: &str| {
            let tool = Tool::new(name, words, schemas.complete(input)).with_title(title);
            tool.with_raw_output_schema(Arc::new(schemas.whole(output)))
        };
    let mut start = schemas.whole("NewTask");
    // Members that make no sense over MCP.
    if let Some(Value::Object(properties)) = start.get_mut("properties") {
        properties.remove("model");
        properties.remove("out");
    }
    // A task of the protocol ends with the task's view, which is an answer of this tool too.
    let mut started = schemas.whole("Accepted");
    if let Some(Value::Array(required)) = started.get_mut("required") {
        required.retain(|member| member != "is_duplicate");
    }
    vec![
        Tool::new(
            START,
            "Gives a coding task to Journeyman: it plans Python modules, writes them, tests them in a sandbox and corrects \
             them until the tests pass. Answers as soon as the task is durable; it goes on in the background and survives \
             crashes. Follow it with wait_for_task, collect the result with get_files.",
            schemas.complete(Value::Object(start)),
        )
        .with_title("Start a coding task")
        .with_raw_output_schema(Arc::new(started))
        .annotate(does()),
        tool(
            "get_task_status",
            "Look at a task",
            "Tells where a task stands: its status, modules, tests, tokens, open questions and how its result was verified.",
            object(
                json!({
                    "task_id": task_id(),
                    "at": position("As it was after the event at this sequence.")
                }),
                &["task_id"],
            ),
            "TaskView",
        )
        .annotate(reads()),
        Tool::new(
            WAIT,
            "Waits until a task has ended or needs an answer, for at most the given time, with progress. Where is_settled \
             is false, call it again: nothing is lost meanwhile.",
            schemas.complete(object(
                json!({
                    "task_id": task_id(),
                    "timeout_seconds": {
                        "type": "number", "minimum": 0, "maximum": WAIT_SECONDS_MAX, "default": 45,
                        "description": "How long to wait at most."
                    }
                }),
                &["task_id"],
            )),
        )
        .with_title("Wait for a task")
        .with_raw_output_schema(Arc::new(schemas.complete(json!({
            "type": "object",
            "properties": {
                "task": Schemas::reference("TaskView"),
                "is_settled": {"type": "boolean", "description": "Whether there is nothing more to wait for."},
                "next": {"type": "string", "description": "What to do now."}
            },
            "required": ["task", "is_settled", "next"]
        }))))
        .annotate(reads()),
        tool(
            "answer_questions",
            "Answer a task's questions",
            "Answers questions that a task asks (its pause is `question`). With the last answer it goes on.",
            object(
                json!({
                    "task_id": task_id(),
                    "answers": {
                        "type": "array", "minItems": 1, "maxItems": 100,
                        "items": object(
                            json!({
                                "question": {"type": "string", "description": "The question's id, such as q1."},
                                "answer": {"type": "string", "pattern": "\\S"}
                            }),
                            &["answer"],
                        )
                    }
                }),
                &["task_id", "answers"],
            ),
            "TaskView",
        )
        .annotate(does()),
        tool(
            "intervene",
            "Intervene in a task",
            "Says something to a task or changes its course: an instruction, a file written by the user, a module to be \
             skipped, pause, resume (with larger limits where one was spent), cancel. It takes effect at the next event.",
            object(
                json!({"task_id": task_id(), "intervention": Schemas::reference("NewIntervention")}),
                &["task_id", "intervention"],
            ),
            "TaskView",
        )
        .annotate(does()),
        tool(
            "cancel_task",
            "Cancel a task",
            "Ends a task. What it wrote so far stays readable.",
            object(json!({"task_id": task_id()}), &["task_id"]),
            "TaskView",
        )
        .annotate(does().destructive(true).idempotent(true)),
        tool(
            "list_tasks",
            "List tasks",
            "Lists your tasks, the one that something happened to last first.",
            object(
                json!({
                    "status": Schemas::reference("StatusWord"),
                    "before": position("Where the next page begins: `next` of the page before."),
                    "limit": {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 50}
                }),
                &[],
            ),
            "TaskPage",
        )
        .annotate(reads()),
        Tool::new(
            "get_files",
            "Gets the files of a task: the latest version of each, or one file, or the files as they were at a sequence. \
             Contents beyond 256 KiB in all are left out; ask for such files one by one.",
            schemas.complete(object(
                json!({
                    "task_id": task_id(),
                    "path": {"type": "string", "description": "Only this file.", "minLength": 1},
                    "version": {"type": "integer", "minimum": 1, "description": "This version of it."},
                    "at": position("As they were after the event at this sequence.")
                }),
                &["task_id"],
            )),
        )
        .with_title("Get a task's files")
        .with_raw_output_schema(Arc::new(schemas.complete(json!({
            "type": "object",
            "properties": {"files": {"type": "array", "items": {
                "type": "object",
                "properties": {
                    "path": {"type": "string"},
                    "version": {"type": ["integer", "null"]},
                    "bytes": {"type": "integer"},
                    "hash": {"type": "string"},
                    "content": {"type": ["string", "null"]}
                },
                "required": ["path", "version", "bytes", "hash", "content"]
            }}},
            "required": ["files"]
        }))))
        .annotate(reads()),
        tool(
            "get_events",
            "Get a task's events",
            "Gets what happened to a task, event by event. `after` is the cursor: the last sequence that you have; with it \
             oldest first, and wait_ms waits for something new. Nothing is missed or repeated, whatever the connection did.",
            object(
                json!({
                    "task_id": task_id(),
                    "after": position("Only events after this sequence, oldest first. Without it: the newest first."),
                    "before": position("Only events before this sequence."),
                    "limit": {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 100},
                    "kind": {"type": "string", "description": "Only events of this kind.", "minLength": 1},
                    "module": {"type": "string", "description": "Only events about this module."},
                    "data": {"type": "boolean", "description": "Whether the payloads are wanted."},
                    "wait_ms": {"type": "integer", "minimum": 0, "maximum": 50_000,
                                "description": "With `after`: how long to wait for something new."}
                }),
                &["task_id"],
            ),
            "EventPage",
        )
        .annotate(reads()),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskAt {
    task_id: TaskId,
    at: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneTask {
    task_id: TaskId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answers {
    task_id: TaskId,
    answers: Vec<Object<GivenAnswer>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenAnswer {
    pub(super) question: Option<String>,
    pub(super) answer: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Intervene {
    task_id: TaskId,
    intervention: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListTasks {
    status: Option<String>,
    before: Option<u64>,
    limit: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetFiles {
    task_id: TaskId,
    path: Option<String>,
    version: Option<u64>,
    at: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetEvents {
    task_id: TaskId,
    after: Option<u64>,
    before: Option<u64>,
    limit: Option<u64>,
    kind: Option<String>,
    module: Option<String>,
    data: Option<bool>,
    wait_ms: Option<u64>,
}

/// What a tool was given, as its own type.
pub(super) fn arguments<T: for<'de> Deserialize<'de>>(given: JsonObject) -> Result<T, Problem> {
    part::<Object<T>>(&Value::Object(given)).map(|Object(arguments)| arguments)
}

/// Calls a tool; none if there is no such tool.
pub(super) async fn call(
    api: &dyn Api,
    name: &str,
    given: JsonObject,
) -> Option<Result<Value, Refused>> {
    Some(match name {
        START => start(api, given).await,
        "get_task_status" => status(api, given).await,
        "answer_questions" => answer(api, given).await,
        "intervene" => intervene(api, given).await,
        "cancel_task" => cancel(api, given).await,
        "list_tasks" => list(api, given).await,
        "get_files" => files(api, given).await,
        "get_events" => events(api, given).await,
        _ => return None,
    })
}

async fn start(api: &dyn Api, given: JsonObject) -> Result<Value, Refused> {
    for absent in ["model", "out"] {
        if given.contains_key(absent) {
            let problem = Problem::field(
                absent,
                format!("`{absent}` is not known here; leave it out"),
            );
            return Err(problem.into());
        }
    }
    api.post("/api/v1/tasks", Value::Object(given)).await
}

async fn status(api: &dyn Api, given: JsonObject) -> Result<Value, Refused> {
    let TaskAt { task_id, at } = arguments(given)?;
    api.get(&with_query(&task_path(&task_id), &[("at", word(at))]))
        .await
}

async fn answer(api: &dyn Api, given: JsonObject) -> Result<Value, Refused> {
    let Answers { task_id, answers } = arguments(given)?;
    let mut view = Value::Null;
    if answers.is_empty() {
        return Err(Problem::field("answers", "`answers` is empty; say what is answered").into());
    }
    for Object(given) in answers {
        view = answer_one(api, &task_id, &given).await?;
    }
    Ok(view)
}

/// Answers one question.
pub(super) async fn answer_one(
    api: &dyn Api,
    task: &TaskId,
    given: &GivenAnswer,
) -> Result<Value, Refused> {
    let mut body = json!({"kind": "answer", "answer": given.answer});
    if let Some(question) = &given.question {
        body["question"] = json!(question);
    }
    tell(api, task, body).await
}

/// Says something to a task.
pub(super) async fn tell(api: &dyn Api, task: &TaskId, body: Value) -> Result<Value, Refused> {
    api.post(&format!("{}/interventions", task_path(task)), body)
        .await
}

async fn intervene(api: &dyn Api, given: JsonObject) -> Result<Value, Refused> {
    let Intervene {
        task_id,
        intervention,
    } = arguments(given)?;
    tell(api, &task_id, intervention).await
}

async fn cancel(api: &dyn Api, given: JsonObject) -> Result<Value, Refused> {
    let OneTask { task_id } = arguments(given)?;
    cancel_one(api, &task_id).await
}

pub(super) async fn cancel_one(api: &dyn Api, task: &TaskId) -> Result<Value, Refused> {
    api.post(&format!("{}/cancel", task_path(task)), json!({}))
        .await
}

async fn list(api: &dyn Api, given: JsonObject) -> Result<Value, Refused> {
    let ListTasks {
        status,
        before,
        limit,
    } = arguments(given)?;
    let query = [
        ("status", status),
        ("before", word(before)),
        ("limit", word(limit)),
    ];
    api.get(&with_query("/api/v1/tasks", &query)).await
}

async fn files(api: &dyn Api, given: JsonObject) -> Result<Value, Refused> {
    let GetFiles {
        task_id,
        path,
        version,
        at,
    } = arguments(given)?;
    let folder = format!("{}/files", task_path(&task_id));
    let list = api.get(&with_query(&folder, &[("at", word(at))])).await?;
    let mut latest: Map<String, Value> = Map::new();
    for file in list["files"].as_array().into_iter().flatten() {
        let name = file["path"].as_str().unwrap_or_default();
        let is_meant = path.as_ref().is_none_or(|path| path == name)
            && version.is_none_or(|version| file["version"] == version);
        if is_meant {
            latest.insert(name.to_owned(), file.clone()); // older versions come first
        }
    }
    if latest.is_empty() && (path.is_some() || version.is_some()) {
        let detail =
            format!("task {task_id} has no such file; get_files without a path lists them");
        return Err(Problem::not_found(detail).into());
    }
    let mut room = FILES_BYTES_MAX;
    let mut files = Vec::new();
    for (name, mut file) in latest {
        let bytes = file["bytes"].as_u64().unwrap_or(u64::MAX);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        file["content"] = if path.is_some() || bytes <= room {
            room = room.saturating_sub(bytes);
            let versions = [
                ("version", word(file["version"].as_u64())),
                ("at", word(at)),
            ];
            let one = with_query(&file_path(&task_id, &name), &versions);
            json!(api.get_text(&one).await?)
        } else {
            Value::Null
        };
        files.push(file);
    }
    Ok(json!({ "files": files }))
}

async fn events(api: &dyn Api, given: JsonObject) -> Result<Value, Refused> {
    let GetEvents {
        task_id,
        after,
        before,
        limit,
        kind,
        module,
        data,
        wait_ms,
    } = arguments(given)?;
    let query = [
        ("after", word(after)),
        ("before", word(before)),
        ("limit", word(limit)),
        ("kind", kind),
        ("module", module),
        ("data", word(data)),
        ("wait_ms", word(wait_ms)),
    ];
    let path = format!("{}/events", task_path(&task_id));
    api.get(&with_query(&path, &query)).await
}

fn word(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// Where REST has a task.
pub(super) fn task_path(task: &TaskId) -> String {
    format!("/api/v1/tasks/{task}")
}

/// Where REST has a file of a task.
pub(super) fn file_path(task: &TaskId, path: &str) -> String {
    let mut address = format!("{}/files", task_path(task));
    for part in path.split('/') {
        let _ = write!(address, "/{}", utf8_percent_encode(part, PLAIN));
    }
    address
}

/// A path with what is asked for of it.
pub(super) fn with_query(path: &str, query: &[(&str, Option<String>)]) -> String {
    let mut address = path.to_owned();
    let mut sign = '?';
    for (name, value) in query {
        if let Some(value) = value {
            let _ = write!(
                address,
                "{sign}{name}={}",
                utf8_percent_encode(value, PLAIN)
            );
            sign = '&';
        }
    }
    address
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_says_what_it_takes_and_gives() {
        let tools = all(&Schemas::new());
        assert_eq!(tools.len(), 9);
        for tool in tools {
            let input = Value::Object((*tool.input_schema).clone());
            let output = Value::Object((*tool.output_schema.unwrap()).clone());
            assert_eq!(input["type"], "object", "{}", tool.name);
            assert_eq!(output["type"], "object", "{}", tool.name);
            assert!(!input.to_string().contains("#/components"), "{input}");
            assert!(tool.description.unwrap().len() > 20, "{}", tool.name);
        }
    }

    #[test]
    fn what_stands_in_an_address_is_escaped() {
        let task = TaskId::new("t-1").unwrap();
        assert_eq!(
            file_path(&task, "a b/../c?.py"),
            "/api/v1/tasks/t-1/files/a%20b/../c%3F.py"
        );
        let query = [("kind", Some("a&b=c".to_owned())), ("limit", None)];
        assert_eq!(with_query("/x", &query), "/x?kind=a%26b%3Dc");
    }
}
