//! The prices of model calls.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use genai_prices::{Calculator, PriceRequest, Usage as Billed, UsageKey};
use jiff::Timestamp;
use journeyman_event::{PicoUsd, Tokens};
use serde::{Deserialize, Deserializer};

use crate::budget::Rule;

/// The database of providers' prices, with the version of the crate that contains it.
const DATABASE: &str = "genai-prices 0.2.1";
/// The kinds of model servers that run on their users' own machines.
const OWN_SERVERS: &[&str] = &["llama.cpp", "ollama", "simulated"];
/// The price of a token in pico-dollars, if a million tokens cost one dollar. It is also the number of tokens.
const PER_MILLION: u128 = 1_000_000;

/// The money file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the money file {path}: {source}")]
    Unreadable {
        /// Its path.
        path: String,
        /// The error.
        source: std::io::Error,
    },
    /// Its content is invalid.
    #[error("the money file {path} cannot be used: {problem}")]
    Bad {
        /// Its path.
        path: String,
        /// The problem, and where it is.
        problem: String,
    },
}

/// The price of a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PerMillion(PicoUsd);

impl PerMillion {
    /// The price of one token.
    fn of_token(self) -> PicoUsd {
        PicoUsd(self.0.0 / PER_MILLION)
    }
}

impl<'de> Deserialize<'de> for PerMillion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let usd = PicoUsd::from_str(&text).map_err(serde::de::Error::custom)?;
        if usd.0 % PER_MILLION != 0 {
            let problem =
                format!("a price of a million tokens has at most 6 decimals: {text:?} has more");
            return Err(serde::de::Error::custom(problem));
        }
        Ok(Self(usd))
    }
}

/// The prices of a model's tokens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    input: PerMillion,
    output: PerMillion,
    /// The price of prompt tokens that were in the server's cache; that of `input` if absent.
    cached: Option<PerMillion>,
    /// The price of prompt tokens that the server wrote to its cache; that of `input` if absent.
    cache_write: Option<PerMillion>,
    /// The part of the price, in per cent, that is paid for calls of a service tier, such as `flex` or `batch`.
    #[serde(default)]
    tiers: BTreeMap<String, u32>,
}

impl Rates {
    /// The cost of a call. `usage` was checked: no more tokens are cached or written to the cache than sent.
    fn cost(&self, usage: Usage, tier: Option<&str>) -> PicoUsd {
        let cached = self.cached.unwrap_or(self.input);
        let written = self.cache_write.unwrap_or(self.input);
        let others = usage.prompt - usage.cached - usage.cache_write;
        let whole = self.input.of_token().times(others.0)
            + cached.of_token().times(usage.cached.0)
            + written.of_token().times(usage.cache_write.0)
            + self.output.of_token().times(usage.completion.0);
        match tier.and_then(|tier| self.tiers.get(tier)) {
            Some(percent) => whole.percent(*percent),
            None => whole,
        }
    }

    /// Takes a name out of a table of which the rest are rates.
    fn named(mut table: toml::Table, key: &str) -> Result<(String, Self), String> {
        let name = table
            .remove(key)
            .ok_or_else(|| format!("missing field `{key}`"))?;
        let name = name.try_into::<String>();
        let name = name.map_err(|error| format!("`{key}`: {}", error.message()))?;
        let rates = table.try_into::<Self>();
        Ok((name, rates.map_err(|error| error.message().to_owned())?))
    }
}

/// A price of the money file.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "toml::Table")]
struct FilePrice {
    /// A name, or the beginning of a name and a `*`.
    model: String,
    rates: Rates,
}

impl TryFrom<toml::Table> for FilePrice {
    type Error = String;

    fn try_from(table: toml::Table) -> Result<Self, String> {
        let (model, rates) = Rates::named(table, "model")?;
        Ok(Self { model, rates })
    }
}

impl FilePrice {
    fn is_of(&self, model: &str) -> bool {
        match self.model.strip_suffix('*') {
            Some(start) => model.starts_with(start),
            None => self.model == model,
        }
    }
}

/// The price of a model in `[[models]]`, as its table `price` in the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Table")]
pub struct ConfiguredPrice {
    /// The version of the price, recorded with each call.
    version: String,
    rates: Rates,
}

impl TryFrom<toml::Table> for ConfiguredPrice {
    type Error = String;

    fn try_from(table: toml::Table) -> Result<Self, String> {
        let (version, rates) = Rates::named(table, "version")?;
        Ok(Self { version, rates })
    }
}

