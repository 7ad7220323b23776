//! `doctor`: checks this machine and reports the findings. Installs nothing.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;
use journeyman_event::Principal;
use journeyman_fetch::Environment;
use journeyman_language::Runner;
use journeyman_language::python::Interpreter;
use journeyman_llm::{
    EnginePurpose, EngineStatus, LLAMA_CPP, catalogue, describe, discover_servers, shown,
};
use journeyman_sandbox::Error;
use serde_json::{Value, json};

use super::engine::{engine_json, engine_text};
use super::tools;
use crate::exit::Exit;
use crate::output::{json, line};
use crate::settings::Settings;
use crate::text_format::group_digits;
use crate::wiring::{connection, holding_process, probe_sandbox, read_journal};

/// Whether something is as it has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    No,
    /// It is not there, and need not be.
    Absent,
}

impl Verdict {
    const fn of(ok: bool) -> Self {
        if ok { Self::Ok } else { Self::No }
    }
}

/// One line of the report.
struct Check {
    what: &'static str,
    verdict: Verdict,
    text: String,
    detail: Value,
}

pub(crate) async fn doctor(settings: &Settings) -> anyhow::Result<Exit> {
    let environment = Environment::find(&settings.data_dir);
    let mut checks = vec![journal(settings).await, disk(&settings.data_dir)];
    checks.push(python(environment.as_ref()));
    checks.push(sandbox(settings, environment.as_ref()).await);
    checks.extend(models(settings, environment.as_ref()).await);
    checks.extend(mcp_servers(settings).await);
    for check in &checks {
        let Check {
            what,
            verdict,
            text,
            detail,
        } = check;
        let (ok, mark) = match verdict {
            Verdict::Ok => (Some(true), "ok"),
            Verdict::No => (Some(false), "NO"),
            Verdict::Absent => (None, "-"),
        };
        if settings.json {
            json(&json!({"check": what, "ok": ok, "text": text, "detail": detail}))?;
        } else {
            line(&format!("{mark:<3} {what:<10} {text}"))?;
        }
    }
    let is_bad = checks.iter().any(|check| check.verdict == Verdict::No);
    Ok(if is_bad { Exit::Error } else { Exit::Success })
}

async fn journal(settings: &Settings) -> Check {
    let what = "journal";
    let folder = settings.data_dir.display();
    let found = async {
        let Some(journal) = read_journal(settings)? else {
            return Ok(None);
        };
        let head = journal.head(&Principal::system()).await?;
        let tasks = journal.streams(&Principal::local(), 10_000).await?.len();
        Ok::<_, anyhow::Error>(Some((head, tasks)))
    };
    let holder = holding_process(&settings.data_dir);
    match found.await {
        Ok(None) => Check {
            what,
            verdict: Verdict::Ok,
            text: format!("none yet in {folder}"),
            detail: json!({"folder": settings.data_dir, "events": 0}),
        },
        Ok(Some((head, tasks))) => Check {
            what,
            verdict: Verdict::Ok,
            text: format!(
                "{} events, {tasks} tasks in {folder}{}",
                group_digits(head.sequence.0),
                holder.map_or_else(String::new, |pid| format!(", held by process {pid}"))
            ),
            detail: json!({
                "folder": settings.data_dir, "events": head.sequence, "head": head.hash,
                "tasks": tasks, "holder": holder,
            }),
        },
        Err(error) => Check {
            what,
            verdict: Verdict::No,
            text: format!("{error:#}"),
            detail: Value::Null,
        },
    }
}

fn disk(data_dir: &Path) -> Check {
    let what = "disk";
    let existing = data_dir
        .ancestors()
        .find(|folder| folder.exists())
        .unwrap_or(data_dir);
    match rustix::fs::statvfs(existing) {
        Ok(stat) => {
            let free_mb = stat.f_bavail.saturating_mul(stat.f_frsize) / 1_000_000;
            Check {
                what,
                verdict: Verdict::of(free_mb >= 100),
                text: format!(
                    "{} MB free at {}",
                    group_digits(free_mb),
                    existing.display()
                ),
                detail: json!({"free_mb": free_mb}),
            }
        }
        Err(error) => Check {
            what,
            verdict: Verdict::No,
            text: error.to_string(),
            detail: Value::Null,
        },
    }
}

fn python(environment: Option<&Environment>) -> Check {
    let (text, interpreter) = match environment {
        Some(found) => {
            let interpreter = found.interpreter();
            (
                format!("environment at {}", interpreter.display()),
                Some(interpreter),
            )
        }
        None => (
            "no environment yet; the first run makes one".to_owned(),
            None,
        ),
    };
    Check {
        what: "python",
        verdict: Verdict::Ok,
        text,
        detail: json!({"interpreter": interpreter}),
    }
}

async fn sandbox(settings: &Settings, environment: Option<&Environment>) -> Check {
    let what = "sandbox";
    let interpreter =
        environment.map_or_else(|| "/usr/bin/python3".into(), Environment::interpreter);
    let probed = async {
        let python = Interpreter::discover(&interpreter).await?;
        let readable = python.readable().to_vec();
        if settings.data_dir.exists() {
            return probe_sandbox(settings, readable, python.interpreter()).await;
        }
        // Nothing is made by looking: a folder that goes away again stands for it.
        let stand_in = tempfile::tempdir().context("cannot make a folder to try the sandbox in")?;
        let settings = Settings {
            data_dir: stand_in.path().to_owned(),
            ..settings.clone()
        };
        probe_sandbox(&settings, readable, python.interpreter()).await
    };
    match probed.await {
        Ok(sandbox) => Check {
            what,
            verdict: Verdict::Ok,
            text: findings(&sandbox.level().to_string(), sandbox.probe_result()),
            detail: json!(sandbox.probe_result()),
        },
        Err(error) => match error.downcast_ref::<Error>() {
            Some(Error::TooWeak { probe, .. }) => Check {
                what,
                verdict: Verdict::No,
                text: findings("too weak, code will not be run", probe),
                detail: json!(probe),
            },
            _ => Check {
                what,
                verdict: Verdict::No,
                text: format!("{error:#}"),
                detail: Value::Null,
            },
        },
    }
}

