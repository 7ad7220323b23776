//! Figures of the journal, each beside its peer or its limit from the same run.
//!
//! ```text
//! cargo run --release -p journeyman-journal --example journal_figures -- [FOLDER]
//! ```
//!
//! Every append is on the disk before it is answered, so the figures are those of the disk under
//! the folder: a new one in FOLDER, else a temporary one. It writes about 3 GB and takes some minutes.
//!
//! The peers are plain `SQLite` with the same table, the same lines and the same settings: one
//! transaction an append (what a program without group commit does), and everything in one
//! transaction (what the disk and `SQLite` can do at most).
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for people; it ends by panicking

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use journeyman_event::{
    EventId, Principal, Revision, SeededRandom, Sequence, SteppedTime, TaskId, TaskState,
};
use journeyman_journal::{Append, Expected, Filter, Journal};
use journeyman_journal_conformance::Maker;
use journeyman_journal_sqlite::Sqlite;
use rusqlite::{Connection, params};

const RUNS: usize = 3;
const WRITERS: usize = 100;
/// How long each rate is measured.
const FOR: Duration = Duration::from_secs(3);
/// Bytes of text in each event.
const TEXT_BYTES: usize = 1_024;
const MILLION: u64 = 1_000_000;
/// Events read at a time, as the workflow does.
const PAGE: usize = 1_000;
/// Events of one append while the large store is filled.
const FILL: u64 = 1_000;

/// An append of so many events with so many bytes of text each.
fn append(make: &Maker, task_id: &TaskId, count: u64, bytes: usize) -> Append {
    let text = "x".repeat(bytes);
    let event = |_| make.event(&Principal::local(), task_id.as_str(), &text);
    let events = (0..count).map(event).collect();
    journeyman_journal_conformance::append(task_id.as_str(), Expected::Any, events)
}

fn open(folder: &Path) -> Journal {
    let store = Sqlite::new(folder.to_owned());
    Journal::open(Arc::new(store), &SeededRandom::new(1)).unwrap()
}

fn number(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The file system under a folder, by the longest mount point above it.
fn file_system(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let fields = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|fields| fields.len() > 2 && folder.starts_with(fields[1]));
    above
        .max_by_key(|fields| fields[1].len())
        .map_or_else(|| "unknown".to_owned(), |fields| fields[2].to_owned())
}

/// Flush requests that the disk under a folder has completed, all programs' together: what
/// fdatasync comes down to. None where the kernel does not tell.
fn flushes(folder: &Path) -> Option<u64> {
    let device = fs::metadata(folder).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    stat.split_whitespace().nth(15)?.parse().ok()
}

struct Rate {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    flushes: Option<u64>,
    events: usize,
}

/// Concurrent writers, each with one event at a time on a stream of its own.
async fn ours(folder: &Path, make: &Arc<Maker>) -> Rate {
    let journal = open(folder);
    let before = flushes(folder);
    let began = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (journal, make) = (journal.clone(), Arc::clone(make));
        running.spawn(async move {
            let task = TaskId::new(format!("t-{writer}")).unwrap();
            let mut took: Vec<Duration> = Vec::new();
            while began.elapsed() < FOR {
                let append = Append {
                    expected: Expected::Revision(Revision(took.len() as u64)),
                    ..append(&make, &task, 1, TEXT_BYTES)
                };
                let asked = Instant::now();
                journal.append(&Principal::local(), append).await.unwrap();
                took.push(asked.elapsed());
            }
            took
        });
    }
    let mut took = running.join_all().await.concat();
    let seconds = began.elapsed().as_secs_f64();
    took.sort();
    Rate {
        per_second: number(took.len()) / seconds,
        p50_ms: millis(took[took.len() / 2]),
        p99_ms: millis(took[took.len() * 99 / 100]),
        flushes: before.and_then(|before| Some(flushes(folder)? - before)),
        events: took.len(),
    }
}

fn plain(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("plain.db")).unwrap();
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    connection
        .pragma_update(None, "synchronous", "FULL")
        .unwrap();
    connection
        .execute_batch(
            "CREATE TABLE events(sequence INTEGER PRIMARY KEY, stream INTEGER NOT NULL, \
             revision INTEGER NOT NULL, event_id BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, \
             line TEXT NOT NULL) STRICT; CREATE INDEX by_stream ON events(stream, sequence);",
        )
        .unwrap();
    connection
}

/// Where the peers' ids come from.
type Ids = (SteppedTime, SeededRandom);

