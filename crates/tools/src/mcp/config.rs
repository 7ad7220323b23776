//! The configuration of an external server: how to reach it, and which of its tools to use.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use reqwest::Url;
use serde::Deserialize;
use thiserror::Error;

use crate::{Pattern, Permission};

/// A value that is never printed: a header or an environment variable may be a password.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The checked configuration of an external server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Table")]
pub struct ServerConfig {
    /// How to reach the server.
    pub endpoint: Endpoint,
    /// The longest duration of a call (`timeout_ms`, default 60 s).
    pub timeout: Duration,
    /// How long the server may take to get ready (`start_timeout_ms`, default 10 s).
    pub start_timeout: Duration,
    /// Only these tools are used, by the server's own names (`tools`, default all).
    pub tools: Vec<Pattern>,
    /// The permission that a caller needs for its tools (`permission`, default `external`).
    pub permission: Permission,
    /// The most concurrent calls (`concurrent_max`, default 4).
    pub concurrent_max: usize,
    /// The most bytes kept of an answer (`result_bytes_max`, default 64 KiB).
    pub result_bytes_max: usize,
}

/// How to reach a server.
#[derive(Clone, Debug, PartialEq)]
pub enum Endpoint {
    /// A program that is started here and communicates over its standard streams.
    Command {
        /// The path or name of the program.
        command: String,
        /// The arguments of the program.
        args: Vec<String>,
        /// Environment variables, in addition to `PATH`, `HOME`, `LANG` and `TMPDIR`.
        env: BTreeMap<String, Secret>,
        /// The working directory.
        cwd: Option<PathBuf>,
    },
    /// A server that is already running and is reached over HTTP.
    Url {
        /// The URL of the server.
        url: Url,
        /// HTTP headers sent with every request.
        headers: HashMap<HeaderName, HeaderValue>,
        /// The environment variable with a bearer token that is sent with every request.
        bearer_env: Option<String>,
    },
}

/// What is wrong with a server's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Neither a command nor a URL is given.
    #[error("give `command` for a program to start, or `url` for a server that runs")]
    NoEndpoint,
    /// A key that only applies to the other kind of server.
    #[error("`{key}` is for servers with a `{needs}`")]
    Misplaced {
        /// The name of the key.
        key: &'static str,
        /// The key that it requires.
        needs: &'static str,
    },
    /// An invalid value.
    #[error("`{key}`: {rule}")]
    Invalid {
        /// The name of the key.
        key: &'static str,
        /// The rule that the value breaks.
        rule: String,
    },
}

/// The table in the configuration file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, Secret>,
    cwd: Option<PathBuf>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    bearer_env: Option<String>,
    #[serde(default = "Table::timeout_ms")]
    timeout_ms: u64,
    #[serde(default = "Table::start_timeout_ms")]
    start_timeout_ms: u64,
    #[serde(default)]
    tools: Vec<Pattern>,
    #[serde(default = "Table::permission")]
    permission: Permission,
    #[serde(default = "Table::concurrent_max")]
    concurrent_max: u64,
    #[serde(default = "Table::result_bytes_max")]
    result_bytes_max: u64,
}

impl Table {
    fn timeout_ms() -> u64 {
        60_000
    }
    fn start_timeout_ms() -> u64 {
        10_000
    }
    fn permission() -> Permission {
        Permission::External
    }
    fn concurrent_max() -> u64 {
        4
    }
    fn result_bytes_max() -> u64 {
        64 * 1_024
    }

    fn endpoint(&mut self) -> Result<Endpoint, ConfigError> {
        match (self.command.take(), self.url.take()) {
            (Some(command), None) => self.program(command),
            (None, Some(url)) => self.remote(&url),
            (Some(_), Some(_)) => Err(misplaced("command", "command` and no `url")),
            (None, None) => Err(ConfigError::NoEndpoint),
        }
    }

    fn program(&mut self, command: String) -> Result<Endpoint, ConfigError> {
        if !self.headers.is_empty() {
            return Err(misplaced("headers", "url"));
        }
        if self.bearer_env.is_some() {
            return Err(misplaced("bearer_env", "url"));
        }
        if command.is_empty() || command.contains('\0') {
            return Err(invalid("command", "the name or path of a program"));
        }
        if self.args.iter().any(|one| one.contains('\0')) {
            return Err(invalid("args", "an argument has no NUL"));
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.0.contains('\0') {
                return Err(invalid(
                    "env",
                    "a variable has a name, without `=`, and no NUL",
                ));
            }
        }
        Ok(Endpoint::Command {
            command,
            args: std::mem::take(&mut self.args),
            env: std::mem::take(&mut self.env),
            cwd: self.cwd.take(),
        })
    }

    fn remote(&mut self, url: &str) -> Result<Endpoint, ConfigError> {
        let misplaced_key = [
            ("args", !self.args.is_empty()),
            ("env", !self.env.is_empty()),
            ("cwd", self.cwd.is_some()),
        ];
        if let Some((key, _)) = misplaced_key.into_iter().find(|(_, given)| *given) {
            return Err(misplaced(key, "command"));
        }
        let url = Url::parse(url).map_err(|error| invalid("url", &error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("url", "it begins with http:// or https://"));
        }
        let mut headers = HashMap::new();
        for (name, value) in std::mem::take(&mut self.headers) {
            let name = HeaderName::try_from(&name)
                .map_err(|_| invalid("headers", &format!("{name:?} is no name of a header")))?;
            let mut value = HeaderValue::try_from(value.0).map_err(|_| {
                invalid("headers", &format!("what {name} is to have cannot be sent"))
            })?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Endpoint::Url {
            url,
            headers,
            bearer_env: self.bearer_env.take(),
        })
    }
}

impl TryFrom<Table> for ServerConfig {
    type Error = ConfigError;

    fn try_from(mut table: Table) -> Result<Self, ConfigError> {
        let endpoint = table.endpoint()?;
        let timeout = within("timeout_ms", table.timeout_ms, 600_000)?;
        let start = within("start_timeout_ms", table.start_timeout_ms, 120_000)?;
        let results = within("result_bytes_max", table.result_bytes_max, 8 << 20)?;
        let concurrent = within("concurrent_max", table.concurrent_max, 64)?;
        Ok(Self {
            endpoint,
            timeout: Duration::from_millis(timeout),
            start_timeout: Duration::from_millis(start),
            tools: table.tools,
            permission: table.permission,
            concurrent_max: usize::try_from(concurrent).unwrap_or(usize::MAX),
            result_bytes_max: usize::try_from(results).unwrap_or(usize::MAX),
        })
    }
}

fn within(key: &'static str, value: u64, max: u64) -> Result<u64, ConfigError> {
    if (1..=max).contains(&value) {
        Ok(value)
    } else {
        Err(invalid(key, &format!("from 1 to {max}, not {value}")))
    }
}

fn misplaced(key: &'static str, needs: &'static str) -> ConfigError {
    ConfigError::Misplaced { key, needs }
}

fn invalid(key: &'static str, rule: &str) -> ConfigError {
    let rule = rule.to_owned();
    ConfigError::Invalid { key, rule }
}
