//! The timing, cost and trace of one task, computed from its events.
//!
//! A task is a trace of spans: the task itself, the agents that work for it, and below them model calls and tool calls; test
//! runs and the like are below the task. The ids of spans are made of the ids of the events that begin them, so that
//! every process that reads the events finds the same trace. Attributes of model calls, tools and agents have the names of
//! OpenTelemetry's semantic conventions. They contain no prompt, no answer, and no argument or result of a tool.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use journeyman_event::payload::{
    ModelCallCompleted, ModelCallStarted, TestFailed, TestPassed, TestStarted,
};
use journeyman_event::{
    Event, EventId, Payload, PicoUsd, SpanId, TaskId, TraceContext, TraceId, TraceParent, word,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::models::provider;

/// The most spans of a task; further ones are left out. A task has some dozens.
const SPANS_MAX: usize = 10_000;

/// The kinds of events that begin or end spans.
pub(crate) const SPAN_KINDS: &[&str] = &[
    "task_submitted",
    "task_started",
    "model_changed",
    "task_paused",
    "task_preempted",
    "task_resumed",
    "task_complete",
    "task_failed",
    "task_cancelled",
    "agent_started",
    "agent_completed",
    "model_call_started",
    "model_call_completed",
    "model_call_failed",
    "effect_interrupted",
    "effect_retried",
    "test_started",
    "test_passed",
    "test_failed",
    "tool_executing",
    "tool_completed",
    "analysis_started",
    "dead_code_analysis",
    "output_started",
    "output_written",
    "output_failed",
];

/// What a span is for, by OpenTelemetry's names, and more about it.
pub type Attributes = BTreeMap<&'static str, Value>;

/// A part of the work on a task, with its beginning and end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// The id of the span in its trace.
    pub span_id: SpanId,
    /// The span that it is a part of; `None` for the task itself, if its client named no trace.
    pub parent_span_id: Option<SpanId>,
    /// Its kind: `task`, `agent code`, `model call code`, `test run`, `tool read_file`, `analysis`, `output` or `rest`.
    pub name: String,
    /// The module that it belongs to.
    pub module: Option<String>,
    /// The beginning.
    pub start: Timestamp,
    /// The end; `None` while it is in progress.
    pub end: Option<Timestamp>,
    /// The kind of the event that ended it.
    pub outcome: Option<String>,
    /// Why it failed, as one word; `None` if it did not.
    pub error: Option<String>,
    /// More about it.
    pub attributes: Attributes,
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
    /// The id of the task's trace; `None` for a task that was imported.
    pub trace_id: Option<TraceId>,
    /// The trace and span that its client named.
    pub traceparent: Option<TraceParent>,
    /// What came with it.
    pub tracestate: Option<String>,
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
    /// The id of the store, which makes the ids of traces its own.
    store: String,
    timing: Timing,
    /// The spans in progress, by the event that began them.
    open: BTreeMap<EventId, usize>,
    /// The agents at work: id, module and span.
    agents: Vec<(String, Option<String>, usize)>,
    rest: Option<usize>,
    root: Option<SpanId>,
    /// The model of the task, and the kind of its server.
    model: Option<(String, String)>,
    /// The spans that ended and were not taken.
    ended: Vec<usize>,
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    Duration::try_from(to.duration_since(from))
        .unwrap_or_default()
        .as_secs_f64()
}

impl Timeline {
    /// Begins with no events. `store` is the id of the store that they are read from.
    pub fn new(store: &str) -> Self {
        Self {
            store: store.to_owned(),
            ..Self::default()
        }
    }

