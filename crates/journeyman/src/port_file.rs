//! The file in which `serve` reports its port, for those who started it with port 0.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A port file. It exists, complete, only while the server can be reached on its port.
pub(crate) struct PortFile {
    path: PathBuf,
    /// The temporary file that is renamed to the port file.
    partial: PathBuf,
    text: Option<String>,
}

impl PortFile {
    /// Checks that the file can be created. An existing file of another server is left unchanged.
    pub(crate) fn prepare(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("--port-file {}", path.display());
        let path = std::path::absolute(path).with_context(named)?;
        let Some(name) = path.file_name().filter(|_| !path.is_dir()) else {
            bail!("{} is a folder; name a file in it", named());
        };
        if let Some(text) = existing(&path).with_context(named)?
            && !text.trim().is_empty()
            && text.trim().parse::<u16>().is_err()
        {
            bail!(
                "{} has something else in it than a port, and is left alone; name another file",
                named()
            );
        }
        let mut partial = name.to_owned();
        partial.push(format!(".{}.partial", std::process::id()));
        let partial = path.with_file_name(partial);
        File::create(&partial)
            .with_context(|| format!("{}: cannot write {}", named(), partial.display()))?;
        Ok(Self {
            path,
            partial,
            text: None,
        })
    }

    /// Writes the port to the temporary file, and removes the port file left by a crashed server, so that a
    /// process waiting for the file waits for this server.
    pub(crate) fn write(&mut self, port: u16) -> io::Result<()> {
        let text = format!("{port}\n");
        let mut file = File::create(&self.partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        if existing(&self.path)?.is_some() {
            fs::remove_file(&self.path)?;
        }
        self.text = Some(text);
        Ok(())
    }

    /// Renames the temporary file to the port file.
    pub(crate) fn publish(&self) -> io::Result<()> {
        fs::rename(&self.partial, &self.path)
    }
}

/// The contents of a file, if it exists.
fn existing(path: &Path) -> io::Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Drop for PortFile {
    fn drop(&mut self) {
        // Neither is there to be removed when the other is; and a later server may have its own there.
        let _ = fs::remove_file(&self.partial);
        if self.text.is_some() && existing(&self.path).is_ok_and(|text| text == self.text) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
