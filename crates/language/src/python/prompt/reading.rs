//! Decides which lines of a prompt are run as tests, and which only look like tests.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use journeyman_event::payload::{GivenTest, TestOrigin};
use journeyman_syntax::Source;

use super::asked::{Line, Prompt, is_comment, is_fence};
use super::at_odds::Claims;
use super::beside::message_of;
use super::left_out::{Doubt, LeftOut, asked_like, is_commented_out, is_of_another};
use super::passages::{is_chain, is_not_run_for, is_open, is_wrong_name, tests_in_passages};
use super::prose_examples::{
    ShownCall, call_at, calls_shown, is_case, is_labelled, is_sample, is_transcript,
    pairs_on_lines, plain_rows, prose_examples, rows_of_tables, shows_a_result,
};
use super::sessions::doctests;
use super::volatile::Volatility;
use crate::python::literal::{identifier, literal};
use crate::python::{is_builtin, is_library};

/// The name under which doctest examples are stored.
const EXAMPLES_FILE: &str = "test_examples.py";
/// The name under which `assert` lines are stored.
const ASSERTIONS_FILE: &str = "test_assertions.py";

/// The tests found in a prompt.
pub(crate) struct PromptTests {
    pub(crate) tests: Vec<GivenTest>,
    /// What looks like a test and is not run.
    pub(crate) left_out: Vec<LeftOut>,
}

/// A test of one or a few lines, and its position.
pub(crate) struct FoundTest {
    pub(crate) lines: RangeInclusive<usize>,
    pub(crate) text: String,
}

