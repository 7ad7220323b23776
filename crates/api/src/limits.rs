//! The limits of user input. The command line, REST and MCP all check these, and the `OpenAPI` document states
//! them.

use std::num::NonZeroU32;
use std::time::Duration;

use journeyman_event::Tokens;
use journeyman_event::payload::{Limits, TaskSubmitted};

use crate::hooks::check_webhook;
use crate::json::Whole;
use crate::knowledge::GraphQuery;
use crate::problem::Problem;

/// The most characters of a prompt, an answer or an instruction.
pub const TEXT_CHARS_MAX: usize = 100_000;
/// The most characters of a file given by a user: a test, or a module's new source.
pub const SOURCE_CHARS_MAX: usize = 262_144;
/// The most answers given in advance.
pub const ANSWERS_MAX: usize = 1_000;
/// The most test files per task.
pub const TESTS_MAX: usize = 100;
/// The most names and patterns of tools per task.
pub const TOOLS_MAX: usize = 100;
/// The most dependencies per task.
pub const DEPENDS_ON_MAX: usize = 100;
/// The most bytes of a submission with all of its files, or of any request.
pub const SUBMISSION_BYTES_MAX: usize = 8 << 20;
/// The longest wait for a place in the queue, in milliseconds.
pub const PLACE_WAIT_MS_MAX: u64 = 600_000;
/// The highest limit of working time, in seconds: a year.
pub const TIMEOUT_S_MAX: f64 = 31_536_000.0;
/// The highest token budget of a task.
pub const TOKEN_BUDGET_MAX: u64 = 1_000_000_000_000;
/// The highest limit of code versions per module.
pub const ITERATIONS_MAX: u32 = 1_000;
/// The most characters of the id or text that names a question.
pub const QUESTION_CHARS_MAX: usize = 10_000;
/// The most characters of the reason of an erasure.
pub const REASON_CHARS_MAX: usize = 200;
/// The most characters of the label of a project or the name of a key.
pub const LABEL_CHARS_MAX: usize = 100;
/// The most tasks or events on one page.
pub const PAGE_MAX: usize = 1_000;
/// The most characters of a search, or of the focus of a graph.
pub const WORDS_CHARS_MAX: usize = 2_000;
/// The most relations from the focus of a graph.
pub const GRAPH_DEPTH_MAX: usize = 3;
/// The largest token budget of the nodes related to the focus of a graph.
pub const GRAPH_TOKENS_MAX: u64 = 1_000_000;
/// The longest wait for an event, in milliseconds: shorter than the usual timeouts of clients.
pub const EVENT_WAIT_MS_MAX: u64 = 50_000;
/// The largest length of a webhook's URL, or of a reference to it, in bytes.
pub const WEBHOOK_URL_BYTES_MAX: usize = 2_048;
/// The largest number of event filters of a webhook.
pub const WEBHOOK_EVENTS_MAX: usize = 32;
/// The most tool calls in one request.
pub const STEPS_MAX: usize = 16;
/// The highest number of tasks that may run at once, and of workers that start them.
pub const CONCURRENT_MAX: usize = 1_000;

