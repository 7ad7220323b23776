//! What `run` and `resume` ask for: the task and its limits, read from the command line, and what is said
//! of it before work begins.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use journeyman_agent::limits::{
    SOURCE_CHARS_MAX, TEXT_CHARS_MAX, check_source, check_submission, check_text,
};
use journeyman_agent::{
    examples_notice, left_out_notice, prompt_note, prompt_problem, test_file_problem,
    tests_in_prompt,
};
use journeyman_event::payload::{GivenTest, Limits, TaskSubmitted, TestOrigin};
use journeyman_event::{TaskState, Tokens};

use crate::cli::{LimitArgs, RunArgs};
use crate::exit::UsageError;

/// No file that fits has more bytes: none is read to see that.
const TEST_BYTES_MAX: u64 = 4 * SOURCE_CHARS_MAX as u64;

/// What is said of a task before it is submitted: what is made of its prompt, and what is not.
pub(super) fn remarks(content: &TaskSubmitted) -> Vec<String> {
    let examples = examples_notice(&content.tests);
    let examples = examples.map(|notice| format!("{notice} (--no-examples leaves them alone)"));
    let files = files_named(&content.prompt, Path::new("."));
    let files = (!files.is_empty()).then(|| {
        format!(
            "not read: {}; what is to be known of them has to stand in the prompt",
            files.join(", ")
        )
    });
    let left_out = left_out_notice(content);
    [examples, left_out, prompt_note(&content.prompt), files]
        .into_iter()
        .flatten()
        .collect()
}

/// The files of a folder that a prompt names.
fn files_named(prompt: &str, folder: &Path) -> Vec<String> {
    let words = prompt.split(|c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | '(' | ')' | ':')
    });
    let mut files: Vec<String> = Vec::new();
    for word in words.map(|word| word.trim_end_matches(['.', ';', '!', '?'])) {
        let is_name = word.rsplit_once('.').is_some_and(|(stem, ending)| {
            !stem.is_empty()
                && !ending.is_empty()
                && ending.bytes().all(|b| b.is_ascii_alphanumeric())
        });
        if is_name && !files.iter().any(|file| file == word) && folder.join(word).is_file() {
            files.push(word.to_owned());
        }
    }
    files
}

pub(super) fn submission(args: RunArgs) -> anyhow::Result<TaskSubmitted> {
    let prompt = if args.prompt == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(4 * TEXT_CHARS_MAX as u64 + 1)
            .read_to_string(&mut text)
            .context("cannot read the prompt from standard input")?;
        text
    } else {
        args.prompt
    };
    let usage = |error: journeyman_agent::Error| UsageError(error.to_string());
    check_text("prompt", &prompt).map_err(usage)?; // tests are looked for in it
    if let Some(problem) = prompt_problem(&prompt) {
        return Err(UsageError(format!("this prompt is not worked on: {problem}")).into());
    }
    let mut tests = if args.no_examples {
        Vec::new()
    } else {
        tests_in_prompt(&prompt)
    };
    for path in &args.tests {
        let test = given_test(path)?;
        if tests.iter().any(|other| other.name == test.name) {
            let text = format!("two test files are called {}; rename one", test.name);
            return Err(UsageError(text).into());
        }
        tests.push(test);
    }
    let out = args.out.as_deref().map(absolute).transpose()?;
    let content = TaskSubmitted {
        language: args.language.as_str().to_owned(),
        tests,
        limits: limits(Limits::default(), &args.limits),
        out,
        priority: args.priority,
        ask: args.ask,
        review: args.review,
        no_examples: args.no_examples,
        ..TaskSubmitted::of(prompt)
    };
    check_submission(&content).map_err(usage)?;
    Ok(content)
}

pub(super) fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)
        .map_err(|error| UsageError(format!("--out {:?}: {error}", path.display().to_string())))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| UsageError(format!("--out {} is not UTF-8", path.display())).into())
}

/// A test file of the user's. Its name goes into the result, so it must be a plain one.
fn given_test(path: &PathBuf) -> anyhow::Result<GivenTest> {
    let refuse = |why: String| UsageError(format!("--tests {}: {why}", path.display()));
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
    if !plain
        || Path::new(name)
            .extension()
            .is_none_or(|ending| ending != "py")
    {
        return Err(
            refuse("a name of letters, digits and _ that ends in .py is needed".into()).into(),
        );
    }
    let meta = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if meta.len() > TEST_BYTES_MAX {
        return Err(refuse(format!("it has more than {SOURCE_CHARS_MAX} characters")).into());
    }
    let source = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    check_source("tests", &source).map_err(|error| refuse(error.to_string()))?;
    if let Some(problem) = test_file_problem(&source) {
        return Err(refuse(problem).into());
    }
    Ok(GivenTest {
        name: name.to_owned(),
        origin: TestOrigin::File,
        source,
    })
}

pub(crate) fn limits(base: Limits, args: &LimitArgs) -> Limits {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Limits {
        tokens_max: args.budget_tokens.map(Tokens).or(base.tokens_max),
        iterations_max: args.max_iterations.unwrap_or(base.iterations_max),
        active_ms_max: args.timeout.map_or(base.active_ms_max, ms),
    }
}

pub(super) fn changed_limits(state: &TaskState, args: &LimitArgs) -> Option<Limits> {
    let new = limits(state.limits, args);
    (new != state.limits).then_some(new)
}

pub(super) fn is_larger(state: &TaskState, new: &Limits) -> bool {
    let modules = state.modules.len();
    new.tokens(modules) > state.limits.tokens(modules)
        || new.active_ms_max > state.limits.active_ms_max
}
