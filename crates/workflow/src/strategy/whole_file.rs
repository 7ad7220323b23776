//! The whole-file strategy: an answer is the complete file of a module or of its tests.

mod reading;

use std::collections::BTreeSet;

use journeyman_context::Descriptor;
use journeyman_event::TaskState;
use journeyman_event::payload::{
    Approach, BugReportReceived, CodeOrigin, CorrectionStarted, FailureReason, Form,
    ModuleComplete, ModuleIteration, ModuleStarted, Purpose, TestFailureKind, TestOrigin,
    TestResult, TestsGenerated, Verification,
};
use journeyman_event::state::{CodeVersion, ModuleState, PendingAnswer, TestRun};
use journeyman_language::{ImportFailure, of_task};

use crate::examples::doubtful_example;
use crate::fact::{Fact, Role};
use crate::strategy::{ModuleStep, ModuleStrategy};
use crate::verdict::broken_tests;

/// The whole-file strategy. The first candidate is the model's most likely answer. If it fails, fresh
/// candidates are sampled and the best one is repaired, alternately: with small models, another sample helps
/// more often than a repair (Olausson et al., "Is Self-Repair a Silver Bullet for Code Generation?", ICLR
/// 2024). Without given tests, tests are generated from the description alone, and may turn out to be wrong
/// themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct WholeFile;

/// How many unusable answers to a request for tests lead to continuing without them.
const TEST_REFUSALS_MAX: u32 = 2;
/// How often a module's tests are written at most.
const TEST_WRITINGS_MAX: usize = 3;
/// If a smaller share of a module's generated tests passes, 0 to 1, the code is more likely wrong than the
/// tests.
const AGREEMENT_MIN: f64 = 0.5;

/// The most fresh candidates per round if given tests judge them.
const CANDIDATES_GIVEN_MAX: u32 = 4;
/// The same if generated tests judge them, which are wrong too often for more.
const CANDIDATES_GENERATED_MAX: u32 = 3;
/// The percentage of a module's share of the budget that may be spent on fresh candidates; the rest is for
/// repairs.
const CANDIDATES_BUDGET_PERCENT: u64 = 60;

/// The sampling temperature for candidates that should differ from earlier code.
const FRESH_TEMPERATURE: f32 = 0.8;

impl WholeFile {
    /// The name under which tasks record this strategy.
    pub const NAME: &str = "whole_file";
}

impl ModuleStrategy for WholeFile {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn read(
        &self,
        task: &TaskState,
        module: &ModuleState,
        answer: &PendingAnswer,
    ) -> Result<Vec<Fact>, String> {
        reading::facts(task, module, answer)
    }

    fn next(&self, task: &TaskState, module: &ModuleState) -> ModuleStep {
        let name = &module.plan.name;
        if !module.started {
            return ModuleStep::Record(vec![
                Fact::of_module(Role::Conductor, name, ModuleStarted {}),
                Fact::of_module(
                    Role::Conductor,
                    name,
                    ModuleIteration {
                        iteration: 1,
                        approach: Approach::Write,
                    },
                ),
            ]);
        }
        let Some(code) = module.code() else {
            return call(Purpose::Code, module.refusals.count);
        };
        if module.rounds.tests_wanted {
            if module.refusals.count >= TEST_REFUSALS_MAX {
                // What the user wrote since has to be tested before anything can be said of it.
                return if module.was_tested() {
                    settle(task, module)
                } else {
                    first_run(module)
                };
            }
            return call_at(Purpose::Tests, FRESH_TEMPERATURE, module.refusals.count);
        }
        if let Some(from_version) = module.rounds.correcting {
            debug_assert_eq!(from_version, code.version);
            return match module.rounds.approach {
                Approach::Rewrite => call_at(Purpose::Code, FRESH_TEMPERATURE, 0),
                _ => call(Purpose::Fix, module.iteration + module.refusals.count),
            };
        }
        match module.current_run() {
            None => first_run(module),
            Some(run) => match run.failure {
                None => ModuleStep::Record(vec![complete(module, run, Vec::new())]),
                Some(kind) if module.bug.is_none() => report(task, module, run, kind),
                Some(kind) => next_round(task, module, run, kind),
            },
        }
    }
}

