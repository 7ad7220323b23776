//! External servers that are spoken to over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use axum::{Json, Router};
use common::{Files, Kept, context, request};
use journeyman_tools::{
    Dispatcher, FailureKind, Host, McpServers, Options, Outcome, Registry, ServerConfig,
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
    let done = Dispatcher::new(registry, Options::default())
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
    let done = Dispatcher::new(registry.clone(), Options::default())
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
    let done = Dispatcher::new(registry, Options::default())
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
