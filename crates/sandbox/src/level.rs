//! The levels of isolation, and what was found about each on this machine. Plain data without I/O.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The strength of isolation. Weaker levels sort before stronger ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Landlock, seccomp and resource limits. Needs no namespaces and no privileges.
    Landlock,
    /// The same inside bubblewrap's namespaces, where what is not mounted does not exist.
    Bubblewrap,
}

impl Level {
    /// All levels in the order in which they are probed.
    pub const STRONGEST_FIRST: [Self; 2] = [Self::Bubblewrap, Self::Landlock];
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Landlock => "landlock",
            Self::Bubblewrap => "bubblewrap",
        })
    }
}

/// The result of probing one level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The level that was tried.
    pub level: Level,
    /// Whether every escape attempt failed and an honest program still ran.
    pub usable: bool,
    /// What was observed, and what to do if the level is not usable. Worded for a person.
    pub detail: String,
}

/// What isolation this machine supports, as shown by `journeyman doctor` and recorded at start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The strongest usable level; `None` if there is none.
    pub level: Option<Level>,
    /// The findings per level, the strongest first.
    pub findings: Vec<Finding>,
    /// The user id under which untrusted code runs.
    pub runs_as_uid: u32,
}

impl fmt::Display for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            let verdict = if finding.usable {
                "works"
            } else {
                "does not work"
            };
            let separator = if index == 0 { "" } else { "\n" };
            write!(
                formatter,
                "{separator}- {} {verdict}: {}",
                finding.level, finding.detail
            )?;
        }
        Ok(())
    }
}
