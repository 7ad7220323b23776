//! Our side of a run: starts the supervisor, reads the outputs, enforces the time limit, and requests the end.
//! Fully asynchronous. The level is only passed on in the policy.

use std::fs::Permissions;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::geteuid;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio_util::sync::CancellationToken;

use crate::capture::{Captured, capture};
use crate::inside::{self, SUPERVISE};
use crate::policy::{End, NOBODY, Policy, Verdict};
use crate::{
    Command, Error, Exit, Level, Limits, Output, Probe, Result, SandboxOptions, ownership,
};

/// How long the supervisor may take to kill all processes and report after being told to stop. It gives up
/// earlier itself.
const STOP_MS_MAX: u64 = 15_000;
/// How long outputs are still read if a remaining process may hold them open.
const LOST_OUTPUT_MS_MAX: u64 = 500;

/// Runs untrusted code at a probed level. Cheap to clone. Runs are independent of each other.
#[derive(Clone, Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: SandboxOptions,
    level: Level,
    probe: Probe,
}

impl Sandbox {
    /// Probes the levels, the strongest first, by running `check_with` (a Python interpreter) with a program
    /// that tries to escape. Fails with [`Error::TooWeak`] if no level of at least [`SandboxOptions::minimum`]
    /// holds.
    pub async fn probe(options: SandboxOptions, check_with: &Path) -> Result<Self> {
        let probe = crate::probe::probe(&options, check_with).await?;
        match probe.level {
            Some(level) if level >= options.minimum => Ok(Self {
                shared: Arc::new(Shared {
                    options,
                    level,
                    probe,
                }),
            }),
            _ => Err(Error::TooWeak {
                minimum: options.minimum,
                probe,
            }),
        }
    }

    /// The findings of the probe.
    pub fn probe_result(&self) -> &Probe {
        &self.shared.probe
    }

    /// The level at which commands are run.
    pub fn level(&self) -> Level {
        self.shared.level
    }

    /// The limits of runs that specify none.
    pub fn limits(&self) -> Limits {
        self.shared.options.limits
    }

    /// Runs a command and waits until all of its processes have ended. If the future is dropped, the supervisor
    /// kills them.
    pub async fn run(&self, command: Command, cancel: &CancellationToken) -> Result<Output> {
        run_at(self.shared.level, &self.shared.options, command, cancel)
            .await
            .map(|ran| ran.output)
    }
}

/// The output of a run, with details for the probe.
pub(crate) struct Ran {
    pub(crate) output: Output,
    pub(crate) landlock_abi: Option<i32>,
}

/// The user id for untrusted code, if it differs from ours.
pub(crate) fn become_uid() -> Option<u32> {
    geteuid().is_root().then_some(NOBODY)
}

pub(crate) async fn run_at(
    level: Level,
    options: &SandboxOptions,
    command: Command,
    cancel: &CancellationToken,
) -> Result<Ran> {
    check(&command)?;
    let start = Instant::now();
    let limits = command.limits.unwrap_or(options.limits);
    let prepared = prepare(level, options, command, limits).await?;
    let (child, life_line) = start_supervisor(&prepared.policy)?;
    let ran = attend(child, life_line, &prepared.policy, start, cancel).await;
    if let Some(scratch) = prepared.scratch {
        // The supervisor has removed it, unless it vanished.
        let _ = tokio::task::spawn_blocking(move || scratch.close()).await;
    }
    ran
}

fn check(command: &Command) -> Result<()> {
    for path in [&command.program, &command.folder] {
        if !path.is_absolute() {
            return Err(Error::BadCommand {
                path: path.clone(),
                reason: "the path is not absolute".to_owned(),
            });
        }
    }
    Ok(())
}

struct Prepared {
    policy: Policy,
    scratch: Option<TempDir>,
}

async fn prepare(
    level: Level,
    options: &SandboxOptions,
    command: Command,
    limits: Limits,
) -> Result<Prepared> {
    let launcher = options.launcher.clone();
    let readable = options.readable.clone();
    let work = move || -> Result<Prepared> {
        let become_uid = become_uid();
        let scratch = match level {
            Level::Bubblewrap => None,
            Level::Landlock => Some(
                tempfile::Builder::new()
                    .prefix("journeyman-run-")
                    .permissions(Permissions::from_mode(0o700))
                    .tempdir()
                    .map_err(|error| Error::io("make a folder for temporary files", error))?,
            ),
        };
        if let Some(uid) = become_uid {
            for folder in [
                Some(command.folder.as_path()),
                scratch.as_ref().map(TempDir::path),
            ]
            .into_iter()
            .flatten()
            {
                ownership::give(folder, uid).map_err(|error| Error::Setup {
                    level,
                    reason: format!(
                        "{} cannot be given to user {uid} ({error}); if this root is not the machine's own, as in a \
                         rootless container, run as a normal user instead",
                        folder.display()
                    ),
                })?;
            }
        }
        // In a user namespace of its own the count starts at nothing.
        let processes_before = match (level, become_uid) {
            (Level::Bubblewrap, None) => 0,
            (_, uid) => inside::threads_of_user(uid.unwrap_or_else(|| geteuid().as_raw())),
        };
        let mut policy = Policy {
            level,
            launcher: launcher.program,
            launcher_arguments: launcher.arguments,
            program: command.program,
            arguments: command.arguments,
            folder: command.folder,
            scratch: scratch.as_ref().map(|folder| folder.path().to_owned()),
            readable,
            environment: Vec::new(),
            limits,
            become_uid,
            processes_before,
        };
        policy.environment = environment(&policy, command.environment);
        Ok(Prepared { policy, scratch })
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::io("prepare the run", std::io::Error::other(error)))?
}

