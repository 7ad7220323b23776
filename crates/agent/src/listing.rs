//! One task in a list: the few facts that the journal keeps beside each stream, so that a list of
//! tasks reads no events.

use jiff::Timestamp;
use journeyman_event::payload::{PauseReason, Verification};
use journeyman_event::state::{Ending, Status};
use journeyman_event::{Priority, TaskId, TaskState};
use serde::{Deserialize, Serialize};

/// A prompt is shown in lists up to this length.
const PROMPT_CHARS: usize = 120;

/// What a list shows of a task. What an older version did not write has its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listing {
    /// Where it stands, as recorded. A `running` task whose holder died is shown as paused.
    pub status: Status,
    /// Why it rests.
    pub pause: Option<PauseReason>,
    /// How its result was checked, once it is complete.
    pub verification: Option<Verification>,
    /// The beginning of the prompt.
    pub prompt: String,
    /// Modules planned.
    pub modules: usize,
    /// Modules done.
    pub modules_complete: usize,
    /// Tokens spent.
    pub tokens: u64,
    /// Seconds spent working, up to the last pause or end.
    pub active_seconds: f64,
    /// When it was submitted.
    pub submitted_at: Option<Timestamp>,
    /// How urgent it is.
    pub priority: Priority,
    /// Whether it was worked on.
    pub started: bool,
    /// What it waits for before that.
    pub depends_on: Vec<TaskId>,
}

impl Listing {
    /// What a list shows of a task in this state.
    pub fn of(state: &TaskState) -> Self {
        let prompt = state
            .submission
            .as_ref()
            .map_or("", |submission| submission.prompt.trim());
        Self {
            status: state.status,
            pause: state.pause,
            verification: match &state.ending {
                Some(Ending::Complete(verification)) => Some(*verification),
                _ => None,
            },
            prompt: prompt
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(PROMPT_CHARS)
                .collect(),
            modules: state.modules.len(),
            modules_complete: state
                .modules
                .iter()
                .filter(|m| m.completion.is_some())
                .count(),
            tokens: state.spent.0,
            active_seconds: state.active.as_secs_f64(),
            submitted_at: state.submitted_at,
            priority: state
                .submission
                .as_ref()
                .map_or(Priority::MEDIUM, |asked| asked.priority),
            started: state.started.is_some(),
            depends_on: state
                .submission
                .as_ref()
                .map_or_else(Vec::new, |asked| asked.depends_on.clone()),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`Listing::of`] wrote; none if it cannot be read.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
