//! Examples that a prompt states in prose: `f(2) == 4`, `f("a") returns 1`, `f(3) ➞ [3]`, `Input: [1, 2]` with
//! `Output: 3`, `For n = 5 the output should be 8`. Only clear ones are used: a call with literal arguments and a
//! literal result.

use std::ops::Range;

use super::asked::{Prompt, has_parameters};
use crate::prose::wording::says_any;
use crate::python::literal::{arguments, identifier, literal};
use crate::python::{defined_name, is_builtin};

/// The most examples used; more are not needed.
pub(crate) const EXAMPLES_MAX: usize = 40;

/// The most calls read on one line. Each is judged by the whole line around it, so that without a bound the time would
/// grow with the square of the line's length. It is more than [`EXAMPLES_MAX`]: a line with more calls is always among
/// those that are shown as not run.
const CALLS_ON_LINE_MAX: usize = 2 * EXAMPLES_MAX;

/// What may stand between a call and its result, longest first. `is` stands before a constant only.
const RELATIONS: &[&str] = &[
    "should evaluate to",
    "should return",
    "should equal",
    "should give",
    "should be",
    "must return",
    "must equal",
    "must give",
    "must be",
    "to evaluate to",
    "to return",
    "to equal",
    "to give",
    "to be",
    "returns",
    "return",
    "equals",
    "yields",
    "gives",
    "==>",
    "-->",
    "=>",
    "==",
    "->",
    "➞",
    "→",
    "⟶",
    "⇒",
    "is",
    "=",
];

/// What may stand between a situation and its result.
const OUTCOMES: &[&str] = &[
    "should be",
    "should return",
    "is",
    "returns",
    "=>",
    "==",
    "➞",
    "->",
    "=",
];

/// The examples stated in a prompt, each as an `assert` line with the index of the line that states it, in
/// order: for functions the prompt asks for, if nothing denies, reports or quotes the statement.
pub(crate) fn prose_examples(prompt: &Prompt<'_>) -> Vec<(usize, String)> {
    let only = match prompt.stub.as_slice() {
        [signature] => Function::of(signature),
        _ => None,
    };
    let in_prose = Function::in_prose(prompt).filter(|_| prompt.stub.is_empty());
    let known = |name: &str| prompt.asks_for(name);
    let mut found: Vec<(usize, String)> = Vec::new();
    for (at, whole) in prompt.lines.iter().enumerate() {
        let line = whole.text.trim();
        // These are read as Python elsewhere, or are commented out.
        let is_code = ["def ", "async def ", "class ", "assert ", ">>>", "..."];
        let code = line.trim_start_matches(['#', ' ']);
        if !whole.is_own || is_code.iter().any(|word| code.starts_with(word)) {
            continue;
        }
        let next = next_line(prompt, at);
        for stated in calls(whole.text, &known, CALLS_ON_LINE_MAX) {
            if prompt.is_expectation(at, stated.before, stated.behind) {
                found.push((at, stated.assertion));
            }
        }
        let Some(function) = only.as_ref().or(in_prose.as_ref()) else {
            continue;
        };
        if !prompt.is_wanted(at, at) {
            continue;
        }
        let line = line.trim_start_matches("\"\"\"").trim_start();
        found.extend(input_and_output(line, next, function).map(|assertion| (at, assertion)));
        if only.is_none() {
            continue;
        }
        // A call alone on its line and its result alone on the next.
        if let Some((call, "")) = call_at(line, &known)
            && let Some((value, "")) = literal(next)
        {
            found.push((at, format!("assert {call} == {value}")));
        }
        found.extend(situation(line, function).map(|assertion| (at, assertion)));
    }
    found.dedup_by(|one, other| one.1 == other.1);
    found.truncate(EXAMPLES_MAX);
    found
}

/// The next non-empty line of a prompt, without indentation.
fn next_line<'p>(prompt: &Prompt<'p>, at: usize) -> &'p str {
    let mut next = prompt.lines[at + 1..].iter().map(|line| line.text.trim());
    next.find(|line| !line.is_empty()).unwrap_or_default()
}

