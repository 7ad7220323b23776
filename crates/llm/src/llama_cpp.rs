//! What llama.cpp's server offers beyond the OpenAI-compatible routes: its real window, its
//! tokenizer, its chat template. The only module that knows these routes.

use journeyman_event::Tokens;
use reqwest::Client;
use serde::Deserialize;
use serde_json::json;

use crate::{Error, Message};

#[derive(Deserialize)]
struct Props {
    default_generation_settings: GenerationSettings,
}

#[derive(Deserialize)]
struct GenerationSettings {
    /// The window of one slot: what a single call has.
    n_ctx: u64,
}

#[derive(Deserialize)]
struct Templated {
    prompt: String,
}

#[derive(Deserialize)]
struct Tokenized {
    tokens: Vec<serde_json::Value>,
}

/// The window of a call, if this is llama.cpp's server. None if it is another.
pub(crate) async fn window(http: &Client, root: &str) -> Result<Option<Tokens>, Error> {
    let response = http
        .get(format!("{root}/props"))
        .send()
        .await
        .map_err(|e| gone(root, &e))?;
    if !response.status().is_success() {
        return Ok(None);
    }
    let props = response.json::<Props>().await.ok();
    Ok(props.map(|props| Tokens(props.default_generation_settings.n_ctx)))
}

/// The exact tokens of a prompt: its chat template is applied, then it is tokenized.
pub(crate) async fn count(
    http: &Client,
    root: &str,
    messages: &[Message],
) -> Result<Tokens, Error> {
    let body = json!({"messages": messages});
    let templated: Templated = post(http, root, "apply-template", &body).await?;
    let body = json!({
        "content": templated.prompt, "add_special": true, "parse_special": true,
    });
    let tokenized: Tokenized = post(http, root, "tokenize", &body).await?;
    Ok(Tokens(tokenized.tokens.len() as u64))
}

async fn post<T: for<'a> Deserialize<'a>>(
    http: &Client,
    root: &str,
    route: &str,
    body: &serde_json::Value,
) -> Result<T, Error> {
    let url = format!("{root}/{route}");
    let response = http
        .post(&url)
        .json(body)
        .send()
        .await
        .map_err(|e| gone(root, &e))?;
    let status = response.status();
    if !status.is_success() {
        let message = response.text().await.unwrap_or_default();
        return Err(Error::Rejected {
            status: status.as_u16(),
            message,
        });
    }
    response.json().await.map_err(|error| Error::Malformed {
        url,
        problem: error.to_string(),
    })
}

pub(crate) fn gone(url: &str, error: &reqwest::Error) -> Error {
    // The whole chain: the outermost says only that a request failed.
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason = cause.to_string();
        source = cause.source();
    }
    Error::Unreachable {
        url: url.to_owned(),
        reason,
    }
}
