//! Makes the histories: tasks of several modules that depend on each other in a chain, with facts in them.
//!
//! Names are random syllables, so that no name says what is asked for. The last module of the chain is corrected now.

use std::fmt::{Display, Write as _};

use journeyman_event::payload::{
    CodeGenerated, CodeOrigin, CodeUnderTest, Limits, PlannedModule, PlanningComplete,
    TaskSubmitted, TestFailed, TestFailureKind, TestOrigin, TestPassed, TestResult, TestScope,
    TestStarted, TestsGenerated, UserIntervention,
};
use journeyman_event::{
    ContentHash, Draft, Event, EventId, ModuleName, NewEvent, ORIGIN_HASH, Owner, Payload,
    ProcessId, Randomness, Revision, SeededRandom, Sequence, SteppedTime, TaskId, TimeSource,
    Tokens, VectorClock,
};

use crate::Error;

/// The largest distance of a fact.
const DISTANCE_MAX: usize = 4;
/// The most modules beside the chain; each is needed by one module of the chain.
const BESIDE_MAX: usize = 3;
/// The fewest and the most rounds of a module.
const ROUNDS: (usize, usize) = (2, 18);
/// The functions of a module.
const FUNCTIONS: usize = 4;

/// The events of a task, and the facts in them.
#[derive(Debug)]
pub(super) struct History {
    pub(super) events: Vec<Event>,
    pub(super) facts: Vec<Fact>,
    /// The module that is corrected now.
    pub(super) focus: ModuleName,
    /// The number of events before the last round of that module.
    pub(super) last_round: usize,
}

/// A fact, in the exact words in which it stands in the history.
#[derive(Debug)]
pub(super) struct Fact {
    /// The number of dependencies from the current module to the module that the fact is about.
    pub(super) distance: usize,
    pub(super) text: String,
}

/// A module of the task.
struct Module {
    name: String,
    needs: Vec<usize>,
    functions: Vec<Function>,
    /// Which of the functions is called by modules that need this one.
    interface: usize,
    rounds: usize,
    /// The message of a test that failed in the first round.
    failure: String,
}

struct Function {
    name: String,
    /// The signature in the last version of the code.
    signature: String,
}

impl Module {
    fn interface(&self) -> &Function {
        &self.functions[self.interface]
    }
}

/// Random choices from a seed.
struct Choices(SeededRandom);

impl Choices {
    fn below(&self, count: usize) -> usize {
        usize::try_from(self.0.next_u64() % (count.max(1) as u64)).unwrap_or_default()
    }

    fn number(&self) -> usize {
        100 + self.below(9_900)
    }

    fn word(&self) -> String {
        const BEGIN: [&str; 12] = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "t", "v"];
        const MIDDLE: [&str; 6] = ["a", "e", "i", "o", "u", "ei"];
        const END: [&str; 6] = ["l", "m", "n", "r", "s", "x"];
        let mut word = String::new();
        for _ in 0..2 {
            word.push_str(BEGIN[self.below(BEGIN.len())]);
            word.push_str(MIDDLE[self.below(MIDDLE.len())]);
        }
        word.push_str(END[self.below(END.len())]);
        word
    }

    fn name(&self) -> String {
        format!("{}_{}", self.word(), self.word())
    }

    fn sentence(&self) -> String {
        let words: Vec<String> = (0..6).map(|_| self.word()).collect();
        words.join(" ")
    }
}

/// Appends events to a history.
struct Writer {
    events: Vec<Event>,
    task: TaskId,
    owner: Owner,
    time: SteppedTime,
    random: SeededRandom,
    clock: VectorClock,
}

impl Writer {
    fn write(
        &mut self,
        module: Option<&str>,
        actor: &str,
        (code_version, causation_id): (u64, Option<EventId>),
        payload: impl Into<Payload>,
    ) -> Result<EventId, Error> {
        let process = ProcessId::new("n1", actor, "bench");
        self.clock.tick(&process).map_err(unusable)?;
        let now = self.time.now();
        let draft = Draft {
            id: EventId::new(&self.time, &self.random),
            task_id: self.task.clone(),
            owner: self.owner.clone(),
            module: module.map(ModuleName::new).transpose().map_err(unusable)?,
            occurred_at: now,
            actor: actor.to_owned(),
            clock: self.clock.clone(),
            causation_id,
            code_version,
            code_hash: None,
            payload: payload.into(),
        };
        let id = draft.id;
        let at = self.events.len() as u64 + 1;
        let new = NewEvent::new(draft, now).map_err(unusable)?;
        let event = new.seal(Sequence(at), Revision(at), ORIGIN_HASH, None);
        self.events.push(event.map_err(unusable)?);
        Ok(id)
    }
}

