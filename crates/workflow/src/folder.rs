//! Folders in which code is run: new for each run, and removed afterwards.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::layout::Files;
use crate::output::place;

/// A temporary folder that is removed after use.
#[derive(Debug)]
pub struct FreshFolder(PathBuf);

impl FreshFolder {
    /// Creates a new folder below `parent` with these files.
    ///
    /// # Errors
    /// [`Error::Work`] if a path leads out of the folder, or something cannot be written.
    pub async fn make(parent: &Path, name: &str, files: &Files) -> Result<Self, Error> {
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

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Removes the folder. What cannot be removed is logged.
    pub async fn remove(self) {
        self.remove_quietly().await;
    }

    /// Removes the folder. What cannot be removed is removed when the next worker starts.
    async fn remove_quietly(&self) {
        match tokio::fs::remove_dir_all(&self.0).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(folder = %self.0.display(), %error, "work folder not removed");
            }
            _ => {}
        }
    }
}
