//! `context`: what is known of a task, what its model was asked, and how two of its prompts differ.

use anyhow::{Context, anyhow, bail};
use journeyman_api::limits::{PAGE_MAX, check_graph_query};
use journeyman_api::{
    ContextDiff, ContextHead, ContextView, GraphQuery, MeaningState, PieceChangeView, SearchQuery,
};
use journeyman_event::{Sequence, TaskId};
use journeyman_journal::Moment;
use journeyman_knowledge::{Graph, Kind, dot, svg};
use journeyman_server::{graph_view, summary_view};
use serde_json::Value;

use crate::cli::{CallName, ContextShowArgs, GraphArgs, SummaryArgs};
use crate::exit::{Exit, UsageError};
use crate::output::{exact, json, line, stream};
use crate::reader::Reader;
use crate::settings::Settings;
use crate::text_format::{count_text, group_digits, one_line};

/// Characters of a summary on one line.
const SUMMARY_CHARS: usize = 120;

pub(crate) async fn graph(settings: &Settings, args: GraphArgs) -> anyhow::Result<Exit> {
    let query = GraphQuery {
        at: None,
        focus: (!args.focus.is_empty()).then(|| args.focus.join(",")),
        depth: args.depth,
        tokens: args.tokens,
        search: args.search,
    };
    check_graph_query(&query).map_err(|problem| UsageError(problem.detail))?;
    let task = &args.task;
    let known = Reader::open(settings)
        .await?
        .knowledge(task, args.at)
        .await?;
    let known = known.with_context(|| no_task(task, args.at))?;
    if args.dot {
        exact(&dot(&known.graph()))?;
        return Ok(Exit::Success);
    }
    if args.svg {
        exact(&svg(&known.graph()))?;
        return Ok(Exit::Success);
    }
    let view = graph_view(task, &known, &query).map_err(|problem| UsageError(problem.detail))?;
    if settings.json {
        json(&view)?;
    } else if let Some(related) = &view.related {
        for one in &related.nodes {
            line(&format!(
                "{:.4}  {:<40}  {}",
                one.rank,
                one.id,
                one_line(&one.text, SUMMARY_CHARS)
            ))?;
        }
        if related.left_out > 0 {
            line(&format!("{} more, beyond the tokens", related.left_out))?;
        }
        for missing in &related.missing {
            line(&format!("{missing} is referred to and not there"))?;
        }
    } else if let Some(found) = &view.found {
        for one in found {
            let summary = view.nodes.iter().find(|node| node.id == one.id);
            let summary = summary.map_or("", |node| &node.summary);
            line(&format!(
                "{:>8.3}  {:<40}  {}",
                one.score,
                one.id,
                one_line(summary, SUMMARY_CHARS)
            ))?;
        }
    } else {
        whole(&known.graph())?;
    }
    Ok(Exit::Success)
}

/// The graph as lines: each thing, and below it what it is linked to.
fn whole(graph: &Graph) -> anyhow::Result<()> {
    let mut counts = Vec::new();
    for kind in Kind::ALL {
        let count = graph.nodes().filter(|node| node.kind == kind).count();
        if count > 0 {
            counts.push(format!("{count} {}", kind.as_str()));
        }
    }
    let nodes = count_text(graph.nodes().len() as u64, "node");
    let links = count_text(graph.link_count() as u64, "link");
    line(&format!("{nodes} ({}), {links}", counts.join(", ")))?;
    for node in graph.nodes() {
        let stale = if node.is_stale() { " (stale)" } else { "" };
        let summary = one_line(&node.summary, SUMMARY_CHARS);
        if stream(&format!("{}{stale}  {summary}", node.id))?.is_break() {
            return Ok(());
        }
        for (link, to) in graph.from(&node.id) {
            let count = match link.count {
                0 | 1 => String::new(),
                count => format!(" x{count}"),
            };
            let relation = link.relation.as_str();
            if stream(&format!("    {relation} {}{count}", to.id))?.is_break() {
                return Ok(());
            }
        }
    }
    for link in graph.missing() {
        let relation = link.relation.as_str();
        line(&format!("missing  {} {relation} {}", link.from, link.to))?;
    }
    Ok(())
}

