//! Strategies for writing and repairing modules; they are replaceable. A strategy parses the model's answers about
//! a module and decides the next step. It carries nothing out itself.

mod portfolio;
mod whole_file;

use std::sync::Arc;

use journeyman_event::TaskState;
use journeyman_event::payload::{FailureReason, Form, Purpose, TestOrigin};
use journeyman_event::state::{ModuleState, PendingAnswer};
pub use portfolio::{Choice, Draw, HOT, Tried, WARM, choose, next_draw};
pub use whole_file::WholeFile;

use crate::Error;
use crate::fact::Fact;

/// The next step for a module.
#[derive(Clone, Debug, PartialEq)]
pub enum ModuleStep {
    /// Record these facts.
    Record(Vec<Fact>),
    /// Call the model.
    CallModel {
        /// What the call is for.
        purpose: Purpose,
        /// How code is asked for.
        form: Form,
        /// The sampling temperature.
        temperature: f32,
    },
    /// Run the module's tests; without test files, check that it imports.
    RunTests {
        /// The kind of tests.
        origin: TestOrigin,
        /// The names of given tests; empty for generated tests.
        given: Vec<String>,
    },
    /// The module cannot be completed.
    GiveUp {
        /// Why the task fails.
        reason: FailureReason,
        /// An explanation for a person.
        detail: String,
    },
}

/// Writes, tests and repairs one module until it is complete.
///
/// State that only the strategy needs is a separate part of [`ModuleState`], folded from the module's events,
/// in a file in `event/src/state`.
pub trait ModuleStrategy: Send + Sync {
    /// The name under which a task records its strategy.
    fn name(&self) -> &str;

    /// Turns a model's answer about a module into facts, one of which must consume the answer. The error says
    /// what is wrong with the answer, worded for the model. Pure.
    fn read(
        &self,
        task: &TaskState,
        module: &ModuleState,
        answer: &PendingAnswer,
    ) -> Result<Vec<Fact>, String>;

    /// The next step for an incomplete module. Pure: the same state gives the same step. Every step must change
    /// the state so that the sequence of steps ends.
    fn next(&self, task: &TaskState, module: &ModuleState) -> ModuleStep;
}

/// The available strategies. A task keeps the strategy it was started with.
#[derive(Clone)]
pub struct Strategies {
    first: Arc<dyn ModuleStrategy>,
    others: Vec<Arc<dyn ModuleStrategy>>,
}

impl Strategies {
    /// `first` is used for new tasks, and `others` only for tasks that were started with them.
    pub fn new(first: Arc<dyn ModuleStrategy>, others: Vec<Arc<dyn ModuleStrategy>>) -> Self {
        Self { first, others }
    }

    /// The strategy of a task: the one it was started with, or the one for new tasks.
    ///
    /// # Errors
    ///
    /// The task was started with a strategy that is not available.
    pub fn of(&self, task: &TaskState) -> Result<&dyn ModuleStrategy, Error> {
        let Some(started) = &task.started else {
            return Ok(&*self.first);
        };
        let name = started.strategy.as_deref().unwrap_or(WholeFile::NAME);
        let all = [&self.first].into_iter().chain(&self.others);
        all.map(|strategy| &**strategy)
            .find(|strategy| strategy.name() == name)
            .ok_or_else(|| Error::NoSuchStrategy {
                name: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use journeyman_event::Tokens;
    use journeyman_event::payload::TaskStarted;

    use super::*;

    struct Other;

    impl ModuleStrategy for Other {
        fn name(&self) -> &'static str {
            "other"
        }

        fn read(
            &self,
            _: &TaskState,
            _: &ModuleState,
            _: &PendingAnswer,
        ) -> Result<Vec<Fact>, String> {
            Ok(Vec::new())
        }

        fn next(&self, _: &TaskState, _: &ModuleState) -> ModuleStep {
            ModuleStep::Record(Vec::new())
        }
    }

    #[test]
    fn a_task_goes_on_with_the_strategy_that_it_was_started_with() {
        let strategies = Strategies::new(Arc::new(Other), vec![Arc::new(WholeFile)]);
        let name_of = |task: &TaskState| {
            let strategy = strategies.of(task).map(ModuleStrategy::name);
            strategy.map_err(|error| error.to_string())
        };
        assert_eq!(name_of(&TaskState::default()), Ok("other"));
        for (recorded, expected) in [
            (None, Ok("whole_file")), // by an older version, which had no other
            (Some("whole_file"), Ok("whole_file")),
            (Some("other"), Ok("other")),
        ] {
            assert_eq!(name_of(&started_with(recorded)), expected);
        }
        let unknown = name_of(&started_with(Some("newer"))).unwrap_err();
        assert!(unknown.contains("newer"), "{unknown}");
    }

    fn started_with(strategy: Option<&str>) -> TaskState {
        TaskState {
            started: Some(TaskStarted {
                model: String::new(),
                server: String::new(),
                window: Tokens(8_192),
                sandbox: String::new(),
                tools: Vec::new(),
                strategy: strategy.map(str::to_owned),
            }),
            ..TaskState::default()
        }
    }
}