    /// Processes the next event. Of events copied by a fork only the submission counts.
    pub fn take(&mut self, event: &Event) {
        let at = event.occurred_at();
        self.timing.last = Some(at);
        if let Payload::TaskSubmitted(asked) = event.payload() {
            self.trace(event, asked.trace.as_ref());
        }
        if event.origin().is_some() {
            return;
        }
        if self.timing.spans.is_empty() {
            self.begin_task(event.task_id(), at);
        }
        let timing = &mut self.timing;
        match event.payload() {
            Payload::TaskSubmitted(asked) => {
                timing.submitted = Some(at);
                self.describe(0, "journeyman.language", &asked.language);
                if let Some(project) = &asked.project {
                    self.describe(0, "journeyman.project", project);
                }
            }
            Payload::TaskStarted(started) => {
                let submitted = timing.submitted.unwrap_or(at);
                timing.waited_seconds = Some(seconds(submitted, at));
                self.model = Some((started.model.clone(), started.server.clone()));
            }
            Payload::ModelChanged(changed) => {
                self.model = Some((changed.model.clone(), changed.server.clone()));
            }
            Payload::TaskPaused(_) | Payload::TaskPreempted(_) if self.rest.is_none() => {
                self.rest = self.begin(event, "rest".to_owned(), Attributes::new());
            }
            Payload::TaskResumed(_) => {
                self.reopen();
                if let Some(rest) = self.rest.take() {
                    let start = self.timing.spans[rest].start;
                    self.end(rest, event, None);
                    self.timing.rested_seconds += seconds(start, at);
                }
            }
            Payload::TaskComplete(_) => self.end_task(event, None),
            Payload::TaskFailed(failed) => self.end_task(event, word(&failed.reason)),
            Payload::TaskCancelled(_) => self.end_task(event, Some("cancelled".to_owned())),
            Payload::AgentStarted(agent) => {
                let purpose = agent.purpose.as_str();
                let attributes = [
                    ("gen_ai.operation.name", json!("invoke_agent")),
                    ("gen_ai.agent.name", json!(purpose)),
                    ("gen_ai.agent.id", json!(agent.agent)),
                ];
                let name = format!("agent {purpose}");
                if let Some(span) = self.begin(event, name, attributes.into()) {
                    let module = event.module().map(ToString::to_string);
                    self.agents.push((agent.agent.clone(), module, span));
                }
            }
            Payload::AgentCompleted(done) => {
                let (ended, others) = std::mem::take(&mut self.agents)
                    .into_iter()
                    .partition(|(agent, ..)| *agent == done.agent);
                self.agents = others;
                for (_, _, span) in ended {
                    self.end(span, event, None);
                }
            }
            Payload::ModelCallStarted(call) => {
                let attributes = self.asked(call);
                let name = format!("model call {}", call.purpose.as_str());
                self.opens(event, name, attributes);
            }
            Payload::TestStarted(started) => {
                self.opens(event, "test run".to_owned(), tested(started));
            }
            Payload::ToolExecuting(call) => {
                let attributes = [
                    ("gen_ai.operation.name", json!("execute_tool")),
                    ("gen_ai.tool.name", json!(call.tool)),
                    ("gen_ai.tool.type", json!("function")),
                ];
                self.opens(event, format!("tool {}", call.tool), attributes.into());
            }
            Payload::AnalysisStarted(_) => {
                self.opens(event, "analysis".to_owned(), Attributes::new());
            }
            Payload::OutputStarted(_) => {
                self.opens(event, "output".to_owned(), Attributes::new());
            }
            Payload::ModelCallCompleted(done) => {
                self.add(done);
                self.closes(event, None, answered(done));
            }
            Payload::ModelCallFailed(_) | Payload::OutputFailed(_) => {
                self.closes(event, Some("failed".to_owned()), Attributes::new());
            }
            Payload::EffectInterrupted(interrupted) => {
                self.closes(event, word(&interrupted.reason), Attributes::new());
            }
            Payload::EffectRetried(retried) => {
                let intent = event.causation_id();
                if let Some(span) = intent.and_then(|intent| self.open.get(&intent)) {
                    self.describe(*span, "journeyman.attempt", retried.attempt);
                }
            }
            Payload::TestPassed(TestPassed { tests, .. }) => {
                let count = [("journeyman.tests", json!(tests.len()))];
                self.closes(event, None, count.into());
            }
            Payload::TestFailed(TestFailed { kind, tests, .. }) => {
                let failed = tests.iter().filter(|test| !test.passed).count();
                let counts = [
                    ("journeyman.tests", json!(tests.len())),
                    ("journeyman.tests_failed", json!(failed)),
                ];
                self.closes(event, word(kind), counts.into());
            }
            Payload::ToolCompleted(done) => {
                let error = word(&done.outcome).filter(|outcome| outcome != "ok");
                self.closes(event, error, Attributes::new());
            }
            Payload::DeadCodeAnalysis(_) | Payload::OutputWritten(_) => {
                self.closes(event, None, Attributes::new());
            }
            _ => {}
        }
    }

