//! The journal as others hold it: a cheap clone that sends appends to the writer and reads on
//! connections of its own.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use journeyman_bus::{Bus, Overflow};
use journeyman_event::{ContentHash, Event, Principal, Randomness, Sequence, TimeSource};
use tokio::sync::{mpsc, oneshot, watch};

use crate::Error;
use crate::lock::{self, Lock};
use crate::reader::{self, Direction, Filter, Head, Readers, StreamInfo};
use crate::schema;
use crate::subscription::{Live, Subscription};
use crate::transfer::{Export, Format, Import};
use crate::verify::{self, VerifyReport};
use crate::writer::{self, Append, Appended, Committed, Order, Writer};

/// Appends that may wait for the writer; further callers wait to be let in.
const QUEUE_MAX: usize = 1_024;
/// Committed events that wait for one subscription; one that is slower reads from the store.
const LIVE_MAX: usize = 256;
/// Others may pass through the folder (code runs below it as another user) but not list it.
const FOLDER_MODE: u32 = 0o711;
const FILE_MODE: u32 = 0o600;

/// How a journal is opened.
#[derive(Clone)]
pub struct Options {
    folder: PathBuf,
    randomness: Arc<dyn Randomness>,
    bytes_max: Option<u64>,
}

impl Options {
    /// A journal in this folder.
    pub fn new(folder: PathBuf, randomness: Arc<dyn Randomness>) -> Self {
        Self {
            folder,
            randomness,
            bytes_max: None,
        }
    }

    /// The largest size of the database file in bytes; past it appends answer [`Error::Full`].
    #[must_use]
    pub fn bytes_max(self, bytes_max: u64) -> Self {
        Self {
            bytes_max: Some(bytes_max),
            ..self
        }
    }
}

/// An open journal. Clones are the same journal; when the last is dropped, the writer finishes what
/// it accepted and the folder is free again.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    store_id: String,
    readers: Readers,
    /// None for a journal that is only read.
    writing: Option<Writing>,
}

#[derive(Debug)]
struct Writing {
    orders: Option<mpsc::Sender<Order>>,
    committed: watch::Receiver<Sequence>,
    bus: Bus<Committed>,
    thread: Option<thread::JoinHandle<()>>,
    lock: Option<Lock>,
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's writer ended in a panic");
        }
        self.lock = None;
    }
}

/// Makes the file if there is none, and keeps others from it.
fn close_to_others(file: &Path) -> io::Result<()> {
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(file);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::metadata(file)?.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            fs::set_permissions(file, fs::Permissions::from_mode(FILE_MODE))
        }
        Err(error) => Err(error),
    }
}

impl Journal {
    /// Whether there is a journal in this folder.
    pub fn exists(folder: &Path) -> bool {
        schema::file_in(folder).exists()
    }

