//! From a model's free text to a file or to JSON. Thoughts are dropped, what was meant is found by
//! syntax: the code that parses and defines what was planned. Never fails on odd text, only says why
//! nothing usable is in it.

use journeyman_event::payload::{PromptAnswered, Purpose, ReviewCompleted, ToolRequest};
use journeyman_event::printable;
use journeyman_event::state::PendingAnswer;
use journeyman_syntax::{Kind, Source};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Findings of a review that are kept, and characters of each.
const FINDINGS_MAX: usize = 8;
const FINDING_CHARS_MAX: usize = 400;
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
    "diff",
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
/// What a block is marked with that may stand behind words on a line.
const PYTHON_BLOCKS: &[&str] = &["python", "py", "python3"];
/// What ends a turn in the templates of models, and is no part of it.
const TURN_ENDS: &[&str] = &[
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "<|return|>",
    "</s>",
    "<｜end▁of▁sentence｜>",
];
/// The marks between which models think.
const THOUGHTS: &[(&str, &str)] = &[
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
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

/// The whole file in an answer, which was `cut` for that reason: of its blocks, or of what else may be code in it, the one that defines
/// the most of `names`, parses and is longest. The error says what is wrong, in words for the model.
pub(crate) fn whole_file(
    answer: &str,
    cut: Option<&str>,
    names: &[&str],
) -> Result<String, String> {
    let said = spoken(answer);
    if said.trim().is_empty() && !answer.trim().is_empty() {
        return Err("it has only thoughts and no answer; answer at once with the file".to_owned());
    }
    let (closed, open) = fenced_blocks(&said);
    let mut candidates: Vec<Candidate> = Vec::new();
    for block in closed.iter().take(BLOCKS_MAX) {
        let info = block.info.split([' ', '{', ',']).next().unwrap_or_default();
        if !OTHER_BLOCKS.contains(&info.to_ascii_lowercase().as_str()) {
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
    let best = best.ok_or("it has no ```python block; give the whole file in one")?;
    usable(&best.text)
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

/// An answer without thoughts, without what its template puts around it, and without a byte order mark.
fn spoken(answer: &str) -> String {
    let mut text = answer.trim_start_matches(['\u{feff}', ' ', '\n', '\r']);
    // The prompt's template may have opened them.
    for (open, close) in THOUGHTS {
        if let Some((before, after)) = text.split_once(close)
            && !before.contains(open)
            && (before.ends_with('\n') || after.starts_with('\n'))
        {
            text = after;
        }
    }
    for end in TURN_ENDS {
        let at = text.match_indices(end).find(|(at, _)| {
            let rest = text[at + end.len()..].trim_start_matches(' ');
            rest.is_empty() || rest.starts_with(['\n', '\r', '<'])
        });
        if let Some((at, _)) = at {
            text = &text[..at];
        }
    }
    let mut kept = String::new();
    let mut is_in_block = false;
    while !text.is_empty() {
        let line = text.split_inclusive('\n').next().unwrap_or(text);
        let bare = line.trim_start();
        let thought = THOUGHTS.iter().find(|(open, _)| bare.starts_with(open));
        if let Some((_, close)) = thought.filter(|_| !is_in_block) {
            // One that does not end goes on to the end.
            text = text.split_once(close).map_or("", |(_, after)| after);
            continue;
        }
        is_in_block ^= bare.starts_with("```") || bare.starts_with("~~~");
        kept.push_str(line);
        text = &text[line.len()..];
    }
    kept
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
        if starts_like_code(line) {
            starts.push(at);
        }
        at += line.len();
    }
    for start in starts.into_iter().take(STARTS_MAX) {
        let Some(whole) = Source::of(&text[start..]).whole_beginning() else {
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
    if has_tests(&file) {
        Ok(file)
    } else {
        Err("it has no function whose name begins with test".to_owned())
    }
}

fn has_tests(text: &str) -> bool {
    text.contains("def test")
}

/// A request as a model writes it.
#[derive(Deserialize)]
struct RawRequest {
    name: String,
    #[serde(default)]
    arguments: serde_json::Map<String, serde_json::Value>,
}

/// The tools that an answer asks for: in fenced `tool` blocks, or where it is asked for them alone, in
/// JSON. The error says what is wrong, in words for the model.
pub(crate) fn tool_requests(answer: &str, purpose: Purpose) -> Result<Vec<ToolRequest>, String> {
    #[derive(Deserialize)]
    struct Wish {
        tools: Vec<RawRequest>,
    }
    let request = |raw: RawRequest| ToolRequest {
        name: raw.name,
        arguments: raw.arguments,
    };
    if purpose == Purpose::LookUp {
        let wish: Wish = json_in(answer)
            .map_err(|error| format!("it is no JSON object with `tools`: {error}"))?;
        return Ok(wish.tools.into_iter().map(request).collect());
    }
    let (closed, open) = fenced_blocks(&spoken(answer));
    let blocks = closed.into_iter().chain(open);
    let mut requests = Vec::new();
    for block in blocks.filter(|block| block.info == "tool") {
        let raw: RawRequest = serde_json::from_str(block.text.trim())
            .map_err(|error| format!("its tool block: {error}; give one JSON object in it"))?;
        requests.push(request(raw));
    }
    Ok(requests)
}

/// What the model says to a question. The error says why that is none, in words for the model.
pub(crate) fn reply(answer: &PendingAnswer) -> Result<PromptAnswered, String> {
    let said = spoken(&answer.text);
    let text = printable(&said).trim().to_owned();
    if text.is_empty() {
        return Err("it says nothing; answer the question".to_owned());
    }
    Ok(PromptAnswered {
        text,
        cut_short: answer.cut_short,
    })
}

/// What a review found. One that cannot be read is none.
pub(crate) fn review(answer: &PendingAnswer) -> ReviewCompleted {
    #[derive(Deserialize)]
    struct Raw {
        findings: Vec<String>,
    }
    match json_in(&answer.text) {
        Ok(Raw { findings }) => {
            let findings = findings.iter().map(|finding| {
                let finding = finding.trim().chars();
                finding.take(FINDING_CHARS_MAX).collect::<String>()
            });
            let findings = findings.filter(|finding| !finding.is_empty());
            ReviewCompleted {
                findings: findings.take(FINDINGS_MAX).collect(),
                problem: None,
            }
        }
        Err(error) => ReviewCompleted {
            findings: Vec::new(),
            problem: Some(format!("the model's review cannot be read: {error}")),
        },
    }
}

/// What a model said in JSON: of the objects in its answer the first that fits. Comments, commas too
/// many and words around it are forgiven. The error says why none fits, in words for the model.
pub(crate) fn json_in<T: DeserializeOwned>(answer: &str) -> Result<T, String> {
    let said = spoken(answer);
    let mut problem = said.find('{').map_or_else(
        || "it is not a JSON object".to_owned(),
        |at| {
            let read = serde_json::from_str::<Value>(&said[at..]);
            read.map_or_else(|error| format!("its JSON: {error}"), |_| String::new())
        },
    );
    for value in json_values(&said) {
        match serde_json::from_value(value) {
            Ok(read) => return Ok(read),
            Err(error) => problem = format!("its JSON: {error}"),
        }
    }
    Err(problem)
}

/// The JSON objects in a text that stand in no other, in order.
fn json_values(text: &str) -> Vec<Value> {
    /// Braces that are tried.
    const TRIES_MAX: usize = 50;
    let mut found = Vec::new();
    let mut rest = text;
    for _ in 0..TRIES_MAX {
        let Some(at) = rest.find('{') else {
            break;
        };
        rest = &rest[at..];
        let strict = object_at(rest).and_then(|object| {
            let value = serde_json::from_str(object).ok()?;
            Some((value, object.len()))
        });
        let read = strict.or_else(|| {
            let (clean, length) = without_extras(rest)?;
            Some((serde_json::from_str(&clean).ok()?, length))
        });
        let (value, length) = read.map_or((None, 1), |(value, length)| (Some(value), length));
        found.extend(value);
        rest = &rest[length..];
    }
    found
}

/// The object that begins a text, to its closing brace.
fn object_at(text: &str) -> Option<&str> {
    let (mut depth, mut is_string, mut is_escaped) = (0_u32, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_string => is_escaped = true,
            '"' => is_string = !is_string,
            _ if is_string => {}
            '{' => depth += 1,
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(&text[..=at]);
                }
            }
            _ => {}
        }
    }
    None
}

/// The object that begins a text without comments and without commas before a closing bracket, and
/// how much of the text it took.
fn without_extras(text: &str) -> Option<(String, usize)> {
    let mut clean = String::new();
    let (mut depth, mut is_string) = (0_u32, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        if is_string {
            if c == '\\' {
                taken += rest[1..].chars().next().map_or(0, char::len_utf8);
            }
            is_string = c != '"';
            clean.push_str(&rest[..taken]);
        } else if rest.starts_with("//") || c == '#' {
            taken = rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            taken = rest.find("*/").map_or(rest.len(), |end| end + 2);
        } else {
            match c {
                '"' => is_string = true,
                '{' => depth += 1,
                '}' | ']' => {
                    let bare = clean.trim_end();
                    if bare.ends_with(',') {
                        clean.truncate(bare.len() - 1);
                    }
                    depth = depth.checked_sub(u32::from(c == '}'))?;
                }
                _ => {}
            }
            clean.push(c);
        }
        rest = &rest[taken..];
        if depth == 0 {
            return Some((clean, text.len() - rest.len()));
        }
    }
    None
}

/// A fenced block.
struct Block {
    /// What stands behind its opening fence.
    info: String,
    text: String,
}

/// A block that is being read.
struct Open {
    fence: char,
    length: usize,
    indent: usize,
    block: Block,
}

/// Every closed fenced block, and the one left open at the end. Fences are of backticks or tildes,
/// may be indented with what is in them, and may stand behind words.
fn fenced_blocks(text: &str) -> (Vec<Block>, Option<Block>) {
    let mut closed = Vec::new();
    let mut current: Option<Open> = None;
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let bare = line.trim_start();
        let Some(mut open) = current.take() else {
            current = opened_by(line);
            continue;
        };
        let length = bare.chars().take_while(|&c| c == open.fence).count();
        let closes = length >= open.length && bare[length..].trim().is_empty();
        // The file may have such fences in its own strings.
        if closes && !is_inside_a_string(&open, &lines[at..]) {
            closed.push(open.block);
            continue;
        }
        let indent = open.indent.min(line.len() - bare.len());
        let line = line.get(indent..).unwrap_or(bare);
        let glued = line.trim_end().strip_suffix("```");
        let glued = glued
            .filter(|code| open.fence == '`' && !code.contains('`') && !code.trim().is_empty());
        if let Some(code) = glued {
            let text = format!("{}{code}\n", open.block.text);
            if Source::of(&text).parses() {
                open.block.text = text;
                closed.push(open.block);
                continue;
            }
        }
        open.block.text.push_str(line);
        open.block.text.push('\n');
        current = Some(open);
    }
    (closed, current.map(|open| open.block))
}

/// The block that a line opens.
fn opened_by(line: &str) -> Option<Open> {
    let bare = line.trim_start();
    let (fence, length, info, indent) = if let Some(fence @ ('`' | '~')) = bare.chars().next() {
        let length = bare.chars().take_while(|&c| c == fence).count();
        let info = bare[length..].trim();
        // Code within a line is no block.
        if length < 3 || info.contains(fence) {
            return None;
        }
        (fence, length, info, line.len() - bare.len())
    } else {
        let (_, info) = line.rsplit_once("```")?;
        let info = info.trim();
        if !PYTHON_BLOCKS.contains(&info.to_ascii_lowercase().as_str()) {
            return None;
        }
        ('`', 3, info, 0)
    };
    let block = Block {
        info: info.to_owned(),
        text: String::new(),
    };
    Some(Open {
        fence,
        length,
        indent,
        block,
    })
}

/// Whether the first of `rest`, which looks like the end of a block of Python, stands in a string of
/// its own: only with a later end does it parse.
fn is_inside_a_string(open: &Open, rest: &[&str]) -> bool {
    /// Later ends that are tried.
    const ENDS_MAX: usize = 6;
    let text = &open.block.text;
    let is_python = PYTHON_BLOCKS.contains(&open.block.info.to_ascii_lowercase().as_str());
    let quotes = ["\"\"\"", "'''"];
    let has_open = quotes
        .iter()
        .any(|quote| text.matches(quote).count() % 2 == 1);
    if !is_python || !has_open || Source::of(text).parses() {
        return false;
    }
    let fence: String = std::iter::repeat_n(open.fence, open.length).collect();
    let ends = rest
        .iter()
        .enumerate()
        .skip(1)
        .filter(|(_, line)| line.trim() == fence);
    let mut longer = ends
        .take(ENDS_MAX)
        .map(|(end, _)| format!("{text}{}\n", rest[..end].join("\n")));
    longer.any(|longer| Source::of(&longer).parses())
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The file that each of the answers below means.
    const FILE: &str = "import re\n\ndef f(x):\n    return x < 2\n";
    const BODY: &str = "import re\n\ndef f(x):\n    return x < 2";

    #[test]
    fn the_file_is_found_however_a_model_wraps_it() {
        let indented = BODY.replace('\n', "\n  ");
        let json = serde_json::to_string(BODY).unwrap();
        let usage = "# How to use it\nfrom m import f\nfor number in range(100):\n    print(number, f(number))\n";
        let tests = "def test_f():\n    assert f(1)\n".repeat(5);
        let long = "x".repeat(99);
        for answer in [
            format!("```python\n{BODY}\n```\nUse it so:\n```python\n{usage}```"),
            format!(
                "```python\n{BODY}\n```\n```bash\npython -m pytest tests/test_m.py --verbose --color=no\n```"
            ),
            format!("```python\n{BODY}\n```\n```python\n{tests}```"),
            format!(
                "<think>\nA draft {{:\n```python\ndef f(x):\n    return None  # {long}\n```\n</think>\n```python\n{BODY}\n```"
            ),
            format!("Thinking of f ...\n</think>\n\n```python\n{BODY}\n```"),
            format!("<think>done</think>```python\n{BODY}\n```"),
            format!("1. The file:\n  ```python\n  {indented}\n  ```\n"),
            format!("Here it is:```python\n{BODY}\n```"),
            format!("```python\n{BODY}```\nThat is all."),
            format!("~~~python\n{BODY}\n~~~\n"),
            format!("```python\n{BODY}\n\nThis function checks whether x is small.\n"),
            format!("```python\n{BODY}\n<|im_end|>\n<|im_start|>user\nThanks!"),
            format!("```python\n{BODY}\n```<|im_end|>"),
            format!("{BODY}\n<|endoftext|>"),
            format!("Sure, the file:\n\n{BODY}\n\nIt is done.\n"),
            format!(
                "{{\"name\": \"write_file\", \"arguments\": {{\"path\": \"m.py\", \"content\": {json}}}}}"
            ),
            format!(
                "<tool_call>\n{{\"name\": \"write\", \"arguments\": {{\"code\": {json}}}}}\n</tool_call>"
            ),
            format!("<write_file path=\"m.py\">\n{BODY}\n</write_file>"),
            format!(
                "<function=write><parameter=content>\n{}\n</parameter></function>",
                BODY.replace('<', "&lt;")
            ),
            format!("\u{feff}{BODY}\n"),
            format!("```python\n\u{feff}{BODY}\n```"),
        ] {
            let found = whole_file(&answer, None, &["f"]);
            assert_eq!(found.as_deref(), Ok(FILE), "{answer}");
        }
        let commented = format!("# m.py: small numbers\n{BODY}\n");
        assert_eq!(whole_file(&commented, None, &["f"]), Ok(commented));
        let documented =
            "```python\n\"\"\"M.\n\n```\nf(1)\n```\n\"\"\"\ndef f(x):\n    return 1\n```";
        let file = whole_file(documented, None, &["f"]).unwrap();
        assert!(
            file.starts_with("\"\"\"M.") && file.ends_with("return 1\n"),
            "{file}"
        );
    }

    #[test]
    fn what_has_no_file_is_told_so() {
        for (answer, cut, problem) in [
            (
                "<think>\nLet me see, def f(x): return 1 ...",
                true,
                "only thoughts",
            ),
            ("<think>\nHm.\n</think>\n", false, "only thoughts"),
            (
                "# Plan\nFirst I read the task.\n",
                false,
                "no ```python block",
            ),
            (
                "```python\ndef g():\n    return 1\n```\n```python\ndef f(x):\n    return 'something that is longer",
                true,
                "cut off",
            ),
            ("```python\n", false, "empty"),
        ] {
            let found = whole_file(answer, cut.then_some(CUT_OFF), &["f"]);
            let told = found.as_ref().is_err_and(|said| said.contains(problem));
            assert!(told, "{answer:?}: {found:?}");
        }
        let tags = "```python\ndef f(text):\n    return text.split('</think>')[-1]\n```";
        let file = whole_file(tags, None, &["f"]).unwrap();
        assert!(file.contains("split('</think>')"), "{file}");
    }

    #[test]
    fn a_file_in_two_blocks_is_put_together() {
        let answer = "```python\ndef f():\n    return 1\n```\nand\n```python\ndef g():\n    return f()\n```\n\
                      ```python\nprint(g(), f(), 'and so on and so on')\n```";
        let file = whole_file(answer, None, &["f", "g"]).unwrap();
        assert_eq!(
            file,
            "def f():\n    return 1\n\n\ndef g():\n    return f()\n"
        );
    }

    #[test]
    fn json_is_found_with_comments_commas_and_words_around_it() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Plan {
            modules: Vec<String>,
        }
        for answer in [
            r#"{"modules": ["a{", "b"]}"#,
            "Here {is} the plan:\n```json\n{\"modules\": [\"a{\", \"b\",],}\n```\nDone {really}.",
            "{\n  // two of them\n  \"modules\": [\n    \"a{\", # one\n    \"b\" /* } */\n  ]\n}",
            "<think>\n{\"modules\": [\"draft\"]}\n</think>\n{\"modules\": [\"a{\", \"b\"]}",
            "{\"note\": 1}\n{\"modules\": [\"a{\", \"b\"]}<|im_end|>",
        ] {
            let plan = json_in::<Plan>(answer);
            let modules = vec!["a{".to_owned(), "b".to_owned()];
            assert_eq!(plan, Ok(Plan { modules }), "{answer}");
        }
        for (answer, problem) in [
            ("no", "not a JSON object"),
            ("{\"modules\": 1}", "its JSON"),
            ("{oh", "its JSON"),
        ] {
            assert!(
                json_in::<Plan>(answer).unwrap_err().contains(problem),
                "{answer}"
            );
        }
    }

    #[test]
    fn the_longest_block_is_the_file() {
        let answer =
            "Like `x`:\n```python\nx = 1\n```\nand\n```python\nimport re\n\nx = 2\n```\nDone.";
        assert_eq!(
            whole_file(answer, None, &[]).unwrap(),
            "import re\n\nx = 2\n"
        );
    }

    #[test]
    fn a_forgotten_closing_fence_is_forgiven_unless_the_answer_was_cut() {
        assert_eq!(
            whole_file("```python\nx = 1", None, &[]).unwrap(),
            "x = 1\n"
        );
        assert!(
            whole_file("```python\nx = 1", Some(CUT_OFF), &[])
                .unwrap_err()
                .contains("cut off")
        );
    }

    #[test]
    fn a_test_file_that_was_cut_off_keeps_its_whole_tests() {
        let answer = "```python\nimport m\n\ndef test_a():\n    assert m.f(1) == 2\n\ndef test_b():\n    assert m.";
        let file = test_file(answer, Some(CUT_OFF)).unwrap();
        assert_eq!(file, "import m\n\ndef test_a():\n    assert m.f(1) == 2\n");
        assert!(
            test_file(
                "```python\nimport m\n\ndef test_a():\n    ass",
                Some(CUT_OFF)
            )
            .is_err()
        );
        let nul = "```python\n\0\n\ndef test_a():\n    pass\n\ndef test_b():\n    pa";
        assert!(test_file(nul, Some(CUT_OFF)).unwrap_err().contains("NUL"));
        assert!(
            test_file("```python\nx = 1\n```", None)
                .unwrap_err()
                .contains("begins with test")
        );
    }

    #[test]
    fn tools_are_asked_for_in_blocks_of_their_own_or_in_json() {
        let answer = "First.\n```tool\n{\"name\": \"read_file\", \"arguments\": {\"path\": \"a.py\"}}\n```\n```tool\n{\"name\": \"run_tests\"}\n```";
        let wanted = tool_requests(answer, Purpose::Code).unwrap();
        let names: Vec<&str> = wanted.iter().map(|wish| wish.name.as_str()).collect();
        assert_eq!(names, ["read_file", "run_tests"]);
        assert_eq!(wanted[0].arguments["path"], "a.py");
        let problem = tool_requests("```tool\nread a.py\n```", Purpose::Fix).unwrap_err();
        assert!(problem.contains("one JSON object"), "{problem}");
        assert!(
            tool_requests("```python\nx = 1\n```", Purpose::Fix)
                .unwrap()
                .is_empty()
        );
        let wish = "{\"tools\": [{\"name\": \"list_files\", \"arguments\": {}}]}";
        assert_eq!(tool_requests(wish, Purpose::LookUp).unwrap().len(), 1);
        let none = tool_requests("{\"tools\": []}", Purpose::LookUp).unwrap();
        assert!(none.is_empty());
        assert!(tool_requests("None.", Purpose::LookUp).is_err());
    }

    #[test]
    fn a_block_inside_a_docstring_does_not_end_the_file() {
        let answer = "````python\n\"\"\"\n```\nx\n```\n\"\"\"\ny = 1\n````";
        assert!(whole_file(answer, None, &[]).unwrap().ends_with("y = 1\n"));
    }

    #[test]
    fn bare_code_is_a_file_and_prose_is_not() {
        assert!(whole_file("def f():\n    return 1\n", None, &[]).is_ok());
        assert!(
            whole_file("Sure! I can do that.", None, &[])
                .unwrap_err()
                .contains("```python")
        );
        assert!(
            whole_file("```python\n\n```", None, &[])
                .unwrap_err()
                .contains("empty")
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_a_file_or_a_reason(text in "(?s).{0,400}|(```|\n|python|x = 1|`|\r){0,30}", cut: bool) {
            if let Ok(source) = whole_file(&text, cut.then_some(CUT_OFF), &[]) {
                prop_assert!(source.ends_with('\n') && source.trim() != "");
            }
        }
    }
}
