//! All metrics as values.

use jiff::Timestamp;
use journeyman_bus::Statistics;
use serde::Serialize;
use serde_json::Value;

use crate::alerts::AlertsView;
use crate::batch::BatchView;
use crate::budget::BudgetView;
use crate::cost::Costs;
use crate::engine::EngineView;
use crate::errors::ErrorsView;
use crate::models::{CacheView, ModelView};
use crate::money::Following;
use crate::otlp::OtlpView;
use crate::requests::RequestsView;
use crate::slo::ObjectiveView;
use crate::streaming::StreamingView;
use crate::telemetry::{Inner, Telemetry, lock};
use crate::work::WorkView;

/// All metrics, read one tracker after the other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The time at which they were read.
    pub at: Timestamp,
    /// How far the trackers have followed the journal: `not_begun`, `behind`, `current` or `broken`.
    pub following: &'static str,
    /// Why they no longer follow it.
    pub problem: Option<String>,
    /// Requests, since the process started to count.
    pub requests: RequestsView,
    /// Streams of tokens, since the process started to count.
    pub streaming: StreamingView,
    /// Errors, over the whole journal.
    pub errors: ErrorsView,
    /// Objectives, since the process started to count.
    pub objectives: Vec<ObjectiveView>,
    /// The ledger, over the whole journal.
    pub costs: Costs,
    /// Budgets, over the whole journal.
    pub budgets: Vec<BudgetView>,
    /// Models: their use over the whole journal, their times since the process started to count.
    pub models: Vec<ModelView>,
    /// Prompt caches of model servers, over the whole journal.
    pub caches: Vec<CacheView>,
    /// The queue and the phases of model calls, since the process started to count.
    pub engine: EngineView,
    /// The model calls in progress at the same time, since the process started to count.
    pub batch: BatchView,
    /// Alerts, since the process started to count.
    pub alerts: AlertsView,
    /// Tasks, agents, tools, test runs, over the whole journal.
    pub work: WorkView,
    /// The export of traces and metrics, since the process started; all zero if there is none.
    pub otlp: OtlpView,
    /// The subscribers of signals, and how they keep up.
    pub subscribers: Vec<SubscriberView>,
}

/// One subscriber of the bus: a tracker with its journaled signals, or with its live ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SubscriberView {
    /// The name of the tracker.
    pub name: String,
    /// Signals that it processed.
    pub delivered: u64,
    /// Signals dropped because its queue was full.
    pub dropped: u64,
    /// Signals that it failed on, or that were skipped after failures.
    pub failed: u64,
    /// Signals that wait for it.
    pub waiting: usize,
}

pub(crate) fn subscribers(statistics: Statistics) -> Vec<SubscriberView> {
    let views = statistics
        .subscribers
        .into_iter()
        .map(|one| SubscriberView {
            name: one.name,
            delivered: one.delivered,
            dropped: one.dropped,
            failed: one.failed + one.timed_out + one.skipped,
            waiting: one.depth,
        });
    views.collect()
}

impl Report {
    pub(crate) fn of(inner: &Inner) -> Self {
        let now = inner.time.now();
        let following = inner.following.borrow().clone();
        let trackers = &inner.trackers;
        Self {
            at: now,
            following: following.as_str(),
            problem: match following {
                Following::Broken(problem) => Some(problem),
                _ => None,
            },
            requests: lock(&trackers.requests).view(),
            streaming: lock(&trackers.streaming).view(),
            errors: lock(&trackers.errors).view(),
            objectives: lock(&trackers.objectives).views(now),
            costs: lock(&trackers.ledger).view(now),
            budgets: inner.budgets.views(now),
            models: lock(&trackers.models).views(),
            caches: lock(&trackers.caches).views(),
            engine: lock(&trackers.engine).view(),
            batch: lock(&trackers.batch).view(),
            alerts: lock(&trackers.alerts).view(),
            work: lock(&trackers.work).view(),
            otlp: Telemetry::exported(inner).unwrap_or_default(),
            subscribers: subscribers(inner.bus.statistics()),
        }
    }

    /// All of them as JSON.
    pub fn to_json(&self) -> Value {
        // No value here has keys other than texts, and no float is infinite.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Report as lines of `metric,value` (RFC 4180). A metric is named by its path in the JSON.
pub fn csv(value: &Value) -> String {
    let mut text = String::from("metric,value\r\n");
    rows("", value, &mut text);
    text
}

fn rows(path: &str, value: &Value, text: &mut String) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                rows(&below(key), value, text);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                rows(&below(&at.to_string()), value, text);
            }
        }
        Value::Null => row(path, "", text),
        Value::String(word) => row(path, word, text),
        other => row(path, &other.to_string(), text),
    }
}

fn row(path: &str, value: &str, text: &mut String) {
    // A spreadsheet would run what looks like a formula.
    let is_formula = value.starts_with(['=', '+', '@', '\t', '\r'])
        || (value.starts_with('-') && value.parse::<f64>().is_err());
    let lead = if is_formula { "'" } else { "" };
    let quoted = |word: &str| {
        if word.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", word.replace('"', "\"\""))
        } else {
            word.to_owned()
        }
    };
    text.push_str(&quoted(path));
    text.push(',');
    text.push_str(&quoted(&format!("{lead}{value}")));
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_metric_is_a_line_and_nothing_in_it_runs_or_breaks_it() {
        let value =
            json!({"a": {"b": [1, 2.5]}, "c": null, "d": "x,\"y\"\n", "e": "=1+1", "f": -3});
        assert_eq!(
            csv(&value),
            "metric,value\r\na.b.0,1\r\na.b.1,2.5\r\nc,\r\nd,\"x,\"\"y\"\"\n\"\r\ne,'=1+1\r\nf,-3\r\n"
        );
    }
}
