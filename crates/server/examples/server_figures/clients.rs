//! The client processes. Each prints a line of numbers for what it measured.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OnceCell, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

static IDS: AtomicUsize = AtomicUsize::new(1);
/// Sockets that are opened at the same time.
const OPENING: usize = 64;

/// The time, for processes of one machine to compare.
pub(crate) fn millis() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs_f64() * 1_000.0
}

/// A connection that asks one thing after another.
struct Connection {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::with_capacity(64 << 10, stream),
            body: Vec::new(),
        }
    }

    /// Asks, and reads all of the answer, which is good. Its head.
    async fn ask(&mut self, request: &str) -> String {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let (mut head, mut length) = (String::new(), Some(0));
        loop {
            let start = head.len();
            self.stream.read_line(&mut head).await.unwrap();
            if start == 0 {
                assert!(head.starts_with("HTTP/1.1 2"), "{head} to {request}");
            }
            let header = head[start..].trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(bytes) = header.strip_prefix("content-length:") {
                length = Some(bytes.trim().parse().unwrap());
            }
            if header == "transfer-encoding: chunked" {
                length = None;
            }
        }
        match length {
            Some(length) => self.take(length).await,
            None => while self.chunk().await > 0 {},
        }
        head
    }

    async fn take(&mut self, bytes: usize) {
        self.body.resize(bytes, 0);
        self.stream.read_exact(&mut self.body).await.unwrap();
    }

    /// Reads one chunk, with the line's end after it. How long it was.
    async fn chunk(&mut self) -> usize {
        let mut size = String::new();
        self.stream.read_line(&mut size).await.unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        self.take(size + 2).await;
        size
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

fn submission() -> String {
    let body = r#"{"prompt": "Write a function that adds two numbers."}"#;
    format!(
        "POST /api/v1/tasks HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Prints how many a second, and the milliseconds of half and of 99 of 100.
fn print(mut took: Vec<Duration>, time: Duration) {
    took.sort();
    let count = f64::from(u32::try_from(took.len()).unwrap());
    let of_100 = |place: usize| took[(took.len() - 1) * place / 100].as_secs_f64() * 1_000.0;
    let rate = count / time.as_secs_f64();
    say(&format!("{rate} {} {}", of_100(50), of_100(99)));
}

/// Prints a line at once.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// Asks the same as fast as the answers come.
async fn closed_loop(address: &str, connections: usize, time: Duration, request: &str) {
    let begun = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (address, request) = (address.to_owned(), request.to_owned());
        running.spawn(async move {
            let mut connection = Connection::open(&address).await;
            let mut took = Vec::new();
            while begun.elapsed() < time {
                let asked = Instant::now();
                connection.ask(&request).await;
                took.push(asked.elapsed());
            }
            took
        });
    }
    let took = running.join_all().await.concat();
    print(took, begun.elapsed());
}

/// Asks so many times a second whatever the answers do. A time begins when the request was due, also
/// where all connections were busy then.
async fn open_loop(address: &str, connections: usize, time: Duration, rate: u32, request: &str) {
    let open = async || (Connection::open(address).await, request.to_owned());
    open_loop_of(connections, time, rate, open).await;
}

/// The same with connections that are opened so, each with what it asks.
async fn open_loop_of(
    connections: usize,
    time: Duration,
    rate: u32,
    open: impl AsyncFn() -> (Connection, String),
) {
    let (due, requests) = mpsc::unbounded_channel::<Instant>();
    let requests = Arc::new(Mutex::new(requests));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (mut connection, request) = open().await;
        let requests = Arc::clone(&requests);
        running.spawn(async move {
            let mut took = Vec::new();
            loop {
                let next = requests.lock().await.recv().await;
                let Some(due) = next else {
                    return took;
                };
                connection.ask(&request).await;
                took.push(due.elapsed());
            }
        });
    }
    let begun = Instant::now();
    for count in 0_u64.. {
        let after = Duration::from_secs(count) / rate;
        if after >= time {
            break;
        }
        tokio::time::sleep_until((begun + after).into()).await;
        due.send(begun + after).unwrap();
    }
    drop(due);
    let took = running.join_all().await.concat();
    print(took, begun.elapsed());
}

/// Opens sockets and prints how many; then the time whenever all have one message more.
async fn listen(address: &str, sockets: usize, path: &str) {
    let config = WebSocketConfig::default().read_buffer_size(2 << 10);
    let url = format!("ws://{address}{path}");
    let open = stream::iter(0..sockets).map(async |_| {
        let tcp = TcpStream::connect(address).await.ok()?;
        let opened = tokio_tungstenite::client_async_with_config(&url, tcp, Some(config)).await;
        Some(opened.ok()?.0)
    });
    let open: Vec<_> = open.buffer_unordered(OPENING).collect().await;
    let open: Vec<WebSocketStream<TcpStream>> = open.into_iter().flatten().collect();
    let (all, received) = (open.len(), Arc::new(AtomicUsize::new(0)));
    let mut running = tokio::task::JoinSet::new();
    for socket in open {
        running.spawn(read(socket, Arc::clone(&received), all));
    }
    say(&all.to_string());
    running.join_all().await;
}

/// Counts what a socket receives, together with the others.
async fn read(mut socket: WebSocketStream<TcpStream>, received: Arc<AtomicUsize>, all: usize) {
    while let Some(message) = socket.next().await {
        match message.unwrap() {
            Message::Text(_) => {}
            Message::Close(frame) => panic!("the server closed a socket: {frame:?}"),
            _ => continue,
        }
        let count = received.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_multiple_of(all) {
            say(&millis().to_string());
        }
    }
}

/// A request of MCP, in the era with sessions (of this one, if there is one already) or in the one
/// without.
fn mcp(era: &str, session: Option<&str>, method: &str, params: &str) -> String {
    let mut head = String::from(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n",
    );
    let mut params = params.to_owned();
    if era == "modern" {
        let name = params.split('"').nth(3).unwrap();
        let version = "mcp-protocol-version: 2026-07-28";
        let more = format!("{version}\r\nmcp-method: {method}\r\nmcp-name: {name}\r\n");
        head.push_str(&more);
        params.insert_str(
            1,
            r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"figures","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}},"#,
        );
    }
    if let Some(session) = session {
        let more = format!("mcp-session-id: {session}\r\n");
        head.push_str(&more);
    }
    // A notification has no id; in one session every request has one of its own.
    let id = if method.starts_with("notifications/") {
        String::new()
    } else {
        format!(r#""id":{},"#, IDS.fetch_add(1, Ordering::Relaxed))
    };
    let body = format!(r#"{{"jsonrpc":"2.0",{id}"method":"{method}","params":{params}}}"#);
    format!("{head}content-length: {}\r\n\r\n{body}", body.len())
}

/// Begins a session; its name.
async fn session(connection: &mut Connection) -> String {
    let hello = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"figures","version":"1"}}"#;
    let hello = mcp("legacy", None, "initialize", hello);
    let head = connection.ask(&hello).await;
    let mut lines = head.lines();
    let name = lines.find_map(|line| line.strip_prefix("mcp-session-id: "));
    let name = name.unwrap().to_owned();
    let done = mcp("legacy", Some(&name), "notifications/initialized", "{}");
    connection.ask(&done).await;
    name
}

/// Connections that call this tool from now on, each with the request that does: without sessions,
/// with a session each, or all in one.
struct Callers<'a> {
    address: &'a str,
    era: &'a str,
    call: &'a str,
    shared: OnceCell<String>,
}

