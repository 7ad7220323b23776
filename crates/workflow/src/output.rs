//! Writes a result into the user's folder: a new one, an empty one, or this task's own. What the
//! user changed there since is kept beside what is written.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use journeyman_event::payload::OutputFile;
use journeyman_event::state::Ending;
use journeyman_event::{ContentHash, TaskId, TaskState, is_shortage};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::layout::{Files, output_files};

/// The file that says whose folder it is and what was written.
const MARKER: &str = ".journeyman.json";
/// What is added to the name of a file that the user changed.
const KEPT_SUFFIX: &str = ".yours";

/// A folder that the result cannot be written to.
#[derive(Debug, Error)]
pub enum OutputError {
    /// Something else is in it.
    #[error(
        "the folder {} is not empty and is not this task's; name a new or an empty one with --out",
        folder.display()
    )]
    NotOurs {
        /// The folder.
        folder: PathBuf,
    },
    /// It, or something above it, is no folder.
    #[error("{} is not a folder; name a new or an empty one with --out", folder.display())]
    NotAFolder {
        /// The path that is none.
        folder: PathBuf,
    },
    /// It is a link to something that is not there.
    #[error(
        "{} is a link that leads nowhere; name a new or an empty folder with --out",
        folder.display()
    )]
    LinkToNothing {
        /// The link.
        folder: PathBuf,
    },
    /// It lies where journeyman keeps its own files, or the other way round.
    #[error(
        "the folder {} and the data folder {} lie in one another; name a folder elsewhere with --out",
        folder.display(),
        data.display()
    )]
    AmongOurs {
        /// The folder.
        folder: PathBuf,
        /// The data folder.
        data: PathBuf,
    },
    /// Nothing can be made there.
    #[error(
        "nothing can be written to {}: {source}; name another folder with --out",
        folder.display()
    )]
    NotWritable {
        /// The folder that is there already.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file system says no.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl OutputError {
    /// Whether the same may succeed later without anything else being done.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_shortage(source),
            _ => false,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Marker {
    task_id: TaskId,
    files: BTreeMap<String, ContentHash>,
}

/// Whether a task may write its result here: a new folder that can be made, an empty one, or this task's
/// own, outside of the data folder `ours`, with space on its disk. Changes nothing.
pub fn check_output(
    folder: &Path,
    task: Option<&TaskId>,
    ours: Option<&Path>,
) -> Result<(), OutputError> {
    let existing = existing(folder)?;
    if let Some(ours) = ours
        && lie_in_one_another(folder, ours)
    {
        return Err(OutputError::AmongOurs {
            folder: folder.to_owned(),
            data: ours.to_owned(),
        });
    }
    if existing == folder {
        let mut entries = fs::read_dir(folder).map_err(|e| failed(folder, e))?;
        let ours = read_marker(folder).is_some_and(|marker| Some(&marker.task_id) == task);
        if !ours && entries.next().is_some() {
            return Err(OutputError::NotOurs {
                folder: folder.to_owned(),
            });
        }
    }
    try_to_write(existing).map_err(|source| OutputError::NotWritable {
        folder: existing.to_owned(),
        source,
    })
}

/// The folder, or the one above it in which it is to be made.
fn existing(folder: &Path) -> Result<&Path, OutputError> {
    for path in folder.ancestors() {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let folder = path.to_owned();
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => return Ok(path),
            Ok(_) => return Err(OutputError::NotAFolder { folder }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(path).is_ok() {
                    return Err(OutputError::LinkToNothing { folder });
                }
            }
            // Something above it is a file, and is told of in its turn.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
            Err(source) => return Err(failed(path, source)),
        }
    }
    Err(failed(folder, io::ErrorKind::NotFound.into()))
}

fn lie_in_one_another(one: &Path, other: &Path) -> bool {
    let (one, other) = (resolved(one), resolved(other));
    one.starts_with(&other) || other.starts_with(&one)
}

