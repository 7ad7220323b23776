//! Interventions in tasks: through the server that holds the data folder, or directly in the journal if there is
//! none.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use journeyman_api::json::Whole;
use journeyman_api::{Call, ForkQuery, ForkTask, PriorityWord, RetryTask};
use journeyman_bus::Bus;
use journeyman_event::payload::TaskSubmitted;
use journeyman_event::state::Status;
use journeyman_event::{Principal, Randomness, TaskId};
use journeyman_journal::Moment;
use journeyman_language::of_submission;
use journeyman_tasks::{ForkRequest, Intervention, OnlyAt, Tasks, TasksOptions};
use journeyman_workflow::{Notices, load_at};
use serde_json::json;

use super::run::limits;
use crate::cli::{ForkArgs, IfVersion, Place};
use crate::client::Client;
use crate::environment::{SystemRandom, SystemStamp, SystemTime};
use crate::exit::{Exit, UsageError};
use crate::output::{json, line};
use crate::settings::Settings;
use crate::wiring::{offline, open_journal};

/// The largest file accepted.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The tasks of a data folder that no process holds. Interventions are recorded, and take effect when a process works
/// on the tasks again.
pub(super) fn offline_tasks(settings: &Settings) -> anyhow::Result<Tasks> {
    let tasks_options = TasksOptions {
        journal: open_journal(&settings.data_dir)?,
        time: Arc::new(SystemTime),
        randomness: Arc::new(SystemRandom),
        notices: Notices::new(Bus::start(), Arc::new(SystemStamp)),
        knowledge: offline(settings),
        worker_context: None,
    };
    Ok(Tasks::start(tasks_options, &settings.queue))
}

/// Carries out an intervention.
pub(crate) async fn intervene(
    settings: &Settings,
    task: &TaskId,
    intervention: Intervention,
    only: IfVersion,
) -> anyhow::Result<Exit> {
    let accepted = accepted(&intervention);
    let (status, version) = if let Some(client) = Client::find(settings).await? {
        let view = client
            .intervene(task, &intervention, only.version())
            .await?;
        (Status::from(view.status), view.revision)
    } else {
        let (me, offline_tasks) = (Principal::local(), offline_tasks(settings)?);
        let only_at = OnlyAt::version(only.version());
        let state = offline_tasks
            .intervene(&me, task, intervention, only_at)
            .await?;
        (state.status, state.revision.0)
    };
    let status = status.as_str();
    if settings.json {
        json(
            &json!({"task_id": task, "status": status, "version": version, "accepted": accepted}),
        )?;
    } else {
        let accepted = accepted.map_or_else(String::new, |what| format!("{what}; "));
        line(&format!("{accepted}task {task} is {status}"))?;
    }
    Ok(Exit::Success)
}

/// The message about what was accepted; `None` if the new status says it.
fn accepted(intervention: &Intervention) -> Option<String> {
    match intervention {
        Intervention::Instruct { .. } => {
            Some("accepted: your words are part of every prompt from its next step on".to_owned())
        }
        Intervention::Answer { question, .. } => Some(match question {
            Some(question) => format!("accepted: the answer to {question}"),
            None => "accepted: the answer".to_owned(),
        }),
        Intervention::EditFile { path, .. } => {
            Some(format!("accepted: your text is the next version of {path}"))
        }
        Intervention::SkipModule { module } => {
            Some(format!("accepted: no more work is done on {module}"))
        }
        Intervention::Keep => Some("kept: nothing erases it".to_owned()),
        Intervention::Unkeep => Some("kept no longer: it may be erased".to_owned()),
        Intervention::Pause | Intervention::Resume { .. } | Intervention::Cancel => None,
    }
}

