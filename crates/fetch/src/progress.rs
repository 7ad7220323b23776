//! How far something is that takes time.

use std::fmt;

/// One report. It may come often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub what: String,
    /// How much is done, in `unit`s.
    pub done: u64,
    /// How much there is, if that is known.
    pub total: Option<u64>,
    /// What is counted, such as `parts` or `MB`; empty if nothing is.
    pub unit: &'static str,
    /// Bytes of the whole, if they are known.
    pub bytes: Option<u64>,
}

/// Takes reports. It must not block.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Send + Sync);

impl Progress {
    /// Something that is not counted.
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
