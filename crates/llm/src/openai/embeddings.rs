//! A client of `/v1/embeddings`, which llama.cpp's server, Ollama, vLLM, LM Studio and hosted services offer. No other
//! module knows this format. It is lenient in what it accepts; a vector that it returns is whole, finite and of length 1.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{api_of, chunk};
use crate::Error;
use crate::embedding::{EmbedError, Embedder, with_own_flags};
use crate::error_reply::{self, ErrorReply};
use crate::http::{self, Refused};
use crate::ollama;
use crate::secrets::Secrets;

/// The timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The timeout of a request that its caller does not limit.
const TIMEOUT: Duration = Duration::from_mins(2);
/// The largest response in bytes. 32 vectors of 4,096 dimensions take about 3 MB.
const REPLY_BYTES_MAX: usize = 32 << 20;
/// The most dimensions of a vector.
const DIMENSIONS_MAX: usize = 16_384;

/// The options of the client.
#[derive(Clone)]
pub struct EmbedderOptions {
    /// The base URL, with or without a version at its end (`/v1`), or `ollama://host:port`. A user name and
    /// password in it are sent with every request and never printed.
    pub url: String,
    /// The name of the model. If it is empty, the server must have only one.
    pub model: String,
    /// Sent as a bearer token. Never printed.
    pub api_key: Option<String>,
}

/// A client of one server with an embedding model.
pub struct OpenAiEmbedder {
    model: String,
    root: String,
    api: String,
    http: Client,
    secrets: Secrets,
    /// The name that the server gives its only model.
    told: OnceCell<String>,
}

impl std::fmt::Debug for OpenAiEmbedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAiEmbedder")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl OpenAiEmbedder {
    /// Creates a client without contacting the server.
    pub fn new(options: &EmbedderOptions) -> Result<Self, EmbedError> {
        let url = options.url.trim();
        let url = if url.starts_with("ollama:") {
            ollama::root(url).map_err(unsupported)?
        } else {
            url.trim_end_matches('/')
                .trim_end_matches("/embeddings")
                .to_owned()
        };
        let api = api_of(&url).ok_or_else(|| EmbedError::Unsupported {
            what: format!(
                "{:?} is no URL of a server with an embedding model; it begins with http://, https:// or ollama://",
                http::shown(&options.url)
            ),
        })?;
        let key = options.api_key.as_deref();
        let written = api;
        let (api, credentials) = http::address(&written).map_err(unsupported)?;
        let secrets = Secrets::of(&written, credentials.as_ref(), key);
        let root = api.strip_suffix("/v1").unwrap_or(&api).to_owned();
        let http = http::client(&root, key, credentials, CONNECT_TIMEOUT).map_err(unsupported)?;
        Ok(Self {
            model: options.model.clone(),
            root,
            api,
            http,
            secrets,
            told: OnceCell::new(),
        })
    }

    /// Asks the server what its only model is called.
    async fn only_model(&self) -> Result<String, EmbedError> {
        let ask = self.http.get(format!("{}/models", self.api));
        let entries = match http::ask(&self.root, ask).await {
            Ok(text) => chunk::models(&text).unwrap_or_default(),
            // It has no list. What it is called by its address is as good.
            Err(Refused::Answered(reply)) if matches!(reply.status, 404 | 405 | 501) => Vec::new(),
            Err(refused) => return Err(self.refused(refused)),
        };
        match entries.as_slice() {
            [] => Ok(self.root.clone()),
            [only] => Ok(only.name.clone()),
            several => {
                let names: Vec<&str> = several.iter().map(|entry| entry.name.as_str()).collect();
                Err(EmbedError::Unsupported {
                    what: format!(
                        "the server at {} has several models: {}; choose one with --embedding-model",
                        self.root,
                        self.secrets.hidden(&names.join(", "))
                    ),
                })
            }
        }
    }

    async fn ask(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut body = json!({"input": texts, "encoding_format": "float"});
        let model = self.model().await?;
        if model != self.root {
            body["model"] = json!(model);
        }
        let ask = self.http.post(format!("{}/embeddings", self.api));
        let sent = http::send(&self.root, TIMEOUT, ask.json(&body)).await;
        let response = sent.map_err(|refused| self.refused(refused))?;
        let text = http::text(response, REPLY_BYTES_MAX).await;
        let text = text.map_err(|error| self.failed(http::broken(&self.root, &error)))?;
        let Ok(reply) = serde_json::from_str::<Value>(&text) else {
            let sent = match text.trim() {
                "" => "nothing".to_owned(),
                text => error_reply::told(text),
            };
            return Err(self.malformed(format!("instead of vectors it sent {sent}")));
        };
        if let Some(error) = chunk::error(&reply).filter(|_| reply.get("data").is_none()) {
            return Err(self.answered(ErrorReply::in_stream(error)));
        }
        vectors(&reply, texts.len()).map_err(|problem| self.malformed(problem))
    }

    fn refused(&self, refused: Refused) -> EmbedError {
        match refused {
            Refused::Answered(reply) => self.answered(*reply),
            Refused::NotSent(error) | Refused::Lost(error) => self.failed(error),
        }
    }

    fn answered(&self, reply: ErrorReply) -> EmbedError {
        let (url, message) = (
            self.root.clone(),
            with_own_flags(&self.secrets.hidden(&reply.words)),
        );
        if reply.is_too_long() {
            return EmbedError::TooLong { url, message };
        }
        EmbedError::Refused {
            url,
            status: reply.status,
            message,
        }
    }

    fn failed(&self, error: Error) -> EmbedError {
        let reason = match error {
            Error::Unreachable { reason, .. }
            | Error::Broken { reason, .. }
            | Error::Shortage { reason, .. } => reason,
            Error::Malformed { problem, .. } => return self.malformed(problem),
            other => other.to_string(),
        };
        EmbedError::Unreachable {
            url: self.root.clone(),
            reason: self.secrets.hidden(&reason),
        }
    }

    fn malformed(&self, problem: String) -> EmbedError {
        EmbedError::Malformed {
            url: self.root.clone(),
            problem: self.secrets.hidden(&problem),
        }
    }
}

