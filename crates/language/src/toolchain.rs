//! The interface that prepares this machine to run a language's code.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use journeyman_fetch::OnProgress;

use crate::{Language, Result, Runner};

/// A language that can also be prepared for running. The pure parts of the workflow get only its [`Language`].
#[async_trait]
pub trait Toolchain: Language {
    /// Finds or installs what runs code of this language. What is installed lies below `data_dir` and is found again
    /// there; then nothing is fetched. Each step is told to `report`.
    ///
    /// # Errors
    /// It cannot be fetched, installed or started.
    async fn prepare(&self, data_dir: &Path, report: OnProgress<'_>) -> Result<Arc<dyn Runner>>;
}
