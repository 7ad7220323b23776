//! Decides whether passed given tests show that the code does what was asked, and if not, why. A pure function of
//! the state. `decide` uses it to end a task, and the summary reports it.

use journeyman_event::TaskState;
use journeyman_event::payload::TestOrigin;
use journeyman_event::state::TestRun;
use journeyman_language::{leaves_examples, of_task};

use crate::effects::first_chars;
use crate::layout::{given_names, module_path};

/// How many characters of what a user said are shown.
const SAID_CHARS_MAX: usize = 200;

/// Why a task whose given tests passed is not verified, as a complete clause; `None` if it is verified.
///
/// At least one given test must have run, passed, and be able to fail. A test that also passes if every
/// function returns a wrong value is not enough, even if it would fail on an exception, because code that does
/// nothing raises none. Passed tests also prove nothing if the code can detect that it is being tested, or
/// returns objects that are equal to everything.
pub(crate) fn unproven(state: &TaskState, run: &TestRun) -> Option<String> {
    evasion(state)
        .or_else(|| shows_nothing(state, run))
        .or_else(|| corrected_later(state))
}

/// A message about tests that cannot be loaded whatever the code is.
pub(crate) fn broken_tests(run: &TestRun) -> String {
    let tests = match run.origin {
        TestOrigin::File => "the given tests",
        TestOrigin::Examples | TestOrigin::Assertions | TestOrigin::Code => {
            "the examples of the prompt"
        }
        TestOrigin::Generated => "the generated tests",
    };
    format!(
        "{tests} cannot be loaded, and the code has no part in it: {}",
        run.output.trim()
    )
}

fn shows_nothing(state: &TaskState, run: &TestRun) -> Option<String> {
    let is_given = given_names(state);
    let passed = || {
        run.tests
            .iter()
            .filter(|test| test.passed && is_given(&test.name))
    };
    if passed().any(|test| !run.idle.contains(&test.name)) {
        return None;
    }
    Some(if passed().next().is_none() {
        "every given test was skipped or may fail, and none of them shows anything".to_owned()
    } else {
        "every given test passes also where the functions of the code return something wrong"
            .to_owned()
    })
}

/// What the user said after the examples of the prompt were taken, if it may take them back. They are run as they are.
/// Answers to questions are part of the request.
fn corrected_later(state: &TaskState) -> Option<String> {
    let examples = of_task(state).examples_in_short(state.given_tests());
    if examples.is_empty() {
        return None;
    }
    let submission = state.submission.as_ref();
    let is_answer = |said: &String| {
        let mut questions = state.questions.iter();
        questions.any(|question| said.starts_with(&question.text))
            || submission.is_some_and(|task| task.answers.contains(said))
    };
    let mut later = state.instructions.iter();
    let said = later.find(|said| !is_answer(said) && !leaves_examples(said))?;
    Some(format!(
        "the examples of the prompt passed as they stand there, and what was said later may change them: {}",
        first_chars(said, SAID_CHARS_MAX)
    ))
}

fn evasion(state: &TaskState) -> Option<String> {
    let tests = state.given_tests();
    let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    state.modules.iter().find_map(|module| {
        let (line, what) = of_task(state).evasion(&module.code()?.source, &names)?;
        let path = module_path(state, &module.plan.name);
        Some(format!(
            "{path} line {line} {what}, so that passing the given tests shows little"
        ))
    })
}

#[cfg(test)]
mod tests {
    use journeyman_event::payload::{
        CodeOrigin, GivenTest, PlanningComplete, TaskSubmitted, TestResult, TestScope,
    };
    use journeyman_event::state::{CodeVersion, ModuleState};
    use journeyman_event::{ContentHash, VectorClock};
    use journeyman_language::Language;

    use super::*;

