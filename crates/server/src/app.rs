//! The state shared by all handlers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use journeyman_api::ServedSetting;
use journeyman_event::Randomness;
use journeyman_hooks::Hooks;
use journeyman_metrics::Telemetry;
use journeyman_tasks::Tasks;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::guard::Hosts;
use crate::metrics::QueueMetrics;
use crate::metrics_feed::SharedMetrics;
use crate::mount::MountedProtocol;
use crate::send_budget::SendBudget;
use crate::tickets::Tickets;

/// Whether work can be done now, for `GET /ready`.
pub trait Readiness: Send + Sync + 'static {
    /// The reasons why not, each as a sentence; empty if there are none.
    fn obstacles(&self) -> Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>>;
}

/// External servers that provide tools.
pub trait ToolServers: Send + Sync + 'static {
    /// The status of each server as a JSON object, sorted by name.
    fn status(&self) -> Vec<serde_json::Value>;
}

/// Which protocols are available over TCP. All are available over the data folder's socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcpProtocols {
    /// All protocols are available.
    #[default]
    Everything,
    /// Only the mounted protocol.
    Mounted,
}

/// The timeouts for receiving requests.
#[derive(Clone, Copy, Debug)]
pub struct ClientTimeouts {
    /// For the head of a request, from the start of the connection or the end of the previous response. After
    /// that the connection is closed.
    pub head: Duration,
    /// For the body of a request, from the end of its head. After that the request is rejected.
    pub body: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            body: Duration::from_mins(1),
        }
    }
}

/// The parts and options of a server.
#[derive(Clone)]
pub struct ServerOptions {
    /// The operations on tasks that requests are turned into.
    pub tasks: Tasks,
    /// The hooks: the `on_end` command and webhooks.
    pub hooks: Hooks,
    /// Who may come in.
    pub auth: Auth,
    /// Under which names this server may be addressed.
    pub hosts: Hosts,
    /// Which protocols are available over TCP.
    pub tcp: TcpProtocols,
    /// The model server that tasks use.
    pub model: String,
    /// The settings that tasks use.
    pub settings: Vec<ServedSetting>,
    /// The metrics, and where the server emits its signals.
    pub telemetry: Telemetry,
    /// Whether work can be done now.
    pub readiness: Arc<dyn Readiness>,
    /// The most simultaneous connections that the process has file descriptors for; never more than 20,000.
    pub connections_max: usize,
    /// The timeouts for receiving requests.
    pub timeouts: ClientTimeouts,
    /// The source of randomness for tickets.
    pub randomness: Arc<dyn Randomness>,
    /// A protocol beside REST.
    pub mounted: Option<MountedProtocol>,
    /// How the external servers are whose tools agents may call.
    pub servers: Arc<dyn ToolServers>,
    /// Stops the server: nothing new is taken, what is open is closed.
    pub stop: CancellationToken,
}

/// The state shared by all requests.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) tasks: Tasks,
    pub(crate) hooks: Hooks,
    pub(crate) auth: Auth,
    pub(crate) hosts: Hosts,
    pub(crate) tcp: TcpProtocols,
    pub(crate) model: String,
    pub(crate) settings: Vec<ServedSetting>,
    pub(crate) telemetry: Telemetry,
    /// The metrics that WebSocket clients subscribe to.
    pub(crate) metrics: Arc<SharedMetrics>,
    /// The number of requests measured.
    pub(crate) requests: AtomicU64,
    pub(crate) readiness: Arc<dyn Readiness>,
    pub(crate) servers: Arc<dyn ToolServers>,
    pub(crate) mounted: Option<MountedProtocol>,
    pub(crate) tickets: Tickets,
    /// What waits to get out to clients.
    pub(crate) send_budget: SendBudget,
    /// The open WebSocket connections.
    pub(crate) sockets: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl App {
    pub(crate) fn new(options: ServerOptions) -> Self {
        let queue = QueueMetrics(options.tasks.clone());
        options.telemetry.add_source(Arc::new(queue));
        Self(Arc::new(Shared {
            tasks: options.tasks,
            hooks: options.hooks,
            auth: options.auth,
            hosts: options.hosts,
            tcp: options.tcp,
            model: options.model,
            settings: options.settings,
            metrics: SharedMetrics::new(options.telemetry.clone()),
            telemetry: options.telemetry,
            requests: AtomicU64::new(0),
            readiness: options.readiness,
            servers: options.servers,
            mounted: options.mounted,
            tickets: Tickets::new(options.randomness),
            send_budget: SendBudget::new(),
            sockets: TaskTracker::new(),
            stop: options.stop,
        }))
    }
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}
