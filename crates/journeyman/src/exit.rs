//! Exit codes, the same for all commands, which scripts may rely on.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use journeyman_event::payload::{FailureReason, Verification};
use journeyman_event::state::Ending;

use crate::background_sink::BackgroundSink;
use crate::client;
use crate::output::stderr_line;

/// How long to wait for the reader of standard error to take the reason for a failure.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// How a command ends. The codes are documented in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Complete and verified, or simply successful.
    Success = 0,
    /// Any other error.
    Error = 1,
    /// A usage error.
    Usage = 2,
    /// Complete, but not verified.
    NotVerified = 3,
    /// The task failed or was cancelled.
    Failed = 4,
    /// A limit was reached; higher limits allow the task to continue.
    Limit = 5,
    /// Interrupted; the task can be resumed.
    Interrupted = 130,
}

/// What each code means after `run` and `resume`, in ascending order, as `--help` and the reference page list it.
pub(crate) const MEANINGS: [(Exit, &str); 7] = [
    (
        Exit::Success,
        "complete and verified: the tests that you gave passed",
    ),
    (Exit::Error, "any other error"),
    (Exit::Usage, "wrong use"),
    (
        Exit::NotVerified,
        "complete, not verified: no tests given, or they prove nothing; or an answered question",
    ),
    (
        Exit::Failed,
        "failed for any reason but a spent limit, or cancelled",
    ),
    (
        Exit::Limit,
        "a limit (tokens, time) is spent: resume with a larger one continues",
    ),
    (Exit::Interrupted, "interrupted: resume continues"),
];

/// The codes and their meanings, one a line, as `--help` shows them.
pub(crate) fn meanings() -> String {
    let lines = MEANINGS.map(|(exit, meaning)| format!("{:>5}  {meaning}", exit as u8));
    lines.join("\n")
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The exit code of `engine status` if the server is not running.
    pub(crate) const NOT_RUNNING: Self = Self::NotVerified;

    /// The exit code for a task's ending; without one, the task was interrupted.
    pub(crate) fn of(ending: Option<&Ending>) -> Self {
        match ending {
            Some(Ending::Complete(Verification::GivenTests)) => Self::Success,
            // Agreement is not verified until it is calibrated on a benchmark.
            Some(Ending::Complete(_)) => Self::NotVerified,
            Some(Ending::Failed {
                reason: FailureReason::Budget | FailureReason::Timeout | FailureReason::Spending,
                ..
            }) => Self::Limit,
            Some(Ending::Failed { .. } | Ending::Cancelled) => Self::Failed,
            None => Self::Interrupted,
        }
    }
}

/// The exit code of `run` for a task that ended this way.
pub(crate) fn exit_code(ending: &Ending) -> u8 {
    Exit::of(Some(ending)) as u8
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

/// Prints an error with its causes and returns its exit code.
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
        // If help cannot be written to a full disk, that is not a success.
        return if failed && code == Exit::Success {
            Exit::Error.into()
        } else {
            code.into()
        };
    }
    last_words(&format!("{error:#}{}", client::hint(error)));
    let usage = error.chain().any(<dyn std::error::Error>::is::<UsageError>);
    if usage {
        Exit::Usage.into()
    } else {
        Exit::Error.into()
    }
}

/// Prints the reason for a failure on standard error, without waiting for a reader that takes nothing.
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
            (Some(failed(FailureReason::Spending)), 5),
            (Some(Ending::Cancelled), 4),
            (None, 130),
        ];
        for (ending, code) in codes {
            assert_eq!(Exit::of(ending.as_ref()) as u8, code, "{ending:?}");
        }
    }
}
