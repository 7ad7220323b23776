//! The only writer: a thread that combines all waiting appends into one transaction (group commit) and replies
//! after the commit. It assigns sequence numbers and revisions.
//!
//! After an error at the commit the outcome is unknown: the store is opened again, and the last acknowledged event
//! must exist, or the journal refuses all further work.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use journeyman_bus::{Bus, Message};
use journeyman_event::{Event, Owner, Sequence, TaskId};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::Error;
use crate::batch::{self, Append, Appended, Batch};
use crate::engine::{self, Engine, StreamName};
use crate::erasure::{self, Erases, Step, Stepped};
use crate::reader::{Head, Snapshot};

/// The most commands that are handled as one group.
const BATCH_COMMANDS_MAX: usize = 512;
/// The most events per transaction, exceeded by at most one append.
const BATCH_EVENTS_MAX: usize = 4_000;
/// The most bytes of payloads and blobs per transaction, exceeded by at most one append.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// A group waits for further appends only if at least this many commands are expected soon.
const GATHER_MIN: usize = 8;
/// The longest wait for further appends.
const GATHER_TIME: Duration = Duration::from_micros(300);

/// The longest line that is published on the bus, in bytes. Hundreds of messages may be queued for a slow
/// subscription, so it reads longer events from the store.
const PUBLISHED_BYTES_MAX: usize = 64 << 10;

/// A committed event, published to subscriptions. Its kind on the bus is its task, so that a subscription to
/// one task is not woken by others.
#[derive(Debug)]
pub(crate) struct Committed {
    task: TaskId,
    /// The event; `None` if it is too large, so that only its existence is published.
    pub(crate) event: Option<Event>,
}

impl Committed {
    fn of(event: &Event) -> Self {
        let is_small = event.line().len() <= PUBLISHED_BYTES_MAX && event.blob().is_none();
        Self {
            task: event.task_id().clone(),
            event: is_small.then(|| event.clone()),
        }
    }

    /// The message to followers of a task that it was erased. They read the rest from the store.
    fn erased(stream: &StreamName) -> Self {
        Self {
            task: stream.task_id.clone(),
            event: None,
        }
    }
}

impl Message for Committed {
    fn kind(&self) -> &str {
        self.task.as_str()
    }
}

/// A command to the writer.
pub(crate) enum Command {
    Append(AppendCommand),
    Snapshot(SnapshotCommand),
    Step(StepCommand),
}

pub(crate) struct AppendCommand {
    pub(crate) owner: Owner,
    pub(crate) append: Append,
    /// The stream that it erases.
    pub(crate) erases: Option<Erases>,
    pub(crate) reply: oneshot::Sender<Result<Appended, Error>>,
    /// Its share of the bytes that may wait for the writer. Released when it is dropped.
    pub(crate) permit: OwnedSemaphorePermit,
}

pub(crate) struct SnapshotCommand {
    pub(crate) stream: StreamName,
    pub(crate) snapshot: Snapshot,
    pub(crate) reply: oneshot::Sender<Result<(), Error>>,
    /// Its share of the bytes that may wait.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// A step of an erasure.
pub(crate) struct StepCommand {
    pub(crate) step: Step,
    pub(crate) reply: oneshot::Sender<Result<Stepped, Error>>,
}

/// Whether the acknowledged events are known to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitState {
    /// All of them are stored.
    Known,
    /// An error left it open. The store must be opened again before anything is written.
    InDoubt,
    /// Some of them are missing. Nothing is written any more.
    Lost,
}

/// The writer thread and its state.
pub(crate) struct WriterThread {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) store: Box<dyn engine::Writer>,
    /// The last acknowledged event.
    pub(crate) head: Head,
    pub(crate) committed: watch::Sender<Sequence>,
    /// The bus on which committed events are published.
    pub(crate) bus: Bus<Committed>,
    /// Incremented when events turn out to be committed that were not published.
    pub(crate) unpublished: watch::Sender<u64>,
    pub(crate) commit_state: CommitState,
    /// Why the last append was not written; `None` if it was.
    pub(crate) write_error: watch::Sender<Option<Error>>,
}

/// Commands that are handled together.
#[derive(Default)]
struct Group {
    appends: Vec<AppendCommand>,
    snapshots: Vec<SnapshotCommand>,
    steps: Vec<StepCommand>,
    events: usize,
    bytes: usize,
}

impl Group {
    /// Collects the first command and those queued behind it. If there are many concurrent writers, those that
    /// just got a reply are about to send their next append; waiting briefly for them turns two flushes into
    /// one (like `commit_delay` and `commit_siblings` of PostgreSQL).
    fn gather(first: Command, commands: &mut mpsc::Receiver<Command>, expected: usize) -> Self {
        let mut group = Self::default();
        group.add(first);
        let until = (expected >= GATHER_MIN).then(|| Instant::now() + GATHER_TIME);
        while !group.is_full() {
            if let Ok(command) = commands.try_recv() {
                group.add(command);
            } else if group.len() < expected && until.is_some_and(|until| Instant::now() < until) {
                thread::yield_now();
            } else {
                break;
            }
        }
        group
    }

    fn add(&mut self, command: Command) {
        match command {
            Command::Append(command) => {
                self.bytes += command.append.bytes();
                self.events += command.append.events.len();
                self.appends.push(command);
            }
            Command::Snapshot(command) => {
                self.bytes += command.snapshot.bytes.len();
                self.snapshots.push(command);
            }
            Command::Step(command) => self.steps.push(command),
        }
    }

