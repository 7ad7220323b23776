//! The managed server with an embedding model. It is a server like the one that answers prompts, with files of its own,
//! so that both can run beside each other. Nothing is downloaded here: who installs it waits for that.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use journeyman_fetch::Environment;
use tokio::sync::OnceCell;

use super::{EnginePurpose, LLAMA_CPP, Managed, ManagedOptions};
use crate::connect::Connection;
use crate::embedding::{EmbedError, Embedder, with_own_flags};
use crate::models::Models;
use crate::openai::{EmbedderOptions, OpenAiEmbedder};
use crate::source::Source;
use crate::{Error, ModelServer};

/// A managed embedding model. Its server is started by the first call, unless it runs already.
#[derive(Debug)]
pub struct ManagedEmbedder {
    connection: Connection,
    managed: OnceCell<Managed>,
    /// A client of the server at its last known address.
    client: Mutex<Option<Arc<OpenAiEmbedder>>>,
}

impl ManagedEmbedder {
    /// Starts nothing yet. `connection` names the weights as its model; its URL is not used. Weights of the catalogue
    /// and names that mean none are refused.
    pub fn new(connection: Connection) -> Result<Self, EmbedError> {
        match Source::parse(&connection.model) {
            Ok(Source::Catalogue(_)) | Err(_) => Err(EmbedError::Unsupported {
                what: format!(
                    "{:?} names no embedding model: name its server with --embedding-url, or its weights as \
                     hf:owner/repository:Q8_0, a URL or the path of a GGUF file",
                    connection.model
                ),
            }),
            Ok(_) => Ok(Self {
                connection,
                managed: OnceCell::new(),
                client: Mutex::default(),
            }),
        }
    }

    /// What to start the server with, if all of it is installed.
    fn options(&self) -> Result<ManagedOptions, EmbedError> {
        let missing = || {
            EmbedError::Unsupported {
            what: "the embedding model is not installed; `journeyman engine install --embedding` installs it"
                .to_owned(),
        }
        };
        let data_dir = &self.connection.data_dir;
        let environment = Environment::find(data_dir).ok_or_else(missing)?;
        let options = self
            .connection
            .managed(&environment, EnginePurpose::Embeddings);
        let source = Source::parse(&options.model).map_err(failed)?;
        let models = Models::new(data_dir, options.hub.clone());
        let has_engine = options.engine.is_some() || environment.has(LLAMA_CPP);
        if has_engine && models.has(&source).map_err(failed)? {
            Ok(options)
        } else {
            Err(missing())
        }
    }

    async fn start(&self) -> Result<&Managed, EmbedError> {
        let start = async {
            let options = self.options()?;
            Managed::start(options, &|_| {}).await.map_err(failed)
        };
        self.managed.get_or_try_init(|| start).await
    }

    /// Follows the server to its new address after a restart, and starts it if it was stopped.
    async fn attach(&self) -> Result<Arc<OpenAiEmbedder>, EmbedError> {
        let info = self.start().await?.describe().await.map_err(failed)?;
        let client = OpenAiEmbedder::new(&EmbedderOptions {
            url: info.url,
            model: self.connection.model.clone(),
            api_key: None,
        });
        let client = Arc::new(client?);
        let mut known = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(Arc::clone(&client));
        Ok(client)
    }

    fn known(&self) -> Option<Arc<OpenAiEmbedder>> {
        let known = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }
}

fn failed(error: Error) -> EmbedError {
    match error {
        Error::Managed { reason } => EmbedError::Managed { reason },
        Error::Unsupported { what } => EmbedError::Unsupported { what },
        error => EmbedError::Managed {
            reason: with_own_flags(&error.to_string()),
        },
    }
}

#[async_trait]
impl Embedder for ManagedEmbedder {
    async fn ready(&self) -> Result<(), EmbedError> {
        self.attach().await.map(drop)
    }

    async fn model(&self) -> Result<String, EmbedError> {
        Ok(self.connection.model.clone())
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        if let Some(client) = self.known() {
            match client.embed(texts).await {
                Err(EmbedError::Unreachable { .. }) => {}
                done => return done,
            }
        }
        self.attach().await?.embed(texts).await
    }
}
