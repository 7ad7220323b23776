//! What a prompt asks for, and whether a line of it is an expectation, or something reported, denied, quoted or
//! written in another language.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use super::passages::{Statement, StatementRole, passages_in};
use super::prose_examples::after_label;
use super::units::Units;
use crate::prose::description::Asked;
use crate::prose::naming::{self, names_asked_for};
use crate::prose::wording::repairs;
use crate::python::literal::literal;
use crate::python::source::whole_signature;
use crate::python::{defined_name, is_builtin, is_identifier, is_name, stub_signatures};

/// What a fenced block of Python is marked with.
const PYTHON_BLOCKS: &[&str] = &["", "python", "py", "python3", "pycon", "doctest", "pytest"];
/// What a block is marked with that only shows something.
const PLAIN_BLOCKS: &[&str] = &["plain", "plaintext", "text", "txt"];
/// What opens and closes a block.
const FENCES: &[&str] = &["```", "~~~"];

/// A prompt, split into lines.
pub(crate) struct Prompt<'p> {
    pub(crate) lines: Vec<Line<'p>>,
    pub(crate) text: &'p str,
    /// The signatures in a prompt that is itself the beginning of a file.
    pub(crate) stub: Vec<String>,
    defined: BTreeSet<&'p str>,
    named: BTreeSet<&'p str>,
    coroutines: BTreeSet<&'p str>,
    /// The parameters of what is asked for, as far as it is named with them.
    pub(super) parameters: BTreeSet<&'p str>,
    /// The Python code that checks something, statement by statement.
    pub(crate) passages: Vec<Vec<Statement>>,
    /// What it consists of, once that was asked for.
    pub(super) units: OnceCell<Units>,
}

/// A line of a prompt.
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
pub(crate) struct Line<'p> {
    pub(crate) text: &'p str,
    pub(crate) start: usize,
    /// Whether it is inside a fenced block.
    pub(crate) is_fenced: bool,
    /// Whether it may state an expectation: it is not a quotation, not a test report, and not in a block of
    /// another language.
    pub(crate) is_own: bool,
    /// Whether it is quoted, as in a mail.
    pub(crate) is_quotation: bool,
    /// Whether it is in a block that shows a change.
    pub(crate) is_of_change: bool,
}

impl<'p> Prompt<'p> {
    pub(crate) fn of(text: &'p str) -> Self {
        let lines = lines_of(text);
        let stub = stub_signatures(text);
        let passages = passages_in(&lines);
        let tests: Vec<_> = passages
            .iter()
            .flatten()
            .filter(|one| matches!(one.role, StatementRole::Helper | StatementRole::Test))
            .map(|one| one.lines.clone())
            .collect();
        let is_test = |at: &usize| tests.iter().any(|lines| lines.contains(at));
        let (mut defined, mut named, mut coroutines) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let own = lines.iter().enumerate().filter(|(_, line)| line.is_own);
        for (_, line) in own.filter(|(at, _)| !is_test(at)) {
            for (at, word) in [("def ", 4), ("class ", 6)]
                .iter()
                .flat_map(|&(word, len)| {
                    line.text.match_indices(word).map(move |(at, _)| (at, len))
                })
            {
                let signature = &line.text[at..];
                let at_word = !line.text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                let goes_on = |name: &str| {
                    signature[word..].trim_start()[name.len()..].starts_with(['(', ':'])
                };
                if let Some(name) = defined_name(signature)
                    .filter(|name| at_word && goes_on(name) && !name.starts_with("test"))
                {
                    defined.insert(name);
                    if line.text[..at].trim_end().ends_with("async") {
                        coroutines.insert(name);
                    }
                }
            }
            // `with raises(ValueError):` is code, and asks for nothing.
            let is_block = line.text.trim_start().starts_with("with ") && line.text.ends_with(':');
            if !is_block {
                named.extend(names_asked_for(line.text, &Notation));
            }
        }
        let called = called_in(text);
        let own = lines.iter().filter(|line| line.is_own);
        let things = own.flat_map(|line| things_on(line.text));
        named.extend(things.filter(|name| called.contains(name)));
        let is_named = |name: &str| defined.contains(name) || named.contains(name);
        let own = lines.iter().filter(|line| line.is_own);
        let parameters = own.flat_map(|line| parameters_on(line.text, &is_named));
        let parameters: BTreeSet<&str> = parameters.collect();
        // `x` and `y` are not asked for, although `and` stands before one.
        named.retain(|name| called.contains(name) || !parameters.contains(name));
        Self {
            parameters,
            lines,
            text,
            stub,
            defined,
            named,
            coroutines,
            passages,
            units: OnceCell::new(),
        }
    }

