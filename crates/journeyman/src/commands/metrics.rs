//! `metrics`: shows the metrics of the process that holds the data folder, or those of the journal if none does: live on a
//! terminal, else as text or JSON.

mod live;
mod page;

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use journeyman_api::{Call, MetricsQuery};
use serde_json::Value;

use crate::client::Client;
use crate::exit::Exit;
use crate::output::{exact, json, line};
use crate::settings::Settings;
use crate::text_format::{count_text, duration_text, group_digits, one_line};
use crate::text_style::is_dumb;
use crate::wiring::{read_journal, telemetry};

/// The interval of `--watch`.
const WATCH: Duration = Duration::from_secs(2);
/// The most rows of one table that are printed.
const ROWS_MAX: usize = 10;
/// The control sequence that clears a terminal.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// How metrics are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// As a live page on a terminal, else once.
    Auto,
    /// As text, once.
    Once,
    /// Again and again, as text.
    Watch,
}

pub(crate) async fn metrics(settings: &Settings, show: Show) -> anyhow::Result<Exit> {
    let is_person = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if show == Show::Auto
        && is_person
        && !is_dumb()
        && !settings.json
        && let Some((client, metrics)) = served(settings).await?
    {
        return live::live(settings, client.who(settings), metrics).await;
    }
    let watches = show == Show::Watch;
    loop {
        let metrics = current(settings).await?;
        if settings.json {
            json(&metrics)?;
        } else {
            let text = text(&metrics);
            if watches && std::io::stdout().is_terminal() {
                // Written past `line`, which would make the sequence visible.
                crate::output::write(std::io::stdout().lock(), CLEAR)?;
            }
            text.lines().try_for_each(line)?;
        }
        if !watches {
            return Ok(Exit::Success);
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH) => {}
            () = crate::output::stdout_closed() => return Ok(Exit::Success),
        }
        if !settings.json {
            exact("\n")?;
        }
    }
}

/// The server with its metrics, if there is one.
async fn served(settings: &Settings) -> anyhow::Result<Option<(Client, Value)>> {
    let Some(client) = Client::find(settings).await? else {
        return Ok(None);
    };
    let call = Call::all_metrics(&MetricsQuery::default());
    let metrics = client.call(call).await?;
    Ok(Some((client, metrics)))
}

/// All metrics, as from `GET /api/v1/metrics`.
async fn current(settings: &Settings) -> anyhow::Result<Value> {
    if let Some((_, metrics)) = served(settings).await? {
        return Ok(metrics);
    }
    // Only who works on the data folder exports.
    let settings = Settings {
        otlp: None,
        ..settings.clone()
    };
    let telemetry = telemetry(&settings)?;
    if let Some(journal) = read_journal(&settings)? {
        telemetry.attach(journal)?;
    }
    telemetry.catch_up().await?;
    let metrics = telemetry.report()?.to_json();
    telemetry.close().await;
    Ok(metrics)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// A time of a summary, in words.
fn time(summary: &Value, which: &str) -> String {
    match summary[which].as_f64() {
        Some(seconds) if seconds >= 0.0 => duration_text(Duration::from_secs_f64(seconds.min(1e9))),
        _ => "-".to_owned(),
    }
}

fn word<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten().take(ROWS_MAX)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten().take(ROWS_MAX)
}

