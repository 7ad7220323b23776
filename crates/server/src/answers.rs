//! Responses on their way to the client: counts their bytes in the [`crate::send_budget`], and sets the headers
//! that say which web pages may read them.

use std::sync::Arc;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use journeyman_api::Problem;

use crate::app::App;
use crate::problem::defect;
use crate::send_budget::Reservation;

/// Smaller responses are not counted.
const COUNTED_MIN: u64 = 16 << 10;

/// Counts the bytes of a response until the client has received them. Streamed responses count themselves.
pub(crate) async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let size = response.body().size_hint().exact();
    let Some(size) = size.filter(|size| *size >= COUNTED_MIN) else {
        return response;
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let Some(held) = app.send_budget.reserve_built(size).await else {
        let detail = "too many clients are not reading their responses; try again later";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return Problem::later(status, "busy", detail, 1).into_response();
    };
    let (parts, body) = response.into_parts();
    match to_bytes(body, size).await {
        Ok(bytes) => {
            let bytes = Reservation::attach(&Arc::new(held), bytes);
            Response::from_parts(parts, Body::from(bytes))
        }
        Err(_) => defect().into_response(),
    }
}
