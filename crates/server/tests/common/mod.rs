//! A server in this process, with a journal in memory and nobody who works on tasks.

#![allow(dead_code)] // each test uses a part of it

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use journeyman_api::{Client, HttpTransport};
use journeyman_bus::{Bus, Stamp};
use journeyman_event::{SeededRandom, TimeSource};
use journeyman_hooks::{Hooks, HooksOptions};
use journeyman_journal::{Journal, Memory};
use journeyman_knowledge::Offline;
use journeyman_metrics::{Prices, Telemetry};
use journeyman_server::{
    Auth, ClientTimeouts, Hosts, MountedProtocol, Readiness, ServerOptions, TcpProtocols,
    ToolServers,
};
use journeyman_tasks::{Tasks, TasksOptions};
use journeyman_workflow::Notices;
use serde_json::Value;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) struct Always;

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
    /// Made once, for that takes long; each request has a connection of its own.
    http: reqwest::Client,
    folder: tempfile::TempDir,
    stop: CancellationToken,
    running: JoinHandle<std::io::Result<()>>,
}

/// Figures of a clock that stands still.
fn telemetry() -> Telemetry {
    let options = journeyman_metrics::TelemetryOptions {
        stamp: Arc::new(Always),
        time: Arc::new(Always),
        prices: Prices::default(),
        budgets: Vec::new(),
        otlp: None,
    };
    Telemetry::new(options).unwrap()
}

/// Serves, with these changes to what is usual.
pub(crate) async fn serve(change: impl FnOnce(&mut ServerOptions)) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let random = Arc::new(SeededRandom::new(7));
    let journal = Journal::open(Arc::new(Memory::default()), &*random).unwrap();
    let hooks = HooksOptions::silent(journal.clone(), Arc::new(Always), random.clone());
    let tasks_options = TasksOptions {
        journal,
        time: Arc::new(Always),
        randomness: random.clone(),
        notices: Notices::new(Bus::start(), Arc::new(Always)),
        knowledge: Offline::at(folder.path().join("knowledge.db")),
        worker_context: None,
    };
    let stop = CancellationToken::new();
    let mut options = ServerOptions {
        tasks: Tasks::start(tasks_options, &journeyman_queue::QueueOptions::default()),
        hooks: Hooks::start(hooks).await,
        auth: Auth::open(),
        hosts: Hosts::default(),
        tcp: TcpProtocols::default(),
        model: "none".to_owned(),
        settings: Vec::new(),
        telemetry: telemetry(),
        readiness: Arc::new(Always),
        connections_max: 100,
        timeouts: ClientTimeouts::default(),
        mounted: Some(MountedProtocol {
            name: "MCP",
            path: journeyman_mcp::PATH,
            page: journeyman_mcp::PAGE,
            router: journeyman_mcp::router(stop.clone(), &journeyman_language::names()),
        }),
        servers: Arc::new(Always),
        randomness: random,
        stop: stop.clone(),
    };
    change(&mut options);
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let socket = UnixListener::bind(folder.path().join("socket")).unwrap();
    let served = tokio::spawn(journeyman_server::serve(options, Some(tcp), socket));
    let http = journeyman_http::client_builder().no_proxy();
    Served {
        address,
        http: http.pool_max_idle_per_host(0).build().unwrap(),
        folder,
        stop,
        running: served,
    }
}

impl Served {
    /// A client of its port.
    pub(crate) fn client(&self) -> Client<HttpTransport> {
        let url = format!("http://{}", self.address);
        Client::over(HttpTransport::http(&url, None).unwrap())
    }

    /// A client of its socket.
    pub(crate) fn local_client(&self) -> Client<HttpTransport> {
        Client::over(HttpTransport::socket(&self.folder.path().join("socket")).unwrap())
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }

    /// Asks exactly this. A header without a value is left out.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let url = format!("http://{}{path}", self.address);
        let mut request = self
            .http
            .request(method.parse().unwrap(), url)
            .body(body.to_vec());
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        Reply {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.text().await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[], b"").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        let json = [("Content-Type", "application/json")];
        self.ask("POST", path, &json, body.to_string().as_bytes())
            .await
    }

    /// Submits a task and gives its name.
    pub(crate) async fn submit(&self, task: &Value) -> String {
        let accepted = self.post("/api/v1/tasks", task).await.expect(202);
        accepted["task_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn task(&self, task: &str) -> Value {
        self.get(&format!("/api/v1/tasks/{task}")).await.expect(200)
    }

    /// The tag of a task as it is answered now.
    pub(crate) async fn tag(&self, task: &str) -> String {
        let reply = self.get(&format!("/api/v1/tasks/{task}")).await;
        reply.header("etag").unwrap().to_owned()
    }

    /// Posts with an `If-Match`.
    pub(crate) async fn post_if(&self, path: &str, tags: &str, body: &Value) -> Reply {
        let headers = [("Content-Type", "application/json"), ("If-Match", tags)];
        self.ask("POST", path, &headers, body.to_string().as_bytes())
            .await
    }

    pub(crate) async fn intervene(&self, task: &str, body: &Value) -> Reply {
        self.post(&format!("/api/v1/tasks/{task}/interventions"), body)
            .await
    }
}

/// An answer, whatever it is.
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn text(&self) -> &str {
        &self.body
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    /// The body, if the status is this one.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.json()
    }

    /// The problem, if the status is this one.
    pub(crate) fn problem(&self, status: u16) -> Value {
        let problem = self.expect(status);
        let kind = self.header("content-type");
        assert_eq!(kind, Some("application/problem+json"), "{problem}");
        assert_eq!(problem["status"], status);
        problem
    }
}