/// A path without links, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let mut ancestors = path.ancestors();
    let found = ancestors.find_map(|ancestor| Some((ancestor, fs::canonicalize(ancestor).ok()?)));
    match found {
        Some((ancestor, real)) => real.join(path.strip_prefix(ancestor).unwrap_or(Path::new(""))),
        None => path.to_owned(),
    }
}

/// Writes a little to a file that never has a name, where the file system has such files; else asks for
/// the right to write.
fn try_to_write(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, Mode, OFlags, access, open};
    use rustix::io::Errno;
    /// More than a small result has.
    const BYTES: usize = 64 * 1024;
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match open(folder, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => fs::File::from(file).write_all(&vec![0; BYTES]),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
            Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
        }
        Err(error) => Err(error.into()),
    }
}

fn failed(path: &Path, source: io::Error) -> OutputError {
    OutputError::Io {
        path: path.to_owned(),
        source,
    }
}

fn read_marker(folder: &Path) -> Option<Marker> {
    serde_json::from_slice(&fs::read(folder.join(MARKER)).ok()?).ok()
}

/// Writes an ended task's result into a folder: a new one, an empty one, or this task's own.
pub fn write_result(
    folder: &Path,
    task: &TaskId,
    state: &TaskState,
) -> Result<Vec<OutputFile>, OutputError> {
    let ending = state.ending.as_ref().unwrap_or(&Ending::Cancelled);
    write_output(folder, task, &output_files(state, ending))
}

/// Writes the files, each whole or not at all, and says what was written. Writing the same again is
/// harmless.
pub(crate) fn write_output(
    folder: &Path,
    task: &TaskId,
    files: &Files,
) -> Result<Vec<OutputFile>, OutputError> {
    check_output(folder, Some(task), None)?;
    fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    let before = read_marker(folder)
        .map(|marker| marker.files)
        .unwrap_or_default();
    // The marker first, with what was and what will be there: a folder half written is still ours.
    let mut marker = Marker {
        task_id: task.clone(),
        files: before.clone(),
    };
    write_marker(folder, &marker)?;
    let mut written = Vec::new();
    for (path, text) in files {
        let hash = ContentHash::of(text.as_bytes());
        let target = place(folder, path).map_err(|e| failed(&folder.join(path), e))?;
        keep_changes(&target, before.get(path).copied(), hash)?;
        write_whole(&target, text.as_bytes())?;
        marker.files.insert(path.clone(), hash);
        written.push(OutputFile {
            path: path.clone(),
            hash,
        });
    }
    for (path, hash) in before.iter().filter(|(path, _)| !files.contains_key(*path)) {
        if let Ok(stale) = place(folder, path)
            && fs::read(&stale).is_ok_and(|bytes| ContentHash::of(&bytes) == *hash)
        {
            fs::remove_file(&stale).map_err(|e| failed(&stale, e))?;
        }
        marker.files.remove(path);
    }
    write_marker(folder, &marker)?;
    Ok(written)
}

fn write_marker(folder: &Path, marker: &Marker) -> Result<(), OutputError> {
    let path = folder.join(MARKER);
    let text = serde_json::to_vec_pretty(marker).map_err(|e| failed(&path, e.into()))?;
    write_whole(&path, &text)
}

/// Where a file of this relative path lies below `folder`. An error if that is not below it, whoever chose the path: it
/// has `..`, is absolute or empty, or leads through a link.
pub(crate) fn place(folder: &Path, path: &str) -> io::Result<PathBuf> {
    let outside = |why: &str| {
        let message = format!("{path:?} {why}, so it may lead out of the folder");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    };
    let mut place = folder.to_owned();
    for part in Path::new(path).components() {
        if fs::symlink_metadata(&place).is_ok_and(|meta| meta.is_symlink()) && place != folder {
            return Err(outside("goes through a link"));
        }
        match part {
            Component::Normal(name) => place.push(name),
            _ => return Err(outside("is not a plain relative path")),
        }
    }
    if place == folder {
        return Err(outside("names no file"));
    }
    Ok(place)
}