/// Why an input was rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// A value is invalid.
    #[error("field `{field}`: {reason}")]
    Bad {
        /// The name of the field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A value is too large.
    #[error("field `{field}`: {reason}; shorten it")]
    TooLarge {
        /// The name of the field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl From<LimitError> for Problem {
    fn from(error: LimitError) -> Self {
        let detail = error.to_string();
        match error {
            LimitError::Bad { field, .. } => Self::field(field, detail),
            LimitError::TooLarge { field, .. } => Self::too_large(detail).of_field(field),
        }
    }
}

/// Checks a text given by a user.
pub fn check_text(field: &'static str, text: &str) -> Result<(), LimitError> {
    check(field, text, TEXT_CHARS_MAX, "say what is wanted")
}

/// Checks a file given by a user.
pub fn check_source(field: &'static str, text: &str) -> Result<(), LimitError> {
    check(
        field,
        text,
        SOURCE_CHARS_MAX,
        "give a file with something in it",
    )
}

fn check(
    field: &'static str,
    text: &str,
    chars_max: usize,
    advice: &str,
) -> Result<(), LimitError> {
    if text.trim().is_empty() {
        let reason = format!("it is empty; {advice}");
        return Err(LimitError::Bad { field, reason });
    }
    // Most texts are shorter in bytes than they may be in characters.
    if text.len() > chars_max && text.chars().count() > chars_max {
        let reason = format!("it has more than {chars_max} characters");
        return Err(LimitError::TooLarge { field, reason });
    }
    Ok(())
}

/// Checks the reason of an erasure.
pub fn check_reason(reason: &str) -> Result<(), LimitError> {
    check(
        "reason",
        reason,
        REASON_CHARS_MAX,
        "say why, or leave it out",
    )
}

/// Checks the label of a project or the name of a key: it becomes the name of an account in budgets.
pub fn check_label(field: &'static str, label: &str) -> Result<(), LimitError> {
    let mut bytes = label.bytes();
    let is_valid = bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte))
        && label.len() <= LABEL_CHARS_MAX;
    if is_valid {
        return Ok(());
    }
    Err(LimitError::Bad {
        field,
        reason: format!(
            "it is 1 to {LABEL_CHARS_MAX} letters, digits or any of . _ : / -, and begins with a letter or a digit"
        ),
    })
}

/// Checks the number of entries that a user gave.
pub fn check_count(field: &'static str, count: usize, max: usize) -> Result<(), LimitError> {
    if count > max {
        let reason = format!("it has {count} entries, and {max} are taken");
        return Err(LimitError::TooLarge { field, reason });
    }
    Ok(())
}

/// The checked content of a task: nothing in it is empty or too large.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedTask(TaskSubmitted);

impl CheckedTask {
    /// Checks content against the limits of this module.
    pub fn new(content: TaskSubmitted) -> Result<Self, LimitError> {
        check_submission(&content)?;
        Ok(Self(content))
    }

    /// The content of the task.
    pub fn content(&self) -> &TaskSubmitted {
        &self.0
    }

    /// The content of the task, to be recorded.
    pub fn into_content(self) -> TaskSubmitted {
        self.0
    }
}

fn check_submission(content: &TaskSubmitted) -> Result<(), LimitError> {
    check_text("prompt", &content.prompt)?;
    check_count("answers", content.answers.len(), ANSWERS_MAX)?;
    for answer in &content.answers {
        check_text("answers", answer)?;
    }
    check_count("tests", content.tests.len(), TESTS_MAX)?;
    for test in &content.tests {
        check_source("tests", &test.source)?;
    }
    check_count("tools", content.tools.iter().flatten().count(), TOOLS_MAX)?;
    check_count("depends_on", content.depends_on.len(), DEPENDS_ON_MAX)?;
    if let Some(webhook) = &content.webhook {
        check_webhook(webhook)?;
    }
    if let Some(project) = &content.project {
        check_label("project", project)?;
    }
    let answers: usize = content.answers.iter().map(String::len).sum();
    let tests: usize = content.tests.iter().map(|test| test.source.len()).sum();
    let bytes = content.prompt.len() + answers + tests;
    if bytes > SUBMISSION_BYTES_MAX {
        let limit = SUBMISSION_BYTES_MAX >> 20;
        let reason = format!("prompt, answers and tests have more than {limit} MiB together");
        return Err(LimitError::TooLarge {
            field: "tests",
            reason,
        });
    }
    Ok(())
}

