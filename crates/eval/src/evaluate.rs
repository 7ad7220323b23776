//! The evaluation: processes several problems in parallel, each first with the bare model, then with the workflow,
//! and then scores both.
//!
//! Finished results are kept: the workflow's tasks in a journal of the evaluation, with ids derived from everything
//! their result depends on, and the bare model's answers in files named in the same way. A second run with the same
//! input repeats nothing, and an interrupted run continues.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use journeyman_event::payload::{GivenTest, Limits, TaskSubmitted, TestOrigin, Verification};
use journeyman_event::state::{Ending, ModuleState};
use journeyman_event::{Principal, TaskId, TaskState};
use journeyman_journal::Journal;
use journeyman_language::of_submission;
use journeyman_llm::{ModelInfo, ModelServer};
use journeyman_workflow::{Control, Worker, load};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::bare::{BareAnswer, bare};
use crate::dataset::{Mode, Problem};
use crate::report::{Attempt, ProblemReport, Report, Worked};
use crate::{Error, Scorer};

/// The file name of given tests.
const TEST_FILE: &str = "test_given.py";
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// The number of digits of a content hash in a task id.
const KEY_DIGITS: usize = 16;

/// The input of an evaluation.
pub struct Evaluation {
    /// The name of the data set as displayed.
    pub name: String,
    /// The problems, in the order of the report.
    pub problems: Vec<Problem>,
    /// What the workflow may see.
    pub mode: Mode,
    /// How many problems are processed in parallel.
    pub parallel: usize,
    /// The limits of each task.
    pub limits: Limits,
    /// Identifies the program, so that the results of another version are not reused.
    pub program: String,
    /// The worker that runs the tasks.
    pub worker: Worker,
    /// The worker's journal.
    pub journal: Journal,
    /// The model server.
    pub server: Arc<dyn ModelServer>,
    /// The scorer for the results.
    pub scorer: Scorer,
    /// The folder for the bare model's answers.
    pub cache: PathBuf,
}

/// Evaluates all problems. `on_problem` is called for each as it finishes. If `cancel` is cancelled, the report
/// contains the finished ones; running the same evaluation again continues with the others.
pub async fn evaluate(
    evaluation: &Evaluation,
    on_problem: &(dyn Fn(&ProblemReport) + Sync),
    cancel: &CancellationToken,
) -> Result<Report, Error> {
    std::fs::create_dir_all(&evaluation.cache).map_err(|e| Error::io(&evaluation.cache, e))?;
    let info = evaluation.server.describe().await?;
    let attempts = evaluation.problems.iter().enumerate();
    let mut finished: Vec<(usize, ProblemReport)> = stream::iter(attempts)
        .map(async |(number, problem)| {
            let report = evaluation
                .attempt(problem, &info, on_problem, cancel)
                .await?;
            Ok::<_, Error>(report.map(|report| (number, report)))
        })
        .buffer_unordered(evaluation.parallel.max(1))
        .try_filter_map(async |finished| Ok(finished))
        .try_collect()
        .await?;
    finished.sort_by_key(|(number, _)| *number);
    let results = finished.into_iter().map(|(_, report)| report).collect();
    let name = evaluation.name.clone();
    Ok(Report::new(name, info.name, evaluation.mode, results))
}

impl Evaluation {
    async fn attempt(
        &self,
        problem: &Problem,
        info: &ModelInfo,
        on_problem: &(dyn Fn(&ProblemReport) + Sync),
        cancel: &CancellationToken,
    ) -> Result<Option<ProblemReport>, Error> {
        if cancel.is_cancelled() {
            return Ok(None);
        }
        let Some(answer) = self.bare(problem, info, cancel).await? else {
            return Ok(None);
        };
        let score = self.scorer.score(&problem.id, answer.code()).await?;
        let bare = Attempt {
            passed: score.passed,
            tokens: answer.tokens.0,
            seconds: answer.seconds,
            detail: score.detail,
        };
        let (task, state) = self.work(problem, info, cancel).await?;
        if !state.status.is_ended() {
            return Ok(None);
        }
        let report = ProblemReport {
            id: problem.id.clone(),
            bare,
            journeyman: self.worked(problem, &task, &state).await?,
        };
        on_problem(&report);
        Ok(Some(report))
    }

