//! `serve`: runs the server until it is told to stop.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use journeyman_server::{Auth, TokenFile};
use journeyman_tasks::ShutdownReason;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli::ServeArgs;
use crate::exit::{Exit, UsageError};
use crate::holder::{Endpoints, Holder};
use crate::output::{json, line, stderr_line};
use crate::port_file::PortFile;
use crate::progress::{Progress, Style};
use crate::settings::Settings;
use crate::signals::cancel_on_signals;
use crate::space::{self, NoSpace};
use crate::wiring::{open_journal, work_setup};

/// How often to check whether a full disk has space again.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) async fn serve(settings: &Settings, args: ServeArgs) -> anyhow::Result<Exit> {
    let auth = auth(settings)?;
    let port_file = args.port_file.as_deref().map(PortFile::prepare);
    let mut port_file = port_file.transpose()?;
    let journal = open_journal(&settings.data_dir)?;
    let address = SocketAddr::new(settings.host, settings.port);
    let tcp = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; --host and --port choose another address")
    })?;
    let address = tcp.local_addr()?;
    // Clones share the listening socket: connections made before the server accepts them wait.
    let tcp = tcp.into_std()?;
    let endpoints = || {
        anyhow::Ok(Endpoints {
            tcp: Some(TcpListener::from_std(tcp.try_clone()?)?),
            auth: auth.clone(),
            offer: args.offer(),
        })
    };
    let cancel = cancel_on_signals()?;
    let style = if settings.quiet || settings.json {
        Style::Quiet
    } else {
        Style::Remarks
    };
    let progress = Progress::start(style, settings);
    if let Some(file) = &mut port_file {
        let written = file.write(address.port());
        written.context("cannot write the port to --port-file")?;
    }
    let mut is_announced = false;
    let work_setup = loop {
        let prepared = tokio::select! {
            prepared = work_setup(settings, &settings.data_dir, &progress) => prepared,
            () = cancel.cancelled() => return Ok(Exit::Interrupted),
        };
        let full = match prepared {
            Ok(work_setup) => break work_setup,
            Err(error) => error.downcast::<NoSpace>()?,
        };
        tracing::error!(error = %full, "tasks wait until there is space; recorded tasks can be read");
        let idle = Holder::start_idle(settings, journal.clone(), full.to_string(), endpoints()?);
        let idle = idle.await?;
        if !is_announced {
            announce(settings, address, port_file.as_ref(), 0)?;
            is_announced = true;
        }
        let has_space = wait_for_space(settings, &cancel).await;
        idle.close(settings.grace, ShutdownReason::Shutdown).await?;
        if !has_space {
            return Ok(Exit::Success);
        }
    };
    let holder = Holder::start(settings, journal, work_setup, endpoints()?).await?;
    holder.telemetry.begin()?;
    let recovered = holder.tasks.recover().await?;
    let announced = if is_announced {
        tracing::info!(recovered, "there is space again; tasks continue");
        Ok(())
    } else {
        announce(settings, address, port_file.as_ref(), recovered)
    };
    if announced.is_ok() {
        cancel.cancelled().await;
    }
    // From now on no client should read the port from there.
    drop(port_file);
    tracing::info!("stopping: no new tasks start, running ones stop at their next event");
    holder
        .close(settings.grace, ShutdownReason::Shutdown)
        .await?;
    announced?;
    Ok(Exit::Success)
}

/// Announces the address: in the port file, and on standard output. It does not matter whether anyone reads it.
fn announce(
    settings: &Settings,
    address: SocketAddr,
    port_file: Option<&PortFile>,
    recovered: usize,
) -> anyhow::Result<()> {
    let published = port_file.map_or(Ok(()), PortFile::publish);
    published.context("cannot write the port to --port-file")?;
    let url = format!("http://{address}");
    let said = if settings.json {
        json(&json!({"type": "serving", "url": url, "recovered": recovered}))
    } else {
        line(&format!("serving on {url} ({recovered} tasks go on)")).map_err(Into::into)
    };
    if let Err(error) = said {
        stderr_line(&format!("{error:#}"));
    }
    Ok(())
}

/// Waits until there is disk space. Returns false if stopped before.
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

/// Who may use the server. Beyond this machine, only callers with a token.
fn auth(settings: &Settings) -> anyhow::Result<Auth> {
    match &settings.token_file {
        Some(path) => Ok(Auth::with_tokens(TokenFile::read(path)?)),
        None if settings.host.is_loopback() => Ok(Auth::open()),
        None => bail!(UsageError(format!(
            "listening on {} lets in others than this machine: --token-file must say who they are",
            settings.host
        ))),
    }
}
