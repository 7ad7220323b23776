//! REST as the MCP server uses it. Whatever MCP can do, REST can: the tools, resources and tasks here
//! are other words for it, with the same checks and the same answers.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, Request, header};
use bytes::Bytes;
use serde_json::Value;
use tower::Service;

use crate::door::Caller;
use crate::problem::Problem;
use crate::room::{Held, Room};

/// Bytes of one answer of REST that are taken.
pub(super) const ANSWER_MAX: usize = 64 << 20;

/// Smaller answers are as good as nothing.
const COUNTED_MIN: usize = 4 << 10;

/// What REST answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// A server that cannot be asked, in words for a person.
#[derive(Clone, Debug)]
pub struct Unreachable(pub String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Somebody's way to the REST interface.
#[async_trait]
pub trait Api: Send + Sync + 'static {
    /// Asks: a path with its query, and for a `POST` a body.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, Unreachable>;
}

/// What the answer to one request of a client holds, from when it is made until it is out.
#[derive(Clone)]
pub(super) struct Account(Arc<Bill>);

struct Bill {
    room: Room,
    held: Mutex<Vec<Held>>,
}

impl Account {
    pub(super) fn new(room: &Room) -> Self {
        Self(Arc::new(Bill {
            room: room.clone(),
            held: Mutex::default(),
        }))
    }

    /// Counts what is made of so many bytes of REST's: their text, and the same as data.
    async fn hold(&self, bytes: usize) -> Result<(), Unreachable> {
        const TIMES: usize = 4;
        if bytes < COUNTED_MIN {
            return Ok(());
        }
        let held = self.0.room.hold_made(TIMES * bytes).await;
        let held = held.ok_or_else(|| {
            Unreachable("too many clients do not read what they asked for; try again".to_owned())
        })?;
        let mut all = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(held);
        Ok(())
    }
}

/// The REST interface of this very process, asked by a caller who was let in already.
pub(super) struct InProcess {
    pub(super) router: Router,
    pub(super) caller: Caller,
    /// What the answer to the client holds.
    pub(super) account: Option<Account>,
    /// As what this server was addressed: it stands in the addresses of the answers.
    pub(super) host: Option<HeaderValue>,
}

#[async_trait]
impl Api for InProcess {
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, Unreachable> {
        let broken = |problem: &dyn fmt::Display| Unreachable(format!("a defect: {problem}"));
        let mut request = Request::builder().method(method).uri(path);
        if let Some(host) = &self.host {
            request = request.header(header::HOST, host);
        }
        let body = match body {
            None => Body::empty(),
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
        };
        let mut request = request.body(body).map_err(|error| broken(&error))?;
        request.extensions_mut().insert(self.caller.clone());
        let Ok(response) = self.router.clone().call(request).await;
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), ANSWER_MAX).await;
        let body = body.map_err(|error| broken(&error))?;
        if let Some(account) = &self.account {
            account.hold(body.len()).await?;
        }
        Ok(Answer { status, body })
    }
}

/// Why something was not done: a problem as REST states it.
#[derive(Clone, Debug)]
pub(super) struct Refused(pub(super) Value);

impl Refused {
    /// In words, for whoever asked.
    pub(super) fn detail(&self) -> &str {
        self.0["detail"].as_str().unwrap_or("something went wrong")
    }

    /// What is at fault.
    pub(super) fn field(&self) -> Option<&str> {
        self.0["field"].as_str()
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.0["status"] == 404
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(serde_json::to_value(&problem).unwrap_or_default())
    }
}

impl From<Unreachable> for Refused {
    fn from(error: Unreachable) -> Self {
        let status = axum::http::StatusCode::SERVICE_UNAVAILABLE;
        Problem::new(status, "unreachable", error.0).into()
    }
}

impl dyn Api {
    async fn bytes(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Bytes, Refused> {
        let answer = self.ask(method, path, body).await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        let problem = serde_json::from_slice(&answer.body);
        Err(Refused(problem.unwrap_or_else(|_| {
            serde_json::json!({"status": answer.status, "detail": format!("the server answers {}", answer.status)})
        })))
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Refused> {
        json(&self.bytes(Method::GET, path, None).await?)
    }

    pub(super) async fn get_text(&self, path: &str) -> Result<String, Refused> {
        let bytes = self.bytes(Method::GET, path, None).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Value, Refused> {
        json(&self.bytes(Method::POST, path, Some(body)).await?)
    }
}

fn json(bytes: &[u8]) -> Result<Value, Refused> {
    serde_json::from_slice(bytes).map_err(|error| {
        let status = axum::http::StatusCode::BAD_GATEWAY;
        Problem::new(
            status,
            "bad-answer",
            format!("the server's answer: {error}"),
        )
        .into()
    })
}
