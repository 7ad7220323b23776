//! `hooks`: lists the hooks and their status, and retries deliveries.

use journeyman_api::{Call, HookView};
use journeyman_event::TimeSource;
use journeyman_hooks::{Error, Outbox};

use crate::cli::HooksCommand;
use crate::client::Client;
use crate::environment::SystemTime;
use crate::exit::Exit;
use crate::output::{json, line};
use crate::settings::Settings;
use crate::text_format::{count_text, group_digits, one_line};
use crate::wiring::open_journal;

/// The largest number of characters shown of an error.
const ERROR_MAX: usize = 300;

pub(crate) async fn hooks(
    settings: &Settings,
    command: Option<HooksCommand>,
) -> anyhow::Result<Exit> {
    match command {
        None => list(settings).await,
        Some(HooksCommand::Retry { hook }) => retry(settings, &hook).await,
    }
}

async fn list(settings: &Settings) -> anyhow::Result<Exit> {
    let views = match Client::find(settings).await? {
        Some(client) => client.call(Call::hooks()).await?.hooks,
        None => match Outbox::open_existing(&settings.data_dir)? {
            Some(mut outbox) => outbox.views(now())?,
            None => Vec::new(),
        },
    };
    if settings.json {
        for view in &views {
            let mut value = serde_json::to_value(view)?;
            value["type"] = "hook".into();
            json(&value)?;
        }
        return Ok(Exit::Success);
    }
    if views.is_empty() {
        line("no hooks; --on-end and [webhooks.NAME] in the configuration file define some")?;
    }
    let width = views.iter().map(|view| view.hook.len()).max();
    for view in &views {
        for row in rows(view, width.unwrap_or_default()) {
            line(&row)?;
        }
    }
    Ok(Exit::Success)
}

fn rows(view: &HookView, width: usize) -> Vec<String> {
    let mut rows = vec![format!(
        "{:<width$}  {:<8}  {} delivered, {} pending, {} dead  {}",
        view.hook,
        view.state,
        group_digits(view.delivered),
        group_digits(view.pending),
        group_digits(view.dead),
        view.target,
    )];
    if let Some(error) = &view.last_error {
        rows.push(format!("    {}", one_line(error, ERROR_MAX)));
    }
    if let Some(at) = view
        .next_attempt_at
        .as_ref()
        .filter(|_| view.consecutive_failures > 0)
    {
        let failures = count_text(view.consecutive_failures, "failed attempt");
        rows.push(format!("    {failures} in a row; next attempt at {at}"));
    }
    rows
}

async fn retry(settings: &Settings, hook: &str) -> anyhow::Result<Exit> {
    if let Some(client) = Client::find(settings).await? {
        let view = client.call(Call::retry_hook(hook)).await?;
        if settings.json {
            json(&view)?;
        } else {
            line(&format!(
                "{hook}: {}, retried now",
                count_text(view.pending, "delivery")
            ))?;
        }
        return Ok(Exit::Success);
    }
    let outbox = Outbox::open_existing(&settings.data_dir)?;
    let mut outbox = outbox.ok_or_else(|| Error::NoSuchHook {
        hook: hook.to_owned(),
    })?;
    // While the journal is held, no other process makes deliveries.
    let held = open_journal(&settings.data_dir)?;
    let count = outbox.retry_hook(hook, now())?;
    drop(held);
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    if settings.json {
        json(&serde_json::json!({"hook": hook, "pending": count}))?;
    } else {
        line(&format!(
            "{hook}: {}, retried by the next `serve` or `run`",
            count_text(count, "delivery")
        ))?;
    }
    Ok(Exit::Success)
}

fn now() -> i64 {
    SystemTime.now().as_millisecond()
}
