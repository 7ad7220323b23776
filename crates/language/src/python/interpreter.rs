//! Runs Python: pytest (or unittest), imports, dead code analysis. The work is done by scripts in `scripts/`, run
//! in the sandbox; here their reports are evaluated. A report only counts if it contains the secret of its run, and
//! the exit code must agree with it.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use journeyman_sandbox::{Command, Exit, Limits, Output, Sandbox};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::{
    DeadCode, DeadCodeKind, Error, ImportCheck, Result, Runner, TestOutcome, TestReport, TestResult,
};

const CHANNEL: &str = include_str!("scripts/channel.py");
const TEST: &str = concat!(
    include_str!("scripts/trust.py"),
    include_str!("scripts/doubt.py"),
    include_str!("scripts/test.py")
);
const IMPORT: &str = include_str!("scripts/import.py");
const ANALYSE: &str = include_str!("scripts/analyse.py");
const PROBE: &str = include_str!("scripts/probe.py");
const DISCOVER: &str = include_str!("scripts/discover.py");

/// Space for the reports of a few thousand tests. Beyond it single results may be missing, but not the totals.
const REPORT_BYTES_MIN: usize = 1 << 20;
/// How many characters of the output a report keeps.
const OUTPUT_CHARACTERS_MAX: usize = 8 << 10;
/// Where code may do what must not happen while a file is imported.
const MAIN_ONLY: &str = "below `if __name__ == '__main__':` only";
/// The time limit for an interpreter to report its properties; a slower one is broken.
const DISCOVER_MS_MAX: u64 = 20_000;

/// A Python interpreter and its folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    program: PathBuf,
    readable: Vec<PathBuf>,
    version: String,
}

#[derive(Deserialize)]
struct Discovered {
    executable: PathBuf,
    version: String,
    readable: Vec<PathBuf>,
}

