//! `journal`: whether it is sound, and its last event.

use journeyman_event::Principal;
use journeyman_journal::{Head, Journal};
use serde_json::json;

use crate::exit::Exit;
use crate::output::{grouped, json, line};
use crate::parts::read_journal;
use crate::settings::Settings;

fn existing(settings: &Settings) -> anyhow::Result<Journal> {
    read_journal(settings)?.ok_or_else(|| {
        anyhow::anyhow!(
            "there is no journal in {}; --data-dir names another folder",
            settings.data_dir.display()
        )
    })
}

pub(crate) async fn head(settings: &Settings) -> anyhow::Result<Exit> {
    let head = existing(settings)?.head(&Principal::system()).await?;
    if settings.json {
        json(&json!({"sequence": head.sequence, "hash": head.hash}))?;
    } else {
        line(&head.to_string())?;
    }
    Ok(Exit::Success)
}

pub(crate) async fn verify(settings: &Settings, known: Option<Head>) -> anyhow::Result<Exit> {
    let journal = existing(settings)?;
    let report = journal.verify(&Principal::system(), known).await?;
    if settings.json {
        json(&json!({
            "events": report.events,
            "head": report.head.hash,
            "sequence": report.head.sequence,
            "ok": report.ok(),
            "first_bad": report.first_bad.as_ref().map(|bad| json!({
                "sequence": bad.sequence,
                "what": bad.what.to_string(),
            })),
            "unknown_causes": report.unknown_causes,
        }))?;
    } else if let Some(bad) = &report.first_bad {
        line(&format!(
            "NOT sound: sequence {}: {}",
            bad.sequence, bad.what
        ))?;
    } else {
        line(&format!(
            "sound: {} events, head {}",
            grouped(report.events),
            report.head
        ))?;
        if report.unknown_causes > 0 {
            line(&format!(
                "{} events cite a cause that is not here",
                report.unknown_causes
            ))?;
        }
    }
    Ok(if report.ok() {
        Exit::Success
    } else {
        Exit::Error
    })
}
