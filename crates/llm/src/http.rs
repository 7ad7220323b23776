//! The HTTP code shared by the clients of model servers: sending with timeouts, retrying where that is safe, and
//! describing errors. It knows no wire format.

use std::cell::RefCell;
use std::time::Duration;

use futures_util::StreamExt;
use journeyman_event::{Randomness, SeededRandom, TraceContext, is_shortage};
use journeyman_http::{client_builder, retry_after};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue,
    LOCATION, TRANSFER_ENCODING,
};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, Version};

use crate::Error;
use crate::error_reply::ErrorReply;

/// The most attempts per call, as long as no part of an answer has arrived.
const ATTEMPTS_MAX: u32 = 4;
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// The longest wait between two attempts of a call. Longer waits are left to the caller, which can report them.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// The timeout for questions about the server itself.
pub(crate) const QUESTION_TIMEOUT: Duration = Duration::from_secs(20);
/// How much of an error reply is read.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
const REDIRECTS_MAX: usize = 5;

tokio::task_local! {
    /// The address to which the current request was redirected. The HTTP client's own error names only the
    /// first address.
    static SENT_ON: RefCell<Option<Url>>;
}

/// A URL for display, with the password replaced by asterisks. Text that is not a URL is treated the same way.
pub fn shown(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let rest = &url[start..];
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A password whose signs are not escaped ends what looks like the host.
    let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) || port.ends_with(']');
    let at = authority.rfind('@');
    let Some(at) = at.or_else(|| rest.rfind('@').filter(|_| !is_port)) else {
        return url.to_owned();
    };
    let user = rest[..at].split(':').next().unwrap_or_default();
    format!("{}{user}:***{}", &url[..start], &rest[at..])
}

/// Splits a base URL into the URL without user name and password, and the header that carries these.
pub(crate) fn address(url: &str) -> Result<(String, Option<HeaderValue>), Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::Unsupported {
        what: format!("{:?} is no URL: {error}", shown(url)),
    };
    let parsed = Url::parse(url).map_err(|error| wrong(&error))?;
    if parsed.username().is_empty() && parsed.password().is_none() {
        return Ok((url.to_owned(), None));
    }
    let request = client_builder()
        .build()
        .map_err(|error| wrong(&innermost(&error)))?
        .get(parsed)
        .build();
    let mut request = request.map_err(|error| wrong(&innermost(&error)))?;
    let header = request.headers_mut().remove(AUTHORIZATION);
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let end = rest.find('/').unwrap_or(rest.len());
    let host = rest[..end].rfind('@').map_or(0, |at| at + 1);
    Ok((format!("{scheme}://{}", &rest[host..]), header))
}

/// Builds an HTTP client for the server at `url`. Sends `credentials` with every request, or else `api_key` as
/// a bearer token.
pub(crate) fn client(
    root: &str,
    api_key: Option<&str>,
    credentials: Option<HeaderValue>,
    connect_timeout: Duration,
) -> Result<Client, Error> {
    let mut headers = HeaderMap::new();
    // Answers come in small pieces as they are made; nothing is gained by packing them.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(mut who) = credentials.or(bearer(api_key)?) {
        who.set_sensitive(true);
        headers.insert(AUTHORIZATION, who);
    }
    let mut http = client_builder()
        .connect_timeout(connect_timeout)
        .default_headers(headers)
        .redirect(Policy::custom(|attempt| {
            let keeps_method = matches!(
                attempt.status(),
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
            );
            // The others make a question of what was a request for an answer.
            if !keeps_method {
                return attempt.stop();
            }
            if attempt.previous().contains(attempt.url()) {
                let to = bare(attempt.url());
                return attempt.error(format!("it redirects in a circle, back to {to}"));
            }
            if attempt.previous().len() > REDIRECTS_MAX {
                let to = bare(attempt.url());
                let why = format!("it redirects more than {REDIRECTS_MAX} times, at last to {to}");
                return attempt.error(why);
            }
            // Outside of a tracked request, the value is not needed.
            let _ = SENT_ON.try_with(|to| *to.borrow_mut() = Some(attempt.url().clone()));
            attempt.follow()
        }));
    if is_loopback(root) {
        // A proxy would look for the server on its own machine.
        http = http.no_proxy();
    }
    http.build().map_err(|error| Error::Unsupported {
        what: error.to_string(),
    })
}

