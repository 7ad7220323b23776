//! Progress reports of long operations.

use std::fmt;

/// One progress report. Reports may be frequent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The operation, worded for a person.
    pub what: String,
    /// How much is done, counted in `unit`.
    pub done: u64,
    /// The total amount, if known.
    pub total: Option<u64>,
    /// The unit, such as `parts` or `MB`; empty if nothing is counted.
    pub unit: &'static str,
    /// The total size in bytes, if known.
    pub bytes: Option<u64>,
}

/// A callback for progress reports. It must not block.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Send + Sync);

impl Progress {
    /// A report of a step that has no count.
    pub fn step(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            done: 0,
            total: None,
            unit: "",
            bytes: None,
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match self.total {
            Some(total) => write!(f, ": {} of {total} {}", self.done, self.unit),
            None => Ok(()),
        }
    }
}
