//! The public handle of a journal: a cheap clone that sends appends to the writer and runs reads where they may
//! block.

use std::fmt;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use journeyman_bus::Bus;
use journeyman_event::{ContentHash, Event, NewEvent, Principal, Randomness, Sequence, TaskId};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::Error;
use crate::batch::{APPEND_BYTES_MAX, Append, Appended};
use crate::engine::{Direction, Engine, Holder, READS_MAX, StreamName};
use crate::erasure::{self, Erases, Erasures, Step, Stepped};
use crate::reader::{
    self, Filter, Head, Page, ReadLimit, SNAPSHOT_BYTES_MAX, Snapshot, StreamInfo,
};
use crate::subscription::{Live, Subscription};
use crate::transfer::{Export, Format, Import};
use crate::verify::{self, VerifyReport};
use crate::writer::{
    AppendCommand, Command, CommitState, Committed, SnapshotCommand, StepCommand, WriterThread,
};

/// Appends that may wait for the writer; further callers wait to be let in.
const QUEUE_MAX: usize = 1_024;
/// The most bytes of queued payloads and blobs: two of the largest appends.
const QUEUE_BYTES_MAX: usize = 2 * APPEND_BYTES_MAX;
/// The most streams per list.
const STREAMS_MAX: usize = 10_000;

/// An open journal. Clones share it. When the last clone is dropped, the writer finishes what was accepted and
/// releases the store.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Arc<dyn Engine>,
    store_id: String,
    queries: Arc<Semaphore>,
    /// The records of erasures, as far as they were read. Locked while erasures are being completed.
    erasures: Mutex<Erasures>,
    /// None for a journal that is only read.
    writing: Option<Writing>,
}

struct Writing {
    commands: Option<mpsc::Sender<Command>>,
    /// The number of bytes that may still be queued.
    queue_bytes: Arc<Semaphore>,
    committed: watch::Receiver<Sequence>,
    write_error: watch::Receiver<Option<Error>>,
    unpublished: watch::Receiver<u64>,
    bus: Bus<Committed>,
    thread: Option<thread::JoinHandle<()>>,
}

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let committed = *self.committed.borrow();
        f.debug_struct("Writing")
            .field("committed", &committed)
            .finish_non_exhaustive()
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's writer ended in a panic");
        }
    }
}

