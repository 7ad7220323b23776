//! The supervisor: a separate process that owns the managed server for all processes that use it. It restarts the
//! server when it crashes or hangs, and stops the server and itself when no process has used it for a while.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use journeyman_event::{Randomness, SeededRandom, Tokens};
use journeyman_http::client_builder;
use reqwest::Client;
use serde::{Deserialize, Serialize};
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::files::{EnginePurpose, EngineState, EngineStatus, Files, ServedModel, Users, log_end};
use crate::llama_cpp;
use crate::openai::{OpenAi, OpenAiOptions};
use crate::{Error, ModelServer};

const SERVE: &str = include_str!("../managed_serve.py");
const WATCH: &str = include_str!("../managed_watch.py");
/// How often the supervisor checks whether the server is still needed.
const TICK: Duration = Duration::from_millis(200);
const POLL: Duration = Duration::from_millis(100);
/// The interval between health checks.
const PROBE: Duration = Duration::from_secs(2);
/// The timeout of one health check.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How many starts in a row may fail before the supervisor gives up.
const FAILURES_MAX: u32 = 5;
/// A server that ran at least this long does not count as a failed start.
const LONG_LIFE: Duration = Duration::from_mins(10);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How many times llama.cpp's threads spin before they sleep, if it was built with GNU OpenMP. The default of
/// 300,000 blocks processors that a test run, a build or the model's own other thread needs. With the
/// processors to itself, a small number is as fast.
const SPINS: &str = "1000";

/// The supervisor's timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorTimeouts {
    /// For the server to load its model.
    pub start: Duration,
    /// For any response to health checks.
    pub health: Duration,
    /// For progress of a server that is working. Reading one batch of a prompt is one step, which takes minutes
    /// on a slow CPU.
    pub stall: Duration,
    /// The wait before the first restart; it doubles with each further one.
    pub backoff: Duration,
}

impl Default for SupervisorTimeouts {
    fn default() -> Self {
        Self {
            start: Duration::from_mins(5),
            health: Duration::from_secs(30),
            // As long as a client waits for the first piece of an answer.
            stall: Duration::from_mins(10),
            backoff: Duration::from_millis(500),
        }
    }
}

/// The configuration that a new supervisor is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SupervisorConfig {
    pub(crate) data_dir: PathBuf,
    /// The managed Python interpreter.
    pub(crate) interpreter: PathBuf,
    /// The path of llama.cpp's own program; `None` for the one in the managed Python environment.
    pub(crate) engine: Option<PathBuf>,
    pub(crate) load: ServedModel,
    /// How long the server keeps running while unused.
    pub(crate) idle: Duration,
    pub(crate) timeouts: SupervisorTimeouts,
}

