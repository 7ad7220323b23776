//! How the code of a language is run: its tests, its imports, and what in it is not used.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use journeyman_sandbox::{Limits, Sandbox};

use crate::{DeadCode, ImportCheck, Result, TestReport};

/// Runs the code of a language, in a sandbox and nowhere else.
#[async_trait]
pub trait Runner: Send + Sync {
    /// The name of the language it runs.
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

    /// The same for tests that may be wrong. Those that pass whatever the code does, or that need something
    /// that does not exist, are listed in [`TestReport::idle`] and do not count. A language that cannot
    /// recognise them runs them like others.
    async fn run_doubted_tests(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        files: &[&str],
        cancel: &CancellationToken,
    ) -> Result<TestReport> {
        self.run_tests(sandbox, folder, files, None, cancel).await
    }

    /// Checks whether a module, by the name used for importing it, can be loaded.
    async fn check_import(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        module: &str,
        cancel: &CancellationToken,
    ) -> Result<ImportCheck>;

    /// The definitions at top level of `files` (paths relative to `folder`) that none of them uses. Reads the
    /// code without running it.
    async fn analyse(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        files: &[&str],
        cancel: &CancellationToken,
    ) -> Result<Vec<DeadCode>>;
}
