//! One connection to a server as used by its tools: limits concurrent calls, counts consecutive timeouts, and
//! detects its end.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult};
use rmcp::service::{Peer, RoleClient, ServiceError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::config::ServerConfig;
use super::error_text::{send_error_text, text_with_causes};
use crate::{Arguments, ServerName, ToolError};

/// How many consecutive timeouts lead to a new connection.
const TIMEOUTS_MAX: u32 = 3;

/// The most calls that wait for a slot.
const WAITING_MAX: usize = 64;

/// A connection to a server.
pub(super) struct Connection {
    server: ServerName,
    peer: Peer<RoleClient>,
    places: Semaphore,
    /// Slots for running and waiting calls together.
    admitted: Semaphore,
    pub(super) limit: Duration,
    pub(super) result_bytes_max: usize,
    timeouts: AtomicU32,
    answered: AtomicBool,
    /// Cancelled when the connection must no longer be used.
    over: CancellationToken,
    why_over: std::sync::OnceLock<String>,
}

impl Connection {
    pub(super) fn new(server: ServerName, peer: Peer<RoleClient>, config: &ServerConfig) -> Self {
        Self {
            server,
            peer,
            places: Semaphore::new(config.concurrent_max),
            admitted: Semaphore::new(config.concurrent_max + WAITING_MAX),
            limit: config.timeout,
            result_bytes_max: config.result_bytes_max,
            timeouts: AtomicU32::new(0),
            answered: AtomicBool::new(false),
            over: CancellationToken::new(),
            why_over: std::sync::OnceLock::new(),
        }
    }

    /// Marks the connection as unusable. Calls in progress end.
    pub(super) fn end(&self, why: &str) {
        let _ = self.why_over.set(why.to_owned());
        self.over.cancel();
    }

    /// Waits until the connection is unusable and returns the reason.
    pub(super) async fn ended(&self) -> String {
        self.over.cancelled().await;
        self.why_over.get().cloned().unwrap_or_default()
    }

    /// Whether any call was answered on this connection.
    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Calls a tool. If the future is dropped or the call times out, the server is sent a cancellation.
    pub(super) async fn call(
        &self,
        tool: String,
        arguments: Arguments,
    ) -> Result<CallToolResult, ToolError> {
        let server = &self.server;
        let busy = || {
            let why = format!("the server {server} is busy with other calls; try again later");
            ToolError::Unavailable(why)
        };
        let _admitted = self.admitted.try_acquire().map_err(|_| busy())?;
        // The server has all of its time for each call: what waits here is not its fault.
        let place = tokio::time::timeout(self.limit, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(busy());
        };
        let request = CallToolRequestParams::new(tool).with_arguments(arguments);
        let answer = tokio::select! {
            biased;
            answer = tokio::time::timeout(self.limit, self.peer.call_tool_once(request)) => answer,
            why = self.ended() => return Err(self.gone(&why)),
        };
        let Ok(answer) = answer else {
            let row = self.timeouts.fetch_add(1, Ordering::Relaxed) + 1;
            if row >= TIMEOUTS_MAX {
                self.end(&format!("it did not answer {row} calls in a row"));
            }
            return Err(ToolError::TimedOut(self.limit));
        };
        match answer {
            Err(ServiceError::TransportClosed) => {
                self.end("it ended during a call");
                Err(self.gone("it ended during the call"))
            }
            Err(ServiceError::TransportSend(error)) => {
                let why = send_error_text(&error);
                self.end(&why);
                Err(self.gone(&why))
            }
            answer => {
                self.timeouts.store(0, Ordering::Relaxed);
                self.answered.store(true, Ordering::Relaxed);
                answered(answer)
            }
        }
    }

    fn gone(&self, why: &str) -> ToolError {
        let server = &self.server;
        ToolError::Unavailable(format!(
            "the server {server} is gone: {why}; whether the call was done is not known"
        ))
    }
}

fn answered(answer: Result<CallToolResponse, ServiceError>) -> Result<CallToolResult, ToolError> {
    let problem = match answer {
        Ok(CallToolResponse::Complete(result)) => return Ok(result),
        Ok(CallToolResponse::InputRequired(_)) => {
            "it asks for more input in the middle of a call, which it does not get".to_owned()
        }
        Ok(_) => "it answers with something other than a result".to_owned(),
        Err(ServiceError::McpError(error)) => {
            format!("refused by its server: {}", text_with_causes(&error))
        }
        Err(error) => text_with_causes(&error),
    };
    Err(ToolError::Failed(problem))
}
