//! Tasks over HTTP: REST with an `OpenAPI` document generated from the code, server-sent events, WebSocket, and
//! other protocols mounted beside them.
//!
//! Floor 7. All protocols share one process and port, the same journal and the same cursor, a sequence number. This
//! crate translates requests to calls of [`journeyman_tasks::Tasks`] and to reads of the journal. It makes no
//! decisions about tasks and appends no events. Callers are authenticated once, at the entry (`auth.rs`,
//! `guard.rs`); everything behind it takes a principal.

mod answers;
mod app;
mod auth;
mod body;
mod conditions;
mod connections;
mod erasure;
mod events;
mod feed;
mod files;
mod forks;
mod guard;
mod health;
mod hooks;
mod interventions;
mod knowledge;
mod listener;
mod measure;
mod metrics;
mod metrics_feed;
mod mount;
mod page;
mod problem;
mod query;
mod queue;
mod request_id;
mod routes;
mod send_budget;
mod settings;
mod socket;
mod stall_timeout;
mod stream;
mod tasks;
mod tickets;
mod tools;
mod view;
mod websocket;

pub use app::{ClientTimeouts, Readiness, ServerOptions, TcpProtocols, ToolServers};
pub use auth::{Auth, TokenFile, TokenFileError, TokenLine, UserRole};
pub use erasure::erased;
pub use guard::Hosts;
pub use knowledge::{context_view, diff_view, graph_view, search_view, summary_view};
pub use listener::serve;
pub use mount::MountedProtocol;
pub use routes::openapi;
pub use tools::tool_list;
pub use view::summary;
