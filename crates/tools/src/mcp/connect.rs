//! Connects to a server: starts or reaches it, and initialises the MCP session.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use rmcp::service::{ClientCacheConfig, RoleClient, RunningService, serve_client};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::child::{self, Child};
use super::config::Endpoint;
use super::error_text::initialization_error_text;
use super::guard::Guard;
use super::handler::Handler;
use super::http::Http;
use super::servers::Host;
use crate::ServerName;

/// The largest message accepted from a server, in bytes.
pub(super) const MESSAGE_MAX: usize = 16 << 20;
/// The timeout for connecting to a server over the network.
const CONNECT: Duration = Duration::from_secs(5);
/// The number of attempts to resume an interrupted answer, and the first wait between them, which doubles.
const ATTEMPTS: usize = 4;
const ATTEMPT_FIRST: Duration = Duration::from_millis(250);
/// The most redirects that are followed, all within one origin.
const HOPS_MAX: usize = 5;

/// A server with an initialised session.
pub(super) struct Greeted {
    pub(super) running: RunningService<RoleClient, Handler>,
    pub(super) child: Option<Child>,
    /// Notified when the server reports that its tools changed.
    pub(super) changed: Arc<Notify>,
    /// Cancelled if the connection is closed because the server sends too many requests.
    pub(super) too_much: CancellationToken,
}

/// Connects to a server, without a time limit of its own. If the future is dropped, no process is left behind.
pub(super) async fn connect(
    server: &ServerName,
    endpoint: &Endpoint,
    host: &Host,
) -> Result<Greeted, String> {
    let changed = Arc::new(Notify::new());
    let too_much = CancellationToken::new();
    let guarded = too_much.clone();
    let handler = Handler::new(&host.name, &host.version, changed.clone());
    let (running, child) = match endpoint {
        Endpoint::Command {
            command,
            args,
            env,
            cwd,
        } => {
            let cwd = cwd.as_deref();
            let (child, (stdout, stdin)) =
                child::start(server, command, args, env, cwd, &host.environment)?;
            let streams =
                AsyncRwTransport::new_client(stdout, stdin).with_max_line_length(MESSAGE_MAX);
            let streams = Guard::new(streams, guarded);
            (serve_client(handler, streams).await, Some(child))
        }
        Endpoint::Url {
            url,
            headers,
            bearer_env,
        } => {
            let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                .custom_headers(headers.clone())
                .max_sse_event_size(MESSAGE_MAX);
            if let Some(token) = token(bearer_env.as_deref(), &host.environment)? {
                config = config.auth_header(token);
            }
            // A server that is gone for good is not waited for until the call's time is over.
            let mut attempts = ExponentialBackoff::default();
            attempts.max_times = Some(ATTEMPTS);
            attempts.base_duration = ATTEMPT_FIRST;
            config.retry_config = Arc::new(attempts);
            let client = http_client().map_err(|error| error.to_string())?;
            let transport = StreamableHttpClientTransport::with_client(Http(client), config);
            let transport = Guard::new(transport, guarded);
            (serve_client(handler, transport).await, None)
        }
    };
    let running = running.map_err(|error| initialization_error_text(&error))?;
    // Responses of a server are stored here within limits, and must not be cached by the library.
    let nothing_kept = ClientCacheConfig::disabled();
    running.set_response_cache_config(nothing_kept).await;
    Ok(Greeted {
        running,
        child,
        changed,
        too_much,
    })
}

fn token<'a>(
    variable: Option<&str>,
    environment: &'a BTreeMap<String, String>,
) -> Result<Option<&'a str>, String> {
    let Some(variable) = variable else {
        return Ok(None);
    };
    match environment.get(variable) {
        Some(token) if !token.is_empty() => Ok(Some(token)),
        _ => Err(format!(
            "the variable {variable}, which is to have its token, is not set"
        )),
    }
}

/// Builds an HTTP client that follows redirects only within one origin, because the configured headers are
/// meant only for the configured server.
fn http_client() -> reqwest::Result<reqwest::Client> {
    let policy = Policy::custom(|attempt| {
        let from = attempt.previous().last();
        let same = from.is_some_and(|from| from.origin() == attempt.url().origin());
        if !same {
            attempt.error("it leads to another server")
        } else if attempt.previous().len() > HOPS_MAX {
            attempt.error("it leads on without end")
        } else {
            attempt.follow()
        }
    });
    journeyman_http::client_builder()
        .connect_timeout(CONNECT)
        .redirect(policy)
        .build()
}