/// Whether an input and its output are labelled on this line, or on this and the next.
pub(crate) fn is_labelled(prompt: &Prompt<'_>, at: usize) -> bool {
    /// Labels in other languages, with which no example is run.
    const LABELS: &[(&str, &str)] = &[
        ("input", "output"),
        ("call", "result"),
        ("call", "returns"),
        ("eingabe", "ausgabe"),
        ("entrada", "salida"),
        ("entrada", "saída"),
        ("entrée", "sortie"),
        ("ввод", "вывод"),
        ("输入", "输出"),
        ("入力", "出力"),
    ];
    let line = prompt.lines[at].text.trim();
    LABELS.iter().any(|(input, output)| {
        let Some(input) = after_label(line, input).filter(|input| !input.is_empty()) else {
            return false;
        };
        let below = after_label(next_line(prompt, at), output);
        below.is_some_and(|out| !out.is_empty()) || input.to_lowercase().contains(output)
    })
}

/// Whether a line labels an input of a sample, as problems are set in contests: `Sample Input 1`, with a sample of the
/// output below it.
pub(crate) fn is_sample(prompt: &Prompt<'_>, at: usize) -> bool {
    /// Lines in which the output is looked for.
    const LINES_MAX: usize = 12;
    let is_label = |line: &str, what: &str| {
        let bare = line
            .trim_matches(|c: char| !c.is_alphanumeric())
            .to_lowercase();
        let words: Vec<&str> = bare.split([' ', ':']).take(3).collect();
        matches!(words.as_slice(), ["sample" | "example", word, ..] if *word == what)
    };
    let mut below = prompt.lines[at + 1..].iter().take(LINES_MAX);
    is_label(prompt.lines[at].text, "input") && below.any(|line| is_label(line.text, "output"))
}

/// Whether a line names the methods that are called on an object one after another, as problems about classes are set: below
/// `Input`, above a list of their arguments.
pub(crate) fn is_transcript(prompt: &Prompt<'_>, at: usize) -> bool {
    let text_of = |at: usize| prompt.lines.get(at).map_or("", |line| line.text.trim());
    let line = text_of(at);
    let (label, names) = line.split_once('[').unwrap_or_default();
    let above = at.checked_sub(1).map_or("", text_of);
    let is_labelled = [label, above]
        .iter()
        .any(|text| text.to_lowercase().contains("input"));
    let has_names = names.starts_with(['"', '\'']) && names.matches(['"', '\'']).count() > 2;
    is_labelled && has_names && (text_of(at + 1).starts_with("[[") || line.contains("[["))
}

/// Whether a line is a case of a list of cases, as data or as Gherkin has it: `{"input": 1, "expected": 2}`,
/// `Then the result is 3`, a row of a table with a column of results.
pub(crate) fn is_case(prompt: &Prompt<'_>, at: usize) -> bool {
    let text_of = |at: usize| prompt.lines.get(at).map_or("", |line| line.text.trim());
    let line = text_of(at);
    let has_key =
        |text: &str, keys: &[&str]| keys.iter().any(|key| text.contains(&format!("\"{key}\"")));
    let results = &["expected", "output", "result"];
    if has_key(line, &["input", "inputs", "args"]) {
        return line.contains(':') && (has_key(line, results) || has_key(text_of(at + 1), results));
    }
    let mut above = prompt.lines[..at].iter().rev().map(|line| line.text.trim());
    if line.starts_with("Then ") {
        let is_step = |line: &&str| {
            ["Given ", "When ", "And "]
                .iter()
                .any(|word| line.starts_with(word))
        };
        let has_call = |line: &str| calls_at(prompt, line);
        return above
            .take_while(is_step)
            .any(|line| line.starts_with("When ") || has_call(line));
    }
    let is_ruler = |line: &str| line.starts_with('|') && line.contains("--");
    let is_row = line.starts_with('|') && !is_ruler(line) && prompt.asks_by_name();
    is_row && above.any(is_ruler) && {
        let rows = prompt.lines[..at].iter().rev().map(|line| line.text.trim());
        let head = rows
            .take_while(|line| line.starts_with('|'))
            .last()
            .unwrap_or_default();
        says_any(head, "expected, output, result, returns")
    }
}

