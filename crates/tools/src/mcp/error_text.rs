//! Describes connection errors for people, in bounded length, because a server may have written them.

use rmcp::service::ClientInitializeError;
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::StreamableHttpError;

use crate::bound::bounded;

/// The most bytes kept of an error.
const ERROR_BYTES_MAX: usize = 2_000;

/// Describes why a session could not be initialised.
pub(super) fn initialization_error_text(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::TransportError { error, .. } => send_error_text(error),
        ClientInitializeError::ConnectionClosed(_) => {
            "it closed the connection before it was ready".to_owned()
        }
        other => text_with_causes(other),
    }
}

/// An error with its causes, in bounded length.
pub(super) fn text_with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        let more = one.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = one.source();
    }
    bounded(words, ERROR_BYTES_MAX).text
}

/// Describes why a message could not be sent. The outer error only names types in the code.
pub(super) fn send_error_text(error: &DynamicTransportError) -> String {
    match error.error.downcast_ref() {
        Some(StreamableHttpError::<reqwest::Error>::Client(error)) => text_with_causes(error),
        _ => text_with_causes(&*error.error),
    }
}
