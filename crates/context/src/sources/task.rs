//! The task in the user's words. It is never cut, like all pieces of [`Rank::Critical`].

use async_trait::async_trait;
use journeyman_event::payload::{Form, Purpose};
use journeyman_language::of_task;

use super::{Source, SourceInput};
use crate::forms::description;
use crate::piece::{LayerName, Piece, Rank, piece};

pub(crate) struct Task;

#[async_trait]
impl Source for Task {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        vec![task(input)]
    }
}

fn task(input: SourceInput<'_>) -> Piece {
    let (state, module) = (input.state, input.module);
    let prompt = state.prompt().trim();
    let language = of_task(state);
    let described = module.filter(|_| input.form == Form::Description);
    // A prompt that is code is sent as a completion, the form on which code models are trained.
    let text = match module {
        _ if let Some(text) = described.and_then(|module| description(state, module)) => text,
        Some(module) if module.plan.completes_prompt => format!(
            "Complete the file `{}` that begins so.\n\n{}",
            language.module_path(module.plan.name.as_str()),
            language.prompt_texts().block(prompt)
        ),
        _ if input.purpose == Purpose::Answer => format!("# The question\n{prompt}"),
        _ => format!("# The task\n{prompt}"),
    };
    piece(LayerName::State, Rank::Required, "task", text)
}
