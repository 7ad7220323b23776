//! What clients of model servers have in common over HTTP: sending with patience, repeating what is
//! safe to repeat, and naming what went wrong. No wire format is known here.

use std::time::Duration;

use journeyman_event::{Randomness, SeededRandom, is_shortage};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Response, StatusCode};

use crate::Error;

/// Attempts of one call, as long as nothing of the answer came.
const ATTEMPTS_MAX: u32 = 4;
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// The longest wait that a server may ask for with `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// Answers to questions about the server itself come at once.
pub(crate) const QUESTION_TIMEOUT: Duration = Duration::from_secs(20);
/// An answer longer than this is not one.
pub(crate) const ANSWER_BYTES_MAX: usize = 8 << 20;

/// A client for the server at this URL.
pub(crate) fn client(root: &str, connect_timeout: Duration) -> Result<Client, Error> {
    let mut http = Client::builder().connect_timeout(connect_timeout);
    if is_loopback(root) {
        // A proxy would look for the server on its own machine.
        http = http.no_proxy();
    }
    http.build().map_err(|error| Error::Unsupported {
        what: error.to_string(),
    })
}

fn is_loopback(root: &str) -> bool {
    let host = root.split("://").nth(1).unwrap_or_default();
    ["127.", "localhost", "[::1]"]
        .iter()
        .any(|start| host.starts_with(start))
}

/// Why a server did not begin to answer.
pub(crate) enum Refused {
    /// It said no, with this status and body.
    Answered(StatusCode, String),
    /// It is gone, silent or busy.
    Failed(Error),
}

/// Sends a request until the server begins to answer: what is safe to repeat is repeated, for
/// nothing of an answer was seen yet. `seed` is that of the waits between two attempts.
pub(crate) async fn begin(
    root: &str,
    patience: Duration,
    seed: u64,
    prepare: impl Fn() -> RequestBuilder,
) -> Result<Response, Refused> {
    let jitter = SeededRandom::new(seed);
    let mut backoff = BACKOFF_FIRST;
    let mut attempt = 1;
    loop {
        let sent = tokio::time::timeout(patience, prepare().send())
            .await
            .map_err(|_| Refused::Failed(timed_out(root, patience)))?;
        let (problem, wait) = match sent {
            Ok(response) if response.status().is_success() => return Ok(response),
            Ok(response) => {
                let status = response.status();
                let asked = retry_after(&response);
                let busy = matches!(
                    status,
                    StatusCode::TOO_MANY_REQUESTS
                        | StatusCode::BAD_GATEWAY
                        | StatusCode::SERVICE_UNAVAILABLE
                        | StatusCode::GATEWAY_TIMEOUT
                );
                if !busy {
                    let message = response.text().await.unwrap_or_default();
                    return Err(Refused::Answered(status, message));
                }
                let status = status.as_u16();
                (Error::Overloaded { status }, asked)
            }
            Err(error) => {
                let gone = gone(root, &error);
                // Once the request went out, the server may be at work on it.
                if !error.is_connect() {
                    return Err(Refused::Failed(gone));
                }
                (gone, None)
            }
        };
        if attempt >= ATTEMPTS_MAX {
            return Err(Refused::Failed(problem));
        }
        attempt += 1;
        // Full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
        let full = u64::try_from(backoff.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let random = Duration::from_millis(jitter.next_u64() % full);
        tokio::time::sleep(wait.unwrap_or(random)).await;
        backoff *= 2;
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response
        .headers()
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

pub(crate) fn gone(url: &str, error: &reqwest::Error) -> Error {
    // The whole chain: the outermost says only that a request failed.
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason = cause.to_string();
        source = cause.source();
    }
    let url = url.to_owned();
    if is_shortage(error) {
        return Error::Shortage { url, reason };
    }
    Error::Unreachable { url, reason }
}

/// A connection that closed before the model was done is a lost server, not an answer.
pub(crate) fn cut_short(url: &str) -> Error {
    Error::Unreachable {
        url: url.to_owned(),
        reason: "the connection closed before the answer was whole".to_owned(),
    }
}

pub(crate) fn timed_out(url: &str, patience: Duration) -> Error {
    Error::TimedOut {
        url: url.to_owned(),
        seconds: patience.as_secs(),
    }
}

pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
