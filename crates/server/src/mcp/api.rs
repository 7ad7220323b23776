//! REST as the MCP server uses it over HTTP: within this process. Whatever MCP can do, REST can: the tools,
//! resources and tasks here are other words for it, with the same checks and the same answers.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, header};
use journeyman_api::{Answer, Transport, Unreachable};
use tower::Service;

use crate::door::Caller;
use crate::room::{Held, Room};

/// Bytes of one answer of REST that are taken.
pub(super) const ANSWER_MAX: usize = 64 << 20;

/// Smaller answers are as good as nothing.
const COUNTED_MIN: usize = 4 << 10;

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
            let words = "too many clients do not read what they asked for; try again";
            Unreachable::Lost(words.to_owned())
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
impl Transport for InProcess {
    async fn ask(&self, asked: &journeyman_api::Request) -> Result<Answer, Unreachable> {
        let broken = |problem: &dyn fmt::Display| Unreachable::Lost(format!("a defect: {problem}"));
        let mut request = Request::builder()
            .method(asked.method.clone())
            .uri(&asked.path);
        if let Some(host) = &self.host {
            request = request.header(header::HOST, host);
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
        let body = to_bytes(response.into_body(), ANSWER_MAX).await;
        let body = body.map_err(|error| broken(&error))?;
        if let Some(account) = &self.account {
            account.hold(body.len()).await?;
        }
        Ok(Answer { status, body })
    }
}
