//! What holds the data folder: the tasks, worked on in this process, the server that others reach them by, and who
//! tells what happens to them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context;
use journeyman_bus::Bus;
use journeyman_hooks::{Hooks, HooksOptions, RetryPolicy, SystemLookup};
use journeyman_journal::Journal;
use journeyman_llm::ModelServer;
use journeyman_metrics::Telemetry;
use journeyman_server::{
    Auth, ClientTimeouts, Hosts, MountedProtocol, Readiness, ServerOptions, TcpProtocols,
    ToolServers,
};
use journeyman_signal::Signals;
use journeyman_tasks::{EndedTasks, Retention, ShutdownReason, Tasks, TasksOptions};
use journeyman_tools::McpServers;
use journeyman_workflow::Notices;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::descriptors;
use crate::embedding::searchable;
use crate::environment::{SystemRandom, SystemStamp, SystemTime};
use crate::exit::exit_code;
use crate::settings::Settings;
use crate::socket::Place;
use crate::usage::Usage;
use crate::wiring::{WorkSetup, telemetry};

/// The time limit for the model server to answer the readiness check.
const MODEL_TIME: Duration = Duration::from_secs(2);

/// The interval of checks of states that cause no event.
const LOOK: Duration = Duration::from_secs(1);

/// How often the rules of retention are applied.
const RETENTION_LOOK: Duration = Duration::from_secs(5);

/// The tasks and the server, until [`Holder::close`].
pub(crate) struct Holder {
    pub(crate) tasks: Tasks,
    pub(crate) hooks: Hooks,
    pub(crate) telemetry: Telemetry,
    stop: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
    retention: JoinHandle<()>,
    /// Progress is shown for as long as this lives. None if nothing is worked on.
    work_setup: Option<WorkSetup>,
}

/// Where the server listens, and who may use it.
pub(crate) struct Endpoints {
    pub(crate) tcp: Option<TcpListener>,
    pub(crate) auth: Auth,
    pub(crate) offer: TcpProtocols,
}

impl Endpoints {
    /// Only the data folder's socket.
    pub(crate) fn local() -> Self {
        Self {
            tcp: None,
            auth: Auth::open(),
            offer: TcpProtocols::default(),
        }
    }
}

impl Holder {
    /// Starts the task service with an empty queue, and the server.
    pub(crate) async fn start(
        settings: &Settings,
        journal: Journal,
        work_setup: WorkSetup,
        endpoints: Endpoints,
    ) -> anyhow::Result<Self> {
        let server = Arc::clone(work_setup.worker_context.models.default_server());
        let model = match tokio::time::timeout(MODEL_TIME, server.describe()).await {
            Ok(Ok(info)) => info.name,
            _ => settings.model.clone(),
        };
        Self::open(settings, journal, model, Ok(work_setup), endpoints).await
    }

    /// Answers from now on and works on nothing, for this reason: what is submitted and can be recorded
    /// waits.
    pub(crate) async fn start_idle(
        settings: &Settings,
        journal: Journal,
        why: String,
        endpoints: Endpoints,
    ) -> anyhow::Result<Self> {
        let model = settings.model.clone();
        Self::open(settings, journal, model, Err(why), endpoints).await
    }

    async fn open(
        settings: &Settings,
        journal: Journal,
        model: String,
        work_setup: Result<WorkSetup, String>,
        endpoints: Endpoints,
    ) -> anyhow::Result<Self> {
        let place = Place::of(&settings.data_dir)?;
        let socket = place
            .listen()
            .with_context(|| format!("cannot listen on {}", place.path().display()))?;
        // Before any task runs, so that no event is missed.
        let hooks = Hooks::start(hooks_options(settings, journal.clone())).await;
        let telemetry = match &work_setup {
            Ok(work_setup) => work_setup.telemetry.clone(),
            Err(_) => telemetry(settings)?,
        };
        telemetry.attach(journal.clone())?;
        let worker_context = work_setup
            .as_ref()
            .ok()
            .map(|work_setup| &work_setup.worker_context);
        let tasks = Tasks::start(
            TasksOptions {
                journal,
                time: Arc::new(SystemTime),
                randomness: Arc::new(SystemRandom),
                notices: match &work_setup {
                    Ok(work_setup) => work_setup.notices.clone(),
                    Err(_) => Notices::new(Bus::start(), Arc::new(SystemStamp)),
                },
                knowledge: searchable(settings)?,
                worker_context: worker_context.cloned(),
            },
            &settings.queue,
        );
        let stop = CancellationToken::new();
        let watch = tokio::spawn(watch(tasks.clone(), telemetry.signals(), stop.clone()));
        let retention = tokio::spawn(retain(tasks.clone(), settings.retention, stop.clone()));
        let servers = work_setup
            .as_ref()
            .map(|made| Arc::downgrade(&made.servers));
        let options = ServerOptions {
            tasks: tasks.clone(),
            hooks: hooks.clone(),
            auth: endpoints.auth,
            hosts: Hosts::allow(settings.allowed_hosts.iter().cloned()),
            tcp: endpoints.offer,
            model,
            settings: settings.served(),
            telemetry: telemetry.clone(),
            readiness: Arc::new(Ready {
                server: match &work_setup {
                    Ok(work_setup) => Ok(Arc::clone(
                        work_setup.worker_context.models.default_server(),
                    )),
                    Err(why) => Err(why.clone()),
                },
                tasks: tasks.clone(),
                watch,
            }),
            connections_max: descriptors::connections_max(settings.queue.max_concurrent),
            timeouts: ClientTimeouts::default(),
            mounted: Some(MountedProtocol {
                name: "MCP",
                path: journeyman_mcp::PATH,
                page: journeyman_mcp::PAGE,
                router: journeyman_mcp::router(stop.clone(), &journeyman_language::names()),
            }),
            servers: Arc::new(Servers(servers.unwrap_or_default())),
            randomness: Arc::new(SystemRandom),
            stop: stop.clone(),
        };
        let server = tokio::spawn(async move {
            let served = journeyman_server::serve(options, endpoints.tcp, socket).await;
            drop(place);
            served
        });
        Ok(Self {
            tasks,
            hooks,
            telemetry,
            stop,
            server,
            retention,
            work_setup: work_setup.ok(),
        })
    }

