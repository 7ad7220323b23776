//! The async task of one server: connects, lists its tools, waits for the end of the connection, and starts again.

use std::sync::Arc;
use std::time::Duration;

use rmcp::service::{Peer, RoleClient};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::ServerConfig;
use super::connect::{Greeted, connect};
use super::connection::Connection;
use super::listing::list;
use super::servers::{Board, Host};
use super::status::ServerState;
use crate::registry::prepare;
use crate::{Registry, ServerName, Source};

/// The wait before the first reconnection; it doubles with each further one.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// The longest wait. After a connection that lasted this long or answered a call, the wait starts again with
/// the first.
const BACKOFF_MAX: Duration = Duration::from_mins(1);
/// The shortest time between two refreshes of a list that changes.
const REFRESH: Duration = Duration::from_secs(1);
/// How long closing a connection may take.
const CLOSE: Duration = Duration::from_secs(1);

/// The state of one server's task.
pub(super) struct Supervisor {
    pub(super) server: ServerName,
    pub(super) config: ServerConfig,
    pub(super) host: Arc<Host>,
    pub(super) registry: Registry,
    pub(super) board: Board,
    pub(super) stop: CancellationToken,
}

/// A connected server whose tools are known.
struct Ready {
    greeted: Greeted,
    connection: Arc<Connection>,
}

impl Supervisor {
    /// Runs until it is told to stop. The server's tools are then removed from the registry.
    pub(super) async fn run(self) {
        let mut backoff = BACKOFF_FIRST;
        while !self.stop.is_cancelled() {
            let start = Instant::now();
            let why = match Box::pin(self.ready()).await {
                Some(Ok(ready)) => {
                    let connection = ready.connection.clone();
                    let why = self.attend(ready).await;
                    if connection.has_answered() || start.elapsed() >= BACKOFF_MAX {
                        backoff = BACKOFF_FIRST;
                    }
                    why
                }
                Some(Err(why)) => {
                    self.away(why.clone());
                    why
                }
                None => break,
            };
            if self.stop.is_cancelled() {
                break;
            }
            tracing::warn!(server = %self.server, why, retry_in = ?backoff, "server unavailable");
            let stopped = self.stop.run_until_cancelled(tokio::time::sleep(backoff));
            if stopped.await.is_none() {
                break;
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
            self.board.change(&self.server, |status| {
                status.state = ServerState::Connecting;
                status.restarts = status.restarts.saturating_add(1);
            });
        }
    }

    fn away(&self, why: String) {
        self.registry.set_away(&self.server, why.clone());
        self.board.change(&self.server, |status| {
            status.state = ServerState::Unavailable { why };
            status.tools = 0;
        });
    }

    /// Connects to the server and registers its tools. Returns the error if that fails, or `None` if it was
    /// told to stop.
    async fn ready(&self) -> Option<Result<Ready, String>> {
        let limit = self.config.start_timeout;
        let attempt = async {
            let greeted = connect(&self.server, &self.config.endpoint, &self.host).await?;
            let peer = greeted.running.peer().clone();
            let connection = Connection::new(self.server.clone(), peer, &self.config);
            let connection = Arc::new(connection);
            self.refresh(greeted.running.peer(), &connection).await?;
            Ok(Ready {
                greeted,
                connection,
            })
        };
        let attempt = tokio::time::timeout(limit, attempt);
        let ended = Box::pin(self.stop.run_until_cancelled(attempt)).await?;
        Some(ended.unwrap_or_else(|_| Err(format!("not ready within {} s", limit.as_secs_f64()))))
    }

    /// Replaces the registered tools with those the server offers now.
    async fn refresh(
        &self,
        peer: &Peer<RoleClient>,
        connection: &Arc<Connection>,
    ) -> Result<(), String> {
        let mut listing = list(peer, &self.server, &self.config, connection).await?;
        let tools = std::mem::take(&mut listing.tools);
        let count = tools.len();
        let prepared = tokio::task::spawn_blocking(move || prepare(tools)).await;
        let prepared = prepared.map_err(|error| format!("its tools cannot be read: {error}"))?;
        let source = Source::Server(self.server.clone());
        let left_out = self.registry.put(&source, prepared);
        let count = count - left_out.len();
        for (name, error) in left_out {
            listing.skip(name.as_str(), error.to_string());
        }
        self.board.change(&self.server, |status| {
            status.state = ServerState::Ready;
            status.tools = count;
            status.skipped = listing.skipped;
        });
        Ok(())
    }

    /// Waits until the connection ends and returns the reason. The server is then fully shut down.
    async fn attend(&self, ready: Ready) -> String {
        let Ready {
            greeted,
            connection,
        } = ready;
        let Greeted {
            running,
            child,
            changed,
            too_much,
        } = greeted;
        let peer = running.peer().clone();
        let close = running.cancellation_token();
        let mut waiting = std::pin::pin!(running.waiting());
        let refreshes = async {
            loop {
                changed.notified().await;
                let refresh = self.refresh(&peer, &connection);
                match tokio::time::timeout(self.config.start_timeout, refresh).await {
                    Ok(Ok(())) => {}
                    Ok(Err(why)) => return why,
                    Err(_) => return "it says that its tools changed, and not how".to_owned(),
                }
                tokio::time::sleep(REFRESH).await;
            }
        };
        let mut closed = false;
        let why = tokio::select! {
            () = self.stop.cancelled() => "we stop".to_owned(),
            why = connection.ended() => why,
            why = refreshes => why,
            _ = &mut waiting => {
                closed = true;
                let why = if too_much.is_cancelled() {
                    "it asks and does not read the answers"
                } else {
                    "it closed the connection"
                };
                why.to_owned()
            }
        };
        // Remove the tools from the registry before calls end, so that no new call starts meanwhile.
        self.away(why.clone());
        connection.end(&why);
        close.cancel();
        if !closed {
            let _ = tokio::time::timeout(CLOSE, waiting).await;
        }
        if let Some(child) = child {
            child.end().await;
        }
        why
    }
}

impl Drop for Supervisor {
    /// Also runs if the task was dropped: tools without a connection are removed from the registry.
    fn drop(&mut self) {
        let source = Source::Server(self.server.clone());
        self.registry.unregister(&source);
        self.board.change(&self.server, |status| {
            let why = "stopped".into();
            status.state = ServerState::Unavailable { why };
            status.tools = 0;
        });
    }
}
