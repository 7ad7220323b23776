//! The queue: its figures, and how much of it runs at once.

use axum::Json;
use axum::extract::State;
use journeyman_queue::{Quantiles, Statistics};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::body::{Body, Whole};
use crate::door::Caller;
use crate::problem::Problem;

/// Tasks that may run at once, and tasks that start them, at the most.
const MAX: usize = 1_000;

/// Tasks of one priority.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Depth {
    /// The level's name, or the number.
    priority: String,
    /// How many wait.
    tasks: usize,
}

/// How long something took lately, in seconds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Times {
    /// Half of them.
    p50: f64,
    /// 99 of 100.
    p99: f64,
}

impl Times {
    fn of(quantiles: &Quantiles) -> Self {
        Self {
            p50: quantiles.p50.as_secs_f64(),
            p99: quantiles.p99.as_secs_f64(),
        }
    }
}

/// The queue as it is now, and what it did since the server was started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueView {
    /// Who waits, by priority.
    waiting: Vec<Depth>,
    /// Tasks that are worked on.
    running: usize,
    /// Places that are taken.
    places_taken: usize,
    /// Submitters that wait for a place.
    submitters: usize,
    /// Seconds since which the oldest waiting task could have been started.
    oldest_waiting: Option<f64>,
    /// How long tasks waited.
    waiting_time: Option<Times>,
    /// How long they were worked on.
    service_time: Option<Times>,
    /// Tasks submitted.
    submitted: u64,
    /// Tasks refused.
    refused: u64,
    /// Times that a task was stopped for a more urgent one.
    preempted: u64,
    /// Tasks that left.
    finished: u64,
    /// Of them, tasks whose time limit was spent.
    timed_out: u64,
}

impl QueueView {
    fn of(figures: &Statistics) -> Self {
        let depth = figures.depth.iter().map(|(priority, tasks)| Depth {
            priority: priority.to_string(),
            tasks: *tasks,
        });
        Self {
            waiting: depth.collect(),
            running: figures.running,
            places_taken: figures.occupied,
            submitters: figures.submitters,
            oldest_waiting: figures.oldest_waiting.map(|time| time.as_secs_f64()),
            waiting_time: figures.waiting_time.as_ref().map(Times::of),
            service_time: figures.service_time.as_ref().map(Times::of),
            submitted: figures.counts.submitted,
            refused: figures.counts.refused,
            preempted: figures.counts.preempted,
            finished: figures.counts.finished,
            timed_out: figures.counts.timed_out,
        }
    }
}

/// See the queue's figures.
#[utoipa::path(get, path = "/queue", tag = "server", responses((status = 200, body = QueueView)))]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<QueueView>, Problem> {
    caller.may_see_server()?;
    Ok(Json(QueueView::of(&app.tasks.statistics())))
}

/// How much of the queue runs at once; what is not said stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueChange {
    /// Tasks that are worked on at once.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000)]
    max_concurrent: Option<Whole>,
    /// Tasks that start them.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000)]
    workers: Option<Whole>,
}

/// Change how much of the queue runs at once. What runs goes on.
#[utoipa::path(
    post, path = "/queue", tag = "server", request_body = QueueChange,
    responses((status = 200, body = QueueView)),
)]
pub(crate) async fn change(
    State(app): State<App>,
    caller: Caller,
    Body(change): Body<QueueChange>,
) -> Result<Json<QueueView>, Problem> {
    caller.may_see_server()?;
    let max_concurrent = checked("max_concurrent", change.max_concurrent)?;
    let workers = checked("workers", change.workers)?;
    if let Some(tasks) = max_concurrent {
        app.tasks.set_max_concurrent(tasks);
    }
    if let Some(workers) = workers {
        app.tasks.set_workers(workers);
    }
    Ok(Json(QueueView::of(&app.tasks.statistics())))
}

fn checked(field: &str, number: Option<Whole>) -> Result<Option<usize>, Problem> {
    let check = |Whole(number)| {
        let fits = usize::try_from(number).ok();
        fits.filter(|number| (1..=MAX).contains(number))
            .ok_or_else(|| {
                let detail = format!("`{field}` is a number from 1 to {MAX}");
                Problem::field(field, detail)
            })
    };
    number.map(check).transpose()
}