pub(crate) async fn show(settings: &Settings, args: ContextShowArgs) -> anyhow::Result<Exit> {
    let task = &args.task;
    let reader = Reader::open(settings).await?;
    let at = match args.at {
        None => None,
        Some(Moment::Sequence(sequence)) => Some(sequence),
        Some(moment @ (Moment::Time(_) | Moment::Version(_))) => {
            let state = reader.state_at(task, Some(moment)).await?;
            Some(state.with_context(|| no_task(task, args.at))?.sequence)
        }
    };
    let Some(view) = reader.context(task, at).await? else {
        bail!(not_asked(&reader, task).await?);
    };
    if let Some(nth) = args.message {
        let message = view.messages.get(nth - 1).ok_or_else(|| {
            let count = count_text(view.messages.len() as u64, "message");
            UsageError(format!("the call at {} has {count}", view.sequence))
        })?;
        if settings.json {
            json(message)?;
        } else {
            exact(&message.content)?;
        }
    } else if settings.json {
        json(&view)?;
    } else if args.pieces {
        pieces(&view)?;
    } else {
        for message in &view.messages {
            exact(&format!(
                "==== {} ====\n{}\n",
                message.role, message.content
            ))?;
        }
    }
    Ok(Exit::Success)
}

pub(crate) async fn summary(settings: &Settings, args: SummaryArgs) -> anyhow::Result<Exit> {
    let task = &args.task;
    let reader = Reader::open(settings).await?;
    let state = reader.state_at(task, args.at).await?;
    let state = state.with_context(|| no_task(task, args.at))?;
    let name = args.name.as_deref();
    let view = summary_view(&state, name).with_context(|| {
        let modules = state.modules.iter();
        let all: Vec<&str> = modules.map(|module| module.plan.name.as_str()).collect();
        let name = name.unwrap_or_default();
        match all.as_slice() {
            [] => format!("task {task} had no plan at that point, so there is no {name}"),
            all => format!(
                "task {task} has no module, function or class {name}; its modules are: {}",
                all.join(", ")
            ),
        }
    })?;
    if settings.json {
        json(&view)?;
        return Ok(Exit::Success);
    }
    let fields = view.summary.as_object().into_iter().flatten();
    for (field, value) in fields.filter(|(field, _)| !["of", "summary"].contains(&field.as_str())) {
        let text = match value {
            Value::Array(all) => all
                .iter()
                .filter_map(Value::as_str)
                .collect::<Vec<_>>()
                .join(", "),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if !text.is_empty() {
            line(&format!("{:<15} {text}", field.replace('_', " ")))?;
        }
    }
    line(&format!("{:<15} {}", "origin", view.origin))?;
    line(view.summary["summary"].as_str().unwrap_or_default())?;
    Ok(Exit::Success)
}

fn pieces(view: &ContextView) -> anyhow::Result<()> {
    let window = view.window.map_or_else(String::new, |window| {
        format!(" of a window of {}", group_digits(window))
    });
    line(&format!(
        "{} at {}: {}{window}",
        called(view.purpose.as_deref(), view.module.as_deref()),
        view.sequence,
        count_text(view.prompt_tokens, "token")
    ))?;
    for piece in &view.pieces {
        let tokens = piece.tokens.map_or_else(|| "?".to_owned(), group_digits);
        let why = piece
            .why
            .as_ref()
            .map_or_else(String::new, |why| format!("  ({why})"));
        let verdict = piece.verdict.as_deref().unwrap_or_default();
        line(&format!("{verdict:<8}  {tokens:>7}  {}{why}", piece.piece))?;
    }
    let parts = view.parts.iter().filter(|part| part.tokens > 0);
    let parts: Vec<String> = parts
        .map(|part| {
            let (tokens, share) = (group_digits(part.tokens), group_digits(part.share));
            format!("{} {tokens} of {share}", part.part)
        })
        .collect();
    if !parts.is_empty() {
        line(&format!("shares of the window: {}", parts.join(", ")))?;
    }
    Ok(())
}

pub(crate) async fn diff(
    settings: &Settings,
    from: CallName,
    to: CallName,
) -> anyhow::Result<Exit> {
    let reader = Reader::open(settings).await?;
    let from = resolved(&reader, from).await?;
    let to = resolved(&reader, to).await?;
    let diff = reader
        .context_diff((&from.0, from.1), (&to.0, to.1))
        .await?;
    let Some(diff) = diff else {
        for (task, at) in [&from, &to] {
            if reader.context(task, *at).await?.is_none() {
                bail!(not_asked(&reader, task).await?);
            }
        }
        bail!("one of the calls is not there any more");
    };
    if settings.json {
        json(&diff)?;
    } else {
        told(&diff)?;
    }
    Ok(Exit::Success)
}

async fn resolved(reader: &Reader, name: CallName) -> anyhow::Result<(TaskId, Option<Sequence>)> {
    match name {
        CallName::Task(task, at) => Ok((task, at)),
        CallName::Sequence(at) => {
            let task = reader.task_of(at).await?;
            let task = task.ok_or_else(|| {
                anyhow!("there is no event {at}; `journeyman events --kind model_call_started` lists the calls")
            })?;
            Ok((task, Some(at)))
        }
    }
}

fn told(diff: &ContextDiff) -> anyhow::Result<()> {
    for (side, head) in [("from", &diff.from), ("to", &diff.to)] {
        line(&format!("{side:<5} {}", headed(head)))?;
    }
    for piece in &diff.pieces {
        let why = piece
            .why
            .as_ref()
            .map_or_else(String::new, |why| format!("  ({why})"));
        let tokens = change_of(piece);
        line(&format!(
            "{:<8} {tokens:>14}  {}{why}",
            piece.change, piece.piece
        ))?;
    }
    for piece in &diff.pieces {
        if let Some(lines) = &piece.lines {
            line(&format!("\n==== {} ====", piece.piece))?;
            exact(lines)?;
        }
    }
    Ok(())
}

fn headed(head: &ContextHead) -> String {
    format!(
        "{} of {} at {}: {}",
        called(head.purpose.as_deref(), head.module.as_deref()),
        head.task_id,
        head.sequence,
        count_text(head.prompt_tokens, "token")
    )
}

/// What a call was for: `fix shop.cart`.
fn called(purpose: Option<&str>, module: Option<&str>) -> String {
    let words: Vec<&str> = purpose.into_iter().chain(module).collect();
    words.join(" ")
}

/// Tokens before and after: `300 -> 500`.
fn change_of(piece: &PieceChangeView) -> String {
    match (piece.before, piece.after) {
        (Some(before), Some(after)) if before == after => group_digits(after),
        (Some(before), Some(after)) => {
            format!("{} -> {}", group_digits(before), group_digits(after))
        }
        (None, Some(after)) => format!("+{}", group_digits(after)),
        (Some(before), None) => format!("-{}", group_digits(before)),
        (None, None) => String::new(),
    }
}

pub(crate) async fn search(
    settings: &Settings,
    words: String,
    limit: usize,
) -> anyhow::Result<Exit> {
    if words.trim().is_empty() {
        bail!(UsageError("there are no words to search for".to_owned()));
    }
    let query = SearchQuery {
        words,
        limit: Some(limit.min(PAGE_MAX)),
    };
    let found = Reader::open(settings)
        .await?
        .search(settings, &query)
        .await?;
    if settings.json {
        json(&found)?;
        return Ok(Exit::Success);
    }
    for hit in &found.hits {
        let summary = one_line(&hit.summary, SUMMARY_CHARS);
        line(&format!("{}  {:<40}  {summary}", hit.task_id, hit.id))?;
    }
    if found.behind > 0 {
        let tasks = count_text(found.behind as u64, "task");
        line(&format!("{tasks} not looked into yet: search again"))?;
    }
    let meaning = &found.meaning;
    if let Some(problem) = &meaning.problem {
        let by = match meaning.state {
            MeaningState::Failed => "by words alone",
            MeaningState::Off | MeaningState::Used => "partly by words alone",
        };
        line(&format!("searched {by}: {problem}"))?;
    } else if meaning.behind > 0 {
        let nodes = count_text(meaning.behind as u64, "entry");
        line(&format!(
            "{nodes} searched by words alone so far: search again"
        ))?;
    }
    Ok(Exit::Success)
}

fn no_task(task: &TaskId, at: Option<Moment>) -> String {
    match at {
        None => format!("there is no task {task}; `journeyman tasks` lists them"),
        Some(_) => {
            format!(
                "task {task} did not exist at that point; `journeyman events --task {task}` shows its history"
            )
        }
    }
}

async fn not_asked(reader: &Reader, task: &TaskId) -> anyhow::Result<String> {
    Ok(if reader.state(task).await?.is_none() {
        no_task(task, None)
    } else {
        format!(
            "no model call of task {task} exists at this point; `journeyman events --task {task} --kind \
             model_call_started` lists the calls"
        )
    })
}
