//! Makes signals from the events of the journal. The same events always give the same signals, so metrics made of them
//! survive a restart.
//!
//! Events that a fork copied or an import brought are left out: that work was done before, or elsewhere.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use journeyman_event::payload::{
    ErasedCost, ErasureStarted, Interruption, ModelCallCompleted, ModelCallStarted, PauseReason,
    Purpose, Reserved, ToolOutcome, Verdict,
};
use journeyman_event::{Event, EventId, Payload, PicoUsd, Revision, Tokens, word};
use journeyman_signal::{
    BuiltContext, CacheHit, CacheLookup, CacheMiss, CancelledTask, CompletedAgent, CompletedTask,
    CompletedTool, CostCalculated, ErrorOccurred, ExecutingTool, FailedTask, ModelSelected,
    PausedTask, PreemptedTask, RecoveryAttempted, RecoverySucceeded, RequestRouted, ResumedTask,
    SandboxRun, Signal, StartedAgent, StartedTask, SteppedAgent, SubmittedTask, Text,
    UsageRecorded,
};

use crate::budget::{Budgets, Who};

/// The kinds of events that signals are made from.
pub(crate) const KINDS: &[&str] = &[
    "task_submitted",
    "task_started",
    "task_paused",
    "task_resumed",
    "task_preempted",
    "model_changed",
    "task_cancelled",
    "task_failed",
    "task_complete",
    "context_built",
    "model_call_started",
    "model_call_completed",
    "model_call_failed",
    "answer_rejected",
    "agent_started",
    "agent_step",
    "agent_completed",
    "tool_executing",
    "tool_completed",
    "effect_interrupted",
    "effect_retried",
    "test_passed",
    "test_failed",
    "output_failed",
    "erasure_started",
];
/// The kinds of events that are needed to know what the model calls of a task cost.
pub const COST_KINDS: &[&str] = &[
    "model_call_started",
    "model_call_completed",
    "model_call_failed",
    "effect_interrupted",
];

/// The most erased calls that are remembered until the record of their erasure is read. Beyond it, the costs in each
/// record count in full, also those of calls that were read before they were erased.
const ERASED_MAX: usize = 500_000;

/// The most calls in progress, and tasks whose model is remembered. Beyond it the oldest is forgotten, and what follows
/// is counted under an unknown model.
const KNOWN_MAX: usize = 20_000;
/// How many characters of an error's message are kept.
const MESSAGE_MAX: usize = 2_000;
/// The model of a call for which none was recorded.
const UNKNOWN: &str = "unknown";

/// A map that keeps the latest entries.
#[derive(Debug)]
struct Latest<K, V> {
    values: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K: Eq + Hash + Clone, V> Latest<K, V> {
    fn new() -> Self {
        Self {
            values: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    fn put(&mut self, key: K, value: V) {
        if self.values.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }
}

#[derive(Clone, Debug)]
struct Call {
    purpose: Purpose,
    /// Its name in the configuration, or the task's model.
    model: Text,
    reserved: Option<Reserved>,
    key: Option<Text>,
    project: Option<Text>,
}

/// The erased calls whose record of erasure was not read yet, by owner and task.
#[derive(Debug, Default)]
struct Erased {
    calls: HashMap<(Text, Text), Vec<Revision>>,
    count: usize,
    is_overflown: bool,
}

impl Erased {
    fn note(&mut self, stream: (Text, Text), revision: Revision) {
        if self.count < ERASED_MAX {
            self.count += 1;
            self.calls.entry(stream).or_default().push(revision);
        } else {
            self.is_overflown = true;
        }
    }

    /// The costs of those calls of a task that were erased before they could be counted.
    fn uncounted<'r>(
        &mut self,
        stream: &(Text, Text),
        record: &'r ErasureStarted,
    ) -> impl Iterator<Item = &'r ErasedCost> {
        let calls = self.calls.remove(stream).unwrap_or_default();
        self.count -= calls.len();
        let counts_all = self.is_overflown;
        let is_uncounted = move |one: &&ErasedCost| counts_all || calls.contains(&one.revision);
        record.spent.iter().filter(is_uncounted)
    }
}

/// What the calls of a task cost, for the record of its erasure. Takes its events of the kinds [`COST_KINDS`] in their
/// order.
pub fn erased_costs<'e>(events: impl IntoIterator<Item = &'e Event>) -> Vec<ErasedCost> {
    let mut projection = Projection::new(Budgets::new(Vec::new()));
    let costs = events.into_iter().flat_map(|event| {
        let signals = projection.signals(event);
        signals.into_iter().filter_map(move |signal| {
            let Signal::CostCalculated(cost) = signal else {
                return None;
            };
            Some(ErasedCost {
                revision: event.revision(),
                at: event.occurred_at(),
                usd: PicoUsd(cost.pico_usd.filter(|usd| *usd > 0)?),
                key: cost.key.map(|key| key.to_string()),
                project: cost.project.map(|project| project.to_string()),
            })
        })
    });
    costs.collect()
}

