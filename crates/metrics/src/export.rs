//! All metrics, each defined once, and the text formats of Prometheus and `OpenMetrics`. The messages of OTLP are made in
//! `otlp/`.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::buckets::{Histogram, Times};
use crate::models::provider;
use crate::money::Following;
use crate::otlp::Messages;
use crate::report::subscribers;
use crate::telemetry::{Error, Inner, Telemetry, lock};

/// The labels of one value.
pub type LabelSet = Vec<(&'static str, String)>;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
    /// The text format of `OpenMetrics`, version 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The one that a client asks for by `Accept`.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// Its content type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The names of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Only our own, which begin with `journeyman_`.
    Own,
    /// Also those of vLLM, where the meaning is the same.
    Vllm,
}

/// Metrics that are computed when they are exported.
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// Writes them all.
    fn write(&self, writer: &mut Writer<'_, '_>) -> fmt::Result;
}

/// A source as the registry of the text formats takes it.
#[derive(Debug)]
struct Collected(Arc<dyn Source>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.write(&mut Writer(Target::Text(&mut encoder)))
    }
}

/// The value of a counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Count {
    /// A whole number.
    Whole(u64),
    /// An amount that is not a whole number.
    Part(f64),
}

impl From<u64> for Count {
    fn from(count: u64) -> Self {
        Self::Whole(count)
    }
}

impl From<f64> for Count {
    fn from(amount: f64) -> Self {
        Self::Part(amount)
    }
}

/// Writes families of metrics in one of the formats: text, or the messages of OTLP.
pub struct Writer<'a, 'e>(Target<'a, 'e>);

enum Target<'a, 'e> {
    Text(&'a mut DescriptorEncoder<'e>),
    Otlp(&'a mut Messages),
}

impl fmt::Debug for Writer<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl<'a> Writer<'a, '_> {
    /// Creates a writer of messages of OTLP.
    pub(crate) fn otlp(messages: &'a mut Messages) -> Self {
        Self(Target::Otlp(messages))
    }
}

impl Writer<'_, '_> {
    /// Writes a counter. The name is given without `_total`.
    pub fn counters<N: Into<Count>>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (LabelSet, N)>,
    ) -> fmt::Result {
        let rows = rows
            .into_iter()
            .map(|(labels, value)| (labels, value.into()));
        let encoder = match &mut self.0 {
            Target::Text(encoder) => encoder,
            Target::Otlp(messages) => {
                messages.counter(name, help, rows);
                return Ok(());
            }
        };
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            let mut metric = metric.encode_family(&labels)?;
            match value {
                Count::Whole(count) => metric.encode_counter::<NoLabelSet, u64, u64>(&count, None),
                Count::Part(part) => metric.encode_counter::<NoLabelSet, f64, u64>(&part, None),
            }?;
        }
        Ok(())
    }

    /// Writes a gauge.
    pub fn gauges(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (LabelSet, f64)>,
    ) -> fmt::Result {
        let encoder = match &mut self.0 {
            Target::Text(encoder) => encoder,
            Target::Otlp(messages) => {
                messages.gauge(name, help, rows);
                return Ok(());
            }
        };
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            // A whole number is written as one.
            let mut metric = metric.encode_family(&labels)?;
            #[allow(clippy::cast_possible_truncation)] // it is below 2^53
            if value.fract() == 0.0 && value.abs() < 9e15 {
                metric.encode_gauge(&(value as i64))?;
            } else {
                metric.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (LabelSet, Histogram)>,
    ) -> fmt::Result {
        let encoder = match &mut self.0 {
            Target::Text(encoder) => encoder,
            Target::Otlp(messages) => {
                messages.histogram(name, help, rows);
                return Ok(());
            }
        };
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, values) in rows {
            metric
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(values.sum, values.count, &values.buckets, None)?;
        }
        Ok(())
    }

    fn times<'t>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (LabelSet, &'t Times)>,
    ) -> fmt::Result {
        let rows = rows.into_iter();
        self.histograms(
            name,
            help,
            rows.map(|(labels, times)| (labels, times.histogram())),
        )
    }
}

