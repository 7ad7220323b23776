//! How a run is ended, at every level: whatever happens, nothing of it is left. What its limits stop is in `escapes.rs`.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "this is a test")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command as StdCommand, Stdio};
use std::time::{Duration, Instant};

use common::Sandboxed;
use journeyman_sandbox::{Command, Exit, Level, Limits};
use tokio_util::sync::CancellationToken;

/// Two processes that leave their parent, their session and their group, and would live for ten minutes.
const DAEMONS: &str = "
import os, sys, time
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
os.wait(); os.wait()
";

const WAIT_FOR_EVER: &str = "
open('ready', 'w').close()
time.sleep(600)
";

/// A word that stands in the command line of every process of the run, and of no other.
fn marker(sandboxed: &Sandboxed) -> String {
    let folder = sandboxed
        .folder
        .path()
        .file_name()
        .expect("a folder has a name");
    format!("marker-{}", folder.display())
}

fn marked(sandboxed: &Sandboxed, script: &str) -> Command {
    let mut command = sandboxed.command(script);
    command.arguments.push(marker(sandboxed).into());
    command
}

fn alive(marker: &str) -> usize {
    fs::read_dir("/proc")
        .expect("/proc is there")
        .filter_map(Result::ok)
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(marker))
        .count()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn until_ready(folder: &Path) {
    let ready = folder.join("ready");
    until("the command is ready", || ready.exists()).await;
}

fn limits() -> Limits {
    Limits {
        wall_ms_max: 20_000,
        memory_bytes_max: 256 << 20,
        ..Limits::default()
    }
}

at_each_level! {
    cancelling_ends_everything_quickly => |sandboxed| {
        let cancel = CancellationToken::new();
        let command = marked(&sandboxed, &format!("{DAEMONS}{WAIT_FOR_EVER}"));
        let (output, cancelled_at) = tokio::join!(sandboxed.sandbox.run(command, &cancel), async {
            until_ready(sandboxed.folder.path()).await;
            assert!(alive(&marker(&sandboxed)) >= 3, "the daemons live");
            cancel.cancel();
            Instant::now()
        });
        assert!(cancelled_at.elapsed() < Duration::from_secs(2), "took {:?}", cancelled_at.elapsed());
        assert_eq!(output.expect("the sandbox can be set up").exit, Exit::Cancelled);
        assert_eq!(alive(&marker(&sandboxed)), 0);
    }

    dropping_the_future_ends_everything => |sandboxed| {
        let command = marked(&sandboxed, &format!("{DAEMONS}{WAIT_FOR_EVER}"));
        let cancel = CancellationToken::new();
        tokio::select! {
            _ = sandboxed.sandbox.run(command, &cancel) => panic!("the command should not end by itself"),
            () = until_ready(sandboxed.folder.path()) => {}
        }
        let marker = marker(&sandboxed);
        until("nothing is left", || alive(&marker) == 0).await;
    }

    the_wall_clock_limit_ends_everything => |sandboxed| {
        let command = Command {
            limits: Some(Limits { wall_ms_max: 700, ..Limits::default() }),
            ..marked(&sandboxed, &format!("{DAEMONS}print('began', flush=True)\ntime.sleep(600)"))
        };
        let output = sandboxed
            .sandbox
            .run(command, &CancellationToken::new())
            .await
            .expect("the sandbox can be set up");
        assert_eq!((output.exit, output.stdout.trim()), (Exit::WallTime, "began"));
        assert!((700..3_000).contains(&output.wall_ms), "took {} ms", output.wall_ms);
        assert_eq!(alive(&marker(&sandboxed)), 0);
    }

    forking_does_not_count_shared_pages_twice => |sandboxed| {
        let script = "
import os
x = bytearray(100 << 20)
for _ in range(6):
    if os.fork() == 0:
        import time; time.sleep(0.4); os._exit(0)
for _ in range(6): os.wait()
print('ok')
";
        let output = sandboxed.run_within(script, limits()).await;
        assert_eq!((output.exit, output.stdout.trim()), (Exit::Code(0), "ok"));
    }

    output_is_bounded_and_the_program_is_not_blocked_by_it => |sandboxed| {
        let limits = Limits { output_bytes_max: 1_000, ..limits() };
        let output = sandboxed
            .run_within("print('first'); print('x' * 10_000_000); print('last')", limits)
            .await;
        assert_eq!(output.exit, Exit::Code(0));
        assert!(output.truncated);
        assert!(output.stdout.len() < 1_100, "{} bytes", output.stdout.len());
        assert!(output.stdout.starts_with("first\n") && output.stdout.ends_with("last\n"));
        assert!(output.stdout.contains("bytes left out"));
    }
}

/// In a copy of this test program that is about to be killed: the level to run at.
const VICTIM: &str = "JOURNEYMAN_SANDBOX_TEST_VICTIM";

/// Runs daemons in the sandbox in another process, kills that process with SIGKILL, and sees them die.
async fn killed(level: Level, test: &str) {
    if std::env::var_os(VICTIM).is_some() {
        let sandboxed = Sandboxed::new(level).await;
        println!("marker: {}", marker(&sandboxed));
        println!("folder: {}", sandboxed.folder.path().display());
        let command = marked(&sandboxed, &format!("{DAEMONS}{WAIT_FOR_EVER}"));
        let _ = sandboxed
            .sandbox
            .run(command, &CancellationToken::new())
            .await;
        return;
    }
    let log = common::task_folder();
    let log_path = log.path().join("log");
    let mut victim = StdCommand::new(std::env::current_exe().expect("a process has a file"))
        .args(["--exact", test, "--nocapture"])
        .env(VICTIM, "1")
        .stdout(fs::File::create(&log_path).expect("the log can be made"))
        .stderr(Stdio::null())
        .spawn()
        .expect("the test program starts again");
    let said = |word: &str| {
        let printed = fs::read_to_string(&log_path).unwrap_or_default();
        printed
            .lines()
            .find_map(|line| line.strip_prefix(word).map(str::to_owned))
    };
    until("the victim says its marker", || said("folder: ").is_some()).await;
    let (marker, folder) = (
        said("marker: ").expect("said"),
        said("folder: ").expect("said"),
    );
    until_ready(Path::new(&folder)).await;
    assert!(alive(&marker) >= 3, "the daemons live");
    victim.kill().expect("SIGKILL can be sent");
    victim.wait().expect("the victim can be buried");
    until("nothing is left", || alive(&marker) == 0).await;
    fs::remove_dir_all(folder).expect("the victim's folder can be removed");
}

#[tokio::test]
async fn killing_our_process_ends_everything_at_landlock() {
    killed(
        Level::Landlock,
        "killing_our_process_ends_everything_at_landlock",
    )
    .await;
}

#[tokio::test]
async fn killing_our_process_ends_everything_at_bubblewrap() {
    killed(
        Level::Bubblewrap,
        "killing_our_process_ends_everything_at_bubblewrap",
    )
    .await;
}
