//! The sources of a context: each returns its pieces for a task and has a file of its own. To add one, add its file
//! and an entry in [`SOURCES`].
//!
//! The order of the sources is the order in which pieces are sent: first those that do not change within a module
//! (the task, the plan), then those that only grow (the rounds so far), then the current step. What is cut when
//! there is no room is decided in `build`.

mod dependencies;
mod given_tests;
mod instructions;
mod lookups;
mod modules;
mod related;
mod request;
mod rounds;
mod task;
mod tools;

use async_trait::async_trait;
use futures_util::future::join_all;
use journeyman_event::TaskState;
use journeyman_event::payload::{Form, Purpose};
use journeyman_event::state::ModuleState;
use journeyman_knowledge::Graph;

use crate::offer::ToolOffer;
use crate::piece::Piece;
use crate::profile::Profile;

/// The call for which pieces are collected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceInput<'a> {
    pub(crate) state: &'a TaskState,
    pub(crate) purpose: Purpose,
    /// How code is asked for.
    pub(crate) form: Form,
    /// The module the call is for.
    pub(crate) module: Option<&'a ModuleState>,
    /// The tools that may be called before answering.
    pub(crate) tools: &'a [ToolOffer],
    /// What is known of the task, and how it is related.
    pub(crate) graph: Option<&'a Graph>,
    /// The shares of the window.
    pub(crate) profile: &'a Profile,
}

/// A source of pieces. It may look things up, but does not decide what fits.
#[async_trait]
pub(crate) trait Source: Sync {
    /// The pieces for a call, in the order in which they are sent. Empty if the source has nothing to
    /// contribute.
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece>;
}

const SOURCES: &[&dyn Source] = &[
    &task::Task,
    &modules::Modules,
    &dependencies::Dependencies,
    &given_tests::GivenTests,
    &related::Related,
    &rounds::Rounds,
    &lookups::Lookups,
    &instructions::Instructions,
    &tools::Tools,
    &request::Request,
];

/// Collects the pieces of all sources for a call.
pub(crate) async fn collect_pieces(input: SourceInput<'_>) -> Vec<Piece> {
    let all = SOURCES.iter().map(|source| source.pieces(input));
    join_all(all).await.concat()
}
