//! Figures of contexts and of the graph that they come from; the median of eleven runs each.
//!
//! `cargo run --release -p journeyman-context --example context_figures`
//!
//! - a context from 1,000 events: what is known of them, its graph, and a prompt of it, from nothing;
//! - a context from a graph of 10,000 nodes that is there: ranking, what is related, and a prompt;
//! - a lookup in that graph, by id and by name; a search in it by words;
//! - the graph of a repository of 2,000 files of 60 lines, parsed from text, by one thread.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program for people; it ends by panicking

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../../knowledge/tests/common/mod.rs"]
mod life;

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use common::Counter;
use journeyman_context::{Request, build};
use journeyman_event::payload::{Form, Purpose, UserIntervention};
use journeyman_event::{ModuleName, TaskState, Tokens};
use journeyman_knowledge::{Graph, Index, Kind, Knowledge, NodeId};
use life::{CART, Life, MONEY, SUMS, SUMS_TESTS, known};

const RUNS: usize = 11;
const WINDOW: Tokens = Tokens(8_192);

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let began = Instant::now();
            run();
            began.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

fn tell(what: &str, time: Duration, limit: Duration) {
    let verdict = if time < limit { "below" } else { "ABOVE" };
    println!("{what:<52} {time:>12.3?}  {verdict} {limit:?}");
}

/// A shop that is corrected again and again.
fn long_life(events: usize) -> Life {
    let mut life = Life::of_shop();
    life.code("shop.money", 1, MONEY);
    life.tests("shop.sums", SUMS_TESTS);
    let mut version = 0;
    while life.events.len() < events {
        version += 1;
        life.code("shop.sums", version, SUMS);
        let message = format!("assert {version} == 3");
        life.run(
            "shop.sums",
            version,
            &[("test_adds", Some(&message)), ("test_empty", None)],
        );
        let instruction = format!("parse_amount must take the {version}th form");
        life.say(None, "user", UserIntervention { instruction });
    }
    life.events.truncate(events);
    life
}

fn state_of(life: &Life) -> TaskState {
    let mut state = TaskState::default();
    for event in &life.events {
        state.evolve(event).unwrap();
    }
    state
}

async fn prompt(state: &TaskState, graph: &Graph, module: &ModuleName) {
    let request = Request {
        state,
        purpose: Purpose::Code,
        form: Form::default(),
        module: Some(module),
        window: WINDOW,
        tools: &[],
        graph: Some(graph),
    };
    black_box(build(&Counter, request).await.unwrap());
}

/// A file of about 60 lines that uses the two before it.
fn file(at: usize) -> String {
    let mut text = String::from("\"\"\"A file.\"\"\"\nimport json\n");
    for other in at.saturating_sub(2)..at {
        let _ = writeln!(text, "from app.part_{other:04} import read_value_{other}_0");
    }
    for function in 0..4 {
        let _ = write!(
            text,
            "\n\ndef read_value_{at}_{function}(source: str, default: int = 0) -> int:\n    \"\"\"Reads value {function}.\"\"\"\n    \
             values = json.loads(source)\n    total = default\n    for value in values:\n        if value is None:\n            \
             continue\n        total += int(value)\n"
        );
        for other in at.saturating_sub(2)..at {
            let _ = writeln!(text, "    total += read_value_{other}_0(source)");
        }
        text.push_str("    return total\n");
    }
    text
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let cart = ModuleName::new("shop.cart").unwrap();
    let life = long_life(1_000);
    let state = state_of(&life);
    // From nothing: every event is taken in, the graph is made, the prompt is built.
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let began = Instant::now();
        let graph = known(&life.events).graph();
        prompt(&state, &graph, &cart).await;
        times.push(began.elapsed());
    }
    times.sort();
    tell(
        "a context from 1,000 events",
        times[RUNS / 2],
        Duration::from_millis(20),
    );

    let files: Vec<(String, String)> = (0..2_000)
        .map(|at| (format!("app.part_{at:04}"), file(at)))
        .collect();
    let mut large = Knowledge::default();
    for event in &life.events {
        large.evolve(event);
    }
    // With what the task has: 10,000 nodes.
    for (name, text) in files.iter().take(1_790) {
        large.put_file(name, "python", text);
    }
    large.put_file("shop.cart", "python", CART);
    let graph = large.graph();
    println!(
        "graph: {} nodes, {} links",
        graph.nodes().len(),
        graph.link_count()
    );
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let began = Instant::now();
        prompt(&state, &graph, &cart).await;
        times.push(began.elapsed());
    }
    times.sort();
    tell(
        "a context from that graph",
        times[RUNS / 2],
        Duration::from_millis(50),
    );
    let id = NodeId::new(Kind::Function, "app.part_0900.read_value_900_2");
    let lookup = median(|| {
        black_box(graph.node(&id).unwrap());
    });
    tell("a lookup by id", lookup, Duration::from_millis(1));
    let by_name = median(|| {
        black_box(graph.find("read_value_900_2").unwrap());
    });
    tell("a lookup by name", by_name, Duration::from_millis(1));
    let index = Index::of(&graph);
    let search = median(|| {
        black_box(index.search("read value 900 of part", 50));
    });
    tell("a search by words", search, Duration::from_millis(10));

    let began = Instant::now();
    let mut repository = Knowledge::default();
    for (name, text) in &files {
        repository.put_file(name, "python", text);
    }
    let graph = repository.graph();
    let took = began.elapsed();
    let lines: usize = files.iter().map(|(_, text)| text.lines().count()).sum();
    println!(
        "repository: {lines} lines, {} nodes, {} links",
        graph.nodes().len(),
        graph.link_count()
    );
    tell(
        "the graph of a repository of 2,000 files",
        took,
        Duration::from_secs(5),
    );
}
