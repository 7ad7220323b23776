//! Names and positions: who owns a task, which task, which event, where in the store.
//!
//! Each is a type of its own, checked when it is made, so that nothing downstream checks again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::content::ContentHash;
use crate::time::{Randomness, TimeSource};

/// A name that breaks its rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} {given:?} is not valid: {rule}")]
pub struct InvalidId {
    /// What kind of name it was to be.
    pub what: &'static str,
    /// What was given, cut to 80 characters.
    pub given: String,
    /// The rule that it breaks.
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
            /// Checks the name.
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
    /// A task's name, and with its [`Owner`] the name of its stream. It never reaches a path or a
    /// URL unchecked: 1 to 200 bytes, `[A-Za-z0-9][A-Za-z0-9._:-]*`.
    TaskId, "task_id",
    "1 to 200 characters out of A-Z a-z 0-9 . _ : - and the first a letter or digit",
    is_plain_name
}

checked_name! {
    /// Whose a task is: the same rule as [`TaskId`].
    Owner, "owner",
    "1 to 200 characters out of A-Z a-z 0-9 . _ : - and the first a letter or digit",
    is_plain_name
}

checked_name! {
    /// A module of a task: identifiers joined by dots, such as `validators.email`; never a path.
    ModuleName, "module",
    "identifiers joined by dots, 200 characters at most",
    is_dotted_identifier
}

impl TaskId {
    /// A new name, `t-` and 12 hexadecimal digits.
    pub fn random(randomness: &dyn Randomness) -> Self {
        Self(format!("t-{:012x}", randomness.next_u64() >> 16).into())
    }
}

impl TaskId {
    /// The name that stands for some content: `k-` and 24 hexadecimal digits of its hash.
    pub fn of_content(hash: ContentHash) -> Self {
        let first = hash.as_bytes().first_chunk().unwrap_or(&[0; 16]);
        let digits = u128::from_be_bytes(*first) >> 32;
        Self(format!("k-{digits:024x}").into())
    }
}

impl ModuleName {
    /// The last identifier: `email` of `validators.email`.
    pub fn leaf(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or(&self.0)
    }
}

/// An event's own name, a `UUIDv7` (RFC 9562): unique, and roughly ordered by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// A new name from the injected time and randomness.
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

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// From 16 bytes as [`EventId::as_bytes`] gave them.
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
            /// Before the first.
            pub const ZERO: Self = Self(0);

            /// The position after this one.
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
    /// An event's position in the store: 1, 2, 3 ... with no gap. The only resume cursor.
    Sequence
}
position! {
    /// An event's position in its stream (owner and task): 1, 2, 3 ... with no gap.
    Revision
}

/// On whose behalf a store or stream is used. Every call takes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    owner: Owner,
    kind: Kind,
}

/// What a principal sees, and whether it may change that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Viewer,
    User,
    System,
}

impl Principal {
    /// A user, who sees and writes their own streams only.
    pub fn user(owner: Owner) -> Self {
        let kind = Kind::User;
        Self { owner, kind }
    }

    /// A user, who sees their own streams and changes nothing.
    pub fn viewer(owner: Owner) -> Self {
        let kind = Kind::Viewer;
        Self { owner, kind }
    }

    /// The one user of a machine without user management, `local`.
    pub fn local() -> Self {
        Self::user(Owner("local".into()))
    }

    /// Recovery, verification and export only: sees every stream.
    pub fn system() -> Self {
        Self {
            owner: Owner("system".into()),
            kind: Kind::System,
        }
    }

    /// Whose new streams are.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Whether this principal sees every owner's streams.
    pub fn is_system(&self) -> bool {
        self.kind == Kind::System
    }

    /// Whether this principal may do more than look.
    pub fn may_change(&self) -> bool {
        self.kind != Kind::Viewer
    }

    /// Whether this principal may see what `owner` owns.
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
