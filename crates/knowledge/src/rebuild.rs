//! Builds the knowledge of a task from the journal, at any point in its history.

use journeyman_event::{Principal, Sequence, TaskId};
use journeyman_journal::{Error, Filter, Journal, Moment};

use crate::projection::Knowledge;

/// How many events are read at a time.
const PAGE: usize = 1_000;

/// Builds the knowledge of a task at a moment, or now. A future moment means now. `None` if the task does not, or did
/// not yet, exist.
pub async fn rebuild(
    journal: &Journal,
    principal: &Principal,
    task: &TaskId,
    moment: Option<Moment>,
) -> Result<Option<Knowledge>, Error> {
    let mut known = Knowledge::default();
    known.catch_up(journal, principal, task, moment).await?;
    Ok((known.sequence() > Sequence::ZERO).then_some(known))
}

impl Knowledge {
    /// Applies the task's events that are not applied yet, up to a moment or all of them.
    pub async fn catch_up(
        &mut self,
        journal: &Journal,
        principal: &Principal,
        task: &TaskId,
        moment: Option<Moment>,
    ) -> Result<(), Error> {
        let filter = Filter {
            until: moment.and_then(Moment::last),
            ..Filter::of_task(task)
        };
        loop {
            let page = journal
                .read(principal, &filter, self.sequence(), PAGE)
                .await?;
            for event in &page.events {
                if moment.is_some_and(|moment| moment.is_before(event)) {
                    return Ok(());
                }
                self.evolve(event);
            }
            if page.ended {
                return Ok(());
            }
        }
    }
}
