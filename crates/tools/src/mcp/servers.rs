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

/// Servers of one process.
const SERVERS_MAX: usize = 32;

/// Who we are to servers, and the variables that they may get of ours.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Our name.
    pub name: String,
    /// Our version.
    pub version: String,
    /// The process's variables: `PATH`, `HOME`, `LANG` and `TMPDIR` are passed on to servers that
    /// we start, and tokens are looked up here.
    pub environment: BTreeMap<String, String>,
}

/// Connections to external servers, each kept by a task of its own. Dropped, all of them end.
pub struct McpServers {
    tasks: JoinSet<()>,
    board: Board,
    stop: CancellationToken,
    _stop_when_dropped: DropGuard,
}

/// Where each server's status stands.
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
    /// Begins to connect to all of them, and does not wait for any. To be called in a runtime.
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

    /// How each server is, in the order of their names.
    pub fn status(&self) -> Vec<ServerStatus> {
        self.board.0.borrow().values().cloned().collect()
    }

    /// The same, to be waited for.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<ServerName, ServerStatus>> {
        self.board.0.subscribe()
    }

    /// Ends all connections and the servers that we started, and waits for that: 2 seconds or
    /// less, whatever they do.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}
