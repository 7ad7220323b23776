//! Builds the prompt of a call from its pieces, within the context window and the rest of the token budget. Tokens are
//! counted by the model server if it can count; `fit.rs` decides what yields.

use std::borrow::Cow;

use journeyman_event::payload::{
    ContextBuilt, ContextDecision, FailureReason, Form, Layer, Purpose, Verdict,
};
use journeyman_event::{ModuleName, TaskState, Tokens};
use journeyman_knowledge::Graph;
use journeyman_language::of_task;
use journeyman_llm::{Estimator, Message, MessageRole, ModelServer};
use thiserror::Error;

use crate::fit::shrink;
use crate::forms::opening;
use crate::offer::ToolOffer;
use crate::piece::{Body, Extent, LayerName, Piece};
use crate::profile::{Part, Profile};
use crate::purpose::Descriptor;
use crate::sources::{SourceInput, collect_pieces};

/// The shortest useful answer, in tokens. If there is less room, the call is not made.
const ANSWER_MIN: Tokens = Tokens(192);

/// The input of [`build`].
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The state of the task.
    pub state: &'a TaskState,
    /// What the call is for.
    pub purpose: Purpose,
    /// How code is asked for.
    pub form: Form,
    /// The module the call is for; `None` for the task as a whole.
    pub module: Option<&'a ModuleName>,
    /// The actual size of the model's window.
    pub window: Tokens,
    /// The tools that may be called before answering.
    pub tools: &'a [ToolOffer],
    /// What is known of the task; without it nothing related is shown.
    pub graph: Option<&'a Graph>,
}

impl<'a> Request<'a> {
    /// The beginning of the answer, where the form has one.
    fn opening(self) -> Option<Message> {
        let module = self.module.and_then(|name| self.state.module(name));
        let module = module.filter(|_| self.form == Form::Prefill)?;
        Some(Message {
            role: MessageRole::Assistant,
            content: opening(self.state, module),
        })
    }

    fn source_input(self, profile: &'a Profile) -> SourceInput<'a> {
        SourceInput {
            state: self.state,
            purpose: self.purpose,
            form: self.form,
            module: self.module.and_then(|name| self.state.module(name)),
            tools: self.tools,
            graph: self.graph,
            profile,
        }
    }
}

/// A prompt that fits, and how it was built.
#[derive(Clone, Debug)]
pub struct BuiltContext {
    /// The messages to send.
    pub messages: Vec<Message>,
    /// The size of the prompt in tokens, including the chat template.
    pub prompt_tokens: Tokens,
    /// Whether the model server counted the tokens; otherwise the number is an estimate.
    pub exact: bool,
    /// The most tokens for the answer, so that prompt and answer fit the window and the token budget.
    pub max_tokens: Tokens,
    /// The JSON schema for the answer.
    pub schema: Option<serde_json::Value>,
    /// The payload that records this in the journal.
    pub record: ContextBuilt,
}

/// Why no prompt was built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// Even the task and the request alone do not fit.
    #[error(
        "the {limit} is too small: the task and the request need {needed} tokens, and of its {whole} tokens only \
         {available} are for them; the rest is reserved for {reserved}"
    )]
    DoesNotFit {
        /// The limit: `model's window` or `rest of the token budget`.
        limit: &'static str,
        /// The reason for failing the task: [`FailureReason::Window`] or [`FailureReason::Budget`].
        reason: FailureReason,
        /// The size of the smallest prompt, in tokens.
        needed: Tokens,
        /// The size of the limit, in tokens.
        whole: Tokens,
        /// The most tokens of it that a prompt may have.
        available: Tokens,
        /// What the others are for, with their numbers.
        reserved: String,
    },
    /// The model server failed to count tokens.
    #[error(transparent)]
    Count(#[from] journeyman_llm::Error),
}

