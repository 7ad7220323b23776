//! `token`: creates a token for a user of a server, and the line for its token file.

use anyhow::Context;
use journeyman_event::Owner;
use journeyman_server::TokenLine;
use serde_json::json;

use crate::cli::RoleArg;
use crate::exit::{Exit, UsageError};
use crate::output::{json, line};
use crate::settings::Settings;

pub(crate) fn token(
    settings: &Settings,
    name: Owner,
    role: RoleArg,
    key: Option<String>,
) -> anyhow::Result<Exit> {
    // A token must be secret, so the system's random bits are required.
    let random = || getrandom::u64().context("the system gives no random bits");
    let token = format!(
        "jrny_{:016x}{:016x}{:016x}",
        random()?,
        random()?,
        random()?
    );
    let entry = TokenLine::new(name, &token, role.into(), key);
    let entry = entry.map_err(|error| UsageError(error.to_string()))?;
    if settings.json {
        json(&json!({"token": token, "line": entry}))?;
    } else {
        line(&format!("token, shown this once:   {token}"))?;
        line(&format!("line for --token-file:    {}", json!(entry)))?;
    }
    Ok(Exit::Success)
}
