//! Interventions: what a user can do with a submitted task.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::json::{Object, Whole, part};
use crate::problem::Problem;

/// An action of a user on a task. It takes effect at the task's next event boundary.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum NewIntervention {
    /// Give an additional instruction.
    Instruction {
        /// The instruction, which is part of every prompt from now on.
        #[schema(pattern = "\\S", max_length = 100_000)]
        instruction: String,
    },
    /// Answer a question.
    Answer {
        /// The question, by its id (`q1`) or text. If omitted, the only open question is meant, or none.
        #[schema(max_length = 10_000)]
        question: Option<String>,
        /// The user's answer to it.
        #[schema(pattern = "\\S", max_length = 100_000)]
        answer: String,
    },
    /// Write a module's file as its next version, which is tested like any other.
    EditFile {
        /// The path as in the list of files.
        #[schema(min_length = 1, max_length = 300)]
        path: String,
        /// The complete file.
        #[schema(pattern = "\\S", max_length = 262_144)]
        source: String,
    },
    /// Skip a module: no more work is done on it.
    SkipModule {
        /// The module, by its name or by its file as the list of files names it.
        #[schema(
            pattern = "^[A-Za-z_][A-Za-z0-9_]*([./][A-Za-z_][A-Za-z0-9_]*)*$",
            max_length = 200
        )]
        module: String,
    },
    /// Pause the task until it is resumed.
    Pause {},
    /// Resume the task; with higher limits also one that failed at a limit.
    Resume {
        /// The new token budget.
        #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_u64)]
        budget: Option<Whole>,
        /// The new limit of working time, in seconds.
        #[schema(minimum = 0, maximum = 31_536_000)]
        timeout: Option<f64>,
        /// The new limit of code versions per module.
        #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000)]
        max_iterations: Option<Whole>,
        /// A new output folder on the server's machine; only accepted over its socket. Also resumes a task
        /// whose result could not be written.
        #[schema(value_type = Option<String>, max_length = 0)]
        out: Option<String>,
    },
    /// Cancel the task: its work stops, and it does not run again.
    Cancel {},
    /// Keep it: neither retention nor `delete` erases it until `unkeep`.
    Keep {},
    /// Allow its erasure again.
    Unkeep {},
}

/// The types of the members of all interventions. Parsing by `kind` does not report which member is invalid; parsing
/// this does.
#[derive(Deserialize)]
#[allow(dead_code)] // read for its errors
struct Members {
    kind: String,
    instruction: Option<String>,
    question: Option<String>,
    answer: Option<String>,
    path: Option<String>,
    source: Option<String>,
    module: Option<String>,
    budget: Option<Whole>,
    timeout: Option<f64>,
    max_iterations: Option<Whole>,
    out: Option<String>,
}

impl NewIntervention {
    /// Parses a body. An error names the invalid member.
    pub fn read(body: &Value) -> Result<Self, Problem> {
        part::<Object<Members>>(body)?;
        // Where no member is named, its kind is what is not known.
        part(body).map_err(|problem: Problem| problem.or_of_field("kind"))
    }
}

/// An empty object: no member is accepted.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_intervention_is_read_as_it_is_written() {
        for body in [
            json!({"kind": "instruction", "instruction": "be brief"}),
            json!({"kind": "answer", "question": "q1", "answer": "yes"}),
            json!({"kind": "edit_file", "path": "a.py", "source": "x"}),
            json!({"kind": "skip_module", "module": "a.b"}),
            json!({"kind": "pause"}),
            json!({"kind": "resume", "budget": 5, "timeout": 1.5, "max_iterations": 2, "out": "/o"}),
            json!({"kind": "cancel"}),
            json!({"kind": "keep"}),
            json!({"kind": "unkeep"}),
        ] {
            let read = NewIntervention::read(&body).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), body);
        }
    }

    #[test]
    fn the_member_at_fault_is_named() {
        for (body, field) in [
            (json!({}), "kind"),
            (json!(1), "body"),
            (json!({"kind": "dance"}), "kind"),
            (json!({"kind": "pause", "more": 1}), "more"),
            (json!({"kind": "instruction"}), "instruction"),
            (
                json!({"kind": "instruction", "instruction": 5}),
                "instruction",
            ),
            (json!({"kind": "resume", "budget": "x"}), "budget"),
        ] {
            let problem = NewIntervention::read(&body).unwrap_err();
            let found = (problem.status, problem.field.as_deref());
            assert_eq!(found, (422, Some(field)), "{body}");
        }
    }
}
