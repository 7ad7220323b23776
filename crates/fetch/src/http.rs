//! The HTTP clients of this crate. They honour the proxy settings of the environment and use the system's
//! certificates.

use std::time::Duration;

use journeyman_http::client_builder;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REDIRECTS_MAX: usize = 10;

/// Which redirects a client follows.
pub(crate) enum Follow {
    /// All redirects. Files are often stored on other hosts than the listing.
    All,
    /// Redirects to the same host and port only; another redirect is returned as the response. Used where the headers
    /// of the first host's response are needed.
    SameHost,
}

/// Builds a client for `url`. If the URL is `https`, redirects to `http` are refused.
pub(crate) fn client(url: &str, follow: Follow) -> Result<Client, Error> {
    let failed = |reason: String| Error::Network {
        url: url.to_owned(),
        reason,
    };
    let parsed = Url::parse(url).map_err(|error| failed(error.to_string()))?;
    let policy = match follow {
        Follow::All => Policy::limited(REDIRECTS_MAX),
        Follow::SameHost => Policy::custom(|attempt| {
            let previous = attempt.previous();
            let same = previous.last().is_some_and(|last| {
                (last.host_str(), last.port()) == (attempt.url().host_str(), attempt.url().port())
            });
            if same && previous.len() < REDIRECTS_MAX {
                attempt.follow()
            } else {
                attempt.stop()
            }
        }),
    };
    let mut builder = client_builder()
        .user_agent(concat!("journeyman/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .https_only(parsed.scheme() == "https")
        .redirect(policy);
    if is_loopback(&parsed) {
        // A proxy would look for the server on its own machine.
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| failed(reason(&error)))
}

/// Whether a URL refers to this machine.
fn is_loopback(url: &Url) -> bool {
    matches!(url.host_str(), Some(host) if host == "localhost" || host == "[::1]" || host.starts_with("127."))
}

/// The innermost cause of an error, which says more than "request failed".
pub(crate) fn reason(error: &reqwest::Error) -> String {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason = cause.to_string();
        source = cause.source();
    }
    reason
}
