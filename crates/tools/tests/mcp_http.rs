//! External servers that are spoken to over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use axum::{Json, Router};
use common::{Files, Kept, context, request};
use journeyman_tools::{
    Dispatcher, DispatcherOptions, FailureKind, Host, McpServers, Outcome, Registry, ServerConfig,
    ServerName, ServerState, ServerStatus,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_mins(1);

type Seen = Arc<Mutex<Vec<String>>>;

/// A server without sessions: each request is answered for itself.
async fn answer(State(seen): State<Seen>, headers: HeaderMap, Json(ask): Json<Value>) -> Response {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let auth = header(header::AUTHORIZATION.as_str());
    let line = format!("{} {auth} {}", ask["method"], header("x-team"));
    seen.lock().unwrap().push(line);
    let result = match ask["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": ask["params"]["protocolVersion"],
            "serverInfo": {"name": "fake", "version": "1"},
            "capabilities": {"tools": {}},
        }),
        "tools/list" => json!({"tools": [
            {"name": "echo", "inputSchema": {"type": "object"}},
        ]}),
        "tools/call" => json!({"content": [{"type": "text", "text": "hello"}]}),
        _ => return StatusCode::ACCEPTED.into_response(),
    };
    Json(json!({"jsonrpc": "2.0", "id": ask["id"], "result": result})).into_response()
}

async fn serve(app: Router) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (format!("http://{address}/mcp"), task)
}

async fn until(servers: &McpServers, fits: impl Fn(&ServerStatus) -> bool) -> ServerStatus {
    let mut watch = servers.watch();
    let waiting = watch.wait_for(|all| all.values().all(&fits));
    let all = tokio::time::timeout(PATIENCE, waiting).await;
    let all = all.expect("in time").unwrap();
    all.values().next().unwrap().clone()
}

fn start(text: &str, registry: &Registry) -> McpServers {
    let config: ServerConfig = toml::from_str(text).unwrap();
    let configs = BTreeMap::from([(ServerName::new("far").unwrap(), config)]);
    let environment = BTreeMap::from([("FAR_TOKEN".to_owned(), "t0ken".to_owned())]);
    let host = Host {
        name: "test".into(),
        version: "1".into(),
        environment,
    };
    McpServers::start(configs, registry, host)
}

