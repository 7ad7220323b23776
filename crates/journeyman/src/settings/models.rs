//! `[[models]]` in the configuration file: models beside the default one.

use anyhow::{Context, ensure};
use journeyman_api::Reference;
use journeyman_event::payload::Purpose;
use journeyman_metrics::ConfiguredPrice;
use serde::Deserialize;

/// The most models beside the default.
const MODELS_MAX: usize = 16;
/// The most characters of a name.
const NAME_CHARS_MAX: usize = 64;
/// The window of a server that does not report its own, in tokens.
const CONTEXT: u64 = 8_192;

/// A model beside the default one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelConfig {
    /// The name under which calls of it are recorded.
    pub(crate) name: String,
    /// The URL of its server, as for `--model-url`.
    pub(crate) url: String,
    /// The model's name at the server; its only model if empty.
    #[serde(default)]
    pub(crate) model: String,
    /// Where its API key is: `env:NAME` or `file:/PATH`.
    #[serde(default)]
    api_key: Option<String>,
    /// The window of a server that does not report its own, in tokens.
    #[serde(default = "context")]
    pub(crate) context: u64,
    /// The purposes whose calls it takes. Without any it takes only calls that are too large for the others.
    #[serde(default)]
    pub(crate) purposes: Vec<Purpose>,
    /// The price of its tokens. Without one, the money file and the providers' prices apply.
    #[serde(default)]
    pub(crate) price: Option<ConfiguredPrice>,
}

fn context() -> u64 {
    CONTEXT
}

/// Reads a secret from where it is.
pub(crate) fn read_secret(reference: &Reference) -> anyhow::Result<String> {
    let secret = match reference {
        Reference::Env(name) => {
            std::env::var(name).with_context(|| format!("the variable {name} is not set"))
        }
        Reference::File(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        }
    };
    Ok(secret?.trim().to_owned())
}

impl ModelConfig {
    /// Reads the API key from where it is.
    pub(crate) fn api_key(&self) -> anyhow::Result<Option<String>> {
        let Some(reference) = &self.api_key else {
            return Ok(None);
        };
        let key = reference.parse().map_err(anyhow::Error::msg);
        let key = key.and_then(|reference| read_secret(&reference));
        key.map(Some)
            .with_context(|| format!("api_key of model {}", self.name))
    }
}

/// Checks names and bounds. A purpose has at most one model.
pub(super) fn check(models: &[ModelConfig]) -> anyhow::Result<()> {
    ensure!(
        models.len() <= MODELS_MAX,
        "there are at most {MODELS_MAX} models"
    );
    for (at, model) in models.iter().enumerate() {
        let name = &model.name;
        let is_letter = |c: char| c.is_ascii_alphanumeric() || "._-:/".contains(c);
        ensure!(
            (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(is_letter),
            "name is 1 to {NAME_CHARS_MAX} letters, digits or any of . _ - : /, not {name:?}"
        );
        ensure!(!model.url.is_empty(), "url of {name} is empty");
        ensure!(
            (2_048..=1_048_576).contains(&model.context),
            "context of {name} is 2048 to 1048576 tokens, not {}",
            model.context
        );
        if let Some(price) = &model.price {
            ensure!(
                !price.version().trim().is_empty(),
                "the price of {name} needs a version, which is recorded with each call"
            );
        }
        if let Some(reference) = &model.api_key {
            let checked = reference.parse::<Reference>().map_err(anyhow::Error::msg);
            checked.with_context(|| format!("api_key of {name}"))?;
        }
        for other in &models[..at] {
            ensure!(other.name != *name, "two models are called {name}");
            let both = model
                .purposes
                .iter()
                .find(|purpose| other.purposes.contains(purpose));
            if let Some(purpose) = both {
                anyhow::bail!(
                    "both {} and {name} take calls for {}",
                    other.name,
                    purpose.as_str()
                );
            }
        }
    }
    Ok(())
}
