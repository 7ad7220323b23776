//! What every language must know and do, whichever it is.
//!
//! To add one: a sample of it in `samples/`, and a line at the end of this file.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is a test")]

#[path = "../../sandbox/tests/common/mod.rs"]
mod common;
#[path = "conformance/knowledge.rs"]
mod knowledge;
#[path = "conformance/runs.rs"]
mod runs;
#[path = "samples"]
mod samples {
    pub(crate) mod python;
}

use std::pin::Pin;

use journeyman_language::{Language, Runner};
use journeyman_sandbox::Sandbox;

/// What runs a language's code, and a sandbox in which it can, once they are ready.
type Ready = Pin<Box<dyn Future<Output = (Box<dyn Runner>, Sandbox)>>>;

/// Texts of a language. Where nothing else is said they are of the module `sums`, which defines one function that adds
/// two numbers, and of its tests.
struct Sample {
    language: &'static dyn Language,
    /// What runs its code, and a sandbox in which it can.
    ready: fn() -> Ready,
    /// The name of the function.
    function: &'static str,
    /// Its signature, with its parameters' types if it can have them.
    signature: &'static str,
    /// The same as a person writes it, like a call.
    call: &'static str,
    /// Names that the language keeps for itself, in lower case.
    reserved: &'static [&'static str],
    /// The name of something that is there without an import.
    builtin: &'static str,
    /// A module of the standard library, imported in a file.
    import_of_library: &'static str,
    /// A file that uses the function of the module `shop.sums` and names it as if it lay beside.
    short_import: &'static str,
    /// The module as it should be, without a line that is of no use.
    right: &'static str,
    /// The module with another function beside that nothing uses, `forgotten`.
    with_unused: &'static str,
    /// One that defines the function and gives a wrong result.
    wrong: &'static str,
    /// One that cannot be loaded, though it can be read.
    not_loading: &'static str,
    /// One that never ends when the function is called.
    endless: &'static str,
    /// One that prints what a terminal would obey, and gives a wrong result.
    printing: &'static str,
    /// One that ends the program with success while it is tested.
    ending: &'static str,
    /// One that is right only where it is tested.
    evading: &'static str,
    /// No source of the language at all.
    unreadable: &'static str,
    /// Tests of the module, two of them, both of which it passes if it is right.
    tests: &'static str,
    /// The same without the import of the module.
    tests_without_import: &'static str,
    /// The same with a copy of the module's function in it, and without the import.
    tests_with_copy: &'static str,
    /// Tests that pass whatever the code does; none where the runner cannot tell them.
    idle_tests: Option<&'static str>,
    /// A file without any test.
    no_tests: &'static str,
    /// A file with a test, and another that is never run.
    hidden_test: &'static str,
    /// A prompt that is the beginning of the module.
    stub: &'static str,
    /// Examples, assertions and code as a prompt has them, each of the function and true of it.
    examples: &'static str,
    assertions: &'static str,
    code: &'static str,
    /// What people call the program that runs it.
    program: &'static str,
}

/// Has a language pass all of it: `conforms!(name of its file in samples/)`.
macro_rules! conforms {
    ($language:ident) => {
        conforms! { $language:
            knowledge {
                it_is_found_by_its_name
                it_is_spoken_of
                names_are_told_apart
                paths_are_apart_and_stay_inside
                signatures_define_names
                sources_are_read
                sources_are_put_right
                a_prompt_may_begin_a_file
                a_prompt_shows_what_it_expects
                an_answer_holds_a_file
                given_tests_are_judged
                code_that_evades_is_told
                commands_name_what_they_run
            }
            runs {
                right_code_passes_and_wrong_code_fails_by_name
                what_cannot_be_loaded_is_told
                no_test_is_no_pass
                what_never_ends_is_ended
                what_is_printed_is_no_result
                tests_that_show_nothing_are_named
                disputed_tests_are_expected_to_fail
                tests_of_a_prompt_are_run
                what_is_not_used_is_found
                a_cancelled_run_is_no_result
            }
        }
    };
    ($language:ident: knowledge { $($fact:ident)* } runs { $($run:ident)* }) => {
        mod $language {
            const SAMPLE: &super::Sample = &super::samples::$language::SAMPLE;

            $(
                #[test]
                fn $fact() {
                    super::knowledge::$fact(SAMPLE);
                }
            )*

            $(
                #[tokio::test]
                async fn $run() {
                    super::runs::$run(SAMPLE).await;
                }
            )*
        }
    };
}

conforms!(python);
