//! Tasks as resources: `task://{task_id}`, its files, events, prompts and graph.

use journeyman_api::limits::PAGE_MAX;
use journeyman_api::{
    Call, Client, EventsQuery, FileQuery, GraphQuery, ListQuery, Position, Problem,
};
use journeyman_event::{Sequence, TaskId};
use percent_encoding::percent_decode_str;
use rmcp::model::{
    ListResourcesResult, MetaObject, ReadResourceResult, Resource, ResourceContents,
    ResourceTemplate,
};
use rmcp::{ErrorData, Peer, RoleServer};
use serde_json::{Value, json};

use crate::handler::internal;
use crate::tools::look;
use crate::wait::is_settled;

const SCHEME: &str = "task://";
const JSON: &str = "application/json";
/// The names under which resources carry their version and their entity tag (`_meta`).
const VERSION: &str = "journeyman/version";
const ETAG: &str = "journeyman/etag";
const SVG: &str = "image/svg+xml";
/// How long one look for changes is, in milliseconds.
const LOOK_MS: u64 = 45_000;
/// Tasks on a page of resources.
const PAGE: usize = 50;

/// What a resource's URI refers to.
#[derive(Debug, PartialEq, Eq)]
enum What {
    Task,
    Files,
    File(String),
    Events,
    Context,
    Graph,
    Drawing,
}

fn parse(uri: &str) -> Option<(TaskId, What)> {
    let rest = uri.strip_prefix(SCHEME)?;
    let (task, what) = rest.split_once('/').unwrap_or((rest, ""));
    let task = TaskId::new(task).ok()?;
    let what = match what {
        "" => What::Task,
        "files" => What::Files,
        "events" => What::Events,
        "context" => What::Context,
        "graph" => What::Graph,
        "graph.svg" => What::Drawing,
        _ => {
            let path = what.strip_prefix("files/")?;
            let path = percent_decode_str(path).decode_utf8().ok()?.into_owned();
            if path.split('/').any(|part| ["", ".", ".."].contains(&part)) {
                return None; // clients of HTTP make another address of it
            }
            What::File(path)
        }
    };
    Some((task, what))
}

/// The URI templates for the resources of a task.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let template = |uri: &str, name: &str, words: &str, kind: &str| {
        ResourceTemplate::new(uri, name)
            .with_description(words)
            .with_mime_type(kind)
    };
    vec![
        template(
            "task://{task_id}",
            "task",
            "A task: its status, modules, questions and result.",
            JSON,
        ),
        template(
            "task://{task_id}/files",
            "files",
            "The list of a task's files, every version of each.",
            JSON,
        ),
        template(
            "task://{task_id}/files/{+path}",
            "file",
            "One file of a task, in its latest version.",
            "text/plain",
        ),
        template(
            "task://{task_id}/events",
            "events",
            "The newest events of a task.",
            JSON,
        ),
        template(
            "task://{task_id}/context",
            "context",
            "The exact messages of the last model call.",
            JSON,
        ),
        template(
            "task://{task_id}/graph",
            "graph",
            "What is known of a task: its modules, functions, tests, failures and decisions, and how they are related.",
            JSON,
        ),
        template(
            "task://{task_id}/graph.svg",
            "drawing",
            "The graph of a task, drawn.",
            SVG,
        ),
    ]
}

/// A page of tasks.
pub(crate) async fn list(
    api: &Client,
    before: Option<Position>,
) -> Result<ListResourcesResult, Problem> {
    let query = ListQuery {
        before,
        limit: Some(PAGE),
        ..ListQuery::default()
    };
    let page = api.call(Call::tasks(&query).as_json()).await?;
    let tasks = page["tasks"].as_array().into_iter().flatten();
    let resources = tasks.filter_map(|task| {
        let id = task["task_id"].as_str()?;
        let words = format!(
            "{}: {}",
            task["status"].as_str().unwrap_or_default(),
            task["prompt"].as_str().unwrap_or_default()
        );
        let resource = Resource::new(format!("{SCHEME}{id}"), id)
            .with_description(words)
            .with_mime_type(JSON);
        Some(resource.with_meta(meta(task["revision"].as_u64(), None)))
    });
    Ok(ListResourcesResult {
        resources: resources.collect(),
        next_cursor: page["next"].as_u64().map(|next| next.to_string()),
        ..ListResourcesResult::default()
    })
}

