//! The one writer: a thread that takes everything that waits into one transaction (group commit)
//! and answers after the commit. It alone gives sequences and revisions.
//!
//! After an error at the commit nothing is assumed: the store is opened again, and the last event
//! that was acknowledged must be there, or the journal refuses all further work.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use journeyman_bus::{Bus, Message};
use journeyman_event::{Event, Owner, Sequence, TaskId};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::Error;
use crate::batch::{self, Append, Appended, Batch};
use crate::engine::{self, Engine, StreamName};
use crate::reader::{Head, Snapshot};

/// Orders that are taken together at the most.
const BATCH_COMMANDS_MAX: usize = 512;
/// Events that one transaction takes at the most, give or take one append.
const BATCH_EVENTS_MAX: usize = 4_000;
/// Bytes of payloads and blobs that one transaction takes at the most, give or take one append.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// From so many writers at once on, a group waits for those that are about to come.
const GATHER_MIN: usize = 8;
/// How long it waits for them at the most.
const GATHER_TIME: Duration = Duration::from_micros(300);

/// Bytes of a line that is told over the bus. Hundreds wait there for a slow subscription, so it reads
/// longer ones from the store when it is ready for them.
const PUBLISHED_BYTES_MAX: usize = 64 << 10;

/// A committed event on its way to subscriptions. On the bus its kind is its task, so that news of one
/// task wakes nobody who follows another.
#[derive(Debug)]
pub(crate) struct Committed {
    task: TaskId,
    /// None of one that is too large to wait here: that there is one is all that is told.
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
}

impl Message for Committed {
    fn kind(&self) -> &str {
        self.task.as_str()
    }
}

/// What the writer is asked to do.
pub(crate) enum Command {
    Append(AppendCommand),
    Snapshot(SnapshotCommand),
}

pub(crate) struct AppendCommand {
    pub(crate) owner: Owner,
    pub(crate) append: Append,
    pub(crate) reply: oneshot::Sender<Result<Appended, Error>>,
    /// Its share of the bytes that may wait.
    pub(crate) permit: OwnedSemaphorePermit,
}

pub(crate) struct SnapshotCommand {
    pub(crate) stream: StreamName,
    pub(crate) snapshot: Snapshot,
    pub(crate) reply: oneshot::Sender<Result<(), Error>>,
    /// Its share of the bytes that may wait.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// What is known of what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitState {
    /// It is there.
    Known,
    /// The store must be opened again before anything is written.
    InDoubt,
    /// Something is gone, for good.
    Lost,
}

/// The thread that writes, and all that it holds.
pub(crate) struct WriterThread {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) store: Box<dyn engine::Writer>,
    /// The last event that was acknowledged.
    pub(crate) head: Head,
    pub(crate) committed: watch::Sender<Sequence>,
    /// Where committed events are published.
    pub(crate) bus: Bus<Committed>,
    /// Counts up when events were found committed that nobody was told of.
    pub(crate) unpublished: watch::Sender<u64>,
    pub(crate) commit_state: CommitState,
    /// Why the last append was not written; none if it was.
    pub(crate) write_error: watch::Sender<Option<Error>>,
}

/// Orders that are taken together.
#[derive(Default)]
struct Group {
    appends: Vec<AppendCommand>,
    snapshots: Vec<SnapshotCommand>,
    events: usize,
    bytes: usize,
}

impl Group {
    /// The first order and those that wait behind it. Where many write at once, those that were
    /// answered a moment ago are about to come again: a short wait for them makes one flush of what
    /// would be two (`commit_delay` and `commit_siblings` of PostgreSQL are the same idea).
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
        }
    }

    fn len(&self) -> usize {
        self.appends.len() + self.snapshots.len()
    }

    fn is_full(&self) -> bool {
        self.len() >= BATCH_COMMANDS_MAX
            || self.events >= BATCH_EVENTS_MAX
            || self.bytes >= BATCH_BYTES_MAX
    }
}

impl WriterThread {
    /// Takes orders until the journal is dropped, then ends.
    pub(crate) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        // How many may come soon: those that were answered last, and those that waited meanwhile.
        let mut expected = 0;
        while let Some(first) = commands.blocking_recv() {
            let group = Group::gather(first, &mut commands, expected);
            expected = group.len();
            if !group.appends.is_empty() {
                let results = self.write(&group.appends);
                self.publish(&results);
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
            expected += commands.len();
        }
    }

    fn keep_snapshot(&mut self, stream: &StreamName, snapshot: &Snapshot) -> Result<(), Error> {
        self.recover()?;
        let kept = self.store.keep_snapshot(stream, snapshot);
        self.note(kept.as_ref().err());
        kept
    }

    /// Tells subscriptions what is new. One that is too slow reads it from the store again, and a
    /// stopped bus has none.
    fn publish(&self, results: &[Result<Appended, Error>]) {
        if !self.bus.has_subscribers() {
            return;
        }
        let new = results.iter().flatten().filter(|new| !new.duplicate);
        for event in new.flat_map(|new| &new.events) {
            let _ = self.bus.try_publish(Committed::of(event));
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
                // One that is too large must not fail those that still fit.
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

    /// Full and not writable are rolled back; anything else leaves the store in doubt.
    fn note(&mut self, error: Option<&Error>) {
        match error {
            None | Some(Error::Full { .. } | Error::NotWritable { .. }) => {}
            Some(_) => self.commit_state = CommitState::InDoubt,
        }
    }

    /// One transaction. Its answers hold only if it is committed, which it then is.
    fn try_write(
        &mut self,
        batch: &[AppendCommand],
    ) -> Result<(Vec<Result<Appended, Error>>, Head), Error> {
        let mut head = self.head;
        let mut results = Vec::new();
        let appends = batch
            .iter()
            .map(|command| (&command.owner, &command.append));
        let wanted = batch::lookup_keys(appends.clone());
        self.store.write(&wanted, &mut |known| {
            let mut group = Batch::new(known, self.head);
            results = appends
                .clone()
                .map(|(owner, append)| group.add(owner, append))
                .collect();
            head = group.head;
            group.changes
        })?;
        Ok((results, head))
    }

    /// After an error in doubt: opens the store again and goes on only if the last event that was
    /// acknowledged is there as it was.
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
                    self.commit_state = CommitState::Lost
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
