//! The examples in a prompt, read as Python: which of them are tests that rule, and what the prompt asks for.

mod asked;
mod examples;
mod passages;
mod prose_examples;
mod reading;
mod sessions;
mod surroundings;
mod volatile;

pub(super) use asked::functions_asked_for;
pub(super) use examples::{example_behind, examples, examples_in_short, result_shown};
