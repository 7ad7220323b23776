//! Why a call is not made, in words that let a model do better.

use std::fmt;

use thiserror::Error;

use crate::{Fault, Permission, RefusalKind, Spec};

/// Names that a refusal lists.
const NAMES_MAX: usize = 20;

/// Why a call is not made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is no tool of the name.
    #[error("there is no tool {name:?}{}", Instead { nearest, available })]
    Unknown {
        /// What was asked for, cut to 128 characters.
        name: String,
        /// The name that is most like it.
        nearest: Option<String>,
        /// What the caller may call.
        available: Vec<String>,
    },
    /// The tool's server is not there now.
    #[error("the server {server} is not there now: {why}; go on without it, or try again later")]
    Unavailable {
        /// The server.
        server: String,
        /// Why.
        why: String,
    },
    /// The caller lacks the tool's permission.
    #[error("{actor} may not call {name}: it needs the permission `{permission}`")]
    Permission {
        /// The tool.
        name: String,
        /// Who asked.
        actor: String,
        /// What they lack.
        permission: Permission,
    },
    /// The tool is not among those that the caller may call.
    #[error("{actor} may not call {name}: it is not among the tools that are allowed")]
    NotAllowed {
        /// The tool.
        name: String,
        /// Who asked.
        actor: String,
    },
    /// The arguments do not fit the tool.
    #[error("the arguments of {name} are wrong: {}", Faults(faults))]
    Arguments {
        /// The tool.
        name: String,
        /// Each fault, with where it is.
        faults: Vec<Fault>,
    },
    /// The arguments are too large, or nested too deep.
    #[error("the arguments of {name} are refused: {problem}")]
    ArgumentsTooLarge {
        /// The tool.
        name: String,
        /// Which bound they exceed.
        problem: String,
    },
}

impl Refusal {
    /// What is recorded of it.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::Unknown { .. } => RefusalKind::Unknown,
            Self::Unavailable { .. } => RefusalKind::Unavailable,
            Self::Permission { .. } | Self::NotAllowed { .. } => RefusalKind::Permission,
            Self::Arguments { .. } | Self::ArgumentsTooLarge { .. } => RefusalKind::Arguments,
        }
    }

    /// Nobody has the name; these may be called instead.
    pub(crate) fn unknown(name: String, permitted: &[Spec]) -> Self {
        let names = || permitted.iter().map(|spec| spec.name.as_str());
        let nearest = names()
            .map(|one| (distance(&name, one), one))
            .min()
            .filter(|(far, one)| *far <= one.len() / 3)
            .map(|(_, one)| one.to_owned());
        Self::Unknown {
            nearest,
            available: names().map(ToOwned::to_owned).collect(),
            name,
        }
    }
}

struct Instead<'a> {
    nearest: &'a Option<String>,
    available: &'a [String],
}

impl fmt::Display for Instead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(nearest) = self.nearest {
            return write!(f, "; did you mean {nearest}?");
        }
        if self.available.is_empty() {
            return f.write_str("; none may be called");
        }
        let shown = &self.available[..self.available.len().min(NAMES_MAX)];
        write!(f, "; there are {}", shown.join(", "))?;
        match self.available.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

struct Faults<'a>(&'a [Fault]);

impl fmt::Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let divider = if index == 0 { "" } else { "; " };
            if fault.path.is_empty() {
                write!(f, "{divider}{}", fault.problem)?;
            } else {
                write!(f, "{divider}at {}: {}", fault.path, fault.problem)?;
            }
        }
        Ok(())
    }
}

/// How many characters must be added, taken out or changed.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(!a.eq_ignore_ascii_case(b));
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_changes() {
        assert_eq!(distance("read_file", "read_file"), 0);
        assert_eq!(distance("readfile", "read_file"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
