//! Lists the tools of a server and selects which of them to use. Nothing the server sends is assumed to be of
//! bounded size.

use std::collections::BTreeSet;
use std::sync::Arc;

use rmcp::model::{PaginatedRequestParams, Tool as Offered};
use rmcp::service::{Peer, RoleClient};

use super::config::ServerConfig;
use super::connection::Connection;
use super::error_text::text_with_causes;
use super::status::SkippedTool;
use super::tool::RemoteTool;
use crate::bound::bounded;
use crate::schema::check_size;
use crate::{Pattern, ServerName, Source, Spec, Tool, ToolName};

/// The most tools used of one server.
const TOOLS_MAX: usize = 128;
/// The most tools examined.
const OFFERED_MAX: usize = 1_024;
/// The most pages requested.
const PAGES_MAX: usize = 64;
/// The most bytes kept of a description.
const DESCRIPTION_MAX: usize = 4 * 1_024;
/// The most skipped tools that are listed with a reason.
const SKIPPED_MAX: usize = 64;
/// The most characters shown of a name.
const NAME_MAX: usize = 128;

/// The longest cursor accepted, in bytes. The server sends it for requesting the next page.
const CURSOR_MAX: usize = 4 * 1_024;

/// The result of listing a server's tools.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) tools: Vec<Arc<dyn Tool>>,
    pub(super) skipped: Vec<SkippedTool>,
    names: BTreeSet<ToolName>,
    offered: usize,
}

/// Requests the server's tools page by page, and selects from each page before requesting the next.
pub(super) async fn list(
    peer: &Peer<RoleClient>,
    server: &ServerName,
    config: &ServerConfig,
    connection: &Arc<Connection>,
) -> Result<Listing, String> {
    let mut listing = Listing::default();
    let mut cursors = BTreeSet::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut page = PaginatedRequestParams::default();
        page.cursor = cursor.take();
        let page = peer.list_tools(Some(page)).await;
        let page = page
            .map_err(|error| format!("it does not list its tools: {}", text_with_causes(&error)))?;
        for one in page.tools {
            listing.offered += 1;
            if listing.offered > OFFERED_MAX {
                return Ok(listing);
            }
            listing.take(server, config, connection, one);
        }
        match page.next_cursor {
            Some(next) if next.len() <= CURSOR_MAX && cursors.insert(next.clone()) => {
                cursor = Some(next);
            }
            _ => break,
        }
    }
    Ok(listing)
}

impl Listing {
    fn take(
        &mut self,
        server: &ServerName,
        config: &ServerConfig,
        connection: &Arc<Connection>,
        offered: Offered,
    ) {
        let wanted = |pattern: &Pattern| pattern.matches(&offered.name);
        if !config.tools.is_empty() && !config.tools.iter().any(wanted) {
            return; // The configuration says so: nothing to tell.
        }
        let spec = if self.tools.len() < TOOLS_MAX {
            spec(server, config, &offered)
        } else {
            let why = format!("{TOOLS_MAX} tools of it are taken; choose with `tools`");
            Err(why)
        };
        match spec {
            Ok(spec) if self.names.insert(spec.name.clone()) => {
                let name = offered.name.into_owned();
                let tool = RemoteTool::new(spec, name, connection.clone());
                self.tools.push(Arc::new(tool));
            }
            Ok(_) => self.skip(&offered.name, "it offers another of this name".into()),
            Err(why) => self.skip(&offered.name, why),
        }
    }

    /// Records a tool that is not used.
    pub(super) fn skip(&mut self, name: &str, why: String) {
        if self.skipped.len() < SKIPPED_MAX {
            let name = name.chars().take(NAME_MAX).collect();
            self.skipped.push(SkippedTool { name, why });
        }
    }
}

fn spec(server: &ServerName, config: &ServerConfig, offered: &Offered) -> Result<Spec, String> {
    let name = ToolName::of_server(server, &offered.name).map_err(|error| error.to_string())?;
    check_size(&offered.input_schema)?;
    let description = offered.description.as_deref().unwrap_or_default();
    let hint = |read: fn(&rmcp::model::ToolAnnotations) -> Option<bool>| {
        offered.annotations.as_ref().and_then(read) == Some(true)
    };
    Ok(Spec {
        name,
        description: bounded(description.to_owned(), DESCRIPTION_MAX).text,
        input_schema: offered.input_schema.as_ref().clone(),
        permission: config.permission,
        source: Source::Server(server.clone()),
        repeatable: hint(|hints| hints.read_only_hint) || hint(|hints| hints.idempotent_hint),
    })
}
