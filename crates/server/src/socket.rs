//! Events over a WebSocket, of one task or of all the caller's tasks, or metrics; and interventions in the other direction.
//!
//! A client states a sequence number and gets every later event once and in order, first stored and then live ones.
//! The events are read from the journal at the client's own pace, so a slow client delays no one, and only one page
//! is in memory per client.

use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use journeyman_api::{MetricsPart, Position, Problem, TaskView, task_name};
use journeyman_event::{Event, Sequence, TaskId};
use journeyman_journal::{Error, Filter};
use journeyman_tasks::OnlyAt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::app::App;
use crate::auth::{Caller, known_caller};
use crate::feed::{Feed, PIECE, Page, pieces};
use crate::interventions::apply;
use crate::metrics_feed::MetricsFeed;
use crate::problem::Rejection;
use crate::query::{ValidQuery, seen};
use crate::view::Shown;
use crate::websocket::{FramePosition, Received, Upgrade, WebSocket};

/// The version of the messages.
const VERSION: u32 = 1;
/// How long a client may take to send its token.
const TOKEN_TIME: Duration = Duration::from_secs(10);
/// How long a piece of a message may take to be sent. After that the client is gone or far too slow.
const SEND_TIME: Duration = Duration::from_secs(10);
/// The same while others wait for the bytes it holds.
const CONTENDED_TIME: Duration = Duration::from_secs(1);
/// How long sending the close frame is tried, after the data that could not be sent. It tells a client that was
/// away where to continue. If others wait for room, the connection is closed earlier
/// ([`crate::stall_timeout`]).
const CLOSE_TIME: Duration = Duration::from_secs(30);
/// The interval of pings while nothing else is sent.
const PING: Duration = Duration::from_secs(20);
/// A client that has sent nothing for this long counts as gone.
const SILENCE_MAX: Duration = Duration::from_secs(65);
/// The most interventions of one client in progress.
const DOING_MAX: usize = 16;
/// Why a socket is closed, with its close code. Codes from 4000 are specific to this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    /// The server is shutting down.
    GoingAway,
    /// An internal error.
    Internal,
    /// The client sent an invalid message.
    BadMessage,
    /// The token is missing, unknown or revoked.
    Unauthorized,
    /// Only admins get this.
    Forbidden,
    /// No such task.
    UnknownTask,
    /// The task was erased.
    Erased,
    /// `after` is ahead of every event.
    Ahead,
    /// Messages did not get out: come back, and say where you were.
    TooSlow,
    /// The client violated the WebSocket protocol; contains the code of RFC 6455.
    Wrong(u16),
}

