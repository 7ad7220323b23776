//! The projection: folds a task's events into its code, tests, failures and decisions. Names are resolved in
//! `link.rs`, so that each event changes only the data of its own subject.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use journeyman_event::payload::{
    Approach, CodeOrigin, CodeUnderTest, PlannedModule, TestOrigin, TestResult, TestStarted,
    ToolExecuting, ToolOutcome,
};
use journeyman_event::{Event, EventId, ModuleName, Payload, Sequence, VectorClock, word};
use journeyman_syntax::{Outline, Source};

use crate::graph::Graph;
use crate::link::assemble;
use crate::telling::telling;

/// The most failures, decisions and looked-up texts of a task, each. The oldest are dropped.
const TOLD_MAX: usize = 1_000;
/// The most characters of a decision or looked-up text.
const TEXT_CHARS_MAX: usize = 2_000;
/// The most characters of a failure message.
const MESSAGE_CHARS_MAX: usize = 300;

/// The knowledge of a task, or of the files of a repository.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Knowledge {
    pub(crate) sequence: Sequence,
    pub(crate) task: Option<Told>,
    pub(crate) language: String,
    pub(crate) modules: BTreeMap<Arc<str>, Module>,
    /// The given test files that contain code, by name.
    pub(crate) given: BTreeMap<Arc<str>, Suite>,
    /// The module whose generated tests are in the file of this name.
    generated_in: BTreeMap<Arc<str>, Arc<str>>,
    /// The last outcome of each test.
    pub(crate) tests: BTreeMap<TestName, Tested>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) decisions: Vec<Told>,
    pub(crate) concepts: Vec<Told>,
    questions: BTreeMap<String, String>,
    /// Test runs and tool calls in progress, by intent.
    runs: BTreeMap<EventId, Run>,
    calls: BTreeMap<EventId, ToolExecuting>,
    skipped: u64,
}

/// A text from an event: the prompt, a decision, or a tool's answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    /// The name in its node id.
    pub(crate) name: String,
    /// The label of its node.
    pub(crate) label: String,
    pub(crate) text: String,
    pub(crate) module: Option<Arc<str>>,
    pub(crate) actor: Arc<str>,
    pub(crate) sequence: Sequence,
    pub(crate) clock: Arc<VectorClock>,
}

/// A module, or a file of a repository.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Module {
    pub(crate) purpose: String,
    pub(crate) depends_on: Vec<Arc<str>>,
    pub(crate) planned: Option<Sequence>,
    pub(crate) clock: Arc<VectorClock>,
    pub(crate) code: Option<Code>,
    /// All versions of its code.
    pub(crate) attempts: BTreeMap<u64, Attempt>,
    /// The current generated tests.
    pub(crate) generated: Option<Suite>,
}

/// A source text. It is parsed on first use, so only versions that are looked at are parsed.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    language: Arc<str>,
    source: Arc<str>,
    outline: Arc<OnceLock<Outline>>,
}

impl Text {
    fn new(language: &str, text: &str) -> Self {
        Self {
            language: language.into(),
            source: text.into(),
            outline: Arc::default(),
        }
    }

    /// The outline; empty for a language without a parser.
    pub(crate) fn outline(&self) -> &Outline {
        self.outline.get_or_init(|| match &*self.language {
            "python" => Source::of(&self.source).outline(),
            _ => Outline::default(),
        })
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        (&self.language, &self.source) == (&other.language, &other.source)
    }
}

/// The current code of a module.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Code {
    pub(crate) version: u64,
    pub(crate) text: Text,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) clock: Arc<VectorClock>,
}

/// A version of a module's code.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) origin: CodeOrigin,
    pub(crate) sequence: Sequence,
    pub(crate) clock: Arc<VectorClock>,
    /// The last run of the module's tests: passed tests and all tests.
    pub(crate) tests: Option<(usize, usize)>,
}

/// A test file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Suite {
    pub(crate) text: Text,
    pub(crate) sequence: Sequence,
    pub(crate) clock: Arc<VectorClock>,
}

/// The name of a test: its suite (a given file, or the module of generated tests) and its name there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TestName {
    pub(crate) suite: Arc<str>,
    pub(crate) name: String,
}