/// Makes signals from events, in the order of the journal.
#[derive(Debug)]
pub(crate) struct Projection {
    calls: Latest<EventId, Call>,
    retried: Latest<EventId, u32>,
    models: Latest<(Text, Text), Text>,
    erased: Erased,
    budgets: Budgets,
}

/// The endpoint of model calls for a purpose, as in signals.
pub fn endpoint(purpose: Purpose) -> Text {
    format!("workflow/{}", purpose.as_str()).into()
}

fn named(value: &impl serde::Serialize) -> Text {
    word(value).unwrap_or_default().into()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The event that is processed.
struct At<'e> {
    event: &'e Event,
    who: Who,
    model: Option<Text>,
}

impl At<'_> {
    fn error(&self, error: &str, endpoint: Text, message: &str) -> Signal {
        ErrorOccurred {
            error: error.into(),
            endpoint,
            message: message.chars().take(MESSAGE_MAX).collect::<String>().into(),
            model: self.model.clone(),
            owner: Arc::clone(&self.who.owner),
            sample: Arc::clone(&self.who.task),
        }
        .into()
    }
}

impl Projection {
    pub(crate) fn new(budgets: Budgets) -> Self {
        Self {
            calls: Latest::new(),
            retried: Latest::new(),
            models: Latest::new(),
            erased: Erased::default(),
            budgets,
        }
    }

