//! How much a user may give, whoever takes it: the command line, REST and MCP check by this one table,
//! and the `OpenAPI` document states it.

use journeyman_event::payload::TaskSubmitted;

use crate::Error;

/// Characters of a prompt, of an answer, or of an instruction.
pub const TEXT_CHARS_MAX: usize = 100_000;
/// Characters of a file that a user gives: a test, or a module's new source.
pub const SOURCE_CHARS_MAX: usize = 262_144;
/// Answers that may be given beforehand.
pub const ANSWERS_MAX: usize = 1_000;
/// Test files of one task.
pub const TESTS_MAX: usize = 100;
/// Names and patterns of tools of one task.
pub const TOOLS_MAX: usize = 100;
/// Tasks that one may wait for.
pub const DEPENDS_ON_MAX: usize = 100;
/// Bytes of everything that is given with a task, or of one request.
pub const SUBMISSION_BYTES_MAX: usize = 8 << 20;

/// Whether a user may say this.
pub fn check_text(field: &'static str, text: &str) -> Result<(), Error> {
    check(field, text, TEXT_CHARS_MAX, "say what is wanted")
}

/// Whether a user may give this file.
pub fn check_source(field: &'static str, text: &str) -> Result<(), Error> {
    check(
        field,
        text,
        SOURCE_CHARS_MAX,
        "give a file with something in it",
    )
}

fn check(field: &'static str, text: &str, chars_max: usize, advice: &str) -> Result<(), Error> {
    if text.trim().is_empty() {
        let reason = format!("it is empty; {advice}");
        return Err(Error::BadInput { field, reason });
    }
    // Most texts are shorter in bytes than they may be in characters.
    if text.len() > chars_max && text.chars().count() > chars_max {
        let reason = format!("it has more than {chars_max} characters");
        return Err(Error::TooLarge { field, reason });
    }
    Ok(())
}

/// Whether a user may give so many of something.
pub fn check_count(field: &'static str, count: usize, max: usize) -> Result<(), Error> {
    if count > max {
        let reason = format!("it has {count} entries, and {max} are taken");
        return Err(Error::TooLarge { field, reason });
    }
    Ok(())
}

/// Whether a task may be asked for so.
pub fn check_submission(content: &TaskSubmitted) -> Result<(), Error> {
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
    let answers: usize = content.answers.iter().map(String::len).sum();
    let tests: usize = content.tests.iter().map(|test| test.source.len()).sum();
    let bytes = content.prompt.len() + answers + tests;
    if bytes > SUBMISSION_BYTES_MAX {
        let limit = SUBMISSION_BYTES_MAX >> 20;
        let reason = format!("prompt, answers and tests have more than {limit} MiB together");
        return Err(Error::TooLarge {
            field: "tests",
            reason,
        });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use journeyman_event::payload::{GivenTest, TestOrigin};

    use super::*;

    fn at_fault(change: impl FnOnce(&mut TaskSubmitted)) -> Option<&'static str> {
        let mut content = TaskSubmitted::of("a prompt");
        change(&mut content);
        match check_submission(&content).err()? {
            Error::BadInput { field, .. } | Error::TooLarge { field, .. } => Some(field),
            other => panic!("{other}"),
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
        // Each: what is given so many of, and the field that is too large with one more.
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
}
