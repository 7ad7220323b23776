//! `mcp`: the MCP server on standard input and output, for clients that start their servers themselves.
//!
//! It uses the holder of the data folder, or the server named in the settings. If there is no holder, this
//! process becomes the holder, also later when the previous holder has gone. The client does not notice this.

use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use journeyman_api::{Answer, Request, Transport, Unreachable};
use journeyman_mcp::serve_stdio;
use journeyman_tasks::ShutdownReason;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::run::{TaskLocation, hold};
use crate::client::Client;
use crate::exit::Exit;
use crate::holder::Holder;
use crate::output::stderr_line;
use crate::progress::{Progress, Style};
use crate::settings::Settings;
use crate::signals::cancel_on_signals;

/// The most attempts per request.
const TRIES: u32 = 3;
/// The most requests waiting for a server.
const WAITING_MAX: usize = 1_024;

pub(crate) async fn mcp(settings: &Settings) -> anyhow::Result<Exit> {
    let cancel = cancel_on_signals()?;
    let (wanted, requests) = mpsc::channel(WAITING_MAX);
    let mut finder = Finder {
        settings,
        // Standard output is the client's.
        progress: Progress::start(Style::Quiet, settings),
        cancel: cancel.clone(),
        found: None,
        holder: None,
    };
    let way: Arc<dyn Transport> = Arc::new(TasksTransport {
        wanted,
        is_elsewhere: settings.server.is_some(),
    });
    let languages = journeyman_language::names();
    let served = tokio::select! {
        served = serve_stdio(journeyman_api::Client::new(way), &languages) => served,
        () = finder.run(requests) => Ok(()),
        () = cancel.cancelled() => Ok(()),
    };
    cancel.cancel();
    if let Some(holder) = finder.holder {
        holder
            .close(settings.grace, ShutdownReason::Shutdown)
            .await?;
    }
    served?;
    Ok(Exit::Success)
}

/// Asks the [`Finder`] for a client of the server with the tasks, but not for the one in `gone`, which did not answer.
struct FindServer {
    gone: Option<Arc<Client>>,
    reply: oneshot::Sender<Result<Arc<Client>, Unreachable>>,
}

/// Finds the server with the tasks.
struct Finder<'a> {
    settings: &'a Settings,
    progress: Arc<Progress>,
    cancel: CancellationToken,
    found: Option<Arc<Client>>,
    /// The holder in this process, if this process is the holder.
    holder: Option<Holder>,
}

impl Finder<'_> {
    async fn run(&mut self, mut requests: mpsc::Receiver<FindServer>) {
        // The search begins before the first request, because it can take longer than an MCP client waits.
        if let Err(error) = self.find().await {
            tracing::error!(%error, "not ready; the next request tries again");
        }
        while let Some(FindServer { gone, reply }) = requests.recv().await {
            let is_gone =
                |found: &Arc<Client>| gone.as_ref().is_some_and(|g| Arc::ptr_eq(found, g));
            if self.found.as_ref().is_some_and(is_gone) {
                self.found = None;
            }
            let found = match &self.found {
                Some(found) => Ok(Arc::clone(found)),
                None => self.find().await,
            };
            let _ = reply.send(found); // the request may have been cancelled
        }
    }

    async fn find(&mut self) -> Result<Arc<Client>, Unreachable> {
        let client = self.look().await;
        let client = Arc::new(client.map_err(|error| Unreachable::NotTaken(format!("{error:#}")))?);
        self.found = Some(Arc::clone(&client));
        Ok(client)
    }

    async fn look(&mut self) -> anyhow::Result<Client> {
        match TaskLocation::find(self.settings, &self.cancel).await? {
            Some(TaskLocation::Server(client)) => {
                let conflicts = client.conflicts(self.settings).await?;
                conflicts.refuse()?;
                for words in &conflicts.told {
                    stderr_line(&format!("{}: {words}", conflicts.with));
                }
                Ok(client)
            }
            Some(TaskLocation::Local(journal)) => {
                let holder = hold(self.settings, journal, &self.progress, &self.cancel).await?;
                let holder = holder.context("this process is ending")?;
                holder.tasks.recover().await?;
                self.holder = Some(holder);
                let found = Client::find(self.settings).await?;
                found.ok_or_else(|| anyhow::anyhow!("the data folder's socket does not answer"))
            }
            None => anyhow::bail!("this process is ending"),
        }
    }
}

/// The transport to the server with the tasks.
struct TasksTransport {
    wanted: mpsc::Sender<FindServer>,
    /// Whether a server was named in the settings. It is not replaced by this process.
    is_elsewhere: bool,
}

impl TasksTransport {
    async fn client(&self, gone: Option<Arc<Client>>) -> Result<Arc<Client>, Unreachable> {
        let (reply, found) = oneshot::channel();
        let ending = |_| Unreachable::NotTaken("this process is ending".to_owned());
        let sent = self.wanted.send(FindServer { gone, reply }).await;
        sent.map_err(|_| Unreachable::NotTaken("this process is ending".to_owned()))?;
        found.await.map_err(ending)?
    }
}

#[async_trait]
impl Transport for TasksTransport {
    async fn ask(&self, request: &Request) -> Result<Answer, Unreachable> {
        let mut client = self.client(None).await?;
        let mut tries = 1;
        loop {
            let problem = match client.transport().ask(request).await {
                Ok(answer) => return Ok(answer),
                Err(Unreachable::Lost(problem)) if !request.is_read_only() => {
                    return Err(Unreachable::Lost(format!(
                        "{problem}; whether it was done is not known: look with list_tasks"
                    )));
                }
                // What was not taken, or only looked at, may be asked of another one.
                Err(problem) => problem,
            };
            if tries >= TRIES || self.is_elsewhere {
                return Err(problem);
            }
            client = self.client(Some(client)).await?;
            tries += 1;
        }
    }
}
