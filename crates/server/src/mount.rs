//! Mounts protocols beside REST that are translated to REST requests. Callers are authenticated here, and the
//! protocol makes its REST requests within this process on behalf of the authenticated client. It needs no checks
//! of its own and can do nothing that REST cannot.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::{Router, http};
use bytes::Bytes;
use futures_util::StreamExt;
use journeyman_api::{Answer, AuthenticatedClient, Client, Transport, Unreachable, etag_of};
use tower::Service;

use crate::app::App;
use crate::auth::Caller;
use crate::body::bytes_of;
use crate::problem::Rejection;
use crate::send_budget::{Reservation, SendBudget};

/// The largest response of REST that is accepted, in bytes.
const ANSWER_MAX: usize = 64 << 20;
/// How long requests in progress may take to finish after a token was revoked.
const ANSWERING: Duration = Duration::from_secs(1);

/// Smaller responses are not counted.
const COUNTED_MIN: usize = 4 << 10;

/// A protocol beside REST.
#[derive(Clone)]
pub struct MountedProtocol {
    /// The name of the protocol.
    pub name: &'static str,
    /// The path of its endpoint, with or without a trailing slash.
    pub path: &'static str,
    /// The page that browsers show at the path, without authentication.
    pub page: &'static str,
    /// The routes of the protocol. Each request has an [`AuthenticatedClient`] among its extensions, and the
    /// body of a `POST` is already read.
    pub router: Router,
}

impl MountedProtocol {
    pub(crate) fn is_at(&self, path: &str) -> bool {
        path.strip_suffix('/').unwrap_or(path) == self.path
    }
}

/// Authenticates requests to a mounted protocol.
#[derive(Clone)]
struct Entrance {
    app: App,
    rest: Router,
    page: &'static str,
}

/// The routes of the protocol, with the REST API behind it.
pub(crate) fn router(app: &App, mounted: &MountedProtocol, rest: Router) -> Router {
    let entrance = Entrance {
        app: app.clone(),
        rest,
        page: mounted.page,
    };
    let router = mounted.router.clone();
    router.layer(from_fn_with_state(entrance, enter))
}

async fn enter(
    State(entrance): State<Entrance>,
    request: Request,
    next: Next,
) -> Result<Response, Rejection> {
    let Entrance { app, rest, page } = entrance;
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::GET && wants_page(&parts.headers) {
        return Ok(Html(page).into_response());
    }
    let caller = Caller::from_request_parts(&mut parts, &app).await?;
    let body = match parts.method {
        Method::POST => bytes_of(Request::from_parts(parts.clone(), body), &app).await?,
        _ => Bytes::new(),
    };
    let account = Account::new(&app.send_budget);
    let rest = InProcess {
        router: rest,
        caller: caller.clone(),
        account: account.clone(),
        host: parts.headers.get(header::HOST).cloned(),
    };
    parts.extensions.insert(AuthenticatedClient {
        owner: caller.principal.owner().clone(),
        rest: Client::new(Arc::new(rest)),
    });
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    Ok(sent(&app, response, caller, account))
}

/// A response that ends when the caller's credentials become invalid, and whose bytes are counted.
fn sent(app: &App, response: Response, caller: Caller, account: Account) -> Response {
    let auth = app.auth.clone();
    // Requests that wait with this token are notified first.
    let revoked = async move {
        auth.revoked(&caller).await;
        tokio::time::sleep(ANSWERING).await;
    };
    let send_budget = app.send_budget.clone();
    response.map(|body| {
        let counted = body.into_data_stream().then(move |chunk| {
            let send_budget = send_budget.clone();
            async move {
                match chunk {
                    Ok(bytes) => Ok(counted(&send_budget, bytes).await),
                    Err(error) => Err(error),
                }
            }
        });
        let all = counted.take_until(Box::pin(revoked));
        Body::from_stream(all.inspect(move |_| {
            let _until_here = &account;
        }))
    })
}

async fn counted(send_budget: &SendBudget, bytes: Bytes) -> Bytes {
    match send_budget.reserve(bytes.len()).await {
        Some(held) => Reservation::attach(&Arc::new(held), bytes),
        None => bytes,
    }
}

/// Whether the client is a browser: browsers accept HTML pages; clients of the protocol do not, or also accept
/// event streams.
fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept
        .is_some_and(|accept| accept.contains("text/html") && !accept.contains("text/event-stream"))
}

/// The reserved bytes of the response to one request, from its creation until it was sent.
#[derive(Clone)]
struct Account(Arc<Bill>);

struct Bill {
    send_budget: SendBudget,
    held: Mutex<Vec<Reservation>>,
}

impl Account {
    fn new(send_budget: &SendBudget) -> Self {
        Self(Arc::new(Bill {
            send_budget: send_budget.clone(),
            held: Mutex::default(),
        }))
    }

    /// Reserves bytes for a result made of this many bytes from REST: as text, and the same as data.
    async fn reserve(&self, bytes: usize) -> Result<(), Unreachable> {
        const TIMES: usize = 4;
        if bytes < COUNTED_MIN {
            return Ok(());
        }
        let held = self.0.send_budget.reserve_built(TIMES * bytes).await;
        let held = held.ok_or_else(|| {
            let words = "too many clients are not reading their responses; try again later";
            Unreachable::Lost(words.to_owned())
        })?;
        let mut all = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(held);
        Ok(())
    }
}

/// The REST API of this process, called on behalf of an authenticated client.
struct InProcess {
    router: Router,
    caller: Caller,
    /// The reserved bytes of the response to the client.
    account: Account,
    /// The host under which this server was addressed, for URLs in responses.
    host: Option<HeaderValue>,
}

#[async_trait]
impl Transport for InProcess {
    async fn ask(&self, asked: &journeyman_api::Request) -> Result<Answer, Unreachable> {
        let broken = |problem: &dyn fmt::Display| Unreachable::Lost(format!("a defect: {problem}"));
        let mut request = http::Request::builder()
            .method(asked.method.clone())
            .uri(&asked.path);
        if let Some(host) = &self.host {
            request = request.header(header::HOST, host);
        }
        if let Some(tags) = &asked.if_match {
            request = request.header(header::IF_MATCH, tags);
        }
        for (name, value) in asked.trace_headers() {
            request = request.header(name, value);
        }
        let body = match &asked.body {
            None => Body::empty(),
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.clone())
            }
        };
        let mut request = request.body(body).map_err(|error| broken(&error))?;
        request.extensions_mut().insert(self.caller.clone());
        let Ok(response) = self.router.clone().call(request).await;
        let status = response.status().as_u16();
        let etag = etag_of(response.headers());
        let body = to_bytes(response.into_body(), ANSWER_MAX).await;
        let body = body.map_err(|error| broken(&error))?;
        self.account.reserve(body.len()).await?;
        Ok(Answer { status, etag, body })
    }
}
