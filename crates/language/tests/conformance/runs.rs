//! What is known by running code, in a sandbox.

use std::fs;

use journeyman_event::payload::{GivenTest, TestOrigin};
use journeyman_language::{ImportFailure, Runner, TestOutcome, TestReport};
use journeyman_sandbox::{Limits, Sandbox};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::Sample;
use super::common::task_folder;

/// A module in a folder of its own, and what runs it there.
struct Ready {
    sample: &'static Sample,
    runner: Box<dyn Runner>,
    sandbox: Sandbox,
    folder: TempDir,
}

impl Ready {
    async fn with(sample: &'static Sample, module: &str) -> Self {
        let (runner, sandbox) = (sample.ready)().await;
        assert_eq!(runner.language(), sample.language.name());
        let ready = Self {
            sample,
            runner,
            sandbox,
            folder: task_folder(),
        };
        ready.write(&sample.language.module_path("sums"), module);
        ready
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Puts tests where generated ones lie.
    fn with_tests(&self, tests: &str) -> String {
        let [path, _] = self.sample.language.generated_tests_paths("sums");
        self.write(&path, tests);
        path
    }

    async fn run(&self, path: &str) -> TestReport {
        self.run_within(path, None).await
    }

    async fn run_within(&self, path: &str, limits: Option<Limits>) -> TestReport {
        let cancel = CancellationToken::new();
        let (folder, files) = (self.folder.path(), [path]);
        let ran = self
            .runner
            .run_tests(&self.sandbox, folder, &files, limits, &cancel);
        ran.await.unwrap()
    }

    async fn doubt(&self, path: &str) -> TestReport {
        let cancel = CancellationToken::new();
        let (folder, files) = (self.folder.path(), [path]);
        let ran = self
            .runner
            .run_doubted_tests(&self.sandbox, folder, &files, &cancel);
        ran.await.unwrap()
    }

    async fn loads(&self) -> Result<(), String> {
        let cancel = CancellationToken::new();
        let folder = self.folder.path();
        let checked = self
            .runner
            .check_import(&self.sandbox, folder, "sums", &cancel);
        let checked = checked.await.unwrap();
        if checked.imports {
            Ok(())
        } else {
            Err(checked.error)
        }
    }
}

async fn report(sample: &'static Sample, module: &str, tests: &str) -> (TestReport, String) {
    let ready = Ready::with(sample, module).await;
    let path = ready.with_tests(tests);
    (ready.run(&path).await, path)
}

pub(crate) async fn right_code_passes_and_wrong_code_fails_by_name(sample: &'static Sample) {
    let (right, path) = report(sample, sample.right, sample.tests).await;
    assert_eq!(right.outcome, TestOutcome::Passed, "{right:#?}");
    assert_eq!((right.passed, right.failed, right.tests.len()), (2, 0, 2));
    assert!(right.runner.as_ref().is_some_and(|name| !name.is_empty()));
    let (wrong, _) = report(sample, sample.wrong, sample.tests).await;
    assert_eq!(wrong.outcome, TestOutcome::Failed, "{wrong:#?}");
    assert_eq!(wrong.failed, 2);
    let names = |report: &TestReport| -> Vec<String> {
        report.tests.iter().map(|test| test.name.clone()).collect()
    };
    assert_eq!(names(&right), names(&wrong));
    for test in &wrong.tests {
        assert!(
            sample.language.is_test_of(&test.name, &path),
            "{}",
            test.name
        );
        assert!(!test.passed && !test.message.is_empty());
        let fault = sample
            .language
            .own_fault(&test.message, &path, sample.tests);
        assert_eq!(fault, None, "the code is at fault");
    }
}

pub(crate) async fn what_cannot_be_loaded_is_told(sample: &'static Sample) {
    for module in [sample.not_loading, sample.unreadable] {
        let ready = Ready::with(sample, module).await;
        assert!(ready.loads().await.is_err());
        let path = ready.with_tests(sample.tests);
        let report = ready.run(&path).await;
        assert_eq!(report.outcome, TestOutcome::DoesNotImport, "{report:#?}");
        assert!(!report.broken_tests, "the code is at fault");
    }
    let ready = Ready::with(sample, sample.right).await;
    assert_eq!(ready.loads().await, Ok(()));
    let path = ready.with_tests(sample.unreadable);
    let report = ready.run(&path).await;
    assert_eq!(report.outcome, TestOutcome::DoesNotImport);
    assert!(
        report.broken_tests,
        "the code has no part in it: {report:#?}"
    );
    // What is missing is named, whichever way.
    let ready = Ready::with(sample, "").await;
    let path = ready.with_tests(sample.tests);
    let report = ready.run(&path).await;
    let told = format!(
        "{}{}{}",
        report.detail,
        report.output,
        report
            .tests
            .iter()
            .map(|test| test.message.as_str())
            .collect::<String>()
    );
    assert_eq!(
        sample.language.import_failure(&told),
        ImportFailure::Name(sample.function),
        "{told}"
    );
}

pub(crate) async fn no_test_is_no_pass(sample: &'static Sample) {
    let (report, _) = report(sample, sample.right, sample.no_tests).await;
    assert_eq!(report.outcome, TestOutcome::NoTests, "{report:#?}");
}

pub(crate) async fn what_never_ends_is_ended(sample: &'static Sample) {
    let ready = Ready::with(sample, sample.endless).await;
    let path = ready.with_tests(sample.tests);
    let limits = Limits {
        wall_ms_max: 5_000,
        ..Limits::default()
    };
    let report = ready.run_within(&path, Some(limits)).await;
    assert_eq!(report.outcome, TestOutcome::TimedOut, "{report:#?}");
    assert!(
        report.detail.contains(&path),
        "it names the test: {}",
        report.detail
    );
}

pub(crate) async fn what_is_printed_is_no_result(sample: &'static Sample) {
    let (printed, _) = report(sample, sample.printing, sample.tests).await;
    assert_eq!(printed.outcome, TestOutcome::Failed, "{printed:#?}");
    let messages = printed.tests.iter().map(|test| test.message.as_str());
    for text in messages.chain([printed.output.as_str(), &printed.detail]) {
        let obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert!(!text.contains(obeyed), "{text:?}");
    }
    let (ended, _) = report(sample, sample.ending, sample.tests).await;
    assert_ne!(ended.outcome, TestOutcome::Passed, "{ended:#?}");
}

pub(crate) async fn tests_that_show_nothing_are_named(sample: &'static Sample) {
    let ready = Ready::with(sample, sample.right).await;
    let path = ready.with_tests(sample.tests);
    let doubted = ready.doubt(&path).await;
    assert_eq!(doubted.outcome, TestOutcome::Passed, "{doubted:#?}");
    assert!(doubted.idle.is_empty(), "{doubted:#?}");
    if let Some(tests) = sample.idle_tests {
        let path = ready.with_tests(tests);
        let doubted = ready.doubt(&path).await;
        assert!(!doubted.idle.is_empty(), "{doubted:#?}");
        assert_ne!(doubted.outcome, TestOutcome::Passed);
    }
}

pub(crate) async fn disputed_tests_are_expected_to_fail(sample: &'static Sample) {
    let ready = Ready::with(sample, sample.wrong).await;
    let path = ready.with_tests(sample.tests);
    let failing = ready.run(&path).await;
    let names: Vec<&str> = failing
        .tests
        .iter()
        .map(|test| test.name.as_str())
        .collect();
    let Some((expected, text)) = sample.language.disputed(&names) else {
        return;
    };
    ready.write(&expected, &text);
    let marked = ready.run(&path).await;
    assert_eq!(marked.failed, 0, "{marked:#?}");
}

pub(crate) async fn tests_of_a_prompt_are_run(sample: &'static Sample) {
    for (origin, source) in [
        (TestOrigin::Examples, sample.examples),
        (TestOrigin::Assertions, sample.assertions),
        (TestOrigin::Code, sample.code),
    ] {
        let test = GivenTest {
            name: "given".to_owned(),
            origin,
            source: source.to_owned(),
        };
        let text = sample.language.rendered(&test, &["sums"]);
        let (right, _) = report(sample, sample.right, &text).await;
        assert_eq!(
            right.outcome,
            TestOutcome::Passed,
            "{origin:?}: {right:#?}\n{text}"
        );
        let (wrong, _) = report(sample, sample.wrong, &text).await;
        assert_eq!(
            wrong.outcome,
            TestOutcome::Failed,
            "{origin:?}: {wrong:#?}\n{text}"
        );
    }
}

pub(crate) async fn what_is_not_used_is_found(sample: &'static Sample) {
    let ready = Ready::with(sample, sample.with_unused).await;
    let path = sample.language.module_path("sums");
    let cancel = CancellationToken::new();
    let (folder, files) = (ready.folder.path(), [path.as_str()]);
    let found = ready
        .runner
        .analyse(&ready.sandbox, folder, &files, &cancel);
    let found = found.await.unwrap();
    let unused = found.iter().find(|one| one.name == "forgotten");
    let unused = unused.unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!(unused.file, path);
    let line = sample.with_unused.lines().nth(unused.line as usize - 1);
    assert!(line.is_some_and(|line| line.contains("forgotten")));
}

pub(crate) async fn a_cancelled_run_is_no_result(sample: &'static Sample) {
    let ready = Ready::with(sample, sample.right).await;
    let path = ready.with_tests(sample.tests);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let (folder, files) = (ready.folder.path(), [path.as_str()]);
    let ran = ready
        .runner
        .run_tests(&ready.sandbox, folder, &files, None, &cancel);
    assert_eq!(ran.await.unwrap().outcome, TestOutcome::Cancelled);
    assert!(ready.runner.program(sample.program).is_some());
    assert!(ready.runner.program("no-such-program").is_none());
}
