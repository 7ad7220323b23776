//! `model`: lists, downloads and removes models.

use journeyman_llm::{Error, Model, ModelState, Models, Source};
use serde_json::json;

use crate::exit::{Exit, UsageError};
use crate::output::{json, line};
use crate::progress::{Progress, Style};
use crate::settings::Settings;
use crate::signals::cancel_on_signals;
use crate::text_format::group_digits;
use crate::wiring::hub;

fn models(settings: &Settings) -> Models {
    Models::new(&settings.data_dir, hub(settings))
}

/// Parses the name of a model. An invalid name is a usage error.
fn source(name: &str) -> Result<Source, UsageError> {
    Source::parse(name).map_err(usage)
}

fn usage(error: Error) -> UsageError {
    UsageError(error.to_string())
}

pub(crate) fn list(settings: &Settings) -> anyhow::Result<Exit> {
    for model in models(settings).list()? {
        if settings.json {
            json(&model)?;
        } else {
            line(&text(&model))?;
        }
    }
    Ok(Exit::Success)
}

fn text(model: &Model) -> String {
    let state = match model.state {
        ModelState::Complete => "complete",
        ModelState::Partial => "partial",
        ModelState::Absent => "absent",
    };
    let bytes = match model.state {
        ModelState::Partial => format!(
            "{} of {}",
            group_digits(model.bytes_here),
            group_digits(model.bytes)
        ),
        _ => group_digits(model.bytes),
    };
    let sha256 = model.sha256.as_deref().unwrap_or("not known");
    let license = model.license.map_or_else(String::new, |l| format!(", {l}"));
    format!(
        "{}\n  {state}, {bytes} bytes{license}\n  SHA-256 {sha256}\n  {}",
        model.name,
        model.path.display()
    )
}

pub(crate) async fn pull(settings: &Settings, name: &str) -> anyhow::Result<Exit> {
    let source = source(name)?;
    if let Source::File(path) = &source {
        let text = format!(
            "{} is a file of your own: it need not be fetched, --model takes it as it is",
            path.display()
        );
        return Err(UsageError(text).into());
    }
    let progress = Progress::start(Style::of(settings), settings);
    let cancel = cancel_on_signals()?;
    let models = models(settings);
    let report = |step: journeyman_fetch::Progress| progress.fetch(&step);
    let pulling = models.pull(&source, &report);
    let pulled = cancel.run_until_cancelled(pulling).await;
    progress.finish().await;
    let Some(pulled) = pulled else {
        progress.say("interrupted; run the same command again to continue");
        return Ok(Exit::Interrupted);
    };
    let model = pulled?;
    if settings.json {
        json(&model)?;
    } else {
        line(&text(&model))?;
    }
    Ok(Exit::Success)
}

pub(crate) fn remove(settings: &Settings, name: &str) -> anyhow::Result<Exit> {
    let source = source(name)?;
    let models = models(settings);
    let removed = match (models.remove(&source), &source) {
        (Err(error), Source::File(_)) => return Err(usage(error).into()),
        (removed, _) => removed?,
    };
    if settings.json {
        json(&json!({"name": removed.name, "bytes": removed.bytes_here, "removed": true}))?;
    } else if !settings.quiet {
        let bytes = group_digits(removed.bytes_here);
        line(&format!("{} removed, {bytes} bytes", removed.name))?;
    }
    Ok(Exit::Success)
}
