//! Errors of a connection in words for people; in bounds, for a server may have written them.

use rmcp::service::ClientInitializeError;
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::StreamableHttpError;

use crate::bound::bounded;

/// Bytes of an error that are kept.
const ERROR_MAX: usize = 2_000;

/// Why a server was not greeted.
pub(super) fn not_greeted(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::TransportError { error, .. } => not_sent(error),
        ClientInitializeError::ConnectionClosed(_) => {
            "it closed the connection before it was ready".to_owned()
        }
        other => words(other),
    }
}

/// An error with what caused it, in bounds: a server may have written it.
pub(super) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        let more = one.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = one.source();
    }
    bounded(words, ERROR_MAX).text
}

/// Why a message could not be sent. What wraps the reason names types of code and not the trouble.
pub(super) fn not_sent(error: &DynamicTransportError) -> String {
    match error.error.downcast_ref() {
        Some(StreamableHttpError::<reqwest::Error>::Client(error)) => words(error),
        _ => words(&*error.error),
    }
}
