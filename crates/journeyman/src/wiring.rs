//! Wires the parts together: journal, model, sandbox, Python.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use journeyman_bus::{Bus, Registration};
use journeyman_event::{Principal, Tokens};
use journeyman_fetch::{Environment, Hub};
use journeyman_gateway::{Gateway, Model};
use journeyman_journal::Journal;
use journeyman_journal_sqlite::Sqlite;
use journeyman_knowledge::Offline;
use journeyman_language::{Runners, python};
use journeyman_llm::{Connected, Connection, LazyServer, ModelServer, SupervisorCommand};
use journeyman_metrics::{OtlpOptions, Prices, Telemetry};
use journeyman_sandbox::{Launcher, Sandbox};
use journeyman_sim::{Script, SimulatedModel};
use journeyman_tools::{Dispatcher, Host, McpServers, Registry, ServerState, ServerStatus};
use journeyman_workflow::{
    AgentRegistry, ModelSlots, Notices, Strategies, Toolbox, WholeFile, Worker, WorkerContext,
};

use crate::environment::{SystemRandom, SystemStamp, SystemTime};
use crate::exit::UsageError;
use crate::progress::Progress;
use crate::settings::{ModelConfig, OtlpConfig, Settings, read_secret};
use crate::space;

/// The hidden command as which the sandbox starts this program again.
pub(crate) const SANDBOX_COMMAND: &str = "sandbox-init";

/// The hidden command that supervises the managed model server.
pub(crate) const ENGINE_COMMAND: &str = "engine-supervisor";

/// How long to wait for external servers before work starts.
const SERVERS_TIME: Duration = Duration::from_secs(5);

/// Everything that working on a task needs, ready.
pub(crate) struct WorkSetup {
    pub(crate) worker_context: WorkerContext,
    /// The metrics of the work, and the budgets for it.
    pub(crate) telemetry: Telemetry,
    /// Where the workflow tells what it does.
    pub(crate) notices: Notices,
    /// The external servers whose tools may be called, for as long as this lives.
    pub(crate) servers: Arc<McpServers>,
    /// Keeps progress shown for as long as this lives.
    _shown: Registration,
}

impl WorkSetup {
    /// A worker for tasks of the local user that are not in the data folder's journal. No budget applies to them.
    pub(crate) fn worker(&self, journal: Journal) -> Worker {
        Worker::new(journeyman_workflow::WorkerOptions {
            journal,
            principal: Principal::local(),
            worker_context: WorkerContext {
                money: self.worker_context.money.without_budgets(),
                ..self.worker_context.clone()
            },
            time: Arc::new(SystemTime),
            randomness: Arc::new(SystemRandom),
            notices: self.notices.clone(),
        })
    }
}

/// What code is run with, and where.
pub(crate) struct Ground {
    pub(crate) environment: Environment,
    pub(crate) runners: Runners,
    pub(crate) sandbox: Sandbox,
    pub(crate) work_folder: PathBuf,
}

/// Prepares the languages and the sandbox, and empties the folder for running code.
pub(crate) async fn ground(
    settings: &Settings,
    folder: &Path,
    progress: &Arc<Progress>,
) -> anyhow::Result<Ground> {
    progress.prepare("preparing Python");
    let environment = ensure_python(settings, progress).await?;
    let report = |step: journeyman_fetch::Progress| progress.fetch(&step);
    let runners = Runners::prepare(&settings.data_dir, &report).await?;
    progress.prepare("probing the sandbox");
    // The sandbox is probed with Python, whatever languages there are.
    let python = runners.program("python");
    let python = python.unwrap_or_else(|| environment.interpreter());
    let sandbox = probe_sandbox(settings, runners.readable(), &python).await?;
    Ok(Ground {
        work_folder: work_folder(folder)?,
        environment,
        runners,
        sandbox,
    })
}

/// Opens the journal for writing, which makes this process the holder of the data folder.
pub(crate) fn open_journal(folder: &Path) -> anyhow::Result<Journal> {
    let store = Sqlite::new(folder.to_owned());
    Ok(Journal::open(Arc::new(store), &SystemRandom)?)
}

/// What is known of all tasks: a file in the data folder. Without an embedding model.
pub(crate) fn offline(settings: &Settings) -> Offline {
    Offline::at(settings.data_dir.join("knowledge.db"))
}

/// Opens the journal for reading only, also beside a process that writes. None if there is none.
pub(crate) fn read_journal(settings: &Settings) -> anyhow::Result<Option<Journal>> {
    let store = Sqlite::new(settings.data_dir.clone());
    if !store.exists()? {
        return Ok(None);
    }
    Ok(Some(Journal::open_read_only(Arc::new(store))?))
}

/// The process id of the holder of a data folder, if there is one; 0 if it is unknown.
pub(crate) fn holding_process(folder: &Path) -> Option<u32> {
    Sqlite::new(folder.to_owned()).process()
}