    /// Lets running tasks come to an event boundary, and deliveries under way come to their end; then answers no
    /// more.
    pub(crate) async fn close(self, grace: Duration, ending: ShutdownReason) -> anyhow::Result<()> {
        tokio::join!(self.tasks.shut_down(grace, ending), self.hooks.close(grace));
        self.stop.cancel();
        self.retention.await?;
        self.server.await?.context("the server ended")?;
        self.telemetry.close().await;
        // Servers that we started have a moment to end by themselves.
        let servers = self.work_setup.map(|work_setup| work_setup.servers);
        if let Some(servers) = servers.and_then(Arc::into_inner) {
            servers.shutdown().await;
        }
        Ok(())
    }
}

/// The options of the hooks in the settings.
fn hooks_options(settings: &Settings, journal: Journal) -> HooksOptions {
    HooksOptions {
        data_dir: Some(settings.data_dir.clone()),
        journal,
        time: Arc::new(SystemTime),
        randomness: Arc::new(SystemRandom),
        on_end: settings.on_end.clone(),
        webhooks: settings.webhooks.clone(),
        networks: settings.webhook_networks.clone(),
        lookup: Arc::new(SystemLookup),
        // Variables that are not UTF-8 are left out.
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        exit_code,
        retry_policy: RetryPolicy::default(),
    }
}

/// The status of the external servers. A weak reference, so that an open connection does not keep them running.
struct Servers(Weak<McpServers>);

impl ToolServers for Servers {
    fn status(&self) -> Vec<serde_json::Value> {
        let all = self.0.upgrade().map(|servers| servers.status());
        let all = all.unwrap_or_default();
        all.iter()
            .filter_map(|one| serde_json::to_value(one).ok())
            .collect()
    }
}

/// Tells the queue now and then how many calls wait for the model, looks whether a journal that took no
/// events takes them again, and whether a task is recorded as going on and in no queue.
async fn watch(tasks: Tasks, signals: Signals, stop: CancellationToken) {
    let mut usage = Usage::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
        tokio::join!(tasks.note_waiting_calls(), tasks.probe_journal());
        usage.emit(&tasks, &signals);
        if let Err(error) = tasks.requeue_lost().await {
            tracing::debug!(%error, "whether a task is lost cannot be seen now");
        }
    }
}

/// Completes interrupted erasures and applies the rules of retention, until `stop`. A run that is under way then ends between
/// two of its steps; the next process continues it.
async fn retain(tasks: Tasks, rules: Retention, stop: CancellationToken) {
    let (mut ended, mut was_over) = (EndedTasks::default(), false);
    loop {
        let look = async {
            tasks.finish_erasures().await?;
            tasks.apply_retention(rules, &mut ended).await
        };
        let looked = tokio::select! {
            looked = look => looked,
            () = stop.cancelled() => return,
        };
        match looked {
            Ok(retained) => {
                let is_over = retained.bytes_over > 0;
                if is_over && !was_over {
                    tracing::warn!(
                        bytes = retained.bytes_over,
                        "tasks exceed retention.bytes by this number of bytes, and none is left that may be erased"
                    );
                }
                was_over = is_over;
            }
            Err(error) => tracing::warn!(%error, "erasures wait"),
        }
        tokio::select! {
            () = tokio::time::sleep(RETENTION_LOOK) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Whether the model server answers, the journal takes events, and all that tasks need is alive. The
/// sandbox was probed before.
struct Ready {
    /// The model server, or the reason for not working on tasks.
    server: Result<Arc<dyn ModelServer>, String>,
    tasks: Tasks,
    watch: JoinHandle<()>,
}

impl Readiness for Ready {
    fn obstacles(&self) -> std::pin::Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>> {
        Box::pin(async {
            let mut obstacles = Vec::new();
            match &self.server {
                Err(why) => obstacles.push(why.clone()),
                Ok(server) => match tokio::time::timeout(MODEL_TIME, server.describe()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => obstacles.push(format!("model server: {error}")),
                    Err(_) => obstacles.push("model server: it does not answer".to_owned()),
                },
            }
            obstacles.extend(self.tasks.obstacles());
            if self.watch.is_finished() {
                let ended = "server: its watchdog has ended; restart journeyman";
                obstacles.push(ended.to_owned());
            }
            obstacles
        })
    }
}
