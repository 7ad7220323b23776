//! The file descriptors of this process: raises their limit, and reserves enough for tasks.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The highest useful limit, since there are at most 20,000 connections.
const WANTED: u64 = 65_536;
/// Reserved for the journal, its readers, the model server, listeners and the log.
const FOR_ALL: u64 = 128;
/// Reserved for each running task: its model call, sandbox and files.
const FOR_A_TASK: u64 = 16;

/// Raises the process's limit as far as the system allows and as is useful. If that fails, the limit stays as
/// it is.
pub(crate) fn raise() {
    let now = getrlimit(Resource::Nofile);
    let wanted = now.maximum.map_or(WANTED, |maximum| maximum.min(WANTED));
    if now.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum: now.maximum,
        };
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// How many connections are possible, so that this many concurrent tasks have enough descriptors.
pub(crate) fn connections_max(tasks: usize) -> usize {
    let all = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    connections_of(all, tasks)
}

fn connections_of(all: u64, tasks: usize) -> usize {
    let tasks = u64::try_from(tasks).unwrap_or(u64::MAX);
    let kept = FOR_ALL.saturating_add(FOR_A_TASK.saturating_mul(tasks));
    // If there are few descriptors, most of them are reserved for tasks nevertheless, and the rest is for
    // connections.
    let left = all.saturating_sub(kept).max(all / 4);
    usize::try_from(left).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_enough_for_tasks() {
        for (all, tasks, connections) in [
            (65_536, 5, 65_328),
            (1_024, 5, 816),
            (1_024, 20, 576),
            (1_024, 1_000, 256),
            (64, 5, 16),
        ] {
            assert_eq!(connections_of(all, tasks), connections, "{all}, {tasks}");
        }
    }
}
