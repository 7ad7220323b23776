//! Finds the file in an answer by syntax: the code that parses and defines what was planned.

use std::collections::BTreeSet;

use journeyman_syntax::{Definition, Kind, Source, is_invisible};
use serde_json::Value;

use super::blocks::{Block, fenced_blocks};
use super::called::passed_to_writers;
use super::changed::changed;
use super::repaired::{added, at_the_margin, new_file, numbered, repaired, unescaped, unquoted};
use crate::answer::{
    bare, json_values, missing_answer, only_reasoning, strings_on_lines, without_reasoning,
};
use crate::prose::remark::{Beside, beside, warns};
use crate::python::is_builtin;

/// Answers with more than this are not code that a person would read.
const SOURCE_BYTES_MAX: usize = 256 * 1024;
/// The most blocks of an answer that are examined.
const BLOCKS_MAX: usize = 40;
/// The info strings of blocks without Python.
const OTHER_BLOCKS: &[&str] = &[
    "bash",
    "sh",
    "shell",
    "console",
    "text",
    "txt",
    "output",
    "json",
    "yaml",
    "toml",
    "ini",
    "markdown",
    "md",
    "html",
    "css",
    "javascript",
    "js",
    "tool",
    "xml",
    "csv",
];

/// An answer that is one string of JSON with blocks in it, or whose lines end with carriage returns alone, as plain text.
fn unwrapped(answer: &str) -> Option<String> {
    let bare = answer.trim();
    if bare.contains('\r') && !bare.contains('\n') {
        return Some(bare.replace('\r', "\n"));
    }
    let text: String = serde_json::from_str(bare).ok()?;
    text.contains("```").then_some(text)
}

/// The whole file in an answer, which was `cut` for that reason: of its blocks, or of what else may be
/// code in it, the one that defines the most of `names`, parses, replaces the others by its own words and is longest. The error says what is wrong, in words for the model.
pub(in crate::python) fn whole_file(
    answer: &str,
    cut: Option<&str>,
    names: &[&str],
) -> Result<String, String> {
    if let Some(text) = unwrapped(answer) {
        return whole_file(&text, cut, names);
    }
    if let Some(thoughts) = only_reasoning(answer) {
        return thought_file(thoughts, names).ok_or_else(|| {
            "it has only thoughts and no answer; answer at once with the file".to_owned()
        });
    }
    let said = without_reasoning(answer);
    let said = unquoted(&said);
    let (closed, open) = fenced_blocks(&said);
    let mut candidates: Vec<Candidate> = Vec::new();
    // What is not to be so, for where nothing else is.
    let mut warned: Vec<Candidate> = Vec::new();
    // What may be beside the file, where another block is whole.
    let mut beside: Vec<(usize, Candidate, Beside)> = Vec::new();
    for (at, block) in closed.iter().take(BLOCKS_MAX).enumerate() {
        let info = block.info.split([' ', '{', ',']).next().unwrap_or_default();
        let info = info.to_ascii_lowercase();
        if OTHER_BLOCKS.contains(&info.as_str()) {
            continue;
        }
        let mut candidate = Candidate::of(block.text.clone(), names);
        candidate.replaces = if block.replaces { at + 1 } else { 0 };
        // A diff that changes something is no file, but may correct the one above it.
        if (info == "diff" || info == "patch") && !candidate.parses {
            let is_meant = !is_warned_of(block) && beside_the_file(block).is_none();
            let above = (0..candidates.len()).max_by_key(|&at| candidates[at].rank());
            let above = above.filter(|_| is_meant).map(|at| &candidates[at]);
            if let Some(text) = above.and_then(|above| changed(&above.text, &block.text)) {
                let mut candidate = Candidate::of(text, names);
                candidate.replaces = at + 1;
                candidates.push(candidate);
            }
            continue;
        }
        if is_warned_of(block) {
            warned.push(candidate);
        } else if let Some(how) = beside_the_file(block) {
            beside.push((candidates.len(), candidate, how));
        } else {
            candidates.push(candidate);
        }
    }
    // From the last on, so that the places of the others stay.
    for (at, candidate, how) in beside.into_iter().rev() {
        let others = match how {
            Beside::Old => &candidates[..],
            Beside::Offered => &candidates[..at],
        };
        if others.iter().any(|other| other.is_whole(names)) {
            warned.push(candidate);
        } else {
            candidates.insert(at, candidate);
        }
    }
    let best = (0..candidates.len()).max_by_key(|&at| candidates[at].rank());
    candidates.extend(best.and_then(|best| joined(&candidates, best, names)));
    if !candidates.iter().any(|candidate| candidate.is_whole(names)) {
        candidates.extend(
            wrapped(&said)
                .into_iter()
                .map(|text| Candidate::of(text, names)),
        );
    }
    let has_whole = candidates.iter().any(|candidate| candidate.is_whole(names));
    // A block that never ends is the file if the model only forgot the closing fence. What comes
    // after the code, if anything does, does not parse.
    let is_wanted =
        |open: &Block| !has_whole || names.is_empty() || (open.replaces && cut.is_none());
    if let Some(open) = open.filter(is_wanted) {
        let longest = candidates
            .iter()
            .map(|candidate| candidate.text.len())
            .max();
        if let Some(why) = cut {
            if longest.is_none_or(|longest| longest < open.text.len()) {
                return Err(why.to_owned());
            }
        } else {
            let whole = Source::of(&open.text).whole_beginning().map(str::to_owned);
            let mut last = Candidate::of(whole.unwrap_or(open.text), names);
            last.replaces = if open.replaces { closed.len() + 1 } else { 0 };
            candidates.push(last);
        }
    }
    if !candidates.iter().any(|candidate| candidate.is_whole(names)) {
        candidates.append(&mut warned);
    }
    if candidates.is_empty() {
        if let Some(why) = cut {
            return Err(why.to_owned());
        }
        candidates.extend(bare_code(&said).map(|text| Candidate::of(text, names)));
    }
    // The first of equals is the last one that is found.
    let best = candidates.into_iter().max_by_key(Candidate::rank);
    let best = best.ok_or_else(|| {
        let no_block = "it has no ```python block; give the whole file in one";
        missing_answer(answer).unwrap_or_else(|| no_block.to_owned())
    })?;
    usable(&best.text)
}

