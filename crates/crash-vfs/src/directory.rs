//! The directory of a disk: the names that readers see, the names that survive a power loss, and the changes since the
//! last sync. A file is known here by its id.

use std::collections::BTreeMap;

use crate::rng::Rng;

/// Names of files and the ids of the files that they refer to.
#[derive(Default)]
pub(crate) struct Directory {
    /// What readers see.
    seen: BTreeMap<String, u64>,
    /// What is durable: it survives a power loss.
    safe: BTreeMap<String, u64>,
    /// Changes since the last sync, oldest first: the name, and the file it refers to afterwards, if any.
    pending: Vec<(String, Option<u64>)>,
}

impl Directory {
    pub(crate) fn get(&self, name: &str) -> Option<u64> {
        self.seen.get(name).copied()
    }

    /// Lets a name refer to a file, or deletes the name if `file` is `None`. Not durable before the next sync.
    pub(crate) fn set(&mut self, name: &str, file: Option<u64>) {
        put(&mut self.seen, name, file);
        self.pending.push((name.to_owned(), file));
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, u64)> {
        self.seen.iter().map(|(name, file)| (name.as_str(), *file))
    }

    /// Whether the file has a name, or may have one after a power loss.
    pub(crate) fn has(&self, file: u64) -> bool {
        let mut files = self.seen.values().chain(self.safe.values());
        files.any(|other| *other == file) || self.is_new(file)
    }

    /// Whether the file was created since the last sync.
    pub(crate) fn is_new(&self, file: u64) -> bool {
        self.pending.iter().any(|(_, other)| *other == Some(file))
    }

    /// Makes all changes durable.
    pub(crate) fn sync(&mut self) {
        self.pending.clear();
        self.safe.clone_from(&self.seen);
    }

    /// Applies a power loss: for each name, the first few changes happened. Returns how many changes were lost.
    pub(crate) fn restart(&mut self, rng: &mut Rng) -> u64 {
        let mut changes: BTreeMap<String, Vec<Option<u64>>> = BTreeMap::new();
        for (name, file) in self.pending.drain(..) {
            changes.entry(name).or_default().push(file);
        }
        let mut lost = 0;
        for (name, files) in changes {
            let kept = rng.below(files.len() + 1);
            if let Some(file) = kept.checked_sub(1).and_then(|last| files.get(last)) {
                put(&mut self.safe, &name, *file);
            }
            lost += files.iter().skip(kept).map(|_| 1).sum::<u64>();
        }
        self.seen.clone_from(&self.safe);
        lost
    }
}

fn put(names: &mut BTreeMap<String, u64>, name: &str, file: Option<u64>) {
    match file {
        Some(file) => names.insert(name.to_owned(), file),
        None => names.remove(name),
    };
}
