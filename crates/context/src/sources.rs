//! What a context is made of: each source yields its pieces of a task, in a file of its own. To add one,
//! add its file and its line in [`SOURCES`].
//!
//! The order of the sources is the order in which their pieces are sent: first what does not change within a
//! module (the task, the plan), then what is only added to (the rounds so far), then the present
//! step. What is cut when there is no room is decided in `build`.

mod dependencies;
mod given_tests;
mod instructions;
mod lookups;
mod modules;
mod request;
mod rounds;
mod task;
mod tools;

use async_trait::async_trait;
use futures_util::future::join_all;
use journeyman_event::TaskState;
use journeyman_event::payload::Purpose;
use journeyman_event::state::ModuleState;

use crate::offer::ToolOffer;
use crate::piece::Piece;

/// The call that pieces are wanted for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceInput<'a> {
    pub(crate) state: &'a TaskState,
    pub(crate) purpose: Purpose,
    /// The module that the call is for.
    pub(crate) module: Option<&'a ModuleState>,
    /// What may be called before it is answered.
    pub(crate) tools: &'a [ToolOffer],
}

/// Something that pieces come from. It may look things up; it decides nothing about room.
#[async_trait]
pub(crate) trait Source: Sync {
    /// Its pieces for a call, in the order in which they are to be sent; none if it has nothing to say.
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece>;
}

const SOURCES: &[&dyn Source] = &[
    &task::Task,
    &modules::Modules,
    &dependencies::Dependencies,
    &given_tests::GivenTests,
    &rounds::Rounds,
    &lookups::Lookups,
    &instructions::Instructions,
    &tools::Tools,
    &request::Request,
];

/// The pieces of all sources for one call.
pub(crate) async fn collect_pieces(input: SourceInput<'_>) -> Vec<Piece> {
    let all = SOURCES.iter().map(|source| source.pieces(input));
    join_all(all).await.concat()
}
