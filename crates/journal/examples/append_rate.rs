//! How many durable appends a second the journal takes, with 1 and with 100 concurrent writers.
//!
//! Every append is one small event and is synchronised to the disk before it is answered, so the
//! figures are those of the disk under the folder. Run it on the disk that is meant:
//!
//! ```text
//! cargo run --release -p journeyman-journal --example append_rate -- FOLDER
//! ```
//!
//! Without a folder a temporary one is used. The folder must not hold a journal yet.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use journeyman_event::payload::UserIntervention;
use journeyman_event::{
    Draft, EventId, NewEvent, Payload, Principal, Revision, SeededRandom, SteppedTime, TaskId,
    TimeSource, VectorClock,
};
use journeyman_journal::{Append, Expected, Journal, Options};

/// How long each number of writers is measured.
const FOR: Duration = Duration::from_secs(5);

fn event(time: &SteppedTime, random: &SeededRandom, task_id: &TaskId) -> NewEvent {
    let occurred_at = time.now();
    let draft = Draft {
        id: EventId::new(time, random),
        task_id: task_id.clone(),
        owner: Principal::local().owner().clone(),
        module: None,
        occurred_at,
        actor: "user".to_owned(),
        clock: VectorClock::default(),
        causation_id: None,
        code_version: 0,
        code_hash: None,
        payload: Payload::UserIntervention(UserIntervention {
            instruction: "what the user wants changed".to_owned(),
        }),
    };
    NewEvent::new(draft, occurred_at).unwrap()
}

/// One writer on a stream of its own. Gives how long each append took.
async fn write(
    journal: Journal,
    task: String,
    make: Arc<(SteppedTime, SeededRandom)>,
) -> Vec<Duration> {
    let (principal, task_id) = (Principal::local(), TaskId::new(task).unwrap());
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < FOR {
        let append = Append {
            task_id: task_id.clone(),
            expected: Expected::Revision(Revision(took.len() as u64)),
            events: vec![event(&make.0, &make.1, &task_id)],
            blobs: Vec::new(),
            summary: None,
        };
        let asked = Instant::now();
        journal.append(&principal, append).await.unwrap();
        took.push(asked.elapsed());
    }
    took
}

#[tokio::main]
async fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let named = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = named.unwrap_or_else(|| temporary.path().to_owned());
    println!("folder: {}", folder.display());
    let random = Arc::new(SeededRandom::new(1));
    let journal = Journal::open(Options::new(folder, random)).unwrap();
    let make = Arc::new((SteppedTime::default(), SeededRandom::new(2)));
    for writers in [1, 100] {
        let began = Instant::now();
        let mut running = tokio::task::JoinSet::new();
        for writer in 0..writers {
            let task = format!("t-{writers}-{writer}");
            running.spawn(write(journal.clone(), task, make.clone()));
        }
        let mut took = running.join_all().await.concat();
        let seconds = began.elapsed().as_secs_f64();
        took.sort();
        println!(
            "{writers:>3} writers: {:>7.0} durable appends/s, median {:?}, p99 {:?}",
            f64::from(u32::try_from(took.len()).unwrap()) / seconds,
            took[took.len() / 2],
            took[took.len() * 99 / 100],
        );
    }
}