/// The outcome of a test.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tested {
    pub(crate) passed: bool,
    pub(crate) sequence: Sequence,
    /// The clock of the run's intent.
    pub(crate) clock: Arc<VectorClock>,
    /// The modules that were tested.
    pub(crate) modules: Vec<Arc<str>>,
}

/// A module and a version of its code.
pub(crate) type Version = (Arc<str>, u64);

/// A failure, in one or more versions of the code.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    /// The name in its node id: the position of the first event, and a number if the event has several.
    pub(crate) name: String,
    /// The test; `None` if a whole run or a model answer failed.
    pub(crate) test: Option<TestName>,
    pub(crate) what: String,
    pub(crate) message: String,
    pub(crate) module: Option<Arc<str>>,
    /// The versions in which it occurred.
    pub(crate) seen: BTreeSet<Version>,
    /// The last event in which it occurred.
    pub(crate) sequence: Sequence,
    pub(crate) clock: Arc<VectorClock>,
    /// The versions in which it no longer occurred; empty if the code did not change. `None` while it occurs.
    pub(crate) fixed: Option<Vec<Version>>,
}

/// A test run in progress.
#[derive(Clone, Debug, PartialEq)]
struct Run {
    module: Option<Arc<str>>,
    code: Vec<CodeUnderTest>,
    clock: Arc<VectorClock>,
}

impl Knowledge {
    /// The position of the last applied event.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// The number of events that could not be read or have an unknown kind.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Applies the task's next event. Events that were applied before are ignored.
    pub fn evolve(&mut self, event: &Event) {
        if event.sequence() <= self.sequence {
            return;
        }
        self.sequence = event.sequence();
        let module = event.module().map(name_of);
        match event.payload() {
            Payload::TaskSubmitted(asked) => {
                asked.language.clone_into(&mut self.language);
                self.task = Some(Told {
                    name: event.task_id().to_string(),
                    label: event.task_id().to_string(),
                    ..told(event, &asked.prompt)
                });
                let is_code =
                    |origin: TestOrigin| origin.is_file() || origin == TestOrigin::Assertions;
                let files = asked.tests.iter().filter(|test| is_code(test.origin));
                self.given = files
                    .map(|test| (test.name.as_str().into(), self.suite(event, &test.source)))
                    .collect();
                for answer in &asked.answers {
                    self.decide(event, &format!("The user said beforehand: {answer}"));
                }
            }
            Payload::PlanningComplete(plan) => {
                self.modules = plan
                    .modules
                    .iter()
                    .map(|plan| (name_of(&plan.name), planned(event, plan)))
                    .collect();
                self.succeed(None, &[]);
                for repair in &plan.repairs {
                    self.decide(event, &format!("The plan was changed: {repair}"));
                }
            }
            Payload::PlanningRejected(rejected) => {
                self.fail(event, "a plan could not be used", &rejected.problem);
            }
            // That a summary could not be used says nothing of the code.
            Payload::AnswerRejected(rejected) if !rejected.purpose.is_summary() => {
                let what = word(&rejected.purpose).unwrap_or_default();
                let what = format!("an answer ({what}) could not be used");
                self.fail(event, &what, &rejected.problem);
            }
            Payload::QuestionsAsked(asked) => {
                let questions = asked.questions.iter();
                let questions = questions.map(|one| (one.id.clone(), one.text.clone()));
                self.questions.extend(questions);
            }
            Payload::UserAnswered(answered) => {
                let question = answered.question.as_ref();
                let question = question.map(|name| self.questions.get(name).unwrap_or(name));
                let text = match question {
                    Some(question) => format!("{question} The user answered: {}", answered.answer),
                    None => format!("The user said: {}", answered.answer),
                };
                self.decide(event, &text);
            }
            Payload::UserIntervention(said) => {
                self.decide(event, &format!("The user said: {}", said.instruction));
            }
            Payload::ModuleSkipped(_) => {
                self.decide(event, "The user wants no more work on this module.");
            }
            Payload::ReviewCompleted(review) => {
                for finding in &review.findings {
                    self.decide(event, &format!("A review found: {finding}"));
                }
            }
            Payload::ModuleIteration(round) => match round.approach {
                Approach::Rewrite => self.decide(
                    event,
                    "The module is written anew: its corrections went in circles.",
                ),
                Approach::RewriteTests => self.decide(
                    event,
                    "The module's generated tests are written anew: they are the likelier fault.",
                ),
                Approach::Write | Approach::Repair => {}
            },
            Payload::ModuleComplete(complete) => {
                for test in &complete.disputed {
                    self.decide(
                        event,
                        &format!("The generated test {test} was judged wrong."),
                    );
                }
            }
            Payload::CodeGenerated(code) => self.write(event, code.origin, &code.source),
            Payload::TestsGenerated(tests) => {
                let is_dropped = tests.source.is_empty();
                let suite = (!is_dropped).then(|| self.suite(event, &tests.source));
                if let Some(module) = module.and_then(|name| self.modules.get_mut(&name)) {
                    module.generated = suite;
                }
            }
            Payload::TestStarted(started) => self.begin(event, module, started),
            Payload::TestPassed(passed) => {
                if let Some(run) = self.end(event) {
                    self.passed(event, &run, &passed.tests);
                }
            }
            Payload::TestFailed(failed) => {
                if let Some(run) = self.end(event) {
                    self.passed(event, &run, &failed.tests);
                    self.failed(event, &run, &failed.tests);
                    if failed.tests.iter().all(|test| test.passed) {
                        let last = failed.output.trim_end().lines().next_back();
                        let message = last.unwrap_or_default();
                        self.fail_in(event, &run, None, failed.kind.in_words(), message);
                    }
                }
            }
            Payload::ToolExecuting(call) if call.agent.is_some() => {
                self.calls.insert(event.id(), call.clone());
            }
            Payload::ToolCompleted(done) => {
                let call = event.causation_id().and_then(|id| self.calls.remove(&id));
                if let Some(call) = call.filter(|_| done.outcome == ToolOutcome::Ok) {
                    let mut about = vec![call.tool.as_str()];
                    for value in call.arguments.values() {
                        about.extend(value.as_str());
                    }
                    let told = Told {
                        label: about.join(" "),
                        ..told(event, &done.text)
                    };
                    keep(&mut self.concepts, told);
                }
            }
            Payload::EffectInterrupted(_) => {
                if let Some(intent) = event.causation_id() {
                    self.runs.remove(&intent);
                    self.calls.remove(&intent);
                }
            }
            Payload::Unknown { .. } | Payload::Unreadable { .. } => self.skipped += 1,
            _ => {}
        }
    }

