//! A server of its own for a test, and clients that say exactly what they are told to say.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use super::Home;

/// A model that makes no mistakes, at once.
pub(crate) const GOOD: &str = "latency_ms=0&wrong=0&malformed=0";
/// A model that makes no mistakes and takes its time: a plan takes minutes.
pub(crate) const SLOW: &str = "latency_ms=3000&wrong=0&malformed=0";
/// A model that makes no mistakes and is slow enough to come between.
pub(crate) const STEADY: &str = "latency_ms=40&wrong=0&malformed=0";
/// What the simulated model does at once, without a plan, and verified.
pub(crate) const STUB: &str =
    "def step(value):\n    \"\"\"Adds one.\n\n    >>> step(1)\n    2\n    \"\"\"\n";
/// Everything that is waited for has come by then, also on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < DEADLINE, "waited too long: {what}");
        std::thread::sleep(POLL);
    }
}

/// Writes a token file: names, tokens and roles.
pub(crate) fn tokens(home: &Home, known: &[(&str, &str, &str)]) -> String {
    let line = |(name, token, role): &(&str, &str, &str)| {
        let hash = format!("b3:{}", blake3::hash(token.as_bytes()));
        json!({"name": name, "token_hash": hash, "role": role}).to_string() + "\n"
    };
    let path = home.path().join("tokens.jsonl");
    fs::write(&path, known.iter().map(line).collect::<String>()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// The body, if the status is this one.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// The problem, if the status is this one.
    pub(crate) fn problem(&self, status: u16) -> Value {
        let problem = self.expect(status);
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{problem}"
        );
        assert_eq!(problem["status"], status);
        problem
    }
}

