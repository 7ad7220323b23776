//! A client: sends requests over any transport and parses the responses.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use journeyman_event::Owner;
use serde::de::DeserializeOwned;

use crate::call::{Call, Request, Text};
use crate::problem::Problem;

/// A response, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header `ETag`, with its quotes, if the response has one.
    pub etag: Option<String>,
    /// The bytes of the body.
    pub body: Bytes,
}

/// A response as text, with its entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// The body as text.
    pub text: String,
    /// The header `ETag`, with its quotes, if the response has one.
    pub etag: Option<String>,
}

/// A server that did not answer, in words for a person.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unreachable {
    /// The request did not reach the server and may be sent to another one.
    #[error("{0}")]
    NotTaken(String),
    /// The connection broke, and it is unknown whether the request was carried out.
    #[error("{0}")]
    Lost(String),
}

/// A way to reach a server.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends the request and waits for the whole response.
    async fn ask(&self, request: &Request) -> Result<Answer, Unreachable>;

    /// The name of the server for messages to people, with its address if it has one.
    fn name(&self) -> String {
        "the server".to_owned()
    }
}

/// The authenticated sender of a request, for a protocol beside REST. It is among the request's extensions.
#[derive(Clone)]
pub struct AuthenticatedClient {
    /// The owner whose tasks it may access.
    pub owner: Owner,
    /// The REST API on behalf of this sender. Responses count against the send budget for as long as this
    /// lives.
    pub rest: Client,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server rejected the request.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// The connection failed.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The response cannot be parsed.
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(String),
}

impl Error {
    /// Whether the connection failed. The request may have been carried out, and may be sent again.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }

    /// Whether the server cannot handle the request now: it is shutting down, its disk is full, or a proxy
    /// cannot reach it.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.status(), Some(502..=504))
    }

    /// Whether the server is shutting down.
    pub fn is_stopping(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.word() == "shutting-down")
    }

    /// The HTTP status code of a rejection.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            Self::Unreachable(_) | Self::Unreadable(_) => None,
        }
    }

    pub(crate) fn refused(name: &str, status: u16, body: &[u8]) -> Self {
        let problem = serde_json::from_slice(body);
        Self::Refused(Box::new(problem.unwrap_or_else(|_| unknown(name, status))))
    }
}

/// The problem for an error response that has no problem of ours as its body: from a proxy, some of whose statuses say
/// that the server behind it cannot be reached, or from a server of another program.
fn unknown(name: &str, status: u16) -> Problem {
    let is_of_a_proxy = matches!(status, 502..=504);
    let hint = if is_of_a_proxy {
        ""
    } else {
        ", and not as a Journeyman server does; check its address"
    };
    let known = StatusCode::from_u16(status).ok();
    let title = known.and_then(|known| known.canonical_reason());
    Problem {
        kind: "about:blank".to_owned(),
        title: title.unwrap_or("unknown").to_owned(),
        status,
        detail: format!(
            "{name} answers {}{hint}",
            format!("{status} {}", title.unwrap_or_default()).trim_end()
        ),
        field: None,
        retry_after: None,
        version: None,
        etag: None,
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, kind) = match error {
            Error::Refused(problem) => return *problem,
            Error::Unreachable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unreachable"),
            Error::Unreadable(_) => (StatusCode::BAD_GATEWAY, "bad-answer"),
        };
        Self::new(status, kind, error.to_string())
    }
}

/// A client of one server. Clones share its transport.
#[derive(Debug)]
pub struct Client<T: ?Sized = dyn Transport>(Arc<T>);

impl<T: ?Sized> Clone for Client<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Transport + ?Sized> Client<T> {
    /// Creates a client with this transport.
    pub const fn new(transport: Arc<T>) -> Self {
        Self(transport)
    }

    /// The transport used for requests.
    pub fn transport(&self) -> &Arc<T> {
        &self.0
    }

    /// Sends a request whose response is JSON.
    pub async fn call<A: DeserializeOwned>(&self, call: Call<A>) -> Result<A, Error> {
        let Answer { body, .. } = self.answered(call.request()).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let name = self.0.name();
            Error::Unreadable(format!(
                "{error}; {name} answers not as a Journeyman server does"
            ))
        })
    }

    /// Sends a request whose response is text.
    pub async fn text(&self, call: Call<Text>) -> Result<String, Error> {
        self.tagged(call).await.map(|Tagged { text, .. }| text)
    }

    /// Sends a request whose response is text, and returns it with its entity tag.
    pub async fn tagged(&self, call: Call<Text>) -> Result<Tagged, Error> {
        let Answer { body, etag, .. } = self.answered(call.request()).await?;
        let text = String::from_utf8_lossy(&body).into_owned();
        Ok(Tagged { text, etag })
    }

    async fn answered(&self, request: &Request) -> Result<Answer, Error> {
        let answer = self.0.ask(request).await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        Err(Error::refused(&self.0.name(), answer.status, &answer.body))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_is_refused() {
        for (status, kind, waits, stops) in [
            (503, "shutting-down", true, true),
            (503, "journal-degraded", true, false),
            (500, "internal", false, false),
            (409, "task-exists", false, false),
        ] {
            let problem = Problem::new(StatusCode::from_u16(status).unwrap(), kind, "words");
            let body = serde_json::to_vec(&problem).unwrap();
            let error = Error::refused("the server", status, &body);
            let found = (error.is_unavailable(), error.is_stopping(), error.is_lost());
            assert_eq!(found, (waits, stops, false), "{status} {kind}");
            assert_eq!(error.to_string(), "words");
            assert_eq!(Problem::from(error), problem);
        }
    }

    #[test]
    fn a_refusal_that_is_no_problem_of_ours_is_told_all_the_same() {
        for (status, waits) in [(502, true), (504, true), (418, false)] {
            let error = Error::refused("the server at http://x:1", status, b"<html>");
            assert_eq!(
                (error.is_unavailable(), error.status()),
                (waits, Some(status))
            );
            let words = error.to_string();
            assert!(words.contains(&status.to_string()), "{words}");
            assert!(words.contains("http://x:1"), "{words}");
            // What is no server of ours is told as that; a proxy only says that ours is not there.
            assert_ne!(words.contains("check its address"), waits, "{words}");
        }
    }

    #[test]
    fn only_a_lost_connection_is_lost_and_each_is_a_problem_for_others() {
        let lost = Error::from(Unreachable::Lost("gone".to_owned()));
        assert!(lost.is_lost() && !lost.is_unavailable() && lost.status().is_none());
        assert_eq!(Problem::from(lost).word(), "unreachable");
        let unreadable = Error::Unreadable("no JSON".to_owned());
        assert!(!unreadable.is_lost());
        assert_eq!(Problem::from(unreadable).word(), "bad-answer");
    }
}
