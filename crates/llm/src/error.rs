//! What can go wrong with a model server: what happened, why, what to do.

use std::time::Duration;

use journeyman_event::Tokens;
use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum Error {
    /// Nobody answers there.
    #[error(
        "the model server at {url} cannot be reached ({reason}); start it, or name another with --model-url"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The connection broke before the answer was whole.
    #[error("the model server at {url} broke its answer off ({reason})")]
    Broken {
        /// Where.
        url: String,
        /// What the network said, or what is missing.
        reason: String,
    },
    /// The server is there and cannot answer now: it loads its model, is busy, or failed at this call.
    #[error("the model server at {url} cannot answer now{}: {message}{}", of_status(" (status ", *.status, ")", *.is_told), of_wait(*.retry_after))]
    Failing {
        /// Where.
        url: String,
        /// The HTTP status, or the code of an error inside a stream.
        status: u16,
        /// Whether the server told it: else it is what its words mean.
        is_told: bool,
        /// Its own words, bounded.
        message: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// Something is short here, on our side, for a connection to it.
    #[error("no connection to the model server at {url} can be made now: {reason}")]
    Shortage {
        /// Where.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// There is no model server and no way to get one.
    #[error("no model server: {}", tried.join("; "))]
    NoServer {
        /// What was tried, and what came of it.
        tried: Vec<String>,
    },
    /// The server does not want the request, now or later.
    #[error("the model server refuses the request{}: {message}{}", of_status(" with status ", *.status, "", *.is_told), advice(*.status, *.named_in_address))]
    Rejected {
        /// The HTTP status, or the code of an error inside a stream.
        status: u16,
        /// Whether the server told it: else it is what its words mean.
        is_told: bool,
        /// Its own words, bounded.
        message: String,
        /// Whether the client named itself by the name and the password in the server's address, and not by
        /// a key.
        named_in_address: bool,
    },
    /// The server does not have the model.
    #[error("the model server at {url} has no model {wanted}; it has: {}; choose one with --model", has.join(", "))]
    NoSuchModel {
        /// Where.
        url: String,
        /// The name that was asked for.
        wanted: String,
        /// What it has.
        has: Vec<String>,
    },
    /// Prompt and answer do not fit into the model's window.
    #[error("{prompt} tokens do not fit into the model's window of {window}")]
    TooLong {
        /// What was to fit.
        prompt: Tokens,
        /// The window.
        window: Tokens,
    },
    /// The server left out a part of the prompt, so that its answer is of no use.
    #[error(
        "the model server at {url} read only {read} of about {sent} tokens of the prompt: it cuts to \
         less than the window of {window} that it was asked for; lower --model-context, or raise the \
         server's own limit"
    )]
    CutPrompt {
        /// Where.
        url: String,
        /// Tokens of the prompt, estimated.
        sent: Tokens,
        /// Tokens that the server counted.
        read: Tokens,
        /// The window that was asked for.
        window: Tokens,
    },
    /// Nothing of an answer came for too long, whatever else was sent to keep the connection.
    #[error("the model server at {url} sent nothing of an answer for {seconds} s")]
    TimedOut {
        /// Where.
        url: String,
        /// How long.
        seconds: u64,
    },
    /// The server said something that is not its protocol.
    #[error("the model server at {url} answered with something unexpected: {problem}")]
    Malformed {
        /// Where.
        url: String,
        /// What.
        problem: String,
    },
    /// The model thought until its tokens were used up, or until it said the same again and again.
    #[error(
        "the model spent {tokens} tokens on thoughts and prompt and gave no answer; give it a larger \
         window (--model-context), or choose one that thinks less"
    )]
    OnlyThoughts {
        /// Tokens of the prompt and of the thoughts.
        tokens: Tokens,
    },
    /// The server's filter of contents ended the answer.
    #[error("the model server's content filter cut the answer off")]
    Filtered,
    /// Stopped on purpose.
    #[error("the call was stopped after {tokens} tokens")]
    Interrupted {
        /// What had come.
        partial: String,
        /// Tokens generated until then, estimated.
        tokens: Tokens,
        /// Whether the server had the prompt at that time, and may have read it.
        was_asked: bool,
    },
    /// Something of this form is not supported.
    #[error("{what}")]
    Unsupported {
        /// What, and what to do instead.
        what: String,
    },
    /// The managed server did not start or died.
    #[error("the managed model server failed: {reason}")]
    Managed {
        /// Why, with the end of its log.
        reason: String,
    },
    /// The managed server runs with something else and is used by others.
    #[error(
        "the managed model server runs with {running} and not with {wanted}, and is in use by process {}; \
         ask for the same, wait until it is free, or name another server with --model-url",
        users.join(", ")
    )]
    InUse {
        /// What it runs with.
        running: String,
        /// What was asked for.
        wanted: String,
        /// The processes that use it.
        users: Vec<String>,
    },
    /// Something that the managed server needs could not be fetched.
    #[error(transparent)]
    Fetch(#[from] journeyman_fetch::Error),
}

/// A status as it is told, if it was told.
fn of_status(before: &str, status: u16, after: &str, is_told: bool) -> String {
    if is_told {
        format!("{before}{status}{after}")
    } else {
        String::new()
    }
}

/// How long a server asks to be left alone, as it is told. What is over at once is not worth a word.
fn of_wait(wait: Option<Duration>) -> String {
    match wait.map(|wait| wait.as_secs_f64().ceil()) {
        Some(seconds) if seconds > 0.0 => format!("; it asks to be left alone for {seconds} s"),
        _ => String::new(),
    }
}

/// The longest wait that a server may ask for. One that asks for more is asked again after this time.
const WAIT_MAX: Duration = Duration::from_mins(10);

/// What a person can do about a refusal.
fn advice(status: u16, named_in_address: bool) -> &'static str {
    match status {
        401 | 403 if named_in_address => "; check the name and the password in --model-url",
        401 | 403 => "; check the key in --model-api-key",
        404 => "; check --model and --model-url",
        _ => "",
    }
}

impl Error {
    /// Whether the server is gone, fails or talks nonsense for now, so that waiting for it makes sense.
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

    /// Whether it is not the server's fault: descriptors or memory are short on our side.
    pub fn is_shortage(&self) -> bool {
        matches!(self, Self::Shortage { .. })
    }

    /// Whether the server says itself that it wants to be asked later.
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Failing {
                status: 429 | 503 | 529,
                ..
            }
        )
    }

    /// How long the server is to be left alone before it is asked again, by its own wish.
    pub fn wait(&self) -> Duration {
        match self {
            Self::Failing { retry_after, .. } => retry_after.unwrap_or_default().min(WAIT_MAX),
            _ => Duration::ZERO,
        }
    }

    /// Whether a further call may succeed: later the same one, or now another one.
    pub fn is_retryable(&self) -> bool {
        self.is_transient()
            || matches!(
                self,
                Self::TooLong { .. } | Self::OnlyThoughts { .. } | Self::Filtered
            )
    }

    /// Tokens that the call took although nothing of an answer came, where that is known.
    pub fn tokens(&self) -> Tokens {
        match self {
            Self::OnlyThoughts { tokens } => *tokens,
            _ => Tokens::ZERO,
        }
    }
}
