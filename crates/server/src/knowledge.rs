//! The knowledge graph of a task, its exact prompts, their differences, and search over all tasks.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use journeyman_api::limits::{WORDS_CHARS_MAX, check_graph_query, check_word, page_limit};
use journeyman_api::{
    At, AtQuery, ContextDiff, ContextDiffQuery, ContextHead, ContextView, FoundView, GraphQuery,
    GraphView, HitView, IfNoneMatch, LinkView, MeaningState, MeaningView, MessageView, NodeView,
    PartView, PieceChangeView, PieceView, Problem, RelatedNodeView, RelatedView, SearchQuery,
    SearchView, SummaryQuery, SummaryView, TaskPath, task_name,
};
use journeyman_event::{Sequence, TaskId, TaskState, Tokens, word};
use journeyman_knowledge::{
    Depth, FoundAcross, Graph, Index, Knowledge, Meaning, Node, NotFound, SentCall, SentError,
    Walk, difference, dot, rebuild, sent, svg,
};

use crate::app::App;
use crate::auth::Caller;
use crate::conditions::{Conditions, Tag};
use crate::problem::{Rejection, defect};
use crate::query::{Task, ValidQuery};
use crate::tasks::{moment, state_at};

/// The default token budget of related nodes.
const TOKENS: u64 = 1_200;
/// The most results of a search in one graph.
const FOUND_MAX: usize = 50;
/// The default number of results of a search over all tasks.
const FOUND: usize = 20;

/// Get the knowledge graph of a task: modules, functions, tests, failures, decisions and their relations.
#[utoipa::path(
    get, path = "/tasks/{task_id}/graph", tag = "knowledge", params(TaskPath, GraphQuery, IfNoneMatch),
    responses((status = 200, body = GraphView, headers(("ETag" = String, description = "The entity tag of this response")))),
)]
pub(crate) async fn graph(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(query): ValidQuery<GraphQuery>,
    conditions: Conditions,
) -> Result<Response, Rejection> {
    check_graph_query(&query)?;
    let known = known(&app, &caller, &task, query.at).await?;
    let made = apart(move || graph_view(&task, &known, &query)).await?;
    conditions.json(&made?)
}

/// Get the knowledge graph of a task as an SVG drawing.
#[utoipa::path(
    get, path = "/tasks/{task_id}/graph.svg", tag = "knowledge", params(TaskPath, AtQuery, IfNoneMatch),
    responses((status = 200, body = String, content_type = "image/svg+xml", headers(("ETag" = String, description = "The entity tag of this response")))),
)]
pub(crate) async fn graph_svg(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(query): ValidQuery<AtQuery>,
    conditions: Conditions,
) -> Result<Response, Rejection> {
    drawn(
        &app,
        &caller,
        &task,
        query.at,
        &conditions,
        "image/svg+xml",
        svg,
    )
    .await
}

/// Get the knowledge graph of a task in the Graphviz language.
#[utoipa::path(
    get, path = "/tasks/{task_id}/graph.dot", tag = "knowledge", params(TaskPath, AtQuery, IfNoneMatch),
    responses((status = 200, body = String, content_type = "text/vnd.graphviz", headers(("ETag" = String, description = "The entity tag of this response")))),
)]
pub(crate) async fn graph_dot(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(query): ValidQuery<AtQuery>,
    conditions: Conditions,
) -> Result<Response, Rejection> {
    drawn(
        &app,
        &caller,
        &task,
        query.at,
        &conditions,
        "text/vnd.graphviz",
        dot,
    )
    .await
}

/// Get the exact prompt of the last model call at or before a position.
#[utoipa::path(
    get, path = "/tasks/{task_id}/context", tag = "knowledge", params(TaskPath, AtQuery, IfNoneMatch),
    responses((status = 200, body = ContextView, headers(("ETag" = String, description = "The entity tag of this response")))),
)]
pub(crate) async fn context(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(query): ValidQuery<AtQuery>,
    conditions: Conditions,
) -> Result<Response, Rejection> {
    let call = asked(&app, &caller, &task, query.at).await?;
    conditions.json(&context_view(&call))
}

