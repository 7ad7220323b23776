//! Tests that a prompt contains as Python code of several lines: test functions and classes, assertions over
//! several lines, loops over cases, and assertions that need preceding lines. Each passage of such code becomes one
//! test file. Code that depends on anything unknown is left out.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use journeyman_event::payload::{GivenTest, TestOrigin};
use journeyman_syntax::{Kind, Source};

use super::asked::{Line, Prompt, is_comment, is_fence};
use super::left_out::asked_like;
use super::surroundings::words_of;
use crate::prose::wording::names_a_fault;
use crate::python::literal::identifier;
use crate::python::{is_builtin, is_library, is_third_party, mentions};

/// Words at the start of statements over several lines; other statements start with a name.
const STATEMENTS: &[&str] = &[
    "@",
    "assert ",
    "assert(",
    "async def ",
    "class ",
    "def ",
    "for ",
    "from ",
    "if ",
    "import ",
    "try:",
    "while ",
    "with ",
];
/// Words at the start of lines that continue the statement above at the same indentation.
const CONTINUATIONS: &[&str] = &[")", "]", "}", "elif ", "else:", "except", "finally:"];
/// The names that pytest passes to test functions that have them as parameters.
const FIXTURES: &[&str] = &[
    "capfd",
    "caplog",
    "capsys",
    "monkeypatch",
    "recwarn",
    "request",
    "tmp_path",
    "tmpdir",
];
/// Names of pytest that tests call without its name in front. Where nothing imports them, they are not asked for.
const OF_PYTEST: &[&str] = &["approx", "raises", "warns"];
/// Lines of one statement in which an open bracket or string is looked for to be closed.
const OPEN_LINES_MAX: usize = 60;
/// Statements of one passage. More in a row are several passages.
const STATEMENTS_MAX: usize = 500;
/// The prefix of functions made of loose statements.
pub(crate) const BLOCK: &str = "test_block_";

/// A statement in a prompt, including decorators.
pub(crate) struct Statement {
    /// The lines of the prompt that contain it.
    pub(crate) lines: RangeInclusive<usize>,
    /// The text without common indentation.
    text: String,
    pub(crate) role: StatementRole,
    called: BTreeSet<String>,
    free: BTreeSet<String>,
    bound: BTreeSet<String>,
}

/// The role of a statement in a passage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatementRole {
    Import,
    /// A function or class with tests.
    Test,
    /// A function used by tests: a fixture, or one that uses what is asked for.
    Helper,
    /// Code that exists or is to be written.
    Code,
    /// A top-level statement that checks something.
    Check,
    /// A top-level statement that prepares a check.
    Setup,
}

impl Statement {
    fn of(lines: RangeInclusive<usize>, text: String) -> Option<Self> {
        let source = Source::of(&text);
        if !source.parses() || source.is_idle_expression() {
            return None;
        }
        let definitions = source.definitions();
        let first = definitions.first();
        let name = first.map_or("", |first| first.names.first().map_or("", String::as_str));
        let has_checks = !source.checks().is_empty();
        let role = match first.map(|first| first.kind) {
            _ if text.starts_with("if __name__") => StatementRole::Code,
            Some(Kind::Import) => StatementRole::Import,
            Some(Kind::Function) if name.starts_with("test") && has_checks => StatementRole::Test,
            Some(Kind::Class)
                if has_checks && (name.starts_with("Test") || text.contains("TestCase")) =>
            {
                StatementRole::Test
            }
            Some(Kind::Function) if text.contains("fixture") => StatementRole::Helper,
            Some(Kind::Function | Kind::AsyncFunction | Kind::Class) => StatementRole::Code,
            _ if has_checks => StatementRole::Check,
            _ => StatementRole::Setup,
        };
        let (called, free) = source.names();
        let bound = source.bound();
        Some(Self {
            lines,
            text,
            role,
            called,
            free,
            bound,
        })
    }

    fn defines(&self, name: &str) -> bool {
        match self.role {
            StatementRole::Helper | StatementRole::Code => {
                let text = self.text.lines().find(|line| !line.starts_with('@'));
                text.and_then(crate::python::defined_name) == Some(name)
            }
            StatementRole::Import | StatementRole::Setup => self.bound.contains(name),
            StatementRole::Test | StatementRole::Check => false,
        }
    }
}

