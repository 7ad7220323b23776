//! All settings, in one table: name, flag, environment variable, key, default, help. They are read once: from flags,
//! then the environment, then the configuration file, then the default.
//!
//! To add a setting, add an entry to `SETTINGS` (`table.rs`), and a field to `Settings` with a line in
//! `Settings::typed` that parses it.

mod conflicts;
mod models;
mod table;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use clap::{Arg, ArgAction, ArgMatches};
use journeyman_api::Reference;
use journeyman_event::TraceContext;
use journeyman_hooks::{HookName, Networks, OnEnd, WebhookConfig};
use journeyman_tasks::Retention;
use journeyman_tools::{Pattern, ServerConfig, ServerName};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::text_style::Colour;

pub(crate) use conflicts::{Conflicts, OtherModel};
pub(crate) use models::{ModelConfig, read_secret};
use table::{SECRETS, SETTINGS, Setting};

/// Where traces and metrics are exported to.
#[derive(Clone, Debug)]
pub(crate) struct OtlpConfig {
    pub(crate) endpoint: String,
    /// The names of headers with the references to their values.
    pub(crate) headers: Vec<(String, Reference)>,
    pub(crate) interval: Duration,
}

/// The environment variables of the process.
pub(crate) type Variables = BTreeMap<String, String>;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    Flag,
    Environment,
    File,
    Default,
}

impl Origin {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

/// The value of a setting, and where it was found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Found {
    pub(crate) key: &'static str,
    pub(crate) value: String,
    pub(crate) origin: Origin,
    /// The flag, variable or file that gave the value.
    pub(crate) source: String,
}

/// All settings with their types.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // each is a setting that people switch by itself
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    pub(crate) model: String,
    pub(crate) model_url: Option<String>,
    pub(crate) api_key: Option<String>,
    pub(crate) model_context: u64,
    pub(crate) model_slots: u32,
    pub(crate) model_idle: Duration,
    pub(crate) model_required: bool,
    /// The models beside the default one.
    pub(crate) models: Vec<ModelConfig>,
    pub(crate) embedding_model: Option<String>,
    pub(crate) embedding_url: Option<String>,
    pub(crate) embedding_api_key: Option<String>,
    pub(crate) hf_endpoint: String,
    pub(crate) hf_token: Option<String>,
    pub(crate) sandbox_minimum: journeyman_sandbox::Level,
    pub(crate) server: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) host: IpAddr,
    pub(crate) port: u16,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) grace: Duration,
    pub(crate) tools: Vec<Pattern>,
    pub(crate) mcp_servers: BTreeMap<ServerName, ServerConfig>,
    pub(crate) money_file: Option<PathBuf>,
    pub(crate) otlp: Option<OtlpConfig>,
    /// The trace that this process belongs to, by the variables `TRACEPARENT` and `TRACESTATE`.
    pub(crate) trace: Option<TraceContext>,
    pub(crate) queue: journeyman_queue::QueueOptions,
    pub(crate) retention: Retention,
    pub(crate) on_end: Option<OnEnd>,
    pub(crate) webhooks: BTreeMap<HookName, WebhookConfig>,
    pub(crate) webhook_networks: Networks,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) colour: Colour,
    pub(crate) progress_interval: Duration,
    /// `None` if not set.
    pub(crate) log: Option<String>,
    pub(crate) log_json: bool,
    /// All settings in the order of the table, for `config show`.
    pub(crate) found: Vec<Found>,
}

/// The flags, which every command accepts.
pub(crate) fn flags() -> impl Iterator<Item = Arg> {
    SETTINGS.iter().map(|setting| {
        let default = match setting.default {
            "" | "false" => String::new(),
            default => format!(" [default: {default}]"),
        };
        let arg = Arg::new(setting.key)
            .long(setting.flag)
            .global(true)
            .help(format!(
                "{}{default} [env: {}]",
                setting.help, setting.variable
            ))
            .help_heading("Settings")
            // `-h` is one screen; `--help` has them all.
            .hide_short_help(true);
        match setting.value {
            Some(value) => arg.value_name(value).num_args(1),
            None => arg.action(ArgAction::SetTrue),
        }
    })
}

