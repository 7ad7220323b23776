//! A point in a task's history: a position, a version or a time.

use std::str::FromStr;

use jiff::Timestamp;
use journeyman_event::{Event, Revision, Sequence};

/// A point in a task's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After the event at this position, or the last one before it.
    Sequence(Sequence),
    /// Before the first event with a later time than this.
    Time(Timestamp),
    /// At this version: after as many of the task's events, or all of them where there are fewer.
    Version(Revision),
}

impl Moment {
    /// The last position at or before the moment, if it is known without reading events.
    pub const fn last(self) -> Option<Sequence> {
        match self {
            Self::Sequence(sequence) => Some(sequence),
            Self::Time(_) | Self::Version(_) => None,
        }
    }

    /// Whether an event is later than this moment. A reader that goes through a task's events in order stops at the first
    /// such event.
    pub fn is_before(self, event: &Event) -> bool {
        match self {
            Self::Sequence(sequence) => event.sequence() > sequence,
            Self::Time(time) => event.occurred_at() > time,
            Self::Version(version) => event.revision() > version,
        }
    }
}

impl FromStr for Moment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(sequence) = text.parse() {
            return Ok(Self::Sequence(Sequence(sequence)));
        }
        if let Some(Ok(version)) = text.strip_prefix('v').map(str::parse) {
            return Ok(Self::Version(Revision(version)));
        }
        let time = text.parse().map(Self::Time);
        time.map_err(|_| {
            format!(
                "{text:?} is neither a sequence number, nor a version like v12, nor a time like \
                 2026-11-21T09:30:00Z"
            )
        })
    }
}
