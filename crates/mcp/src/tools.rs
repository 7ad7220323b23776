//! The tools, each as a request to the REST API.

use journeyman_api::json::{Object, part};
use journeyman_api::{
    At, Call, Client, DeleteQuery, EventsQuery, FileQuery, ListQuery, NewIntervention, NewTask,
    Position, Problem,
};
use journeyman_event::{TaskId, TraceContext};
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The most bytes of file contents in one response. Further files are listed with `content` null.
const FILES_BYTES_MAX: usize = 256 << 10;

/// The names of tools that other modules need. [`call`] handles `START`; `handler.rs` handles `WAIT`.
pub(crate) const START: &str = "start_coding_task";
pub(crate) const WAIT: &str = "wait_for_task";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskAt {
    task_id: TaskId,
    at: Option<Position>,
    version: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel {
    task_id: TaskId,
    if_version: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delete {
    task_id: TaskId,
    reason: Option<String>,
    if_version: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerTask {
    task_id: TaskId,
    answers: Vec<Object<GivenAnswer>>,
    if_version: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GivenAnswer {
    pub(crate) question: Option<String>,
    pub(crate) answer: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Intervene {
    task_id: TaskId,
    intervention: Value,
    if_version: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetFiles {
    task_id: TaskId,
    path: Option<String>,
    version: Option<u64>,
    at: Option<Position>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetEvents {
    task_id: TaskId,
    after: Option<Position>,
    before: Option<Position>,
    limit: Option<usize>,
    kind: Option<String>,
    module: Option<String>,
    about: Option<Position>,
    data: Option<bool>,
    wait_ms: Option<u64>,
}

/// Parses a tool's arguments.
pub(crate) fn arguments<T: for<'de> Deserialize<'de>>(given: JsonObject) -> Result<T, Problem> {
    part::<Object<T>>(&Value::Object(given)).map(|Object(arguments)| arguments)
}

/// Calls a tool; `None` if the tool does not exist.
pub(crate) async fn call(
    api: &Client,
    name: &str,
    given: JsonObject,
    trace: Option<TraceContext>,
) -> Option<Result<Value, Problem>> {
    Some(match name {
        START => start(api, given, trace).await,
        "get_task_status" => status(api, given).await,
        "answer_questions" => answer(api, given).await,
        "intervene" => intervene(api, given).await,
        "cancel_task" => cancel(api, given).await,
        "delete_task" => delete(api, given).await,
        "list_tasks" => list(api, given).await,
        "get_files" => files(api, given).await,
        "get_events" => events(api, given).await,
        _ => return None,
    })
}

async fn start(
    api: &Client,
    given: JsonObject,
    trace: Option<TraceContext>,
) -> Result<Value, Problem> {
    for absent in ["model", "out", "webhook"] {
        if given.contains_key(absent) {
            let problem = Problem::field(
                absent,
                format!("`{absent}` is not supported over MCP; leave it out"),
            );
            return Err(problem);
        }
    }
    let task: NewTask = arguments(given)?;
    let call = Call::submit(&task).traced(trace);
    Ok(api.call(call.as_json()).await?)
}

async fn status(api: &Client, given: JsonObject) -> Result<Value, Problem> {
    let TaskAt {
        task_id,
        at,
        version,
    } = arguments(given)?;
    let Some(version) = version else {
        return look(api, &task_id, at).await;
    };
    if at.is_some() {
        let words = "`at` and `version` both select a state of the task; leave one of them out";
        return Err(Problem::field("version", words));
    }
    let call = Call::task_at_version(&task_id, version);
    Ok(api.call(call.as_json()).await?)
}

/// A task, as it is or as it was.
pub(crate) async fn look(
    api: &Client,
    task: &TaskId,
    at: Option<Position>,
) -> Result<Value, Problem> {
    let call = Call::task(task, at.map(Position::sequence));
    Ok(api.call(call.as_json()).await?)
}

async fn answer(api: &Client, given: JsonObject) -> Result<Value, Problem> {
    let AnswerTask {
        task_id,
        answers,
        mut if_version,
    } = arguments(given)?;
    let mut view = Value::Null;
    if answers.is_empty() {
        return Err(Problem::field(
            "answers",
            "`answers` is empty; give at least one answer",
        ));
    }
    for Object(given) in answers {
        // Only the first answer checks the version, because each answer changes it.
        view = answer_one(api, &task_id, &given, if_version.take()).await?;
    }
    Ok(view)
}

/// Answers one question, only if the task has this version where one is named.
pub(crate) async fn answer_one(
    api: &Client,
    task: &TaskId,
    given: &GivenAnswer,
    if_version: Option<u64>,
) -> Result<Value, Problem> {
    let answer = NewIntervention::Answer {
        question: given.question.clone(),
        answer: given.answer.clone(),
    };
    tell(api, task, &answer, if_version).await
}

/// Sends an intervention. With `if_version`, only if the task still has that version.
pub(crate) async fn tell(
    api: &Client,
    task: &TaskId,
    intervention: &NewIntervention,
    if_version: Option<u64>,
) -> Result<Value, Problem> {
    let call = Call::intervene(task, intervention).only_at(if_version);
    Ok(api.call(call.as_json()).await?)
}

async fn intervene(api: &Client, given: JsonObject) -> Result<Value, Problem> {
    let Intervene {
        task_id,
        intervention,
        if_version,
    } = arguments(given)?;
    let intervention = NewIntervention::read(&intervention)?;
    tell(api, &task_id, &intervention, if_version).await
}

async fn cancel(api: &Client, given: JsonObject) -> Result<Value, Problem> {
    let Cancel {
        task_id,
        if_version,
    } = arguments(given)?;
    cancel_one(api, &task_id, if_version).await
}

/// Ends a task, only if it has this version where one is named.
pub(crate) async fn cancel_one(
    api: &Client,
    task: &TaskId,
    if_version: Option<u64>,
) -> Result<Value, Problem> {
    let call = Call::cancel(task).only_at(if_version);
    Ok(api.call(call.as_json()).await?)
}

async fn delete(api: &Client, given: JsonObject) -> Result<Value, Problem> {
    let Delete {
        task_id,
        reason,
        if_version,
    } = arguments(given)?;
    let query = DeleteQuery { reason };
    let call = Call::delete(&task_id, &query).only_at(if_version);
    Ok(api.call(call.as_json()).await?)
}

async fn list(api: &Client, given: JsonObject) -> Result<Value, Problem> {
    let query: ListQuery = arguments(given)?;
    Ok(api.call(Call::tasks(&query).as_json()).await?)
}

async fn files(api: &Client, given: JsonObject) -> Result<Value, Problem> {
    let GetFiles {
        task_id,
        path,
        version,
        at,
    } = arguments(given)?;
    let list = Call::files(&task_id, at.map(Position::sequence));
    let list = api.call(list.as_json()).await?;
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
        return Err(Problem::not_found(detail));
    }
    let mut room = FILES_BYTES_MAX;
    let mut files = Vec::new();
    for (name, mut file) in latest {
        let bytes = file["bytes"].as_u64().unwrap_or(u64::MAX);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        file["content"] = if path.is_some() || bytes <= room {
            room = room.saturating_sub(bytes);
            let version = file["version"].as_u64();
            let one = Call::file(
                &task_id,
                &name,
                &FileQuery {
                    version,
                    at: at.map(At::Position),
                },
            );
            json!(api.text(one).await?)
        } else {
            Value::Null
        };
        files.push(file);
    }
    Ok(json!({ "files": files }))
}

async fn events(api: &Client, given: JsonObject) -> Result<Value, Problem> {
    let GetEvents {
        task_id,
        after,
        before,
        limit,
        kind,
        module,
        about,
        data,
        wait_ms,
    } = arguments(given)?;
    let query = EventsQuery {
        after,
        before,
        limit,
        kind,
        module,
        actor: None,
        about,
        data,
        wait_ms,
    };
    Ok(api.call(Call::events(&task_id, &query).as_json()).await?)
}
