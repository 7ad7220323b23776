//! What the tests share: a task in memory, a record that is kept, tools that misbehave.

#![allow(dead_code, unreachable_pub)] // not every test uses everything
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)] // a test fails by panicking

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use journeyman_event::{Principal, TaskId};
use journeyman_tools::{
    Arguments, CallContext, CallRef, CommandRun, Completed, FileEntry, FilePath, Grants, Output,
    Permission, Record, RecordError, Request, Source, Spec, TestRun, Tool, ToolError, ToolName,
    Workspace, WorkspaceError,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A task's files in memory: every version of each.
#[derive(Default)]
pub struct Files(Mutex<BTreeMap<FilePath, Vec<String>>>);

impl Files {
    pub fn with(files: &[(&str, &str)]) -> Arc<Self> {
        let entry =
            |&(path, text): &(&str, &str)| (FilePath::new(path).unwrap(), vec![text.to_owned()]);
        Arc::new(Self(Mutex::new(files.iter().map(entry).collect())))
    }
}

fn entry(path: &FilePath, versions: &[String]) -> FileEntry {
    FileEntry {
        path: path.clone(),
        version: versions.len() as u64,
        bytes: versions.last().map_or(0, String::len) as u64,
    }
}

#[async_trait]
impl Workspace for Files {
    async fn list(&self) -> Result<Vec<FileEntry>, WorkspaceError> {
        let files = self.0.lock().unwrap();
        Ok(files.iter().map(|(path, all)| entry(path, all)).collect())
    }

    async fn read(&self, path: &FilePath, version: Option<u64>) -> Result<String, WorkspaceError> {
        let files = self.0.lock().unwrap();
        let path = path.clone();
        let Some(versions) = files.get(&path) else {
            return Err(WorkspaceError::NoFile { path });
        };
        let newest = versions.len() as u64;
        let version = version.unwrap_or(newest);
        let index = usize::try_from(version - 1).unwrap();
        versions
            .get(index)
            .cloned()
            .ok_or(WorkspaceError::NoVersion {
                path,
                version,
                newest,
            })
    }

    async fn write(&self, path: &FilePath, contents: String) -> Result<FileEntry, WorkspaceError> {
        let mut files = self.0.lock().unwrap();
        let versions = files.entry(path.clone()).or_default();
        versions.push(contents);
        Ok(entry(path, versions))
    }

    async fn run_tests(
        &self,
        paths: &[FilePath],
        _: &CancellationToken,
    ) -> Result<TestRun, WorkspaceError> {
        Ok(TestRun {
            passed: paths.is_empty(),
            summary: format!("ran {} files", paths.len()),
        })
    }

    async fn run_command(
        &self,
        argv: Vec<String>,
        cancel: &CancellationToken,
    ) -> Result<CommandRun, WorkspaceError> {
        if argv[0] == "wait" {
            cancel.cancelled().await;
            return Err(WorkspaceError::Cancelled);
        }
        Ok(CommandRun {
            exit: Some(i32::from(argv[0] == "false")),
            stdout: argv.join(" "),
            stderr: String::new(),
            truncated: false,
        })
    }

    async fn expand(&self, reference: &str) -> Result<String, WorkspaceError> {
        match reference {
            "17" => Ok("the exact text".into()),
            other => Err(WorkspaceError::NoReference {
                reference: other.into(),
            }),
        }
    }
}

/// A context that may do everything with these files.
pub fn context(workspace: Arc<dyn Workspace>) -> CallContext {
    use Permission::{External, Read, Run, Write};
    CallContext {
        principal: Principal::local(),
        task_id: TaskId::new("t-1").unwrap(),
        module: None,
        actor: "coder".into(),
        grants: Grants::of([Read, Write, Run, External]),
        workspace,
        cancel: CancellationToken::new(),
    }
}

pub fn request(name: &str, arguments: Value) -> Request {
    let Value::Object(arguments) = arguments else {
        panic!("arguments are an object");
    };
    Request {
        name: name.into(),
        arguments,
    }
}

/// Keeps what it is told, in words, and fails at what it should.
#[derive(Default)]
pub struct Kept {
    pub lines: Mutex<Vec<String>>,
    /// At lines that contain this.
    pub fails: Option<&'static str>,
}

impl Kept {
    pub fn failing_at(lines: &'static str) -> Self {
        Self {
            fails: Some(lines),
            ..Self::default()
        }
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn keep(&self, line: String) -> Result<(), RecordError> {
        let fails = self.fails.is_some_and(|part| line.contains(part));
        self.lines.lock().unwrap().push(line);
        if fails {
            Err(RecordError("the disk is full".into()))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Record for Kept {
    async fn executing(&self, call: &CallRef) -> Result<(), RecordError> {
        let arguments = json!(*call.arguments);
        self.keep(format!(
            "{} executing {} {arguments}",
            call.number, call.tool
        ))
    }

    async fn completed(&self, call: &CallRef, completed: &Completed) -> Result<(), RecordError> {
        let outcome = json!(completed.outcome);
        self.keep(format!("{} completed {} {outcome}", call.number, call.tool))
    }
}

type Behaviour = dyn Fn(Arguments) -> Result<Output, ToolError> + Send + Sync;

/// A tool that does what a test says.
pub struct Scripted {
    spec: Spec,
    behaviour: Option<Box<Behaviour>>,
}

pub fn spec(name: &str) -> Spec {
    let schema = json!({"type": "object"});
    Spec {
        name: ToolName::new(name).unwrap(),
        description: String::new(),
        input_schema: schema.as_object().unwrap().clone(),
        permission: Permission::Read,
        source: Source::BuiltIn,
        repeatable: true,
    }
}

impl Scripted {
    pub fn doing(
        name: &str,
        behaviour: impl Fn(Arguments) -> Result<Output, ToolError> + Send + Sync + 'static,
    ) -> Arc<dyn Tool> {
        let behaviour: Option<Box<Behaviour>> = Some(Box::new(behaviour));
        let spec = spec(name);
        Arc::new(Self { spec, behaviour })
    }

    /// One that never answers.
    pub fn hanging(name: &str) -> Arc<dyn Tool> {
        Arc::new(Self {
            spec: spec(name),
            behaviour: None,
        })
    }

    /// One that only says what it is.
    pub fn with_spec(spec: Spec) -> Arc<dyn Tool> {
        let behaviour = None;
        Arc::new(Self { spec, behaviour })
    }
}

#[async_trait]
impl Tool for Scripted {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    async fn call(&self, _: &CallContext, arguments: Arguments) -> Result<Output, ToolError> {
        match &self.behaviour {
            Some(behaviour) => behaviour(arguments),
            None => std::future::pending().await,
        }
    }
}
