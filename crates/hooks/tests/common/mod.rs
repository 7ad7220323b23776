//! A journal in memory with tasks that end, hooks that are told of it, and receivers that do what they are told.

#![allow(dead_code)] // each test file uses a part of it

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use journeyman_api::HookView;
use journeyman_bus::{Bus, Stamp};
use journeyman_event::payload::{
    FailureReason, PauseReason, TaskFailed, TaskPaused, TaskSubmitted, TaskWebhook,
};
use journeyman_event::{
    Owner, Payload, Principal, SeededRandom, SteppedTime, TaskId, TaskState, TimeSource,
};
use journeyman_hooks::{HookName, Hooks, HooksOptions, Lookup, RetryPolicy, Scope, WebhookConfig};
use journeyman_journal::{Journal, Memory};
use journeyman_workflow::{Fact, Notices, Recorder, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Everything that is waited for has come by then, also on a machine that is busy.
const DEADLINE: Duration = Duration::from_mins(1);

/// The real time and a difference that a test sets.
#[derive(Default)]
pub(crate) struct Clock {
    ahead_ms: AtomicI64,
}

impl Clock {
    pub(crate) fn go_on(&self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).unwrap();
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl TimeSource for Clock {
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.ahead_ms.load(Ordering::Relaxed));
        Timestamp::now() + ahead
    }
}

struct Stamps;