fn unusable(error: impl Display) -> Error {
    Error::History(error.to_string())
}

/// Makes the history of a seed.
pub(super) fn history(seed: u64) -> Result<History, Error> {
    let choices = Choices(SeededRandom::new(seed));
    let mut writer = Writer {
        events: Vec::new(),
        task: TaskId::new("t-retention").map_err(unusable)?,
        owner: Owner::new("local").map_err(unusable)?,
        time: SteppedTime::default(),
        random: SeededRandom::new(!seed),
        clock: VectorClock::default(),
    };
    let modules = modules(&choices);
    let mut facts = Vec::new();
    let mut prompt = format!("A package `{}`.", choices.word());
    for (distance, module) in chain(&modules) {
        let limit = choices.number();
        let text = format!("{} takes at most {limit} rows.", module.name);
        let _ = write!(prompt, " {} {}: {text}", choices.sentence(), module.name);
        facts.push(Fact { distance, text });
    }
    let asked = TaskSubmitted {
        limits: Limits {
            tokens_max: Some(Tokens(100_000_000)),
            ..Limits::default()
        },
        ..TaskSubmitted::of(prompt)
    };
    writer.write(None, "user", (0, None), asked)?;
    writer.write(None, "planner", (0, None), plan(&choices, &modules)?)?;
    let mut last_round = 0;
    // A module is written when those that it needs are there.
    for (at, module) in modules.iter().enumerate().rev() {
        let tests = TestsGenerated {
            source: tests(&choices, module),
        };
        writer.write(Some(&module.name), "tester", (0, None), tests)?;
        for round in 1..=module.rounds {
            if at == 0 && round == module.rounds {
                last_round = writer.events.len();
            }
            write_round(&mut writer, &choices, &modules, at, round)?;
        }
        if let Some((distance, _)) = chain(&modules).find(|(distance, _)| *distance == at) {
            let (name, limit) = (&module.interface().name, choices.number());
            let text = format!(
                "{name}() must refuse {limit}, because {}.",
                choices.sentence()
            );
            let said = UserIntervention {
                instruction: text.clone(),
            };
            writer.write(None, "user", (0, None), said)?;
            facts.push(Fact { distance, text });
            facts.push(Fact {
                distance,
                text: module.interface().signature.clone(),
            });
            facts.push(Fact {
                distance,
                text: module.failure.clone(),
            });
        }
    }
    let focus = ModuleName::new(modules[0].name.as_str()).map_err(unusable)?;
    Ok(History {
        events: writer.events,
        facts,
        focus,
        last_round,
    })
}

/// The modules that facts are about, with their distances. The first modules are the chain, in the order of distance.
fn chain(modules: &[Module]) -> impl Iterator<Item = (usize, &Module)> {
    modules.iter().enumerate().skip(1).take(DISTANCE_MAX)
}

fn modules(choices: &Choices) -> Vec<Module> {
    let package = choices.word();
    let beside = choices.below(BESIDE_MAX + 1);
    let rounds_max = ROUNDS.0 + choices.below(ROUNDS.1 - ROUNDS.0);
    let mut modules: Vec<Module> = (0..=DISTANCE_MAX + beside)
        .map(|at| {
            let functions = (0..FUNCTIONS).map(|_| {
                let (name, option) = (choices.name(), choices.word());
                let signature = format!(
                    "def {name}(rows: list, {option}: int = {}) -> int",
                    choices.number()
                );
                Function { name, signature }
            });
            Module {
                name: format!("{package}.{}", choices.name()),
                needs: if at < DISTANCE_MAX {
                    vec![at + 1]
                } else {
                    Vec::new()
                },
                functions: functions.collect(),
                interface: choices.below(FUNCTIONS),
                rounds: ROUNDS.0 + choices.below(rounds_max),
                failure: format!("expected {}, got {}", choices.number(), choices.sentence()),
            }
        })
        .collect();
    for at in DISTANCE_MAX + 1..modules.len() {
        let by = choices.below(DISTANCE_MAX);
        modules[by].needs.push(at);
    }
    modules
}

