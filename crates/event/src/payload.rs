//! The payloads of events: one type per kind.
//!
//! An event of a kind that only a newer version knows is kept unchanged as [`Payload::Unknown`]; data of a known
//! kind that cannot be parsed is kept as [`Payload::Unreadable`]; [`Payload::Erased`] stands for data that was
//! erased. None of them is an error. Projections skip and count all three.

mod agent;
mod code;
mod effect;
mod model;
mod summary;
mod system;
mod task;
mod test_run;

use crate::ids::EventId;
use crate::line::{erased_by, erasure_mark};

pub use agent::*;
pub use code::*;
pub use effect::*;
pub use model::*;
pub use summary::*;
pub use system::*;
pub use task::*;
pub use test_run::*;

macro_rules! payloads {
    ($($kind:literal => $variant:ident,)*) => {
        /// The payload of an event.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)] // each variant is documented at its type
        pub enum Payload {
            $($variant($variant),)*
            /// A kind this version does not know; the data is kept as stored.
            Unknown { kind: String, data: String },
            /// A known kind whose data could not be parsed; the data is kept as stored.
            Unreadable { kind: String, data: String, problem: String },
            /// The data was erased; `by` is the id of the event that records the erasure.
            Erased { kind: String, by: EventId },
        }

        impl Payload {
            /// The names of all kinds this version knows.
            pub const KINDS: &[&str] = &[$($kind,)*];

            /// The name of the kind, as stored.
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $kind,)*
                    Self::Unknown { kind, .. }
                    | Self::Unreadable { kind, .. }
                    | Self::Erased { kind, .. } => kind,
                }
            }

            /// Parses the data of an event of the given kind. Never fails: see [`Payload::Unknown`] and
            /// [`Payload::Unreadable`].
            pub fn parse(kind: &str, data: &str) -> Self {
                let unreadable = |error: serde_json::Error| Self::Unreadable {
                    kind: kind.to_owned(),
                    data: data.to_owned(),
                    problem: error.to_string(),
                };
                if let Some(by) = erased_by(data) {
                    return Self::Erased { kind: kind.to_owned(), by };
                }
                match kind {
                    $($kind => serde_json::from_str(data).map_or_else(unreadable, Self::$variant),)*
                    _ => Self::Unknown { kind: kind.to_owned(), data: data.to_owned() },
                }
            }

            /// Serialises the data as JSON.
            pub fn to_json(&self) -> Result<String, serde_json::Error> {
                match self {
                    $(Self::$variant(payload) => serde_json::to_string(payload),)*
                    Self::Unknown { data, .. } | Self::Unreadable { data, .. } => Ok(data.clone()),
                    Self::Erased { by, .. } => Ok(erasure_mark(*by)),
                }
            }
        }

        $(impl From<$variant> for Payload {
            fn from(payload: $variant) -> Self {
                Self::$variant(payload)
            }
        })*
    };
}

payloads! {
    // The task as a whole.
    "task_submitted" => TaskSubmitted,
    "task_started" => TaskStarted,
    "task_paused" => TaskPaused,
    "task_resumed" => TaskResumed,
    "model_changed" => ModelChanged,
    "clock_jumped" => ClockJumped,
    "limits_changed" => LimitsChanged,
    "out_changed" => OutChanged,
    "task_queued" => TaskQueued,
    "task_preempted" => TaskPreempted,
    "user_intervention" => UserIntervention,
    "user_answered" => UserAnswered,
    "module_skipped" => ModuleSkipped,
    "stop_requested" => StopRequested,
    "task_cancelled" => TaskCancelled,
    "task_failed" => TaskFailed,
    "task_complete" => TaskComplete,
    "retention_changed" => RetentionChanged,
    // Planning.
    "planning_complete" => PlanningComplete,
    "planning_rejected" => PlanningRejected,
    "questions_asked" => QuestionsAsked,
    "prompt_answered" => PromptAnswered,
    // Model calls: context, intent, outcomes.
    "context_built" => ContextBuilt,
    "context_refused" => ContextRefused,
    "model_call_started" => ModelCallStarted,
    "model_call_completed" => ModelCallCompleted,
    "model_call_failed" => ModelCallFailed,
    "answer_rejected" => AnswerRejected,
    // Agents, and the tools that they and the user call: intent, outcome.
    "agent_started" => AgentStarted,
    "agent_step" => AgentStep,
    "agent_completed" => AgentCompleted,
    "tool_executing" => ToolExecuting,
    "tool_completed" => ToolCompleted,
    // Any effect that did not reach its outcome.
    "effect_interrupted" => EffectInterrupted,
    "effect_retried" => EffectRetried,
    // One module.
    "module_started" => ModuleStarted,
    "module_iteration" => ModuleIteration,
    "code_generated" => CodeGenerated,
    "correction_started" => CorrectionStarted,
    "correction_completed" => CorrectionCompleted,
    "module_complete" => ModuleComplete,
    // Tests: intent, outcomes, what follows.
    "tests_generated" => TestsGenerated,
    "test_started" => TestStarted,
    "test_passed" => TestPassed,
    "test_failed" => TestFailed,
    "bug_report_received" => BugReportReceived,
    // The end.
    "analysis_started" => AnalysisStarted,
    "dead_code_analysis" => DeadCodeAnalysis,
    "review_completed" => ReviewCompleted,
    "summary_completed" => SummaryCompleted,
    "output_started" => OutputStarted,
    "output_written" => OutputWritten,
    "output_failed" => OutputFailed,
    // Of no task.
    "backpressure_alert" => BackpressureAlert,
    "erasure_started" => ErasureStarted,
    "erasure_completed" => ErasureCompleted,
}
