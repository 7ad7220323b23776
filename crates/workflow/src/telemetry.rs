//! Emits the telemetry signals of a model call while it is made. Nothing depends on whether anyone listens.

use std::sync::Arc;
use std::time::Duration;

use journeyman_event::EventId;
use journeyman_event::payload::{ModelCallStarted, Purpose};
use journeyman_llm::{Answer, Error, ModelInfo};
use journeyman_metrics::{ModelAt, endpoint};
use journeyman_signal::{
    BatchSizeChanged, DecodeCompleted, DecodeStarted, Key, LatencyMeasured, PrefillCompleted,
    PrefillStarted, RatelimitHit, RequestCompleted, RequestDequeued, RequestFailed, RequestQueued,
    RequestStarted, Signals, StreamCancelled, StreamCompleted, StreamFailed, StreamFirstToken,
    StreamStarted, StreamTokenGenerated, Text, ThroughputMeasured, TokensBatchGenerated,
    TokensGenerated,
};
use tokio::time::Instant;

use crate::slots::ModelSlots;

/// The key of a call in signals.
fn key(intent: EventId) -> Key {
    Key(u128::from_be_bytes(*intent.as_bytes()))
}

/// A model as prices are looked up; `configured` is its name in the configuration, `None` for the default.
pub(crate) fn located<'a>(info: &'a ModelInfo, configured: Option<&'a str>) -> ModelAt<'a> {
    ModelAt {
        configured,
        model: &info.name,
        server: &info.server,
        url: &info.url,
        tier: None,
    }
}

/// Emits the number of calls in progress, after it has changed.
pub(crate) fn batch(signals: &Signals, slots: &ModelSlots) {
    signals.emit(|| {
        let calls = slots.taken() as u64;
        BatchSizeChanged { calls }.into()
    });
}

/// A call that waits for a slot at the model server, until this is dropped.
pub(crate) struct Waiting {
    signals: Signals,
    key: Key,
    purpose: Purpose,
    since: Instant,
}

impl Waiting {
    pub(crate) fn begin(signals: &Signals, intent: EventId, purpose: Purpose) -> Self {
        let key = key(intent);
        signals.emit(|| {
            let endpoint = endpoint(purpose);
            RequestQueued { key, endpoint }.into()
        });
        Self {
            signals: signals.clone(),
            key,
            purpose,
            since: Instant::now(),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let (key, waited) = (self.key, self.since.elapsed());
        self.signals.emit(|| {
            let endpoint = endpoint(self.purpose);
            RequestDequeued {
                key,
                endpoint,
                waited,
            }
            .into()
        });
    }
}

/// How a call ended.
enum End {
    /// With an answer of so many tokens.
    Answered(u64),
    /// It was stopped on purpose, or its task was dropped. That is no failure of the request.
    Stopped,
    /// With an error of this kind.
    Failed(&'static str),
}

/// The most pieces in one signal.
const BATCH_MAX: usize = 64;
/// Pieces that arrive within this time after a signal wait for the next one.
const BATCH_TIME: Duration = Duration::from_millis(100);

/// A call that is being made. If it is dropped before [`Call::end`], it counts as stopped.
pub(crate) struct Call {
    signals: Signals,
    key: Key,
    purpose: Purpose,
    prompt_tokens: u64,
    model: Text,
    since: Instant,
    first: Option<Instant>,
    last: Instant,
    /// The times of pieces that were not emitted yet.
    batch: Vec<Duration>,
    /// The time of the last piece that was emitted.
    emitted: Duration,
    is_ended: bool,
}

impl Call {
    /// Emits that the request is sent now.
    pub(crate) fn begin(
        signals: &Signals,
        intent: EventId,
        call: &ModelCallStarted,
        model: &str,
    ) -> Self {
        let now = Instant::now();
        let this = Self {
            signals: signals.clone(),
            key: key(intent),
            purpose: call.purpose,
            prompt_tokens: call.prompt_tokens.0,
            model: model.into(),
            since: now,
            first: None,
            last: now,
            batch: Vec::new(),
            emitted: Duration::ZERO,
            is_ended: false,
        };
        let (key, tokens) = (this.key, this.prompt_tokens);
        let (endpoint, model) = (|| endpoint(this.purpose), || Arc::clone(&this.model));
        signals.emit(|| {
            RequestStarted {
                key,
                endpoint: endpoint(),
                model: Some(model()),
            }
            .into()
        });
        signals.emit(|| {
            StreamStarted {
                key,
                model: model(),
            }
            .into()
        });
        signals.emit(|| PrefillStarted { key, tokens }.into());
        this
    }

    /// Takes note that a piece of the answer arrived, and emits that now or with the next ones. An empty one is none.
    pub(crate) fn piece(&mut self, text: &str) {
        if text.is_empty() || !self.signals.are_heard() {
            return;
        }
        let now = Instant::now();
        let (key, after) = (self.key, now - self.since);
        self.last = now;
        if self.first.is_some() {
            self.batch.push(after);
            if self.batch.len() >= BATCH_MAX || after.saturating_sub(self.emitted) >= BATCH_TIME {
                self.emit_batch();
            }
            return;
        }
        self.first = Some(now);
        self.emitted = after;
        let (tokens, took) = (self.prompt_tokens, after);
        self.signals.emit(|| StreamFirstToken { key, after }.into());
        self.signals
            .emit(|| PrefillCompleted { key, tokens, took }.into());
        self.signals.emit(|| DecodeStarted { key }.into());
    }