    /// Opens the journal for writing and makes it if there is none. This process then holds the
    /// folder: a second writer gets [`Error::Locked`].
    pub fn open(options: Options) -> Result<Self, Error> {
        let Options {
            folder,
            randomness,
            bytes_max,
        } = options;
        let failed = |error: std::io::Error| Error::of_io(&folder, &error);
        if !folder.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(FOLDER_MODE)
                .create(&folder)
                .map_err(failed)?;
            // Its entry must survive a power loss as surely as what is acknowledged in it.
            if let Some(parent) = folder.parent().filter(|parent| parent.is_dir()) {
                fs::File::open(parent)
                    .and_then(|parent| parent.sync_all())
                    .map_err(failed)?;
            }
        }
        let lock = Lock::take(&folder)?;
        let store_id = || {
            format!(
                "{:016x}{:016x}",
                randomness.next_u64(),
                randomness.next_u64()
            )
        };
        // Before SQLite opens it: the files beside it take over its mode.
        close_to_others(&schema::file_in(&folder)).map_err(failed)?;
        let connection = schema::open_writer(&folder, bytes_max, store_id)?;
        let store_id = schema::store_id(&connection, &folder)?;
        let head =
            writer::sound_head(&connection).map_err(|error| Error::of_sqlite(&folder, &error))?;
        let (committed, receiver) = watch::channel(head.sequence);
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        let bus = Bus::start();
        let writer = Writer {
            folder: folder.clone(),
            bytes_max,
            connection,
            head,
            committed,
            bus: bus.clone(),
            lost: false,
            doubtful: false,
        };
        let thread = thread::Builder::new()
            .name("journal-writer".to_owned())
            .spawn(move || writer.run(queue))
            .map_err(failed)?;
        let writing = Writing {
            orders: Some(orders),
            committed: receiver,
            bus,
            thread: Some(thread),
            lock: Some(lock),
        };
        let readers = Readers::new(folder.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                folder,
                store_id,
                readers,
                writing: Some(writing),
            }),
        })
    }

    /// Opens the journal for reading, also while another process writes to it.
    pub fn open_read_only(folder: PathBuf) -> Result<Self, Error> {
        let readers = Readers::new(folder.clone());
        let store_id = {
            let connection = schema::open_reader(&folder)?;
            schema::store_id(&connection, &folder)?
        };
        Ok(Self {
            inner: Arc::new(Inner {
                folder,
                store_id,
                readers,
                writing: None,
            }),
        })
    }

    /// The process that holds the folder for writing, if one does.
    pub fn holder(&self) -> Option<u32> {
        match self.inner.writing {
            Some(_) => Some(std::process::id()),
            None => lock::holder(&self.inner.folder),
        }
    }

    /// The random part of vector clock processes of this folder: 4 hexadecimal digits.
    pub fn store_part(&self) -> &str {
        self.inner.store_id.get(..4).unwrap_or(&self.inner.store_id)
    }

    /// The store's own name, drawn once when it was made.
    pub fn store_id(&self) -> &str {
        &self.inner.store_id
    }

    /// Adds events to a stream of the principal's. When this answers, they are durable. Dropping
    /// the call does not take back what was handed over.
    pub async fn append(&self, principal: &Principal, append: Append) -> Result<Appended, Error> {
        writer::check(principal, &append)?;
        let writing = self.inner.writing.as_ref().ok_or(Error::ReadOnly)?;
        let orders = writing.orders.as_ref().ok_or(Error::Closed)?;
        let (reply, answer) = oneshot::channel();
        let order = Order {
            owner: principal.owner().clone(),
            append,
            reply,
        };
        orders.send(order).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Events after a position, oldest first. A `limit` above 10,000 means 10,000. Fewer than the
    /// limit means that there are no more.
    pub async fn read(
        &self,
        principal: &Principal,
        filter: &Filter,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Event>, Error> {
        let (principal, filter) = (principal.clone(), filter.clone());
        self.reading(move |readers| {
            reader::read(
                readers,
                &principal,
                &filter,
                after,
                limit,
                Direction::Forwards,
            )
        })
        .await
    }

    /// Events before a position, newest first; otherwise like [`Journal::read`].
    pub async fn read_backwards(
        &self,
        principal: &Principal,
        filter: &Filter,
        before: Sequence,
        limit: usize,
    ) -> Result<Vec<Event>, Error> {
        let (principal, filter) = (principal.clone(), filter.clone());
        self.reading(move |readers| {
            reader::read(
                readers,
                &principal,
                &filter,
                before,
                limit,
                Direction::Backwards,
            )
        })
        .await
    }

    /// Everything that the filter takes since `after`, then live.
    pub fn subscribe(
        &self,
        principal: &Principal,
        filter: Filter,
        after: Sequence,
    ) -> Subscription {
        let live = self.inner.writing.as_ref().and_then(|writing| {
            // Before anything is read: what is committed from now on is not missed.
            let options = journeyman_bus::Options::new("journal subscription")
                .capacity(LIVE_MAX)
                .overflow(Overflow::DropOldest);
            // Refused only when too many are subscribed; then it looks from time to time.
            let messages = writing.bus.subscribe(options).ok()?;
            let committed = writing.committed.clone();
            Some(Live {
                messages,
                committed,
            })
        });
        Subscription::new(self.clone(), principal.clone(), filter, after, live)
    }

    /// Everything that the filter takes as lines of text, with the texts that it cites. What is
    /// written meanwhile may or may not be in it.
    pub fn export(&self, principal: &Principal, filter: Filter, format: Format) -> Export {
        Export::new(self.clone(), principal.clone(), filter, format)
    }

    /// Takes lines that [`Journal::export`] gave, from this store or another. Events get new
    /// positions and say where they come from; those that are here already are left alone. The
    /// system principal may import every owner's, others only their own.
    pub fn import(&self, principal: &Principal, time: Arc<dyn TimeSource>) -> Import {
        Import::new(self.clone(), principal.clone(), time)
    }

    /// A blob of the principal's.
    pub async fn blob(
        &self,
        principal: &Principal,
        hash: ContentHash,
    ) -> Result<Option<Bytes>, Error> {
        let principal = principal.clone();
        self.reading(move |readers| reader::blob(readers, &principal, hash))
            .await
    }

    /// The principal's streams, the one that was last written to first, 10,000 at most.
    pub async fn streams(
        &self,
        principal: &Principal,
        limit: usize,
    ) -> Result<Vec<StreamInfo>, Error> {
        let principal = principal.clone();
        self.reading(move |readers| reader::streams(readers, &principal, limit))
            .await
    }

    /// The last event of the store, for the system principal: an owner knows of its own events only.
    pub async fn head(&self, principal: &Principal) -> Result<Head, Error> {
        if !principal.is_system() {
            return Err(Error::Forbidden {
                what: "ask for the head of the whole journal",
            });
        }
        self.newest().await
    }

    /// Where the store ends, for whoever waits for more.
    pub(crate) async fn newest(&self) -> Result<Head, Error> {
        self.reading(|readers| readers.with(|connection| Ok(writer::read_head(connection)?)))
            .await
    }

    /// Walks the whole store and checks every event; with a head that was kept, also that the store
    /// still has that event. For the system principal only: an owner sees gaps in the sequence.
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
        self.reading(move |readers| verify::verify(readers, known))
            .await
    }

    /// Runs a query where it may block.
    async fn reading<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Readers) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let journal = self.clone();
        tokio::task::spawn_blocking(move || query(&journal.inner.readers))
            .await
            .map_err(|_| Error::Closed)?
    }
}