/// Compare the prompts of two model calls piece by piece.
#[utoipa::path(
    get, path = "/tasks/{task_id}/context/diff", tag = "knowledge", params(TaskPath, ContextDiffQuery, IfNoneMatch),
    responses((status = 200, body = ContextDiff, headers(("ETag" = String, description = "The entity tag of this response")))),
)]
pub(crate) async fn context_diff(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(query): ValidQuery<ContextDiffQuery>,
    conditions: Conditions,
) -> Result<Response, Rejection> {
    let from_task = match &query.from_task {
        Some(name) => task_name("from_task", name)?,
        None => task.clone(),
    };
    let from = asked(&app, &caller, &from_task, Some(At::Position(query.from))).await?;
    let to = asked(&app, &caller, &task, query.to.map(At::Position)).await?;
    let made = apart(move || diff_view(&from, &to)).await?;
    conditions.json(&made)
}

/// Get the summary of a task, or of a module, function or class of it.
#[utoipa::path(
    get, path = "/tasks/{task_id}/summary", tag = "knowledge", params(TaskPath, SummaryQuery, IfNoneMatch),
    responses((status = 200, body = SummaryView, headers(("ETag" = String, description = "The entity tag of this response")))),
)]
pub(crate) async fn summary(
    State(app): State<App>,
    caller: Caller,
    Task(task): Task,
    ValidQuery(query): ValidQuery<SummaryQuery>,
    conditions: Conditions,
) -> Result<Response, Rejection> {
    check_word("name", query.name.as_deref(), WORDS_CHARS_MAX)?;
    let state = state_at(query.at, &app, &caller.principal, &task).await?;
    let name = query.name.as_deref();
    let view = summary_view(&state, name).ok_or_else(|| {
        let name = name.unwrap_or_default();
        Problem::not_found(format!(
            "task {task} has no module, function or class {name} there"
        ))
    })?;
    conditions.json(&view)
}

/// The view of a summary; `None` if the task has nothing of this name.
pub fn summary_view(state: &TaskState, name: Option<&str>) -> Option<SummaryView> {
    let (origin, made) = journeyman_knowledge::summary(state, name)?;
    Some(SummaryView {
        origin: word(&origin)?,
        summary: serde_json::to_value(made).ok()?,
    })
}

/// Search the knowledge graphs of all tasks.
#[utoipa::path(
    get, path = "/search", tag = "knowledge", params(SearchQuery),
    responses((status = 200, body = SearchView)),
)]
pub(crate) async fn search(
    State(app): State<App>,
    caller: Caller,
    ValidQuery(query): ValidQuery<SearchQuery>,
) -> Result<Json<SearchView>, Rejection> {
    check_word("words", Some(&query.words), WORDS_CHARS_MAX)?;
    let limit = page_limit(query.limit, FOUND)?;
    let (journal, principal) = (app.tasks.journal(), &caller.principal);
    let index = app.tasks.knowledge();
    let found = index.search(journal, principal, &query.words, limit);
    Ok(Json(search_view(found.await?)))
}

/// The view of search results.
pub fn search_view(found: FoundAcross) -> SearchView {
    let hits = found.hits.into_iter().map(|hit| HitView {
        task_id: hit.task.to_string(),
        id: hit.node,
        kind: hit.kind,
        summary: hit.summary,
        sequence: hit.sequence.map(|sequence| sequence.0),
        score: hit.score,
        similarity: hit.similarity,
    });
    SearchView {
        hits: hits.collect(),
        behind: found.behind,
        meaning: meaning_view(found.meaning),
    }
}

