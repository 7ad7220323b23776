//! Emits the load of the queue and the resources of the process, from time to time.

use std::time::Duration;

use journeyman_signal::{QueueDepthChanged, ResourceUtilization, Signals};
use journeyman_tasks::Tasks;
use rustix::param::{clock_ticks_per_second, page_size};

/// The load that was emitted last.
#[derive(Default)]
pub(crate) struct Usage {
    depth: Option<QueueDepthChanged>,
}

impl Usage {
    /// Emits the number of waiting and running tasks if it has changed, and the resources that the process uses. Does
    /// nothing while nobody listens.
    pub(crate) fn emit(&mut self, tasks: &Tasks, signals: &Signals) {
        if !signals.are_heard() {
            return;
        }
        let figures = tasks.statistics();
        let waiting: usize = figures.depth.iter().map(|(_, tasks)| tasks).sum();
        let depth = QueueDepthChanged {
            waiting: waiting as u64,
            running: figures.running as u64,
        };
        if self.depth.as_ref() != Some(&depth) {
            self.depth = Some(depth.clone());
            signals.emit(|| depth.into());
        }
        if let Some(used) = used() {
            signals.emit(|| used.into());
        }
    }
}

/// The resources of this process, from the kernel (proc(5)); `None` if they cannot be read.
fn used() -> Option<ResourceUtilization> {
    let memory = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = memory.split(' ').nth(1)?.parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, in parentheses, may have spaces in it.
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let ms = (user + system) * 1_000 / clock_ticks_per_second();
    Some(ResourceUtilization {
        memory_bytes: pages * page_size() as u64,
        cpu: Duration::from_millis(ms),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_process_uses_memory() {
        let used = super::used();
        assert!(used.is_some_and(|used| used.memory_bytes > 1 << 20));
    }
}
