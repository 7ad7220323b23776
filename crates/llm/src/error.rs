//! What can go wrong with a model server: what happened, why, what to do.

use journeyman_event::Tokens;
use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum Error {
    /// Nobody answers there, or the connection broke.
    #[error(
        "the model server at {url} cannot be reached ({reason}); start it, or name another with --model-url"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// What the network said.
        reason: String,
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
    /// The server does not want the request.
    #[error("the model server refuses the request with status {status}: {message}")]
    Rejected {
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
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
    /// Nothing came for too long.
    #[error("the model server at {url} was silent for {seconds} s")]
    TimedOut {
        /// Where.
        url: String,
        /// How long.
        seconds: u64,
    },
    /// The server is busy.
    #[error("the model server is overloaded (status {status}) and stayed so")]
    Overloaded {
        /// The HTTP status.
        status: u16,
    },
    /// The server said something that is not its protocol.
    #[error("the model server at {url} answered with something unexpected: {problem}")]
    Malformed {
        /// Where.
        url: String,
        /// What.
        problem: String,
    },
    /// Stopped on purpose.
    #[error("the call was stopped after {tokens} tokens")]
    Interrupted {
        /// What had come.
        partial: String,
        /// Tokens generated until then, estimated.
        tokens: Tokens,
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

impl Error {
    /// Whether the server is gone, so that waiting for it makes sense.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Shortage { .. }
                | Self::NoServer { .. }
                | Self::TimedOut { .. }
                | Self::Overloaded { .. }
                | Self::Managed { .. }
        )
    }

    /// Whether it is not the server's fault: descriptors or memory are short on our side.
    pub fn is_shortage(&self) -> bool {
        matches!(self, Self::Shortage { .. })
    }

    /// Whether the same call may succeed another time.
    pub fn is_retryable(&self) -> bool {
        self.is_unreachable() || matches!(self, Self::Malformed { .. })
    }
}