fn ids() -> Ids {
    (SteppedTime::default(), SeededRandom::new(3))
}

fn insert(connection: &Connection, sequence: usize, ids: &Ids, line: &str) {
    let id = EventId::new(&ids.0, &ids.1);
    connection
        .prepare_cached("INSERT INTO events VALUES(?1, ?2, ?1, ?3, 'user_intervention', ?4)")
        .unwrap()
        .execute(params![sequence, sequence % WRITERS, id.as_bytes(), line])
        .unwrap();
}

/// Rows a second with a transaction each.
fn one_by_one(folder: &Path, line: &str) -> f64 {
    let (connection, ids) = (plain(folder), ids());
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < FOR {
        count += 1;
        insert(&connection, count, &ids, line);
    }
    number(count) / began.elapsed().as_secs_f64()
}

/// Rows a second of so many in one transaction.
fn in_bulk(folder: &Path, line: &str, count: usize) -> f64 {
    let (mut connection, ids) = (plain(folder), ids());
    let began = Instant::now();
    let transaction = connection.transaction().unwrap();
    for sequence in 1..=count {
        insert(&transaction, sequence, &ids, line);
    }
    transaction.commit().unwrap();
    number(count) / began.elapsed().as_secs_f64()
}

async fn rates(parent: &Path, make: &Arc<Maker>) {
    let line = {
        let task = TaskId::new("t-1").unwrap();
        let new = make.event(&Principal::local(), task.as_str(), &"x".repeat(TEXT_BYTES));
        let zero = journeyman_event::ORIGIN_HASH;
        let event = new.seal(Sequence(1), Revision(1), zero, None).unwrap();
        event.line().to_owned()
    };
    let files = tempfile::tempdir_in(parent).unwrap();
    let (first, last, replayed) = a_file_each(files.path(), &line);
    println!(
        "a file for each event, no flush: append {first:.3} ms at first, {last:.3} ms at 5,000 events, reading 1,500 {replayed:.1} ms"
    );
    let (mut journal, mut single, mut bulk) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let fresh = || tempfile::tempdir_in(parent).unwrap();
        let rate = ours(fresh().path(), make).await;
        single.push(one_by_one(fresh().path(), &line));
        bulk.push(in_bulk(fresh().path(), &line, rate.events));
        journal.push(rate);
    }
    let of = |field: fn(&Rate) -> f64| median(journal.iter().map(field).collect());
    let (single, bulk, rate) = (median(single), median(bulk), of(|rate| rate.per_second));
    println!(
        "durable appends of one event with {TEXT_BYTES} bytes of text, {WRITERS} writers, median of {RUNS}"
    );
    println!(
        "  journal                 {rate:>9.0} /s   p50 {:.2} ms, p99 {:.2} ms",
        of(|rate| rate.p50_ms),
        of(|rate| rate.p99_ms)
    );
    if let Some(last) = journal.last()
        && let Some(flushes) = last.flushes
    {
        println!(
            "    last run: {} appends, {flushes} flushes of the disk",
            last.events
        );
    }
    println!(
        "  SQLite, one at a time   {single:>9.0} /s   journal/SQLite {:.1}",
        rate / single
    );
    println!(
        "  SQLite, all in one      {bulk:>9.0} /s   journal/SQLite {:.2}",
        rate / bulk
    );
}

/// Milliseconds that one append of one event takes: the median of many.
async fn one_append(journal: &Journal, make: &Maker, task: &TaskId) -> f64 {
    let mut took = Vec::new();
    for _ in 0..500 {
        let append = append(make, task, 1, TEXT_BYTES);
        let asked = Instant::now();
        journal.append(&Principal::local(), append).await.unwrap();
        took.push(millis(asked.elapsed()));
    }
    median(took)
}

async fn fold(journal: &Journal, task: &TaskId) -> (u64, Duration) {
    let began = Instant::now();
    let filter = Filter::of_task(task);
    let mut state = TaskState::default();
    loop {
        let page = journal
            .read(&Principal::local(), &filter, state.sequence, PAGE)
            .await
            .unwrap();
        for event in &page.events {
            state.evolve(event).unwrap();
        }
        if page.ended {
            return (state.revision.0, began.elapsed());
        }
    }
}

/// Megabytes that this process has in memory.
fn resident_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kb = line.and_then(|line| line.split_whitespace().nth(1));
    kb.unwrap().parse::<f64>().unwrap() / 1_024.0
}