/// The estimated size of the context that a call would have if nothing of it were cut, in tokens.
pub async fn estimate(request: Request<'_>) -> Tokens {
    let system = (Descriptor::of(request.purpose).system)(of_task(request.state).prompt_texts());
    let pieces = collect_pieces(request.source_input(&Profile::of(request.window))).await;
    let estimator = Estimator::default();
    let texts = pieces.iter().map(|piece| estimator.estimate(&piece.text()));
    texts.fold(estimator.estimate(system), |sum, tokens| sum + tokens)
}

/// Builds the prompt for a call. Counts tokens after each cut, so that the result fits by the server's own count.
///
/// # Errors
/// [`BuildError::DoesNotFit`] if the pieces that must not be cut do not fit, [`BuildError::Count`] if the server could not
/// count.
pub async fn build(
    server: &dyn ModelServer,
    request: Request<'_>,
) -> Result<BuiltContext, BuildError> {
    let descriptor = Descriptor::of(request.purpose);
    let system = (descriptor.system)(of_task(request.state).prompt_texts());
    let profile = Profile::of(request.window);
    let left = request.state.token_budget_left();
    let prompt_max = profile.prompt_max().min(left - ANSWER_MIN);
    let mut pieces = collect_pieces(request.source_input(&profile)).await;
    let bytes_before: Vec<usize> = pieces.iter().map(|piece| piece.text().len()).collect();

    let begun = request.opening();
    let (messages, count) = loop {
        let mut messages = messages(system, &pieces);
        messages.extend(begun.clone());
        let count = server.count(&messages).await?;
        if count.tokens <= prompt_max {
            break (messages, count);
        }
        let excess = as_estimated(count.tokens - prompt_max, &messages, count.tokens);
        if !shrink(&mut pieces, excess, &profile) {
            return Err(does_not_fit(&profile, left, count.tokens));
        }
    };

    let room = (profile.window - count.tokens).min(left - count.tokens);
    let decisions = pieces
        .iter()
        .zip(bytes_before)
        .map(|(piece, bytes)| decision(piece, bytes))
        .collect();
    let divided = Divided::new(system, &pieces, count.tokens);
    Ok(BuiltContext {
        max_tokens: answer_share(&profile, descriptor, server.thinks()).min(room),
        prompt_tokens: count.tokens,
        exact: count.exact,
        schema: (descriptor.schema)(request.state, request.tools),
        record: ContextBuilt {
            purpose: request.purpose,
            window: request.window,
            layers: divided.layers(&profile, system),
            parts: divided.parts(&profile),
            decisions,
        },
        messages,
    })
}

/// Why a prompt that cannot be shortened any more does not fit the window, or the tokens that are left of the budget.
fn does_not_fit(profile: &Profile, left: Tokens, needed: Tokens) -> BuildError {
    if left < profile.prompt_max() + ANSWER_MIN {
        return BuildError::DoesNotFit {
            limit: "rest of the token budget",
            reason: FailureReason::Budget,
            needed,
            whole: left,
            available: left - ANSWER_MIN,
            reserved: format!("the answer ({ANSWER_MIN} at least)"),
        };
    }
    let Profile {
        generation, buffer, ..
    } = profile;
    BuildError::DoesNotFit {
        limit: "model's window",
        reason: FailureReason::Window,
        needed,
        whole: profile.window,
        available: profile.prompt_max(),
        reserved: format!("the answer ({generation}) and for inexact counts ({buffer})"),
    }
}

/// Tokens of a prompt, of which the server counted so many, in those of the estimator by which pieces are cut. Without that, a
/// vocabulary of which a text takes twice the tokens would have twice as much cut away as has to go.
fn as_estimated(tokens: Tokens, messages: &[Message], counted: Tokens) -> Tokens {
    let estimator = Estimator::default();
    let texts = messages
        .iter()
        .map(|message| estimator.estimate(&message.content));
    let estimated = texts.fold(Tokens::ZERO, |sum, tokens| sum + tokens);
    let scaled = tokens
        .0
        .saturating_mul(estimated.0)
        .div_ceil(counted.0.max(1));
    Tokens(scaled.max(1))
}

