//! The client of `api` against the server: every call has an address here, and every answer is what its type
//! says, no more and no less.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use journeyman_api::json::{Object, Whole};
use journeyman_api::{
    Call, Client, ContextDiffQuery, DeleteQuery, EventsQuery, FileQuery, ForkQuery, ForkTask,
    GraphQuery, HttpTransport, LinesQuery, ListQuery, MetricsQuery, NewIntervention, NewTask,
    QueueChange, Request, RetryTask, SearchQuery, StatusWord, SummaryQuery, ToolCalls, ToolStep,
};
use journeyman_event::payload::TaskSubmitted;
use journeyman_event::{ContentHash, Sequence, TaskId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const SUBMITTED: Sequence = Sequence(1);

fn task() -> TaskId {
    TaskId::new("t-1").unwrap()
}

fn new(task: &TaskId) -> NewTask {
    NewTask::of(task, &TaskSubmitted::of("Make a thing"))
}

fn said(instruction: &str) -> NewIntervention {
    NewIntervention::Instruction {
        instruction: instruction.to_owned(),
    }
}

fn search(words: &str) -> SearchQuery {
    SearchQuery {
        words: words.to_owned(),
        limit: None,
    }
}

/// The answer to a call, which is its type's JSON, member by member.
async fn exact<A: Serialize + DeserializeOwned>(
    client: &Client<HttpTransport>,
    call: Call<A>,
) -> A {
    let asked = call.request().clone();
    let text = client.text(call.as_text()).await.unwrap();
    let answer: A = serde_json::from_str(&text).unwrap();
    let read = serde_json::to_value(&answer).unwrap();
    let sent: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read, sent, "{asked:?}");
    answer
}

#[tokio::test]
async fn every_answer_is_what_its_type_says() {
    let served = common::serve(|_| {}).await;
    let (client, task) = (served.client(), task());
    let accepted = exact(&client, Call::submit(&new(&task))).await;
    assert_eq!((accepted.task_id.as_str(), accepted.sequence), ("t-1", 1));
    let view = exact(&client, Call::intervene(&task, &said("be brief"))).await;
    assert_eq!(view.instructions, ["be brief"]);
    let before = exact(&client, Call::task(&task, Some(SUBMITTED))).await;
    assert!(before.instructions.is_empty());
    let retried = exact(&client, Call::retry(&task, &RetryTask::default())).await;
    let changes = ForkTask {
        prompt: Some("Make another thing".to_owned()),
        budget: Some(Whole(1_000)),
        ..ForkTask::default()
    };
    let from = ForkQuery::at(SUBMITTED);
    let forked = exact(&client, Call::fork(&task, &from, &changes)).await;
    let forked = TaskId::new(forked.task_id).unwrap();
    assert_eq!(
        exact(&client, Call::task(&forked, None)).await.tokens_max,
        1_000
    );
    let cancelled = exact(&client, Call::cancel(&forked)).await;
    assert_eq!(cancelled.status, StatusWord::Cancelled);
    let query = ListQuery {
        limit: Some(2),
        ..ListQuery::default()
    };
    let page = exact(&client, Call::tasks(&query)).await;
    let names: Vec<&str> = page
        .tasks
        .iter()
        .map(|task| task.task_id.as_str())
        .collect();
    assert_eq!(names, [forked.as_str(), &retried.task_id]);
    let rest = ListQuery {
        before: page.next.map(|next| Sequence(next).into()),
        ..ListQuery::default()
    };
    assert_eq!(
        exact(&client, Call::tasks(&rest)).await.tasks[0].task_id,
        "t-1"
    );
    let query = EventsQuery {
        after: Some(Sequence::ZERO.into()),
        data: Some(true),
        ..EventsQuery::default()
    };
    let events = exact(&client, Call::events(&task, &query)).await.events;
    assert_eq!(events[1].kind, "user_intervention");
    assert!(events[1].data.as_ref().unwrap().get().contains("be brief"));
    assert!(
        exact(&client, Call::files(&task, None))
            .await
            .files
            .is_empty()
    );
    let query = GraphQuery {
        focus: Some("t-1".to_owned()),
        search: Some("thing brief".to_owned()),
        ..GraphQuery::default()
    };
    let graph = exact(&client, Call::graph(&task, &query)).await;
    assert_eq!(graph.nodes[0].id, "task:t-1");
    assert_eq!(graph.nodes[1].summary, "The user said: be brief");
    assert_eq!(graph.related.unwrap().nodes[0].id, graph.nodes[1].id);
    assert_eq!(graph.found.unwrap().len(), 2);
    let before = GraphQuery {
        at: Some(SUBMITTED.into()),
        ..GraphQuery::default()
    };
    let before = exact(&client, Call::graph(&task, &before)).await;
    assert_eq!((before.nodes.len(), before.links.len()), (1, 0));
    let found = exact(&client, Call::search(&search("brief things"))).await;
    assert_eq!(found.hits[0].summary, "The user said: be brief");
    assert_eq!((found.hits[0].task_id.as_str(), found.behind), ("t-1", 0));
    let drawn = client.text(Call::graph_svg(&task, None)).await.unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains("be brief"));
    let text = client.text(Call::graph_dot(&task, None)).await.unwrap();
    assert!(text.starts_with("digraph") && text.contains("be brief"));
    assert!(exact(&client, Call::tools()).await.tools.is_empty());
    assert!(exact(&client, Call::agents()).await.agents.is_empty());
    let change = QueueChange {
        max_concurrent: Some(Whole(3)),
        workers: None,
    };
    exact(&client, Call::change_queue(&change)).await;
    assert_eq!(exact(&client, Call::queue()).await.submitted, 3);
    assert!(exact(&client, Call::hooks()).await.hooks.is_empty());
    assert_eq!(exact(&client, Call::settings()).await.model, "none");
    assert_eq!(exact(&client, Call::ticket()).await.seconds, 30);
    assert_eq!(exact(&client, Call::health()).await.status, "ok");
    assert!(exact(&client, Call::ready()).await.ready);
    let metrics = client.text(Call::metrics()).await.unwrap();
    assert!(
        metrics.contains("journeyman_tasks_submitted_total 3"),
        "{metrics}"
    );
    served.end().await;
}