impl Callers<'_> {
    async fn one(&self) -> (Connection, String) {
        let mut connection = Connection::open(self.address).await;
        let request = match self.era {
            "modern" => mcp("modern", None, "tools/call", self.call),
            "session-each" => {
                let name = session(&mut connection).await;
                mcp("legacy", Some(&name), "tools/call", self.call)
            }
            _ => {
                let name = async || session(&mut connection).await;
                let name = self.shared.get_or_init(name).await;
                mcp("legacy", Some(name), "tools/call", self.call)
            }
        };
        (connection, request)
    }
}

/// So many clients that wait for a task; prints how many do, and stays until it is ended.
async fn wait(address: &str, clients: usize, era: &str, task: &str) {
    let call = format!(
        r#"{{"name":"wait_for_task","arguments":{{"task_id":"{task}","timeout_seconds":49}}}}"#
    );
    let callers = Callers {
        address,
        era,
        call: &call,
        shared: OnceCell::new(),
    };
    let open = stream::iter(0..clients).map(async |_| {
        let (mut connection, request) = callers.one().await;
        let sent = connection.stream.write_all(request.as_bytes()).await;
        sent.unwrap();
        connection
    });
    let open: Vec<Connection> = open.buffer_unordered(OPENING).collect().await;
    say(&open.len().to_string());
    std::future::pending::<()>().await;
}

/// Does what the words say: what, where, how many connections, then what belongs to it.
pub(crate) async fn run(words: &[&str]) {
    let (address, connections) = (words[1], words[2].parse().unwrap());
    let seconds = || Duration::from_secs(words[3].parse().unwrap());
    match words[0] {
        "get" => closed_loop(address, connections, seconds(), &get(words[4])).await,
        "submit" => match words[4].parse().unwrap() {
            0 => closed_loop(address, connections, seconds(), &submission()).await,
            rate => open_loop(address, connections, seconds(), rate, &submission()).await,
        },
        "call" => {
            let call = format!(
                r#"{{"name":"get_task_status","arguments":{{"task_id":"{}"}}}}"#,
                words[6]
            );
            let callers = Callers {
                address,
                era: words[5],
                call: &call,
                shared: OnceCell::new(),
            };
            let rate = words[4].parse().unwrap();
            open_loop_of(connections, seconds(), rate, async || callers.one().await).await;
        }
        "wait" => wait(address, connections, words[3], words[4]).await,
        "listen" => listen(address, connections, words[3]).await,
        other => panic!("no client does {other:?}"),
    }
}
