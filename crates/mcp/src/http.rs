//! The Streamable HTTP transport. Authentication and size limits are handled before: each request has an
//! [`AuthenticatedClient`]. A session can only be used by its owner.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::{StreamExt, future};
use journeyman_api::limits::SUBMISSION_BYTES_MAX;
use journeyman_api::{AuthenticatedClient, Problem};
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::json_rpc::Malformed;
use crate::sessions::{SessionGuard, SessionId, Sessions, StatelessStore, TOLD_MAX};
use crate::{Mcp, RestAccess};

/// The path of the endpoint.
pub const PATH: &str = "/mcp";
/// The page that a browser shows at this path.
pub const PAGE: &str = include_str!("../static/mcp.html");
/// The most bytes of the responses to one message of a batch.
const ANSWER_MAX: usize = 64 << 20;
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The two response types of the protocol.
const BOTH: &str = "application/json, text/event-stream";
/// The only protocol revision that supports batches.
const BATCHES: &str = "2025-03-26";
/// The most requests in a batch.
const BATCH_MAX: usize = 64;
/// How long requests in progress may take to finish at shutdown.
const ANSWERING: Duration = Duration::from_secs(1);

/// The handler of requests: the product, or in a build for the conformance suites the product with their
/// additions.
#[cfg(feature = "conformance")]
type Handler = crate::conformance::WithFixtures;
#[cfg(not(feature = "conformance"))]
type Handler = Mcp;

type Service = StreamableHttpService<Handler, Sessions>;

#[derive(Clone)]
struct Entry {
    service: Service,
    sessions: Sessions,
}

/// The route, until this process stops. Each request has an [`AuthenticatedClient`] among its extensions and is read already.
/// Started within a runtime. `languages` are the names of the programming languages that there are, as tools tell them.
pub fn router(stop: CancellationToken, languages: &[&str]) -> Router {
    let mcp = Mcp::new(RestAccess::InProcess(stop.clone()), languages);
    #[cfg(feature = "conformance")]
    let mcp = Handler::new(mcp);
    let sessions = Sessions::new();
    // What waits is answered when the server stops: a client whose stream just ends would wait on.
    let answered = CancellationToken::new();
    let streams = answered.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        tokio::time::sleep(ANSWERING).await;
        answered.cancel();
    });
    // Host and Origin are checked for every protocol alike, before this. Only streams of revisions that
    // know it begin with an event without data: see `sessions.rs`.
    let mut config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_sse_retry(None)
        .with_max_request_body_bytes(SUBMISSION_BYTES_MAX)
        .with_cancellation_token(streams);
    config.session_store = Some(Arc::new(StatelessStore));
    let make = move || Ok(mcp.for_another());
    let entry = Entry {
        service: StreamableHttpService::new(make, Arc::new(sessions.clone()), config),
        sessions,
    };
    let with_slash = format!("{PATH}/");
    Router::new()
        .route(PATH, any(enter))
        .route(&with_slash, any(enter))
        .with_state(entry)
}

async fn enter(
    State(entry): State<Entry>,
    Extension(visitor): Extension<AuthenticatedClient>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    if takes_anything(&parts.headers) {
        let both = HeaderValue::from_static(BOTH);
        parts.headers.insert(header::ACCEPT, both);
    }
    let none =
        || Problem::not_found("the session does not exist or has ended; initialize a new one");
    let session = match parts.headers.get(&SESSION) {
        None => None,
        Some(id) => {
            let id = id.to_str().ok().and_then(SessionId::read);
            let id = id.ok_or_else(none)?;
            let used = entry.sessions.enter(&id, &visitor.owner).await;
            let used = used.ok_or_else(none)?;
            parts.headers.insert(SESSION, used.within.clone());
            Some((id, used))
        }
    };
    let body = match parts.method {
        Method::POST => to_bytes(body, SUBMISSION_BYTES_MAX)
            .await
            .unwrap_or_default(),
        _ => Bytes::new(),
    };
    if parts.method == Method::POST
        && says_json(&parts.headers)
        && !is_batch(&body)
        && let Some(malformed) = Malformed::find(&body)
    {
        return Ok(malformed.into_response());
    }
    match batch(&parts, &body)? {
        Some(requests) => entry.answer_all(&parts, session.as_ref(), requests).await,
        None => Box::pin(entry.answer(parts, body, session, &visitor)).await,
    }
}

