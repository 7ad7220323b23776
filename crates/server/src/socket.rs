//! Events over a WebSocket: those of one task, or of all that are the caller's; and interventions the
//! other way.
//!
//! A client says after which sequence; it gets everything since, then what comes, in order, once. It is
//! read from the journal at the client's own pace, so one that is slow delays nobody, and only a few
//! events ever wait for it.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{FuturesUnordered, StreamExt};
use journeyman_event::{Event, Sequence, TaskId};
use journeyman_journal::{Filter, Subscription};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::app::App;
use crate::door::{Caller, known_caller};
use crate::interventions::apply;
use crate::problem::Problem;
use crate::query::Asked;
use crate::view::TaskView;

/// The version of the messages.
const VERSION: u32 = 1;
/// A client has this long to send its token.
const TOKEN_TIME: Duration = Duration::from_secs(10);
/// A message has this long to get out; after that the client is gone or far too slow.
const SEND_TIME: Duration = Duration::from_secs(10);
/// Where nothing is sent, a ping is, this often.
const PING: Duration = Duration::from_secs(20);
/// Without any answer for so long the client is gone.
const SILENCE_MAX: Duration = Duration::from_secs(65);
/// Bytes of a client's message: the largest file that a user may write, however it is escaped.
const MESSAGE_MAX: usize = 1 << 20;
/// What one client may have under way at the same time.
const DOING_MAX: usize = 16;
/// Bytes that are read at a time: clients say little, and each socket has a buffer of so many.
const READ: usize = 1 << 10;

/// Why a socket is closed, as its close code. Those from 4000 on are this program's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    /// The server stops.
    GoingAway,
    /// Something is wrong with the server.
    Internal,
    /// The client said something that is not understood.
    BadMessage,
    /// No token, an unknown one, or one that was revoked.
    Unauthorized,
    /// No such task.
    UnknownTask,
    /// Messages did not get out: come back, and say where you were.
    TooSlow,
}

impl Close {
    const fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::Internal => 1011,
            Self::BadMessage => 4400,
            Self::Unauthorized => 4401,
            Self::UnknownTask => 4404,
            Self::TooSlow => 4408,
        }
    }

    fn reason(self, at: Sequence) -> String {
        match self {
            Self::GoingAway => format!("the server stops; come back with after={at}"),
            Self::Internal => format!("something went wrong here; come back with after={at}"),
            Self::BadMessage => "the message is not understood".to_owned(),
            Self::Unauthorized => "a known token is needed".to_owned(),
            Self::UnknownTask => "there is no such task".to_owned(),
            Self::TooSlow => format!("too slow; resume from here with after={at}"),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SocketQuery {
    /// Only events after this position.
    after: Option<u64>,
    /// A ticket, where the client cannot send a header.
    ticket: Option<String>,
}

/// What a client may say.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Said {
    /// Who it is.
    Auth { token: String },
    /// What is to be done to a task: to the socket's own, if none is named.
    Intervene {
        /// Comes back with what became of it.
        #[serde(default)]
        id: Value,
        task_id: Option<String>,
        /// As over REST.
        intervention: Map<String, Value>,
    },
}

/// What became of an intervention.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Told {
    /// It is durable; this is the task after it.
    Done { id: Value, task: Box<TaskView> },
    /// It is not done.
    Problem { id: Value, problem: Problem },
}

impl Told {
    fn message(&self) -> Message {
        let members = serde_json::to_string(self).unwrap_or_default();
        let members = members.strip_prefix('{').unwrap_or_default();
        Message::Text(format!("{{\"v\":{VERSION},{members}").into())
    }
}

/// Who speaks, to which task, and how they address the server.
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
        intervention: Map<String, Value>,
    ) -> Told {
        let named = named.map(|name| {
            TaskId::new(name).map_err(|error| Problem::field("task_id", error.to_string()))
        });
        let task = named.unwrap_or_else(|| {
            let none = || Problem::field("task_id", "say which task is meant");
            self.task.cloned().ok_or_else(none)
        });
        let done = match task {
            Ok(task) => apply(self.app, self.caller, &task, intervention, self.headers).await,
            Err(problem) => Err(problem),
        };
        match done {
            Ok(task) => Told::Done {
                id,
                task: Box::new(task),
            },
            Err(problem) => Told::Problem { id, problem },
        }
    }
}

/// `GET /ws`: all of the caller's tasks.
pub(crate) async fn all(State(app): State<App>, request: Request) -> Response {
    upgrade(app, None, request).await
}

/// `GET /ws/{task_id}`: one task.
pub(crate) async fn one(
    State(app): State<App>,
    axum::extract::Path(task): axum::extract::Path<String>,
    request: Request,
) -> Response {
    upgrade(app, Some(task), request).await
}

