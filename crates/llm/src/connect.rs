//! Selects the model server: the configured one, else one that answers on its default port, else the managed one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use journeyman_event::Tokens;
use journeyman_fetch::{Environment, Hub, OnProgress, Progress};
use serde::Serialize;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::managed::{
    EnginePurpose, Managed, ManagedOptions, SupervisorCommand, SupervisorTimeouts, find_engine,
};
use crate::ollama::{self, Ollama, OllamaOptions};
use crate::openai::{OpenAi, OpenAiOptions};
use crate::source::Source;
use crate::{Answer, Error, Message, ModelInfo, ModelServer, OnDelta, Request, TokenCount};

/// The default URL of llama.cpp's server.
const LLAMA_CPP_URL: &str = "http://127.0.0.1:8080";
/// The default URL of Ollama.
const OLLAMA_URL: &str = "http://127.0.0.1:11434";
/// The timeout for probing a port of this machine.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);
/// The timeout for probing a configured server, which may be remote.
const CONFIGURED_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for a server that is loading a model; large models take minutes.
const READY_TIMEOUT: Duration = Duration::from_mins(10);
/// How often to check whether the server is ready.
const READY_POLL: Duration = Duration::from_secs(1);

/// The settings that select a model server.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The URL of the configured server, if there is one.
    pub url: Option<String>,
    /// The name of the model.
    pub model: String,
    /// The API key for the configured server.
    pub api_key: Option<String>,
    /// The context window of a managed model, and of servers that do not report theirs, in tokens.
    pub context: Tokens,
    /// The data folder.
    pub data_dir: PathBuf,
    /// The number of parallel requests of a managed server.
    pub slots: u32,
    /// How long an unused managed server keeps running.
    pub idle: Duration,
    /// How to start the supervisor of a managed server.
    pub supervisor: SupervisorCommand,
    /// The hub to look for a managed model's repository on.
    pub hub: Hub,
}

impl Connection {
    /// The options for a managed server.
    pub fn managed(&self, environment: &Environment, purpose: EnginePurpose) -> ManagedOptions {
        ManagedOptions {
            purpose,
            data_dir: self.data_dir.clone(),
            environment: environment.clone(),
            engine: find_engine(),
            model: self.model.clone(),
            hub: self.hub.clone(),
            context: self.context,
            slots: self.slots,
            idle: self.idle,
            timeouts: SupervisorTimeouts::default(),
            supervisor: self.supervisor.clone(),
        }
    }
}

/// A model server that responds.
#[derive(Debug)]
pub struct Connected {
    /// The client of the server.
    pub server: Arc<dyn ModelServer>,
    /// Which server was selected and why, worded for a person.
    pub how: String,
}

/// A place that was searched for a model server.
#[derive(Clone, Debug, Serialize)]
pub struct FoundServer {
    /// The URL that was probed.
    pub url: String,
    /// The server's description of itself, if one responds.
    pub info: Option<ModelInfo>,
    /// A remark for the user.
    pub note: String,
}

fn client(connection: &Connection, url: &str) -> Result<OpenAi, Error> {
    let mut options = OpenAiOptions::new(url, &connection.model);
    options.api_key.clone_from(&connection.api_key);
    options.window = connection.context;
    OpenAi::new(options)
}

fn ollama_client(connection: &Connection, url: &str) -> Result<Ollama, Error> {
    let mut options = OllamaOptions::new(url, &connection.model);
    options.api_key.clone_from(&connection.api_key);
    options.window = connection.context;
    Ollama::new(options)
}

/// A server together with the best API to use with it.
enum Spoken {
    OpenAi(OpenAi),
    Ollama(Ollama),
}

