//! All external servers of a process.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::config::ServerConfig;
use super::status::{ServerState, ServerStatus};
use super::supervisor::Supervisor;
use crate::{Registry, ServerName};

/// The most servers per process.
const SERVERS_MAX: usize = 32;

/// How we introduce ourselves to servers, and the environment variables available to them.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The name sent to servers.
    pub name: String,
    /// The version sent to servers.
    pub version: String,
    /// The process's environment: `PATH`, `HOME`, `LANG` and `TMPDIR` are passed to servers that we start, and
    /// tokens are looked up here.
    pub environment: BTreeMap<String, String>,
}

/// The connections to all external servers, each maintained by an async task. Dropping this ends all of them.
pub struct McpServers {
    tasks: JoinSet<()>,
    board: Board,
    stop: CancellationToken,
    _stop_when_dropped: DropGuard,
}

/// Holds the status of each server.
#[derive(Clone)]
pub(super) struct Board(watch::Sender<BTreeMap<ServerName, ServerStatus>>);

impl Board {
    pub(super) fn change(&self, server: &ServerName, change: impl FnOnce(&mut ServerStatus)) {
        self.0.send_modify(|all| {
            if let Some(status) = all.get_mut(server) {
                change(status);
            }
        });
    }
}

impl McpServers {
    /// Starts to connect to all servers without waiting for any. Must be called in a tokio runtime.
    pub fn start(
        configs: BTreeMap<ServerName, ServerConfig>,
        registry: &Registry,
        host: Host,
    ) -> Self {
        let statuses = configs.keys().enumerate().map(|(index, name)| {
            let state = if index < SERVERS_MAX {
                ServerState::Connecting
            } else {
                let why = format!("there are more than {SERVERS_MAX} servers");
                ServerState::Unavailable { why }
            };
            let status = ServerStatus {
                name: name.clone(),
                state,
                tools: 0,
                skipped: Vec::new(),
                restarts: 0,
            };
            (name.clone(), status)
        });
        let board = Board(watch::Sender::new(statuses.collect()));
        let stop = CancellationToken::new();
        let host = Arc::new(host);
        let mut tasks = JoinSet::new();
        for (server, config) in configs.into_iter().take(SERVERS_MAX) {
            registry.set_away(&server, "it is being started".into());
            let supervisor = Supervisor {
                server,
                config,
                host: host.clone(),
                registry: registry.clone(),
                board: board.clone(),
                stop: stop.clone(),
            };
            tasks.spawn(supervisor.run());
        }
        Self {
            tasks,
            board,
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
        }
    }

    /// The status of each server, sorted by name.
    pub fn status(&self) -> Vec<ServerStatus> {
        self.board.0.borrow().values().cloned().collect()
    }

    /// The same as a channel that can be waited on.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<ServerName, ServerStatus>> {
        self.board.0.subscribe()
    }

    /// Ends all connections and the servers that we started, and waits for that, at most 2 seconds.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
