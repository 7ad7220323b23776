//! A runner of tests that runs none: for servers and workers whose effects are not what is tried.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use journeyman_language::{DeadCode, ImportCheck, Runner, TestOutcome, TestReport, TestResult};
use journeyman_sandbox::{Limits, Sandbox};
use tokio_util::sync::CancellationToken;

/// Runs nothing, and says that all is well.
pub(crate) struct NoEffects;

#[async_trait]
impl Runner for NoEffects {
    fn language(&self) -> &'static str {
        "python"
    }

    fn program(&self, _: &str) -> Option<PathBuf> {
        None
    }

    fn readable(&self) -> &[PathBuf] {
        &[]
    }

    async fn run_tests(
        &self,
        _: &Sandbox,
        _: &Path,
        files: &[&str],
        _: Option<Limits>,
        _: &CancellationToken,
    ) -> journeyman_language::Result<TestReport> {
        let tests = files.iter().map(|file| TestResult {
            name: format!("{file}::declared_and_not_run"),
            passed: true,
            message: String::new(),
        });
        let tests: Vec<TestResult> = tests.collect();
        Ok(TestReport {
            outcome: TestOutcome::Passed,
            detail: String::new(),
            passed: u32::try_from(tests.len()).unwrap(),
            failed: 0,
            skipped: Vec::new(),
            idle: Vec::new(),
            tests,
            runner: None,
            broken_tests: false,
            output: String::new(),
            wall_ms: 0,
        })
    }

    async fn check_import(
        &self,
        _: &Sandbox,
        _: &Path,
        _: &str,
        _: &CancellationToken,
    ) -> journeyman_language::Result<ImportCheck> {
        Ok(ImportCheck {
            imports: true,
            error: String::new(),
        })
    }

    async fn probe(
        &self,
        _: &Sandbox,
        _: &Path,
        _: &str,
        calls: &[String],
        _: &CancellationToken,
    ) -> journeyman_language::Result<Vec<String>> {
        Ok(vec![String::new(); calls.len()])
    }

    async fn analyse(
        &self,
        _: &Sandbox,
        _: &Path,
        _: &[&str],
        _: &CancellationToken,
    ) -> journeyman_language::Result<Vec<DeadCode>> {
        Ok(Vec::new())
    }
}