impl Stamp for Stamps {
    fn id(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// A journal, a data folder and a clock.
pub(crate) struct World {
    pub(crate) journal: Journal,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Arc<Clock>,
    recorder_time: Arc<SteppedTime>,
    random: Arc<SeededRandom>,
}

pub(crate) fn owner(name: &str) -> Principal {
    Principal::user(Owner::new(name).unwrap())
}

impl World {
    pub(crate) fn new() -> Self {
        let random = Arc::new(SeededRandom::new(7));
        Self {
            journal: Journal::open(Arc::new(Memory::default()), &*random).unwrap(),
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::default(),
            recorder_time: Arc::default(),
            random,
        }
    }

    /// Hooks that are patient for a moment only and may go to this machine, with these changes.
    pub(crate) async fn hooks(&self, change: impl FnOnce(&mut HooksOptions)) -> Hooks {
        let mut options = HooksOptions::silent(
            self.journal.clone(),
            self.clock.clone(),
            self.random.clone(),
        );
        options.data_dir = Some(self.folder.path().to_owned());
        options.networks = "127.0.0.0/8".parse().unwrap();
        options.environment = variables(&[("SECRET", SECRET)]);
        options
            .environment
            .insert("PATH".to_owned(), std::env::var("PATH").unwrap_or_default());
        options.exit_code = |_| 4;
        options.retry_policy = RetryPolicy {
            attempt_timeout: Duration::from_secs(20),
            backoff: Duration::from_millis(20),
            backoff_max: Duration::from_millis(100),
            ..RetryPolicy::default()
        };
        change(&mut options);
        Hooks::start(options).await
    }

    /// A task of the local user that is submitted, paused and then fails.
    pub(crate) async fn fail_after_a_pause(&self, task: &str, reason: FailureReason) {
        let local = Principal::local();
        let paused = TaskPaused {
            reason: PauseReason::User,
            detail: None,
        };
        self.record(&local, task, TaskSubmitted::of("Make it"))
            .await;
        self.record(&local, task, paused).await;
        self.record(&local, task, failed(reason)).await;
    }

    pub(crate) async fn record(&self, who: &Principal, task: &str, payload: impl Into<Payload>) {
        let task = TaskId::new(task).unwrap();
        let recorder = Recorder {
            journal: self.journal.clone(),
            principal: who.clone(),
            time: self.recorder_time.clone(),
            randomness: self.random.clone(),
            notices: Notices::new(Bus::start(), Arc::new(Stamps)),
        };
        let state = journeyman_workflow::load(&self.journal, who, &task).await;
        let mut state: TaskState = state.unwrap().unwrap_or_default();
        let fact = [Fact::of_task(Role::Conductor, payload)];
        let cancel = CancellationToken::new();
        let recorded = recorder.record_with_retry(&task, &mut state, &fact, &cancel, |_| true);
        assert!(recorded.await.unwrap());
    }

    /// A task of the local user's that has ended.
    pub(crate) async fn ended(&self, task: &str) {
        self.ended_with(&Principal::local(), task, None).await;
    }

    /// A task that has ended, perhaps with a webhook of its own.
    pub(crate) async fn ended_with(
        &self,
        who: &Principal,
        task: &str,
        webhook: Option<TaskWebhook>,
    ) {
        let asked = TaskSubmitted {
            webhook,
            ..TaskSubmitted::of("Make a thing")
        };
        self.record(who, task, asked).await;
        self.record(who, task, failed(FailureReason::Budget)).await;
    }
}

pub(crate) fn failed(reason: FailureReason) -> TaskFailed {
    TaskFailed {
        reason,
        detail: "it is spent".to_owned(),
    }
}

pub(crate) fn variables(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    let all = all.iter();
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// A webhook of the configuration.
pub(crate) fn webhook(name: &str, url: &str, more: &str) -> (HookName, WebhookConfig) {
    let table: toml::Table = toml::from_str(&format!("[{name}]\nurl = {url:?}\n{more}")).unwrap();
    let all: BTreeMap<HookName, WebhookConfig> = table.try_into().unwrap();
    all.into_iter().next().unwrap()
}

/// The hook of this name, as an admin sees it.
pub(crate) async fn view(hooks: &Hooks, name: &str) -> HookView {
    let mut all = hooks.list(&Scope::All).await.unwrap().into_iter();
    all.find(|view| view.hook == name).unwrap()
}

/// The hook, as soon as it is so.
pub(crate) async fn until(
    hooks: &Hooks,
    name: &str,
    is_so: impl Fn(&HookView) -> bool,
) -> HookView {
    let waited = async {
        loop {
            let all = hooks.list(&Scope::All).await.unwrap();
            if let Some(view) = all.into_iter().find(|view| view.hook == name)
                && is_so(&view)
            {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if let Ok(view) = tokio::time::timeout(DEADLINE, waited).await {
        return view;
    }
    panic!("{name}: {:?}", view(hooks, name).await);
}

/// A request that was received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn id(&self) -> String {
        self.headers["webhook-id"].to_str().unwrap().to_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn task(&self) -> String {
        self.json()["data"]["task_id"].as_str().unwrap().to_owned()
    }
}

/// What a receiver does with a request.
pub(crate) enum Answer {
    /// This, byte for byte, and the end of the connection.
    Text(String),
    /// This, again and again, until the other side has had enough.
    Endless(&'static str, &'static str),
    /// This, and then nothing, as long as the other side waits.
    Hang(&'static str),
}

pub(crate) fn status(status: u16) -> Answer {
    Answer::Text(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"))
}

/// A receiver of webhooks on this machine.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    count: watch::Receiver<usize>,
    pub(crate) at_once_max: Arc<AtomicUsize>,
    running: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Receiver {
    /// Answers the n-th request, from 0, as it is told.
    pub(crate) async fn start(
        answer: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, answer)
    }

    pub(crate) fn on(
        listener: TcpListener,
        answer: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (counting, count) = watch::channel(0);
        let (answer, counting) = (Arc::new(answer), Arc::new(counting));
        let (at_once, at_once_max) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let (all, max): (_, Arc<AtomicUsize>) = (received.clone(), Arc::clone(&at_once_max));
        let running = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (all, answer, counting) = (all.clone(), answer.clone(), counting.clone());
                let (at_once, max) = (at_once.clone(), max.clone());
                tokio::spawn(async move {
                    let now = at_once.fetch_add(1, Ordering::SeqCst) + 1;
                    max.fetch_max(now, Ordering::SeqCst);
                    let _ = serve(stream, &all, &*answer, &counting).await;
                    at_once.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            received,
            count,
            at_once_max,
            running,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// What was received, as soon as it is so much.
    pub(crate) async fn wait(&self, requests: usize) -> Vec<Received> {
        let mut count = self.count.clone();
        let waited = count.wait_for(|count| *count >= requests);
        let waited = tokio::time::timeout(DEADLINE, waited).await;
        let received = self.received();
        assert!(waited.is_ok(), "{} of {requests} came", received.len());
        received
    }
}

async fn serve(
    mut stream: TcpStream,
    all: &Mutex<Vec<Received>>,
    answer: &(impl Fn(usize, &Received) -> Answer + ?Sized),
    counting: &watch::Sender<usize>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut buffer = [0; 4_096];
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = headers(&bytes[..end]);
            let length = head.get("content-length");
            let length = length.map_or(0, |value| value.to_str().unwrap().parse().unwrap());
            bytes.drain(..end + 4);
            break (head, length);
        }
    };
    while bytes.len() < length {
        let mut buffer = [0; 4_096];
        let count = stream.read(&mut buffer).await?;
        bytes.extend_from_slice(&buffer[..count]);
    }
    let received = Received {
        headers: head,
        body: bytes,
    };
    let nth = {
        let mut all = all.lock().unwrap();
        all.push(received.clone());
        all.len() - 1
    };
    let said = answer(nth, &received);
    counting.send_modify(|count| *count += 1);
    match said {
        Answer::Text(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await
        }
        Answer::Endless(first, then) => {
            stream.write_all(first.as_bytes()).await?;
            loop {
                stream.write_all(then.as_bytes()).await?;
            }
        }
        Answer::Hang(first) => {
            stream.write_all(first.as_bytes()).await?;
            let mut rest = [0; 64];
            while stream.read(&mut rest).await? > 0 {}
            Ok(())
        }
    }
}

fn headers(head: &[u8]) -> HeaderMap {
    let text = std::str::from_utf8(head).unwrap();
    let lines = text.split("\r\n").skip(1);
    let pairs = lines.filter_map(|line| line.split_once(": "));
    pairs
        .map(|(name, value)| {
            (
                HeaderName::try_from(name).unwrap(),
                HeaderValue::try_from(value).unwrap(),
            )
        })
        .collect()
}

/// Names of hosts as a test has them: each is looked up by this function, which is told how often it was asked.
pub(crate) struct Names<F>(pub(crate) F, pub(crate) AtomicUsize);

impl<F> Names<F> {
    pub(crate) fn new(names: F) -> Self {
        Self(names, AtomicUsize::new(0))
    }
}

impl<F: Fn(usize) -> Vec<SocketAddr> + Send + Sync + 'static> Lookup for Names<F> {
    fn lookup(
        &self,
        _: String,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        let found = (self.0)(self.1.fetch_add(1, Ordering::SeqCst));
        Box::pin(async move { Ok(found) })
    }
}

/// A script in a folder that anybody may run.
pub(crate) fn script(folder: &std::path::Path, text: &str) -> PathBuf {
    let path = folder.join("hook.sh");
    std::fs::write(&path, text).unwrap();
    path
}