/// Whether a line has a call of what is asked for.
fn calls_at(prompt: &Prompt<'_>, line: &str) -> bool {
    let mut words = line.split(' ');
    words.any(|word| {
        let name = word.split('(').next().unwrap_or_default();
        name.len() < word.len() && prompt.asks_for(name)
    })
}

/// The rows of tables with a column of the results of what is asked for, as assertions with the index of their line:
/// `| 3 | 9 |` below `| n | square(n) |`.
pub(crate) fn rows_of_tables(prompt: &Prompt<'_>) -> Vec<(usize, String)> {
    let mut names = prompt.asked_names();
    let (Some(name), None) = (names.next(), names.next()) else {
        return Vec::new();
    };
    let cells = |at: usize| -> Vec<&str> {
        let line = prompt.lines[at].text.trim();
        let inside = line
            .strip_prefix('|')
            .and_then(|line| line.strip_suffix('|'));
        let parts = inside.into_iter().flat_map(|inside| inside.split('|'));
        parts.map(|cell| cell.trim_matches([' ', '`'])).collect()
    };
    let mut found = Vec::new();
    let mut has_results = false;
    for at in 0..prompt.lines.len() {
        let row = cells(at);
        let is_below = at > 0 && !cells(at - 1).is_empty();
        let Some((last, arguments)) = row.split_last().filter(|(_, rest)| !rest.is_empty()) else {
            continue;
        };
        if !is_below {
            has_results = last.contains(&format!("{name}("))
                || says_any(last, "expected, output, result, returns");
            continue;
        }
        let is_value = |cell: &str| literal(cell).is_some_and(|(_, rest)| rest.is_empty());
        if has_results && is_value(last) && arguments.iter().all(|cell| is_value(cell)) {
            found.push((
                at,
                format!("assert {name}({}) == {last}", arguments.join(", ")),
            ));
        }
    }
    found
}

/// Whether a line shows a call of what is asked for together with something else, in any form, or a value and
/// its result (`- [1, 2] -> 3`, `| [1, 2] | 3 |`), or prints something with a comment about the output.
pub(crate) fn shows_a_result(prompt: &Prompt<'_>, line: &str) -> bool {
    let is_value = |text: &str| literal(text.trim_start_matches([' ', '=', '>'])).is_some();
    let is_shown = || {
        let comment = line
            .strip_prefix("print(")
            .and_then(|rest| rest.split_once(") "));
        comment.is_some_and(|(_, rest)| rest.trim_start().strip_prefix('#').is_some_and(is_value))
    };
    results_shown(prompt, line) > 0
        || prompt.asked_names().next().is_some()
            && (is_pair(line) || has_pair(line) || has_marked_pair(line) || is_shown())
        || may_be_unclosed(line) && prompt.asked_names().any(|name| is_unclosed(line, name))
}

/// Whether the last parenthesis of a line is an opening one.
fn may_be_unclosed(line: &str) -> bool {
    let open = line.rsplit_once('(').map(|(_, rest)| rest);
    open.is_some_and(|rest| !rest.contains(')'))
}

/// Whether a call on a line is not closed on it, and a result stands behind it.
fn is_unclosed(line: &str, name: &str) -> bool {
    let call = line.split_once(&format!("{name}(")).map(|(_, call)| call);
    call.is_some_and(|call| {
        !call.contains(')')
            && ["==", "->", "=>", "returns"]
                .iter()
                .any(|mark| call.contains(mark))
    })
}

/// How many calls of what is asked for a line contains together with something else.
pub(crate) fn results_shown(prompt: &Prompt<'_>, line: &str) -> usize {
    calls_shown(prompt, line).len()
}

