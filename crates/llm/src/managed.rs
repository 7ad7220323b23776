//! The managed model server: llama.cpp's server, installed and given its model on first use, listening on loopback
//! only. It is owned by a supervisor process, one per data folder, and shared by all processes that want the
//! same model (docs/decisions/0007). A second one, with an embedding model, is kept in the same way.

mod embedder;
mod files;
mod supervisor;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use journeyman_event::Tokens;
use journeyman_fetch::{Environment, Hub, OnProgress, Progress, Requirement};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::embedder::ManagedEmbedder;
pub use self::files::{EnginePurpose, EngineState, EngineStatus};
use self::files::{Files, ServedModel, Users, log_end};
use self::supervisor::SupervisorConfig;
pub use self::supervisor::{SupervisorTimeouts, supervise};
use crate::gguf::has_chat_template;
use crate::models::Models;
use crate::openai::{OpenAi, OpenAiOptions};
use crate::source::Source;
use crate::{Answer, Error, Message, ModelInfo, ModelServer, OnDelta, Request, TokenCount};

/// The Python package that contains llama.cpp's server.
pub const LLAMA_CPP: Requirement = Requirement {
    name: "xllamacpp",
    version: "2026.10.11549",
    bytes: 34_000_000,
};

const POLL: Duration = Duration::from_millis(50);
/// How much longer to wait for a server than its supervisor does.
const ATTACH_MARGIN: Duration = Duration::from_mins(1);

/// The options of the managed server.
#[derive(Clone, Debug)]
pub struct ManagedOptions {
    /// What the server is for.
    pub purpose: EnginePurpose,
    /// The data folder. It contains the models, and the server's state and logs.
    pub data_dir: PathBuf,
    /// The managed Python environment.
    pub environment: Environment,
    /// The path of llama.cpp's own program, as found by [`find_engine`]. `None` uses the one in the managed
    /// Python environment.
    pub engine: Option<PathBuf>,
    /// The model: a name that [`Source::parse`] understands.
    pub model: String,
    /// The hub to look for the model's repository on.
    pub hub: Hub,
    /// The context window of each slot, in tokens.
    pub context: Tokens,
    /// The number of parallel requests, at least 1. Each slot takes memory for a whole window.
    pub slots: u32,
    /// How long the server keeps running while unused. Applies if this process starts it.
    pub idle: Duration,
    /// The supervisor's timeouts.
    pub timeouts: SupervisorTimeouts,
    /// How to start a supervisor.
    pub supervisor: SupervisorCommand,
}

/// A command that passes one further argument to [`supervise`] and does nothing else.
#[derive(Clone, Debug)]
pub struct SupervisorCommand {
    /// The path of the program.
    pub program: PathBuf,
    /// The arguments before that one.
    pub arguments: Vec<OsString>,
}

/// Access to the managed server for this process. Clones share it. The process counts as a user of the server
/// until the last clone is dropped or the process ends in any way.
#[derive(Clone, Debug)]
pub struct Managed {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: SupervisorConfig,
    command: SupervisorCommand,
    files: Files,
    /// Marks this process as a user of the server.
    users: Users,
    /// A client of the server at its last known address.
    client: RwLock<Arc<OpenAi>>,
    /// Locked while the server is being looked for.
    attached: Mutex<Attached>,
}

/// What this process knows about the server it uses.
#[derive(Debug, Default)]
struct Attached {
    url: String,
    /// The process id of the server's supervisor.
    supervisor: Option<u32>,
}

/// Searches the PATH for llama.cpp's own program.
pub fn find_engine() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("llama-server"))
        .find(|p| p.is_file())
}

impl Managed {
    /// Downloads the engine and the model if they are missing, without starting anything. Returns the name of
    /// the model and the path of its weights.
    pub async fn install(
        options: &ManagedOptions,
        report: OnProgress<'_>,
    ) -> Result<(String, PathBuf), Error> {
        let source = Source::parse(&options.model)?;
        if let Source::Catalogue(model) = &source
            && options.purpose == EnginePurpose::Embeddings
        {
            let what = format!(
                "{} is no embedding model; name the weights of one with --embedding-model",
                model.name
            );
            return Err(Error::Unsupported { what });
        }
        if let Source::Catalogue(model) = &source
            && options.context.0 > model.window_max
        {
            let what = format!(
                "{} was made for at most {} tokens; lower --model-context from {}",
                model.name, model.window_max, options.context
            );
            return Err(Error::Unsupported { what });
        }
        if options.engine.is_none() {
            options.environment.install(LLAMA_CPP, report).await?;
        }
        let models = Models::new(&options.data_dir, options.hub.clone());
        let weights = models.weights(&source, report).await?;
        let name = match source {
            Source::Catalogue(model) => model.name.to_owned(),
            _ => options.model.clone(),
        };
        Ok((name, weights))
    }