/// A model call after this many rejected or repeated answers: the temperature rises so that the same question
/// gets a different answer.
fn call(purpose: Purpose, times: u32) -> ModuleStep {
    call_at(purpose, Descriptor::of(purpose).temperature, times)
}

fn call_at(purpose: Purpose, temperature: f32, times: u32) -> ModuleStep {
    let times = f32::from(u16::try_from(times).unwrap_or(u16::MAX));
    ModuleStep::CallModel {
        purpose,
        form: Form::File,
        temperature: (temperature + 0.15 * times).min(1.0),
    }
}

fn first_run(module: &ModuleState) -> ModuleStep {
    let given = module.plan.given_tests.clone();
    if !given.is_empty() {
        return ModuleStep::RunTests {
            origin: TestOrigin::File,
            given,
        };
    }
    if module.generated_tests.is_empty() && module.refusals.count < TEST_REFUSALS_MAX {
        return call(Purpose::Tests, module.refusals.count);
    }
    ModuleStep::RunTests {
        origin: TestOrigin::Generated,
        given,
    }
}

fn complete(module: &ModuleState, run: &TestRun, disputed: Vec<String>) -> Fact {
    let verification = if run.tests.is_empty() {
        Verification::None
    } else if run.origin == TestOrigin::Generated {
        Verification::Agreement {
            confidence: share_passed(run),
        }
    } else {
        Verification::GivenTests
    };
    let done = ModuleComplete {
        verification,
        disputed,
    };
    Fact::of_module(Role::Tester, &module.plan.name, done)
}

/// The share of a run's tests that passed, 0 to 1.
fn share_passed(run: &TestRun) -> f64 {
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    if run.tests.is_empty() {
        0.0
    } else {
        count(run.passed()) / count(run.tests.len())
    }
}

fn report(
    task: &TaskState,
    module: &ModuleState,
    run: &TestRun,
    kind: TestFailureKind,
) -> ModuleStep {
    let Some(code) = module.code() else {
        return ModuleStep::GiveUp {
            reason: FailureReason::Attempts,
            detail: format!("module {}: tested without code", module.plan.name),
        };
    };
    if run.origin != TestOrigin::Generated && kind == TestFailureKind::NoTests {
        return ModuleStep::GiveUp {
            reason: FailureReason::GivenTests,
            detail: format!("no test was run of the given {}", run.files.join(", ")),
        };
    }
    if run.broken_tests {
        return ModuleStep::GiveUp {
            reason: FailureReason::GivenTests,
            detail: broken_tests(run),
        };
    }
    if run.origin != TestOrigin::Generated
        && let Some(detail) = endless_test(module, run).or_else(|| test_at_fault(task, module, run))
    {
        return ModuleStep::GiveUp {
            reason: FailureReason::GivenTests,
            detail,
        };
    }
    // There is no attempt left to correct it, so no bug report is needed.
    if is_last_round(task, module) && !round_goes_on(task, module, run) {
        return settle(task, module);
    }
    let report = BugReportReceived {
        version: code.version,
        code_hash: code.hash,
        summary: summary(run, kind),
        given: run.origin != TestOrigin::Generated,
    };
    let fact = Fact::of_module(Role::Tester, &module.plan.name, report);
    ModuleStep::Record(vec![match run.outcome {
        Some(outcome) => fact.caused_by(outcome),
        None => fact,
    }])
}

/// A message about a given test that did not finish with another version of the code either. The test is then
/// more likely wrong than the code, and every further version would cost the time of a whole run.
fn endless_test(module: &ModuleState, run: &TestRun) -> Option<String> {
    let name = test_out_of_time(run)?;
    let code = |run: &TestRun| run.code_of(&module.plan.name).map(|code| code.hash);
    let mut others = module.runs.iter().filter(|other| code(other) != code(run));
    others
        .any(|other| test_out_of_time(other) == Some(name))
        .then(|| {
            format!(
                "the given test {name} did not come to its end with two versions of the code: see whether it can end"
            )
        })
}