/// The most tokens for an answer. A model that thinks gets additional room for its thoughts.
fn answer_share(profile: &Profile, descriptor: &Descriptor, thinks: bool) -> Tokens {
    let thoughts = if thinks {
        profile.thoughts
    } else {
        Tokens::ZERO
    };
    profile.generation.percent(descriptor.share) + thoughts
}

/// The system prompt, and one user message with all pieces that have text.
fn messages(system: &str, pieces: &[Piece]) -> Vec<Message> {
    let texts: Vec<Cow<'_, str>> = pieces
        .iter()
        .map(Piece::text)
        .filter(|text| !text.is_empty())
        .collect();
    vec![
        Message {
            role: MessageRole::System,
            content: system.to_owned(),
        },
        Message {
            role: MessageRole::User,
            content: texts.join("\n\n"),
        },
    ]
}

/// What became of a piece that had this many bytes before the prompt was fitted.
fn decision(piece: &Piece, bytes_before: usize) -> ContextDecision {
    let bytes = piece.text().len();
    let (verdict, what) = match (&piece.body, bytes) {
        (_, 0) => (
            Verdict::LeftOut,
            format!("no room for {bytes_before} bytes"),
        ),
        (Body::Text { .. }, _) if bytes != bytes_before => {
            (Verdict::Cut, format!("{bytes} of {bytes_before} bytes"))
        }
        (Body::Entries { entries, .. }, _) if bytes != bytes_before => {
            let count = |extent: Extent| entries.iter().filter(|one| one.extent == extent).count();
            let what = format!(
                "no room for more: {} shortened and {} left out of {}",
                count(Extent::Line),
                count(Extent::Nothing),
                entries.len()
            );
            (Verdict::Cut, what)
        }
        _ => (Verdict::Kept, String::new()),
    };
    let why: Vec<&str> = [piece.why.as_str(), what.as_str()]
        .into_iter()
        .filter(|why| !why.is_empty())
        .collect();
    ContextDecision {
        piece: piece.name.clone(),
        verdict,
        why: why.join("; "),
        bytes: Some(bytes as u64),
    }
}

/// Tokens by bytes. Only the whole prompt is counted; it is divided in proportion to bytes.
struct Divided<'p> {
    pieces: &'p [Piece],
    bytes: usize,
    tokens: Tokens,
}

impl<'p> Divided<'p> {
    fn new(system: &str, pieces: &'p [Piece], tokens: Tokens) -> Self {
        let bytes: usize = pieces.iter().map(|piece| piece.text().len()).sum();
        Self {
            pieces,
            bytes: system.len() + bytes,
            tokens,
        }
    }

    fn layer(&self, name: &str, share: Tokens, bytes: usize) -> Layer {
        let tokens = self.tokens.0.saturating_mul(bytes as u64) / (self.bytes.max(1) as u64);
        Layer {
            name: name.to_owned(),
            share,
            tokens: Tokens(tokens),
        }
    }

    fn bytes_of(&self, is_meant: impl Fn(&Piece) -> bool) -> usize {
        let meant = self.pieces.iter().filter(|piece| is_meant(piece));
        meant.map(|piece| piece.text().len()).sum()
    }

    /// The share of the window and the tokens of each layer.
    fn layers(&self, profile: &Profile, system: &str) -> Vec<Layer> {
        let of = |layer: LayerName, share: Tokens| {
            let bytes = self.bytes_of(|piece| piece.layer == layer);
            self.layer(layer.as_str(), share, bytes)
        };
        vec![
            self.layer("system", profile.system, system.len()),
            of(LayerName::State, profile.task),
            of(LayerName::History, profile.context),
            of(LayerName::Current, profile.context),
        ]
    }

    /// The share of the window and the tokens of each part of the context.
    fn parts(&self, profile: &Profile) -> Vec<Layer> {
        let parts = Part::ALL.into_iter().map(|part| {
            let bytes = self.bytes_of(|piece| piece.part == Some(part));
            self.layer(part.as_str(), profile.part(part), bytes)
        });
        parts.collect()
    }
}