impl Close {
    const fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::Internal => 1011,
            Self::BadMessage => 4400,
            Self::Unauthorized => 4401,
            Self::Forbidden => 4403,
            Self::UnknownTask => 4404,
            Self::TooSlow => 4408,
            Self::Erased => 4410,
            Self::Ahead => 4422,
            Self::Wrong(code) => code,
        }
    }

    fn reason(self, at: Sequence) -> String {
        match self {
            Self::GoingAway => format!("the server stops; come back with after={at}"),
            Self::Internal => format!("something went wrong here; come back with after={at}"),
            Self::BadMessage => "the message is not understood".to_owned(),
            Self::Unauthorized => "a known token is needed".to_owned(),
            Self::Forbidden => "only admins get metrics".to_owned(),
            Self::UnknownTask => "the task does not exist".to_owned(),
            Self::Erased => "the task was erased: nothing more comes".to_owned(),
            Self::Ahead => format!("`after` is ahead of every event: there is none at {at} yet"),
            Self::TooSlow => format!("too slow; resume from here with after={at}"),
            Self::Wrong(1003) => "messages are text, JSON in UTF-8".to_owned(),
            Self::Wrong(1007) => "the text is not UTF-8".to_owned(),
            Self::Wrong(1009) => "the message is larger than 2 MiB".to_owned(),
            Self::Wrong(_) => "this is not as RFC 6455 says".to_owned(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SocketQuery {
    /// Only events after this position.
    after: Option<Position>,
    /// A ticket, where the client cannot send a header.
    ticket: Option<String>,
    /// What is sent instead of events.
    subscribe: Option<Topic>,
    /// The only part of the metrics that is sent.
    part: Option<MetricsPart>,
}

impl SocketQuery {
    /// The member that does not fit to the others, on a socket of one task or of all.
    fn misplaced(&self, is_of_task: bool) -> Option<&'static str> {
        match self.subscribe {
            Some(Topic::Metrics) if is_of_task => Some("subscribe"),
            Some(Topic::Metrics) => self.after.map(|_| "after"),
            None => self.part.map(|_| "part"),
        }
    }
}

/// What can be sent instead of events.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Topic {
    Metrics,
}

/// What a socket sends by itself.
enum Source {
    Events(Box<Feed>),
    Metrics(MetricsFeed),
}

/// The next of it.
enum Next {
    Events(Page),
    Message(Bytes),
}

impl Source {
    /// Cancel-safe.
    async fn next(&mut self) -> Result<Next, Close> {
        match self {
            Self::Events(events) => {
                let page = events.next().await.map_err(|error| match error {
                    Error::Erased(_) => Close::Erased,
                    _ => Close::Internal,
                })?;
                Ok(Next::Events(page))
            }
            Self::Metrics(metrics) => {
                let changes = metrics.next().await.map_err(|error| {
                    tracing::error!(%error, "metrics are not counted");
                    Close::Internal
                })?;
                Ok(Next::Message(message(&changes)))
            }
        }
    }
}

/// A message: the version in front of the members of an object.
fn message(members: &impl Serialize) -> Bytes {
    let members = serde_json::to_string(members).unwrap_or_default();
    let members = members.strip_prefix('{').unwrap_or_default();
    format!("{{\"v\":{VERSION},{members}").into()
}

/// What a client may say.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum ClientMessage {
    /// Who it is.
    Auth { token: String },
    /// What is to be done to a task: to the socket's own, if none is named.
    Intervene {
        /// Comes back with what became of it.
        #[serde(default)]
        id: Value,
        task_id: Option<String>,
        /// Only if the task has this version still, as `If-Match` says it over REST.
        if_version: Option<u64>,
        /// As over REST.
        intervention: Map<String, Value>,
    },
}

/// What became of an intervention.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ServerMessage {
    /// It is durable; this is the task after it, with its version and the tag that `GET` answers it with.
    Done {
        id: Value,
        version: u64,
        etag: String,
        task: Box<TaskView>,
    },
    /// It is not done.
    Problem { id: Value, problem: Problem },
}

/// The caller, the task, and the host under which the server was addressed.
struct Session<'a> {
    app: &'a App,
    caller: &'a Caller,
    task: Option<&'a TaskId>,
    headers: &'a HeaderMap,
}

impl Session<'_> {
    async fn intervene(
        &self,
        id: Value,
        named: Option<String>,
        only_at: OnlyAt,
        intervention: Map<String, Value>,
    ) -> ServerMessage {
        let named = named.map(|name| task_name("task_id", &name));
        let task = named.unwrap_or_else(|| {
            let none = || Problem::field("task_id", "say which task is meant");
            self.task.cloned().ok_or_else(none)
        });
        let done = match task {
            Ok(task) => {
                let (app, caller, headers) = (self.app, self.caller, self.headers);
                apply(app, caller, &task, intervention, only_at, headers).await
            }
            Err(problem) => Err(problem.into()),
        };
        match done {
            Ok(Shown { view, tag }) => ServerMessage::Done {
                id,
                version: view.revision,
                etag: tag.quoted(),
                task: Box::new(view),
            },
            Err(Rejection(problem)) => ServerMessage::Problem { id, problem },
        }
    }
}

/// `GET /ws`: events of all the caller's tasks.
pub(crate) async fn all(State(app): State<App>, request: Request) -> Response {
    upgrade(app, None, request).await
}

