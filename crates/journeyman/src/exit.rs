//! Exit codes, the same for every command: what scripts may rely on.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use journeyman_event::payload::{FailureReason, Verification};
use journeyman_event::state::Ending;

use crate::background_sink::BackgroundSink;
use crate::output::stderr_line;

/// A reader of standard error has this long to take why a command failed.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// How a command ends. The numbers are documented in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Complete and verified; or simply done.
    Success = 0,
    /// Anything else.
    Error = 1,
    /// Wrong use.
    Usage = 2,
    /// Complete, not verified.
    NotVerified = 3,
    /// The task failed, or was cancelled.
    Failed = 4,
    /// A limit is spent; larger limits go on.
    Limit = 5,
    /// Interrupted; it can be resumed.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// `engine status`: it does not run.
    pub(crate) const NOT_RUNNING: Self = Self::NotVerified;

    /// The code of a task's end; a task without one was interrupted.
    pub(crate) fn of(ending: Option<&Ending>) -> Self {
        match ending {
            Some(Ending::Complete(Verification::GivenTests)) => Self::Success,
            // Agreement is not verified until it is calibrated on a benchmark.
            Some(Ending::Complete(_)) => Self::NotVerified,
            Some(Ending::Failed {
                reason: FailureReason::Budget | FailureReason::Timeout,
                ..
            }) => Self::Limit,
            Some(Ending::Failed { .. } | Ending::Cancelled) => Self::Failed,
            None => Self::Interrupted,
        }
    }
}

/// Wrong use that clap could not see: exit code 2.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Prints an error as one chain and gives its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if let Some(error) = error.downcast_ref::<clap::Error>() {
        // clap says what and how itself; --help and --version come this way too.
        let printed = error.print();
        let code = if error.use_stderr() {
            Exit::Usage
        } else {
            Exit::Success
        };
        let failed = printed.is_err_and(|error| error.kind() != std::io::ErrorKind::BrokenPipe);
        // Where help cannot be written to a full disk, nobody has been helped.
        return if failed && code == Exit::Success {
            Exit::Error.into()
        } else {
            code.into()
        };
    }
    last_words(&format!("{error:#}"));
    let usage = error.chain().any(<dyn std::error::Error>::is::<UsageError>);
    if usage {
        Exit::Usage.into()
    } else {
        Exit::Error.into()
    }
}

/// Says on standard error why the command failed; a reader that takes nothing is not waited for.
fn last_words(text: &str) {
    let said = BackgroundSink::start("error", |text: Vec<u8>, _| {
        stderr_line(&String::from_utf8_lossy(&text));
        Ok(())
    });
    said.send(text.into());
    said.flush(LAST_WORDS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_contract() {
        let failed = |reason| Ending::Failed {
            reason,
            detail: String::new(),
        };
        let agreement = Ending::Complete(Verification::Agreement { confidence: 1.0 });
        let codes = [
            (Some(Ending::Complete(Verification::GivenTests)), 0),
            (Some(agreement), 3),
            (Some(Ending::Complete(Verification::None)), 3),
            (Some(failed(FailureReason::Attempts)), 4),
            (Some(failed(FailureReason::GivenTests)), 4),
            (Some(failed(FailureReason::Budget)), 5),
            (Some(failed(FailureReason::Timeout)), 5),
            (Some(Ending::Cancelled), 4),
            (None, 130),
        ];
        for (ending, code) in codes {
            assert_eq!(Exit::of(ending.as_ref()) as u8, code, "{ending:?}");
        }
    }
}