/// The table of settings for the reference page.
#[cfg(test)]
pub(crate) fn reference() -> String {
    use std::fmt::Write;

    let mut page = "| flag | variable | key | default | |\n|---|---|---|---|---|\n".to_owned();
    for setting in SETTINGS {
        let value = setting.value.map(|value| format!(" {value}"));
        let secret = if SECRETS.contains(&setting.key) {
            ". Its value is never shown."
        } else {
            ""
        };
        let key = match setting.key {
            // It names the file in which the others stand.
            "config" => String::new(),
            key => format!("`{key}`"),
        };
        let default = match setting.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        writeln!(
            page,
            "| `--{}{}` | `{}` | {key} | {default} | {}{secret} |",
            setting.flag,
            value.unwrap_or_default(),
            setting.variable,
            setting.help,
        )
        .expect("writing to a string does not fail");
    }
    page
}

/// The settings that affect how tasks are worked on, for the reference page.
#[cfg(test)]
pub(crate) fn reference_of_work() -> String {
    let row = |(key, unavailable): &(&str, table::Unavailable)| {
        let then = match unavailable {
            table::Unavailable::Refused => "the command is refused",
            table::Unavailable::Told => "the command says so and continues",
        };
        format!("| `{key}` | {then} |\n")
    };
    let rows: String = table::OF_WORK.iter().map(row).collect();
    format!("| key | if you give another value by flag |\n|---|---|\n{rows}")
}

/// A setting's value, or what it should have been.
fn parsed<T>(found: &Found, wanted: &str, parse: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
    parse(&found.value).with_context(|| {
        format!(
            "{} is {wanted}, not {:?} (from {})",
            found.key,
            found.value,
            from(found)
        )
    })
}

impl Settings {
    /// The most concurrent model calls: the number of slots of a managed server, or the configured number.
    /// `None` leaves queueing to another server.
    pub(crate) fn model_calls(&self) -> Option<usize> {
        let slots = self.found.iter().find(|found| found.key == "model.slots");
        let was_said = slots.is_some_and(|slots| slots.origin != Origin::Default);
        (was_said || self.model_url.is_none()).then_some(self.model_slots as usize)
    }

    /// Reads all settings.
    pub(crate) fn read(matches: &ArgMatches, variables: &Variables) -> anyhow::Result<Self> {
        let flag = |key: &str| -> Option<String> {
            let by_user = matches.value_source(key) == Some(clap::parser::ValueSource::CommandLine);
            let mut values = by_user.then(|| matches.get_raw(key)).flatten()?;
            Some(values.next().map_or_else(
                || "true".to_owned(),
                |value| value.to_string_lossy().into_owned(),
            ))
        };
        let file = config_path(flag("config"), variables);
        let FromFile {
            values: table,
            mcp_servers,
            webhooks,
            models,
        } = read_file(&file)?;
        let mut found = Vec::new();
        for setting in SETTINGS {
            let from_file = || table.get(setting.key).cloned();
            let variable = variables
                .get(setting.variable)
                .filter(|value| !value.is_empty());
            let (value, origin, source) = if let Some(value) = flag(setting.key) {
                (value, Origin::Flag, format!("--{}", setting.flag))
            } else if let Some(value) = variable {
                (
                    value.clone(),
                    Origin::Environment,
                    setting.variable.to_owned(),
                )
            } else if let Some(value) = from_file() {
                (value, Origin::File, file.path.display().to_string())
            } else {
                (
                    default(setting, variables, &file.path),
                    Origin::Default,
                    String::new(),
                )
            };
            found.push(Found {
                key: setting.key,
                value,
                origin,
                source,
            });
        }
        let settings = Self::typed(found)?;
        let named = |name: &str| variables.get(name).map(String::as_str);
        Ok(Self {
            trace: TraceContext::read(named("TRACEPARENT"), named("TRACESTATE")),
            models,
            mcp_servers,
            webhooks,
            ..settings
        })
    }