    /// The names the prompt asks for, in order.
    pub(crate) fn asked_names(&self) -> impl Iterator<Item = &'p str> {
        let all = self.defined.union(&self.named).copied();
        all.filter(|name| self.asks_for(name))
    }

    /// What prose beside an example may name.
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked {
            names: if self.named.is_empty() {
                &self.defined
            } else {
                &self.named
            },
            parameters: &self.parameters,
        }
    }

    /// Whether the task is to write the coroutine `name`.
    pub(crate) fn asks_for_coroutine(&self, name: &str) -> bool {
        self.coroutines.contains(name)
    }

    /// Whether the task is clearly to write `name`.
    pub(crate) fn asks_for(&self, name: &str) -> bool {
        let is_asked = if self.stub.is_empty() {
            self.defined.contains(name) || self.named.contains(name)
        } else {
            let mut names = self.stub.iter().filter_map(|line| defined_name(line));
            names.any(|defined| defined == name)
        };
        is_asked && !self.coroutines.contains(name) && !is_builtin(name)
    }

    /// Whether the prompt defines anything it asks for.
    pub(crate) fn defines(&self) -> bool {
        !self.defined.is_empty()
    }

    /// Whether the prompt asks for anything by name.
    pub(crate) fn asks_by_name(&self) -> bool {
        self.defines() || !self.named.is_empty()
    }

    /// The lines of the functions and classes around a line, the innermost first.
    pub(crate) fn heads_around(&self, at: usize) -> Vec<usize> {
        let indent = |text: &str| text.len() - text.trim_start().len();
        let mut own = indent(self.lines[at].text);
        let mut heads = Vec::new();
        for (above, line) in self.lines[..at].iter().enumerate().rev() {
            if own == 0 {
                break;
            }
            let bare = line.text.trim_start();
            if !bare.is_empty() && indent(line.text) < own {
                own = indent(line.text);
                if defined_name(bare).is_some() {
                    heads.push(above);
                }
            }
        }
        heads
    }

    /// Whether a line is in a function that is asked for, has code that computes something, and is to become another:
    /// something else is asked for than to repair it.
    pub(crate) fn is_of_code_to_change(&self, at: usize) -> bool {
        let heads = self.heads_around(at);
        let Some(&head) = heads.last() else {
            return false;
        };
        let name = defined_name(self.lines[head].text.trim_start());
        let request = self.units().request();
        let is_to_change = request.is_some_and(|request| !repairs(&self.text[request]));
        let body = self.lines[head + 1..].iter();
        let mut body = body
            .take_while(|line| line.text.trim().is_empty() || line.text.starts_with([' ', '\t']));
        is_to_change
            && name.is_some_and(|name| self.asks_for(name))
            && body.any(|line| {
                let returned = line.text.trim_start().strip_prefix("return ");
                returned.is_some_and(|value| {
                    literal(value).is_none_or(|(_, rest)| !rest.trim().is_empty())
                })
            })
    }

    /// The name of the innermost function around a line.
    pub(crate) fn function_around(&self, at: usize) -> Option<&'p str> {
        let mut heads = self.heads_around(at).into_iter();
        heads.find_map(|head| {
            let bare = self.lines[head].text.trim_start();
            defined_name(bare).filter(|_| !bare.starts_with("class "))
        })
    }
}

