//! The input of `run` and `resume`: the task and its limits, parsed from the command line, and notices before work
//! starts.

use std::io::Read;
use std::path::Path;
use std::string::FromUtf8Error;
use std::time::Duration;

use anyhow::Context;
use journeyman_api::limits::{SOURCE_CHARS_MAX, TEXT_CHARS_MAX, check_source, check_text};
use journeyman_api::{CheckedTask, LimitError};
use journeyman_event::payload::{GivenTest, Limits, TaskSubmitted, TaskWebhook};
use journeyman_event::{TaskState, Tokens, TraceContext};
use journeyman_language::find;
use journeyman_workflow::{GivenTests, is_plain_question, prompt_problem};

use crate::cli::{LimitArgs, RunArgs, WebhookArgs};
use crate::exit::UsageError;

/// No file that fits has more bytes: none is read to see that.
const TEST_BYTES_MAX: u64 = 4 * SOURCE_CHARS_MAX as u64;

/// Notices about a task before it is submitted, besides those about its examples.
pub(super) fn remarks(content: &TaskSubmitted) -> Vec<String> {
    let mut files = files_named(&content.prompt, Path::new("."));
    // A file that was given as a test was read, by whatever path the prompt names it.
    files.retain(|file| {
        let text = std::fs::read_to_string(file).ok();
        let is_it = |test: &GivenTest| text.as_ref() == Some(&test.source);
        !content.tests.iter().any(is_it)
    });
    let files = (!files.is_empty()).then(|| {
        format!(
            "not read: {}; what is to be known of them has to stand in the prompt",
            files.join(", ")
        )
    });
    let is_question = content.tests.is_empty() && is_plain_question(&content.prompt);
    let question = is_question.then(|| {
        "a plain question: the model answers it in words, and nothing is written or run".to_owned()
    });
    question.into_iter().chain(files).collect()
}

/// The files of a folder that a prompt mentions.
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

/// The submission, and notices about what was changed.
pub(super) fn submission(
    args: RunArgs,
    tools: Option<Vec<String>>,
    trace: Option<TraceContext>,
) -> anyhow::Result<(CheckedTask, Vec<String>)> {
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
    let usage = |error: LimitError| UsageError(error.to_string());
    check_text("prompt", &prompt).map_err(usage)?; // tests are looked for in it
    if let Some(problem) = prompt_problem(&prompt) {
        return Err(UsageError(format!("this prompt cannot be worked on: {problem}")).into());
    }
    let language = find(&args.language).map_err(|error| UsageError(error.to_string()))?;
    let mut tests = if args.no_examples {
        GivenTests::without_examples(language, &prompt)
    } else {
        GivenTests::of_prompt(language, &prompt, Some("--no-examples leaves them alone"))
    };
    for path in &args.tests {
        add_test(&mut tests, path)?;
    }
    let (tests, notes) = tests
        .finish()
        .map_err(|problem| UsageError(format!("--tests: {problem}")))?;
    let out = args.out.as_deref().map(absolute).transpose()?;
    let content = TaskSubmitted {
        language: language.name().to_owned(),
        tests,
        limits: limits(Limits::default(), &args.limits),
        out,
        priority: args.priority,
        ask: args.ask,
        review: args.review,
        summaries: args.summaries,
        no_examples: args.no_examples,
        tools,
        webhook: webhook(args.webhook),
        project: args.project,
        trace,
        ..TaskSubmitted::of(prompt)
    };
    Ok((CheckedTask::new(content).map_err(usage)?, notes))
}

/// The webhook of the task, unchecked.
fn webhook(args: WebhookArgs) -> Option<TaskWebhook> {
    Some(TaskWebhook {
        url: args.webhook?,
        events: args.webhook_event,
        secret: args.webhook_secret,
    })
}

pub(super) fn absolute(path: &Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)
        .map_err(|error| UsageError(format!("--out {:?}: {error}", path.display().to_string())))?;
    path.into_os_string()
        .into_string()
        .map_err(|path| UsageError(format!("--out {} is not UTF-8", path.display())).into())
}

/// Adds a user's test file.
fn add_test(tests: &mut GivenTests<'_>, path: &Path) -> anyhow::Result<()> {
    let refuse = |why: String| UsageError(format!("--tests {}: {why}", path.display()));
    let meta = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?;
    if !meta.is_file() {
        // A pipe would be waited for.
        return Err(refuse("it is no file".to_owned()).into());
    }
    if meta.len() > TEST_BYTES_MAX {
        return Err(refuse(format!("it has more than {SOURCE_CHARS_MAX} characters")).into());
    }
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let source = String::from_utf8(bytes).map_err(|error| refuse(not_utf8(path, &error)))?;
    check_source("tests", &source).map_err(|error| refuse(error.to_string()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let shown = path.display().to_string();
    Ok(tests.add(&name, &shown, source).map_err(refuse)?)
}

/// Where a file is not valid UTF-8, and what to do about it.
fn not_utf8(path: &Path, error: &FromUtf8Error) -> String {
    let (bytes, at) = (error.as_bytes(), error.utf8_error().valid_up_to());
    let line = bytes[..at].split(|byte| *byte == b'\n').count();
    let encoding = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16",
        _ => "LATIN1",
    };
    format!(
        "line {line} has the byte 0x{:02X}, which is no UTF-8; convert the file, such as with \
         `iconv -f {encoding} -t UTF-8 {}`",
        bytes.get(at).copied().unwrap_or_default(),
        path.display()
    )
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
    new.token_budget(modules) > state.limits.token_budget(modules)
        || new.active_ms_max > state.limits.active_ms_max
}
