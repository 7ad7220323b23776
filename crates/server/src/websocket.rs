//! A WebSocket (RFC 6455) at the level of frames: the opening handshake, sending without copying whole messages per
//! client, and close codes for every way it can end.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use journeyman_api::Problem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// The largest message from a client in bytes: the largest file a user may write, in any JSON escaping.
const MESSAGE_MAX: usize = 2 << 20;
/// How many bytes are read at a time. Clients send little, and each socket has a buffer of this size.
const READ: usize = 1 << 10;
/// How long to read what the client still sends after a close. If data were left unread, the system would reset
/// the connection, and the client might never see the reason.
const LINGER: Duration = Duration::from_secs(2);
/// How many bytes of it to read.
const LINGER_BYTES: usize = 4 << 20;

/// A request to open a WebSocket.
pub(crate) struct Upgrade {
    on: OnUpgrade,
    accept: HeaderValue,
}

impl Upgrade {
    /// Parses the request; fails if it is invalid (RFC 6455, section 4.2.1).
    pub(crate) fn of(parts: &mut Parts) -> Result<Self, Problem> {
        let refuse = |status, detail: &str| Err(Problem::new(status, "no-websocket", detail));
        let has = |name: HeaderName, wanted: &str| has_word(&parts.headers, &name, wanted);
        if parts.method != Method::GET {
            return refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "a WebSocket begins with GET",
            );
        }
        if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
            let detail = "this is a WebSocket: send `Connection: Upgrade` and `Upgrade: websocket`";
            return refuse(StatusCode::BAD_REQUEST, detail);
        }
        if !has(header::SEC_WEBSOCKET_VERSION, "13") {
            let detail = "the version of a WebSocket is 13: `Sec-WebSocket-Version: 13`";
            return refuse(StatusCode::BAD_REQUEST, detail);
        }
        let key = parts.headers.get(header::SEC_WEBSOCKET_KEY);
        let accept = key.map(|key| derive_accept_key(key.as_bytes()));
        let accept = accept.and_then(|accept| HeaderValue::from_str(&accept).ok());
        let on = parts.extensions.remove::<OnUpgrade>();
        match (accept, on) {
            (Some(accept), Some(on)) => Ok(Self { on, accept }),
            (None, _) => refuse(StatusCode::BAD_REQUEST, "`Sec-WebSocket-Key` is missing"),
            (_, None) => refuse(
                StatusCode::UPGRADE_REQUIRED,
                "this connection cannot become a WebSocket; use HTTP/1.1",
            ),
        }
    }

    /// Completes the handshake and runs `serve` on the socket.
    pub(crate) fn serve<F>(self, serve: impl FnOnce(WebSocket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send,
    {
        let on = self.on;
        tokio::spawn(async move {
            // A request that never becomes a WebSocket is the client's problem.
            if let Ok(upgraded) = on.await {
                serve(WebSocket::new(upgraded).await).await;
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().extend([
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::SEC_WEBSOCKET_ACCEPT, self.accept),
        ]);
        response
    }
}

/// Whether a header's comma-separated list contains this word.
fn has_word(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(name).iter();
    let mut words = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case(wanted))
}

/// A message from the client, or how the connection ended.
#[derive(Debug)]
pub(crate) enum Received {
    /// A text message.
    Text(String),
    /// A sign of life, such as a pong.
    Alive,
    /// The client disconnected or closed the socket.
    Gone,
    /// A protocol violation, with its code (RFC 6455, section 7.4.1).
    Wrong(u16),
}

/// An open WebSocket.
pub(crate) struct WebSocket(WebSocketStream<TokioIo<Upgraded>>);

impl WebSocket {
    async fn new(upgraded: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX));
        let io = TokioIo::new(upgraded);
        Self(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await)
    }

    /// Receives the next message. Cancel-safe.
    pub(crate) async fn receive(&mut self) -> Received {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => Received::Text(text.as_str().to_owned()),
            // 1003: a kind of data that is not taken.
            Some(Ok(Message::Binary(_))) => Received::Wrong(1003),
            Some(Ok(Message::Close(_))) => {
                let _ = self.0.flush().await; // its close is answered
                Received::Gone
            }
            Some(Ok(_)) => Received::Alive,
            Some(Err(error)) => code(&error).map_or(Received::Gone, Received::Wrong),
            None => Received::Gone,
        }
    }

    /// Sends one message in several pieces, one frame each.
    pub(crate) async fn send(&mut self, piece: Bytes, at: FramePosition) -> Result<(), Error> {
        let opcode = if at.is_first {
            Data::Text
        } else {
            Data::Continue
        };
        let frame = Frame::message(piece, OpCode::Data(opcode), at.is_last);
        self.0.send(Message::Frame(frame)).await
    }

    pub(crate) async fn ping(&mut self) -> Result<(), Error> {
        self.0.send(Message::Ping(Bytes::new())).await
    }

    /// Sends a close frame with the reason.
    pub(crate) async fn send_close(&mut self, code: u16, reason: String) -> Result<(), Error> {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        self.0.send(Message::Close(Some(frame))).await
    }

    /// Ends the connection, after reading what a client is still sending.
    pub(crate) async fn end(mut self) {
        let io = self.0.get_mut();
        let rest = async {
            io.shutdown().await?;
            let (mut left, mut waste) = (LINGER_BYTES, [0; 1 << 10]);
            while left > 0 {
                match io.read(&mut waste).await? {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
            }
            Ok::<_, io::Error>(())
        };
        let _ = tokio::time::timeout(LINGER, rest).await; // it is over, however that went
    }
}

/// The position of a frame in its message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FramePosition {
    pub(crate) is_first: bool,
    pub(crate) is_last: bool,
}

/// The close code for a client's protocol error; `None` if it just disconnected.
fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Capacity(_) => Some(1009),
        Error::Utf8(_) => Some(1007),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(1002),
        _ => None,
    }
}