impl ConfiguredPrice {
    /// The version of the price.
    pub fn version(&self) -> &str {
        &self.version
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Option<String>,
    #[serde(default)]
    price: Vec<FilePrice>,
    #[serde(default)]
    budget: Vec<Rule>,
}

/// A model and its server.
#[derive(Clone, Copy, Debug)]
pub struct ModelAt<'a> {
    /// The name in the configuration (`[[models]]`); `None` for the default model.
    pub configured: Option<&'a str>,
    /// The name of the model at its server.
    pub model: &'a str,
    /// The kind of the server: `llama.cpp`, `ollama`, `openai-compatible` or `simulated`.
    pub server: &'a str,
    /// The URL of the server.
    pub url: &'a str,
    /// The service tier of the call, such as `flex`; `None` for the usual one.
    pub tier: Option<&'a str>,
}

impl ModelAt<'_> {
    /// Whether the server runs on this machine, or is of a kind that people run themselves. Then a call without a
    /// configured price costs nothing.
    fn is_own(self) -> bool {
        let host = self
            .url
            .split_once("://")
            .map_or(self.url, |(_, rest)| rest);
        let host = host.split(['/', '?']).next().unwrap_or(host);
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let is_here = host.starts_with("127.") || host.starts_with("[::1]");
        let name = host.split(':').next().unwrap_or(host);
        OWN_SERVERS.contains(&self.server) || is_here || name == "localhost"
    }
}

/// The tokens of a call, as a provider bills them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The tokens of the prompt, including cached ones.
    pub prompt: Tokens,
    /// The tokens of the prompt that were in the server's cache.
    pub cached: Tokens,
    /// The tokens of the prompt that the server wrote to its cache. They are none of the cached ones.
    pub cache_write: Tokens,
    /// The tokens of the answer.
    pub completion: Tokens,
}

/// The computed price of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// The cost; `None` if the model has no known price.
    pub usd: Option<PicoUsd>,
    /// The source of the price with its version; empty if there is none.
    pub source: String,
}

/// A usage that is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cached} cached tokens are more than the {prompt} of the prompt that they are part of")]
pub struct BadUsage {
    /// The tokens reported as read from the cache or written to it.
    pub cached: Tokens,
    /// The tokens of the prompt.
    pub prompt: Tokens,
}

/// All prices. They are looked up in the configuration, the money file and the database of providers' prices; a local
/// model without a configured price costs nothing. An unknown model has no price, and none is guessed.
#[derive(Debug, Default)]
pub struct Prices {
    configured: BTreeMap<String, ConfiguredPrice>,
    file: Vec<FilePrice>,
    version: String,
}

impl Prices {
    /// The same prices, and those of models in the configuration, by their names there.
    #[must_use]
    pub fn with_configured(self, configured: BTreeMap<String, ConfiguredPrice>) -> Self {
        Self { configured, ..self }
    }

    /// Reads prices and budgets from a money file.
    pub fn read(path: &Path) -> Result<(Self, Vec<Rule>), Error> {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|problem| Error::Bad {
                path: name,
                problem,
            }),
            Err(source) => Err(Error::Unreadable { path: name, source }),
        }
    }

    /// Parses the text of a money file.
    pub fn parse(text: &str) -> Result<(Self, Vec<Rule>), String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if !file.price.is_empty() && file.version.is_none() {
            let problem = "prices need a `version`, such as version = \"2026-11\": it is recorded with each call";
            return Err(problem.to_owned());
        }
        for (at, rule) in file.budget.iter().enumerate() {
            rule.check()?;
            if file.budget[..at]
                .iter()
                .any(|other| other.name == rule.name)
            {
                return Err(format!("two budgets have the name {:?}", rule.name));
            }
        }
        let prices = Self {
            configured: BTreeMap::new(),
            file: file.price,
            version: file.version.unwrap_or_default(),
        };
        Ok((prices, file.budget))
    }

    /// The price of a call with this usage at this time.
    pub fn price(
        &self,
        at: ModelAt<'_>,
        usage: Usage,
        when: Timestamp,
    ) -> Result<Priced, BadUsage> {
        let (prompt, cached) = (usage.prompt, usage.cached + usage.cache_write);
        if cached > prompt {
            return Err(BadUsage { cached, prompt });
        }
        if let Some(price) = at.configured.and_then(|name| self.configured.get(name)) {
            return Ok(Priced {
                usd: Some(price.rates.cost(usage, at.tier)),
                source: format!("models {}", price.version),
            });
        }
        if let Some(price) = self.file.iter().find(|price| price.is_of(at.model)) {
            return Ok(Priced {
                usd: Some(price.rates.cost(usage, at.tier)),
                source: format!("file {}", self.version),
            });
        }
        if at.is_own() {
            return Ok(Priced {
                usd: Some(PicoUsd::ZERO),
                source: "local".to_owned(),
            });
        }
        Ok(match provider_price(at, usage, when) {
            Some(usd) => Priced {
                usd: Some(usd),
                source: DATABASE.to_owned(),
            },
            None => Priced {
                usd: None,
                source: String::new(),
            },
        })
    }
}