#[tokio::test]
async fn a_refusal_names_its_kind_and_the_field_at_fault() {
    let served = common::serve(|_| {}).await;
    let (client, task) = (served.client(), task());
    client.call(Call::submit(&new(&task))).await.unwrap();
    let empty = NewTask::of(&TaskId::new("t-2").unwrap(), &TaskSubmitted::of(" "));
    let mut elsewhere = new(&TaskId::new("t-3").unwrap());
    elsewhere.out = Some("/tmp/out".to_owned());
    let step = ToolStep {
        name: "read_file".to_owned(),
        arguments: None,
    };
    let calls = ToolCalls {
        steps: vec![Object(step)],
    };
    let none = TaskId::new("t-0").unwrap();
    let file = Call::file(&task, "solution.py", &FileQuery::default());
    let blob = Call::blob(&task, &ContentHash::of(b"nothing"));
    for (refused, status, kind, field) in [
        (
            client.call(Call::submit(&new(&task)).as_json()).await.err(),
            409,
            "task-exists",
            None,
        ),
        (
            client.call(Call::submit(&empty).as_json()).await.err(),
            422,
            "invalid-field",
            Some("prompt"),
        ),
        (
            client.call(Call::submit(&elsewhere).as_json()).await.err(),
            403,
            "forbidden",
            None,
        ),
        (
            client.call(Call::task(&none, None).as_json()).await.err(),
            404,
            "not-found",
            None,
        ),
        (
            client
                .call(Call::context(&task, None).as_json())
                .await
                .err(),
            404,
            "not-found",
            None,
        ),
        (
            client
                .call(Call::call_tools(&task, &calls).as_json())
                .await
                .err(),
            409,
            "no-bench",
            None,
        ),
        (client.text(file).await.err(), 404, "not-found", None),
        (client.text(blob).await.err(), 404, "not-found", None),
    ] {
        let Some(journeyman_api::Error::Refused(problem)) = refused else {
            panic!("{kind}: {refused:?}");
        };
        let found = (problem.status, problem.word(), problem.field.as_deref());
        assert_eq!(found, (status, kind, field), "{problem:?}");
    }
    served.end().await;
}