/// Supervises the managed server of a data folder until it is no longer needed. `config` is the argument
/// that [`crate::Managed`] passed to the command. Returns at once if another process is already supervising.
///
/// Call this at the start of a process of its own: it makes the process a session leader.
pub fn supervise(config: &str) -> Result<(), Error> {
    let config: SupervisorConfig =
        serde_json::from_str(config).map_err(|error| Error::Unsupported {
            what: format!(
                "this command is for journeyman itself ({error}); use `journeyman engine`"
            ),
        })?;
    if let Err(error) = rustix::process::setsid() {
        // It leads its process group already, because a shell started it.
        tracing::warn!(%error, "the supervisor could not start a session of its own");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    runtime.block_on(run(config))
}

fn failed(error: std::io::Error) -> Error {
    Error::Managed {
        reason: error.to_string(),
    }
}

/// Why the supervisor ends.
enum End {
    /// It was asked to end, or the server was unused.
    Unwanted,
    /// The server could not be kept running.
    GaveUp(String),
}

async fn run(config: SupervisorConfig) -> Result<(), Error> {
    let files = Files::new(&config.data_dir, config.load.purpose);
    files.create()?;
    let Some(_lock) = files.supervise().await? else {
        return Ok(());
    };
    files.forget_stop()?;
    let users = files.users()?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut state = EngineState {
        status: EngineStatus::Starting,
        supervisor: std::process::id(),
        pid: None,
        port: None,
        load: config.load.clone(),
        since: None,
        restarts: 0,
        reason: None,
    };
    files.publish(&state)?;
    tracing::info!(model = config.load.model, "supervising");
    let supervisor = Supervisor {
        http: client_builder().no_proxy().build().unwrap_or_default(),
        used: Cell::new(Instant::now()),
        config,
        files,
    };
    let mut server = None;
    let end = tokio::select! {
        biased;
        end = supervisor.until_unwanted(&users, &mut terminate) => end,
        end = supervisor.keep_alive(&mut state, &mut server) => end,
    };
    if let Some(server) = server {
        server.finish().await;
    }
    let end = end?;
    (state.status, state.pid, state.port, state.since) = (EngineStatus::Stopped, None, None, None);
    if let End::GaveUp(reason) = &end {
        tracing::error!("gave up: {reason}");
        state.status = EngineStatus::Failed;
        state.reason = Some(reason.clone());
    }
    supervisor.files.publish(&state)
}

/// The process of the server.
struct Server {
    child: Child,
    /// The server's standard input; closing it tells the server to end. Kept separately, because waiting for a
    /// child closes its input.
    stdin: Option<ChildStdin>,
}

impl Server {
    /// Ends the server and waits for its process.
    async fn finish(mut self) {
        drop(self.stdin);
        let ended = tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await;
        if ended.is_err()
            && let Err(error) = self.child.kill().await
        {
            tracing::warn!(%error, "the server could not be ended");
        }
    }
}

struct Supervisor {
    config: SupervisorConfig,
    files: Files,
    http: Client,
    /// When the server was last in use, by a registered process or for a request.
    used: Cell<Instant>,
}

/// How one run of the server ended.
struct Death {
    why: String,
    was_ready: bool,
    /// Whether it became ready or ran for long.
    was_good: bool,
    /// Whether another process had taken its port.
    port_taken: bool,
}

impl Supervisor {
    /// Waits until the server is no longer needed. If that is because it is unused, `users` is then locked
    /// exclusively, so that no process starts to use a server that is about to end.
    async fn until_unwanted(&self, users: &Users, terminate: &mut Signal) -> Result<End, Error> {
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(End::Unwanted),
                () = tokio::time::sleep(TICK) => {}
            }
            if self.files.asked_to_stop() {
                tracing::info!("asked to stop");
                return Ok(End::Unwanted);
            }
            if !users.alone().map_err(failed)? {
                self.used.set(Instant::now());
            } else if self.used.get().elapsed() >= self.config.idle {
                tracing::info!("no process uses the server any more");
                return Ok(End::Unwanted);
            } else {
                users.release().map_err(failed)?;
            }
            Files::bound_log(&self.files.server_log()).map_err(failed)?;
        }
    }

    /// Keeps the server running until restarting seems useless.
    async fn keep_alive(
        &self,
        state: &mut EngineState,
        server: &mut Option<Server>,
    ) -> Result<End, Error> {
        let jitter = SeededRandom::new(u64::from(std::process::id()));
        let mut failures = 0;
        let mut ever_ready = false;
        loop {
            let death = self.live(state, server).await?;
            tracing::warn!("the server: {}", death.why);
            ever_ready |= death.was_ready;
            failures = if death.was_good { 1 } else { failures + 1 };
            (state.status, state.pid, state.port, state.since) =
                (EngineStatus::Starting, None, None, None);
            // What never started once will not start another time, but for an unlucky port.
            if !ever_ready && !death.port_taken {
                return Ok(End::GaveUp(death.why));
            }
            if failures >= FAILURES_MAX {
                let why = format!("{failures} times in a row, the last time: {}", death.why);
                return Ok(End::GaveUp(why));
            }
            state.reason = Some(death.why);
            state.restarts += u32::from(ever_ready);
            self.files.publish(state)?;
            if !death.port_taken {
                tokio::time::sleep(backoff(self.config.timeouts.backoff, failures, &jitter)).await;
            }
        }
    }

    /// Runs the server once, from start to end.
    async fn live(
        &self,
        state: &mut EngineState,
        slot: &mut Option<Server>,
    ) -> Result<Death, Error> {
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        let Server { child, .. } = slot.insert(self.spawn(port)?);
        (state.pid, state.port) = (child.id(), Some(port));
        self.files.publish(state)?;
        let mut death = Death {
            why: String::new(),
            was_ready: false,
            was_good: false,
            port_taken: false,
        };
        let answered = Cell::new(false);
        if let Err(why) = self.until_ready(&url, child).await {
            death.why = why;
            let ended = matches!(child.try_wait(), Ok(Some(_)));
            death.port_taken = ended && TcpListener::bind(("127.0.0.1", port)).is_err();
        } else {
            let start = Instant::now();
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            death.was_ready = true;
            state.status = EngineStatus::Running;
            state.since = now.ok().map(|now| now.as_secs());
            self.files.publish(state)?;
            tracing::info!(url, "the server is ready");
            death.why = tokio::select! {
                status = child.wait() => match status {
                    Ok(status) => self.ended(&status.to_string()),
                    Err(error) => format!("it is lost: {error}"),
                },
                why = self.until_silent(&url) => why,
                why = self.until_stalled(&url, &answered) => why,
            };
            death.was_good = answered.get() || start.elapsed() >= LONG_LIFE;
        }
        if let Some(server) = slot.take() {
            server.finish().await;
        }
        Ok(death)
    }

    fn ended(&self, status: &str) -> String {
        format!(
            "it ended with {status}: {}",
            log_end(&self.files.server_log())
        )
    }

    fn spawn(&self, port: u16) -> Result<Server, Error> {
        let log_file = self.files.server_log();
        // What the one before said of its end is kept beside.
        if log_file.exists() {
            std::fs::rename(&log_file, log_file.with_extension("log.1")).map_err(failed)?;
        }
        let mut log = OpenOptions::new();
        let log = log.create(true).append(true).open(log_file);
        let log = log.map_err(failed)?;
        let ServedModel {
            purpose,
            model,
            weights,
            context,
            slots,
        } = &self.config.load;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (port, threads) = (port.to_string(), threads.to_string());
        let mut command = Command::new(&self.config.interpreter);
        command.arg("-c");
        if let Some(engine) = &self.config.engine {
            // The server divides the window it is given among its slots.
            let whole = Tokens(context.0.saturating_mul(u64::from(*slots))).to_string();
            command.arg(WATCH).arg(engine);
            command.args(["--host", "127.0.0.1", "--port", &port, "--model"]);
            command.arg(weights).args(["--ctx-size", &whole]);
            command.args(["--parallel", &slots.to_string(), "--threads", &threads]);
            command.args(["--alias", model, "--metrics"]);
            if *purpose == EnginePurpose::Embeddings {
                // A text is read in one step, or not at all.
                let step = context.to_string();
                command.args([
                    "--embeddings",
                    "--batch-size",
                    &step,
                    "--ubatch-size",
                    &step,
                ]);
            }
        } else {
            command.arg(SERVE).arg(weights);
            let (context, slots) = (context.to_string(), slots.to_string());
            let purpose = match purpose {
                EnginePurpose::Answers => "answers",
                EnginePurpose::Embeddings => "embeddings",
            };
            command.args([&port, &context, &slots, &threads, model, purpose]);
        }
        // Its environment is the supervisor's, which was cleaned when that was started.
        let mut child = command
            .env("GOMP_SPINCOUNT", SPINS)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let stdin = child.stdin.take();
        Ok(Server { child, stdin })
    }

    async fn until_ready(&self, url: &str, child: &mut Child) -> Result<(), String> {
        let client = OpenAi::new(OpenAiOptions::new(url, &self.config.load.model))
            .map_err(|error| error.to_string())?;
        let ready = async {
            loop {
                if let Ok(Some(status)) = child.try_wait() {
                    return Err(self.ended(&status.to_string()));
                }
                if client.describe().await.is_ok() {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let timeout = self.config.timeouts.start;
        tokio::time::timeout(timeout, ready)
            .await
            .unwrap_or_else(|_| {
                Err(format!(
                    "it was not ready after {} s: {}",
                    timeout.as_secs(),
                    log_end(&self.files.server_log())
                ))
            })
    }

    /// Waits until the server has not responded to health checks for too long. The responses do not depend on
    /// the model's work.
    async fn until_silent(&self, url: &str) -> String {
        let timeout = self.config.timeouts.health;
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(PROBE.min(timeout / 4)).await;
            let ask = self.http.get(format!("{url}/health"));
            if llama_cpp::is_healthy(ask.timeout(PROBE_TIMEOUT.min(timeout / 2))).await {
                last = Instant::now();
            } else if last.elapsed() >= timeout {
                return format!("it did not answer for {} s", timeout.as_secs());
            }
        }
    }

    /// Waits until the server has worked without progress for too long. Makes one request at a time, because
    /// some versions answer only between two steps of the work.
    async fn until_stalled(&self, url: &str, answered: &Cell<bool>) -> String {
        let timeout = self.config.timeouts.stall;
        let mut last = None;
        let mut moved = Instant::now();
        loop {
            tokio::time::sleep(PROBE.min(timeout / 4)).await;
            let ask = self.http.get(format!("{url}/metrics")).timeout(timeout);
            match llama_cpp::counters(ask).await {
                Ok(counters) => {
                    answered.set(answered.get() || counters.generated > 0);
                    if !counters.is_busy || Some(counters.steps) != last {
                        moved = Instant::now();
                    }
                    if counters.is_busy {
                        self.used.set(Instant::now());
                    }
                    last = Some(counters.steps);
                }
                // Whether it is there at all is judged elsewhere.
                Err(error) if !error.is_timeout() => moved = Instant::now(),
                Err(_) => {}
            }
            if moved.elapsed() >= timeout {
                return format!("it made no progress for {} s", timeout.as_secs());
            }
        }
    }
}

/// A port that is currently free. If another process takes it before the server does, another one is tried.
fn free_port() -> Result<u16, Error> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Error::Managed {
            reason: format!("no free port: {error}"),
        })
}

/// The wait before a restart: it doubles each time, and half of it is random.
fn backoff(first: Duration, failures: u32, jitter: &SeededRandom) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    let half = doubled.min(BACKOFF_MAX) / 2;
    let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
    half + Duration::from_millis(jitter.next_u64() % (millis + 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_wait_doubles_with_jitter_and_is_bounded() {
        let jitter = SeededRandom::new(1);
        let first = Duration::from_millis(500);
        for (failures, whole) in [(1, 500), (2, 1_000), (3, 2_000), (40, 30_000)] {
            let wait = backoff(first, failures, &jitter);
            let whole = Duration::from_millis(whole);
            assert!(
                wait >= whole / 2 && wait <= whole,
                "{failures} failures: {wait:?}"
            );
        }
    }

    #[test]
    fn an_order_that_is_none_is_refused() {
        let error = supervise("{}").unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }
}
