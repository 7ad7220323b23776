//! A simulated model: answers every step of any task at once, with small working Python code, configurable
//! latencies and configurable failures.
//!
//! Floor 3. It implements the model server's trait in process, so that the whole workflow can be run, killed and
//! resumed within a second or two. It is also a server that speaks OpenAI's protocol, as badly as a test wants it
//! to. It is only used when selected by name (`sim:`), never by default. It interprets requests from their text,
//! like a model.

mod script;
mod server;
mod words;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use journeyman_event::{Randomness, SeededRandom, Tokens};
use journeyman_llm::{
    Answer, Delta, Error, FinishReason, Message, ModelInfo, ModelServer, OnDelta, Request,
    TokenCount, Usage, Window, WindowSource,
};
use tokio_util::sync::CancellationToken;

pub use script::{InvalidScript, Script};
pub use server::{
    MISBEHAVIOURS, Misbehaviour, SERVED_MODEL, SimServer, SimServerOptions, misbehaviour,
};

/// The kind of server that a simulated model says it is, which a started task records.
pub const SERVER: &str = "simulated";

/// The number of bytes per simulated token.
const BYTES_PER_TOKEN: usize = 4;
/// The number of bytes per streamed piece.
const DELTA_BYTES: usize = 24;

/// A simulated model server.
#[derive(Debug)]
pub struct SimulatedModel {
    script: Script,
}

impl SimulatedModel {
    /// Creates a model that follows `script`.
    pub fn new(script: Script) -> Self {
        Self { script }
    }

    /// Draws a random number from the request: the same request always gets the same number, and a request with
    /// another seed gets a different one.
    fn fate(&self, request: &Request) -> SeededRandom {
        let mut seed = self.script.seed ^ request.seed.unwrap_or(0).rotate_left(32);
        for message in &request.messages {
            for byte in message.content.bytes() {
                // FNV-1a (Fowler, Noll, Vo).
                seed = (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        SeededRandom::new(seed)
    }
}

/// Whether an event with a probability of `percent` happens.
fn happens(percent: u8, fate: &SeededRandom) -> bool {
    fate.next_u64() % 100 < u64::from(percent)
}

fn tokens(bytes: usize) -> Tokens {
    Tokens(bytes.div_ceil(BYTES_PER_TOKEN) as u64)
}

fn count(messages: &[Message]) -> Tokens {
    messages
        .iter()
        .map(|message| tokens(message.content.len()) + Tokens(4))
        .sum()
}

#[async_trait]
impl ModelServer for SimulatedModel {
    async fn describe(&self) -> Result<ModelInfo, Error> {
        Ok(ModelInfo {
            name: "simulated".to_owned(),
            server: SERVER.to_owned(),
            url: "sim:".to_owned(),
            window: Window {
                tokens: Tokens(self.script.window),
                source: WindowSource::Asked,
            },
            tokenizer: true,
            json_schema: true,
        })
    }

    async fn count(&self, messages: &[Message]) -> Result<TokenCount, Error> {
        Ok(TokenCount {
            tokens: count(messages),
            exact: true,
        })
    }

    async fn answer(
        &self,
        request: &Request,
        on_delta: &mut OnDelta<'_>,
        cancel: &CancellationToken,
    ) -> Result<Answer, Error> {
        let prompt = count(&request.messages);
        let window = Tokens(self.script.window);
        if prompt + request.max_tokens > window {
            return Err(Error::TooLong {
                prompt: prompt + request.max_tokens,
                window,
                words: String::new(),
            });
        }
        let fate = self.fate(request);
        if happens(self.script.unreachable, &fate) {
            return Err(Error::Unreachable {
                url: "sim:".to_owned(),
                reason: "the script says so".to_owned(),
            });
        }
        let malformed = happens(self.script.malformed, &fate);
        let wrong = happens(self.script.wrong, &fate);
        let asked = request
            .messages
            .last()
            .map_or("", |message| message.content.as_str());
        let whole = if malformed {
            words::nonsense()
        } else {
            words::answer(asked, wrong, self.script.questions)
        };

        let mut said = String::new();
        let limit = usize::try_from(request.max_tokens.0).unwrap_or(usize::MAX);
        let limit = limit.saturating_mul(BYTES_PER_TOKEN);
        let latency = Duration::from_millis(self.script.latency_ms);
        let mut first_token_ms = 0;
        let mut total_ms = 0;
        for piece in pieces(&whole, limit) {
            tokio::select! {
                () = tokio::time::sleep(latency) => {}
                () = cancel.cancelled() => {
                    let tokens = tokens(said.len());
                    return Err(Error::Interrupted { partial: said, tokens, was_asked: true });
                }
            }
            total_ms += self.script.latency_ms;
            if said.is_empty() {
                first_token_ms = total_ms;
            }
            said.push_str(piece);
            on_delta(Delta { text: piece });
        }
        let finish = if said.len() < whole.len() {
            FinishReason::Length
        } else {
            FinishReason::Stop
        };
        let usage = Usage {
            prompt,
            completion: tokens(said.len()),
            cached: Tokens::ZERO,
            cache_write: Tokens::ZERO,
            exact: true,
        };
        Ok(Answer {
            text: said,
            finish,
            repeated: None,
            usage,
            time_to_first_token_ms: first_token_ms,
            total_ms,
            served_model: None,
            service_tier: None,
            remark: None,
        })
    }
}

/// The first `limit` bytes of a text (whole characters), split into small pieces.
fn pieces(text: &str, limit: usize) -> impl Iterator<Item = &str> {
    let end = (0..=limit.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    let text = &text[..end];
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = text.get(from..).filter(|rest| !rest.is_empty())?;
        let mut len = DELTA_BYTES.min(rest.len());
        while !rest.is_char_boundary(len) {
            len += 1;
        }
        from += len;
        Some(&rest[..len])
    })
}