    /// Adds or replaces a file of a repository, under a dotted module name. It has no event and an empty clock.
    pub fn put_file(&mut self, module: &str, language: &str, text: &str) {
        let code = Code {
            version: 0,
            text: Text::new(language, text),
            sequence: None,
            clock: Arc::default(),
        };
        let file = self.modules.entry(module.into()).or_insert_with(|| Module {
            purpose: String::new(),
            depends_on: Vec::new(),
            planned: None,
            clock: Arc::default(),
            code: None,
            attempts: BTreeMap::new(),
            generated: None,
        });
        file.code = Some(code);
    }

    /// Assembles the graph.
    pub fn graph(&self) -> Graph {
        assemble(self)
    }

    fn suite(&self, event: &Event, source: &str) -> Suite {
        Suite {
            text: Text::new(&self.language, source),
            sequence: event.sequence(),
            clock: Arc::new(event.clock().clone()),
        }
    }

    fn decide(&mut self, event: &Event, text: &str) {
        let nth = self.decisions.iter().rev();
        let nth = nth.take_while(|told| told.sequence == event.sequence());
        let nth = nth.count();
        let told = Told {
            name: numbered(event.sequence(), nth),
            ..told(event, text)
        };
        keep(&mut self.decisions, told);
    }

    fn write(&mut self, event: &Event, origin: CodeOrigin, source: &str) {
        let Some(name) = event.module().map(name_of) else {
            return;
        };
        let Some(module) = self.modules.get_mut(&name) else {
            return;
        };
        let version = event.code_version();
        // As in the fold, a version that is not newer is ignored.
        if module
            .code
            .as_ref()
            .is_some_and(|code| version <= code.version)
        {
            return;
        }
        let clock = Arc::new(event.clock().clone());
        module.code = Some(Code {
            version,
            text: Text::new(&self.language, source),
            sequence: Some(event.sequence()),
            clock: Arc::clone(&clock),
        });
        module.attempts.insert(
            version,
            Attempt {
                origin,
                sequence: event.sequence(),
                clock,
                tests: None,
            },
        );
        self.succeed(Some(&name), &[(Arc::clone(&name), version)]);
        match origin {
            CodeOrigin::Edited => {
                self.decide(
                    event,
                    &format!("The user wrote version {version} of {name}."),
                );
            }
            CodeOrigin::Restored => self.decide(
                event,
                &format!("An earlier version of {name} was brought back: it passed more tests."),
            ),
            CodeOrigin::Generated | CodeOrigin::Corrected => {}
        }
    }

