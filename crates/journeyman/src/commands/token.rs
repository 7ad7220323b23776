//! `token`: a new token for a user of a server, and the line for its token file.

use anyhow::Context;
use journeyman_event::{ContentHash, Owner};
use serde_json::json;

use crate::cli::RoleArg;
use crate::exit::Exit;
use crate::output::{json, line};
use crate::settings::Settings;

/// Random bytes of a token.
const BYTES: usize = 24;

pub(crate) fn token(settings: &Settings, name: &Owner, role: RoleArg) -> anyhow::Result<Exit> {
    let mut bytes = [0; BYTES];
    // A token must be a secret: without random bits there is none.
    getrandom::fill(&mut bytes).context("the system gives no random bits")?;
    let token = bytes.iter().fold("jrny_".to_owned(), |mut text, byte| {
        let digits = b"0123456789abcdef";
        text.push(char::from(digits[usize::from(byte >> 4)]));
        text.push(char::from(digits[usize::from(byte & 15)]));
        text
    });
    let entry = json!({
        "name": name,
        "token_hash": ContentHash::of(token.as_bytes()),
        "role": role.as_str(),
    });
    if settings.json {
        json(&json!({"token": token, "line": entry}))?;
    } else {
        line(&format!("token, shown this once:   {token}"))?;
        line(&format!("line for --token-file:    {entry}"))?;
    }
    Ok(Exit::Success)
}
