//! `tools` and `call`: lists the tools that may be called on a task, and calls one.

use std::fmt::Write;
use std::io::Read;

use anyhow::{Context, bail};
use journeyman_api::json::Object;
use journeyman_api::{Call, ToolCalls, ToolList, ToolStep};
use journeyman_server::tool_list;
use journeyman_tools::{Dispatcher, DispatcherOptions, Registry};
use journeyman_workflow::Toolbox;
use serde_json::{Map, Value, json};

use crate::cli::CallArgs;
use crate::client::Client;
use crate::exit::{Exit, UsageError};
use crate::output::{json, line};
use crate::settings::Settings;
use crate::text_format::one_line;
use crate::wiring::{settled, start_servers};

/// The most characters shown of a tool's description.
const DESCRIPTION_MAX: usize = 80;
/// The largest arguments accepted.
const ARGUMENTS_MAX: u64 = 1 << 20;

pub(crate) async fn tools(settings: &Settings) -> anyhow::Result<Exit> {
    let ToolList { tools, servers } = listed(settings).await?;
    if settings.json {
        let tools: Result<Vec<Value>, _> = tools.iter().map(serde_json::to_value).collect();
        for (kind, mut one) in typed("tool", tools?).chain(typed("server", servers)) {
            one["type"] = json!(kind);
            json(&one)?;
        }
        return Ok(Exit::Success);
    }
    let widths = tools.iter().map(|tool| tool.name.chars().count());
    let width = widths.max().unwrap_or_default();
    for tool in &tools {
        let name = &tool.name;
        let permission = tool.permission.as_deref().unwrap_or_default();
        let description = one_line(&tool.description, DESCRIPTION_MAX);
        line(&format!("{name:<width$}  {permission:<8}  {description}"))?;
    }
    for (at, server) in servers.iter().enumerate() {
        let lead = if at == 0 { "\n" } else { "" };
        line(&format!("{lead}MCP server {}", server_status(server)))?;
    }
    Ok(Exit::Success)
}

fn typed(kind: &'static str, values: Vec<Value>) -> impl Iterator<Item = (&'static str, Value)> {
    values.into_iter().map(move |value| (kind, value))
}

/// The tools and servers of the holder of the data folder, or those of the settings if there is none.
pub(super) async fn listed(settings: &Settings) -> anyhow::Result<ToolList> {
    if let Some(client) = Client::find(settings).await? {
        return Ok(client.call(Call::tools()).await?);
    }
    let registry = Registry::with_built_ins()?;
    let servers = start_servers(settings, &registry);
    settled(&servers).await;
    let toolbox = Toolbox::new(
        Dispatcher::new(registry, DispatcherOptions::default()),
        Vec::new(),
    );
    let standings: Result<Vec<Value>, _> =
        servers.status().iter().map(serde_json::to_value).collect();
    let list = tool_list(toolbox.all(), standings?);
    servers.shutdown().await;
    Ok(list)
}

/// The status of a server, with its unused tools.
pub(super) fn server_status(server: &Value) -> String {
    let name = server["name"].as_str().unwrap_or_default();
    match server["state"].as_str() {
        Some("ready") => {
            let mut text = format!("{name}: ready, {} tools", server["tools"]);
            for skipped in server["skipped"].as_array().into_iter().flatten() {
                let word = |key: &str| one_line(skipped[key].as_str().unwrap_or_default(), 200);
                // A String takes everything.
                let _ = write!(text, "\n    without {}: {}", word("name"), word("why"));
            }
            text
        }
        Some("unavailable") => {
            let why = server["why"].as_str().unwrap_or_default();
            format!("{name}: not there: {}", one_line(why, 300))
        }
        _ => format!("{name}: being connected to"),
    }
}

pub(crate) async fn call(settings: &Settings, args: CallArgs) -> anyhow::Result<Exit> {
    let CallArgs {
        task,
        tool,
        arguments,
        only,
    } = args;
    let arguments = read_arguments(arguments)?;
    let Some(client) = Client::find(settings).await? else {
        bail!(
            "tools are called by the process that works on the tasks, and none does in {}: start `journeyman serve` \
             and call again",
            settings.data_dir.display()
        );
    };
    let step = ToolStep {
        name: tool.clone(),
        arguments: Some(arguments),
    };
    let steps = vec![Object(step)];
    let call = Call::call_tools(&task, &ToolCalls { steps });
    let calls = client.call(call.only_at(only.version()));
    let ended = calls.await?.completed.into_iter().next();
    let ended = ended.context("the server does not say how the call ended")?;
    let is_ok = ended.outcome == "ok";
    if settings.json {
        json(&serde_json::to_value(&ended)?)?;
    } else {
        if !is_ok {
            let how = ended.kind.as_ref().unwrap_or(&ended.outcome);
            bail!("{tool} ({how}): {}", ended.text);
        }
        line(ended.text.trim_end_matches('\n'))?;
    }
    Ok(if is_ok { Exit::Success } else { Exit::Error })
}

fn read_arguments(given: String) -> anyhow::Result<Map<String, Value>> {
    let mut text = given;
    if text == "-" {
        text.clear();
        let mut input = std::io::stdin().take(ARGUMENTS_MAX + 1);
        let read = input.read_to_string(&mut text);
        read.context("cannot read the arguments")?;
    }
    if text.len() as u64 > ARGUMENTS_MAX {
        return Err(UsageError("the arguments are larger than 1 MiB".to_owned()).into());
    }
    serde_json::from_str(&text).map_err(|error| {
        let what = "the arguments must be a JSON object, such as {\"path\": \"solution.py\"}";
        UsageError(format!("{what}: {error}")).into()
    })
}
