//! `engine`: the managed model server, which all commands with the same data folder share, and the one with the embedding
//! model.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use journeyman_llm::{EngineInfo, EnginePurpose, EngineStatus, Managed, ManagedOptions};
use serde_json::{Value, json};

use crate::cli::EngineCommand;
use crate::embedding;
use crate::exit::{Exit, report};
use crate::output::{json, line};
use crate::progress::{Progress, Style};
use crate::settings::Settings;
use crate::text_format::{group_digits, one_line};
use crate::wiring::{connection, ensure_python};

pub(crate) async fn engine(
    settings: &Settings,
    purpose: EnginePurpose,
    command: EngineCommand,
) -> anyhow::Result<Exit> {
    match command {
        EngineCommand::Install => install(settings, purpose).await,
        EngineCommand::Start => start(settings, purpose).await,
        EngineCommand::Stop { force } => stop(settings, purpose, force).await,
        EngineCommand::Status => {
            let engine = show(settings, purpose)?;
            Ok(if engine.status == EngineStatus::Running {
                Exit::Success
            } else {
                Exit::NOT_RUNNING
            })
        }
    }
}

async fn install(settings: &Settings, purpose: EnginePurpose) -> anyhow::Result<Exit> {
    let (model, weights) = prepared(settings, purpose, async |options, report| {
        Managed::install(&options, report).await
    })
    .await?;
    if settings.json {
        json(&json!({"type": "engine_installed", "model": model, "weights": weights}))?;
    } else {
        line(&format!("{model} is ready in {}", weights.display()))?;
    }
    Ok(Exit::Success)
}

async fn start(settings: &Settings, purpose: EnginePurpose) -> anyhow::Result<Exit> {
    // Used until it is shown, so that it is there to be shown.
    let _used = prepared(settings, purpose, async |options, report| {
        Managed::start(options, report).await
    })
    .await?;
    show(settings, purpose)?;
    Ok(Exit::Success)
}

/// Runs something that needs the managed Python environment, and shows its progress.
async fn prepared<T>(
    settings: &Settings,
    purpose: EnginePurpose,
    work: impl AsyncFnOnce(
        ManagedOptions,
        journeyman_fetch::OnProgress<'_>,
    ) -> Result<T, journeyman_llm::Error>,
) -> anyhow::Result<T> {
    let connection = match purpose {
        EnginePurpose::Answers => connection(settings)?,
        EnginePurpose::Embeddings => embedding::managed(settings)?,
    };
    let progress = Progress::start(Style::of(settings), settings);
    let done = async {
        let environment = ensure_python(settings, &progress).await?;
        let report = |step: journeyman_fetch::Progress| progress.fetch(&step);
        Ok(work(connection.managed(&environment, purpose), &report).await?)
    };
    let done = done.await;
    progress.finish().await;
    done
}

async fn stop(settings: &Settings, purpose: EnginePurpose, force: bool) -> anyhow::Result<Exit> {
    let before = journeyman_llm::engine(&settings.data_dir, purpose)?;
    let users = before.users.unwrap_or_default();
    if !users.is_empty() && !force {
        bail!(
            "the managed model server is in use by process {}; wait for its end, or stop it with --force",
            list(&users)
        );
    }
    journeyman_llm::stop_engine(&settings.data_dir, purpose).await?;
    if settings.json {
        show(settings, purpose)?;
    } else if matches!(
        before.status,
        EngineStatus::Running | EngineStatus::Starting
    ) {
        line("stopped")?;
    } else {
        line("nothing ran")?;
    }
    Ok(Exit::Success)
}

fn show(settings: &Settings, purpose: EnginePurpose) -> anyhow::Result<EngineInfo> {
    let mut engine = journeyman_llm::engine(&settings.data_dir, purpose)?;
    // `engine start` itself is not worth listing as a user.
    if let Some(users) = &mut engine.users {
        users.retain(|&pid| pid != std::process::id());
    }
    if settings.json {
        json(&engine_json(&engine))?;
    } else {
        line(&engine_text(&engine))?;
    }
    Ok(engine)
}

fn list(pids: &[u32]) -> String {
    pids.iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Seconds since the server became ready.
fn uptime(engine: &EngineInfo) -> Option<u64> {
    let since = engine.state.as_ref()?.since?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(now.saturating_sub(since))
}

fn is_there(engine: &EngineInfo) -> bool {
    matches!(
        engine.status,
        EngineStatus::Running | EngineStatus::Starting
    )
}

/// The state of the managed server as JSON. Unknown values are null.
pub(super) fn engine_json(engine: &EngineInfo) -> Value {
    let there = engine.state.as_ref().filter(|_| is_there(engine));
    json!({
        "type": "engine",
        "status": engine.status,
        "pid": there.and_then(|state| state.pid),
        "supervisor_pid": there.map(|state| state.supervisor),
        "port": there.and_then(|state| state.port),
        "url": there.and_then(journeyman_llm::EngineState::url),
        "model": there.map(journeyman_llm::EngineState::model),
        "context": there.map(journeyman_llm::EngineState::context),
        "slots": there.map(journeyman_llm::EngineState::slots),
        "users": engine.users.as_ref().map(Vec::len),
        "user_pids": engine.users,
        "uptime_seconds": there.and_then(|_| uptime(engine)),
        "restarts": there.map(|state| state.restarts),
        "reason": engine.state.as_ref().and_then(|state| state.reason.as_ref()),
    })
}

/// The state of the managed server as text.
pub(super) fn engine_text(engine: &EngineInfo) -> String {
    let status = engine.status.as_str();
    let Some(state) = &engine.state else {
        return status.to_owned();
    };
    let reason = state
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(": {reason}"));
    if !is_there(engine) {
        return match engine.status {
            EngineStatus::Failed => format!("{status}{reason}"),
            _ => status.to_owned(),
        };
    }
    let mut parts = vec![format!(
        "{status}: {}, window {} tokens, {} at a time",
        state.model(),
        group_digits(state.context().0),
        state.slots()
    )];
    if let (Some(url), Some(pid)) = (state.url(), state.pid) {
        parts.push(format!("{url}, process {pid}"));
    }
    if let Some(seconds) = uptime(engine) {
        parts.push(format!("up for {} s", group_digits(seconds)));
    }
    match engine.users.as_deref() {
        None => {}
        Some([]) => parts.push("not in use".to_owned()),
        Some(users) => parts.push(format!("in use by process {}", list(users))),
    }
    if state.restarts > 0 {
        let again = format!("started again {} times{reason}", state.restarts);
        parts.push(one_line(&again, 120));
    }
    parts.join("; ")
}

/// The hidden command: supervises the managed server until it is no longer needed.
pub(crate) fn supervise(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        // Failing to write the log must not end the supervisor.
        .log_internal_errors(false)
        .init();
    let config = args.next().and_then(|config| config.into_string().ok());
    let done = config
        .context(
            "the configuration is missing; this hidden command is for `journeyman engine` alone",
        )
        .and_then(|config| Ok(journeyman_llm::supervise(&config)?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}