/// The signatures of the functions a prompt asks for, in the order in which it names them: those in quotation
/// marks with parameters. `None` if it asks for more than these and a module with the given name.
pub(in crate::python) fn functions_asked_for(prompt: &str, module: Option<&str>) -> Vec<String> {
    let read = Prompt::of(prompt);
    let mut names = BTreeSet::new();
    let marked = prompt.split('`').skip(1).step_by(2);
    // What stands over several lines is a block of code.
    let signatures = marked
        .filter(|text| !text.contains('\n'))
        .filter_map(|text| {
            let signature = whole_signature(text)?;
            let name = defined_name(&signature)?;
            // What is there already, or is only compared with, is not to be written.
            let is_asked = read.asks_for(name) || read.asks_for_coroutine(name);
            (is_asked && names.insert(name.to_owned())).then_some(signature)
        })
        .collect();
    let has_more = read
        .asked_names()
        .any(|name| !names.contains(name) && module != Some(name));
    if has_more { Vec::new() } else { signatures }
}

/// Whether a prompt asks for something of this name.
pub(in crate::python) fn asks_for(prompt: &str, name: &str) -> bool {
    Prompt::of(prompt).asks_for(name)
}

/// Whether a line opens or closes a block.
pub(crate) fn is_fence(bare: &str) -> bool {
    FENCES.iter().any(|fence| bare.starts_with(fence))
}

/// Whether a line is a Python comment or a Markdown heading.
pub(crate) fn is_comment(bare: &str) -> bool {
    bare.starts_with('#')
}

fn lines_of(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut start = 0;
    // The fence of the block that is open, and what it is marked with.
    let mut block: Option<(&str, String)> = None;
    let mut in_traceback = false;
    for whole in text.split_inclusive('\n') {
        let line = whole.strip_suffix('\n').unwrap_or(whole);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let bare = line.trim_start();
        let fence = FENCES.iter().copied().find(|fence| bare.starts_with(fence));
        match (fence, &block) {
            (Some(fence), None) => {
                let info = bare
                    .trim_start_matches(['`', '~'])
                    .trim()
                    .to_ascii_lowercase();
                let info = info.split([' ', '{', ',']).next().unwrap_or_default();
                block = Some((fence, info.to_owned()));
            }
            (Some(fence), Some((open, _))) if fence == *open => block = None,
            _ => {}
        }
        if bare.starts_with("Traceback (most recent call last)") {
            in_traceback = true;
        } else if bare.is_empty() || fence.is_some() {
            in_traceback = false;
        }
        // Problems are often set as quotations, and their labels with them.
        let is_label = ["input", "output"]
            .iter()
            .any(|label| after_label(bare, label).is_some());
        let is_marked = |with: &[&str]| {
            let info = block.as_ref().map(|(_, info)| info.as_str());
            info.is_some_and(|info| with.contains(&info))
        };
        let is_quotation = bare.starts_with('>') && !bare.starts_with(">>>") && !is_label;
        lines.push(Line {
            text: line,
            start,
            is_fenced: block.is_some(),
            is_own: (block.is_none() || is_marked(PYTHON_BLOCKS))
                && !in_traceback
                && !is_quotation
                && !line.starts_with("E  "),
            is_of_change: is_marked(&["diff", "patch"]),
            is_quotation: (is_quotation || is_marked(PLAIN_BLOCKS)) && !in_traceback,
        });
        start += whole.len();
    }
    disown_logs(&mut lines);
    disown_hidden(&mut lines);
    lines
}

