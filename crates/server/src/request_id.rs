//! Assigns an id to every request: the client's (`X-Request-Id`, or the trace id of a W3C `traceparent`), or a new
//! one. It appears in every log line of the request and in the response.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use crate::app::App;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// The most characters of a client's id.
const ID_MAX: usize = 128;

/// The trace id and the parent span id of a version 00 `traceparent` (W3C Trace Context, section 3.2).
fn trace_parent(headers: &HeaderMap) -> Option<(&str, &str)> {
    let value = headers.get(TRACE_PARENT)?.to_str().ok()?;
    let mut parts = value.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|b| b"0123456789abcdef".contains(&b))
    };
    let is_set = |text: &str| text.bytes().any(|b| b != b'0');
    // A later version may have more parts, this one has not.
    let fits = is_hex(version, 2)
        && version != "ff"
        && (version != "00" || parts.next().is_none())
        && is_hex(trace, 32)
        && is_hex(span, 16)
        && is_hex(flags, 2)
        && is_set(trace)
        && is_set(span);
    fits.then_some((trace, span))
}

fn given(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let plain = id.bytes().all(|b| b.is_ascii_graphic());
    (plain && !id.is_empty() && id.len() <= ID_MAX).then_some(id)
}

pub(crate) async fn identify(State(app): State<App>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let parent = trace_parent(headers);
    let id = given(headers)
        .or(parent.map(|(trace, _)| trace))
        .map_or_else(|| app.tickets.random_hex(), str::to_owned);
    let (trace, parent_span) = parent.unzip();
    let span = tracing::info_span!(
        "request",
        id,
        trace,
        parent_span,
        method = %request.method(),
        path = request.uri().path(),
    );
    let began = std::time::Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    span.in_scope(|| {
        let ms = began.elapsed().as_millis();
        tracing::debug!(status = response.status().as_u16(), ms, "answered");
    });
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_parent_is_read_as_w3c_says() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(TRACE_PARENT, HeaderValue::from_static(value))]);
            trace_parent(&headers).map(|(trace, _)| trace.to_owned())
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(
            of("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").as_deref(),
            Some(trace)
        );
        assert_eq!(
            of("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").as_deref(),
            Some(trace)
        );
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
