//! The descendants of this process: lists them, measures them, and kills them. Reads `/proc` and starts nothing.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};

use super::disk;

/// Fails if the kernel does not list a process's children (it was built without `CONFIG_PROC_CHILDREN`),
/// because a descendant could then be missed.
pub(super) fn check_children_are_listed() -> io::Result<()> {
    let own = getpid().as_raw_nonzero();
    fs::metadata(format!("/proc/{own}/task/{own}/children"))
        .map(|_| ())
        .map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the kernel does not list child processes in /proc ({error}); mount /proc, or use another kernel"),
            )
        })
}

/// All living descendants, and dead ones that were not reaped yet.
fn descendants() -> Vec<i32> {
    let mut found = Vec::new();
    let mut known = HashSet::new();
    let mut pending = vec![getpid().as_raw_nonzero().get()];
    while let Some(parent) = pending.pop() {
        for child in children(parent) {
            if known.insert(child) {
                found.push(child);
                pending.push(child);
            }
        }
    }
    found
}

fn children(parent: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else {
        return Vec::new();
    };
    threads
        .filter_map(Result::ok)
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<i32>>()
        })
        .collect()
}

/// Kills descendants until none is left. Returns how many remained after `ms_max`.
pub(super) fn kill_all(ms_max: u64) -> Result<(), usize> {
    let start = Instant::now();
    loop {
        // First all descendants are stopped, until no new one appears: a stopped process cannot escape by
        // forking.
        let mut stopped = HashSet::new();
        loop {
            let new: Vec<_> = descendants()
                .into_iter()
                .filter(|pid| stopped.insert(*pid))
                .collect();
            if new.is_empty() {
                break;
            }
            signal(&new, Signal::STOP);
        }
        let all: Vec<_> = stopped.into_iter().collect();
        signal(&all, Signal::KILL);
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => break,
                // No child is left, and since we inherit every orphan, no descendant.
                Err(_) => return Ok(()),
            }
        }
        if start.elapsed() > Duration::from_millis(ms_max) {
            return Err(all.len());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn signal(pids: &[i32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // Already gone is what we want.
        let _ = kill_process(pid, signal);
    }
}

/// The bytes that this process and its descendants wrote to files, as far as the kernel reports them.
pub(super) fn written_bytes() -> u64 {
    let own = getpid().as_raw_nonzero().get();
    let sum: i64 = descendants()
        .into_iter()
        .chain([own])
        .map(disk::written_bytes)
        .fold(0, i64::saturating_add);
    u64::try_from(sum).unwrap_or(0)
}

/// Whether the descendants together use more memory than `bytes_max`. The resident sizes count shared pages
/// once per process, so their sum is too high for programs that fork. It serves as a cheap first check, so that
/// most runs never need the exact one.
pub(super) fn holds_more_than(bytes_max: u64) -> bool {
    let pids = descendants();
    let resident: u64 = pids.iter().filter_map(|pid| resident_bytes(*pid)).sum();
    resident > bytes_max
        && pids
            .iter()
            .filter_map(|pid| proportional_bytes(*pid).or_else(|| resident_bytes(*pid)))
            .sum::<u64>()
            > bytes_max
}

fn resident_bytes(pid: i32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn proportional_bytes(pid: i32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The number of processes and threads of a user on this machine, as far as `/proc` shows them.
pub(crate) fn threads_of_user(uid: u32) -> u64 {
    let Ok(processes) = fs::read_dir("/proc") else {
        return 0;
    };
    processes
        .filter_map(Result::ok)
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .iter()
                .all(u8::is_ascii_digit)
        })
        .filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok())
        .filter_map(|status| {
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name))?;
                line.split_ascii_whitespace().next()?.parse::<u64>().ok()
            };
            (field("Uid:")? == u64::from(uid))
                .then(|| field("Threads:"))
                .flatten()
        })
        .sum()
}
