//! The commands, one file each. Each reads what it needs, calls the parts, and prints.

mod config;
mod doctor;
mod engine;
mod eval;
mod events;
mod files;
mod journal;
mod model;
mod run;
mod show;
mod tasks;

use std::io;

use journeyman_event::payload::PauseReason;
use journeyman_event::state::Status;
use journeyman_event::{Principal, TaskId};
use journeyman_journal::Journal;

use crate::cli::{Command, ConfigCommand, Invocation, JournalCommand, ModelCommand};
use crate::exit::Exit;

pub(crate) use self::engine::supervise as supervise_engine;

/// Runs a command to its end.
pub(crate) fn run(invocation: Invocation) -> anyhow::Result<Exit> {
    let Invocation { command, settings } = invocation;
    log_to_stderr(&settings.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let settings = &settings;
    runtime.block_on(async {
        match command {
            Command::Run(args) => run::run(settings, args).await,
            Command::Resume(args) => run::resume(settings, args).await,
            Command::Tasks { limit } => tasks::tasks(settings, limit).await,
            Command::Show { task, at } => show::show(settings, &task, at).await,
            Command::Events(args) => events::events(settings, args).await,
            Command::Files(args) => files::files(settings, args).await,
            Command::Journal { command } => match command {
                JournalCommand::Verify { head } => journal::verify(settings, head).await,
                JournalCommand::Head => journal::head(settings).await,
                JournalCommand::Export {
                    task,
                    cloud_events,
                    out,
                } => journal::export(settings, task, cloud_events, out.as_deref()).await,
                JournalCommand::Import { file } => journal::import(settings, &file).await,
            },
            Command::Eval(args) => eval::run(settings, args).await,
            Command::EvalScorer { command } => eval::scorer_main(settings, command).await,
            Command::Engine { command } => engine::engine(settings, command).await,
            Command::Model { command } => match command {
                ModelCommand::List => model::list(settings),
                ModelCommand::Pull { name } => model::pull(settings, &name).await,
                ModelCommand::Remove { name } => model::remove(settings, &name),
            },
            Command::Doctor => doctor::doctor(settings).await,
            Command::Config {
                command: ConfigCommand::Show { origin },
            } => config::show(settings, origin),
            Command::Completions { shell } => {
                clap_complete::generate(
                    shell,
                    &mut crate::cli::command(),
                    "journeyman",
                    &mut io::stdout(),
                );
                Ok(Exit::Success)
            }
        }
    })
}

fn log_to_stderr(filter: &str) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|error| crate::exit::UsageError(format!("--log {filter:?}: {error}")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    Ok(())
}

/// The task that is being worked on: the holder of the data folder works on one at a time, and it is
/// the one that was written to last.
async fn worked_on(journal: &Journal) -> anyhow::Result<Option<TaskId>> {
    if journal.holder().is_none() {
        return Ok(None);
    }
    let newest = journal.streams(&Principal::local(), 1).await?;
    Ok(newest.into_iter().next().map(|stream| stream.task_id))
}

/// A task that was running when its holder died rests, whatever was recorded last.
fn shown_status(
    recorded: Status,
    pause: Option<PauseReason>,
    worked_on: bool,
) -> (Status, Option<PauseReason>) {
    if recorded == Status::Running && !worked_on {
        (Status::Paused, Some(PauseReason::Interrupted))
    } else {
        (recorded, pause)
    }
}