/// Prepares Python, the sandbox and the model. Fails with [`space::NoSpace`] if a disk is full. Code runs below
/// `folder`, which this process holds.
pub(crate) async fn work_setup(
    settings: &Settings,
    folder: &Path,
    progress: &Arc<Progress>,
) -> anyhow::Result<WorkSetup> {
    check_model_server(settings)?;
    let telemetry = telemetry(settings)?;
    space::check(folder)?;
    let ground = ground(settings, folder, progress).await?;
    progress.prepare("looking for a model server");
    let server = connect(settings, &ground.environment, progress).await?;
    let models = Gateway::new(server, other_models(settings, &ground.environment)?);
    let registry = Registry::with_built_ins()?;
    let servers = tool_servers(settings, &registry, progress).await;
    let dispatcher = Dispatcher::new(registry, journeyman_tools::DispatcherOptions::default());
    let bus = Bus::start();
    let shown = progress.listen(&bus)?;
    progress.prepared();
    Ok(WorkSetup {
        worker_context: WorkerContext {
            models,
            slots: ModelSlots::new(settings.model_calls()),
            sandbox: ground.sandbox,
            runners: ground.runners,
            strategies: Strategies::new(Arc::new(WholeFile), Vec::new()),
            work_folder: ground.work_folder,
            tools: Toolbox::new(dispatcher, settings.tools.clone()),
            agents: AgentRegistry::default(),
            signals: telemetry.signals(),
            money: telemetry.money(),
        },
        telemetry,
        servers: Arc::new(servers),
        notices: Notices::new(bus, Arc::new(SystemStamp)),
        _shown: shown,
    })
}

/// The metrics, with the prices and budgets of the settings. Nothing is counted yet.
pub(crate) fn telemetry(settings: &Settings) -> anyhow::Result<Telemetry> {
    let (prices, budgets) = match &settings.money_file {
        Some(path) => {
            let read = Prices::read(path);
            read.map_err(|error| UsageError(error.to_string()))?
        }
        None => Default::default(),
    };
    let configured = settings.models.iter();
    let configured =
        configured.filter_map(|model| Some((model.name.clone(), model.price.clone()?)));
    Ok(Telemetry::new(journeyman_metrics::TelemetryOptions {
        stamp: Arc::new(SystemStamp),
        time: Arc::new(SystemTime),
        prices: prices.with_configured(configured.collect()),
        budgets,
        otlp: settings
            .otlp
            .as_ref()
            .map(|config| otlp(config, settings))
            .transpose()?,
    })?)
}

/// The export of traces and metrics, checked.
fn otlp(config: &OtlpConfig, settings: &Settings) -> anyhow::Result<OtlpOptions> {
    let headers = config.headers.iter().map(|(name, reference)| {
        let value = read_secret(reference);
        let value = value.with_context(|| format!("otlp.headers: {name}"))?;
        Ok((name.clone(), value))
    });
    let options = OtlpOptions {
        endpoint: config.endpoint.clone(),
        headers: headers.collect::<anyhow::Result<_>>()?,
        interval: config.interval,
        position_file: Some(settings.data_dir.join("otlp-position")),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let checked = options.check();
    checked.map_err(|error| UsageError(format!("otlp.endpoint or otlp.headers: {error}")))?;
    Ok(options)
}

/// Connects to the configured servers. A task that begins should find their tools: they have a moment.
async fn tool_servers(settings: &Settings, registry: &Registry, progress: &Progress) -> McpServers {
    let servers = start_servers(settings, registry);
    if !settings.mcp_servers.is_empty() {
        progress.prepare("connecting to MCP servers");
        // A server that connects later is available to later calls.
        let _ = tokio::time::timeout(SERVERS_TIME, settled(&servers)).await;
        for server in servers.status() {
            match server.state {
                ServerState::Ready => {}
                ServerState::Connecting => {
                    progress.say(&format!("MCP server {}: not there yet", server.name));
                }
                ServerState::Unavailable { why } => {
                    progress.say(&format!("MCP server {}: not there: {why}", server.name));
                }
            }
        }
    }
    servers
}

/// Starts to connect to the configured servers.
pub(crate) fn start_servers(settings: &Settings, registry: &Registry) -> McpServers {
    let host = Host {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        environment: std::env::vars().collect(),
    };
    McpServers::start(settings.mcp_servers.clone(), registry, host)
}

/// Waits until every server was tried once, up to the limit.
pub(crate) async fn settled(servers: &McpServers) {
    let is_settled = |one: &ServerStatus| one.state != ServerState::Connecting || one.restarts > 0;
    let mut statuses = servers.watch();
    // An error means that the connections have ended.
    let _ = statuses.wait_for(|all| all.values().all(is_settled)).await;
}

pub(crate) async fn ensure_python(
    settings: &Settings,
    progress: &Arc<Progress>,
) -> anyhow::Result<Environment> {
    let report = |step: journeyman_fetch::Progress| progress.fetch(&step);
    let ensured = python::prepare(&settings.data_dir, &report).await;
    if ensured.is_err() {
        // Python's own tools often hide why they failed.
        space::check(&settings.data_dir)?;
    }
    Ok(ensured?)
}

pub(crate) async fn probe_sandbox(
    settings: &Settings,
    readable: Vec<PathBuf>,
    python: &Path,
) -> anyhow::Result<Sandbox> {
    space::check(&settings.data_dir)?;
    let options = sandbox_options(settings, readable)?;
    Ok(Sandbox::probe(options, python).await?)
}

fn sandbox_options(
    settings: &Settings,
    readable: Vec<PathBuf>,
) -> anyhow::Result<journeyman_sandbox::SandboxOptions> {
    let launcher = Launcher {
        program: own_program()?,
        arguments: vec![SANDBOX_COMMAND.into()],
    };
    Ok(journeyman_sandbox::SandboxOptions {
        minimum: settings.sandbox_minimum,
        readable,
        tasks: Some(settings.data_dir.clone()),
        ..journeyman_sandbox::SandboxOptions::new(launcher)
    })
}

/// Deletes the folder for running code. Only the holder of the data folder uses it and may call this, so anything in it
/// was left by a crash.
pub(crate) fn delete_work_folder(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let folder = data_dir.join("work");
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot empty {}", folder.display()))
        }
        _ => Ok(folder),
    }
}

