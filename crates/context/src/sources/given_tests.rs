//! The test files given by the user: those of the current module, or all.

use async_trait::async_trait;
use journeyman_event::TaskState;
use journeyman_event::payload::{PlannedModule, TestOrigin};
use journeyman_language::of_task;

use super::{Source, SourceInput};
use crate::piece::{Keep, LayerName, Piece, Rank, piece_that_keeps};

pub(crate) struct GivenTests;

#[async_trait]
impl Source for GivenTests {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        given_tests(input.state, input.module.map(|module| &module.plan))
    }
}

/// The given tests, except those that the prompt itself contains.
fn given_tests(state: &TaskState, module: Option<&PlannedModule>) -> Vec<Piece> {
    state
        .given_tests()
        .iter()
        .filter(|test| test.origin == TestOrigin::File)
        .filter(|test| module.is_none_or(|module| module.given_tests.contains(&test.name)))
        .map(|test| {
            let block = of_task(state).prompt_texts().block(&test.source);
            let text = format!("# These tests must pass ({})\n{block}", test.name);
            piece_that_keeps(
                Keep::Ends,
                LayerName::State,
                Rank::High,
                format!("given tests {}", test.name),
                text,
            )
        })
        .collect()
}