    /// The bare model's answer. Waits for a server that is unreachable, like the worker does. `None` if the
    /// wait was cancelled.
    async fn bare(
        &self,
        problem: &Problem,
        info: &ModelInfo,
        cancel: &CancellationToken,
    ) -> Result<Option<BareAnswer>, Error> {
        let mut pause = RETRY_FIRST;
        loop {
            let asked = match bare(&*self.server, info, problem, &self.cache, cancel).await {
                Err(Error::Model(journeyman_llm::Error::Interrupted { .. })) => return Ok(None),
                Err(Error::Model(error)) if error.is_transient() => error.wait(),
                answer => return answer.map(Some),
            };
            tokio::select! {
                () = tokio::time::sleep(pause.max(asked)) => pause = (2 * pause).min(RETRY_MAX),
                () = cancel.cancelled() => return Ok(None),
            }
        }
    }

    /// Runs the problem's task to its end, continuing where it was interrupted.
    async fn work(
        &self,
        problem: &Problem,
        info: &ModelInfo,
        cancel: &CancellationToken,
    ) -> Result<(TaskId, TaskState), Error> {
        let submission = submission_of(problem, self.limits);
        let task = task_id_of("eval", &self.program, info, problem, &submission)?;
        let state = work_on(&self.worker, &self.journal, &task, submission, cancel).await?;
        Ok((task, state))
    }

    async fn worked(
        &self,
        problem: &Problem,
        task: &TaskId,
        state: &TaskState,
    ) -> Result<Worked, Error> {
        let sources = state.modules.iter().filter_map(|module| module.code());
        let code: Vec<&str> = sources.map(|code| code.source.as_str()).collect();
        let score = self.scorer.score(&problem.id, &code.join("\n\n")).await?;
        let verified = matches!(
            state.ending,
            Some(Ending::Complete(Verification::GivenTests))
        );
        Ok(Worked {
            attempt: Attempt {
                passed: score.passed,
                tokens: state.spent.0,
                seconds: state.active.as_secs_f64(),
                detail: score.detail,
            },
            task_id: task.to_string(),
            status: state.status.as_str().to_owned(),
            verified,
            versions: state.modules.iter().map(ModuleState::version).sum(),
            given_tests: state.given_tests().len() as u64,
        })
    }
}

/// The problem as a task, with the tests that the workflow may see.
pub(crate) fn submission_of(problem: &Problem, limits: Limits) -> TaskSubmitted {
    let asked = TaskSubmitted::of(problem.prompt.clone());
    let mut tests = of_submission(&asked).examples(&asked.prompt).tests;
    tests.extend(problem.tests.clone().map(|source| GivenTest {
        name: TEST_FILE.to_owned(),
        origin: TestOrigin::File,
        source,
    }));
    TaskSubmitted {
        tests,
        limits,
        ..asked
    }
}

/// The id of a problem's task, derived from everything that its result depends on.
pub(crate) fn task_id_of(
    kind: &str,
    program: &str,
    info: &ModelInfo,
    problem: &Problem,
    submission: &TaskSubmitted,
) -> Result<TaskId, Error> {
    let content = json!({
        "program": program, "model": info.name, "server": info.server,
        "window": info.window.tokens, "id": problem.id, "submission": submission,
    });
    let key = blake3::hash(content.to_string().as_bytes()).to_hex();
    let name = format!("{kind}-{}", &key[..KEY_DIGITS]);
    TaskId::new(name).map_err(|error| Error::Scorer(error.to_string()))
}

/// Runs a task to its end, continuing where it was interrupted.
pub(crate) async fn work_on(
    worker: &Worker,
    journal: &Journal,
    task: &TaskId,
    submission: TaskSubmitted,
    cancel: &CancellationToken,
) -> Result<TaskState, Error> {
    let known = load(journal, &Principal::local(), task).await?;
    if known.is_none() {
        worker.submit(task, submission, cancel).await?;
    }
    let control = Control::interruptible(cancel.clone());
    Ok(worker.run(task, &control).await?)
}
