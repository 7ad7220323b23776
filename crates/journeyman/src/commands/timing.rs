//! `show --timing`: prints where a task's time went, and what it cost.

use std::time::Duration;

use anyhow::Context;
use journeyman_api::Call;
use journeyman_event::{Event, Principal, Sequence, TaskId};
use journeyman_journal::Filter;
use journeyman_metrics::Timeline;
use journeyman_workflow::PAGE;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output::{json as print_json, line};
use crate::reader::Reader;
use crate::settings::Settings;
use crate::text_format::{count_text, duration_text, group_digits};

pub(crate) async fn timing(settings: &Settings, task: &TaskId) -> anyhow::Result<Exit> {
    let reader = Reader::open(settings).await?;
    let none = || format!("there is no task {task}; `journeyman tasks` lists them");
    let mut timing = match &reader {
        Reader::Server(client) => client.call(Call::timing(task)).await?,
        Reader::Journal(journal) => {
            let (mut timeline, mut position) = (Timeline::new(journal.store_id()), Sequence::ZERO);
            let filter = Filter::of_task(task);
            loop {
                let page = journal
                    .read(&Principal::local(), &filter, position, PAGE)
                    .await?;
                page.events.iter().for_each(|event| timeline.take(event));
                position = page.events.last().map_or(position, Event::sequence);
                if page.ended {
                    break;
                }
            }
            (position > Sequence::ZERO)
                .then_some(())
                .with_context(none)?;
            serde_json::to_value(timeline.finish())?
        }
        Reader::Nothing => anyhow::bail!(none()),
    };
    if settings.json {
        timing["task_id"] = json!(task);
        print_json(&timing)?;
        return Ok(Exit::Success);
    }
    line(&format!("task       {task}"))?;
    if let Some(trace) = timing["trace_id"].as_str() {
        let parent = timing["traceparent"].as_str();
        let parent = parent.map_or_else(String::new, |parent| format!(", continues {parent}"));
        line(&format!("trace      {trace}{parent}"))?;
    }
    if let Some(waited) = timing["waited_seconds"].as_f64() {
        line(&format!("waited     {}", time(waited)))?;
    }
    let rested = timing["rested_seconds"].as_f64().unwrap_or_default();
    if rested > 0.0 {
        line(&format!("paused     {}", time(rested)))?;
    }
    for (purpose, spent) in timing["model_calls"].as_object().into_iter().flatten() {
        line(&format!(
            "model      {}, {purpose}",
            spent_on(spent, "call")
        ))?;
    }
    let first = timing["first_token_seconds"].as_f64().unwrap_or_default();
    if first > 0.0 {
        line(&format!(
            "           {} of it until the first token",
            time(first)
        ))?;
    }
    for (name, key, what) in [
        ("tests", "test_runs", "run"),
        ("tools", "tools", "call"),
        ("other", "other", "step"),
    ] {
        let spent = &timing[key];
        if spent["count"].as_u64().unwrap_or_default() > 0 {
            line(&format!("{name:<10} {}", spent_on(spent, what)))?;
        }
    }
    let tokens = |key: &str| group_digits(timing[key].as_u64().unwrap_or_default());
    line(&format!(
        "tokens     {} of prompts ({} cached), {} of answers",
        tokens("prompt_tokens"),
        tokens("cached_tokens"),
        tokens("completion_tokens"),
    ))?;
    let unpriced = match timing["unpriced_calls"].as_u64().unwrap_or_default() {
        0 => String::new(),
        calls => format!(", and {} without a known price", count_text(calls, "call")),
    };
    let usd = timing["usd"].as_str().unwrap_or("0");
    line(&format!("cost       {usd} USD{unpriced}"))?;
    for span in timing["spans"].as_array().into_iter().flatten() {
        line(&row(span))?;
    }
    Ok(Exit::Success)
}

fn time(seconds: f64) -> String {
    duration_text(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))
}

fn spent_on(spent: &Value, what: &str) -> String {
    let seconds = spent["seconds"].as_f64().unwrap_or_default();
    let count = spent["count"].as_u64().unwrap_or_default();
    format!("{} in {}", time(seconds), count_text(count, what))
}

/// A line for one part of the work.
fn row(span: &Value) -> String {
    let word = |key: &str| span[key].as_str();
    let moment = |key: &str| word(key).and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let took = match (moment("start"), moment("end")) {
        (Some(start), Some(end)) => time(end.duration_since(start).as_secs_f64()),
        _ => "in progress".to_owned(),
    };
    let module = word("module").map_or_else(String::new, |module| format!(" {module}"));
    let outcome = word("outcome").map_or_else(String::new, |outcome| format!(", {outcome}"));
    let (start, name) = (
        word("start").unwrap_or_default(),
        word("name").unwrap_or_default(),
    );
    format!("span       {start}  {took:>9}  {name}{module}{outcome}")
}
