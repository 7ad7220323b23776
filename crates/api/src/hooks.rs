//! Hooks: the rules for a task's webhook, and the status of each hook.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use journeyman_event::payload::{FailureReason, PauseReason, TaskWebhook};
use journeyman_event::{Payload, word};
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::limits::{LimitError, WEBHOOK_EVENTS_MAX, WEBHOOK_URL_BYTES_MAX};

/// The kinds of events that hooks can subscribe to.
pub const HOOK_EVENT_KINDS: &[&str] = &[
    "task_submitted",
    "task_started",
    "task_queued",
    "task_preempted",
    "task_paused",
    "task_resumed",
    "planning_complete",
    "questions_asked",
    "module_complete",
    "task_complete",
    "task_failed",
    "task_cancelled",
];

/// The kinds of events that end a task. Hooks subscribe to these by default.
pub const TERMINAL_KINDS: &[&str] = &["task_complete", "task_failed", "task_cancelled"];

/// The required prefix of environment variables that a task's webhook refers to. Without it, anyone who may submit a
/// task could use any variable of the server.
pub const TASK_VARIABLE_PREFIX: &str = "JOURNEYMAN_WEBHOOK_";

/// A kind of event that a hook subscribes to, optionally limited to one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter {
    kind: &'static str,
    reason: Option<String>,
}

impl EventFilter {
    /// The default filters: the events that end a task.
    pub fn terminal() -> Vec<Self> {
        let ends = TERMINAL_KINDS.iter();
        ends.map(|kind| Self { kind, reason: None }).collect()
    }

    /// Parses filters such as `task_failed:budget`. An empty list gives the default filters.
    pub fn parse_all(words: &[String]) -> Result<Vec<Self>, String> {
        if words.is_empty() {
            return Ok(Self::terminal());
        }
        if words.len() > WEBHOOK_EVENTS_MAX {
            return Err(format!(
                "{} events are named, and {WEBHOOK_EVENTS_MAX} are taken",
                words.len()
            ));
        }
        words.iter().map(|word| word.parse()).collect()
    }

    /// Whether an event with this payload matches.
    pub fn matches(&self, payload: &Payload) -> bool {
        if payload.kind() != self.kind {
            return false;
        }
        let Some(wanted) = &self.reason else {
            return true;
        };
        let reason = match payload {
            Payload::TaskFailed(failed) => word(&failed.reason),
            Payload::TaskPaused(paused) => word(&paused.reason),
            _ => None,
        };
        reason.as_ref() == Some(wanted)
    }
}

impl fmt::Display for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        match &self.reason {
            Some(reason) => write!(f, ":{reason}"),
            None => Ok(()),
        }
    }
}

impl FromStr for EventFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, reason) = match text.split_once(':') {
            Some((kind, reason)) => (kind, Some(reason)),
            None => (text, None),
        };
        let Some(known) = HOOK_EVENT_KINDS.iter().find(|known| **known == kind) else {
            return Err(format!(
                "{kind:?} is not an event that hooks can subscribe to; these are: {}",
                HOOK_EVENT_KINDS.join(", ")
            ));
        };
        let is_known = match (*known, reason) {
            (_, None) => true,
            ("task_failed", Some(reason)) => is_word::<FailureReason>(reason),
            ("task_paused", Some(reason)) => is_word::<PauseReason>(reason),
            (_, Some(_)) => false,
        };
        if !is_known {
            return Err(format!(
                "{text:?}: only `task_failed` and `task_paused` may be followed by a colon and one of their \
                 reasons, such as task_failed:budget"
            ));
        }
        Ok(Self {
            kind: known,
            reason: reason.map(str::to_owned),
        })
    }
}

/// Whether a text is the serialized form of a value of this type.
fn is_word<T: DeserializeOwned>(text: &str) -> bool {
    serde_json::from_value::<T>(Value::String(text.to_owned())).is_ok()
}

/// A reference to a secret. The secret is read each time it is needed and never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// An environment variable of the process that holds the data folder.
    Env(String),
    /// An absolute path to a file on its machine.
    File(PathBuf),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            let mut bytes = name.bytes();
            bytes
                .next()
                .is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
                && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
        };
        if let Some(name) = text.strip_prefix("env:") {
            if is_name(name) && name.len() <= 200 {
                return Ok(Self::Env(name.to_owned()));
            }
            return Err("`env:` is followed by the name of a variable".to_owned());
        }
        if let Some(path) = text.strip_prefix("file:") {
            let path = PathBuf::from(path);
            if path.is_absolute() && !text.contains('\0') && text.len() <= WEBHOOK_URL_BYTES_MAX {
                return Ok(Self::File(path));
            }
            return Err("`file:` is followed by an absolute path".to_owned());
        }
        Err("give a reference instead of the secret itself: env:NAME or file:/PATH".to_owned())
    }
}

