//! The one task whose files a call may touch. The caller implements it; tools see nothing else.

use async_trait::async_trait;
use serde::Serialize;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::FilePath;

/// The files and texts of one task of one user, and its sandbox.
#[async_trait]
pub trait Workspace: Send + Sync {
    /// The task's files as they are, in the order of their paths.
    async fn list(&self) -> Result<Vec<FileEntry>, WorkspaceError>;

    /// A file's text: as it is, or as it was at a version.
    async fn read(&self, path: &FilePath, version: Option<u64>) -> Result<String, WorkspaceError>;

    /// Makes this the file's text.
    async fn write(&self, path: &FilePath, contents: String) -> Result<FileEntry, WorkspaceError>;

    /// Runs the task's tests, of all files or of these, until done or cancelled.
    async fn run_tests(
        &self,
        paths: &[FilePath],
        cancel: &CancellationToken,
    ) -> Result<TestRun, WorkspaceError>;

    /// Runs a command in the sandbox, until done or cancelled. Dropping the future ends it.
    async fn run_command(
        &self,
        argv: Vec<String>,
        cancel: &CancellationToken,
    ) -> Result<CommandRun, WorkspaceError>;

    /// The exact text behind a citation of a summary: an event's sequence, or a `b3:` hash.
    async fn expand(&self, reference: &str) -> Result<String, WorkspaceError>;
}

/// A file of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// Where it is.
    pub path: FilePath,
    /// How often it was written.
    pub version: u64,
    /// How long its text is.
    pub bytes: u64,
}

/// What came of running tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// Whether there were tests and all passed.
    pub passed: bool,
    /// What a model needs to know of it: counts, and what failed and why.
    pub summary: String,
}

/// What came of running a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRun {
    /// Its exit code; `None` if a signal or a limit ended it.
    pub exit: Option<i32>,
    /// What it wrote to its output.
    pub stdout: String,
    /// What it wrote to its error output.
    pub stderr: String,
    /// Whether any of that is missing.
    pub truncated: bool,
}

/// Why the workspace did not do it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WorkspaceError {
    /// The task has no such file.
    #[error("there is no file {path}; `list_files` shows those there are")]
    NoFile {
        /// The file.
        path: FilePath,
    },
    /// The file was never at that version.
    #[error("{path} has no version {version}; its versions are 1 to {newest}")]
    NoVersion {
        /// The file.
        path: FilePath,
        /// What was asked for.
        version: u64,
        /// The version it is at.
        newest: u64,
    },
    /// Nothing of this task is cited by that.
    #[error(
        "nothing of this task is cited as {reference:?}; give a citation as it stands in the summary"
    )]
    NoReference {
        /// What was asked for.
        reference: String,
    },
    /// It may not be done: the file is the user's, say.
    #[error("refused: {why}")]
    Refused {
        /// Why, and what to do.
        why: String,
    },
    /// It was stopped before it was done.
    #[error("stopped before it was done")]
    Cancelled,
    /// Something outside of the task does not work: the store, the sandbox.
    #[error("{0}")]
    Failed(String),
}
