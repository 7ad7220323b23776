//! Tasks over HTTP: REST with an `OpenAPI` document made from the code, server-sent events, WebSocket, and
//! whatever protocol is mounted beside them.
//!
//! Floor 7. One process and one port for every protocol, behind all of them the same journal and the
//! same cursor: a sequence. This crate turns requests into calls of [`journeyman_tasks::Tasks`] and
//! reads of the journal, and nothing else: it decides nothing about a task and appends no event. Who
//! asks is settled once, at the door (`door.rs`, `guard.rs`); everything behind it takes a principal.

mod answers;
mod app;
mod body;
mod connections;
mod door;
mod events;
mod feed;
mod files;
mod forks;
mod guard;
mod health;
mod interventions;
mod listener;
mod mount;
mod pace;
mod page;
mod problem;
mod query;
mod queue;
mod request_id;
mod room;
mod routes;
mod settings;
mod socket;
mod stream;
mod tasks;
mod tickets;
mod tools;
mod view;
mod websocket;

pub use app::{Options, Patience, Readiness, TcpOffer, ToolServers};
pub use door::{BadTokens, Door, Role, TokenFile, TokenLine};
pub use guard::Hosts;
pub use listener::serve;
pub use mount::Mounted;
pub use routes::openapi;
pub use tools::tool_list;
pub use view::summary;
