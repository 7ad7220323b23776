//! The vectors of nodes: kept in the file, and in memory between searches, where the nearest are found by comparing all.

use std::collections::{HashMap, HashSet};

use journeyman_event::Owner;
use rusqlite::{Connection, TransactionBehavior, params};

use super::rows::{changes, count_change};

/// The most nodes of an owner that have a vector in a search, those of the most recently changed tasks first. Others are
/// found by words alone.
const VECTORS_MAX: usize = 100_000;
/// The most bytes of vectors in memory, of all owners together. Beyond it the owner that searched longest ago is dropped;
/// one owner alone has no more than fit.
const VECTOR_BYTES_MAX: usize = 512 << 20;
const NUMBER_BYTES: usize = size_of::<f32>();
/// How many numbers are multiplied side by side.
const LANES: usize = 16;

/// What a vector must be to be compared: of this owner, this model, and so many dimensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) owner: Owner,
    pub(super) model: String,
    pub(super) dimensions: usize,
}

/// The vectors of one space.
#[derive(Debug)]
struct Loaded {
    space: Space,
    /// The number of changes of the file when this was read.
    changes: i64,
    /// The rows of the nodes, and their vectors one after another.
    ids: Vec<i64>,
    numbers: Vec<f32>,
    /// The nodes without a vector, those of the most recently changed tasks first.
    missing: Vec<i64>,
    /// When it was last used, by the count of uses.
    used: u64,
}

/// The vectors in memory, one space for each owner.
#[derive(Debug, Default)]
pub(super) struct Vectors {
    owners: HashMap<Owner, Loaded>,
    uses: u64,
}

impl Vectors {
    /// The nodes of the space that have no vector yet.
    pub(super) fn missing(
        &mut self,
        open: &Connection,
        space: &Space,
    ) -> Result<Vec<i64>, rusqlite::Error> {
        Ok(self.refreshed(open, space)?.missing.clone())
    }

    /// The nodes whose vectors are nearest to this one, with the cosine of the angle; the nearest first.
    pub(super) fn nearest(
        &mut self,
        open: &Connection,
        space: &Space,
        wanted: &[f32],
        limit: usize,
    ) -> Result<Vec<(i64, f32)>, rusqlite::Error> {
        let loaded = self.refreshed(open, space)?;
        let all = loaded.numbers.chunks_exact(space.dimensions.max(1));
        let all = loaded.ids.iter().copied().zip(all);
        let mut found: Vec<(i64, f32)> = all.map(|(id, one)| (id, dot(one, wanted))).collect();
        let order = |a: &(i64, f32), b: &(i64, f32)| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0));
        if limit < found.len() {
            found.select_nth_unstable_by(limit, order);
            found.truncate(limit);
        }
        found.sort_unstable_by(order);
        Ok(found)
    }

    /// Forgets what is in memory.
    pub(super) fn clear(&mut self) {
        self.owners.clear();
    }

    /// The vectors of a space as the file has them.
    fn refreshed(&mut self, open: &Connection, space: &Space) -> Result<&Loaded, rusqlite::Error> {
        let now = changes(open)?;
        self.uses += 1;
        let mut loaded = match self.owners.remove(&space.owner) {
            Some(loaded) if loaded.space == *space => loaded,
            _ => Loaded {
                space: space.clone(),
                changes: -1,
                ids: Vec::new(),
                numbers: Vec::new(),
                missing: Vec::new(),
                used: 0,
            },
        };
        loaded.used = self.uses;
        if loaded.changes != now {
            loaded.read(open)?;
            loaded.changes = now;
            self.bound(loaded.numbers.len());
        }
        Ok(self.owners.entry(space.owner.clone()).or_insert(loaded))
    }

    /// Drops what was used longest ago, so that so many numbers more are not too many.
    fn bound(&mut self, more: usize) {
        let max = VECTOR_BYTES_MAX / NUMBER_BYTES;
        while more + self.numbers() > max {
            let oldest = self.owners.values().min_by_key(|loaded| loaded.used);
            let Some(owner) = oldest.map(|loaded| loaded.space.owner.clone()) else {
                return;
            };
            self.owners.remove(&owner);
        }
    }

    fn numbers(&self) -> usize {
        self.owners
            .values()
            .map(|loaded| loaded.numbers.len())
            .sum()
    }
}