/// The last complete block in the thoughts, for a model that never came to its answer.
fn thought_file(thoughts: &str, names: &[&str]) -> Option<String> {
    let (closed, _) = fenced_blocks(thoughts);
    let blocks = closed.into_iter().rev().take(BLOCKS_MAX);
    let (warned, others): (Vec<Block>, Vec<Block>) = blocks.partition(is_warned_of);
    let (beside, others): (Vec<Block>, Vec<Block>) = others
        .into_iter()
        .partition(|block| beside_the_file(block).is_some());
    let mut candidates = others
        .into_iter()
        .chain(beside)
        .chain(warned)
        .map(|block| Candidate::of(block.text, names));
    let whole = candidates.find(|candidate| {
        let source = Source::of(&candidate.text);
        candidate.is_whole(names) && is_program(&source)
    });
    usable(&whole?.text).ok()
}

/// A candidate for the file.
struct Candidate {
    text: String,
    /// How many of the wanted names it defines.
    defined: usize,
    parses: bool,
    /// The number of its block, from 1, if it replaces an earlier block; otherwise 0.
    replaces: usize,
}

impl Candidate {
    fn of(text: String, names: &[&str]) -> Self {
        let text = repaired(text);
        let source = Source::of(&text);
        // What is imported is used here, and not defined.
        let own = source
            .definitions()
            .into_iter()
            .filter(|own| own.kind != Kind::Import);
        let defined: Vec<String> = own.flat_map(|own| own.names).collect();
        let is_defined = |name: &&&str| defined.iter().any(|own| own == *name);
        Self {
            defined: names.iter().filter(is_defined).count(),
            parses: source.parses(),
            replaces: 0,
            text,
        }
    }

    fn rank(&self) -> (usize, bool, usize, usize) {
        // Empty lines are no code.
        let has_code = !self.text.trim().is_empty();
        let is_code = self.parses && has_code;
        (self.defined, is_code, self.replaces, self.text.len())
    }

    fn is_whole(&self, names: &[&str]) -> bool {
        self.parses && self.defined == names.len()
    }
}

/// A file given in several blocks, in order: the `best` block, and those that define wanted names or names that
/// these use, without redefining anything.
fn joined(blocks: &[Candidate], best: usize, names: &[&str]) -> Option<Candidate> {
    let mut taken = BTreeSet::from([best]);
    let wanted: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut all = Names::of(&blocks[best].text);
    // The last that has something may have corrected the others.
    let mut next = || {
        let missing: Vec<String> = wanted.union(&all.used).cloned().collect();
        let (at, own) = (0..blocks.len()).rev().find_map(|at| {
            let own =
                (!taken.contains(&at) && blocks[at].parses).then(|| Names::of(&blocks[at].text))?;
            let gives = |name: &String| own.has(name) && !all.has(name);
            (missing.iter().any(gives) && !own.clashes_with(&all)).then_some((at, own))
        })?;
        taken.insert(at);
        all.extend(own);
        Some(())
    };
    while next().is_some() {}
    if taken.len() == 1 {
        return None;
    }
    let text: Vec<&str> = taken.iter().map(|&at| blocks[at].text.as_str()).collect();
    Some(Candidate::of(text.join("\n\n"), names))
}

