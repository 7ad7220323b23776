//! The dependencies between jobs.

use std::collections::HashMap;
use std::hash::Hash;

/// The dependencies of all jobs that were not started yet, in both directions. A dependency may have an unknown
/// id.
#[derive(Debug)]
pub(crate) struct Dependencies<I> {
    needs: HashMap<I, Vec<I>>,
    needed_by: HashMap<I, Vec<I>>,
}

impl<I: Clone + Eq + Hash> Dependencies<I> {
    pub(crate) fn new() -> Self {
        Self {
            needs: HashMap::new(),
            needed_by: HashMap::new(),
        }
    }

    /// The dependencies of a job.
    pub(crate) fn of(&self, id: &I) -> &[I] {
        self.needs.get(id).map_or(&[], Vec::as_slice)
    }

    /// The jobs that depend on a job.
    pub(crate) fn on(&self, id: &I) -> &[I] {
        // Most jobs have nothing to do with each other.
        if self.needed_by.is_empty() {
            return &[];
        }
        self.needed_by.get(id).map_or(&[], Vec::as_slice)
    }

    /// The cycle that `id` would close, starting at it and ending at the job that depends on it.
    pub(crate) fn cycle(&self, id: &I, needed: &[I]) -> Option<Vec<I>> {
        if needed.contains(id) {
            return Some(vec![id.clone()]);
        }
        if self.on(id).is_empty() {
            return None;
        }
        // Depth first; a step's predecessor is the one that needs it.
        let mut came_from: HashMap<&I, &I> = HashMap::new();
        let mut open: Vec<&I> = Vec::new();
        for first in needed {
            if came_from.insert(first, id).is_none() {
                open.push(first);
            }
        }
        while let Some(at) = open.pop() {
            for next in self.of(at) {
                if next == id {
                    let mut path = vec![at.clone()];
                    let mut step = at;
                    while let Some(before) = came_from.get(step) {
                        path.push((*before).clone());
                        step = before;
                    }
                    path.reverse();
                    return Some(path);
                }
                if !came_from.contains_key(next) {
                    came_from.insert(next, at);
                    open.push(next);
                }
            }
        }
        None
    }

    /// Adds dependencies of a job, without duplicates.
    pub(crate) fn add(&mut self, id: &I, needed: &[I]) {
        let mut unique: Vec<I> = Vec::with_capacity(needed.len());
        for one in needed {
            if !unique.contains(one) {
                unique.push(one.clone());
                let needed_by = self.needed_by.entry(one.clone()).or_default();
                needed_by.push(id.clone());
            }
        }
        if !unique.is_empty() {
            self.needs.insert(id.clone(), unique);
        }
    }

    /// Removes all dependencies of a job, because it was started or left.
    pub(crate) fn forget(&mut self, id: &I) {
        if self.needs.is_empty() {
            return;
        }
        for one in self.needs.remove(id).unwrap_or_default() {
            if let Some(needed_by) = self.needed_by.get_mut(&one) {
                needed_by.retain(|other| other != id);
                if needed_by.is_empty() {
                    self.needed_by.remove(&one);
                }
            }
        }
    }
}