/// Connects to the configured server at `url` and asks it to describe itself. If it turns out to be Ollama, its
/// native API is used, because its OpenAI-compatible one truncates prompts silently.
async fn speak(connection: &Connection, url: &str) -> Result<(Spoken, ModelInfo), Error> {
    if url.starts_with("ollama:") {
        let server = ollama_client(connection, url)?;
        let info = server.describe().await?;
        return Ok((Spoken::Ollama(server), info));
    }
    let server = client(connection, url)?;
    let described = server.describe().await;
    match &described {
        Ok(info) if info.server == "llama.cpp" => {}
        Err(error) if error.is_transient() && !matches!(error, Error::Malformed { .. }) => {}
        _ => {
            let root = url.trim().trim_end_matches('/');
            let root = root.strip_suffix("/v1").unwrap_or(root);
            if ollama::version(root, CONFIGURED_TIMEOUT).await.is_some() {
                let server = ollama_client(connection, url)?;
                let info = server.describe().await?;
                return Ok((Spoken::Ollama(server), info));
            }
        }
    }
    Ok((Spoken::OpenAi(server), described?))
}

/// Checks the URL and API key of the configured server without contacting it.
pub fn check(connection: &Connection) -> Result<(), Error> {
    match connection.url.as_deref() {
        Some(url) if url.starts_with("ollama:") => ollama_client(connection, url).map(|_| ()),
        Some(url) => client(connection, url).map(|_| ()),
        None => Ok(()),
    }
}

/// Asks the configured server at `url` to describe itself. Does not load a model.
pub async fn describe(connection: &Connection, url: &str) -> Result<ModelInfo, Error> {
    speak(connection, url).await.map(|(_, info)| info)
}

/// Prepares a responding server for requests.
async fn ready(
    spoken: Spoken,
    info: ModelInfo,
    why: &str,
    report: OnProgress<'_>,
) -> Result<Connected, Error> {
    let server: Arc<dyn ModelServer> = match spoken {
        Spoken::OpenAi(server) => Arc::new(server),
        Spoken::Ollama(server) => {
            let text = format!("waiting for Ollama to load {}", info.name);
            report(Progress::step(text));
            server.load().await?;
            Arc::new(server)
        }
    };
    Ok(Connected {
        server,
        how: format!("{} at {} ({why})", info.name, info.url),
    })
}

/// Connects to a model server. If that fails, the error lists everything that was tried. If a configured server
/// responds but is not ready, waits for it for up to 10 minutes.
pub async fn connect(
    connection: Connection,
    environment: &Environment,
    report: OnProgress<'_>,
) -> Result<Connected, Error> {
    let deadline = Instant::now() + READY_TIMEOUT;
    let mut said = String::new();
    loop {
        match look(&connection, environment, report).await {
            Err(error @ Error::Failing { .. }) if Instant::now() < deadline => {
                let why = format!("waiting: {error}");
                if why != said {
                    report(Progress::step(why.clone()));
                    said = why;
                }
                tokio::time::sleep(READY_POLL.max(error.wait())).await;
            }
            done => return done,
        }
    }
}

/// Searches for a model server once.
async fn look(
    connection: &Connection,
    environment: &Environment,
    report: OnProgress<'_>,
) -> Result<Connected, Error> {
    if let Some(url) = &connection.url {
        let (spoken, info) = speak(connection, url).await?;
        return ready(spoken, info, "configured", report).await;
    }
    let mut tried = Vec::new();
    // Weights that are named are meant, whatever a server on a usual port may have.
    let around = if Source::is_explicit(&connection.model) {
        Vec::new()
    } else {
        discover_servers(connection).await
    };
    for found in around {
        match found.info {
            Some(info) => {
                let stranger = stranger(connection);
                let spoken = if info.server == "ollama" {
                    Spoken::Ollama(ollama_client(&stranger, &found.url)?)
                } else {
                    Spoken::OpenAi(client(&stranger, &found.url)?)
                };
                return ready(spoken, info, &found.note, report).await;
            }
            None => tried.push(format!("{}: {}", found.url, found.note)),
        }
    }
    match Managed::start(
        connection.managed(environment, EnginePurpose::Answers),
        report,
    )
    .await
    {
        Ok(managed) => {
            let info = managed.describe().await?;
            let how = format!("{} at {} (managed)", info.name, info.url);
            Ok(Connected {
                server: Arc::new(managed),
                how,
            })
        }
        Err(error @ (Error::Unsupported { .. } | Error::InUse { .. })) => Err(error),
        Err(error) => {
            tried.push(format!("managed server: {error}"));
            tried.push("start a model server and name it with --model-url".to_owned());
            Err(Error::NoServer { tried })
        }
    }
}

