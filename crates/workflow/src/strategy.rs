//! How modules are written and repaired: replaceable parts. A strategy reads what the model answers about a
//! module and names the next step; it does nothing itself.

mod whole_file;

use std::sync::Arc;

use journeyman_event::TaskState;
use journeyman_event::payload::{FailureReason, Purpose, TestOrigin};
use journeyman_event::state::{ModuleState, PendingAnswer};
pub use whole_file::WholeFile;

use crate::Error;
use crate::fact::Fact;

/// What is next for a module.
#[derive(Clone, Debug, PartialEq)]
pub enum ModuleStep {
    /// These facts follow from what is known.
    Record(Vec<Fact>),
    /// The model is to be called.
    CallModel {
        /// What for.
        purpose: Purpose,
        /// Sampling temperature.
        temperature: f32,
    },
    /// The module's tests are to be run; without files, whether it imports.
    RunTests {
        /// Which kind of tests.
        origin: TestOrigin,
        /// Given tests by name; empty for generated ones.
        given: Vec<String>,
    },
    /// There is no way on.
    GiveUp {
        /// Why.
        reason: FailureReason,
        /// For a person.
        detail: String,
    },
}

/// How one module is written, tested and repaired until it is complete.
///
/// What it has to know of a module beyond what every module has is a state of its own in
/// [`ModuleState`], folded from the module's events, in a file in `event/src/state`.
pub trait ModuleStrategy: Send + Sync {
    /// The name by which a task records that its modules are written so.
    fn name(&self) -> &str;

    /// What follows from an answer of the model's about a module: facts, of which one takes it in. The error
    /// says what is wrong with it, in words for the model. Pure.
    fn read(
        &self,
        task: &TaskState,
        module: &ModuleState,
        answer: &PendingAnswer,
    ) -> Result<Vec<Fact>, String>;

    /// The next step for a module that is not complete. Pure: the same state gives the same step,
    /// and every step changes the state so that the steps come to an end.
    fn next(&self, task: &TaskState, module: &ModuleState) -> ModuleStep;
}

/// The strategies that there are. A task goes on with the one that it was started with.
#[derive(Clone)]
pub struct Strategies {
    first: Arc<dyn ModuleStrategy>,
    others: Vec<Arc<dyn ModuleStrategy>>,
}

impl Strategies {
    /// `first` for new tasks, and `others` for those that were started with one of them.
    pub fn new(first: Arc<dyn ModuleStrategy>, others: Vec<Arc<dyn ModuleStrategy>>) -> Self {
        Self { first, others }
    }

    /// The strategy of a task: the one that it was started with, else the one for new tasks.
    ///
    /// # Errors
    /// The task was started with one that is not among these.
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
