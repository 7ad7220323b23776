//! Asynchronous access to the outbox, which is opened on demand and used on blocking threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use journeyman_event::{Principal, Sequence};
use journeyman_journal::Journal;
use tokio::sync::OnceCell;

use crate::Error;
use crate::outbox::{FILE, Opening, Outbox, Place};

/// A sequence as a `SQLite` integer.
pub(crate) fn number(sequence: Sequence) -> i64 {
    i64::try_from(sequence.0).unwrap_or(i64::MAX)
}

/// The outbox of a data folder. After an error, the next use opens it again.
pub(crate) struct Store {
    data_dir: Option<PathBuf>,
    journal: Journal,
    /// The position of the journal's last event when this process started.
    head: OnceCell<i64>,
    held: Arc<Mutex<Held>>,
}

struct Held {
    outbox: Option<Outbox>,
    /// How it is opened the next time.
    opening: Opening,
}

impl Store {
    /// Creates the store without opening the outbox. Without a data folder, the outbox is in memory.
    pub(crate) fn new(data_dir: Option<PathBuf>, journal: Journal) -> Self {
        Self {
            data_dir,
            journal,
            head: OnceCell::new(),
            held: Arc::new(Mutex::new(Held {
                outbox: None,
                opening: Opening::First,
            })),
        }
    }

    /// Runs an operation on the outbox, on a blocking thread.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Outbox) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let head = self.head.get_or_try_init(|| async {
            let head = self.journal.head(&Principal::system()).await?;
            Ok::<_, Error>(number(head.sequence))
        });
        let place = Place {
            data_dir: self.data_dir.clone(),
            store: self.journal.store_id().to_owned(),
            head: *head.await?,
        };
        let held = Arc::clone(&self.held);
        tokio::task::spawn_blocking(move || {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            let done = held.act(&place, act);
            if done.is_err() && place.data_dir.is_some() {
                held.outbox = None;
            }
            done.map_err(|error| Error::Outbox {
                file: place
                    .data_dir
                    .unwrap_or_default()
                    .join(FILE)
                    .display()
                    .to_string(),
                reason: error.to_string(),
            })
        })
        .await?
    }
}

impl Held {
    fn act<T>(
        &mut self,
        place: &Place,
        act: impl FnOnce(&mut Outbox) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let outbox = match self.outbox.take() {
            Some(outbox) => outbox,
            None => Outbox::open(place, self.opening)?,
        };
        self.opening = Opening::Again;
        act(self.outbox.insert(outbox))
    }
}
