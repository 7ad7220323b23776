//! The Model Context Protocol, in its revisions up to 2026-07-28: over HTTP ([`router`]), and over standard input
//! and output ([`serve_stdio`]).
//!
//! Floor 7, beside `server`, which it does not know. It stores nothing about tasks. Tools, resources and the
//! protocol's own tasks are mapped to requests of the REST API, which are made as the authenticated client
//! ([`AuthenticatedClient`]). Access rights and durability are handled there.

#![allow(deprecated)] // subscribing and logging as clients of the revisions before 2026-07-28 do

mod catalogue;
#[cfg(feature = "conformance")]
mod conformance;
mod handler;
mod http;
mod json_rpc;
mod lenient;
mod prompts;
mod resources;
mod schema;
mod session;
mod sessions;
mod stdio;
mod tasks;
mod tools;
mod wait;

use std::sync::Arc;

use axum::http::request::Parts;
use journeyman_api::{AuthenticatedClient, Client};
use rmcp::model::Tool;
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServiceExt};
use tokio_util::sync::CancellationToken;

pub use http::{PAGE, PATH, router};

use session::Session;

/// How requests reach the REST API.
#[derive(Clone)]
enum RestAccess {
    /// As the client that made the MCP request ([`AuthenticatedClient`]), until this process stops.
    InProcess(CancellationToken),
    /// Always through this connection.
    Remote(Client),
}

/// The MCP server for one client.
#[derive(Clone)]
struct Mcp {
    reach: RestAccess,
    tools: Arc<Vec<Tool>>,
    session: Arc<Session>,
}

/// Serves one client over standard input and output, until it goes away. What it sends and is no message is answered with
/// an error of JSON-RPC's. `languages` are the names of the programming
/// languages that there are, as tools tell them.
pub async fn serve_stdio(api: Client, languages: &[&str]) -> std::io::Result<()> {
    let (input, output) = rmcp::transport::stdio();
    let (service, carry) = stdio::checked(input, output);
    let serve = async {
        let mcp = Mcp::new(RestAccess::Remote(api), languages);
        let running = mcp.serve(tokio::io::split(service)).await;
        let ended = running.map_err(std::io::Error::other)?.waiting().await;
        ended.map(drop).map_err(std::io::Error::other)
    };
    let (served, carried) = tokio::join!(serve, carry);
    served.and(carried)
}

impl Mcp {
    fn new(reach: RestAccess, languages: &[&str]) -> Self {
        Self {
            reach,
            tools: Arc::new(catalogue::all(&schema::Schemas::new(languages))),
            session: Arc::default(),
        }
    }

    /// The same for another client.
    fn for_another(&self) -> Self {
        Self {
            session: Arc::default(),
            ..self.clone()
        }
    }

    /// Waits until this process stops.
    async fn stopped(&self) {
        match &self.reach {
            RestAccess::InProcess(stop) => stop.cancelled().await,
            RestAccess::Remote(_) => std::future::pending().await,
        }
    }

    /// Access to the REST API as the client that sent this request.
    fn api(&self, context: &RequestContext<RoleServer>) -> Result<Client, ErrorData> {
        match &self.reach {
            RestAccess::Remote(api) => Ok(api.clone()),
            RestAccess::InProcess(_) => {
                let parts = context.extensions.get::<Parts>();
                let visitor = parts.and_then(|parts| parts.extensions.get::<AuthenticatedClient>());
                let nobody =
                    || ErrorData::invalid_request("the request has no authenticated sender", None);
                Ok(visitor.ok_or_else(nobody)?.rest.clone())
            }
        }
    }
}
