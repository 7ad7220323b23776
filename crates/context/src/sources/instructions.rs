//! What the user said while the task went on.

use async_trait::async_trait;
use journeyman_event::TaskState;

use super::{Asked, Source};
use crate::piece::{LayerName, Piece, Rank, piece};

pub(crate) struct Instructions;

#[async_trait]
impl Source for Instructions {
    async fn pieces(&self, asked: Asked<'_>) -> Vec<Piece> {
        instructions(asked.state).into_iter().collect()
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
