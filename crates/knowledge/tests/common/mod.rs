//! A task's life for tests, event by event.

#![allow(dead_code)] // not every test file uses everything

use std::fmt::Write as _;

use journeyman_event::payload::{
    CodeGenerated, CodeOrigin, CodeUnderTest, PlannedModule, PlanningComplete, TaskSubmitted,
    TestFailed, TestFailureKind, TestOrigin, TestPassed, TestResult, TestScope, TestStarted,
    TestsGenerated,
};
use journeyman_event::{
    ContentHash, Draft, Event, EventId, ModuleName, NewEvent, ORIGIN_HASH, Owner, Payload,
    ProcessId, Revision, SeededRandom, Sequence, SteppedTime, TaskId, TimeSource, VectorClock,
};
use journeyman_knowledge::{Graph, Knowledge};

pub(crate) const SUMS: &str = "\
from shop.money import parse_amount


def add_amounts(first: str, second: str) -> int:
    \"\"\"Adds two amounts.\"\"\"
    return parse_amount(first) + parse_amount(second)
";

pub(crate) const MONEY: &str = "\
import re


class Money:
    def rounded(self) -> int:
        return round(self.cents)


def parse_amount(text: str) -> int:
    \"\"\"Reads an amount in cents.\"\"\"
    return int(re.sub(r'\\D', '', text))
";

pub(crate) const CART: &str = "\
from shop import sums


def cart_total(items):
    total = '0'
    for item in items:
        total = sums.add_amounts(total, item)
    return total
";

pub(crate) const SUMS_TESTS: &str = "\
from shop.sums import add_amounts


def test_adds():
    assert add_amounts('1', '2') == 3


def test_empty():
    assert add_amounts('', '') == 0
";

/// A life so far.
pub(crate) struct Life {
    pub(crate) events: Vec<Event>,
    /// The same before they were stored.
    pub(crate) new: Vec<NewEvent>,
    pub(crate) task: TaskId,
    time: SteppedTime,
    random: SeededRandom,
    clock: VectorClock,
}

impl Life {
    /// Of a task that was submitted with this prompt.
    pub(crate) fn of(prompt: &str) -> Self {
        let mut life = Self {
            events: Vec::new(),
            new: Vec::new(),
            task: TaskId::new("t-1").unwrap(),
            time: SteppedTime::default(),
            random: SeededRandom::new(7),
            clock: VectorClock::default(),
        };
        life.say(None, "user", TaskSubmitted::of(prompt));
        life
    }

    /// Names the events to come by other random numbers.
    pub(crate) fn seed(&mut self, seed: u64) {
        self.random = SeededRandom::new(seed);
    }

    /// Of a package with a cart, which needs sums, which need money.
    pub(crate) fn of_shop() -> Self {
        let mut life = Self::of("A package `shop` with cart_total(items).");
        life.plan(&[
            ("shop.money", &[]),
            ("shop.sums", &["shop.money"]),
            ("shop.cart", &["shop.sums"]),
        ]);
        life
    }

    pub(crate) fn say(
        &mut self,
        module: Option<&str>,
        actor: &str,
        payload: impl Into<Payload>,
    ) -> EventId {
        self.record(module, actor, 0, None, payload.into())
    }

    pub(crate) fn record(
        &mut self,
        module: Option<&str>,
        actor: &str,
        code_version: u64,
        cause: Option<EventId>,
        payload: Payload,
    ) -> EventId {
        let process = ProcessId::new("n1", actor, "7f3a");
        self.clock.tick(&process).unwrap();
        let now = self.time.now();
        let draft = Draft {
            id: EventId::new(&self.time, &self.random),
            task_id: self.task.clone(),
            owner: Owner::new("local").unwrap(),
            module: module.map(|name| ModuleName::new(name).unwrap()),
            occurred_at: now,
            actor: actor.to_owned(),
            clock: self.clock.clone(),
            causation_id: cause,
            code_version,
            code_hash: None,
            payload,
        };
        let id = draft.id;
        let at = self.events.len() as u64 + 1;
        let new = NewEvent::new(draft, now).unwrap();
        let event = new.seal(Sequence(at), Revision(at), ORIGIN_HASH, None);
        self.events.push(event.unwrap());
        self.new.push(new);
        id
    }

