//! Which of the configured models answers a call.
//!
//! Purpose: one model is the default. Others may be configured for some purposes, and those with a larger window take
//! the calls whose context would fill more than 80 % of the window that they would have had. The gateway is asked before
//! a prompt is packed, so that nothing is cut that fits another model. Floor 4; it knows no transport and no prompt.
//!
//! To add a rule, change [`Gateway::select`]: it is the only place where a model is chosen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use journeyman_event::Tokens;
use journeyman_event::payload::Purpose;
use journeyman_llm::{Error, ModelInfo, ModelServer};

/// How much of a window a context may fill before the call goes to a model with a larger one, in per cent.
const FULL_PERCENT: u64 = 80;

/// A configured model beside the default.
#[derive(Clone, Debug)]
pub struct Model {
    /// The name in the configuration. Calls are recorded with it.
    pub name: String,
    /// The client of its server.
    pub server: Arc<dyn ModelServer>,
    /// The purposes whose calls it takes; none for a model that is only used for what fits no other.
    pub purposes: Vec<Purpose>,
}

/// All models, of which one answers each call. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gateway {
    default: Arc<dyn ModelServer>,
    others: Arc<[Model]>,
    /// The last description of each model, by its name; `None` is the default.
    descriptions: Arc<Mutex<BTreeMap<Option<String>, ModelInfo>>>,
}

/// The model that was selected for a call.
#[derive(Debug)]
pub struct Selected<'g> {
    /// Its name; `None` for the default.
    pub name: Option<&'g str>,
    /// The client of its server, which counts its tokens.
    pub server: &'g dyn ModelServer,
    /// How the server describes itself, with its window.
    pub info: ModelInfo,
}

impl Gateway {
    /// Creates a gateway of a default model and others, if there are any.
    pub fn new(default: Arc<dyn ModelServer>, others: Vec<Model>) -> Self {
        Self {
            default,
            others: others.into(),
            descriptions: Arc::default(),
        }
    }

    /// The server of the default model.
    pub fn default_server(&self) -> &Arc<dyn ModelServer> {
        &self.default
    }

    /// The server that a call was recorded for: by the name of its model, `None` for the default. The default also if
    /// the model is not configured any more.
    pub fn server(&self, name: Option<&str>) -> &dyn ModelServer {
        self.named(name)
            .map_or(&*self.default, |model| &*model.server)
    }

    fn named(&self, name: Option<&str>) -> Option<&Model> {
        self.others.iter().find(|model| Some(&*model.name) == name)
    }

    /// The last description of the model that a call was recorded for. The server is asked only if it never described
    /// itself in this process.
    ///
    /// # Errors
    ///
    /// The server had to be asked and does not describe itself.
    pub async fn description(&self, name: Option<&str>) -> Result<ModelInfo, Error> {
        let key = self.named(name).map(|model| model.name.clone());
        let known = {
            let descriptions = self.descriptions.lock();
            let descriptions = descriptions.unwrap_or_else(PoisonError::into_inner);
            descriptions.get(&key).cloned()
        };
        match known {
            Some(info) => Ok(info),
            None => self.describe(key.as_deref()).await,
        }
    }

    /// Asks a model's server for its description, and remembers it.
    async fn describe(&self, name: Option<&str>) -> Result<ModelInfo, Error> {
        let info = self.server(name).describe().await?;
        let descriptions = self.descriptions.lock();
        let mut descriptions = descriptions.unwrap_or_else(PoisonError::into_inner);
        descriptions.insert(name.map(str::to_owned), info.clone());
        Ok(info)
    }

    /// The model that is configured for a purpose; `None` for the default.
    pub fn preferred(&self, purpose: Purpose) -> Option<&str> {
        let mut others = self.others.iter();
        let of_purpose = others.find(|model| model.purposes.contains(&purpose));
        of_purpose.map(|model| &*model.name)
    }

