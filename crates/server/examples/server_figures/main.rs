//! Figures of the server, each beside what was asked for, and beside its limit or peer from the same
//! run where there is one.
//!
//! ```text
//! cargo run --release -p journeyman-server --example server_figures -- [mcp] [FOLDER]
//! ```
//!
//! The server runs in this process over a real journal, in a new folder below FOLDER, else in a
//! temporary one; nothing is worked on, so that the figures are the server's. Clients are processes of
//! their own: this program again, which share the machine's cores with it. Times are the clients'. It
//! writes about 2 GB and takes some minutes; with `mcp` it measures calls over MCP alone, in one.
//!
//! Limits and peers: for requests, `GET /health`, which does nothing; for submissions, as many writers
//! that append to the same journal without a server; for sockets, a plain axum server with a `tokio`
//! broadcast channel that keeps and checks nothing.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for people; it ends by panicking

mod clients;
mod peer;
mod store;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use journeyman_bus::{Bus, Stamp};
use journeyman_event::{Principal, SeededRandom, TaskId, TimeSource};
use journeyman_hooks::{Hooks, HooksOptions};
use journeyman_journal::Journal;
use journeyman_journal_sqlite::Sqlite;
use journeyman_knowledge::Offline;
use journeyman_metrics::{Prices, Telemetry};
use journeyman_server::{
    Auth, ClientTimeouts, Hosts, MountedProtocol, Readiness, ServerOptions, ToolServers,
};
use journeyman_tasks::{Intervention, OnlyAt, Tasks, TasksOptions};
use journeyman_workflow::Notices;
use rustix::process::{Resource, Rlimit};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, UnixListener};
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use clients::millis;

const RUNS: usize = 3;
/// A client process that says nothing for so long hangs.
const PATIENCE: Duration = Duration::from_mins(2);
/// The first word of those that this program starts.
const PART: &str = "part";
/// Between events that are sent to sockets.
const PAUSE: Duration = Duration::from_millis(300);
/// Sockets of one client process.
const SOCKETS: usize = 2_500;

struct Clock;

impl TimeSource for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

struct Stamps;