/// The limits in a request, with those of `base` for what it does not state.
pub fn changed_limits(
    base: Limits,
    budget: Option<Whole>,
    timeout: Option<f64>,
    max_iterations: Option<Whole>,
) -> Result<Limits, Problem> {
    if budget.is_some_and(|Whole(tokens)| tokens == 0 || tokens > TOKEN_BUDGET_MAX) {
        let detail = format!("`budget` is a number of tokens from 1 to {TOKEN_BUDGET_MAX}");
        return Err(Problem::field("budget", detail));
    }
    let iterations_max = match max_iterations {
        None => base.iterations_max,
        Some(Whole(max)) => {
            let small = u32::try_from(max).ok().filter(|&max| max <= ITERATIONS_MAX);
            small.and_then(NonZeroU32::new).ok_or_else(|| {
                let detail = format!("`max_iterations` is a number from 1 to {ITERATIONS_MAX}");
                Problem::field("max_iterations", detail)
            })?
        }
    };
    let bad_timeout = || {
        let detail = format!("`timeout` is a number of seconds from 0 to {TIMEOUT_S_MAX}");
        Problem::field("timeout", detail)
    };
    let active_ms_max = match timeout {
        None => base.active_ms_max,
        Some(seconds) if (0.0..=TIMEOUT_S_MAX).contains(&seconds) => {
            let time = Duration::try_from_secs_f64(seconds).map_err(|_| bad_timeout())?;
            u64::try_from(time.as_millis()).map_err(|_| bad_timeout())?
        }
        Some(_) => return Err(bad_timeout()),
    };
    Ok(Limits {
        tokens_max: budget
            .map(|Whole(tokens)| Tokens(tokens))
            .or(base.tokens_max),
        iterations_max,
        active_ms_max,
    })
}

/// The size of a page: the requested one, or `usual`.
pub fn page_limit(limit: Option<usize>, usual: usize) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(usual);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("`limit` is a number from 1 to {PAGE_MAX}");
    Err(Problem::field("limit", detail))
}

/// How long to wait, in milliseconds; 0 by default.
pub fn wait_ms(wait_ms: Option<u64>, max: u64) -> Result<u64, Problem> {
    let wait_ms = wait_ms.unwrap_or(0);
    if wait_ms <= max {
        return Ok(wait_ms);
    }
    let detail = format!("`wait_ms` is a number from 0 to {max}");
    Err(Problem::field("wait_ms", detail))
}

/// Checks the bounds of a query of a graph, also of parts that have no effect without others.
pub fn check_graph_query(query: &GraphQuery) -> Result<(), Problem> {
    check_word("focus", query.focus.as_deref(), WORDS_CHARS_MAX)?;
    check_word("search", query.search.as_deref(), WORDS_CHARS_MAX)?;
    let depths = 1..=GRAPH_DEPTH_MAX;
    if query.depth.is_some_and(|depth| !depths.contains(&depth)) {
        let detail = format!("`depth` is a number from 1 to {GRAPH_DEPTH_MAX}");
        return Err(Problem::field("depth", detail));
    }
    if query.tokens.is_some_and(|tokens| tokens > GRAPH_TOKENS_MAX) {
        let detail = format!("`tokens` is a number from 0 to {GRAPH_TOKENS_MAX}");
        return Err(Problem::field("tokens", detail));
    }
    Ok(())
}

