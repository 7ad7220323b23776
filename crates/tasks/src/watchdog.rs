//! Finds tasks that should be in the queue according to the journal but are not. There should be none. A bug, or an
//! append that was made although the disk reported an error, can cause one. It would otherwise wait until the next
//! restart, so it is reported and put back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use journeyman_event::{Principal, Sequence};
use journeyman_journal::StreamName;
use journeyman_workflow::{Listing, load};

use crate::recovery::goes_on;
use crate::{Error, Tasks};

/// The number of streams read at a time.
const PAGE: usize = 200;
/// How many checks in a row must find a task missing, with no new events in between, before it counts as lost.
/// A task that is just being recorded is then not mistaken for one.
const LOOKS: u32 = 2;
/// How often a task is put back; after that a person must look at it. The first time it is put back as soon as
/// it counts as lost, and each further time after twice as many checks.
const TIMES_MAX: u32 = 5;
/// The most tasks named in a message.
const NAMED_MAX: usize = 3;

#[derive(Default)]
pub(crate) struct Watchdog(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    /// Whether this service is responsible for all tasks that continue.
    is_on: bool,
    /// The position up to which the journal's list was read.
    seen: Sequence,
    /// The tasks that continue according to the journal.
    going_on: HashMap<StreamName, Going>,
    requeued: u64,
}

struct Going {
    /// The position of its last event.
    sequence: Sequence,
    /// The number of checks in a row that did not find it in the queue.
    missing: u32,
    /// How often it was put back.
    times: u32,
}

impl Going {
    fn is_lost(&self) -> bool {
        self.missing >= LOOKS
    }

    fn is_to_be_put_back(&self) -> bool {
        self.times < TIMES_MAX && self.missing >= LOOKS << self.times
    }
}

impl Watchdog {
    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to expect all tasks that continue to be in the queue.
    pub(crate) fn begin(&self) {
        self.watched().is_on = true;
    }

    /// Stops that: tasks recorded from now on wait for the next start.
    pub(crate) fn end(&self) {
        self.watched().is_on = false;
    }

    /// Stops watching a task that was erased.
    pub(crate) fn forget(&self, name: &StreamName) {
        self.watched().going_on.remove(name);
    }

    /// How often a task was put back.
    pub(crate) fn requeued(&self) -> u64 {
        self.watched().requeued
    }

    /// A message about lost tasks; `None` if there are none.
    pub(crate) fn obstacle(&self) -> Option<String> {
        let watched = self.watched();
        let going_on = watched.going_on.iter();
        let lost = going_on.filter(|(_, going)| going.is_lost());
        let mut names: Vec<String> = lost.map(|(name, _)| name.to_string()).collect();
        if names.is_empty() {
            return None;
        }
        names.sort_unstable();
        let (count, more) = (names.len(), names.len().saturating_sub(NAMED_MAX));
        names.truncate(NAMED_MAX);
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "tasks: {count} recorded as going on and in no queue ({}{more}); they are put back, and one \
             that does not stay there waits for the next start: the log says more",
            names.join(", ")
        ))
    }
}

impl Tasks {
    /// Checks that every task that continues is in the queue, and puts back those missing in two checks in a
    /// row. Must be called periodically. Does nothing before [`Tasks::recover`] and after [`Tasks::shut_down`].
    pub async fn requeue_lost(&self) -> Result<(), Error> {
        let seen = {
            let watched = self.watchdog.watched();
            if !watched.is_on || self.options.journal.write_error().is_some() {
                return Ok(());
            }
            watched.seen
        };
        self.take_in(seen).await?;
        for name in self.missing() {
            // What is wrong with one keeps no other out.
            if let Err(error) = self.rescue(&name).await {
                tracing::error!(task = %name, %error, "a lost task cannot be put back");
            }
        }
        Ok(())
    }

    /// Queues a missing task if it still continues.
    async fn rescue(&self, name: &StreamName) -> Result<(), Error> {
        if let Some(going) = self.watchdog.watched().going_on.get_mut(name) {
            going.times += 1;
        }
        let (principal, task) = (Principal::user(name.owner.clone()), &name.task_id);
        let state = load(&self.options.journal, &principal, task).await;
        let state = match state.map_err(Error::from) {
            Err(error) if error.is_gone() => None, // The task was erased in the meantime.
            state => state?,
        };
        let state = state.filter(|state| goes_on(&Listing::of(state)));
        {
            let mut watched = self.watchdog.watched();
            if !watched.is_on {
                return Ok(());
            }
            if state.is_none() {
                watched.going_on.remove(name);
            }
        }
        let Some(state) = state.filter(|_| !self.queue.contains(name)) else {
            return Ok(());
        };
        tracing::error!(
            task = %name,
            status = state.status.as_str(),
            "the task should be in the queue and was not; it is queued again"
        );
        self.watchdog.watched().requeued += 1;
        // A queue that was closed meanwhile takes nothing.
        self.enqueue(name, &state).await
    }

    /// Reads the changes in the journal's list since the last check.
    async fn take_in(&self, seen: Sequence) -> Result<(), Error> {
        let mut newest = seen;
        let mut before = Sequence(u64::MAX);
        loop {
            let system = Principal::system();
            let journal = &self.options.journal;
            let page = journal.streams_before(&system, before, PAGE).await?;
            let new = page.iter().take_while(|stream| stream.sequence > seen);
            for stream in new {
                newest = newest.max(stream.sequence);
                let name = StreamName::of(&stream.owner, &stream.task_id);
                let listing = Listing::of_stream(journal, stream).await?;
                let mut watched = self.watchdog.watched();
                if !goes_on(&listing) {
                    watched.going_on.remove(&name);
                    continue;
                }
                let going = watched.going_on.entry(name).or_insert(Going {
                    sequence: stream.sequence,
                    missing: 0,
                    times: 0,
                });
                if going.sequence < stream.sequence {
                    going.sequence = stream.sequence;
                    going.missing = 0;
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE && last.sequence > seen => before = last.sequence,
                _ => {
                    self.watchdog.watched().seen = newest;
                    return Ok(());
                }
            }
        }
    }

    /// Counts missing tasks and returns those to be put back.
    fn missing(&self) -> Vec<StreamName> {
        let mut watched = self.watchdog.watched();
        let mut lost = Vec::new();
        for (name, going) in &mut watched.going_on {
            if self.queue.contains(name) {
                going.missing = 0;
                continue;
            }
            going.missing = going.missing.saturating_add(1);
            if going.is_to_be_put_back() {
                lost.push(name.clone());
            }
        }
        lost
    }
}
