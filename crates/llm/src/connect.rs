//! Chooses the model server: the configured one, else one that answers on its usual port, else the
//! managed one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use journeyman_event::Tokens;
use journeyman_fetch::{Environment, Report};
use serde::Serialize;

use crate::managed::{Managed, ManagedOptions, Patience, SupervisorCommand, find_engine};
use crate::openai::{OpenAi, OpenAiOptions};
use crate::{Error, ModelInfo, ModelServer};

/// Where llama.cpp's server listens if nobody says otherwise.
const LLAMA_CPP_URL: &str = "http://127.0.0.1:8080";
/// Where Ollama listens if nobody says otherwise.
const OLLAMA_URL: &str = "http://127.0.0.1:11434";
/// A server on this machine answers at once or is not there.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);

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
}

impl Connection {
    /// What a managed server needs.
    pub fn managed(&self, environment: &Environment) -> ManagedOptions {
        ManagedOptions {
            data_dir: self.data_dir.clone(),
            environment: environment.clone(),
            engine: find_engine(),
            model: self.model.clone(),
            context: self.context,
            slots: self.slots,
            idle: self.idle,
            patience: Patience::default(),
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
pub struct Found {
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

/// Connects to a model server, or says in one error what was tried.
pub async fn connect(
    connection: Connection,
    environment: &Environment,
    report: Report<'_>,
) -> Result<Connected, Error> {
    if let Some(url) = &connection.url {
        if url.starts_with("ollama:") {
            return Err(Error::Unsupported {
                what: OLLAMA_NOTE.to_owned(),
            });
        }
        let server = client(&connection, url)?;
        let info = server.describe().await?;
        if info.server != "llama.cpp" && is_ollama(&info.url).await {
            return Err(Error::Unsupported {
                what: OLLAMA_NOTE.to_owned(),
            });
        }
        let how = format!("{} at {} (configured)", info.name, info.url);
        return Ok(Connected {
            server: Arc::new(server),
            how,
        });
    }
    let mut tried = Vec::new();
    for found in look_around(&connection).await {
        match found.info {
            Some(info) => {
                let stranger = Connection {
                    api_key: None,
                    ..connection.clone()
                };
                let server = client(&stranger, &found.url)?;
                let how = format!("{} at {} ({})", info.name, found.url, found.note);
                return Ok(Connected {
                    server: Arc::new(server),
                    how,
                });
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

const OLLAMA_NOTE: &str = "Ollama's own API is not spoken yet, and its OpenAI-compatible route \
    cuts prompts silently; use llama.cpp's server, or none for a managed one";

/// Looks at the usual ports of this machine.
pub async fn look_around(connection: &Connection) -> Vec<Found> {
    let mut places = Vec::new();
    // Without the key: who listens there is not known.
    let stranger = Connection {
        api_key: None,
        ..connection.clone()
    };
    let look = async { client(&stranger, LLAMA_CPP_URL)?.describe().await };
    places.push(match tokio::time::timeout(LOOK_TIMEOUT, look).await {
        Ok(Ok(info)) if info.server == "llama.cpp" => Found {
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
    });
    let ollama = is_ollama(OLLAMA_URL).await;
    places.push(nothing(
        OLLAMA_URL,
        if ollama {
            OLLAMA_NOTE
        } else {
            "nothing answers"
        },
    ));
    places
}

/// Whether Ollama listens there.
async fn is_ollama(root: &str) -> bool {
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap_or_default();
    let ask = http
        .get(format!("{root}/api/version"))
        .timeout(LOOK_TIMEOUT)
        .send();
    ask.await
        .is_ok_and(|response| response.status().is_success())
}

fn nothing(url: &str, note: &str) -> Found {
    Found {
        url: url.to_owned(),
        info: None,
        note: note.to_owned(),
    }
}
