//! `bench`: benchmarks of the program itself, without a model.

use std::collections::BTreeSet;

use journeyman_eval::{ContextCost, RetentionReport};

use crate::exit::Exit;
use crate::output::{json, line};
use crate::settings::Settings;
use crate::text_format::count_text;

/// The first and the last seed of a report. Smaller ones are for development.
const SEEDS: (u64, u64) = (1_001, 1_020);

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
    let count = match report.seeds.len() {
        1 => "1 history".to_owned(),
        count => format!("{count} histories"),
    };
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
