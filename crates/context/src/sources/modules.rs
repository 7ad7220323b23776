//! The plan, and the specification of the module the call is for.

use std::fmt::Write;

use async_trait::async_trait;
use journeyman_event::TaskState;
use journeyman_event::payload::PlannedModule;
use journeyman_event::state::ModuleState;

use super::{Source, SourceInput};
use crate::piece::{Entry, LayerName, Piece, Rank, piece, piece_of_entries};
use crate::profile::Part;
use crate::requests::about;

/// What a line of the plan is worth among what is related, of which the first is worth 1.
const WORTH: f64 = 0.5;

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
    let entries = state.modules.iter().map(|module| {
        let name = &module.plan.name;
        // Only what does not change while a module is worked on: this layer must stay the same.
        let mark = if *name == current.plan.name {
            " (this one)"
        } else {
            ""
        };
        let line = format!("- {name}{mark}");
        Entry::shortened(format!("{line}: {}", about(module)), line, WORTH)
    });
    let piece = piece_of_entries(
        LayerName::State,
        Rank::Medium,
        "plan",
        "# The modules".to_owned(),
        entries.collect(),
    );
    Some(piece.of(Part::ModuleSummary))
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
        Rank::Required,
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