/// The price of the provider with this address; `None` for other addresses, and for unknown models.
fn provider_price(at: ModelAt<'_>, usage: Usage, when: Timestamp) -> Option<PicoUsd> {
    let billed = Billed::from([
        (UsageKey::INPUT_TOKENS, float(usage.prompt)),
        (UsageKey::CACHE_READ_TOKENS, float(usage.cached)),
        (UsageKey::CACHE_WRITE_TOKENS, float(usage.cache_write)),
        (UsageKey::OUTPUT_TOKENS, float(usage.completion)),
    ]);
    let mut request = PriceRequest::new(at.model, &billed)
        .with_provider_api_url(at.url)
        .with_timestamp(when);
    if let Some(tier) = at.tier {
        request = request.with_price_context("service_tier", tier);
    }
    match Calculator::bundled().calculate(&request) {
        Ok(price) => exact(price.total_price),
        Err(error) => {
            tracing::debug!(%error, model = at.model, "no price is known");
            None
        }
    }
}

#[allow(clippy::cast_precision_loss)] // a call has less than 2^53 tokens
fn float(tokens: Tokens) -> f64 {
    tokens.0 as f64
}

/// The amount of dollars that a float stands for, rounded to a pico-dollar. Up to 9,000 dollars that is exact.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn exact(usd: f64) -> Option<PicoUsd> {
    (usd.is_finite() && usd >= 0.0).then(|| PicoUsd((usd * 1e12).round() as u128))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn usage(prompt: u64, cached: u64, completion: u64) -> Usage {
        Usage {
            prompt: Tokens(prompt),
            cached: Tokens(cached),
            cache_write: Tokens::ZERO,
            completion: Tokens(completion),
        }
    }

    fn then() -> Timestamp {
        "2026-11-01T00:00:00Z".parse().unwrap()
    }

    const LOCAL: ModelAt<'_> = ModelAt {
        configured: None,
        model: "qwen2.5-coder-1.5b",
        server: "llama.cpp",
        url: "http://127.0.0.1:8080",
        tier: None,
    };
    const OPENAI: ModelAt<'_> = ModelAt {
        configured: None,
        model: "gpt-4o-mini",
        server: "openai-compatible",
        url: "https://api.openai.com/v1",
        tier: None,
    };

    #[test]
    fn a_provider_is_known_by_its_address_and_a_stranger_has_no_price() {
        let prices = Prices::default();
        // 0.15 USD a million tokens in, 0.60 out.
        let priced = prices.price(OPENAI, usage(1_000, 0, 100), then()).unwrap();
        assert_eq!(priced.usd, Some(PicoUsd(1_000 * 150_000 + 100 * 600_000)));
        assert_eq!(priced.source, DATABASE);
        for at in [
            ModelAt {
                url: "https://models.example.com/v1",
                ..OPENAI
            },
            ModelAt {
                model: "no-such-model",
                ..OPENAI
            },
        ] {
            let priced = prices.price(at, usage(1_000, 0, 100), then()).unwrap();
            assert_eq!((priced.usd, priced.source.as_str()), (None, ""));
        }
    }

    #[test]
    fn a_model_of_ones_own_costs_nothing_unless_the_file_says_so() {
        let free = Prices::default()
            .price(LOCAL, usage(1_000, 0, 100), then())
            .unwrap();
        assert_eq!(
            (free.usd, free.source.as_str()),
            (Some(PicoUsd::ZERO), "local")
        );
        let at_home = ModelAt {
            server: "openai-compatible",
            url: "http://user:key@localhost:9/v1",
            ..LOCAL
        };
        assert_eq!(
            Prices::default()
                .price(at_home, usage(1, 0, 1), then())
                .unwrap()
                .source,
            "local"
        );
        let text = r#"
            version = "2026-11"
            [[price]]
            model = "qwen*"
            input = "0.0375"
            cached = "0.01"
            output = "0.15"
        "#;
        let (prices, budgets) = Prices::parse(text).unwrap();
        assert!(budgets.is_empty());
        let priced = prices.price(LOCAL, usage(1_000, 400, 100), then()).unwrap();
        assert_eq!(
            priced.usd,
            Some(PicoUsd(600 * 37_500 + 400 * 10_000 + 100 * 150_000))
        );
        assert_eq!(priced.source, "file 2026-11");
    }

    #[test]
    fn a_price_in_the_configuration_is_that_models_alone() {
        let text = "version = \"7\"\ninput = \"3\"\noutput = \"15\"\ncached = \"0.3\"";
        let price: ConfiguredPrice = toml::from_str(text).unwrap();
        let prices = Prices::default().with_configured([("big".to_owned(), price)].into());
        for (configured, usd, source) in [
            (
                Some("big"),
                Some(PicoUsd(60 * 3_000_000 + 40 * 300_000 + 10 * 15_000_000)),
                "models 7",
            ),
            (Some("other"), Some(PicoUsd::ZERO), "local"),
            (None, Some(PicoUsd::ZERO), "local"),
        ] {
            let at = ModelAt {
                configured,
                ..LOCAL
            };
            let priced = prices.price(at, usage(100, 40, 10), then()).unwrap();
            assert_eq!((priced.usd, &*priced.source), (usd, source));
        }
        let without = text.replace("version", "variant");
        assert!(toml::from_str::<ConfiguredPrice>(&without).is_err());
    }

    #[test]
    fn writing_to_a_cache_and_a_service_tier_have_their_price() {
        let text = r#"
            version = "1"
            [[price]]
            model = "m"
            input = "1"
            cached = "0.1"
            cache_write = "1.25"
            output = "4"
            tiers = { flex = 50, priority = 175 }
        "#;
        let (prices, _) = Prices::parse(text).unwrap();
        let usage = Usage {
            cache_write: Tokens(30),
            ..usage(100, 40, 10)
        };
        let whole = 30 * 1_000_000 + 40 * 100_000 + 30 * 1_250_000 + 10 * 4_000_000;
        for (tier, usd) in [
            (None, whole),
            (Some("flex"), whole / 2),
            (Some("priority"), whole / 4 * 7),
            (Some("unheard-of"), whole),
        ] {
            let at = ModelAt {
                model: "m",
                tier,
                ..OPENAI
            };
            let priced = prices.price(at, usage, then()).unwrap();
            assert_eq!(priced.usd, Some(PicoUsd(usd)), "{tier:?}");
        }
    }

    #[test]
    fn more_cached_than_sent_is_an_error_and_no_negative_price() {
        let bad = Prices::default()
            .price(OPENAI, usage(10, 11, 0), then())
            .unwrap_err();
        assert!(bad.to_string().contains("11 cached tokens"), "{bad}");
    }

    #[test]
    fn a_bad_file_is_refused_and_says_what_to_do() {
        for (text, said) in [
            (
                "[[price]]\nmodel = \"m\"\ninput = \"1\"\noutput = \"1\"",
                "version",
            ),
            (
                "version = \"1\"\n[[price]]\nmodel = \"m\"\ninput = \"0.0000001\"\noutput = \"1\"",
                "6 decimals",
            ),
            (
                "version = \"1\"\n[[price]]\nmodel = \"m\"\ninput = \"cheap\"\noutput = \"1\"",
                "amount in dollars",
            ),
            (
                "[[budget]]\nname = \"b\"\nlimit = \"1\"\nperiod = \"monthly\"\nmode = \"hard\"",
                "owner",
            ),
            (
                "[[budget]]\nname = \"b\"\nowner = \"*\"\nlimit = \"1\"\nperiod = \"yearly\"\nmode = \"hard\"",
                "yearly",
            ),
            (
                "[[budget]]\nname = \"b\"\nowner = \"*\"\nlimit = \"1\"\nperiod = \"daily\"\nmode = \"hard\"\ntime_zone = \"Mars/Base\"",
                "Mars/Base",
            ),
            ("prices = 1", "prices"),
        ] {
            let problem = Prices::parse(text).unwrap_err();
            assert!(problem.contains(said), "{said}: {problem}");
        }
    }
}
