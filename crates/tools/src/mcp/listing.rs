//! What a server offers, and what of it is taken. Nothing that it says is believed to be in bounds.

use std::collections::BTreeSet;
use std::sync::Arc;

use rmcp::model::{PaginatedRequestParams, Tool as Offered};
use rmcp::service::{Peer, RoleClient};

use super::config::ServerConfig;
use super::connection::Connection;
use super::status::SkippedTool;
use super::tool::RemoteTool;
use super::words::words;
use crate::bound::bounded;
use crate::{ServerName, Source, Spec, Tool, ToolName};

/// Tools that are taken of one server.
const TOOLS_MAX: usize = 128;
/// Tools that are looked at.
const OFFERED_MAX: usize = 1_024;
/// Pages that are asked for.
const PAGES_MAX: usize = 64;
/// Bytes of a description that are kept.
const DESCRIPTION_MAX: usize = 4 * 1_024;
/// Tools not taken that are shown with a reason.
pub(super) const SKIPPED_MAX: usize = 64;
/// Characters of a name that are shown.
const NAME_MAX: usize = 128;

/// What is taken of what a server offers.
pub(super) struct Listing {
    pub(super) tools: Vec<Arc<dyn Tool>>,
    pub(super) skipped: Vec<SkippedTool>,
}

/// Asks the server for its tools, page by page.
pub(super) async fn offered(peer: &Peer<RoleClient>) -> Result<Vec<Offered>, String> {
    let mut all: Vec<Offered> = Vec::new();
    let mut cursors = BTreeSet::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut page = PaginatedRequestParams::default();
        page.cursor.clone_from(&cursor);
        let page = peer.list_tools(Some(page)).await;
        let page =
            page.map_err(|error| format!("it does not list its tools: {}", words(&error)))?;
        all.extend(page.tools);
        cursor = page.next_cursor;
        let again = match &cursor {
            None => break,
            Some(cursor) => !cursors.insert(cursor.clone()),
        };
        if again || all.len() >= OFFERED_MAX {
            break;
        }
    }
    all.truncate(OFFERED_MAX);
    Ok(all)
}

/// What of it is taken.
pub(super) fn taken(
    server: &ServerName,
    config: &ServerConfig,
    connection: &Arc<Connection>,
    offered: Vec<Offered>,
) -> Listing {
    let mut listing = Listing {
        tools: Vec::new(),
        skipped: Vec::new(),
    };
    let mut names = BTreeSet::new();
    for one in offered {
        let shown: String = one.name.chars().take(NAME_MAX).collect();
        let wanted = config.tools.is_empty() || config.tools.iter().any(|p| p.matches(&one.name));
        if !wanted {
            continue; // The configuration says so: nothing to tell.
        }
        let result = if listing.tools.len() >= TOOLS_MAX {
            Err(format!(
                "{TOOLS_MAX} tools of it are taken; choose with `tools`"
            ))
        } else {
            spec(server, config, &one)
        };
        let result = result.and_then(|spec| {
            let new = names.insert(spec.name.clone());
            new.then_some(spec)
                .ok_or_else(|| "it offers another of this name".to_owned())
        });
        match result {
            Ok(spec) => {
                let tool = RemoteTool::new(spec, one.name.into_owned(), connection.clone());
                listing.tools.push(Arc::new(tool));
            }
            Err(why) => listing.skip(shown, why),
        }
    }
    listing
}

impl Listing {
    /// Notes a tool that is not taken.
    pub(super) fn skip(&mut self, name: String, why: String) {
        if self.skipped.len() < SKIPPED_MAX {
            self.skipped.push(SkippedTool { name, why });
        }
    }
}

fn spec(server: &ServerName, config: &ServerConfig, offered: &Offered) -> Result<Spec, String> {
    let name = ToolName::of_server(server, &offered.name).map_err(|error| error.to_string())?;
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
