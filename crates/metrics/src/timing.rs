//! The timing and cost of one task, computed from its events.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use journeyman_event::{Event, EventId, Payload, PicoUsd};
use serde::Serialize;

/// The most spans of a task; further ones are left out. A task has some dozens.
const SPANS_MAX: usize = 10_000;

/// A part of the work on a task, with its beginning and end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// Its kind: `model call code`, `test run`, `tool read_file`, `analysis`, `output` or `rest`.
    pub name: String,
    /// The module that it belongs to.
    pub module: Option<String>,
    /// The beginning.
    pub start: Timestamp,
    /// The end; `None` while it is in progress.
    pub end: Option<Timestamp>,
    /// The kind of the event that ended it.
    pub outcome: Option<String>,
}

/// A number of spans and their total time. Spans in parallel count each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spent {
    /// The number of spans.
    pub count: u64,
    /// Their total time in seconds.
    pub seconds: f64,
}

/// The timing and cost of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timing {
    /// The time of its submission.
    pub submitted: Option<Timestamp>,
    /// The time of its last event.
    pub last: Option<Timestamp>,
    /// Seconds from its submission to its start; `None` before it started.
    pub waited_seconds: Option<f64>,
    /// Seconds during which it was paused or waited for its turn again.
    pub rested_seconds: f64,
    /// Model calls by purpose.
    pub model_calls: BTreeMap<String, Spent>,
    /// Of these, seconds until the first piece of an answer.
    pub first_token_seconds: f64,
    /// Test runs.
    pub test_runs: Spent,
    /// Tool calls.
    pub tools: Spent,
    /// The analysis, and writing the result.
    pub other: Spent,
    /// Tokens of the prompts of answered calls.
    pub prompt_tokens: u64,
    /// Of these, tokens that were in the server's cache.
    pub cached_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// The cost of calls with a known price.
    pub usd: PicoUsd,
    /// Calls without a known price.
    pub unpriced_calls: u64,
    /// The parts of the work, in the order of their beginnings.
    pub spans: Vec<Span>,
}

/// Computes the timing of a task from its events, which are given in their order.
#[derive(Debug, Default)]
pub struct Timeline {
    timing: Timing,
    open: BTreeMap<EventId, usize>,
    rest: Option<usize>,
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    Duration::try_from(to.duration_since(from))
        .unwrap_or_default()
        .as_secs_f64()
}

impl Timeline {
    /// Processes the next event. Events copied by a fork are left out.
    pub fn take(&mut self, event: &Event) {
        let at = event.occurred_at();
        let timing = &mut self.timing;
        timing.last = Some(at);
        if event.origin().is_some() {
            return;
        }
        match event.payload() {
            Payload::TaskSubmitted(_) => timing.submitted = Some(at),
            Payload::TaskStarted(_) => {
                let submitted = timing.submitted.unwrap_or(at);
                timing.waited_seconds = Some(seconds(submitted, at));
            }
            Payload::TaskPaused(_) | Payload::TaskPreempted(_) if self.rest.is_none() => {
                self.rest = self.begin(event, "rest".to_owned());
            }
            Payload::TaskResumed(_) => {
                if let Some(rest) = self.rest.take() {
                    let span = &mut self.timing.spans[rest];
                    span.end = Some(at);
                    span.outcome = Some(event.kind().to_owned());
                    self.timing.rested_seconds += seconds(span.start, at);
                }
            }
            Payload::ModelCallStarted(call) => {
                self.opens(event, format!("model call {}", call.purpose.as_str()));
            }
            Payload::TestStarted(_) => self.opens(event, "test run".to_owned()),
            Payload::ToolExecuting(call) => self.opens(event, format!("tool {}", call.tool)),
            Payload::AnalysisStarted(_) => self.opens(event, "analysis".to_owned()),
            Payload::OutputStarted(_) => self.opens(event, "output".to_owned()),
            Payload::ModelCallCompleted(done) => {
                timing.first_token_seconds +=
                    Duration::from_millis(done.first_token_ms).as_secs_f64();
                timing.prompt_tokens += done.prompt_tokens.0;
                timing.cached_tokens += done.cached_tokens.0;
                timing.completion_tokens += done.completion_tokens.0;
                let charge = done.charge.as_ref();
                match charge.and_then(|charge| charge.usd) {
                    Some(usd) => timing.usd += usd,
                    None => timing.unpriced_calls += 1,
                }
                self.closes(event);
            }
            Payload::ModelCallFailed(_)
            | Payload::EffectInterrupted(_)
            | Payload::TestPassed(_)
            | Payload::TestFailed(_)
            | Payload::ToolCompleted(_)
            | Payload::DeadCodeAnalysis(_)
            | Payload::OutputWritten(_)
            | Payload::OutputFailed(_) => self.closes(event),
            _ => {}
        }
    }

    fn begin(&mut self, event: &Event, name: String) -> Option<usize> {
        if self.timing.spans.len() >= SPANS_MAX {
            return None;
        }
        self.timing.spans.push(Span {
            name,
            module: event.module().map(ToString::to_string),
            start: event.occurred_at(),
            end: None,
            outcome: None,
        });
        Some(self.timing.spans.len() - 1)
    }

    fn opens(&mut self, event: &Event, name: String) {
        if let Some(span) = self.begin(event, name) {
            self.open.insert(event.id(), span);
        }
    }

    fn closes(&mut self, event: &Event) {
        let intent = event.causation_id();
        let Some(index) = intent.and_then(|intent| self.open.remove(&intent)) else {
            return;
        };
        let span = &mut self.timing.spans[index];
        span.end = Some(event.occurred_at());
        span.outcome = Some(event.kind().to_owned());
        let took = seconds(span.start, event.occurred_at());
        let spent = match span.name.split_once(' ') {
            Some(("model", call)) => {
                let purpose = call.trim_start_matches("call ").to_owned();
                self.timing.model_calls.entry(purpose).or_default()
            }
            Some(("test", _)) => &mut self.timing.test_runs,
            Some(("tool", _)) => &mut self.timing.tools,
            _ => &mut self.timing.other,
        };
        spent.count += 1;
        spent.seconds += took;
    }

    /// The timing up to the last event.
    pub fn finish(self) -> Timing {
        self.timing
    }
}