/// `journeyman serve`, killed when it is dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) port: u16,
    pub(crate) recovered: u64,
    log: PathBuf,
    token: Option<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Serves in this home, on a free port, with a simulated model.
    pub(crate) fn start(home: &Home, script: &str, args: &[&str]) -> Self {
        Self::launch(home, Self::command(home, script, args))
    }

    /// The command by which [`Self::start`] serves.
    pub(crate) fn command(home: &Home, script: &str, args: &[&str]) -> Command {
        let url = format!("sim:?{script}");
        let mut all = vec!["serve", "--port", "0", "--json", "--model-url", &url];
        all.extend(args);
        home.command(&all)
    }

    /// Serves as this command says, which has `--json`.
    pub(crate) fn launch(home: &Home, mut serve: Command) -> Self {
        let log = home.path().join("server.log");
        let mut child = serve
            .stdout(Stdio::piped())
            .stderr(
                File::options()
                    .create(true)
                    .append(true)
                    .open(&log)
                    .unwrap(),
            )
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("{line}{}", fs::read_to_string(&log).unwrap()));
        let url = said["url"].as_str().unwrap();
        let (_, port) = url.rsplit_once(':').unwrap();
        Self {
            port: port.parse().unwrap(),
            recovered: said["recovered"].as_u64().unwrap(),
            child,
            log,
            token: None,
        }
    }

    /// The same server, asked with a token.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it and those before it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Ends it as a crash would.
    pub(crate) fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as an operator would; its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.child.wait().unwrap().code()
    }

    /// Asks exactly this, for somebody else to read the answer.
    pub(crate) fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> TcpStream {
        use std::fmt::Write as _;
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        let is_given = |name: &str| headers.iter().any(|(given, _)| given == &name);
        if !is_given("Host") {
            write!(head, "Host: 127.0.0.1:{}\r\n", self.port).unwrap();
        }
        if let Some(token) = self.token.as_ref().filter(|_| !is_given("Authorization")) {
            write!(head, "Authorization: Bearer {token}\r\n").unwrap();
        }
        if !body.is_empty() {
            write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        head += "\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        stream
    }

    /// Asks exactly this. A header without a value is left out.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut bytes = Vec::new();
        let mut stream = self.open(method, path, headers, body);
        stream.read_to_end(&mut bytes).unwrap();
        assert!(
            !bytes.is_empty(),
            "{method} {path} has no answer; the server ({}) said: {}",
            fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default(),
            self.log()
        );
        parse(&bytes)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    /// Posts, and does not wait for the answer. Whoever drops this leaves.
    pub(crate) fn begin_post(&self, path: &str, body: &Value) -> TcpStream {
        let json = [("Content-Type", "application/json")];
        self.open("POST", path, &json, body.to_string().as_bytes())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let json = [("Content-Type", "application/json")];
        self.ask("POST", path, &json, body.to_string().as_bytes())
    }

    /// Submits a task and gives its name.
    pub(crate) fn submit(&self, task: &Value) -> String {
        let answer = self.post("/api/v1/tasks", task).expect(202);
        answer["task_id"].as_str().unwrap().to_owned()
    }

    /// A task that rests with its code written.
    pub(crate) fn resting(&self) -> String {
        until("a task rests with its code", || {
            let task = self.submit(&json!({"prompt": STUB}));
            self.event(&task, "code_generated");
            let paused = self.intervene(&task, &json!({"kind": "pause"}));
            (paused.status == 200).then_some(task)
        })
    }

    pub(crate) fn task(&self, task: &str) -> Value {
        self.get(&format!("/api/v1/tasks/{task}")).expect(200)
    }

    /// The task, as soon as it has this status.
    pub(crate) fn wait(&self, task: &str, status: &str) -> Value {
        let mut last = Value::Null;
        let found = until_or(&mut last, |last| {
            *last = self.task(task);
            last["status"] == status
        });
        assert!(found, "never {status}: {last}\n{}", self.log());
        last
    }

    /// The task, as soon as it has ended.
    pub(crate) fn ended(&self, task: &str) -> Value {
        let mut last = Value::Null;
        let found = until_or(&mut last, |last| {
            *last = self.task(task);
            let status = last["status"].as_str().unwrap();
            ["complete", "failed", "cancelled"].contains(&status)
        });
        assert!(found, "never ends: {last}\n{}", self.log());
        last
    }

    /// The task's events with their payloads, oldest first.
    pub(crate) fn events(&self, task: &str) -> Vec<Value> {
        let mut events = Vec::new();
        let mut after = 0;
        loop {
            let path = format!("/api/v1/tasks/{task}/events?after={after}&limit=1000&data=true");
            let page = self.get(&path).expect(200);
            events.extend(page["events"].as_array().unwrap().iter().cloned());
            match page["next"].as_u64() {
                Some(next) => after = next,
                None => return events,
            }
        }
    }

    /// The first event of a kind, as soon as there is one.
    pub(crate) fn event(&self, task: &str, kind: &str) -> Value {
        until(&format!("{task} has {kind}"), || {
            let mut events = self.events(task).into_iter();
            events.find(|event| event["kind"] == kind)
        })
    }

    pub(crate) fn intervene(&self, task: &str, body: &Value) -> Answer {
        self.post(&format!("/api/v1/tasks/{task}/interventions"), body)
    }

    /// Server-sent events, as they come.
    pub(crate) fn stream(&self, path: &str, headers: &[(&str, &str)]) -> Sse {
        let mut lines = BufReader::new(self.open("GET", path, headers, b""));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        Sse { lines }
    }

    /// Opens a WebSocket at this path.
    pub(crate) fn socket(&self, path: &str) -> Socket {
        self.socket_from(path, &[]).unwrap()
    }

    /// A WebSocket opened with these headers, or the status of the refusal.
    pub(crate) fn socket_from(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Socket, u16> {
        let url = format!("ws://127.0.0.1:{}{path}", self.port);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Socket { socket }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(answer.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn until_or(last: &mut Value, mut ask: impl FnMut(&mut Value) -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < DEADLINE {
        if ask(last) {
            return true;
        }
        std::thread::sleep(POLL);
    }
    false
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(bytes)));
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut answer = Answer {
        status: status.parse().unwrap(),
        headers,
        body: bytes[end + 4..].to_vec(),
    };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunked(&answer.body);
    }
    answer
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..at]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body.extend_from_slice(&bytes[at + 2..at + 2 + size]);
        bytes = &bytes[at + 2 + size + 2..];
        if size == 0 {
            break;
        }
    }
    body
}

