//! Checks a property against generated values, for tests that feed arbitrary input to a parser.
//!
//! Purpose: the fuzz targets of every crate run a few hundred cases in each test run, and for any length of time by
//! hand: `JOURNEYMAN_FUZZ_SECONDS=600 cargo test --workspace fuzz`. Floor 1; the product must not depend on it.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Checks a property against `cases` values of a strategy. If the environment variable
/// `JOURNEYMAN_FUZZ_SECONDS` is set, continues with as many again until that many seconds have passed. Nothing
/// is stored between runs.
///
/// # Panics
///
/// If the property does not hold, with the smallest value found for which it does not. Also if the variable is
/// not a whole number.
pub fn fuzz<S: Strategy<Value: Debug>>(
    cases: u32,
    strategy: &S,
    law: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let time = Duration::from_secs(seconds());
    let start = Instant::now();
    loop {
        let config = Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        };
        if let Err(error) = TestRunner::new(config).run(strategy, &law) {
            panic!("{error}");
        }
        if start.elapsed() >= time {
            return;
        }
    }
}

fn seconds() -> u64 {
    let Ok(text) = std::env::var("JOURNEYMAN_FUZZ_SECONDS") else {
        return 0;
    };
    let read = text.parse();
    read.unwrap_or_else(|_| {
        panic!("JOURNEYMAN_FUZZ_SECONDS is {text:?}, not a whole number of seconds")
    })
}

/// A strategy for text assembled at random from pieces of prompts and answers: block markers, Python code and
/// transcripts, spaces, unusual characters, and arbitrary text.
pub fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "```", "````", "```python", "```python\n", "~~~", "`", "\n", "\n\n", "\r\n", "\r", "    ", "\t", " ",
            "def test_a():\n", "def ", "\ndef ", "class A:\n", "async def f():", "import re\n", "from a.b import c\n",
            "import a.b, c as d", "@", "\"\"\"", "'''", "#!", ">>> f(1)\n", ">>>", ">>> ", "... ", "assert ",
            "assert f(1) == 2", "assert f([1", "x = 1\n", "return 1\n", "test", "(", ")", "{", "}", "[", "]", "\0",
            "\u{a0}", "\u{3000}", "\u{2028}", "é", "🦀", "\u{feff}", "\u{1}", "not ", "f(", "solution",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[a-z_]{1,8}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}
