//! Sends the requests of OTLP over HTTP, and tells what may be sent again.

use std::error::Error as _;
use std::time::Duration;

use journeyman_http::{client_builder, retry_after};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};

use super::{OtlpError, OtlpOptions};

/// The most time for a request, as in OpenTelemetry's own exporters.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// The most that is read of a response.
const RESPONSE_BYTES_MAX: usize = 64 << 10;

/// How a request ended.
#[derive(Debug)]
pub(super) enum Sent {
    /// The collector took it, except for so many spans or values.
    Taken { refused: u64, why: String },
    /// The collector does not take it, however often it is sent.
    Refused(String),
    /// It may be taken later, after this time if the collector says so.
    Later { why: String, wait: Option<Duration> },
}

/// A client of one collector.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    traces: Url,
    metrics: Url,
}

impl Client {
    pub(super) fn new(options: &OtlpOptions) -> Result<Self, OtlpError> {
        let base = options.endpoint.trim_end_matches('/');
        let address = |path: &str| {
            let url = format!("{base}{path}").parse::<Url>();
            let url = url
                .ok()
                .filter(|url| ["http", "https"].contains(&url.scheme()));
            url.ok_or_else(|| {
                let wanted = "the endpoint is no URL that begins with http:// or https://";
                OtlpError(wanted.to_owned())
            })
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &options.headers {
            let bad = || {
                OtlpError(format!(
                    "the header {name:?} has a name or value that HTTP forbids"
                ))
            };
            let header: HeaderName = name.parse().map_err(|_| bad())?;
            let mut value: HeaderValue = value.parse().map_err(|_| bad())?;
            value.set_sensitive(true);
            headers.append(header, value);
        }
        let http = client_builder()
            .user_agent(concat!("journeyman/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            // Headers with secrets go to the configured address only.
            .redirect(Policy::none())
            .timeout(REQUEST_MAX)
            .build()
            .map_err(|error| OtlpError(error.to_string()))?;
        Ok(Self {
            http,
            traces: address("/v1/traces")?,
            metrics: address("/v1/metrics")?,
        })
    }

    pub(super) async fn traces(&self, request: &ExportTraceServiceRequest) -> Sent {
        let sent = self.post(&self.traces, request.encode_to_vec()).await;
        answered(sent, |bytes| {
            let response = ExportTraceServiceResponse::decode(bytes).ok()?;
            let part = response.partial_success?;
            Some((part.rejected_spans, part.error_message))
        })
    }

    pub(super) async fn metrics(&self, request: &ExportMetricsServiceRequest) -> Sent {
        let sent = self.post(&self.metrics, request.encode_to_vec()).await;
        answered(sent, |bytes| {
            let response = ExportMetricsServiceResponse::decode(bytes).ok()?;
            let part = response.partial_success?;
            Some((part.rejected_data_points, part.error_message))
        })
    }

    /// The body of a response with success, or how the request ended without one.
    async fn post(&self, url: &Url, body: Vec<u8>) -> Result<Vec<u8>, Sent> {
        let request = self.http.post(url.clone()).body(body);
        let request = request.header(CONTENT_TYPE, "application/x-protobuf");
        let later = |error: reqwest::Error| Sent::Later {
            why: words(error),
            wait: None,
        };
        let mut response = request.send().await.map_err(later)?;
        let status = response.status();
        if status.is_success() {
            let mut bytes = Vec::new();
            while let Some(piece) = response.chunk().await.map_err(later)? {
                if bytes.len() + piece.len() > RESPONSE_BYTES_MAX {
                    break;
                }
                bytes.extend_from_slice(&piece);
            }
            return Ok(bytes);
        }
        let why = format!("the collector answered with status {}", status.as_u16());
        let is_transient = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        Err(if is_transient {
            let wait = retry_after(response.headers());
            Sent::Later { why, wait }
        } else {
            Sent::Refused(why)
        })
    }
}

/// Reads how many spans or values a response with success refuses.
fn answered(sent: Result<Vec<u8>, Sent>, read: impl Fn(&[u8]) -> Option<(i64, String)>) -> Sent {
    match sent {
        Err(sent) => sent,
        Ok(bytes) => {
            let (refused, why) = read(&bytes).unwrap_or_default();
            Sent::Taken {
                refused: refused.try_into().unwrap_or(0),
                why,
            }
        }
    }
}

/// An error with its causes, without the URL, which may have a password in it.
fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}
