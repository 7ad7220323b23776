//! `tasks`: a line per task, newest first.

use journeyman_event::{Principal, Sequence};
use journeyman_server::TaskSummary;
use journeyman_tasks::list;
use serde_json::Value;

use crate::event_text::name;
use crate::exit::Exit;
use crate::output::{json, line};
use crate::reader::{Reader, unattended};
use crate::settings::Settings;
use crate::words::{grouped, one_line};

/// Tasks that a server lists at a time.
const PAGE: usize = 1_000;

pub(crate) async fn tasks(settings: &Settings, limit: usize) -> anyhow::Result<Exit> {
    let tasks = match Reader::open(settings).await? {
        Reader::Nothing => {
            if !settings.json {
                line("no tasks yet; `journeyman run \"...\"` makes the first")?;
            }
            return Ok(Exit::Success);
        }
        Reader::Server(client) => {
            let mut tasks = Vec::new();
            let mut before = None;
            while tasks.len() < limit {
                let count = PAGE.min(limit - tasks.len());
                let from = before.map_or_else(String::new, |at: u64| format!("&before={at}"));
                let page = client
                    .get(&format!("/api/v1/tasks?limit={count}{from}"))
                    .await?;
                tasks.extend(page["tasks"].as_array().into_iter().flatten().cloned());
                before = page["next"].as_u64();
                if before.is_none() {
                    break;
                }
            }
            tasks
        }
        Reader::Journal(journal) => {
            let is_held = journal.holder().is_some();
            let newest = Sequence(u64::MAX);
            let (tasks, _) = list(&journal, &Principal::local(), newest, limit, None).await?;
            let mut shown = Vec::new();
            for listed in tasks {
                let recorded = (listed.listing.status, listed.listing.pause);
                let standing = if is_held {
                    recorded
                } else {
                    unattended(recorded)
                };
                shown.push(serde_json::to_value(TaskSummary::new(listed, standing))?);
            }
            shown
        }
    };
    for task in &tasks {
        if settings.json {
            json(task)?;
        } else {
            line(&row(task))?;
        }
    }
    Ok(Exit::Success)
}

fn row(task: &Value) -> String {
    let text = |key: &str| task[key].as_str().unwrap_or_default();
    let number = |key: &str| task[key].as_u64().unwrap_or_default();
    let verification = match text("verification") {
        "" => String::new(),
        by => format!(" ({})", name(&by)),
    };
    format!(
        "{}  {:<9}{verification}  {}/{} modules  {:>7} tokens  {}",
        text("task_id"),
        text("status"),
        number("modules_complete"),
        number("modules"),
        grouped(number("tokens")),
        one_line(text("prompt"), 60),
    )
}