/// One label with its value.
fn label(name: &'static str, value: impl ToString) -> LabelSet {
    vec![(name, value.to_string())]
}

/// A value without labels.
fn plain(value: f64) -> [(LabelSet, f64); 1] {
    [(Vec::new(), value)]
}

fn two(one: (&'static str, &str), other: (&'static str, &str)) -> LabelSet {
    vec![(one.0, one.1.to_owned()), (other.0, other.1.to_owned())]
}

impl Telemetry {
    /// All metrics as text. Starts counting if nobody did before.
    pub fn exposition(&self, format: Format, names: Names) -> Result<String, Error> {
        self.begin()?;
        let mut registry = Registry::default();
        let own = registry.sub_registry_with_prefix("journeyman");
        for source in self.sources() {
            own.register_collector(Box::new(Collected(source)));
        }
        if names == Names::Vllm {
            let vllm = Arc::new(Vllm(Arc::clone(self.inner())));
            registry.register_collector(Box::new(Collected(vllm)));
        }
        let mut page = String::new();
        let written = match format {
            Format::Prometheus => prometheus_text::encode(&mut page, &registry),
            Format::OpenMetrics => text::encode(&mut page, &registry),
        };
        if written.is_err() {
            tracing::error!("metrics could not be written"); // writing to a String cannot fail
        }
        Ok(page)
    }

    /// All metrics whose names get our prefix: those of others, and our own.
    fn sources(&self) -> Vec<Arc<dyn Source>> {
        let mut sources = self.others();
        sources.push(Arc::new(Own(Arc::clone(self.inner()))));
        sources
    }

    /// All metrics as messages of OTLP, with those that have a name among OpenTelemetry's conventions under that name too.
    pub(crate) fn messages(&self) -> Messages {
        let mut messages = Messages::new("journeyman_", self.inner().time.now());
        let mut write = |source: &dyn Source| {
            let written = source.write(&mut Writer::otlp(&mut messages));
            debug_assert!(written.is_ok(), "messages take everything");
        };
        for source in self.sources() {
            write(&*source);
        }
        messages.without_prefix();
        let conventional = Conventional(Arc::clone(self.inner()));
        let written = conventional.write(&mut Writer::otlp(&mut messages));
        debug_assert!(written.is_ok(), "messages take everything");
        messages
    }
}

/// Our own metrics. Each metric of this crate is defined here.
struct Own(Arc<Inner>);

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").finish_non_exhaustive()
    }
}

impl Source for Own {
    fn write(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        self.requests(writer)?;
        self.streaming(writer)?;
        self.errors(writer)?;
        self.objectives(writer)?;
        self.money(writer)?;
        self.models(writer)?;
        self.engine(writer)?;
        self.batch_and_alerts(writer)?;
        self.work(writer)?;
        self.itself(writer)
    }
}

