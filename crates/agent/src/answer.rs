//! From a model's free text to a file: the fenced block. Never fails on odd text, only says why
//! nothing usable is in it.

use journeyman_event::payload::{Purpose, ReviewCompleted, ToolRequest};
use journeyman_event::state::PendingAnswer;
use serde::Deserialize;

/// Findings of a review that are kept, and characters of each.
const FINDINGS_MAX: usize = 8;
const FINDING_CHARS_MAX: usize = 400;
/// Answers with more than this are not code that a person would read.
const SOURCE_BYTES_MAX: usize = 256 * 1024;

/// The whole file in an answer: its longest fenced block, or the answer itself if it is plainly
/// nothing but code. The error says what is wrong, in words for the model.
pub(crate) fn whole_file(answer: &str, cut_short: bool) -> Result<String, String> {
    let (closed, open) = fenced_blocks(answer);
    let longest = closed
        .into_iter()
        .map(|block| block.text)
        .max_by_key(String::len);
    let open = open.map(|block| block.text);
    let source = match (longest, open) {
        (Some(block), None) => block,
        // A block that never ends holds the file if the model only forgot the closing fence.
        (None, Some(block)) if !cut_short => block,
        (Some(block), Some(open)) if open.len() <= block.len() => block,
        (_, Some(_)) => {
            return Err("it was cut off before the file's end; write a shorter file".to_owned());
        }
        (None, None) if cut_short => {
            return Err("it was cut off before the file's end; write a shorter file".to_owned());
        }
        (None, None) if starts_like_code(answer) => answer.to_owned(),
        (None, None) => {
            return Err("it has no ```python block; give the whole file in one".to_owned());
        }
    };
    usable(&source)
}

/// A file's text without empty lines around it, or why it cannot be a file.
fn usable(source: &str) -> Result<String, String> {
    let source = source.trim_matches(['\n', '\r', ' ']);
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
pub(crate) fn test_file(answer: &str, cut_short: bool) -> Result<String, String> {
    let file = match (whole_file(answer, cut_short), fenced_blocks(answer).1) {
        (Ok(file), _) => file,
        (Err(problem), Some(Block { text: open, .. })) if cut_short => {
            let whole = open.rfind("\ndef ").map_or("", |at| &open[..at]);
            if !whole.contains("def test") {
                return Err(problem);
            }
            usable(whole.trim_end())?
        }
        (Err(problem), _) => return Err(problem),
    };
    if file.contains("def test") {
        Ok(file)
    } else {
        Err("it has no function whose name begins with test".to_owned())
    }
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
        let wish: Wish = serde_json::from_str(json_object(answer).unwrap_or_default())
            .map_err(|error| format!("it is no JSON object with `tools`: {error}"))?;
        return Ok(wish.tools.into_iter().map(request).collect());
    }
    let (closed, open) = fenced_blocks(answer);
    let blocks = closed.into_iter().chain(open);
    let mut requests = Vec::new();
    for block in blocks.filter(|block| block.info == "tool") {
        let raw: RawRequest = serde_json::from_str(block.text.trim())
            .map_err(|error| format!("its tool block: {error}; give one JSON object in it"))?;
        requests.push(request(raw));
    }
    Ok(requests)
}

/// What a review found. One that cannot be read is none.
pub(crate) fn review(answer: &PendingAnswer) -> ReviewCompleted {
    #[derive(Deserialize)]
    struct Raw {
        findings: Vec<String>,
    }
    match serde_json::from_str(json_object(&answer.text).unwrap_or_default()) {
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

/// The outermost `{...}` of an answer.
pub(crate) fn json_object(answer: &str) -> Option<&str> {
    let from = answer.find('{')?;
    let to = answer.rfind('}')?;
    answer.get(from..=to)
}

/// A fenced block.
struct Block {
    /// What stands behind its opening fence.
    info: String,
    text: String,
}

/// Every closed fenced block, and the one left open at the end.
fn fenced_blocks(text: &str) -> (Vec<Block>, Option<Block>) {
    let mut closed = Vec::new();
    let mut current: Option<(usize, Block)> = None;
    for line in text.lines() {
        let bare = line.trim_start();
        let ticks = bare.bytes().take_while(|&b| b == b'`').count();
        match &mut current {
            None if ticks >= 3 => {
                let info = bare[ticks..].trim().to_owned();
                let text = String::new();
                current = Some((ticks, Block { info, text }));
            }
            Some((fence, _)) if ticks >= *fence && bare[ticks..].trim().is_empty() => {
                closed.extend(current.take().map(|(_, block)| block));
            }
            Some((_, block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {}
        }
    }
    (closed, current.map(|(_, block)| block))
}

fn starts_like_code(text: &str) -> bool {
    text.lines()
        .map(str::trim_end)
        .find(|line| !line.is_empty())
        .is_some_and(|line| {
            [
                "import ",
                "from ",
                "def ",
                "class ",
                "async def ",
                "@",
                "\"\"\"",
                "#!",
            ]
            .iter()
            .any(|start| line.starts_with(start))
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_block_is_the_file() {
        let answer =
            "Like `x`:\n```python\nx = 1\n```\nand\n```python\nimport re\n\nx = 2\n```\nDone.";
        assert_eq!(whole_file(answer, false).unwrap(), "import re\n\nx = 2\n");
    }

    #[test]
    fn a_forgotten_closing_fence_is_forgiven_unless_the_answer_was_cut() {
        assert_eq!(whole_file("```python\nx = 1", false).unwrap(), "x = 1\n");
        assert!(
            whole_file("```python\nx = 1", true)
                .unwrap_err()
                .contains("cut off")
        );
    }

    #[test]
    fn a_test_file_that_was_cut_off_keeps_its_whole_tests() {
        let answer = "```python\nimport m\n\ndef test_a():\n    assert m.f(1) == 2\n\ndef test_b():\n    assert m.";
        let file = test_file(answer, true).unwrap();
        assert_eq!(file, "import m\n\ndef test_a():\n    assert m.f(1) == 2\n");
        assert!(test_file("```python\nimport m\n\ndef test_a():\n    ass", true).is_err());
        let nul = "```python\n\0\n\ndef test_a():\n    pass\n\ndef test_b():\n    pa";
        assert!(test_file(nul, true).unwrap_err().contains("NUL"));
        assert!(
            test_file("```python\nx = 1\n```", false)
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
        assert!(whole_file(answer, false).unwrap().ends_with("y = 1\n"));
    }

    #[test]
    fn bare_code_is_a_file_and_prose_is_not() {
        assert!(whole_file("def f():\n    return 1\n", false).is_ok());
        assert!(
            whole_file("Sure! I can do that.", false)
                .unwrap_err()
                .contains("```python")
        );
        assert!(
            whole_file("```python\n\n```", false)
                .unwrap_err()
                .contains("empty")
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_a_file_or_a_reason(text in "(?s).{0,400}|(```|\n|python|x = 1|`|\r){0,30}", cut: bool) {
            if let Ok(source) = whole_file(&text, cut) {
                prop_assert!(source.ends_with('\n') && source.trim() != "");
            }
        }
    }
}
