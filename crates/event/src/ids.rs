//! Names and positions: of owners, tasks, modules and events, and of events in the store.
//!
//! Each has a type of its own that is checked when it is created, so that later code need not check again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::content::ContentHash;
use crate::time::{Randomness, TimeSource};

/// A name that does not follow its rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} {given:?} is not valid: {rule}")]
pub struct InvalidId {
    /// The kind of name that was expected.
    pub what: &'static str,
    /// The rejected text, truncated to 80 characters.
    pub given: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

fn refuse(what: &'static str, given: &str, rule: &'static str) -> InvalidId {
    InvalidId {
        what,
        given: given.chars().take(80).collect(),
        rule,
    }
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "Arc<str>", into = "Arc<str>")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `name` and wraps it.
            pub fn new(name: impl Into<Arc<str>>) -> Result<Self, InvalidId> {
                let name = name.into();
                let check: fn(&str) -> bool = $check;
                if check(&name) { Ok(Self(name)) } else { Err(refuse($what, &name, $rule)) }
            }

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

        impl TryFrom<Arc<str>> for $name {
            type Error = InvalidId;
            fn try_from(name: Arc<str>) -> Result<Self, InvalidId> {
                Self::new(name)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(name: &str) -> Result<Self, InvalidId> {
                Self::new(name)
            }
        }

        impl From<$name> for Arc<str> {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

fn is_plain_name(name: &str) -> bool {
    name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b))
}

fn is_dotted_identifier(name: &str) -> bool {
    name.len() <= 200
        && name.split('.').all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
}

checked_name! {
    /// Identifies a task. Together with the [`Owner`] it identifies the task's stream. 1 to 200 bytes that
    /// match `[A-Za-z0-9][A-Za-z0-9._:-]*`; it is always checked before it is used in a path or URL.
    TaskId, "task_id",
    "1 to 200 characters out of A-Z a-z 0-9 . _ : - and the first a letter or digit",
    is_plain_name
}

checked_name! {
    /// Identifies the owner of a task. Follows the same rule as [`TaskId`].
    Owner, "owner",
    "1 to 200 characters out of A-Z a-z 0-9 . _ : - and the first a letter or digit",
    is_plain_name
}

checked_name! {
    /// The name of a module in a task: identifiers joined by dots, such as `validators.email`. It is never used
    /// as a path.
    ModuleName, "module",
    "identifiers joined by dots, 200 characters at most",
    is_dotted_identifier
}

impl TaskId {
    /// Draws a new id: `t-` and 12 hexadecimal digits.
    pub fn random(randomness: &dyn Randomness) -> Self {
        Self(format!("t-{:012x}", randomness.next_u64() >> 16).into())
    }
}

impl TaskId {
    /// An id derived from content: `k-` and 24 hexadecimal digits of its hash. The same content gives the same
    /// id.
    pub fn of_content(hash: ContentHash) -> Self {
        let first = hash.as_bytes().first_chunk().unwrap_or(&[0; 16]);
        let digits = u128::from_be_bytes(*first) >> 32;
        Self(format!("k-{digits:024x}").into())
    }
}

impl ModuleName {
    /// The last component: `email` of `validators.email`.
    pub fn leaf(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or(&self.0)
    }
}

/// Identifies an event: a `UUIDv7` (RFC 9562), unique and roughly sorted by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// Makes a new id from the injected time and randomness.
    pub fn new(time: &dyn TimeSource, randomness: &dyn Randomness) -> Self {
        let ms = u64::try_from(time.now().as_millisecond()).unwrap_or(0);
        let (high, low) = (
            randomness.next_u64().to_be_bytes(),
            randomness.next_u64().to_be_bytes(),
        );
        let mut random = [0; 10];
        random[..8].copy_from_slice(&high);
        random[8..].copy_from_slice(&low[..2]);
        Self(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid())
    }

    /// The id as 16 raw bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Takes 16 bytes from [`EventId::as_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EventId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.parse()
            .map(Self)
            .map_err(|_| refuse("id", text, "a UUID is needed"))
    }
}

macro_rules! position {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The position before the first.
            pub const ZERO: Self = Self(0);

            /// The following position.
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

position! {
    /// An event's position in the store: 1, 2, 3 and so on, without gaps. Readers resume from it.
    Sequence
}
position! {
    /// An event's position in its stream (one owner's task): 1, 2, 3 and so on, without gaps.
    Revision
}

/// The user or system component on whose behalf the store is accessed. Every call to a store takes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    owner: Owner,
    kind: Kind,
}

/// What a principal may see, and whether it may make changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Viewer,
    User,
    System,
}

impl Principal {
    /// A user who reads and writes their own streams only.
    pub fn user(owner: Owner) -> Self {
        let kind = Kind::User;
        Self { owner, kind }
    }

    /// A user who reads their own streams and writes nothing.
    pub fn viewer(owner: Owner) -> Self {
        let kind = Kind::Viewer;
        Self { owner, kind }
    }

    /// The user `local`, for machines without user management.
    pub fn local() -> Self {
        Self::user(Owner("local".into()))
    }

    /// Sees the streams of all owners. For recovery, verification and export only.
    pub fn system() -> Self {
        Self {
            owner: Owner("system".into()),
            kind: Kind::System,
        }
    }

    /// The owner of streams this principal creates.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Whether this principal sees the streams of all owners.
    pub fn is_system(&self) -> bool {
        self.kind == Kind::System
    }

    /// Whether this principal may write.
    pub fn may_change(&self) -> bool {
        self.kind != Kind::Viewer
    }

    /// Whether this principal may see streams of `owner`.
    pub fn sees(&self, owner: &Owner) -> bool {
        self.is_system() || &self.owner == owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{SeededRandom, SteppedTime};

    #[test]
    fn a_task_id_never_looks_like_a_path() {
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "a\0b",
            "-x",
            "a b",
            "\u{430}bc",
            "a\n",
        ] {
            assert!(TaskId::new(bad).is_err(), "{bad:?}");
        }
        assert!(TaskId::new("a".repeat(200)).is_ok());
        assert!(TaskId::new("a".repeat(201)).is_err());
        assert!(TaskId::new("t-9f2c").is_ok());
    }

    #[test]
    fn a_module_name_is_dotted_identifiers() {
        for bad in ["", "a..b", ".a", "a.", "a-b", "1a", "a/b", "a.1"] {
            assert!(ModuleName::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(ModuleName::new("validators.email").unwrap().leaf(), "email");
    }

    #[test]
    fn an_event_id_is_a_version_7_uuid_and_round_trips() {
        let id = EventId::new(&SteppedTime::default(), &SeededRandom::new(1));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(&id.to_string()[14..15], "7");
        assert_eq!(EventId::from_bytes(*id.as_bytes()), id);
    }
}
