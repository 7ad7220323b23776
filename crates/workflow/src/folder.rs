//! Folders that code runs in: fresh for each run, and taken away after it.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::layout::Files;
use crate::output::place;

/// A folder that is taken away when it was used.
pub(crate) struct FreshFolder(PathBuf);

impl FreshFolder {
    /// A folder below `parent` that nothing was run in before, with these files.
    pub(crate) async fn make(parent: &Path, name: &str, files: &Files) -> Result<Self, Error> {
        let folder = Self(parent.join(name));
        // Left over from a run that was cut off at this very attempt.
        folder.remove_quietly().await;
        for (path, text) in files {
            let target = place(&folder.0, path).map_err(|e| Error::work(&folder.0, e))?;
            if let Some(parent) = target.parent() {
                tokio::fs::create_dir_all(parent)
                    .await
                    .map_err(|e| Error::work(parent, e))?;
            }
            tokio::fs::write(&target, text)
                .await
                .map_err(|e| Error::work(&target, e))?;
        }
        tokio::fs::create_dir_all(&folder.0)
            .await
            .map_err(|e| Error::work(&folder.0, e))?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) async fn remove(self) {
        self.remove_quietly().await;
    }

    /// What cannot be removed is swept when the next worker starts.
    async fn remove_quietly(&self) {
        match tokio::fs::remove_dir_all(&self.0).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(folder = %self.0.display(), %error, "work folder not removed");
            }
            _ => {}
        }
    }
}