fn unsupported(error: Error) -> EmbedError {
    EmbedError::Unsupported {
        what: with_own_flags(&error.to_string()),
    }
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    async fn ready(&self) -> Result<(), EmbedError> {
        Ok(())
    }

    async fn model(&self) -> Result<String, EmbedError> {
        if !self.model.is_empty() {
            return Ok(self.model.clone());
        }
        let told = self.told.get_or_try_init(|| self.only_model()).await?;
        Ok(told.clone())
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(texts).await
    }
}

/// The vectors of a reply, in the order of the texts. `Err` says what is wrong.
fn vectors(reply: &Value, wanted: usize) -> Result<Vec<Vec<f32>>, String> {
    let items = match reply {
        Value::Array(items) => items,
        _ => match &reply["data"] {
            Value::Array(items) => items,
            _ => return Err("there are no vectors in it".to_owned()),
        },
    };
    if items.len() != wanted {
        return Err(format!("{} vectors for {wanted} texts", items.len()));
    }
    let mut places: Vec<Option<Vec<f32>>> = vec![None; wanted];
    for (at, item) in items.iter().enumerate() {
        let index = match &item["index"] {
            Value::Null => at,
            index => index
                .as_u64()
                .and_then(|index| usize::try_from(index).ok())
                .filter(|index| *index < wanted)
                .ok_or_else(|| format!("{index} is not the index of a text"))?,
        };
        let vector = numbers(&item["embedding"])?;
        if places[index].replace(unit(vector)?).is_some() {
            return Err(format!("two vectors have the index {index}"));
        }
    }
    // As many as texts, and no two of one index.
    let vectors: Vec<Vec<f32>> = places.into_iter().flatten().collect();
    let dimensions = vectors.first().map_or(0, Vec::len);
    if let Some(other) = vectors.iter().find(|vector| vector.len() != dimensions) {
        let other = other.len();
        return Err(format!("vectors of {dimensions} and of {other} dimensions"));
    }
    Ok(vectors)
}

/// The numbers of a vector: a list, a list in a list (llama.cpp's own route), or base64 of little-endian 32-bit floats.
fn numbers(value: &Value) -> Result<Vec<f32>, String> {
    match value {
        Value::Array(list) if list.len() == 1 && list[0].is_array() => numbers(&list[0]),
        Value::Array(list) => {
            #[allow(clippy::cast_possible_truncation)]
            // what is too large becomes infinite and is refused
            let number = |value: &Value| value.as_f64().map(|number| number as f32);
            let numbers: Option<Vec<f32>> = list.iter().map(number).collect();
            numbers.ok_or_else(|| "a vector has something in it that is no number".to_owned())
        }
        Value::String(text) => {
            let bytes = STANDARD.decode(text.trim());
            let bytes = bytes.map_err(|error| format!("a vector is no base64: {error}"))?;
            let (floats, rest) = bytes.as_chunks::<4>();
            if !rest.is_empty() {
                return Err("a vector is not made of 32-bit numbers".to_owned());
            }
            Ok(floats
                .iter()
                .map(|four| f32::from_le_bytes(*four))
                .collect())
        }
        _ => Err("a vector is missing".to_owned()),
    }
}

