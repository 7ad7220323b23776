//! Makes the histories: tasks of several modules that depend on each other in a chain, with facts in them.
//!
//! Names and sentences are random syllables, so that no name gives away what is asked for. A fact stands anywhere in what says it:
//! in one of the sentences of an instruction, in one of the findings of the review, in any of a module's functions, in the
//! failure of any of its rounds. The first module is corrected now; the facts are about those
//! that it needs.

use std::fmt::{Display, Write as _};

use journeyman_event::payload::{
    CodeGenerated, CodeOrigin, CodeUnderTest, Limits, PlannedModule, PlanningComplete,
    ReviewCompleted, TaskSubmitted, TestFailed, TestFailureKind, TestOrigin, TestPassed,
    TestResult, TestScope, TestStarted, TestsGenerated, UserIntervention,
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
/// The fewest and the most functions of a module.
const FUNCTIONS: (usize, usize) = (3, 9);
/// The most parameters of a function beside the first.
const PARAMETERS_MAX: usize = 4;
/// The most sentences of an instruction or a finding beside the one that matters.
const SENTENCES_MAX: usize = 3;
/// Formatters write a longer signature on several lines.
const LINE_CHARS_MAX: usize = 88;

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
    /// A question that the fact answers.
    pub(super) question: String,
    /// What a right answer has in it.
    pub(super) answer: String,
}

/// A module of the task.
struct Module {
    name: String,
    needs: Vec<usize>,
    functions: Vec<Function>,
    /// Which of the functions is called by modules that need this one.
    interface: usize,
    rounds: usize,
    /// The round with the failure that is a fact, and what the test says then.
    failed_in: usize,
    failure: String,
}

struct Function {
    name: String,
    /// The signature in the last version of the code.
    signature: String,
    /// The signature before that.
    early: String,
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

    fn between(&self, (least, most): (usize, usize)) -> usize {
        least + self.below(most + 1 - least)
    }

    fn sentence(&self) -> String {
        let words: Vec<String> = (0..self.between((5, 14))).map(|_| self.word()).collect();
        words.join(" ")
    }

    /// A text of several sentences with this one among them.
    fn told(&self, sentence: &str) -> String {
        let count = self.below(SENTENCES_MAX + 1);
        let mut sentences: Vec<String> = (0..count)
            .map(|_| format!("The {}.", self.sentence()))
            .collect();
        sentences.insert(self.below(count + 1), sentence.to_owned());
        sentences.join(" ")
    }

    /// The message of a test that expects one number and gets another.
    fn failure(&self) -> String {
        format!("assert {} == {}", self.number(), self.number())
    }

    fn signature(&self, name: &str) -> String {
        let count = self.below(PARAMETERS_MAX + 1);
        let mut parameters = vec!["rows: list".to_owned()];
        parameters.extend((0..count).map(|_| format!("{}: int = {}", self.word(), self.number())));
        let line = format!("def {name}({}) -> int:", parameters.join(", "));
        if line.len() <= LINE_CHARS_MAX {
            return line;
        }
        let mut lines = format!("def {name}(\n");
        for parameter in parameters {
            let _ = writeln!(lines, "    {parameter},");
        }
        lines + ") -> int:"
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
        let _ = write!(prompt, " {}", choices.told(&text));
        facts.push(Fact {
            distance,
            text,
            question: format!("How many rows does {} take at most?", module.name),
            answer: limit.to_string(),
        });
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
        if at == 0 {
            facts.extend(review(&mut writer, &choices, &modules)?);
        }
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
                instruction: choices.told(&text),
            };
            writer.write(None, "user", (0, None), said)?;
            facts.push(Fact {
                distance,
                text,
                question: format!("Which number must {name}() refuse?"),
                answer: limit.to_string(),
            });
            let signature = &module.interface().signature;
            facts.push(Fact {
                distance,
                text: signature.clone(),
                question: format!("What is the `def` line of {name}()?"),
                answer: signature.clone(),
            });
            let failure = &module.failure;
            let (asserted, expected) = failure.rsplit_once(' ').unwrap_or_default();
            facts.push(Fact {
                distance,
                text: failure.clone(),
                question: format!(
                    "A test of {} failed with `{asserted} ...`. Which number stands for the dots?",
                    module.name
                ),
                answer: expected.to_owned(),
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

/// The review before the current module is corrected: a finding about each module of the chain, in no order.
fn review(writer: &mut Writer, choices: &Choices, modules: &[Module]) -> Result<Vec<Fact>, Error> {
    let mut facts = Vec::new();
    let mut findings = Vec::new();
    for (distance, module) in chain(modules) {
        let name = &module.interface().name;
        let returned = choices.number();
        let text = format!("{name}() returns {returned} for no rows.");
        findings.insert(choices.below(findings.len() + 1), choices.told(&text));
        facts.push(Fact {
            distance,
            text,
            question: format!("What does {name}() return for no rows?"),
            answer: returned.to_string(),
        });
    }
    let review = ReviewCompleted {
        findings,
        problem: None,
    };
    writer.write(None, "reviewer", (0, None), review)?;
    Ok(facts)
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
            let functions: Vec<Function> = (0..choices.between(FUNCTIONS))
                .map(|_| {
                    let name = choices.name();
                    Function {
                        signature: choices.signature(&name),
                        early: choices.signature(&name),
                        name,
                    }
                })
                .collect();
            let rounds = ROUNDS.0 + choices.below(rounds_max);
            Module {
                name: format!("{package}.{}", choices.name()),
                needs: if at < DISTANCE_MAX {
                    vec![at + 1]
                } else {
                    Vec::new()
                },
                interface: choices.below(functions.len()),
                functions,
                rounds,
                failed_in: 1 + choices.below(rounds - 1),
                failure: choices.failure(),
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
        let message = if is_failed {
            let what = if round == module.failed_in {
                module.failure.clone()
            } else {
                choices.failure()
            };
            let (name, line) = (&function.name, choices.number());
            format!(
                "{file}:{line}: in test_{name}\n    assert {name}([{}]) == {}\nE   {what}\nE    +  where {} = {name}([{}])",
                choices.number(),
                choices.number(),
                choices.number(),
                choices.number(),
            )
        } else {
            String::new()
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
        let signature = if is_last {
            &function.signature
        } else {
            &function.early
        };
        let _ = writeln!(
            text,
            "\n\n{signature}\n    \"\"\"{}.\n\n    {}.\n    \"\"\"\n    total = {}\n    for row in rows:\n        \
             if row > {}:\n            total += row * {}",
            choices.sentence(),
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