    /// The signals of an event. Budgets process it too.
    pub(crate) fn signals(&mut self, event: &Event) -> Vec<Signal> {
        if event.origin().is_some() {
            return Vec::new();
        }
        let owner: Text = event.owner().as_str().into();
        let task: Text = event.task_id().as_str().into();
        let key = (Arc::clone(&owner), Arc::clone(&task));
        let called = self.call(event);
        let mut who = Who {
            owner: Arc::clone(&owner),
            key: None,
            project: None,
            task: Arc::clone(&task),
        };
        if let Some(call) = &called {
            who.key.clone_from(&call.key);
            who.project.clone_from(&call.project);
        }
        let called = called.map(|call| call.model);
        let model = called.or_else(|| self.models.values.get(&key).cloned());
        let at = At { event, who, model };
        let mut signals = Vec::new();
        self.recovered(event, &mut signals);
        match event.payload() {
            Payload::TaskSubmitted(_) => signals.push(SubmittedTask { owner, task }.into()),
            Payload::TaskStarted(started) => {
                let model: Text = started.model.as_str().into();
                self.models.put(key, Arc::clone(&model));
                let server = started.server.as_str().into();
                signals.push(StartedTask { owner, task }.into());
                signals.push(ModelSelected { model, server }.into());
            }
            Payload::TaskPaused(paused) => {
                let reason = named(&paused.reason);
                if matches!(
                    paused.reason,
                    PauseReason::ModelUnreachable | PauseReason::Shortage
                ) {
                    let detail = paused.detail.as_deref().unwrap_or_default();
                    signals.push(at.error(&reason, "task".into(), detail));
                }
                signals.push(
                    PausedTask {
                        owner,
                        task,
                        reason,
                    }
                    .into(),
                );
            }
            Payload::TaskResumed(_) => signals.push(ResumedTask { owner, task }.into()),
            Payload::TaskPreempted(_) => signals.push(PreemptedTask { owner, task }.into()),
            Payload::TaskCancelled(_) => signals.push(CancelledTask { owner, task }.into()),
            Payload::TaskComplete(_) => signals.push(CompletedTask { owner, task }.into()),
            Payload::TaskFailed(failed) => {
                let reason = named(&failed.reason);
                signals.push(at.error(&format!("task_{reason}"), "task".into(), &failed.detail));
                signals.push(
                    FailedTask {
                        owner,
                        task,
                        reason,
                    }
                    .into(),
                );
            }
            Payload::ContextBuilt(built) => {
                let left = built.decisions.iter();
                let left_out = left
                    .filter(|decision| decision.verdict != Verdict::Kept)
                    .count();
                let tokens: Tokens = built.layers.iter().map(|layer| layer.tokens).sum();
                let context = BuiltContext {
                    purpose: built.purpose.as_str().into(),
                    window: built.window.0,
                    tokens: tokens.0,
                    left_out: left_out as u64,
                };
                signals.push(context.into());
            }
            Payload::ModelChanged(changed) => {
                let model: Text = changed.model.as_str().into();
                self.models.put(key, Arc::clone(&model));
                let server = changed.server.as_str().into();
                signals.push(ModelSelected { model, server }.into());
            }
            Payload::ModelCallStarted(started) => signals.push(self.started(&at, started)),
            Payload::ModelCallCompleted(completed) => self.answered(&at, completed, &mut signals),
            Payload::ModelCallFailed(failed) => {
                let purpose = self.call(event).map(|call| endpoint(call.purpose));
                let endpoint = purpose.unwrap_or_else(|| "workflow".into());
                signals.push(at.error("model_call_failed", endpoint, &failed.problem));
                self.lost(&at, failed.tokens, &mut signals);
            }
            Payload::EffectInterrupted(interrupted) => {
                if matches!(
                    interrupted.reason,
                    Interruption::ModelBusy | Interruption::Crashes
                ) {
                    let reason = named(&interrupted.reason);
                    signals.push(at.error(&reason, "workflow".into(), &reason));
                }
                self.lost(&at, interrupted.tokens, &mut signals);
            }
            Payload::EffectRetried(retried) => {
                if let Some(intent) = event.causation_id() {
                    self.retried.put(intent, retried.attempt);
                }
                let attempt = u64::from(retried.attempt);
                signals.push(RecoveryAttempted { attempt }.into());
            }
            Payload::AnswerRejected(rejected) => {
                signals.push(at.error(
                    "answer_rejected",
                    endpoint(rejected.purpose),
                    &rejected.problem,
                ));
            }
            Payload::AgentStarted(_) => signals.push(StartedAgent { owner }.into()),
            Payload::AgentStep(_) => signals.push(SteppedAgent { owner }.into()),
            Payload::AgentCompleted(done) => {
                let outcome = named(&done.outcome);
                signals.push(CompletedAgent { owner, outcome }.into());
            }
            Payload::ToolExecuting(call) => {
                signals.push(
                    ExecutingTool {
                        tool: call.tool.as_str().into(),
                    }
                    .into(),
                );
            }
            Payload::ToolCompleted(done) => {
                if done.outcome == ToolOutcome::Failed {
                    let endpoint = format!("tool/{}", done.tool).into();
                    signals.push(at.error("tool_failed", endpoint, &done.text));
                }
                let completed = CompletedTool {
                    tool: done.tool.as_str().into(),
                    outcome: named(&done.outcome),
                    took: ms(done.wall_ms),
                };
                signals.push(completed.into());
            }
            Payload::TestPassed(passed) => {
                let (outcome, took) = ("passed".into(), ms(passed.wall_ms));
                signals.push(SandboxRun { outcome, took }.into());
            }
            Payload::TestFailed(failed) => {
                let (outcome, took) = (named(&failed.kind), ms(failed.wall_ms));
                signals.push(SandboxRun { outcome, took }.into());
            }
            Payload::Erased { kind, .. } if COST_KINDS.contains(&&**kind) => {
                self.erased.note(key, event.revision());
            }
            Payload::ErasureStarted(record) => self.erasure(record),
            Payload::OutputFailed(failed) => {
                signals.push(at.error("output_failed", "output".into(), &failed.problem));
            }
            _ => {}
        }
        signals
    }

    /// Lets budgets keep what an erased task spent. What was counted before it was erased is not counted again.
    fn erasure(&mut self, record: &ErasureStarted) {
        let stream = (record.owner.as_str().into(), record.task_id.as_str().into());
        for cost in self.erased.uncounted(&stream, record) {
            let who = Who {
                owner: Arc::clone(&stream.0),
                key: cost.key.as_deref().map(Text::from),
                project: cost.project.as_deref().map(Text::from),
                task: Arc::clone(&stream.1),
            };
            self.budgets.spent(&who, cost.usd, cost.at);
        }
    }

    /// Adds a signal if the event is the outcome of a repeated effect.
    fn recovered(&mut self, event: &Event, signals: &mut Vec<Signal>) {
        let is_outcome = matches!(
            event.payload(),
            Payload::ModelCallCompleted(_)
                | Payload::ToolCompleted(_)
                | Payload::TestPassed(_)
                | Payload::TestFailed(_)
        );
        let intent = event.causation_id().filter(|_| is_outcome);
        if let Some(attempt) = intent.and_then(|intent| self.retried.values.remove(&intent)) {
            let attempt = u64::from(attempt);
            signals.push(RecoverySucceeded { attempt }.into());
        }
    }

    /// The call whose outcome the event is, if it is one.
    fn call(&self, event: &Event) -> Option<Call> {
        self.calls.values.get(&event.causation_id()?).cloned()
    }