impl PromptTests {
    /// Reads a prompt.
    pub(crate) fn of(prompt: &Prompt<'_>) -> Self {
        let is_plain = |at| assertion(prompt, at).is_some();
        let passages = tests_in_passages(prompt, &is_plain);
        let (code, mut taken) = (passages.tests, passages.taken);
        let on_its_own = |at: &usize| !taken.contains(at) && !passages.stuck.contains(at);
        let (mut examples, mut assertions) = doctests(prompt);
        let lines = (0..prompt.lines.len()).filter(on_its_own);
        let plain = lines.filter_map(|at| Some((at, assertion(prompt, at)?)));
        let mut stated = prose_examples(prompt);
        stated.retain(|(at, _)| on_its_own(at));
        assertions.extend(
            plain
                .chain(stated.iter().cloned())
                .map(|(at, text)| FoundTest {
                    lines: at..=at,
                    text,
                }),
        );
        let led = plain_rows(prompt)
            .into_iter()
            .filter(|(at, _)| prompt.is_led_to(*at));
        assertions.extend(led.map(|(at, text)| FoundTest {
            lines: at..=at,
            text,
        }));
        let run: BTreeSet<usize> = assertions
            .iter()
            .map(|found| *found.lines.start())
            .collect();
        let pairs = rows_of_tables(prompt)
            .into_iter()
            .chain(pairs_on_lines(prompt));
        let rows: Vec<FoundTest> = pairs
            .filter(|(at, _)| !run.contains(at))
            .chain(results_of_test_cases(prompt))
            .map(|(at, text)| FoundTest {
                lines: at..=at,
                text,
            })
            .collect();
        let contradicted = contradicted(examples.iter().chain(&assertions).chain(&rows));
        let volatility = Volatility::of(prompt);
        let claims = Claims::of(prompt);
        let doubt = |found: &FoundTest| {
            if let Some((call, _, _)) = bounded(&found.text) {
                return contradicted.contains(&call).then_some(Doubt::Contradicted);
            }
            let (call, result) = expected(&found.text)?;
            if contradicted.contains(&call) {
                Some(Doubt::Contradicted)
            } else if volatility.concerns(&call, &result) {
                Some(Doubt::Volatile)
            } else {
                claims
                    .are_at_odds_with(&call, &result)
                    .then_some(Doubt::AtOdds)
            }
        };
        let mut doubts: BTreeMap<usize, Doubt> = BTreeMap::new();
        for all in [&mut examples, &mut assertions] {
            all.retain(|found| {
                let doubt = doubt(found);
                doubts.extend(doubt.map(|doubt| (*found.lines.start(), doubt)));
                doubt.is_none()
            });
            taken.extend(all.iter().flat_map(|found| found.lines.clone()));
        }
        // Of several in a line, some may be taken and others not.
        let mut run: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for found in &assertions {
            run.entry(*found.lines.start())
                .or_default()
                .push(spelled(&found.text));
        }
        let left_out = (0..prompt.lines.len()).filter_map(|at| {
            let text = prompt.lines[at].text.trim();
            if !taken.contains(&at) {
                return looks_like_a_test(prompt, at)
                    .then(|| LeftOut::of(prompt, at, doubts.get(&at).copied()));
            }
            let bare = text
                .trim_start_matches(">>> ")
                .trim_start_matches("assert ");
            let bare =
                message_of(text).map_or(bare, |(check, _)| check.trim_start_matches("assert "));
            let shown = calls_shown(prompt, bare);
            if shown
                .iter()
                .any(|one| contradicted.contains(&spelled(&one.call)))
                && looks_like_a_test(prompt, at)
            {
                return Some(LeftOut::of(prompt, at, Some(Doubt::Contradicted)));
            }
            let run = run.get(&at)?;
            let is_run = |one: &&ShownCall<'_>| {
                // Of a call that stands there twice, the one with a result was run.
                let is_other =
                    |other: &ShownCall<'_>| other.call == one.call && other.value.is_some();
                let value = one.value.as_deref().map(spelled).unwrap_or_default();
                run.iter()
                    .any(|test| test.contains(&spelled(&one.call)) && test.contains(&value))
                    && (one.value.is_some() || !shown.iter().any(is_other))
            };
            let missed: Vec<&str> = shown
                .iter()
                .filter(|one| !is_run(one))
                .map(|one| one.text)
                .collect();
            (!missed.is_empty()).then(|| LeftOut {
                line: format!("{} (in: {text})", missed.join("; ")),
                ..LeftOut::of(prompt, at, doubts.get(&at).copied())
            })
        });
        let left_out = left_out.collect();
        let mut seen = BTreeSet::new();
        assertions.retain(|found| seen.insert(found.text.clone()));
        let mut tests = Vec::new();
        let listed = [
            (EXAMPLES_FILE, TestOrigin::Examples, examples, "\n\n"),
            (ASSERTIONS_FILE, TestOrigin::Assertions, assertions, "\n"),
        ];
        for (name, origin, all, between) in listed {
            let all: Vec<String> = all.into_iter().map(|found| found.text).collect();
            if !all.is_empty() {
                tests.push(GivenTest {
                    name: name.to_owned(),
                    origin,
                    source: all.join(between),
                });
            }
        }
        tests.extend(code);
        Self { tests, left_out }
    }
}

/// The call and result of a test that consists of nothing else.
fn expected(test: &str) -> Option<(String, String)> {
    let call = |text| call_at(text, &|_| true);
    if let Some(rounded) = test.strip_prefix("assert abs(") {
        let (found, rest) = call(rounded)?;
        let (value, _) = literal(rest.trim_start().strip_prefix("- ")?)?;
        return Some((spelled(&found), spelled(&value)));
    }
    let ((call, _), result) = if let Some(session) = test.strip_prefix(">>> ") {
        let (line, result) = session.split_once('\n')?;
        (
            call(line).filter(|(_, rest)| rest.trim().is_empty())?,
            result,
        )
    } else {
        let (found, rest) = call(test.strip_prefix("assert ")?)?;
        ((found, rest), rest.trim_start().strip_prefix("==")?)
    };
    let (value, rest) = literal(result.trim())?;
    let is_all = rest.trim().is_empty() || rest.trim_start().starts_with('#');
    is_all.then(|| (spelled(&call), spelled(&value)))
}

/// A text with uniform quotation marks, without spaces behind commas and without the names of arguments.
fn spelled(text: &str) -> String {
    let text = text.replace('"', "'").replace(", ", ",");
    let mut parts = text.split_inclusive(['(', ',']);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let value = identifier(part).and_then(|(_, rest)| rest.strip_prefix('='));
        let value = value.filter(|value| !value.starts_with('='));
        text + value.unwrap_or(part)
    })
}

