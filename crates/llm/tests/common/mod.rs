//! A model server whose every byte is scripted.

#![allow(dead_code)] // not every test file uses everything

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use journeyman_event::Tokens;
use journeyman_llm::{Answer, Delta, Error, Message, MessageRole, ModelServer, Request};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// What the fake server does with one request for an answer.
#[derive(Clone)]
pub(crate) enum Reply {
    /// A status, headers and a body, then the connection closes.
    Whole(&'static str, &'static str, String),
    /// Pieces of a stream, each sent on its own, then the connection closes.
    Stream(Vec<String>),
    /// Pieces of a stream, then silence until the client goes away.
    Hang(Vec<String>),
}

#[derive(Default)]
pub(crate) struct Seen {
    /// The bodies of the requests for answers.
    pub(crate) bodies: Vec<Value>,
    /// The heads of all requests.
    pub(crate) heads: Vec<String>,
    /// Clients that went away while the server hung.
    pub(crate) gone: usize,
}

pub(crate) struct Fake {
    pub(crate) url: String,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

/// Serves `replies` one after another for the path `answers`, and `routes` for everything else.
pub(crate) async fn fake(
    answers: &'static str,
    replies: Vec<Reply>,
    routes: Vec<(&'static str, String)>,
) -> Fake {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Seen::default()));
    let replies = Arc::new(Mutex::new(VecDeque::from(replies)));
    let routes = Arc::new(routes);
    let shared = seen.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(
                answers,
                socket,
                shared.clone(),
                replies.clone(),
                routes.clone(),
            ));
        }
    });
    Fake { url, seen }
}

async fn serve(
    answers: &'static str,
    mut socket: TcpStream,
    seen: Arc<Mutex<Seen>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    routes: Arc<Vec<(&'static str, String)>>,
) {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let mut block = [0; 4_096];
        let len = socket.read(&mut block).await.unwrap_or(0);
        if len == 0 {
            return;
        }
        bytes.extend_from_slice(&block[..len]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .unwrap_or(0_usize);
        if body.len() >= length {
            break (head.to_owned(), body.to_owned());
        }
    };
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.lock().unwrap().heads.push(head);
    let reply = if path == answers {
        seen.lock()
            .unwrap()
            .bodies
            .push(serde_json::from_str(&body).unwrap());
        replies
            .lock()
            .unwrap()
            .pop_front()
            .expect("no more requests were expected")
    } else {
        match routes.iter().find(|(route, _)| *route == path) {
            Some((_, body)) => Reply::Whole("200 OK", "", body.clone()),
            None => Reply::Whole("404 Not Found", "", "{}".into()),
        }
    };
    let stream_head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    match reply {
        Reply::Whole(status, headers, body) => {
            let text = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
                body.len()
            );
            socket.write_all(text.as_bytes()).await.ok();
        }
        Reply::Stream(pieces) => {
            socket.write_all(stream_head.as_bytes()).await.ok();
            for piece in pieces {
                socket.write_all(piece.as_bytes()).await.ok();
                socket.flush().await.ok();
            }
        }
        Reply::Hang(pieces) => {
            socket.write_all(stream_head.as_bytes()).await.ok();
            for piece in pieces {
                socket.write_all(piece.as_bytes()).await.ok();
            }
            let mut block = [0; 16];
            while socket.read(&mut block).await.unwrap_or(0) > 0 {}
            seen.lock().unwrap().gone += 1;
        }
    }
}

/// A request as any client may be asked.
pub(crate) fn request(temperature: f32) -> Request {
    Request {
        messages: vec![Message {
            role: MessageRole::User,
            content: "Say hello, please.".into(),
        }],
        max_tokens: Tokens(50),
        temperature,
        seed: Some(7),
        stop: Vec::new(),
        trace: None,
        schema: None,
    }
}

/// The answer, and the pieces in which it came.
pub(crate) async fn ask(
    client: &dyn ModelServer,
    request: &Request,
) -> (Result<Answer, Error>, Vec<String>) {
    let mut deltas = Vec::new();
    let mut take = |delta: Delta<'_>| deltas.push(delta.text.to_owned());
    let result = client
        .answer(request, &mut take, &CancellationToken::new())
        .await;
    (result, deltas)
}
