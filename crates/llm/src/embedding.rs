//! Vectors of texts: what an embedding model is asked, and what can go wrong.

use async_trait::async_trait;
use thiserror::Error;

/// The most texts of one request.
const BATCH_TEXTS_MAX: usize = 32;
/// The most bytes of all texts of one request together. A single text may be longer.
const BATCH_BYTES_MAX: usize = 64 * 1024;

/// A model that turns texts into vectors, so that texts of similar meaning have similar vectors.
#[async_trait]
pub trait Embedder: Send + Sync + std::fmt::Debug {
    /// Waits until the model can be asked. This may take as long as loading a model takes, so the caller limits
    /// it. A call without it answers that the model is not ready yet.
    async fn ready(&self) -> Result<(), EmbedError>;

    /// The name of the model. Only vectors of the same model can be compared.
    async fn model(&self) -> Result<String, EmbedError>;

    /// The vectors of one batch of texts ([`batch_len`]), in their order. All have the same number of dimensions
    /// and the length 1, so that the dot product of two is the cosine of their angle. There is no time limit: the
    /// caller sets one, and may drop the call at any time.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError>;
}

/// How many of the first texts go into one request: at most 32 texts and 64 KiB, but at least one text if there is
/// any.
pub fn batch_len(texts: &[String]) -> usize {
    let mut bytes = 0;
    let fits = texts.iter().take(BATCH_TEXTS_MAX).take_while(|text| {
        bytes += text.len();
        bytes <= BATCH_BYTES_MAX
    });
    fits.count().max(1).min(texts.len())
}

/// Why there are no vectors.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EmbedError {
    /// The server does not respond, or the connection broke.
    #[error(
        "the embedding server at {url} cannot be reached ({reason}); start it, or name another with --embedding-url"
    )]
    Unreachable {
        /// The URL of the server.
        url: String,
        /// The reason given by the network stack.
        reason: String,
    },
    /// The server answered with an error.
    #[error("the embedding server at {url} refuses the request with status {status}: {message}")]
    Refused {
        /// The URL of the server.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// The server's error message, truncated.
        message: String,
    },
    /// A text is longer than what the model reads, or the batch is larger than what the server takes.
    #[error("the text is too long for the embedding server at {url}: {message}")]
    TooLong {
        /// The URL of the server.
        url: String,
        /// The server's error message, truncated.
        message: String,
    },
    /// The server violated the protocol.
    #[error("the embedding server at {url} answered with something unexpected: {problem}")]
    Malformed {
        /// The URL of the server.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// The managed server failed to start or crashed.
    #[error("the managed embedding server does not run: {reason}")]
    Managed {
        /// The reason, with the end of the server's log.
        reason: String,
    },
    /// Something that is not supported, not installed or not named.
    #[error("{what}")]
    Unsupported {
        /// What it is, and what to do.
        what: String,
    },
}

/// The same words with the flags of the embedding server. They are made where servers of answers are spoken to as well.
pub(crate) fn with_own_flags(words: &str) -> String {
    words.replace("--model-", "--embedding-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_in_texts_and_in_bytes_and_is_never_empty() {
        let texts = |count: usize, bytes: usize| vec!["x".repeat(bytes); count];
        for (texts, expected) in [
            (texts(0, 0), 0),
            (texts(1, 1), 1),
            (texts(40, 10), 32),
            (texts(10, 10 * 1024), 6),
            (texts(3, 100 * 1024), 1),
        ] {
            assert_eq!(batch_len(&texts), expected);
        }
    }
}
