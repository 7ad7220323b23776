//! Measures the requests over HTTP.

use std::sync::atomic::Ordering;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use journeyman_signal::{
    Key, NetworkClientDisconnected, RequestCompleted, RequestFailed, RequestStarted, Signals, Text,
};
use tokio::time::Instant;

use crate::app::App;

/// Emits signals of a request: its route, the time until its response began, and whether it failed.
pub(crate) async fn measure(State(app): State<App>, request: Request, next: Next) -> Response {
    let signals = app.telemetry.signals();
    if !signals.are_heard() {
        return next.run(request).await;
    }
    let path = request.extensions().get::<MatchedPath>();
    let endpoint = endpoint(request.method(), path.map(MatchedPath::as_str));
    // Model calls have large numbers as keys, so the two are never equal.
    let key = Key(u128::from(app.requests.fetch_add(1, Ordering::Relaxed)));
    let measured = Measured::begin(signals, key, endpoint);
    let response = next.run(request).await;
    measured.end(response.status().as_u16());
    response
}

fn endpoint(method: &Method, path: Option<&str>) -> Text {
    // Clients may invent methods, and each would be a label.
    let method = match *method {
        Method::GET
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::HEAD
        | Method::OPTIONS => method.as_str(),
        _ => "other",
    };
    format!("{method} {}", path.unwrap_or("unknown")).into()
}

/// A request in progress. If it is dropped before its response, the client has disconnected, or its handler panicked.
struct Measured {
    signals: Signals,
    key: Key,
    endpoint: Text,
    since: Instant,
    status: Option<u16>,
}

impl Measured {
    fn begin(signals: Signals, key: Key, endpoint: Text) -> Self {
        let started = || RequestStarted {
            key,
            endpoint: endpoint.clone(),
            model: None,
        };
        signals.emit(|| started().into());
        Self {
            signals,
            key,
            endpoint,
            since: Instant::now(),
            status: None,
        }
    }

    fn end(mut self, status: u16) {
        self.status = Some(status);
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        // `/ready` answers 503 to report that no work can be done: that is no failure of the request.
        let is_ready = &*self.endpoint == "GET /ready";
        let error: Option<Text> = match self.status {
            Some(status) if status >= 500 && !is_ready => Some(status.to_string().into()),
            None if std::thread::panicking() => Some("panic".into()),
            _ => None,
        };
        let (key, endpoint, took) = (self.key, self.endpoint.clone(), self.since.elapsed());
        if self.status.is_none() && error.is_none() {
            let endpoint = endpoint.clone();
            self.signals
                .emit(|| NetworkClientDisconnected { endpoint }.into());
        }
        self.signals.emit(|| match error {
            Some(error) => RequestFailed {
                key,
                endpoint,
                model: None,
                took,
                error,
            }
            .into(),
            None => RequestCompleted {
                key,
                endpoint,
                model: None,
                took,
            }
            .into(),
        });
    }
}
