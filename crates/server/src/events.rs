//! A task's events, and the texts they refer to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use journeyman_api::limits::{EVENT_WAIT_MS_MAX, check_word, page_limit, wait_ms};
use journeyman_api::{
    BlobPath, EventPage, EventView, EventsQuery, IfNoneMatch, LinesQuery, Position, Problem,
    TaskPath,
};
use journeyman_event::{ContentHash, Event, ModuleName, Sequence, TaskId};
use journeyman_journal::{Filter, ReadLimit};
use journeyman_knowledge::relevant;
use serde_json::value::RawValue;

use crate::app::App;
use crate::auth::Caller;
use crate::conditions::{Conditions, Tag};
use crate::feed::pieces;
use crate::problem::Rejection;
use crate::query::{Task, TaskPathAnd, ValidQuery, seen};
use crate::send_budget::{Reservation, weight};
use crate::view::time;

/// The number of events per page.
const PAGE: usize = 100;
/// The most bytes of events per page, exceeded by at most one event. The next page has the rest.
const PAGE_BYTES: usize = 2 << 20;
/// The most bytes of lines held in memory per client.
const PART_BYTES: usize = 128 << 10;
fn view(event: &Event, with_data: bool) -> EventView {
    let data = with_data.then(|| event.payload().to_json().ok()).flatten();
    EventView {
        sequence: event.sequence().0,
        revision: event.revision().0,
        id: event.id().to_string(),
        task_id: event.task_id().to_string(),
        module: event.module().map(ToString::to_string),
        kind: event.kind().to_owned(),
        occurred_at: time(Some(event.occurred_at())),
        actor: event.actor().to_owned(),
        causation_id: event.causation_id().map(|id| id.to_string()),
        code_version: event.code_version(),
        code_hash: event.code_hash().map(|hash| hash.to_string()),
        clock: serde_json::to_value(event.clock()).unwrap_or_default(),
        origin: serde_json::to_value(event.origin()).unwrap_or_default(),
        hash: event.hash().to_string(),
        data: data.and_then(|data| RawValue::from_string(data).ok()),
    }
}

/// List a task's events.
#[utoipa::path(
    get, path = "/tasks/{task_id}/events", tag = "events", params(TaskPath, EventsQuery),
    responses((status = 200, body = EventPage)),
)]
pub(crate) async fn events(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(query): ValidQuery<EventsQuery>,
) -> Result<Json<EventPage>, Rejection> {
    let limit = ReadLimit {
        events: page_limit(query.limit, PAGE)?,
        bytes: PAGE_BYTES,
    };
    check_word("kind", query.kind.as_deref(), 100)?;
    check_word("actor", query.actor.as_deref(), 200)?;
    if let Some(about) = query.about {
        return about_one(&app, &caller, &task, about.sequence(), &query, limit.events).await;
    }
    let module = query.module.as_deref().map(ModuleName::new).transpose();
    let filter = Filter {
        task_id: Some(task.clone()),
        kinds: query.kind.into_iter().collect(),
        module: module.map_err(|error| Problem::field("module", error.to_string()))?,
        actor: query.actor,
        ..Filter::default()
    };
    let wait_ms = wait_ms(query.wait_ms, EVENT_WAIT_MS_MAX)?;
    let (journal, principal) = (app.tasks.journal(), &caller.principal);
    let page = match (query.after, query.before) {
        (Some(after), before) => {
            let until = before.map(|before| Sequence(before.sequence().0.saturating_sub(1)));
            let filter = Filter { until, ..filter };
            let after = seen(after, journal, "after").await?;
            let page = journal.read(principal, &filter, after, limit).await?;
            if page.events.is_empty() && until.is_none() && wait_ms > 0 {
                app.tasks.current(principal, &task).await?;
                wait(
                    &app,
                    &caller,
                    &filter,
                    after,
                    Duration::from_millis(wait_ms),
                )
                .await;
                app.auth.recheck(&caller)?;
                journal.read(principal, &filter, after, limit).await?
            } else {
                page
            }
        }
        (None, before) => {
            let before = before.map_or(Sequence(u64::MAX), Position::sequence);
            journal
                .read_backwards(principal, &filter, before, limit)
                .await?
        }
    };
    if page.events.is_empty() {
        app.tasks.current(principal, &task).await?; // or it is not there at all
    }
    let with_data = query.data.unwrap_or(false);
    let last = page.events.last().map(|event| event.sequence().0);
    Ok(Json(EventPage {
        events: page.events.iter().map(|e| view(e, with_data)).collect(),
        next: last.filter(|_| !page.ended),
    }))
}

/// The event at a position and those that matter to it.
async fn about_one(
    app: &App,
    caller: &Caller,
    task: &TaskId,
    about: Sequence,
    query: &EventsQuery,
    limit: usize,
) -> Result<Json<EventPage>, Rejection> {
    let others = [
        ("after", query.after.is_some()),
        ("before", query.before.is_some()),
        ("kind", query.kind.is_some()),
        ("module", query.module.is_some()),
        ("actor", query.actor.is_some()),
        ("wait_ms", query.wait_ms.is_some()),
    ];
    if let Some((name, _)) = others.iter().find(|(_, is_given)| *is_given) {
        let detail = "it does not go with `about`; leave one of them out";
        return Err(Problem::field(name, detail.to_owned()).into());
    }
    let (journal, principal) = (app.tasks.journal(), &caller.principal);
    let Some(events) = relevant(journal, principal, task, about, limit).await? else {
        app.tasks.current(principal, task).await?; // or it is not there at all
        return Err(Problem::not_found(format!("task {task} has no event {about}")).into());
    };
    let with_data = query.data.unwrap_or(false);
    Ok(Json(EventPage {
        events: events.iter().map(|e| view(e, with_data)).collect(),
        next: None,
    }))
}

