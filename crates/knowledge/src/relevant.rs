//! The events of a task that matter to one of them: what caused it, what it caused, and what else is about the same
//! version of the same module.

use std::collections::{HashMap, HashSet};

use journeyman_event::{Event, EventId, ModuleName, Principal, Sequence, TaskId};
use journeyman_journal::{Error, Filter, Journal};

/// How many events are read at a time.
const PAGE: usize = 1_000;

/// What is kept of each event of the task while the choice is made.
struct Mark {
    sequence: Sequence,
    id: EventId,
    cause: Option<EventId>,
    module: Option<ModuleName>,
    version: u64,
}

/// How an event is related to the one that is asked about; the closest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    Itself,
    /// It is one of its causes, or was caused by it.
    Chain,
    /// It is about the same version of the same module.
    Version,
    /// It is about the same module.
    Module,
}

/// The event of a task at a position and those that matter to it, at most `limit`, in the order of their positions. Where
/// there are more, those of its causal chain come first, then those about the same version of the same module, then those
/// about the same module; of equals those that are nearest. A chain that is broken gives what is there. Events of other
/// tasks are never among them. `None` if the task has no event at this position.
pub async fn relevant(
    journal: &Journal,
    principal: &Principal,
    task: &TaskId,
    about: Sequence,
    limit: usize,
) -> Result<Option<Vec<Event>>, Error> {
    let mut marks: Vec<Mark> = Vec::new();
    loop {
        let after = marks.last().map_or(Sequence::ZERO, |last| last.sequence);
        let filter = Filter::of_task(task);
        let page = journal.read(principal, &filter, after, PAGE).await?;
        marks.extend(page.events.iter().map(|event| Mark {
            sequence: event.sequence(),
            id: event.id(),
            cause: event.causation_id(),
            module: event.module().cloned(),
            version: event.code_version(),
        }));
        if page.ended {
            break;
        }
    }
    let Some(chosen) = chosen(&marks, about, limit) else {
        return Ok(None);
    };
    let mut events = Vec::new();
    for sequence in chosen {
        let filter = Filter {
            until: Some(sequence),
            ..Filter::of_task(task)
        };
        let before = Sequence(sequence.0 - 1);
        let page = journal.read(principal, &filter, before, 1).await?;
        events.extend(page.events);
    }
    Ok(Some(events))
}

/// The positions of the chosen events, in order.
fn chosen(marks: &[Mark], about: Sequence, limit: usize) -> Option<Vec<Sequence>> {
    let subject = marks.iter().find(|mark| mark.sequence == about)?;
    let chain = chain(marks, subject);
    let closeness = |mark: &Mark| {
        let is_of_module = mark.module.is_some() && mark.module == subject.module;
        if mark.id == subject.id {
            Some(Closeness::Itself)
        } else if chain.contains(&mark.id) {
            Some(Closeness::Chain)
        } else if is_of_module && mark.version == subject.version {
            Some(Closeness::Version)
        } else {
            is_of_module.then_some(Closeness::Module)
        }
    };
    let mut ranked: Vec<(Closeness, u64, Sequence)> = marks
        .iter()
        .filter_map(|mark| {
            let distance = mark.sequence.0.abs_diff(about.0);
            Some((closeness(mark)?, distance, mark.sequence))
        })
        .collect();
    ranked.sort_unstable();
    ranked.truncate(limit);
    let mut chosen: Vec<Sequence> = ranked.into_iter().map(|(_, _, at)| at).collect();
    chosen.sort_unstable();
    Some(chosen)
}

/// The causes of an event and of its causes, and what it caused and what that caused.
fn chain(marks: &[Mark], subject: &Mark) -> HashSet<EventId> {
    let causes: HashMap<EventId, Option<EventId>> =
        marks.iter().map(|mark| (mark.id, mark.cause)).collect();
    let mut chain = HashSet::new();
    let mut cause = subject.cause;
    // An imported history may be odd: a circle is followed once.
    while let Some(id) = cause.filter(|id| causes.contains_key(id) && chain.insert(*id)) {
        cause = causes[&id];
    }
    let mut caused = HashSet::from([subject.id]);
    for mark in marks.iter().filter(|mark| mark.sequence > subject.sequence) {
        if mark.cause.is_some_and(|cause| caused.contains(&cause)) {
            caused.insert(mark.id);
        }
    }
    chain.extend(caused);
    chain
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn id(nth: u8) -> EventId {
        EventId::from_bytes([nth; 16])
    }

    /// An event at a position with its cause, its module and its version.
    fn mark(at: u8, cause: Option<u8>, module: &str, version: u64) -> Mark {
        Mark {
            sequence: Sequence(at.into()),
            id: id(at),
            cause: cause.map(id),
            module: (!module.is_empty()).then(|| ModuleName::new(module).unwrap()),
            version,
        }
    }

    fn at(marks: &[Mark], about: u64, limit: usize) -> Option<Vec<u64>> {
        let chosen = chosen(marks, Sequence(about), limit)?;
        Some(chosen.into_iter().map(|at| at.0).collect())
    }

    #[test]
    fn causes_and_effects_come_first_then_the_version_then_the_module() {
        let marks = [
            mark(1, None, "", 0),
            mark(2, Some(1), "a", 1),
            mark(3, None, "b", 1),
            mark(4, Some(2), "a", 2),
            mark(5, None, "a", 2),
            mark(6, Some(4), "", 0),
            mark(7, Some(6), "b", 1),
            mark(8, None, "a", 3),
        ];
        assert_eq!(at(&marks, 4, 9).unwrap(), [1, 2, 4, 5, 6, 7, 8]);
        assert_eq!(at(&marks, 4, 6).unwrap(), [1, 2, 4, 5, 6, 7]);
        assert_eq!(at(&marks, 4, 5).unwrap(), [1, 2, 4, 6, 7]);
        assert_eq!(at(&marks, 4, 1).unwrap(), [4]);
        assert_eq!(at(&marks, 4, 0).unwrap(), [0_u64; 0]);
        assert_eq!(at(&marks, 9, 5), None);
    }

    #[test]
    fn a_broken_chain_and_a_circle_give_what_is_there() {
        let marks = [
            mark(2, Some(1), "", 0),
            mark(3, Some(2), "", 0),
            mark(5, Some(4), "", 0),
        ];
        assert_eq!(at(&marks, 3, 9).unwrap(), [2, 3]);
        assert_eq!(at(&marks, 5, 9).unwrap(), [5]);
        let circle = [mark(1, Some(2), "", 0), mark(2, Some(1), "", 0)];
        assert_eq!(at(&circle, 1, 9).unwrap(), [1, 2]);
    }
}
