//! The embedding model that searches ask: the one at a server that the settings name, or a managed one.

use std::sync::Arc;
use std::time::Duration;

use journeyman_event::Tokens;
use journeyman_knowledge::Offline;
use journeyman_llm::{
    Connection, EmbedError, Embedder, EmbedderOptions, ManagedEmbedder, OpenAiEmbedder,
};

use crate::exit::UsageError;
use crate::settings::Settings;
use crate::wiring::{connection, offline};

/// The window of a managed embedding model, in tokens. A smaller one of the model itself is the limit.
const WINDOW: Tokens = Tokens(2_048);
/// How long a command waits for a managed server to load its model before it searches.
const LOAD_TIME_MAX: Duration = Duration::from_secs(30);

/// The index over all tasks, with the embedding model of the settings if they name one.
pub(crate) fn searchable(settings: &Settings) -> anyhow::Result<Offline> {
    Ok(match embedder(settings)? {
        None => offline(settings),
        Some(embedder) => offline(settings).with_embedder(embedder),
    })
}

/// The same for a command that makes one search: a managed embedding model is loaded first. If it cannot be, the search
/// tells why.
pub(crate) async fn searchable_now(settings: &Settings) -> anyhow::Result<Offline> {
    let Some(embedder) = embedder(settings)? else {
        return Ok(offline(settings));
    };
    if let Ok(Err(error)) = tokio::time::timeout(LOAD_TIME_MAX, embedder.ready()).await {
        tracing::info!(%error, "the embedding model is not ready");
    }
    Ok(offline(settings).with_embedder(embedder))
}

/// The embedding model of the settings; none if they name none. Nothing is contacted or started.
fn embedder(settings: &Settings) -> anyhow::Result<Option<Arc<dyn Embedder>>> {
    let usage = |error: EmbedError| UsageError(error.to_string());
    if let Some(url) = &settings.embedding_url {
        let options = EmbedderOptions {
            url: url.clone(),
            model: settings.embedding_model.clone().unwrap_or_default(),
            api_key: settings.embedding_api_key.clone(),
        };
        let embedder = OpenAiEmbedder::new(&options).map_err(usage)?;
        return Ok(Some(Arc::new(embedder)));
    }
    if settings.embedding_model.is_none() {
        return Ok(None);
    }
    let embedder = ManagedEmbedder::new(managed(settings)?).map_err(usage)?;
    Ok(Some(Arc::new(embedder)))
}

/// The settings of the managed server with the embedding model.
pub(crate) fn managed(settings: &Settings) -> anyhow::Result<Connection> {
    let model = settings.embedding_model.clone().ok_or_else(|| {
        UsageError(
            "no embedding model is named; name its weights with --embedding-model".to_owned(),
        )
    })?;
    Ok(Connection {
        url: None,
        model,
        api_key: None,
        context: WINDOW,
        slots: 1,
        ..connection(settings)?
    })
}
