//! The outlines of the modules that the current module imports.

use async_trait::async_trait;
use journeyman_event::TaskState;
use journeyman_event::state::ModuleState;
use journeyman_language::{Language, of_task};

use super::modules::signatures;
use super::{Source, SourceInput};
use crate::piece::{LayerName, Piece, Rank, piece};
use crate::profile::Part;

pub(crate) struct Dependencies;

#[async_trait]
impl Source for Dependencies {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        let module = input.module.into_iter();
        module
            .flat_map(|module| dependencies(input.state, module))
            .collect()
    }
}

fn dependencies(state: &TaskState, module: &ModuleState) -> Vec<Piece> {
    let language = of_task(state);
    let needed = module
        .plan
        .depends_on
        .iter()
        .filter_map(|name| state.module(name));
    needed
        .map(|dependency| {
            let plan = &dependency.plan;
            let text = format!(
                "# Module {} exists; {}\n{}",
                plan.name,
                language.prompt_texts().import_from(plan.name.as_str()),
                outline(language, dependency)
            );
            piece(
                LayerName::State,
                Rank::Critical,
                format!("outline of {}", plan.name),
                text,
            )
            .of(Part::Dependencies)
        })
        .collect()
}

/// The definitions of a module as they are in its code, without bodies.
fn outline(language: &dyn Language, module: &ModuleState) -> String {
    let outline = module.code().map(|code| language.outline(&code.source));
    let outline = outline.filter(|outline| !outline.is_empty());
    outline.unwrap_or_else(|| signatures(&module.plan))
}