impl Stamp for Stamps {
    fn id(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

struct Always;

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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Kibibytes that a process has in memory.
fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kb = line.and_then(|line| line.split_whitespace().nth(1));
    kb.unwrap().parse().unwrap()
}

/// A running server.
struct Server {
    tasks: Tasks,
    address: SocketAddr,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(folder: &Path) -> Self {
        // The seeds of what is stored are small.
        let random = Arc::new(SeededRandom::new(u64::MAX));
        let journal = Journal::open(Arc::new(Sqlite::new(folder.to_owned())), &*random).unwrap();
        let hooks = HooksOptions::silent(journal.clone(), Arc::new(Clock), random.clone());
        let tasks_options = TasksOptions {
            journal,
            time: Arc::new(Clock),
            randomness: random.clone(),
            notices: Notices::new(Bus::start(), Arc::new(Stamps)),
            knowledge: Offline::at(folder.join("knowledge.db")),
            worker_context: None,
        };
        let queue = journeyman_queue::QueueOptions {
            capacity: 10_000_000,
            ..Default::default()
        };
        let tasks = Tasks::start(tasks_options, &queue);
        let stop = CancellationToken::new();
        let options = ServerOptions {
            tasks: tasks.clone(),
            hooks: Hooks::start(hooks).await,
            auth: Auth::open(),
            hosts: Hosts::default(),
            tcp: journeyman_server::TcpProtocols::default(),
            model: "none".to_owned(),
            settings: Vec::new(),
            telemetry: Telemetry::new(journeyman_metrics::TelemetryOptions {
                stamp: Arc::new(Stamps),
                time: Arc::new(Clock),
                prices: Prices::default(),
                budgets: Vec::new(),
                otlp: None,
            })
            .unwrap(),
            readiness: Arc::new(Always),
            connections_max: usize::MAX,
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
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let socket = UnixListener::bind(folder.join("socket")).unwrap();
        let served = tokio::spawn(journeyman_server::serve(options, Some(tcp), socket));
        Self {
            tasks,
            address,
            stop,
            served,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
    }
}

/// Another process: this program again.
struct Other {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn start(what: &[&str]) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg(PART)
            .args(what)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        line.unwrap().unwrap().unwrap()
    }

    /// The numbers of its next line.
    async fn numbers(&mut self) -> Vec<f64> {
        let line = self.line().await;
        let words = line.split_whitespace();
        words.map(|word| word.parse().unwrap()).collect()
    }

    async fn tell(&mut self, line: &str) {
        let stdin = self.process.stdin.as_mut().unwrap();
        stdin
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
    }
}

/// What a client process measured: requests a second, and milliseconds.
struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
}

/// Some runs of a client process; the medians.
async fn runs(what: &[&str]) -> Figures {
    let mut all = Vec::new();
    for _ in 0..RUNS {
        all.push(Other::start(what).numbers().await);
    }
    let of = |index: usize| median(all.iter().map(|run: &Vec<f64>| run[index]).collect());
    Figures {
        rate: of(0),
        p50: of(1),
        p99: of(2),
    }
}

async fn submissions(parent: &Path) {
    let folder = tempfile::tempdir_in(parent).unwrap();
    let server = Server::start(folder.path()).await;
    let address = server.address.to_string();
    println!("POST /api/v1/tasks, median of {RUNS}");
    let open = runs(&["submit", &address, "64", "10", "500"]).await;
    println!(
        "  500/s for 10 s          p50 {:.2} ms, p99 {:.2} ms (asked: p99 under 20 ms)",
        open.p50, open.p99
    );
    let health = runs(&["get", &address, "64", "3", "/health"]).await;
    println!(
        "  GET /health, 64 clients {:>8.0}/s  p50 {:.2} ms, p99 {:.2} ms",
        health.rate, health.p50, health.p99
    );
    let most = runs(&["submit", &address, "64", "5", "0"]).await;
    println!(
        "  64 clients              {:>8.0}/s  p50 {:.2} ms, p99 {:.2} ms",
        most.rate, most.p50, most.p99
    );
    let writers = store::appends(server.tasks.journal(), 64, Duration::from_secs(3)).await;
    println!(
        "  64 writers, no server   {writers:>8.0}/s  server/writers {:.2}",
        most.rate / writers
    );
    server.stop().await;
}

async fn requests(server: &Server) {
    let address = server.address.to_string();
    let (small, large) = (store::SMALL, store::LARGE);
    println!("with 1,000,000 events stored, 16 clients at once, median of {RUNS}");
    for (what, path, asked) in [
        ("GET /health", "/health".to_owned(), ""),
        (
            "GET a task of 1 event",
            format!("/api/v1/tasks/{small}"),
            " (asked: over 2,000/s)",
        ),
        (
            "GET a task of 1,500 events",
            format!("/api/v1/tasks/{large}"),
            " (asked: over 2,000/s)",
        ),
        (
            "GET 50 tasks",
            "/api/v1/tasks?limit=50".to_owned(),
            " (asked: p99 under 20 ms)",
        ),
        (
            "GET 100 events",
            format!("/api/v1/tasks/{large}/events?limit=100"),
            " (asked: p99 under 20 ms)",
        ),
    ] {
        let found = runs(&["get", &address, "16", "3", &path]).await;
        println!(
            "  {what:<26} {:>8.0}/s  p50 {:.2} ms, p99 {:.2} ms{asked}",
            found.rate, found.p50, found.p99
        );
    }
    let open = runs(&["submit", &address, "64", "10", "500"]).await;
    println!(
        "  POST a task, 500/s         p50 {:.2} ms, p99 {:.2} ms (asked: p99 under 20 ms)",
        open.p50, open.p99
    );
}

/// Client processes with so many sockets that are all open; and how many they got.
async fn listeners(address: &str, path: &str, sockets: usize) -> (Vec<Other>, f64) {
    let (mut clients, mut open) = (Vec::new(), 0.0);
    let mut left = sockets;
    while left > 0 {
        let some = left.min(SOCKETS);
        let mut client = Other::start(&["listen", address, &some.to_string(), path]);
        open += client.numbers().await[0];
        clients.push(client);
        left -= some;
    }
    (clients, open)
}

/// Milliseconds until the last socket has what was sent at a time.
async fn all_have_it(clients: &mut [Other], sent: f64) -> f64 {
    let mut last = sent;
    for client in clients {
        last = last.max(client.numbers().await[0]);
    }
    last - sent
}

fn print_times(who: &str, times: &[f64], asked: &str) {
    let worst = times.iter().copied().fold(0.0, f64::max);
    let (events, usual) = (times.len(), median(times.to_vec()));
    println!("  {who}  all have it after {usual:.1} ms, {worst:.1} ms at worst of {events}{asked}");
}

async fn sockets(server: &Server, count: usize, events: usize, asked: &str) {
    let me = Principal::local();
    let task = TaskId::new(store::WATCHED).unwrap();
    let head = server.tasks.state(&me, &task).await.unwrap().sequence;
    let address = server.address.to_string();
    let path = format!("/ws/{task}?after={head}");
    let (mut clients, open) = listeners(&address, &path, count).await;
    println!("one event to {open:.0} sockets of one task");
    let mut times = Vec::new();
    // The first finds every socket ready, or waits for it; it does not count.
    for event in 0..=events {
        tokio::time::sleep(PAUSE).await;
        let instruction = format!("event {event}");
        let sent = millis();
        let said = Intervention::Instruct { instruction };
        let done = server.tasks.intervene(&me, &task, said, OnlyAt::Any);
        done.await.unwrap();
        times.push(all_have_it(&mut clients, sent).await);
    }
    print_times("journeyman", &times[1..], asked);
    let other = Other::start(&["submit", &address, "64", "10", "500"])
        .numbers()
        .await;
    println!(
        "  meanwhile, POST 500 other tasks/s: p50 {:.2} ms, p99 {:.2} ms",
        other[1], other[2]
    );
    drop(clients);

    let mut peer = Other::start(&["peer"]);
    let address = peer.line().await;
    let (mut clients, _) = listeners(&address, "/ws", count).await;
    let mut times = Vec::new();
    for event in 0..=events {
        tokio::time::sleep(PAUSE).await;
        peer.tell(&event.to_string()).await;
        let sent = peer.numbers().await[0];
        times.push(all_have_it(&mut clients, sent).await);
    }
    print_times("plain axum", &times[1..], "");
}

/// What a socket costs in memory. Only to be seen in processes that have not used and freed any before.
async fn memory(parent: &Path, count: usize) {
    let each = async |process, address: &str, path: &str| {
        let before = resident(process);
        let (_clients, open) = listeners(address, path, count).await;
        tokio::time::sleep(PAUSE).await;
        ((resident(process) - before) / open, open)
    };
    let folder = tempfile::tempdir_in(parent).unwrap();
    let server = Server::start(folder.path()).await;
    let (ours, open) = each(std::process::id(), &server.address.to_string(), "/ws").await;
    let mut peer = Other::start(&["peer"]);
    let address = peer.line().await;
    let (axum, _) = each(peer.process.id().unwrap(), &address, "/ws").await;
    println!("memory of {open:.0} open sockets");
    println!("  journeyman {ours:>6.1} KiB each");
    println!("  plain axum {axum:>6.1} KiB each");
    server.stop().await;
}

/// Clients that wait for a task over MCP, and calls of a tool beside them and without.
async fn mcp(parent: &Path, era: &str) {
    const WAITING: usize = 1_000;
    let folder = tempfile::tempdir_in(parent).unwrap();
    let server = Server::start(folder.path()).await;
    let task = store::submit(&server.tasks, store::SMALL).await;
    let address = server.address.to_string();
    println!("MCP, {era}");
    let before = resident(std::process::id());
    let what = ["wait", &address, &WAITING.to_string(), era, &task];
    let mut waiting = Other::start(&what);
    let clients = waiting.numbers().await[0];
    tokio::time::sleep(Duration::from_secs(3)).await;
    let more = (resident(std::process::id()) - before) / 1_024.0;
    println!("  {clients} waiting wait_for_task: {more:.1} MiB (asked: under 50 MB)");
    let what = ["call", &address, "64", "10", "500", era, &task];
    let called = runs(&what).await;
    println!(
        "  get_task_status, 500/s, beside them: p50 {:.2} ms, p99 {:.2} ms (asked: p99 under 10 ms)",
        called.p50, called.p99
    );
    drop(waiting);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let called = runs(&what).await;
    println!(
        "  the same without them: p50 {:.2} ms, p99 {:.2} ms",
        called.p50, called.p99
    );
    server.stop().await;
}

/// The same for each way to use it, each in a process of its own, so that its memory is too.
async fn mcp_of_all(parent: &Path) {
    for era in ["modern", "one-session", "session-each"] {
        let mut other = Other::start(&["mcp", era, parent.to_str().unwrap()]);
        while let Ok(Some(line)) = other.lines.next_line().await {
            println!("{line}");
        }
    }
}

/// As many open files as the system lets this process have.
fn open_many_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(Resource::Nofile, most).unwrap();
}

