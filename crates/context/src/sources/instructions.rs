//! Instructions the user gave while the task was running.

use async_trait::async_trait;
use journeyman_event::TaskState;

use super::{Source, SourceInput};
use crate::piece::{Entry, LayerName, Piece, Rank, piece_of_entries};

pub(crate) struct Instructions;

#[async_trait]
impl Source for Instructions {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        instructions(input.state).into_iter().collect()
    }
}

fn instructions(state: &TaskState) -> Option<Piece> {
    if state.instructions.is_empty() {
        return None;
    }
    // A later one may take back an earlier one.
    let worths = (0_u32..).map(f64::from);
    let entries = state.instructions.iter().cloned().zip(worths);
    let entries = entries.map(|(text, worth)| Entry::new(text, worth));
    Some(piece_of_entries(
        LayerName::History,
        Rank::Critical,
        "instructions",
        "# The user also said".to_owned(),
        entries.collect(),
    ))
}
