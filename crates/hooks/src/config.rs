//! The configuration of hooks.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use journeyman_api::{EventFilter, Reference, Target};
use journeyman_event::ContentHash;
use journeyman_event::payload::TaskWebhook;
use serde::Deserialize;

/// The name of the hook that runs the `on_end` command.
pub const ON_END: &str = "on_end";
/// The prefix of the names of task webhooks.
const TASK_HOOK_PREFIX: &str = "task-";
/// The largest number of characters shown of a command.
const SHOWN_MAX: usize = 100;

/// The name of a configured webhook: `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`, except `on_end` and names that begin with
/// `task-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct HookName(String);

impl HookName {
    /// The name as it stands in the configuration file.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HookName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let mut bytes = name.bytes();
        let fits = bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
            && name.len() <= 64;
        if !fits {
            return Err(format!(
                "{name:?} is not a valid webhook name: use 1 to 64 letters, digits, - and _"
            ));
        }
        if name == ON_END || is_task_hook(&name) {
            return Err(format!("{name:?} is reserved for another kind of hook"));
        }
        Ok(Self(name))
    }
}

/// Whether a hook is the webhook of a task.
pub(crate) fn is_task_hook(name: &str) -> bool {
    name.starts_with(TASK_HOOK_PREFIX)
}

/// The hook name of a task's webhook. Tasks of one owner with the same URL share a hook, and with it the back-off when
/// the receiver fails.
pub(crate) fn task_hook_name(owner: &str, webhook: &TaskWebhook) -> String {
    let hash = ContentHash::of(format!("{owner}\0{}", webhook.url).as_bytes()).to_string();
    let digits = hash.trim_start_matches("b3:");
    format!("{TASK_HOOK_PREFIX}{}", digits.get(..16).unwrap_or(digits))
}

/// A valid webhook from the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Table")]
pub struct WebhookConfig {
    /// Where messages are sent to, or a reference to it.
    pub url: Target,
    /// The reference to the signing secret. Without it, messages are not signed.
    pub secret: Option<Reference>,
    /// The events to send.
    pub events: Vec<EventFilter>,
}

/// The table in the configuration file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    url: String,
    secret: Option<String>,
    #[serde(default)]
    events: Vec<String>,
}

impl TryFrom<Table> for WebhookConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let named = |key: &'static str| move |why: String| format!("`{key}`: {why}");
        let secret = table.secret.as_deref();
        Ok(Self {
            url: table.url.parse().map_err(named("url"))?,
            secret: secret
                .map(str::parse)
                .transpose()
                .map_err(named("secret"))?,
            events: EventFilter::parse_all(&table.events).map_err(named("events"))?,
        })
    }
}

/// A command that is given as a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    words: Vec<String>,
}

/// The command that runs when a task ends: a program and its arguments, without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnEnd {
    /// The program, then its arguments.
    pub words: Vec<String>,
    /// The time limit.
    pub limit: Duration,
}

impl OnEnd {
    /// Parses a command line. Words are separated by white space. Quotes and backslashes work as in a shell, but nothing
    /// is expanded. A line that begins with `[` is a list of words, as in TOML and JSON.
    pub fn new(line: &str, limit: Duration) -> Result<Self, String> {
        let words = if line.trim_start().starts_with('[') {
            let list = toml::from_str::<List>(&format!("words = {line}"));
            let list = list.map_err(|error| {
                format!(
                    "expected a list of words, such as [\"notify\", \"x y\"]: {}",
                    error.message()
                )
            });
            list?.words
        } else {
            shlex::split(line).ok_or("a quote in it is not closed")?
        };
        if words.first().is_none_or(String::is_empty) {
            return Err("the program is missing".to_owned());
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err("a word contains NUL".to_owned());
        }
        Ok(Self { words, limit })
    }

    /// The part that may be shown: the program, without arguments, which may contain a secret.
    pub(crate) fn shown(&self) -> String {
        let program = self.words.first().map_or("", String::as_str);
        program.chars().take(SHOWN_MAX).collect()
    }
}