#[allow(clippy::cast_precision_loss)] // gauges are floats
impl Own {
    fn requests(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let requests = lock(&self.0.trackers.requests);
        writer.gauges(
            "requests_active",
            "Requests in progress",
            plain(requests.active() as f64),
        )?;
        let rows = requests.endpoints.iter().flat_map(|(endpoint, figures)| {
            [("completed", figures.completed), ("failed", figures.failed)]
                .map(|(outcome, count)| (two(("endpoint", endpoint), ("outcome", outcome)), count))
        });
        writer.counters(
            "requests",
            "Requests that ended, by endpoint and outcome",
            rows,
        )?;
        let rows = requests.rate_limited.iter();
        let rows = rows.map(|(endpoint, count)| (label("endpoint", endpoint), *count));
        writer.counters(
            "rate_limited",
            "Model calls refused because the server was busy or a rate limit was reached",
            rows,
        )?;
        let rows = requests.disconnected.iter();
        let rows = rows.map(|(endpoint, count)| (label("endpoint", endpoint), *count));
        writer.counters(
            "client_disconnects",
            "Clients that disconnected before their response began",
            rows,
        )?;
        let rows = requests.errors.iter().map(|((endpoint, error), count)| {
            (two(("endpoint", endpoint), ("error", error)), *count)
        });
        writer.counters(
            "request_errors",
            "Requests that failed, by the kind of error",
            rows,
        )?;
        let rows = requests
            .endpoints
            .iter()
            .map(|(endpoint, figures)| (label("endpoint", endpoint), &figures.time.0));
        writer.times("request_duration_seconds", "Duration of requests", rows)?;
        let waited = requests
            .endpoints
            .iter()
            .filter(|(_, figures)| figures.waited.0.count() > 0);
        let rows =
            waited.map(|(endpoint, figures)| (label("endpoint", endpoint), &figures.waited.0));
        writer.times(
            "request_queue_seconds",
            "How long model calls waited for a slot at the model server",
            rows,
        )
    }

    fn streaming(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let streaming = lock(&self.0.trackers.streaming);
        let models = || streaming.models.iter();
        writer.gauges(
            "streams_active",
            "Streams of tokens in progress",
            plain(streaming.active() as f64),
        )?;
        let rows = models().flat_map(|(model, streams)| {
            [
                ("completed", streams.completed),
                ("failed", streams.failed),
                ("cancelled", streams.cancelled),
            ]
            .map(|(outcome, count)| (two(("model", model), ("outcome", outcome)), count))
        });
        writer.counters(
            "streams",
            "Streams of tokens that ended, by model and outcome",
            rows,
        )?;
        let rows = models().map(|(model, streams)| (label("model", model), streams.good));
        writer.counters(
            "streams_good",
            "Streams with the first token within 2 s and at most 200 ms between tokens",
            rows,
        )?;
        let rows = models().map(|(model, streams)| (label("model", model), streams.stalls));
        writer.counters(
            "stream_stalls",
            "Gaps of more than 0.5 s between two pieces of a stream",
            rows,
        )?;
        let rows = models().map(|(model, streams)| (label("model", model), &streams.first_token.0));
        writer.times(
            "time_to_first_token_seconds",
            "Time from sending a request to the first token",
            rows,
        )?;
        let rows =
            models().map(|(model, streams)| (label("model", model), &streams.between_tokens.0));
        writer.times(
            "inter_token_latency_seconds",
            "Time between two tokens, the mean of each stream",
            rows,
        )?;
        let rows =
            models().map(|(model, streams)| (label("model", model), &streams.between_pieces.0));
        writer.times(
            "inter_chunk_latency_seconds",
            "Time between two pieces of a stream",
            rows,
        )
    }

    fn errors(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let errors = lock(&self.0.trackers.errors);
        let rows = errors
            .by_error
            .iter()
            .map(|(error, count)| (label("error", error), *count));
        writer.counters("errors", "Errors over the whole journal, by kind", rows)?;
        writer.gauges(
            "error_groups",
            "Groups of similar errors",
            plain(errors.group_count() as f64),
        )?;
        let (attempted, succeeded) = errors.recoveries();
        let rows = [("attempted", attempted), ("succeeded", succeeded)];
        let rows = rows.map(|(outcome, count)| (label("outcome", outcome), count));
        writer.counters(
            "recoveries",
            "Effects repeated after a crash, over the whole journal",
            rows,
        )
    }