/// A model server that is connected on first use. Every call tries to [`connect`] until it has succeeded once;
/// until then errors list what was tried.
#[derive(Debug)]
pub struct LazyServer {
    connection: Connection,
    environment: Environment,
    found: OnceCell<Arc<dyn ModelServer>>,
}

impl LazyServer {
    /// Does not connect yet.
    pub fn new(connection: Connection, environment: Environment) -> Self {
        Self {
            connection,
            environment,
            found: OnceCell::new(),
        }
    }

    async fn look(&self) -> Result<Arc<dyn ModelServer>, Error> {
        let found = look(&self.connection, &self.environment, &|_| {}).await?;
        tracing::info!(how = found.how, "found a model server");
        Ok(found.server)
    }

    async fn server(&self) -> Result<&dyn ModelServer, Error> {
        let found = self.found.get_or_try_init(|| self.look()).await?;
        Ok(found.as_ref())
    }
}

#[async_trait]
impl ModelServer for LazyServer {
    async fn describe(&self) -> Result<ModelInfo, Error> {
        self.server().await?.describe().await
    }

    async fn count(&self, messages: &[Message]) -> Result<TokenCount, Error> {
        self.server().await?.count(messages).await
    }

    async fn answer(
        &self,
        request: &Request,
        on_delta: &mut OnDelta<'_>,
        cancel: &CancellationToken,
    ) -> Result<Answer, Error> {
        let server = self.server().await?;
        server.answer(request, on_delta, cancel).await
    }

    fn thinks(&self) -> bool {
        self.found.get().is_some_and(|server| server.thinks())
    }

    /// `None` while no server is connected.
    async fn waiting(&self) -> Option<u64> {
        self.found.get()?.waiting().await
    }
}

/// The same settings without the API key, because the program behind a default port is unknown.
fn stranger(connection: &Connection) -> Connection {
    Connection {
        api_key: None,
        ..connection.clone()
    }
}

/// Probes the default ports of this machine.
pub async fn discover_servers(connection: &Connection) -> Vec<FoundServer> {
    let stranger = stranger(connection);
    let look = async { client(&stranger, LLAMA_CPP_URL)?.describe().await };
    let llama_cpp = match tokio::time::timeout(LOOK_TIMEOUT, look).await {
        Ok(Ok(info)) if info.server == "llama.cpp" => FoundServer {
            url: LLAMA_CPP_URL.to_owned(),
            info: Some(info),
            note: "llama.cpp's server on its usual port".to_owned(),
        },
        Ok(Ok(_)) => nothing(
            LLAMA_CPP_URL,
            "another server; name it with --model-url to use it",
        ),
        Ok(Err(Error::Unreachable { .. })) | Err(_) => nothing(LLAMA_CPP_URL, "nothing answers"),
        Ok(Err(error)) => nothing(LLAMA_CPP_URL, &format!("no llama.cpp server ({error})")),
    };
    vec![llama_cpp, probe_ollama(&stranger, OLLAMA_URL).await]
}

async fn probe_ollama(connection: &Connection, url: &str) -> FoundServer {
    let Some(version) = ollama::version(url, LOOK_TIMEOUT).await else {
        return nothing(url, "nothing answers");
    };
    let look = async { ollama_client(connection, url)?.describe().await };
    match look.await {
        Ok(info) => FoundServer {
            url: url.to_owned(),
            info: Some(info),
            note: format!("Ollama {version} on its usual port"),
        },
        Err(error) => nothing(url, &format!("Ollama {version}, not used: {error}")),
    }
}

fn nothing(url: &str, note: &str) -> FoundServer {
    FoundServer {
        url: url.to_owned(),
        info: None,
        note: note.to_owned(),
    }
}
