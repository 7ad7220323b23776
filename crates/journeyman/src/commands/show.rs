//! `show`: one task, whole.

use anyhow::Context;
use journeyman_agent::{Moment, headline, module_path};
use journeyman_event::payload::PauseReason;
use journeyman_event::state::Status;
use journeyman_event::{TaskId, TaskState, printable};
use serde_json::json;

use crate::exit::Exit;
use crate::output::{grouped, json, line, one_line};
use crate::progress::name;
use crate::reader::Reader;
use crate::settings::Settings;

/// The state of one of the user's tasks, and where it stands.
pub(super) async fn existing(
    settings: &Settings,
    task: &TaskId,
    at: Option<Moment>,
) -> anyhow::Result<(TaskState, (Status, Option<PauseReason>))> {
    let reader = Reader::open(settings).await?;
    let state = reader.state_at(task, at).await?;
    let state = state.with_context(|| match at {
        None => format!("there is no task {task}; `journeyman tasks` lists them"),
        Some(_) => format!(
            "there was no task {task} then; `journeyman events --task {task}` tells its life"
        ),
    })?;
    let recorded = (state.status, state.pause);
    let standing = match at {
        None => reader.standing(task, recorded).await?,
        Some(_) => recorded,
    };
    Ok((state, standing))
}

pub(crate) async fn show(
    settings: &Settings,
    task: &TaskId,
    at: Option<Moment>,
) -> anyhow::Result<Exit> {
    let (state, (status, pause)) = existing(settings, task, at).await?;
    if settings.json {
        let mut value = serde_json::to_value(&state)?;
        value["task_id"] = json!(task);
        value["status"] = json!(status);
        value["pause"] = json!(pause);
        value["budget"] = json!(state.budget());
        json(&value)?;
        return Ok(Exit::Success);
    }
    let reason = pause.map_or_else(String::new, |pause| format!(" ({})", name(&pause)));
    line(&format!("task       {task}"))?;
    line(&format!("status     {}{reason}", status.as_str()))?;
    if let (Some(PauseReason::ModelUnreachable), Some(trouble)) = (pause, &state.trouble) {
        line(&format!("waits for  {}", printable(trouble)))?;
    }
    if let Some(ending) = &state.ending {
        line(&format!(
            "result     {}",
            printable(&headline(&state, ending))
        ))?;
    }
    if let Some(submission) = &state.submission {
        line(&format!("prompt     {}", one_line(&submission.prompt, 200)))?;
        for test in &submission.tests {
            line(&format!(
                "given      {} ({})",
                test.name,
                name(&test.origin)
            ))?;
        }
        if let Some(out) = &submission.out {
            line(&format!("out        {out}"))?;
        }
    }
    if let Some(started) = &state.started {
        line(&format!(
            "model      {} ({}), window {}; sandbox {}",
            started.model, started.server, started.window, started.sandbox
        ))?;
    }
    line(&format!(
        "spent      {} of {} tokens, {:.1} s",
        grouped(state.spent.0),
        grouped(state.budget().0),
        state.active.as_secs_f64()
    ))?;
    for module in &state.modules {
        let tests = module.runs.last().map_or_else(
            || "not tested".to_owned(),
            |run| format!("{} of {} tests passed", run.passed(), run.tests.len()),
        );
        let done = match &module.completion {
            Some(done) => name(&done.verification),
            None => "not complete".to_owned(),
        };
        line(&format!(
            "module     {}  version {}, {tests}, {done}",
            module_path(&module.plan.name),
            module.version()
        ))?;
    }
    if let Some(reply) = &state.reply {
        line(&format!("answer     {}", one_line(&reply.text, 200)))?;
    }
    for repair in &state.plan_repairs {
        line(&format!("repaired   {repair}"))?;
    }
    line(&format!(
        "events     {} (last sequence {})",
        state.revision, state.sequence
    ))?;
    Ok(Exit::Success)
}