    fn typed(mut found: Vec<Found>) -> anyhow::Result<Self> {
        let get = |key: &str| -> &Found {
            // Every key asked for below is in the table; a test reads them all.
            found
                .iter()
                .find(|found| found.key == key)
                .unwrap_or(&found[0])
        };
        let optional = |key: &str| Some(get(key).value.clone()).filter(|value| !value.is_empty());
        let flag = |key: &str| match get(key).value.as_str() {
            "true" | "1" | "yes" => Ok(true),
            "false" | "0" | "no" => Ok(false),
            other => bail!(
                "{key} is true or false, not {other:?} (from {})",
                from(get(key))
            ),
        };
        let context = get("model.context");
        let model_context = context
            .value
            .parse()
            .ok()
            .filter(|n| (2_048..=1_048_576).contains(n));
        let slots = get("model.slots");
        let model_slots = slots.value.parse().ok().filter(|n| (1..=64).contains(n));
        let idle = get("model.idle");
        let minimum = get("sandbox.minimum");
        let ageing_levels = parsed(
            get("queue.ageing_levels"),
            "a number from 1 to 10",
            |text| text.parse().ok().filter(|n| (1..=10).contains(n)),
        )?;
        let settings = Self {
            // Other processes live in other folders: the sandbox, the managed server.
            data_dir: std::path::absolute(&get("data_dir").value)
                .with_context(|| format!("data_dir is empty (from {})", from(get("data_dir"))))?,
            model: get("model.name").value.clone(),
            model_url: optional("model.url"),
            api_key: optional("model.api_key"),
            embedding_model: optional("embedding.model"),
            embedding_url: optional("embedding.url"),
            embedding_api_key: optional("embedding.api_key"),
            hf_endpoint: get("hf.endpoint").value.clone(),
            hf_token: optional("hf.token"),
            model_context: model_context.with_context(|| {
                format!(
                    "model.context is 2048 to 1048576 tokens, not {:?} (from {})",
                    context.value,
                    from(context)
                )
            })?,
            model_slots: model_slots.with_context(|| {
                let (value, from) = (&slots.value, from(slots));
                format!("model.slots is 1 to 64, not {value:?} (from {from})")
            })?,
            model_idle: parse_idle(&idle.value).map_err(|why| {
                let (value, from) = (&idle.value, from(idle));
                anyhow::anyhow!("model.idle is not {value:?} (from {from}): {why}")
            })?,
            model_required: flag("model.required")?,
            sandbox_minimum: match minimum.value.as_str() {
                "landlock" => journeyman_sandbox::Level::Landlock,
                "bubblewrap" => journeyman_sandbox::Level::Bubblewrap,
                other => bail!(
                    "sandbox.minimum is landlock or bubblewrap, not {other:?} (from {})",
                    from(minimum)
                ),
            },
            server: optional("server.url"),
            token: optional("server.token"),
            host: parsed(
                get("serve.host"),
                "an address such as 127.0.0.1 or 0.0.0.0",
                |text| text.parse().ok(),
            )?,
            port: parsed(get("serve.port"), "a port from 0 to 65535", |text| {
                text.parse().ok()
            })?,
            token_file: optional("serve.token_file").map(PathBuf::from),
            allowed_hosts: optional("serve.allowed_hosts")
                .map(|names| {
                    names
                        .split(',')
                        .map(|name| name.trim().to_owned())
                        .collect()
                })
                .unwrap_or_default(),
            grace: parsed(get("serve.grace"), "a time such as 10s", |text| {
                parse_idle(text).ok()
            })?,
            tools: parsed(
                get("agent.tools"),
                "names of tools, or patterns such as docs.*, with commas between",
                |text| {
                    let names = text
                        .split(',')
                        .map(str::trim)
                        .filter(|name| !name.is_empty());
                    names.map(|name| Pattern::new(name).ok()).collect()
                },
            )?,
            mcp_servers: BTreeMap::new(),
            money_file: optional("money.file").map(PathBuf::from),
            otlp: optional("otlp.endpoint")
                .map(|endpoint| {
                    let wanted = "headers as NAME=env:NAME or NAME=file:/PATH, with commas between";
                    let interval = "a time from 1s to 168h, such as 60s";
                    Ok::<_, anyhow::Error>(OtlpConfig {
                        endpoint,
                        headers: parsed(get("otlp.headers"), wanted, parse_headers)?,
                        interval: parsed(get("otlp.interval"), interval, |text| {
                            parse_duration(text).ok()
                        })?,
                    })
                })
                .transpose()?,
            trace: None,
            queue: journeyman_queue::QueueOptions {
                capacity: parsed(get("queue.capacity"), "a number from 1 to 100000", |text| {
                    text.parse().ok().filter(|n| (1..=100_000).contains(n))
                })?,
                max_concurrent: parsed(
                    get("queue.concurrent"),
                    "a number from 1 to 1000",
                    |text| text.parse().ok().filter(|n| (1..=1_000).contains(n)),
                )?,
                ageing: optional("queue.ageing")
                    .map(|_| {
                        parsed(get("queue.ageing"), "a time such as 5m", |text| {
                            let step = parse_duration(text).ok().filter(|step| !step.is_zero())?;
                            Some(journeyman_queue::Ageing {
                                step,
                                levels_max: ageing_levels,
                            })
                        })
                    })
                    .transpose()?,
                ..journeyman_queue::QueueOptions::default()
            },
            retention: Retention {
                age: optional("retention.age")
                    .map(|_| {
                        let wanted = "a time such as 36h, 30d, 52w or 1y, up to 100 years";
                        parsed(get("retention.age"), wanted, parse_age)
                    })
                    .transpose()?,
                bytes: optional("retention.bytes")
                    .map(|_| {
                        let wanted = "a size of 1 MB or more, such as 500MB, 1.5GB or 20GiB";
                        parsed(get("retention.bytes"), wanted, parse_size)
                    })
                    .transpose()?,
            },
            on_end: on_end(get("on_end"), get("on_end_timeout"))?,
            webhooks: BTreeMap::new(),
            models: Vec::new(),
            webhook_networks: get("webhook_networks")
                .value
                .parse::<Networks>()
                .map_err(|why| {
                    let from = from(get("webhook_networks"));
                    anyhow::anyhow!("webhook_networks (from {from}): {why}")
                })?,
            json: flag("json")?,
            quiet: flag("quiet")?,
            colour: parsed(get("color"), "auto, always or never", Colour::parse)?,
            progress_interval: parsed(get("progress_interval"), "a time such as 15s", |text| {
                parse_duration(text).ok()
            })?,
            log: (get("log").origin != Origin::Default).then(|| get("log").value.clone()),
            log_json: parsed(get("log_format"), "text or json", |text| match text {
                "json" => Some(true),
                "text" => Some(false),
                _ => None,
            })?,
            found: Vec::new(),
        };
        for entry in &mut found {
            if SECRETS.contains(&entry.key) && !entry.value.is_empty() {
                "(hidden)".clone_into(&mut entry.value);
            }
            // An address may have a password in it.
            if entry.value.contains("://") {
                entry.value = journeyman_llm::shown(&entry.value);
            }
        }
        Ok(Self { found, ..settings })
    }
}

