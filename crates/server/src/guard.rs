//! Protects against DNS rebinding and requests from foreign web pages, by checking under which host name the server
//! is addressed and which pages make requests.
//!
//! A page on a foreign domain that resolves to this machine sends its own domain as `Host`, so only addresses and
//! known names are accepted. A page that makes a request to a server of another name sends its own as `Origin`,
//! which must be the addressed server, this machine, or a known name.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use journeyman_api::Problem;

use crate::app::App;
use crate::auth::Local;

/// The host names under which the server may be addressed, in addition to addresses and `localhost`.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    allowed: Vec<String>,
}

impl Hosts {
    /// Adds these names, without ports.
    pub fn allow(names: impl IntoIterator<Item = String>) -> Self {
        let allowed = names.into_iter().map(|name| name.to_ascii_lowercase());
        Self {
            allowed: allowed.collect(),
        }
    }

    fn knows(&self, name: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == name)
    }

    /// Whether the server may be addressed by this authority's host.
    fn takes_host(&self, host: &str) -> bool {
        address(host).is_some() || host == "localhost" || self.knows(host)
    }

    /// Whether a page of this origin may make requests to a server addressed as `host`.
    fn takes_origin(&self, origin: &str, authority: &str) -> bool {
        let Some((_, of)) = origin.split_once("://") else {
            return false; // `null`, and whatever else is no page of a host
        };
        let of = of.to_ascii_lowercase();
        let host = host_of(&of);
        let is_here = host == "localhost" || address(host).is_some_and(|ip| ip.is_loopback());
        of == authority || is_here || self.knows(host)
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(authority) = headers.get(header::HOST) else {
            let detail = "the request has no `Host`, and nothing but /health, /ready and /metrics is \
                          answered without one: send it, as HTTP/1.1 does";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "no-host", detail));
        };
        let authority = authority.to_str().unwrap_or_default().to_ascii_lowercase();
        if !self.takes_host(host_of(&authority)) {
            return Err(Problem::forbidden(format!(
                "this server does not answer under the name {authority:?}; use its address, or start \
                 it with --allowed-host"
            )));
        }
        match headers.get(header::ORIGIN) {
            None => Ok(()),
            Some(origin) => {
                let origin = origin.to_str().unwrap_or_default();
                if self.takes_origin(origin, &authority) {
                    return Ok(());
                }
                Err(Problem::forbidden(format!(
                    "pages of {origin:?} may not use this server; start it with --allowed-host to \
                     let them"
                )))
            }
        }
    }
}

/// The host of an authority, without the port.
fn host_of(authority: &str) -> &str {
    if authority.starts_with('[') {
        let end = authority.find(']').map_or(authority.len(), |at| at + 1);
        return &authority[..end];
    }
    authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host)
}

fn address(host: &str) -> Option<IpAddr> {
    let plain = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    plain.unwrap_or(host).parse().ok()
}

/// Rejects requests with a wrong `Host` or `Origin`. Requests over the data folder's socket are not checked,
/// because it has no host name.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_local = request.extensions().get::<Local>().is_some();
    if !is_local
        && !is_probe(&request)
        && let Err(problem) = app.hosts.check(request.headers())
    {
        return problem.into_response();
    }
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    let asked = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let asked = asked.cloned();
    let asks = request.method() == Method::OPTIONS
        && (request.headers()).contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks {
        let mut response = StatusCode::NO_CONTENT.into_response();
        response.headers_mut().extend([
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_MAX_AGE, FOR_SECONDS),
        ]);
        if let Some(asked) = asked {
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
        response
    } else {
        next.run(request).await
    };
    // The request was accepted above, so its page may read the response.
    response.headers_mut().extend([
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
    ]);
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    response
}

/// Whether this is a health check by a simple client that uses HTTP/1.0 without `Host`. Browsers always send
/// `Host`, so no page made the request.
fn is_probe(request: &Request) -> bool {
    let headers = request.headers();
    let is_plain = !headers.contains_key(header::HOST) && !headers.contains_key(header::ORIGIN);
    is_plain && matches!(request.uri().path(), "/health" | "/ready" | "/metrics")
}

/// The methods that pages of an allowed origin may use.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");
/// How long a browser may cache this, in seconds.
const FOR_SECONDS: HeaderValue = HeaderValue::from_static("600");
/// The response headers that such a page may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "mcp-session-id, mcp-protocol-version, x-request-id, location, retry-after, etag",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_known_names_pass_and_others_do_not() {
        let hosts = Hosts::allow(["Box.lan".to_owned()]);
        for good in [
            "127.0.0.1:9876",
            "192.168.1.7",
            "[::1]:9876",
            "localhost:1",
            "box.lan:9876",
        ] {
            assert!(hosts.takes_host(host_of(good)), "{good}");
        }
        for bad in [
            "",
            "evil.example:9876",
            "127.0.0.1.evil.example",
            "localhost.evil",
            "box.lan.evil",
            "[::1",
        ] {
            assert!(!hosts.takes_host(host_of(bad)), "{bad}");
        }
    }

    #[test]
    fn pages_of_this_server_this_machine_and_known_names_pass() {
        let hosts = Hosts::allow(["box.lan".to_owned()]);
        let at = "192.168.1.7:9876";
        for good in [
            "http://192.168.1.7:9876",
            "http://localhost:3000",
            "http://127.0.0.1:8000",
            "https://box.lan",
        ] {
            assert!(hosts.takes_origin(good, at), "{good}");
        }
        for bad in [
            "null",
            "",
            "http://evil.example",
            "http://192.168.1.8:9876",
            "http://192.168.1.7:80",
            "http://localhost.evil",
        ] {
            assert!(!hosts.takes_origin(bad, at), "{bad}");
        }
    }
}