    /// Emits the pieces that wait.
    fn emit_batch(&mut self) {
        let key = self.key;
        match self.batch[..] {
            [] => {}
            [after] => self.signals.emit(|| {
                StreamTokenGenerated {
                    key,
                    after,
                    tokens: 1,
                }
                .into()
            }),
            ref after => self.signals.emit(|| {
                TokensBatchGenerated {
                    key,
                    after: after.into(),
                }
                .into()
            }),
        }
        if let Some(last) = self.batch.last() {
            self.emitted = *last;
        }
        self.batch.clear();
    }

    /// Emits how the call ended.
    pub(crate) fn end(mut self, result: &Result<Answer, Error>) {
        self.ended(match result {
            Ok(answer) => End::Answered(answer.usage.completion.0),
            Err(Error::Interrupted { .. }) => End::Stopped,
            Err(error) if error.is_busy() => End::Failed("busy"),
            Err(error) if error.is_transient() => End::Failed("unreachable"),
            Err(_) => End::Failed("refused"),
        });
    }

    fn ended(&mut self, end: End) {
        self.is_ended = true;
        self.emit_batch();
        let (key, took, signals) = (self.key, self.since.elapsed(), &self.signals);
        let after = took;
        let (endpoint, model) = (|| endpoint(self.purpose), || Arc::clone(&self.model));
        match end {
            End::Answered(tokens) => {
                self.decoded(tokens);
                signals.emit(|| StreamCompleted { key, after, tokens }.into());
                signals.emit(|| {
                    TokensGenerated {
                        model: model(),
                        tokens,
                        took,
                    }
                    .into()
                });
                signals.emit(|| {
                    LatencyMeasured {
                        model: model(),
                        took,
                    }
                    .into()
                });
            }
            End::Stopped => signals.emit(|| StreamCancelled { key, after }.into()),
            End::Failed(error) => {
                signals.emit(|| StreamFailed { key, after }.into());
                if error == "busy" {
                    signals.emit(|| {
                        RatelimitHit {
                            endpoint: endpoint(),
                        }
                        .into()
                    });
                }
                signals.emit(|| {
                    RequestFailed {
                        key,
                        endpoint: endpoint(),
                        model: Some(model()),
                        took,
                        error: error.into(),
                    }
                    .into()
                });
                return;
            }
        }
        signals.emit(|| {
            RequestCompleted {
                key,
                endpoint: endpoint(),
                model: Some(model()),
                took,
            }
            .into()
        });
    }

    /// Emits how long the answer was generated, and how fast.
    fn decoded(&self, tokens: u64) {
        let Some(first) = self.first else {
            return; // the answer is empty
        };
        let (key, took) = (self.key, self.last - first);
        self.signals
            .emit(|| DecodeCompleted { key, tokens, took }.into());
        if tokens > 1 && took > Duration::ZERO {
            #[allow(clippy::cast_precision_loss)] // tokens of one answer
            let tokens_per_second = (tokens - 1) as f64 / took.as_secs_f64();
            self.signals.emit(|| {
                ThroughputMeasured {
                    model: Arc::clone(&self.model),
                    tokens_per_second,
                }
                .into()
            });
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.is_ended {
            self.ended(End::Stopped);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use journeyman_event::Tokens;
    use journeyman_signal::{Signal, Sink};

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Signal>>);

    impl Sink for Kept {
        fn listens(&self) -> bool {
            true
        }

        fn take(&self, signal: Signal) {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(signal);
        }
    }

    /// The times of further pieces in milliseconds, one list for each signal, of a stream with these gaps before pieces.
    async fn batches(gaps: &[u64]) -> Vec<Vec<u128>> {
        let kept = Arc::new(Kept::default());
        let signals = Signals::to(Arc::clone(&kept) as Arc<dyn Sink>);
        let started = ModelCallStarted {
            purpose: Purpose::Code,
            form: journeyman_event::payload::Form::default(),
            messages: Vec::new(),
            prompt_tokens: Tokens(1),
            exact: true,
            max_tokens: Tokens(1),
            temperature: 0.0,
            seed: 1,
            schema: None,
            model: None,
            reserved: None,
            key: None,
            project: None,
        };
        let intent = EventId::from_bytes([1; 16]);
        let mut call = Call::begin(&signals, intent, &started, "m");
        for gap in gaps {
            tokio::time::advance(Duration::from_millis(*gap)).await;
            call.piece("x");
        }
        drop(call);
        let kept = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        let batches = kept.iter().filter_map(|signal| match signal {
            Signal::StreamTokenGenerated(token) => Some(vec![token.after.as_millis()]),
            Signal::TokensBatchGenerated(batch) => {
                Some(batch.after.iter().map(Duration::as_millis).collect())
            }
            _ => None,
        });
        let batches = batches.collect();
        assert!(matches!(kept.last(), Some(Signal::RequestCompleted(_))));
        batches
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_of_a_fast_stream_are_emitted_together_and_those_of_a_slow_one_at_once() {
        assert_eq!(
            batches(&[50, 150, 150, 10]).await,
            [vec![200], vec![350], vec![360]]
        );
        assert_eq!(
            batches(&[50, 40, 40, 40, 5]).await,
            [vec![90, 130, 170], vec![175]]
        );
        let fast = batches(&[0; 200]).await;
        let sizes: Vec<usize> = fast.iter().map(Vec::len).collect();
        assert_eq!(sizes, [64, 64, 64, 7]);
    }
}
