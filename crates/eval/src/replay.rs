//! Runs the portfolio on recorded candidates: the same pure choices as in a task, and the same runs in the sandbox, but no
//! model. So an idea costs minutes and not a day. Whether a candidate is right is looked at last.

use std::collections::HashMap;
use std::path::PathBuf;

use futures_util::{StreamExt, TryStreamExt, stream};
use journeyman_context::forms_of;
use journeyman_event::payload::{
    CodeOrigin, Form, GivenTest, Limits, Purpose, TaskStarted, TaskSubmitted,
};
use journeyman_event::state::{CodeVersion, ModuleState, PendingAnswer};
use journeyman_event::{ContentHash, EventId, Payload, TaskState, VectorClock};
use journeyman_language::{Language, Runner, Runners, TestOutcome, of_task};
use journeyman_sandbox::Sandbox;
use journeyman_workflow::{
    Choice, Draw, Files, FreshFolder, ModuleStrategy, Tried, WholeFile, choose, next_draw,
    plan_of_stub, task_files,
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::candidates::{Candidate, Recorded, Recording};
use crate::dataset::Problem;
use crate::evaluate::submission_of;
use crate::statistics::interval;

/// The input of a replay.
pub struct Replay {
    /// The recorded candidates.
    pub recording: Recording,
    /// The problems of the data set.
    pub problems: Vec<Problem>,
    /// The forms that are used, as far as they were recorded.
    pub forms: Vec<Form>,
    /// How many problems are worked on at once.
    pub parallel: usize,
    /// Runs the candidates.
    pub runners: Runners,
    /// In this sandbox.
    pub sandbox: Sandbox,
    /// In folders in this one.
    pub work_folder: PathBuf,
}

/// What the portfolio made of one problem's candidates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replayed {
    /// The id of the problem.
    pub id: String,
    /// Whether the candidate that was kept is right.
    pub right: bool,
    /// Whether any that was recorded is.
    pub possible: bool,
    /// Whether enough others agreed with the one that was kept.
    pub agreed: bool,
    /// The number of those that agreed, itself included; 0 if none was kept.
    pub agree: usize,
    /// The number of candidates that passed the tests.
    pub passing: usize,
    /// The number of candidates that were drawn.
    pub drawn: usize,
    /// The number of examples that the prompt has.
    pub examples: usize,
    /// The number of probes.
    pub probes: usize,
    /// Tokens of all prompts and answers.
    pub tokens: u64,
}

/// The totals of a replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplayReport {
    /// What was replayed.
    pub recorded: Recorded,
    /// The number of problems.
    pub problems: usize,
    /// Those whose likeliest answer to the first form is right: what the bare model does.
    pub greedy: usize,
    /// Those of which the candidate that was kept is right.
    pub right: usize,
    /// The 95 % bootstrap confidence interval of their share, 0 to 1.
    pub interval: [f64; 2],
    /// Those of which some recorded candidate is right.
    pub possible: usize,
    /// Those where enough candidates agreed.
    pub agreed: usize,
    /// Those among them whose candidate is wrong.
    pub false_agreed: usize,
    /// The median number of candidates drawn.
    pub drawn_median: usize,
    /// The median number of tokens.
    pub tokens_median: u64,
    /// What became of each problem, in the order of the data set.
    pub results: Vec<Replayed>,
}

/// Replays every problem that was recorded.
///
/// # Errors
/// The sandbox's, and those of files.
pub async fn replay(input: &Replay, cancel: &CancellationToken) -> Result<ReplayReport, Error> {
    let mut recorded: HashMap<&str, Vec<&Candidate>> = HashMap::new();
    for candidate in &input.recording.candidates {
        recorded
            .entry(&candidate.problem)
            .or_default()
            .push(candidate);
    }
    let problems = input.problems.iter().enumerate();
    let known = problems.filter_map(|(number, problem)| {
        let candidates = recorded.get(problem.id.as_str())?;
        Some((number, problem, candidates))
    });
    let mut all: Vec<(usize, Replayed, bool)> = stream::iter(known)
        .map(async |(number, problem, candidates)| {
            let greedy = candidates
                .first()
                .is_some_and(|first| first.right == Some(true));
            let replayed = replay_problem(input, number, problem, candidates, cancel).await?;
            Ok::<_, Error>(replayed.map(|replayed| (number, replayed, greedy)))
        })
        .buffer_unordered(input.parallel.max(1))
        .try_filter_map(async |finished| Ok(finished))
        .try_collect()
        .await?;
    all.sort_by_key(|(number, _, _)| *number);
    let greedy = all.iter().filter(|(_, _, greedy)| *greedy).count();
    let results: Vec<Replayed> = all.into_iter().map(|(_, replayed, _)| replayed).collect();
    Ok(report(input.recording.recorded.clone(), greedy, results))
}