impl Interpreter {
    /// Asks an interpreter for its paths and version. It must be trusted, because it runs outside the sandbox.
    /// A wrapper script, such as pyenv's, is replaced by the actual interpreter.
    pub async fn discover(interpreter: &Path) -> Result<Self> {
        let refused = |reason: String| Error::Interpreter {
            path: interpreter.to_owned(),
            reason,
        };
        let asked = tokio::process::Command::new(interpreter)
            .args(["-I", "-c", DISCOVER])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(Duration::from_millis(DISCOVER_MS_MAX), asked)
            .await
            .map_err(|_| refused(format!("it gave no answer within {DISCOVER_MS_MAX} ms")))?
            .map_err(|error| refused(format!("it cannot be started: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(refused(format!("{}: {}", output.status, said.trim())));
        }
        let found: Discovered = serde_json::from_slice(&output.stdout).map_err(|error| {
            refused(format!(
                "it did not answer like Python 3.9 or newer: {error}"
            ))
        })?;
        Ok(Self {
            program: found.executable,
            readable: found.readable,
            version: found.version,
        })
    }

    /// The path of the executable.
    pub fn interpreter(&self) -> &Path {
        &self.program
    }

    /// Its version, such as `3.11.7`.
    pub fn version(&self) -> &str {
        &self.version
    }

    async fn run<Report: for<'de> Deserialize<'de>>(
        &self,
        sandbox: &Sandbox,
        script: &str,
        folder: &Path,
        arguments: &[&str],
        limits: Option<Limits>,
        cancel: &CancellationToken,
    ) -> Result<(Output, Vec<Report>)> {
        let secret = secret().await?;
        let secret_file = folder.join(format!(
            ".journeyman-{}",
            secret.get(..8).unwrap_or_default()
        ));
        write_new(&secret_file, &secret)
            .await
            .map_err(|error| Error::io(format!("write {}", secret_file.display()), error))?;
        let mut limits = limits.unwrap_or_else(|| sandbox.limits());
        limits.output_bytes_max = limits.output_bytes_max.max(REPORT_BYTES_MIN);
        let mut list: Vec<OsString> = vec![
            "-s".into(),
            "-B".into(),
            "-c".into(),
            format!("{CHANNEL}\n{script}").into(),
        ];
        list.push(secret_file.clone().into());
        list.extend(arguments.iter().map(OsString::from));
        let command = Command {
            program: self.program.clone(),
            arguments: list,
            folder: folder.to_owned(),
            environment: [("PYTHONHASHSEED", "0"), ("PYTHONDONTWRITEBYTECODE", "1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            limits: Some(limits),
        };
        let ran = sandbox.run(command, cancel).await;
        // The script has removed it, unless it never came so far.
        let _ = tokio::fs::remove_file(&secret_file).await;
        let output = ran?;
        let reports = output
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix(secret.as_str()))
            .filter_map(|report| serde_json::from_str(report).ok())
            .collect();
        Ok((output, reports))
    }
}

/// Writes a file that must not exist yet, never through a link left by an earlier run.
async fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = tokio::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .await?;
    file.write_all(text.as_bytes()).await?;
    file.flush().await
}

/// A word that the tested code cannot guess. It need not be reproducible, because it is not stored.
async fn secret() -> Result<String> {
    let failed = |error| Error::io("read /dev/urandom", error);
    let mut bytes = [0; 16];
    let mut source = tokio::fs::File::open("/dev/urandom")
        .await
        .map_err(failed)?;
    source.read_exact(&mut bytes).await.map_err(failed)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum TestLine {
    Runner {
        name: String,
    },
    Started {
        name: String,
    },
    Test {
        name: String,
        passed: bool,
        message: String,
    },
    NotLoaded {
        file: String,
        message: String,
        /// Whether the code is not involved.
        own_fault: bool,
    },
    Skipped {
        name: String,
    },
    NotTrusted {
        change: String,
    },
    Idle {
        name: String,
    },
    Finished {
        code: i32,
        collected: u32,
        passed: u32,
        failed: u32,
        skipped: u32,
    },
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ImportLine {
    Imported,
    Failed { error: String },
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ProbeLine {
    Behaves { number: usize, how: String },
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum AnalysisLine {
    Dead {
        what: DeadCodeKind,
        file: String,
        name: String,
        line: u32,
    },
    Unreadable {
        file: String,
        error: String,
    },
    Finished,
}

#[async_trait]
impl Runner for Interpreter {
    fn language(&self) -> &'static str {
        "python"
    }

    fn program(&self, word: &str) -> Option<PathBuf> {
        ["python", "python3"]
            .contains(&word)
            .then(|| self.program.clone())
    }

    fn readable(&self) -> &[PathBuf] {
        &self.readable
    }

    async fn run_tests(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        files: &[&str],
        limits: Option<Limits>,
        cancel: &CancellationToken,
    ) -> Result<TestReport> {
        let (output, lines) = self
            .run(sandbox, TEST, folder, files, limits, cancel)
            .await?;
        Ok(judge(&output, lines))
    }

    async fn run_doubted_tests(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        files: &[&str],
        cancel: &CancellationToken,
    ) -> Result<TestReport> {
        let arguments: Vec<&str> = ["--doubt"]
            .into_iter()
            .chain(files.iter().copied())
            .collect();
        let (output, lines) = self
            .run(sandbox, TEST, folder, &arguments, None, cancel)
            .await?;
        Ok(judge(&output, lines))
    }

    async fn check_import(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        module: &str,
        cancel: &CancellationToken,
    ) -> Result<ImportCheck> {
        let (output, lines) = self
            .run(sandbox, IMPORT, folder, &[module], None, cancel)
            .await?;
        let error = match (lines.into_iter().next_back(), output.exit) {
            (Some(ImportLine::Imported), Exit::Code(0)) => None,
            (Some(ImportLine::Failed { error }), _) => Some(error),
            (_, exit) => Some(format!(
                "importing it ended the process ({}): what waits, prints, serves or ends the program belongs {MAIN_ONLY}",
                in_words(exit)
            )),
        };
        Ok(ImportCheck {
            imports: error.is_none(),
            error: visible(&error.unwrap_or_default()),
        })
    }

    async fn probe(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        module: &str,
        calls: &[String],
        cancel: &CancellationToken,
    ) -> Result<Vec<String>> {
        let calls_of = calls.iter().map(String::as_str);
        let arguments: Vec<&str> = [module].into_iter().chain(calls_of).collect();
        let (_, lines) = self
            .run(sandbox, PROBE, folder, &arguments, None, cancel)
            .await?;
        let mut behaviour = vec![String::new(); calls.len()];
        for ProbeLine::Behaves { number, how } in lines {
            if let Some(place) = behaviour.get_mut(number) {
                *place = how;
            }
        }
        Ok(behaviour)
    }

    async fn analyse(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        files: &[&str],
        cancel: &CancellationToken,
    ) -> Result<Vec<DeadCode>> {
        let (output, lines) = self
            .run(sandbox, ANALYSE, folder, files, None, cancel)
            .await?;
        let mut dead = Vec::new();
        let mut finished = false;
        for line in lines {
            match line {
                AnalysisLine::Dead {
                    what,
                    file,
                    name,
                    line,
                } => dead.push(DeadCode {
                    file,
                    name,
                    line,
                    kind: what,
                }),
                // Code that does not parse is found by the tests; here it only has no part in the answer.
                AnalysisLine::Unreadable { file, error } => {
                    tracing::debug!(file, error, "not analysed");
                }
                AnalysisLine::Finished => finished = true,
            }
        }
        if finished {
            Ok(dead)
        } else {
            Err(Error::Interpreter {
                path: self.program.clone(),
                reason: format!("the analysis ended early ({})", in_words(output.exit)),
            })
        }
    }
}

fn judge(output: &Output, lines: Vec<TestLine>) -> TestReport {
    let mut seen = Seen::default();
    for line in lines {
        seen.take(line);
    }
    let (outcome, reason) = seen.outcome(output.exit);
    let mut detail = reason;
    if outcome == TestOutcome::NoTests && !seen.idle.is_empty() {
        detail = format!(
            "none of the tests says anything of the code: {}",
            seen.idle.join(", ")
        );
    }
    // What tests print is kept in a file, whose size has a bound.
    let is_too_loud = |message: &str| message.contains("[Errno 27]");
    if seen
        .not_loaded
        .iter()
        .any(|(_, message)| is_too_loud(message))
    {
        detail.push_str("the code printed or wrote too much while it was loaded");
    }
    for (file, message) in &seen.not_loaded {
        let _ = write!(detail, "\n{file} could not be loaded:\n{message}");
    }
    if seen.not_trusted.is_some() {
        seen.tests.clear();
        seen.finished = None;
    }
    let (passed, failed) = seen.totals();
    TestReport {
        outcome,
        detail: visible(detail.trim()),
        passed,
        failed,
        skipped: seen.skipped,
        tests: seen.tests,
        idle: seen.idle,
        broken_tests: seen.broken_tests && outcome == TestOutcome::DoesNotImport,
        runner: seen.runner,
        output: visible(&tail(&output.stdout)),
        wall_ms: output.wall_ms,
    }
}

#[derive(Default)]
struct Seen {
    runner: Option<String>,
    running: Option<String>,
    tests: Vec<TestResult>,
    idle: Vec<String>,
    not_loaded: Vec<(String, String)>,
    broken_tests: bool,
    skipped: Vec<String>,
    /// What shows that tests were not run as they should be.
    not_trusted: Option<String>,
    finished: Option<(i32, [u32; 3])>,
    /// The number of tests found.
    collected: u32,
}

impl Seen {
    fn take(&mut self, line: TestLine) {
        match line {
            TestLine::Runner { name } => self.runner = Some(name),
            TestLine::Started { name } => self.running = Some(name),
            TestLine::Test {
                name,
                passed,
                message,
            } => {
                self.running = None;
                self.tests.push(TestResult {
                    name,
                    passed,
                    message: visible(&message),
                });
            }
            TestLine::Skipped { name } => {
                self.running = None;
                self.skipped.push(name);
            }
            TestLine::NotTrusted { change } => {
                self.not_trusted.get_or_insert(change);
            }
            TestLine::Idle { name } => {
                self.running = None;
                self.idle.push(name);
            }
            TestLine::NotLoaded {
                file,
                message,
                own_fault,
            } => {
                self.not_loaded.push((file, message));
                self.broken_tests |= own_fault;
            }
            TestLine::Finished {
                code,
                collected,
                passed,
                failed,
                skipped,
            } => {
                self.finished = Some((code, [passed, failed, skipped]));
                self.collected = collected;
            }
        }
    }

    fn totals(&self) -> (u32, u32) {
        if let Some((_, [passed, failed, _])) = self.finished {
            return (passed, failed);
        }
        let all = u32::try_from(self.tests.len()).unwrap_or(u32::MAX);
        (all.saturating_sub(self.failing()), self.failing())
    }

    /// The number of tests reported as failing.
    fn failing(&self) -> u32 {
        let failing = self.tests.iter().filter(|test| !test.passed).count();
        u32::try_from(failing).unwrap_or(u32::MAX)
    }

    fn outcome(&self, exit: Exit) -> (TestOutcome, String) {
        let place = match (&self.running, &self.runner) {
            (Some(name), _) => format!("while {name} ran"),
            (None, Some(_)) if self.tests.is_empty() => format!(
                "while code was loaded: what waits, prints, serves or ends the program belongs {MAIN_ONLY}"
            ),
            (None, Some(_)) => "between tests".to_owned(),
            (None, None) => "before any test ran".to_owned(),
        };
        if let Some(change) = &self.not_trusted {
            let words = "the code, or a test, changes how tests are run";
            return (
                TestOutcome::Killed,
                format!("{words} ({change}): no result of theirs counts"),
            );
        }
        let broken_off = |outcome| (outcome, format!("{} {place}", in_words(exit)));
        match (exit, self.finished) {
            (Exit::WallTime, _) => broken_off(TestOutcome::TimedOut),
            (Exit::Cancelled, _) => broken_off(TestOutcome::Cancelled),
            (Exit::Memory | Exit::Disk | Exit::Signal(_), _) | (Exit::Code(_), None) => {
                broken_off(TestOutcome::Killed)
            }
            (Exit::Code(code), Some((reported, _))) if code != reported => (
                TestOutcome::Killed,
                format!(
                    "the runner reported exit code {reported} but ended with {code}: its report is not believed"
                ),
            ),
            (Exit::Code(_), Some((_, counts))) if counts.iter().sum::<u32>() != self.collected => (
                TestOutcome::Killed,
                format!(
                    "of {} tests only {} came to their end: the code ended the run",
                    self.collected,
                    counts.iter().sum::<u32>()
                ),
            ),
            (Exit::Code(_), Some((_, [_, failed, _]))) if self.failing() != failed => (
                TestOutcome::Killed,
                format!(
                    "{failed} tests are said to fail and {} are reported: the report is not believed",
                    self.failing()
                ),
            ),
            (Exit::Code(_), Some(_)) if !self.not_loaded.is_empty() => {
                (TestOutcome::DoesNotImport, String::new())
            }
            (Exit::Code(_), Some((_, [_, failed, _]))) if failed > 0 => {
                (TestOutcome::Failed, String::new())
            }
            (Exit::Code(0), Some((_, [passed, ..]))) if passed > 0 => {
                (TestOutcome::Passed, String::new())
            }
            (Exit::Code(0 | 5), Some((_, [_, _, skipped]))) => {
                let skipped = if skipped > 0 {
                    ", all were skipped"
                } else {
                    ""
                };
                (TestOutcome::NoTests, format!("no test ran{skipped}"))
            }
            (Exit::Code(_), Some(_)) => broken_off(TestOutcome::Killed),
        }
    }
}

fn in_words(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("it ended by itself with exit code {code}"),
        Exit::Signal(24) => "it used up its processor time".to_owned(),
        // What tests print is kept in a file, whose size has a bound.
        Exit::Disk | Exit::Signal(25) => "it printed or wrote too much".to_owned(),
        Exit::Signal(signal) => format!("it was ended by signal {signal}"),
        Exit::WallTime => "it ran out of time".to_owned(),
        Exit::Memory => "it used too much memory".to_owned(),
        Exit::Cancelled => "it was cancelled".to_owned(),
    }
}

/// The output of code with control characters made visible, such as `\x1b`.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' => {}
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

fn tail(text: &str) -> String {
    let skip = text.chars().count().saturating_sub(OUTPUT_CHARACTERS_MAX);
    text.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(exit: Exit) -> Output {
        Output {
            exit,
            stdout: String::new(),
            stderr: String::new(),
            truncated: false,
            wall_ms: 1,
        }
    }

    fn finished(code: i32, passed: u32) -> TestLine {
        TestLine::Finished {
            code,
            collected: passed,
            passed,
            failed: 0,
            skipped: 0,
        }
    }

    #[tokio::test]
    async fn the_secret_is_not_written_through_a_link_that_an_earlier_run_left() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        std::fs::write(&target, "theirs").expect("a file can be made");
        std::os::unix::fs::symlink(&target, &link).expect("a link can be made");
        for path in [&target, &link] {
            write_new(path, "secret").await.expect_err("it is there");
        }
        let text = std::fs::read_to_string(&target).expect("it is still there");
        assert_eq!(text, "theirs");
    }

    #[test]
    fn a_report_of_success_with_another_exit_code_is_not_believed() {
        let report = judge(&output(Exit::Code(1)), vec![finished(0, 3)]);
        assert_eq!(report.outcome, TestOutcome::Killed);
        assert!(report.detail.contains("not believed"), "{}", report.detail);
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_not_sent() {
        for (printed, shown) in [
            ("a\n\tb", "a\n\tb"),
            ("\x1b[2J\x1b]0;x\x07", "\\x1b[2J\\x1b]0;x\\x07"),
            ("\u{9b}31mé\r\n", "\\x9b31mé\n"),
        ] {
            assert_eq!(visible(printed), shown);
        }
    }

    #[test]
    fn an_exit_code_of_success_without_a_report_is_no_pass() {
        assert_eq!(
            judge(&output(Exit::Code(0)), Vec::new()).outcome,
            TestOutcome::Killed
        );
    }

    #[test]
    fn success_without_a_single_test_is_no_pass() {
        let report = judge(&output(Exit::Code(0)), vec![finished(0, 0)]);
        assert_eq!(report.outcome, TestOutcome::NoTests);
    }

    #[test]
    fn success_with_a_failing_code_is_no_pass() {
        let report = judge(&output(Exit::Code(3)), vec![finished(3, 3)]);
        assert_eq!(report.outcome, TestOutcome::Killed);
    }

    #[test]
    fn success_without_each_of_the_tests_that_were_found_is_no_pass() {
        let finished = TestLine::Finished {
            code: 0,
            collected: 3,
            passed: 2,
            failed: 0,
            skipped: 0,
        };
        let report = judge(&output(Exit::Code(0)), vec![finished]);
        assert_eq!(report.outcome, TestOutcome::Killed);
        assert!(
            report.detail.contains("of 3 tests only 2"),
            "{}",
            report.detail
        );
    }

    #[test]
    fn a_report_whose_failing_tests_are_missing_is_not_believed() {
        let failing = |name: &str| TestLine::Test {
            name: name.to_owned(),
            passed: false,
            message: String::new(),
        };
        let finished = |failed| TestLine::Finished {
            code: 1,
            collected: 3,
            passed: 3 - failed,
            failed,
            skipped: 0,
        };
        for (lines, outcome) in [
            (vec![failing("a"), finished(1)], TestOutcome::Failed),
            (vec![failing("a"), finished(2)], TestOutcome::Killed),
            (vec![failing("a"), finished(0)], TestOutcome::Killed),
        ] {
            assert_eq!(judge(&output(Exit::Code(1)), lines).outcome, outcome);
        }
    }

    #[test]
    fn a_report_and_an_exit_code_that_agree_are_a_pass() {
        let report = judge(&output(Exit::Code(0)), vec![finished(0, 3)]);
        assert_eq!((report.outcome, report.passed), (TestOutcome::Passed, 3));
    }
}
