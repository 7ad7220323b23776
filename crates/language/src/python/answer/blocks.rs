//! Finds the fenced blocks of a text. Blocks of Python end where their code may end. The contents of other blocks
//! are not examined.

use journeyman_syntax::Source;

use crate::answer::bare;
use crate::prose::remark::{has_second_thoughts, replaces};

/// The info strings of Python blocks whose fence may follow words on the same line.
const PYTHON_BLOCKS: &[&str] = &["python", "py", "python3"];

/// A fenced block.
pub(super) struct Block {
    /// The words before it: the last non-empty line above it, or the text before its fence.
    pub(super) said: String,
    /// Whether the text since the preceding block, or since the beginning, says that this block replaces another.
    pub(super) replaces: bool,
    /// The info string after its opening fence.
    pub(super) info: String,
    pub(super) text: String,
}

/// A block that was not closed yet.
struct Open {
    fence: char,
    length: usize,
    indent: usize,
    block: Block,
}

/// All closed fenced blocks, and an unclosed one at the end. Fences consist of backticks or tildes, may be
/// indented together with their contents, and may follow words.
pub(super) fn fenced_blocks(text: &str) -> (Vec<Block>, Option<Block>) {
    let mut closed = Vec::new();
    let mut current: Option<Open> = None;
    let lines: Vec<&str> = text.lines().collect();
    let (mut said, mut above) = ("", 0);
    for (at, &line) in lines.iter().enumerate() {
        let bare = bare(line);
        let Some(mut open) = current.take() else {
            current = opened_by(line, said);
            if let Some(open) = &mut current {
                let taken_back = lines[above..at]
                    .iter()
                    .any(|line| has_second_thoughts(line));
                open.block.replaces = taken_back || replaces(&open.block.said);
                said = "";
            } else if !bare.is_empty() {
                said = line;
            }
            continue;
        };
        // An opening fence right below another one stands there twice, or the block is wrapped into a second one.
        if open.block.text.trim().is_empty()
            && bare.starts_with(['`', '~'])
            && let Some(mut inner) = opened_by(line, &open.block.said)
            && !inner.block.info.is_empty()
        {
            inner.block.replaces = open.block.replaces;
            current = Some(inner);
            continue;
        }
        let length = bare.chars().take_while(|&c| c == open.fence).count();
        let closes = length >= open.length && bare[length..].trim().is_empty();
        // The file may have such fences in its own strings.
        if closes && !is_inside_a_string(&open, &lines[at..]) {
            above = at + 1;
            closed.push(open.block);
            continue;
        }
        let indent = open.indent.min(indent_of(line));
        let line = line.get(indent..).unwrap_or(bare);
        let glued = line.trim_end().strip_suffix("```");
        let glued = glued
            .filter(|code| open.fence == '`' && !code.contains('`') && !code.trim().is_empty());
        if let Some(code) = glued {
            let text = format!("{}{code}\n", open.block.text);
            if Source::of(&text).parses() {
                open.block.text = text;
                above = at + 1;
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

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The block opened by a line, after a line with these words.
fn opened_by(line: &str, said: &str) -> Option<Open> {
    let bare = bare(line);
    let (fence, length, info, indent, said) = if let Some(fence @ ('`' | '~')) = bare.chars().next()
    {
        let length = bare.chars().take_while(|&c| c == fence).count();
        let info = bare[length..].trim();
        // Code within a line is no block.
        if length < 3 || info.contains(fence) {
            return None;
        }
        (fence, length, info, indent_of(line), said)
    } else {
        let (said, info) = line.rsplit_once("```")?;
        let info = info.trim();
        if !PYTHON_BLOCKS.contains(&without_code(info).0.to_ascii_lowercase().as_str()) {
            return None;
        }
        ('`', 3, info, 0, said)
    };
    let (info, code) = without_code(info);
    let block = Block {
        said: said.to_owned(),
        replaces: false,
        info: info.to_owned(),
        text: code.map_or_else(String::new, |code| format!("{code}\n")),
    };
    Some(Open {
        fence,
        length,
        indent,
        block,
    })
}

/// An info string without code that a model wrote behind it: `python def f(n):`.
fn without_code(info: &str) -> (&str, Option<&str>) {
    const STARTS: &[&str] = &["def ", "class ", "async def ", "import ", "from ", "@"];
    let (marked, code) = info.split_once(' ').unwrap_or((info, ""));
    let code = code.trim_start();
    let is_code = STARTS.iter().any(|start| code.starts_with(start));
    if PYTHON_BLOCKS.contains(&marked.to_ascii_lowercase().as_str()) && is_code {
        (marked, Some(code))
    } else {
        (info, None)
    }
}

/// Whether the first line of `rest`, which looks like the end of a Python block, is inside a string of its
/// code: the code parses only with a later end.
fn is_inside_a_string(open: &Open, rest: &[&str]) -> bool {
    /// How many later ends are tried.
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