fn report(recorded: Recorded, greedy: usize, results: Vec<Replayed>) -> ReplayReport {
    let count =
        |is_meant: &dyn Fn(&Replayed) -> bool| results.iter().filter(|one| is_meant(one)).count();
    let values: Vec<f64> = results
        .iter()
        .map(|one| f64::from(u8::from(one.right)))
        .collect();
    ReplayReport {
        recorded,
        problems: results.len(),
        greedy,
        right: count(&|one| one.right),
        interval: interval(&values),
        possible: count(&|one| one.possible),
        agreed: count(&|one| one.agreed),
        false_agreed: count(&|one| one.agreed && !one.right),
        drawn_median: median(results.iter().map(|one| one.drawn).collect()),
        tokens_median: median(results.iter().map(|one| one.tokens).collect()),
        results,
    }
}

fn median<T: Ord + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

async fn replay_problem(
    input: &Replay,
    number: usize,
    problem: &Problem,
    candidates: &[&Candidate],
    cancel: &CancellationToken,
) -> Result<Option<Replayed>, Error> {
    let submission = submission_of(problem, Limits::default());
    let Some(mut task) = begun(submission, &input.recording.recorded) else {
        return Ok(None);
    };
    let language = of_task(&task);
    let tests: Vec<GivenTest> = task.given_tests().to_vec();
    let probes = language.probes(&tests.iter().collect::<Vec<_>>());
    let trial = Trial {
        input,
        language,
        runner: input.runners.of_task(&task)?,
        folder: format!("replay-{number}"),
        tests: &tests,
        probes: &probes,
        cancel,
    };
    let mut forms: Vec<Form> = forms_of(&task, &task.modules[0]);
    forms.retain(|form| input.forms.contains(form));
    let mut left: Vec<&Candidate> = candidates.to_vec();
    let mut seen: HashMap<String, Outcome> = HashMap::new();
    let (mut tried, mut drawn): (Vec<Tried>, Vec<&Candidate>) = Default::default();
    while let Some(draw) = next_draw(&tried, &forms) {
        if cancel.is_cancelled() {
            return Ok(None);
        }
        let Some(candidate) = take(&mut left, draw, &forms) else {
            break;
        };
        let outcome = match code_of(&task, candidate) {
            None => Outcome::default(),
            Some(code) => {
                if !seen.contains_key(&code) {
                    seen.insert(code.clone(), trial.of(&mut task, &code).await?);
                }
                seen[&code].clone()
            }
        };
        tried.push(Tried {
            form: candidate.form,
            passes: outcome.passes,
            behaviour: outcome.behaviour,
        });
        drawn.push(candidate);
    }
    let choice = choose(&tried);
    let is_right = |candidate: &&Candidate| candidate.right == Some(true);
    let tokens = drawn
        .iter()
        .map(|one| (one.prompt_tokens + one.completion_tokens).0);
    Ok(Some(Replayed {
        id: problem.id.clone(),
        right: choice.is_some_and(|choice| is_right(&drawn[choice.at])),
        possible: candidates.iter().any(is_right),
        agreed: choice.is_some_and(Choice::is_agreed),
        agree: choice.map_or(0, |choice| choice.agree),
        passing: tried.iter().filter(|one| one.passes).count(),
        drawn: drawn.len(),
        examples: language.examples_in_short(&tests).len(),
        probes: probes.len(),
        tokens: tokens.sum(),
    }))
}

