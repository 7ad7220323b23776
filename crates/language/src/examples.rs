//! The examples in a prompt.

use std::collections::BTreeSet;

use journeyman_event::payload::GivenTest;

use crate::prose::aside::aside;
use crate::prose::wording::may_follow;

/// Whether what a user says about a task leaves the examples of its prompt as they are: it gives thanks, is about the form
/// of the code, or says what is to be done with other inputs. Everything else may take them back.
pub fn leaves_examples(said: &str) -> bool {
    let sentences = said.split(['.', '!', '\n']).map(str::trim);
    let mut sentences = sentences.filter(|sentence| !sentence.is_empty());
    sentences.all(|one| may_follow(one) || aside(one, &BTreeSet::new()).is_some())
}

/// The examples found in a prompt.
#[derive(Debug, Default)]
pub struct Examples {
    /// The tests made of them: what the prompt clearly expects of what it asks for. Doubtful ones are left out,
    /// because correct code could fail them.
    pub tests: Vec<GivenTest>,
    /// A message about lines that look like tests and are not run; empty if there are none.
    pub left_out: Option<String>,
}