/// The folder for running code, emptied.
fn work_folder(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let folder = delete_work_folder(data_dir)?;
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Checks the settings of the model server before anything is prepared. Invalid ones are a usage error.
fn check_model_server(settings: &Settings) -> anyhow::Result<()> {
    let usage = |error: String| UsageError(format!("--model-url: {error}"));
    match settings.model_url.as_deref() {
        Some(url) if url.starts_with("sim:") => {
            url.parse::<Script>()
                .map_err(|error| usage(error.to_string()))?;
        }
        _ => journeyman_llm::check(&connection(settings)?)
            .map_err(|error| UsageError(error.to_string()))?,
    }
    Ok(())
}

/// Prepares Python and connects to the default model alone.
pub(crate) async fn default_model(
    settings: &Settings,
    progress: &Arc<Progress>,
) -> anyhow::Result<Arc<dyn ModelServer>> {
    check_model_server(settings)?;
    let environment = ensure_python(settings, progress).await?;
    progress.prepare("looking for a model server");
    let server = connect(settings, &environment, progress).await?;
    progress.prepared();
    Ok(server)
}

async fn connect(
    settings: &Settings,
    environment: &Environment,
    progress: &Arc<Progress>,
) -> anyhow::Result<Arc<dyn ModelServer>> {
    if let Some(url) = settings
        .model_url
        .as_deref()
        .filter(|url| url.starts_with("sim:"))
    {
        let script: Script = url.parse()?;
        return Ok(Arc::new(SimulatedModel::new(script)));
    }
    if !settings.model_required {
        let later = LazyServer::new(connection(settings)?, environment.clone());
        return Ok(Arc::new(later));
    }
    let report = |step: journeyman_fetch::Progress| progress.fetch(&step);
    let Connected { server, how } =
        journeyman_llm::connect(connection(settings)?, environment, &report).await?;
    progress.say(&how);
    Ok(server)
}

/// The models beside the default one.
fn other_models(settings: &Settings, environment: &Environment) -> anyhow::Result<Vec<Model>> {
    let all = settings.models.iter().map(|config| {
        let model = other_model(settings, config, environment);
        model.with_context(|| format!("model {}", config.name))
    });
    all.collect()
}

/// A model that is connected to when a call first needs it.
fn other_model(
    settings: &Settings,
    config: &ModelConfig,
    environment: &Environment,
) -> anyhow::Result<Model> {
    let server: Arc<dyn ModelServer> = if config.url.starts_with("sim:") {
        Arc::new(SimulatedModel::new(config.url.parse()?))
    } else {
        let connection = Connection {
            url: Some(config.url.clone()),
            model: config.model.clone(),
            api_key: config.api_key()?,
            context: Tokens(config.context),
            ..connection(settings)?
        };
        journeyman_llm::check(&connection)?;
        Arc::new(LazyServer::new(connection, environment.clone()))
    };
    Ok(Model {
        name: config.name.clone(),
        server,
        purposes: config.purposes.clone(),
    })
}

/// The model server's settings.
pub(crate) fn connection(settings: &Settings) -> anyhow::Result<Connection> {
    Ok(Connection {
        url: settings.model_url.clone(),
        model: settings.model.clone(),
        api_key: settings.api_key.clone(),
        context: Tokens(settings.model_context),
        data_dir: settings.data_dir.clone(),
        slots: settings.model_slots,
        idle: settings.model_idle,
        supervisor: SupervisorCommand {
            program: own_program()?,
            arguments: vec![ENGINE_COMMAND.into()],
        },
        hub: hub(settings),
    })
}

fn own_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find this program's own file")
}

/// The settings of the hub for models.
pub(crate) fn hub(settings: &Settings) -> Hub {
    Hub {
        endpoint: settings.hf_endpoint.clone(),
        token: settings.hf_token.clone(),
    }
}