#[tokio::test]
async fn a_server_gets_its_token_and_headers_with_every_request() {
    let seen = Seen::default();
    let app = Router::new()
        .route("/mcp", post(answer))
        .with_state(seen.clone());
    let (url, _task) = serve(app).await;
    let registry = Registry::new();
    let text = format!("url = \"{url}\"\nbearer_env = \"FAR_TOKEN\"\nheaders = {{x-team = \"a\"}}");
    let servers = start(&text, &registry);
    until(&servers, |one| one.state == ServerState::Ready).await;
    let done = Dispatcher::new(registry, DispatcherOptions::default())
        .call(
            &context(Files::with(&[])),
            request("far.echo", json!({})),
            &Kept::default(),
        )
        .await;
    assert_eq!(done.text, "hello");
    servers.shutdown().await;
    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|line| line.starts_with("\"tools/call\"")));
    assert!(
        seen.iter().all(|line| line.ends_with(" Bearer t0ken a")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_server_that_goes_away_is_noticed_by_the_call() {
    let app = Router::new()
        .route("/mcp", post(answer))
        .with_state(Seen::default());
    let (url, task) = serve(app).await;
    let registry = Registry::new();
    let servers = start(&format!("url = \"{url}\""), &registry);
    until(&servers, |one| one.state == ServerState::Ready).await;
    task.abort();
    let _ = task.await;
    let done = Dispatcher::new(registry.clone(), DispatcherOptions::default())
        .call(
            &context(Files::with(&[])),
            request("far.echo", json!({})),
            &Kept::default(),
        )
        .await;
    assert!(!done.is_ok(), "{}", done.text);
    until(&servers, |one| one.state != ServerState::Ready).await;
    assert!(registry.get("far.echo").is_none());
}

/// Begins to answer a call, and breaks off.
async fn breaks_off(seen: State<Seen>, headers: HeaderMap, ask: Json<Value>) -> Response {
    if ask["method"] != "tools/call" {
        return answer(seen, headers, ask).await;
    }
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    (kind, "id: 1\ndata:\n\n").into_response()
}

#[tokio::test]
async fn an_answer_that_breaks_off_and_cannot_be_gone_on_with_ends_the_call() {
    let gone = || std::future::ready(StatusCode::SERVICE_UNAVAILABLE);
    let app = Router::new()
        .route("/mcp", post(breaks_off).get(gone))
        .with_state(Seen::default());
    let (url, _task) = serve(app).await;
    let registry = Registry::new();
    let servers = start(&format!("url = \"{url}\""), &registry);
    until(&servers, |one| one.state == ServerState::Ready).await;
    let begun = Instant::now();
    let done = Dispatcher::new(registry, DispatcherOptions::default())
        .call(
            &context(Files::with(&[])),
            request("far.echo", json!({})),
            &Kept::default(),
        )
        .await;
    assert_eq!(done.outcome, Outcome::Failed(FailureKind::Unavailable));
    assert!(
        done.text.contains("the server far is gone"),
        "{}",
        done.text
    );
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}

/// Wants a session, and of one that it does not know it says so to nobody.
async fn in_session(
    State(known): State<Arc<Mutex<Vec<String>>>>,
    headers: HeaderMap,
    ask: Json<Value>,
) -> Response {
    let name = HeaderName::from_static("mcp-session-id");
    if ask["method"] == "initialize" {
        let mut known = known.lock().unwrap();
        let id = format!("s{}", known.len());
        known.push(id.clone());
        let session = [(name, id)];
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "serverInfo": {"name": "fake", "version": "1"},
            "capabilities": {"tools": {}},
        });
        return (
            session,
            Json(json!({"jsonrpc": "2.0", "id": ask["id"], "result": hello})),
        )
            .into_response();
    }
    let session = headers.get(name).map(|id| id.to_str().unwrap().to_owned());
    if session.is_some() && session.as_ref() == known.lock().unwrap().last() {
        return answer(State(Seen::default()), headers, ask).await;
    }
    let error = json!({"code": -32000, "message": "Bad Request: No valid session ID provided"});
    let body = Json(json!({"jsonrpc": "2.0", "error": error}));
    (StatusCode::BAD_REQUEST, body).into_response()
}

#[tokio::test]
async fn a_session_that_its_server_forgot_is_begun_anew_before_the_call_is_made() {
    let known = Arc::new(Mutex::new(Vec::new()));
    let app = Router::new()
        .route("/mcp", post(in_session))
        .with_state(known.clone());
    let (url, _task) = serve(app).await;
    let registry = Registry::new();
    let servers = start(&format!("url = \"{url}\""), &registry);
    until(&servers, |one| one.state == ServerState::Ready).await;
    let dispatcher = Dispatcher::new(registry, DispatcherOptions::default());
    let (caller, record) = (context(Files::with(&[])), Kept::default());
    let call = || dispatcher.call(&caller, request("far.echo", json!({})), &record);
    assert!(call().await.is_ok());
    known.lock().unwrap().push("forgotten".into());
    let begun = Instant::now();
    let done = call().await;
    assert_eq!((done.outcome, done.text.as_str()), (Outcome::Ok, "hello"));
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_redirect_to_another_server_is_not_followed() {
    let seen = Seen::default();
    let app = Router::new()
        .route("/mcp", post(answer))
        .with_state(seen.clone());
    let (elsewhere, _task) = serve(app).await;
    let redirect = move || std::future::ready(Redirect::temporary(&elsewhere).into_response());
    let (url, _task) = serve(Router::new().route("/mcp", post(redirect))).await;
    let servers = start(&format!("url = \"{url}\""), &Registry::new());
    let gone = |one: &ServerStatus| matches!(one.state, ServerState::Unavailable { .. });
    let status = until(&servers, gone).await;
    assert!(
        format!("{:?}", status.state).contains("another server"),
        "{status:?}"
    );
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_that_is_not_there_is_named() {
    let text = "url = \"http://127.0.0.1:9/mcp\"\nbearer_env = \"NO_TOKEN\"";
    let servers = start(text, &Registry::new());
    let gone = |one: &ServerStatus| matches!(one.state, ServerState::Unavailable { .. });
    let status = until(&servers, gone).await;
    assert!(
        format!("{:?}", status.state).contains("NO_TOKEN"),
        "{status:?}"
    );
}