/// `GET /ws/{task_id}`: events of one task.
pub(crate) async fn one(
    State(app): State<App>,
    axum::extract::Path(task): axum::extract::Path<String>,
    request: Request,
) -> Response {
    upgrade(app, Some(task), request).await
}

async fn upgrade(app: App, task: Option<String>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let upgrade = match Upgrade::of(&mut parts) {
        Ok(upgrade) => upgrade,
        Err(problem) => return problem.into_response(),
    };
    let query = ValidQuery::<SocketQuery>::from_request_parts(&mut parts, &app).await;
    let ValidQuery(query) = match query {
        Ok(query) => query,
        Err(problem) => return problem.into_response(),
    };
    if let Some(field) = query.misplaced(task.is_some()) {
        let detail = "metrics are subscribed at `/ws?subscribe=metrics`, without a position; `part` is for them alone";
        return Problem::field(field, detail).into_response();
    }
    let by_ticket = query.ticket.as_deref();
    let by_ticket = by_ticket
        .and_then(|ticket| app.tickets.redeem(ticket))
        .filter(|caller| app.auth.recheck(caller).is_ok());
    let caller = match (by_ticket, known_caller(&app, &parts)) {
        (Some(caller), _) => Some(caller),
        (None, Ok(known)) => known,
        (None, Err(problem)) => return problem.into_response(),
    };
    // Shutdown waits until this socket has sent its close frame.
    let sockets = app.sockets.clone();
    upgrade.serve(move |socket| {
        sockets.track_future(async move {
            let at = Sequence::ZERO;
            let mut client = Client { socket, at };
            let ended = client
                .serve(&app, task.as_deref(), &query, caller, &parts.headers)
                .await;
            if let Err(close) = ended {
                client.close(close).await;
            }
            client.socket.end().await;
        })
    })
}

struct Client {
    socket: WebSocket,
    /// The position up to which events were sent.
    at: Sequence,
}

impl Client {
    /// Serves the client until it is gone or the socket must be closed.
    async fn serve(
        &mut self,
        app: &App,
        task: Option<&str>,
        query: &SocketQuery,
        caller: Option<Caller>,
        headers: &HeaderMap,
    ) -> Result<(), Close> {
        let after = query.after;
        self.at = after.map_or(Sequence::ZERO, Position::sequence);
        let caller = match caller {
            Some(caller) => caller,
            None => self.authenticate(app).await?,
        };
        let task_id = match task {
            None => None,
            Some(name) => {
                let task = TaskId::new(name).map_err(|_| Close::UnknownTask)?;
                let known = app.tasks.current(&caller.principal, &task).await;
                known.map_err(|error| match error {
                    journeyman_tasks::Error::NoSuchTask { .. } => Close::UnknownTask,
                    journeyman_tasks::Error::Journal(Error::Erased(_)) => Close::Erased,
                    _ => Close::Internal,
                })?;
                Some(task)
            }
        };
        let filter = Filter {
            task_id: task_id.clone(),
            ..Filter::default()
        };
        let session = Session {
            app,
            caller: &caller,
            task: task_id.as_ref(),
            headers,
        };
        let journal = app.tasks.journal();
        if let Some(after) = after {
            let seen = seen(after, journal, "after").await;
            seen.map_err(|Rejection(problem)| match problem.status() {
                StatusCode::UNPROCESSABLE_ENTITY => Close::Ahead,
                _ => Close::Internal,
            })?;
        }
        let source = match query.subscribe {
            Some(Topic::Metrics) => {
                caller.may_see_server().map_err(|_| Close::Forbidden)?;
                Source::Metrics(MetricsFeed::new(&app.metrics, query.part))
            }
            None => {
                let events = journal.subscribe(&caller.principal, filter, self.at);
                Source::Events(Box::new(Feed::new(events, &app.send_budget)))
            }
        };
        let revoked = app.auth.revoked(&caller);
        tokio::pin!(revoked);
        tokio::select! {
            ended = self.send_all(source, &session) => ended,
            () = app.stop.cancelled() => Err(Close::GoingAway),
            () = &mut revoked => Err(Close::Unauthorized),
        }
    }

