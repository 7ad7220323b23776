//! The queue: its statistics and its limits.

use axum::Json;
use axum::extract::State;
use journeyman_api::{Depth, QueueChange, QueueView, Times};
use journeyman_queue::{Quantiles, Statistics};

use crate::app::App;
use crate::auth::Caller;
use crate::body::Body;
use crate::problem::Rejection;

fn times(quantiles: &Quantiles) -> Times {
    Times {
        p50: quantiles.p50.as_secs_f64(),
        p99: quantiles.p99.as_secs_f64(),
    }
}

fn view(figures: &Statistics) -> QueueView {
    let depth = figures.depth.iter().map(|(priority, tasks)| Depth {
        priority: priority.to_string(),
        tasks: *tasks,
    });
    QueueView {
        waiting: depth.collect(),
        running: figures.running,
        places_taken: figures.occupied,
        submitters: figures.submitters,
        oldest_waiting: figures.oldest_waiting.map(|time| time.as_secs_f64()),
        waiting_time: figures.waiting_time.as_ref().map(times),
        service_time: figures.service_time.as_ref().map(times),
        submitted: figures.counts.submitted,
        refused: figures.counts.refused,
        preempted: figures.counts.preempted,
        finished: figures.counts.finished,
        timed_out: figures.counts.timed_out,
    }
}

/// Get the state of the queue.
#[utoipa::path(get, path = "/queue", tag = "server", responses((status = 200, body = QueueView)))]
pub(crate) async fn get(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<QueueView>, Rejection> {
    caller.may_see_server()?;
    Ok(Json(view(&app.tasks.statistics())))
}

/// Change how many tasks run at once. Running tasks are not stopped.
#[utoipa::path(
    post, path = "/queue", tag = "server", request_body = QueueChange,
    responses((status = 200, body = QueueView)),
)]
pub(crate) async fn change(
    State(app): State<App>,
    caller: Caller,
    Body(change): Body<QueueChange>,
) -> Result<Json<QueueView>, Rejection> {
    caller.may_see_server()?;
    let (max_concurrent, workers) = change.checked()?;
    if let Some(tasks) = max_concurrent {
        app.tasks.set_max_concurrent(tasks);
    }
    if let Some(workers) = workers {
        app.tasks.set_workers(workers);
    }
    Ok(Json(view(&app.tasks.statistics())))
}