/// The names that code defines, imports and uses from elsewhere.
struct Names {
    defined: BTreeSet<String>,
    imported: BTreeSet<String>,
    used: BTreeSet<String>,
}

impl Names {
    fn of(text: &str) -> Self {
        let source = Source::of(text);
        let (imports, others): (Vec<Definition>, Vec<Definition>) = source
            .definitions()
            .into_iter()
            .partition(|own| own.kind == Kind::Import);
        let names = |all: Vec<Definition>| all.into_iter().flat_map(|own| own.names).collect();
        let (called, used) = source.names();
        Self {
            defined: names(others),
            imported: names(imports),
            used: called
                .into_iter()
                .chain(used)
                .filter(|name| !is_builtin(name))
                .collect(),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.defined.contains(name) || self.imported.contains(name)
    }

    /// Whether both define a name. Equal imports do not count.
    fn clashes_with(&self, other: &Self) -> bool {
        self.defined.iter().any(|name| other.has(name))
            || other.defined.iter().any(|name| self.has(name))
    }

    fn extend(&mut self, other: Self) {
        self.defined.extend(other.defined);
        self.imported.extend(other.imported);
        self.used.extend(other.used);
    }
}

/// The words before a block, and the comment at its start.
fn said_of(block: &Block) -> impl Iterator<Item = &str> {
    let first = block.text.lines().find(|line| !line.trim().is_empty());
    let comment = first.filter(|line| line.trim_start().starts_with('#'));
    [Some(block.said.as_str()), comment].into_iter().flatten()
}

/// Whether the words about a block say that it must not be used.
fn is_warned_of(block: &Block) -> bool {
    said_of(block).any(warns)
}

/// How the text before a block relates it to the file.
fn beside_the_file(block: &Block) -> Option<Beside> {
    said_of(block).find_map(beside)
}

/// Code in the arguments of a tool call, or between tags.
fn wrapped(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<Value> = json_values(text);
    open.extend(strings_on_lines(text).into_iter().map(Value::String));
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) if text.contains('\n') => found.push(text),
            // Arguments are often JSON in a string.
            Value::String(text) => {
                let inner = serde_json::from_str(&text).ok();
                open.extend(inner.filter(|value: &Value| value.is_object() || value.is_string()));
            }
            // A notebook has the lines of a cell in a list.
            Value::Array(values) if values.iter().any(is_line) => {
                let lines = values.iter().filter_map(Value::as_str);
                found.push(lines.collect());
            }
            Value::Array(values) if values.iter().all(Value::is_string) => {
                let lines = values.iter().filter_map(Value::as_str);
                found.push(lines.collect::<Vec<_>>().join("\n"));
                open.extend(values);
            }
            Value::Array(values) => open.extend(values),
            Value::Object(members) => open.extend(members.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    for (at, _) in text.match_indices('<').take(BLOCKS_MAX) {
        let Some((tag, after)) = text[at + 1..].split_once('>') else {
            break;
        };
        let name = tag.split([' ', '=', '\n']).next().unwrap_or_default();
        if name.is_empty()
            || !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        {
            continue;
        }
        if let Some((inside, _)) = after.split_once(&format!("</{name}>")) {
            let inside = inside
                .trim_start_matches("<![CDATA[")
                .trim_end_matches("]]>");
            found.push(unescaped(inside));
        }
    }
    let edits = text.match_indices("<<<<<<<").take(BLOCKS_MAX);
    found.extend(edits.filter_map(|(at, _)| new_file(&text[at..])));
    found.extend(passed_to_writers(text));
    found.retain(|text| {
        let source = Source::of(text);
        source.parses() && is_program(&source)
    });
    found
}

fn is_line(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.ends_with('\n'))
}

/// Whether it contains a function, a class or an import.
fn is_program(source: &Source<'_>) -> bool {
    let mut all = source.definitions().into_iter();
    all.any(|definition| definition.kind != Kind::Value)
}

/// Code without a fence: from the first line that may start a file.
fn bare_code(text: &str) -> Option<String> {
    /// The most lines at which it may start.
    const STARTS_MAX: usize = 20;
    let mut starts = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if starts_like_code(bare(line)) {
            starts.push(at);
        }
        at += line.len();
    }
    for start in starts.into_iter().take(STARTS_MAX) {
        let rest = text[start..].trim_start_matches(is_invisible);
        // It may be indented as a whole.
        let rest = at_the_margin(rest);
        let plain = || Source::of(&rest).with_plain_characters();
        let found = program_at_the_beginning(&rest).or_else(|| program_at_the_beginning(&plain()?));
        if found.is_some() {
            return found;
        }
    }
    let mut lines = text
        .lines()
        .filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit()));
    let listing: String = lines.by_ref().flat_map(|line| [line, "\n"]).collect();
    let listed = numbered(&listing).and_then(|code| program_at_the_beginning(&code));
    if listed.is_some() {
        return listed;
    }
    let listed = added_alone(text).and_then(|code| program_at_the_beginning(&code));
    if listed.is_some() {
        return listed;
    }
    // Code with an error in it is corrected like any other.
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    (starts_like_code(first) && !first.starts_with('#')).then(|| text.to_owned())
}