fn contradicted<'f>(all: impl Iterator<Item = &'f FoundTest>) -> BTreeSet<String> {
    let mut results: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut bounds: Vec<(String, &str, f64)> = Vec::new();
    for found in all {
        if let Some((call, value)) = expected(&found.text) {
            results.entry(call).or_default().insert(value);
        } else {
            bounds.extend(bounded(&found.text));
        }
    }
    results.retain(|call, values| {
        let is_within = |value: f64| {
            let mut of_call = bounds.iter().filter(|(bounded, _, _)| bounded == call);
            of_call.all(|(_, relation, bound)| match *relation {
                "!=" => (value - bound).abs() > 0.0,
                "<=" => value <= *bound,
                ">=" => value >= *bound,
                "<" => value < *bound,
                _ => value > *bound,
            })
        };
        let mut numbers = values.iter().filter_map(|value| value.parse::<f64>().ok());
        values.len() > 1 || !numbers.all(is_within)
    });
    results.into_keys().collect()
}

/// The call, the relation and the number of an assertion that bounds a result: `assert f(3) > 8`.
fn bounded(test: &str) -> Option<(String, &'static str, f64)> {
    let (call, rest) = call_at(test.strip_prefix("assert ")?, &|_| true)?;
    let rest = rest.trim_start();
    let relation = ["!=", "<=", ">=", "<", ">"]
        .into_iter()
        .find(|relation| rest.starts_with(relation))?;
    let number = rest[relation.len()..].split('#').next()?.trim().parse();
    Some((spelled(&call), relation, number.ok()?))
}

/// The results that lines of a test case of `unittest` state outside of one: `self.assertEqual(f(3), 9)`.
fn results_of_test_cases(prompt: &Prompt<'_>) -> Vec<(usize, String)> {
    let lines = prompt.lines.iter().enumerate();
    let stated = lines.filter_map(|(at, line)| {
        let inside = line.text.trim().strip_prefix("self.assertEqual(")?;
        let (call, rest) = call_at(inside, &|name| prompt.asks_for(name))?;
        let (value, _) = literal(rest.trim_start().strip_prefix(',')?.trim_start())?;
        Some((at, format!("assert {call} == {value}")))
    });
    stated.collect()
}

/// Whether a line of the user checks something or shows a result of what is asked for.
fn looks_like_a_test(prompt: &Prompt<'_>, at: usize) -> bool {
    let line = &prompt.lines[at];
    // What a program prints is shown by itself where nothing is asked for by name.
    if line.is_fenced && line.is_quotation && !prompt.asks_by_name() {
        return false;
    }
    let mut bare = line.text.trim();
    while line.is_quotation && bare.starts_with('>') && !bare.starts_with(">>>") {
        bare = bare[1..].trim_start();
    }
    if is_added(prompt, at)
        || is_case(prompt, at)
        || is_sample(prompt, at)
        || is_transcript(prompt, at)
        || is_shown_below(prompt, at)
        || is_printed(prompt, at)
        || is_stated_in_words(prompt, at)
        || is_commented_out(prompt, at)
        || line.is_own && !is_in_code(prompt, at) && is_of_another(prompt, bare)
    {
        return true;
    }
    if !(line.is_own || line.is_quotation) || is_comment(bare) {
        return false;
    }
    if let Some(code) = bare.strip_prefix(">>> ") {
        return about_the_task(prompt, code) || calls_something(code) || asks_an_object(code);
    }
    let is_check = [
        "assert ",
        "assert(",
        "self.assert",
        "with self.assert",
        "pytest.raises(",
        "with pytest.raises(",
        "with raises(",
    ]
    .iter()
    .any(|start| bare.starts_with(start));
    if is_check {
        let source = Source::of(bare);
        let (called, free) = source.names();
        let has_own = || called.iter().chain(&free).any(|name| !is_builtin(name));
        let is_code = source.parses() && has_own() || is_open(bare) || bare.ends_with(':');
        let is_about = || called.iter().any(|name| prompt.asks_for(name));
        return is_code
            && (!is_in_code(prompt, at)
                || is_in_a_helper(prompt, at) && is_about()
                || bare.contains("==") && calls_what_it_is_given(prompt, at, &called));
    }
    let source = Source::of(bare);
    is_labelled(prompt, at)
        || shows_a_result(prompt, bare)
            && (!is_in_code(prompt, at) || is_in_a_docstring(prompt, at))
        || bare.contains("==")
            && source.is_idle_expression()
            && source.parses()
            && (source.names().0.iter().any(|name| prompt.asks_for(name)) || asks_an_object(bare))
            && !is_in_code(prompt, at)
}