fn main() {
    open_many_files();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_client = matches!(words[..], [PART, first, ..] if !["peer", "mcp"].contains(&first));
    // Clients share the cores with the server: a thread each is enough.
    let mut runtime = if is_client {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        match &words[..] {
            [PART, "peer"] => peer::run().await,
            [PART, "mcp", era, parent] => mcp(Path::new(parent), era).await,
            [PART, client @ ..] => clients::run(client).await,
            ["mcp", rest @ ..] => {
                let temporary = tempfile::tempdir().unwrap();
                let named = rest.first().map(PathBuf::from);
                mcp_of_all(&named.unwrap_or_else(|| temporary.path().to_owned())).await;
            }
            other => measure(other.first().map(PathBuf::from)).await,
        }
    });
}

async fn measure(named: Option<PathBuf>) {
    let temporary = tempfile::tempdir().unwrap();
    let parent = named.unwrap_or_else(|| temporary.path().to_owned());
    memory(&parent, 10_000).await;
    submissions(&parent).await;
    let folder = tempfile::tempdir_in(&parent).unwrap();
    let server = Server::start(folder.path()).await;
    store::fill(&server.tasks).await;
    requests(&server).await;
    sockets(&server, 100, 50, " (asked: under 100 ms)").await;
    sockets(&server, 10_000, 20, " (aim: under 250 ms)").await;
    server.stop().await;
}
