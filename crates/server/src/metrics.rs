//! The metrics: the text for Prometheus, all metrics as JSON or CSV, and the timing of a task.

use std::fmt;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use journeyman_api::{ExpositionQuery, ExtraNames, MetricsFormat, MetricsQuery, TaskPath};
use journeyman_event::{Event, Sequence};
use journeyman_journal::Filter;
use journeyman_metrics::{Format, LabelSet, Names, Source, Timeline, Writer, csv};
use journeyman_tasks::Tasks;
use journeyman_workflow::PAGE;
use serde_json::Value;

use crate::app::App;
use crate::auth::Caller;
use crate::problem::{Rejection, defect};
use crate::query::{Task, ValidQuery};

/// The metrics of the queue. Each of them is defined here.
#[derive(Debug)]
pub(crate) struct QueueMetrics(pub(crate) Tasks);

#[allow(clippy::cast_precision_loss)] // gauges are floats
impl Source for QueueMetrics {
    fn write(&self, writer: &mut Writer<'_, '_>) -> fmt::Result {
        let statistics = self.0.statistics();
        let plain = |value: usize| [(LabelSet::new(), value as f64)];
        writer.gauges(
            "tasks_running",
            "Tasks that are running",
            plain(statistics.running),
        )?;
        writer.gauges(
            "queue_places_taken",
            "Occupied places of the queue",
            plain(statistics.occupied),
        )?;
        writer.gauges(
            "queue_submitters_waiting",
            "Submitters waiting for a place in the queue",
            plain(statistics.submitters),
        )?;
        let depth = statistics.depth.iter();
        let rows = depth
            .map(|(priority, tasks)| (vec![("priority", priority.to_string())], *tasks as f64));
        writer.gauges("queue_depth", "Waiting tasks by priority", rows)?;
        let oldest = statistics.oldest_waiting.unwrap_or_default().as_secs_f64();
        let help = "How long the oldest waiting task has been ready to start";
        writer.gauges(
            "queue_oldest_waiting_seconds",
            help,
            [(LabelSet::new(), oldest)],
        )?;
        for (name, help, times) in [
            (
                "task_waiting",
                "How long tasks waited before they were started",
                statistics.waiting_time,
            ),
            (
                "task_service",
                "How long runs of tasks took",
                statistics.service_time,
            ),
        ] {
            let Some(times) = times else {
                continue;
            };
            for (quantile, value) in [("p50", times.p50), ("p99", times.p99)] {
                let (name, help) = (
                    format!("{name}_{quantile}_seconds"),
                    format!("{help} ({quantile})"),
                );
                writer.gauges(&name, &help, [(LabelSet::new(), value.as_secs_f64())])?;
            }
        }
        let counts = statistics.counts;
        for (name, help, count) in [
            ("submitted", "Tasks submitted", counts.submitted),
            (
                "recovered",
                "Tasks recovered after a restart",
                counts.recovered,
            ),
            ("started", "Runs of tasks started", counts.started),
            ("finished", "Tasks that left the queue", counts.finished),
            ("refused", "Tasks refused", counts.refused),
            (
                "preempted",
                "Tasks stopped for a more urgent one",
                counts.preempted,
            ),
            (
                "timed_out",
                "Tasks that reached their time limit",
                counts.timed_out,
            ),
            ("cancelled", "Tasks cancelled", counts.cancelled),
            ("panicked", "Tasks whose worker panicked", counts.panicked),
            (
                "abandoned",
                "Tasks dropped because they did not stop in time",
                counts.abandoned,
            ),
            (
                "put_back",
                "Tasks put back into the queue because they were lost",
                self.0.requeued(),
            ),
        ] {
            writer.counters(&format!("tasks_{name}"), help, [(LabelSet::new(), count)])?;
        }
        let rows = statistics.alarms.iter().map(|alarm| {
            let labels = vec![("watched", alarm.watched.as_str().to_owned())];
            (labels, f64::from(alarm.level as u8))
        });
        let help = "The level of each watched indicator: 0 is normal, 1 a warning, 2 critical";
        writer.gauges("alert_level", help, rows)?;
        let rows = statistics.alarms.iter().flat_map(|alarm| {
            let watched = alarm.watched.as_str();
            alarm.alerts().map(move |(level, alerts)| {
                let labels = vec![
                    ("watched", watched.to_owned()),
                    ("level", level.as_str().to_owned()),
                ];
                (labels, alerts)
            })
        });
        writer.counters("alerts", "Alerts of watched indicators, by level", rows)
    }
}

fn not_counted(error: journeyman_metrics::Error) -> Rejection {
    tracing::error!(%error, "metrics are not counted");
    defect().into()
}

/// Get all metrics in the text format of Prometheus, or of `OpenMetrics` if `Accept` asks for it.
#[utoipa::path(
    get, path = "/metrics", tag = "server", params(ExpositionQuery),
    responses((status = 200, content((String = "text/plain"), (String = "application/openmetrics-text")))),
)]
pub(crate) async fn text(
    State(app): State<App>,
    caller: Caller,
    ValidQuery(query): ValidQuery<ExpositionQuery>,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    caller.may_see_server()?;
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let names = match query.names {
        Some(ExtraNames::Vllm) => Names::Vllm,
        None => Names::Own,
    };
    let page = app.telemetry.exposition(format, names);
    let kind = HeaderValue::from_static(format.content_type());
    Ok(([(header::CONTENT_TYPE, kind)], page.map_err(not_counted)?).into_response())
}

/// Get all metrics, or one part of them, as JSON or CSV.
#[utoipa::path(
    get, path = "/metrics", tag = "server", params(MetricsQuery),
    responses((status = 200, content((Value = "application/json"), (String = "text/csv")))),
)]
pub(crate) async fn all(
    State(app): State<App>,
    caller: Caller,
    ValidQuery(query): ValidQuery<MetricsQuery>,
) -> Result<Response, Rejection> {
    caller.may_see_server()?;
    app.telemetry.catch_up().await.map_err(not_counted)?;
    let mut all = app.telemetry.report().map_err(not_counted)?.to_json();
    if let Some(part) = query.part {
        all = all[part.as_str()].take();
    }
    Ok(match query.format {
        Some(MetricsFormat::Csv) => {
            let kind = HeaderValue::from_static("text/csv; charset=utf-8");
            ([(header::CONTENT_TYPE, kind)], csv(&all)).into_response()
        }
        Some(MetricsFormat::Json) | None => Json(all).into_response(),
    })
}

/// Get the timing and cost of a task: how long it waited, its model calls, test runs and tool calls.
#[utoipa::path(
    get, path = "/tasks/{task_id}/timing", tag = "tasks", params(TaskPath),
    responses((status = 200, body = Value)),
)]
pub(crate) async fn timing(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
) -> Result<Json<Value>, Rejection> {
    // An error if there is no such task.
    let state = app.tasks.current(&caller.principal, &task).await?;
    let filter = Filter {
        until: Some(state.sequence),
        ..Filter::of_task(&task)
    };
    let mut timeline = Timeline::new(app.tasks.journal().store_id());
    let mut position = Sequence::ZERO;
    loop {
        let journal = app.tasks.journal();
        let page = journal
            .read(&caller.principal, &filter, position, PAGE)
            .await?;
        page.events.iter().for_each(|event| timeline.take(event));
        position = page.events.last().map_or(position, Event::sequence);
        if page.ended {
            break;
        }
    }
    Ok(Json(
        serde_json::to_value(timeline.finish()).unwrap_or_default(),
    ))
}