/// Reads a resource.
pub(crate) async fn read(api: &Client, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let none =
        || ErrorData::resource_not_found(format!("there is no {uri}"), Some(json!({"uri": uri})));
    let (task, what) = parse(uri).ok_or_else(none)?;
    let with_data = EventsQuery {
        data: Some(true),
        ..EventsQuery::default()
    };
    let (call, kind) = match &what {
        What::Task => (Call::task(&task, None).as_text(), JSON),
        What::Files => (Call::files(&task, None).as_text(), JSON),
        What::File(file) => (Call::file(&task, file, &FileQuery::default()), "text/plain"),
        What::Events => (Call::events(&task, &with_data).as_text(), JSON),
        What::Context => (Call::context(&task, None).as_text(), JSON),
        What::Graph => {
            let whole = GraphQuery::default();
            (Call::graph(&task, &whole).as_text(), JSON)
        }
        What::Drawing => (Call::graph_svg(&task, None), SVG),
    };
    let found = api
        .tagged(call)
        .await
        .map_err(|error| match error.status() {
            Some(404) => none(),
            Some(410) => {
                ErrorData::resource_not_found(error.to_string(), Some(json!({"uri": uri})))
            }
            _ => internal(error.into()),
        })?;
    let version = match what {
        What::Task => version_in(&found.text),
        What::Files
        | What::File(_)
        | What::Events
        | What::Context
        | What::Graph
        | What::Drawing => None,
    };
    let contents = ResourceContents::text(found.text, uri).with_mime_type(kind);
    let meta = meta(version, found.etag);
    Ok(ReadResourceResult::new(vec![contents.with_meta(meta)]))
}

/// The version of a task in what is answered of it.
fn version_in(task: &str) -> Option<u64> {
    let task: Value = serde_json::from_str(task).ok()?;
    task["revision"].as_u64()
}

/// What there is to say of a resource beside its text: the version that its task has, and the entity tag by which two readings
/// are the same.
fn meta(version: Option<u64>, etag: Option<String>) -> MetaObject {
    let version = version.map(|version| (VERSION.to_owned(), json!(version)));
    let etag = etag.map(|etag| (ETAG.to_owned(), json!(etag)));
    MetaObject(version.into_iter().chain(etag).collect())
}

/// What a task is called that begins so, or a file of the task.
pub(crate) async fn complete(
    api: &Client,
    argument: &str,
    begun: &str,
    task: Option<&str>,
) -> Result<Vec<String>, Problem> {
    let begins = |name: &&str| name.starts_with(begun);
    let names = |list: &Value, member: &str| -> Vec<String> {
        let items = list.as_array().into_iter().flatten();
        let mut names: Vec<String> = items
            .filter_map(|item| item[member].as_str())
            .filter(begins)
            .map(str::to_owned)
            .collect();
        names.dedup();
        names
    };
    match (argument, task.map(TaskId::new)) {
        ("task_id", _) => {
            let query = ListQuery {
                limit: Some(PAGE_MAX),
                ..ListQuery::default()
            };
            let page = api.call(Call::tasks(&query).as_json()).await?;
            Ok(names(&page["tasks"], "task_id"))
        }
        ("path", Some(Ok(task))) => match api.call(Call::files(&task, None).as_json()).await {
            Ok(list) => Ok(names(&list["files"], "path")),
            Err(error) if matches!(error.status(), Some(404 | 410)) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        },
        _ => Ok(Vec::new()),
    }
}

/// Waits for changes of a resource from now on and reports each. Ends with the task, or when there is no
/// listener any more.
pub(crate) async fn watch<F>(api: &Client, uri: &str, tell: impl Fn() -> F)
where
    F: Future<Output = bool>,
{
    let Some((task, _)) = parse(uri) else {
        return;
    };
    let Ok(mut view) = look(api, &task, None).await else {
        return;
    };
    while !is_settled(&view) || view["status"] == "paused" {
        let query = EventsQuery {
            after: view["sequence"].as_u64().map(|at| Sequence(at).into()),
            wait_ms: Some(LOOK_MS),
            limit: Some(1),
            ..EventsQuery::default()
        };
        let Ok(page) = api.call(Call::events(&task, &query).as_json()).await else {
            return;
        };
        let changed = page["events"]
            .as_array()
            .is_some_and(|events| !events.is_empty());
        let Ok(now) = look(api, &task, None).await else {
            return;
        };
        view = now;
        if changed && !tell().await {
            return;
        }
    }
}

/// Notifies a client of a revision before 2026-07-28 of a change.
pub(crate) async fn tell_peer(peer: &Peer<RoleServer>, uri: &str) -> bool {
    let changed = rmcp::model::ResourceUpdatedNotificationParam::new(uri);
    peer.notify_resource_updated(changed).await.is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_task_and_what_of_it() {
        let of = |uri| parse(uri).map(|(task, what)| (task.to_string(), what));
        assert_eq!(of("task://t-1"), Some(("t-1".to_owned(), What::Task)));
        assert_eq!(
            of("task://t-1/files/a%20b/c.py"),
            Some(("t-1".to_owned(), What::File("a b/c.py".to_owned())))
        );
        assert_eq!(
            of("task://t-1/events"),
            Some(("t-1".to_owned(), What::Events))
        );
        for bad in [
            "file:///etc/passwd",
            "task://",
            "task://../x",
            "task://t-1/other",
            "task://t-1/files/../events",
            "task://t-1/files/%2e%2e/events",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
