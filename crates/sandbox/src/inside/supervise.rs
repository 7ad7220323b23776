//! The supervisor: starts the stage, waits until it ends or the socket closes, and leaves no descendant alive. It
//! is not confined and runs no untrusted code.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, WaitOptions, WaitStatus, getpid, pidfd_open,
    set_child_subreaper, set_dumpable_behavior, wait,
};

use super::{STAGE, bubblewrap, disk, tree};
use crate::policy::{End, Policy, StageReport, Verdict};
use crate::{Level, Limits};

/// How often orphans are reaped, and memory and disk use are checked.
const TICK: Duration = Duration::from_millis(50);
/// How long killing processes is repeated before they are reported as unkillable (stuck in the kernel).
const KILL_MS_MAX: u64 = 10_000;
/// The longest report accepted from the stage.
const REPORT_BYTES_MAX: usize = 64 << 10;

/// Runs one policy, which it reads from the socket on standard input.
pub(super) fn main() -> ExitCode {
    let Ok(mut life_line) = life_line() else {
        return ExitCode::from(3);
    };
    let mut line = String::new();
    let Ok(policy) = BufReader::new(&life_line)
        .read_line(&mut line)
        .and_then(|_| serde_json::from_str::<Policy>(&line).map_err(io::Error::from))
    else {
        return ExitCode::from(3);
    };
    let verdict = supervise(&policy, &life_line).unwrap_or_else(|error| Verdict {
        end: End::NotStarted {
            reason: Some(error.to_string()),
        },
        landlock_abi: None,
    });
    let verdict = match tree::kill_all(KILL_MS_MAX) {
        Ok(()) => {
            disk::make_removable(&policy.folder);
            if let Some(scratch) = &policy.scratch {
                disk::make_removable(scratch);
            }
            verdict
        }
        Err(remaining) => Verdict {
            end: End::NotDead {
                remaining,
                waited_ms: KILL_MS_MAX,
            },
            ..verdict
        },
    };
    if let Some(scratch) = &policy.scratch {
        // Here and not only at our parent, which may have been killed. What the command made unremovable stays, in the
        // system's folder for temporary files.
        let _ = std::fs::remove_dir_all(scratch);
    }
    // A closed socket is not an error: it means that our parent is gone.
    let told = serde_json::to_vec(&verdict)
        .map_err(io::Error::from)
        .and_then(|bytes| life_line.write_all(&bytes));
    if told.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    }
}

/// Takes the socket from standard input, so that no child inherits it, and closes all other inherited file
/// descriptors.
fn life_line() -> io::Result<UnixStream> {
    close_fds::set_fds_cloexec(3, &[]);
    let socket: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(UnixStream::from(socket))
}

fn supervise(policy: &Policy, life_line: &UnixStream) -> io::Result<Verdict> {
    // Orphaned descendants become our children instead of init's, so a double fork does not escape.
    set_child_subreaper(Some(getpid()))?;
    // Where the untrusted code has our user id, it must not look into us.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    tree::check_children_are_listed()?;

    let (mut stage, theirs) = UnixStream::pair()?;
    let child = start(policy, theirs)?;
    let mut line = serde_json::to_vec(policy)?;
    line.push(b'\n');
    // A stage that died early (no bwrap, say) shows below by its missing report.
    let _ = stage.write_all(&line);

    let mut watch = Watch {
        child,
        child_fd: pidfd_open(child, PidfdFlags::empty())?,
        stage,
        stage_open: true,
        said: VecDeque::new(),
        limits: policy.limits,
        folders: [Some(policy.folder.as_path()), policy.scratch.as_deref()]
            .into_iter()
            .flatten()
            .collect(),
    };
    let end = watch.until_end(life_line)?;
    watch.drain();
    Ok(watch.verdict(policy.level, end))
}

fn start(policy: &Policy, socket: UnixStream) -> io::Result<Pid> {
    let mut command = match policy.level {
        Level::Bubblewrap => {
            let mut command = Command::new("bwrap");
            command
                .args(bubblewrap::arguments(policy))
                .arg("--")
                .arg(bubblewrap::LAUNCHER);
            command
        }
        // Ourselves, whatever has become of the file in the meantime.
        Level::Landlock => Command::new("/proc/self/exe"),
    };
    let child = command
        .args(&policy.launcher_arguments)
        .arg(STAGE)
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .spawn()
        .map_err(|error| match (policy.level, error.kind()) {
            (Level::Bubblewrap, io::ErrorKind::NotFound) => io::Error::new(
                error.kind(),
                "there is no bwrap on PATH: install the package bubblewrap",
            ),
            _ => error,
        })?;
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("the stage has no process id"))
}

