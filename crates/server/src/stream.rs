//! A task's events as server-sent events. The id of each is its sequence number, so that a client that reconnects
//! states its position with `Last-Event-ID`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use journeyman_api::{Position, Problem, SentEvent, StreamQuery, TaskPath};
use journeyman_event::{Event, Payload, Sequence};
use journeyman_journal::Filter;

use crate::app::App;
use crate::auth::Caller;
use crate::feed::{Feed, pieces};
use crate::problem::Rejection;
use crate::query::{Task, ValidQuery, seen};
use crate::send_budget::Reservation;

/// The interval of comments while nothing else is sent, so that dead clients are noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

struct Open {
    app: App,
    caller: Caller,
    events: Feed,
    /// Prepared pieces that were not sent yet.
    made: VecDeque<Bytes>,
    has_ended: bool,
}

impl Open {
    /// The next piece to send; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Bytes> {
        while self.made.is_empty() {
            if self.has_ended {
                return None;
            }
            let page = tokio::select! {
                page = self.events.next() => page.ok()?,
                () = tokio::time::sleep(KEEP_ALIVE) => return Some(Bytes::from_static(b":\n\n")),
                () = self.app.stop.cancelled() => return None,
                () = self.app.auth.revoked(&self.caller) => return None,
            };
            for event in &page.events {
                let sent = sent(event).map(|piece| Reservation::attach(&page.held, piece));
                self.made.extend(sent);
                self.has_ended = ends(event.payload()) && self.stands(event).await?;
                if self.has_ended {
                    break;
                }
            }
        }
        self.made.pop_front()
    }

    /// Whether the end of a task is final in its current state; it may have been resumed since. `None` if the
    /// state cannot be loaded.
    async fn stands(&self, end: &Event) -> Option<bool> {
        let (tasks, principal) = (&self.app.tasks, &self.caller.principal);
        let state = tasks.current(principal, end.task_id()).await.ok()?;
        Some(state.ended_at == Some(end.sequence()))
    }
}

/// An event in the format of server-sent events.
fn sent(event: &Event) -> impl Iterator<Item = Bytes> + use<> {
    let (id, kind) = (event.sequence(), event.kind());
    let head = format!("id: {id}\nevent: {kind}\ndata: {{");
    pieces(event, &head).chain([Bytes::from_static(b"\n\n")])
}

/// Stream a task's events after a position, stored and new ones, until it has ended. An end after which the task was
/// resumed does not end the stream.
#[utoipa::path(
    get, path = "/tasks/{task_id}/stream", tag = "events",
    params(TaskPath, StreamQuery, ("Last-Event-ID" = Option<u64>, Header, description = "The position of the last event that was received", minimum = 0)),
    responses(
        (status = 200, body = SentEvent, content_type = "text/event-stream"),
        (status = 204, description = "The task has ended, and there are no events after the position"),
    ),
)]
pub(crate) async fn stream(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(query): ValidQuery<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let state = app.tasks.current(&caller.principal, &task).await?;
    let journal = app.tasks.journal();
    let last = match headers.get("last-event-id") {
        None => None,
        Some(value) => {
            let number: Option<u64> = value.to_str().ok().and_then(|text| text.parse().ok());
            let parsed = number.and_then(|number| Position::try_from(number).ok());
            let bad =
                || Problem::field("Last-Event-ID", "it is the `id` of an event: its sequence");
            Some((parsed.ok_or_else(bad)?, "Last-Event-ID"))
        }
    };
    let after = match last.or(query.after.map(|after| (after, "after"))) {
        None => Sequence::ZERO,
        Some((after, field)) => seen(after, journal, field).await?,
    };
    if state.ended_at.is_some_and(|end| after >= end) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let filter = Filter::of_task(&task);
    let open = Open {
        events: Feed::new(
            journal.subscribe(&caller.principal, filter, after),
            &app.send_budget,
        ),
        app,
        caller,
        made: VecDeque::new(),
        has_ended: false,
    };
    let sent = stream::unfold(open, |mut open| async move {
        let next = open.next().await?;
        Some((Ok::<_, Infallible>(next), open))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, Body::from_stream(sent)).into_response())
}

fn ends(payload: &Payload) -> bool {
    matches!(
        payload,
        Payload::TaskComplete(_) | Payload::TaskFailed(_) | Payload::TaskCancelled(_)
    )
}
