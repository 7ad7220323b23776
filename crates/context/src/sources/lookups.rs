//! The results of the look-up step before planning.

use async_trait::async_trait;
use journeyman_event::TaskState;
use journeyman_event::payload::Purpose;
use serde_json::Value;

use super::{Source, SourceInput};
use crate::piece::{LayerName, Piece, Rank, piece};

pub(crate) struct Lookups;

#[async_trait]
impl Source for Lookups {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        match input.purpose {
            Purpose::LookUp => Vec::new(),
            _ => looked_up(input.state),
        }
    }
}

/// The results of the look-up step, which are the same for all later calls.
fn looked_up(state: &TaskState) -> Vec<Piece> {
    let pieces = state.lookups.iter().map(|call| {
        let values = call.request.arguments.values().filter_map(Value::as_str);
        let about = values.collect::<Vec<_>>().join(", ");
        let about = if about.is_empty() {
            &call.request.name
        } else {
            &about
        };
        // Under the tool's name and without the last line, small models plan programs that call it.
        let text = format!(
            "# {about}\n```\n{}\n```\nThis is known already: the program must not read it.",
            call.text
        );
        piece(
            LayerName::State,
            Rank::High,
            format!("looked up {about}"),
            text,
        )
    });
    pieces.collect()
}
