//! The part of HTTP/1.1 that a model server needs.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::reply::{Reply, ReplyEnd};

/// The largest request accepted.
const REQUEST_BYTES_MAX: usize = 8 << 20;
const BLOCK_BYTES: usize = 16 << 10;
/// The pause between two comments that keep a connection alive.
const COMMENT_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct HttpRequest {
    pub(super) path: String,
    /// The body as JSON; null if there is none or it is not JSON.
    pub(super) body: Value,
}

/// Reads a request.
pub(super) async fn read(socket: &mut TcpStream) -> io::Result<HttpRequest> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        more(socket, &mut bytes).await?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let lengths = head.lines().filter_map(|line| line.split_once(':'));
    let length = lengths
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .find_map(|(_, value)| value.trim().parse::<usize>().ok());
    let from = end + 4;
    let whole = from + length.unwrap_or_default().min(REQUEST_BYTES_MAX);
    while bytes.len() < whole {
        more(socket, &mut bytes).await?;
    }
    Ok(HttpRequest {
        path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
        body: serde_json::from_slice(&bytes[from..whole]).unwrap_or_default(),
    })
}

async fn more(socket: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    let len = socket.read(&mut block).await?;
    if len == 0 || bytes.len() > REQUEST_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    bytes.extend_from_slice(&block[..len]);
    Ok(())
}

/// Sends a reply, piece by piece.
pub(super) async fn write(mut socket: TcpStream, reply: Reply) -> io::Result<()> {
    socket.set_nodelay(true)?;
    if let Some(status) = reply.status {
        let mut head = format!("HTTP/1.1 {status} Simulated\r\nConnection: close\r\n");
        for (name, value) in &reply.headers {
            head.extend([*name, ": ", value, "\r\n"]);
        }
        socket.write_all((head + "\r\n").as_bytes()).await?;
    }
    for piece in reply.pieces {
        socket.write_all(&piece).await?;
        // What comes apart is to arrive apart.
        tokio::task::yield_now().await;
    }
    match reply.end {
        ReplyEnd::Close => socket.shutdown().await,
        ReplyEnd::Reset => socket.set_zero_linger(),
        ReplyEnd::Stay => {
            let mut block = [0; 16];
            while socket.read(&mut block).await? > 0 {}
            Ok(())
        }
        ReplyEnd::Comments => loop {
            socket.write_all(b": keep-alive\n\n").await?;
            tokio::time::sleep(COMMENT_PAUSE).await;
        },
    }
}