/// The passages of Python statements in a prompt that check something, in order.
pub(crate) fn passages_in(lines: &[Line<'_>]) -> Vec<Vec<Statement>> {
    let mut all: Vec<Vec<Statement>> = vec![Vec::new()];
    let (mut at, mut margin) = (0, 0);
    while let Some(line) = lines.get(at) {
        let bare = line.text.trim();
        if bare.is_empty() || is_comment(bare) {
            at += 1;
            continue;
        }
        let found = statement_at(lines, at);
        let indent = indent_of(line.text);
        let is_full = all
            .last()
            .is_some_and(|passage| passage.len() >= STATEMENTS_MAX);
        if found.is_none() || indent != margin || is_full {
            all.push(Vec::new());
            margin = indent;
        }
        at = found.as_ref().map_or(at, |found| *found.lines.end()) + 1;
        if let (Some(found), Some(passage)) = (found, all.last_mut()) {
            passage.push(found);
        }
    }
    all.retain(|passage| {
        let mut roles = passage.iter().map(|statement| statement.role);
        roles.any(|role| matches!(role, StatementRole::Test | StatementRole::Check))
    });
    for passage in &mut all {
        let is_helper = |one: &Statement| {
            one.role == StatementRole::Code
                && one.text.starts_with("def ")
                && (uses_what_is_not_there(passage, one)
                    || compares_what_is_not_there(passage, one))
        };
        let helpers: Vec<bool> = passage.iter().map(is_helper).collect();
        for (statement, _) in passage.iter_mut().zip(helpers).filter(|(_, is)| *is) {
            statement.role = StatementRole::Helper;
        }
    }
    all
}

/// Whether a function is called as a whole in a check of something that does not exist yet, and so helps to
/// check it.
fn compares_what_is_not_there(passage: &[Statement], function: &Statement) -> bool {
    let mut checks = passage
        .iter()
        .filter(|one| one.role == StatementRole::Check);
    function.text.contains("return ")
        && checks.any(|check| {
            check.called.iter().any(|name| function.defines(name))
                && uses_what_is_not_there(passage, check)
        })
}

fn uses_what_is_not_there(passage: &[Statement], statement: &Statement) -> bool {
    statement.called.iter().any(|name| {
        let is_there = is_builtin(name) || passage.iter().any(|other| other.defines(name));
        !is_there
    })
}

fn indent_of(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

fn statement_at(lines: &[Line<'_>], at: usize) -> Option<Statement> {
    let bare = lines[at].text.trim();
    let indent = indent_of(lines[at].text);
    let is_code = STATEMENTS.iter().any(|start| bare.starts_with(start))
        || identifier(bare).is_some_and(|(_, rest)| {
            let next = rest.trim_start();
            next.starts_with('=') || rest.starts_with(['.', '(', ',', '['])
        });
    if !lines[at].is_own || !is_code {
        return None;
    }
    let mut last = at;
    let mut decorates = bare.starts_with('@');
    for (next, line) in lines.iter().enumerate().skip(at + 1) {
        let bare = line.text.trim();
        if bare.is_empty() {
            continue;
        }
        let own = indent_of(line.text);
        let goes_on = own > indent
            || own == indent
                && (decorates || CONTINUATIONS.iter().any(|start| bare.starts_with(start)));
        if !line.is_own || is_fence(bare) || !goes_on {
            break;
        }
        decorates &= bare.starts_with('@') || own > indent;
        last = next;
    }
    let mut text = dedented(&lines[at..=last], indent);
    let mut marks = Marks::of(&text);
    if marks.are_open() && !Source::of(&text).parses() {
        // It goes on at any indentation.
        let rest = lines.iter().skip(last + 1).take(OPEN_LINES_MAX);
        for line in rest.take_while(|line| line.is_own && !is_fence(line.text.trim())) {
            text.push('\n');
            text.push_str(without_indent(line.text, indent));
            last += 1;
            marks.add(line.text);
            if !marks.are_open() {
                break;
            }
        }
        if marks.are_open() {
            return None;
        }
    }
    Statement::of(at..=last, text)
}

fn dedented(lines: &[Line<'_>], indent: usize) -> String {
    let texts = lines
        .iter()
        .map(|line| without_indent(line.text, indent).trim_end());
    texts.collect::<Vec<_>>().join("\n")
}

/// A line without up to `indent` leading spaces.
fn without_indent(line: &str, indent: usize) -> &str {
    &line[indent.min(indent_of(line))..]
}

/// The marks of a text that open something, and those that close it.
struct Marks {
    opening: usize,
    closing: usize,
    quotes: [usize; 2],
}

impl Marks {
    fn of(text: &str) -> Self {
        let mut marks = Self {
            opening: 0,
            closing: 0,
            quotes: [0, 0],
        };
        marks.add(text);
        marks
    }

    /// Adds those of what follows on a line of its own.
    fn add(&mut self, text: &str) {
        self.opening += text.matches(['(', '[', '{']).count();
        self.closing += text.matches([')', ']', '}']).count();
        self.quotes[0] += text.matches("\"\"\"").count();
        self.quotes[1] += text.matches("'''").count();
    }

    fn are_open(&self) -> bool {
        self.opening > self.closing || self.quotes.iter().any(|quotes| quotes % 2 == 1)
    }
}

/// Whether a bracket or a string is open at the end of a text.
pub(crate) fn is_open(text: &str) -> bool {
    Marks::of(text).are_open()
}

/// What is made of the passages of a prompt.
#[derive(Default)]
pub(crate) struct Passages {
    /// One file per passage.
    pub(crate) tests: Vec<GivenTest>,
    /// The lines of the prompt that are run as part of them.
    pub(crate) taken: BTreeSet<usize>,
    /// The lines that cannot be run because of what they depend on.
    pub(crate) stuck: BTreeSet<usize>,
}

/// Whether statements define what is asked for with code that does something: what is checked beside it may be what that
/// code does, and not what it is to do.
fn is_of_code_to_change(prompt: &Prompt<'_>, statements: &[Statement]) -> bool {
    let mut code = statements
        .iter()
        .filter(|one| one.role == StatementRole::Code);
    code.any(|one| prompt.is_of_code_to_change(*one.lines.end()))
}

/// The tests in the passages. Lines for which `is_plain` returns true become tests of their own unless
/// something must be run with them.
pub(crate) fn tests_in_passages(prompt: &Prompt<'_>, is_plain: &dyn Fn(usize) -> bool) -> Passages {
    let mut all = Passages::default();
    for statements in &prompt.passages {
        let mut file = File {
            prompt,
            statements,
            above: BTreeSet::new(),
            imports: BTreeSet::new(),
            tests: Vec::new(),
            taken: BTreeSet::new(),
            tried: BTreeSet::new(),
        };
        let checks = statements
            .iter()
            .filter(|one| one.role == StatementRole::Check);
        if is_of_code_to_change(prompt, statements) {
            all.stuck
                .extend(checks.flat_map(|check| check.lines.clone()));
            continue;
        }
        file.fill(is_plain);
        all.stuck.extend(file.tried.difference(&file.taken));
        if !file.tests.is_empty() {
            all.tests.push(GivenTest {
                name: format!("test_prompt_{}.py", all.tests.len() + 1),
                origin: TestOrigin::Code,
                source: file.text(),
            });
            all.taken.append(&mut file.taken);
        }
    }
    all
}

/// A test file made of a passage.
struct File<'p> {
    prompt: &'p Prompt<'p>,
    statements: &'p [Statement],
    /// The statements placed above the tests, by index in the passage.
    above: BTreeSet<usize>,
    /// Standard library modules that are used without being imported.
    imports: BTreeSet<String>,
    tests: Vec<String>,
    /// The lines of the prompt that are tests in this file.
    taken: BTreeSet<usize>,
    /// These lines, and those of which no test could be made.
    tried: BTreeSet<usize>,
}

impl File<'_> {
    fn fill(&mut self, is_plain: &dyn Fn(usize) -> bool) {
        let checks: Vec<usize> = (0..self.statements.len())
            .filter(|&at| {
                matches!(
                    self.statements[at].role,
                    StatementRole::Test | StatementRole::Check
                )
            })
            .filter(|&at| self.is_wanted(&self.statements[at]))
            .collect();
        let run = self.run(&checks);
        let last = run.last().copied();
        for at in checks {
            if Some(at) == last {
                self.add(&run);
            } else if !run.contains(&at)
                && (self.leans(&self.statements[at])
                    || !is_flat(self.prompt, &self.statements[at], is_plain))
            {
                self.add(&[at]);
            }
        }
    }

    /// Whether a statement imports all of a module of the library: any name that is not asked for may come from it.
    fn imports_all(&self, statement: &Statement) -> bool {
        statement.role == StatementRole::Import
            && statement.bound.contains("*")
            && self.is_foreign(statement) == Some(false)
    }

    /// Whether a check uses what an import or a helper of the passage brings, beside what is asked for. Modules of
    /// the library under their own names are there without it.
    fn leans(&self, check: &Statement) -> bool {
        let brings = |other: &Statement, name: &str| match other.role {
            StatementRole::Import if self.imports_all(other) => {
                !is_builtin(name) && !is_library(name)
            }
            StatementRole::Import => {
                !is_library(name) && other.defines(name) && self.is_foreign(other) == Some(false)
            }
            StatementRole::Helper => other.defines(name),
            _ => false,
        };
        names_of(check).iter().any(|&(name, _)| {
            !self.is_asked(name, check) && self.statements.iter().any(|other| brings(other, name))
        })
    }

    fn is_wanted(&self, check: &Statement) -> bool {
        let (first, last) = (*check.lines.start(), *check.lines.end());
        let is_remarked = (first..=last).any(|at| self.prompt.is_remarked_beside(at));
        let is_made_to_fail =
            check.text.contains("AssertionError") || check.text.starts_with("if False");
        let is_skipped = check.text.lines().any(is_not_run_for)
            || self.statements.iter().any(|other| {
                other.text.starts_with("pytestmark") && other.text.lines().any(is_not_run_for)
            });
        let names = || check.free.iter().chain(&check.called);
        let used = self.statements.iter().filter(|other| {
            other.role == StatementRole::Setup && names().any(|name| other.bound.contains(name))
        });
        let is_prepared_with_a_remark = used.clone().any(|other| {
            other
                .lines
                .clone()
                .any(|at| self.prompt.is_remarked_beside(at))
        });
        let prepared = used.clone().flat_map(|other| &other.bound);
        let mut all = names().chain(&check.bound).chain(prepared);
        let is_named_wrong = all.any(|name| is_wrong_name(self.prompt, name))
            || names_given_in(&check.text).any(|name| is_wrong_name(self.prompt, name))
            || (check.called.iter()).any(|name| asked_like(self.prompt, name).is_some());
        !is_remarked
            && !is_prepared_with_a_remark
            && !is_named_wrong
            && !is_made_to_fail
            && !is_skipped
            && self.prompt.is_wanted(first, last)
            && !is_chain(&check.text)
    }

    /// The loose statements that must run one after another: preparations, and the checks that depend on them.
    /// These are all checks if a preparation changes something existing.
    fn run(&self, checks: &[usize]) -> Vec<usize> {
        let (mut run, mut bound) = (Vec::new(), BTreeSet::new());
        let mut acts = false;
        for (at, one) in self.statements.iter().enumerate() {
            let is_known = || self.needs(one, &bound, &[]).is_some();
            if one.role == StatementRole::Setup && !one.text.starts_with("print(") && is_known() {
                run.push(at);
                acts |= one.bound.is_empty();
                bound.extend(one.bound.iter().cloned());
            }
        }
        let loose = checks.iter().filter(|&&at| {
            let one = &self.statements[at];
            let mut names = one.called.iter().chain(&one.free);
            one.role == StatementRole::Check && (acts || names.any(|name| bound.contains(name)))
        });
        let loose: Vec<usize> = loose.copied().collect();
        let last = loose.last().copied();
        run.extend(loose);
        run.sort_unstable();
        run.retain(|&at| last.is_some_and(|last| at <= last));
        run
    }

    /// What a statement needs besides what is `bound` around it; `None` if something is unknown.
    fn needs(
        &self,
        statement: &Statement,
        bound: &BTreeSet<String>,
        fixtures: &[usize],
    ) -> Option<Needs> {
        let is_checked = |name: &str| {
            let mut checks = self
                .statements
                .iter()
                .filter(|one| one.role != StatementRole::Setup);
            checks.any(|one| one.called.contains(name))
        };
        let mut needs = Needs::default();
        needs.above.extend(fixtures);
        let mut open: Vec<(&str, bool)> = names_of(statement);
        for &at in fixtures {
            open.extend(names_of(&self.statements[at]));
        }
        let mut seen = BTreeSet::new();
        while let Some((name, is_called)) = open.pop() {
            let is_new = seen.insert(name);
            if !is_new || bound.contains(name) || name == "__name__" {
                continue;
            }
            let given = self.statements.iter().position(|other| {
                matches!(
                    other.role,
                    StatementRole::Import | StatementRole::Helper | StatementRole::Setup
                ) && other.defines(name)
            });
            // What a test file imports must be where it imports it from, unless the prompt is that file.
            let is_asked = self.is_asked(name, statement);
            let of_all = || {
                self.statements
                    .iter()
                    .position(|other| self.imports_all(other))
            };
            let is_unknown = !is_asked && !is_builtin(name) && !is_library(name);
            let given = given.or_else(|| of_all().filter(|_| is_unknown));
            let given = given.filter(|_| !is_asked || self.prompt.stub.is_empty());
            if is_asked && given.is_none() {
                needs.what_is_asked = true;
            } else if let Some(at) = given {
                let other = &self.statements[at];
                if other.role == StatementRole::Import {
                    needs.what_is_asked |= self.is_foreign(other)?;
                } else {
                    open.extend(names_of(other));
                }
                needs.above.insert(at);
            } else if is_library(name) && !is_called {
                needs.imports.insert(name.to_owned());
            } else if is_called
                && !is_builtin(name)
                && !OF_PYTEST.contains(&name)
                && !self.prompt.defines()
            {
                // With no definition in sight, a check says itself what is wanted.
                needs.what_is_asked |= is_checked(name);
            } else if !is_builtin(name) {
                return None;
            }
        }
        Some(needs)
    }

    fn is_asked(&self, name: &str, statement: &Statement) -> bool {
        self.prompt.asks_for(name)
            || self.prompt.asks_for_coroutine(name)
                && statement.text.contains(&format!("asyncio.run({name}("))
    }

    /// Whether an import refers to what is to be written; `None` if it is not available at all.
    fn is_foreign(&self, import: &Statement) -> Option<bool> {
        let source = Source::of(&import.text);
        let mut is_foreign = false;
        for import in source.imports() {
            let top = import.module.split('.').next().unwrap_or_default();
            let takes_what_is_asked = import.names.iter().any(|name| self.prompt.asks_for(name));
            let is_there = is_library(top) && !takes_what_is_asked;
            if import.is_relative || is_third_party(top) || top == "__future__" {
                return None;
            }
            // A prompt that begins as code is a module of its own.
            if !is_there && !self.prompt.stub.is_empty() {
                return None;
            }
            is_foreign |= !is_there;
        }
        Some(is_foreign)
    }

    /// Adds a test made of these statements, if everything they need is known and they use what is asked for.
    fn add(&mut self, places: &[usize]) {
        let parts: Vec<&Statement> = places.iter().map(|&at| &self.statements[at]).collect();
        let text = parts
            .iter()
            .map(|part| part.text.as_str())
            .collect::<Vec<_>>()
            .join("\n");
        let lines: Vec<usize> = parts.iter().flat_map(|part| part.lines.clone()).collect();
        self.tried.extend(&lines);
        let first = lines.first().copied().unwrap_or_default();
        let Some(whole) = Statement::of(first..=first, text) else {
            return;
        };
        let is_function = parts.iter().all(|part| part.role == StatementRole::Test);
        let Some(fixtures) = self.fixtures(&whole) else {
            return;
        };
        let needs = self.needs(&whole, &whole.bound, &fixtures);
        let Some(mut needs) = needs.filter(|needs| needs.what_is_asked) else {
            return;
        };
        let waits = ["await", "return", "yield"]
            .iter()
            .any(|word| mentions(&whole.text, word));
        let test = if is_function {
            if whole.text.contains("async def ") {
                return;
            }
            whole.text
        } else if waits || Source::of(&whole.text).has_long_string() {
            return;
        } else {
            let body = whole.text.lines().map(|line| format!("    {line}"));
            let body = body
                .map(|line| line.trim_end().to_owned())
                .collect::<Vec<_>>()
                .join("\n");
            format!("def {BLOCK}{}():\n{body}", self.tests.len() + 1)
        };
        self.tests.push(test);
        self.above.append(&mut needs.above);
        self.imports.append(&mut needs.imports);
        self.taken.extend(lines);
    }

    /// The fixtures of the passage used by the test functions in a statement; `None` if pytest has no value for
    /// a parameter.
    fn fixtures(&self, test: &Statement) -> Option<Vec<usize>> {
        let mut found = Vec::new();
        for (at, _) in test.text.match_indices("def test") {
            let (above, function) = test.text.split_at(at);
            let inside = function.split_once('(')?.1.split(')').next()?;
            let parameters = inside.split(',').filter(|part| !part.contains('='));
            for (name, _) in parameters.filter_map(|part| identifier(part.trim())) {
                let fixture = self.statements.iter().position(|other| {
                    other.role == StatementRole::Helper
                        && other.text.contains("fixture")
                        && other.defines(name)
                });
                let is_given = name == "self"
                    || FIXTURES.contains(&name)
                    || above.contains("parametrize") && mentions(above, name);
                if fixture.is_none() && !is_given {
                    return None;
                }
                found.extend(fixture);
            }
        }
        Some(found)
    }

    fn text(&self) -> String {
        let mut imports: Vec<String> = self
            .imports
            .iter()
            .map(|name| format!("import {name}"))
            .collect();
        let mut parts = Vec::new();
        for &at in &self.above {
            let one = &self.statements[at];
            if one.role == StatementRole::Import {
                imports.push(one.text.clone());
            } else {
                parts.push(one.text.clone());
            }
        }
        parts.extend(self.tests.iter().cloned());
        if !imports.is_empty() {
            parts.insert(0, imports.join("\n"));
        }
        let mut text = parts.join("\n\n");
        text.push('\n');
        text
    }
}

/// What a test needs from outside.
#[derive(Default)]
struct Needs {
    /// Statements of its passage.
    above: BTreeSet<usize>,
    /// Standard library modules.
    imports: BTreeSet<String>,
    /// Whether it uses anything that is to be written.
    what_is_asked: bool,
}

/// The names that a statement uses without defining them, and whether it calls them.
fn names_of(statement: &Statement) -> Vec<(&str, bool)> {
    let called = statement.called.iter().map(|name| (name.as_str(), true));
    let free = statement.free.iter().map(|name| (name.as_str(), false));
    called.chain(free).collect()
}

/// Whether this is a chained comparison such as `f(1) == 2 is False`, which compares 2 with False.
pub(crate) fn is_chain(assertion: &str) -> bool {
    let code = assertion.split('#').next().unwrap_or_default().trim_end();
    let ends = ["True", "False", "None"]
        .iter()
        .any(|word| code.ends_with(&format!(" is {word}")));
    ends && code.starts_with("assert ") && code.contains("==")
}

/// Whether a name that is not asked for says that what it stands for is wrong, or of the past.
pub(super) fn is_wrong_name(prompt: &Prompt<'_>, name: &str) -> bool {
    let is_called = || prompt.asks_for(name) && prompt.text.contains(&format!("{name}("));
    names_a_fault(&words_of(name)) && !is_called()
}

/// The names that the lines of a test bind or go through, and those of its decorators: `x = 1`, `for x in cases:`.
fn names_given_in(text: &str) -> impl Iterator<Item = &str> {
    let given = text.lines().filter_map(|line| {
        let bare = line.trim();
        bare.strip_prefix("for ")
            .or(bare.strip_prefix('@'))
            .or_else(|| bare.split_once(" = ").map(|(names, _)| names))
    });
    let names = given.flat_map(|text| text.split(|c: char| !(c.is_alphanumeric() || c == '_')));
    names.filter(|name| !name.is_empty())
}

/// Whether a line of a test says that the test is not run, or is to fail: a decorator that is not known to leave it as it is,
/// or a call that ends it.
pub(super) fn is_not_run_for(line: &str) -> bool {
    const LEAVING: &[&str] = &[
        "classmethod",
        "fixture",
        "parametrize",
        "patch",
        "property",
        "staticmethod",
        "timeout",
        "usefixtures",
    ];
    let bare = line.trim();
    let ends = ["pytestmark", "pytest.", "self.skipTest", "raise "];
    bare.starts_with('@') && !LEAVING.iter().any(|mark| bare.contains(mark))
        || ends.iter().any(|start| bare.starts_with(start))
            && ["skip", "Skip", "xfail"]
                .iter()
                .any(|mark| bare.contains(mark))
}

/// Whether a statement consists of assertions that become tests of their own.
fn is_flat(prompt: &Prompt<'_>, check: &Statement, is_plain: &dyn Fn(usize) -> bool) -> bool {
    let mut lines = check.lines.clone();
    if check.role == StatementRole::Check {
        return lines.start() == lines.end() && is_plain(*lines.start());
    }
    check.text.starts_with("def test")
        && check.text.contains("():")
        && lines.by_ref().skip(1).all(|at| {
            let bare = prompt.lines[at].text.trim();
            bare.is_empty() || is_comment(bare) || is_plain(at)
        })
}