/// A call on a line together with something that may be its result.
pub(crate) struct ShownCall<'l> {
    pub(crate) call: String,
    pub(crate) value: Option<String>,
    /// The line from the call to the end of its result.
    pub(crate) text: &'l str,
}

/// The calls of what is asked for on a line together with something else.
pub(crate) fn calls_shown<'l>(prompt: &Prompt<'_>, line: &'l str) -> Vec<ShownCall<'l>> {
    let asks_for_none = !prompt.asks_by_name();
    let known = |name: &str| prompt.asks_for(name) || asks_for_none && !is_builtin(name);
    calls_with_more(line, &known)
}

/// Whether a line starts with the call or the value, so that it is an example and not a sentence about one.
pub(crate) fn begins_with_an_example(prompt: &Prompt<'_>, line: &str) -> bool {
    let bare = line.trim_start_matches(['-', '*', ' ', '\t', '|']);
    let numbered = bare.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = numbered.strip_prefix(['.', ')']).unwrap_or(bare);
    let bare = numbered.trim_start_matches([' ', '`']);
    let known = |name: &str| prompt.asks_for(name);
    call_at(bare, &known).is_some() || is_pair(line)
}

/// The calls with values on a line that contains more than the call.
fn calls_with_more<'l>(line: &'l str, known: &dyn Fn(&str) -> bool) -> Vec<ShownCall<'l>> {
    let starts = line.char_indices().filter(|&(at, c)| {
        let is_inside = line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        (c.is_alphabetic() || c == '_') && !is_inside
    });
    let is_ipython = line.trim_start().starts_with("In [");
    let shown = starts.filter_map(|(at, _)| {
        let (call, rest) = call_at(&line[at..], known)?;
        let stated = result(rest, RELATIONS);
        let goes_on =
            rest.contains(|c: char| c.is_alphanumeric() || c == '"' || c == '\'' || c == '[');
        let has_values = !call.ends_with("()");
        let is_shown = (goes_on || is_ipython) && (has_values || stated.is_some());
        let rest = stated.as_ref().map_or(rest, |(_, _, rest)| rest);
        is_shown.then(|| ShownCall {
            call,
            text: &line[at..line.len() - rest.len()],
            value: stated.map(|(_, value, _)| value),
        })
    });
    shown.take(CALLS_ON_LINE_MAX).collect()
}

/// What may stand between a value and its result.
const PAIRING: &[&str] = &[
    "-->", "==>", "->", "=>", "→", "➞", "⟶", "gives", "returns", "becomes",
];

/// Whether a sentence contains a quoted or bracketed value, a pairing mark and another value.
fn has_pair(line: &str) -> bool {
    let starts = line.match_indices(['"', '\'', '[']).map(|(at, _)| at);
    let mut pairs = starts.filter(|&at| !line[..at].ends_with(|c: char| c.is_alphanumeric()));
    pairs.any(|at| {
        let rest = literal(&line[at..]).map(|(_, rest)| rest.trim_start_matches([' ', '`']));
        let value = rest.and_then(|rest| PAIRING.iter().find_map(|mark| rest.strip_prefix(mark)));
        value.is_some_and(|value| literal(value.trim_start_matches([' ', '`'])).is_some())
    })
}

/// Whether a line has two bare texts in backticks, and says that the first becomes the second: `` `a b` becomes `a-b` ``.
fn has_marked_pair(line: &str) -> bool {
    let parts: Vec<&str> = line.split('`').collect();
    let mut pairs = parts.windows(3).skip(1).step_by(2);
    pairs.any(|three| {
        let is_text = |text: &str| !text.trim().is_empty() && !text.contains('(');
        let between = three[1].trim();
        is_text(three[0])
            && is_text(three[2])
            && ["becomes", "turns into", "->", "=>", "→", "➞", "gives"].contains(&between)
    })
}

/// Whether a line is a value, a mark, and another value.
pub(super) fn is_pair(line: &str) -> bool {
    pair(line).is_some()
}