    fn len(&self) -> usize {
        self.appends.len() + self.snapshots.len() + self.steps.len()
    }

    fn is_full(&self) -> bool {
        self.len() >= BATCH_COMMANDS_MAX
            || self.events >= BATCH_EVENTS_MAX
            || self.bytes >= BATCH_BYTES_MAX
    }
}

impl WriterThread {
    /// Handles commands until the journal is dropped.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        // How many commands are expected soon: one from each caller answered last, and those already in the channel.
        let mut expected = 0;
        while let Some(first) = commands.blocking_recv() {
            let group = Group::gather(first, &mut commands, expected);
            expected = group.len();
            if !group.appends.is_empty() {
                let results = self.write(&group.appends);
                self.publish(&group.appends, &results);
                for (command, result) in group.appends.into_iter().zip(results) {
                    drop(command.permit);
                    // A caller that stopped waiting loses nothing: what was written stays written.
                    drop(command.reply.send(result));
                }
            }
            for command in group.snapshots {
                let kept = self.keep_snapshot(&command.stream, &command.snapshot);
                drop(command.permit);
                drop(command.reply.send(kept));
            }
            for command in group.steps {
                let stepped = self.step(command.step);
                drop(command.reply.send(stepped));
            }
            expected += commands.len();
        }
    }

    fn keep_snapshot(&mut self, stream: &StreamName, snapshot: &Snapshot) -> Result<(), Error> {
        self.recover()?;
        let kept = self.store.keep_snapshot(stream, snapshot);
        self.note(kept.as_ref().err());
        kept
    }

    fn step(&mut self, step: Step) -> Result<Stepped, Error> {
        self.recover()?;
        let stepped = erasure::take(step, &*self.engine, &mut *self.store);
        self.note(stepped.as_ref().err());
        stepped
    }

    /// Publishes new events to subscriptions. A subscription that is too slow reads them from the store instead, and a
    /// bus that has stopped has no subscriptions, so errors are ignored.
    fn publish(&self, appends: &[AppendCommand], results: &[Result<Appended, Error>]) {
        if !self.bus.has_subscribers() {
            return;
        }
        for (command, result) in appends.iter().zip(results) {
            let Ok(new) = result else { continue };
            if new.duplicate {
                continue;
            }
            for event in &new.events {
                let _ = self.bus.try_publish(Committed::of(event));
            }
            if let Some(erases) = &command.erases {
                let _ = self.bus.try_publish(Committed::erased(&erases.stream));
            }
        }
    }

    fn write(&mut self, batch: &[AppendCommand]) -> Vec<Result<Appended, Error>> {
        let all = |error: Error| batch.iter().map(|_| Err(error.clone())).collect();
        if let Err(error) = self.recover() {
            self.write_error.send_replace(Some(error.clone()));
            return all(error);
        }
        match self.try_write(batch) {
            Ok((results, head)) => {
                self.write_error
                    .send_if_modified(|write_error| write_error.take().is_some());
                if head.sequence > self.head.sequence {
                    self.head = head;
                    self.committed.send_replace(head.sequence);
                }
                results
            }
            Err(Error::Full { .. }) if batch.len() > 1 => {
                // Each append alone: an append that is too large must not fail the others, which may still fit.
                let alone = batch.iter().map(std::slice::from_ref);
                alone.flat_map(|command| self.write(command)).collect()
            }
            Err(error) => {
                tracing::error!(%error, "append failed");
                self.write_error.send_replace(Some(error.clone()));
                self.note(Some(&error));
                all(error)
            }
        }
    }

    /// Updates the commit state after an error: "full", "not writable" and "held" were rolled back; any other error
    /// leaves the store in doubt.
    fn note(&mut self, error: Option<&Error>) {
        match error {
            None | Some(Error::Full { .. } | Error::NotWritable { .. } | Error::Held { .. }) => {}
            Some(_) => self.commit_state = CommitState::InDoubt,
        }
    }

    /// Runs one transaction. The returned results are valid only if it was committed.
    fn try_write(
        &mut self,
        batch: &[AppendCommand],
    ) -> Result<(Vec<Result<Appended, Error>>, Head), Error> {
        let mut head = self.head;
        let mut results = Vec::new();
        let appends = batch
            .iter()
            .map(|command| (&command.owner, &command.append, command.erases.as_ref()));
        let wanted = batch::lookup_keys(appends.clone());
        self.store.write(&wanted, &mut |known| {
            let mut group = Batch::new(known, self.head);
            results = appends.clone().map(|given| group.add(given)).collect();
            head = group.head;
            group.changes
        })?;
        Ok((results, head))
    }

    /// After an error that leaves the store in doubt: opens the store again, and continues only if the last
    /// acknowledged event exists unchanged.
    fn recover(&mut self) -> Result<(), Error> {
        if self.commit_state == CommitState::InDoubt {
            match self.store.reopen() {
                Ok(()) if self.store.hash_at(self.head.sequence)? == Some(self.head.hash) => {
                    self.head = self.store.head()?;
                    self.committed.send_replace(self.head.sequence);
                    self.unpublished.send_modify(|times| *times += 1);
                    self.commit_state = CommitState::Known;
                }
                Ok(()) | Err(Error::LostAcknowledged { .. }) => {
                    self.commit_state = CommitState::Lost;
                }
                Err(error) => return Err(error),
            }
        }
        match self.commit_state {
            CommitState::Lost => Err(Error::LostAcknowledged {
                store: self.engine.name().to_owned(),
            }),
            CommitState::Known | CommitState::InDoubt => Ok(()),
        }
    }
}
