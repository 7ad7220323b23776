//! The knowledge graph of a task: modules, functions, tests, failures and decisions with their relations. Also the exact
//! prompts of model calls and their differences.
//!
//! Floor 3. [`Knowledge`] is a projection of a task's events. The same events give the same graph,
//! whether they are applied one by one or at once ([`rebuild`] reads them from the journal up to any moment). A
//! [`Graph`] is assembled from it: links are resolved by name from the outlines that `syntax` extracts from code.
//! This crate calls no model but the embedding model of a search, runs no code and does not write to the journal.
//! [`Offline`] is a search index over all tasks that can be deleted at any time.
//!
//! To add a kind of node: add a variant of [`Kind`], collect its data in `projection.rs`, and create its node and links in
//! `link.rs`.

mod difference;
mod graph;
mod link;
mod node;
mod offline;
mod projection;
mod rank;
mod rebuild;
mod related;
mod relevant;
mod render;
mod search;
mod sent;
mod summary;
mod telling;
mod words;

pub use difference::{Change, Difference, PieceChange, difference};
pub use graph::{Graph, NotFound};
pub use node::{Kind, Link, Missing, Node, NodeId, Relation};
pub use offline::{FoundAcross, Hit, Meaning, Offline, OfflineError};
pub use projection::Knowledge;
pub use rebuild::rebuild;
pub use related::{Depth, Related, RelatedNode, Step, Walk};
pub use relevant::relevant;
pub use render::{dot, svg};
pub use search::{Found, Index};
pub use sent::{SentCall, SentError, SentPiece, sent};
pub use summary::{
    MODULE_CHARS_MAX, NO_CODE, SHORT_CHARS_MAX, function_summary, module_summary, success_rate,
    summary, task_summary,
};
pub use telling::telling;