/// The authorization header for an API key. White space around the key is removed, because keys are read from
/// files and copied from web pages.
fn bearer(api_key: Option<&str>) -> Result<Option<HeaderValue>, Error> {
    let Some(key) = api_key.map(str::trim).filter(|key| !key.is_empty()) else {
        return Ok(None);
    };
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    let value = HeaderValue::from_str(&format!("Bearer {key}"));
    let (true, Ok(value)) = (visible, value) else {
        let what = "the key in --model-api-key has a space, a line break or another character in it that \
                    no key has; copy it again";
        return Err(Error::Unsupported {
            what: what.to_owned(),
        });
    };
    Ok(Some(value))
}

fn is_loopback(root: &str) -> bool {
    let host = root.split("://").nth(1).unwrap_or_default();
    ["127.", "localhost", "[::1]"]
        .iter()
        .any(|start| host.starts_with(start))
}

/// Adds the trace of a call to its request.
pub(crate) fn traced(request: RequestBuilder, trace: Option<&TraceContext>) -> RequestBuilder {
    let headers = trace.into_iter().flat_map(TraceContext::headers);
    headers.fold(request, |request, (name, value)| {
        request.header(name, value)
    })
}

/// Why a server did not start to answer.
pub(crate) enum Refused {
    /// The server sent an error.
    Answered(Box<ErrorReply>),
    /// The request did not reach the server.
    NotSent(Error),
    /// The request reached the server, which may be working on it.
    Lost(Error),
}

/// Sends a request and waits until the server starts to answer.
pub(crate) async fn send(
    root: &str,
    timeout: Duration,
    request: RequestBuilder,
) -> Result<Response, Refused> {
    let follow = async {
        let sent = tokio::time::timeout(timeout, request.send()).await;
        let at = SENT_ON.with(|to| to.borrow().as_ref().map(bare));
        (sent, at)
    };
    let (sent, sent_on) = SENT_ON.scope(RefCell::default(), follow).await;
    let at = sent_on.as_deref().unwrap_or(root);
    let response = match sent {
        Err(_) => return Err(Refused::Lost(timed_out(at, timeout))),
        Ok(Ok(response)) => response,
        Ok(Err(error)) if error.is_redirect() => {
            return Err(Refused::Answered(Box::new(ErrorReply::redirect_loop(
                &innermost(&error),
            ))));
        }
        Ok(Err(error)) if error.is_connect() => return Err(Refused::NotSent(gone(at, &error))),
        Ok(Err(error)) => return Err(Refused::Lost(broken(at, &error))),
    };
    let status = response.status();
    if !status.is_success() {
        let mut reply = read_reply(response).await;
        if let Some(at) = sent_on {
            reply.words = format!("{} (says {at}, where it redirects to)", reply.words);
        }
        return Err(Refused::Answered(Box::new(reply)));
    }
    let encoding = response.headers().get(CONTENT_ENCODING);
    match encoding.filter(|encoding| *encoding != "identity") {
        None => Ok(response),
        Some(encoding) => Err(Refused::Lost(Error::Malformed {
            url: root.to_owned(),
            problem: format!("it is packed ({encoding:?}), which was not asked for"),
        })),
    }
}

/// Whether HTTP marks the end of the response body, so that a broken connection is recognised as an error.
pub(crate) fn says_its_end(response: &Response) -> bool {
    let headers = response.headers();
    let is_chunked = headers.get(TRANSFER_ENCODING).is_some_and(|coding| {
        let coding = coding.as_bytes().to_ascii_lowercase();
        coding.ends_with(b"chunked")
    });
    is_chunked || headers.contains_key(CONTENT_LENGTH) || response.version() >= Version::HTTP_2
}

/// Requests information about the server itself and returns the response's text, up to a bound.
pub(crate) async fn ask(root: &str, question: RequestBuilder) -> Result<String, Refused> {
    let response = send(root, QUESTION_TIMEOUT, question).await?;
    let text = text(response, usize::MAX).await;
    text.map_err(|error| Refused::Lost(broken(root, &error)))
}

async fn read_reply(response: Response) -> ErrorReply {
    let status = response.status();
    let headers = response.headers();
    let retry_after = retry_after(headers);
    let moved = headers.get(LOCATION).filter(|_| status.is_redirection());
    let moved = moved.map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
    let mut reply = if let Some(to) = moved {
        ErrorReply::redirected(status.as_u16(), &to)
    } else {
        let body = text(response, REFUSAL_BYTES_MAX).await.unwrap_or_default();
        ErrorReply::of(status.as_u16(), &body)
    };
    reply.retry_after = retry_after;
    reply
}