/// A message about a given test that failed with the same error, in a place that does not use the code, for
/// another version too. No further version could pass it.
fn test_at_fault(task: &TaskState, module: &ModuleState, run: &TestRun) -> Option<String> {
    let language = of_task(task);
    let own_error = |test: &TestResult| {
        let mut given = task
            .given_tests()
            .iter()
            .filter(|given| given.origin.is_file());
        let (path, file) = given.find_map(|given| {
            let path = language.given_tests_path(&given.name);
            language
                .is_test_of(&test.name, &path)
                .then_some((path, given))
        })?;
        let error = language.own_fault(&test.message, &path, &file.source);
        error.map(str::to_owned)
    };
    let code = |run: &TestRun| run.code_of(&module.plan.name).map(|code| code.hash);
    let others = || module.runs.iter().filter(|other| code(other) != code(run));
    run.tests.iter().filter(|test| !test.passed).find_map(|test| {
        let error = own_error(test)?;
        let is_it = |other: &TestResult| {
            other.name == test.name && own_error(other).as_ref() == Some(&error)
        };
        others().any(|other| other.tests.iter().any(is_it)).then(|| {
            format!(
                "the given test {} fails with two versions of the code by itself, in lines that the code has no part in: \
                 {error}; correct the test",
                test.name
            )
        })
    })
}

/// The test that was running when the time limit or processor time limit was reached.
fn test_out_of_time(run: &TestRun) -> Option<&str> {
    let how = match run.failure? {
        TestFailureKind::TimedOut => "it ran out of time while ",
        TestFailureKind::Killed => "it used up its processor time while ",
        _ => return None,
    };
    last_line(&run.output)
        .strip_prefix(how)?
        .strip_suffix(" ran")
}

fn summary(run: &TestRun, kind: TestFailureKind) -> String {
    let failing: Vec<&str> = run
        .tests
        .iter()
        .filter(|test| !test.passed)
        .map(|test| test.name.as_str())
        .collect();
    match kind {
        TestFailureKind::Failed => {
            format!(
                "{} of {} tests fail: {}",
                failing.len(),
                run.tests.len(),
                failing.join(", ")
            )
        }
        TestFailureKind::DoesNotImport => format!("does not import: {}", last_line(&run.output)),
        TestFailureKind::NoTests => "the test file has no test".to_owned(),
        TestFailureKind::TimedOut => "the tests do not end in time".to_owned(),
        TestFailureKind::Killed => {
            format!(
                "the run of the tests does not count: {}",
                last_line(&run.output)
            )
        }
    }
}

fn last_line(text: &str) -> &str {
    text.lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("no output")
}

fn is_last_round(task: &TaskState, module: &ModuleState) -> bool {
    module.iteration >= task.limits.iterations_max.get()
}

/// Whether the current round has another candidate or its repair still to come.
fn round_goes_on(task: &TaskState, module: &ModuleState, run: &TestRun) -> bool {
    match module.rounds.approach {
        Approach::Rewrite => {
            let max = if run.origin == TestOrigin::Generated {
                CANDIDATES_GENERATED_MAX
            } else {
                CANDIDATES_GIVEN_MAX
            };
            module.rounds.candidates < max && affords_candidates(task, module)
        }
        // The best version was put back for it and tested.
        Approach::Repair => module.rounds.candidates == 0,
        Approach::Write | Approach::RewriteTests => false,
    }
}

/// Whether the module can afford fresh candidates. Each module has an equal share of the budget, plus what
/// completed modules did not use. What other modules spend at the same time comes out of their own shares.
fn affords_candidates(task: &TaskState, module: &ModuleState) -> bool {
    let others = || {
        let modules = task.modules.iter();
        modules.filter(|other| other.plan.name != module.plan.name)
    };
    let done = others().filter(|other| other.completion.is_some()).count() as u64;
    let modules = task.modules.len().max(1) as u64;
    let share = (100 * done + CANDIDATES_BUDGET_PERCENT) / modules;
    let beside = others().filter(|other| other.completion.is_none());
    let spent = beside.fold(task.spent, |spent, other| spent - other.spent);
    spent < task.token_budget().percent(share)
}