    #[test]
    fn it_takes_a_given_test_that_can_fail_and_code_that_does_not_look_who_runs_it() {
        let tests = vec![GivenTest {
            name: "test_m.py".to_owned(),
            origin: TestOrigin::File,
            source: "from m import f\ndef test_f(): assert f() == 1\n".to_owned(),
        }];
        let plan: PlanningComplete = crate::plan::plan_of_answer(
            &journeyman_language::python::Python,
            r#"{"modules":[{"name":"m"}]}"#,
            "",
            &tests,
        )
        .unwrap();
        let (sound, own) = ("def f():\n    return 1\n", "tests/test_m.py::test_f");
        let equal = "class A:\n    def __eq__(self, other):\n        return True\n";
        for (source, ran, idle, skipped, told) in [
            (sound, &[own][..], &[][..], &[][..], None),
            (sound, &[own, "tests/test_m.py::test_g"], &[own], &[], None),
            (sound, &[own], &[own], &[], Some("something wrong")),
            (
                sound,
                &[own],
                &[own],
                &["tests/test_m.py::test_g"],
                Some("something wrong"),
            ),
            (
                sound,
                &["tests/test_x.py::test_f"],
                &[],
                &[own],
                Some("skipped"),
            ),
            (sound, &[], &[], &[own], Some("skipped")),
            (equal, &[own], &[], &[], Some("m.py line 2 has an `__eq__`")),
            (
                "open('test_m.py')\n",
                &[own],
                &[],
                &[],
                Some("the test file `test_m.py`"),
            ),
        ] {
            let mut module = ModuleState::new(plan.modules[0].clone());
            module.versions.push(CodeVersion {
                version: 1,
                hash: ContentHash::of(source.as_bytes()),
                source: source.to_owned(),
                origin: CodeOrigin::Generated,
                clock: VectorClock::default(),
            });
            let submission = TaskSubmitted {
                tests: tests.clone(),
                ..TaskSubmitted::of("Write f().")
            };
            let state = TaskState {
                submission: Some(submission),
                modules: vec![module],
                ..TaskState::default()
            };
            let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
            let passed = |name: &&str| TestResult {
                name: (*name).to_owned(),
                passed: true,
                message: String::new(),
            };
            let run = TestRun {
                scope: TestScope::Integration,
                origin: TestOrigin::File,
                files: Vec::new(),
                code: Vec::new(),
                tests_version: 0,
                basis: None,
                failure: None,
                tests: ran.iter().map(passed).collect(),
                idle: names(idle),
                skipped: names(skipped),
                broken_tests: false,
                output: String::new(),
                clock: VectorClock::default(),
                outcome: None,
                sequence: None,
            };
            let why = unproven(&state, &run);
            assert_eq!(why.is_some(), told.is_some(), "{source} {ran:?}: {why:?}");
            let is_told = why.as_ref().is_none_or(|why| why.contains(told.unwrap()));
            assert!(is_told, "{source} {ran:?}: {why:?}");
        }
    }

    #[test]
    fn examples_of_which_something_was_said_later_verify_nothing() {
        let prompt = "Write a function double(x).\n\nExamples:\ndouble(2) == 4\n";
        let state = |said: &str| TaskState {
            submission: Some(TaskSubmitted {
                tests: journeyman_language::python::Python.examples(prompt).tests,
                ..TaskSubmitted::of(prompt)
            }),
            instructions: vec!["Use no recursion.".to_owned(), said.to_owned()],
            ..TaskState::default()
        };
        for said in [
            "double(2) should be 5",
            "Sorry, the example is wrong.",
            "Forget what I wrote about 2",
            "Das letzte Beispiel stimmt nicht",
            "2 -> 5",
            "It must triple.",
            "忘れてください",
            "Rename the function to twice",
        ] {
            let told = corrected_later(&state(said));
            assert!(told.is_some_and(|told| told.contains(said)), "{said}");
        }
        for said in ["Use dataclasses.", "Please add type hints. Thanks!"] {
            assert_eq!(corrected_later(&state(said)), None, "{said}");
        }
    }
}
