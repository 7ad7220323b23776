//! The environment that Python's code is run in.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use journeyman_fetch::{Environment, Error, OnProgress, Requirement};

use super::{Interpreter, Python};
use crate::{Result, Runner, Toolchain};

/// Runs the tests.
const PYTEST: Requirement = Requirement {
    name: "pytest",
    version: "9.2.0",
    bytes: 2_000_000,
};

/// The environment of a data folder with everything needed to run Python tests, created if necessary.
pub async fn prepare(data_dir: &Path, report: OnProgress<'_>) -> Result<Environment, Error> {
    let environment = Environment::ensure(data_dir, report).await?;
    environment.install(PYTEST, report).await?;
    Ok(environment)
}

#[async_trait]
impl Toolchain for Python {
    async fn prepare(&self, data_dir: &Path, report: OnProgress<'_>) -> Result<Arc<dyn Runner>> {
        let environment = prepare(data_dir, report).await?;
        let interpreter = Interpreter::discover(&environment.interpreter()).await?;
        Ok(Arc::new(interpreter))
    }
}
