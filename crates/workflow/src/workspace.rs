//! A task as its tools see it: its current files, their versions, its tests and sandbox, and the texts its events
//! refer to. Nothing of other tasks is accessible.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use journeyman_event::{ContentHash, Principal, Randomness, Sequence, TaskId, TaskState};
use journeyman_journal::{Filter, Journal};
use journeyman_language::{TestOutcome, TestReport};
use journeyman_sandbox::{Command, Exit};
use journeyman_tools::{CommandRun, FileEntry, FilePath, TestRun, Workspace, WorkspaceError};
use tokio_util::sync::CancellationToken;

use crate::folder::FreshFolder;
use crate::layout::{self, task_files, working_files};
use crate::worker_context::WorkerContext;

/// Where system programs are searched for.
const PROGRAM_FOLDERS: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"];
/// How many characters of failing tests are shown.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// The workspace of one task, for one tool call.
pub struct TaskWorkspace {
    /// The journal with the texts that the task's events refer to.
    pub journal: Journal,
    /// The principal on whose behalf the journal is read.
    pub principal: Principal,
    /// The task whose files, versions and tests are accessible.
    pub task: TaskId,
    /// The task's state when the call started.
    pub state: Arc<TaskState>,
    /// The sandbox and the language for running code.
    pub worker_context: WorkerContext,
    /// The random numbers for names of folders.
    pub randomness: Arc<dyn Randomness>,
    /// Writes files for the user. An agent writes files through its answer.
    pub writer: Option<Arc<dyn FileWriter>>,
}

/// Writes files of one task.
#[async_trait]
pub trait FileWriter: Send + Sync {
    /// Replaces a file's text and returns its version, or says why that is not allowed.
    async fn write(&self, path: &str, source: String) -> Result<u64, String>;
}

fn failed(error: impl std::fmt::Display) -> WorkspaceError {
    WorkspaceError::Failed(error.to_string())
}

#[async_trait]
impl Workspace for TaskWorkspace {
    async fn list(&self) -> Result<Vec<FileEntry>, WorkspaceError> {
        let mut entries: Vec<FileEntry> = Vec::new();
        // Older versions come first.
        for file in task_files(&self.state) {
            let path = FilePath::new(&file.path).map_err(failed)?;
            entries.retain(|entry| entry.path != path);
            entries.push(FileEntry {
                path,
                version: file.version.unwrap_or(1),
                bytes: file.text.len() as u64,
            });
        }
        entries.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
        Ok(entries)
    }

    async fn read(&self, path: &FilePath, version: Option<u64>) -> Result<String, WorkspaceError> {
        let files = task_files(&self.state);
        let versions: Vec<_> = files
            .iter()
            .filter(|file| file.path == path.as_str())
            .collect();
        let newest = versions
            .last()
            .ok_or_else(|| WorkspaceError::NoFile { path: path.clone() })?;
        let Some(wanted) = version else {
            return Ok(newest.text.clone());
        };
        let found = versions
            .iter()
            .find(|file| file.version.unwrap_or(1) == wanted);
        let found = found.ok_or_else(|| WorkspaceError::NoVersion {
            path: path.clone(),
            version: wanted,
            newest: newest.version.unwrap_or(1),
        })?;
        Ok(found.text.clone())
    }

    async fn write(&self, path: &FilePath, contents: String) -> Result<FileEntry, WorkspaceError> {
        let refused = |why: String| WorkspaceError::Refused { why };
        let Some(writer) = &self.writer else {
            return Err(refused("an agent gives its file as its answer".to_owned()));
        };
        let bytes = contents.len() as u64;
        let written = writer.write(path.as_str(), contents).await;
        Ok(FileEntry {
            path: path.clone(),
            version: written.map_err(refused)?,
            bytes,
        })
    }