fn meaning_view(meaning: Meaning) -> MeaningView {
    match meaning {
        Meaning::Off => MeaningView::default(),
        Meaning::Used {
            model,
            behind,
            problem,
        } => MeaningView {
            state: MeaningState::Used,
            model: Some(model),
            behind,
            problem,
        },
        Meaning::Failed { problem } => MeaningView {
            state: MeaningState::Failed,
            problem: Some(problem),
            ..MeaningView::default()
        },
    }
}

async fn known(
    app: &App,
    caller: &Caller,
    task: &TaskId,
    at: Option<At>,
) -> Result<Knowledge, Rejection> {
    let moment = at.map(moment);
    let known = rebuild(app.tasks.journal(), &caller.principal, task, moment).await?;
    let Some(known) = known else {
        app.tasks.current(&caller.principal, task).await?; // or it is not there at all
        return Err(Problem::not_found(format!("task {task} did not exist at that point")).into());
    };
    Ok(known)
}

async fn asked(
    app: &App,
    caller: &Caller,
    task: &TaskId,
    at: Option<At>,
) -> Result<SentCall, Rejection> {
    let at = match at {
        Some(At::Position(position)) => Some(position.sequence()),
        Some(At::Time(_)) => Some(state_at(at, app, &caller.principal, task).await?.sequence),
        None => None,
    };
    let call = sent(app.tasks.journal(), &caller.principal, task, at).await;
    match call {
        Ok(Some(call)) => Ok(call),
        Ok(None) => {
            app.tasks.current(&caller.principal, task).await?; // or it is not there at all
            let detail =
                format!("no model call of task {task} exists at this point; look at a later one");
            Err(Problem::not_found(detail).into())
        }
        Err(SentError::Journal(error)) => Err(error.into()),
        Err(error @ SentError::Missing { .. }) => {
            let detail = error.to_string();
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "journal-damaged", detail).into())
        }
    }
}

/// Runs CPU-bound work on a blocking thread.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Rejection> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| defect().into())
}

/// A graph as text of the media type `kind`.
async fn drawn(
    app: &App,
    caller: &Caller,
    task: &TaskId,
    at: Option<At>,
    conditions: &Conditions,
    kind: &'static str,
    draw: fn(&Graph) -> String,
) -> Result<Response, Rejection> {
    let known = known(app, caller, task, at).await?;
    let text = apart(move || draw(&known.graph())).await?;
    let tag = Tag::of(text.as_bytes());
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // It is looked at, and nothing in it is to be run or fetched.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox",
        ),
    ];
    Ok(conditions.answer(&tag, (headers, text).into_response()))
}

/// The view of a knowledge graph, with the related and found nodes that the query asks for. The bounds of the query
/// are checked with [`check_graph_query`] before.
///
/// # Errors
///
/// The focus names no node, or more than one.
pub fn graph_view(
    task: &TaskId,
    known: &Knowledge,
    query: &GraphQuery,
) -> Result<GraphView, Problem> {
    let graph = known.graph();
    let related = match &query.focus {
        Some(focus) => Some(related_view(&graph, focus, query)?),
        None => None,
    };
    let found = query.search.as_ref().map(|words| {
        let found = Index::of(&graph).search(words, FOUND_MAX).into_iter();
        let found = found.map(|found| FoundView {
            id: found.id.to_string(),
            score: found.score,
        });
        found.collect()
    });
    let links = graph.links().map(|(from, link, to)| LinkView {
        from: from.id.to_string(),
        relation: link.relation.as_str().to_owned(),
        to: to.id.to_string(),
        count: link.count,
    });
    let missing = graph.missing().iter().map(|link| LinkView {
        from: link.from.to_string(),
        relation: link.relation.as_str().to_owned(),
        to: link.to.to_string(),
        count: 1,
    });
    Ok(GraphView {
        task_id: task.to_string(),
        sequence: known.sequence().0,
        nodes: graph.nodes().map(node_view).collect(),
        links: links.collect(),
        missing: missing.collect(),
        left_out: graph.left_out(),
        skipped: known.skipped(),
        related,
        found,
    })
}

