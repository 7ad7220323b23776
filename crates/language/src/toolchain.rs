//! How what runs a language's code gets onto this machine.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use journeyman_fetch::OnProgress;

use crate::{Language, Result, Runner};

/// A language together with what prepares this machine to run it. The knowledge alone ([`Language`]) is all that the
/// pure parts of the workflow are given.
#[async_trait]
pub trait Toolchain: Language {
    /// Finds or installs what runs code of this language. What is installed lies below `data_dir` and is found again
    /// there; then nothing is fetched. Each step is told to `report`.
    ///
    /// # Errors
    /// It cannot be fetched, installed or started.
    async fn prepare(&self, data_dir: &Path, report: OnProgress<'_>) -> Result<Arc<dyn Runner>>;
}
