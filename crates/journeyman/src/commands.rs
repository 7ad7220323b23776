//! The commands. Each reads its settings, calls other crates, and prints the result. Commands on a running task share
//! `interventions.rs`.

mod bench;
mod config;
mod context;
mod delete;
mod doctor;
mod engine;
mod eval;
mod events;
mod files;
mod hooks;
mod interventions;
mod journal;
mod mcp;
mod metrics;
mod model;
mod run;
mod serve;
mod show;
mod tasks;
mod timing;
mod token;
mod tools;

use journeyman_llm::EnginePurpose;
use journeyman_tasks::Intervention;

use crate::cli::{
    BenchCommand, Command, ConfigCommand, ContextCommand, Invocation, JournalCommand, ModelCommand,
};
use crate::exit::Exit;
use crate::log::Log;
use crate::output::exact;
use crate::signals::survive_file_limit;

pub(crate) use self::engine::supervise as supervise_engine;
use self::interventions::intervene;

/// Runs a command.
pub(crate) fn run(invocation: Invocation) -> anyhow::Result<Exit> {
    let Invocation { command, settings } = invocation;
    let usual = if matches!(command, Command::Serve(_)) {
        // Below `error`, rmcp logs only mistakes of clients, which they receive in the response.
        "info,rmcp=error"
    } else {
        "error"
    };
    let _log = Log::to_stderr(&settings, usual)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let settings = &settings;
    let ended = runtime.block_on(async {
        survive_file_limit()?;
        match command {
            Command::Run(args) => Box::pin(run::run(settings, args)).await,
            Command::Resume(args) => Box::pin(run::resume(settings, args)).await,
            Command::Serve(args) => serve::serve(settings, args).await,
            Command::Mcp => Box::pin(mcp::mcp(settings)).await,
            Command::Token { name, role, key } => token::token(settings, name, role, key),
            Command::Tell {
                task,
                instruction,
                only,
            } => {
                intervene(
                    settings,
                    &task,
                    Intervention::Instruct { instruction },
                    only,
                )
                .await
            }
            Command::Answer {
                task,
                answer,
                question,
                only,
            } => {
                let answer = Intervention::Answer { question, answer };
                intervene(settings, &task, answer, only).await
            }
            Command::Edit {
                task,
                path,
                file,
                only,
            } => interventions::edit(settings, &task, &path, &file, only).await,
            Command::Skip { task, module, only } => {
                intervene(settings, &task, Intervention::SkipModule { module }, only).await
            }
            Command::Pause { task, only } => {
                intervene(settings, &task, Intervention::Pause, only).await
            }
            Command::Cancel { task, only } => {
                intervene(settings, &task, Intervention::Cancel, only).await
            }
            Command::Retry { task, only } => interventions::retry(settings, &task, only).await,
            Command::Delete {
                tasks,
                reason,
                only,
            } => delete::delete(settings, tasks, reason, only).await,
            Command::Keep { task, only } => {
                intervene(settings, &task, Intervention::Keep, only).await
            }
            Command::Unkeep { task, only } => {
                intervene(settings, &task, Intervention::Unkeep, only).await
            }
            Command::Fork(args) => interventions::fork(settings, args).await,
            Command::Tasks { limit } => tasks::tasks(settings, limit).await,
            Command::Show { task, timing, .. } if timing => timing::timing(settings, &task).await,
            Command::Show { task, at, .. } => show::show(settings, &task, at).await,
            Command::Metrics { once, watch } => {
                let show = match (once, watch) {
                    (true, _) => metrics::Show::Once,
                    (_, true) => metrics::Show::Watch,
                    _ => metrics::Show::Auto,
                };
                metrics::metrics(settings, show).await
            }
            Command::Events(args) => events::events(settings, args).await,
            Command::Files(args) => files::files(settings, args).await,
            Command::Hooks { command } => hooks::hooks(settings, command).await,
            Command::Context { command } => match command {
                ContextCommand::Graph(args) => context::graph(settings, args).await,
                ContextCommand::Summary(args) => context::summary(settings, args).await,
                ContextCommand::Show(args) => context::show(settings, args).await,
                ContextCommand::Diff { from, to } => context::diff(settings, from, to).await,
                ContextCommand::Search { words, limit } => {
                    context::search(settings, words, limit).await
                }
            },
            Command::Journal { command } => match command {
                JournalCommand::Verify { head } => journal::verify(settings, head).await,
                JournalCommand::Head => journal::head(settings).await,
                JournalCommand::Compact => journal::compact(settings).await,
                JournalCommand::Export {
                    task,
                    cloud_events,
                    out,
                } => journal::export(settings, task, cloud_events, out.as_deref()).await,
                JournalCommand::Import { file } => journal::import(settings, &file).await,
            },
            Command::Eval(args) => eval::run(settings, args).await,
            Command::Bench { command } => match command {
                BenchCommand::Retention { seed, ask: false } => {
                    bench::retention(settings, seed).await
                }
                BenchCommand::Retention { seed, ask: true } => {
                    bench::questions(settings, seed).await
                }
            },
            Command::EvalScorer { command } => eval::scorer_main(settings, command).await,
            Command::Engine { embedding, command } => {
                let purpose = if embedding {
                    EnginePurpose::Embeddings
                } else {
                    EnginePurpose::Answers
                };
                engine::engine(settings, purpose, command).await
            }
            Command::Model { command } => match command {
                ModelCommand::List => model::list(settings),
                ModelCommand::Pull { name } => model::pull(settings, &name).await,
                ModelCommand::Remove { name } => model::remove(settings, &name),
            },
            Command::Tools => tools::tools(settings).await,
            Command::Call(args) => tools::call(settings, args).await,
            Command::Doctor => doctor::doctor(settings).await,
            Command::Config {
                command: ConfigCommand::Show { origin },
            } => config::show(settings, origin),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                let command = &mut crate::cli::command();
                clap_complete::generate(shell, command, "journeyman", &mut script);
                exact(&String::from_utf8_lossy(&script))?;
                Ok(Exit::Success)
            }
        }
    });
    // A thread that still reads standard input is not waited for.
    runtime.shutdown_background();
    ended
}
