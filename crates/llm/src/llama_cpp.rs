//! What llama.cpp's server offers beyond the OpenAI-compatible routes: its real window, its
//! tokenizer, its chat template. The only module that knows these routes.

use journeyman_event::Tokens;
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::http::gone;
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

/// The window of a call, if this is llama.cpp's server. None if it is another. `ask` is the prepared
/// question: with its time-out and key.
pub(crate) async fn window(root: &str, ask: RequestBuilder) -> Result<Option<Tokens>, Error> {
    let response = ask.send().await.map_err(|e| gone(root, &e))?;
    match response.status() {
        status if status.is_success() => {}
        // It is there, and still loads its model.
        StatusCode::SERVICE_UNAVAILABLE => {
            let reason = "it is still loading its model".to_owned();
            return Err(Error::Unreachable {
                url: root.to_owned(),
                reason,
            });
        }
        _ => return Ok(None),
    }
    let props = response.json::<Props>().await.ok();
    Ok(props.map(|props| Tokens(props.default_generation_settings.n_ctx)))
}

/// The exact tokens of a prompt: its chat template is applied, then it is tokenized. `post` prepares
/// a question for a route of this server.
pub(crate) async fn count(
    root: &str,
    messages: &[Message],
    post: impl Fn(&str) -> RequestBuilder,
) -> Result<Tokens, Error> {
    let body = json!({"messages": messages});
    let templated: Templated = send(root, post("apply-template").json(&body)).await?;
    let body = json!({
        "content": templated.prompt, "add_special": true, "parse_special": true,
    });
    let tokenized: Tokenized = send(root, post("tokenize").json(&body)).await?;
    Ok(Tokens(tokenized.tokens.len() as u64))
}

async fn send<T: for<'a> Deserialize<'a>>(root: &str, ask: RequestBuilder) -> Result<T, Error> {
    let response = ask.send().await.map_err(|e| gone(root, &e))?;
    let status = response.status();
    if !status.is_success() {
        let message = response.text().await.unwrap_or_default();
        return Err(Error::Rejected {
            status: status.as_u16(),
            message,
        });
    }
    response.json().await.map_err(|error| Error::Malformed {
        url: root.to_owned(),
        problem: error.to_string(),
    })
}