/// The `on_end` command, if one is set.
fn on_end(command: &Found, limit: &Found) -> anyhow::Result<Option<OnEnd>> {
    const LIMIT_MAX: Duration = Duration::from_hours(1);
    let limit = parsed(limit, "a time from 1s to 1h", |text| {
        parse_duration(text).ok().filter(|time| *time <= LIMIT_MAX)
    })?;
    if command.value.is_empty() {
        return Ok(None);
    }
    let on_end = OnEnd::new(&command.value, limit);
    // The error does not repeat the command, which may contain a secret.
    on_end.map(Some).map_err(|why| {
        anyhow::anyhow!(
            "on_end is not a valid command (from {}): {why}",
            from(command)
        )
    })
}

fn from(found: &Found) -> &str {
    if found.source.is_empty() {
        "the default"
    } else {
        &found.source
    }
}

struct ConfigFile {
    path: PathBuf,
    /// Given by the user, so it must exist.
    named: bool,
}

fn config_path(flag: Option<String>, variables: &Variables) -> ConfigFile {
    let variable = variables
        .get("JOURNEYMAN_CONFIG")
        .filter(|value| !value.is_empty())
        .cloned();
    if let Some(path) = flag.or(variable) {
        return ConfigFile {
            path: path.into(),
            named: true,
        };
    }
    let folder = base_folder(variables, "XDG_CONFIG_HOME", ".config");
    ConfigFile {
        path: folder.join("journeyman/config.toml"),
        named: false,
    }
}

