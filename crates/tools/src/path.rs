//! Paths of a task's files. They are relative to the task and never denote files of the machine.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

const PATH_MAX: usize = 1_024;
const PART_MAX: usize = 255;

/// A path that could lead outside the task, or is not a valid file name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "path {given:?} is not valid: {rule}; give one relative to the task's root, as `list_files` shows it"
)]
pub struct InvalidPath {
    /// The rejected text, truncated to 80 characters.
    pub given: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

/// The path of a task's file: relative, with `/` as separator, and with no part that leads elsewhere, such as
/// `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(Arc<str>);

impl FilePath {
    /// Checks a path. A leading `./` is removed.
    pub fn new(given: &str) -> Result<Self, InvalidPath> {
        let path = given.strip_prefix("./").unwrap_or(given);
        match broken_rule(path) {
            None => Ok(Self(path.into())),
            Some(rule) => Err(InvalidPath {
                given: given.chars().take(80).collect(),
                rule,
            }),
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn broken_rule(path: &str) -> Option<&'static str> {
    if path.is_empty() || path.len() > PATH_MAX {
        return Some("it has 1 to 1,024 bytes");
    }
    if path.starts_with('/') {
        return Some("it must not be absolute");
    }
    if path.contains('\\') {
        return Some("its parts are divided by `/`");
    }
    if path.chars().any(char::is_control) {
        return Some("it must not have control characters");
    }
    for part in path.split('/') {
        match part {
            ".." => return Some("it must not have `..`"),
            "" | "." => return Some("each of its parts is a name"),
            long if long.len() > PART_MAX => return Some("a part has at most 255 bytes"),
            _ => {}
        }
    }
    None
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FilePath {
    type Err = InvalidPath;
    fn from_str(path: &str) -> Result<Self, InvalidPath> {
        Self::new(path)
    }
}

impl TryFrom<String> for FilePath {
    type Error = InvalidPath;
    fn try_from(path: String) -> Result<Self, InvalidPath> {
        Self::new(&path)
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0.as_ref().to_owned()
    }
}

impl JsonSchema for FilePath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FilePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": PATH_MAX})
    }
}
