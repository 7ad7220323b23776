//! Messages about the examples in a prompt: those that are run, those that are not, and those that may be wrong.

use std::collections::BTreeSet;

use journeyman_event::payload::{GivenTest, TaskSubmitted};
use journeyman_event::state::ModuleState;
use journeyman_language::{Language, of_submission};

/// A message about lines of a prompt that look like tests but are not run. `None` if there are none, or if the
/// user wants none to be run.
pub fn left_out_notice(task: &TaskSubmitted) -> Option<String> {
    (!task.no_examples).then(|| of_submission(task).examples(&task.prompt).left_out)?
}

/// A message about the examples found in a prompt; `None` if there are none.
pub fn examples_notice(language: &dyn Language, tests: &[GivenTest]) -> Option<String> {
    /// The most examples named.
    const NAMED_MAX: usize = 3;
    let all = language.examples_in_short(tests);
    let (first, count) = (all.first()?, all.len());
    let mut text = if count == 1 {
        format!("1 example of your prompt is run: {first}")
    } else {
        let named = all.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>();
        format!(
            "{count} examples of your prompt are run: {}",
            named.join("; ")
        )
    };
    if count > NAMED_MAX {
        text.push_str("; ...");
    }
    Some(text)
}

/// A message about an example in the prompt that every version fails while all of them agree on a different
/// result; the example is then as doubtful as the code. `None` if there is none, or if there is only one
/// version.
pub(crate) fn doubtful_example(
    language: &dyn Language,
    tests: &[GivenTest],
    module: &ModuleState,
) -> Option<String> {
    let failing = module.runs.last()?.tests.iter().filter(|test| !test.passed);
    failing.into_iter().find_map(|failing| {
        let example = language.example_behind(tests, &failing.name)?;
        let (mut versions, mut results) = (BTreeSet::new(), BTreeSet::new());
        for run in &module.runs {
            let Some(test) = run.tests.iter().find(|test| test.name == failing.name) else {
                continue;
            };
            if test.passed {
                return None;
            }
            let version = run.version_of(&module.plan.name);
            let code = module.versions.iter().find(|code| Some(code.version) == version)?;
            versions.insert(code.source.as_str());
            results.insert(language.result_shown(&test.message));
        }
        let result = results.pop_first().filter(|result| !result.is_empty() && results.is_empty())?;
        (versions.len() > 1).then(|| {
            format!(
                "no version passes the example `{example}` of the prompt, and all {} agree against it \
                 ({result}): the example may be wrong",
                versions.len()
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use journeyman_event::payload::TestOrigin;
    use journeyman_language::python::Python;

    use super::*;

    #[test]
    fn an_example_that_all_versions_agree_against_is_doubted() {
        use journeyman_event::payload::{PlanningComplete, TestResult};
        use journeyman_event::state::{CodeVersion, TestRun};
        let tests = Python.examples("Write f(x).\nassert f(1) == 3\n").tests;
        let plan: PlanningComplete =
            crate::plan::plan_of_answer(&Python, r#"{"modules":[{"name":"m"}]}"#, "", &tests)
                .unwrap();
        let module = |messages: &[&str]| {
            let mut module = ModuleState::new(plan.modules[0].clone());
            for (version, message) in (1..).zip(messages) {
                let source = format!("# {version}\n");
                let hash = journeyman_event::ContentHash::of(source.as_bytes());
                module.versions.push(CodeVersion {
                    version,
                    hash,
                    source,
                    origin: journeyman_event::payload::CodeOrigin::Generated,
                    clock: journeyman_event::VectorClock::default(),
                });
                module.runs.push(TestRun {
                    scope: journeyman_event::payload::TestScope::Module,
                    origin: TestOrigin::File,
                    files: Vec::new(),
                    code: vec![journeyman_event::payload::CodeUnderTest {
                        module: plan.modules[0].name.clone(),
                        version,
                        hash,
                    }],
                    tests_version: 0,
                    basis: None,
                    failure: None,
                    tests: vec![TestResult {
                        name: "tests/test_assertions.py::test_assertion_1".to_owned(),
                        passed: message.is_empty(),
                        message: format!("in f\n{message}"),
                    }],
                    idle: Vec::new(),
                    skipped: Vec::new(),
                    broken_tests: false,
                    output: String::new(),
                    clock: journeyman_event::VectorClock::default(),
                    outcome: None,
                    sequence: None,
                });
            }
            module
        };
        for (messages, doubted) in [
            (&["E   assert 2 == 3", "E   assert 2 == 3"][..], true),
            (&["E   assert 2 == 3", "E   assert 4 == 3"], false),
            (&["E   assert 2 == 3"], false),
            (&["", "E   assert 2 == 3", "E   assert 2 == 3"], false),
            (&["E   assert 2 == 3", ""], false),
        ] {
            let doubt = doubtful_example(&Python, &tests, &module(messages));
            assert_eq!(doubt.is_some(), doubted, "{messages:?}");
            assert!(
                doubt.is_none_or(
                    |said| said.contains("`f(1) == 3`") && said.contains("assert 2 == 3")
                )
            );
        }
    }

    #[test]
    fn what_was_taken_is_told_in_one_line() {
        let tests = Python
            .examples("assert f(1) == 2\nassert f(2) == 3\n>>> f(3)\n4\n")
            .tests;
        let notice = examples_notice(&Python, &tests).unwrap();
        assert_eq!(
            notice,
            "3 examples of your prompt are run: f(3) -> 4; f(1) == 2; f(2) == 3"
        );
        assert_eq!(examples_notice(&Python, &[]), None);
    }

    #[test]
    fn what_looks_like_an_example_and_is_not_run_is_told_with_the_reason() {
        let said = |prompt: &str| left_out_notice(&TaskSubmitted::of(prompt));
        assert_eq!(said("Write f(x).\nassert f(1) == 2\n"), None);
        assert_eq!(
            said("Write f(x).\nassert f(y) == 2\n").as_deref(),
            Some(
                "1 example of your prompt is not run:\n- `assert f(y) == 2`: something beside it may take it back, or it \
                 needs what the prompt does not have\nTo run one, end the prompt with a line `Examples:` and, below it, \
                 plain calls with their results, or give a test file"
            )
        );
        let twice = said("Write f(x).\n>>> f(1)\n2\n\n>>> f(1)\n3\n").unwrap_or_default();
        let of_each = "\n- `>>> f(1)`: the prompt gives this call different results";
        assert_eq!(twice.matches(of_each).count(), 2, "{twice}");
        let mut task = TaskSubmitted::of("Write f(x).\nassert f(y) == 2\n");
        task.no_examples = true;
        assert_eq!(left_out_notice(&task), None);
    }
}
