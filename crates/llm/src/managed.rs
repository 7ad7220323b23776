//! The managed model server: llama.cpp's own, as a supervised child process. It is installed and
//! given its model when it is first needed, listens on loopback only, is started again when it
//! died, and ends with this process, however this process ends.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use journeyman_event::Tokens;
use journeyman_fetch::{Environment, Hub, Progress, Report, Requirement};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::openai::{OpenAi, OpenAiOptions};
use crate::source::{Models, Source};
use crate::{Answer, Count, Error, Message, ModelInfo, ModelServer, OnDelta, Request};

/// The Python package that carries llama.cpp's server.
pub const LLAMA_CPP: Requirement = Requirement {
    name: "xllamacpp",
    version: "2026.10.11549",
};

const SERVE: &str = include_str!("managed_serve.py");
const WATCH: &str = include_str!("managed_watch.py");
/// Loading a model from a slow disk takes its time.
const START_TIMEOUT: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(100);
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests that are worked on at a time.
const SLOTS: u32 = 1;
/// The end of its log that an error shows.
const LOG_CHARS: usize = 800;

/// What the managed server needs.
#[derive(Clone, Debug)]
pub struct ManagedOptions {
    /// The data folder: models and the server's log are in it.
    pub data_dir: PathBuf,
    /// The managed Python.
    pub environment: Environment,
    /// The model: a name that [`Source::parse`] knows.
    pub model: String,
    /// Where repositories are that the model's name may mean.
    pub hub: Hub,
    /// The window.
    pub context: Tokens,
}

/// A managed server; clones are the same one.
#[derive(Clone, Debug)]
pub struct Managed {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: ManagedOptions,
    weights: PathBuf,
    port: u16,
    client: OpenAi,
    child: Mutex<Option<Child>>,
    /// Set by [`Managed::stop`]: it is not started again.
    stopped: AtomicBool,
}

/// llama.cpp's own program, if it is on the PATH.
pub fn find_engine() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("llama-server"))
        .find(|p| p.is_file())
}

impl Managed {
    /// Gets what is missing and starts the server.
    pub async fn start(options: ManagedOptions, report: Report<'_>) -> Result<Self, Error> {
        let source = Source::parse(&options.model)?;
        if let Source::Catalogue(model) = &source
            && options.context.0 > model.window_max
        {
            let what = format!(
                "{} was made for at most {} tokens; lower --model-context from {}",
                model.name, model.window_max, options.context
            );
            return Err(Error::Unsupported { what });
        }
        if find_engine().is_none() {
            options.environment.install(LLAMA_CPP, report).await?;
        }
        let models = Models::new(&options.data_dir, options.hub.clone());
        let weights = models.weights(&source, report).await?;
        report(Progress::step(format!(
            "starting the model server with {}",
            options.model
        )));
        let port = free_port()?;
        let mut client = OpenAiOptions::new(format!("http://127.0.0.1:{port}"), &options.model);
        client.window = options.context;
        let client = OpenAi::new(client)?;
        let inner = Inner {
            options,
            weights,
            port,
            client,
            child: Mutex::new(None),
            stopped: AtomicBool::new(false),
        };
        let managed = Self {
            inner: Arc::new(inner),
        };
        managed.ensure_alive().await?;
        Ok(managed)
    }

    /// Starts the server again if it has died.
    async fn ensure_alive(&self) -> Result<(), Error> {
        let mut child = self.inner.child.lock().await;
        if self.inner.stopped.load(Ordering::Relaxed) {
            let reason = "it was stopped".to_owned();
            return Err(Error::Managed { reason });
        }
        if let Some(running) = child.as_mut() {
            match running.try_wait() {
                Ok(None) => return Ok(()),
                Ok(Some(status)) => {
                    tracing::warn!(%status, "the managed model server died; it is started again");
                }
                Err(error) => tracing::warn!(%error, "the managed model server is lost"),
            }
        }
        // Whatever goes wrong while it starts, dropping the child ends it.
        let mut started = self.inner.spawn()?;
        self.inner.wait_until_ready(&mut started).await?;
        *child = Some(started);
        Ok(())
    }

