//! A server like `journeyman serve` whose effects are declared as no-ops: what `scripts/soak --no-effects`
//! sends its clients to.
//!
//! ```text
//! cargo run --release -p journeyman --example serve_without_effects -- FOLDER
//! ```
//!
//! The journal is real, in FOLDER, and so are the queue, the workflow and the port. The model is simulated and
//! answers at once, and **no test is ever run**: every run of tests is reported as passed, so whatever a task of
//! this server calls verified was not. That is why this is an example: no setting of the product leads here.
//!
//! It prints where it serves as `serve --json` does, and ends on SIGTERM.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for people; it ends by panicking

#[path = "../src/environment.rs"]
mod environment;
#[path = "../tests/common/no_effects.rs"]
mod no_effects;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use journeyman_bus::Bus;
use journeyman_gateway::Gateway;
use journeyman_hooks::{Hooks, HooksOptions};
use journeyman_journal::Journal;
use journeyman_journal_sqlite::Sqlite;
use journeyman_knowledge::Offline;
use journeyman_language::python::Interpreter;
use journeyman_language::{Runner, Runners};
use journeyman_metrics::{Money, Prices, Telemetry};
use journeyman_sandbox::{Launcher, Sandbox};
use journeyman_server::{Auth, ClientTimeouts, Hosts, MountedProtocol, Readiness, ToolServers};
use journeyman_signal::Signals;
use journeyman_sim::{Script, SimulatedModel};
use journeyman_tasks::{ShutdownReason, Tasks, TasksOptions};
use journeyman_workflow::{
    AgentRegistry, ModelSlots, Notices, Strategies, Toolbox, WholeFile, WorkerContext,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use environment::{SystemRandom, SystemStamp, SystemTime};
use no_effects::NoEffects;

/// The first argument with which the sandbox starts this program again.
const SANDBOX: &str = "sandbox-init";
/// What the product gives running tasks by default when it stops.
const GRACE: Duration = Duration::from_secs(10);

struct Always;

impl Readiness for Always {
    fn obstacles(&self) -> Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>> {
        Box::pin(async { Vec::new() })
    }
}

impl ToolServers for Always {
    fn status(&self) -> Vec<serde_json::Value> {
        Vec::new()
    }
}

/// There is no workflow without a sandbox that was probed; nothing is run in this one.
async fn sandbox() -> Sandbox {
    let python = Interpreter::discover(Path::new("python3")).await.unwrap();
    let launcher = Launcher {
        program: std::env::current_exe().unwrap(),
        arguments: vec![SANDBOX.into()],
    };
    let options = journeyman_sandbox::SandboxOptions {
        readable: python.readable().to_vec(),
        ..journeyman_sandbox::SandboxOptions::new(launcher)
    };
    let probed = Sandbox::probe(options, python.interpreter()).await;
    probed.unwrap()
}

async fn serve(folder: PathBuf) {
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let journal = Journal::open(Arc::new(Sqlite::new(folder.clone())), &SystemRandom).unwrap();
    let work_folder = folder.join("work");
    std::fs::create_dir_all(&work_folder).unwrap();
    let model = SimulatedModel::new(Script {
        latency_ms: 0,
        ..Script::default()
    });
    let worker_context = WorkerContext {
        models: Gateway::new(Arc::new(model), Vec::new()),
        slots: ModelSlots::new(None),
        sandbox: sandbox().await,
        runners: Runners::new(vec![Arc::new(NoEffects)]),
        strategies: Strategies::new(Arc::new(WholeFile), Vec::new()),
        work_folder,
        tools: Toolbox::built_in().unwrap(),
        agents: AgentRegistry::default(),
        signals: Signals::nowhere(),
        money: Money::default(),
    };
    let (time, randomness) = (Arc::new(SystemTime), Arc::new(SystemRandom));
    let hooks = HooksOptions::silent(journal.clone(), time, randomness);
    let tasks_options = TasksOptions {
        journal,
        time: Arc::new(SystemTime),
        randomness: Arc::new(SystemRandom),
        notices: Notices::new(Bus::start(), Arc::new(SystemStamp)),
        knowledge: Offline::at(folder.join("knowledge.db")),
        worker_context: Some(worker_context),
    };
    let tasks = Tasks::start(tasks_options, &journeyman_queue::QueueOptions::default());
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let socket = UnixListener::bind(folder.join("server.sock")).unwrap();
    let stop = CancellationToken::new();
    let options = journeyman_server::ServerOptions {
        tasks: tasks.clone(),
        hooks: Hooks::start(hooks).await,
        auth: Auth::open(),
        hosts: Hosts::default(),
        model: "simulated".to_owned(),
        settings: Vec::new(),
        telemetry: Telemetry::new(journeyman_metrics::TelemetryOptions {
            stamp: Arc::new(SystemStamp),
            time: Arc::new(SystemTime),
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
        tcp: journeyman_server::TcpProtocols::default(),
        randomness: Arc::new(SystemRandom),
        stop: stop.clone(),
    };
    let served = tokio::spawn(journeyman_server::serve(options, Some(tcp), socket));
    let recovered = tasks.recover().await.unwrap();
    let said = serde_json::json!({"type": "serving", "url": format!("http://{address}"), "recovered": recovered});
    println!("{said}");
    terminate.recv().await;
    tasks.shut_down(GRACE, ShutdownReason::Shutdown).await;
    stop.cancel();
    served.await.unwrap().unwrap();
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let first = words.next();
    if first.as_ref().is_some_and(|first| first == SANDBOX) {
        return journeyman_sandbox::init_main(words);
    }
    let Some(folder) = first else {
        println!("the folder of the journal is missing");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(serve(PathBuf::from(folder)));
    ExitCode::SUCCESS
}