fn plan(choices: &Choices, modules: &[Module]) -> Result<PlanningComplete, Error> {
    let mut planned = Vec::new();
    for module in modules.iter().rev() {
        let needs = module.needs.iter().map(|&at| modules[at].name.as_str());
        let depends_on: Result<Vec<ModuleName>, _> = needs.map(ModuleName::new).collect();
        planned.push(PlannedModule {
            name: ModuleName::new(module.name.as_str()).map_err(unusable)?,
            purpose: format!("It has to {}.", choices.sentence()),
            functions: Vec::new(),
            depends_on: depends_on.map_err(unusable)?,
            given_tests: Vec::new(),
            completes_prompt: false,
        });
    }
    Ok(PlanningComplete {
        modules: planned,
        repairs: Vec::new(),
    })
}

/// One version of a module's code and its test run. Only the last round of a module other than the current one passes.
fn write_round(
    writer: &mut Writer,
    choices: &Choices,
    modules: &[Module],
    at: usize,
    round: usize,
) -> Result<(), Error> {
    let module = &modules[at];
    let (name, version) = (module.name.as_str(), round as u64);
    let is_last = round == module.rounds;
    let source = source(choices, modules, at, is_last);
    let hash = ContentHash::of(source.as_bytes());
    let origin = if round == 1 {
        CodeOrigin::Generated
    } else {
        CodeOrigin::Corrected
    };
    let code = CodeGenerated { origin, source };
    writer.write(Some(name), "coder", (version, None), code)?;
    let file = format!("tests/test_{}.py", name.replace('.', "_"));
    let started = TestStarted {
        scope: TestScope::Module,
        origin: TestOrigin::Generated,
        files: vec![file.clone()],
        code: vec![CodeUnderTest {
            module: ModuleName::new(name).map_err(unusable)?,
            version,
            hash,
        }],
        basis: None,
    };
    let intent = writer.write(Some(name), "tester", (0, None), started)?;
    let passes = is_last && at > 0;
    let broken = choices.below(module.functions.len());
    let results = module.functions.iter().enumerate().map(|(nth, function)| {
        let is_failed = !passes && nth == broken;
        let message = match (is_failed, round) {
            (false, _) => String::new(),
            (true, 1) => module.failure.clone(),
            (true, _) => format!("expected {}, got {}", choices.number(), choices.sentence()),
        };
        TestResult {
            name: format!("{file}::test_{}", function.name),
            passed: !is_failed,
            message,
        }
    });
    let tests: Vec<TestResult> = results.collect();
    let outcome = if passes {
        Payload::from(TestPassed {
            tests,
            idle: Vec::new(),
            skipped: Vec::new(),
            wall_ms: 40,
        })
    } else {
        Payload::from(TestFailed {
            kind: TestFailureKind::Failed,
            tests,
            idle: Vec::new(),
            broken_tests: false,
            output: String::new(),
            wall_ms: 40,
        })
    };
    writer.write(Some(name), "tester", (0, Some(intent)), outcome)?;
    Ok(())
}

/// A version of a module's code. Functions get their last signature in the last version.
fn source(choices: &Choices, modules: &[Module], at: usize, is_last: bool) -> String {
    let module = &modules[at];
    let needs: Vec<&Module> = module.needs.iter().map(|&at| &modules[at]).collect();
    let mut text = String::new();
    for other in &needs {
        let _ = writeln!(
            text,
            "from {} import {}",
            other.name,
            other.interface().name
        );
    }
    for (nth, function) in module.functions.iter().enumerate() {
        let early = format!("def {}(rows: list) -> int", function.name);
        let signature = if is_last { &function.signature } else { &early };
        let _ = writeln!(
            text,
            "\n\n{signature}:\n    \"\"\"{}.\"\"\"\n    total = {}\n    for row in rows:\n        \
             if row > {}:\n            total += row * {}",
            choices.sentence(),
            choices.number(),
            choices.number(),
            choices.number(),
        );
        let inner = match nth {
            0 => needs.first().map(|other| &other.interface().name),
            _ => Some(&module.functions[nth - 1].name),
        };
        if let Some(inner) = inner {
            let _ = writeln!(text, "    total += {inner}(rows[{}:])", choices.below(9));
        }
        text.push_str("    return total\n");
    }
    text
}

fn tests(choices: &Choices, module: &Module) -> String {
    let mut text = String::new();
    for function in &module.functions {
        let name = &function.name;
        let _ = writeln!(text, "from {} import {name}", module.name);
    }
    for function in &module.functions {
        let name = &function.name;
        let (given, expected) = (choices.number(), choices.number());
        let _ = writeln!(
            text,
            "\n\ndef test_{name}():\n    assert {name}([{given}]) == {expected}"
        );
    }
    text
}