impl FromStr for OnEnd {
    type Err = String;

    /// With the default time limit of 30 s.
    fn from_str(line: &str) -> Result<Self, String> {
        Self::new(line, Duration::from_secs(30))
    }
}

/// The environment variables that a command inherits: for finding programs and files, for the locale, and for the user's
/// desktop, but no keys and no tokens.
pub(crate) fn inherited(environment: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    const NAMES: &[&str] = &[
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "TERM",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "XAUTHORITY",
        "DBUS_SESSION_BUS_ADDRESS",
    ];
    let is_meant =
        |name: &str| NAMES.contains(&name) || name.starts_with("LC_") || name.starts_with("XDG_");
    let all = environment.iter();
    all.filter(|(name, _)| is_meant(name))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_into_words_without_a_shell() {
        let words = |line: &str| line.parse::<OnEnd>().map(|on_end| on_end.words);
        assert_eq!(
            words("notify-send 'task ended' $HOME;ls"),
            Ok(vec![
                "notify-send".to_owned(),
                "task ended".to_owned(),
                "$HOME;ls".to_owned()
            ])
        );
        assert_eq!(
            words(r#"["a b", "c"]"#),
            Ok(vec!["a b".to_owned(), "c".to_owned()])
        );
        for bad in ["", "  ", "'open", "[]", "[\"\"]", "[1]", "[\"a\"]\nx = 1"] {
            assert!(words(bad).is_err(), "{bad:?}");
        }
        let on_end: OnEnd = "curl -H 'Authorization: Bearer x' host".parse().unwrap();
        assert_eq!(on_end.shown(), "curl");
    }

    #[test]
    fn a_configured_webhook_is_validated() {
        let read = |text: &str| {
            let table: toml::Table = toml::from_str(text).unwrap();
            table.try_into::<BTreeMap<HookName, WebhookConfig>>()
        };
        let good = read(
            "[ci]\nurl = \"https://host/x\"\nsecret = \"env:CI_SECRET\"\nevents = [\"task_failed:budget\", \"questions_asked\"]",
        );
        let ci = good.unwrap().into_values().next().unwrap();
        assert_eq!(ci.url.shown(), "https://host");
        assert_eq!(ci.secret, Some(Reference::Env("CI_SECRET".to_owned())));
        assert_eq!(ci.events.len(), 2);
        let by_default = read("[ci]\nurl = \"env:URL\"").unwrap();
        let by_default = by_default.into_values().next().unwrap();
        assert_eq!(by_default.events, EventFilter::terminal());
        for (bad, named) in [
            ("[ci]", "url"),
            ("[ci]\nurl = \"x\"", "url"),
            ("[ci]\nurl = \"https://u:p@h/\"", "password"),
            ("[ci]\nurl = \"https://h:0/\"", "port 0"),
            (
                "[ci]\nurl = \"https://h/\"\nsecret = \"whsec_AAAA\"",
                "secret",
            ),
            (
                "[ci]\nurl = \"https://h/\"\nevents = [\"task_ended\"]",
                "task_ended",
            ),
            ("[ci]\nurl = \"https://h/\"\nurls = 1", "urls"),
            ("[on_end]\nurl = \"https://h/\"", "reserved"),
            ("[task-x]\nurl = \"https://h/\"", "reserved"),
            ("[\"a b\"]\nurl = \"https://h/\"", "not a valid"),
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains(named), "{bad}: {error}");
            assert!(!error.contains("AAAA"), "{error}");
        }
    }

    #[test]
    fn a_command_inherits_no_keys() {
        let all: BTreeMap<String, String> = [
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("XDG_RUNTIME_DIR", "/run"),
            ("JOURNEYMAN_MODEL_API_KEY", "k"),
            ("HF_TOKEN", "t"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("LD_PRELOAD", "x"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let names: Vec<&str> = inherited(&all).into_keys().collect();
        assert_eq!(names, ["LC_ALL", "PATH", "XDG_RUNTIME_DIR"]);
    }
}
