//! A writer process that is killed at random moments loses nothing that it acknowledged.
//!
//! `JOURNEYMAN_KILLS=1000 cargo test -p journeyman-journal --test crash -- --nocapture` kills more often.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{open, open_read_only};
use journeyman_event::{Principal, Randomness, SeededRandom};
use journeyman_journal_conformance::{Maker, all, assert_sound, sequences};
use tempfile::TempDir;

const ROUNDS: u64 = 25;
const CHILD: &str = "the_writer_process";
const FOLDER: &str = "JOURNEYMAN_TEST_FOLDER";
const ROUND: &str = "JOURNEYMAN_TEST_ROUND";
const MARK: &str = "acknowledged ";

/// Not a test: the process that is killed. Does nothing in a usual run.
#[test]
fn the_writer_process() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (me, journal) = (Principal::local(), open(&folder));
        // Ids of their own in every round.
        let make = std::sync::Arc::new(Maker::new(1_000 + round));
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..4 {
            let (me, journal, make) = (me.clone(), journal.clone(), make.clone());
            writers.spawn(async move {
                let task = format!("t-{writer}");
                // Ends by itself if the one that is to kill it does not.
                for count in 0..20_000 {
                    let append = make.append(&me, &task, 1 + count % 3);
                    let answer = journal.append(&me, append).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    for event in answer.events {
                        // One write, so that no half line is mistaken for a whole one.
                        let line = format!("{MARK}{} {}\n", event.sequence(), event.id());
                        out.write_all(line.as_bytes()).unwrap();
                    }
                    out.flush().unwrap();
                }
            });
        }
        writers.join_all().await;
    });
}

/// Runs the writer and kills it after some lines. Gives what it acknowledged.
fn round(folder: &Path, round: u64, lines: u64) -> Vec<(u64, String)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut killed = false;
    loop {
        let mut line = String::new();
        if out.read_line(&mut line).unwrap() == 0 {
            break;
        }
        // The harness may have begun the line; a line without its end was cut off by the kill.
        if let Some((_, said)) = line.split_once(MARK)
            && let Some((sequence, id)) = said.strip_suffix('\n').and_then(|s| s.split_once(' '))
        {
            acknowledged.push((sequence.parse().unwrap(), id.to_owned()));
        }
        if !killed && acknowledged.len() as u64 >= lines {
            child.kill().unwrap(); // SIGKILL
            killed = true;
        }
    }
    let status = child.wait().unwrap();
    assert!(
        killed && !status.success(),
        "the writer ended by itself: {status}"
    );
    acknowledged
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_that_it_acknowledged() {
    let (folder, random) = (TempDir::new().unwrap(), SeededRandom::new(9));
    let me = Principal::local();
    let mut acknowledged: Vec<(u64, String)> = Vec::new();
    let rounds = std::env::var("JOURNEYMAN_KILLS").map_or(ROUNDS, |n| n.parse().unwrap());
    for number in 0..rounds {
        let lines = random.next_u64() % 200;
        let more = round(folder.path(), number, lines);
        acknowledged.extend(more);
        if number % (rounds / 5).max(1) == 0 {
            // A reader that comes before the next writer recovers the log as well.
            let reader = open_read_only(folder.path());
            assert_sound(&reader).await;
        }
    }
    let journal = open(folder.path());
    assert_sound(&journal).await;
    let events = all(&journal, &me).await;
    let count = events.len() as u64;
    assert_eq!(sequences(&events), (1..=count).collect::<Vec<u64>>());
    let stored: HashSet<(u64, String)> = events
        .iter()
        .map(|event| (event.sequence().0, event.id().to_string()))
        .collect();
    assert!(
        acknowledged.len() as u64 > 20 * rounds,
        "{}",
        acknowledged.len()
    );
    for one in &acknowledged {
        assert!(
            stored.contains(one),
            "{one:?} was acknowledged and is not there"
        );
    }
    println!(
        "{rounds} kills: {} of {count} events were acknowledged, all are there",
        acknowledged.len()
    );
    // Goes on where it ended.
    let next = journal
        .append(&me, Maker::new(1).append(&me, "t-1", 1))
        .await
        .unwrap();
    assert_eq!(next.events[0].sequence().0, count + 1);
}