    fn objectives(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let views = lock(&self.0.trackers.objectives).views(self.0.time.now());
        let rows = views.iter().flat_map(|view| {
            let rates = view.burn_rates.iter();
            rates.map(|(window, rate)| {
                (two(("endpoint", &view.endpoint), ("window", window)), *rate)
            })
        });
        writer.gauges(
            "slo_burn_rate",
            "How many times faster than allowed the error budget is used up",
            rows,
        )?;
        let rows = views
            .iter()
            .map(|view| (label("endpoint", &view.endpoint), view.budget_left));
        writer.gauges(
            "slo_error_budget_remaining_ratio",
            "The part of the error budget of three days that is left",
            rows,
        )?;
        let rows = views.iter().flat_map(|view| {
            let alerts = view.alerts.iter();
            alerts.map(|alert| {
                let mut labels = two(("endpoint", &view.endpoint), ("window", alert.window));
                labels.push(("severity", alert.severity.to_owned()));
                (labels, 1.0)
            })
        });
        writer.gauges("slo_alert", "Active alerts", rows)
    }

    fn money(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        {
            let ledger = lock(&self.0.trackers.ledger);
            let rows = ledger.models().flat_map(|(model, sums)| {
                [
                    ("prompt", sums.prompt_tokens),
                    ("cached", sums.cached_tokens),
                    ("completion", sums.completion_tokens),
                ]
                .map(|(kind, count)| (two(("model", model), ("kind", kind)), count))
            });
            writer.counters(
                "tokens",
                "Tokens over the whole journal; cached ones are prompt tokens, too",
                rows,
            )?;
            let rows = ledger
                .models()
                .map(|(model, sums)| (label("model", model), sums.usd.as_usd()));
            writer.counters(
                "cost_usd",
                "Cost of calls with a known price, over the whole journal",
                rows,
            )?;
            let rows = ledger
                .models()
                .map(|(model, sums)| (label("model", model), sums.unpriced_calls));
            writer.counters(
                "unpriced_calls",
                "Calls of models without a known price, over the whole journal",
                rows,
            )?;
        }
        // Owners and tasks are never labels: only the fullest account of each budget is reported.
        let mut used: std::collections::BTreeMap<String, f64> = std::collections::BTreeMap::new();
        for view in self.0.budgets.views(self.0.time.now()) {
            let limit = view.limit_usd.as_usd();
            let taken = (view.spent_usd + view.reserved_usd).as_usd();
            let part = if limit > 0.0 { taken / limit } else { 1.0 };
            let fullest = used.entry(view.budget).or_default();
            *fullest = fullest.max(part);
        }
        let rows = used
            .into_iter()
            .map(|(budget, part)| (label("budget", budget), part));
        writer.gauges(
            "budget_used_ratio",
            "The part of a budget that is spent or reserved, of its fullest account",
            rows,
        )
    }

    fn models(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        {
            let models = lock(&self.0.trackers.models);
            let rows = models
                .0
                .iter()
                .map(|(model, figures)| (label("model", model), figures.tasks));
            writer.counters(
                "model_tasks",
                "Tasks started with a model, over the whole journal",
                rows,
            )?;
            let rows = models
                .0
                .iter()
                .map(|(model, figures)| (label("model", model), figures.routed));
            writer.counters(
                "routed_calls",
                "Calls for which a model was selected, by its configured name, over the whole journal",
                rows,
            )?;
            let rows = models
                .0
                .iter()
                .map(|(model, figures)| (label("model", model), figures.generated));
            writer.counters(
                "generated_tokens",
                "Tokens of answers since the process started to count",
                rows,
            )?;
            let rows = models
                .0
                .iter()
                .map(|(model, figures)| (label("model", model), &figures.time.0));
            writer.times(
                "model_call_duration_seconds",
                "Duration of calls of a model",
                rows,
            )?;
        }
        let caches = lock(&self.0.trackers.caches);
        let rows = caches.0.iter().flat_map(|(model, cache)| {
            [("hit", cache.hits), ("miss", cache.misses)]
                .map(|(outcome, count)| (two(("model", model), ("outcome", outcome)), count))
        });
        writer.counters(
            "prompt_cache_lookups",
            "Lookups of prompts in the model server's cache, over the whole journal",
            rows,
        )
    }