    pub(crate) fn plan(&mut self, modules: &[(&str, &[&str])]) {
        let modules = modules.iter().map(|(name, needs)| PlannedModule {
            name: ModuleName::new(*name).unwrap(),
            purpose: format!("The purpose of {name}."),
            functions: Vec::new(),
            depends_on: needs
                .iter()
                .map(|name| ModuleName::new(*name).unwrap())
                .collect(),
            given_tests: Vec::new(),
            completes_prompt: false,
        });
        let plan = PlanningComplete {
            modules: modules.collect(),
            repairs: Vec::new(),
        };
        self.say(None, "planner", plan);
    }

    pub(crate) fn code(&mut self, module: &str, version: u64, source: &str) {
        let code = CodeGenerated {
            origin: if version == 1 {
                CodeOrigin::Generated
            } else {
                CodeOrigin::Corrected
            },
            source: source.to_owned(),
        };
        self.record(Some(module), "coder", version, None, code.into());
    }

    pub(crate) fn tests(&mut self, module: &str, source: &str) {
        let tests = TestsGenerated {
            source: source.to_owned(),
        };
        self.say(Some(module), "tester", tests);
    }

    /// Runs the generated tests of a module: each by its name and what it says where it fails.
    pub(crate) fn run(&mut self, module: &str, version: u64, tests: &[(&str, Option<&str>)]) {
        let intent = self.begin(module, version);
        self.end(module, intent, tests);
    }

    pub(crate) fn begin(&mut self, module: &str, version: u64) -> EventId {
        let file = format!("tests/test_{}.py", module.replace('.', "_"));
        let started = TestStarted {
            scope: TestScope::Module,
            origin: TestOrigin::Generated,
            files: vec![file],
            code: vec![CodeUnderTest {
                module: ModuleName::new(module).unwrap(),
                version,
                hash: ContentHash::of(b"x"),
            }],
            basis: None,
        };
        self.say(Some(module), "tester", started)
    }

    pub(crate) fn end(&mut self, module: &str, intent: EventId, tests: &[(&str, Option<&str>)]) {
        let file = format!("tests/test_{}.py", module.replace('.', "_"));
        let results: Vec<TestResult> = tests
            .iter()
            .map(|(name, message)| TestResult {
                name: format!("{file}::{name}"),
                passed: message.is_none(),
                message: message.unwrap_or_default().to_owned(),
            })
            .collect();
        let payload = if results.iter().all(|test| test.passed) {
            Payload::from(TestPassed {
                tests: results,
                idle: Vec::new(),
                skipped: Vec::new(),
                wall_ms: 1,
            })
        } else {
            Payload::from(TestFailed {
                kind: TestFailureKind::Failed,
                tests: results,
                idle: Vec::new(),
                broken_tests: false,
                output: String::new(),
                wall_ms: 1,
            })
        };
        self.record(Some(module), "tester", 0, Some(intent), payload);
    }

    pub(crate) fn known(&self) -> Knowledge {
        known(&self.events)
    }

    pub(crate) fn graph(&self) -> Graph {
        self.known().graph()
    }
}

/// What these events say.
pub(crate) fn known(events: &[Event]) -> Knowledge {
    let mut known = Knowledge::default();
    for event in events {
        known.evolve(event);
    }
    known
}

/// All of a graph as text.
pub(crate) fn lines(graph: &Graph) -> String {
    let mut text = String::new();
    for node in graph.nodes() {
        let stale = if node.is_stale() { " (stale)" } else { "" };
        let _ = writeln!(text, "{}{stale} | {}", node.id, node.summary);
        for (link, to) in graph.from(&node.id) {
            let _ = writeln!(
                text,
                "    {} {} x{}",
                link.relation.as_str(),
                to.id,
                link.count
            );
        }
    }
    for link in graph.missing() {
        let _ = writeln!(
            text,
            "missing: {} {} {}",
            link.from,
            link.relation.as_str(),
            link.to
        );
    }
    text
}