/// Checks a word to search for, if one is given.
pub fn check_word(field: &str, word: Option<&str>, chars_max: usize) -> Result<(), Problem> {
    if word.is_none_or(|word| (1..=chars_max).contains(&word.chars().count())) {
        return Ok(());
    }
    let detail = format!("`{field}` has 1 to {chars_max} characters");
    Err(Problem::field(field, detail))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use journeyman_event::payload::{GivenTest, TestOrigin};

    use super::*;

    fn at_fault(change: impl FnOnce(&mut TaskSubmitted)) -> Option<&'static str> {
        let mut content = TaskSubmitted::of("a prompt");
        change(&mut content);
        match CheckedTask::new(content).err()? {
            LimitError::Bad { field, .. } | LimitError::TooLarge { field, .. } => Some(field),
        }
    }

    fn test(source: String) -> GivenTest {
        GivenTest {
            name: "test_it.py".to_owned(),
            origin: TestOrigin::File,
            source,
        }
    }

    #[test]
    fn what_is_at_a_limit_is_taken_and_one_more_is_not() {
        // Each: sets the number of one kind of value, and the field that is reported if there is one too many.
        type Give = fn(&mut TaskSubmitted, usize);
        let table: [(&str, usize, Give); 6] = [
            ("prompt", TEXT_CHARS_MAX, |c, n| c.prompt = "ä".repeat(n)),
            ("answers", TEXT_CHARS_MAX, |c, n| {
                c.answers = vec!["ä".repeat(n)];
            }),
            ("answers", ANSWERS_MAX, |c, n| {
                c.answers = vec!["a".to_owned(); n];
            }),
            ("tests", SOURCE_CHARS_MAX, |c, n| {
                c.tests = vec![test("ä".repeat(n))];
            }),
            ("tests", TESTS_MAX, |c, n| {
                c.tests = vec![test("x".to_owned()); n];
            }),
            ("tools", TOOLS_MAX, |c, n| {
                c.tools = Some(vec!["*".to_owned(); n]);
            }),
        ];
        for (field, max, give) in table {
            assert_eq!(
                at_fault(|content| give(content, max)),
                None,
                "{field} {max}"
            );
            let more = at_fault(|content| give(content, max + 1));
            assert_eq!(more, Some(field), "{field} {max}");
        }
    }

    #[test]
    fn everything_together_is_bounded_too() {
        let many = |bytes: usize| {
            move |content: &mut TaskSubmitted| {
                content.tests = vec![test("x".repeat(SOURCE_CHARS_MAX)); bytes / SOURCE_CHARS_MAX];
                content.prompt = "p".to_owned();
            }
        };
        assert_eq!(
            at_fault(many(SUBMISSION_BYTES_MAX - SOURCE_CHARS_MAX)),
            None
        );
        assert_eq!(at_fault(many(SUBMISSION_BYTES_MAX)), Some("tests"));
    }

    #[test]
    fn nothing_is_given_empty() {
        assert_eq!(at_fault(|c| c.prompt = " \n".to_owned()), Some("prompt"));
        assert_eq!(
            at_fault(|c| c.answers = vec![String::new()]),
            Some("answers")
        );
        assert_eq!(
            at_fault(|c| c.tests = vec![test(" ".to_owned())]),
            Some("tests")
        );
    }

    #[test]
    fn limits_are_taken_up_to_their_bounds_and_what_is_not_said_stays() {
        let base = Limits::default();
        let given = |budget, timeout, iterations| {
            let (budget, iterations): (Option<u64>, Option<u64>) = (budget, iterations);
            changed_limits(base, budget.map(Whole), timeout, iterations.map(Whole))
        };
        assert_eq!(given(None, None, None), Ok(base));
        let largest = given(Some(TOKEN_BUDGET_MAX), Some(TIMEOUT_S_MAX), Some(1_000)).unwrap();
        assert_eq!(largest.tokens_max, Some(Tokens(TOKEN_BUDGET_MAX)));
        assert_eq!(largest.active_ms_max, 31_536_000_000);
        assert_eq!(largest.iterations_max.get(), ITERATIONS_MAX);
        let smallest = given(Some(1), Some(0.0), Some(1)).unwrap();
        assert_eq!(smallest.active_ms_max, 0);
        for (bad, field) in [
            (given(Some(0), None, None), "budget"),
            (given(Some(TOKEN_BUDGET_MAX + 1), None, None), "budget"),
            (given(None, Some(-0.1), None), "timeout"),
            (given(None, Some(TIMEOUT_S_MAX + 1.0), None), "timeout"),
            (given(None, Some(f64::NAN), None), "timeout"),
            (given(None, None, Some(0)), "max_iterations"),
            (given(None, None, Some(1_001)), "max_iterations"),
        ] {
            assert_eq!(bad.unwrap_err().field.as_deref(), Some(field));
        }
    }

    #[test]
    fn pages_waits_and_words_are_bounded() {
        assert_eq!(page_limit(None, 50), Ok(50));
        assert_eq!(page_limit(Some(PAGE_MAX), 50), Ok(PAGE_MAX));
        assert!(page_limit(Some(0), 50).is_err() && page_limit(Some(PAGE_MAX + 1), 50).is_err());
        assert_eq!(wait_ms(None, 5), Ok(0));
        assert_eq!(wait_ms(Some(5), 5), Ok(5));
        assert!(wait_ms(Some(6), 5).is_err());
        let word = |word: &str| check_word("kind", Some(word), 2).is_ok();
        assert_eq!([word(""), word("ää"), word("äää")], [false, true, false]);
        assert!(check_word("kind", None, 2).is_ok());
    }
}