    /// Marks rejected answers as fixed after a usable one.
    fn succeed(&mut self, module: Option<&Arc<str>>, with: &[Version]) {
        for failure in &mut self.failures {
            let is_answer = failure.test.is_none() && failure.seen.is_empty();
            if is_answer && failure.fixed.is_none() && failure.module.as_ref() == module {
                failure.fixed = Some(with.to_vec());
            }
        }
    }

    fn begin(&mut self, event: &Event, module: Option<Arc<str>>, started: &TestStarted) {
        if let (TestOrigin::Generated, Some(module)) = (started.origin, &module) {
            for file in &started.files {
                let file = base(file);
                if !self.given.contains_key(file) {
                    self.generated_in.insert(file.into(), Arc::clone(module));
                }
            }
        }
        let run = Run {
            module,
            code: started.code.clone(),
            clock: Arc::new(event.clock().clone()),
        };
        self.runs.insert(event.id(), run);
    }

    fn end(&mut self, event: &Event) -> Option<Run> {
        self.runs.remove(&event.causation_id()?)
    }

    /// The suite and name of a test from its name in a report.
    fn test_name(&self, told: &str) -> TestName {
        let (file, name) = told.split_once("::").unwrap_or(("", told));
        let file = base(file);
        // All parameter sets of a test count as one test.
        let name = name.split('[').next().unwrap_or(name).replace("::", ".");
        let suite = self.generated_in.get(file).cloned();
        TestName {
            suite: suite.unwrap_or_else(|| file.into()),
            name,
        }
    }

    /// Records the outcome of each test and which failures are fixed.
    fn passed(&mut self, event: &Event, run: &Run, tests: &[TestResult]) {
        let modules: Vec<Arc<str>> = run.code.iter().map(|code| name_of(&code.module)).collect();
        let mut failing = BTreeSet::new();
        let mut passing = BTreeSet::new();
        for test in tests {
            let name = self.test_name(&test.name);
            let names = if test.passed {
                &mut passing
            } else {
                &mut failing
            };
            names.insert(name);
        }
        // A test with one failing parameter set fails.
        passing.retain(|name| !failing.contains(name));
        for (names, passed) in [(&passing, true), (&failing, false)] {
            for name in names {
                let tested = Tested {
                    passed,
                    sequence: event.sequence(),
                    clock: Arc::clone(&run.clock),
                    modules: modules.clone(),
                };
                self.tests.insert(name.clone(), tested);
            }
        }
        if let Some(name) = &run.module
            && let Some(code) = run.code.iter().find(|code| code.module.as_str() == &**name)
            && let Some(module) = self.modules.get_mut(name)
            && let Some(attempt) = module.attempts.get_mut(&code.version)
        {
            let passed = tests.iter().filter(|test| test.passed).count();
            attempt.tests = Some((passed, tests.len()));
        }
        let versions = versions(&run.code);
        for failure in self.failures.iter_mut().filter(|one| one.fixed.is_none()) {
            let is_gone = match &failure.test {
                Some(test) => passing.contains(test),
                // The whole run failed before; this run reported tests.
                None => {
                    failure.module == run.module && !failure.seen.is_empty() && !tests.is_empty()
                }
            };
            if is_gone {
                let new = versions.difference(&failure.seen).cloned();
                failure.fixed = Some(new.collect());
            }
        }
    }