/// The lines that a text marks as added, if it marks none as removed.
fn added_alone(text: &str) -> Option<String> {
    let (added_lines, others): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with('+'));
    let is_whole = !others.iter().any(|line| line.starts_with('-')) && !added_lines.is_empty();
    added(&added_lines.join("\n")).filter(|_| is_whole)
}

fn program_at_the_beginning(text: &str) -> Option<String> {
    let whole = Source::of(text).whole_beginning()?;
    is_program(&Source::of(whole)).then(|| whole.to_owned())
}

/// A file's text without surrounding empty lines, or why it cannot be a file.
fn usable(source: &str) -> Result<String, String> {
    let source = source
        .trim_start_matches('\u{feff}')
        .trim_matches(['\n', '\r', ' ']);
    if source.trim().is_empty() {
        return Err("its code block is empty; give the whole file".to_owned());
    }
    if source.len() > SOURCE_BYTES_MAX {
        return Err(format!(
            "its file has {} bytes; write a shorter one",
            source.len()
        ));
    }
    if source.contains('\0') {
        return Err("its file has NUL characters".to_owned());
    }
    Ok(format!("{source}\n"))
}

/// The test file in an answer. If the answer was cut off, the tests before the cut are used, because small
/// models often continue until they are stopped.
pub(in crate::python) fn test_file(answer: &str, cut: Option<&str>) -> Result<String, String> {
    let said = without_reasoning(answer);
    let (closed, open) = fenced_blocks(&said);
    // What a model says about its tests may hold code too.
    let (warned, others): (Vec<Block>, Vec<Block>) = closed.into_iter().partition(is_warned_of);
    let has_others = others.iter().any(|block| has_tests(&block.text));
    let mut blocks = if has_others { others } else { warned };
    // What is offered beside tests that were given, or was there before, is none of them.
    let mut has_first = false;
    let is_plain = |block: &Block| has_tests(&block.text) && beside_the_file(block).is_none();
    let has_plain = blocks.iter().any(is_plain);
    blocks.retain(|block| {
        has_first |= is_plain(block);
        match beside_the_file(block) {
            None => true,
            Some(Beside::Old) => !has_plain,
            Some(Beside::Offered) => !has_first,
        }
    });
    let (tests, others): (Vec<Block>, Vec<Block>) = blocks
        .into_iter()
        .take(BLOCKS_MAX)
        .partition(|block| has_tests(&block.text));
    let candidates = |blocks: Vec<Block>| {
        blocks
            .into_iter()
            .map(|block| Candidate::of(block.text, &[]))
    };
    let tests = candidates(tests).max_by_key(Candidate::rank);
    // Of what is not tested itself.
    let imports = candidates(others).filter(|other| Names::of(&other.text).defined.is_empty());
    let tests = tests.and_then(|tests| {
        let mut blocks: Vec<Candidate> = imports.collect();
        blocks.push(tests);
        joined(&blocks, blocks.len() - 1, &[]).or(blocks.pop())
    });
    let file = match (tests, whole_file(answer, cut, &[]), open) {
        (Some(tests), ..) => usable(&tests.text)?,
        (None, Ok(file), _) => file,
        (None, Err(problem), Some(Block { text: open, .. })) if cut.is_some() => {
            let whole = open.rfind("\ndef ").map_or("", |at| &open[..at]);
            if !has_tests(whole) {
                return Err(problem);
            }
            usable(whole.trim_end())?
        }
        (None, Err(problem), _) => return Err(problem),
    };
    if !has_tests(&file) {
        return Err("it has no function whose name begins with test".to_owned());
    }
    let (called, _) = Source::of(&file).names();
    if called.contains("input") {
        return Err(
            "its tests call input(), and nobody is there to answer; give what is typed with monkeypatch"
                .to_owned(),
        );
    }
    Ok(file)
}

fn has_tests(text: &str) -> bool {
    text.contains("def test")
}

fn starts_like_code(line: &str) -> bool {
    let starts = [
        "import ",
        "from ",
        "def ",
        "class ",
        "async def ",
        "@",
        "\"\"\"",
        "'''",
        "#",
    ];
    starts.iter().any(|start| line.starts_with(start))
        || line
            .split_once(" = ")
            .is_some_and(|(name, _)| crate::python::is_name(name))
}