/// The lines that are a value, a mark and another value, as assertions about the only function that is asked for, with
/// the index of their line: `1 -> 2`, `(1, 2) -> 3`.
pub(super) fn pairs_on_lines(prompt: &Prompt<'_>) -> Vec<(usize, String)> {
    let mut names = prompt.asked_names();
    let (Some(name), None) = (names.next(), names.next()) else {
        return Vec::new();
    };
    let lines = prompt.lines.iter().enumerate();
    let pairs = lines.filter_map(|(at, line)| {
        let (given, value) = pair(line.text)?;
        let arguments = given
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'));
        let call = format!("{name}({})", arguments.unwrap_or(&given));
        Some((at, format!("assert {call} == {value}")))
    });
    pairs.collect()
}

/// Of [`rows_of_tables`] and [`pairs_on_lines`], those that can only be meant as calls of the function that is asked for: they
/// have as many arguments as it has parameters, and a table is headed by these and by what is returned.
pub(super) fn plain_rows(prompt: &Prompt<'_>) -> Vec<(usize, String)> {
    let Some(function) = Function::in_prose(prompt) else {
        return Vec::new();
    };
    let count = function.parameters.len();
    let name = &function.name;
    let heads = |at: usize| {
        let rows = prompt.lines[..at].iter().rev().map(|line| line.text.trim());
        let head = rows.take_while(|line| line.starts_with('|')).last();
        let cells = head.unwrap_or_default().trim_matches('|').split('|');
        cells
            .map(|cell| cell.trim_matches([' ', '`', '*']).to_lowercase())
            .collect::<Vec<_>>()
    };
    let is_headed = |at: usize| {
        let heads = heads(at);
        heads.split_last().is_some_and(|(last, inputs)| {
            let is_result = [
                "expected",
                "expected output",
                "expected result",
                "output",
                "result",
                "returns",
            ]
            .contains(&last.as_str())
                || last.starts_with(&format!("{name}("));
            let is_input = |head: &String| {
                function.has(head) || ["argument", "input"].contains(&head.as_str())
            };
            is_result && inputs.len() == count && inputs.iter().all(is_input)
        })
    };
    let rows = rows_of_tables(prompt)
        .into_iter()
        .filter(|(at, _)| is_headed(*at));
    let lines = prompt.lines.iter().enumerate();
    let pairs = lines.filter_map(|(at, line)| {
        let (given, value) = pair(line.text).filter(|_| !line.text.trim().starts_with('|'))?;
        let inside = given
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'));
        let arguments = if count == 1 {
            given.clone()
        } else {
            let inside = inside?;
            let (listed, rest) = listed(inside, &function)?;
            rest.is_empty().then_some(listed)?
        };
        Some((at, format!("assert {name}({arguments}) == {value}")))
    });
    rows.chain(pairs).collect()
}

/// The two values of a line that is a value, a mark, and another value.
fn pair(line: &str) -> Option<(String, String)> {
    let bare = line.trim().trim_start_matches(['-', '*', '|', ' ']);
    let bare = bare.trim_end_matches(['|', ' ', '.', ',']).replace('`', "");
    let (first, rest) = literal(&bare)?;
    let rest = rest.trim_start();
    let mut marks = PAIRING.iter().chain(&["|", "=="]);
    let second = marks.find_map(|mark| rest.strip_prefix(mark))?;
    let (second, end) = literal(second.trim())?;
    (!first.is_empty() && end.trim().is_empty()).then_some((first, second))
}

/// The example on a doctest line that states its result itself: `>>> f(2) == 4` without a result below it.
pub(crate) fn result_on_session_line(line: &str) -> Option<String> {
    let stated = calls(line, &|_| true, 1).into_iter().next()?;
    Some(stated.assertion)
}

/// A call with its result on a line.
struct CallWithResult {
    assertion: String,
    /// The number of bytes before it on the line, and after it.
    before: usize,
    behind: usize,
}

struct Function {
    name: String,
    parameters: Vec<String>,
}

