//! Handles requests from a server. Nothing of ours is given to it.

#![expect(
    deprecated,
    reason = "servers of earlier protocol versions still ask for roots"
)]

use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::handler::client::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, Implementation, ListRootsRequestMethod, ListRootsResult,
};
use rmcp::service::{NotificationContext, RequestContext, RoleClient};
use tokio::sync::Notify;

/// Our side of a connection. Requests to a person or a model are declined; our capabilities say that neither is
/// offered.
pub(super) struct Handler {
    info: ClientConfig,
    changed: Arc<Notify>,
}

impl Handler {
    /// Introduces us to the server, and reports changes of the server's list of tools. Several changes in a row
    /// are reported once.
    pub(super) fn new(name: &str, version: &str, changed: Arc<Notify>) -> Self {
        let who = Implementation::new(name, version);
        Self {
            info: ClientConfig::new(ClientCapabilities::default(), who),
            changed,
        }
    }
}

impl ClientHandler for Handler {
    async fn list_roots(
        &self,
        _: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListRootsRequestMethod>())
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }

    fn get_info(&self) -> ClientConfig {
        self.info.clone()
    }
}
