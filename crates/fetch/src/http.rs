//! The HTTP clients of this crate. What the user's environment says of proxies holds; certificates
//! are the system's.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REDIRECTS_MAX: usize = 10;

/// Which redirects a client follows.
pub(crate) enum Follow {
    /// All: files lie with others than those who list them.
    All,
    /// Those on the same host: the answer of the next one would not say what this one says.
    SameHost,
}

/// A client for this URL. One that begins with `https` never becomes `http` by a redirect.
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
    let mut builder = Client::builder()
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

/// Whether a URL is one of this machine.
fn is_loopback(url: &Url) -> bool {
    matches!(url.host_str(), Some(host) if host == "localhost" || host == "[::1]" || host.starts_with("127."))
}

/// What went wrong: the innermost cause says more than that a request failed.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason = cause.to_string();
        source = cause.source();
    }
    reason
}
