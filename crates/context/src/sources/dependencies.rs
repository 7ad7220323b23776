//! The outlines of the modules that the one at hand imports.

use async_trait::async_trait;
use journeyman_event::TaskState;
use journeyman_event::state::ModuleState;

use super::modules::signatures;
use super::{Asked, Source};
use crate::piece::{LayerName, Piece, Rank, piece};

pub(crate) struct Dependencies;

#[async_trait]
impl Source for Dependencies {
    async fn pieces(&self, asked: Asked<'_>) -> Vec<Piece> {
        let module = asked.module.into_iter();
        module
            .flat_map(|module| dependencies(asked.state, module))
            .collect()
    }
}

fn dependencies(state: &TaskState, module: &ModuleState) -> Vec<Piece> {
    let needed = module
        .plan
        .depends_on
        .iter()
        .filter_map(|name| state.module(name));
    needed
        .map(|dependency| {
            let plan = &dependency.plan;
            let text = format!(
                "# Module {} exists; import from it with `from {} import ...`\n{}",
                plan.name,
                plan.name,
                outline(dependency)
            );
            piece(
                LayerName::State,
                Rank::High,
                format!("outline of {}", plan.name),
                text,
            )
        })
        .collect()
}

/// The definitions of a module as they stand in its code, bodies left out.
fn outline(module: &ModuleState) -> String {
    let Some(code) = module.code() else {
        return signatures(&module.plan);
    };
    let lines: Vec<&str> = code
        .source
        .lines()
        .filter(|line| {
            let bare = line.trim_start();
            let indent = line.len() - bare.len();
            indent <= 4
                && ["def ", "class ", "async def "]
                    .iter()
                    .any(|word| bare.starts_with(word))
        })
        .collect();
    if lines.is_empty() {
        signatures(&module.plan)
    } else {
        lines.join("\n")
    }
}
