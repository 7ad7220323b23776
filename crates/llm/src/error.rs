//! The errors of model servers: what happened, why, and what to do.

use std::time::Duration;

use journeyman_event::Tokens;
use thiserror::Error;

/// Why a call returned no answer.
#[derive(Debug, Error)]
pub enum Error {
    /// The server does not respond.
    #[error(
        "the model server at {url} cannot be reached ({reason}); start it, or name another with --model-url"
    )]
    Unreachable {
        /// The URL of the server.
        url: String,
        /// The reason given by the network stack.
        reason: String,
    },
    /// The connection broke before the answer was complete.
    #[error("the model server at {url} broke off its answer ({reason})")]
    Broken {
        /// The URL of the server.
        url: String,
        /// The reason given by the network stack, or what is missing.
        reason: String,
    },
    /// The server responds but cannot answer now: it is loading its model, is busy, or failed during this call.
    #[error("the model server at {url} cannot answer now{}: {message}{}", of_status(" (status ", *.status, ")", *.is_told), of_wait(*.retry_after))]
    Failing {
        /// The URL of the server.
        url: String,
        /// The HTTP status code, or the code of an error inside a stream.
        status: u16,
        /// Whether the server sent this code; otherwise it was derived from the error message.
        is_told: bool,
        /// The server's error message, truncated.
        message: String,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// This machine is short of a resource that a connection needs.
    #[error("no connection to the model server at {url} can be made now: {reason}")]
    Shortage {
        /// The URL of the server.
        url: String,
        /// The operating system's error.
        reason: String,
    },
    /// No model server was found, and none can be started.
    #[error("no model server: {}", tried.join("; "))]
    NoServer {
        /// What was tried, with the results.
        tried: Vec<String>,
    },
    /// The server rejected the request for good.
    #[error("the model server refuses the request{}: {message}{}", of_status(" with status ", *.status, "", *.is_told), advice(*.status, *.named_in_address))]
    Rejected {
        /// The HTTP status code, or the code of an error inside a stream.
        status: u16,
        /// Whether the server sent this code; otherwise it was derived from the error message.
        is_told: bool,
        /// The server's error message, truncated.
        message: String,
        /// Whether the client authenticated with a user name and password from the URL rather than an API key.
        named_in_address: bool,
    },
    /// The server does not have the model.
    #[error("the model server at {url} has no model {wanted}; it has: {}; choose one with --model", has.join(", "))]
    NoSuchModel {
        /// The URL of the server.
        url: String,
        /// The requested name.
        wanted: String,
        /// The models the server has.
        has: Vec<String>,
    },
    /// The prompt and the answer do not fit into the model's context window.
    #[error(
        "the prompt and the room for its answer, about {prompt} tokens, do not fit into the model's window, \
         {window} tokens as far as known{}",
        in_brackets(words)
    )]
    TooLong {
        /// The number of tokens that had to fit, as the server counted or as estimated.
        prompt: Tokens,
        /// The size of the window in tokens, as the server reported it or as it is assumed.
        window: Tokens,
        /// The server's error message, truncated; empty if there is none.
        words: String,
    },
    /// The server truncated the prompt, so its answer is useless.
    #[error(
        "the model server at {url} read only {read} of about {sent} tokens of the prompt: it cuts to \
         less than the window of {window} that it was asked for; lower --model-context, or raise the \
         server's own limit"
    )]
    CutPrompt {
        /// The URL of the server.
        url: String,
        /// The size of the prompt in tokens, estimated.
        sent: Tokens,
        /// The number of prompt tokens the server counted.
        read: Tokens,
        /// The window that was requested, in tokens.
        window: Tokens,
    },
    /// No part of an answer arrived for too long. Keep-alive data does not count.
    #[error("the model server at {url} sent nothing of an answer for {seconds} s")]
    TimedOut {
        /// The URL of the server.
        url: String,
        /// The timeout in seconds.
        seconds: u64,
    },
    /// The server violated the protocol.
    #[error("the model server at {url} answered with something unexpected: {problem}")]
    Malformed {
        /// The URL of the server.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// The model spent its tokens on thinking, or repeated itself while thinking, and gave no answer.
    #[error(
        "the model spent {tokens} tokens on thoughts and prompt and gave no answer; give it a larger \
         window (--model-context), or choose one that thinks less"
    )]
    OnlyThoughts {
        /// The tokens of the prompt and the thoughts.
        tokens: Tokens,
    },
    /// The server's content filter ended the answer.
    #[error("the model server's content filter cut the answer off")]
    Filtered,
    /// The call was cancelled.
    #[error("the call was stopped after {tokens} tokens")]
    Interrupted {
        /// The text received so far.
        partial: String,
        /// The number of tokens generated so far, estimated.
        tokens: Tokens,
        /// Whether the prompt had been sent, so that the server may have read it.
        was_asked: bool,
    },
    /// Something that is not supported.
    #[error("{what}")]
    Unsupported {
        /// What is not supported, and what to do instead.
        what: String,
    },
    /// The managed server failed to start or crashed.
    #[error("the managed model server failed: {reason}")]
    Managed {
        /// The reason, with the end of the server's log.
        reason: String,
    },
    /// The managed server runs with other settings and is in use by other processes.
    #[error(
        "the managed model server runs with {running} and not with {wanted}, and is in use by process {}; \
         ask for the same, wait until it is free, or name another server with --model-url",
        users.join(", ")
    )]
    InUse {
        /// The settings it runs with.
        running: String,
        /// The requested settings.
        wanted: String,
        /// The processes that use it.
        users: Vec<String>,
    },
    /// A download needed for the managed server failed.
    #[error(transparent)]
    Fetch(#[from] journeyman_fetch::Error),
}