/// Waits until there is an event after a position or waiting should end.
async fn wait(app: &App, caller: &Caller, filter: &Filter, after: Sequence, time: Duration) {
    let journal = app.tasks.journal();
    let mut events = journal.subscribe(&caller.principal, filter.clone(), after);
    tokio::select! {
        _ = events.next() => {}
        () = tokio::time::sleep(time) => {}
        () = app.stop.cancelled() => {}
        () = app.auth.revoked(caller) => {}
    }
}

/// Get a text that an event refers to by its hash, byte for byte.
#[utoipa::path(
    get, path = "/tasks/{task_id}/blobs/{hash}", tag = "events", params(TaskPath, BlobPath, IfNoneMatch),
    responses((status = 200, body = String, content_type = "text/plain", headers(("ETag" = String, description = "The entity tag of this response")))),
)]
pub(crate) async fn blob(
    State(app): State<App>,
    caller: Caller,
    TaskPathAnd(task, hash): TaskPathAnd,
    conditions: Conditions,
) -> Result<Response, Rejection> {
    let parsed: Result<ContentHash, _> = hash.parse();
    let hash = parsed.map_err(|error| Problem::field("hash", error.to_string()))?;
    app.tasks.current(&caller.principal, &task).await?;
    let bytes = app.tasks.journal().blob(&caller.principal, hash).await?;
    let bytes = bytes.ok_or_else(|| {
        Problem::not_found(format!("no event refers to a text with the hash {hash}"))
    })?;
    Ok(conditions.answer(&Tag::of(&bytes), text(bytes)))
}

/// Bytes as text that no browser takes for anything else.
pub(crate) fn text(bytes: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, bytes).into_response()
}

/// Get events as they are stored, oldest first, as lines of JSON.
#[utoipa::path(
    get, path = "/events", tag = "events", params(LinesQuery),
    responses((status = 200, body = String, content_type = "application/jsonl")),
)]
pub(crate) async fn lines(
    State(app): State<App>,
    caller: Caller,
    ValidQuery(query): ValidQuery<LinesQuery>,
) -> Result<Response, Rejection> {
    let limit = page_limit(query.limit, PAGE)?;
    let task_id = query.task.as_deref().map(TaskId::new).transpose();
    let filter = Filter {
        task_id: task_id.map_err(|error| Problem::field("task", error.to_string()))?,
        until: query.until.map(Position::sequence),
        ..Filter::default()
    };
    let after = match query.after {
        None => Sequence::ZERO,
        Some(after) => seen(after, app.tasks.journal(), "after").await?,
    };
    if let Some(task) = &filter.task_id {
        // Checked before the answer begins: after that, the response could only be cut off.
        let journal = app.tasks.journal();
        if let Some(erased) = journal.erasure(&caller.principal, task).await? {
            return Err(journeyman_journal::Error::Erased(Box::new(erased)).into());
        }
    }
    let lines = Lines {
        events: VecDeque::new(),
        at: after,
        left: limit,
        app,
        caller,
        filter,
    };
    let lines = stream::try_unfold(lines, |mut lines| async move {
        let next = lines.next().await?;
        Ok::<_, journeyman_journal::Error>(next.map(|next| (next, lines)))
    });
    let body = Body::from_stream(lines);
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], body).into_response())
}

/// Events that are read as they are sent, so that only part of them is in memory.
struct Lines {
    app: App,
    caller: Caller,
    filter: Filter,
    at: Sequence,
    /// How many more are wanted.
    left: usize,
    events: VecDeque<Bytes>,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<Bytes>, journeyman_journal::Error> {
        if self.events.is_empty() && self.left > 0 {
            let read_limit = ReadLimit {
                events: self.left,
                bytes: PART_BYTES,
            };
            let (journal, send_budget) = (self.app.tasks.journal(), &self.app.send_budget);
            let principal = &self.caller.principal;
            let permit = send_budget.read_permit().await;
            let page = journal
                .read(principal, &self.filter, self.at, read_limit)
                .await?;
            let bytes = page.events.iter().map(weight).sum();
            let held = send_budget.reserve(bytes).await;
            drop(permit);
            let held = Arc::new(held.ok_or(journeyman_journal::Error::Closed)?);
            for event in &page.events {
                let pieces = pieces(event, "{").chain([Bytes::from_static(b"\n")]);
                self.events
                    .extend(pieces.map(|piece| Reservation::attach(&held, piece)));
                self.at = event.sequence();
            }
            self.left = if page.ended {
                0
            } else {
                self.left - page.events.len()
            };
        }
        Ok(self.events.pop_front())
    }
}