fn next_round(
    task: &TaskState,
    module: &ModuleState,
    run: &TestRun,
    kind: TestFailureKind,
) -> ModuleStep {
    let name = &module.plan.name;
    let correction = |approach| {
        let started = CorrectionStarted {
            from_version: module.version(),
            approach,
        };
        Fact::of_module(Role::Fixer, name, started)
    };
    if round_goes_on(task, module, run) {
        return ModuleStep::Record(vec![correction(module.rounds.approach)]);
    }
    if is_last_round(task, module) {
        return settle(task, module);
    }
    let approach = approach(task, module, run, kind);
    let iteration = ModuleIteration {
        iteration: module.iteration + 1,
        approach,
    };
    let mut facts = vec![Fact::of_module(Role::Conductor, name, iteration)];
    match approach {
        Approach::Repair => match better_version(module, run) {
            // It is tested again before it is repaired: its failures are what is shown.
            Some(better) => facts.push(restored(module, better)),
            None => facts.push(correction(approach)),
        },
        Approach::Rewrite => facts.push(correction(approach)),
        Approach::Write | Approach::RewriteTests => {}
    }
    ModuleStep::Record(facts)
}

/// The earliest version that passes the most of the tests in `run`, unless it is the current one.
fn better_version<'a>(module: &'a ModuleState, run: &TestRun) -> Option<&'a CodeVersion> {
    let name = &module.plan.name;
    let comparable = module
        .runs
        .iter()
        .filter(|other| other.files == run.files && other.tests_version == run.tests_version);
    let best = comparable.rev().max_by_key(|other| other.passed())?;
    let version = best.version_of(name)?;
    let code = module
        .versions
        .iter()
        .find(|code| code.version == version)?;
    module
        .code()
        .is_some_and(|current| current.hash != code.hash)
        .then_some(code)
}

fn restored(module: &ModuleState, code: &CodeVersion) -> Fact {
    Fact::new_code(
        Role::Conductor,
        &module.plan.name,
        module.version() + 1,
        CodeOrigin::Restored,
        code.source.clone(),
    )
}

/// How the next round proceeds. Repeating the same approach does not help if the rounds are stuck: with the
/// same failure, the same code, or an earlier version again.
fn approach(
    task: &TaskState,
    module: &ModuleState,
    run: &TestRun,
    kind: TestFailureKind,
) -> Approach {
    if run.origin != TestOrigin::Generated {
        // In turns: neither can get stuck.
        let fresh = module.rounds.approach != Approach::Rewrite && affords_candidates(task, module);
        return if fresh {
            Approach::Rewrite
        } else {
            Approach::Repair
        };
    }
    let same_failures = module
        .runs
        .iter()
        .rev()
        .take_while(|other| failing(other) == failing(run) && other.failure == run.failure)
        .count();
    let seen_before = module.code().is_some_and(|code| {
        module
            .versions
            .iter()
            .filter(|other| other.hash == code.hash)
            .count()
            > 1
    });
    let circling = module.rounds.unchanged > 0 || seen_before || same_failures >= 2;
    let tests_broken = kind == TestFailureKind::NoTests || blames_tests(task, module, run, kind);
    // If most tests fail, the code is more likely wrong, until rewriting it did not help; if only a few fail,
    // and always the same, these tests are.
    let code_doubtful =
        share_passed(run) < AGREEMENT_MIN && module.rounds.approach != Approach::Rewrite;
    if module.generated_tests.len() < TEST_WRITINGS_MAX
        && (tests_broken || (circling && !code_doubtful))
    {
        return Approach::RewriteTests;
    }
    if circling {
        Approach::Rewrite
    } else {
        Approach::Repair
    }
}

fn failing(run: &TestRun) -> BTreeSet<(&str, &str)> {
    run.tests
        .iter()
        .filter(|test| !test.passed)
        .map(|test| (test.name.as_str(), last_line(&test.message)))
        .collect()
}