    /// Downloads what is missing, and attaches to the running server or starts one. A server with other
    /// settings is replaced if no other process uses it; otherwise the error is [`Error::InUse`].
    pub async fn start(options: ManagedOptions, report: OnProgress<'_>) -> Result<Self, Error> {
        let (model, weights) = Self::install(&options, report).await?;
        let is_known = matches!(Source::parse(&model)?, Source::Catalogue(_));
        let is_asked = options.purpose == EnginePurpose::Answers;
        if is_asked && !is_known && !has_chat_template(&weights) {
            report(Progress::step(format!(
                "{model} has no chat template: it is probably a base model, which follows no instructions; \
                 take one whose name says instruct, chat or it"
            )));
        }
        // The supervisor lives in another folder than this process.
        let absolute = |path: &Path| std::path::absolute(path).map_err(failed);
        let config = SupervisorConfig {
            data_dir: absolute(&options.data_dir)?,
            interpreter: absolute(&options.environment.interpreter())?,
            engine: options.engine.as_deref().map(absolute).transpose()?,
            load: ServedModel {
                purpose: options.purpose,
                model,
                weights: absolute(&weights)?,
                context: options.context,
                slots: options.slots,
            },
            idle: options.idle,
            timeouts: options.timeouts,
        };
        report(Progress::step(format!(
            "starting the model server with {}",
            config.load.model
        )));
        let files = Files::new(&config.data_dir, config.load.purpose);
        files.create()?;
        let users = files.join().await?;
        let nowhere = client(&config, "http://127.0.0.1:0")?;
        let inner = Inner {
            client: RwLock::new(Arc::new(nowhere)),
            config,
            command: options.supervisor,
            files,
            users,
            attached: Mutex::default(),
        };
        inner.attach().await?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

/// The current state of a data folder's managed server.
#[derive(Clone, Debug)]
pub struct EngineInfo {
    /// The server's status.
    pub status: EngineStatus,
    /// The last report of its supervisor; `None` if there never was one.
    pub state: Option<EngineState>,
    /// The processes that use it, as far as the system reports them.
    pub users: Option<Vec<u32>>,
}

/// Inspects the managed server of a data folder. Changes nothing.
pub fn engine(data_dir: &Path, purpose: EnginePurpose) -> Result<EngineInfo, Error> {
    let files = Files::new(data_dir, purpose);
    let living = files.supervised()?;
    let status = match (&living, files.last_state()) {
        (Some(state), _) => state.status,
        (None, Some(last)) if last.status == EngineStatus::Failed => EngineStatus::Failed,
        // Whatever it said last: its supervisor is gone, and the server with it.
        (None, _) => EngineStatus::Stopped,
    };
    Ok(EngineInfo {
        status,
        state: living.or_else(|| files.last_state()),
        users: files.user_pids(),
    })
}

/// Stops the managed server of a data folder and waits until it has ended. A process that still uses it
/// starts it again when needed.
pub async fn stop_engine(data_dir: &Path, purpose: EnginePurpose) -> Result<(), Error> {
    if engine(data_dir, purpose)?.state.is_none() {
        return Ok(());
    }
    Files::new(data_dir, purpose).stop().await
}

fn failed(error: std::io::Error) -> Error {
    Error::Managed {
        reason: error.to_string(),
    }
}

fn client(config: &SupervisorConfig, url: &str) -> Result<OpenAi, Error> {
    let mut options = OpenAiOptions::new(url, &config.load.model);
    options.window = config.load.context;
    OpenAi::new(options)
}

impl Inner {
    /// Waits until the server responds, wherever it is, and starts a supervisor if there is none.
    async fn attach(&self) -> Result<ModelInfo, Error> {
        let mut attached = self.attached.lock().await;
        let timeout = self.config.timeouts.start + ATTACH_MARGIN;
        let deadline = Instant::now() + timeout;
        let mut started = None;
        loop {
            match self.files.supervised()? {
                Some(state) if !state.load.serves(&self.config.load) => {
                    self.replace(&state).await?;
                }
                Some(state) => {
                    attached.supervisor = Some(state.supervisor);
                    if state.status == EngineStatus::Running
                        && let Some(url) = state.url()
                    {
                        let client = if url == attached.url {
                            self.client()
                        } else {
                            Arc::new(client(&self.config, &url)?)
                        };
                        match client.describe().await {
                            Ok(info) => {
                                attached.url = url;
                                let place = self.client.write();
                                *place.unwrap_or_else(PoisonError::into_inner) = client;
                                return Ok(info);
                            }
                            // It has just died; its supervisor will see it.
                            Err(error) if error.is_transient() => {}
                            Err(error) => return Err(error),
                        }
                    }
                }
                None if self.files.is_free()? => {
                    let last = self.files.last_state();
                    let failed = last.filter(|last| last.status == EngineStatus::Failed);
                    if let Some(failed) = failed
                        && attached.supervisor == Some(failed.supervisor)
                    {
                        let reason = failed.reason.unwrap_or_default();
                        return Err(Error::Managed {
                            reason: format!("{reason}\n`journeyman engine start` tries it again"),
                        });
                    }
                    started = self.supervise_again(started, &mut attached)?;
                }
                // It is just beginning.
                None => {}
            }
            if Instant::now() >= deadline {
                let seconds = timeout.as_secs();
                let log = log_end(&self.files.server_log());
                let reason = format!("it did not answer within {seconds} s: {log}");
                return Err(Error::Managed { reason });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Starts a supervisor, unless one is already starting.
    fn supervise_again(
        &self,
        started: Option<Child>,
        attached: &mut Attached,
    ) -> Result<Option<Child>, Error> {
        if let Some(mut child) = started {
            match child.try_wait().map_err(failed)? {
                None => return Ok(Some(child)),
                Some(status) if !status.success() => {
                    let log = log_end(&self.files.supervisor_log());
                    let reason = format!("its supervisor ended with {status}: {log}");
                    return Err(Error::Managed { reason });
                }
                // Another was there before it, and has ended meanwhile.
                Some(_) => {}
            }
        }
        let child = self.spawn()?;
        attached.supervisor = child.id();
        Ok(Some(child))
    }

    fn spawn(&self) -> Result<Child, Error> {
        let log_file = self.files.supervisor_log();
        Files::bound_log(&log_file).map_err(failed)?;
        let mut log = OpenOptions::new();
        let log = log.create(true).append(true).open(log_file);
        let log = log.map_err(failed)?;
        let config = serde_json::to_string(&self.config).map_err(|error| failed(error.into()))?;
        let mut command = Command::new(&self.command.program);
        command.args(&self.command.arguments).arg(config);
        // The server gets no more of the environment than it needs.
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
        // It outlives this process, and holds none of its folders or streams. The handle is kept
        // only to see how it ended.
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .spawn()
            .map_err(failed)
    }

    /// Stops a server that runs with other settings, if only this process uses it.
    async fn replace(&self, running: &EngineState) -> Result<(), Error> {
        let alone = self.users.alone().map_err(failed)?;
        let done = if alone {
            self.files.stop().await
        } else {
            Err(self.in_use(running))
        };
        self.users.share(&self.files).await?;
        done
    }

    fn in_use(&self, running: &EngineState) -> Error {
        let me = std::process::id();
        let mut users = self.files.user_pids().unwrap_or_default();
        users.retain(|&pid| pid != me);
        Error::InUse {
            running: describe(&running.load),
            wanted: describe(&self.config.load),
            users: users.iter().map(u32::to_string).collect(),
        }
    }

    fn client(&self) -> Arc<OpenAi> {
        let client = self.client.read();
        Arc::clone(&client.unwrap_or_else(PoisonError::into_inner))
    }
}

fn describe(load: &ServedModel) -> String {
    let ServedModel {
        model,
        context,
        slots,
        ..
    } = load;
    format!("{model}, {context} tokens, {slots} slots")
}

#[async_trait]
impl ModelServer for Managed {
    /// Follows the server to its new address after a restart, and starts it if it was stopped, because callers
    /// use this to wait for the server.
    async fn describe(&self) -> Result<ModelInfo, Error> {
        self.inner.attach().await
    }

    async fn count(&self, messages: &[Message]) -> Result<TokenCount, Error> {
        self.inner.client().count(messages).await
    }

    async fn answer(
        &self,
        request: &Request,
        on_delta: &mut OnDelta<'_>,
        cancel: &CancellationToken,
    ) -> Result<Answer, Error> {
        let client = self.inner.client();
        client.answer(request, on_delta, cancel).await
    }

    fn thinks(&self) -> bool {
        self.inner.client().thinks()
    }

    async fn waiting(&self) -> Option<u64> {
        self.inner.client().waiting().await
    }
}
