//! Attempts to get out of the sandbox, each made as generated code would make it, at each level.
//!
//! One table, [`attempts::AREAS`], has what is tried and what it must get. To see what it got here:
//! `cargo test -p journeyman-sandbox --test escapes -- --nocapture`. `docs/sandbox-escapes.md` is the same table for
//! people; after a change `JOURNEYMAN_BLESS=1` in the environment of that command writes it anew.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "this is a test")]

#[path = "escapes/attempts.rs"]
mod attempts;
mod common;
#[path = "escapes/world.rs"]
mod world;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use attempts::{AREAS, Attempt, Way};
use common::Sandboxed;
use journeyman_language::{Runner, TestOutcome};
use journeyman_sandbox::{Command, Exit, Level, Limits, Output};
use tokio_util::sync::CancellationToken;
use world::{World, listen_in};

/// Small enough to be reached soon.
const LIMITS: Limits = Limits {
    wall_ms_max: 30_000,
    cpu_seconds_max: 20,
    memory_bytes_max: 256 << 20,
    processes_max: 24,
    file_bytes_max: 8 << 20,
    disk_bytes_max: 32 << 20,
    output_bytes_max: 64 << 10,
};

#[tokio::test]
async fn no_attempt_gets_out() {
    // One after the other: at both levels they are the same user's processes, whose number is bounded together.
    let bubblewrap = every_attempt(Level::Bubblewrap).await;
    let landlock = every_attempt(Level::Landlock).await;
    let mut table = String::from("attempt | bubblewrap | landlock\n");
    let mut failures = String::new();
    let all = AREAS.iter().flat_map(|area| area.attempts);
    for ((attempt, strong), weak) in all.zip(&bubblewrap).zip(&landlock) {
        let _ = writeln!(table, "{} | {} | {}", attempt.name, strong.got, weak.got);
        for (level, seen, expected) in [
            ("bubblewrap", strong, attempt.bubblewrap),
            ("landlock", weak, attempt.landlock),
        ] {
            if !expected.split('|').any(|word| word == seen.got) {
                let _ = writeln!(
                    failures,
                    "{} at {level}: got {} and not {expected}; it wrote: {}",
                    attempt.name, seen.got, seen.detail
                );
            }
            if let Err(change) = &seen.outside {
                let _ = writeln!(failures, "{} at {level}: {change}", attempt.name);
            }
        }
    }
    println!("{table}");
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn the_document_shows_this_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sandbox-escapes.md");
    let current = document();
    if std::env::var_os("JOURNEYMAN_BLESS").is_some() {
        fs::write(&path, &current).expect("the document can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "docs/sandbox-escapes.md is not what the table of attempts says; run this test with JOURNEYMAN_BLESS=1 to \
         write it anew"
    );
}

fn document() -> String {
    let mut text = String::from(include_str!("escapes/document.md"));
    for area in AREAS {
        let _ = write!(
            text,
            "\n## {}\n\n| attempt | bubblewrap | landlock |\n|---|---|---|\n",
            area.name
        );
        for attempt in area.attempts {
            let words = |expected: &str| expected.replace('|', " or ");
            let _ = writeln!(
                text,
                "| {} | {} | {} |",
                attempt.name,
                words(attempt.bubblewrap),
                words(attempt.landlock)
            );
        }
    }
    text
}

/// What one attempt came to.
struct Seen {
    /// In one word, or a few.
    got: String,
    /// The program's errors, for a person.
    detail: String,
    /// What it changed of the world outside, if anything.
    outside: Result<(), String>,
}

async fn every_attempt(level: Level) -> Vec<Seen> {
    let mut sandboxed = Sandboxed::new(level).await;
    let mut world = World::new(level, &sandboxed.python);
    let mut seen = Vec::new();
    for attempt in AREAS.iter().flat_map(|area| area.attempts) {
        sandboxed.folder = common::task_folder();
        let listener = listen_in(sandboxed.folder.path());
        let (got, detail) = make(attempt, &sandboxed, &world).await;
        seen.push(Seen {
            got,
            detail,
            outside: world.is_unchanged(&listener),
        });
    }
    seen
}

async fn make(attempt: &Attempt, sandboxed: &Sandboxed, world: &World) -> (String, String) {
    let cancel = CancellationToken::new();
    let folder = sandboxed.folder.path();
    match attempt.way {
        Way::Program(program) => run(program, LIMITS, sandboxed, world).await,
        Way::Endless(program) => {
            let limits = Limits {
                wall_ms_max: 1_500,
                ..LIMITS
            };
            run(program, limits, sandboxed, world).await
        }
        Way::Busy(program) => {
            let limits = Limits {
                cpu_seconds_max: 1,
                ..LIMITS
            };
            run(program, limits, sandboxed, world).await
        }
        Way::Tests(file) => {
            let report = sandboxed.test_within(&[&world.fill_in(file)], LIMITS).await;
            let found = report.outcome == TestOutcome::Passed;
            let got = if found { "PASSED" } else { "not run" };
            (got.to_owned(), report.detail)
        }
        Way::Import(module) => {
            let module = world.fill_in(module);
            let check = sandboxed
                .python
                .check_import(&sandboxed.sandbox, folder, &module, &cancel)
                .await
                .expect("the import can be tried");
            let got = if check.imports {
                "IMPORTED"
            } else {
                "not found"
            };
            (got.to_owned(), check.error)
        }
        Way::Analyse(file) => {
            let file = world.fill_in(file);
            let dead = sandboxed
                .python
                .analyse(&sandboxed.sandbox, folder, &[&file], &cancel)
                .await
                .expect("the analysis can be run");
            let got = if dead.is_empty() { "not found" } else { "READ" };
            (got.to_owned(), format!("{dead:?}"))
        }
    }
}

async fn run(
    program: &str,
    limits: Limits,
    sandboxed: &Sandboxed,
    world: &World,
) -> (String, String) {
    let script = format!("{}\n{program}", include_str!("escapes/prelude.py"));
    let mut command = Command {
        limits: Some(limits),
        ..sandboxed.command(&script)
    };
    command.arguments.push(world.for_the_program().into());
    let output = sandboxed
        .sandbox
        .run(command, &CancellationToken::new())
        .await
        .expect("the sandbox can be set up");
    assert!(
        output.stdout.len() < 2 * limits.output_bytes_max,
        "more output was kept than allowed"
    );
    (in_a_word(&output), output.stderr)
}

fn in_a_word(output: &Output) -> String {
    match output.exit {
        Exit::Code(0) => {
            let last = output.stdout.lines().next_back();
            last.unwrap_or("nothing said").to_owned()
        }
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(9) => "killed: SIGKILL".to_owned(),
        Exit::Signal(11) => "killed: SIGSEGV".to_owned(),
        Exit::Signal(24) => "killed: SIGXCPU".to_owned(),
        Exit::Signal(31) => "killed: SIGSYS".to_owned(),
        Exit::Signal(signal) => format!("killed: signal {signal}"),
        Exit::WallTime => "killed: time".to_owned(),
        Exit::Memory => "killed: memory".to_owned(),
        Exit::Disk => "killed: disk".to_owned(),
        Exit::Cancelled => "cancelled".to_owned(),
    }
}