pub(crate) async fn edit(
    settings: &Settings,
    task: &TaskId,
    path: &str,
    file: &Path,
    only: IfVersion,
) -> anyhow::Result<Exit> {
    let mut source = String::new();
    let read = if file == Path::new("-") {
        let input = std::io::stdin();
        input.take(FILE_BYTES_MAX + 1).read_to_string(&mut source)
    } else {
        let opened = fs::File::open(file);
        opened.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut source))
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    if source.len() as u64 > FILE_BYTES_MAX {
        return Err(UsageError(format!("{} is larger than 1 MiB", file.display())).into());
    }
    let path = path.to_owned();
    intervene(
        settings,
        task,
        Intervention::EditFile { path, source },
        only,
    )
    .await
}

pub(crate) async fn retry(
    settings: &Settings,
    task: &TaskId,
    only: IfVersion,
) -> anyhow::Result<Exit> {
    let new = if let Some(client) = Client::find(settings).await? {
        let again = RetryTask {
            idempotency_key: Some(new_key()),
        };
        let retry = || Call::retry(task, &again).only_at(only.version());
        client.call_once(retry).await?.task_id
    } else {
        let (me, offline_tasks) = (Principal::local(), offline_tasks(settings)?);
        let fork = ForkRequest {
            only_at: OnlyAt::version(only.version()),
            ..ForkRequest::default()
        };
        let new = offline_tasks.fork(&me, task, fork).await?;
        new.task_id.to_string()
    };
    say_new(settings, &new)
}

pub(crate) async fn fork(settings: &Settings, args: ForkArgs) -> anyhow::Result<Exit> {
    let (task, version) = (&args.task, args.only.version());
    let new = if let Some(client) = Client::find(settings).await? {
        let iterations = args.limits.max_iterations;
        let changes = ForkTask {
            prompt: args.prompt,
            priority: args.priority.map(PriorityWord),
            budget: args.limits.budget_tokens.map(Whole),
            timeout: args.limits.timeout.map(|time| time.as_secs_f64()),
            max_iterations: iterations.map(|max| Whole(max.get().into())),
            idempotency_key: Some(new_key()),
            ..ForkTask::default()
        };
        let from = match args.at {
            Place::Sequence(at) => ForkQuery::at(at),
            Place::Version(version) => ForkQuery::version(version.0),
        };
        let accepted = client.call_once(|| Call::fork(task, &from, &changes).only_at(version));
        accepted.await?.task_id
    } else {
        let (me, offline_tasks) = (Principal::local(), offline_tasks(settings)?);
        let asked = offline_tasks.state(&me, task).await?.submission;
        let asked = asked.unwrap_or_else(|| TaskSubmitted::of(""));
        let content = TaskSubmitted {
            limits: limits(asked.limits, &args.limits),
            priority: args.priority.unwrap_or(asked.priority),
            out: None,
            ..match args.prompt {
                Some(prompt) => {
                    let language = of_submission(&asked);
                    asked.with_prompt(prompt, |prompt| language.examples(prompt).tests)
                }
                None => asked,
            }
        };
        let at = match args.at {
            Place::Sequence(at) => at,
            Place::Version(version) => {
                let moment = Some(Moment::Version(version));
                let then = load_at(offline_tasks.journal(), &me, task, moment).await?;
                let then = then.filter(|state| state.revision == version);
                let none = || format!("task {task} has no version {version}");
                then.with_context(none)?.sequence
            }
        };
        let fork = ForkRequest {
            at: Some(at),
            content: Some(content),
            only_at: OnlyAt::version(version),
            ..ForkRequest::default()
        };
        offline_tasks
            .fork(&me, task, fork)
            .await?
            .task_id
            .to_string()
    };
    say_new(settings, &new)
}

/// A key for one command: what it asks for is done once, however often it is sent.
fn new_key() -> String {
    format!(
        "{:016x}{:016x}",
        SystemRandom.next_u64(),
        SystemRandom.next_u64()
    )
}

fn say_new(settings: &Settings, task: &str) -> anyhow::Result<Exit> {
    if settings.json {
        json(&json!({"task_id": task}))?;
    } else {
        line(&format!(
            "task {task}; `journeyman resume {task}` shows how it goes"
        ))?;
    }
    Ok(Exit::Success)
}
