//! Streams of tokens: the time to the first token, between tokens, the speed and its steadiness.
//!
//! The reader of a stream measures its times, from sending the request and with a monotonic clock. For a stream with
//! n tokens, the time to the first token (TTFT) needs one; the time between tokens (ITL) is
//! (last - first) / (n - 1) and needs two, as do tokens a second of decoding, (n - 1) / (last - first); tokens a second
//! from end to end are n / (end - start). What a stream is too short for, it has no value of.

use std::time::Duration;

use jiff::Timestamp;
use journeyman_signal::{Key, Signal, Text};
use serde::Serialize;

use crate::bounded::{Active, Labelled};
use crate::buckets::{BetweenTokens, FirstToken};
use crate::sketch::{SECOND, Sketch, Summary, micros};
use crate::tracker::{Tracker, is_older};

/// A stream whose end was not seen after this time is dropped.
const TIME_MAX: Duration = Duration::from_hours(1);
/// A longer gap between two pieces is a stall.
const STALL: Duration = Duration::from_millis(500);
/// The latencies of a good stream, with which a person can read along.
const GOOD_FIRST: Duration = Duration::from_secs(2);
const GOOD_BETWEEN: Duration = Duration::from_millis(200);
/// Tokens a second are kept in thousandths.
const THOUSAND: f64 = 1e3;

#[derive(Debug)]
struct Stream {
    since: Timestamp,
    model: Text,
    first: Option<Duration>,
    second: Option<Duration>,
    last: Duration,
    tokens: u64,
    gap: Option<Duration>,
    /// The sum of the differences between each gap and the next, and how many there are.
    jitter: (Duration, u32),
}

impl Stream {
    fn new(since: Timestamp, model: Text) -> Self {
        Self {
            since,
            model,
            first: None,
            second: None,
            last: Duration::ZERO,
            tokens: 0,
            gap: None,
            jitter: (Duration::ZERO, 0),
        }
    }
}

/// Streams of one model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streams {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) tokens: u64,
    pub(crate) stalls: u64,
    pub(crate) good: u64,
    pub(crate) first_token: FirstToken,
    pub(crate) second_token: FirstToken,
    pub(crate) between_tokens: BetweenTokens,
    pub(crate) between_pieces: BetweenTokens,
    pub(crate) jitter: BetweenTokens,
    /// Thousandths of a token a second.
    pub(crate) decode: Sketch,
    pub(crate) end_to_end: Sketch,
}

#[derive(Debug, Default)]
pub(crate) struct Streaming {
    active: Active<Stream>,
    pub(crate) models: Labelled<Text, Streams>,
}

/// The streams of one model. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamsView {
    /// The model.
    pub model: String,
    /// Streams that ended with their answer.
    pub completed: u64,
    /// Streams that failed.
    pub failed: u64,
    /// Streams that were stopped on purpose.
    pub cancelled: u64,
    /// Tokens of those that ended with their answer.
    pub tokens: u64,
    /// Gaps of more than half a second between two pieces.
    pub stalls: u64,
    /// Streams with the first token within 2 s and at most 200 ms between tokens.
    pub good: u64,
    /// Time to the first token.
    pub time_to_first_token: Summary,
    /// From the first piece to the second.
    pub time_to_second_token: Summary,
    /// Between two tokens, one value a stream.
    pub inter_token_latency: Summary,
    /// Between two pieces, one value a gap.
    pub inter_chunk_latency: Summary,
    /// The mean difference between a gap and the next one, one value a stream.
    pub jitter: Summary,
    /// Tokens a second after the first one.
    pub decode_tokens_per_second: Summary,
    /// Tokens a second from sending to the end.
    pub end_to_end_tokens_per_second: Summary,
}

/// The streams of model answers as a report has them, by model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamingView {
    /// Streams under way.
    pub active: usize,
    /// Streams whose end was never seen.
    pub lost: u64,
    /// By model.
    pub models: Vec<StreamsView>,
}