    async fn run_tests(
        &self,
        paths: &[FilePath],
        cancel: &CancellationToken,
    ) -> Result<TestRun, WorkspaceError> {
        let given: Vec<String> = self
            .state
            .given_tests()
            .iter()
            .map(|test| test.name.clone())
            .collect();
        let mut files = layout::test_files(&self.state, None, &given);
        if !paths.is_empty() {
            files.retain(|file| paths.iter().any(|path| path.as_str() == file));
        }
        if files.is_empty() {
            return Err(failed("the task has no such tests yet"));
        }
        let runner = self
            .worker_context
            .runners
            .of_task(&self.state)
            .map_err(failed)?;
        let folder = self.folder().await?;
        let names: Vec<&str> = files.iter().map(String::as_str).collect();
        let sandbox = &self.worker_context.sandbox;
        let ran = runner.run_tests(sandbox, folder.path(), &names, None, cancel);
        let report = ran.await;
        folder.remove().await;
        let report = report.map_err(failed)?;
        if report.outcome == TestOutcome::Cancelled {
            return Err(WorkspaceError::Cancelled);
        }
        Ok(TestRun {
            passed: report.outcome == TestOutcome::Passed,
            summary: summary(&report),
        })
    }

    async fn run_command(
        &self,
        argv: Vec<String>,
        cancel: &CancellationToken,
    ) -> Result<CommandRun, WorkspaceError> {
        let mut words = argv.into_iter();
        let name = words.next().unwrap_or_default();
        let program = self.program(&name).ok_or_else(|| WorkspaceError::Refused {
            why: format!("there is no program {name:?} in the sandbox"),
        })?;
        let folder = self.folder().await?;
        let command = Command {
            program,
            arguments: words.map(Into::into).collect(),
            folder: folder.path().to_owned(),
            environment: Vec::new(),
            limits: None,
        };
        let ran = self.worker_context.sandbox.run(command, cancel).await;
        folder.remove().await;
        let output = ran.map_err(failed)?;
        let exit = match output.exit {
            Exit::Code(code) => Some(code),
            Exit::Cancelled => return Err(WorkspaceError::Cancelled),
            Exit::Signal(_) | Exit::WallTime | Exit::Memory | Exit::Disk => None,
        };
        Ok(CommandRun {
            exit,
            stdout: output.stdout,
            stderr: output.stderr,
            truncated: output.truncated,
        })
    }

    async fn expand(&self, reference: &str) -> Result<String, WorkspaceError> {
        let none = || WorkspaceError::NoReference {
            reference: reference.to_owned(),
        };
        if let Ok(sequence) = reference.parse::<u64>() {
            let filter = Filter {
                until: Some(Sequence(sequence)),
                ..Filter::of_task(&self.task)
            };
            let after = Sequence(sequence.checked_sub(1).ok_or_else(none)?);
            let page = self.journal.read(&self.principal, &filter, after, 1).await;
            let page = page.map_err(failed)?;
            let event = page.events.first().ok_or_else(none)?;
            return event.payload().to_json().map_err(failed);
        }
        let hash: ContentHash = reference.parse().map_err(|_| none())?;
        // A text that some event of this owner cites: whose it is, the journal knows.
        let bytes = self.journal.blob(&self.principal, hash).await;
        let bytes = bytes.map_err(failed)?.ok_or_else(none)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl TaskWorkspace {
    async fn folder(&self) -> Result<FreshFolder, WorkspaceError> {
        let name = format!("{}-tool-{:016x}", self.task, self.randomness.next_u64());
        let files = working_files(&self.state);
        FreshFolder::make(&self.worker_context.work_folder, &name, &files)
            .await
            .map_err(failed)
    }

    /// The executable that a command's first word refers to.
    fn program(&self, name: &str) -> Option<PathBuf> {
        if let Some(program) = self.worker_context.runners.program(name) {
            return Some(program);
        }
        if name.starts_with('/') {
            return Some(PathBuf::from(name));
        }
        let is_plain = !name.is_empty() && !name.contains('/');
        let mut folders = PROGRAM_FOLDERS.iter().filter(|_| is_plain);
        folders.find_map(|folder| {
            let program = Path::new(folder).join(name);
            program.is_file().then_some(program)
        })
    }
}

/// Counts, and the failing tests with their messages.
fn summary(report: &TestReport) -> String {
    let passed = report.tests.iter().filter(|test| test.passed).count();
    let mut text = format!("{passed} of {} tests passed", report.tests.len());
    for test in report.tests.iter().filter(|test| !test.passed) {
        let message: String = test.message.chars().take(MESSAGE_CHARS_MAX).collect();
        let _ = write!(text, "\n{}: {message}", test.name); // a String takes everything
    }
    if report.outcome != TestOutcome::Passed && report.tests.iter().all(|test| test.passed) {
        let _ = write!(text, "\n{}\n{}", report.detail, report.output);
    }
    text
}