/// The vector in the same direction with length 1.
fn unit(mut vector: Vec<f32>) -> Result<Vec<f32>, String> {
    if vector.is_empty() || vector.len() > DIMENSIONS_MAX {
        return Err(format!("a vector of {} dimensions", vector.len()));
    }
    let squares: f64 = vector.iter().map(|one| f64::from(*one).powi(2)).sum();
    let length = squares.sqrt();
    if !length.is_finite() {
        return Err("a vector has numbers in it that are not finite".to_owned());
    }
    if length < f64::from(f32::MIN_POSITIVE) {
        return Err("a vector has no direction: it is all zeros".to_owned());
    }
    for one in &mut vector {
        #[allow(clippy::cast_possible_truncation)] // at most 1
        let scaled = (f64::from(*one) / length) as f32;
        *one = scaled;
    }
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_read_in_every_form_and_order_and_have_the_length_1() {
        let first = [0.6_f32, 0.8];
        let bytes: Vec<u8> = [3_f32, 4.0]
            .iter()
            .flat_map(|one| one.to_le_bytes())
            .collect();
        let packed = STANDARD.encode(bytes);
        for reply in [
            json!({"data": [{"embedding": [3, 4], "index": 0}, {"embedding": [0, 5.0], "index": 1}]}),
            json!({"data": [{"embedding": [0, 2], "index": 1}, {"embedding": [3, 4], "index": 0}]}),
            json!({"data": [{"embedding": [3, 4]}, {"embedding": [0, 2]}], "object": "list"}),
            json!({"data": [{"embedding": packed, "index": 0}, {"embedding": [0, 2], "index": 1}]}),
            json!([{"embedding": [[3, 4]], "index": 0}, {"embedding": [[0, 2]], "index": 1}]),
        ] {
            let read = vectors(&reply, 2).unwrap();
            assert_eq!(read, [first.to_vec(), vec![0.0, 1.0]], "{reply}");
        }
    }

    #[test]
    fn what_is_not_a_vector_for_each_text_is_refused_with_the_reason() {
        let nan: Vec<u8> = [f32::NAN, 1.0]
            .iter()
            .flat_map(|one| one.to_le_bytes())
            .collect();
        let nan = STANDARD.encode(nan);
        for (reply, problem) in [
            (json!({"data": [{"embedding": [1, 2]}]}), "1 vectors for 2"),
            (json!({"data": []}), "0 vectors for 2"),
            (json!({"vectors": []}), "no vectors"),
            (json!({"data": {"embedding": [1, 2]}}), "no vectors"),
            (
                json!({"data": [{"embedding": [1, 2], "index": 1}, {"embedding": [1, 2], "index": 1}]}),
                "two vectors have the index 1",
            ),
            (
                json!({"data": [{"embedding": [1, 2], "index": 0}, {"embedding": [1, 2], "index": 2}]}),
                "2 is not the index",
            ),
            (
                json!({"data": [{"embedding": [1, 2]}, {"embedding": [1, 2, 3]}]}),
                "of 2 and of 3 dimensions",
            ),
            (
                json!({"data": [{"embedding": [1, 2]}, {"embedding": []}]}),
                "0 dimensions",
            ),
            (
                json!({"data": [{"embedding": [1, 2]}, {"embedding": [0, 0]}]}),
                "all zeros",
            ),
            (
                json!({"data": [{"embedding": [1, 2]}, {"embedding": [1, null]}]}),
                "no number",
            ),
            (
                json!({"data": [{"embedding": [1, 2]}, {"embedding": [1e300, 1]}]}),
                "not finite",
            ),
            (
                json!({"data": [{"embedding": [1, 2]}, {"embedding": nan}]}),
                "not finite",
            ),
            (
                json!({"data": [{"embedding": [1, 2]}, {"embedding": "AAA="}]}),
                "32-bit",
            ),
            (
                json!({"data": [{"embedding": [1, 2]}, {"embedding": "?"}]}),
                "base64",
            ),
            (json!({"data": [{"embedding": [1, 2]}, {}]}), "missing"),
            (
                json!({"data": [{"embedding": [1, 2]}, {"embedding": vec![1; 20_000]}]}),
                "20000 dimensions",
            ),
        ] {
            let said = vectors(&reply, 2).unwrap_err();
            assert!(said.contains(problem), "{said}, not {problem}");
        }
    }
}
