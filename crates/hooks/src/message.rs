//! The message about an event: the state of its task after the event. All hooks receive the same message.

use std::path::Path;

use jiff::Timestamp;
use journeyman_event::payload::{FailureReason, PauseReason, TaskWebhook, Verification};
use journeyman_event::state::{Ending, Status};
use journeyman_event::{Owner, Principal, Sequence, TaskId, TaskState};
use journeyman_journal::{Error as JournalError, Moment};
use journeyman_workflow::{Error as WorkflowError, headline, load_at};
use serde::Serialize;

use crate::outbox::PendingDelivery;
use crate::{Error, Shared};

/// The largest number of characters of the prompt.
const PROMPT_CHARS_MAX: usize = 200;
/// The largest number of characters of another text.
const TEXT_CHARS_MAX: usize = 1_000;

/// A message, ready for delivery.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The id of the event, the same for each attempt.
    pub(crate) id: String,
    /// The JSON text.
    pub(crate) body: Vec<u8>,
    /// The environment variables of the `on_end` command.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// The webhook in the task's submission.
    pub(crate) webhook: Option<TaskWebhook>,
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    /// The time of the event.
    timestamp: String,
    data: Data<'a>,
}

#[derive(Debug, Serialize)]
struct Data<'a> {
    task_id: &'a str,
    owner: &'a str,
    sequence: u64,
    revision: u64,
    status: &'static str,
    pause: Option<PauseReason>,
    /// The reason of a failure.
    reason: Option<FailureReason>,
    /// How the task ended, or what it waits for, in a sentence.
    result: Option<String>,
    verification: Option<Verification>,
    exit_code: Option<u8>,
    /// The output folder.
    out: Option<&'a str>,
    questions: Vec<Question<'a>>,
    /// The start of the prompt.
    prompt: String,
    tokens: u64,
    active_seconds: f64,
}

#[derive(Debug, Serialize)]
struct Question<'a> {
    id: &'a str,
    text: String,
}

/// Builds the message of a delivery from the journal. Returns `None` when the task no longer exists.
pub(crate) async fn build(
    shared: &Shared,
    delivery: &PendingDelivery,
) -> Result<Option<Message>, Error> {
    let (Ok(task), Ok(owner)) = (
        TaskId::new(delivery.task.as_str()),
        Owner::new(delivery.owner.as_str()),
    ) else {
        return Ok(None);
    };
    let sequence = Sequence(u64::try_from(delivery.sequence).unwrap_or_default());
    let moment = Some(Moment::Sequence(sequence));
    let owner = Principal::user(owner);
    let state = match load_at(&shared.options.journal, &owner, &task, moment).await {
        Err(WorkflowError::Journal(JournalError::Erased(_))) => None,
        state => state?,
    };
    // A task that is erased while it is read has no submission.
    let state = state.filter(|state| state.sequence == sequence && state.submission.is_some());
    let Some(state) = state else {
        return Ok(None);
    };
    let data_dir = shared.options.data_dir.as_deref();
    Ok(of_state(
        &state,
        delivery,
        data_dir,
        shared.options.exit_code,
    ))
}

fn of_state(
    state: &TaskState,
    delivery: &PendingDelivery,
    data_dir: Option<&Path>,
    exit_code: fn(&Ending) -> u8,
) -> Option<Message> {
    let asked = state.submission.as_ref()?;
    let (id, at) = (state.last_event?, state.last_at?);
    let ending = state.ending.as_ref().filter(|_| state.status.is_ended());
    let (reason, verification) = match ending {
        Some(Ending::Failed { reason, .. }) => (Some(*reason), None),
        Some(Ending::Complete(verification)) => (None, Some(*verification)),
        _ => (None, None),
    };
    let is_resting = state.status == Status::Paused;
    let result = ending.map(|ending| headline(state, ending));
    let trouble = state.model_problem.clone().filter(|_| is_resting);
    let code = ending.map(exit_code);
    let data = Data {
        task_id: &delivery.task,
        owner: &delivery.owner,
        sequence: state.sequence.0,
        revision: state.revision.0,
        status: state.status.as_str(),
        pause: state.pause.filter(|_| is_resting),
        reason,
        result: result
            .or(trouble)
            .map(|text| first_chars(&text, TEXT_CHARS_MAX)),
        verification,
        exit_code: code,
        out: asked.out.as_deref(),
        questions: state
            .open_questions()
            .map(|question| Question {
                id: &question.id,
                text: first_chars(&question.text, TEXT_CHARS_MAX),
            })
            .collect(),
        prompt: first_chars(&asked.prompt, PROMPT_CHARS_MAX),
        tokens: state.spent.0,
        active_seconds: state.worked().as_secs_f64(),
    };
    let body = Body {
        kind: &delivery.kind,
        timestamp: time_text(at),
        data,
    };
    let variables = variables(&body, data_dir);
    Some(Message {
        id: id.to_string(),
        body: serde_json::to_vec(&body).unwrap_or_default(),
        variables,
        webhook: asked.webhook.clone(),
    })
}

/// The environment variables of the command. An absent value has no variable.
fn variables(body: &Body<'_>, data_dir: Option<&Path>) -> Vec<(&'static str, String)> {
    let data = &body.data;
    let word = |value: Option<String>| value.filter(|word| !word.is_empty());
    let by = data.verification.as_ref().map(|by| match by {
        Verification::GivenTests => "given_tests",
        Verification::Agreement { .. } => "agreement",
        Verification::None => "none",
    });
    let reason = data.reason.as_ref().and_then(journeyman_event::word);
    let all = [
        ("JOURNEYMAN_EVENT", Some(body.kind.to_owned())),
        ("JOURNEYMAN_TASK_ID", Some(data.task_id.to_owned())),
        ("JOURNEYMAN_OWNER", Some(data.owner.to_owned())),
        ("JOURNEYMAN_SEQUENCE", Some(data.sequence.to_string())),
        ("JOURNEYMAN_STATUS", Some(data.status.to_owned())),
        ("JOURNEYMAN_REASON", reason),
        ("JOURNEYMAN_VERIFICATION", by.map(str::to_owned)),
        (
            "JOURNEYMAN_EXIT_CODE",
            data.exit_code.map(|code| code.to_string()),
        ),
        ("JOURNEYMAN_OUT", data.out.map(str::to_owned)),
        (
            "JOURNEYMAN_DATA_DIR",
            data_dir.map(|path| path.display().to_string()),
        ),
    ];
    let all = all.into_iter();
    // A variable cannot contain NUL.
    all.filter_map(|(name, value)| Some((name, word(value)?.replace('\0', ""))))
        .collect()
}

fn time_text(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// The first characters of a text.
fn first_chars(text: &str, chars: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