/// Whether a line prints what a call of what is asked for returns, and a value stands below it, perhaps in a block of its own:
/// `print(f(1))` above `2`.
fn is_printed(prompt: &Prompt<'_>, at: usize) -> bool {
    /// Empty lines, fences and a label that may stand between.
    const BETWEEN_MAX: usize = 5;
    let bare = prompt.lines[at].text.trim();
    let inside = bare
        .strip_prefix("print(")
        .and_then(|rest| rest.strip_suffix(')'));
    let is_call = inside.is_some_and(|inside| {
        let call = call_at(inside, &|name| prompt.asks_for(name));
        call.is_some_and(|(_, rest)| rest.trim().is_empty())
    });
    let mut below = prompt.lines[at + 1..].iter().map(|line| line.text.trim());
    is_call
        && below
            .by_ref()
            .take(BETWEEN_MAX)
            .find(|line| {
                let is_label = line.ends_with(':') || line.ends_with(":**");
                !line.is_empty() && !is_fence(line) && !is_label
            })
            .is_some_and(|shown| literal(shown).is_some_and(|(_, rest)| rest.is_empty()))
}

/// Whether a line is a call of what is asked for, and the next line shows a value after a mark: `f(1)` above `#
/// 2`.
fn is_shown_below(prompt: &Prompt<'_>, at: usize) -> bool {
    let bare = prompt.lines[at].text.trim();
    let is_call = call_at(bare, &|name| prompt.asks_for(name))
        .is_some_and(|(_, rest)| rest.trim().is_empty());
    let below = prompt.lines.get(at + 1).map_or("", |line| line.text.trim());
    let value = ["#", "->", "=>", "→"]
        .iter()
        .find_map(|mark| below.strip_prefix(mark));
    let is_value = || literal(below).is_some_and(|(_, rest)| rest.is_empty());
    is_call && value.map_or_else(is_value, |value| literal(value.trim()).is_some())
}

/// Whether a line of prose shows arguments and a result without a call: `square 3 is 9`, `Calling it with 3 gives 9`, or a
/// command and what it prints.
fn is_stated_in_words(prompt: &Prompt<'_>, at: usize) -> bool {
    let line = &prompt.lines[at];
    let bare = line.text.trim();
    if !line.is_own && !line.is_quotation {
        return false;
    }
    if let Some(command) = bare.strip_prefix("$ ") {
        let below = prompt.lines.get(at + 1).map_or("", |line| line.text.trim());
        return command.contains("python") && !below.is_empty() && !below.starts_with("```");
    }
    let leads_to_values = |(from, lead): (usize, &str)| {
        let relation = literal(bare[from + lead.len()..].trim_start_matches([' ', '`']));
        let relation = relation.map(|(_, rest)| rest.trim_start_matches([' ', '`']));
        let result = relation.and_then(|rest| {
            let mut marks = ["is ", "gives ", "returns ", "=>", "->", "→", "="].iter();
            marks.find_map(|mark| rest.strip_prefix(mark))
        });
        result.is_some_and(|result| literal(result.trim_start_matches([' ', '`'])).is_some())
    };
    let named = prompt.asked_names().any(|name| {
        let lead = format!("{name} ");
        bare.match_indices(&lead).any(leads_to_values)
    });
    named
        || prompt.asks_by_name() && bare.match_indices(" with ").any(leads_to_values)
        || gives_a_value_for_another(bare)
}

