//! Instructions the user gave while the task was running.

use async_trait::async_trait;
use journeyman_event::TaskState;

use super::{Source, SourceInput};
use crate::piece::{LayerName, Piece, Rank, piece};

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
    let text = format!("# The user also said\n{}", state.instructions.join("\n"));
    Some(piece(
        LayerName::History,
        Rank::Critical,
        "instructions",
        text,
    ))
}
