//! The state kept for a connected client, if its protocol revision has sessions: its log level and the resources it
//! watches. Nothing about tasks is stored here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rmcp::RoleServer;
use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam, ProtocolVersion};
use rmcp::service::RequestContext;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

/// The most resources a client may watch at a time.
pub(crate) const WATCHED_MAX: usize = 64;

/// Whether a client uses the revision without sessions, in which a result may ask for further input.
pub(crate) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// The session of one client.
#[derive(Default)]
pub(crate) struct Session {
    /// The log level the client has set, if it has.
    level: Mutex<Option<LoggingLevel>>,
    /// The async tasks that watch resources, by URI.
    watched: Mutex<HashMap<String, AbortOnDropHandle<()>>>,
}

impl Session {
    pub(crate) fn set_level(&self, level: LoggingLevel) {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = Some(level);
    }

    /// Starts to watch a resource. Fails if the client watches too many.
    pub(crate) fn watch(&self, uri: String, telling: AbortOnDropHandle<()>) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, telling| !telling.is_finished());
        if watched.len() >= WATCHED_MAX && !watched.contains_key(&uri) {
            return false;
        }
        watched.insert(uri, telling);
        true
    }

    pub(crate) fn unwatch(&self, uri: &str) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.remove(uri);
    }

    /// Sends a line to the client's log if it wants this level, as stated in the request (2026-07-28) or set
    /// before.
    pub(crate) async fn log(
        &self,
        context: &RequestContext<RoleServer>,
        level: LoggingLevel,
        data: Value,
    ) {
        let wanted = if is_modern(context) {
            context.meta.log_level()
        } else {
            *self.level.lock().unwrap_or_else(PoisonError::into_inner)
        };
        if wanted.is_some_and(|wanted| level as u8 >= wanted as u8) {
            let line = LoggingMessageNotificationParam::new(level, data).with_logger("journeyman");
            let _ = context.peer.notify_logging_message(line).await; // a client that is gone needs none
        }
    }
}
