//! The workspace of a task, through which tools access its files. Implemented by the caller; tools can access
//! nothing else.

use async_trait::async_trait;
use serde::Serialize;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::FilePath;

/// The files, texts and sandbox of one user's task.
#[async_trait]
pub trait Workspace: Send + Sync {
    /// Lists the task's current files, sorted by path.
    async fn list(&self) -> Result<Vec<FileEntry>, WorkspaceError>;

    /// Reads a file's current text, or its text at a version.
    async fn read(&self, path: &FilePath, version: Option<u64>) -> Result<String, WorkspaceError>;

    /// Replaces a file's text.
    async fn write(&self, path: &FilePath, contents: String) -> Result<FileEntry, WorkspaceError>;

    /// Runs the task's tests, all or those in these files, until finished or cancelled.
    async fn run_tests(
        &self,
        paths: &[FilePath],
        cancel: &CancellationToken,
    ) -> Result<TestRun, WorkspaceError>;

    /// Runs a command in the sandbox, until finished or cancelled. Dropping the future kills it.
    async fn run_command(
        &self,
        argv: Vec<String>,
        cancel: &CancellationToken,
    ) -> Result<CommandRun, WorkspaceError>;

    /// The exact text behind a citation in a summary: an event's sequence number, or a `b3:` hash.
    async fn expand(&self, reference: &str) -> Result<String, WorkspaceError>;
}

/// A file of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// The path of the file.
    pub path: FilePath,
    /// How often the file was written.
    pub version: u64,
    /// The size of its text in bytes.
    pub bytes: u64,
}

/// The result of running tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRun {
    /// Whether there were tests and all of them passed.
    pub passed: bool,
    /// A summary for a model: counts, failing tests, and why they failed.
    pub summary: String,
}

/// The result of running a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRun {
    /// The exit code; `None` if a signal or a limit ended the command.
    pub exit: Option<i32>,
    /// The standard output.
    pub stdout: String,
    /// The standard error output.
    pub stderr: String,
    /// Whether a part of the output is missing.
    pub truncated: bool,
}

/// Why an operation on the workspace failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WorkspaceError {
    /// The task has no such file.
    #[error("there is no file {path}; `list_files` shows those there are")]
    NoFile {
        /// The path of the file.
        path: FilePath,
    },
    /// The file has no such version.
    #[error("{path} has no version {version}; its versions are 1 to {newest}")]
    NoVersion {
        /// The path of the file.
        path: FilePath,
        /// The requested version.
        version: u64,
        /// The newest version of the file.
        newest: u64,
    },
    /// The task has no such citation.
    #[error(
        "this task has no text with the reference {reference:?}; give a reference exactly as the summary has it"
    )]
    NoReference {
        /// The requested citation.
        reference: String,
    },
    /// The operation is not allowed, for example because the file belongs to the user.
    #[error("refused: {why}")]
    Refused {
        /// The reason, and what to do.
        why: String,
    },
    /// The operation was cancelled.
    #[error("stopped before it was done")]
    Cancelled,
    /// Something outside the task failed: the store, the sandbox.
    #[error("{0}")]
    Failed(String),
}