impl Function {
    fn of(signature: &str) -> Option<Self> {
        let name = defined_name(signature).filter(|_| signature.starts_with("def "))?;
        let inside = signature.split_once('(')?.1.rsplit_once(')')?.0;
        let mut depth = 0_i32;
        let parts = inside.split(|c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            c == ',' && depth == 0
        });
        let parameters = parts.filter_map(|part| identifier(part.trim()).map(|(name, _)| name));
        Some(Self {
            name: name.to_owned(),
            parameters: parameters.map(str::to_owned).collect(),
        })
    }

    /// The only function that a prompt asks for in prose, if it names the parameters.
    fn in_prose(prompt: &Prompt<'_>) -> Option<Self> {
        let mut names = prompt.asked_names();
        let (name, None) = (names.next()?, names.next()) else {
            return None;
        };
        let lines = prompt.lines.iter().filter(|line| line.is_own);
        let mut all = lines.filter_map(|line| {
            let (_, after) = line.text.split_once(&format!("{name}("))?;
            let inside = has_parameters(after).then(|| after.split(')').next())??;
            Self::of(&format!("def {name}({inside})"))
        });
        all.find(|function| {
            function
                .parameters
                .first()
                .is_some_and(|first| first != "self")
        })
    }

    fn has(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|known| known == parameter)
    }
}

/// `name(arguments)` at the start of `text`, and the text after it.
pub(crate) fn call_at<'t>(
    text: &'t str,
    known: &dyn Fn(&str) -> bool,
) -> Option<(String, &'t str)> {
    let (name, after) = identifier(text)?;
    let (inside, rest) = arguments(after.strip_prefix('(')?)?;
    known(name).then(|| (format!("{name}({inside})"), rest))
}

/// The places on a line of the calls of what is asked for with their results.
pub(super) fn examples_on(prompt: &Prompt<'_>, line: &str) -> Vec<Range<usize>> {
    let found = calls(line, &|name| prompt.asks_for(name), usize::MAX).into_iter();
    found
        .map(|one| one.before..line.len() - one.behind)
        .collect()
}

/// The first calls with results on a line, at most `count_max`.
fn calls(line: &str, known: &dyn Fn(&str) -> bool, count_max: usize) -> Vec<CallWithResult> {
    let mut found = Vec::new();
    let mut rest = line;
    let mut last = ' ';
    while let Some(c) = rest.chars().next().filter(|_| found.len() < count_max) {
        let goes_on = last.is_alphanumeric() || last == '_' || last == '.';
        if !goes_on
            && let Some((call, after)) = call_at(rest, known)
            && let Some((_, value, after)) = result(after, RELATIONS)
        {
            let assertion = as_written(&call, &value);
            found.push(CallWithResult {
                assertion,
                before: line.len() - rest.len(),
                behind: after.len(),
            });
            rest = after;
            last = ' ';
            continue;
        }
        last = c;
        rest = &rest[c.len_utf8()..];
    }
    found
}

/// A call and its stated result as an assertion. A fraction may be rounded, so it is compared in the precision in which
/// it is written.
fn as_written(call: &str, value: &str) -> String {
    let digits = value.split_once('.').map_or("", |(_, digits)| digits);
    let is_fraction = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_fraction || digits == "0" {
        return format!("assert {call} == {value}");
    }
    // What no rounding is likely to give: a fraction such as 2.5 or 0.125, which floating point represents exactly. Zeros at
    // the end say to how many digits was rounded.
    let exact = 2_f64.powi(i32::try_from(digits.len()).unwrap_or(i32::MAX));
    let is_exact = !digits.ends_with('0')
        && value
            .parse()
            .is_ok_and(|value: f64| (value * exact).fract() == 0.0);
    if is_exact {
        return format!("assert abs({call} - {value}) < 1e-9");
    }
    if digits.len() == 1 {
        // A whole unit of the last place would let half of a result pass.
        return format!("assert abs({call} - {value}) < 0.0501  # to 1 digit, as written");
    }
    let (places, zeros) = (digits.len(), "0".repeat(digits.len() - 1));
    format!("assert abs({call} - {value}) < 0.{zeros}1  # to {places} digits, as written")
}

