//! The interface for running a language's code: its tests, its imports, and the analysis of unused code.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use journeyman_event::TaskState;
use journeyman_fetch::OnProgress;
use journeyman_sandbox::{Limits, Sandbox};
use tokio_util::sync::CancellationToken;

use crate::{ALL, DeadCode, Error, ImportCheck, Result, TestReport, default_language, find};

/// Runs the code of a language, in a sandbox and nowhere else.
#[async_trait]
pub trait Runner: Send + Sync {
    /// The name of the language that this runner runs.
    fn language(&self) -> &'static str;

    /// The executable that a command's first word means, where it is one of the language's own.
    fn program(&self, word: &str) -> Option<PathBuf>;

    /// The folders and files that it must be able to read to run; belongs into
    /// [`journeyman_sandbox::SandboxOptions::readable`].
    fn readable(&self) -> &[PathBuf];

    /// Runs the tests in `files` (paths relative to `folder`). The limits are the sandbox's own unless given. Failing
    /// tests, and code that cannot be loaded, are a report and not an error.
    async fn run_tests(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        files: &[&str],
        limits: Option<Limits>,
        cancel: &CancellationToken,
    ) -> Result<TestReport>;

    /// The same for tests that may be wrong. Those that pass whatever the code does, or that need something
    /// that does not exist, are listed in [`TestReport::idle`] and do not count. A language that cannot
    /// recognise them runs them like others.
    async fn run_doubted_tests(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        files: &[&str],
        cancel: &CancellationToken,
    ) -> Result<TestReport> {
        self.run_tests(sandbox, folder, files, None, cancel).await
    }

    /// Checks whether a module, by the name used for importing it, can be loaded.
    async fn check_import(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        module: &str,
        cancel: &CancellationToken,
    ) -> Result<ImportCheck>;

    /// Makes each of these calls of functions of a module, with the arguments that they name, and says how it behaves: what
    /// it gives, raises, prints and does to its arguments, in words that are the same for the same behaviour. Empty for
    /// calls that were not made, because the module does not load or an earlier call ended the process.
    async fn probe(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        module: &str,
        calls: &[String],
        cancel: &CancellationToken,
    ) -> Result<Vec<String>>;

    /// The definitions at top level of `files` (paths relative to `folder`) that none of them uses. Reads the
    /// code without running it.
    async fn analyse(
        &self,
        sandbox: &Sandbox,
        folder: &Path,
        files: &[&str],
        cancel: &CancellationToken,
    ) -> Result<Vec<DeadCode>>;
}

/// The runners of this machine, one for each language that can be run here. Cheap to clone.
#[derive(Clone)]
pub struct Runners(Arc<[Arc<dyn Runner>]>);

impl Runners {
    /// These runners. Of two of the same language the first is used.
    pub fn new(all: Vec<Arc<dyn Runner>>) -> Self {
        Self(all.into())
    }

    /// Prepares every language that there is, one after the other (see [`Toolchain::prepare`](crate::Toolchain::prepare)).
    ///
    /// # Errors
    /// The first language that cannot be prepared; what was installed until then stays.
    pub async fn prepare(data_dir: &Path, report: OnProgress<'_>) -> Result<Self> {
        let mut all = Vec::with_capacity(ALL.len());
        for toolchain in ALL {
            all.push(toolchain.prepare(data_dir, report).await?);
        }
        Ok(Self::new(all))
    }

    /// The runner for a task's language. What is stored may come from a version that knows more languages.
    ///
    /// # Errors
    /// The language is not known here, or nothing that runs it is ready.
    pub fn of_task(&self, state: &TaskState) -> Result<&dyn Runner> {
        let language = match &state.submission {
            Some(asked) => find(&asked.language)?,
            None => default_language(),
        };
        let mut all = self.0.iter();
        let runner = all.find(|runner| runner.language() == language.name());
        let title = language.prompt_texts().title;
        Ok(runner.ok_or(Error::NotReady { title })?.as_ref())
    }

    /// The executable that a command's first word means, where it is one of a language's own.
    pub fn program(&self, word: &str) -> Option<PathBuf> {
        self.0.iter().find_map(|runner| runner.program(word))
    }

    /// The folders and files that any of the runners must be able to read.
    pub fn readable(&self) -> Vec<PathBuf> {
        let all = self.0.iter().flat_map(|runner| runner.readable());
        all.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use journeyman_event::payload::TaskSubmitted;

    use super::*;

    /// A runner that has a name only and runs nothing.
    struct Named(&'static str);

    #[async_trait]
    impl Runner for Named {
        fn language(&self) -> &'static str {
            self.0
        }

        fn program(&self, word: &str) -> Option<PathBuf> {
            (word == self.0).then(|| PathBuf::from(word))
        }

        fn readable(&self) -> &[PathBuf] {
            &[]
        }

        async fn run_tests(
            &self,
            _: &Sandbox,
            _: &Path,
            _: &[&str],
            _: Option<Limits>,
            _: &CancellationToken,
        ) -> Result<TestReport> {
            Err(Error::NotReady { title: self.0 })
        }

        async fn check_import(
            &self,
            _: &Sandbox,
            _: &Path,
            _: &str,
            _: &CancellationToken,
        ) -> Result<ImportCheck> {
            Err(Error::NotReady { title: self.0 })
        }

        async fn probe(
            &self,
            _: &Sandbox,
            _: &Path,
            _: &str,
            _: &[String],
            _: &CancellationToken,
        ) -> Result<Vec<String>> {
            Err(Error::NotReady { title: self.0 })
        }

        async fn analyse(
            &self,
            _: &Sandbox,
            _: &Path,
            _: &[&str],
            _: &CancellationToken,
        ) -> Result<Vec<DeadCode>> {
            Err(Error::NotReady { title: self.0 })
        }
    }

    #[test]
    fn a_task_is_worked_on_only_where_its_language_runs() {
        let state = |language: &str| TaskState {
            submission: Some(TaskSubmitted {
                language: language.to_owned(),
                ..TaskSubmitted::of("a prompt")
            }),
            ..TaskState::default()
        };
        for (language, runs, is_fine) in [
            ("python", &["python"][..], true),
            ("python", &["cobol", "python"], true),
            ("python", &["cobol"], false),
            ("python", &[], false),
            ("cobol", &["cobol"], false),
            ("cobol", &["python"], false),
        ] {
            let runs = runs
                .iter()
                .map(|&name| Arc::new(Named(name)) as Arc<dyn Runner>);
            let runners = Runners::new(runs.collect());
            let found = runners.of_task(&state(language));
            let found = found.map(Runner::language);
            assert_eq!(
                found.is_ok_and(|name| name == language),
                is_fine,
                "{language}"
            );
        }
        let ours = Runners::new(vec![Arc::new(Named(default_language().name()))]);
        assert!(ours.of_task(&TaskState::default()).is_ok());
        assert_eq!(ours.program("cobol"), None);
    }
}
