//! Health, readiness, WebSocket tickets, and metrics.

use std::fmt::Write;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use journeyman_api::{Health, Ready, Ticket};
use journeyman_queue::Quantiles;

use crate::app::App;
use crate::auth::Caller;
use crate::problem::Rejection;
use crate::tickets::TICKET_TTL;

/// Check whether the process is running.
#[utoipa::path(get, path = "/health", tag = "server", security(()), responses((status = 200, body = Health)))]
pub(crate) async fn health() -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// Check whether the server can work on tasks now, and if not, why.
#[utoipa::path(
    get, path = "/ready", tag = "server", security(()),
    responses((status = 200, body = Ready), (status = 503, body = Ready)),
)]
pub(crate) async fn ready(State(app): State<App>) -> Response {
    let reasons = app.readiness.obstacles().await;
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let ready = Ready {
        ready: reasons.is_empty(),
        reasons,
    };
    (status, Json(ready)).into_response()
}

/// Get a ticket for a WebSocket, for clients that cannot send headers.
#[utoipa::path(post, path = "/tickets", tag = "events", responses((status = 200, body = Ticket)))]
pub(crate) async fn ticket(State(app): State<App>, caller: Caller) -> Json<Ticket> {
    Json(Ticket {
        ticket: app.tickets.issue(caller),
        seconds: TICKET_TTL.as_secs(),
    })
}

/// Get the queue's metrics in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses((status = 200, body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(State(app): State<App>, caller: Caller) -> Result<Response, Rejection> {
    caller.may_see_server()?;
    let figures = app.tasks.statistics();
    let mut text = String::new();
    let mut gauge = |name: &str, labels: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "journeyman_{name}{labels} {value}"); // a String takes everything
    };
    gauge("tasks_running", "", &figures.running);
    gauge("queue_places_taken", "", &figures.occupied);
    gauge("queue_submitters_waiting", "", &figures.submitters);
    for (priority, depth) in &figures.depth {
        gauge(
            "queue_depth",
            &format!("{{priority=\"{priority}\"}}"),
            depth,
        );
    }
    let oldest = figures.oldest_waiting.unwrap_or_default().as_secs_f64();
    gauge("queue_oldest_waiting_seconds", "", &oldest);
    for (name, quantiles) in [
        ("task_waiting_seconds", figures.waiting_time),
        ("task_service_seconds", figures.service_time),
    ] {
        for (quantile, value) in quantiles.as_ref().map(rows).unwrap_or_default() {
            gauge(name, &format!("{{quantile=\"{quantile}\"}}"), &value);
        }
    }
    let counts = figures.counts;
    for (name, count) in [
        ("submitted", counts.submitted),
        ("recovered", counts.recovered),
        ("started", counts.started),
        ("finished", counts.finished),
        ("refused", counts.refused),
        ("preempted", counts.preempted),
        ("timed_out", counts.timed_out),
        ("cancelled", counts.cancelled),
        ("panicked", counts.panicked),
        ("abandoned", counts.abandoned),
        ("put_back", app.tasks.requeued()),
    ] {
        gauge(&format!("tasks_{name}_total"), "", &count);
    }
    for alarm in &figures.alarms {
        let watched = alarm.watched.as_str();
        // 0 is normal, 1 a warning, 2 critical.
        let labels = format!("{{watched=\"{watched}\"}}");
        gauge("alert_level", &labels, &(alarm.level as u8));
        for (level, alerts) in alarm.alerts() {
            let level = level.as_str();
            let labels = format!("{{watched=\"{watched}\",level=\"{level}\"}}");
            gauge("alerts_total", &labels, &alerts);
        }
    }
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    Ok((kind, text).into_response())
}

fn rows(quantiles: &Quantiles) -> Vec<(&'static str, f64)> {
    vec![
        ("0.5", quantiles.p50.as_secs_f64()),
        ("0.99", quantiles.p99.as_secs_f64()),
    ]
}