/// A directory of the XDG base directory specification.
fn base_folder(variables: &Variables, variable: &str, below_home: &str) -> PathBuf {
    let set = |name: &str| variables.get(name).filter(|value| !value.is_empty());
    let absolute = set(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    absolute.unwrap_or_else(|| {
        set("HOME")
            .map_or_else(|| PathBuf::from("."), PathBuf::from)
            .join(below_home)
    })
}

fn default(setting: &Setting, variables: &Variables, config: &Path) -> String {
    match setting.key {
        "data_dir" => base_folder(variables, "XDG_DATA_HOME", ".local/share")
            .join("journeyman")
            .display()
            .to_string(),
        "config" => config.display().to_string(),
        _ => setting.default.to_owned(),
    }
}

/// The content of the configuration file.
#[derive(Default)]
struct FromFile {
    /// The settings as text, by dotted key.
    values: BTreeMap<String, String>,
    mcp_servers: BTreeMap<ServerName, ServerConfig>,
    webhooks: BTreeMap<HookName, WebhookConfig>,
    models: Vec<ModelConfig>,
}

fn read_file(file: &ConfigFile) -> anyhow::Result<FromFile> {
    let text = match std::fs::read_to_string(&file.path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !file.named => {
            return Ok(FromFile::default());
        }
        Err(error) => {
            return Err(error).with_context(|| {
                format!("cannot read the configuration file {}", file.path.display())
            });
        }
    };
    let mut table: toml::Table = toml::from_str(&text)
        .with_context(|| format!("{} is not valid TOML", file.path.display()))?;
    let mcp_servers = tables(&mut table, "mcp_servers", file)?;
    let webhooks = tables(&mut table, "webhooks", file)?;
    let models: Vec<ModelConfig> = tables(&mut table, "models", file)?;
    models::check(&models).with_context(|| format!("{}: models", file.path.display()))?;
    let mut values = BTreeMap::new();
    flatten("", &table, &mut values);
    for key in values.keys() {
        if !SETTINGS.iter().any(|setting| setting.key == key) {
            bail!(
                "{} sets {key}, which is not a setting; `journeyman config show` lists them",
                file.path.display()
            );
        }
    }
    Ok(FromFile {
        values,
        mcp_servers,
        webhooks,
        models,
    })
}

/// Removes the tables under a key, such as `[webhooks.NAME]` or `[[models]]`.
fn tables<T: DeserializeOwned + Default>(
    table: &mut toml::Table,
    key: &str,
    file: &ConfigFile,
) -> anyhow::Result<T> {
    let found = table.remove(key).map(toml::Value::try_into);
    let found = found.transpose();
    Ok(found
        .with_context(|| format!("{}: {key}", file.path.display()))?
        .unwrap_or_default())
}

fn flatten(prefix: &str, table: &toml::Table, values: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, values),
            toml::Value::String(text) => {
                values.insert(key, text.clone());
            }
            other => {
                values.insert(key, other.to_string());
            }
        }
    }
}

/// Parses a duration such as `90`, `90s`, `15m` or `2h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let (number, factor) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        _ => (text, 1),
    };
    let seconds = number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor));
    seconds
        .filter(|&seconds| (1..=7 * 24 * 3_600).contains(&seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| "a time from 1s to 168h is needed, such as 90s, 15m or 2h".to_owned())
}

