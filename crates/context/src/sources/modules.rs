//! The plan, and the specification of the module the call is for.

use std::fmt::Write;

use async_trait::async_trait;
use journeyman_event::TaskState;
use journeyman_event::payload::PlannedModule;
use journeyman_event::state::ModuleState;

use super::{Source, SourceInput};
use crate::piece::{LayerName, Piece, Rank, piece};

pub(crate) struct Modules;

#[async_trait]
impl Source for Modules {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        let Some(module) = input.module else {
            return Vec::new();
        };
        let specification = (!module.plan.completes_prompt).then(|| specification(module));
        plan(input.state, module)
            .into_iter()
            .chain(specification)
            .collect()
    }
}

fn plan(state: &TaskState, current: &ModuleState) -> Option<Piece> {
    if state.modules.len() < 2 {
        return None;
    }
    let mut text = String::from("# The modules");
    for module in &state.modules {
        // Only what does not change while a module is worked on: this layer must stay the same.
        let mark = if module.plan.name == current.plan.name {
            " (this one)"
        } else {
            ""
        };
        let _ = write!(
            text,
            "\n- {}{mark}: {}",
            module.plan.name, module.plan.purpose
        );
    }
    Some(piece(LayerName::State, Rank::Medium, "plan", text))
}

fn specification(module: &ModuleState) -> Piece {
    let plan = &module.plan;
    let text = format!(
        "# Module {}\n{}\nIt defines:{}",
        plan.name,
        plan.purpose,
        signatures(plan)
    );
    piece(
        LayerName::State,
        Rank::Critical,
        format!("specification of {}", plan.name),
        text,
    )
}

/// The planned functions of a module, one per line.
pub(super) fn signatures(module: &PlannedModule) -> String {
    let mut text = String::new();
    for function in &module.functions {
        let _ = write!(text, "\n- `{}`: {}", function.signature, function.behaviour);
    }
    text
}
