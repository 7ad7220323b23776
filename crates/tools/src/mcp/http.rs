//! The HTTP client of a connection: reqwest's, extended to detect a session that the server has forgotten.

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use rmcp::model::{ClientJsonRpcMessage, RequestId, ServerJsonRpcMessage};
use rmcp::transport::common::client_side_sse::BoxedSseResponse;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};

type Failure = StreamableHttpError<reqwest::Error>;
type Headers = HashMap<HeaderName, HeaderValue>;

/// The protocol requires a server that does not know a session any more to answer 404. Many, including those
/// built on the reference implementation, answer 400 with an error that names no request. No call would receive
/// that error, and the call would wait until it times out. Such an answer is therefore treated like 404.
#[derive(Clone)]
pub(super) struct Http(pub(super) reqwest::Client);

impl StreamableHttpClient for Http {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let max = super::connect::MESSAGE_MAX;
        self.post_message_with_max_sse_event_size(
            uri,
            message,
            session_id,
            auth_header,
            headers,
            max,
        )
        .await
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        headers: Headers,
        max: usize,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let asked = match &message {
            ClientJsonRpcMessage::Request(request) if session_id.is_some() => {
                Some(request.id.clone())
            }
            _ => None,
        };
        let answer = self.0.post_message_with_max_sse_event_size(
            uri,
            message,
            session_id,
            auth_header,
            headers,
            max,
        );
        let answer = answer.await?;
        if asked.is_some_and(|asked| is_to_nobody(&answer, &asked)) {
            return Err(StreamableHttpError::SessionExpired);
        }
        Ok(answer)
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        headers: Headers,
    ) -> Result<(), Failure> {
        let deleted = self.0.delete_session(uri, session_id, auth_header, headers);
        deleted.await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        headers: Headers,
    ) -> Result<BoxedSseResponse, Failure> {
        let max = super::connect::MESSAGE_MAX;
        self.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            headers,
            max,
        )
        .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        headers: Headers,
        max: usize,
    ) -> Result<BoxedSseResponse, Failure> {
        let stream = self.0.get_stream_with_max_sse_event_size(
            uri,
            session_id,
            last_event_id,
            auth_header,
            headers,
            max,
        );
        stream.await
    }
}

/// Whether the body is an error that belongs to no request, or to a different one.
fn is_to_nobody(answer: &StreamableHttpPostResponse, asked: &RequestId) -> bool {
    let StreamableHttpPostResponse::Json(ServerJsonRpcMessage::Error(error), _) = answer else {
        return false;
    };
    // Some write a number as text.
    let is_same = |id: &RequestId| id.to_string() == asked.to_string();
    !error.id.as_ref().is_some_and(is_same)
}
