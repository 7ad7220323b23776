//! Why a job is not admitted.

use std::fmt::{self, Display};
use std::time::Duration;

/// Why a job is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError<I: Display + fmt::Debug> {
    /// As many jobs wait as may.
    #[error(
        "the queue is full; try again in {} s",
        retry_after.as_secs_f64().ceil()
    )]
    Full {
        /// When a place should be free, judging by how long jobs ran lately; 1 s at least.
        retry_after: Duration,
    },
    /// No place became free in the time the submitter gave.
    #[error(
        "no place in the queue became free in time; try again in {} s",
        retry_after.as_secs_f64().ceil()
    )]
    WaitedTooLong {
        /// As in [`AdmissionError::Full`].
        retry_after: Duration,
    },
    /// A job of this id is admitted, waits or runs.
    #[error("{id} is in the queue already; wait for its end or choose another id")]
    Duplicate {
        /// The id.
        id: I,
    },
    /// It would wait for itself.
    #[error(
        "{}: none of them could ever start; leave out one of the dependencies",
        Circle(ids)
    )]
    Cycle {
        /// Each waits for the next, the last one for the first. The first is the refused one.
        ids: Vec<I>,
    },
    /// The queue admits nothing any more.
    #[error("the queue is shutting down; submit again after the restart")]
    ShuttingDown,
}

struct Circle<'a, I>(&'a [I]);

impl<I: Display> Display for Circle<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for id in self.0 {
            write!(f, "{id} waits for ")?;
        }
        self.0.first().map_or(Ok(()), |first| write!(f, "{first}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let retry_after = Duration::from_millis(1_200);
        assert_eq!(
            AdmissionError::<u8>::Full { retry_after }.to_string(),
            "the queue is full; try again in 2 s"
        );
        assert_eq!(
            AdmissionError::Cycle {
                ids: vec!["a", "b"]
            }
            .to_string(),
            "a waits for b waits for a: none of them could ever start; leave out one of the \
             dependencies"
        );
    }
}
