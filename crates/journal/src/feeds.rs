//! What was committed, on its way to those who wait for it. Each task that somebody follows has a feed
//! of its own beside the one of everything, so that news of one task wakes nobody who waits for
//! another's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use journeyman_event::{Event, TaskId};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Events that wait for the slowest follower of a feed; one that is slower still reads from the store.
const WAITING_MAX: usize = 256;

/// News of the store.
#[derive(Clone, Debug)]
pub(crate) enum Committed {
    /// An event was committed.
    Event(Event),
    /// There may be more than was told of: the store has it.
    Unseen,
}

/// Every feed of a journal. Clones are the same feeds.
#[derive(Clone, Debug)]
pub(crate) struct Feeds {
    all: Sender,
    tasks: Arc<Mutex<HashMap<TaskId, Sender>>>,
}

type Sender = broadcast::Sender<Committed>;

impl Feeds {
    pub(crate) fn new() -> Self {
        Self {
            all: Sender::new(WAITING_MAX),
            tasks: Arc::default(),
        }
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<TaskId, Sender>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that is published from now on: of tasks of this name, or all of it.
    pub(crate) fn follow(&self, task: Option<&TaskId>) -> Feed {
        let news = match task {
            None => self.all.subscribe(),
            Some(task) => {
                let mut tasks = self.tasks();
                let feed = tasks.entry(task.clone());
                feed.or_insert_with(|| Sender::new(WAITING_MAX)).subscribe()
            }
        };
        Feed {
            news,
            task: task.cloned(),
            feeds: self.clone(),
        }
    }

    /// Tells whoever follows it of an event. Events are to come in their order.
    pub(crate) fn publish(&self, event: &Event) {
        let of_task = self.tasks().get(event.task_id()).cloned();
        for feed in of_task.iter().chain([&self.all]) {
            let _ = feed.send(Committed::Event(event.clone())); // nobody may be there
        }
    }

    /// Has every follower look into the store.
    pub(crate) fn publish_unseen(&self) {
        let feeds: Vec<Sender> = self.tasks().values().cloned().collect();
        for feed in feeds.iter().chain([&self.all]) {
            let _ = feed.send(Committed::Unseen); // nobody may be there
        }
    }
}

/// A place at a feed. The feed of a task goes with its last follower.
#[derive(Debug)]
pub(crate) struct Feed {
    news: broadcast::Receiver<Committed>,
    task: Option<TaskId>,
    feeds: Feeds,
}

impl Feed {
    /// What is next, or that something is missing. None when there will be nothing more. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Committed> {
        match self.news.recv().await {
            Ok(news) => Some(news),
            Err(RecvError::Lagged(_)) => Some(Committed::Unseen),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let Some(task) = &self.task else {
            return;
        };
        let mut tasks = self.feeds.tasks();
        // This one is still counted.
        if tasks.get(task).map(Sender::receiver_count) == Some(1) {
            tasks.remove(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_goes_with_its_last_follower() -> Result<(), journeyman_event::InvalidId> {
        let (feeds, task) = (Feeds::new(), TaskId::new("t-1")?);
        let (first, second) = (feeds.follow(Some(&task)), feeds.follow(Some(&task)));
        let all = feeds.follow(None);
        assert_eq!(feeds.tasks().len(), 1);
        drop(first);
        assert_eq!(feeds.tasks().len(), 1);
        drop(second);
        assert!(feeds.tasks().is_empty());
        drop(all);
        assert_eq!(feeds.all.receiver_count(), 0);
        Ok(())
    }
}
