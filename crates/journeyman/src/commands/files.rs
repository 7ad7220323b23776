//! `files`: lists and prints the files a task has written, in all versions.

use anyhow::Context;
use journeyman_event::ContentHash;
use journeyman_workflow::{TaskFile, task_files};
use serde_json::json;

use super::show::existing;
use crate::cli::FilesArgs;
use crate::exit::Exit;
use crate::output::{exact, json, line};
use crate::settings::Settings;

pub(crate) async fn files(settings: &Settings, args: FilesArgs) -> anyhow::Result<Exit> {
    let (state, _) = existing(settings, &args.task, args.at).await?;
    let mut files = task_files(&state);
    if let Some(version) = args.version {
        files.retain(|file| file.version == Some(version));
    }
    if let Some(path) = &args.path {
        let file = files
            .iter()
            .rfind(|file| &file.path == path)
            .with_context(|| {
                format!(
                    "task {0} has no file {path}{1}; `journeyman files {0}` lists them",
                    args.task,
                    args.version
                        .map_or_else(String::new, |version| format!(" in version {version}")),
                )
            })?;
        if settings.json {
            json(&as_json(file, true))?;
        } else {
            exact(&file.text)?;
        }
        return Ok(Exit::Success);
    }
    for file in &files {
        if settings.json {
            json(&as_json(file, false))?;
        } else {
            let version = file
                .version
                .map_or_else(String::new, |version| format!("v{version}"));
            line(&format!(
                "{:>4}  {:>7} bytes  {}",
                version,
                file.text.len(),
                file.path
            ))?;
        }
    }
    Ok(Exit::Success)
}

fn as_json(file: &TaskFile, whole: bool) -> serde_json::Value {
    let mut value = json!({
        "path": file.path,
        "version": file.version,
        "bytes": file.text.len(),
        "hash": ContentHash::of(file.text.as_bytes()),
    });
    if whole {
        value["text"] = json!(file.text);
    }
    value
}
