//! Scoring: runs a solution with its hidden tests in the sandbox. Only used in the scorer's process.

use std::path::Path;

use journeyman_language::python::Interpreter;
use journeyman_sandbox::{Command, Exit, Limits, Sandbox};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::dataset::{Dataset, Hidden, Test};

/// The time limit for a solution with all of its tests, in seconds.
const SECONDS_MAX: u64 = 20;
/// How many characters of a failed run's output are kept.
const DETAIL_CHARS: usize = 400;

/// The result of the hidden tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Whether all tests passed.
    pub passed: bool,
    /// The end of the output if they failed. It contains hidden values and is for reports only.
    pub detail: String,
}

/// Scores `code` as a solution of the problem `id`, in a new folder below `work`.
pub async fn score(
    dataset: &Dataset,
    id: &str,
    code: &str,
    python: &Interpreter,
    sandbox: &Sandbox,
    work: &Path,
) -> Result<Score, Error> {
    let problem = dataset.find(id)?;
    let folder = work.join(format!("score-{}", std::process::id()));
    let result = score_in(&folder, problem, code, python, sandbox).await;
    std::fs::remove_dir_all(&folder).map_err(|e| Error::io(folder, e))?;
    result
}

async fn score_in(
    folder: &Path,
    problem: &Hidden,
    code: &str,
    python: &Interpreter,
    sandbox: &Sandbox,
) -> Result<Score, Error> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| Error::io(path, e))
    };
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let arguments: &[&str] = match &problem.test {
        Test::Program(test) => {
            // What the prompt begins with holds for every solution: its imports and helpers are
            // there also where a model left them out. A docstring alone is a body.
            let last = "\nprint('all hidden tests passed')\n";
            let program = format!("{}\n\n{code}\n\n{test}{last}", problem.prompt.trim_end());
            write("program.py", &program)?;
            &["program.py"]
        }
        Test::File(test) => {
            write("solution.py", code)?;
            write(&format!("{}.py", problem.module), code)?;
            write("hidden_test.py", test)?;
            &[
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "hidden_test.py",
            ]
        }
    };
    let limits = Limits {
        wall_ms_max: SECONDS_MAX * 1_000,
        cpu_seconds_max: SECONDS_MAX,
        ..sandbox.limits()
    };
    let command = Command {
        program: python.interpreter().to_owned(),
        arguments: arguments.iter().map(Into::into).collect(),
        folder: folder.to_owned(),
        environment: vec![("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())],
        limits: Some(limits),
    };
    let output = sandbox.run(command, &CancellationToken::new()).await?;
    // A solution that ends the program early has not passed.
    let complete = match problem.test {
        Test::Program(_) => output.stdout.ends_with("all hidden tests passed\n"),
        Test::File(_) => output.stdout.contains(" passed"),
    };
    let passed = output.exit == Exit::Code(0) && complete;
    let detail = if passed {
        String::new()
    } else {
        let printed = if output.stderr.trim().is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        let skip = printed
            .trim_end()
            .chars()
            .count()
            .saturating_sub(DETAIL_CHARS);
        let end: String = printed.trim_end().chars().skip(skip).collect();
        format!("{:?}: {end}", output.exit)
    };
    Ok(Score { passed, detail })
}
