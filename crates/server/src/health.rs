//! Health, readiness, WebSocket tickets, and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use journeyman_api::{Health, Ready, Ticket};

use crate::app::App;
use crate::auth::Caller;
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
