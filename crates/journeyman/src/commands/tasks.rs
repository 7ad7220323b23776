//! `tasks`: lists tasks, one per line, newest first.

use journeyman_api::limits::PAGE_MAX;
use journeyman_api::{Call, ListQuery, TaskSummary};
use journeyman_event::state::Status;
use journeyman_event::{Principal, Sequence};
use journeyman_server::summary;
use journeyman_tasks::list;

use crate::event_text::name;
use crate::exit::Exit;
use crate::output::{json, line};
use crate::reader::{Reader, without_worker};
use crate::settings::Settings;
use crate::text_format::{group_digits, one_line};

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
            let mut query = ListQuery::default();
            while tasks.len() < limit {
                query.limit = Some(PAGE_MAX.min(limit - tasks.len()));
                let page = client.call(Call::tasks(&query)).await?;
                tasks.extend(page.tasks);
                let Some(next) = page.next else {
                    break;
                };
                query.before = Some(Sequence(next).into());
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
                let status = if is_held {
                    recorded
                } else {
                    without_worker(recorded)
                };
                shown.push(summary(listed, status));
            }
            shown
        }
    };
    for task in &tasks {
        if settings.json {
            json(&serde_json::to_value(task)?)?;
        } else {
            line(&row(task))?;
        }
    }
    Ok(Exit::Success)
}

fn row(task: &TaskSummary) -> String {
    let verification = task.verification.as_ref();
    let verification = verification.map_or_else(String::new, |by| format!(" ({})", name(by)));
    format!(
        "{}  {:<9}{verification}  {}/{} modules  {:>7} tokens  {}",
        task.task_id,
        Status::from(task.status).as_str(),
        task.modules_complete,
        task.modules,
        group_digits(task.tokens),
        one_line(&task.prompt, 60),
    )
}
