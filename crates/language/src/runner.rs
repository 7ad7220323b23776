//! How the code of a language is run: its tests, its imports, and what in it is not used.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use journeyman_sandbox::{Limits, Sandbox};

use crate::{DeadCode, ImportCheck, Result, TestReport};

/// Runs the code of a language, in a sandbox and nowhere else.
#[async_trait]
pub trait Runner: Send + Sync {
    /// The name of the language that it runs.
    fn language(&self) -> &'static str;

    /// The executable that a command's first word means, where it is one of the language's own.
    fn program(&self, word: &str) -> Option<PathBuf>;

    /// Runs the tests in `files` (paths relative to `folder`); bounds are the sandbox's own unless given. A test that
    /// fails, or code that does not even load, is a report and no error.
    async fn run_tests(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        files: &[&str],
        limits: Option<Limits>,
        cancel: &CancellationToken,
    ) -> Result<TestReport>;

    /// The same for tests that nobody vouches for: those that pass whatever the code does, or that need what is not there,
    /// are named in [`TestReport::idle`] and count for nothing. A language that cannot tell them runs them like others.
    async fn run_doubted_tests(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        files: &[&str],
        cancel: &CancellationToken,
    ) -> Result<TestReport> {
        self.run_tests(sandbox, folder, files, None, cancel).await
    }

    /// Whether a module (by the name that code would import it by) loads.
    async fn check_import(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        module: &str,
        cancel: &CancellationToken,
    ) -> Result<ImportCheck>;

    /// What is defined at the top of `files` (paths relative to `folder`) and used in none of them. Reads the code, does
    /// not run it.
    async fn analyse(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        files: &[&str],
        cancel: &CancellationToken,
    ) -> Result<Vec<DeadCode>>;
}