    fn started(&mut self, at: &At<'_>, started: &ModelCallStarted) -> Signal {
        let named = started.model.as_deref().map(Text::from);
        let known = named.or_else(|| at.model.clone());
        let call = Call {
            purpose: started.purpose,
            model: known.unwrap_or_else(|| UNKNOWN.into()),
            reserved: started.reserved.clone(),
            key: started.key.as_deref().map(Text::from),
            project: started.project.as_deref().map(Text::from),
        };
        let routed = RequestRouted {
            model: Arc::clone(&call.model),
            purpose: started.purpose.as_str().into(),
        };
        if let Some(reserved) = &call.reserved {
            let who = Who {
                key: call.key.clone(),
                project: call.project.clone(),
                ..at.who.clone()
            };
            self.budgets
                .started(at.event.id(), &who, &reserved.id, reserved.usd);
        }
        self.calls.put(at.event.id(), call);
        routed.into()
    }

    /// Processes the outcome of a call with an answer.
    fn answered(&mut self, at: &At<'_>, completed: &ModelCallCompleted, signals: &mut Vec<Signal>) {
        let call = self.call(at.event);
        let charge = completed.charge.as_ref();
        let charged = charge.map(|charge| Text::from(charge.model.as_str()));
        let known = charged.or_else(|| call.as_ref().map(|call| Arc::clone(&call.model)));
        let used = Used {
            model: known.unwrap_or_else(|| UNKNOWN.into()),
            endpoint: call.map_or_else(|| "workflow".into(), |call| endpoint(call.purpose)),
            prompt: completed.prompt_tokens.0,
            cached: completed.cached_tokens.0,
            completion: completed.completion_tokens.0,
            usd: charge.and_then(|charge| charge.usd),
            price: charge.map_or("", |charge| &charge.price),
        };
        self.settle(at, used.usd.unwrap_or_default());
        let model = || Arc::clone(&used.model);
        signals.push(
            CacheLookup {
                model: model(),
                tokens: used.prompt,
            }
            .into(),
        );
        signals.push(match used.cached {
            0 => CacheMiss { model: model() }.into(),
            tokens => {
                let model = model();
                CacheHit { model, tokens }.into()
            }
        });
        usage(at, used, signals);
    }

    /// Processes the outcome of a call without an answer. If it used tokens, its reservation counts as spent: a provider
    /// bills the tokens, and nobody reports how many of them belong to the prompt.
    fn lost(&mut self, at: &At<'_>, tokens: Tokens, signals: &mut Vec<Signal>) {
        let Some(call) = self.call(at.event) else {
            return; // of another effect
        };
        if tokens == Tokens::ZERO {
            return self.settle(at, PicoUsd::ZERO);
        }
        let reserved = call.reserved.as_ref().map(|reserved| reserved.usd);
        self.settle(at, reserved.unwrap_or_default());
        let used = Used {
            model: Arc::clone(&call.model),
            endpoint: endpoint(call.purpose),
            prompt: 0,
            cached: 0,
            completion: tokens.0,
            usd: reserved,
            price: if reserved.is_some() { "reserved" } else { "" },
        };
        usage(at, used, signals);
    }

    fn settle(&mut self, at: &At<'_>, cost: PicoUsd) {
        if let Some(intent) = at.event.causation_id() {
            self.calls.values.remove(&intent);
            self.budgets
                .ended(intent, &at.who, cost, at.event.occurred_at());
        }
    }
}

/// The usage and cost of a call.
struct Used<'a> {
    model: Text,
    endpoint: Text,
    prompt: u64,
    cached: u64,
    completion: u64,
    usd: Option<PicoUsd>,
    price: &'a str,
}

/// Adds the signals of the usage and cost of a call.
fn usage(at: &At<'_>, used: Used<'_>, signals: &mut Vec<Signal>) {
    let cost = CostCalculated {
        model: Arc::clone(&used.model),
        endpoint: Arc::clone(&used.endpoint),
        owner: Arc::clone(&at.who.owner),
        task: Arc::clone(&at.who.task),
        key: at.who.key.clone(),
        project: at.who.project.clone(),
        pico_usd: used.usd.map(|usd| usd.0),
        price: used.price.into(),
    };
    let recorded = UsageRecorded {
        model: used.model,
        endpoint: used.endpoint,
        owner: Arc::clone(&at.who.owner),
        task: Arc::clone(&at.who.task),
        key: at.who.key.clone(),
        project: at.who.project.clone(),
        prompt: used.prompt,
        cached: used.cached,
        completion: used.completion,
    };
    signals.extend([recorded.into(), cost.into()]);
}