    /// Notes the trace, and the id of the task's span.
    fn trace(&mut self, submitted: &Event, named: Option<&TraceContext>) {
        let (owner, task) = (submitted.owner(), submitted.task_id());
        let parent = named.map(|named| named.traceparent);
        let timing = &mut self.timing;
        timing.trace_id = Some(match parent {
            Some(parent) => parent.trace_id,
            None => TraceId::of_task(&self.store, owner, task),
        });
        timing.traceparent = parent;
        timing.tracestate = named.and_then(|named| named.tracestate.clone());
        self.root = Some(SpanId::of_event(submitted.id()));
    }

    fn begin_task(&mut self, task: &TaskId, at: Timestamp) {
        let Some(span_id) = self.root else {
            return; // the task does not begin with a submission
        };
        let parent = self.timing.traceparent.as_ref();
        self.timing.spans.push(Span {
            span_id,
            parent_span_id: parent.map(|parent| parent.span_id),
            name: "task".to_owned(),
            module: None,
            start: at,
            end: None,
            outcome: None,
            error: None,
            attributes: [("journeyman.task.id", json!(task))].into(),
        });
    }

    /// Adds an attribute to a span.
    fn describe(&mut self, span: usize, name: &'static str, value: impl Serialize) {
        if let Some(span) = self.timing.spans.get_mut(span) {
            span.attributes.insert(name, json!(value));
        }
    }

    /// What is known of a model call before it is made.
    fn asked(&self, call: &ModelCallStarted) -> Attributes {
        let (model, server) = match (&call.model, &self.model) {
            // The kind of the server of a further model is not recorded.
            (Some(model), _) => (model.as_str(), provider("")),
            (None, Some((model, server))) => (model.as_str(), provider(server)),
            (None, None) => ("unknown", provider("")),
        };
        // The nearest decimal number, not the float in the precision of another.
        let temperature = call.temperature.to_string().parse::<f64>().ok();
        let mut attributes: Attributes = [
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.provider.name", json!(server)),
            ("gen_ai.request.model", json!(model)),
            ("gen_ai.request.max_tokens", json!(call.max_tokens.0)),
            ("gen_ai.request.temperature", json!(temperature)),
            ("gen_ai.request.seed", json!(call.seed)),
            ("gen_ai.request.stream", json!(true)),
            ("journeyman.purpose", json!(call.purpose.as_str())),
        ]
        .into();
        if call.schema.is_some() {
            attributes.insert("gen_ai.output.type", json!("json"));
        }
        attributes
    }

    fn add(&mut self, done: &ModelCallCompleted) {
        let timing = &mut self.timing;
        timing.first_token_seconds += Duration::from_millis(done.first_token_ms).as_secs_f64();
        timing.prompt_tokens += done.prompt_tokens.0;
        timing.cached_tokens += done.cached_tokens.0;
        timing.completion_tokens += done.completion_tokens.0;
        let charge = done.charge.as_ref();
        match charge.and_then(|charge| charge.usd) {
            Some(usd) => timing.usd += usd,
            None => timing.unpriced_calls += 1,
        }
    }

    fn begin(&mut self, event: &Event, name: String, attributes: Attributes) -> Option<usize> {
        if self.timing.spans.len() >= SPANS_MAX {
            return None;
        }
        let module = event.module().map(ToString::to_string);
        // What an agent does is a part of its span.
        let is_of_agent = name.starts_with("model ") || name.starts_with("tool ");
        let mut agents = self.agents.iter().rev();
        let agent = agents.find(|(_, its_module, _)| is_of_agent && *its_module == module);
        let parent = agent.map_or(0, |(_, _, span)| *span);
        self.timing.spans.push(Span {
            span_id: SpanId::of_event(event.id()),
            parent_span_id: self.timing.spans.get(parent).map(|span| span.span_id),
            name,
            module,
            start: event.occurred_at(),
            end: None,
            outcome: None,
            error: None,
            attributes,
        });
        Some(self.timing.spans.len() - 1)
    }

