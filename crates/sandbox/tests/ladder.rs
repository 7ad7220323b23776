//! What the probe finds and refuses.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "this is a test")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use journeyman_language::Runner;
use journeyman_sandbox::{Error, Launcher, Level, Sandbox, SandboxOptions};

#[tokio::test]
async fn the_strongest_level_that_works_is_taken_and_described() {
    let python = common::python().await;
    let mut options = SandboxOptions::new(common::launcher());
    options.readable = python.readable().to_vec();
    let sandbox = Sandbox::probe(options, python.interpreter())
        .await
        .expect("a level works");
    let probe = sandbox.probe_result();
    assert_eq!(probe.level, Some(sandbox.level()));
    assert_ne!(probe.runs_as_uid, 0);
    let json = serde_json::to_value(probe).expect("a probe can be shown");
    assert_eq!(json["level"], sandbox.level().to_string());
}

#[tokio::test]
async fn less_than_the_minimum_is_refused_with_what_was_found() {
    let python = common::python().await;
    let mut options = SandboxOptions::new(common::launcher());
    options.readable = python.readable().to_vec();
    options.minimum = Level::Bubblewrap;
    options.only = Some(Level::Landlock);
    let error = Sandbox::probe(options, python.interpreter())
        .await
        .expect_err("it is too weak");
    assert!(matches!(&error, Error::TooWeak { probe, .. } if probe.level == Some(Level::Landlock)));
    assert!(
        error
            .to_string()
            .contains("at least bubblewrap is required, found landlock"),
        "{error}"
    );
}

#[tokio::test]
async fn an_interpreter_that_does_not_exist_is_no_level() {
    let error = Sandbox::probe(
        SandboxOptions::new(common::launcher()),
        Path::new("/no/such/python"),
    )
    .await
    .expect_err("nothing can be checked with it");
    let Error::TooWeak { probe, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((probe.level, probe.findings.len()), (None, 2));
    assert!(error.to_string().contains("/no/such/python"), "{error}");
}

#[tokio::test]
async fn an_interpreter_outside_of_the_readable_folders_makes_the_probe_fail_with_advice() {
    let python = common::python().await;
    let elsewhere = common::task_folder();
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755))
        .expect("its mode can be set");
    let copy = elsewhere.path().join("python");
    fs::copy(python.interpreter(), &copy).expect("an interpreter can be copied");
    for level in Level::STRONGEST_FIRST {
        let mut options = SandboxOptions::new(common::launcher());
        options.only = Some(level);
        let error = Sandbox::probe(options, &copy)
            .await
            .expect_err("it cannot be reached");
        assert!(error.to_string().contains("cannot reach"), "{error}");
    }
}

#[tokio::test]
async fn tasks_below_a_folder_of_root_alone_need_bubblewrap() {
    let python = common::python().await;
    let tasks = common::task_folder();
    // Root's other user cannot pass this; we as a normal user can.
    fs::set_permissions(tasks.path(), fs::Permissions::from_mode(0o700))
        .expect("its mode can be set");
    for level in Level::STRONGEST_FIRST {
        let mut options = SandboxOptions::new(common::launcher());
        options.only = Some(level);
        options.readable = python.readable().to_vec();
        options.tasks = Some(tasks.path().to_owned());
        let probed = Sandbox::probe(options, python.interpreter()).await;
        if level == Level::Landlock && rustix::process::geteuid().is_root() {
            let error = probed.expect_err("it cannot be reached");
            assert!(error.to_string().contains("--data-dir"), "{error}");
        } else {
            probed.expect("it can be reached");
        }
    }
}

#[tokio::test]
async fn a_launcher_that_is_none_is_an_error_and_no_level() {
    let python = common::python().await;
    let launcher = Launcher {
        program: PathBuf::from("/bin/true"),
        arguments: Vec::new(),
    };
    let error = Sandbox::probe(SandboxOptions::new(launcher), python.interpreter())
        .await
        .expect_err("nothing supervises");
    assert!(error.to_string().contains("supervisor"), "{error}");
}
