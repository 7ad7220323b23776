//! Models: how much they are used and how fast they are; and the prompt caches of their servers.

use jiff::Timestamp;
use journeyman_signal::{Signal, Text};
use serde::Serialize;

use crate::bounded::Labelled;
use crate::buckets::{RequestTime, TokenCounts};
use crate::sketch::{Sketch, Summary};
use crate::tracker::Tracker;

/// Tokens a second are kept in thousandths.
const THOUSAND: f64 = 1e3;

/// The name of a model server's kind among OpenTelemetry's providers. A server that speaks `OpenAI`'s protocol counts as
/// `openai`, whoever runs it.
pub(crate) fn provider(server: &str) -> &str {
    match server {
        "openai-compatible" => "openai",
        "" => "_OTHER",
        other => other,
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// The kind of its server, if a task was started with it.
    pub(crate) server: Text,
    pub(crate) tasks: u64,
    pub(crate) routed: u64,
    pub(crate) calls: u64,
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    pub(crate) generated: u64,
    /// The tokens of prompts and answers, by call.
    pub(crate) input: TokenCounts,
    pub(crate) output: TokenCounts,
    pub(crate) time: RequestTime,
    throughput: Sketch,
}

/// All models that were used.
#[derive(Debug, Default)]
pub(crate) struct Models(pub(crate) Labelled<Text, Model>);

/// What a report has of the calls of one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelView {
    /// The model.
    pub model: String,
    /// Tasks started with it.
    pub tasks: u64,
    /// Calls for which the gateway selected it.
    pub routed: u64,
    /// Calls that used tokens.
    pub calls: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// The duration of its calls in seconds, since the process started to count.
    pub time: Summary,
    /// Tokens per second after the first token, since the process started to count.
    pub tokens_per_second: Summary,
}

impl Models {
    pub(crate) fn views(&self) -> Vec<ModelView> {
        let views = self.0.iter().map(|(name, model)| ModelView {
            model: name.to_string(),
            tasks: model.tasks,
            routed: model.routed,
            calls: model.calls,
            prompt_tokens: model.prompt_tokens,
            completion_tokens: model.completion_tokens,
            time: model.time.0.summary(),
            tokens_per_second: model.throughput.summary(THOUSAND),
        });
        views.collect()
    }
}

impl Tracker for Models {
    const NAME: &'static str = "models";
    const KINDS: &'static [&'static str] = &[
        "model.selected",
        "request.routed",
        "usage.recorded",
        "tokens.generated",
        "latency.measured",
        "throughput.measured",
    ];

    fn take(&mut self, _: Timestamp, signal: &Signal) -> Vec<Signal> {
        match signal {
            Signal::ModelSelected(selected) => {
                let model = self.0.of(selected.model.clone());
                model.tasks += 1;
                model.server = selected.server.clone();
            }
            Signal::RequestRouted(routed) => self.0.of(routed.model.clone()).routed += 1,
            Signal::UsageRecorded(used) => {
                let model = self.0.of(used.model.clone());
                model.calls += 1;
                model.prompt_tokens += used.prompt;
                model.completion_tokens += used.completion;
                // Of a call without an answer nobody knows what was what.
                if used.prompt > 0 {
                    model.input.add(used.prompt);
                    model.output.add(used.completion);
                }
            }
            Signal::TokensGenerated(generated) => {
                self.0.of(generated.model.clone()).generated += generated.tokens;
            }
            Signal::LatencyMeasured(latency) => {
                self.0.of(latency.model.clone()).time.0.took(latency.took);
            }
            Signal::ThroughputMeasured(measured) => {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                // floats saturate
                let rate = (measured.tokens_per_second * THOUSAND).round() as u64;
                self.0.of(measured.model.clone()).throughput.record(rate);
            }
            _ => {}
        }
        Vec::new()
    }
}

/// The prompt caches of all models' servers.
#[derive(Debug, Default)]
pub(crate) struct Caches(pub(crate) Labelled<Text, CacheView>);

/// The prompt cache of one model's server.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CacheView {
    /// The model.
    pub model: String,
    /// Prompts that were looked up.
    pub lookups: u64,
    /// Prompts of which a part was in the cache.
    pub hits: u64,
    /// Prompts of which nothing was in the cache.
    pub misses: u64,
    /// Tokens of all prompts.
    pub tokens: u64,
    /// Tokens that were in the cache.
    pub cached_tokens: u64,
}

impl Caches {
    pub(crate) fn views(&self) -> Vec<CacheView> {
        let views = self.0.iter().map(|(model, cache)| CacheView {
            model: model.to_string(),
            ..cache.clone()
        });
        views.collect()
    }
}

impl Tracker for Caches {
    const NAME: &'static str = "cache";
    const KINDS: &'static [&'static str] = &["cache.lookup", "cache.hit", "cache.miss"];

    fn take(&mut self, _: Timestamp, signal: &Signal) -> Vec<Signal> {
        match signal {
            Signal::CacheLookup(lookup) => {
                let cache = self.0.of(lookup.model.clone());
                cache.lookups += 1;
                cache.tokens += lookup.tokens;
            }
            Signal::CacheHit(hit) => {
                let cache = self.0.of(hit.model.clone());
                cache.hits += 1;
                cache.cached_tokens += hit.tokens;
            }
            Signal::CacheMiss(miss) => self.0.of(miss.model.clone()).misses += 1,
            _ => {}
        }
        Vec::new()
    }
}
