//! The socket in the data folder, on which whoever holds the folder answers.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

const NAME: &str = "server.sock";
/// Bytes that the path of a socket may have (`sun_path` of unix(7), its end mark left out).
const PATH_MAX: usize = 107;
/// Only the user that it belongs to may use it.
const MODE: u32 = 0o600;

/// Where the socket is, in a form that is short enough, for as long as this lives.
pub(crate) struct Place {
    path: PathBuf,
    /// Keeps the short form good.
    _folder: Option<File>,
}

impl Place {
    /// In this data folder.
    pub(crate) fn of(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(NAME);
        if path.as_os_str().len() <= PATH_MAX {
            return Ok(Self {
                path,
                _folder: None,
            });
        }
        let folder = File::open(data_dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
        Ok(Self {
            path,
            _folder: Some(folder),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Listens there. Only who holds the data folder may: what is there is left from a holder that died.
    pub(crate) fn listen(&self) -> io::Result<UnixListener> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&self.path)?;
        fs::set_permissions(&self.path, fs::Permissions::from_mode(MODE))?;
        Ok(listener)
    }
}
