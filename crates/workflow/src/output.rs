//! Writes a result into the user's folder: a new one, an empty one, or the one this task wrote before. Files that
//! the user has changed there since are kept beside the new ones.

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

/// The file that records which task the folder belongs to and what was written.
const MARKER: &str = ".journeyman.json";
/// The suffix for files that the user changed.
const KEPT_SUFFIX: &str = ".yours";

/// Why a result cannot be written to a folder.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The folder contains something else.
    #[error(
        "the folder {} is not empty and is not this task's; name a new or an empty one with --out",
        folder.display()
    )]
    NotOurs {
        /// The path of the folder.
        folder: PathBuf,
    },
    /// The path, or a parent of it, is not a folder.
    #[error("{} is not a folder; name a new or an empty one with --out", folder.display())]
    NotAFolder {
        /// The path that is not a folder.
        folder: PathBuf,
    },
    /// The path is a dangling symbolic link.
    #[error(
        "{} is a link that leads nowhere; name a new or an empty folder with --out",
        folder.display()
    )]
    LinkToNothing {
        /// The path of the link.
        folder: PathBuf,
    },
    /// The folder is inside the data folder, or contains it.
    #[error(
        "the folder {} and the data folder {} lie in one another; name a folder elsewhere with --out",
        folder.display(),
        data.display()
    )]
    AmongOurs {
        /// The path of the folder.
        folder: PathBuf,
        /// The path of the data folder.
        data: PathBuf,
    },
    /// Nothing can be created there.
    #[error(
        "nothing can be written to {}: {source}; name another folder with --out",
        folder.display()
    )]
    NotWritable {
        /// The closest existing folder.
        folder: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file system error.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The path that could not be written.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl OutputError {
    /// Whether the same operation may succeed later without any other action.
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

/// Checks whether a task may write its result to a folder: a new folder that can be created, an empty one, or
/// this task's own, outside the data folder `ours`, with free disk space. Changes nothing.
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

/// The folder itself, or the closest existing parent in which it would be created.
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
            // A parent of it is a file, which is reported when its turn comes.
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

/// Resolves symbolic links in the existing part of a path.
fn resolved(path: &Path) -> PathBuf {
    let mut ancestors = path.ancestors();
    let found = ancestors.find_map(|ancestor| Some((ancestor, fs::canonicalize(ancestor).ok()?)));
    match found {
        Some((ancestor, real)) => real.join(path.strip_prefix(ancestor).unwrap_or(Path::new(""))),
        None => path.to_owned(),
    }
}

/// Checks whether a folder is writable by writing a little to an unnamed file, if the file system supports
/// these; otherwise checks the access rights.
fn try_to_write(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, Mode, OFlags, access, open};
    use rustix::io::Errno;
    /// The size of a small result, rounded up.
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

/// Removes the marker file from a folder if the marker says that the folder belongs to this task. The files of the
/// result stay: they are the user's.
///
/// # Errors
/// If the marker exists and cannot be removed.
pub fn forget_result(folder: &Path, task: &TaskId) -> Result<(), OutputError> {
    if read_marker(folder).is_none_or(|marker| marker.task_id != *task) {
        return Ok(());
    }
    let marker = folder.join(MARKER);
    fs::remove_file(&marker).map_err(|e| failed(&marker, e))
}

/// Writes the result of an ended task into a folder: a new one, an empty one, or this task's own.
pub fn write_result(
    folder: &Path,
    task: &TaskId,
    state: &TaskState,
) -> Result<Vec<OutputFile>, OutputError> {
    let ending = state.ending.as_ref().unwrap_or(&Ending::Cancelled);
    write_output(folder, task, &output_files(state, ending))
}

/// Writes the files, each atomically, and returns what was written. Writing the same files again is harmless.
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

/// The path of a file below `folder`. Fails if the relative path is empty or absolute, contains `..`, or leads
/// through a symbolic link, because a model may have chosen it.
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

/// Renames a file that is neither what was written last nor what is about to be written, because then the user
/// changed it.
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
        // Remove what an interrupted write left. A newly created file cannot be a link to somewhere else.
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
    fn a_result_is_forgotten_by_its_task_only_and_stays_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        write_output(&out, &task(), &files(&[("a.py", "one")])).unwrap();
        let names = || fs::read_dir(&out).unwrap().count();
        forget_result(&out, &TaskId::new("t-2").unwrap()).unwrap();
        assert_eq!(names(), 2);
        for _ in 0..2 {
            forget_result(&out, &task()).unwrap();
            assert_eq!(names(), 1);
        }
        assert_eq!(fs::read_to_string(out.join("a.py")).unwrap(), "one");
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