    fn failed(&mut self, event: &Event, run: &Run, tests: &[TestResult]) {
        for test in tests.iter().filter(|test| !test.passed) {
            let name = self.test_name(&test.name);
            let what = format!("{} failed", name.name);
            self.fail_in(event, run, Some(name), &what, &telling(&test.message));
        }
    }

    /// Records a failure of a test run, or another occurrence of a known one.
    fn fail_in(
        &mut self,
        event: &Event,
        run: &Run,
        test: Option<TestName>,
        what: &str,
        message: &str,
    ) {
        let message = cut(message, MESSAGE_CHARS_MAX);
        let is_same = |one: &Failure| {
            one.fixed.is_none()
                && one.test == test
                && one.what == what
                && one.message == message
                && one.module == run.module
                && !one.seen.is_empty()
        };
        let versions = versions(&run.code);
        let known = self.failures.iter().position(is_same);
        if let Some(known) = known.map(|at| &mut self.failures[at]) {
            known.seen.extend(versions);
            known.sequence = event.sequence();
            known.clock = Arc::clone(&run.clock);
            return;
        }
        self.keep_failure(Failure {
            name: String::new(),
            test,
            what: what.to_owned(),
            message,
            module: run.module.clone(),
            seen: versions,
            sequence: event.sequence(),
            clock: Arc::clone(&run.clock),
            fixed: None,
        });
    }

    /// Records a failure that no version of the code caused.
    fn fail(&mut self, event: &Event, what: &str, message: &str) {
        self.keep_failure(Failure {
            name: String::new(),
            test: None,
            what: what.to_owned(),
            message: cut(message, MESSAGE_CHARS_MAX),
            module: event.module().map(name_of),
            seen: BTreeSet::new(),
            sequence: event.sequence(),
            clock: Arc::new(event.clock().clone()),
            fixed: None,
        });
    }

    fn keep_failure(&mut self, failure: Failure) {
        let prefix = failure.sequence.to_string();
        let is_of_event = |one: &&Failure| one.name.split('.').next() == Some(prefix.as_str());
        let nth = self.failures.iter().filter(is_of_event).count();
        let name = numbered(failure.sequence, nth);
        if self.failures.len() >= TOLD_MAX {
            // Fixed failures are dropped first.
            let oldest = self.failures.iter().position(|one| one.fixed.is_some());
            self.failures.remove(oldest.unwrap_or(0));
        }
        self.failures.push(Failure { name, ..failure });
    }
}

fn name_of(name: &ModuleName) -> Arc<str> {
    name.as_str().into()
}

fn planned(event: &Event, plan: &PlannedModule) -> Module {
    Module {
        purpose: plan.purpose.clone(),
        depends_on: plan.depends_on.iter().map(name_of).collect(),
        planned: Some(event.sequence()),
        clock: Arc::new(event.clock().clone()),
        code: None,
        attempts: BTreeMap::new(),
        generated: None,
    }
}

fn told(event: &Event, text: &str) -> Told {
    let text = cut(text, TEXT_CHARS_MAX);
    Told {
        name: event.sequence().to_string(),
        label: cut(text.lines().next().unwrap_or_default(), 60),
        text,
        module: event.module().map(name_of),
        actor: event.actor().into(),
        sequence: event.sequence(),
        clock: Arc::new(event.clock().clone()),
    }
}

/// The name of an item of an event: the event's position, and a number if the event has several items.
fn numbered(sequence: Sequence, nth: usize) -> String {
    match nth {
        0 => sequence.to_string(),
        nth => format!("{sequence}.{nth}"),
    }
}

fn keep(all: &mut Vec<Told>, told: Told) {
    if all.len() >= TOLD_MAX {
        all.remove(0);
    }
    all.push(told);
}

fn versions(code: &[CodeUnderTest]) -> BTreeSet<Version> {
    let versions = code.iter();
    versions
        .map(|code| (name_of(&code.module), code.version))
        .collect()
}

/// The file name without folders.
fn base(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The trimmed text, cut to so many characters with a mark.
pub(crate) fn cut(text: &str, chars: usize) -> String {
    let text = text.trim();
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
