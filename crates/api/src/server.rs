//! The state of the server itself: its health, its queue and its settings. Also the tickets for WebSocket connections.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::json::Whole;
use crate::limits::CONCURRENT_MAX;
use crate::problem::Problem;

/// Names of metrics beside our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExtraNames {
    /// Those of vLLM, for dashboards that were made for it.
    Vllm,
}

/// The query of `/metrics`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExpositionQuery {
    /// Also report metrics under these names, where the meaning is the same.
    #[param(inline)]
    pub names: Option<ExtraNames>,
}

/// The format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricsFormat {
    /// One object.
    Json,
    /// One line for each value: its path in the object, and the value.
    Csv,
}

/// A part of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MetricsPart {
    /// Model calls and requests over HTTP, by endpoint.
    Requests,
    /// Streams of tokens, by model.
    Streaming,
    /// Errors in groups, and repeated effects.
    Errors,
    /// Service level objectives of endpoints, with error budgets and burn rates.
    Objectives,
    /// The ledger: tokens and money by owner, model, purpose, task and day.
    Costs,
    /// Budgets, by account.
    Budgets,
    /// Models, by name.
    Models,
    /// Prompt caches of model servers, by model.
    Caches,
    /// The queue, runs of tasks, prefill and decode.
    Engine,
    /// Model calls in progress at the same time.
    Batch,
    /// Alerts of all kinds.
    Alerts,
    /// What happened to tasks, agents and tools.
    Work,
    /// How the trackers keep up with signals.
    Subscribers,
    /// What was exported by OTLP; all zero without an endpoint.
    Otlp,
}

impl MetricsPart {
    /// The name of the part in the object of all metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Streaming => "streaming",
            Self::Errors => "errors",
            Self::Objectives => "objectives",
            Self::Costs => "costs",
            Self::Budgets => "budgets",
            Self::Models => "models",
            Self::Caches => "caches",
            Self::Engine => "engine",
            Self::Batch => "batch",
            Self::Alerts => "alerts",
            Self::Work => "work",
            Self::Subscribers => "subscribers",
            Self::Otlp => "otlp",
        }
    }
}

/// The query of `/api/v1/metrics`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MetricsQuery {
    /// Only this part; all parts if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub part: Option<MetricsPart>,
    /// The format; JSON if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub format: Option<MetricsFormat>,
}

/// Whether the process is running.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// The word `ok`, always.
    pub status: String,
    /// The version of the program.
    pub version: String,
}

/// Whether work can be done now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Whether the server can work on tasks now.
    pub ready: bool,
    /// What prevents it, one sentence each; empty if `ready` is true.
    pub reasons: Vec<String>,
}

/// A ticket for a WebSocket.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// The value of `?ticket=` in the WebSocket's URL. It can be used once.
    pub ticket: String,
    /// How long the ticket is valid, in seconds.
    pub seconds: u64,
}

/// The waiting tasks of one priority.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Depth {
    /// The name of the level, or the number.
    pub priority: String,
    /// The number of waiting tasks.
    pub tasks: usize,
}

/// Quantiles of a duration since the server was started, in seconds, to two significant digits.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Times {
    /// The median duration.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// The state of the queue, and counters since the server was started.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct QueueView {
    /// The waiting tasks by priority.
    pub waiting: Vec<Depth>,
    /// The number of running tasks.
    pub running: usize,
    /// The number of occupied places of the queue: waiting tasks, and tasks that are being submitted.
    pub places_taken: usize,
    /// The number of submitters waiting for a place.
    pub submitters: usize,
    /// How long the oldest waiting task has been ready to start, in seconds; null if no task is waiting.
    pub oldest_waiting: Option<f64>,
    /// How long tasks waited before they started; null before the first start.
    pub waiting_time: Option<Times>,
    /// How long tasks ran without a break; null before the first run has ended.
    pub service_time: Option<Times>,
    /// The number of tasks submitted.
    pub submitted: u64,
    /// The number of tasks refused.
    pub refused: u64,
    /// How many times a task was stopped for a more urgent one.
    pub preempted: u64,
    /// The number of tasks whose work ended.
    pub finished: u64,
    /// The number of tasks that reached a time limit.
    pub timed_out: u64,
}

/// New limits of the queue. Omitted ones stay as they are.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QueueChange {
    /// The most tasks running at once.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000)]
    pub max_concurrent: Option<Whole>,
    /// The number of workers that start tasks.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000)]
    pub workers: Option<Whole>,
}

impl QueueChange {
    /// The new limits, checked: `max_concurrent` and `workers`.
    pub fn checked(&self) -> Result<(Option<usize>, Option<usize>), Problem> {
        let check = |field: &str, number: Option<Whole>| {
            let check = |Whole(number)| {
                let fits = usize::try_from(number).ok();
                fits.filter(|number| (1..=CONCURRENT_MAX).contains(number))
                    .ok_or_else(|| {
                        let detail = format!("`{field}` is a number from 1 to {CONCURRENT_MAX}");
                        Problem::field(field, detail)
                    })
            };
            number.map(check).transpose()
        };
        let max_concurrent = check("max_concurrent", self.max_concurrent)?;
        Ok((max_concurrent, check("workers", self.workers)?))
    }
}

/// A setting of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServedSetting {
    /// The key as in the configuration file.
    pub key: String,
    /// The value as text; empty if it is not set.
    pub value: String,
    /// Whether only admins may see it, because it reveals something about the server's machine.
    #[serde(skip)]
    pub is_private: bool,
}

/// The model and settings of the server.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServedSettings {
    /// The name of the model as reported by its server.
    pub model: String,
    /// The settings that affect tasks. For callers that are not admins, without those that reveal something
    /// about the server's machine.
    pub settings: Vec<ServedSetting>,
}