/// Parses a retention time: a duration with a unit for [`parse_duration`], or hours, days (`30d`), weeks (`52w`) or years of
/// 365 days (`1y`) up to 100 years.
fn parse_age(text: &str) -> Option<Duration> {
    const DAY: u64 = 24 * 3_600;
    let text = text.trim();
    let (number, seconds) = match text.char_indices().next_back()? {
        (at, 'd') => (&text[..at], DAY),
        (at, 'w') => (&text[..at], 7 * DAY),
        (at, 'y') => (&text[..at], 365 * DAY),
        (at, 'h') => (&text[..at], 3_600),
        // A number alone would be seconds, where most people mean days.
        (_, '0'..='9') => return None,
        _ => return parse_duration(text).ok(),
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(seconds)?;
    (1..=36_500 * DAY)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

/// Parses a number of bytes of at least 1 MB: `20GB` (powers of 1,000), `20GiB` (powers of 1,024), or without a unit.
fn parse_size(text: &str) -> Option<u64> {
    let size: ByteSize = text.trim().parse().ok()?;
    // What is too large for 64 bits is read as their maximum.
    (1_000_000..u64::MAX).contains(&size.0).then_some(size.0)
}

/// Parses headers with references to their values.
fn parse_headers(text: &str) -> Option<Vec<(String, Reference)>> {
    let headers = text.split(',').map(str::trim);
    let headers = headers.filter(|header| !header.is_empty());
    let headers = headers.map(|header| {
        let (name, reference) = header.split_once('=')?;
        Some((name.trim().to_owned(), reference.trim().parse().ok()?))
    });
    headers.collect()
}

/// The same, and `0` or `0s` for at once.
fn parse_idle(text: &str) -> Result<Duration, String> {
    match text.trim() {
        "0" | "0s" => Ok(Duration::ZERO),
        other => parse_duration(other).map_err(|why| format!("{why}; or 0s for at once")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Settings> {
        let command = clap::Command::new("journeyman").args(flags());
        let mut all = vec!["journeyman"];
        all.extend(args);
        let matches = command.try_get_matches_from(all)?;
        let variables = variables
            .iter()
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        Settings::read(&matches, &variables)
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.toml");
        std::fs::write(
            &file,
            "data_dir = \"/f\"\n[model]\nname = \"from-file\"\nurl = \"http://f\"\n",
        )
        .unwrap();
        let file = file.to_str().unwrap();
        let variables = [
            ("JOURNEYMAN_CONFIG", file),
            ("JOURNEYMAN_MODEL", "from-env"),
        ];
        let settings = read(&["--data-dir", "/flag"], &variables).unwrap();
        assert_eq!(settings.data_dir, Path::new("/flag"));
        assert_eq!(settings.model, "from-env");
        assert_eq!(settings.model_url.as_deref(), Some("http://f"));
        assert_eq!(settings.model_context, 8_192);
        let origins: Vec<_> = settings.found.iter().map(|found| found.origin).collect();
        assert_eq!(
            origins[1..4],
            [Origin::Flag, Origin::Environment, Origin::File]
        );
    }

    #[test]
    fn the_model_and_its_url_are_told_apart() {
        let settings = read(&[], &[("JOURNEYMAN_MODEL_URL", "http://u")]).unwrap();
        assert_eq!(settings.model, "qwen2.5-coder-1.5b");
        assert_eq!(settings.model_url.as_deref(), Some("http://u"));
    }

    #[test]
    fn bad_values_name_themselves_and_where_they_came_from() {
        let error = read(&["--model-context", "12"], &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--model-context") && error.contains("12"),
            "{error}"
        );
        let error = read(&[], &[("JOURNEYMAN_JSON", "maybe")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("JOURNEYMAN_JSON"), "{error}");
        for (flag, bad) in [
            ("--model-slots", "0"),
            ("--model-slots", "65"),
            ("--model-idle", "soon"),
        ] {
            let error = read(&[flag, bad], &[]).unwrap_err().to_string();
            assert!(error.contains(flag) && error.contains(bad), "{error}");
        }
        assert!(read(&[], &[("JOURNEYMAN_CONFIG", "/no/such/file")]).is_err());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.toml");
        std::fs::write(&file, "[model]\nnmae = \"x\"\n").unwrap();
        let error = read(&["--config", file.to_str().unwrap()], &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("model.nmae"), "{error}");
    }

    #[test]
    fn the_data_folder_is_absolute_however_it_is_named() {
        let settings = read(&["--data-dir", "here"], &[]).unwrap();
        assert_eq!(
            settings.data_dir,
            std::env::current_dir().unwrap().join("here")
        );
    }

    #[test]
    fn a_key_is_never_shown() {
        let variables = [
            ("JOURNEYMAN_MODEL_API_KEY", "secret"),
            ("JOURNEYMAN_EMBEDDING_API_KEY", "secret"),
            ("HF_TOKEN", "secret"),
        ];
        let settings = read(&[], &variables).unwrap();
        assert_eq!(settings.embedding_api_key.as_deref(), Some("secret"));
        assert_eq!(settings.api_key.as_deref(), Some("secret"));
        assert_eq!(settings.hf_token.as_deref(), Some("secret"));
        assert!(settings.found.iter().all(|found| found.value != "secret"));
        let url = "http://user:secret@box:80/v1";
        let settings = read(&[], &[("JOURNEYMAN_MODEL_URL", url)]).unwrap();
        assert_eq!(settings.model_url.as_deref(), Some(url));
        let shown = settings.found.iter().find(|found| found.key == "model.url");
        assert_eq!(shown.unwrap().value, "http://user:***@box:80/v1");
    }

    #[test]
    fn a_managed_server_may_end_with_its_last_user() {
        let idle = |value| read(&["--model-idle", value], &[]).unwrap().model_idle;
        assert_eq!(idle("0s"), Duration::ZERO);
        assert_eq!(idle("0"), Duration::ZERO);
        assert_eq!(idle("2h"), Duration::from_hours(2));
        let default = read(&[], &[]).unwrap();
        assert_eq!(default.model_idle, Duration::from_mins(5));
        assert_eq!(default.model_slots, 1);
    }

    #[test]
    fn ageing_is_off_until_it_has_a_step_and_rises_as_far_as_its_cap() {
        let ageing = |flags: &[&str]| read(flags, &[]).map(|settings| settings.queue.ageing);
        assert_eq!(ageing(&["--queue-ageing-levels", "4"]).unwrap(), None);
        let step = Duration::from_mins(5);
        for (flags, levels_max) in [
            (&["--queue-ageing", "5m"][..], 3),
            (&["--queue-ageing", "5m", "--queue-ageing-levels", "1"], 1),
            (&["--queue-ageing", "5m", "--queue-ageing-levels", "10"], 10),
        ] {
            let expected = journeyman_queue::Ageing { step, levels_max };
            assert_eq!(ageing(flags).unwrap(), Some(expected));
        }
        for bad in ["0", "11", "many"] {
            let error = ageing(&["--queue-ageing-levels", bad]).unwrap_err();
            assert!(error.to_string().contains("queue.ageing_levels"), "{error}");
        }
    }

    #[test]
    fn what_is_kept_how_long_and_how_much() {
        let retention = |flags: &[&str]| read(flags, &[]).map(|settings| settings.retention);
        assert_eq!(retention(&[]).unwrap(), Retention::default());
        let day = 24 * 3_600;
        for (text, seconds) in [
            ("30d", 30 * day),
            ("2w", 14 * day),
            ("1y", 365 * day),
            ("1000h", 3_600_000),
            ("90s", 90),
            ("5m", 300),
        ] {
            let age = retention(&["--retention-age", text]).unwrap().age;
            assert_eq!(age, Some(Duration::from_secs(seconds)), "{text}");
        }
        for (text, bytes) in [
            ("1MB", 1_000_000),
            ("2 gib", 2 << 30),
            ("20GB", 20_000_000_000),
            ("1.5MB", 1_500_000),
            ("1G", 1_000_000_000),
            ("1048576", 1 << 20),
            ("1048576B", 1 << 20),
        ] {
            let read = retention(&["--retention-bytes", text]).unwrap().bytes;
            assert_eq!(read, Some(bytes), "{text}");
        }
        for (flag, bad) in [
            ("--retention-age", "30"),
            ("--retention-age", "0d"),
            ("--retention-age", "1mo"),
            ("--retention-age", "99999999999999999d"),
            ("--retention-bytes", "1KB"),
            ("--retention-bytes", "5XB"),
            ("--retention-bytes", "much"),
            ("--retention-bytes", "99999999999TB"),
        ] {
            let error = retention(&[flag, bad]).unwrap_err().to_string();
            assert!(error.contains(flag) && error.contains(bad), "{error}");
            assert!(
                error.contains("36h, 30d, 52w or 1y") || error.contains("1.5GB"),
                "{error}"
            );
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("15m"), Ok(Duration::from_mins(15)));
        for bad in ["", "0", "-1s", "1d", "m", "999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