/// The target of a webhook: a URL, or a reference to one.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A URL that may be stored and shown to the task's owner.
    Url(Url),
    /// A reference to a URL, for URLs that contain a secret.
    Reference(Reference),
}

impl Target {
    /// The part that may be shown: the origin of a URL without path and query, which often contain secrets.
    pub fn shown(&self) -> String {
        match self {
            Self::Url(url) => url.origin().ascii_serialization(),
            Self::Reference(reference) => reference.to_string(),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("env:") || text.starts_with("file:") {
            return text.parse().map(Self::Reference);
        }
        parse_webhook_url(text).map(Self::Url)
    }
}

/// Parses the URL of a webhook without resolving its host. Errors do not repeat the URL, which may contain a secret.
pub fn parse_webhook_url(text: &str) -> Result<Url, String> {
    if text.len() > WEBHOOK_URL_BYTES_MAX {
        return Err(format!(
            "the URL has more than {WEBHOOK_URL_BYTES_MAX} bytes"
        ));
    }
    let url = Url::parse(text).map_err(|error| format!("the URL is not valid: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("the URL must begin with https:// or http://".to_owned());
    }
    if url.port() == Some(0) {
        return Err("the URL has port 0, at which nothing can listen".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "the URL contains a user name or a password, which would be visible: remove it, or give the URL as \
             env:NAME or file:/PATH"
                .to_owned(),
        );
    }
    Ok(url)
}

/// Checks the webhook of a submission.
pub fn check_webhook(webhook: &TaskWebhook) -> Result<(), LimitError> {
    let bad = |reason: String| LimitError::Bad {
        field: "webhook",
        reason,
    };
    let mut references = Vec::new();
    if let Target::Reference(reference) = webhook.url.parse().map_err(bad)? {
        references.push(reference);
    }
    if let Some(secret) = &webhook.secret {
        references.push(secret.parse().map_err(bad)?);
    }
    for reference in &references {
        if let Reference::Env(name) = reference
            && !name.starts_with(TASK_VARIABLE_PREFIX)
        {
            return Err(bad(format!(
                "a task may refer to variables that begin with {TASK_VARIABLE_PREFIX}, not to {name}"
            )));
        }
    }
    EventFilter::parse_all(&webhook.events).map_err(bad)?;
    Ok(())
}

/// Whether a webhook refers to a file on the server's machine.
pub fn references_file(webhook: &TaskWebhook) -> bool {
    let secret = webhook.secret.as_deref();
    let mut given = [Some(webhook.url.as_str()), secret].into_iter().flatten();
    given.any(|text| text.starts_with("file:"))
}

/// The webhook of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// The URL (http or https, without a password), or `env:JOURNEYMAN_WEBHOOK_...` for a variable of the server that
    /// contains it.
    #[schema(max_length = 2_048)]
    pub url: String,
    /// The events to send: kinds, optionally with a reason (`task_failed:budget`). By default the events that end the
    /// task.
    #[schema(max_items = 32)]
    pub events: Option<Vec<String>>,
    /// The variable of the server that contains the signing secret: `env:JOURNEYMAN_WEBHOOK_...`. Without it, messages
    /// are not signed.
    #[schema(max_length = 2_048)]
    pub secret: Option<String>,
}

impl From<NewWebhook> for TaskWebhook {
    fn from(new: NewWebhook) -> Self {
        Self {
            url: new.url,
            events: new.events.unwrap_or_default(),
            secret: new.secret,
        }
    }
}

impl From<&TaskWebhook> for NewWebhook {
    fn from(webhook: &TaskWebhook) -> Self {
        Self {
            url: webhook.url.clone(),
            events: Some(webhook.events.clone()),
            secret: webhook.secret.clone(),
        }
    }
}

/// The status of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HookView {
    /// The name: `on_end`, the name in the configuration, or `task-` and 16 digits for webhooks of tasks.
    pub hook: String,
    /// `command`, or `webhook`.
    pub kind: String,
    /// The program, or the origin of the URL.
    pub target: String,
    /// `ok`; `failing` when the last attempt failed; `disabled` when the receiver answered 410; `unknown` when it is no
    /// longer configured.
    pub state: String,
    /// The number of pending deliveries.
    pub pending: u64,
    /// The number of dead deliveries: they failed for a day, or the hook was disabled. `retry` revives them.
    pub dead: u64,
    /// The number of deliveries made.
    pub delivered: u64,
    /// The number of failed attempts since the last success.
    pub consecutive_failures: u64,
    /// The time of the first of them.
    pub failing_since: Option<String>,
    /// The time of the last delivery.
    pub last_delivered_at: Option<String>,
    /// The last error.
    pub last_error: Option<String>,
    /// The time of the next attempt.
    pub next_attempt_at: Option<String>,
}