/// The metrics for people. Tables without rows are left out.
fn text(metrics: &Value) -> String {
    let mut page = String::new();
    let mut row = |name: &str, text: String| {
        let _ = writeln!(page, "{name:<10} {}", one_line(&text, 200)); // writing to a String cannot fail
    };
    let following = match metrics["problem"].as_str() {
        Some(problem) => format!("{} ({problem})", word(metrics, "following")),
        None => word(metrics, "following").to_owned(),
    };
    row(
        "metrics",
        format!("of {}, {following}", word(metrics, "at")),
    );
    let work = &metrics["work"]["happened"];
    let happened = |kind: &str| group_digits(number(&work[kind]));
    row(
        "tasks",
        format!(
            "{} submitted, {} complete, {} failed, {} cancelled; {} waiting, {} running",
            happened("task.submitted"),
            happened("task.completed"),
            happened("task.failed"),
            happened("task.cancelled"),
            number(&metrics["engine"]["tasks_waiting"]),
            number(&metrics["engine"]["tasks_running"]),
        ),
    );
    let total = &metrics["costs"]["total"];
    row(
        "tokens",
        format!(
            "{} of prompts ({} cached), {} of answers, {}",
            group_digits(number(&total["prompt_tokens"])),
            group_digits(number(&total["cached_tokens"])),
            group_digits(number(&total["completion_tokens"])),
            count_text(number(&total["calls"]), "call"),
        ),
    );
    let unpriced = match number(&total["unpriced_calls"]) {
        0 => String::new(),
        calls => format!(", and {} without a known price", count_text(calls, "call")),
    };
    row("cost", format!("{} USD{unpriced}", word(total, "usd")));
    for (model, sums) in members(&metrics["costs"]["by_model"]) {
        let calls = count_text(number(&sums["calls"]), "call");
        row("", format!("{model}: {} USD, {calls}", word(sums, "usd")));
    }
    if let Some(projection) = metrics["costs"]["projection"].as_object() {
        let usd = |key: &str| projection[key].as_f64().unwrap_or_default();
        let (low, high) = (usd("low_usd"), usd("high_usd"));
        row(
            "",
            format!(
                "this month about {:.2} USD ({low:.2} to {high:.2})",
                usd("usd")
            ),
        );
    }
    for budget in list(&metrics["budgets"]) {
        row(
            "budget",
            format!(
                "{} of {}: {} of {} USD spent, {} reserved ({}, {})",
                word(budget, "budget"),
                word(budget, "scope"),
                word(budget, "spent_usd"),
                word(budget, "limit_usd"),
                word(budget, "reserved_usd"),
                word(budget, "mode"),
                word(budget, "period"),
            ),
        );
    }
    for streams in list(&metrics["streaming"]["models"]) {
        let rate = streams["decode_tokens_per_second"]["p50"].as_f64();
        let first = &streams["time_to_first_token"];
        row(
            "streams",
            format!(
                "{}: {}, first token {} (p99 {}), {} tokens/s",
                word(streams, "model"),
                number(&streams["completed"]),
                time(first, "p50"),
                time(first, "p99"),
                rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}")),
            ),
        );
    }
    for endpoint in list(&metrics["requests"]["endpoints"]) {
        row(
            "requests",
            format!(
                "{}: {} answered, {} failed, {} (p99 {})",
                word(endpoint, "endpoint"),
                number(&endpoint["completed"]),
                number(&endpoint["failed"]),
                time(&endpoint["time"], "p50"),
                time(&endpoint["time"], "p99"),
            ),
        );
    }
    row("errors", group_digits(number(&metrics["errors"]["total"])));
    for group in list(&metrics["errors"]["groups"]) {
        let times = group_digits(number(&group["count"]));
        row(
            "",
            format!(
                "{times} x {}: {}",
                word(group, "error"),
                word(group, "message")
            ),
        );
    }
    for objective in list(&metrics["objectives"]) {
        for alert in list(&objective["alerts"]) {
            let (endpoint, window) = (word(objective, "endpoint"), word(alert, "window"));
            row(
                "alert",
                format!(
                    "{}: {endpoint} fails too often ({window})",
                    word(alert, "severity")
                ),
            );
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metrics_are_printed_for_people() {
        let metrics = json!({
            "at": "2026-11-29T12:00:00Z", "following": "current", "problem": null,
            "work": {"happened": {"task.submitted": 1_234, "task.completed": 1_200, "task.failed": 30}},
            "engine": {"tasks_waiting": 3, "tasks_running": 1},
            "costs": {
                "total": {"calls": 2, "prompt_tokens": 12_000, "cached_tokens": 0, "completion_tokens": 80,
                    "usd": "0.0375", "unpriced_calls": 1},
                "by_model": {"m": {"usd": "0.0375", "calls": 2}},
                "projection": {"usd": 42.0, "low_usd": 33.3, "high_usd": 50.7},
            },
            "budgets": [{"budget": "team", "scope": "ada", "spent_usd": "1", "limit_usd": "10", "reserved_usd": "0",
                "mode": "hard", "period": "monthly"}],
            "streaming": {"models": [{"model": "m", "completed": 2, "time_to_first_token": {"p50": 0.12, "p99": 1.5},
                "decode_tokens_per_second": {"p50": 31.25}}]},
            "requests": {"endpoints": [{"endpoint": "workflow/code", "completed": 2, "failed": 1,
                "time": {"p50": 4.2, "p99": null}}]},
            "errors": {"total": 1, "groups": [{"count": 1, "error": "model_call_failed", "message": "no <host>"}]},
            "objectives": [{"endpoint": "workflow/code", "alerts": [{"severity": "page", "window": "1h"}]}],
        });
        insta::assert_snapshot!(text(&metrics), @r"
        metrics    of 2026-11-29T12:00:00Z, current
        tasks      1,234 submitted, 1,200 complete, 30 failed, 0 cancelled; 3 waiting, 1 running
        tokens     12,000 of prompts (0 cached), 80 of answers, 2 calls
        cost       0.0375 USD, and 1 call without a known price
                   m: 0.0375 USD, 2 calls
                   this month about 42.00 USD (33.30 to 50.70)
        budget     team of ada: 1 of 10 USD spent, 0 reserved (hard, monthly)
        streams    m: 2, first token 0.1 s (p99 1.5 s), 31.2 tokens/s
        requests   workflow/code: 2 answered, 1 failed, 4.2 s (p99 -)
        errors     1
                   1 x model_call_failed: no <host>
        alert      page: workflow/code fails too often (1h)
        ");
    }
}