/// Whether a text behind a call is a relation and a result, and no more.
pub(super) fn is_value_stated(rest: &str) -> bool {
    let stated = result(rest, RELATIONS);
    stated.is_some_and(|(_, _, rest)| rest.trim_matches([' ', '`', '.', ',']).is_empty())
}

/// The relation and the result after a call, and the text after it.
fn result<'t, 'r>(text: &'t str, relations: &[&'r str]) -> Option<(&'r str, String, &'t str)> {
    // `- `f(2)`: `4`` is an item of a list.
    if let Some(marked) = text.strip_prefix("`: `") {
        let (value, rest) = literal(marked)?;
        return rest.starts_with('`').then_some((":", value, rest));
    }
    let text = text.trim_start_matches([' ', '\t', '`']);
    let text = text.strip_prefix('#').unwrap_or(text).trim_start();
    let (relation, text) = relations
        .iter()
        .find_map(|&relation| Some((relation, text.strip_prefix(relation)?)))?;
    let text = text.trim_start_matches([' ', '\t', '`', ':']);
    let (value, rest) = literal(text)?;
    // `main() -> None` is a signature.
    let is_constant = ["True", "False", "None"].contains(&value.as_str());
    if relation == "->" && value == "None" || relation == "is" && !is_constant {
        return None;
    }
    is_end(rest).then_some((relation, value, rest))
}

/// Whether a result ends here, so that what follows does not continue the expression.
fn is_end(rest: &str) -> bool {
    let next = rest.trim_start_matches([' ', '\t', '`']);
    // `0.333...` is not all of it.
    if rest.starts_with("..") || rest.starts_with('…') {
        return false;
    }
    // `f([3, 1]) returns 1, 3` is a tuple, or two results.
    let listed = next.strip_prefix(',').map(str::trim_start);
    if listed
        .and_then(literal)
        .is_some_and(|(_, rest)| !rest.starts_with('('))
    {
        return false;
    }
    let another = next.strip_prefix("and ").and_then(identifier);
    if another.is_some_and(|(_, rest)| rest.starts_with('(')) {
        return true;
    }
    let goes_on = next.starts_with(['+', '-', '*', '/', '%', '=', '<', '>', '[', '|', '&', '^'])
        || next.starts_with("!=")
        || ["or ", "and ", "if ", "in ", "for ", "is ", "not "]
            .iter()
            .any(|word| next.starts_with(word))
        || (rest.starts_with('(') || rest.starts_with(char::is_alphanumeric));
    !goes_on
}

/// `Input: ...` with `Output: ...` on the same line or the next.
fn input_and_output(line: &str, next: &str, function: &Function) -> Option<String> {
    let input = after_label(line, "input")?;
    let (arguments, rest) = listed(input, function)?;
    let output =
        after_label(rest.trim_start_matches([' ', ',', ';', '.']), "output").or_else(|| {
            rest.trim()
                .is_empty()
                .then(|| after_label(next, "output"))
                .flatten()
        })?;
    let (value, rest) = literal(output)?;
    is_end(rest).then(|| as_written(&format!("{}({arguments})", function.name), &value))
}

/// The text after `label:`, ignoring case.
pub(crate) fn after_label<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    let text = text.trim_start_matches(['-', '*', '>', ' ', '`']);
    let head = text.get(..label.len())?;
    let rest = text[label.len()..].trim_start_matches(['s', '*', ' ', '`']);
    (head.to_lowercase() == label)
        .then(|| rest.strip_prefix([':', '=', '：']))
        .flatten()
        .map(|rest| rest.trim_start_matches(['*', ' ', '`']))
}

