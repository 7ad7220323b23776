//! A runner whose jobs do what a test says, and a queue around it.

#![allow(dead_code)] // not every test file uses all of it

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use journeyman_event::Priority;
use journeyman_queue::{
    Alert, Queue, QueueOptions, RecoveredJob, Removal, RunOutcome, Runner, Stop, StopReason,
    WhenFull, Withdrawal,
};
use tokio::sync::Notify;
use tokio::time::Instant;

/// What a job does.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    /// Goes on until it is let go or told to stop; goes back to the queue when preempted.
    Hold,
    /// Goes on until it is let go, whatever it is told.
    Ignore,
    Panic,
    /// Is done at once.
    Done,
    /// Its time is up at once.
    Late,
}

#[derive(Default)]
struct Inner {
    log: Mutex<Vec<String>>,
    acts: Mutex<HashMap<String, Act>>,
    free: Mutex<HashSet<String>>,
    freed: Notify,
    alerts: Mutex<Vec<Alert>>,
    removals: Mutex<Vec<(String, Removal<String>)>>,
}

/// The runner, and what the test sees of it.
#[derive(Clone, Default)]
pub(crate) struct Lab(Arc<Inner>);

impl Lab {
    pub(crate) fn act(&self, id: &str, act: Act) {
        self.0.acts.lock().unwrap().insert(id.into(), act);
    }

    /// Lets a job end.
    pub(crate) fn free(&self, id: &str) {
        self.0.free.lock().unwrap().insert(id.into());
        self.0.freed.notify_waiters();
    }

    fn say(&self, what: String) {
        self.0.log.lock().unwrap().push(what);
    }

    /// What has happened since the last look.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.log.lock().unwrap())
    }

    pub(crate) fn alerts(&self) -> Vec<Alert> {
        std::mem::take(&mut *self.0.alerts.lock().unwrap())
    }

    pub(crate) fn removals(&self) -> Vec<(String, Removal<String>)> {
        std::mem::take(&mut *self.0.removals.lock().unwrap())
    }

    async fn held(&self, id: &str) {
        loop {
            let freed = self.0.freed.notified();
            if self.0.free.lock().unwrap().contains(id) {
                return;
            }
            freed.await;
        }
    }
}

/// Says so when a run is over or dropped.
struct Leaves(Lab, String);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.say(format!("-{}", self.1));
    }
}

impl Runner for Lab {
    type Id = String;

    async fn run(&self, id: String, stop: Stop<String>) -> RunOutcome {
        self.say(format!("+{id}"));
        let _leaves = Leaves(self.clone(), id.clone());
        let act = self.0.acts.lock().unwrap().get(&id).copied();
        match act.unwrap_or(Act::Hold) {
            Act::Hold => tokio::select! {
                () = self.held(&id) => RunOutcome::Done,
                reason = stop.stopped() => {
                    self.say(format!("{id}: {reason}"));
                    match reason {
                        StopReason::Preempted { .. } => RunOutcome::Requeue,
                        StopReason::Paused => RunOutcome::Rests,
                        _ => RunOutcome::Done,
                    }
                }
            },
            Act::Ignore => {
                self.held(&id).await;
                RunOutcome::Done
            }
            Act::Panic => panic!("{id} had enough"),
            Act::Done => RunOutcome::Done,
            Act::Late => RunOutcome::TimedOut,
        }
    }

    async fn removed(&self, id: String, removal: Removal<String>) {
        self.0.removals.lock().unwrap().push((id, removal));
    }

    async fn alert(&self, alert: Alert) {
        self.0.alerts.lock().unwrap().push(alert);
    }
}

pub(crate) fn start(options: &QueueOptions) -> (Queue<Lab>, Lab) {
    let lab = Lab::default();
    (Queue::start(options, lab.clone()), lab)
}

/// One job at a time.
pub(crate) fn single() -> QueueOptions {
    QueueOptions {
        max_concurrent: 1,
        ..QueueOptions::default()
    }
}

/// Until nothing is left to be done: only then does the paused clock go on.
pub(crate) async fn quiet() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

pub(crate) async fn submit(queue: &Queue<Lab>, id: &str, priority: Priority) {
    submit_until(queue, id, priority, None).await;
}

pub(crate) async fn submit_until(
    queue: &Queue<Lab>,
    id: &str,
    priority: Priority,
    deadline: Option<Instant>,
) {
    let permit = queue.admit(id.into(), &[], WhenFull::Refuse).await.unwrap();
    permit.submit(priority, deadline);
    quiet().await;
}

/// Lets a waiting job that was cancelled or paused leave.
pub(crate) fn leaves(withdrawal: Withdrawal<Lab>) {
    match withdrawal {
        Withdrawal::WasWaiting(held) => held.remove(),
        Withdrawal::Running(_) | Withdrawal::Unknown => panic!("it does not wait"),
    }
}

pub(crate) fn job(id: &str, priority: Priority) -> RecoveredJob<String> {
    RecoveredJob {
        id: id.into(),
        priority,
        deadline: None,
        depends_on: Vec::new(),
    }
}

pub(crate) fn ids(many: &[&str]) -> Vec<String> {
    many.iter().map(|id| (*id).to_owned()).collect()
}