impl Streaming {
    pub(crate) fn active(&self) -> usize {
        self.active.len()
    }

    pub(crate) fn view(&self) -> StreamingView {
        let models = self.models.iter().map(|(model, streams)| StreamsView {
            model: model.to_string(),
            completed: streams.completed,
            failed: streams.failed,
            cancelled: streams.cancelled,
            tokens: streams.tokens,
            stalls: streams.stalls,
            good: streams.good,
            time_to_first_token: streams.first_token.0.summary(),
            time_to_second_token: streams.second_token.0.summary(),
            inter_token_latency: streams.between_tokens.0.summary(),
            inter_chunk_latency: streams.between_pieces.0.summary(),
            jitter: streams.jitter.0.summary(),
            decode_tokens_per_second: streams.decode.summary(THOUSAND),
            end_to_end_tokens_per_second: streams.end_to_end.summary(THOUSAND),
        });
        StreamingView {
            active: self.active.len(),
            lost: self.active.lost(),
            models: models.collect(),
        }
    }

    /// Takes pieces in their order, each with the number of its tokens.
    fn pieces(&mut self, key: Key, pieces: impl IntoIterator<Item = (Duration, u64)>) {
        let Some(stream) = self.active.get(key) else {
            return; // its beginning was not seen, or it has ended
        };
        let streams = self.models.of(stream.model.clone());
        for (after, tokens) in pieces {
            stream.tokens += tokens;
            let Some(first) = stream.first else {
                stream.first = Some(after);
                stream.last = after;
                continue;
            };
            // One that comes late says nothing of a gap.
            let Some(gap) = after.checked_sub(stream.last) else {
                continue;
            };
            stream.last = after;
            stream.second.get_or_insert(after.saturating_sub(first));
            if let Some(before) = stream.gap.replace(gap) {
                stream.jitter.0 += gap.abs_diff(before);
                stream.jitter.1 += 1;
            }
            streams.between_pieces.0.took(gap);
            streams.stalls += u64::from(gap > STALL);
        }
    }

    fn completed(&mut self, key: Key, after: Duration, tokens: u64) {
        let Some(stream) = self.active.end(key).seen() else {
            return;
        };
        // A server that counts nothing is counted by its pieces.
        let tokens = if tokens == 0 { stream.tokens } else { tokens };
        let streams = self.models.of(stream.model.clone());
        streams.completed += 1;
        streams.tokens += tokens;
        if tokens > 0 && !after.is_zero() {
            streams.end_to_end.record(rate(tokens, after));
        }
        let Some(first) = stream.first else {
            return;
        };
        streams.first_token.0.took(first);
        if let Some(second) = stream.second {
            streams.second_token.0.took(second);
        }
        let decoding = stream.last.saturating_sub(first);
        let mut between = Duration::ZERO;
        if let Some(gaps) = tokens.checked_sub(1).filter(|gaps| *gaps > 0) {
            between = decoding / u32::try_from(gaps).unwrap_or(u32::MAX);
            streams.between_tokens.0.took(between);
            if !decoding.is_zero() {
                streams.decode.record(rate(gaps, decoding));
            }
        }
        if stream.jitter.1 > 0 {
            streams.jitter.0.took(stream.jitter.0 / stream.jitter.1);
        }
        streams.good += u64::from(first <= GOOD_FIRST && between <= GOOD_BETWEEN);
    }
}

/// Thousandths of a token a second.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)] // three digits are kept
fn rate(tokens: u64, time: Duration) -> u64 {
    (tokens as f64 / (micros(time).max(1) as f64 / SECOND) * THOUSAND).round() as u64
}

