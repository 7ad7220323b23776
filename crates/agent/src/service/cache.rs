//! States of tasks that were asked for lately: the next question folds only what is new.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use journeyman_event::TaskState;
use journeyman_journal::StreamName;

/// States that are kept.
const STATES_MAX: usize = 256;
/// Bytes of code of a state that is kept.
const CODE_MAX: usize = 256 << 10;

#[derive(Default)]
pub(super) struct Cache(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// With when each was last asked for.
    states: HashMap<StreamName, (u64, Arc<TaskState>)>,
    asked: u64,
}

impl Cache {
    pub(super) fn get(&self, name: &StreamName) -> Option<Arc<TaskState>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.asked += 1;
        let now = kept.asked;
        let (asked, state) = kept.states.get_mut(name)?;
        *asked = now;
        Some(Arc::clone(state))
    }

    /// Keeps a state, unless it is large or a newer one is kept.
    pub(super) fn put(&self, name: StreamName, state: &Arc<TaskState>) {
        let versions = state.modules.iter().flat_map(|module| &module.versions);
        if versions.map(|code| code.source.len()).sum::<usize>() > CODE_MAX {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_newer = |(_, other): &(u64, Arc<TaskState>)| other.sequence >= state.sequence;
        if kept.states.get(&name).is_some_and(is_newer) {
            return;
        }
        if kept.states.len() >= STATES_MAX && !kept.states.contains_key(&name) {
            let oldest = kept.states.iter().min_by_key(|(_, (asked, _))| *asked);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                kept.states.remove(&oldest);
            }
        }
        kept.asked += 1;
        let now = kept.asked;
        kept.states.insert(name, (now, Arc::clone(state)));
    }
}
