//! What each tool does: which request of REST it is.

use std::fmt::Write;

use journeyman_event::TaskId;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::api::{Api, Refused};
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