/// A list of hooks.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HookList {
    /// All hooks for an admin, otherwise the webhooks of the caller's tasks; sorted by name.
    pub hooks: Vec<HookView>,
}

/// The path parameter that names a hook.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct HookPath {
    /// The name of the hook.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    pub hook: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use journeyman_event::payload::{TaskCancelled, TaskFailed, TaskPaused};

    use super::*;

    fn webhook(url: &str) -> TaskWebhook {
        TaskWebhook {
            url: url.to_owned(),
            events: Vec::new(),
            secret: None,
        }
    }

    #[test]
    fn a_filter_matches_a_kind_and_optionally_a_reason() {
        let failed = |reason| {
            let detail = String::new();
            Payload::from(TaskFailed { reason, detail })
        };
        let paused = Payload::from(TaskPaused {
            reason: PauseReason::Question,
            detail: None,
        });
        let wanted = |text: &str| text.parse::<EventFilter>().unwrap();
        assert!(wanted("task_failed").matches(&failed(FailureReason::Plan)));
        let budget = wanted("task_failed:budget");
        assert!(budget.matches(&failed(FailureReason::Budget)));
        assert!(!budget.matches(&failed(FailureReason::Plan)) && !budget.matches(&paused));
        assert!(wanted("task_paused:question").matches(&paused));
        assert_eq!(budget.to_string(), "task_failed:budget");
        let ends = EventFilter::parse_all(&[]).unwrap();
        assert!(ends.iter().any(|end| end.matches(&TaskCancelled {}.into())));
        assert!(!ends.iter().any(|end| end.matches(&paused)));
        for bad in [
            "",
            "model_call_started",
            "task_failed:",
            "task_failed:why",
            "task_complete:x",
        ] {
            assert!(bad.parse::<EventFilter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_kind_that_hooks_subscribe_to_is_an_event_kind() {
        for kind in HOOK_EVENT_KINDS.iter().chain(TERMINAL_KINDS) {
            assert!(Payload::KINDS.contains(kind), "{kind}");
        }
    }

    #[test]
    fn a_webhook_contains_no_secret_and_refers_to_no_other_variable() {
        for good in [
            "https://host/path?x=1",
            "http://127.0.0.1:8000",
            "env:JOURNEYMAN_WEBHOOK_URL",
            "file:/run/secrets/url",
        ] {
            assert_eq!(check_webhook(&webhook(good)), Ok(()), "{good}");
        }
        for bad in [
            "",
            "host",
            "ftp://host/",
            "https://user:hunter2@host/",
            "https://hunter2@host/",
            "env:JOURNEYMAN_TOKEN",
            "env:",
            "file:relative",
        ] {
            let error = check_webhook(&webhook(bad)).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let signed = |secret: &str| TaskWebhook {
            secret: Some(secret.to_owned()),
            ..webhook("https://host/")
        };
        let error = check_webhook(&signed("whsec_aHVudGVyMg==")).unwrap_err();
        assert!(error.to_string().contains("env:NAME"), "{error}");
        assert!(!error.to_string().contains("whsec_"), "{error}");
        assert!(check_webhook(&signed("env:HF_TOKEN")).is_err());
        assert_eq!(check_webhook(&signed("env:JOURNEYMAN_WEBHOOK_X")), Ok(()));
        assert!(references_file(&signed("file:/x")) && !references_file(&signed("env:X")));
        let long = format!("https://host/{}", "x".repeat(WEBHOOK_URL_BYTES_MAX));
        assert!(check_webhook(&webhook(&long)).is_err());
        let many = TaskWebhook {
            events: vec!["task_failed".to_owned(); WEBHOOK_EVENTS_MAX + 1],
            ..webhook("https://host/")
        };
        assert!(check_webhook(&many).is_err());
    }

    #[test]
    fn only_the_origin_of_a_url_is_shown() {
        let target: Target = "https://hooks.example.com/T0/B0/hunter2?key=hunter2"
            .parse()
            .unwrap();
        assert_eq!(target.shown(), "https://hooks.example.com");
        assert_eq!(format!("{target:?}"), "https://hooks.example.com");
    }
}
