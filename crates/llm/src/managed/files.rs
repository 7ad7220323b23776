//! The files that the supervisor of a managed server shares with the processes that use it: a folder in the data
//! directory with two lock files, the state, and the logs.
//!
//! - `lock` is held by the supervisor for as long as it lives.
//! - `users` is held with a shared lock by every process that uses the server. A process that can lock it
//!   exclusively knows that there are no other users.
//! - `state.json` is the supervisor's report of itself and the server, replaced atomically at every change.
//! - `stop` asks the supervisor to end.
//!
//! The locks are the operating system's (`flock`), which releases them when the holder ends for any reason.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use journeyman_event::Tokens;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::Error;

/// How long to wait before trying a lock again. Others hold it briefly while they check it.
const BETWEEN_TRIES: Duration = Duration::from_millis(20);
/// How long to try the supervisor's lock when only checking it.
const LOOKING: Duration = Duration::from_millis(400);
/// How long to wait for a server that is being stopped or replaced.
const ENDING: Duration = Duration::from_secs(30);
/// How many characters of a log an error shows.
const LOG_CHARS: usize = 800;
/// The size at which a log is rotated.
const LOG_BYTES_MAX: u64 = 16 << 20;

/// The status of the managed server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineStatus {
    /// It is loading its model or waiting to be restarted.
    Starting,
    /// It answers requests.
    Running,
    /// It is not running.
    Stopped,
    /// It ended and is not restarted any more.
    Failed,
}

impl EngineStatus {
    /// The name as in the state file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// What a managed server is for. A data folder has at most one server of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnginePurpose {
    /// It answers prompts.
    #[default]
    Answers,
    /// It makes vectors of texts.
    Embeddings,
}

impl EnginePurpose {
    /// The folder in the data folder.
    const fn folder(self) -> &'static str {
        match self {
            Self::Answers => "engine",
            Self::Embeddings => "embedding-engine",
        }
    }
}

/// The model that a server has loaded, and with which settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServedModel {
    /// What the server is for. Older supervisors have servers of one kind.
    #[serde(default)]
    pub(crate) purpose: EnginePurpose,
    /// The name of the model.
    pub(crate) model: String,
    /// The path of the weights.
    pub(crate) weights: PathBuf,
    /// The context window of each slot, in tokens.
    pub(crate) context: Tokens,
    /// The number of parallel requests.
    pub(crate) slots: u32,
}

impl ServedModel {
    /// Whether a server with these settings is suitable for a process that wants `wanted`.
    pub(crate) fn serves(&self, wanted: &Self) -> bool {
        self.model == wanted.model
            && self.weights == wanted.weights
            && self.context == wanted.context
            && self.slots >= wanted.slots
    }
}

/// The supervisor's report of itself and its server. The supervisor may be older than the process that reads
/// this, so members may be added, with defaults, but not renamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineState {
    /// The status of the server.
    pub status: EngineStatus,
    /// The process id of the supervisor.
    pub supervisor: u32,
    /// The process id of the server while it is running.
    pub pid: Option<u32>,
    /// The port of the server on the loopback interface.
    pub port: Option<u16>,
    #[serde(flatten)]
    pub(crate) load: ServedModel,
    /// When the server became ready, in seconds since 1970.
    pub since: Option<u64>,
    /// The number of restarts.
    pub restarts: u32,
    /// Why the server failed, or why it was last restarted.
    pub reason: Option<String>,
}

impl EngineState {
    /// The URL of the server.
    pub fn url(&self) -> Option<String> {
        self.port.map(|port| format!("http://127.0.0.1:{port}"))
    }

    /// The name of the model.
    pub fn model(&self) -> &str {
        &self.load.model
    }

    /// The context window of each slot, in tokens.
    pub fn context(&self) -> Tokens {
        self.load.context
    }

    /// The number of parallel requests.
    pub fn slots(&self) -> u32 {
        self.load.slots
    }
}