/// Makes a quotation of what a prompt hides in a comment or in details, and of what stands in a string of several lines
/// amid prose.
fn disown_hidden(lines: &mut [Line<'_>]) {
    /// What opens something hidden, and what closes it.
    const HIDING: &[(&str, &str)] = &[("<!--", "-->"), ("<details", "</details>")];
    const QUOTES: &str = "\"\"\"";
    let mut closing: Option<&str> = None;
    // The first line that is not empty may open the prompt itself.
    let (mut is_first, mut is_docstring) = (true, false);
    for line in lines {
        let bare = line.text.trim();
        let is_hidden = closing.is_some();
        let opened_at = bare.len();
        let mut rest = bare;
        if closing.is_none() && !line.is_fenced {
            let hiding = HIDING
                .iter()
                .find(|(open, _)| bare.to_lowercase().starts_with(open));
            let is_quote = line.text.starts_with(QUOTES) && !is_first;
            if let Some((open, close)) = hiding {
                closing = Some(close);
                rest = &bare[open.len()..];
            } else if is_quote && !is_docstring {
                closing = Some(QUOTES);
                rest = &bare[QUOTES.len()..];
            }
        }
        if is_hidden || closing.is_some() && opened_at > 0 {
            line.is_quotation |= line.is_own;
            line.is_own = false;
        }
        if closing.is_some_and(|close| rest.to_lowercase().contains(close)) {
            closing = None;
        }
        if !bare.is_empty() {
            // The quotes that close a docstring or the prompt open nothing.
            is_docstring ^=
                closing.is_none() && !is_hidden && bare.matches(QUOTES).count() % 2 == 1;
            is_first = false;
        }
    }
}

/// Excludes logs of failing tests: blocks and paragraphs with a line that only occurs in such a log.
fn disown_logs(lines: &mut [Line<'_>]) {
    let is_mark = |line: &Line<'_>| {
        let bare = line.text.trim();
        bare.starts_with("AssertionError")
            || bare.starts_with("E   ")
            || bare.starts_with("FAILED ")
            || bare.starts_with("Failed example:")
            || bare.starts_with("=====") && bare.contains(" FAILURES ")
    };
    let mut from = 0;
    while from < lines.len() {
        let is_fenced = lines[from].is_fenced;
        let ends = |line: &Line<'_>| {
            line.is_fenced != is_fenced || !is_fenced && line.text.trim().is_empty()
        };
        let len = lines[from..].iter().skip(1).position(ends);
        let to = len.map_or(lines.len(), |len| from + 1 + len);
        if lines[from..to].iter().any(is_mark) {
            for line in &mut lines[from..to] {
                line.is_own = false;
                line.is_quotation &= !is_fenced;
            }
        }
        from = to;
    }
}

/// How names and parameters are written in Python.
struct Notation;

impl naming::Notation for Notation {
    fn is_name(&self, word: &str) -> bool {
        is_name(word)
    }

    fn has_parameters(&self, text: &str) -> bool {
        has_parameters(text)
    }
}

/// The names before an opening parenthesis.
fn called_in(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let opened = text.match_indices('(').map(|(at, _)| &text[..at]);
    let names = opened.filter_map(|before| before.rsplit(|c| !is_part(c)).next());
    names.filter(|name| is_name(name)).collect()
}

/// The words before what a line calls a class or a function: `a Stack class`, `the slugify function`.
fn things_on(line: &str) -> impl Iterator<Item = &str> {
    let words: Vec<&str> = line.split(' ').collect();
    let pairs: Vec<(&str, &str)> = words.windows(2).map(|pair| (pair[0], pair[1])).collect();
    pairs.into_iter().filter_map(|(name, thing)| {
        let thing = thing.trim_end_matches(['.', ',', ':']);
        let is_thing = ["class", "function", "method"].contains(&thing);
        (is_thing && is_name(name)).then_some(name)
    })
}

/// The parameters in signatures on a line of the functions for which `is_named` is true.
fn parameters_on<'p>(line: &'p str, is_named: &dyn Fn(&str) -> bool) -> Vec<&'p str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let opened = line.match_indices('(').filter(|&(at, _)| {
        let name = line[..at].rsplit(|c| !is_part(c)).next();
        name.is_some_and(is_named) && has_parameters(&line[at + 1..])
    });
    let inside = opened.filter_map(|(at, _)| line[at + 1..].split(')').next());
    let names = inside.flat_map(|inside| inside.split(',')).map(|part| {
        let name = part.trim().trim_start_matches('*');
        &name[..name.find(|c| !is_part(c)).unwrap_or(name.len())]
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// Whether the content of parentheses is a list of parameters: names with or without types and defaults, or
/// nothing.
pub(crate) fn has_parameters(text: &str) -> bool {
    let Some((inside, _)) = text.split_once(')') else {
        return false;
    };
    inside.split(',').all(|part| {
        let name = part.trim().trim_start_matches('*');
        let end = name
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(name.len());
        part.trim().is_empty() || is_identifier(&name[..end])
    })
}