    /// Stops the server and waits until it is gone.
    pub async fn stop(&self) {
        self.inner.stopped.store(true, Ordering::Relaxed);
        let Some(mut child) = self.inner.child.lock().await.take() else {
            return;
        };
        drop(child.stdin.take());
        if tokio::time::timeout(STOP_TIMEOUT, child.wait())
            .await
            .is_err()
            && let Err(error) = child.kill().await
        {
            tracing::warn!(%error, "the managed model server could not be ended");
        }
    }
}

impl Inner {
    fn spawn(&self) -> Result<Child, Error> {
        let failed = |error: std::io::Error| Error::Managed {
            reason: error.to_string(),
        };
        // What the one before said of its end is kept beside.
        let log_file = self.log_file();
        if log_file.exists() {
            fs::rename(&log_file, log_file.with_extension("log.1")).map_err(failed)?;
        }
        let log = File::create(log_file).map_err(failed)?;
        let threads = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .to_string();
        let context = self.options.context.to_string();
        let (port, slots) = (self.port.to_string(), SLOTS.to_string());
        let mut command = Command::new(self.options.environment.interpreter());
        command.arg("-c");
        if let Some(engine) = find_engine() {
            command.arg(WATCH).arg(engine);
            command
                .args(["--host", "127.0.0.1", "--port", &port, "--model"])
                .arg(&self.weights);
            command.args(["--ctx-size", &context, "--parallel", &slots]);
            command.args([
                "--threads",
                &threads,
                "--alias",
                &self.options.model,
                "--metrics",
            ]);
        } else {
            command.arg(SERVE).arg(&self.weights);
            command.args([&port, &context, &slots, &threads, &self.options.model]);
        }
        command.env_clear();
        for name in [
            "PATH",
            "HOME",
            "LANG",
            "LD_LIBRARY_PATH",
            "CUDA_VISIBLE_DEVICES",
        ] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .stdin(Stdio::piped())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            // Not in the terminal's group: Ctrl-C is for journeyman, which then stops it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)
    }

    async fn wait_until_ready(&self, child: &mut Child) -> Result<(), Error> {
        let ready = async {
            loop {
                if let Ok(Some(status)) = child.try_wait() {
                    return Err(Error::Managed {
                        reason: format!("it ended with {status}: {}", self.log_end()),
                    });
                }
                if self.client.describe().await.is_ok() {
                    return Ok(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(START_TIMEOUT, ready)
            .await
            .unwrap_or_else(|_| {
                let seconds = START_TIMEOUT.as_secs();
                let reason = format!("it was not ready after {seconds} s: {}", self.log_end());
                Err(Error::Managed { reason })
            })
    }

    fn log_file(&self) -> PathBuf {
        log_file(&self.options.data_dir)
    }

    fn log_end(&self) -> String {
        let text = fs::read(self.log_file()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let skip = text.trim_end().chars().count().saturating_sub(LOG_CHARS);
        text.trim_end().chars().skip(skip).collect()
    }
}

fn log_file(data_dir: &Path) -> PathBuf {
    data_dir.join("model-server.log")
}

/// A port that is free now. Another process could take it before the server does: then the server
/// ends with that reason.
fn free_port() -> Result<u16, Error> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Error::Managed {
            reason: format!("no free port: {error}"),
        })
}

#[async_trait]
impl ModelServer for Managed {
    /// Starts the server again if it has died: waiting for it is what describing it is for.
    async fn describe(&self) -> Result<ModelInfo, Error> {
        self.ensure_alive().await?;
        self.inner.client.describe().await
    }

    async fn count(&self, messages: &[Message]) -> Result<Count, Error> {
        self.inner.client.count(messages).await
    }

    async fn answer(
        &self,
        request: &Request,
        on_delta: &mut OnDelta<'_>,
        cancel: &CancellationToken,
    ) -> Result<Answer, Error> {
        self.inner.client.answer(request, on_delta, cancel).await
    }
}