fn node_view(node: &Node) -> NodeView {
    NodeView {
        id: node.id.to_string(),
        kind: node.kind.as_str().to_owned(),
        label: node.label.clone(),
        summary: node.summary.clone(),
        module: node.module.as_ref().map(ToString::to_string),
        actor: node.actor.as_ref().map(ToString::to_string),
        sequence: node.source.map(|source| source.0),
        line: node.line,
        clock: serde_json::to_value(&*node.clock).unwrap_or_default(),
        is_stale: node.is_stale(),
    }
}

fn related_view(graph: &Graph, focus: &str, query: &GraphQuery) -> Result<RelatedView, Problem> {
    let depth = query.depth.map_or_else(Depth::default, Depth::new);
    let tokens = query.tokens.unwrap_or(TOKENS);
    let names: Vec<String> = focus
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect();
    let focus = graph
        .focus(&names)
        .map_err(|error: NotFound| Problem::field("focus", error.to_string()))?;
    let walk = Walk {
        depth,
        tokens: Tokens(tokens),
    };
    let related = graph.related(&focus, walk);
    let nodes = related.nodes.iter().map(|one| RelatedNodeView {
        id: one.node.id.to_string(),
        distance: one.distance(),
        arrows: one.arrows(),
        rank: one.rank,
        tokens: one.tokens.0,
        text: one.to_string(),
    });
    Ok(RelatedView {
        focus: focus.iter().map(ToString::to_string).collect(),
        nodes: nodes.collect(),
        tokens: related.tokens.0,
        left_out: related.left_out,
        missing: related.missing,
    })
}

/// The view of a model call.
pub fn context_view(call: &SentCall) -> ContextView {
    let messages = call.messages().map(|(message, text)| MessageView {
        role: message.role.clone(),
        content: text.to_owned(),
    });
    let pieces = call.pieces().into_iter().map(|piece| PieceView {
        piece: piece.name.to_owned(),
        verdict: word(&piece.verdict),
        why: some(piece.why),
        tokens: piece.tokens.map(|tokens| tokens.0),
    });
    let parts = call.built.iter().flat_map(|built| &built.parts);
    let parts = parts.map(|part| PartView {
        part: part.name.clone(),
        share: part.share.0,
        tokens: part.tokens.0,
    });
    let sent = &call.call;
    ContextView {
        sequence: call.sequence.0,
        purpose: word(&sent.purpose),
        module: call.module.as_ref().map(ToString::to_string),
        messages: messages.collect(),
        schema: call.schema.clone(),
        pieces: pieces.collect(),
        parts: parts.collect(),
        window: call.built.as_ref().map(|built| built.window.0),
        prompt_tokens: sent.prompt_tokens.0,
        is_exact: sent.exact,
        max_tokens: sent.max_tokens.0,
        model: sent.model.clone(),
        temperature: sent.temperature,
        seed: sent.seed,
    }
}

/// The view of the difference between two model calls.
pub fn diff_view(from: &SentCall, to: &SentCall) -> ContextDiff {
    let pieces = difference(from, to).pieces.into_iter();
    let pieces = pieces.map(|piece| PieceChangeView {
        piece: piece.name,
        change: piece.change.as_str().to_owned(),
        before: piece.before.map(|tokens| tokens.0),
        after: piece.after.map(|tokens| tokens.0),
        why: some(&piece.why),
        lines: piece.lines,
    });
    ContextDiff {
        from: head(from),
        to: head(to),
        pieces: pieces.collect(),
    }
}

fn head(call: &SentCall) -> ContextHead {
    let Sequence(sequence) = call.sequence;
    ContextHead {
        task_id: call.task.to_string(),
        sequence,
        purpose: word(&call.call.purpose),
        module: call.module.as_ref().map(ToString::to_string),
        prompt_tokens: call.call.prompt_tokens.0,
        window: call.built.as_ref().map(|built| built.window.0),
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
