//! A server in this process, with a journal in memory and nobody who works on tasks.

#![allow(dead_code)] // each test uses a part of it

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use journeyman_api::{Client, Wire};
use journeyman_bus::{Bus, Stamp};
use journeyman_event::{SeededRandom, TimeSource};
use journeyman_journal::{Journal, Memory};
use journeyman_server::{Door, Hosts, Mounted, Options, Patience, Readiness, TcpOffer, ToolServers};
use journeyman_tasks::{Parts, Tasks};
use journeyman_workflow::Notices;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Always;

impl TimeSource for Always {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

impl Stamp for Always {
    fn id(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

impl ToolServers for Always {
    fn status(&self) -> Vec<serde_json::Value> {
        Vec::new()
    }
}

impl Readiness for Always {
    fn obstacles(&self) -> Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>> {
        Box::pin(async { Vec::new() })
    }
}

/// A server that answers on a port and on a socket until it is stopped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    folder: tempfile::TempDir,
    stop: CancellationToken,
    running: JoinHandle<std::io::Result<()>>,
}

/// Serves, with these changes to what is usual.
pub(crate) async fn serve(change: impl FnOnce(&mut Options)) -> Served {
    let random = Arc::new(SeededRandom::new(7));
    let parts = Parts {
        journal: Journal::open(Arc::new(Memory::default()), &*random).unwrap(),
        time: Arc::new(Always),
        randomness: random.clone(),
        notices: Notices::new(Bus::start(), Arc::new(Always)),
        bench: None,
    };
    let stop = CancellationToken::new();
    let mut options = Options {
        tasks: Tasks::start(parts, &journeyman_queue::Options::default()),
        door: Door::open(),
        hosts: Hosts::default(),
        tcp: TcpOffer::default(),
        model: "none".to_owned(),
        settings: Vec::new(),
        readiness: Arc::new(Always),
        connections_max: 100,
        patience: Patience::default(),
        mounted: Some(Mounted {
            name: "MCP",
            path: journeyman_mcp::PATH,
            page: journeyman_mcp::PAGE,
            router: journeyman_mcp::router(stop.clone()),
        }),
        servers: Arc::new(Always),
        randomness: random,
        stop: stop.clone(),
    };
    change(&mut options);
    let folder = tempfile::tempdir().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let socket = UnixListener::bind(folder.path().join("socket")).unwrap();
    let served = tokio::spawn(journeyman_server::serve(options, Some(tcp), socket));
    Served {
        address,
        folder,
        stop,
        running: served,
    }
}

impl Served {
    /// A client of its port.
    pub(crate) fn client(&self) -> Client<Wire> {
        let url = format!("http://{}", self.address);
        Client::over(Wire::http(&url, None).unwrap())
    }

    /// A client of its socket.
    pub(crate) fn local_client(&self) -> Client<Wire> {
        Client::over(Wire::socket(&self.folder.path().join("socket")).unwrap())
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}
