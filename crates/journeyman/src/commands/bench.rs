//! `bench`: benchmarks of the program itself.

use std::collections::BTreeSet;

use journeyman_eval::{ContextCost, RetentionReport};

use crate::exit::Exit;
use crate::output::{json, line};
use crate::progress::{Progress, Style};
use crate::settings::Settings;
use crate::signals::cancel_on_signals;
use crate::text_format::count_text;
use crate::wiring::default_model;

/// The first and the last seed of a report. Smaller ones are for development.
const SEEDS: (u64, u64) = (1_001, 1_020);
/// How many histories a model is asked about. As many as are needed are tried: those that are too large for its window
/// are left out.
const HISTORIES_ASKED: usize = 20;
/// The last seed that is tried for a history that is small enough.
const SEED_LAST: u64 = 1_400;

pub(crate) async fn retention(settings: &Settings, seed: Option<u64>) -> anyhow::Result<Exit> {
    let seeds = match seed {
        Some(seed) => vec![seed],
        None => (SEEDS.0..=SEEDS.1).collect(),
    };
    let report = journeyman_eval::retention(seeds).await?;
    if settings.json {
        json(&report)?;
        return Ok(Exit::Success);
    }
    let (fewest, most) = report.events;
    let count = histories_text(report.seeds.len());
    line(&format!(
        "{count}, {fewest} to {most} events; facts present by distance, in per cent"
    ))?;
    let distances: BTreeSet<usize> = report.retained.iter().map(|one| one.distance).collect();
    let head: Vec<String> = distances.iter().map(|one| format!("{one:>4}")).collect();
    line(&format!(
        "fewer tokens  method        {}   all  build ms  same prefix",
        head.join(" ")
    ))?;
    for cost in &report.costs {
        let shares: Vec<String> = distances
            .iter()
            .map(|&distance| format!("{:>4}", share(&report, cost, Some(distance))))
            .collect();
        let refused = match cost.refused {
            0 => String::new(),
            refused => format!("  {} refused", count_text(refused as u64, "context")),
        };
        line(&format!(
            "{:>10} %  {:<12}  {}  {:>4}  {:>8.1}  {:>9.0} %{refused}",
            cost.reduction_percent,
            cost.method.as_str(),
            shares.join(" "),
            share(&report, cost, None),
            cost.build_ms,
            cost.prefix_percent,
        ))?;
    }
    Ok(Exit::Success)
}

/// Asks the configured model about facts, from the contexts of each method.
pub(crate) async fn questions(settings: &Settings, seed: Option<u64>) -> anyhow::Result<Exit> {
    let style = if settings.json || settings.quiet {
        Style::Quiet
    } else {
        Style::Remarks
    };
    let progress = Progress::start(style, settings);
    let server = default_model(settings, &progress).await?;
    let (seeds, histories) = match seed {
        Some(seed) => (seed..=seed, 1),
        None => (SEEDS.0..=SEED_LAST, HISTORIES_ASKED),
    };
    let cancel = cancel_on_signals()?;
    let tell = |seed: u64| progress.say(&format!("history {seed}"));
    let asked = journeyman_eval::questions(&*server, seeds, histories, &tell, &cancel).await;
    progress.finish().await;
    let report = asked?;
    if settings.json {
        json(&report)?;
        return Ok(Exit::Success);
    }
    line(&format!(
        "{}, contexts with {} % fewer tokens, {}; {} did not fit its window",
        report.model,
        report.reduction_percent,
        histories_text(report.seeds.len()),
        report.too_large.len(),
    ))?;
    line("method        distance  right  in the context  questions")?;
    for cell in &report.answered {
        line(&format!(
            "{:<12}  {:>8}  {:>5}  {:>14}  {:>9}",
            cell.method.as_str(),
            cell.distance,
            cell.right,
            cell.present,
            cell.questions,
        ))?;
    }
    Ok(Exit::Success)
}

fn histories_text(count: usize) -> String {
    match count {
        1 => "1 history".to_owned(),
        count => format!("{count} histories"),
    }
}

/// The share of the facts of one distance, or of all, that are present, in per cent.
fn share(report: &RetentionReport, of: &ContextCost, distance: Option<usize>) -> usize {
    let rows = report.retained.iter().filter(|row| {
        (row.method, row.reduction_percent) == (of.method, of.reduction_percent)
            && distance.is_none_or(|distance| row.distance == distance)
    });
    let (present, facts) = rows.fold((0, 0), |(present, facts), row| {
        (present + row.present, facts + row.facts)
    });
    present * 100 / facts.max(1)
}
