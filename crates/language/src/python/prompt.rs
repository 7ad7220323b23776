//! Reads a prompt for Python: which of its examples are tests, and what it asks for.

mod asked;
mod at_odds;
mod beside;
mod docstring;
mod examples;
mod left_out;
mod passages;
mod prose_examples;
mod reading;
mod sessions;
mod surroundings;
mod units;
mod volatile;

pub(super) use asked::{asks_for, functions_asked_for};
pub(super) use examples::{example_behind, examples, examples_in_short, result_shown};