    fn engine(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let engine = lock(&self.0.trackers.engine);
        let none = Vec::new;
        writer.times(
            "prefill_seconds",
            "Duration of reading a prompt",
            [(none(), &engine.prefill.0)],
        )?;
        writer.times(
            "decode_seconds",
            "Duration of generating an answer",
            [(none(), &engine.decode.0)],
        )?;
        writer.counters(
            "prefill_tokens",
            "Tokens of prompts that were read",
            [(none(), engine.prefill_tokens)],
        )?;
        writer.counters(
            "decode_tokens",
            "Tokens of answers that were generated",
            [(none(), engine.decode_tokens)],
        )?;
        writer.counters(
            "task_runs",
            "Runs of tasks that were started",
            [(none(), engine.runs)],
        )?;
        writer.times(
            "task_run_seconds",
            "Duration of runs of tasks",
            [(none(), &engine.run_time.0)],
        )?;
        writer.gauges(
            "process_resident_memory_bytes",
            "Resident memory of the process",
            plain(engine.memory_bytes as f64),
        )?;
        writer.counters(
            "process_cpu_seconds",
            "Processor time used by the process",
            [(none(), engine.cpu.as_secs_f64())],
        )
    }

    fn batch_and_alerts(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let batch = lock(&self.0.trackers.batch).view();
        writer.gauges(
            "model_calls_active",
            "Model calls in progress",
            plain(batch.calls as f64),
        )?;
        writer.counters(
            "model_busy_seconds",
            "Time with at least one model call in progress",
            [(Vec::new(), batch.busy_seconds)],
        )?;
        let alerts = lock(&self.0.trackers.alerts);
        let rows = alerts.raised.iter();
        let rows = rows.map(|(kind, count)| (label("kind", kind), *count));
        writer.counters(
            "telemetry_alerts",
            "Error patterns, SLO violations and changes of budgets, by kind",
            rows,
        )
    }

    fn work(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let work = lock(&self.0.trackers.work);
        let rows = work
            .happened
            .iter()
            .map(|(kind, count)| (label("kind", kind), *count));
        writer.counters(
            "work_events",
            "What happened to tasks, agents and tools, over the whole journal",
            rows,
        )?;
        let rows = work
            .tools
            .iter()
            .map(|((tool, outcome), count)| (two(("tool", tool), ("outcome", outcome)), *count));
        writer.counters(
            "tool_calls",
            "Tool calls by outcome, over the whole journal",
            rows,
        )?;
        writer.times(
            "tool_call_seconds",
            "Duration of tool calls",
            [(Vec::new(), &work.tool_time.0)],
        )?;
        let rows = work
            .runs
            .iter()
            .map(|(outcome, count)| (label("outcome", outcome), *count));
        writer.counters(
            "test_runs",
            "Test runs in the sandbox by outcome, over the whole journal",
            rows,
        )?;
        writer.times(
            "test_run_seconds",
            "Duration of test runs",
            [(Vec::new(), &work.run_time.0)],
        )
    }

    /// The metrics of the telemetry itself.
    fn itself(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let statistics = self.0.bus.statistics();
        writer.counters(
            "signals",
            "Signals emitted",
            [(Vec::new(), statistics.published)],
        )?;
        let mut lost = std::collections::BTreeMap::<String, u64>::new();
        for one in subscribers(statistics) {
            *lost.entry(one.name).or_default() += one.dropped + one.failed;
        }
        let rows = lost
            .into_iter()
            .map(|(name, count)| (label("subscriber", name), count));
        writer.counters(
            "signals_lost",
            "Signals that a tracker had no room for, or failed on",
            rows,
        )?;
        if let Some(exported) = Telemetry::exported(&self.0) {
            let rows = [
                ("exported", exported.spans_exported),
                ("dropped", exported.spans_dropped),
            ];
            writer.counters(
                "otlp_spans",
                "Spans that were exported, and those that the collector refused",
                rows.map(|(outcome, count)| (label("outcome", outcome), count)),
            )?;
            writer.counters(
                "otlp_requests_failed",
                "Exports of traces or metrics that failed",
                [(Vec::new(), exported.requests_failed)],
            )?;
        }
        let is_current = *self.0.following.borrow() == Following::Current;
        let help = "Whether metrics over the whole journal are up to date";
        writer.gauges(
            "journal_followed",
            help,
            plain(f64::from(u8::from(is_current))),
        )
    }
}

