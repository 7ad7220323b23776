//! The file in an answer, found by syntax: the code that parses and defines what was planned.

use journeyman_event::state::PendingAnswer;
use journeyman_syntax::{Kind, Source};
use serde_json::Value;

use super::blocks::{Block, fenced_blocks};
use super::json::json_values;
use super::repaired::{added, at_the_margin, repaired};
use super::{in_place, spoken, thoughts};

/// Answers with more than this are not code that a person would read.
const SOURCE_BYTES_MAX: usize = 256 * 1024;
/// Blocks of an answer that are looked at.
const BLOCKS_MAX: usize = 40;
/// What a block is marked with that holds no Python.
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
/// What is said of a file that is not whole.
pub(crate) const CUT_OFF: &str = "it was cut off before the file's end; write a shorter file";

/// Why an answer is not whole, in words for the model; none if it is. `shorter` is what to do about one
/// that is too long.
pub(crate) fn cut_off(answer: &PendingAnswer, shorter: &str) -> Option<String> {
    if let Some(repeated) = &answer.repeated {
        return Some(format!(
            "it was cut off because it said the same again and again; say each thing once. This was \
             repeated:\n{repeated}"
        ));
    }
    answer.cut_short.then(|| shorter.to_owned())
}

/// The whole file in an answer, which was `cut` for that reason: of its blocks, or of what else may be
/// code in it, the one that defines the most of `names`, parses and is longest. The error says what is wrong, in words for the model.
pub(crate) fn whole_file(
    answer: &str,
    cut: Option<&str>,
    names: &[&str],
) -> Result<String, String> {
    if let Some(thoughts) = thoughts(answer) {
        return thought_file(thoughts, names).ok_or_else(|| {
            "it has only thoughts and no answer; answer at once with the file".to_owned()
        });
    }
    let said = spoken(answer);
    let (closed, open) = fenced_blocks(&said);
    let mut candidates: Vec<Candidate> = Vec::new();
    for block in closed.iter().take(BLOCKS_MAX) {
        let info = block.info.split([' ', '{', ',']).next().unwrap_or_default();
        let info = info.to_ascii_lowercase();
        if info == "diff" || info == "patch" {
            candidates.extend(added(&block.text).map(|text| Candidate::of(text, names)));
        } else if !OTHER_BLOCKS.contains(&info.as_str()) {
            candidates.push(Candidate::of(block.text.clone(), names));
        }
    }
    candidates.extend(joined(&candidates, names));
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
    if let Some(open) = open.filter(|_| !has_whole || names.is_empty()) {
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
            candidates.push(Candidate::of(whole.unwrap_or(open.text), names));
        }
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
        in_place(answer).unwrap_or_else(|| no_block.to_owned())
    })?;
    usable(&best.text)
}

/// The last block in thoughts that is whole: a model that never came to its answer may have written
/// it there.
fn thought_file(thoughts: &str, names: &[&str]) -> Option<String> {
    let (closed, _) = fenced_blocks(thoughts);
    let mut candidates = closed
        .into_iter()
        .rev()
        .take(BLOCKS_MAX)
        .map(|block| Candidate::of(block.text, names));
    let whole = candidates.find(|candidate| {
        let source = Source::of(&candidate.text);
        candidate.is_whole(names) && is_program(&source)
    });
    usable(&whole?.text).ok()
}

/// What may be the file.
struct Candidate {
    text: String,
    /// How many of the names wanted it defines.
    defined: usize,
    parses: bool,
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
            text,
        }
    }

    fn rank(&self) -> (usize, bool, usize) {
        // Empty lines are no code.
        let has_code = !self.text.trim().is_empty();
        (self.defined, self.parses && has_code, self.text.len())
    }

    fn is_whole(&self, names: &[&str]) -> bool {
        self.parses && self.defined == names.len()
    }
}

/// A file that was given in several blocks: those that define names that are wanted, in their order,
/// if only all of them together define more than any of them.
fn joined(blocks: &[Candidate], names: &[&str]) -> Option<Candidate> {
    let parts: Vec<&Candidate> = blocks
        .iter()
        .filter(|block| block.parses && block.defined > 0)
        .collect();
    let most = parts.iter().map(|block| block.defined).max()?;
    let text: Vec<&str> = parts.iter().map(|block| block.text.as_str()).collect();
    let all = Candidate::of(text.join("\n\n"), names);
    (all.defined > most).then_some(all)
}

/// Code in the arguments of a tool call, or between tags.
fn wrapped(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<Value> = json_values(text);
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) if text.contains('\n') => found.push(text),
            // Arguments are often JSON in a string.
            Value::String(text) => {
                open.extend(serde_json::from_str(&text).ok().filter(Value::is_object));
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
            // `x &lt; 2` is Python too, but nobody means it.
            let plain = [
                ("&lt;", "<"),
                ("&gt;", ">"),
                ("&quot;", "\""),
                ("&amp;", "&"),
            ];
            let inside = plain.iter().fold(inside.to_owned(), |text, (escaped, c)| {
                text.replace(escaped, c)
            });
            found.push(inside);
        }
    }
    found.retain(|text| {
        let source = Source::of(text);
        source.parses() && is_program(&source)
    });
    found
}

/// Whether there is a function, a class or an import in it.
fn is_program(source: &Source<'_>) -> bool {
    let mut all = source.definitions().into_iter();
    all.any(|definition| definition.kind != Kind::Value)
}

/// Code without any fence around it: from the first line that may begin a file on.
fn bare_code(text: &str) -> Option<String> {
    /// Lines at which it may begin.
    const STARTS_MAX: usize = 20;
    let mut starts = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if starts_like_code(line.trim_start_matches([' ', '\t'])) {
            starts.push(at);
        }
        at += line.len();
    }
    for start in starts.into_iter().take(STARTS_MAX) {
        // It may be indented as a whole.
        let rest = at_the_margin(&text[start..]);
        let Some(whole) = Source::of(&rest).whole_beginning() else {
            continue;
        };
        if is_program(&Source::of(whole)) {
            return Some(whole.to_owned());
        }
    }
    // Code with an error in it is corrected like any other.
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    (starts_like_code(first) && !first.starts_with('#')).then(|| text.to_owned())
}

/// A file's text without empty lines around it, or why it cannot be a file.
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

/// The test file in an answer. One that was cut off still has the tests before the cut: small models
/// often go on until they are stopped.
pub(crate) fn test_file(answer: &str, cut: Option<&str>) -> Result<String, String> {
    let said = spoken(answer);
    let (closed, open) = fenced_blocks(&said);
    // What a model says about its tests may hold code too.
    let tests = closed
        .into_iter()
        .map(|block| block.text)
        .filter(|text| has_tests(text));
    let tests = tests
        .map(|text| Candidate::of(text, &[]))
        .max_by_key(Candidate::rank);
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