#[tokio::test]
async fn a_watcher_that_comes_back_misses_nothing_and_sees_nothing_twice() {
    let served = common::serve(|_| {}).await;
    let (client, task) = (served.local_client(), task());
    client.call(Call::submit(&new(&task))).await.unwrap();
    let mut seen = Vec::new();
    for words in ["one", "two", "three"] {
        client
            .call(Call::intervene(&task, &said(words)))
            .await
            .unwrap();
        let after = seen.last().copied().unwrap_or(Sequence::ZERO);
        let mut events = client.watch(&task, after).await.unwrap().unwrap();
        let wanted = if seen.is_empty() { 2 } else { 1 };
        for _ in 0..wanted {
            seen.push(events.next().await.unwrap().unwrap().sequence());
        }
    }
    client.call(Call::cancel(&task)).await.unwrap();
    let mut events = client.watch(&task, seen[3]).await.unwrap().unwrap();
    while let Some(event) = events.next().await.unwrap() {
        seen.push(event.sequence());
    }
    let (stored, has_more) = client
        .events(Some(&task), Sequence::ZERO, None)
        .await
        .unwrap();
    let stored: Vec<Sequence> = stored
        .iter()
        .map(journeyman_event::Event::sequence)
        .collect();
    assert_eq!((seen.as_slice(), has_more), (stored.as_slice(), false));
    let last = seen[seen.len() - 1];
    assert!(
        client.watch(&task, last).await.unwrap().is_none(),
        "it has ended"
    );
    served.end().await;
}

/// One request of each kind that there is.
fn all_requests() -> Vec<Request> {
    let task = &task();
    let calls = ToolCalls { steps: Vec::new() };
    let change = QueueChange {
        max_concurrent: None,
        workers: None,
    };
    let from = ForkQuery::at(SUBMITTED);
    let fork = Call::fork(task, &from, &ForkTask::default());
    let diff = ContextDiffQuery {
        from: SUBMITTED.into(),
        from_task: None,
        to: None,
    };
    vec![
        Call::submit(&new(task)).request().clone(),
        Call::tasks(&ListQuery::default()).request().clone(),
        Call::task(task, None).request().clone(),
        Call::retry(task, &RetryTask::default()).request().clone(),
        fork.request().clone(),
        Call::intervene(task, &said("x")).request().clone(),
        Call::cancel(task).request().clone(),
        Call::events(task, &EventsQuery::default())
            .request()
            .clone(),
        Call::lines(&LinesQuery::default()).request().clone(),
        Call::blob(task, &ContentHash::of(b"x")).request().clone(),
        Call::stream(task, SUBMITTED).request().clone(),
        Call::files(task, None).request().clone(),
        Call::file(task, "a/b.py", &FileQuery::default())
            .request()
            .clone(),
        Call::context(task, None).request().clone(),
        Call::context_diff(task, &diff).request().clone(),
        Call::summary(task, &SummaryQuery::default())
            .request()
            .clone(),
        Call::graph(task, &GraphQuery::default()).request().clone(),
        Call::graph_svg(task, None).request().clone(),
        Call::graph_dot(task, None).request().clone(),
        Call::search(&search("x")).request().clone(),
        Call::tools().request().clone(),
        Call::call_tools(task, &calls).request().clone(),
        Call::agents().request().clone(),
        Call::queue().request().clone(),
        Call::change_queue(&change).request().clone(),
        Call::delete(task, &DeleteQuery::default())
            .request()
            .clone(),
        Call::hooks().request().clone(),
        Call::retry_hook("one").request().clone(),
        Call::settings().request().clone(),
        Call::ticket().request().clone(),
        Call::health().request().clone(),
        Call::ready().request().clone(),
        Call::metrics().request().clone(),
        Call::all_metrics(&MetricsQuery::default())
            .request()
            .clone(),
        Call::timing(task).request().clone(),
    ]
}

/// Whether a path is of a template of the document, in which the path of a file stands for all that is left.
fn fits(path: &str, template: &str) -> bool {
    let path = path.split('?').next().unwrap();
    let (mut parts, mut wanted) = (path.split('/'), template.split('/'));
    loop {
        match (parts.next(), wanted.next()) {
            (None, None) | (Some(_), Some("{path}")) => return true,
            (Some(part), Some(want)) if part == want || want.starts_with('{') => {}
            _ => return false,
        }
    }
}

#[test]
fn the_document_has_what_can_be_asked_for_and_all_of_it_can_be() {
    let document = serde_json::to_value(journeyman_server::openapi()).unwrap();
    let mut left: Vec<(String, String)> = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let methods = operations.as_object().unwrap().keys();
        left.extend(methods.map(|method| (method.to_uppercase(), path.clone())));
    }
    for request in all_requests() {
        let fitting = left.iter().position(|(method, path)| {
            *method == request.method.as_str() && fits(&request.path, path)
        });
        left.remove(fitting.unwrap_or_else(|| panic!("{request:?} has no address, or no own")));
    }
    assert!(left.is_empty(), "nobody can ask for {left:?}");
}