/// The recorded candidate that is nearest to what is asked for, which is then used up: of the form, else of another one;
/// with the temperature, else with another one.
fn take<'c>(left: &mut Vec<&'c Candidate>, draw: Draw, forms: &[Form]) -> Option<&'c Candidate> {
    let distance = |candidate: &&Candidate| {
        let is_of_form = candidate.form == draw.form;
        let difference = (candidate.temperature - draw.temperature).abs();
        (!is_of_form, difference > 0.05)
    };
    let possible = left
        .iter()
        .enumerate()
        .filter(|(_, one)| forms.contains(&one.form));
    let (at, _) = possible.min_by_key(|(_, one)| distance(one))?;
    Some(left.remove(at))
}

/// The state of a task whose prompt is its plan; `None` if it is not.
fn begun(submission: TaskSubmitted, recorded: &Recorded) -> Option<TaskState> {
    let mut task = TaskState {
        submission: Some(submission),
        started: Some(TaskStarted {
            model: recorded.model.clone(),
            server: recorded.server.clone(),
            window: recorded.window,
            sandbox: String::new(),
            tools: Vec::new(),
            strategy: None,
        }),
        planned: true,
        ..TaskState::default()
    };
    let plan = plan_of_stub(of_task(&task), task.prompt(), task.given_tests())?;
    task.modules = plan.modules.into_iter().map(ModuleState::new).collect();
    (!task.modules.is_empty()).then_some(task)
}

/// The file in an answer, as the workflow reads it.
pub(crate) fn code_of(task: &TaskState, candidate: &Candidate) -> Option<String> {
    let module = task.modules.first()?;
    let answer = PendingAnswer {
        event: EventId::from_bytes([0; 16]),
        purpose: Purpose::Code,
        form: candidate.form,
        module: Some(module.plan.name.clone()),
        text: candidate.text.clone(),
        cut_short: candidate.cut_short,
        repeated: candidate.repeated.clone(),
    };
    let facts = WholeFile.read(task, module, &answer).ok()?;
    facts.into_iter().find_map(|fact| match fact.payload {
        Payload::CodeGenerated(code) => Some(code.source),
        _ => None,
    })
}

/// What was found out about a candidate's code; of an answer without usable code, nothing good.
#[derive(Clone, Default)]
struct Outcome {
    passes: bool,
    behaviour: Vec<String>,
}

/// How candidates of one problem are tried.
struct Trial<'a> {
    input: &'a Replay,
    language: &'a dyn Language,
    runner: &'a dyn Runner,
    /// The name of the folders in which they run.
    folder: String,
    tests: &'a [GivenTest],
    probes: &'a [String],
    cancel: &'a CancellationToken,
}

impl Trial<'_> {
    /// Runs the tests on a candidate, or loads it if there are none, and then the probes.
    async fn of(&self, task: &mut TaskState, code: &str) -> Result<Outcome, Error> {
        let sandbox = &self.input.sandbox;
        let module = task.modules[0].plan.name.to_string();
        task.modules[0].versions = vec![CodeVersion {
            version: 1,
            hash: ContentHash::of(code.as_bytes()),
            source: code.to_owned(),
            origin: CodeOrigin::Generated,
            clock: VectorClock::default(),
        }];
        let files = task_files(task).into_iter();
        let files: Files = files.map(|file| (file.path, file.text)).collect();
        let tests = self.tests.iter();
        let tests: Vec<String> = tests
            .map(|test| self.language.given_tests_path(&test.name))
            .collect();
        let names: Vec<&str> = tests.iter().map(String::as_str).collect();
        let folder = self.fresh(&files).await?;
        let passes = if names.is_empty() {
            let check = self
                .runner
                .check_import(sandbox, folder.path(), &module, self.cancel);
            check.await?.imports
        } else {
            let run = self
                .runner
                .run_tests(sandbox, folder.path(), &names, None, self.cancel);
            run.await?.outcome == TestOutcome::Passed
        };
        folder.remove().await;
        let mut behaviour = Vec::new();
        if passes && !self.probes.is_empty() {
            // What the tests left behind has no part in it.
            let folder = self.fresh(&files).await?;
            let probed =
                self.runner
                    .probe(sandbox, folder.path(), &module, self.probes, self.cancel);
            behaviour = probed.await?;
            folder.remove().await;
        }
        Ok(Outcome { passes, behaviour })
    }

    async fn fresh(&self, files: &Files) -> Result<FreshFolder, Error> {
        let made = FreshFolder::make(&self.input.work_folder, &self.folder, files);
        Ok(made.await?)
    }
}
