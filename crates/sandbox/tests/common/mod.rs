//! What the tests share: a Python environment with pytest, made once, and a sandbox at a forced level.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command as StdCommand;

use journeyman_language::python::Interpreter;
use journeyman_language::{Runner, TestReport};
use journeyman_sandbox::{Command, Launcher, Level, Limits, Output, Sandbox, SandboxOptions};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A current pytest of the major version that the product installs.
const PYTEST: &str = "pytest==9.*";

pub fn launcher() -> Launcher {
    // This crate's own, or that of `language`, whose tests share this module.
    let program = option_env!("CARGO_BIN_EXE_sandbox-init");
    let program = program.or(option_env!("CARGO_BIN_EXE_language-sandbox-init"));
    Launcher {
        program: PathBuf::from(program.expect("cargo builds it for tests")),
        arguments: Vec::new(),
    }
}

/// An environment with pytest, below the target folder; made by the first test that asks.
pub async fn python() -> Interpreter {
    Interpreter::discover(&environment("with-pytest", Some(PYTEST)).join("bin/python"))
        .await
        .expect("the test environment works")
}

/// An environment without pytest.
pub async fn bare_python() -> Interpreter {
    Interpreter::discover(&environment("bare", None).join("bin/python"))
        .await
        .expect("the bare test environment works")
}

fn environment(name: &str, package: Option<&str>) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let environment = folder.join(name);
    let lock = File::create(folder.join(format!("{name}.lock")))
        .expect("the target folder can be written");
    lock.lock().expect("locks work in the target folder");
    let done = environment.join("done");
    if !done.exists() {
        let system = Path::new("/usr/bin/python3");
        let base = if system.exists() {
            system
        } else {
            Path::new("python3")
        };
        must(
            StdCommand::new(base)
                .args(["-m", "venv", "--clear"])
                .arg(&environment),
        );
        if let Some(package) = package {
            must(
                StdCommand::new(environment.join("bin/pip")).args(["install", "--quiet", package]),
            );
        }
        File::create(&done).expect("the environment can be written");
    }
    environment
}

fn must(command: &mut StdCommand) {
    let output = command
        .output()
        .expect("the tests need python3 with the venv module");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A sandbox at exactly this level. A machine that cannot offer it fails the test: what was not tried is not tested.
pub async fn sandbox(level: Level, python: &Interpreter) -> Sandbox {
    let mut options = SandboxOptions::new(launcher());
    options.only = Some(level);
    options.readable = python.readable().to_vec();
    match Sandbox::probe(options, python.interpreter()).await {
        Ok(sandbox) => sandbox,
        Err(error) => panic!("this machine cannot run the tests of the level {level}: {error}"),
    }
}

/// A level, a sandbox at it, and a task's folder.
pub struct Sandboxed {
    pub python: Interpreter,
    pub sandbox: Sandbox,
    pub folder: TempDir,
}

impl Sandboxed {
    pub async fn new(level: Level) -> Self {
        let python = python().await;
        Self {
            sandbox: sandbox(level, &python).await,
            python,
            folder: task_folder(),
        }
    }

    pub fn command(&self, script: &str) -> Command {
        Command {
            program: self.python.interpreter().to_owned(),
            arguments: vec!["-c".into(), script.into()],
            folder: self.folder.path().to_owned(),
            environment: Vec::new(),
            limits: None,
        }
    }

    pub async fn run(&self, script: &str) -> Output {
        self.run_within(script, Limits::default()).await
    }

    pub async fn run_within(&self, script: &str, limits: Limits) -> Output {
        let command = Command {
            limits: Some(limits),
            ..self.command(script)
        };
        self.sandbox
            .run(command, &CancellationToken::new())
            .await
            .expect("the sandbox can be set up")
    }

    pub fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join(file);
        fs::create_dir_all(path.parent().expect("a file is in a folder"))
            .expect("the task's folder can be written");
        fs::write(path, text).expect("the task's folder can be written");
    }

    pub async fn test(&self, files: &[&str]) -> TestReport {
        self.test_within(files, Limits::default()).await
    }

    pub async fn test_within(&self, files: &[&str], limits: Limits) -> TestReport {
        self.python
            .run_tests(
                &self.sandbox,
                self.folder.path(),
                files,
                Some(limits),
                &CancellationToken::new(),
            )
            .await
            .expect("the tests can be run")
    }
}

pub fn task_folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("journeyman-task-")
        .tempdir()
        .expect("a folder for the task can be made")
}

/// One test per level and case: `at_each_level! { name => |sandboxed| { ... } }`.
#[macro_export]
macro_rules! at_each_level {
    ($($name:ident => |$sandboxed:ident| $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every case needs everything")]
            use super::*;

            async fn case($sandboxed: $crate::common::Sandboxed) $body

            #[tokio::test]
            async fn landlock() {
                case($crate::common::Sandboxed::new(journeyman_sandbox::Level::Landlock).await).await;
            }

            #[tokio::test]
            async fn bubblewrap() {
                case($crate::common::Sandboxed::new(journeyman_sandbox::Level::Bubblewrap).await).await;
            }
        }
    )*};
}
