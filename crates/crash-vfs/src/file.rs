//! One file: the contents that readers see, the contents that survive a power loss, and the changes since the last sync.

use crate::rng::Rng;

/// The size of a sector, the unit that a disk writes atomically.
pub(crate) const SECTOR: usize = 512;

/// The contents of a file.
#[derive(Default)]
pub(crate) struct File {
    /// What readers see.
    seen: Vec<u8>,
    /// What is durable: it survives a power loss.
    safe: Vec<u8>,
    /// Changes since the last sync, oldest first.
    pending: Vec<Change>,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

/// How a power loss treats the pending changes of a file. With independent coin flips per sector a whole commit
/// would hardly ever be kept or lost, so the manner is drawn first.
enum Luck {
    Nothing,
    Everything,
    /// The first so many changes are kept, the next one is torn, and the rest is lost.
    First(usize),
    /// Each change is kept or lost independently.
    Scattered,
}

enum Fate {
    Kept,
    Lost,
    Torn,
}

impl File {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.seen
    }

    /// Fills the buffer from `offset` and returns how many bytes there were.
    pub(crate) fn read(&self, buffer: &mut [u8], offset: usize) -> usize {
        let rest = self.seen.get(offset..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        count
    }

    pub(crate) fn write(&mut self, bytes: &[u8], offset: usize) {
        put(&mut self.seen, bytes, offset);
        self.pending.push(Change::Write {
            offset,
            bytes: bytes.to_vec(),
        });
    }

    pub(crate) fn resize(&mut self, size: usize) {
        self.seen.resize(size, 0);
        self.pending.push(Change::Resize(size));
    }

    pub(crate) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            match change {
                Change::Write { offset, bytes } => put(&mut self.safe, &bytes, offset),
                Change::Resize(size) => self.safe.resize(size, 0),
            }
        }
    }

    /// Applies a power loss or a failed sync: makes a random part of the pending changes durable and loses the others,
    /// although readers see all of them until the restart. Returns how many changes were not kept whole.
    pub(crate) fn settle(&mut self, rng: &mut Rng) -> u64 {
        let luck = match rng.below(5) {
            0 => Luck::Nothing,
            1 => Luck::Everything,
            2 => Luck::First(rng.below(self.pending.len())),
            _ => Luck::Scattered,
        };
        let mut lost = 0;
        for (index, change) in self.pending.drain(..).enumerate() {
            let fate = match luck {
                Luck::Everything => Fate::Kept,
                Luck::First(count) if index < count => Fate::Kept,
                Luck::First(count) if index == count => Fate::Torn,
                Luck::Nothing | Luck::First(_) => Fate::Lost,
                Luck::Scattered => match rng.below(3) {
                    0 => Fate::Lost,
                    1 => Fate::Kept,
                    _ => Fate::Torn,
                },
            };
            if !change.meet(fate, &mut self.safe, rng) {
                lost += 1;
            }
        }
        lost
    }

    /// Resets what readers see to the safe contents.
    pub(crate) fn restart(&mut self) {
        self.seen.clone_from(&self.safe);
    }
}

impl Change {
    /// Returns whether the change was kept whole.
    fn meet(self, fate: Fate, safe: &mut Vec<u8>, rng: &mut Rng) -> bool {
        match (self, fate) {
            (_, Fate::Lost) => false,
            (Self::Write { offset, bytes }, Fate::Kept) => {
                put(safe, &bytes, offset);
                true
            }
            (Self::Write { offset, bytes }, Fate::Torn) => {
                let mut is_whole = true;
                let mut at = offset;
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let (sector, after) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                    if rng.coin() {
                        put(safe, sector, at);
                    } else {
                        is_whole = false;
                    }
                    at += sector.len();
                    rest = after;
                }
                if at > safe.len() && rng.coin() {
                    safe.resize(at, 0);
                }
                is_whole
            }
            (Self::Resize(size), Fate::Kept) => {
                safe.resize(size, 0);
                true
            }
            (Self::Resize(size), Fate::Torn) => {
                let happened = rng.coin();
                if happened {
                    safe.resize(size, 0);
                }
                happened
            }
        }
    }
}

fn put(file: &mut Vec<u8>, bytes: &[u8], offset: usize) {
    let end = offset.saturating_add(bytes.len());
    if file.len() < end {
        file.resize(end, 0);
    }
    if let Some(place) = file.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}
