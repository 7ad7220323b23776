//! A cache of recently requested task states: the next request folds only new events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use journeyman_event::{TaskState, Versioned};
use journeyman_journal::StreamName;

/// States that are kept.
const STATES_MAX: usize = 256;
/// The most bytes of text in all states together.
const BYTES_MAX: usize = 64 << 20;
/// The most bytes of text in a state that is kept.
const STATE_BYTES_MAX: usize = 8 << 20;

#[derive(Default)]
pub(crate) struct Cache(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    states: HashMap<StreamName, One>,
    /// The bytes of text in all states together.
    bytes: usize,
    asked: u64,
}

struct One {
    /// Its version is the task's revision.
    state: Versioned<Arc<TaskState>>,
    bytes: usize,
    /// When it was last asked for.
    asked: u64,
}

impl Cache {
    pub(crate) fn get(&self, name: &StreamName) -> Option<Arc<TaskState>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.asked += 1;
        let now = kept.asked;
        let one = kept.states.get_mut(name)?;
        one.asked = now;
        one.state.get().map(Arc::clone)
    }

    /// Removes a task from the cache.
    pub(crate) fn forget(&self, name: &StreamName) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(name);
    }

    /// Keeps a state, unless it is large or one of its version or a higher one is kept, and lets go those that were
    /// not asked for the longest where there is no room.
    pub(crate) fn put(&self, name: StreamName, state: &Arc<TaskState>) {
        let bytes = text_bytes(state);
        if bytes > STATE_BYTES_MAX {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let version = state.revision.0;
        if let Some(one) = kept.states.get_mut(&name)
            && one.state.replace(version, Arc::clone(state)).is_err()
        {
            return;
        }
        let held = kept.remove(&name).map(|one| one.state);
        while kept.states.len() >= STATES_MAX || kept.bytes + bytes > BYTES_MAX {
            let oldest = kept.states.iter().min_by_key(|(_, one)| one.asked);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
                break;
            };
            kept.remove(&oldest);
        }
        kept.asked += 1;
        let one = One {
            state: held.unwrap_or_else(|| Versioned::new(version, Arc::clone(state))),
            bytes,
            asked: kept.asked,
        };
        kept.bytes += bytes;
        kept.states.insert(name, one);
    }
}

impl Kept {
    fn remove(&mut self, name: &StreamName) -> Option<One> {
        let one = self.states.remove(name)?;
        self.bytes -= one.bytes;
        Some(one)
    }
}

/// The bytes of the large parts of a state: code, tests, their output, and the user's words.
fn text_bytes(state: &TaskState) -> usize {
    let of_modules = state.modules.iter().map(|module| {
        let code = module.versions.iter().map(|code| code.source.len());
        let tests = module.generated_tests.iter().map(String::len);
        let runs = module.runs.iter().map(|run| {
            let results = run.tests.iter();
            let messages = results.map(|test| test.name.len() + test.message.len());
            run.output.len() + messages.sum::<usize>()
        });
        code.chain(tests).chain(runs).sum::<usize>()
    });
    let asked = state.submission.as_ref().map_or(0, |asked| {
        let tests = asked.tests.iter().map(|test| test.source.len());
        let answers = asked.answers.iter().map(String::len);
        asked.prompt.len() + tests.chain(answers).sum::<usize>()
    });
    let said = state.instructions.iter().map(String::len);
    let answers = state.answers.iter().map(|answer| answer.text.len());
    of_modules.chain(said).chain(answers).sum::<usize>() + asked
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use journeyman_event::{Principal, Revision, TaskId};

    use super::*;

    fn name(task: &str) -> StreamName {
        StreamName::of(Principal::local().owner(), &TaskId::new(task).unwrap())
    }

    fn state(version: u64, bytes: usize) -> Arc<TaskState> {
        Arc::new(TaskState {
            revision: Revision(version),
            instructions: vec!["x".repeat(bytes)],
            ..TaskState::default()
        })
    }

    #[test]
    fn what_was_not_asked_for_the_longest_goes_first() {
        let cache = Cache::default();
        let most = BYTES_MAX / STATE_BYTES_MAX;
        let names: Vec<StreamName> = (0..=most).map(|n| name(&format!("t-{n}"))).collect();
        for name in &names[..most] {
            cache.put(name.clone(), &state(1, STATE_BYTES_MAX));
        }
        assert!(cache.get(&names[0]).is_some());
        cache.put(names[most].clone(), &state(1, STATE_BYTES_MAX));
        assert!(cache.get(&names[0]).is_some());
        assert!(cache.get(&names[1]).is_none());
        assert!(cache.get(&names[most]).is_some());
        assert_eq!(cache.0.lock().unwrap().bytes, BYTES_MAX);
    }

    #[test]
    fn a_newer_state_stays_and_a_large_one_is_not_kept() {
        let cache = Cache::default();
        cache.put(name("t-1"), &state(2, 20));
        cache.put(name("t-1"), &state(1, 10));
        assert_eq!(cache.get(&name("t-1")).unwrap().revision, Revision(2));
        cache.put(name("t-1"), &state(3, 30));
        assert_eq!(cache.0.lock().unwrap().bytes, 30);
        cache.put(name("t-2"), &state(1, STATE_BYTES_MAX + 1));
        assert!(cache.get(&name("t-2")).is_none());
    }
}
