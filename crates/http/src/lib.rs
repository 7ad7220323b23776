//! What all HTTP clients of the program share: how one begins, so that the choice of cryptography is made once, and how
//! long a server asks to wait.
//!
//! Floor 0, below `fetch`. It knows no protocol, no address and no time limit: these belong to the crates that send requests.
//!
//! The TLS library (rustls) takes its cryptography from a provider. The default provider, `aws-lc-rs`, compiles
//! a large C library; `ring` does the same for us in a fraction of the build time
//! (`docs/decisions/0024-how-the-program-is-built.md`).

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// The longest wait that is understood: a year.
const WAIT_MAX: Duration = Duration::from_hours(365 * 24);

/// Begins a new HTTP client that can speak TLS.
///
/// The first call installs `ring` as the cryptography provider of the process. A provider that a program
/// installed before stays.
#[allow(clippy::disallowed_methods)] // the one place where they are allowed
pub fn client_builder() -> reqwest::ClientBuilder {
    // An error says only that a provider is installed, which is what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// How long the server that sent these headers asks to wait: in milliseconds (`retry-after-ms`, as OpenAI sends it), in
/// seconds, or as a time of its own clock, which its `date` tells (RFC 9110, section 10.2.3); without one that time is
/// compared with ours. At most a year.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.trim());
    let number = |text: &str| text.parse::<f64>().ok();
    let ms = text(HeaderName::from_static("retry-after-ms")).and_then(number);
    let wait = text(RETRY_AFTER);
    let seconds = ms.map(|ms| ms / 1_000.0).or_else(|| {
        let wait = wait?;
        number(wait).or_else(|| {
            let moment = |text: &str| httpdate::parse_http_date(text).ok();
            let now = text(DATE).and_then(moment).unwrap_or_else(SystemTime::now);
            let left = moment(wait)?.duration_since(now);
            Some(left.unwrap_or_default().as_secs_f64())
        })
    })?;
    let wait = Duration::try_from_secs_f64(seconds.max(0.0));
    Some(wait.unwrap_or(WAIT_MAX).min(WAIT_MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_that_a_server_asks_for_is_read_in_every_form() {
        let cases = [
            ("retry-after: 7", Some(7_000)),
            ("retry-after: 1.5", Some(1_500)),
            ("retry-after-ms: 40", Some(40)),
            ("retry-after: 86400", Some(86_400_000)),
            ("retry-after: -3", Some(0)),
            (
                "retry-after: Sun, 06 Nov 1994 08:49:42 GMT\ndate: Sun, 06 Nov 1994 08:49:37 GMT",
                Some(5_000),
            ),
            ("retry-after: Sun, 06 Nov 1994 08:49:42 GMT", Some(0)),
            ("retry-after: 99999999999999999999", Some(31_536_000_000)),
            (
                "retry-after: Sunday, 06-Nov-94 08:49:42 GMT\ndate: Sun Nov  6 08:49:37 1994",
                Some(5_000),
            ),
            (
                "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\ndate: Sun, 06 Nov 1994 08:49:42 GMT",
                Some(0),
            ),
            ("retry-after: soon", None),
            ("retry-after: nan", Some(0)),
            ("x: y", None),
        ];
        for (lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in lines.lines() {
                let (name, value) = line.split_once(": ").unwrap();
                let name: HeaderName = name.parse().unwrap();
                headers.insert(name, value.parse().unwrap());
            }
            let expected = expected.map(Duration::from_millis);
            assert_eq!(retry_after(&headers), expected, "{lines}");
        }
    }

    #[test]
    fn a_time_without_the_servers_own_is_compared_with_ours() {
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_mins(2));
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, later.parse().unwrap());
        let wait = retry_after(&headers).unwrap();
        assert!((100..=120).contains(&wait.as_secs()), "{wait:?}");
    }

    #[test]
    fn two_clients_can_be_built_one_after_the_other() {
        client_builder().build().unwrap();
        client_builder().https_only(true).build().unwrap();
    }
}