    /// Authenticates the client by its first message.
    async fn authenticate(&mut self, app: &App) -> Result<Caller, Close> {
        let first = async {
            loop {
                match self.socket.receive().await {
                    Received::Alive => {}
                    heard => return heard,
                }
            }
        };
        let text = match tokio::time::timeout(TOKEN_TIME, first).await {
            Ok(Received::Text(text)) => text,
            Ok(Received::Wrong(code)) => return Err(Close::Wrong(code)),
            Ok(_) | Err(_) => return Err(Close::Unauthorized),
        };
        let said = serde_json::from_str(&text);
        let ClientMessage::Auth { token } = said.map_err(|_| Close::BadMessage)? else {
            return Err(Close::Unauthorized);
        };
        app.auth.caller(&token).ok_or(Close::Unauthorized)
    }

    async fn send_all(&mut self, mut source: Source, session: &Session<'_>) -> Result<(), Close> {
        let mut doing = FuturesUnordered::new();
        let mut heard = tokio::time::Instant::now();
        let mut ping = tokio::time::interval(PING);
        ping.reset();
        loop {
            tokio::select! {
                next = source.next() => match next? {
                    Next::Events(page) => for event in &page.events {
                        self.send_event(session.app, event).await?;
                        self.at = event.sequence();
                    },
                    Next::Message(message) => self.send(session.app, message).await?,
                },
                Some(told) = doing.next() => self.send(session.app, message(&told)).await?,
                said = self.socket.receive(), if doing.len() < DOING_MAX => match said {
                    Received::Gone => return Ok(()),
                    Received::Wrong(code) => return Err(Close::Wrong(code)),
                    Received::Alive => heard = tokio::time::Instant::now(),
                    Received::Text(text) => match serde_json::from_str(&text) {
                        // It is known already; a repeated token does no harm.
                        Ok(ClientMessage::Auth { .. }) => {}
                        Ok(ClientMessage::Intervene { id, task_id, if_version, intervention }) => {
                            let only_at = OnlyAt::version(if_version);
                            doing.push(session.intervene(id, task_id, only_at, intervention));
                        }
                        Err(_) => return Err(Close::BadMessage),
                    },
                },
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return Ok(());
                    }
                    in_time(session.app, self.socket.ping()).await?;
                }
            }
        }
    }

    /// Sends the stored line with the message version in front.
    async fn send_event(&mut self, app: &App, event: &Event) -> Result<(), Close> {
        let head = format!("{{\"v\":{VERSION},\"type\":\"event\",");
        let mut pieces = pieces(event, &head).peekable();
        let mut is_first = true;
        while let Some(piece) = pieces.next() {
            let is_last = pieces.peek().is_none();
            let at = FramePosition { is_first, is_last };
            in_time(app, self.socket.send(piece, at)).await?;
            is_first = false;
        }
        Ok(())
    }

    async fn send(&mut self, app: &App, message: Bytes) -> Result<(), Close> {
        let held = app.send_budget.reserve_built(message.len()).await;
        let _held = held.ok_or(Close::TooSlow)?;
        let mut from = 0;
        while from < message.len() {
            let to = message.len().min(from + PIECE);
            let at = FramePosition {
                is_first: from == 0,
                is_last: to == message.len(),
            };
            in_time(app, self.socket.send(message.slice(from..to), at)).await?;
            from = to;
        }
        Ok(())
    }

    async fn close(&mut self, close: Close) {
        let said = self.socket.send_close(close.code(), close.reason(self.at));
        let _ = tokio::time::timeout(CLOSE_TIME, said).await; // who does not read it needs none
    }
}

/// Waits until the client has received something, within the time limit.
async fn in_time<E>(app: &App, sent: impl Future<Output = Result<(), E>>) -> Result<(), Close> {
    let too_slow = async {
        let began = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(CONTENDED_TIME).await;
            if app.send_budget.is_contended() || began.elapsed() >= SEND_TIME {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        // A client that is gone needs no close reason.
        sent = sent => sent.map_err(|_| Close::TooSlow),
        () = too_slow => Err(Close::TooSlow),
    }
}
