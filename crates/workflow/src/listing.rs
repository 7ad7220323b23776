//! The entry of a task in lists: a few facts that the journal stores with each stream, so that listing tasks reads
//! no events.

use jiff::Timestamp;
use journeyman_event::payload::{PauseReason, Verification};
use journeyman_event::state::{Ending, Status};
use journeyman_event::{Principal, Priority, TaskId, TaskState};
use journeyman_journal::Error::Damaged;
use journeyman_journal::{Journal, StreamInfo};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::load::load;

/// How many characters of a prompt are shown in lists.
const PROMPT_CHARS: usize = 120;

/// The entry of a task in a list. Fields that an older version did not write have default values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listing {
    /// The recorded status. A `running` task whose process has died is shown as paused.
    pub status: Status,
    /// Why the task is paused.
    pub pause: Option<PauseReason>,
    /// How the result was verified, once the task is complete.
    pub verification: Option<Verification>,
    /// The beginning of the prompt.
    pub prompt: String,
    /// The number of planned modules.
    pub modules: usize,
    /// The number of completed modules.
    pub modules_complete: usize,
    /// The tokens spent.
    pub tokens: u64,
    /// Working time in seconds, up to the last pause or end.
    pub active_seconds: f64,
    /// When the task was submitted.
    pub submitted_at: Option<Timestamp>,
    /// The priority of the task.
    pub priority: Priority,
    /// Whether work on it has ever started.
    pub started: bool,
    /// The tasks it waits for before it starts.
    pub depends_on: Vec<TaskId>,
    /// Whether the task is marked to be kept.
    pub keep: bool,
}

impl Listing {
    /// The entry of a stream: its summary, or if that is missing or damaged, an entry folded from its events. A
    /// task that cannot be read is shown as failed, with the reason.
    pub async fn of_stream(journal: &Journal, stream: &StreamInfo) -> Result<Self, Error> {
        let summary = stream.summary.as_deref().and_then(Self::from_bytes);
        if let Some(listing) = summary {
            return Ok(listing);
        }
        let owner = Principal::user(stream.owner.clone());
        match load(journal, &owner, &stream.task_id).await {
            Ok(state) => Ok(Self::of(&state.unwrap_or_default())),
            Err(Error::Journal(error @ Damaged { .. })) => Ok(Self {
                status: Status::Failed,
                prompt: format!("(cannot be read: {error})"),
                ..Self::default()
            }),
            Err(error) => Err(error),
        }
    }

    /// The entry of a task in this state.
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
            active_seconds: state.worked().as_secs_f64(),
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
            keep: state.keep,
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Parses what [`Listing::of`] wrote; `None` if that fails.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use journeyman_event::payload::{TaskCancelled, TaskSubmitted};
    use journeyman_event::{SeededRandom, Sequence, SteppedTime};
    use journeyman_journal::{Append, Expected, Filter, Memory};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::fact::{Fact, Role};
    use crate::recorder::Recorder;

    /// For streams imported without a summary, or with a damaged one.
    #[tokio::test]
    async fn a_stream_without_a_summary_is_listed_as_its_events_say() {
        let journal = Journal::open(Arc::new(Memory::new()), &SeededRandom::new(1)).unwrap();
        let (me, task) = (Principal::local(), TaskId::new("t-1").unwrap());
        let recorder = Recorder {
            journal: journal.clone(),
            principal: me.clone(),
            time: Arc::new(SteppedTime::default()),
            randomness: Arc::new(SeededRandom::new(1)),
            notices: crate::notice::tests::to(journeyman_bus::Bus::start()),
        };
        let (mut state, cancel) = (TaskState::default(), CancellationToken::new());
        let facts = vec![
            Fact::of_task(Role::User, TaskSubmitted::of("Make a thing")),
            Fact::of_task(Role::User, TaskCancelled {}),
        ];
        let recorded = recorder.record(&task, &mut state, facts, Vec::new(), &cancel);
        recorded.await.unwrap();
        let events = journal
            .read(&me, &Filter::default(), Sequence::ZERO, 10)
            .await;
        let copies = events.unwrap().events;
        let copies = copies
            .iter()
            .map(|event| journeyman_event::NewEvent::imported(event, "other").unwrap());
        let bare = Journal::open(Arc::new(Memory::new()), &SeededRandom::new(2)).unwrap();
        let append = Append {
            task_id: task.clone(),
            expected: Expected::Any,
            events: copies.collect(),
            blobs: Vec::new(),
            summary: None,
        };
        bare.append(&me, append).await.unwrap();
        for journal in [&journal, &bare] {
            let stream = journal.streams(&me, 1).await.unwrap().remove(0);
            let listing = Listing::of_stream(journal, &stream).await.unwrap();
            assert_eq!(listing, Listing::of(&state));
            assert_eq!(
                (listing.status, &*listing.prompt),
                (Status::Cancelled, "Make a thing")
            );
        }
    }
}
