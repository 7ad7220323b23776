//! `journal verify`: walks the whole journal and says whether it is sound.

use journeyman_event::Principal;
use serde_json::json;

use crate::exit::Exit;
use crate::output::{grouped, json, line};
use crate::parts::read_journal;
use crate::settings::Settings;

pub(crate) async fn verify(settings: &Settings) -> anyhow::Result<Exit> {
    let Some(journal) = read_journal(settings)? else {
        anyhow::bail!(
            "there is no journal in {}; --data-dir names another folder",
            settings.data_dir.display()
        );
    };
    let report = journal.verify(&Principal::system()).await?;
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
            "sound: {} events, head {} {}",
            grouped(report.events),
            report.head.sequence,
            report.head.hash
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
