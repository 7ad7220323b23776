//! `/mcp`: Streamable HTTP. Who asks is settled at the door as for every other protocol; a session is
//! its owner's alone; and a browser is told what this is.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::any;
use journeyman_event::ContentHash;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};

use super::conformance::Fixtures;
use super::{Mcp, Reach};
use crate::app::{App, McpOffer};
use crate::body::BODY_MAX;
use crate::door::Caller;
use crate::problem::Problem;

/// Where MCP is.
pub(crate) const PATH: &str = "/mcp";
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
/// Digits that bind a session to its owner.
const SEAL_DIGITS: usize = 32;
/// Sessions of clients of the revisions that have them. One that is not used for five minutes ends.
const SESSIONS_MAX: usize = 10_000;

type Service = StreamableHttpService<Mcp, LocalSessionManager>;

#[derive(Clone)]
struct Door {
    app: App,
    service: Service,
    sessions: Arc<LocalSessionManager>,
    /// Known to this process alone.
    secret: Arc<str>,
}

/// The route, with the REST interface that stands behind it.
pub(crate) fn router(app: &App, api: Router) -> Router {
    let secret = format!("{}{}", app.tickets.random_hex(), app.tickets.random_hex());
    let mcp = Mcp::new(Reach::Here(api));
    let mcp = match app.offer.mcp {
        McpOffer::Product => mcp,
        McpOffer::WithFixtures => mcp.with_fixtures(Fixtures::new(&secret)),
    };
    let sessions = Arc::new(LocalSessionManager::default());
    // Host and Origin are checked for every protocol alike, before this.
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_max_request_body_bytes(BODY_MAX)
        .with_cancellation_token(app.stop.clone());
    let make = move || Ok(mcp.for_another());
    let door = Door {
        service: StreamableHttpService::new(make, Arc::clone(&sessions), config),
        sessions,
        secret: secret.into(),
        app: app.clone(),
    };
    Router::new().route(PATH, any(enter)).with_state(door)
}

async fn enter(State(door): State<Door>, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::GET && wants_page(&parts.headers) {
        return Ok(Html(include_str!("../../static/mcp.html")).into_response());
    }
    let caller = Caller::from_request_parts(&mut parts, &door.app).await?;
    let owner = caller.principal.owner().as_str().to_owned();
    match parts.headers.get(&SESSION) {
        Some(sealed) => {
            let id = sealed
                .to_str()
                .ok()
                .and_then(|sealed| door.open(sealed, &owner));
            let id = id.ok_or_else(|| {
                Problem::not_found("there is no such session, or no longer: initialize a new one")
            })?;
            parts.headers.insert(SESSION, id);
        }
        None if door.sessions.sessions.read().await.len() >= SESSIONS_MAX => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let detail = format!("{SESSIONS_MAX} MCP sessions are open; try again later");
            return Err(Problem::new(status, "too-many-sessions", detail));
        }
        None => {}
    }
    parts.extensions.insert(caller);
    let is_end = parts.method == Method::DELETE;
    let response = door.service.handle(Request::from_parts(parts, body)).await;
    let mut response = response.map(Body::new);
    if is_end && response.status() == StatusCode::ACCEPTED {
        *response.status_mut() = StatusCode::NO_CONTENT; // clients take 202 for a failure here
    }
    if let Some(id) = response.headers().get(&SESSION) {
        let sealed = id.to_str().ok().and_then(|id| door.seal(id, &owner));
        if let Some(sealed) = sealed {
            response.headers_mut().insert(SESSION, sealed);
        }
    }
    Ok(response)
}

impl Door {
    /// A session's id as its owner gets it: whoever else has it can do nothing with it.
    fn seal(&self, id: &str, owner: &str) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("{id}.{}", self.tag(id, owner))).ok()
    }

    /// The id, if it is this owner's.
    fn open(&self, sealed: &str, owner: &str) -> Option<HeaderValue> {
        let (id, tag) = sealed.rsplit_once('.')?;
        (tag == self.tag(id, owner)).then(|| HeaderValue::from_str(id).ok())?
    }

    fn tag(&self, id: &str, owner: &str) -> String {
        let content = format!("{}\n{owner}\n{id}", self.secret);
        let hash = ContentHash::of(content.as_bytes()).to_string();
        hash.chars().rev().take(SEAL_DIGITS).collect()
    }
}

/// A browser says that it takes pages; a client of the protocol that it takes events.
fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept
        .is_some_and(|accept| accept.contains("text/html") && !accept.contains("text/event-stream"))
}
