//! Metrics as messages of OTLP.
//!
//! Sums and histograms are cumulative, without the time at which they began: those over the whole journal began before this
//! process. A reset shows in the value, as in Prometheus.

use jiff::Timestamp;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram as HistogramData, HistogramDataPoint, Metric,
    NumberDataPoint, Sum,
};
use serde_json::Value;

use crate::buckets::Histogram;
use crate::export::{Count, LabelSet};

/// The metrics of one export.
#[derive(Debug)]
pub(crate) struct Messages {
    prefix: &'static str,
    at: u64,
    metrics: Vec<Metric>,
}

/// Nanoseconds since 1970.
pub(super) fn nanos(at: Timestamp) -> u64 {
    at.as_nanosecond().try_into().unwrap_or(0)
}

pub(super) fn text(text: &str) -> AnyValue {
    AnyValue {
        value: Some(AnyKind::StringValue(text.to_owned())),
    }
}

/// A value of JSON as OTLP has it. What is neither a text, a number, a boolean nor a list of these is a text.
pub(super) fn any(value: &Value) -> AnyValue {
    let kind = match value {
        Value::Bool(is) => AnyKind::BoolValue(*is),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => AnyKind::IntValue(whole),
            (None, Some(part)) => AnyKind::DoubleValue(part),
            (None, None) => return text(&number.to_string()),
        },
        Value::String(word) => return text(word),
        Value::Array(items) => AnyKind::ArrayValue(ArrayValue {
            values: items.iter().map(any).collect(),
        }),
        other => return text(&other.to_string()),
    };
    AnyValue { value: Some(kind) }
}

pub(super) fn attribute(name: &str, value: AnyValue) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(value),
        ..KeyValue::default()
    }
}

fn attributes(labels: LabelSet) -> Vec<KeyValue> {
    let labels = labels.into_iter();
    labels
        .map(|(name, value)| attribute(name, text(&value)))
        .collect()
}

/// The unit of a metric (UCUM), by the end of its name.
fn unit(name: &str) -> &'static str {
    let units = [
        ("_seconds", "s"),
        ("_bytes", "By"),
        ("_ratio", "1"),
        ("_usd", "{USD}"),
        ("token.usage", "{token}"),
        ("operation.duration", "s"),
        ("_chunk", "s"),
    ];
    let mut units = units.into_iter();
    let known = units.find(|(end, _)| name.ends_with(end));
    known.map_or("", |(_, unit)| unit)
}

impl Messages {
    pub(crate) fn new(prefix: &'static str, at: Timestamp) -> Self {
        Self {
            prefix,
            at: nanos(at),
            metrics: Vec::new(),
        }
    }

    /// The names of the metrics that follow are whole.
    pub(crate) fn without_prefix(&mut self) {
        self.prefix = "";
    }

    pub(super) fn into_metrics(self) -> Vec<Metric> {
        self.metrics
    }

    fn add(&mut self, name: &str, help: &str, data: Data) {
        self.metrics.push(Metric {
            name: format!("{}{name}", self.prefix),
            description: help.to_owned(),
            unit: unit(name).to_owned(),
            data: Some(data),
            ..Metric::default()
        });
    }

    fn points(&self, rows: impl IntoIterator<Item = (LabelSet, Number)>) -> Vec<NumberDataPoint> {
        let points = rows.into_iter().map(|(labels, value)| NumberDataPoint {
            attributes: attributes(labels),
            time_unix_nano: self.at,
            value: Some(value),
            ..NumberDataPoint::default()
        });
        points.collect()
    }

    pub(crate) fn counter(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (LabelSet, Count)>,
    ) {
        let rows = rows.map(|(labels, count)| {
            let number = match count {
                Count::Whole(count) => Number::AsInt(count.try_into().unwrap_or(i64::MAX)),
                Count::Part(part) => Number::AsDouble(part),
            };
            (labels, number)
        });
        let data_points = self.points(rows);
        if !data_points.is_empty() {
            let sum = Sum {
                data_points,
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
                is_monotonic: true,
            };
            self.add(name, help, Data::Sum(sum));
        }
    }

    pub(crate) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (LabelSet, f64)>,
    ) {
        let rows = rows.into_iter();
        let data_points =
            self.points(rows.map(|(labels, value)| (labels, Number::AsDouble(value))));
        if !data_points.is_empty() {
            self.add(name, help, Data::Gauge(Gauge { data_points }));
        }
    }

    pub(crate) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (LabelSet, Histogram)>,
    ) {
        let rows = rows.into_iter().filter(|(_, values)| values.count > 0);
        let points = rows.map(|(labels, values)| {
            let (bounds, counts): (Vec<f64>, Vec<u64>) = values.buckets.into_iter().unzip();
            HistogramDataPoint {
                attributes: attributes(labels),
                time_unix_nano: self.at,
                count: values.count,
                sum: Some(values.sum),
                bucket_counts: counts,
                explicit_bounds: bounds
                    .into_iter()
                    .filter(|bound| bound.is_finite())
                    .collect(),
                ..HistogramDataPoint::default()
            }
        });
        let data_points: Vec<HistogramDataPoint> = points.collect();
        if !data_points.is_empty() {
            let data = HistogramData {
                data_points,
                aggregation_temporality: AggregationTemporality::Cumulative.into(),
            };
            self.add(name, help, Data::Histogram(data));
        }
    }
}
