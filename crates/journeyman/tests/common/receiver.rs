//! A receiver of webhooks that answers as it is told, and kills the sender when it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::server::Server;

/// A received message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl Message {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The task and the sequence of the event that it is about.
    pub(crate) fn event(&self) -> (String, u64) {
        let body = self.json();
        let task = body["data"]["task_id"].as_str().unwrap().to_owned();
        (task, body["data"]["sequence"].as_u64().unwrap())
    }
}

/// When the receiver kills the sender.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kill {
    BeforeTheAnswer,
    AfterTheAnswer,
}

/// What the receiver does with a message.
pub(crate) enum Reply {
    /// It sends this and closes the connection.
    Text(String),
    /// It sends nothing and keeps the connection open until the sender closes it.
    Hang,
    /// It sends this again and again, every millisecond, until the sender closes the connection.
    Endless(&'static str),
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::with_header(status, "")
    }

    /// A header is a whole line with its end.
    pub(crate) fn with_header(status: u16, header: &str) -> Self {
        Self::Text(format!(
            "HTTP/1.1 {status} X\r\n{header}Content-Length: 0\r\n\r\n"
        ))
    }
}

#[derive(Default)]
struct Shared {
    messages: Vec<Message>,
    /// The process that the next message kills.
    armed: Option<(u32, Kill)>,
}

pub(crate) struct Receiver {
    pub(crate) port: u16,
    shared: Arc<Mutex<Shared>>,
}

impl Receiver {
    /// Accepts every message.
    pub(crate) fn start() -> Self {
        Self::replying(|_| Reply::status(200))
    }

    /// Replies to the n-th message, from 0, in this way.
    pub(crate) fn replying(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), reply)
    }

    pub(crate) fn on(
        listener: TcpListener,
        reply: impl Fn(usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let (all, reply) = (Arc::clone(&shared), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (all, reply) = (Arc::clone(&all), Arc::clone(&reply));
                std::thread::spawn(move || receive(&stream.unwrap(), &all, &*reply));
            }
        });
        Self { port, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.shared.lock().unwrap().messages.clone()
    }

    pub(crate) fn arm(&self, server: &Server, kill: Kill) {
        self.shared.lock().unwrap().armed = Some((server.child.id(), kill));
    }
}

fn receive(
    mut stream: &TcpStream,
    shared: &Mutex<Shared>,
    reply: &dyn Fn(usize) -> Reply,
) -> Option<()> {
    let mut lines = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.trim().split_once(": ") {
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    lines.read_exact(&mut body).ok()?;
    let text = String::from_utf8(body).unwrap();
    let nth = {
        // One message after the other, so that exactly one kills the sender.
        let mut shared = shared.lock().unwrap();
        shared.messages.push(Message { headers, text });
        if let Some((pid, kill)) = shared.armed.take() {
            let kill_sender =
                || kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
            if kill == Kill::BeforeTheAnswer {
                kill_sender().unwrap();
            }
            let Reply::Text(text) = reply(shared.messages.len() - 1) else {
                return None;
            };
            let _ = stream.write_all(text.as_bytes());
            if kill == Kill::AfterTheAnswer {
                kill_sender().unwrap();
            }
            return None;
        }
        shared.messages.len() - 1
    };
    match reply(nth) {
        Reply::Text(text) => stream.write_all(text.as_bytes()).ok(),
        Reply::Hang => lines.read(&mut [0]).ok().map(drop),
        Reply::Endless(text) => loop {
            stream.write_all(text.as_bytes()).ok()?;
            std::thread::sleep(std::time::Duration::from_millis(1));
        },
    }
}
