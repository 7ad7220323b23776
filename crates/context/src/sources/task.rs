//! The task in the user's words. It is never cut, like all pieces of [`Rank::Critical`].

use async_trait::async_trait;
use journeyman_event::TaskState;
use journeyman_event::payload::Purpose;
use journeyman_event::state::ModuleState;
use journeyman_language::of_task;

use super::{Source, SourceInput};
use crate::piece::{LayerName, Piece, Rank, piece};

pub(crate) struct Task;

#[async_trait]
impl Source for Task {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        vec![task(input.state, input.purpose, input.module)]
    }
}

fn task(state: &TaskState, purpose: Purpose, module: Option<&ModuleState>) -> Piece {
    let prompt = state
        .submission
        .as_ref()
        .map_or("", |submission| submission.prompt.trim());
    let language = of_task(state);
    // A prompt that is code is sent as a completion, the form on which code models are trained.
    let text = match module {
        Some(module) if module.plan.completes_prompt => format!(
            "Complete the file `{}` that begins so.\n\n{}",
            language.module_path(module.plan.name.as_str()),
            language.prompt_texts().block(prompt)
        ),
        _ if purpose == Purpose::Answer => format!("# The question\n{prompt}"),
        _ => format!("# The task\n{prompt}"),
    };
    piece(LayerName::State, Rank::Required, "task", text)
}