    /// Selects the model for a call: the one that is configured for its purpose, otherwise the default. `estimate` is
    /// asked for the size of the context that the call would have in a window, in tokens. If that is more than 80 % of
    /// the window, the call goes to the model with the smallest window of which it is not; if there is none, to the one
    /// with the largest window. Models that do not answer are passed over.
    ///
    /// # Errors
    ///
    /// The model that is first in question does not describe itself.
    pub async fn select(
        &self,
        purpose: Purpose,
        estimate: impl AsyncFnOnce(Tokens) -> Tokens,
    ) -> Result<Selected<'_>, Error> {
        let name = self.preferred(purpose);
        let server = self.server(name);
        let info = self.describe(name).await?;
        let mut selected = Selected { name, server, info };
        if self.others.is_empty() {
            return Ok(selected);
        }
        let window = |one: &Selected<'_>| one.info.window.tokens;
        let needed = estimate(window(&selected)).await;
        let fits = |one: &Selected<'_>| needed <= window(one).percent(FULL_PERCENT);
        if fits(&selected) {
            return Ok(selected);
        }
        let others = self
            .others
            .iter()
            .map(|model| (Some(&*model.name), &*model.server));
        for (name, server) in std::iter::once((None, &*self.default)).chain(others) {
            if name == selected.name {
                continue;
            }
            let Ok(info) = self.describe(name).await else {
                continue;
            };
            let other = Selected { name, server, info };
            let is_better = match (fits(&selected), fits(&other)) {
                (true, fits) => fits && window(&other) < window(&selected),
                (false, fits) => fits || window(&other) > window(&selected),
            };
            if is_better {
                selected = other;
            }
        }
        Ok(selected)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use journeyman_sim::SimulatedModel;

    use super::*;

    fn model(script: &str) -> Arc<dyn ModelServer> {
        Arc::new(SimulatedModel::new(script.parse().unwrap()))
    }

    fn of_window(window: u64, purposes: &[Purpose]) -> Model {
        Model {
            name: format!("w{window}"),
            server: model(&format!("sim:?window={window}")),
            purposes: purposes.to_vec(),
        }
    }

    async fn selected(gateway: &Gateway, purpose: Purpose, needed: u64) -> (String, u64) {
        let selected = gateway
            .select(purpose, async |_| Tokens(needed))
            .await
            .unwrap();
        let name = selected.name.unwrap_or("default").to_owned();
        (name, selected.info.window.tokens.0)
    }

    #[tokio::test]
    async fn a_call_goes_to_the_next_larger_window_above_four_fifths_of_the_one_it_would_have() {
        let others = vec![of_window(131_072, &[]), of_window(32_768, &[])];
        let gateway = Gateway::new(model("sim:?window=8192"), others);
        for (needed, name) in [
            (0, "default"),
            (6_553, "default"),
            (6_554, "w32768"),
            (7_000, "w32768"),
            (7_500, "w32768"),
            (26_214, "w32768"),
            (28_000, "w131072"),
            // Nothing is larger: the context shrinks there.
            (1_000_000, "w131072"),
        ] {
            assert_eq!(
                selected(&gateway, Purpose::Code, needed).await.0,
                name,
                "{needed}"
            );
        }
    }

    #[tokio::test]
    async fn a_purpose_has_its_model_and_one_alone_takes_everything() {
        let others = vec![
            of_window(4_096, &[Purpose::Plan, Purpose::Review]),
            of_window(16_384, &[Purpose::Plan]),
        ];
        let gateway = Gateway::new(model("sim:?window=8192"), others);
        assert_eq!(selected(&gateway, Purpose::Plan, 10).await.1, 4_096);
        assert_eq!(selected(&gateway, Purpose::Code, 10).await.1, 8_192);
        // The default may be the next larger one.
        assert_eq!(selected(&gateway, Purpose::Review, 3_500).await.1, 8_192);
        assert_eq!(selected(&gateway, Purpose::Review, 7_000).await.1, 16_384);
        let alone = Gateway::new(model("sim:?window=8192"), Vec::new());
        let is_asked = async |_| -> Tokens { panic!("there is nothing to choose") };
        let only = alone.select(Purpose::Code, is_asked).await.unwrap();
        assert_eq!((only.name, only.info.window.tokens), (None, Tokens(8_192)));
    }

    #[tokio::test]
    async fn a_recorded_call_finds_its_server_and_the_default_where_that_is_gone() {
        let gateway = Gateway::new(model("sim:?window=8192"), vec![of_window(32_768, &[])]);
        for (name, window) in [
            (None, 8_192),
            (Some("w32768"), 32_768),
            (Some("gone"), 8_192),
        ] {
            let info = gateway.server(name).describe().await.unwrap();
            assert_eq!(info.window.tokens, Tokens(window), "{name:?}");
            assert_eq!(gateway.description(name).await.unwrap(), info, "{name:?}");
        }
    }
}