impl Journal {
    /// Opens a store for writing, creating it if it does not exist. The journal then holds the store: a second
    /// writer gets [`Error::Locked`].
    pub fn open(engine: Arc<dyn Engine>, randomness: &dyn Randomness) -> Result<Self, Error> {
        let new_store_id = format!(
            "{:016x}-{:016x}",
            randomness.next_u64(),
            randomness.next_u64()
        );
        let mut store = engine.open_writer(&new_store_id)?;
        let store_id = engine.store_id()?;
        let head = store.head()?;
        let (committed, receiver) = watch::channel(head.sequence);
        let (commands, queue) = mpsc::channel(QUEUE_MAX);
        let (write_error_sender, write_error) = watch::channel(None);
        let (unpublished_sender, unpublished) = watch::channel(0);
        let bus = Bus::start();
        let writer = WriterThread {
            engine: engine.clone(),
            store,
            head,
            committed,
            bus: bus.clone(),
            unpublished: unpublished_sender,
            commit_state: CommitState::Known,
            write_error: write_error_sender,
        };
        let thread = thread::Builder::new()
            .name("journal-writer".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(|error| Error::NotWritable {
                store: engine.name().to_owned(),
                reason: error.to_string(),
            })?;
        let writing = Writing {
            commands: Some(commands),
            queue_bytes: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            committed: receiver,
            write_error,
            unpublished,
            bus,
            thread: Some(thread),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                store_id,
                queries: Arc::new(Semaphore::new(READS_MAX)),
                erasures: Mutex::default(),
                writing: Some(writing),
            }),
        })
    }

    /// Opens a store for reading, even while another process writes to it.
    pub fn open_read_only(engine: Arc<dyn Engine>) -> Result<Self, Error> {
        let store_id = engine.store_id()?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                store_id,
                queries: Arc::new(Semaphore::new(READS_MAX)),
                erasures: Mutex::default(),
                writing: None,
            }),
        })
    }

    /// The holder of the store's write lock, if there is one; it may be this journal.
    pub fn holder(&self) -> Option<Holder> {
        self.inner.engine.holder()
    }

    /// Why the last append could not be written, or why the next one could not, as far as that is known without
    /// trying. The next append tries again. [`Error::Closed`] if the writer has died, so that no append can
    /// succeed any more.
    pub fn write_error(&self) -> Option<Error> {
        let writing = self.inner.writing.as_ref()?;
        if writing
            .commands
            .as_ref()
            .is_none_or(mpsc::Sender::is_closed)
        {
            return Some(Error::Closed); // its thread has ended
        }
        let known = writing.write_error.borrow().clone();
        known.or_else(|| self.inner.engine.obstacle())
    }

    /// The random part of this store's process ids in vector clocks: the 16 hexadecimal digits before the
    /// hyphen of its id. Ids of older stores have no hyphen; their processes keep 4 digits.
    pub fn store_part(&self) -> &str {
        let name = &self.inner.store_id;
        match name.split_once('-') {
            Some((part, _)) => part,
            None => name.get(..4).unwrap_or(name),
        }
    }

    /// The id of the store, drawn once when it was created.
    pub fn store_id(&self) -> &str {
        &self.inner.store_id
    }

    /// Appends events to a stream of the principal. When this returns, they are durable. Dropping the future
    /// does not cancel an append that was already queued.
    pub async fn append(&self, principal: &Principal, append: Append) -> Result<Appended, Error> {
        append.check(principal)?;
        let permit = self.reserve_bytes(append.bytes()).await?;
        self.ask(|reply| {
            Command::Append(AppendCommand {
                owner: principal.owner().clone(),
                append,
                erases: None,
                reply,
                permit,
            })
        })
        .await
    }

    /// Appends records of erasures. If `erases` is given, the same transaction erases that stream.
    pub(crate) async fn append_record(
        &self,
        records: Vec<NewEvent>,
        erases: Option<Erases>,
    ) -> Result<Vec<Event>, Error> {
        let append = erasure::append_of(records)?;
        let system = Principal::system();
        append.check(&system)?;
        let permit = self.reserve_bytes(append.bytes()).await?;
        let appended = self
            .ask(|reply| {
                Command::Append(AppendCommand {
                    owner: system.owner().clone(),
                    append,
                    erases,
                    reply,
                    permit,
                })
            })
            .await?;
        Ok(appended.events)
    }

    /// Sends a step of an erasure to the writer, and waits for its result.
    pub(crate) async fn step(&self, step: Step) -> Result<Stepped, Error> {
        self.ask(|reply| Command::Step(StepCommand { step, reply }))
            .await
    }

    /// The records of erasures, as far as they were read.
    pub(crate) fn erasures(&self) -> &Mutex<Erasures> {
        &self.inner.erasures
    }

    /// The name of the store in errors.
    pub(crate) fn name(&self) -> &str {
        self.inner.engine.name()
    }

    /// The size of the store on the disk in bytes, without free space that it will reuse. For the system principal
    /// only, because the size depends on the data of all owners.
    pub async fn bytes(&self, principal: &Principal) -> Result<u64, Error> {
        if !principal.is_system() {
            return Err(Error::Forbidden {
                what: "read the size of the whole journal",
            });
        }
        self.reading(Engine::bytes).await
    }

    /// Keeps a state that the principal worked out from a stream of its own up to an event, so that
    /// the next reader need not read that far: 10 MiB at most. The newest four of a stream are kept;
    /// they only save time and may be passed over.
    pub async fn keep_snapshot(
        &self,
        principal: &Principal,
        task_id: &TaskId,
        snapshot: Snapshot,
    ) -> Result<(), Error> {
        if snapshot.bytes.len() > SNAPSHOT_BYTES_MAX {
            return Err(Error::bad_append("a snapshot is larger than 10 MiB"));
        }
        if snapshot.sequence > *self.writing()?.committed.borrow() {
            return Err(Error::bad_append(
                "a snapshot of an event that is not there",
            ));
        }
        let stream = StreamName::of(principal.owner(), task_id);
        let permit = self.reserve_bytes(snapshot.bytes.len()).await?;
        self.ask(|reply| {
            Command::Snapshot(SnapshotCommand {
                stream,
                snapshot,
                reply,
                permit,
            })
        })
        .await
    }

    /// Waits until this many more bytes may be queued.
    async fn reserve_bytes(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        // It fits: every command has fewer bytes than the queue in total.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = self
            .writing()?
            .queue_bytes
            .clone()
            .acquire_many_owned(bytes);
        permit.await.map_err(|_| Error::Closed)
    }

    fn writing(&self) -> Result<&Writing, Error> {
        self.inner.writing.as_ref().ok_or(Error::ReadOnly)
    }

    /// Sends a command to the writer and waits for its result.
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Command,
    ) -> Result<T, Error> {
        let commands = self.writing()?.commands.as_ref().ok_or(Error::Closed)?;
        let (reply, answer) = oneshot::channel();
        let place = commands.reserve().await.map_err(|_| Error::Closed)?;
        place.send(command(reply));
        answer.await.map_err(|_| Error::Closed)?
    }

    /// The newest snapshot of a stream of the principal at or before `at`.
    pub async fn snapshot(
        &self,
        principal: &Principal,
        task_id: &TaskId,
        at: Sequence,
    ) -> Result<Option<Snapshot>, Error> {
        let (principal, task_id) = (principal.clone(), task_id.clone());
        self.reading(move |engine| reader::snapshot(engine, &principal, &task_id, at))
            .await
    }

    /// Events after a position, oldest first, and not more than [`ReadLimit`] says. If the filter names one erased task
    /// of an owner, this is [`Error::Erased`]; among events of other tasks, its events are given with
    /// [`journeyman_event::Payload::Erased`]. Where one of them is not as it
    /// was written, or is missing between them, [`Error::Damaged`] names the first; [`Filter::until`] reads
    /// what stands before it.
    pub async fn read(
        &self,
        principal: &Principal,
        filter: &Filter,
        after: Sequence,
        read_limit: impl Into<ReadLimit>,
    ) -> Result<Page, Error> {
        self.read_on(
            principal,
            filter,
            after,
            read_limit.into(),
            Direction::Forwards,
        )
        .await
    }

    /// Reads events before a position, newest first; otherwise like [`Journal::read`].
    pub async fn read_backwards(
        &self,
        principal: &Principal,
        filter: &Filter,
        before: Sequence,
        read_limit: impl Into<ReadLimit>,
    ) -> Result<Page, Error> {
        self.read_on(
            principal,
            filter,
            before,
            read_limit.into(),
            Direction::Backwards,
        )
        .await
    }

    async fn read_on(
        &self,
        principal: &Principal,
        filter: &Filter,
        position: Sequence,
        read_limit: ReadLimit,
        direction: Direction,
    ) -> Result<Page, Error> {
        let (principal, filter) = (principal.clone(), filter.clone());
        self.reading(move |engine| {
            reader::read(engine, &principal, &filter, position, read_limit, direction)
        })
        .await
    }

    /// Reads matching events since `after`, and then new ones as they are recorded.
    pub fn subscribe(
        &self,
        principal: &Principal,
        filter: Filter,
        after: Sequence,
    ) -> Subscription {
        // Before anything is read: what is committed from now on is not missed.
        let live = self.inner.writing.as_ref().and_then(|writing| {
            let options = Live::options(principal, &filter);
            // Refused only when too many are subscribed; then it looks from time to time.
            Some(Live {
                messages: writing.bus.subscribe(options).ok()?,
                committed: writing.committed.clone(),
                unpublished: writing.unpublished.clone(),
            })
        });
        Subscription::new(self.clone(), principal.clone(), filter, after, live)
    }

    /// Exports matching events as lines of text, with the texts they refer to. Events recorded meanwhile may or
    /// may not be included.
    pub fn export(&self, principal: &Principal, filter: Filter, format: Format) -> Export {
        Export::new(self.clone(), principal.clone(), filter, format)
    }

    /// Imports lines written by [`Journal::export`] of this or another store. Events get new positions and
    /// record their origin. Those already stored are skipped. The system principal may import events of all
    /// owners, others only their own.
    pub fn import(&self, principal: &Principal) -> Import {
        Import::new(self.clone(), principal.clone())
    }

    /// The content of a blob of the principal.
    pub async fn blob(
        &self,
        principal: &Principal,
        hash: ContentHash,
    ) -> Result<Option<Bytes>, Error> {
        let owner = principal.owner().clone();
        self.reading(move |engine| reader::sound_blob(engine, &owner, hash))
            .await
    }

    /// The principal's streams, the one that was last written to first, 10,000 at most, without erased
    /// ones.
    pub async fn streams(
        &self,
        principal: &Principal,
        limit: usize,
    ) -> Result<Vec<StreamInfo>, Error> {
        self.streams_before(principal, Sequence(u64::MAX), limit)
            .await
    }

    /// The principal's streams whose last event is before a position, most recently written first, at most
    /// 10,000. The next page starts before the last stream's position.
    pub async fn streams_before(
        &self,
        principal: &Principal,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<StreamInfo>, Error> {
        let owner = (!principal.is_system()).then(|| principal.owner().clone());
        let limit = limit.min(STREAMS_MAX);
        self.reading(move |engine| {
            let rows = engine.streams(owner.as_ref(), before, limit)?;
            Ok(rows.into_iter().map(StreamInfo::of).collect())
        })
        .await
    }

    /// The last event of the store. Only for the system principal, because owners may only know of their own
    /// events.
    pub async fn head(&self, principal: &Principal) -> Result<Head, Error> {
        if !principal.is_system() {
            return Err(Error::Forbidden {
                what: "ask for the head of the whole journal",
            });
        }
        self.newest().await
    }

    /// The position of the last event, for callers that wait for more.
    pub(crate) async fn newest(&self) -> Result<Head, Error> {
        self.reading(Engine::head).await
    }

    /// Verifies every record of the store, and with a head that was kept elsewhere, that the store still
    /// contains that event. Only for the system principal, because an owner sees gaps in the sequence.
    pub async fn verify(
        &self,
        principal: &Principal,
        known: Option<Head>,
    ) -> Result<VerifyReport, Error> {
        if !principal.is_system() {
            return Err(Error::Forbidden {
                what: "verify the whole journal",
            });
        }
        self.reading(move |engine| verify::verify(engine, known))
            .await
    }

    /// Runs a query where it may block.
    pub(crate) async fn reading<T: Send + 'static>(
        &self,
        query: impl FnOnce(&dyn Engine) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let engine = self.inner.engine.clone();
        let place = self.inner.queries.clone().acquire_owned().await;
        let place = place.map_err(|_| Error::Closed)?;
        tokio::task::spawn_blocking(move || {
            let result = query(&*engine);
            drop(place);
            result
        })
        .await
        .map_err(|_| Error::Closed)?
    }
}
