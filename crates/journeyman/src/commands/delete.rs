//! `delete`: erases tasks for good, through the server that holds the data folder or in the journal directly.

use journeyman_api::limits::{LimitError, check_reason};
use journeyman_api::{Call, DeleteQuery, ErasedTask};
use journeyman_event::{Principal, TaskId};
use journeyman_server::erased;
use journeyman_tasks::OnlyAt;

use super::interventions::offline_tasks;
use crate::cli::IfVersion;
use crate::client::Client;
use crate::exit::{Exit, UsageError};
use crate::output::{json, line, stderr_line};
use crate::settings::Settings;
use crate::text_format::{count_text, one_line};
use crate::wiring::delete_work_folder;

pub(crate) async fn delete(
    settings: &Settings,
    tasks: Vec<TaskId>,
    reason: Option<String>,
    only: IfVersion,
) -> anyhow::Result<Exit> {
    if tasks.len() > 1 && only.version().is_some() {
        let why = "--if-version is the version of one task; delete the tasks one by one";
        return Err(UsageError(why.to_owned()).into());
    }
    if let Some(reason) = &reason {
        check_reason(reason).map_err(
            |(LimitError::Bad { reason, .. } | LimitError::TooLarge { reason, .. })| {
                UsageError(format!("--reason: {reason}"))
            },
        )?;
    }
    let client = Client::find(settings).await?;
    let offline = if client.is_none() {
        let tasks = offline_tasks(settings)?;
        // What a crash left there may be of an erased task.
        delete_work_folder(&settings.data_dir)?;
        Some(tasks)
    } else {
        None
    };
    let mut exit = Exit::Success;
    for task in tasks {
        let done: anyhow::Result<ErasedTask> = match (&client, &offline) {
            (Some(client), _) => {
                let reason = reason.clone();
                let call = Call::delete(&task, &DeleteQuery { reason }).only_at(only.version());
                client.call(call).await.map_err(Into::into)
            }
            (None, Some(offline)) => {
                let (me, only_at) = (Principal::local(), OnlyAt::version(only.version()));
                let gone = offline.delete(&me, &task, reason.clone(), only_at);
                gone.await.map(|gone| erased(&gone)).map_err(Into::into)
            }
            (None, None) => continue,
        };
        match done {
            Ok(done) => {
                if settings.json {
                    json(&done)?;
                } else {
                    let events = count_text(done.events, "event");
                    let reason = one_line(&done.reason, 200);
                    line(&format!("task {task} is erased: {events} ({reason})"))?;
                }
                if let Some(why) = done.unfinished {
                    stderr_line(&format!(
                        "task {task}: some of its data is still on the disk: {why}. The erasure continues by itself \
                         while `journeyman serve` or another command works on the data folder"
                    ));
                    exit = Exit::Error;
                }
            }
            // An error with one task does not prevent the deletion of the others.
            Err(error) => {
                stderr_line(&format!("{error:#}"));
                exit = Exit::Error;
            }
        }
    }
    Ok(exit)
}
