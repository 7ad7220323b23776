//! How long a search over all tasks takes, by words and by meaning: figures, by hand.
//!
//! `cargo run -p journeyman-knowledge --example search_figures -- NODES...` makes a journal in memory with so many nodes
//! and an index in a temporary folder, with vectors of 384 dimensions. What the embedding model takes is not in the
//! figures: a stand-in answers at once. Without `--release`, add
//! `--config 'profile.dev.package.journeyman-knowledge.opt-level=3'`.

#![allow(clippy::print_stdout)] // printing is what it is for

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use journeyman_event::payload::{
    CodeGenerated, CodeOrigin, PlannedModule, PlanningComplete, TaskSubmitted,
};
use journeyman_event::{
    Draft, EventId, ModuleName, NewEvent, Payload, Principal, ProcessId, Randomness, Revision,
    SeededRandom, SteppedTime, TaskId, TimeSource, VectorClock,
};
use journeyman_journal::{Append, Expected, Journal, Memory};
use journeyman_knowledge::{Meaning, Offline};
use journeyman_llm::{EmbedError, Embedder};

/// The dimensions of all-MiniLM-L6-v2.
const DIMENSIONS: usize = 384;
/// Functions of a task. With the task, its module and the version of its code there are three nodes more.
const FUNCTIONS: usize = 97;
const NODES_OF_TASK: usize = FUNCTIONS + 3;
/// How often each search is timed.
const TIMES: u16 = 101;

/// What is searched for: words that each an eighth of the nodes has, and words that all have.
const TEXTS: [&str; 2] = ["unique price", "parse the amount of an order"];

/// Vectors without meaning, at once.
#[derive(Debug)]
struct StandIn;

#[async_trait]
impl Embedder for StandIn {
    async fn ready(&self) -> Result<(), EmbedError> {
        Ok(())
    }

    async fn model(&self) -> Result<String, EmbedError> {
        Ok("stand-in".to_owned())
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let vector = |text: &String| {
            let seed = text.bytes().fold(7, |sum: u64, byte| {
                sum.wrapping_mul(31).wrapping_add(byte.into())
            });
            let random = SeededRandom::new(seed);
            let number = |_| f32::from(u8::try_from(random.next_u64() % 256).unwrap_or(0)) - 127.5;
            let vector: Vec<f32> = (0..DIMENSIONS).map(number).collect();
            let length = vector.iter().map(|one| one * one).sum::<f32>().sqrt();
            vector.into_iter().map(|one| one / length).collect()
        };
        Ok(texts.iter().map(vector).collect())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for nodes in std::env::args().skip(1) {
        figures(nodes.parse()?).await?;
    }
    Ok(())
}

async fn figures(nodes: usize) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("knowledge.db");
    let journal = Journal::open(Arc::new(Memory::default()), &SeededRandom::new(7))?;
    for task in 0..nodes.div_ceil(NODES_OF_TASK) {
        submit(&journal, task).await?;
    }
    let me = Principal::local();
    let text = TEXTS[0];
    let words = Offline::at(file.clone());
    let start = Instant::now();
    while words.search(&journal, &me, text, 20).await?.behind > 0 {}
    let indexed = start.elapsed();
    let meaning = Offline::at(file.clone()).with_embedder(Arc::new(StandIn));
    let start = Instant::now();
    loop {
        let found = meaning.search(&journal, &me, text, 20).await?;
        if matches!(found.meaning, Meaning::Used { behind: 0, .. }) {
            break;
        }
    }
    let made = start.elapsed();
    let opened = Offline::at(file.clone()).with_embedder(Arc::new(StandIn));
    let start = Instant::now();
    opened.search(&journal, &me, text, 20).await?;
    let first = start.elapsed();
    println!(
        "{nodes} nodes: the first search of a process {first:.0?}; words of all put in {indexed:.1?}, vectors {made:.1?}; file {} MB",
        std::fs::metadata(&file)?.len() >> 20
    );
    for text in TEXTS {
        let by_words = timed(&words, &journal, text).await?;
        let by_both = timed(&meaning, &journal, text).await?;
        println!("  {text:?}: by words {by_words}, by words and meaning {by_both}");
    }
    Ok(())
}

/// The median time of a search, and the processor time of one, which other programs do not change.
async fn timed(index: &Offline, journal: &Journal, text: &str) -> Result<String, Box<dyn Error>> {
    let me = Principal::local();
    let mut times = Vec::new();
    let before = processor_ms()?;
    for _ in 0..TIMES {
        let start = Instant::now();
        index.search(journal, &me, text, 20).await?;
        times.push(start.elapsed());
    }
    let spent = (processor_ms()? - before) / f64::from(TIMES);
    times.sort_unstable();
    let median = times[times.len() / 2];
    Ok(format!("{median:.1?} (processor {spent:.1} ms)"))
}

/// The processor time of this process in milliseconds, in steps of 10 (proc(5): the 14th and the 15th field).
fn processor_ms() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let mut times = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = times.try_fold(0.0, |sum, field| field.parse::<f64>().map(|one| sum + one))?;
    Ok(ticks * 10.0)
}

/// Appends a task with one module of functions that are named and described by usual words.
async fn submit(journal: &Journal, task: usize) -> Result<(), Box<dyn Error>> {
    const WORDS: [&str; 24] = [
        "parse", "amount", "order", "email", "check", "user", "sum", "price", "list", "unique",
        "date", "report", "line", "total", "stock", "name", "path", "file", "token", "merge",
        "sort", "count", "split", "tree",
    ];
    let random = SeededRandom::new(task as u64 + 1);
    let word = || WORDS[usize::try_from(random.next_u64() % 24).unwrap_or(0)];
    let mut source = String::new();
    for at in 0..FUNCTIONS {
        let (one, two, three, four) = (word(), word(), word(), word());
        write!(
            source,
            "def {one}_{two}_{at}(value):\n    \"\"\"Makes the {three} of a {four}.\"\"\"\n    return value\n\n\n"
        )?;
    }
    let module = ModuleName::new("shop.tools")?;
    let plan = PlanningComplete {
        modules: vec![PlannedModule {
            name: module.clone(),
            purpose: "Tools of a shop.".to_owned(),
            functions: Vec::new(),
            depends_on: Vec::new(),
            given_tests: Vec::new(),
            completes_prompt: false,
        }],
        repairs: Vec::new(),
    };
    let code = CodeGenerated {
        origin: CodeOrigin::Generated,
        source,
    };
    let payloads: [(Option<ModuleName>, Payload); 3] = [
        (None, TaskSubmitted::of("Tools for a shop.").into()),
        (None, plan.into()),
        (Some(module), code.into()),
    ];
    let (time, me) = (SteppedTime::default(), Principal::local());
    let id = TaskId::new(format!("t-{task}"))?;
    let mut clock = VectorClock::default();
    let mut events = Vec::new();
    for (module, payload) in payloads {
        clock.tick(&ProcessId::new("n1", "user", "7f3a"))?;
        let now = time.now();
        let draft = Draft {
            id: EventId::new(&time, &random),
            task_id: id.clone(),
            owner: me.owner().clone(),
            code_version: u64::from(module.is_some()),
            module,
            occurred_at: now,
            actor: "user".to_owned(),
            clock: clock.clone(),
            causation_id: None,
            code_hash: None,
            payload,
        };
        events.push(NewEvent::new(draft, now)?);
    }
    let append = Append {
        task_id: id,
        expected: Expected::Revision(Revision(0)),
        events,
        blobs: Vec::new(),
        summary: None,
    };
    journal.append(&me, append).await?;
    Ok(())
}
