//! Figures of an erasure: a store of 100,000 events of which half is erased.
//!
//! ```text
//! cargo run --release -p journeyman-journal-sqlite --example erasure_figures -- FOLDER
//! ```
//!
//! FOLDER is made and stays, so that `journeyman --data-dir FOLDER journal verify` can be run over it. While the
//! half is erased another writer appends: how long its appends take is said beside how long they take alone.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for people; it ends by panicking

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use journeyman_event::{ContentHash, Principal, Revision, SeededRandom, SteppedTime, TaskId};
use journeyman_journal::{Append, Expected, Journal, Makers, StreamName};
use journeyman_journal_conformance::{Maker, append};
use journeyman_journal_sqlite::Sqlite;

const TASKS: u64 = 1_000;
/// Events of a task, of which each has so many bytes of text, and each tenth cites a text of its own.
const EVENTS: u64 = 100;
const EVENT_BYTES: usize = 1_000;
const TEXT_BYTES: usize = 6_000;

fn megabytes(bytes: u64) -> u64 {
    bytes / 1_000_000
}

/// The bytes of the folder's files.
fn on_disk(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

async fn fill(journal: &Journal, make: &Maker) {
    let me = Principal::local();
    let text = "x".repeat(EVENT_BYTES);
    for part in 0..10 {
        for task in 0..TASKS {
            let task = format!("t-{task}");
            let cited = format!("{task} {part} {}", "y".repeat(TEXT_BYTES));
            let hash = ContentHash::of(cited.as_bytes());
            let mut events = vec![make.event(&me, &task, &format!("{hash} {text}"))];
            events.extend((1..EVENTS / 10).map(|_| make.event(&me, &task, &text)));
            let append = Append {
                blobs: vec![Bytes::from(cited)],
                summary: Some(b"a line of a list".to_vec()),
                ..append(&task, Expected::Any, events)
            };
            journal.append(&me, append).await.unwrap();
        }
    }
}

/// How long an append of one event takes, again and again for so long or until something else is done.
async fn appends(
    journal: &Journal,
    make: &Maker,
    until: impl Future<Output = ()>,
) -> Vec<Duration> {
    let (me, mut took) = (Principal::local(), Vec::new());
    tokio::pin!(until);
    loop {
        let began = Instant::now();
        let one = make.append(&me, "t-beside", 1);
        tokio::select! {
            biased;
            appended = journal.append(&me, one) => drop(appended.unwrap()),
            () = &mut until => return took,
        }
        took.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn say(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!(
        "{what}: {} appends, p50 {:?}, p99 {:?}, longest {:?}",
        took.len(),
        at(50),
        at(99),
        at(100)
    );
}

#[tokio::main]
async fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap());
    let store = Sqlite::new(folder.clone());
    let journal = Journal::open(Arc::new(store), &SeededRandom::new(1)).unwrap();
    let make = Maker::new(1);
    fill(&journal, &make).await;
    let system = Principal::system();
    let before = journal.bytes(&system).await.unwrap();
    println!(
        "{} events: {} MB in the store, {} MB on the disk",
        TASKS * EVENTS,
        megabytes(before),
        megabytes(on_disk(&folder))
    );
    let alone = tokio::time::sleep(Duration::from_secs(3));
    say("alone", appends(&journal, &make, alone).await);
    let (time, randomness) = (SteppedTime::default(), SeededRandom::new(2));
    let makers = Makers {
        time: &time,
        randomness: &randomness,
    };
    let began = Instant::now();
    let erasing = async {
        for task in (0..TASKS).step_by(2) {
            let task = TaskId::new(format!("t-{task}")).unwrap();
            let (me, revision) = (Principal::local(), Revision(EVENTS));
            let stream = StreamName::of(me.owner(), &task);
            let begun =
                journal.begin_erasure(&me, &stream, revision, "a figure", Vec::new(), makers);
            begun.await.unwrap();
        }
        let recorded = began.elapsed();
        let ended = journal.finish_erasures(makers).await.unwrap();
        println!(
            "{ended} tasks erased: recorded after {recorded:?}, gone after {:?}",
            began.elapsed()
        );
    };
    say(
        "while half is erased",
        appends(&journal, &make, erasing).await,
    );
    let after = journal.bytes(&system).await.unwrap();
    println!(
        "{} MB in the store, {} MB on the disk",
        megabytes(after),
        megabytes(on_disk(&folder))
    );
    let began = Instant::now();
    let report = journal.verify(&system, None).await.unwrap();
    println!("{report:?} in {:?}", began.elapsed());
    drop(journal);
    println!("{} MB on the disk once closed", megabytes(on_disk(&folder)));
}
