//! The knowledge graph of a task, search, and the difference between two prompts.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::tasks::{At, Position};

/// Query parameters of a knowledge graph.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GraphQuery {
    /// Returns the graph after the event at this position, or after the last event before it; or at this time.
    #[param(inline)]
    pub at: Option<At>,
    /// The nodes for `related`: ids or names, separated by commas.
    #[param(min_length = 1, max_length = 2_000)]
    pub focus: Option<String>,
    /// The most relations from the focus; default 2.
    #[param(minimum = 1, maximum = 3)]
    pub depth: Option<usize>,
    /// The most tokens of all related entries together; default 1,200.
    #[param(minimum = 0, maximum = 1_000_000)]
    pub tokens: Option<u64>,
    /// The words to search for, for `found`.
    #[param(min_length = 1, max_length = 2_000)]
    pub search: Option<String>,
}

/// Query parameters of a summary.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SummaryQuery {
    /// A module, function or class by its full or its short name, such as `shop.cart` or `shop.cart.total`; the task itself
    /// by default.
    #[param(min_length = 1, max_length = 2_000)]
    pub name: Option<String>,
    /// As it was after the event at this position, or after the last event before it; or at this time.
    #[param(inline)]
    pub at: Option<At>,
}

/// A summary of a task, a module, or a function.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SummaryView {
    /// `model` if the model wrote it, `extracted` if it was taken from the code and the history.
    pub origin: String,
    /// Its fields. `of` is `task`, `module` or `function`; `summary` says it in words.
    #[schema(value_type = Object)]
    pub summary: serde_json::Value,
}

/// A node of the graph.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    /// The id: kind and name.
    pub id: String,
    /// `task`, `module`, `class`, `func`, `test`, `attempt`, `error`, `decision`, `concept` or `library`.
    pub kind: String,
    /// The short name.
    pub label: String,
    /// The content in short.
    pub summary: String,
    /// The module it belongs to.
    pub module: Option<String>,
    /// The actor of the event, for tasks, decisions and looked-up texts.
    pub actor: Option<String>,
    /// The position of the event with the full content.
    pub sequence: Option<u64>,
    /// For code, the line on which it begins, starting at 1.
    pub line: Option<usize>,
    /// The vector clock of the event that the content comes from.
    #[schema(value_type = Object)]
    pub clock: serde_json::Value,
    /// Whether the content is outdated because its subject has changed since.
    pub is_stale: bool,
}

/// A link between two nodes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LinkView {
    /// The id of the source.
    pub from: String,
    /// `contains`, `depends_on`, `references`, `tested_by`, `caused_by` or `fixed_by`.
    pub relation: String,
    /// The id of the target. For `missing` links it is not in the graph.
    pub to: String,
    /// The number of uses; 1 for relations that are not counted.
    pub count: u32,
}

/// A node related to the focus.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RelatedNodeView {
    /// The id of the node.
    pub id: String,
    /// The number of relations from the focus.
    pub distance: usize,
    /// The shortest path with arrows, such as `[-> shop.sums -> add]`.
    pub arrows: String,
    /// The personalised `PageRank`, 0 to 1.
    pub rank: f64,
    /// The tokens of its entry, estimated.
    pub tokens: u64,
    /// The entry: path and summary.
    pub text: String,
}

/// The nodes related to the focus.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RelatedView {
    /// The ids of the focus.
    pub focus: Vec<String>,
    /// The related nodes, the one with the highest rank first.
    pub nodes: Vec<RelatedNodeView>,
    /// The tokens of all entries together, estimated.
    pub tokens: u64,
    /// The number of nodes within the depth that did not fit the token budget.
    pub left_out: usize,
    /// Link targets that are not in the graph.
    pub missing: Vec<String>,
}

/// A node that matches the search.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FoundView {
    /// The id of the node.
    pub id: String,
    /// The BM25 score; comparable only within one search.
    pub score: f64,
}