async fn upgrade(app: App, task: Option<String>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &app).await;
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let status = rejection.status();
            return Problem::new(status, "no-websocket", rejection.body_text()).into_response();
        }
    };
    let query = Asked::<SocketQuery>::from_request_parts(&mut parts, &app).await;
    let Asked(query) = match query {
        Ok(query) => query,
        Err(problem) => return problem.into_response(),
    };
    let by_ticket = query.ticket.as_deref();
    let by_ticket = by_ticket.and_then(|ticket| app.tickets.take(ticket));
    let caller = match (by_ticket, known_caller(&app, &parts)) {
        (Some(caller), _) => Some(caller),
        (None, Ok(known)) => known,
        (None, Err(problem)) => return problem.into_response(),
    };
    let after = Sequence(query.after.unwrap_or(0));
    let upgrade = upgrade
        .read_buffer_size(READ)
        .max_message_size(MESSAGE_MAX)
        .max_frame_size(MESSAGE_MAX);
    // Whoever stops the server waits until it has said so here.
    let sockets = app.sockets.clone();
    upgrade.on_upgrade(move |socket| {
        sockets.track_future(async move {
            let mut client = Client { socket, at: after };
            let ended = client
                .serve(&app, task.as_deref(), caller, &parts.headers)
                .await;
            if let Err(close) = ended {
                client.close(close).await;
            }
        })
    })
}

struct Client {
    socket: WebSocket,
    /// Everything up to here was sent.
    at: Sequence,
}

impl Client {
    /// Until the client is gone, or with why it is closed.
    async fn serve(
        &mut self,
        app: &App,
        task: Option<&str>,
        caller: Option<Caller>,
        headers: &HeaderMap,
    ) -> Result<(), Close> {
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
                    journeyman_agent::Error::NoSuchTask { .. } => Close::UnknownTask,
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
        let events = journal.subscribe(&caller.principal, filter, self.at);
        let revoked = app.door.revoked(&caller);
        tokio::pin!(revoked);
        tokio::select! {
            ended = self.send_all(events, &session) => ended,
            () = app.stop.cancelled() => Err(Close::GoingAway),
            () = &mut revoked => Err(Close::Unauthorized),
        }
    }

    /// The first message says who it is.
    async fn authenticate(&mut self, app: &App) -> Result<Caller, Close> {
        let first = tokio::time::timeout(TOKEN_TIME, self.socket.recv()).await;
        let Ok(Some(Ok(Message::Text(text)))) = first else {
            return Err(Close::Unauthorized);
        };
        let said = serde_json::from_str(&text);
        let Said::Auth { token } = said.map_err(|_| Close::BadMessage)? else {
            return Err(Close::Unauthorized);
        };
        app.door.caller(&token).ok_or(Close::Unauthorized)
    }

    async fn send_all(
        &mut self,
        mut events: Subscription,
        session: &Session<'_>,
    ) -> Result<(), Close> {
        let mut doing = FuturesUnordered::new();
        let mut heard = tokio::time::Instant::now();
        let mut ping = tokio::time::interval(PING);
        ping.reset();
        loop {
            tokio::select! {
                event = events.next() => {
                    let event = event.map_err(|_| Close::Internal)?;
                    self.send(Message::Text(message_of(&event))).await?;
                    self.at = event.sequence();
                }
                Some(told) = doing.next() => self.send(Told::message(&told)).await?,
                said = self.socket.recv(), if doing.len() < DOING_MAX => match said {
                    None | Some(Err(_) | Ok(Message::Close(_))) => return Ok(()),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                        heard = tokio::time::Instant::now();
                    }
                    Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                        // It is known already; a repeated token does no harm.
                        Ok(Said::Auth { .. }) => {}
                        Ok(Said::Intervene { id, task_id, intervention }) => {
                            doing.push(session.intervene(id, task_id, intervention));
                        }
                        Err(_) => return Err(Close::BadMessage),
                    },
                    Some(Ok(Message::Binary(_))) => return Err(Close::BadMessage),
                },
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return Ok(());
                    }
                    self.send(Message::Ping(bytes::Bytes::new())).await?;
                }
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Close> {
        let sent = tokio::time::timeout(SEND_TIME, self.socket.send(message)).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            // Whoever is gone needs no reason.
            Ok(Err(_)) | Err(_) => Err(Close::TooSlow),
        }
    }

    async fn close(&mut self, close: Close) {
        let frame = CloseFrame {
            code: close.code(),
            reason: close.reason(self.at).into(),
        };
        let message = Message::Close(Some(frame));
        let _ = tokio::time::timeout(SEND_TIME, self.socket.send(message)).await;
    }
}

/// The stored line with the message's version in front.
fn message_of(event: &Event) -> Utf8Bytes {
    let members = event.line().strip_prefix('{').unwrap_or_default();
    format!("{{\"v\":{VERSION},\"type\":\"event\",{members}").into()
}
