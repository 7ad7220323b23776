//! The stage: confines itself step by step and then becomes the command. The order of the steps matters: each needs
//! a right that a later one gives up.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::fs::Mode;
use rustix::process::{
    Gid, Resource, Rlimit, Signal, Uid, chdir, set_parent_process_death_signal, setrlimit, setsid,
    umask,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::{filesystem, seccomp};
use crate::policy::{Policy, StageReport};
use crate::{Level, Limits};

/// The most open files; more than any test needs, and few enough to be harmless.
const OPEN_FILES_MAX: u64 = 512;
/// The limit on address space as a multiple of the memory limit. Address space is free until used, and
/// interpreters reserve plenty. This limit only covers what the limit on writable memory misses, such as shared
/// mappings.
const ADDRESS_SPACE_FACTOR: u64 = 8;

/// Reads one policy from the socket on standard input and becomes its command. Returns only if that fails.
pub(super) fn main() -> ExitCode {
    let Ok((mut socket, policy)) = take_policy() else {
        return ExitCode::from(3);
    };
    let failure = match lock_in(&policy, &mut socket) {
        Ok(never) => match never {},
        Err(reason) => reason,
    };
    // If the supervisor is gone too, the report is not needed.
    let _ = say(&mut socket, &StageReport::Failed { reason: failure });
    ExitCode::from(3)
}

fn take_policy() -> io::Result<(UnixStream, Policy)> {
    close_fds::set_fds_cloexec(3, &[]);
    let socket: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    let socket = UnixStream::from(socket);
    let mut line = String::new();
    BufReader::new(&socket).read_line(&mut line)?;
    Ok((socket, serde_json::from_str(&line)?))
}

fn say(socket: &mut UnixStream, report: &StageReport) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    socket.write_all(&line)
}

fn lock_in(policy: &Policy, socket: &mut UnixStream) -> Result<std::convert::Infallible, String> {
    // The kernel should kill this process before the server when memory is short. Some containers refuse this; then the score
    // stays unchanged.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    umask(Mode::from_raw_mode(0o077));
    // Bubblewrap has made us the leader of a session already, and then this is refused.
    let _ = setsid();
    limit(&policy.limits, policy.processes_before)?;
    if let Some(uid) = policy.become_uid {
        become_user(uid)?;
    }
    // Set after the change of user, which resets it. If the supervisor died earlier, telling it that we are ready fails.
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("prctl(PDEATHSIG): {error}"))?;
    chdir(&policy.folder).map_err(|_| filesystem::unreachable(&policy.folder))?;
    set_no_new_privs(true).map_err(|error| format!("prctl(NO_NEW_PRIVS): {error}"))?;
    let landlock_abi = filesystem::confine(policy)?;
    // If the code runs as our own user, the filter also blocks changes to files that Landlock does not cover.
    let shares_our_user = policy.level == Level::Landlock && policy.become_uid.is_none();
    seccomp::apply(shares_our_user).map_err(|error| format!("seccomp: {error}"))?;
    say(socket, &StageReport::Ready { landlock_abi })
        .map_err(|error| format!("the supervisor is gone: {error}"))?;
    let error = Command::new(&policy.program)
        .args(&policy.arguments)
        .env_clear()
        .envs(policy.environment.iter().map(|(name, value)| (name, value)))
        .exec();
    Err(format!(
        "{} cannot be started ({error}); {}",
        policy.program.display(),
        filesystem::unreachable(&policy.program)
    ))
}

fn limit(limits: &Limits, processes_before: u64) -> Result<(), String> {
    let set = |resource: Resource, current: u64, maximum: u64| {
        let ceiling = rustix::process::getrlimit(resource)
            .maximum
            .unwrap_or(u64::MAX);
        let wanted = Rlimit {
            current: Some(current.min(ceiling)),
            maximum: Some(maximum.min(ceiling)),
        };
        setrlimit(resource, wanted).map_err(|error| format!("setrlimit({resource:?}): {error}"))
    };
    let both = |resource: Resource, value: u64| set(resource, value, value);
    set(
        Resource::Cpu,
        limits.cpu_seconds_max,
        limits.cpu_seconds_max.saturating_add(1),
    )?;
    both(Resource::Data, limits.memory_bytes_max)?;
    both(
        Resource::As,
        limits.memory_bytes_max.saturating_mul(ADDRESS_SPACE_FACTOR),
    )?;
    both(
        Resource::Nproc,
        processes_before.saturating_add(limits.processes_max),
    )?;
    both(Resource::Fsize, limits.file_bytes_max)?;
    both(Resource::Nofile, OPEN_FILES_MAX)?;
    both(Resource::Core, 0)?;
    both(Resource::Msgqueue, 0)?;
    both(Resource::Memlock, 0)
}

fn become_user(uid: u32) -> Result<(), String> {
    let refused = |what: &str, error: rustix::io::Errno| {
        format!(
            "{what} to user {uid} is refused ({error}), although we are root: run as a normal user instead"
        )
    };
    set_thread_groups(&[]).map_err(|error| refused("setgroups", error))?;
    let group = Gid::from_raw(uid);
    set_thread_res_gid(group, group, group).map_err(|error| refused("setgid", error))?;
    let user = Uid::from_raw(uid);
    set_thread_res_uid(user, user, user).map_err(|error| refused("setuid", error))?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(|error| refused("dropping capabilities", error))
}
