//! `serve`: tasks for whoever asks, until it is told to stop.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use journeyman_agent::ServiceEnding;
use journeyman_server::{Door, TokenFile};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::run::cancel_on_signals;
use crate::cli::ServeArgs;
use crate::exit::{Exit, UsageError};
use crate::holder::{Entrance, Holder};
use crate::output::{json, line};
use crate::parts::{open_journal, workshop};
use crate::progress::{Progress, Style};
use crate::settings::Settings;
use crate::space::{self, NoSpace};

/// How often it is looked whether a full disk has space again.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) async fn serve(settings: &Settings, args: ServeArgs) -> anyhow::Result<Exit> {
    let door = door(settings)?;
    let journal = open_journal(&settings.data_dir)?;
    let address = SocketAddr::new(settings.host, settings.port);
    let tcp = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; --host and --port choose another address")
    })?;
    let address = tcp.local_addr()?;
    // Clones of it are the same door: who knocks while nobody answers waits.
    let tcp = tcp.into_std()?;
    let entrance = || {
        anyhow::Ok(Entrance {
            tcp: Some(TcpListener::from_std(tcp.try_clone()?)?),
            door: door.clone(),
            offer: args.offer(),
        })
    };
    let cancel = cancel_on_signals()?;
    let style = if settings.quiet || settings.json {
        Style::Quiet
    } else {
        Style::Remarks
    };
    let progress = std::sync::Arc::new(Progress::new(style));
    let mut is_announced = false;
    let workshop = loop {
        let prepared = tokio::select! {
            prepared = workshop(settings, &settings.data_dir, &progress) => prepared,
            () = cancel.cancelled() => return Ok(Exit::Interrupted),
        };
        let full = match prepared {
            Ok(workshop) => break workshop,
            Err(error) => error.downcast::<NoSpace>()?,
        };
        tracing::error!(error = %full, "tasks wait; what is recorded can be read");
        let idle = Holder::start_idle(settings, journal.clone(), full.to_string(), entrance()?)?;
        if !is_announced {
            announce(settings, address, 0)?;
            is_announced = true;
        }
        let has_space = wait_for_space(settings, &cancel).await;
        idle.close(settings.grace, ServiceEnding::Shutdown).await?;
        if !has_space {
            return Ok(Exit::Success);
        }
    };
    let holder = Holder::start(settings, journal, workshop, entrance()?).await?;
    let recovered = holder.tasks.recover().await?;
    if is_announced {
        tracing::info!(recovered, "there is space again: tasks go on");
    } else {
        announce(settings, address, recovered)?;
    }
    cancel.cancelled().await;
    tracing::info!("stopping: no new tasks, running ones come to an event boundary");
    holder
        .close(settings.grace, ServiceEnding::Shutdown)
        .await?;
    Ok(Exit::Success)
}

fn announce(settings: &Settings, address: SocketAddr, recovered: usize) -> anyhow::Result<()> {
    let url = format!("http://{address}");
    if settings.json {
        json(&serde_json::json!({"type": "serving", "url": url, "recovered": recovered}))?;
    } else {
        line(&format!("serving on {url} ({recovered} tasks go on)"))?;
    }
    Ok(())
}

/// Waits until there is space to work in; whether it came before the end.
async fn wait_for_space(settings: &Settings, cancel: &CancellationToken) -> bool {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = cancel.cancelled() => return false,
        }
        let folder = settings.data_dir.clone();
        let checked = tokio::task::spawn_blocking(move || space::check(&folder)).await;
        if matches!(checked, Ok(Ok(()))) {
            return true;
        }
    }
}

/// Who may come in. Beyond this machine nobody without a token.
fn door(settings: &Settings) -> anyhow::Result<Door> {
    match &settings.token_file {
        Some(path) => Ok(Door::with_tokens(TokenFile::read(path)?)),
        None if settings.host.is_loopback() => Ok(Door::open()),
        None => bail!(UsageError(format!(
            "listening on {} lets in others than this machine: --token-file must say who they are",
            settings.host
        ))),
    }
}