/// The metrics whose meaning is that of a metric of vLLM, under its name.
struct Vllm(Arc<Inner>);

impl fmt::Debug for Vllm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vllm").finish_non_exhaustive()
    }
}

impl Source for Vllm {
    fn write(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        {
            let streaming = lock(&self.0.trackers.streaming);
            let models = || streaming.models.iter();
            let rows = models()
                .map(|(model, streams)| (label("model_name", model), &streams.first_token.0));
            writer.times(
                "vllm:time_to_first_token_seconds",
                "Time to first token",
                rows,
            )?;
            let rows = models()
                .map(|(model, streams)| (label("model_name", model), &streams.between_tokens.0));
            writer.times(
                "vllm:inter_token_latency_seconds",
                "Inter-token latency",
                rows,
            )?;
        }
        {
            let models = lock(&self.0.trackers.models);
            let rows = models
                .0
                .iter()
                .map(|(model, figures)| (label("model_name", model), &figures.time.0));
            writer.times(
                "vllm:e2e_request_latency_seconds",
                "Latency of whole requests",
                rows,
            )?;
        }
        let models = lock(&self.0.trackers.models);
        let rows = models
            .0
            .iter()
            .map(|(model, figures)| (label("model_name", model), figures.prompt_tokens));
        writer.counters("vllm:prompt_tokens", "Tokens of prompts", rows)?;
        let rows = models
            .0
            .iter()
            .map(|(model, figures)| (label("model_name", model), figures.completion_tokens));
        writer.counters("vllm:generation_tokens", "Tokens that were generated", rows)
    }
}

/// The metrics that OpenTelemetry's conventions for generative AI have a name for.
struct Conventional(Arc<Inner>);

impl fmt::Debug for Conventional {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conventional").finish_non_exhaustive()
    }
}

impl Source for Conventional {
    fn write(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let streaming = lock(&self.0.trackers.streaming);
        let models = lock(&self.0.trackers.models);
        let labels = |model: &str| {
            let server = models.0.get(model).map_or("", |figures| &*figures.server);
            vec![
                ("gen_ai.operation.name", "chat".to_owned()),
                ("gen_ai.provider.name", provider(server).to_owned()),
                ("gen_ai.request.model", model.to_owned()),
            ]
        };
        let rows = models.0.iter();
        let rows = rows.map(|(model, figures)| (labels(model), &figures.time.0));
        writer.times(
            "gen_ai.client.operation.duration",
            "Duration of model calls",
            rows,
        )?;
        let rows = models.0.iter().flat_map(|(model, figures)| {
            [("input", &figures.input), ("output", &figures.output)].map(|(kind, tokens)| {
                let mut labels = labels(model);
                labels.push(("gen_ai.token.type", kind.to_owned()));
                (labels, tokens.histogram())
            })
        });
        writer.histograms(
            "gen_ai.client.token.usage",
            "Tokens used by model calls",
            rows,
        )?;
        let rows = streaming.models.iter();
        let rows = rows.map(|(model, streams)| (labels(model), &streams.first_token.0));
        writer.times(
            "gen_ai.client.operation.time_to_first_chunk",
            "Time from sending a request to the first piece of its answer",
            rows,
        )?;
        let rows = streaming.models.iter();
        let rows = rows.map(|(model, streams)| (labels(model), &streams.between_pieces.0));
        writer.times(
            "gen_ai.client.operation.time_per_output_chunk",
            "Time between two pieces of an answer",
            rows,
        )
    }
}
