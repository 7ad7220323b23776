//! A disk that is truly full, and files that may not be written: each in a process of its own, with
//! a file system of its own or without the rights of root.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use common::{open, open_read_only, try_open};
use journeyman_event::Principal;
use journeyman_journal::Error;
use journeyman_journal_conformance::{Maker, all, assert_sound, lines};
use journeyman_journal_sqlite::Sqlite;
use tempfile::TempDir;

const FOLDER: &str = "JOURNEYMAN_TEST_FOLDER";
/// A user without rights.
const NOBODY: u32 = 65_534;

/// The folder that a test of this program is to work in, if it is the process that does.
fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// This program, where everyone can run it.
fn program(folder: &Path) -> PathBuf {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.join("program");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    copy
}

/// Held from the copying of this program to its start: a process that another thread starts
/// meanwhile has the copy open for writing for a moment, and then it cannot be run.
static STARTING: Mutex<()> = Mutex::new(());

fn assert_passes(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("1 passed"), "{said}{errors}");
}

/// Not a test: the process that has the full disk. Does nothing in a usual run.
#[tokio::test]
async fn the_process_on_a_small_disk() {
    let Some(folder) = folder() else {
        return;
    };
    let (me, make) = (Principal::local(), Maker::new(1));
    let ballast = folder.join("ballast");
    fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let journal = open(&folder.join("data"));
    let mut written = Vec::new();
    let refused = loop {
        let one = make.append(&me, "t-1", 50);
        match journal.append(&me, one.clone()).await {
            Ok(answer) => written.extend(lines(&answer.events)),
            Err(error) => {
                assert!(matches!(error, Error::Full { .. }), "{error:?}");
                break one;
            }
        }
    };
    assert!(written.len() > 100, "{}", written.len());
    for _ in 0..3 {
        let error = journal.append(&me, refused.clone()).await.unwrap_err();
        assert!(matches!(error, Error::Full { .. }), "{error:?}");
    }
    assert_eq!(lines(&all(&journal, &me).await), written);
    assert_sound(&journal).await;
    // What was recorded can be read by others, too.
    let reader = open_read_only(&folder.join("data"));
    assert_eq!(lines(&all(&reader, &me).await), written);
    drop(reader);
    fs::remove_file(ballast).unwrap();
    let answer = journal.append(&me, refused).await.unwrap();
    written.extend(lines(&answer.events));
    drop(journal);
    let journal = open(&folder.join("data"));
    assert_eq!(lines(&all(&journal, &me).await), written);
    assert_sound(&journal).await;
}

#[test]
fn a_full_disk_refuses_appends_keeps_what_it_has_and_goes_on_with_space() {
    let folder = TempDir::new().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let script =
        "mount -t tmpfs -o size=3m none \"$1\" && exec \"$2\" --exact the_process_on_a_small_disk";
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .args([&disk, &program(folder.path())])
        .env(FOLDER, &disk);
    assert_passes(&command.output().unwrap());
}

/// Not a test: the process without rights. Does nothing in a usual run.
#[tokio::test]
async fn the_process_without_rights() {
    let Some(folder) = folder() else {
        return;
    };
    let data = folder.join("data");
    let me = Principal::local();
    let error = try_open(Sqlite::new(data.clone())).unwrap_err();
    assert!(matches!(error, Error::NotWritable { .. }), "{error:?}");
    assert!(error.to_string().contains("check its rights"), "{error}");
    let reader = open_read_only(&data);
    assert_eq!(all(&reader, &me).await.len(), 3);
    assert_sound(&reader).await;
}

#[tokio::test]
async fn a_store_that_may_not_be_written_is_refused_to_writers_and_readable() {
    // A name that would mean something else in a URI.
    let folder = TempDir::with_prefix("a?b%41#").unwrap();
    let data = folder.path().join("data");
    let (me, make) = (Principal::local(), Maker::new(1));
    let journal = open(&data);
    let three = make.append(&me, "t-1", 3);
    journal.append(&me, three).await.unwrap();
    drop(journal);
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&data.join("journal.db"), 0o444);
    mode(&data.join("journal.lock"), 0o444);
    mode(&data, 0o555);
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new(program(folder.path()));
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
        .args(["--exact", "the_process_without_rights"])
        .env(FOLDER, folder.path());
    let output = command.output().unwrap();
    mode(&data, 0o755);
    assert_passes(&output);
}