/// An event as it came as a server-sent one.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) id: u64,
    pub(crate) kind: String,
    pub(crate) event: Value,
}

/// A stream of server-sent events, read from a raw connection.
pub(crate) struct Sse {
    lines: BufReader<TcpStream>,
}

impl Iterator for Sse {
    type Item = Sent;

    fn next(&mut self) -> Option<Sent> {
        let (mut id, mut kind) = (0, String::new());
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.trim().parse().unwrap();
            } else if let Some(text) = line.strip_prefix("event: ") {
                text.trim().clone_into(&mut kind);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let event = serde_json::from_str(data).unwrap();
                return Some(Sent { id, kind, event });
            }
        }
    }
}

/// The client's end of a WebSocket.
pub(crate) struct Socket {
    socket: WebSocket<TcpStream>,
}

impl Socket {
    pub(crate) fn say(&mut self, message: &Value) {
        let text = Message::text(message.to_string());
        self.socket.send(text).unwrap();
    }

    /// The next message, or the code that it was closed with; 1006 if it just ended.
    pub(crate) fn hear(&mut self) -> Result<Value, u16> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Ok(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(frame)) => {
                    return Err(frame.map_or(1005, |frame| frame.code.into()));
                }
                Ok(_) => {}
                Err(tungstenite::Error::Io(error))
                    if error.kind() == std::io::ErrorKind::WouldBlock =>
                {
                    panic!("nothing was heard for too long")
                }
                Err(_) => return Err(1006),
            }
        }
    }

    /// Hears messages up to the first of this kind.
    pub(crate) fn hear_until(&mut self, kind: &str) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            let message = self.hear().unwrap();
            let is_last = message["kind"] == kind;
            heard.push(message);
            if is_last {
                return heard;
            }
        }
    }
}

/// The kinds of events.
pub(crate) fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect()
}

/// How many events are of a kind.
pub(crate) fn count(events: &[Value], kind: &str) -> usize {
    events.iter().filter(|event| event["kind"] == kind).count()
}

/// The names of an object's members.
pub(crate) fn members(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// Every intent has at most one outcome, no position is there twice or missing, and what is finished
/// was finished once.
pub(crate) fn check_history(events: &[Value]) {
    let mut outcomes = std::collections::BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["revision"], at + 1, "revisions without a gap");
        match event["kind"].as_str().unwrap() {
            "model_call_started" | "test_started" | "analysis_started" | "output_started"
            | "tool_executing" => {
                outcomes.insert(event["id"].as_str().unwrap(), 0);
            }
            "model_call_completed"
            | "model_call_failed"
            | "test_passed"
            | "test_failed"
            | "tool_completed"
            | "dead_code_analysis"
            | "output_written"
            | "output_failed"
            | "effect_interrupted"
                if event["data"]["outcome"] != "refused" =>
            {
                let intent = event["causation_id"].as_str().unwrap();
                let count = outcomes.get_mut(intent).expect("an outcome has its intent");
                *count += 1;
                assert_eq!(*count, 1, "the outcome of {intent} is recorded once");
            }
            _ => {}
        }
    }
    let modules = events.iter().filter(|e| e["kind"] == "module_complete");
    let mut modules: Vec<&Value> = modules.map(|event| &event["module"]).collect();
    let count = modules.len();
    modules.dedup();
    assert_eq!(modules.len(), count, "no module is finished twice");
}