impl Loaded {
    /// Reads what is new and drops what is gone. The vector of a node never changes, and neither does its row's meaning.
    fn read(&mut self, open: &Connection) -> Result<(), rusqlite::Error> {
        let Space {
            owner,
            model,
            dimensions,
        } = &self.space;
        let dimensions = *dimensions;
        let limit = VECTORS_MAX.min(VECTOR_BYTES_MAX / NUMBER_BYTES / dimensions.max(1));
        let mut rows = open.prepare_cached(
            "SELECT nodes.id, vectors.node IS NOT NULL
             FROM tasks JOIN nodes ON nodes.task = tasks.id
             LEFT JOIN vectors ON vectors.node = nodes.id AND vectors.model = ?2 AND vectors.dimensions = ?3
             WHERE tasks.owner = ?1 ORDER BY tasks.sequence DESC, nodes.id LIMIT ?4",
        )?;
        let rows = rows.query_map(params![owner.as_str(), model, dimensions, limit], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))
        })?;
        let mut there = Vec::new();
        self.missing.clear();
        for row in rows {
            let (id, has_vector) = row?;
            if has_vector {
                there.push(id);
            } else {
                self.missing.push(id);
            }
        }
        self.keep(&there.iter().copied().collect());
        let known: HashSet<i64> = self.ids.iter().copied().collect();
        let mut vectors =
            open.prepare_cached("SELECT vector FROM vectors WHERE node = ?1 AND model = ?2")?;
        for id in there.into_iter().filter(|id| !known.contains(id)) {
            let numbers = vectors.query_row(params![id, self.space.model], |row| {
                let (numbers, _) = row.get_ref(0)?.as_blob()?.as_chunks::<NUMBER_BYTES>();
                let numbers = numbers.iter().map(|four| f32::from_le_bytes(*four));
                Ok(numbers.collect::<Vec<f32>>())
            })?;
            // What the disk has changed would be near to everything.
            if numbers.len() == dimensions && numbers.iter().all(|one| one.is_finite()) {
                self.ids.push(id);
                self.numbers.extend(numbers);
            }
        }
        Ok(())
    }

    /// Drops all but these.
    fn keep(&mut self, there: &HashSet<i64>) {
        let dimensions = self.space.dimensions;
        let mut kept = 0;
        for at in 0..self.ids.len() {
            if there.contains(&self.ids[at]) {
                self.ids[kept] = self.ids[at];
                let (from, to) = (at * dimensions, kept * dimensions);
                self.numbers.copy_within(from..from + dimensions, to);
                kept += 1;
            }
        }
        self.ids.truncate(kept);
        self.numbers.truncate(kept * dimensions);
    }
}

/// The dot product, in several sums, so that the processor can add several numbers at once.
fn dot(one: &[f32], other: &[f32]) -> f32 {
    let (ones, one_rest) = one.as_chunks::<LANES>();
    let (others, other_rest) = other.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (one, other) in ones.iter().zip(others) {
        for lane in 0..LANES {
            sums[lane] += one[lane] * other[lane];
        }
    }
    let rest = one_rest.iter().zip(other_rest).map(|(a, b)| a * b);
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}

/// The texts of nodes, as far as the nodes are still there.
pub(super) fn texts(open: &Connection, ids: &[i64]) -> Result<Vec<(i64, String)>, rusqlite::Error> {
    let mut rows = open.prepare_cached("SELECT node, summary FROM nodes WHERE id = ?1")?;
    let mut texts = Vec::new();
    for &id in ids {
        let mut rows = rows.query_map([id], |row| {
            let (node, summary): (String, String) = (row.get(0)?, row.get(1)?);
            Ok((id, format!("{}\n{summary}", node.replacen(':', " ", 1))))
        })?;
        texts.extend(rows.next().transpose()?);
    }
    Ok(texts)
}

/// Keeps vectors in the file, except those of nodes that are gone.
pub(super) fn keep(
    open: &mut Connection,
    model: &str,
    vectors: &[(i64, Vec<f32>)],
) -> Result<(), rusqlite::Error> {
    let change = open.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (id, vector) in vectors {
        let bytes: Vec<u8> = vector.iter().flat_map(|one| one.to_le_bytes()).collect();
        change
            .prepare_cached("DELETE FROM vectors WHERE node = ?1")?
            .execute([id])?;
        change
            .prepare_cached(
                "INSERT INTO vectors (node, model, dimensions, vector)
                 SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM nodes WHERE id = ?1)",
            )?
            .execute(params![id, model, vector.len(), bytes])?;
    }
    count_change(&change)?;
    change.commit()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_dot_product_in_several_sums_is_the_same() {
        for length in [0_u8, 1, 15, 16, 17, 64, 100] {
            let one: Vec<f32> = (0..length).map(f32::from).collect();
            let plain: f32 = one.iter().map(|a| a * a).sum();
            assert!((dot(&one, &one) - plain).abs() <= plain * 1e-6, "{length}");
        }
    }

    #[test]
    fn owners_that_searched_longest_ago_give_way() {
        let mut vectors = Vectors::default();
        let half = VECTOR_BYTES_MAX / NUMBER_BYTES / 2;
        for (used, name) in ["ada", "bob"].into_iter().enumerate() {
            let owner = Owner::new(name).unwrap();
            let loaded = Loaded {
                space: Space {
                    owner: owner.clone(),
                    model: String::new(),
                    dimensions: 1,
                },
                changes: 0,
                ids: Vec::new(),
                // Zeros that nobody touches take no memory.
                numbers: vec![0.0; half],
                missing: Vec::new(),
                used: used as u64,
            };
            vectors.owners.insert(owner, loaded);
        }
        vectors.bound(0);
        assert_eq!(vectors.owners.len(), 2);
        vectors.bound(1);
        let left: Vec<&str> = vectors.owners.keys().map(Owner::as_str).collect();
        assert_eq!(left, ["bob"]);
    }
}
