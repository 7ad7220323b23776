//! The errors for jobs that are not admitted.

use std::fmt::{self, Display};
use std::time::Duration;

/// Why a job is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError<I: Display + fmt::Debug> {
    /// The queue is full.
    #[error(
        "the queue is full; try again in {} s",
        retry_after.as_secs_f64().ceil()
    )]
    Full {
        /// When a place should become free, estimated from the durations of recent jobs; at least 1 s.
        retry_after: Duration,
    },
    /// No place became free within the submitter's time limit.
    #[error(
        "no place in the queue became free in time; try again in {} s",
        retry_after.as_secs_f64().ceil()
    )]
    WaitedTooLong {
        /// Same as in [`AdmissionError::Full`].
        retry_after: Duration,
    },
    /// The queue already contains a job with this id.
    #[error("{id} is in the queue already; wait for its end or choose another id")]
    Duplicate {
        /// The id of the job.
        id: I,
    },
    /// The job would close a dependency cycle.
    #[error(
        "{}: none of them could ever start; leave out one of the dependencies",
        Circle(ids)
    )]
    Cycle {
        /// The cycle: each job waits for the next, and the last for the first. The first is the refused one.
        ids: Vec<I>,
    },
    /// The queue is shutting down.
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
