//! The Unix socket in the data folder, on which the holder of the directory serves requests.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

const NAME: &str = "server.sock";
/// The longest path of a socket in bytes (`sun_path` of unix(7), without the terminating zero).
const PATH_MAX: usize = 107;
/// Only the owner may use the socket.
const MODE: u32 = 0o600;

/// The path of the socket, in a form that is short enough, valid as long as this lives.
pub(crate) struct Place {
    path: PathBuf,
    /// Keeps the short form valid.
    _folder: Option<File>,
}

impl Place {
    /// The socket of this data folder.
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

    /// Listens on the socket. Only the holder of the data folder may do this; an existing socket was left by
    /// a holder that died.
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