/// The shared folder.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(crate) fn new(data_dir: &Path, purpose: EnginePurpose) -> Self {
        Self {
            folder: data_dir.join(purpose.folder()),
        }
    }

    pub(crate) fn create(&self) -> Result<(), Error> {
        fs::create_dir_all(&self.folder).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        let folder = self.folder.display();
        Error::Managed {
            reason: format!("{folder}: {error}"),
        }
    }

    fn open(&self, name: &str) -> Result<File, Error> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.folder.join(name))
            .map_err(|error| self.failed(error))
    }

    /// Takes the supervisor's lock; `None` if another process holds it.
    pub(crate) async fn supervise(&self) -> Result<Option<File>, Error> {
        let lock = self.open("lock")?;
        let taken = poll(LOOKING, || lock.try_lock()).await;
        let taken = taken.map_err(|error| self.failed(error))?;
        Ok(taken.then_some(lock))
    }

    /// The report of the running supervisor; `None` if none is running or it has not reported yet.
    pub(crate) fn supervised(&self) -> Result<Option<EngineState>, Error> {
        if !self.folder.exists() || self.is_free()? {
            return Ok(None);
        }
        Ok(self.last_state())
    }

    /// Whether no supervisor is running.
    pub(crate) fn is_free(&self) -> Result<bool, Error> {
        match self.open("lock")?.try_lock_shared() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(self.failed(error)),
        }
    }

    /// The last report of the last supervisor, which may have ended.
    pub(crate) fn last_state(&self) -> Option<EngineState> {
        let text = fs::read(self.folder.join("state.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Replaces the state file. Only the holder of the supervisor's lock may call this.
    pub(crate) fn publish(&self, state: &EngineState) -> Result<(), Error> {
        let (next, place) = (
            self.folder.join("state.json.next"),
            self.folder.join("state.json"),
        );
        serde_json::to_vec(state)
            .map_err(io::Error::from)
            .and_then(|text| fs::write(&next, text))
            .and_then(|()| fs::rename(&next, &place))
            .map_err(|error| self.failed(error))
    }

    /// Registers this process as a user of the server, until the returned value is dropped or the process ends.
    pub(crate) async fn join(&self) -> Result<Users, Error> {
        let users = Users {
            file: self.open("users")?,
        };
        users.share(self).await?;
        Ok(users)
    }

    /// Opens the file that users lock, without locking it.
    pub(crate) fn users(&self) -> Result<Users, Error> {
        Ok(Users {
            file: self.open("users")?,
        })
    }

    /// The processes that use the server, as far as the system reports them.
    pub(crate) fn user_pids(&self) -> Option<Vec<u32>> {
        let inode = match fs::metadata(self.folder.join("users")) {
            Ok(about) => about.ino(),
            Err(_) => return Some(Vec::new()),
        };
        Some(holders(&fs::read_to_string("/proc/locks").ok()?, inode))
    }

    /// Asks the supervisor to end.
    pub(crate) fn ask_to_stop(&self) -> Result<(), Error> {
        self.open("stop").map(drop)
    }

    /// Whether the supervisor was asked to end.
    pub(crate) fn asked_to_stop(&self) -> bool {
        self.folder.join("stop").exists()
    }

    /// Removes an earlier request to end.
    pub(crate) fn forget_stop(&self) -> Result<(), Error> {
        match fs::remove_file(self.folder.join("stop")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    /// Asks the supervisor to end, and waits until it and its server have ended.
    pub(crate) async fn stop(&self) -> Result<(), Error> {
        let deadline = Instant::now() + ENDING;
        while !self.is_free()? {
            // Again each time: a supervisor that is just beginning forgets older requests.
            self.ask_to_stop()?;
            if Instant::now() >= deadline {
                let pid = self.last_state().map_or(0, |state| state.supervisor);
                let seconds = ENDING.as_secs();
                let reason = format!(
                    "its supervisor (process {pid}) did not end within {seconds} s; end it with kill -9 {pid}"
                );
                return Err(Error::Managed { reason });
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        self.forget_stop()
    }

    pub(crate) fn server_log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    pub(crate) fn supervisor_log(&self) -> PathBuf {
        self.folder.join("supervisor.log")
    }

    /// Rotates a log that has become too large. Writers append, so the file can be truncated while one has it
    /// open.
    pub(crate) fn bound_log(log: &Path) -> io::Result<()> {
        if fs::metadata(log).is_ok_and(|about| about.len() > LOG_BYTES_MAX) {
            if let Err(error) = fs::copy(log, log.with_extension("log.1")) {
                // On a full disk it is lost, which makes room.
                tracing::warn!(%error, "the log {} is not kept", log.display());
            }
            OpenOptions::new().write(true).open(log)?.set_len(0)?;
        }
        Ok(())
    }
}

/// The end of a log, for an error message.
pub(crate) fn log_end(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let skip = text.trim_end().chars().count().saturating_sub(LOG_CHARS);
    text.trim_end().chars().skip(skip).collect()
}

/// An open handle on the file that users lock.
#[derive(Debug)]
pub(crate) struct Users {
    file: File,
}

impl Users {
    /// Takes a shared lock.
    pub(crate) async fn share(&self, files: &Files) -> Result<(), Error> {
        let shared = poll(ENDING, || self.file.try_lock_shared()).await;
        if shared.map_err(|error| files.failed(error))? {
            return Ok(());
        }
        let seconds = ENDING.as_secs();
        let reason =
            format!("another process has been ending or replacing it for more than {seconds} s");
        Err(Error::Managed { reason })
    }

    /// Takes an exclusive lock if there is no other holder. If there is one, a shared lock held before is lost.
    pub(crate) fn alone(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    pub(crate) fn release(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

/// Tries to take a lock until it succeeds (true) or the time is up (false). Waiting for a file lock would need
/// a thread.
async fn poll(
    timeout: Duration,
    mut attempt: impl FnMut() -> Result<(), TryLockError>,
) -> io::Result<bool> {
    let deadline = Instant::now() + timeout;
    loop {
        match attempt() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// The process ids that hold shared locks on an inode, parsed from `/proc/locks` (proc(5)): `1: FLOCK ADVISORY
/// READ 4711 08:01:1234 0 EOF`. The device is not compared, because some file systems report a different one
/// there than in a file's metadata.
fn holders(locks: &str, inode: u64) -> Vec<u32> {
    let inode = inode.to_string();
    let mut pids: Vec<u32> = locks
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let ["FLOCK", _, "READ", pid, place, ..] = fields.get(1..)? else {
                return None;
            };
            let held = place.rsplit(':').next() == Some(inode.as_str());
            held.then(|| pid.parse().ok()).flatten()
        })
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn load(slots: u32) -> ServedModel {
        ServedModel {
            purpose: EnginePurpose::Answers,
            model: "m".to_owned(),
            weights: PathBuf::from("/m.gguf"),
            context: Tokens(8_192),
            slots,
        }
    }

    #[test]
    fn a_server_does_for_who_wants_the_same_model_and_window_and_no_more_slots() {
        assert!(load(1).serves(&load(1)));
        assert!(load(4).serves(&load(1)));
        assert!(!load(1).serves(&load(2)));
        let mut other = load(1);
        other.context = Tokens(4_096);
        assert!(!load(1).serves(&other));
        let mut other = load(1);
        other.weights = PathBuf::from("/n.gguf");
        assert!(!load(1).serves(&other));
    }

    #[test]
    fn users_are_read_from_the_systems_list_of_locks() {
        let locks = "1: FLOCK  ADVISORY  READ 12 fe:00:77 0 EOF\n\
                     1: -> FLOCK  ADVISORY  WRITE 15 fe:00:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 13 fe:00:77 0 EOF\n\
                     3: POSIX  ADVISORY  READ 14 fe:00:77 0 EOF\n\
                     4: FLOCK  ADVISORY  READ 11 fe:00:77 0 EOF\n\
                     5: FLOCK  ADVISORY  READ 16 fe:00:177 0 EOF\n";
        assert_eq!(holders(locks, 77), [11, 12]);
    }

    #[test]
    fn a_large_log_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("server.log");
        File::create(&log)
            .unwrap()
            .set_len(LOG_BYTES_MAX + 1)
            .unwrap();
        Files::bound_log(&log).unwrap();
        assert_eq!(fs::metadata(&log).unwrap().len(), 0);
        let aside = folder.path().join("server.log.1");
        assert_eq!(fs::metadata(aside).unwrap().len(), LOG_BYTES_MAX + 1);
    }

    #[tokio::test]
    async fn a_state_counts_only_while_its_supervisor_lives() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), EnginePurpose::Answers);
        assert_eq!(files.supervised().unwrap(), None);
        files.create().unwrap();
        let lock = files.supervise().await.unwrap().unwrap();
        let state = EngineState {
            status: EngineStatus::Running,
            supervisor: 1,
            pid: Some(2),
            port: Some(3),
            load: load(1),
            since: Some(4),
            restarts: 0,
            reason: None,
        };
        files.publish(&state).unwrap();
        assert_eq!(files.supervised().unwrap(), Some(state.clone()));
        assert!(files.supervise().await.unwrap().is_none());
        drop(lock);
        assert_eq!(files.supervised().unwrap(), None);
        assert_eq!(files.last_state(), Some(state));
    }

    #[tokio::test]
    async fn only_the_last_user_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), EnginePurpose::Answers);
        files.create().unwrap();
        let (one, two) = (files.join().await.unwrap(), files.join().await.unwrap());
        assert_eq!(files.user_pids(), Some(vec![std::process::id()]));
        assert!(!one.alone().unwrap());
        one.share(&files).await.unwrap();
        drop(two);
        assert!(one.alone().unwrap());
    }
}
