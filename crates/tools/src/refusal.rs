//! Why a call was not made, worded so that a model can do better.

use std::fmt;

use thiserror::Error;

use crate::{Fault, Permission, RefusalKind, Spec};

/// The most names listed in a refusal.
const NAMES_MAX: usize = 20;

/// Why a call was not made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No tool has this name.
    #[error("there is no tool {name:?}{}", Instead { nearest, available })]
    Unknown {
        /// The requested name, truncated to 128 characters.
        name: String,
        /// The most similar existing name.
        nearest: Option<String>,
        /// The tools the caller may call.
        available: Vec<String>,
    },
    /// The tool's server is currently unavailable.
    #[error("the server {server} is unavailable: {why}; go on without it, or try again later")]
    Unavailable {
        /// The name of the server.
        server: String,
        /// The reason, in words.
        why: String,
    },
    /// The caller lacks the permission that the tool requires.
    #[error("{actor} may not call {name}: it needs the permission `{permission}`")]
    Permission {
        /// The name of the tool.
        name: String,
        /// The role or user that makes the call.
        actor: String,
        /// The missing permission.
        permission: Permission,
    },
    /// The tool is not among those the caller may call.
    #[error("{actor} may not call {name}: it is not among the tools that are allowed")]
    NotAllowed {
        /// The name of the tool.
        name: String,
        /// The role or user that makes the call.
        actor: String,
    },
    /// The arguments are invalid.
    #[error("the arguments of {name} are wrong: {}", Faults(faults))]
    Arguments {
        /// The name of the tool.
        name: String,
        /// The errors, with where they are.
        faults: Vec<Fault>,
    },
    /// The arguments are too large or nested too deep.
    #[error("the arguments of {name} are refused: {problem}")]
    ArgumentsTooLarge {
        /// The name of the tool.
        name: String,
        /// The limit they exceed.
        problem: String,
    },
}

impl Refusal {
    /// The kind to be recorded.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::Unknown { .. } => RefusalKind::Unknown,
            Self::Unavailable { .. } => RefusalKind::Unavailable,
            Self::Permission { .. } | Self::NotAllowed { .. } => RefusalKind::Permission,
            Self::Arguments { .. } | Self::ArgumentsTooLarge { .. } => RefusalKind::Arguments,
        }
    }

    /// A refusal for an unknown name, which lists the tools that may be called instead.
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

/// The edit distance: how many characters must be inserted, deleted or replaced.
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