/// Whether words name a value and the result for it: `Given "abc", return "ABC"`, `2 becomes 4`.
fn gives_a_value_for_another(text: &str) -> bool {
    const LEADS: &[&str] = &[
        "given ",
        "for ",
        "input ",
        "e.g. ",
        "example: ",
        "example, ",
    ];
    const RELATIONS: &[&str] = &[
        "return ", "returns ", "gives ", "give ", "becomes ", "yields ",
    ];
    let lower = text.to_lowercase();
    // Only what keeps its length can be looked up at the same place.
    if lower.len() != text.len() {
        return false;
    }
    let value = |text: &str| literal(text.trim_start_matches([' ', '`'])).is_some();
    LEADS.iter().any(|lead| {
        lower.match_indices(lead).any(|(at, _)| {
            let Some((_, rest)) = literal(text[at + lead.len()..].trim_start_matches(['`', ' ']))
            else {
                return false;
            };
            let sentence = rest.split(". ").next().unwrap_or_default();
            RELATIONS.iter().any(|relation| {
                let mut places = sentence.match_indices(relation);
                places.any(|(at, _)| value(&sentence[at + relation.len()..]))
            })
        })
    })
}

/// Whether a line is in the docstring of what is asked for.
fn is_in_a_docstring(prompt: &Prompt<'_>, at: usize) -> bool {
    let quotes =
        |line: &Line<'_>| line.text.matches("\"\"\"").count() + line.text.matches("'''").count();
    let is_asked = prompt
        .function_around(at)
        .is_some_and(|name| prompt.asks_for(name));
    is_asked && prompt.lines[..at].iter().map(quotes).sum::<usize>() % 2 == 1
}

/// Whether code calls anything other than builtins.
fn calls_something(code: &str) -> bool {
    let (called, _) = Source::of(code).names();
    called.iter().any(|name| !is_builtin(name))
}

/// Whether code calls a method of something that it does not make itself: `s.pop()`.
fn asks_an_object(code: &str) -> bool {
    let (_, free) = Source::of(code).names();
    let mut objects = free
        .iter()
        .filter(|name| !is_builtin(name) && !is_library(name));
    objects.any(|name| code.contains(&format!("{name}.")) && code.contains('('))
}

/// Whether code calls what the prompt asks for; anything, if it asks for nothing by name.
fn about_the_task(prompt: &Prompt<'_>, code: &str) -> bool {
    let (called, free) = Source::of(code).names();
    let mut names = called.iter().filter(|name| !is_builtin(name)).chain(&free);
    if prompt.asks_by_name() {
        names.any(|name| prompt.asks_for(name))
    } else {
        called.iter().any(|name| !is_builtin(name))
    }
}

/// Whether the function around a line calls one of its parameters there, as a check of anything does: `def
/// check(candidate):`.
fn calls_what_it_is_given(prompt: &Prompt<'_>, at: usize, called: &BTreeSet<String>) -> bool {
    let heads = prompt.heads_around(at);
    let head = heads.first().map_or("", |&head| prompt.lines[head].text);
    let inside = head
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    let mut parameters = inside.into_iter().flat_map(|(inside, _)| inside.split(','));
    parameters.any(|parameter| {
        identifier(parameter.trim()).is_some_and(|(name, _)| called.contains(name))
    })
}

/// Whether a line of a change adds or keeps a test.
fn is_added(prompt: &Prompt<'_>, at: usize) -> bool {
    let line = &prompt.lines[at];
    let text = line.text.strip_prefix('+').unwrap_or(line.text).trim();
    let is_check = || {
        ["assert ", ">>> "]
            .iter()
            .any(|start| text.starts_with(start))
    };
    line.is_of_change && (is_check() || prompt.asks_by_name() && shows_a_result(prompt, text))
}

/// Whether a line is in a function that is only named as a test.
fn is_in_a_helper(prompt: &Prompt<'_>, at: usize) -> bool {
    is_in_code(prompt, at) && prompt.function_around(at).is_some_and(is_named_as_a_test)
}

/// Whether a line is in a function that is not a test.
fn is_in_code(prompt: &Prompt<'_>, at: usize) -> bool {
    prompt
        .function_around(at)
        .is_some_and(|name| !name.starts_with("test"))
}

