//! What every handler has at hand.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use journeyman_api::ServedSetting;
use journeyman_event::Randomness;
use journeyman_tasks::Tasks;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Auth;
use crate::guard::Hosts;
use crate::mount::MountedProtocol;
use crate::send_budget::SendBudget;
use crate::tickets::Tickets;

/// Whether work can be done now. Asked by `GET /ready`.
pub trait Readiness: Send + Sync + 'static {
    /// What stands in the way, each as a sentence; nothing if all is well.
    fn obstacles(&self) -> Pin<Box<dyn Future<Output = Vec<String>> + Send + '_>>;
}

/// External servers that bring tools.
pub trait ToolServers: Send + Sync + 'static {
    /// How each is, in the order of their names, as JSON objects.
    fn status(&self) -> Vec<serde_json::Value>;
}

/// What answers over TCP. Over the data folder's socket everything does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcpProtocols {
    /// Every protocol.
    #[default]
    Everything,
    /// The mounted protocol alone.
    Mounted,
}

/// How long a client is waited for.
#[derive(Clone, Copy, Debug)]
pub struct ClientTimeouts {
    /// For a request's head, also the first one's, and the next one's after an answer. Then the connection
    /// is closed.
    pub head: Duration,
    /// For a request's body, from when its head is there. Then it is refused.
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

/// What a server needs.
#[derive(Clone)]
pub struct ServerOptions {
    /// The tasks.
    pub tasks: Tasks,
    /// Who may come in.
    pub auth: Auth,
    /// Under which names this server may be addressed.
    pub hosts: Hosts,
    /// What answers over TCP.
    pub tcp: TcpProtocols,
    /// The model that tasks are worked on with.
    pub model: String,
    /// The settings that tasks are worked on with.
    pub settings: Vec<ServedSetting>,
    /// Whether work can be done now.
    pub readiness: Arc<dyn Readiness>,
    /// Connections at the same time that the process has descriptors for; 20,000 at the most in any case.
    pub connections_max: usize,
    /// How long a client is waited for.
    pub timeouts: ClientTimeouts,
    /// Where tickets come from.
    pub randomness: Arc<dyn Randomness>,
    /// A protocol beside REST.
    pub mounted: Option<MountedProtocol>,
    /// How the external servers are whose tools agents may call.
    pub servers: Arc<dyn ToolServers>,
    /// Stops the server: nothing new is taken, what is open is closed.
    pub stop: CancellationToken,
}

/// Shared by every request.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) tasks: Tasks,
    pub(crate) auth: Auth,
    pub(crate) hosts: Hosts,
    pub(crate) tcp: TcpProtocols,
    pub(crate) model: String,
    pub(crate) settings: Vec<ServedSetting>,
    pub(crate) readiness: Arc<dyn Readiness>,
    pub(crate) servers: Arc<dyn ToolServers>,
    pub(crate) mounted: Option<MountedProtocol>,
    pub(crate) tickets: Tickets,
    /// What waits to get out to clients.
    pub(crate) send_budget: SendBudget,
    /// The sockets that are open.
    pub(crate) sockets: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl App {
    pub(crate) fn new(options: ServerOptions) -> Self {
        Self(Arc::new(Shared {
            tasks: options.tasks,
            auth: options.auth,
            hosts: options.hosts,
            tcp: options.tcp,
            model: options.model,
            settings: options.settings,
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