/// The status code worded for a message, if the server sent it.
fn of_status(before: &str, status: u16, after: &str, is_told: bool) -> String {
    if is_told {
        format!("{before}{status}{after}")
    } else {
        String::new()
    }
}

/// The requested waiting time worded for a message; empty if it is zero.
fn of_wait(wait: Option<Duration>) -> String {
    match wait.map(|wait| wait.as_secs_f64().ceil()) {
        Some(seconds) if seconds > 0.0 => format!("; it asks to be left alone for {seconds} s"),
        _ => String::new(),
    }
}

/// The longest waiting time honoured. If a server asks for more, it is asked again after this time.
const WAIT_MAX: Duration = Duration::from_mins(10);

/// A server's words in brackets, with a space before; empty if there are none.
fn in_brackets(words: &str) -> String {
    if words.is_empty() {
        String::new()
    } else {
        format!(" (the server says: {words})")
    }
}

/// Advice for the user about a rejection.
fn advice(status: u16, named_in_address: bool) -> &'static str {
    match status {
        401 | 403 if named_in_address => "; check the name and the password in --model-url",
        401 => "; check the key in --model-api-key",
        403 => "; if the reason is the key, check --model-api-key",
        404 => "; check --model and --model-url",
        _ => "",
    }
}

impl Error {
    /// Whether the server is unreachable, failing or violating its protocol for now, so that waiting may help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Broken { .. }
                | Self::Failing { .. }
                | Self::Shortage { .. }
                | Self::NoServer { .. }
                | Self::TimedOut { .. }
                | Self::Malformed { .. }
                | Self::Managed { .. }
        )
    }

    /// Whether the cause is a shortage of file descriptors or memory on this machine, not the server.
    pub fn is_shortage(&self) -> bool {
        matches!(self, Self::Shortage { .. })
    }

    /// Whether the server asked to be called later.
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Failing {
                status: 429 | 503 | 529,
                ..
            }
        )
    }

    /// How long the server asked to wait.
    pub fn wait(&self) -> Duration {
        match self {
            Self::Failing { retry_after, .. } => retry_after.unwrap_or_default().min(WAIT_MAX),
            _ => Duration::ZERO,
        }
    }

    /// Whether another call may succeed: the same one later, or a different one now.
    pub fn is_retryable(&self) -> bool {
        self.is_transient()
            || matches!(
                self,
                Self::TooLong { .. } | Self::OnlyThoughts { .. } | Self::Filtered
            )
    }

    /// Tokens used by a call that returned no answer, where known.
    pub fn tokens(&self) -> Tokens {
        match self {
            Self::OnlyThoughts { tokens } => *tokens,
            _ => Tokens::ZERO,
        }
    }
}