impl Tracker for Streaming {
    const NAME: &'static str = "streaming";
    const KINDS: &'static [&'static str] = &[
        "stream.started",
        "stream.first_token",
        "stream.token_generated",
        "tokens.batch_generated",
        "stream.completed",
        "stream.failed",
        "stream.cancelled",
    ];

    fn take(&mut self, at: Timestamp, signal: &Signal) -> Vec<Signal> {
        match signal {
            Signal::StreamStarted(started) => {
                let is_over = |stream: &Stream| is_older(at, stream.since, TIME_MAX);
                self.active.give_up(is_over);
                self.active
                    .begin(started.key, Stream::new(at, started.model.clone()));
            }
            Signal::StreamFirstToken(first) => self.pieces(first.key, [(first.after, 1)]),
            Signal::StreamTokenGenerated(token) => {
                self.pieces(token.key, [(token.after, token.tokens)]);
            }
            Signal::TokensBatchGenerated(batch) => {
                self.pieces(batch.key, batch.after.iter().map(|after| (*after, 1)));
            }
            Signal::StreamCompleted(done) => self.completed(done.key, done.after, done.tokens),
            Signal::StreamFailed(failed) => {
                if let Some(stream) = self.active.end(failed.key).seen() {
                    self.models.of(stream.model).failed += 1;
                }
            }
            Signal::StreamCancelled(cancelled) => {
                if let Some(stream) = self.active.end(cancelled.key).seen() {
                    self.models.of(stream.model).cancelled += 1;
                }
            }
            _ => {}
        }
        Vec::new()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use journeyman_signal::{
        StreamCompleted, StreamFailed, StreamFirstToken, StreamStarted, StreamTokenGenerated,
        TokensBatchGenerated,
    };
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn take(streaming: &mut Streaming, signal: impl Into<Signal>) {
        streaming.take(Timestamp::UNIX_EPOCH, &signal.into());
    }

    fn start(streaming: &mut Streaming, key: u128) {
        take(
            streaming,
            StreamStarted {
                key: Key(key),
                model: "m".into(),
            },
        );
    }

    /// A stream with pieces at these times, one token each.
    fn stream(streaming: &mut Streaming, key: u128, pieces: &[u64], end: u64) {
        start(streaming, key);
        let key = Key(key);
        for (at, piece) in pieces.iter().enumerate() {
            let after = ms(*piece);
            if at == 0 {
                take(streaming, StreamFirstToken { key, after });
            } else {
                take(
                    streaming,
                    StreamTokenGenerated {
                        key,
                        after,
                        tokens: 1,
                    },
                );
            }
        }
        let tokens = pieces.len() as u64;
        take(
            streaming,
            StreamCompleted {
                key,
                after: ms(end),
                tokens,
            },
        );
    }

    fn near(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn the_figures_of_one_stream_are_those_of_its_definition() {
        let mut streaming = Streaming::default();
        // First token after 100 ms, then gaps of 50, 50, 600 and 100 ms, over at 1,000 ms.
        stream(&mut streaming, 1, &[100, 150, 200, 800, 900], 1_000);
        let view = &streaming.view().models[0];
        near(view.time_to_first_token.p50, 0.1);
        near(view.time_to_second_token.p50, 0.05);
        near(view.inter_token_latency.p50, 0.2);
        near(view.inter_chunk_latency.max, 0.6);
        near(view.end_to_end_tokens_per_second.p50, 5.0);
        near(view.decode_tokens_per_second.p50, 5.0);
        // |50-50| + |600-50| + |100-600| over 3.
        near(view.jitter.p50, 0.35);
        assert_eq!((view.stalls, view.good, view.tokens), (1, 1, 5));
    }

    proptest! {
        /// Pieces of several streams, each with the time since the one before it (or, if negative, a late one), told one by
        /// one and in batches.
        #[test]
        fn batches_have_the_figures_of_single_pieces(
            streams in proptest::collection::vec(
                proptest::collection::vec((-5_000..900_000_i64, 1..=64_usize), 0..300), 1..4),
        ) {
            let (mut single, mut batched) = (Streaming::default(), Streaming::default());
            for (key, pieces) in (0_u128..).zip(&streams) {
                let mut at = 1_000_000_i64;
                let times = pieces.iter().map(|(gap, _)| {
                    at = (at + gap).max(0);
                    Duration::from_micros(at.unsigned_abs())
                });
                let times: Vec<Duration> = times.collect();
                for (streaming, is_batched) in [(&mut single, false), (&mut batched, true)] {
                    start(streaming, key);
                    let key = Key(key);
                    let Some((first, rest)) = times.split_first() else { continue };
                    take(streaming, StreamFirstToken { key, after: *first });
                    let mut rest = rest;
                    while !rest.is_empty() {
                        let size = if is_batched { pieces[rest.len()].1 } else { 1 };
                        let (batch, later) = rest.split_at(size.min(rest.len()));
                        rest = later;
                        match batch {
                            [after] => take(streaming, StreamTokenGenerated { key, after: *after, tokens: 1 }),
                            batch => take(streaming, TokensBatchGenerated { key, after: batch.into() }),
                        }
                    }
                    let after = times.iter().max().copied().unwrap_or_default();
                    take(streaming, StreamCompleted { key, after, tokens: 0 });
                }
            }
            prop_assert_eq!(batched.view(), single.view());
        }
    }

    #[test]
    fn streams_of_no_one_and_two_tokens_have_what_they_are_long_enough_for() {
        for (pieces, firsts, betweens, decodes, rates) in [
            (&[][..], 0, 0, 0, 0),
            (&[100][..], 1, 0, 0, 1),
            (&[100, 200][..], 1, 1, 1, 1),
        ] {
            let mut streaming = Streaming::default();
            stream(&mut streaming, 1, pieces, 300);
            let view = &streaming.view().models[0];
            let found = (
                view.time_to_first_token.count,
                view.inter_token_latency.count,
                view.decode_tokens_per_second.count,
                view.end_to_end_tokens_per_second.count,
            );
            assert_eq!(found, (firsts, betweens, decodes, rates), "{pieces:?}");
        }
    }

    #[test]
    fn missing_repeated_and_late_signals_change_nothing() {
        let mut streaming = Streaming::default();
        let key = Key(1);
        take(
            &mut streaming,
            StreamTokenGenerated {
                key,
                after: ms(1),
                tokens: 1,
            },
        );
        take(
            &mut streaming,
            StreamCompleted {
                key: Key(9),
                after: ms(1),
                tokens: 1,
            },
        );
        assert!(streaming.view().models.is_empty());
        stream(&mut streaming, 1, &[100, 200], 300);
        let before = streaming.view();
        take(
            &mut streaming,
            StreamStarted {
                key,
                model: "m".into(),
            },
        );
        take(
            &mut streaming,
            StreamTokenGenerated {
                key,
                after: ms(900),
                tokens: 1,
            },
        );
        take(
            &mut streaming,
            StreamCompleted {
                key,
                after: ms(900),
                tokens: 9,
            },
        );
        take(
            &mut streaming,
            StreamFailed {
                key,
                after: ms(900),
            },
        );
        assert_eq!(streaming.view(), before);
        start(&mut streaming, 2);
        take(
            &mut streaming,
            StreamFirstToken {
                key: Key(2),
                after: ms(50),
            },
        );
        take(
            &mut streaming,
            StreamTokenGenerated {
                key: Key(2),
                after: ms(40),
                tokens: 1,
            },
        );
        assert_eq!(streaming.view().models[0].inter_chunk_latency.count, 1);
    }

    #[test]
    fn a_stream_that_never_ends_is_given_up() {
        let mut streaming = Streaming::default();
        for key in 0..12_000 {
            start(&mut streaming, key);
        }
        assert_eq!((streaming.active(), streaming.view().lost), (10_000, 2_000));
        let later = Timestamp::UNIX_EPOCH + TIME_MAX + ms(1);
        streaming.take(
            later,
            &StreamStarted {
                key: Key(99_999),
                model: "m".into(),
            }
            .into(),
        );
        assert_eq!((streaming.active(), streaming.view().lost), (1, 12_000));
    }
}
