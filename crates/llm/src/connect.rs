//! Chooses the model server: the configured one, else one that answers on its usual port, else the
//! managed one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use journeyman_event::Tokens;
use journeyman_fetch::{Environment, Hub, OnProgress, Progress};
use serde::Serialize;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::managed::{Managed, ManagedOptions, SupervisorCommand, SupervisorTimeouts, find_engine};
use crate::ollama::{self, Ollama, OllamaOptions};
use crate::openai::{OpenAi, OpenAiOptions};
use crate::source::Source;
use crate::{Answer, Error, Message, ModelInfo, ModelServer, OnDelta, Request, TokenCount};

/// Where llama.cpp's server listens if nobody says otherwise.
const LLAMA_CPP_URL: &str = "http://127.0.0.1:8080";
/// Where Ollama listens if nobody says otherwise.
const OLLAMA_URL: &str = "http://127.0.0.1:11434";
/// A server on this machine answers at once or is not there.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);
/// A configured server may be farther away.
const CONFIGURED_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that loads a large model needs minutes before it answers.
const READY_TIMEOUT: Duration = Duration::from_mins(10);
/// Between two looks at whether it is ready.
const READY_POLL: Duration = Duration::from_secs(1);

/// What the settings say.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The configured server.
    pub url: Option<String>,
    /// The model's name.
    pub model: String,
    /// A key for the configured server.
    pub api_key: Option<String>,
    /// The window of a managed model, and of servers that do not tell theirs.
    pub context: Tokens,
    /// The data folder.
    pub data_dir: PathBuf,
    /// Requests that a managed server works on at a time.
    pub slots: u32,
    /// How long a managed server stays when nobody uses it.
    pub idle: Duration,
    /// How the supervisor of a managed server is started.
    pub supervisor: SupervisorCommand,
    /// Where repositories are that a managed model's name may mean.
    pub hub: Hub,
}

impl Connection {
    /// What a managed server needs.
    pub fn managed(&self, environment: &Environment) -> ManagedOptions {
        ManagedOptions {
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

/// A model server that answers.
#[derive(Debug)]
pub struct Connected {
    /// It.
    pub server: Arc<dyn ModelServer>,
    /// Which was chosen, and why, for a person.
    pub how: String,
}

/// A place where a model server was looked for.
#[derive(Clone, Debug, Serialize)]
pub struct FoundServer {
    /// Where.
    pub url: String,
    /// What answers there.
    pub info: Option<ModelInfo>,
    /// What is to be said of it.
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

/// A server that answers, in the API that it is best spoken to.
enum Spoken {
    OpenAi(OpenAi),
    Ollama(Ollama),
}

/// The configured server at `url` and what it says of itself. One that turns out to be Ollama is
/// spoken to in its own API: its OpenAI-compatible one cuts prompts silently.
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

/// Whether the configured server could be spoken to, by what is written of it: its URL and the key. Asks
/// nobody.
pub fn check(connection: &Connection) -> Result<(), Error> {
    match connection.url.as_deref() {
        Some(url) if url.starts_with("ollama:") => ollama_client(connection, url).map(|_| ()),
        Some(url) => client(connection, url).map(|_| ()),
        None => Ok(()),
    }
}

/// What the configured server at `url` says of itself. Loads nothing.
pub async fn describe(connection: &Connection, url: &str) -> Result<ModelInfo, Error> {
    speak(connection, url).await.map(|(_, info)| info)
}

/// Makes a server ready that answers.
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

/// Connects to a model server, or says in one error what was tried. A configured one that is there and
/// says that it cannot answer yet is waited for, up to 10 minutes.
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

/// Looks for a model server once.
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
    match Managed::start(connection.managed(environment), report).await {
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

/// A model server that need not be there yet. Whenever something is asked of it, it is looked for as
/// [`connect`] does, until it was found once; until then the error says what was tried.
#[derive(Debug)]
pub struct LazyServer {
    connection: Connection,
    environment: Environment,
    found: OnceCell<Arc<dyn ModelServer>>,
}

impl LazyServer {
    /// Looks for nothing yet.
    pub fn new(connection: Connection, environment: Environment) -> Self {
        Self {
            connection,
            environment,
            found: OnceCell::new(),
        }
    }

    async fn look(&self) -> Result<Arc<dyn ModelServer>, Error> {
        let found = look(&self.connection, &self.environment, &|_| {}).await?;
        tracing::info!(how = found.how, "a model server is there");
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

    /// Where no server was looked for yet, nobody waits at it.
    async fn waiting(&self) -> Option<u64> {
        self.found.get()?.waiting().await
    }
}

/// The same without the key: who listens on a usual port is not known.
fn stranger(connection: &Connection) -> Connection {
    Connection {
        api_key: None,
        ..connection.clone()
    }
}

/// Looks at the usual ports of this machine.
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
