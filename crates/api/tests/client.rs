//! The client against a small server that answers as ours does, and as it should not.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::net::SocketAddr;

use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use journeyman_api::{Call, Client, Error, HttpTransport, ListQuery, NewTask, Unreachable};
use journeyman_event::payload::TaskSubmitted;
use journeyman_event::{Sequence, TaskId};
use serde_json::{Value, json};

/// Events of a recorded journal as they are stored, from its first one on.
const HISTORY: &str = include_str!("../../event/tests/golden/events.jsonl");

fn task() -> TaskId {
    TaskId::new("t-1").unwrap()
}

/// What a submission was, told in the answer's notices.
async fn submit(headers: HeaderMap, Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    let token = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let told = json!({
        "task_id": body["task_id"],
        "sequence": 1,
        "is_duplicate": false,
        "notices": [body["prompt"], token],
        "urls": {"task": "", "events": "", "stream": "", "socket": "", "files": ""},
    });
    (StatusCode::ACCEPTED, Json(told))
}

async fn refuse() -> (StatusCode, &'static str) {
    let problem = r#"{"type":"urn:journeyman:problem:shutting-down","title":"shutting down","status":503,"detail":"later","field":null,"retry_after":5}"#;
    (StatusCode::SERVICE_UNAVAILABLE, problem)
}

/// Each event after the position that is asked for, cut in the middle of the second.
async fn stream(Path(task): Path<String>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let after: usize = query
        .unwrap()
        .strip_prefix("after=")
        .unwrap()
        .parse()
        .unwrap();
    if task != "t-1" {
        return (StatusCode::NOT_FOUND, "no problem of ours".to_owned());
    }
    let lines: Vec<&str> = HISTORY.lines().skip(after).collect();
    if lines.is_empty() {
        return (StatusCode::NO_CONTENT, String::new());
    }
    let sent = lines
        .iter()
        .map(|line| format!("id: 1\nevent: x\ndata: {line}\n\n"));
    let text: String = sent.collect();
    let end = match lines.len() {
        1 => text.len(),
        _ => text.len() - lines.last().unwrap().len() / 2,
    };
    (StatusCode::OK, text[..end].to_owned())
}

fn router() -> Router {
    Router::new()
        .route("/health", get(async || "{}"))
        .route("/api/v1/tasks", post(submit).get(refuse))
        .route("/api/v1/tasks/{task}/stream", get(stream))
        .route(
            "/api/v1/tasks/{task}/files/{*path}",
            get(async |Path((_, path)): Path<(String, String)>| path),
        )
        .route("/api/v1/queue", get(async || "[1, 2]"))
}

async fn served() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router()).await });
    address
}

async fn client(token: Option<&str>) -> Client<HttpTransport> {
    let url = format!("http://{}/", served().await);
    Client::over(HttpTransport::http(&url, token.map(str::to_owned)).unwrap())
}

#[tokio::test]
async fn a_submission_arrives_and_its_answer_comes_back() {
    let new = NewTask::of(&task(), &TaskSubmitted::of("Make it"));
    let accepted = client(Some("secret"))
        .await
        .call(Call::submit(&new))
        .await
        .unwrap();
    assert_eq!(accepted.task_id, "t-1");
    assert_eq!(accepted.notices, ["Make it", "Bearer secret"]);
}

#[tokio::test]
async fn the_same_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { axum::serve(listener, router()).await });
    let client = Client::over(HttpTransport::socket(&path).unwrap());
    assert!(client.is_there().await);
    let file = Call::file(&task(), "a b/c?.py", &journeyman_api::FileQuery::default());
    assert_eq!(client.text(file).await.unwrap(), "a b/c?.py");
}

#[tokio::test]
async fn a_refusal_is_the_problem_that_the_server_states() {
    let refused = client(None)
        .await
        .call(Call::tasks(&ListQuery::default()))
        .await;
    let error = refused.unwrap_err();
    assert!(error.is_stopping() && error.is_unavailable(), "{error:?}");
    assert_eq!(error.to_string(), "later");
}

#[tokio::test]
async fn an_answer_that_is_not_what_was_asked_for_is_unreadable() {
    let error = client(None).await.call(Call::queue()).await.unwrap_err();
    assert!(matches!(error, Error::Unreadable(_)), "{error:?}");
    let no_events = client(None)
        .await
        .watch(&TaskId::new("t-2").unwrap(), Sequence::ZERO)
        .await;
    assert_eq!(no_events.unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn a_server_that_is_not_there_took_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::over(HttpTransport::http(&url, None).unwrap());
    assert!(!client.is_there().await);
    let error = client.call(Call::queue()).await.unwrap_err();
    let Error::Unreachable(Unreachable::NotTaken(words)) = error else {
        panic!("{error:?}");
    };
    assert!(
        words.starts_with(&format!("the server at {url} does not answer: ")),
        "{words}"
    );
}

#[tokio::test]
async fn who_loses_a_stream_goes_on_after_the_last_event_that_came() {
    let client = client(None).await;
    let (mut after, mut seen, mut streams) = (Sequence::ZERO, 0, 0);
    while let Some(mut events) = client.watch(&task(), after).await.unwrap() {
        streams += 1;
        while let Some(event) = events.next().await.unwrap() {
            assert_eq!(event.sequence(), after.next());
            after = event.sequence();
            seen += 1;
        }
    }
    assert_eq!(seen, HISTORY.lines().count());
    assert_eq!(streams, 2, "the last event was cut off once");
}