impl Entry {
    /// Handles one message.
    async fn answer(
        &self,
        parts: Parts,
        body: Bytes,
        session: Option<(SessionId, SessionGuard)>,
        visitor: &AuthenticatedClient,
    ) -> Result<Response, Problem> {
        let method = parts.method.clone();
        let id = session.as_ref().map(|(id, _)| id);
        let is_json = method == Method::POST && says_json(&parts.headers);
        let request = Request::from_parts(parts, Body::from(body.clone()));
        let (response, told) = Box::pin(Sessions::within(id, self.service.handle(request))).await;
        let mut response = response.map(Body::new);
        if is_json && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            // It was parsed but is not a known message; without this, the error would be plain text.
            return Ok(Malformed::unknown(&body).into_response());
        }
        if method == Method::DELETE && response.status() == StatusCode::ACCEPTED {
            *response.status_mut() = StatusCode::NO_CONTENT; // clients take 202 for a failure here
            if let Some((id, _used)) = session {
                self.sessions.ended(id);
            }
            return Ok(response);
        }
        let name = response.headers().get(&SESSION);
        if let Some((name, told)) = name.and_then(|name| name.to_str().ok()).zip(told) {
            let id = self.sessions.begun(name, &visitor.owner, &told).await;
            let id = id.ok_or_else(|| {
                let limit = TOLD_MAX >> 10;
                Problem::too_large(format!(
                    "`initialize` has more than {limit} KiB of information about the client; shorten it"
                ))
            })?;
            response.headers_mut().insert(SESSION, id);
        }
        // A stream of news does not keep a session that has to go: its client opens it again.
        let used = session.filter(|_| method != Method::GET);
        Ok(response.map(|body| keeping(body, used)))
    }

    /// Handles a batch of messages and returns a list of responses.
    async fn answer_all(
        &self,
        parts: &Parts,
        session: Option<&(SessionId, SessionGuard)>,
        requests: Vec<Bytes>,
    ) -> Result<Response, Problem> {
        check_ids(&requests)?;
        let id = session.map(|(id, _)| id);
        let all = requests.into_iter().map(|body| async move {
            let request = Request::from_parts(parts.clone(), Body::from(body));
            let (response, _) = Box::pin(Sessions::within(id, self.service.handle(request))).await;
            let (head, body) = response.map(Body::new).into_parts();
            let body = to_bytes(body, ANSWER_MAX).await;
            (head.status, body.unwrap_or_default())
        });
        let mut answers = Vec::new();
        for (status, body) in future::join_all(all).await {
            if !status.is_success() {
                let detail = String::from_utf8_lossy(&body).into_owned();
                return Err(Problem::new(status, "bad-batch", detail));
            }
            let events = std::str::from_utf8(&body).unwrap_or_default().lines();
            let messages = events.filter_map(|line| line.strip_prefix("data:"));
            answers.extend(
                messages.filter_map(|text| serde_json::from_str::<Box<RawValue>>(text.trim()).ok()),
            );
        }
        if answers.is_empty() {
            return Ok(StatusCode::ACCEPTED.into_response());
        }
        Ok(axum::Json(answers).into_response())
    }
}

/// A body that keeps its session in use until it is dropped.
fn keeping(body: Body, used: Option<(SessionId, SessionGuard)>) -> Body {
    let Some((_, used)) = used else {
        return body;
    };
    Body::from_stream(body.into_data_stream().inspect(move |_| {
        let _until_here = &used;
    }))
}

/// Fails if two requests of a batch have the same id, because their responses could not be told apart and one
/// request would wait forever.
fn check_ids(requests: &[Bytes]) -> Result<(), Problem> {
    let mut known = Vec::new();
    for request in requests {
        let message: Value = serde_json::from_slice(request).unwrap_or_default();
        let id = &message["id"];
        if message["method"].is_null() || id.is_null() {
            continue; // an answer, or a notification
        }
        if known.contains(id) {
            let detail = format!("two requests of the batch have the id {id}; give each its own");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "bad-batch", detail));
        }
        known.push(id.clone());
    }
    Ok(())
}

/// Whether the body is a batch.
fn is_batch(body: &Bytes) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

/// Whether the client declares its body as JSON.
fn says_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// The messages of a batch; `None` if the body is not a batch.
fn batch(parts: &Parts, body: &Bytes) -> Result<Option<Vec<Bytes>>, Problem> {
    if !is_batch(body) {
        return Ok(None);
    }
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "bad-batch", detail);
    let version = parts.headers.get(&VERSION);
    if version.is_some_and(|version| version != BATCHES) {
        return Err(bad(
            "requests come together in the revision 2025-03-26 alone: send each by itself",
        ));
    }
    let messages: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|error| bad(&format!("the body is not JSON: {error}")))?;
    if messages.is_empty() || messages.len() > BATCH_MAX {
        return Err(bad(&format!("a batch has 1 to {BATCH_MAX} messages")));
    }
    let is_first = |message: &&RawValue| {
        let message: Result<Value, _> = serde_json::from_str(message.get());
        message.is_ok_and(|message| message["method"] == "initialize")
    };
    if messages.iter().any(is_first) {
        return Err(bad("`initialize` comes by itself"));
    }
    let messages = messages.into_iter();
    let bytes = messages.map(|message| body.slice_ref(message.get().as_bytes()));
    Ok(Some(bytes.collect()))
}

/// Whether the client accepts any response type, as simple clients declare.
fn takes_anything(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter();
    let mut kinds = accept
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim())
        .peekable();
    kinds.peek().is_none() || kinds.any(|kind| kind == "*/*")
}
