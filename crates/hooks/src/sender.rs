//! Sends one webhook request: signed, to a checked address, without following redirects.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use journeyman_http::retry_after;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use standardwebhooks::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook,
};

use crate::address::{Networks, Refused};

/// The longest `Retry-After` that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// A resolver for host names.
pub trait Lookup: Send + Sync + 'static {
    /// Resolves a host to its addresses.
    fn lookup(
        &self,
        host: String,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
}

/// The resolver of the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(
        &self,
        host: String,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) })
    }
}

/// Resolves a host once per connection and checks all of its addresses. The connection uses one of these addresses, so
/// DNS rebinding has no effect.
struct Checked {
    networks: Networks,
    lookup: Arc<dyn Lookup>,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.lookup.lookup(name.as_str().to_owned());
        let networks = self.networks.clone();
        Box::pin(async move {
            let found = found.await?;
            for address in &found {
                networks.check(address.ip())?;
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

/// The result of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SendResult {
    /// The receiver answered with a success status.
    Accepted,
    /// The receiver answered 410: it wants no further requests.
    Gone,
    /// The request failed, or the response was not a success.
    Failed {
        error: String,
        /// The `Retry-After` of the response.
        retry_after: Option<Duration>,
    },
}

/// A request to send.
pub(crate) struct Request<'a> {
    /// The id of the message, the same for each attempt.
    pub(crate) id: &'a str,
    pub(crate) body: &'a [u8],
    /// The time of this attempt, in seconds since the epoch.
    pub(crate) timestamp: i64,
    pub(crate) signers: &'a [Webhook],
}

/// Sends webhook requests, each over its own connection.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    http: Client,
    networks: Networks,
    timeout: Duration,
}

impl Sender {
    pub(crate) fn new(
        networks: Networks,
        lookup: Arc<dyn Lookup>,
        timeout: Duration,
    ) -> Result<Self, String> {
        let checked = Checked {
            networks: networks.clone(),
            lookup,
        };
        let http = journeyman_http::client_builder()
            .user_agent(concat!("journeyman/", env!("CARGO_PKG_VERSION")))
            // A proxy would resolve the host again, and a redirect could lead anywhere.
            .no_proxy()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .dns_resolver(Arc::new(checked))
            .pool_max_idle_per_host(0)
            .timeout(timeout)
            .build()
            .map_err(|error| format!("webhooks cannot be sent: {}", error_text(error)))?;
        Ok(Self {
            http,
            networks,
            timeout,
        })
    }

    /// Sends a request. Only the head of the response is read: its body could be the content of an internal service,
    /// and must not appear in errors.
    pub(crate) async fn post(&self, url: Url, request: Request<'_>) -> SendResult {
        let failed = |error: String| SendResult::Failed {
            error,
            retry_after: None,
        };
        // The resolver is not called for IP addresses.
        if let Err(error) = self.networks.check_url(&url) {
            return failed(error);
        }
        let mut post = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, request.id)
            .header(HEADER_WEBHOOK_TIMESTAMP, request.timestamp);
        match signature(&request) {
            Ok(Some(signature)) => post = post.header(HEADER_WEBHOOK_SIGNATURE, signature),
            Ok(None) => {}
            Err(error) => return failed(error),
        }
        let response = match post.body(request.body.to_vec()).send().await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => {
                return failed(format!(
                    "no response within {} s",
                    self.timeout.as_secs_f64()
                ));
            }
            Err(error) => return failed(error_text(error)),
        };
        let status = response.status();
        let retry_after = retry_after(response.headers());
        match status {
            _ if status.is_success() => SendResult::Accepted,
            StatusCode::GONE => SendResult::Gone,
            _ if status.is_redirection() => failed(format!(
                "the receiver answered with a redirect (status {}), which is not followed; use its new URL",
                status.as_u16()
            )),
            _ => SendResult::Failed {
                error: format!("the receiver answered with status {}", status.as_u16()),
                retry_after: retry_after.map(|wait| wait.min(RETRY_AFTER_MAX)),
            },
        }
    }
}

/// The signatures of a request, one per secret; `None` without a secret.
fn signature(request: &Request<'_>) -> Result<Option<String>, String> {
    let mut signatures = Vec::new();
    for signer in request.signers {
        let signed = signer.sign(request.id, request.timestamp, request.body);
        signatures.push(signed.map_err(|error| format!("the request cannot be signed: {error}"))?);
    }
    Ok((!signatures.is_empty()).then(|| signatures.join(" ")))
}

/// An error with its causes, without the URL, which may contain a secret.
fn error_text(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return refused.to_string();
        }
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
