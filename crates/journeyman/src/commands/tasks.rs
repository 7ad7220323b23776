//! `tasks`: a line per task, newest first.

use journeyman_agent::Listing;
use journeyman_event::Principal;
use serde_json::json;

use super::{shown_status, worked_on};
use crate::exit::Exit;
use crate::output::{grouped, json, line, one_line};
use crate::parts::read_journal;
use crate::progress::name;
use crate::settings::Settings;

pub(crate) async fn tasks(settings: &Settings, limit: usize) -> anyhow::Result<Exit> {
    let Some(journal) = read_journal(settings)? else {
        if !settings.json {
            line("no tasks yet; `journeyman run \"...\"` makes the first")?;
        }
        return Ok(Exit::Success);
    };
    let worked_on = worked_on(&journal).await?;
    for stream in journal.streams(&Principal::local(), limit).await? {
        let listing = stream
            .summary
            .as_deref()
            .and_then(Listing::from_bytes)
            .unwrap_or_default();
        let (status, pause) = shown_status(
            listing.status,
            listing.pause,
            worked_on.as_ref() == Some(&stream.task_id),
        );
        if settings.json {
            json(&json!({
                "task_id": stream.task_id,
                "status": status,
                "pause": pause,
                "verification": listing.verification,
                "prompt": listing.prompt,
                "modules": listing.modules,
                "modules_complete": listing.modules_complete,
                "tokens": listing.tokens,
                "active_seconds": listing.active_seconds,
                "submitted_at": listing.submitted_at,
                "sequence": stream.sequence,
                "revision": stream.revision,
            }))?;
            continue;
        }
        let verification = listing
            .verification
            .map_or_else(String::new, |v| format!(" ({})", name(&v)));
        line(&format!(
            "{}  {:<9}{verification}  {}/{} modules  {:>7} tokens  {}",
            stream.task_id,
            status.as_str(),
            listing.modules_complete,
            listing.modules,
            grouped(listing.tokens),
            one_line(&listing.prompt, 60),
        ))?;
    }
    Ok(Exit::Success)
}