struct Watch<'a> {
    child: Pid,
    child_fd: OwnedFd,
    stage: UnixStream,
    stage_open: bool,
    said: VecDeque<u8>,
    limits: Limits,
    /// The folders on disk that the command can write to.
    folders: Vec<&'a Path>,
}

impl Watch<'_> {
    fn until_end(&mut self, life_line: &UnixStream) -> io::Result<End> {
        let mut looked_at = Instant::now();
        loop {
            let ready = self.wait(life_line.as_fd())?;
            if ready.life_line {
                return Ok(End::Stopped);
            }
            if ready.stage {
                self.listen();
            }
            if let Some(status) = self.reap() {
                return Ok(end_of(status));
            }
            if looked_at.elapsed() >= TICK {
                if tree::holds_more_than(self.limits.memory_bytes_max) {
                    return Ok(End::Memory);
                }
                let disk_bytes_max = self.limits.disk_bytes_max;
                if tree::written_bytes() > disk_bytes_max
                    || disk::folders_hold_more_than(&self.folders, disk_bytes_max)
                {
                    return Ok(End::Disk);
                }
                looked_at = Instant::now();
            }
        }
    }

    fn wait(&self, life_line: BorrowedFd<'_>) -> io::Result<Ready> {
        let mut watched = vec![
            PollFd::from_borrowed_fd(life_line, PollFlags::IN),
            PollFd::from_borrowed_fd(self.child_fd.as_fd(), PollFlags::IN),
        ];
        if self.stage_open {
            watched.push(PollFd::from_borrowed_fd(self.stage.as_fd(), PollFlags::IN));
        }
        let tick = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(TICK.subsec_nanos()),
        };
        match poll(&mut watched, Some(&tick)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let fired = |index: usize| {
            watched
                .get(index)
                .is_some_and(|fd| !fd.revents().is_empty())
        };
        Ok(Ready {
            life_line: fired(0),
            stage: fired(2),
        })
    }

    /// Reads what the stage has reported, without waiting for more.
    fn listen(&mut self) {
        let mut buffer = [0; 4096];
        match self.stage.read(&mut buffer) {
            Ok(0) | Err(_) => self.stage_open = false,
            Ok(count) => {
                let room = REPORT_BYTES_MAX.saturating_sub(self.said.len());
                self.said.extend(buffer.iter().take(count.min(room)));
            }
        }
    }

    /// Reads the rest of the report. The stage has ended, so all of it has arrived.
    fn drain(&mut self) {
        if self.stage.set_nonblocking(true).is_ok() {
            while self.stage_open {
                self.listen();
            }
        }
    }

    /// Reaps dead processes. Returns how the stage (by now the command) ended, if it did.
    fn reap(&self) -> Option<WaitStatus> {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.child {
                return Some(status);
            }
        }
        None
    }

    fn verdict(&mut self, level: Level, end: End) -> Verdict {
        let mut ready = None;
        let mut failure = None;
        for line in self.said.make_contiguous().split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(StageReport::Ready { landlock_abi }) => ready = Some(landlock_abi),
                Ok(StageReport::Failed { reason }) => failure = Some(reason),
                Err(_) => {}
            }
        }
        let end = match end {
            End::Code(_) | End::Signal(_) if failure.is_some() || ready.is_none() => {
                End::NotStarted { reason: failure }
            }
            // The convention of shells, which bubblewrap follows too: 128 and the number of the signal.
            End::Code(code) if level == Level::Bubblewrap && (129..=192).contains(&code) => {
                End::Signal(code - 128)
            }
            other => other,
        };
        Verdict {
            end,
            landlock_abi: ready.flatten(),
        }
    }
}

struct Ready {
    life_line: bool,
    stage: bool,
}

fn end_of(status: WaitStatus) -> End {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => End::Code(code),
        (None, Some(signal)) => End::Signal(signal),
        (None, None) => End::Stopped,
    }
}
