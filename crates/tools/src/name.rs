//! Names of tools and external servers, and patterns for them. All are checked when created.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most characters of a built-in tool's name.
const SIMPLE_MAX: usize = 64;
/// The most characters of an external tool's name, including its server's.
const FULL_MAX: usize = 128;
/// The most characters of a server's name.
const SERVER_MAX: usize = 32;
/// The most characters of a pattern.
const PATTERN_MAX: usize = 160;

/// A name that does not follow its rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} {given:?} is not valid: {rule}")]
pub struct InvalidName {
    /// The kind of name that was expected.
    pub what: &'static str,
    /// The rejected text, truncated to 80 characters.
    pub given: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

fn refuse(what: &'static str, given: &str, rule: &'static str) -> InvalidName {
    let given = given.chars().take(80).collect();
    InvalidName { what, given, rule }
}

fn is_simple(name: &str, max: usize) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (1..=max).contains(&name.len()) && name.bytes().all(fits)
}

fn is_server(name: &str) -> bool {
    is_simple(name, SERVER_MAX) && !name.bytes().any(|b| b.is_ascii_uppercase())
}

/// Whether this is a valid name of a tool by the MCP specification. Such names may contain dots, which have no
/// meaning here.
fn is_remote(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=FULL_MAX).contains(&name.len()) && name.bytes().all(fits)
}

macro_rules! as_text {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }
    };
}

/// The name of an external MCP server as configured: `[a-z0-9_-]{1,32}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(Arc<str>);

as_text!(ServerName);

impl ServerName {
    /// Checks `name` and wraps it.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        if is_server(name) {
            Ok(Self(name.into()))
        } else {
            let rule = "1 to 32 of a-z, 0-9, _ and -";
            Err(refuse("name of a server", name, rule))
        }
    }
}

/// The name of a tool: `[A-Za-z0-9_-]{1,64}`, or `server.tool` for a tool of an external server.
///
/// Names are unique in a registry. Only names of external tools contain a dot, so no server can take the name
/// of a built-in tool. The server's name ends at the first dot; the server's own name for its tool may contain
/// more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ToolName(Arc<str>);

as_text!(ToolName);

impl ToolName {
    /// Checks `name` and wraps it.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let valid = match name.split_once('.') {
            None => is_simple(name, SIMPLE_MAX),
            Some((server, tool)) => is_server(server) && is_remote(tool) && name.len() <= FULL_MAX,
        };
        if valid {
            Ok(Self(name.into()))
        } else {
            let rule = "1 to 64 of A-Z, a-z, 0-9, _ and -; for an external tool a server's name, a dot, \
                        and these and dots (128 together)";
            Err(refuse("name of a tool", name, rule))
        }
    }

    /// The full name of a server's tool.
    pub fn of_server(server: &ServerName, tool: &str) -> Result<Self, InvalidName> {
        if is_remote(tool) {
            Self::new(&format!("{server}.{tool}"))
        } else {
            let rule =
                "only A-Z, a-z, 0-9, _, - and . are taken, 128 at most with the server's name";
            Err(refuse("name of a tool", tool, rule))
        }
    }
}

/// A pattern for names, in which each `*` matches any number of characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Arc<str>);

as_text!(Pattern);

impl Pattern {
    /// Checks `pattern` and wraps it.
    pub fn new(pattern: &str) -> Result<Self, InvalidName> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'*');
        if (1..=PATTERN_MAX).contains(&pattern.len()) && pattern.bytes().all(fits) {
            Ok(Self(pattern.into()))
        } else {
            let rule = "1 to 160 of the characters of names, and * for any of them";
            Err(refuse("pattern of names", pattern, rule))
        }
    }

    /// Whether the pattern matches the name.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else {
            return false;
        };
        let Some(last) = self.0.contains('*').then(|| parts.next_back()).flatten() else {
            return rest.is_empty();
        };
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_server_before_its_first_dot() {
        for good in ["read_file", "A-1", "git.log", "a_b-9.X", "a.b.c", "a..b"] {
            assert_eq!(ToolName::new(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(65);
        for bad in ["", "a b", ".x", "x.", "a.b/c", "Git.log", "naïve", &long] {
            assert!(ToolName::new(bad).is_err(), "{bad}");
        }
        let server = ServerName::new("git").unwrap();
        assert!(ToolName::of_server(&server, &"x".repeat(124)).is_ok());
        assert!(ToolName::of_server(&server, &"x".repeat(125)).is_err());
        let dotted = ToolName::of_server(&server, "log.show").unwrap();
        assert_eq!(dotted.as_str(), "git.log.show");
        assert!(ToolName::of_server(&server, "log/show").is_err());
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        let matches = |pattern: &str, name| Pattern::new(pattern).unwrap().matches(name);
        assert!(matches("*", "anything"));
        assert!(matches("git.*", "git.log"));
        assert!(matches("*_file", "read_file"));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(matches("ab", "ab"));
        assert!(!matches("ab", "abc"));
        assert!(!matches("git.*", "gits.log"));
        assert!(!matches("a*a", "a"));
        assert!(!matches("a*b*c", "a-c-b"));
    }
}