/// The assertion on a line, if it is about what the task asks for.
fn assertion(prompt: &Prompt<'_>, at: usize) -> Option<String> {
    let line = &prompt.lines[at];
    let text = line.text.trim();
    if !text.starts_with("assert ")
        || text.ends_with(';')
        // Outside of a test function, nothing waits for it.
        || text.contains("await ")
        || !line.is_own
        || prompt.function_around(at).is_some_and(is_named_as_a_test)
        || is_in_a_skipped_test(prompt, at)
        || is_on_condition(prompt, at)
        || !prompt.is_wanted(at, at)
        || prompt.is_remarked_beside(at)
    {
        return None;
    }
    let around = |line: &Line<'_>| {
        let text = line.text.trim();
        text.starts_with("File \"") || text.starts_with("AssertionError")
    };
    let is_raised = at
        .checked_sub(1)
        .is_some_and(|above| around(&prompt.lines[above]))
        || prompt.lines.get(at + 1).is_some_and(around);
    let source = Source::of(text);
    let found = source.assertions();
    let [found] = found.as_slice() else {
        return None;
    };
    let mut names = found.called.iter().chain(&found.free);
    let is_of_old_code = names.any(|name| is_wrong_name(prompt, name));
    if is_raised || is_of_old_code || is_chain(text) || !source.parses() {
        return None;
    }
    let own = |name: &&String| !is_builtin(name) && (prompt.asks_for(name) || !is_library(name));
    let mut called = found.called.iter().filter(own).peekable();
    called.peek()?;
    // With no definition in sight, an assertion at the margin or in a test says itself what is wanted.
    let says_itself = !prompt.defines() && is_free_standing(prompt, at);
    let is_meant = |name: &str| says_itself && asked_like(prompt, name).is_none();
    let is_plain = called.all(|name| is_meant(name) || prompt.asks_for(name))
        && !found
            .free
            .iter()
            .any(|name| own(&name) && !prompt.asks_for(name));
    is_plain.then(|| text.to_owned())
}

/// Whether a function that pytest does not run is named as a test: `broken_test_square`.
fn is_named_as_a_test(name: &str) -> bool {
    !name.starts_with("test")
        && name
            .split('_')
            .any(|part| ["test", "tests"].contains(&part))
}

/// Whether a line stands in a block that does not run, or takes no notice of what fails in it: a passage knows more of it.
fn is_on_condition(prompt: &Prompt<'_>, at: usize) -> bool {
    let indent = |text: &str| text.len() - text.trim_start().len();
    let own = indent(prompt.lines[at].text);
    let mut above = prompt.lines[..at].iter().rev().map(|line| line.text);
    let head = above.find(|text| !text.trim().is_empty() && indent(text) < own);
    head.map(str::trim).is_some_and(|head| {
        head.ends_with(':')
            && (["try:", "if ", "else:", "except"]
                .iter()
                .any(|start| head.starts_with(start))
                || head.contains("raises("))
    })
}

/// Whether something in the test around a line, or a mark of all tests, says that it is skipped, or is to fail.
fn is_in_a_skipped_test(prompt: &Prompt<'_>, at: usize) -> bool {
    let marks_all =
        |line: &Line<'_>| line.text.starts_with("pytestmark") && is_not_run_for(line.text);
    let mut lines = prompt.lines.iter();
    lines.any(marks_all)
        || prompt.heads_around(at).into_iter().any(|head| {
            let above = prompt.lines[..head].iter().rev();
            let decorators = above.take_while(|line| line.text.trim().starts_with('@'));
            let within = &prompt.lines[head + 1..at];
            decorators
                .chain(within)
                .any(|line| is_not_run_for(line.text))
        })
}

/// Whether a line is outside of functions other than tests.
fn is_free_standing(prompt: &Prompt<'_>, at: usize) -> bool {
    let indent = |text: &str| text.len() - text.trim_start().len();
    let own = indent(prompt.lines[at].text);
    let mut above = prompt.lines[..at].iter().rev().map(|line| line.text);
    let head = above.find(|text| !text.trim().is_empty() && indent(text) < own);
    head.is_none_or(|head| {
        head.trim_start().starts_with("def test") || !head.trim_end().ends_with(':') || own == 0
    })
}
