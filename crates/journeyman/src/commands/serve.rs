//! `serve`: tasks for whoever asks, until it is told to stop.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use journeyman_agent::ServiceEnding;
use journeyman_server::{Door, TokenFile};
use serde_json::json;
use tokio::net::TcpListener;

use super::run::cancel_on_signals;
use crate::cli::ServeArgs;
use crate::exit::{Exit, UsageError};
use crate::holder::{Entrance, Holder};
use crate::output::{json, line, remark};
use crate::parts::{open_journal, workshop};
use crate::port_file::PortFile;
use crate::progress::{Progress, Style};
use crate::settings::Settings;

pub(crate) async fn serve(settings: &Settings, args: ServeArgs) -> anyhow::Result<Exit> {
    let door = door(settings)?;
    let port_file = args.port_file.as_deref().map(PortFile::prepare);
    let mut port_file = port_file.transpose()?;
    let journal = open_journal(&settings.data_dir)?;
    let address = SocketAddr::new(settings.host, settings.port);
    let tcp = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; --host and --port choose another address")
    })?;
    let address = tcp.local_addr()?;
    let cancel = cancel_on_signals()?;
    let style = if settings.quiet || settings.json {
        Style::Quiet
    } else {
        Style::Remarks
    };
    let progress = std::sync::Arc::new(Progress::new(style));
    let workshop = tokio::select! {
        workshop = workshop(settings, &settings.data_dir, &progress) => workshop?,
        () = cancel.cancelled() => return Ok(Exit::Interrupted),
    };
    let entrance = Entrance {
        tcp: Some(tcp),
        door,
        offer: args.offer(),
    };
    if let Some(file) = &mut port_file {
        let written = file.write(address.port());
        written.context("cannot write the port to --port-file")?;
    }
    let holder = Holder::start(settings, journal, workshop, entrance).await?;
    let recovered = holder.tasks.recover().await?;
    let published = port_file.as_ref().map_or(Ok(()), PortFile::publish);
    if published.is_ok() {
        // A server works for those who ask it, whoever reads this.
        if let Err(error) = say(settings, address, recovered) {
            remark(&format!("{error:#}"));
        }
        cancel.cancelled().await;
    }
    // From now on nobody is to come who reads it there.
    drop(port_file);
    tracing::info!("stopping: no new tasks, running ones come to an event boundary");
    holder
        .close(settings.grace, ServiceEnding::Shutdown)
        .await?;
    published.context("cannot write the port to --port-file")?;
    Ok(Exit::Success)
}

fn say(settings: &Settings, address: SocketAddr, recovered: usize) -> anyhow::Result<()> {
    let url = format!("http://{address}");
    if settings.json {
        return json(&json!({"type": "serving", "url": url, "recovered": recovered}));
    }
    Ok(line(&format!(
        "serving on {url} ({recovered} tasks go on)"
    ))?)
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
