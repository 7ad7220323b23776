//! All kinds of signals. `signals!` generates a type for each kind, the enum [`Signal`], and the catalogue.

use std::sync::Arc;
use std::time::Duration;

use crate::catalogue::{Entry, Kept};

/// A short text in a signal. Cloning it is cheap.
pub type Text = Arc<str>;

/// Identifies a request in its signals: the 128 bits of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u128);

macro_rules! signals {
    ($(
        $(#[doc = $what:literal])+
        $kind:literal => $name:ident {
            by: $producer:literal,
            to: $consumer:literal,
            kept: $kept:ident,
            $($(#[doc = $says:literal])+ $field:ident: $type:ty,)+
        }
    )*) => {
        $(
            $(#[doc = $what])+
            #[doc = concat!("\n\nIts kind is `", $kind, "`. Emitted by: ", $producer, ". Taken by: ", $consumer, ".")]
            #[derive(Clone, Debug, PartialEq)]
            pub struct $name {
                $($(#[doc = $says])+ pub $field: $type,)+
            }

            impl From<$name> for Signal {
                fn from(signal: $name) -> Self {
                    Self::$name(signal)
                }
            }
        )*

        /// A signal of any kind.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)] // each variant is documented at its type
        pub enum Signal {
            $($name($name),)*
        }

        impl Signal {
            /// The description of each kind, in the order of the definitions.
            pub const CATALOGUE: &[Entry] = &[$(Entry {
                kind: $kind,
                type_name: stringify!($name),
                what: concat!($($what),+),
                fields: &[$((stringify!($field), concat!($($says),+)),)+],
                producer: $producer,
                consumer: $consumer,
                kept: Kept::$kept,
            },)*];

            /// The kind's name.
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $kind,)*
                }
            }
        }
    };
}

signals! {
    /// A request started: a model call, or a request over HTTP.
    "request.started" => RequestStarted {
        by: "workflow, server",
        to: "requests",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// `workflow/` with the purpose of a model call, or the method and route of an HTTP request.
        endpoint: Text,
        /// The model; `None` for a request that calls none.
        model: Option<Text>,
    }
    /// A request ended with its answer.
    "request.completed" => RequestCompleted {
        by: "workflow, server",
        to: "requests, objectives",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// `workflow/` with the purpose of a model call, or the method and route of an HTTP request.
        endpoint: Text,
        /// The model; `None` for a request that calls none.
        model: Option<Text>,
        /// The duration, measured with a monotonic clock.
        took: Duration,
    }
    /// A request failed.
    "request.failed" => RequestFailed {
        by: "workflow, server",
        to: "requests, objectives",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// `workflow/` with the purpose of a model call, or the method and route of an HTTP request.
        endpoint: Text,
        /// The model; `None` for a request that calls none.
        model: Option<Text>,
        /// The duration, measured with a monotonic clock.
        took: Duration,
        /// The kind of error, as one word.
        error: Text,
    }
    /// A model call waits for a slot at the model server.
    "request.queued" => RequestQueued {
        by: "workflow",
        to: "requests",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// `workflow/` with the purpose of a model call, or the method and route of an HTTP request.
        endpoint: Text,
    }
    /// A model call got its slot, or was stopped while it waited.
    "request.dequeued" => RequestDequeued {
        by: "workflow",
        to: "requests",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// `workflow/` with the purpose of a model call, or the method and route of an HTTP request.
        endpoint: Text,
        /// How long it waited.
        waited: Duration,
    }
    /// The gateway selected a model for a call.
    "request.routed" => RequestRouted {
        by: "metrics",
        to: "models",
        kept: Journaled,
        /// The model: its name in the configuration, or the model of the task where it is the default one.
        model: Text,
        /// The purpose of the call.
        purpose: Text,
    }
    /// A model call ended with its answer.
    "tokens.generated" => TokensGenerated {
        by: "workflow",
        to: "models",
        kept: Live,
        /// The model.
        model: Text,
        /// The number of tokens.
        tokens: u64,
        /// The duration of the call.
        took: Duration,
    }
    /// Several further pieces of an answer arrived, one shortly after the other.
    "tokens.batch_generated" => TokensBatchGenerated {
        by: "workflow",
        to: "streaming",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// The time of each piece since the request was sent, measured with a monotonic clock, at most 64, oldest first.
        /// Each counts as one token.
        after: Arc<[Duration]>,
    }
    /// A request was sent whose answer is streamed.
    "stream.started" => StreamStarted {
        by: "workflow",
        to: "streaming",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// The model.
        model: Text,
    }
    /// The first piece of an answer arrived that is not empty.
    "stream.first_token" => StreamFirstToken {
        by: "workflow",
        to: "streaming",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// The time since the request was sent, measured with a monotonic clock.
        after: Duration,
    }
    /// A further piece of an answer arrived.
    "stream.token_generated" => StreamTokenGenerated {
        by: "workflow",
        to: "streaming",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// The time since the request was sent, measured with a monotonic clock.
        after: Duration,
        /// The number of its tokens, estimated as one a piece.
        tokens: u64,
    }
    /// A stream ended with its answer.
    "stream.completed" => StreamCompleted {
        by: "workflow",
        to: "streaming, engine",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// The time since the request was sent, measured with a monotonic clock.
        after: Duration,
        /// The tokens of the answer, as the server counted them.
        tokens: u64,
    }
    /// A stream failed.
    "stream.failed" => StreamFailed {
        by: "workflow",
        to: "streaming, engine",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// The time since the request was sent, measured with a monotonic clock.
        after: Duration,
    }
    /// A stream was stopped on purpose.
    "stream.cancelled" => StreamCancelled {
        by: "workflow",
        to: "streaming, engine",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// The time since the request was sent, measured with a monotonic clock.
        after: Duration,
    }
    /// The model server started to read a prompt.
    "prefill.started" => PrefillStarted {
        by: "workflow",
        to: "engine",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// The tokens of the prompt.
        tokens: u64,
    }
    /// The model server has read a prompt: the first piece of the answer came.
    "prefill.completed" => PrefillCompleted {
        by: "workflow",
        to: "engine",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// The tokens of the prompt.
        tokens: u64,
        /// The duration.
        took: Duration,
    }
    /// The model server generates an answer.
    "decode.started" => DecodeStarted {
        by: "workflow",
        to: "engine",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
    }
    /// The model server finished an answer.
    "decode.completed" => DecodeCompleted {
        by: "workflow",
        to: "engine",
        kept: Live,
        /// The key of the request, the same in all its signals.
        key: Key,
        /// Tokens of the answer.
        tokens: u64,
        /// The time from the first piece to the last.
        took: Duration,
    }
    /// The duration of a model call was measured.
    "latency.measured" => LatencyMeasured {
        by: "workflow",
        to: "models",
        kept: Live,
        /// The model.
        model: Text,
        /// The time from sending the request to the end of the answer.
        took: Duration,
    }
    /// The speed of generating an answer was measured.
    "throughput.measured" => ThroughputMeasured {
        by: "workflow",
        to: "models",
        kept: Live,
        /// The model.
        model: Text,
        /// Tokens per second after the first token.
        tokens_per_second: f64,
    }
    /// The number of waiting or running tasks changed.
    "queue.depth_changed" => QueueDepthChanged {
        by: "journeyman",
        to: "engine",
        kept: Live,
        /// The number of waiting tasks.
        waiting: u64,
        /// The number of running tasks.
        running: u64,
    }
    /// The number of model calls that are in progress at the same time changed.
    "batch.size_changed" => BatchSizeChanged {
        by: "workflow",
        to: "batch",
        kept: Live,
        /// The number of calls in progress.
        calls: u64,
    }
    /// A model server looked up a prompt in its cache.
    "cache.lookup" => CacheLookup {
        by: "metrics",
        to: "cache",
        kept: Journaled,
        /// The model.
        model: Text,
        /// The tokens of the prompt.
        tokens: u64,
    }
    /// A part of a prompt was in the cache of the model server.
    "cache.hit" => CacheHit {
        by: "metrics",
        to: "cache",
        kept: Journaled,
        /// The model.
        model: Text,
        /// The tokens found there.
        tokens: u64,
    }
    /// Nothing of a prompt was in the cache of the model server.
    "cache.miss" => CacheMiss {
        by: "metrics",
        to: "cache",
        kept: Journaled,
        /// The model.
        model: Text,
    }
    /// A task was started with a model, or its server now runs another one.
    "model.selected" => ModelSelected {
        by: "metrics",
        to: "models",
        kept: Journaled,
        /// The model.
        model: Text,
        /// The kind of its server.
        server: Text,
    }
    /// A task started to run.
    "worker.assigned" => WorkerAssigned {
        by: "tasks",
        to: "engine",
        kept: Live,
        /// The task.
        task: Text,
    }
    /// A run of a task ended.
    "worker.completed" => WorkerCompleted {
        by: "tasks",
        to: "engine",
        kept: Live,
        /// The task.
        task: Text,
        /// The duration of the run.
        held: Duration,
    }
    /// The resources that the process uses.
    "resource.utilization" => ResourceUtilization {
        by: "journeyman",
        to: "engine",
        kept: Live,
        /// The resident memory.
        memory_bytes: u64,
        /// The processor time used since the process started.
        cpu: Duration,
    }
    /// Something failed.
    "error.occurred" => ErrorOccurred {
        by: "metrics",
        to: "errors",
        kept: Journaled,
        /// The kind of error, as one word.
        error: Text,
        /// `workflow/` with the purpose of a model call, or the method and route of an HTTP request.
        endpoint: Text,
        /// The message, at most 2,000 characters. Errors with similar messages form a group.
        message: Text,
        /// The model; `None` for a request that calls none.
        model: Option<Text>,
        /// The owner of the task.
        owner: Text,
        /// The id of the task, as an example for the group.
        sample: Text,
    }
    /// Errors of a group occurred for the third time, or ten times within a second.
    "error.pattern_detected" => ErrorPatternDetected {
        by: "metrics",
        to: "alerts",
        kept: Live,
        /// The fingerprint of the group.
        fingerprint: Text,
        /// The number of its errors so far.
        count: u64,
    }
    /// An effect that a crash interrupted is repeated.
    "recovery.attempted" => RecoveryAttempted {
        by: "metrics",
        to: "errors",
        kept: Journaled,
        /// The number of the attempt, from 2.
        attempt: u64,
    }
    /// A repeated effect has its outcome.
    "recovery.succeeded" => RecoverySucceeded {
        by: "metrics",
        to: "errors",
        kept: Journaled,
        /// The number of the attempt.
        attempt: u64,
    }
    /// An endpoint uses its error budget too fast.
    "slo.violation" => SloViolation {
        by: "metrics",
        to: "alerts",
        kept: Live,
        /// `workflow/` with the purpose of a model call, or the method and route of an HTTP request.
        endpoint: Text,
        /// The model; `None` for a request that calls none.
        model: Option<Text>,
        /// The long window of the alert.
        window: Text,
        /// The burn rate in that window.
        burn_rate: f64,
    }
    /// An HTTP client disconnected before its response began.
    "network.client_disconnected" => NetworkClientDisconnected {
        by: "server",
        to: "requests",
        kept: Live,
        /// The route.
        endpoint: Text,
    }
    /// A model call used tokens.
    "usage.recorded" => UsageRecorded {
        by: "metrics",
        to: "cost, models",
        kept: Journaled,
        /// The model.
        model: Text,
        /// `workflow/` with the purpose of a model call, or the method and route of an HTTP request.
        endpoint: Text,
        /// The owner of the task.
        owner: Text,
        /// The task.
        task: Text,
        /// The name of the key with which the task was submitted.
        key: Option<Text>,
        /// The project of the task.
        project: Option<Text>,
        /// The tokens of the prompt, including cached ones.
        prompt: u64,
        /// The tokens of the prompt that were in the server's cache.
        cached: u64,
        /// The tokens of the answer; for a call without an answer, all tokens used.
        completion: u64,
    }
    /// A model server refused a call because it is busy or a rate limit was reached.
    "ratelimit.hit" => RatelimitHit {
        by: "workflow",
        to: "requests",
        kept: Live,
        /// `workflow/` with the purpose of the call.
        endpoint: Text,
    }
    /// A model call was priced.
    "cost.calculated" => CostCalculated {
        by: "metrics",
        to: "cost",
        kept: Journaled,
        /// The model.
        model: Text,
        /// `workflow/` with the purpose of a model call, or the method and route of an HTTP request.
        endpoint: Text,
        /// The owner of the task.
        owner: Text,
        /// The task.
        task: Text,
        /// The name of the key with which the task was submitted.
        key: Option<Text>,
        /// The project of the task.
        project: Option<Text>,
        /// The cost in 10^-12 US dollars; `None` if the model has no known price.
        pico_usd: Option<u128>,
        /// The source of the price with its version.
        price: Text,
    }
    /// The spending of a budget reached a threshold, for the first time in its period.
    "budget.threshold_crossed" => BudgetThresholdCrossed {
        by: "metrics",
        to: "alerts",
        kept: Live,
        /// The budget's name.
        budget: Text,
        /// The owner, key, project or task of the account.
        scope: Text,
        /// The threshold in per cent of the limit.
        percent: u32,
    }
    /// A hard budget refused a call, or more than its limit was spent of a budget.
    "budget.exceeded" => BudgetExceeded {
        by: "metrics",
        to: "alerts",
        kept: Live,
        /// The budget's name.
        budget: Text,
        /// The owner, key, project or task of the account.
        scope: Text,
    }
    /// A new period of a budget began.
    "budget.reset" => BudgetReset {
        by: "metrics",
        to: "alerts",
        kept: Live,
        /// The budget's name.
        budget: Text,
        /// The owner, key, project or task of the account.
        scope: Text,
    }
    /// A task was submitted.
    "task.submitted" => SubmittedTask {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The owner of the task.
        owner: Text,
        /// The task.
        task: Text,
    }
    /// Work on a task began.
    "task.started" => StartedTask {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The owner of the task.
        owner: Text,
        /// The task.
        task: Text,
    }
    /// A task was paused.
    "task.paused" => PausedTask {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The owner of the task.
        owner: Text,
        /// The task.
        task: Text,
        /// The reason, as one word.
        reason: Text,
    }
    /// Work on a task continues.
    "task.resumed" => ResumedTask {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The owner of the task.
        owner: Text,
        /// The task.
        task: Text,
    }
    /// A task was stopped for a more urgent one.
    "task.preempted" => PreemptedTask {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The owner of the task.
        owner: Text,
        /// The task.
        task: Text,
    }
    /// A task is complete.
    "task.completed" => CompletedTask {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The owner of the task.
        owner: Text,
        /// The task.
        task: Text,
    }
    /// A task failed.
    "task.failed" => FailedTask {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The owner of the task.
        owner: Text,
        /// The task.
        task: Text,
        /// The reason, as one word.
        reason: Text,
    }
    /// A task was cancelled.
    "task.cancelled" => CancelledTask {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The owner of the task.
        owner: Text,
        /// The task.
        task: Text,
    }
    /// An agent started.
    "agent.started" => StartedAgent {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The owner of the task.
        owner: Text,
    }
    /// An agent took a step.
    "agent.step" => SteppedAgent {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The owner of the task.
        owner: Text,
    }
    /// An agent ended.
    "agent.completed" => CompletedAgent {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The owner of the task.
        owner: Text,
        /// The outcome, as one word.
        outcome: Text,
    }
    /// A tool call started.
    "tool.executing" => ExecutingTool {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The tool.
        tool: Text,
    }
    /// A tool call ended.
    "tool.completed" => CompletedTool {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The tool.
        tool: Text,
        /// The outcome, as one word.
        outcome: Text,
        /// The duration.
        took: Duration,
    }
    /// A prompt was built.
    "context.built" => BuiltContext {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The purpose of the call.
        purpose: Text,
        /// The context window in tokens.
        window: u64,
        /// The tokens of the prompt.
        tokens: u64,
        /// The number of pieces that were cut or left out.
        left_out: u64,
    }
    /// A test run in the sandbox ended.
    "sandbox.run" => SandboxRun {
        by: "metrics",
        to: "work",
        kept: Journaled,
        /// The outcome, as one word.
        outcome: Text,
        /// The duration.
        took: Duration,
    }
}