/// Reads a response body as text, up to `bytes_max` and within the timeout for questions.
pub(crate) async fn text(response: Response, bytes_max: usize) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    let mut stream = response.bytes_stream();
    let read = async {
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() >= bytes_max {
                break;
            }
        }
        Ok(())
    };
    tokio::time::timeout(QUESTION_TIMEOUT, read)
        .await
        .unwrap_or(Ok(()))?;
    bytes.truncate(bytes_max);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The attempts of one call.
pub(crate) struct Attempts {
    jitter: SeededRandom,
    backoff: Duration,
    made: u32,
}

impl Attempts {
    /// Starts with the first attempt. `seed` is for the random waits between attempts.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            jitter: SeededRandom::new(seed),
            backoff: BACKOFF_FIRST,
            made: 1,
        }
    }

    /// Waits until the next attempt is due: as long as the server asked for, or a random time. Returns
    /// `problem` if there were enough attempts or the server asks for a longer wait.
    pub(crate) async fn again(
        &mut self,
        problem: Error,
        asked: Option<Duration>,
    ) -> Result<(), Error> {
        if self.made >= ATTEMPTS_MAX || asked.is_some_and(|asked| asked > PAUSE_MAX) {
            return Err(problem);
        }
        self.made += 1;
        // Full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
        let full = u64::try_from(self.backoff.as_millis()).unwrap_or(u64::MAX);
        let random = Duration::from_millis(self.jitter.next_u64() % full.max(1));
        self.backoff *= 2;
        tokio::time::sleep(asked.unwrap_or(random)).await;
        Ok(())
    }
}

/// A URL without the parts that must not be shown: user, password and query.
fn bare(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// The innermost cause of an error. The outer ones only say that a request failed.
fn innermost(error: &reqwest::Error) -> String {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason = cause.to_string();
        source = cause.source();
    }
    reason
}

fn gone(url: &str, error: &reqwest::Error) -> Error {
    let (url, reason) = (url.to_owned(), innermost(error));
    if is_shortage(error) {
        return Error::Shortage { url, reason };
    }
    Error::Unreachable { url, reason }
}

pub(crate) fn broken(url: &str, error: &reqwest::Error) -> Error {
    Error::Broken {
        url: url.to_owned(),
        reason: innermost(error),
    }
}

/// The error for a connection that closed before the answer was complete. It counts as a lost server, not as an
/// answer.
pub(crate) fn cut_short(url: &str) -> Error {
    Error::Broken {
        url: url.to_owned(),
        reason: "the connection closed before the answer was whole".to_owned(),
    }
}

pub(crate) fn timed_out(url: &str, timeout: Duration) -> Error {
    Error::TimedOut {
        url: url.to_owned(),
        seconds: timeout.as_secs(),
    }
}

pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_sent_and_never_shown() {
        for (url, visible, root) in [
            (
                "http://u:s3@box:80/v1",
                "http://u:***@box:80/v1",
                "http://box:80/v1",
            ),
            ("https://u:s%40@box", "https://u:***@box", "https://box"),
            (
                "https://u:s@3@box/a@b",
                "https://u:***@box/a@b",
                "https://box/a@b",
            ),
            ("http://s3@box", "http://s3:***@box", "http://box"),
        ] {
            assert_eq!(shown(url), visible);
            let (address, header) = address(url).unwrap();
            assert_eq!(address, root, "{url}");
            assert!(header.is_some_and(|header| header.to_str().unwrap().starts_with("Basic ")));
        }
        for url in [
            "http://box:80/a@b",
            "http://[::1]:80/a@b",
            "http://box",
            "sim:?a=1",
        ] {
            assert_eq!(shown(url), url);
        }
        for (bad, visible) in [
            ("http://u:s/3@box/v1", "http://u:***@box/v1"),
            ("http://u:s#3@box/v1", "http://u:***@box/v1"),
            ("u:s3@box", "u:***@box"),
        ] {
            assert_eq!(shown(bad), visible);
        }
        let error = address("http://u:s/3@box/v1").unwrap_err().to_string();
        assert!(!error.contains("s/3"), "{error}");
    }

    #[test]
    fn what_stands_around_a_key_is_left_out_and_what_no_key_has_is_told_without_showing_it() {
        for key in ["sk-1", "sk-1\n", "  sk-1\r\n"] {
            let header = bearer(Some(key)).unwrap().unwrap();
            assert_eq!(header, "Bearer sk-1");
        }
        for none in [None, Some(""), Some(" \n")] {
            assert!(bearer(none).unwrap().is_none());
        }
        for bad in ["sk-1\nsk-2", "sk 1", "sk-ü"] {
            let error = bearer(Some(bad)).unwrap_err().to_string();
            assert!(
                error.contains("--model-api-key") && !error.contains("sk"),
                "{error}"
            );
        }
    }
}
