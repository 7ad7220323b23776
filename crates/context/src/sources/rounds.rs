//! Earlier versions of a module and their test results, for corrections.

use std::fmt::Write;

use async_trait::async_trait;
use journeyman_event::ModuleName;
use journeyman_event::payload::Purpose;
use journeyman_event::state::{ModuleState, TestRun};

use super::{Source, SourceInput};
use crate::piece::{LayerName, Piece, Rank, piece};

/// How many earlier rounds are shown, one line each.
const ROUNDS_SHOWN: usize = 5;

pub(crate) struct Rounds;

#[async_trait]
impl Source for Rounds {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        // A fresh candidate is not to be led by those that failed.
        let module = input.module.filter(|_| input.purpose == Purpose::Fix);
        module.and_then(rounds).into_iter().collect()
    }
}

/// One line per tested round, the latest last.
fn rounds(module: &ModuleState) -> Option<Piece> {
    let (_, earlier) = module.runs.split_last()?;
    if earlier.is_empty() {
        return None;
    }
    let mut text = String::from("# Earlier attempts");
    for run in earlier
        .iter()
        .skip(earlier.len().saturating_sub(ROUNDS_SHOWN))
    {
        let _ = write!(text, "\n- {}", round(module.plan.name.clone(), run));
    }
    Some(piece(
        LayerName::History,
        Rank::Low,
        "earlier attempts",
        text,
    ))
}

fn round(module: ModuleName, run: &TestRun) -> String {
    let failing = run.tests.iter().find(|test| !test.passed);
    let cause = failing.map_or_else(
        || {
            run.output
                .lines()
                .next_back()
                .unwrap_or_default()
                .to_owned()
        },
        |test| {
            format!(
                "{}: {}",
                test.name,
                test.message.lines().next().unwrap_or_default()
            )
        },
    );
    format!(
        "version {}: {} of {} tests passed; {cause}",
        run.version_of(&module).unwrap_or_default(),
        run.passed(),
        run.tests.len(),
    )
}
