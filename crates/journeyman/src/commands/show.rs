//! `show`: prints everything about one task.

use std::time::Duration;

use anyhow::{Context, bail};
use journeyman_event::payload::PauseReason;
use journeyman_event::state::Status;
use journeyman_event::{TaskId, TaskState};
use journeyman_journal::Moment;
use journeyman_workflow::{headline, module_path, remarks};
use serde_json::json;

use crate::client::is_erased;
use crate::event_text::name;
use crate::exit::Exit;
use crate::output::{json, line};
use crate::reader::Reader;
use crate::settings::Settings;
use crate::text_format::{count_text, duration_text, group_digits, one_line};

/// What a task waits for that has not started or cannot continue; `None` if no one needs to do anything.
async fn waits_for(
    reader: &Reader,
    state: &TaskState,
    (status, pause): (Status, Option<PauseReason>),
) -> anyhow::Result<Option<String>> {
    match (status, pause) {
        (_, Some(PauseReason::ModelUnreachable)) => {
            let problem = state.model_problem.as_deref().unwrap_or("the model server");
            Ok(Some(problem.to_owned()))
        }
        (Status::Running, _) if state.started.is_none() => Ok(Some("the model server".to_owned())),
        (Status::Queued, _) => {
            let asked = state.submission.as_ref();
            let mut others = Vec::new();
            for other in asked.map_or(&[][..], |asked| &asked.depends_on) {
                // A dependency that does not exist, or was erased, does not delay the task.
                let state = match reader.state(other).await {
                    Err(error) if is_erased(&error) => None,
                    state => state?,
                };
                let Some(state) = state else {
                    continue;
                };
                let (status, _) = reader.status_of(other, (state.status, state.pause)).await?;
                if !status.is_ended() {
                    others.push(format!("{other} ({})", status.as_str()));
                }
            }
            Ok(Some(if !others.is_empty() {
                others.join(", ")
            } else if reader.has_worker() {
                "its turn".to_owned()
            } else {
                "a process that works on tasks: `journeyman serve`, or `journeyman resume` with its id"
                    .to_owned()
            }))
        }
        _ => Ok(None),
    }
}

/// The state of one of the user's tasks, and its actual status.
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
            "task {task} did not exist at that point; `journeyman events --task {task}` shows its history"
        ),
    })?;
    if let Some(Moment::Version(version)) = at
        && state.revision < version
    {
        let current = state.revision;
        bail!("task {task} is at version {current}, and has no version {version} yet");
    }
    let recorded = (state.status, state.pause);
    let status = match at {
        None => reader.status_of(task, recorded).await?,
        Some(_) => recorded,
    };
    Ok((state, status))
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
        value["budget"] = json!(state.token_budget());
        value["remarks"] = json!(remarks(&state));
        json(&value)?;
        return Ok(Exit::Success);
    }
    let reason = pause.map_or_else(String::new, |pause| format!(" ({})", name(&pause)));
    line(&format!("task       {task}"))?;
    line(&format!("status     {}{reason}", status.as_str()))?;
    if at.is_none() {
        let reader = Reader::open(settings).await?;
        if let Some(what) = waits_for(&reader, &state, (status, pause)).await? {
            line(&format!("waits for  {}", one_line(&what, 400)))?;
        }
    }
    if let Some(ending) = &state.ending {
        line(&format!("result     {}", headline(&state, ending)))?;
        for remark in remarks(&state) {
            line(&format!("           {remark}"))?;
        }
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
        if let Some(served) = &state.served_model {
            line(&format!("           {served}, as the server calls it"))?;
        }
    }
    line(&format!(
        "spent      {} of {}, {}",
        group_digits(state.spent.0),
        count_text(state.token_budget().0, "token"),
        duration_text(Duration::try_from(state.worked()).unwrap_or_default())
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
            module_path(&state, &module.plan.name),
            module.version()
        ))?;
    }
    if let Some(reply) = &state.reply {
        line(&format!("answer     {}", one_line(&reply.text, 200)))?;
    }
    for repair in &state.plan_repairs {
        line(&format!("repaired   {repair}"))?;
    }
    if state.keep {
        line("kept       until `journeyman unkeep`")?;
    }
    line(&format!(
        "version    {} (last sequence {})",
        state.revision, state.sequence
    ))?;
    Ok(Exit::Success)
}
