//! The rungs of the ladder and what was found about each. Plain data for people and the journal: no I/O here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How strongly a run is isolated; a weaker level orders before a stronger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Landlock, seccomp and resource limits; needs no namespaces and no privileges.
    Landlock,
    /// The same inside bubblewrap's namespaces: what is not mounted does not exist.
    Bubblewrap,
}

impl Level {
    /// Every level, the strongest first: the order in which they are probed.
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

/// What trying one level out showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The level that was tried.
    pub level: Level,
    /// Whether every attempt to get out of it failed and an honest program still ran.
    pub usable: bool,
    /// For a person: what was seen, and what to do if the level is not usable.
    pub detail: String,
}

/// What this machine can enforce, as shown by `journeyman doctor` and recorded at start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The strongest usable level that was tried; `None` when none works.
    pub level: Option<Level>,
    /// One finding per level tried, the strongest first.
    pub findings: Vec<Finding>,
    /// The user id that untrusted code runs as.
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
