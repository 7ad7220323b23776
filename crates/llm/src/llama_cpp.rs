//! The routes of llama.cpp's server beyond the OpenAI-compatible API: the actual window, the tokenizer, the chat
//! template, health and counters. No other module knows these routes. vLLM's queue counter is read here too.

use journeyman_event::Tokens;
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::{self, Refused};
use crate::number;
use crate::{Error, Message};

#[derive(Deserialize)]
struct Templated {
    prompt: String,
}

#[derive(Deserialize)]
struct Tokenized {
    tokens: Vec<Value>,
}

/// The window of a call if this is a llama.cpp server, else `None`. `ask` is a prepared request.
pub(crate) async fn window(root: &str, ask: RequestBuilder) -> Result<Option<Tokens>, Error> {
    match http::ask(root, ask).await {
        Ok(text) => {
            let props = serde_json::from_str::<Value>(&text).unwrap_or_default();
            // The window of one slot, which is what a single call can use.
            Ok(number::count(&props["default_generation_settings"]["n_ctx"]).map(Tokens))
        }
        // It is there, and still loads its model.
        Err(Refused::Answered(reply)) if reply.status == 503 && reply.has(&["loading"]) => {
            Err(reply.into_error(root))
        }
        Err(Refused::Answered(_)) => Ok(None),
        Err(Refused::NotSent(error) | Refused::Lost(error)) => Err(error),
    }
}

/// Counts the tokens of a prompt exactly: applies the chat template and tokenizes the result. `post` prepares a
/// request for a route of this server.
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

/// Whether the server responds, even if it is still loading its model.
pub(crate) async fn is_healthy(ask: RequestBuilder) -> bool {
    ask.send().await.is_ok()
}

/// The server's counters since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerCounters {
    /// Whether it is working on a request.
    pub(crate) is_busy: bool,
    /// Steps of the model: prompt batches and generated tokens.
    pub(crate) steps: u64,
    /// Tokens in completed answers.
    pub(crate) generated: u64,
}

/// Requests the counters. Some versions answer only between two steps of the model.
pub(crate) async fn counters(ask: RequestBuilder) -> Result<ServerCounters, reqwest::Error> {
    let text = ask.send().await?.error_for_status()?.text().await?;
    Ok(read_counters(&text))
}

/// Parses the Prometheus text format as far as needed here: `name value`. A counter that an older server does
/// not have stays 0.
fn read_counters(text: &str) -> ServerCounters {
    let value = |name: &str| -> f64 {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let line = lines.find(|(found, _)| *found == name);
        line.and_then(|(_, value)| value.trim().parse().ok())
            .unwrap_or_default()
    };
    // Counters, printed as floating-point numbers.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let count = |name: &str| value(name) as u64;
    ServerCounters {
        is_busy: count("llamacpp:requests_processing") > 0,
        steps: count("llamacpp:n_decode_total"),
        generated: count("llamacpp:tokens_predicted_total"),
    }
}

/// The names of the metric that counts waiting requests: llama.cpp's, and vLLM's, which exists once per model.
const WAITING: [&str; 2] = ["llamacpp:requests_deferred", "vllm:num_requests_waiting"];

/// The number of requests waiting at the server, if its metrics include it.
pub(crate) async fn waiting(ask: RequestBuilder) -> Option<u64> {
    let answer = ask.send().await.ok()?.error_for_status().ok()?;
    read_waiting(&answer.text().await.ok()?)
}

fn read_waiting(text: &str) -> Option<u64> {
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    let values = lines.filter_map(|(name, value)| {
        let name = name.split('{').next().unwrap_or_default();
        let is_meant = WAITING.contains(&name.trim());
        let value: f64 = is_meant.then(|| value.trim().parse().ok()).flatten()?;
        // A count, printed as a floating-point number.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Some(value as u64)
    });
    values.reduce(u64::saturating_add)
}

async fn send<T: for<'a> Deserialize<'a>>(root: &str, ask: RequestBuilder) -> Result<T, Error> {
    let text = http::ask(root, ask)
        .await
        .map_err(|refused| match refused {
            Refused::Answered(reply) => reply.into_error(root),
            Refused::NotSent(error) | Refused::Lost(error) => error,
        })?;
    serde_json::from_str(&text).map_err(|error| Error::Malformed {
        url: root.to_owned(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_wait_are_read_whichever_server_says_so() {
        let llama_cpp = "# TYPE llamacpp:requests_deferred gauge\nllamacpp:requests_deferred 7\n";
        assert_eq!(read_waiting(llama_cpp), Some(7));
        let vllm = "vllm:num_requests_running{model_name=\"m\"} 9.0\n\
                    vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 3.0\n\
                    vllm:num_requests_waiting{engine=\"1\",model_name=\"m\"} 2.0\n";
        assert_eq!(read_waiting(vllm), Some(5));
        assert_eq!(read_waiting("llamacpp:requests_processing 1\n"), None);
    }

    #[test]
    fn counters_are_read_from_the_text_format() {
        let text = "# HELP llamacpp:n_decode_total Total number of llama_decode() calls\n\
                    # TYPE llamacpp:n_decode_total counter\n\
                    llamacpp:n_decode_total 1188\n\
                    llamacpp:tokens_predicted_total 1.2e3\n\
                    llamacpp:requests_processing 1\n";
        let counters = ServerCounters {
            is_busy: true,
            steps: 1_188,
            generated: 1_200,
        };
        assert_eq!(read_counters(text), counters);
        assert_eq!(read_counters("# nothing\n"), ServerCounters::default());
    }
}