fn environment(policy: &Policy, given: Vec<(String, String)>) -> Vec<(String, String)> {
    let own = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("HOME", policy.folder.to_string_lossy().into_owned()),
        ("TMPDIR", policy.temporary().to_string_lossy().into_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("USER", "nobody".to_owned()),
        ("LOGNAME", "nobody".to_owned()),
    ];
    own.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .chain(given)
        .collect()
}

fn start_supervisor(policy: &Policy) -> Result<(Child, UnixStream)> {
    let failed = |error| Error::io("make a socket for the supervisor", error);
    let (ours, theirs) = StdUnixStream::pair().map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    let ours = UnixStream::from_std(ours).map_err(failed)?;
    let mut supervisor = tokio::process::Command::new(&policy.launcher);
    supervisor
        .args(&policy.launcher_arguments)
        .arg(SUPERVISE)
        .env_clear()
        // The supervisor finds bwrap by it.
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .current_dir("/")
        // Away from the terminal's group: Ctrl-C is for us, and we tell the supervisor.
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = supervisor.spawn().map_err(|error| {
        Error::io(
            format!("start the launcher {}", policy.launcher.display()),
            error,
        )
    })?;
    // Dropped with `supervisor`: our copy of the other end, without which the socket would not close with the process.
    Ok((child, ours))
}

async fn attend(
    mut child: Child,
    life_line: UnixStream,
    policy: &Policy,
    start: Instant,
    cancel: &CancellationToken,
) -> Result<Ran> {
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::io(
            "read from the supervisor",
            std::io::ErrorKind::BrokenPipe,
        ));
    };
    let give_up = CancellationToken::new();
    let (stdout, stderr, told) = tokio::join!(
        read_stdout(stdout, policy, &give_up),
        read_stderr(stderr, policy, &give_up),
        async {
            let told = until_verdict(&mut child, life_line, policy, start, cancel).await;
            let all_dead = matches!(&told, Ok((Some(verdict), _)) if !matches!(verdict.end, End::NotDead { .. }));
            if !all_dead {
                tokio::time::sleep(Duration::from_millis(LOST_OUTPUT_MS_MAX)).await;
                give_up.cancel();
            }
            told
        },
    );
    let (verdict, asked) = told?;
    let status = child
        .wait()
        .await
        .map_err(|error| Error::io("wait for the supervisor", error))?;
    let Some(verdict) = verdict else {
        return Err(Error::SupervisorLost {
            detail: status.to_string(),
        });
    };
    let exit = exit_of(verdict.end, asked, policy, &stderr)?;
    Ok(Ran {
        output: Output {
            exit,
            truncated: stdout.truncated || stderr.truncated,
            stdout: stdout.text,
            stderr: stderr.text,
            wall_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        },
        landlock_abi: verdict.landlock_abi,
    })
}

async fn read_stdout(stdout: ChildStdout, policy: &Policy, stop: &CancellationToken) -> Captured {
    capture(stdout, policy.limits.output_bytes_max, stop).await
}

async fn read_stderr(stderr: ChildStderr, policy: &Policy, stop: &CancellationToken) -> Captured {
    capture(stderr, policy.limits.output_bytes_max, stop).await
}

/// Sends the policy and waits for the supervisor's final report. Requests the end when the time is up or the
/// caller cancels. Returns the report, if one arrived, and why the end was requested, if it was.
async fn until_verdict(
    child: &mut Child,
    mut life_line: UnixStream,
    policy: &Policy,
    start: Instant,
    cancel: &CancellationToken,
) -> Result<(Option<Verdict>, Option<Exit>)> {
    let mut line = serde_json::to_vec(policy).map_err(|error| Error::BadCommand {
        path: policy.program.clone(),
        reason: format!("a path of it cannot be written as text: {error}"),
    })?;
    line.push(b'\n');
    // A supervisor that is gone already shows by its missing verdict.
    let _ = life_line.write_all(&line).await;

    let mut said = Vec::new();
    let deadline = start + Duration::from_millis(policy.limits.wall_ms_max);
    let asked = tokio::select! {
        biased;
        _ = life_line.read_to_end(&mut said) => None,
        () = cancel.cancelled() => Some(Exit::Cancelled),
        () = tokio::time::sleep_until(deadline.into()) => Some(Exit::WallTime),
    };
    if asked.is_some() {
        let life_line = life_line
            .into_std()
            .and_then(|socket| socket.shutdown(Shutdown::Write).map(|()| socket))
            .and_then(UnixStream::from_std);
        if let Ok(mut life_line) = life_line {
            let rest = life_line.read_to_end(&mut said);
            if tokio::time::timeout(Duration::from_millis(STOP_MS_MAX), rest)
                .await
                .is_err()
            {
                let _ = child.start_kill();
            }
        }
    }
    Ok((serde_json::from_slice(&said).ok(), asked))
}

fn exit_of(end: End, asked: Option<Exit>, policy: &Policy, stderr: &Captured) -> Result<Exit> {
    match end {
        End::Code(code) => Ok(Exit::Code(code)),
        End::Signal(signal) => Ok(Exit::Signal(signal)),
        End::Memory => Ok(Exit::Memory),
        End::Disk => Ok(Exit::Disk),
        End::Stopped => asked.ok_or_else(|| Error::SupervisorLost {
            detail: "it was stopped, but not by us".to_owned(),
        }),
        End::NotStarted { reason } => Err(Error::Setup {
            level: policy.level,
            reason: reason.unwrap_or_else(|| match stderr.text.trim() {
                "" => "the stage ended without a word".to_owned(),
                text => text.to_owned(),
            }),
        }),
        End::NotDead {
            remaining,
            waited_ms,
        } => Err(Error::NotDead {
            remaining,
            waited_ms,
        }),
    }
}
