//! Tasks over HTTP: REST with an `OpenAPI` document made from the code, server-sent events, WebSocket, and
//! whatever protocol is mounted beside them.
//!
//! Floor 7. One process and one port for every protocol, behind all of them the same journal and the
//! same cursor: a sequence. This crate turns requests into calls of [`journeyman_tasks::Tasks`] and
//! reads of the journal, and nothing else: it decides nothing about a task and appends no event. Who
//! asks is settled once, at the door (`auth.rs`, `guard.rs`); everything behind it takes a principal.

mod answers;
mod app;
mod auth;
mod body;
mod connections;
mod events;
mod feed;
mod files;
mod forks;
mod guard;
mod health;
mod interventions;
mod listener;
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
pub use guard::Hosts;
pub use listener::serve;
pub use mount::MountedProtocol;
pub use routes::openapi;
pub use tools::tool_list;
pub use view::summary;
