//! `config show`: prints all settings and where each was found.

use crate::exit::Exit;
use crate::output::{json, line};
use crate::settings::Settings;

pub(crate) fn show(settings: &Settings, origin: bool) -> anyhow::Result<Exit> {
    for found in &settings.found {
        if settings.json {
            json(found)?;
        } else if origin {
            let source = format!("{} {}", found.origin.as_str(), found.source);
            line(&format!(
                "{:<16} {:<40} {}",
                found.key,
                found.value,
                source.trim_end()
            ))?;
        } else {
            line(&format!("{:<16} {}", found.key, found.value))?;
        }
    }
    Ok(Exit::Success)
}
