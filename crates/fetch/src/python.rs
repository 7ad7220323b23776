//! The managed Python environment: a virtual environment below the data folder, made once.
//!
//! Nothing is counted as made or installed until a marker says so, which is written last; what was
//! cut off is made anew.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::Error;
use crate::progress::{Progress, Report};

/// A package in one exact version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Its name in the package index.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// Runs the tests of generated code.
const PYTEST: Requirement = Requirement {
    name: "pytest",
    version: "9.2.0",
};

const FOLDER: &str = "python";
const MADE: &str = "made";
const LOCK_POLL: Duration = Duration::from_millis(200);
/// The end of a failed command's output that is shown.
const OUTPUT_CHARS: usize = 600;
/// Asks an interpreter whether it can make virtual environments, and where it lives.
const CHECK: &str = "import sys, venv, ensurepip; \
    assert sys.version_info >= (3, 9), 'it is older than 3.9'; print(sys.base_prefix)";

/// A virtual environment that is there and complete.
#[derive(Clone, Debug)]
pub struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// The environment of this data folder, if it was made. Looks only.
    pub fn find(data_dir: &Path) -> Option<Self> {
        let environment = Self {
            folder: data_dir.join(FOLDER),
        };
        let made = environment.marker(MADE).exists() && environment.interpreter().exists();
        made.then_some(environment)
    }

    /// The environment of this data folder, made if need be, with pytest in it.
    pub async fn ensure(data_dir: &Path, report: Report<'_>) -> Result<Self, Error> {
        let environment = match Self::find(data_dir) {
            Some(environment) => environment,
            None => Self::make(data_dir, report).await?,
        };
        environment.install(PYTEST, report).await?;
        Ok(environment)
    }

    async fn make(data_dir: &Path, report: Report<'_>) -> Result<Self, Error> {
        fs::create_dir_all(data_dir).map_err(|e| Error::io(data_dir, e))?;
        let _lock = lock(&data_dir.join("python.lock")).await?;
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
        match fs::remove_dir_all(&environment.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(&environment.folder, error));
            }
            _ => {}
        }
        let folder = environment.folder.as_os_str();
        let arguments = [OsStr::new("-m"), OsStr::new("venv"), folder];
        run_python(&base, &arguments, "making a Python environment").await?;
        let markers = environment.folder.join("markers");
        fs::create_dir_all(&markers).map_err(|e| Error::io(&markers, e))?;
        environment.mark(MADE)?;
        Ok(environment)
    }

    /// The environment's Python.
    pub fn interpreter(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Whether a package is installed in that very version. Looks only.
    pub fn has(&self, requirement: Requirement) -> bool {
        self.marker(&format!("{}-{}", requirement.name, requirement.version))
            .exists()
    }

    /// Installs a package, unless it is there.
    pub async fn install(&self, requirement: Requirement, report: Report<'_>) -> Result<(), Error> {
        if self.has(requirement) {
            return Ok(());
        }
        let _lock = lock(&self.folder.join("install.lock")).await?;
        if self.has(requirement) {
            return Ok(());
        }
        let Requirement { name, version } = requirement;
        report(Progress::step(format!("installing {name} {version}")));
        let wanted = format!("{name}=={version}");
        let mut arguments = pip();
        arguments.extend([OsStr::new("install"), OsStr::new(&wanted)]);
        run_python(
            &self.interpreter(),
            &arguments,
            &format!("installing {wanted}"),
        )
        .await?;
        self.mark(&format!("{name}-{version}"))
    }

    /// Downloads a package's wheel into a folder, without what it depends on.
    pub(crate) async fn download(&self, package: &str, folder: &Path) -> Result<(), Error> {
        let mut arguments = pip();
        arguments.extend([
            OsStr::new("download"),
            OsStr::new("--no-deps"),
            OsStr::new("--only-binary=:all:"),
            OsStr::new("-d"),
            folder.as_os_str(),
            OsStr::new(package),
        ]);
        run_python(
            &self.interpreter(),
            &arguments,
            &format!("downloading {package}"),
        )
        .await
    }

    fn marker(&self, name: &str) -> PathBuf {
        self.folder.join("markers").join(name)
    }

    fn mark(&self, name: &str) -> Result<(), Error> {
        let marker = self.marker(name);
        fs::write(&marker, "").map_err(|e| Error::io(&marker, e))
    }
}

fn pip() -> Vec<&'static OsStr> {
    ["-m", "pip", "--disable-pip-version-check", "--no-input"]
        .map(OsStr::new)
        .to_vec()
}

/// Waits until no other process holds the lock; it is free again when the value is dropped.
pub(crate) async fn lock(path: &Path) -> Result<File, Error> {
    let file = File::create(path).map_err(|e| Error::io(path, e))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_POLL).await,
            Err(TryLockError::Error(error)) => return Err(Error::io(path, error)),
        }
    }
}

/// A Python that can make virtual environments. The sandbox may run code as another user, so for
/// root the system's own Python, which every user can read, comes first.
async fn find_interpreter() -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<PathBuf> = std::env::split_paths(&path)
        .map(|folder| folder.join("python3"))
        .collect();
    let system = PathBuf::from("/usr/bin/python3");
    candidates.retain(|candidate| candidate != &system);
    if rustix::process::getuid().is_root() {
        candidates.insert(0, system);
    } else {
        candidates.push(system);
    }
    let mut tried = Vec::new();
    for candidate in candidates
        .into_iter()
        .filter(|candidate| candidate.exists())
    {
        match run_python(
            &candidate,
            &[OsStr::new("-c"), OsStr::new(CHECK)],
            "the check",
        )
        .await
        {
            Ok(()) => return Ok(candidate),
            Err(error) => tried.push(format!("{}: {error}", candidate.display())),
        }
    }
    let tried = if tried.is_empty() {
        "no python3 on the PATH".into()
    } else {
        tried.join("; ")
    };
    Err(Error::NoPython { tried })
}

/// Runs Python with files made for everyone to read, whatever the user's own habit is.
async fn run_python(interpreter: &Path, arguments: &[&OsStr], what: &str) -> Result<(), Error> {
    let output = Command::new("/bin/sh")
        .arg("-c")
        .arg("umask 022; exec \"$0\" \"$@\"")
        .arg(interpreter)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|e| Error::io(interpreter, e))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let skip = text.trim_end().chars().count().saturating_sub(OUTPUT_CHARS);
    let output = text.trim_end().chars().skip(skip).collect();
    Err(Error::Command {
        what: what.to_owned(),
        output,
    })
}