/// The knowledge graph of a task.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GraphView {
    /// The id of the task.
    pub task_id: String,
    /// The position of the last event that was applied.
    pub sequence: u64,
    /// The nodes, in an order that is the same for every reader.
    pub nodes: Vec<NodeView>,
    /// The links between nodes that are both in the graph.
    pub links: Vec<LinkView>,
    /// Links whose target is not in the graph.
    pub missing: Vec<LinkView>,
    /// The number of nodes dropped because the graph is full.
    pub left_out: usize,
    /// The number of events that could not be read or have an unknown kind.
    pub skipped: u64,
    /// The nodes related to the focus; `null` without `focus`.
    pub related: Option<RelatedView>,
    /// The nodes that match the words, best first; `null` without `search`.
    pub found: Option<Vec<FoundView>>,
}

/// Query parameters of a search over all tasks.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// The words, as in code or in a sentence.
    #[param(min_length = 1, max_length = 2_000)]
    pub words: String,
    /// The most results; default 20.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
}

/// A node of some task that matches the search.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HitView {
    /// The id of the task.
    pub task_id: String,
    /// The id of the node in the task's graph.
    pub id: String,
    /// The kind of the node.
    pub kind: String,
    /// The content in short.
    pub summary: String,
    /// The position of the event with the full content.
    pub sequence: Option<u64>,
    /// The score by which the results are ordered; comparable only within one search.
    pub score: f64,
    /// The similarity to the words, -1 to 1, if the node was found by meaning; how much a number means depends on
    /// the embedding model.
    #[serde(default)]
    pub similarity: Option<f32>,
}

/// The results of a search over all tasks.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct SearchView {
    /// The best matches first.
    pub hits: Vec<HitView>,
    /// The number of changed tasks that are not re-indexed yet. The next search continues with them.
    pub behind: usize,
    /// Whether the search was by meaning too, and what is left to do for that.
    #[serde(default)]
    pub meaning: MeaningView,
}

/// Whether a search was by meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MeaningState {
    /// No embedding model is configured: the search was by words.
    #[default]
    Off,
    /// The search was by words and by meaning.
    Used,
    /// The embedding model could not be asked: the search was by words alone.
    Failed,
}

/// The part of an embedding model in a search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MeaningView {
    /// Whether the search was by meaning.
    pub state: MeaningState,
    /// The name of the embedding model, if it was used.
    pub model: Option<String>,
    /// The number of nodes that have no vector yet and were searched by words alone. The next search continues with
    /// them.
    pub behind: usize,
    /// What failed, if anything did.
    pub problem: Option<String>,
}

/// Query parameters of a comparison of two model calls.
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ContextDiffQuery {
    /// The first call is the last one at or before this position.
    #[param(value_type = u64, minimum = 0)]
    pub from: Position,
    /// The task of the first call; default is the task in the path.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
    pub from_task: Option<String>,
    /// The second call is the last one at or before this position; default is the last call.
    #[param(value_type = Option<u64>, minimum = 0)]
    pub to: Option<Position>,
}

/// One of two compared calls.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ContextHead {
    /// The id of the task.
    pub task_id: String,
    /// The position of the call.
    pub sequence: u64,
    /// The purpose: `look_up`, `plan`, `code`, `tests`, `fix`, `review`, `answer`,
    /// `module_summary` or `task_summary`.
    pub purpose: Option<String>,
    /// The module the call was for.
    pub module: Option<String>,
    /// The size of the prompt in tokens.
    pub prompt_tokens: u64,
    /// The size of the model's window in tokens.
    pub window: Option<u64>,
}

/// One piece of the two prompts and how it changed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PieceChangeView {
    /// The name of the piece.
    pub piece: String,
    /// `same`, `changed`, `came`, `went`, or `unknown` where an older version recorded one of the calls.
    pub change: String,
    /// Its tokens in the first call; `null` if it was not sent or its size is not known.
    pub before: Option<u64>,
    /// Its tokens in the second call.
    pub after: Option<u64>,
    /// The reason recorded in the second call.
    pub why: Option<String>,
    /// The changed lines as a unified diff.
    pub lines: Option<String>,
}

/// The difference between the prompts of two calls.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ContextDiff {
    /// The call that is compared with.
    pub from: ContextHead,
    /// The call whose changes are listed.
    pub to: ContextHead,
    /// The pieces in the order of the second call, then the pieces that only the first call has.
    pub pieces: Vec<PieceChangeView>,
}