/// Whether an import error is the fault of the generated tests: they import what was never planned, or the
/// module's file is not involved.
fn blames_tests(
    task: &TaskState,
    module: &ModuleState,
    run: &TestRun,
    kind: TestFailureKind,
) -> bool {
    if kind != TestFailureKind::DoesNotImport {
        return false;
    }
    let language = of_task(task);
    match language.import_failure(&run.output) {
        ImportFailure::Name(wanted) => {
            let mut functions = module.plan.functions.iter();
            !functions.any(|function| language.defined_name(&function.signature) == Some(wanted))
        }
        // A plugin or a package that is not there, and that the code does not ask for.
        ImportFailure::Module(wanted) => {
            let uses = |code: &CodeVersion| language.mentions(&code.source, wanted);
            let mut parts = module.plan.name.as_str().split('.');
            let mut needs = module.plan.depends_on.iter();
            !wanted.is_empty()
                && parts.all(|part| part != wanted)
                && !needs.any(|name| language.mentions(name.as_str(), wanted))
                && !module.code().is_some_and(uses)
        }
        ImportFailure::SomeModule => false,
        ImportFailure::Other => {
            let file = language.module_path(module.plan.name.leaf());
            let mut words = run.output.split(['/', '"', ' ', '\n', ':']);
            !words.any(|word| word == file)
        }
    }
}

/// Completes a module after its last attempt. Given tests decide. Generated tests are as likely to be wrong as
/// the code, so the version that passes most of them is kept, and the others are marked as disputed. Tests that
/// never ran are discarded; then it only matters whether the code imports.
fn settle(task: &TaskState, module: &ModuleState) -> ModuleStep {
    let name = &module.plan.name;
    let give_up = |detail: String| ModuleStep::GiveUp {
        reason: FailureReason::Attempts,
        detail: format!(
            "module {name}: {detail} after {} of {} iterations",
            module.iteration, task.limits.iterations_max
        ),
    };
    let Some(last) = module.runs.last() else {
        return give_up("its code was never tested".to_owned());
    };
    if last.origin != TestOrigin::Generated {
        // What is left to the user is the best there was.
        if let Some(better) = better_version(module, last) {
            return ModuleStep::Record(vec![restored(module, better)]);
        }
        let mut detail = last
            .failure
            .map_or_else(String::new, |kind| summary(last, kind));
        if let Some(doubt) = doubtful_example(of_task(task), task.given_tests(), module) {
            detail = format!("{detail}; {doubt}");
        }
        return give_up(detail);
    }
    // Whatever was written when: the pair of code and tests that agree most.
    let best = module
        .runs
        .iter()
        .filter(|run| run.origin == TestOrigin::Generated && !run.tests.is_empty())
        // Where the tests did not come to their end, those that passed before it show nothing.
        .filter(|run| matches!(run.failure, None | Some(TestFailureKind::Failed)))
        .max_by(|a, b| {
            share_passed(a)
                .total_cmp(&share_passed(b))
                .then(a.passed().cmp(&b.passed()))
        });
    let Some(best) = best else {
        // The code was loaded by tests of which none says anything: it is there, and not verified.
        if last.failure == Some(TestFailureKind::NoTests) {
            return ModuleStep::Record(vec![complete(module, last, Vec::new())]);
        }
        if module.tests().is_some() {
            let source = String::new();
            let dropped = Fact::of_module(Role::Conductor, name, TestsGenerated { source });
            return ModuleStep::Record(vec![dropped]);
        }
        return give_up(
            last.failure
                .map_or_else(String::new, |kind| summary(last, kind)),
        );
    };
    let best_code = best
        .version_of(name)
        .and_then(|version| module.versions.iter().find(|code| code.version == version));
    let best_tests = best
        .tests_version
        .checked_sub(1)
        .and_then(|at| module.generated_tests.get(at));
    let mut put_back = Vec::new();
    if let (Some(code), Some(best_code)) = (module.code(), best_code)
        && code.hash != best_code.hash
    {
        put_back.push(restored(module, best_code));
    }
    if let Some(source) = best_tests
        && module.generated_tests.last() != Some(source)
    {
        let tests = TestsGenerated {
            source: source.clone(),
        };
        put_back.push(Fact::of_module(Role::Conductor, name, tests));
    }
    if !put_back.is_empty() {
        return ModuleStep::Record(put_back);
    }
    let disputed = best
        .tests
        .iter()
        .filter(|test| !test.passed)
        .map(|test| test.name.clone());
    ModuleStep::Record(vec![complete(module, best, disputed.collect())])
}
