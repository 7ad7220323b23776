//! A server process started by us, with everything it starts, in a process group that ends with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;

use super::config::Secret;
use crate::ServerName;

/// How long a server may take to end after its input was closed.
const GRACE: Duration = Duration::from_secs(1);
/// How often the process is checked during that time.
const LOOK: Duration = Duration::from_millis(10);
/// The most bytes kept of a line of its error output.
const LINE_MAX: usize = 1_000;
/// The environment variables it inherits from us.
const INHERITED: &[&str] = &["PATH", "HOME", "LANG", "TMPDIR"];

/// A running server. Dropping it kills its process group at once.
pub(super) struct Child {
    process: tokio::process::Child,
    group: Option<Pid>,
    /// The task that reads its error output; ends with this value.
    _log: JoinSet<()>,
}

/// The streams for communication with the server.
pub(super) type Streams = (ChildStdout, ChildStdin);

/// Starts a server process.
pub(super) fn start(
    server: &ServerName,
    program: &str,
    args: &[String],
    env: &BTreeMap<String, Secret>,
    cwd: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<(Child, Streams), String> {
    let mut command = Command::new(program);
    command.args(args).env_clear();
    for name in INHERITED {
        if let Some(value) = environment.get(*name) {
            command.env(name, value);
        }
    }
    command.envs(env.iter().map(|(name, value)| (name, &value.0)));
    if let Some(folder) = cwd {
        command.current_dir(folder);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let spawned = command.spawn();
    let mut child = spawned.map_err(|error| format!("cannot start {program:?}: {error}"))?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let group = id.and_then(Pid::from_raw);
    let streams = child.stdout.take().zip(child.stdin.take());
    let mut log = JoinSet::new();
    if let Some(stderr) = child.stderr.take() {
        log.spawn(note_lines(server.clone(), stderr));
    }
    let child = Child {
        process: child,
        group,
        _log: log,
    };
    match streams {
        Some(streams) => Ok((child, streams)),
        None => Err("its standard streams could not be opened".into()),
    }
}

impl Child {
    /// Ends the server after its input was closed: waits a moment for it to end by itself, then kills what is
    /// left of its process group.
    pub(super) async fn end(mut self) {
        let deadline = tokio::time::Instant::now() + GRACE;
        while !self.has_ended() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        self.kill();
        let _ = self.process.wait().await;
    }

    /// Checks whether the process has ended without reaping it. Until it is reaped, its process id cannot be
    /// reused.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.group
            .is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
    }

    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Before its exit status is taken, so that the group's id cannot be another's by now.
        self.kill();
    }
}

/// Reads and logs the server's error output, so that the server never blocks on it.
async fn note_lines(server: ServerName, mut stderr: impl AsyncRead + Unpin) {
    let mut buffer = [0; 4_096];
    let mut line = Vec::new();
    let tell = |line: &mut Vec<u8>| {
        if !line.is_empty() {
            tracing::debug!(%server, line = %String::from_utf8_lossy(line), "error output");
            line.clear();
        }
    };
    while let Ok(count) = stderr.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        for &byte in &buffer[..count] {
            match byte {
                b'\n' => tell(&mut line),
                _ if line.len() < LINE_MAX => line.push(byte),
                _ => {}
            }
        }
    }
    tell(&mut line);
}