fn findings(verdict: &str, probe: &journeyman_sandbox::Probe) -> String {
    let mut text = format!("{verdict}; code runs as uid {}", probe.runs_as_uid);
    for finding in &probe.findings {
        let usable = if finding.usable {
            "works"
        } else {
            "does not work"
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n               {} {usable}: {}",
            finding.level, finding.detail
        );
    }
    text
}

async fn models(settings: &Settings, environment: Option<&Environment>) -> Vec<Check> {
    let what = "model";
    let window = |info: &journeyman_llm::ModelInfo| {
        format!(
            "{} ({}), window {} tokens",
            info.name,
            info.server,
            group_digits(info.window.tokens.0)
        )
    };
    let simulated = settings
        .model_url
        .as_deref()
        .filter(|url| url.starts_with("sim:"));
    if let Some(url) = simulated {
        let text = "simulated, as configured".to_owned();
        return vec![Check {
            what,
            verdict: Verdict::Ok,
            text,
            detail: json!({"url": url}),
        }];
    }
    let connection = match connection(settings) {
        Ok(connection) => connection,
        Err(error) => {
            return vec![Check {
                what,
                verdict: Verdict::No,
                text: format!("{error:#}"),
                detail: Value::Null,
            }];
        }
    };
    if let Some(url) = &settings.model_url {
        let asked = describe(&connection, url).await;
        return vec![match asked {
            Ok(info) => Check {
                what,
                verdict: Verdict::Ok,
                text: format!("{}: {}", shown(url), window(&info)),
                detail: json!(info),
            },
            Err(error) => Check {
                what,
                verdict: Verdict::No,
                text: error.to_string(),
                detail: json!({"url": shown(url)}),
            },
        }];
    }
    let mut checks = Vec::new();
    for found in discover_servers(&connection).await {
        let (verdict, text) = match &found.info {
            Some(info) => (Verdict::Ok, format!("{}: {}", found.url, window(info))),
            None => (Verdict::Absent, format!("{}: {}", found.url, found.note)),
        };
        checks.push(Check {
            what,
            verdict,
            text,
            detail: json!(found),
        });
    }
    let engine = match (journeyman_llm::find_engine(), environment) {
        (Some(path), _) => format!("engine {}", path.display()),
        (None, Some(environment)) if environment.has(LLAMA_CPP) => {
            format!("engine {} {}", LLAMA_CPP.name, LLAMA_CPP.version)
        }
        _ => format!(
            "engine not installed yet ({} MB)",
            LLAMA_CPP.bytes / 1_000_000
        ),
    };
    let models: Vec<String> = catalogue()
        .iter()
        .map(|model| {
            let there = settings
                .data_dir
                .join("models")
                .join(&model.file.name)
                .exists();
            let state = if there {
                "fetched".to_owned()
            } else {
                let mb = model.file.bytes.div_ceil(1_000_000);
                format!("not fetched ({} MB)", group_digits(mb))
            };
            format!("{} {state}", model.name)
        })
        .collect();
    checks.push(Check {
        what,
        verdict: Verdict::Ok,
        text: format!(
            "managed: {engine}; {}; window {} tokens",
            models.join(", "),
            group_digits(settings.model_context)
        ),
        detail: json!({"engine": engine, "models": models}),
    });
    checks.push(managed(settings));
    checks
}

/// The status of the configured MCP servers, from the holder of the data folder or else by connecting to
/// them.
async fn mcp_servers(settings: &Settings) -> Vec<Check> {
    let what = "mcp";
    if settings.mcp_servers.is_empty() {
        return Vec::new();
    }
    let mut servers = match tools::listed(settings).await {
        Ok(list) => list.servers,
        Err(error) => {
            return vec![Check {
                what,
                verdict: Verdict::No,
                text: format!("{error:#}"),
                detail: Value::Null,
            }];
        }
    };
    for name in settings.mcp_servers.keys() {
        if !servers.iter().any(|server| server["name"] == name.as_str()) {
            let why = "the process that holds the data folder was started without it, or is of an older version";
            servers.push(json!({"name": name, "state": "unavailable", "why": why}));
        }
    }
    let check = |server: Value| Check {
        what,
        verdict: Verdict::of(server["state"] == "ready"),
        text: tools::server_status(&server),
        detail: server,
    };
    servers.into_iter().map(check).collect()
}

/// The state of the managed model server.
fn managed(settings: &Settings) -> Check {
    let what = "engine";
    match journeyman_llm::engine(&settings.data_dir, EnginePurpose::Answers) {
        Ok(engine) => Check {
            what,
            verdict: Verdict::of(engine.status != EngineStatus::Failed),
            text: engine_text(&engine),
            detail: engine_json(&engine),
        },
        Err(error) => Check {
            what,
            verdict: Verdict::No,
            text: error.to_string(),
            detail: Value::Null,
        },
    }
}
