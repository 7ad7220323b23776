//! Finds a Python file in a model's free text, by syntax: the code that parses and defines what was planned. Never
//! panics on malformed text; errors say why nothing is usable.

mod blocks;
mod called;
mod changed;
mod file;
mod repaired;
mod torn;

use blocks::fenced_blocks;
pub(super) use file::{test_file, whole_file};
use torn::stops_inside_a_statement;

use crate::LastBlock;
use crate::answer::without_reasoning;

/// The texts of the fenced blocks of an answer that are marked so, one that is left open at the end included.
pub(super) fn blocks_marked(answer: &str, mark: &str) -> Vec<String> {
    let (closed, open) = fenced_blocks(&without_reasoning(answer));
    let blocks = closed.into_iter().chain(open);
    let marked = blocks.filter(|block| block.info == mark);
    marked.map(|block| block.text).collect()
}

/// How the last fenced block of an answer ends.
pub(super) fn last_block(answer: &str) -> LastBlock {
    match fenced_blocks(&without_reasoning(answer)) {
        (_, Some(open)) if stops_inside_a_statement(&open.text) => LastBlock::Torn,
        (_, Some(open)) => LastBlock::Open(open.text),
        (closed, None) if closed.is_empty() => LastBlock::Missing,
        _ => LastBlock::Closed,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The message about an incomplete file.
    const CUT_OFF: &str = "it was cut off";

    /// The file that each of the answers below contains.
    const FILE: &str = "import re\n\ndef f(x):\n    return x < 2\n";
    const BODY: &str = "import re\n\ndef f(x):\n    return x < 2";

    #[test]
    fn the_file_is_found_however_a_model_wraps_it() {
        let indented = BODY.replace('\n', "\n  ");
        let json = serde_json::to_string(BODY).unwrap();
        let lines = BODY
            .split_inclusive('\n')
            .map(|line| serde_json::to_string(line).unwrap());
        let lines = lines.collect::<Vec<_>>().join(", ");
        let usage = "# How to use it\nfrom m import f\nfor number in range(100):\n    print(number, f(number))\n";
        let tests = "def test_f():\n    assert f(1)\n".repeat(5);
        let long = "x".repeat(99);
        for answer in [
            format!("```python\n{BODY}\n```\nUse it so:\n```python\n{usage}```"),
            format!("```python {BODY}\n```"),
            format!("Here it is: ```py {BODY}\n```"),
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
            format!(
                "<|channel|>analysis<|message|>A draft:\n```python\nx = '{long}'\n```<|end|><|start|>assistant<|channel|>final<|message|>```python\n{BODY}\n```<|return|>"
            ),
            format!("<think>\nSo I write\n```python\n{BODY}\n```\n</think>\n"),
            format!("<think>\nSo I write\n```python\n{BODY}\n```\nand that is all"),
            format!("<|channel|>analysis<|message|>So:\n```python\n{BODY}\n```\n<|end|>"),
            format!("Sure:\n\n    {}\n\nThat is it.", BODY.replace('\n', "\n    ")),
            format!("```diff\n--- /dev/null\n+++ b/m.py\n@@ -0,0 +1,4 @@\n+{}\n```", BODY.replace('\n', "\n+")),
            "```python\n>>> import re\n>>>\n>>> def f(x):\n...     return x < 2\n>>> f(1)\nTrue\n```".to_owned(),
            format!("```python\n{}\n```", BODY.replace("    return", "\u{a0}\u{a0}\u{a0} return\u{200b}")),
            format!("```python\n\u{feff}{BODY}\n```"),
            // Characters that cannot be seen.
            format!("\u{200b}```python\n{BODY}\n\u{200b}```\nDone."),
            format!("```python\n\u{200b}{BODY}\u{2064}\n```"),
            format!("Here's the file:\n\n\u{200b}\u{feff}{BODY}\n\nIt's done.\n"),
            format!("```python\n{}\n```", BODY.replace("f(x)", "f\u{202a}(x\u{202c})")),
            // Thoughts of open models.
            format!("[THINK]\nA draft:\n```python\ndef f(x): return {long:?}\n```\n[/THINK]\n```python\n{BODY}\n```"),
            format!("<|begin_of_thought|>\n```python\ndef f(x): return {long:?}\n```\n<|end_of_thought|>\n\n```python\n{BODY}\n```"),
            format!("<seed:think>\n```python\ndef f(x): return {long:?}\n```\n</seed:think>```python\n{BODY}\n```"),
            format!("◁think▷\n```python\ndef f(x): return {long:?}\n```\n◁/think▷\n```python\n{BODY}\n```"),
            format!("<|START_THINKING|>```python\ndef f(x): return {long:?}\n```\n<|END_THINKING|>\n```python\n{BODY}\n```"),
            format!("```python\ndef f(x): return {long:?}\n```\n[/THINK]\n```python\n{BODY}\n```"),
            // Edits that begin a file.
            format!("m.py\n```python\n<<<<<<< SEARCH\n=======\n{BODY}\n>>>>>>> REPLACE\n```"),
            format!("m.py\n<<<<<<< SEARCH\n=======\n{BODY}\n>>>>>>> REPLACE\n"),
            format!("```\nother.py\n<<<<<<< SEARCH\n\n=======\nx = 1\n>>>>>>> REPLACE\n\nm.py\n<<<<<<< SEARCH\n=======\n{BODY}\n>>>>>>> REPLACE\n```"),
            format!("```\n*** Begin Patch\n*** Add File: m.py\n+{}\n*** End Patch\n```", BODY.replace('\n', "\n+")),
            // Numbers of lines.
            numbered(BODY, |number| format!("{number} | ")),
            numbered(BODY, |number| format!("  {number}: ")),
            numbered(BODY, |number| format!("{number}\t")),
            numbered(BODY, |number| format!("     {number}→")),
            numbered(BODY, |number| format!("{:03}  ", number + 98)),
            format!("The file:\n\n{}\n\nThat is all.", numbered(BODY, |number| format!("{number} | ")).replace("```python\n", "").replace("```", "")),
            // HTML.
            format!("```python\n{}\n```", BODY.replace("x < 2", "x &lt; 2")),
            // A quotation, a notebook, a string.
            format!("> ```python\n> {}\n> ```\n> That is all.", BODY.replace('\n', "\n> ")),
            format!("{{\"cells\": [{{\"cell_type\": \"markdown\", \"source\": [\"# Small\\n\", \"numbers\"]}}, {{\"cell_type\": \"code\", \"source\": [{lines}]}}]}}"),
            format!("```json\n{{\"cells\": [{{\"cell_type\": \"code\", \"source\": [{lines}]}}]}}\n```"),
            format!("```python\n{}\n```", BODY.replace('\n', "\\n")),
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
    fn the_file_is_found_in_what_is_encoded_called_or_marked_once_more() {
        let json = serde_json::to_string(BODY).unwrap();
        let object = format!("{{\"code\": {json}}}");
        let twice = serde_json::to_string(&object).unwrap();
        let inner = serde_json::to_string(&json).unwrap();
        let lines: Vec<&str> = BODY.lines().collect();
        let lines = serde_json::to_string(&lines).unwrap();
        let marked = format!("+ {}", BODY.replace('\n', "\n+ "));
        for answer in [
            twice.clone(),
            format!("```json\n{twice}\n```"),
            format!("Here it is:\n\n{twice}\n"),
            format!("{{\"code\": {inner}}}"),
            inner.clone(),
            json.clone(),
            serde_json::to_string(&format!("```python\n{BODY}```")).unwrap(),
            format!("Here:\n```python\n{BODY}```\n").replace('\n', "\r"),
            format!("{{\"lines\": {lines}}}"),
            format!("```json\n{{\"path\": \"m.py\", \"lines\": {lines}}}\n```"),
            format!("write_file(\"m.py\", {json})"),
            format!("I write it:\n\nwrite_file(path='m.py', content={json})\n\nDone."),
            format!("```tool_code\nwrite_file(path=\"m.py\", content=\"\"\"{BODY}\"\"\")\n```"),
            format!(
                "```tool_code\nprint(default_api.write_file(path='m.py', content='''{BODY}'''))\n```"
            ),
            format!(
                "```python\ncreate_file(\"m.py\", '{}')\n```",
                BODY.replace('\n', "\\n")
            ),
            format!("<tool_code>\nwrite_file('m.py', {json})\n</tool_code>"),
            format!("```python\n{marked}\n```"),
            marked.clone(),
            format!("The file:\n\n{marked}\n\nDone."),
        ] {
            let found = whole_file(&answer, None, &["f"]);
            assert_eq!(found.as_deref(), Ok(FILE), "{answer}");
        }
        // What a program writes by itself is its own.
        let program = "def f(path):\n    write_file(path, \"def f(x):\\n    return 1\\n\")\n\ndef write_file(path, text):\n    pass\n";
        let found = whole_file(&format!("```python\n{program}```"), None, &["f"]);
        assert_eq!(found.as_deref(), Ok(program));
    }

    #[test]
    fn a_second_block_may_have_the_imports_or_change_the_first() {
        let without = "def f(x):\n    return re.match('a', x) and x < 2";
        for words in [
            "You also need the import:",
            "Add this at the top:",
            "Imports:",
        ] {
            let answer = format!("```python\n{without}\n```\n{words}\n```python\nimport re\n```\n");
            let found = whole_file(&answer, None, &["f"]).unwrap();
            assert!(
                found.contains("import re") && found.contains("def f"),
                "{found}"
            );
        }
        let wrong = BODY.replace('<', ">");
        let change = "-    return x > 2\n+    return x < 2";
        for diff in [
            change.to_owned(),
            format!("--- a/m.py\n+++ b/m.py\n@@ -3,2 +3,2 @@\n def f(x):\n{change}"),
            format!("@@\n import re\n\n def f(x):\n{change}"),
        ] {
            let answer =
                format!("```python\n{wrong}\n```\nIt has to be smaller:\n```diff\n{diff}\n```\n");
            let found = whole_file(&answer, None, &["f"]);
            assert_eq!(found.as_deref(), Ok(FILE), "{answer}");
        }
        // A change that was made already, one that is warned of, one that is offered, and one of other code.
        for (words, diff) in [
            ("What I changed:", "-    return x > 2\n+    return x < 2"),
            (
                "Do not change it to:",
                "-    return x < 2\n+    return x > 2",
            ),
            (
                "If you want it larger:",
                "-    return x < 2\n+    return x > 2",
            ),
            ("In the other file:", "-    return y\n+    return x > 2"),
        ] {
            let answer = format!("```python\n{BODY}\n```\n{words}\n```diff\n{diff}\n```\n");
            let found = whole_file(&answer, None, &["f"]);
            assert_eq!(found.as_deref(), Ok(FILE), "{answer}");
        }
        // It is not clear which line is meant.
        let twice = "def f(x):\n    x += 1\n    x += 1\n    return x\n";
        let answer = format!("```python\n{twice}```\n```diff\n-    x += 1\n+    x += 2\n```\n");
        assert_eq!(whole_file(&answer, None, &["f"]).as_deref(), Ok(twice));
    }

    #[test]
    fn code_that_stops_inside_a_statement_is_told_from_code_with_an_error() {
        for end in [
            "def g(",
            "def g(x, y=[1,",
            "def g(x):",
            "def g(x)",
            "def g(x):\n    return x <",
            "def g(x):\n    if x",
            "def g(x):\n    for i in range(",
            "def g(x):\n    for i",
            "def g(x):\n    return \"a",
            "def g(x):\n    \"\"\"Takes (x",
            "def g(x):\n    return f(x,  # so",
            "def g(x):\n    return (x +",
            "VALUES = {\n    1: 2,\n    3:",
            "from math import",
            "from math",
            "@cache",
        ] {
            let answer = format!("```python\n{BODY}\n\n\n{end}");
            assert_eq!(last_block(&answer), LastBlock::Torn, "{end}");
            // Closed, it is code with an error.
            assert_eq!(
                last_block(&format!("{answer}\n```")),
                LastBlock::Closed,
                "{end}"
            );
        }
        for end in [
            "",
            "x = 1",
            "This function checks whether x is small.",
            "Explanation:",
            "Note that f is fast",
            "def g(x):\n    retrun x\n\nx = 1",
            "def g(x)):\n    return x",
            "x = 1 +* 2\ny = (",
        ] {
            let answer = format!("```python\n{BODY}\n\n\n{end}");
            let ends = last_block(&answer);
            assert!(matches!(ends, LastBlock::Open(_)), "{end}: {ends:?}");
        }
    }

    /// A listing of code with line numbers, in a block.
    fn numbered(code: &str, mark: impl Fn(usize) -> String) -> String {
        let lines = code.lines().zip(1..);
        let lines = lines.map(|(line, number)| format!("{}{line}\n", mark(number)));
        format!("```python\n{}```", lines.collect::<String>())
    }

    #[test]
    fn html_is_read_where_it_is_no_python_as_it_stands() {
        for (code, meant) in [
            (
                "if a &lt; b and c &gt;= d:\n    e = &quot;&amp;lt;&quot;",
                "if a < b and c >= d:\n    e = \"&lt;\"",
            ),
            ("x = a &amp; b\ny = &#39;c&#x27;", "x = a & b\ny = 'c'"),
            ("x = a &gt; 2", "x = a > 2"),
            // As it stands.
            (
                "x = '&lt;&amp;'.replace('&lt;', '<')",
                "x = '&lt;&amp;'.replace('&lt;', '<')",
            ),
            ("lt = 1\nx = 2 &lt; lt", "lt = 1\nx = 2 &lt; lt"),
        ] {
            let found = whole_file(&format!("```python\n{code}\n```"), None, &[]);
            assert_eq!(found, Ok(format!("{meant}\n")), "{code}");
        }
    }

    #[test]
    fn what_is_shown_as_wrong_is_not_the_file() {
        let right = format!("```python\n{BODY}\n```");
        let long = "x".repeat(99);
        let wrong = format!("```python\nimport re\n\ndef f(x):\n    return x > 2  # {long}\n```");
        for words in [
            "Do not write it like this:",
            "Don't do this:",
            "**Wrong:**",
            "### Before",
            "Before:",
            "Old version:",
            "The following is NOT correct:",
            "You should never write",
            "A common mistake is",
            "Instead of",
            "Avoid this:",
        ] {
            for answer in [
                format!("{right}\n\n{words}\n\n{wrong}\n"),
                format!("{words}\n{wrong}\n\nAfter:\n\n{right}\n"),
                format!("{words}\n{wrong}\n\nThe right one:\n\n```python\n{BODY}\n"),
                format!(
                    "{right}\n{}",
                    wrong.replace("import re", &format!("# {words}\nimport re"))
                ),
                format!("<think>\n{right}\n{words}\n{wrong}\n</think>\n"),
            ] {
                let found = whole_file(&answer, None, &["f"]);
                assert_eq!(found.as_deref(), Ok(FILE), "{answer}");
            }
            // Where there is no other, it is what there is.
            assert!(whole_file(&format!("{words}\n{wrong}\n"), None, &["f"]).is_ok());
            let tests = format!(
                "```python\ndef test_f():\n    assert f(1)\n```\n{words}\n```python\ndef test_f():\n    assert f(9), '{long}'\n```\n"
            );
            let file = test_file(&tests, None).unwrap();
            assert!(file.contains("f(1)"), "{file}");
        }
        for words in [
            "The broken one, corrected:",
            "The original file, with the mistake fixed:",
            "Before you use it, install nothing. Here it is:",
        ] {
            let answer = format!("```python\ndef f(x): pass\n```\n{words}\n{right}");
            let found = whole_file(&answer, None, &["f"]);
            assert_eq!(found.as_deref(), Ok(FILE), "{answer}");
        }
    }

    #[test]
    fn an_old_version_or_an_alternative_does_not_replace_the_file() {
        let right = format!("```python\n{BODY}\n```");
        let long = "x".repeat(99);
        let other = format!("```python\nimport re\n\ndef f(x):\n    return x > 2  # {long}\n```");
        let first = |answer: &str, words: &str| {
            let found = whole_file(answer, None, &["f"]);
            assert_eq!(found.as_deref(), Ok(FILE), "{words}");
        };
        let olds = [
            "Your old version was:",
            "For comparison, this was the original code:",
            "What you had, the previous implementation, for reference:",
            "Falsch wäre:",
            "Das hier ist die veraltete Fassung:",
            "Ce qui est faux :",
            "Esto está mal:",
            "Sbagliato:",
            "Verkeerd:",
            "Неправильно:",
            "错误的写法：",
            "間違った例：",
        ];
        for words in olds {
            first(&format!("{right}\n\n{words}\n\n{other}\n"), words);
            first(&format!("{words}\n{other}\n\nAfter:\n\n{right}\n"), words);
        }
        let offers = [
            "If you want subtraction instead:",
            "Alternatively",
            "**Alternative:**",
            "An alternative implementation is",
            "If you'd rather have it strict:",
            "You could also write",
            "Alternativ:",
            "Falls du es lieber umgekehrt willst:",
            "Sinon, si vous préférez :",
            "Alternativamente:",
            "Alternatief:",
            "或者：",
        ];
        for words in offers {
            first(&format!("{right}\n\n{words}\n\n{other}\n"), words);
            let thoughts = format!("<think>\n{right}\n{words}\n{other}\n</think>\n");
            first(&thoughts, words);
            let tests = format!(
                "```python\ndef test_f():\n    assert f(1)\n```\n{words}\n```python\ndef test_f():\n    assert f(9), '{long}'\n```\n"
            );
            let file = test_file(&tests, None).unwrap();
            assert!(file.contains("f(1)"), "{words}: {file}");
        }
        for words in olds.iter().chain(&offers) {
            // Where nothing else is whole, it is what there is.
            first(&format!("{words}\n{right}\n"), words);
            let part = "```python\ndef g(x):\n    return x\n```";
            first(&format!("{part}\n{words}\n{right}\n"), words);
        }
        for words in [
            "The old version, improved:",
            "Like the previous one, but it works:",
            "If you want it whole, here it is:",
            "Die korrigierte Fassung, ohne Fehler:",
            "La versión actualizada:",
            "Le code corrigé :",
            "修正后的代码，错误已解决：",
            "Use this instead:",
            "Returns the previous number:",
        ] {
            let draft = "```python\ndef f(x): pass\n```";
            first(&format!("{draft}\n{words}\n{right}\n"), words);
        }
    }

    #[test]
    fn a_block_that_replaces_an_earlier_one_is_the_file() {
        let right = format!("```python\n{BODY}\n```");
        let long = "x".repeat(99);
        let wrong = format!("```python\nimport re\n\ndef f(x):\n    return x > 2  # {long}\n```");
        for words in [
            "Wait, that is wrong:",
            "Wait, that compares the wrong way.\n\nHere is the file:",
            "Oops, a mistake: it must be `<`.",
            "Actually, it has to be smaller.",
            "Here is the corrected version:",
            "**Final version:**",
            "Hier ist die korrigierte Fassung:",
        ] {
            for answer in [
                format!("{wrong}\n{words}\n{right}\n"),
                format!("{wrong}\n\n{words}\n\n```python\n{BODY}\n"),
                format!("{wrong}\n{words}\n{right}\nUse it so:\n```python\nprint(f(1))\n```\n"),
            ] {
                let found = whole_file(&answer, None, &["f"]);
                assert_eq!(found.as_deref(), Ok(FILE), "{answer}");
            }
        }
        // The right block again and again.
        let again = right.clone() + &format!("\n{right}").repeat(60);
        let found = whole_file(&again, Some(CUT_OFF), &["f"]);
        assert_eq!(found.as_deref(), Ok(FILE));
    }

    #[test]
    fn blocks_that_use_each_other_are_one_file() {
        let block = |code: &&str| format!("```python\n{code}\n```\nand\n");
        let (import, helper) = ("import re", "def near(x):\n    return x < 2");
        let f = "def f(x):\n    return near(x) and re.match('a', x)";
        for (blocks, file) in [
            (&[import, helper, f][..], &[import, helper, f][..]),
            (
                &[helper, "import re\n\ndef f(x):\n    return near(x)"],
                &[helper, "import re\n\ndef f(x):\n    return near(x)"],
            ),
            (
                &[
                    "LIMIT = 2",
                    "def f(x):\n    return x < LIMIT",
                    "print(f(2))\nshown = 1",
                ],
                &["LIMIT = 2", "def f(x):\n    return x < LIMIT"],
            ),
            (
                &[
                    "import re\nfrom dataclasses import dataclass",
                    "@dataclass\nclass Box:\n    x: int",
                    "def f(x):\n    return Box(x)",
                ],
                &[
                    "import re\nfrom dataclasses import dataclass",
                    "@dataclass\nclass Box:\n    x: int",
                    "def f(x):\n    return Box(x)",
                ],
            ),
            // The last of two; and nothing that defines what is there.
            (
                &["def near(x):\n    return x < 1", helper, import, f],
                &[helper, import, f],
            ),
            (
                &[
                    "import re\n\ndef f(x):\n    return re",
                    "import os\nfrom m import f\n\nprint(f(os.name), 'and so on')",
                ],
                &["import re\n\ndef f(x):\n    return re"],
            ),
            (
                &[
                    "def near(x):\n    return 1\n\ndef f(x):\n    return 1",
                    "import re\n\ndef f(x):\n    return near(x), 'longer than the first'",
                ],
                &["import re\n\ndef f(x):\n    return near(x), 'longer than the first'"],
            ),
        ] {
            let answer: String = blocks.iter().map(block).collect();
            let found = whole_file(&answer, None, &["f"]);
            assert_eq!(found, Ok(format!("{}\n", file.join("\n\n\n"))), "{answer}");
        }
        let tests = "```python\nimport pytest\nfrom m import f\n```\nand\n```python\ndef test_f():\n    assert f(1) == pytest.approx(1)\n```";
        let file = test_file(tests, None).unwrap();
        assert!(
            file.starts_with("import pytest\n") && file.contains("def test_f"),
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
                "<think>\n```python\ndef g(): return 1\n```\n</think>",
                false,
                "only thoughts",
            ),
            (
                "<|channel|>analysis<|message|>Hm.<|end|>",
                false,
                "only thoughts",
            ),
            (
                "```diff\n-def f(x):\n+def f(x, y):\n     return x\n```",
                false,
                "no ```python block",
            ),
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
            ("", false, "the answer is empty"),
            (
                "<refusal>\nI cannot\ndo that.\n</refusal>\n",
                false,
                "the model refuses: I cannot do that.",
            ),
            (
                "<tool_call>\n{\"arguments\": {\"path\": \"m.py\"}, \"name\": \"read_file\"}\n</tool_call>\n",
                false,
                "a call of the tool \"read_file\"",
            ),
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
    fn an_opening_fence_that_stands_there_twice_is_no_line_of_the_file() {
        for answer in [
            "```python\n```python\nx = 1\n```\n```",
            "```\n\n```python\nx = 1\n```\n```\n",
            "```markdown\n~~~python\nx = 1\n~~~\n```\nDone.",
            "```python\n```python\nx = 1\n```",
        ] {
            assert_eq!(
                whole_file(answer, None, &[]).unwrap(),
                "x = 1\n",
                "{answer}"
            );
        }
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
        let asks =
            "```python\nfrom m import f\n\nx = input()\n\ndef test_a():\n    assert f(x)\n```";
        assert!(test_file(asks, None).unwrap_err().contains("input()"));
        let nul = "```python\n\0\n\ndef test_a():\n    pass\n\ndef test_b():\n    pa";
        assert!(test_file(nul, Some(CUT_OFF)).unwrap_err().contains("NUL"));
        assert!(
            test_file("```python\nx = 1\n```", None)
                .unwrap_err()
                .contains("begins with test")
        );
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
