//! The HTTP transport: over a port, or over the socket in a data folder.

use std::error::Error as _;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{StatusCode, header};
use journeyman_event::{Event, Sequence, TaskId};
use reqwest::Response;

use crate::call::{Call, Request, Stream};
use crate::client::{Answer, Client, Error, Transport, Unreachable};
use crate::events::LinesQuery;
use crate::limits::PAGE_MAX;

/// How long connecting may take, and how long the check whether a server is alive.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// A stream of events in which nothing comes for so long is lost: a server sends a comment every 15 s.
const SILENCE_MAX: Duration = Duration::from_mins(1);

/// A server that is reached over HTTP.
#[derive(Debug)]
pub struct HttpTransport {
    http: reqwest::Client,
    base: String,
    /// The name of the server for messages to people.
    name: String,
    token: Option<String>,
}

/// An error with all of its causes.
fn whole(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}"); // a String takes everything
        source = error.source();
    }
    text
}

impl HttpTransport {
    /// Connects to the server at this address (`http://host:port`), with this token if one is given.
    pub fn http(url: &str, token: Option<String>) -> Result<Self, Error> {
        let base = url.trim_end_matches('/').to_owned();
        let name = format!("the server at {base}");
        Self::new(builder(), base, name, token)
    }

    /// Connects to the server that listens on this Unix socket.
    pub fn socket(path: &Path) -> Result<Self, Error> {
        let http = builder().unix_socket(path);
        let name = format!("the server at {}", path.display());
        Self::new(http, "http://localhost".to_owned(), name, None)
    }

    fn new(
        http: reqwest::ClientBuilder,
        base: String,
        name: String,
        token: Option<String>,
    ) -> Result<Self, Error> {
        let http = http.build();
        let http = http.map_err(|error| Unreachable::NotTaken(whole(&error)))?;
        Ok(Self {
            http,
            base,
            name,
            token,
        })
    }

    /// The URL to which requests are sent.
    pub fn base(&self) -> &str {
        &self.base
    }

    fn prepare(&self, request: &Request) -> reqwest::RequestBuilder {
        let Request {
            method,
            path,
            if_match,
            trace: _,
            body,
        } = request;
        let trace = request.trace_headers();
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(tags) = if_match {
            request = request.header(header::IF_MATCH, tags);
        }
        for (name, value) in trace {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        request
    }

    async fn send(&self, request: &Request) -> Result<Response, Unreachable> {
        self.prepare(request).send().await.map_err(|error| {
            let words = format!("{} does not answer: {}", self.name, whole(&error));
            if error.is_connect() {
                Unreachable::NotTaken(words)
            } else {
                Unreachable::Lost(words)
            }
        })
    }

    async fn read(answer: Response) -> Result<Answer, Unreachable> {
        let status = answer.status().as_u16();
        let etag = etag_of(answer.headers());
        let body = answer.bytes().await;
        let broke_off = |error: reqwest::Error| {
            Unreachable::Lost(format!("the server's answer broke off: {}", whole(&error)))
        };
        let body = body.map_err(broke_off)?;
        Ok(Answer { status, etag, body })
    }
}

/// The entity tag among an answer's headers.
pub fn etag_of(headers: &header::HeaderMap) -> Option<String> {
    let etag = headers.get(header::ETAG)?;
    etag.to_str().ok().map(str::to_owned)
}

#[async_trait]
impl Transport for HttpTransport {
    async fn ask(&self, request: &Request) -> Result<Answer, Unreachable> {
        Self::read(self.send(request).await?).await
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

fn builder() -> reqwest::ClientBuilder {
    journeyman_http::client_builder()
        .connect_timeout(CONNECT_TIME)
        .no_proxy()
}

impl Client<HttpTransport> {
    /// Creates a client of this server.
    pub fn over(wire: HttpTransport) -> Self {
        Self::new(Arc::new(wire))
    }

    /// Whether the server responds at all.
    pub async fn is_there(&self) -> bool {
        let asked = self.transport().prepare(Call::health().request());
        let answer = asked.timeout(CONNECT_TIME).send().await;
        matches!(answer, Ok(answer) if answer.status().is_success())
    }

    /// Stored events in order after a position, of one task or of all, up to a position if one is given; and
    /// whether there are more.
    pub async fn events(
        &self,
        task: Option<&TaskId>,
        after: Sequence,
        until: Option<Sequence>,
    ) -> Result<(Vec<Event>, bool), Error> {
        let query = LinesQuery {
            after: Some(after.into()),
            until: until.map(Into::into),
            limit: Some(PAGE_MAX),
            task: task.map(ToString::to_string),
        };
        let text = self.text(Call::lines(&query)).await?;
        let events: Result<Vec<Event>, _> = text.lines().map(event).collect();
        let events = events?;
        let has_more = events.len() == PAGE_MAX;
        Ok((events, has_more))
    }

    /// Streams a task's events after a position, stored ones first. `None` if the task has ended and there are
    /// no more events. If the connection breaks, call this again with the position of the last event received.
    pub async fn watch(&self, task: &TaskId, after: Sequence) -> Result<Option<Watch>, Error> {
        let call: Call<Stream> = Call::stream(task, after);
        let answer = self.transport().send(call.request()).await?;
        let status = answer.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        if !status.is_success() {
            let Answer { status, body, .. } = HttpTransport::read(answer).await?;
            return Err(Error::refused(&self.transport().name(), status, &body));
        }
        Ok(Some(Watch {
            answer,
            buffer: Vec::new(),
        }))
    }
}

fn event(line: &str) -> Result<Event, Error> {
    Event::from_line(line).map_err(|error| Error::Unreadable(format!("it is no event: {error}")))
}

/// A stream of a task's events.
#[derive(Debug)]
pub struct Watch {
    answer: Response,
    /// Received bytes that do not form a complete line yet, or were not parsed.
    buffer: Vec<u8>,
}

impl Watch {
    /// The next event. `None` if the stream has ended, broke off or was silent for a minute; the task's state tells which.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            while let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                if let Some(data) = line.trim_end().strip_prefix("data: ") {
                    return event(data).map(Some);
                }
            }
            let chunk = tokio::time::timeout(SILENCE_MAX, self.answer.chunk());
            let Ok(Ok(Some(chunk))) = chunk.await else {
                return Ok(None);
            };
            self.buffer.extend_from_slice(&chunk);
        }
    }
}
