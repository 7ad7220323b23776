//! Export by OTLP, OpenTelemetry's protocol, over HTTP in its binary form: traces of tasks, and metrics.
//!
//! Traces are made from the events of the journal, which is also what waits to be exported: a page of events is read, its
//! spans are sent, and the position is kept in a file. So nothing is lost while the collector cannot be reached or this
//! process does not run, and no more than one batch is in memory. Metrics are sent as they are, from time to time.

mod client;
mod messages;
mod spans;
mod traces;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use journeyman_journal::Journal;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::telemetry::{Inner, Telemetry};
use client::{Client, Sent};
pub(crate) use messages::Messages;
use messages::{attribute, text};
use traces::Traces;

/// How long the last export may take when the process ends.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// Where traces and metrics are exported to.
#[derive(Clone)]
pub struct OtlpOptions {
    /// The URL of the collector, to which `/v1/traces` and `/v1/metrics` are added.
    pub endpoint: String,
    /// Headers of each request. Their values are secrets.
    pub headers: Vec<(String, String)>,
    /// How often metrics are sent.
    pub interval: Duration,
    /// The file in which the position of the export is kept. `None` begins at the end of the journal.
    pub position_file: Option<PathBuf>,
    /// The version of the program.
    pub version: String,
}

impl fmt::Debug for OtlpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpOptions")
            .field("endpoint", &self.endpoint)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// The endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("traces and metrics cannot be exported: {0}")]
pub struct OtlpError(String);

impl OtlpOptions {
    /// Checks the URL and the headers.
    pub fn check(&self) -> Result<(), OtlpError> {
        Client::new(self).map(drop)
    }
}

/// What was exported, as a report has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OtlpView {
    /// Spans that the collector took.
    pub spans_exported: u64,
    /// Spans that the collector refused. They are not sent again.
    pub spans_dropped: u64,
    /// Exports of metrics that the collector took.
    pub metrics_exported: u64,
    /// Requests that failed. Those with spans are repeated; metrics are sent again after the usual time.
    pub requests_failed: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Figures {
    spans_exported: AtomicU64,
    spans_dropped: AtomicU64,
    metrics_exported: AtomicU64,
    requests_failed: AtomicU64,
}

impl Figures {
    pub(crate) fn view(&self) -> OtlpView {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        OtlpView {
            spans_exported: read(&self.spans_exported),
            spans_dropped: read(&self.spans_dropped),
            metrics_exported: read(&self.metrics_exported),
            requests_failed: read(&self.requests_failed),
        }
    }
}

fn add(figure: &AtomicU64, count: u64) {
    figure.fetch_add(count, Ordering::Relaxed);
}

/// The running export.
#[derive(Debug)]
pub(crate) struct Exporter {
    stop: CancellationToken,
    running: [JoinHandle<()>; 2],
}

impl Exporter {
    /// Starts to export. Must be called in a tokio runtime.
    pub(crate) fn start(
        options: &OtlpOptions,
        journal: Journal,
        telemetry: &Telemetry,
        figures: &Arc<Figures>,
    ) -> Result<Self, OtlpError> {
        let client = Client::new(options)?;
        let stop = CancellationToken::new();
        let origin = Origin {
            resource: resource(options, journal.store_id()),
            scope: InstrumentationScope {
                name: "journeyman".to_owned(),
                version: options.version.clone(),
                ..InstrumentationScope::default()
            },
        };
        let traces = Traces {
            journal,
            client: client.clone(),
            origin: origin.clone(),
            figures: Arc::clone(figures),
            position_file: options.position_file.clone(),
            stop: stop.clone(),
        };
        let metrics = Metrics {
            telemetry: Arc::downgrade(telemetry.inner()),
            client,
            origin,
            figures: Arc::clone(figures),
            interval: options.interval,
            stop: stop.clone(),
        };
        Ok(Self {
            stop,
            running: [tokio::spawn(traces.run()), tokio::spawn(metrics.run())],
        })
    }

    /// Exports what there is, and ends. Takes 3 seconds at most.
    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        let [traces, metrics] = &mut self.running;
        let ended = async { tokio::join!(traces, metrics) };
        // What is not exported now follows with the next process.
        let _ = tokio::time::timeout(CLOSE_MAX, ended).await;
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.running.iter().for_each(JoinHandle::abort);
    }
}

/// What all messages say of where they come from.
#[derive(Clone)]
struct Origin {
    resource: Resource,
    scope: InstrumentationScope,
}

fn resource(options: &OtlpOptions, store: &str) -> Resource {
    let attributes = [
        ("service.name", "journeyman"),
        ("service.version", &options.version),
        ("service.instance.id", store),
    ];
    Resource {
        attributes: attributes
            .map(|(name, value)| attribute(name, text(value)))
            .into(),
        ..Resource::default()
    }
}

/// Sends the metrics from time to time.
struct Metrics {
    /// A weak reference, because the telemetry owns the export.
    telemetry: Weak<Inner>,
    client: Client,
    origin: Origin,
    figures: Arc<Figures>,
    interval: Duration,
    stop: CancellationToken,
}

impl Metrics {
    async fn run(self) {
        if let Some(telemetry) = Telemetry::upgrade(&self.telemetry) {
            // The values of the first export are complete. After an error, metrics say how far they are.
            let _ = self.stop.run_until_cancelled(telemetry.catch_up()).await;
        }
        let mut is_last = false;
        while !is_last {
            let slept = tokio::time::sleep(self.interval);
            is_last = self.stop.run_until_cancelled(slept).await.is_none();
            let Some(telemetry) = Telemetry::upgrade(&self.telemetry) else {
                return;
            };
            let request = ExportMetricsServiceRequest {
                resource_metrics: vec![ResourceMetrics {
                    resource: Some(self.origin.resource.clone()),
                    scope_metrics: vec![ScopeMetrics {
                        scope: Some(self.origin.scope.clone()),
                        metrics: telemetry.messages().into_metrics(),
                        ..ScopeMetrics::default()
                    }],
                    ..ResourceMetrics::default()
                }],
            };
            match self.client.metrics(&request).await {
                Sent::Taken { refused: 0, .. } => add(&self.figures.metrics_exported, 1),
                Sent::Taken { refused, why } => {
                    tracing::warn!(refused, %why, "the collector refused metrics");
                    add(&self.figures.requests_failed, 1);
                }
                Sent::Refused(why) | Sent::Later { why, .. } => {
                    tracing::warn!(%why, "metrics could not be exported");
                    add(&self.figures.requests_failed, 1);
                }
            }
        }
    }
}