    fn end(&mut self, span: usize, event: &Event, error: Option<String>) {
        let ended = &mut self.timing.spans[span];
        ended.end = Some(event.occurred_at());
        ended.outcome = Some(event.kind().to_owned());
        ended.error = error;
        self.ended.push(span);
    }

    fn opens(&mut self, event: &Event, name: String, attributes: Attributes) {
        if let Some(span) = self.begin(event, name, attributes) {
            self.open.insert(event.id(), span);
        }
    }

    fn closes(&mut self, event: &Event, error: Option<String>, attributes: Attributes) {
        let intent = event.causation_id();
        let Some(index) = intent.and_then(|intent| self.open.remove(&intent)) else {
            return;
        };
        self.end(index, event, error);
        let span = &mut self.timing.spans[index];
        span.attributes.extend(attributes);
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

    /// Ends the task's span, and those of agents that are still at work.
    fn end_task(&mut self, event: &Event, error: Option<String>) {
        for (_, _, span) in std::mem::take(&mut self.agents) {
            self.end(span, event, None);
        }
        if !self.timing.spans.is_empty() {
            self.end(0, event, error);
        }
    }

    /// The task goes on after its end.
    fn reopen(&mut self) {
        if let Some(root) = self.timing.spans.first_mut() {
            (root.end, root.outcome, root.error) = (None, None, None);
        }
    }

    /// The timing up to the last event.
    pub fn finish(self) -> Timing {
        self.timing
    }

    /// The spans that ended since the last call. None if the client's trace is not recorded.
    pub(crate) fn ended(&mut self) -> Vec<Span> {
        let ended = std::mem::take(&mut self.ended);
        let parent = self.timing.traceparent;
        if parent.is_some_and(|parent| !parent.is_sampled) {
            return Vec::new();
        }
        let spans = ended.into_iter();
        spans.map(|span| self.timing.spans[span].clone()).collect()
    }

    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        self.timing.trace_id
    }

    pub(crate) fn tracestate(&self) -> Option<&str> {
        self.timing.tracestate.as_deref()
    }
}

/// What is known of a test run before it.
fn tested(started: &TestStarted) -> Attributes {
    let words = [
        ("journeyman.scope", word(&started.scope)),
        ("journeyman.tests_origin", word(&started.origin)),
    ];
    let words = words.into_iter();
    words
        .filter_map(|(name, word)| Some((name, json!(word?))))
        .collect()
}

/// What is known of a model call with its answer.
fn answered(done: &ModelCallCompleted) -> Attributes {
    let finish = if done.cut_short { "length" } else { "stop" };
    let mut attributes: Attributes = [
        ("gen_ai.usage.input_tokens", json!(done.prompt_tokens.0)),
        (
            "gen_ai.usage.output_tokens",
            json!(done.completion_tokens.0),
        ),
        (
            "gen_ai.usage.cache_read.input_tokens",
            json!(done.cached_tokens.0),
        ),
        ("gen_ai.response.finish_reasons", json!([finish])),
        (
            "gen_ai.response.time_to_first_chunk",
            json!(Duration::from_millis(done.first_token_ms).as_secs_f64()),
        ),
    ]
    .into();
    if done.cache_write_tokens.0 > 0 {
        let written = json!(done.cache_write_tokens.0);
        attributes.insert("gen_ai.usage.cache_write.input_tokens", written);
    }
    let charge = done.charge.as_ref();
    let served = done.served_model.as_ref();
    if let Some(model) = served.or(charge.map(|charge| &charge.model)) {
        attributes.insert("gen_ai.response.model", json!(model));
    }
    if let Some(usd) = charge.and_then(|charge| charge.usd) {
        attributes.insert("journeyman.cost_usd", json!(usd));
    }
    attributes
}
