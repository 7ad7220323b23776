//! Earlier versions of a module and their test results, for corrections.

use std::collections::BTreeMap;

use async_trait::async_trait;
use journeyman_event::ModuleName;
use journeyman_event::payload::Purpose;
use journeyman_event::state::{ModuleState, TestRun};
use journeyman_knowledge::telling;

use super::{Source, SourceInput};
use crate::piece::{Entry, LayerName, Piece, Rank, piece_of_entries};
use crate::profile::Part;

/// The fewest earlier rounds that are shown one by one, if there are so many. Older ones are told together, in steps of as
/// many: between two steps the text only grows, so that the model server's prompt cache still has its beginning.
const ROUNDS_SHOWN: usize = 5;
/// How many of the last rounds are recent.
const RECENT: usize = 2;
/// What a round is worth among what is related, of which the first is worth 1.
const WORTH: f64 = 0.1;
/// What a recent round is worth.
const WORTH_RECENT: f64 = 1.0;
/// The most events cited for rounds that are told together.
const CITED_MAX: usize = 10;

pub(crate) struct Rounds;

#[async_trait]
impl Source for Rounds {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        // A fresh candidate is not to be led by those that failed.
        let module = input.module.filter(|_| input.purpose == Purpose::Fix);
        module.and_then(rounds).into_iter().collect()
    }
}

/// One line per tested round, the latest last; before them those that are told together.
fn rounds(module: &ModuleState) -> Option<Piece> {
    let (_, earlier) = module.runs.split_last()?;
    if earlier.is_empty() {
        return None;
    }
    let name = &module.plan.name;
    let steps = (earlier.len() / ROUNDS_SHOWN).saturating_sub(1);
    let (old, shown) = earlier.split_at(steps * ROUNDS_SHOWN);
    let together =
        (!old.is_empty()).then(|| Entry::new(format!("- {}", together(name, old)), WORTH));
    let lines = shown.iter().enumerate().map(|(at, run)| {
        let is_recent = shown.len() - at <= RECENT;
        let worth = if is_recent { WORTH_RECENT } else { WORTH };
        Entry::new(format!("- {}{}", round(name, run), cited(&[run])), worth)
    });
    let piece = piece_of_entries(
        LayerName::History,
        Rank::Medium,
        "earlier attempts",
        "# Earlier attempts".to_owned(),
        together.into_iter().chain(lines).collect(),
    );
    Some(piece.of(Part::Errors))
}

/// Rounds in one sentence: their versions, the best result, and the test that failed most often.
fn together(module: &ModuleName, runs: &[TestRun]) -> String {
    let versions = runs.iter().filter_map(|run| run.version_of(module));
    let (first, last) = (versions.clone().min(), versions.max());
    let passed = runs.iter().map(TestRun::passed).max().unwrap_or_default();
    let tests = runs
        .iter()
        .map(|run| run.tests.len())
        .max()
        .unwrap_or_default();
    let mut failed: BTreeMap<&str, usize> = BTreeMap::new();
    for test in runs
        .iter()
        .flat_map(|run| &run.tests)
        .filter(|test| !test.passed)
    {
        *failed.entry(&test.name).or_default() += 1;
    }
    let most = failed.into_iter().max_by_key(|(_, count)| *count);
    let most = most.map_or_else(String::new, |(name, count)| {
        format!("; {name} failed {count} times")
    });
    format!(
        "versions {} to {}: at most {passed} of {tests} tests passed{most}{}",
        first.unwrap_or_default(),
        last.unwrap_or_default(),
        cited(&runs.iter().collect::<Vec<_>>()),
    )
}

/// The events that recorded test runs, as the tool `expand_context` takes them.
fn cited(runs: &[&TestRun]) -> String {
    let all: Vec<String> = runs
        .iter()
        .filter_map(|run| run.sequence)
        .map(|sequence| sequence.to_string())
        .collect();
    match all.as_slice() {
        [] => String::new(),
        [one] => format!(" [event {one}]"),
        several if several.len() > CITED_MAX => {
            format!(" [events {}, ...]", several[..CITED_MAX].join(", "))
        }
        several => format!(" [events {}]", several.join(", ")),
    }
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