/// The whole store through one subscription.
async fn stream(journal: &Journal) {
    let head = journal.head(&Principal::system()).await.unwrap().sequence;
    let began = Instant::now();
    let mut all = journal.subscribe(&Principal::local(), Filter::default(), Sequence::ZERO);
    let (mut early, mut most) = (0.0, 0.0_f64);
    loop {
        let at = all.next().await.unwrap().sequence();
        if at.0 == 10_000 {
            early = resident_mb();
        } else if at.0.is_multiple_of(10_000) {
            most = most.max(resident_mb());
        }
        if at == head {
            break;
        }
    }
    println!(
        "  all of it through a subscription: {:.0} events/s; {early:.0} MB in memory after 10,000, {most:.0} MB at most",
        f64::from(u32::try_from(head.0).unwrap()) / began.elapsed().as_secs_f64()
    );
}

/// A file for each event, not flushed, its number found by listing the folder: how `OpenHands` kept
/// its events. Milliseconds of an append in the empty folder, of one at 5,000 events, and of reading
/// 1,500 back.
fn a_file_each(folder: &Path, line: &str) -> (f64, f64, f64) {
    let append = || {
        let asked = Instant::now();
        let number = fs::read_dir(folder).unwrap().count();
        fs::write(folder.join(format!("{number}.json")), line).unwrap();
        millis(asked.elapsed())
    };
    let took: Vec<f64> = (0..5_000).map(|_| append()).collect();
    let began = Instant::now();
    for number in 0..1_500 {
        let text = fs::read_to_string(folder.join(format!("{number}.json"))).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(value.is_object());
    }
    let replayed = millis(began.elapsed());
    let (first, last) = (took[..500].to_vec(), took[4_500..].to_vec());
    (median(first), median(last), replayed)
}

async fn at_a_million(folder: &Path, make: &Maker) {
    let me = Principal::local();
    let [large, sparse, small] =
        ["t-large", "t-sparse", "t-small"].map(|t| TaskId::new(t).unwrap());
    let journal = open(folder);
    let first = one_append(&journal, make, &small).await;
    for _ in 0..10 {
        let hundred = append(make, &small, 100, 100);
        journal.append(&me, hundred).await.unwrap();
    }
    let began = Instant::now();
    for _ in 0..MILLION / FILL {
        journal
            .append(&me, append(make, &large, FILL, 100))
            .await
            .unwrap();
        journal
            .append(&me, append(make, &sparse, 1, 100))
            .await
            .unwrap();
    }
    let filled = began.elapsed();
    let last = one_append(&journal, make, &TaskId::new("t-late").unwrap()).await;
    println!(
        "one store of {MILLION} events, filled in {:.1} s",
        filled.as_secs_f64()
    );
    println!(
        "  append of one event: {first:.3} ms in the empty store, {last:.3} ms in the full one"
    );
    drop(journal);

    let mut opened = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        drop(open(folder));
        opened.push(millis(began.elapsed()));
    }
    println!("  open it again: {:.2} ms, median of 5", median(opened));
    let journal = open(folder);
    let (mut small_times, mut sparse_times) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        small_times.push(millis(fold(&journal, &small).await.1));
        sparse_times.push(millis(fold(&journal, &sparse).await.1));
    }
    println!(
        "  read and fold 1,500 events of one task: {:.2} ms, median of 5",
        median(small_times)
    );
    println!(
        "  read and fold 1,000 that lie far apart: {:.2} ms, median of 5",
        median(sparse_times)
    );
    let (events, time) = fold(&journal, &large).await;
    println!(
        "  read and fold {events} events of one task: {:.2} s",
        time.as_secs_f64()
    );
    stream(&journal).await;
    let began = Instant::now();
    let report = journal.verify(&Principal::system(), None).await.unwrap();
    assert!(report.ok());
    let rate = f64::from(u32::try_from(report.events).unwrap()) / began.elapsed().as_secs_f64();
    println!("  verify: {rate:.0} events/s");
}

#[tokio::main]
async fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let named = std::env::args_os().nth(1).map(PathBuf::from);
    let parent = fs::canonicalize(named.unwrap_or_else(|| temporary.path().to_owned())).unwrap();
    println!("{}, WAL, synchronous=FULL", file_system(&parent));
    let make = Arc::new(Maker::new(2));
    rates(&parent, &make).await;
    let folder = tempfile::tempdir_in(&parent).unwrap();
    at_a_million(folder.path(), &make).await;
}