/// A file that is neither what was written last nor what is to be written now is the user's.
fn keep_changes(
    target: &Path,
    last: Option<ContentHash>,
    new: ContentHash,
) -> Result<(), OutputError> {
    let Ok(bytes) = fs::read(target) else {
        return Ok(());
    };
    let now = ContentHash::of(&bytes);
    if now == new || Some(now) == last {
        return Ok(());
    }
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(KEPT_SUFFIX);
    let kept = target.with_file_name(name);
    fs::rename(target, &kept).map_err(|e| failed(&kept, e))
}

fn write_whole(target: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    let parent = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| failed(parent, e))?;
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = target.with_file_name(name);
    let write = || -> io::Result<()> {
        // What is left of a write that was cut off goes first: created anew, it is no link to elsewhere.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::File::create_new(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, target)?;
        fs::File::open(parent)?.sync_all()
    };
    write().map_err(|e| failed(target, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> TaskId {
        TaskId::new("t-1").unwrap()
    }

    fn files(texts: &[(&str, &str)]) -> Files {
        texts
            .iter()
            .map(|&(path, text)| (path.to_owned(), text.to_owned()))
            .collect()
    }

    #[test]
    fn a_foreign_folder_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine.txt"), "x").unwrap();
        let error = write_output(folder.path(), &task(), &files(&[("a.py", "")])).unwrap_err();
        assert!(matches!(error, OutputError::NotOurs { .. }), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let other = TaskId::new("t-2").unwrap();
        let new = folder.path().join("new");
        write_output(&new, &task(), &files(&[("a.py", "")])).unwrap();
        assert!(check_output(&new, Some(&other), None).is_err());
        assert!(check_output(&new, Some(&task()), None).is_ok());
    }

    #[test]
    fn a_folder_that_could_not_be_written_to_is_told_before() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::write(at("file"), "x").unwrap();
        fs::create_dir_all(at("data/journal")).unwrap();
        fs::create_dir(at("empty")).unwrap();
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(at(to), at(name)).unwrap();
        link("nowhere", "dangling");
        link("data", "to-data");
        link("empty", "to-empty");
        let cases = [
            ("new", ""),
            ("new/below/new", ""),
            ("empty", ""),
            ("to-empty", ""),
            ("to-empty/new", ""),
            ("file", "file is not a folder"),
            ("file/below/it", "file is not a folder"),
            ("dangling", "dangling is a link that leads nowhere"),
            ("dangling/below", "dangling is a link that leads nowhere"),
            ("data", "lie in one another"),
            ("data/journal/out", "lie in one another"),
            ("to-data/out", "lie in one another"),
            ("empty/../data/out", "lie in one another"),
            ("", "lie in one another"),
        ];
        for (name, problem) in cases {
            let checked = check_output(&at(name), Some(&task()), Some(&at("data")));
            let said = checked.map_or_else(|error| error.to_string(), |()| String::new());
            assert_eq!(said.is_empty(), problem.is_empty(), "{name}: {said}");
            assert!(said.contains(problem), "{name}: {said}");
        }
        // Nor is the data folder to be made in it later.
        assert!(check_output(&at("new"), None, Some(&at("new/data"))).is_err());
        // Looking leaves nothing behind.
        assert!(!at("new").exists());
        assert_eq!(fs::read_dir(at("empty")).unwrap().count(), 0);
    }

    #[test]
    fn what_the_user_changed_is_kept_beside_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        write_output(&out, &task(), &files(&[("p/a.py", "one"), ("old.py", "x")])).unwrap();
        fs::write(out.join("p/a.py"), "mine").unwrap();
        write_output(&out, &task(), &files(&[("p/a.py", "two")])).unwrap();
        assert_eq!(fs::read_to_string(out.join("p/a.py")).unwrap(), "two");
        assert_eq!(
            fs::read_to_string(out.join("p/a.py.yours")).unwrap(),
            "mine"
        );
        assert!(!out.join("old.py").exists());
    }
}