/// Arguments without parentheses: literals or `name = literal` for all parameters, separated by commas or
/// `and`.
fn listed<'t>(text: &'t str, function: &Function) -> Option<(String, &'t str)> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let named = identifier(rest).and_then(|(name, after)| {
            let value = after.trim_start().trim_start_matches('=').trim_start();
            let assigned = after.trim_start().starts_with('=');
            (assigned && function.has(name)).then_some((name, value))
        });
        let (name, text) = named.map_or((None, rest), |(name, value)| (Some(name), value));
        let (value, after) = literal(text)?;
        found.push(name.map_or_else(|| value.clone(), |name| format!("{name}={value}")));
        rest = after.trim_start_matches([' ', '`']);
        let more = rest.strip_prefix(',').or_else(|| rest.strip_prefix("and "));
        match more.map(|more| more.trim_start_matches([' ', '`'])) {
            Some(more) if found.len() < function.parameters.len() => rest = more,
            _ => break,
        }
    }
    (found.len() == function.parameters.len()).then(|| (found.join(", "), rest))
}

/// Parses `For n = 5 the output should be 8.`
fn situation(line: &str, function: &Function) -> Option<String> {
    let start = ["for ", "if ", "when ", "given ", "with "]
        .iter()
        .find_map(|word| {
            let head = line.get(..word.len())?;
            head.eq_ignore_ascii_case(word).then(|| &line[word.len()..])
        })?;
    // Only with names: a bare value in a sentence may be anything.
    let (name, _) = identifier(start)?;
    function.has(name).then_some(())?;
    let (arguments, rest) = listed(start, function)?;
    let (at, outcome) = OUTCOMES
        .iter()
        .filter_map(|outcome| rest.find(outcome).map(|at| (at, outcome)))
        .min()?;
    let result = rest[at + outcome.len()..].trim_start_matches([' ', ':', '`']);
    let (value, end) = literal(result)?;
    is_end(end).then(|| as_written(&format!("{}({arguments})", function.name), &value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STUB: &str = "def f(text, n):\n    \"\"\"Does it.\n";

    fn of_stub(lines: &str) -> Vec<String> {
        let found = prose_examples(&Prompt::of(&format!("{STUB}    {lines}\n    \"\"\"\n")));
        found.into_iter().map(|(_, assertion)| assertion).collect()
    }

    #[test]
    fn a_call_with_its_result_is_an_example_however_it_is_written() {
        for line in [
            "f('a', 1) == 2",
            "f('a', 1) ➞ 2",
            "* `f('a', 1)` returns `2`.",
            "f('a',1) should return 2 because 'a' is 1",
            "f('a', 1)   # => 2",
            "so f('a', 1) = 2.",
            "f('a', 1) ==> 2 # int",
            "Input: 'a', 1\n    Output: 2",
            "Input: text = 'a', n = 1  Output: 2",
            "For text = 'a' and n = 1 the output should be 2.",
            "f('a', 1)\n    2",
        ] {
            let found = of_stub(line);
            let plain = found
                .first()
                .map(|line| line.replace("text=", "").replace("n=", ""));
            assert_eq!(
                plain.as_deref(),
                Some("assert f('a', 1) == 2"),
                "{line}: {found:?}"
            );
            assert_eq!(found.len(), 1, "{line}");
        }
    }

    #[test]
    fn what_is_not_plain_is_no_example() {
        for line in [
            "f(text, n) == 2",
            "f('a', 1) == x",
            "f('a', 1) == 2 + 1",
            "f('a', 1) -> 5 - 2 - 1 = 2",
            "f('a', 1) returns True or False",
            "g('a', 1) == 2",
            "x.f('a', 1) == 2",
            "f('a', 1) and 2",
            "Input: 'a' Output: 2",
            "For n = 1 it is large",
            "def f(1) -> 2",
        ] {
            assert_eq!(of_stub(line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn several_in_a_line_and_calls_in_prose_are_found() {
        let prompt = "Write sq. sq(2) == 4, sq(3) returns 9.";
        let found = prose_examples(&Prompt::of(prompt));
        let found: Vec<&str> = found
            .iter()
            .map(|(_, assertion)| assertion.as_str())
            .collect();
        assert_eq!(found, ["assert sq(2) == 4", "assert sq(3) == 9"]);
        assert_eq!(
            result_on_session_line("f(1) == 2").as_deref(),
            Some("assert f(1) == 2")
        );
    }
}
