//! What is in the journal before anything is asked for.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use journeyman_api::CheckedTask;
use journeyman_event::payload::{
    Approach, BugReportReceived, CodeGenerated, CodeOrigin, LimitsChanged, ModuleIteration,
    ModuleStarted, PlannedFunction, PlannedModule, PlanningComplete, TaskSubmitted,
};
use journeyman_event::state::Status;
use journeyman_event::{
    ContentHash, Draft, EventId, ModuleName, NewEvent, Payload, Principal, SeededRandom, TaskId,
    TimeSource, VectorClock,
};
use journeyman_journal::{Append, Expected, Journal};
use journeyman_queue::WhenFull;
use journeyman_tasks::{Submission, Tasks};
use journeyman_workflow::Listing;

use crate::Clock;

/// A task that was submitted.
pub(crate) const SMALL: &str = "t-small";
/// One of 1,500 events.
pub(crate) const LARGE: &str = "t-large";
/// One that sockets watch.
pub(crate) const WATCHED: &str = "t-watched";

const MILLION: usize = 1_000_000;
/// Events of each of the tasks that fill the store.
const FILL: usize = 1_000;
/// Events of one append.
const APPEND: usize = 1_000;
/// What a small model writes as one module.
const SOURCE_BYTES: usize = 2_500;
const PROMPT: &str = "Write a function that adds two numbers.";

/// Makes events of one task.
struct Maker {
    task: TaskId,
    random: SeededRandom,
    events: Vec<NewEvent>,
}

impl Maker {
    fn new(task: &str, seed: u64) -> Self {
        Self {
            task: TaskId::new(task).unwrap(),
            random: SeededRandom::new(seed),
            events: Vec::new(),
        }
    }

    /// One event more, about a module if one is named, and a version of its code.
    fn add(&mut self, payload: impl Into<Payload>, about: Option<(&ModuleName, u64)>) {
        let now = Clock.now();
        let payload = payload.into();
        let code_hash = match &payload {
            Payload::CodeGenerated(code) => Some(ContentHash::of(code.source.as_bytes())),
            _ => None,
        };
        let draft = Draft {
            id: EventId::new(&Clock, &self.random),
            task_id: self.task.clone(),
            owner: Principal::local().owner().clone(),
            module: about.map(|(module, _)| module.clone()),
            occurred_at: now,
            actor: "generator".to_owned(),
            clock: VectorClock::default(),
            causation_id: None,
            code_version: about.map_or(0, |(_, version)| version),
            code_hash,
            payload,
        };
        self.events.push(NewEvent::new(draft, now).unwrap());
    }

    /// Appends them all.
    async fn append(mut self, journal: &Journal) {
        while !self.events.is_empty() {
            let rest = self.events.split_off(self.events.len().min(APPEND));
            let append = Append {
                task_id: self.task.clone(),
                expected: Expected::Any,
                events: std::mem::replace(&mut self.events, rest),
                blobs: Vec::new(),
                summary: serde_json::to_vec(&listing()).ok(),
            };
            journal.append(&Principal::local(), append).await.unwrap();
        }
    }
}

fn listing() -> Listing {
    Listing {
        status: Status::Complete,
        prompt: PROMPT.to_owned(),
        modules: 1,
        modules_complete: 1,
        tokens: 12_345,
        active_seconds: 67.8,
        submitted_at: Some(Timestamp::now()),
        started: true,
        ..Listing::default()
    }
}

/// A long task: a plan of ten modules, each written fifteen times, and what comes between.
fn long(task: &str, events: usize) -> Maker {
    let mut make = Maker::new(task, 1);
    make.add(TaskSubmitted::of(PROMPT), None);
    let names: Vec<ModuleName> = (0..10)
        .map(|n| ModuleName::new(format!("module_{n}")).unwrap())
        .collect();
    let planned = |name: &ModuleName| PlannedModule {
        name: name.clone(),
        purpose: "Adds numbers of one kind.".to_owned(),
        functions: vec![PlannedFunction {
            signature: "add(left: int, right: int) -> int".to_owned(),
            behaviour: "The sum of both.".to_owned(),
        }],
        depends_on: Vec::new(),
        given_tests: Vec::new(),
        completes_prompt: false,
    };
    let plan = PlanningComplete {
        modules: names.iter().map(planned).collect(),
        repairs: Vec::new(),
    };
    make.add(plan, None);
    for name in &names {
        make.add(ModuleStarted {}, Some((name, 0)));
        for version in 1..=15 {
            let round = ModuleIteration {
                iteration: u32::try_from(version).unwrap(),
                approach: Approach::Repair,
            };
            make.add(round, Some((name, version - 1)));
            let source = format!("# {version}\n").repeat(SOURCE_BYTES / 5);
            let code_hash = ContentHash::of(source.as_bytes());
            let code = CodeGenerated {
                origin: CodeOrigin::Generated,
                source,
            };
            make.add(code, Some((name, version)));
            let report = BugReportReceived {
                version,
                code_hash,
                summary: "test_add: 3 is not 4".to_owned(),
                given: true,
            };
            make.add(report, Some((name, version)));
        }
    }
    while make.events.len() < events {
        let limits = journeyman_event::payload::Limits::default();
        make.add(LimitsChanged { limits }, None);
    }
    make
}

/// Submits a task of this name; the name.
pub(crate) async fn submit(tasks: &Tasks, task: &str) -> String {
    let submission = Submission {
        task_id: TaskId::new(task).ok(),
        content: CheckedTask::new(TaskSubmitted::of(PROMPT)).unwrap(),
        full: WhenFull::Refuse,
        idempotency_key: None,
    };
    tasks.submit(&Principal::local(), submission).await.unwrap();
    task.to_owned()
}

/// Submits what is looked at, and stores a million events beside it.
pub(crate) async fn fill(tasks: &Tasks) {
    let journal = tasks.journal();
    let begun = Instant::now();
    for task in [SMALL, WATCHED] {
        submit(tasks, task).await;
    }
    long(LARGE, 1_500).append(journal).await;
    for number in 0..MILLION / FILL {
        let task = format!("t-fill-{number}");
        let mut make = Maker::new(&task, u64::try_from(number).unwrap() + 2);
        make.add(TaskSubmitted::of(PROMPT), None);
        while make.events.len() < FILL {
            let limits = journeyman_event::payload::Limits::default();
            make.add(LimitsChanged { limits }, None);
        }
        make.append(journal).await;
    }
    println!(
        "{MILLION} events stored in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}

/// Appends a second of so many writers at once, each of a task's submission, without a server.
pub(crate) async fn appends(journal: &Journal, writers: u64, time: Duration) -> f64 {
    let begun = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let journal = journal.clone();
        running.spawn(async move {
            let mut count = 0;
            while begun.elapsed() < time {
                let mut make = Maker::new(&format!("t-{writer}-{count}"), writer << 32 | count);
                make.add(TaskSubmitted::of(PROMPT), None);
                make.append(&journal).await;
                count += 1;
            }
            count
        });
    }
    let count: u64 = running.join_all().await.into_iter().sum();
    f64::from(u32::try_from(count).unwrap()) / begun.elapsed().as_secs_f64()
}
