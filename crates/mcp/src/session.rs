//! What is remembered of a client while it is connected, where its protocol revision has sessions:
//! the level of its log and the tasks that it watches. Nothing of a task is here.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rmcp::RoleServer;
use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam, ProtocolVersion};
use rmcp::service::RequestContext;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

/// Tasks that one client may watch at a time.
pub(crate) const WATCHED_MAX: usize = 64;

/// Whether a client speaks the revision without sessions, in which an answer may be other than final.
pub(crate) fn is_modern(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// One client.
#[derive(Default)]
pub(crate) struct Session {
    /// What is logged to it, if it has said so.
    level: Mutex<Option<LoggingLevel>>,
    /// What tells it of changes, by address.
    watched: Mutex<HashMap<String, AbortOnDropHandle<()>>>,
}

impl Session {
    pub(crate) fn set_level(&self, level: LoggingLevel) {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = Some(level);
    }

    /// Watches something from now on. Not, if that would be too many.
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

    /// A line of the client's log, if it wants lines of this level: as it says in the request
    /// (2026-07-28), or as it has said before.
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
