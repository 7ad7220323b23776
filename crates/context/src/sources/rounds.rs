//! Earlier versions of a module and their test results, for corrections.

use async_trait::async_trait;
use journeyman_event::ModuleName;
use journeyman_event::payload::Purpose;
use journeyman_event::state::{ModuleState, TestRun};
use journeyman_knowledge::telling;

use super::{Source, SourceInput};
use crate::piece::{Entry, LayerName, Piece, Rank, piece_of_entries};

/// How many earlier rounds are shown, one line each.
const ROUNDS_SHOWN: usize = 5;
/// How many of them are recent.
const RECENT: usize = 2;
/// What a round is worth among what is related, of which the first is worth 1.
const WORTH: f64 = 0.1;
/// What a recent round is worth.
const WORTH_RECENT: f64 = 1.0;

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
    let shown = earlier.len().saturating_sub(ROUNDS_SHOWN);
    let entries = earlier.iter().enumerate().skip(shown).map(|(at, run)| {
        let is_recent = earlier.len() - at <= RECENT;
        let worth = if is_recent { WORTH_RECENT } else { WORTH };
        Entry::new(format!("- {}", round(&module.plan.name, run)), worth)
    });
    Some(piece_of_entries(
        LayerName::History,
        Rank::Medium,
        "earlier attempts",
        "# Earlier attempts".to_owned(),
        entries.collect(),
    ))
}

fn round(module: &ModuleName, run: &TestRun) -> String {
    let failing = run.tests.iter().find(|test| !test.passed);
    let cause = failing.map_or_else(
        || {
            run.output
                .lines()
                .next_back()
                .unwrap_or_default()
                .to_owned()
        },
        |test| format!("{}: {}", test.name, telling(&test.message)),
    );
    format!(
        "version {}: {} of {} tests passed; {cause}",
        run.version_of(module).unwrap_or_default(),
        run.passed(),
        run.tests.len(),
    )
}
