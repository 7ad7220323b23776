//! The tasks and nodes of the index: what is in it, what is put in and taken out, and what is found by words.

use std::collections::HashMap;

use journeyman_event::{Owner, Sequence, TaskId};
use journeyman_journal::StreamName;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::Hit;
use crate::projection::Knowledge;
use crate::words::words;

/// The last indexed position of each task of an owner.
pub(super) fn indexed(
    open: &Connection,
    owner: &Owner,
) -> Result<HashMap<TaskId, Sequence>, rusqlite::Error> {
    let mut rows = open.prepare("SELECT task, sequence FROM tasks WHERE owner = ?1")?;
    let rows = rows.query_map([owner.as_str()], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))
    })?;
    let mut indexed = HashMap::new();
    for row in rows {
        let (task, sequence) = row?;
        if let Ok(task) = TaskId::new(task) {
            indexed.insert(task, Sequence(sequence));
        }
    }
    Ok(indexed)
}

/// Counts a change of nodes or vectors.
pub(super) fn count_change(change: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    change.execute("UPDATE about SET changes = changes + 1", [])?;
    Ok(())
}

/// The number of changes of nodes and vectors.
pub(super) fn changes(open: &Connection) -> Result<i64, rusqlite::Error> {
    open.query_row("SELECT changes FROM about", [], |row| row.get(0))
}

/// Deletes a node with all that was made of it.
fn remove_node(change: &Transaction<'_>, id: i64) -> Result<(), rusqlite::Error> {
    for statement in [
        "DELETE FROM words WHERE rowid = ?1",
        "DELETE FROM vectors WHERE node = ?1",
        "DELETE FROM nodes WHERE id = ?1",
    ] {
        change.prepare_cached(statement)?.execute([id])?;
    }
    Ok(())
}

/// Removes a task, and the older pages that still have it.
pub(super) fn removed(open: &mut Connection, name: &StreamName) -> Result<(), rusqlite::Error> {
    let change = open.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let task = params![name.owner.as_str(), name.task_id.as_str()];
    let ids: Vec<i64> = {
        let mut rows = change.prepare(
            "SELECT nodes.id FROM nodes JOIN tasks ON tasks.id = nodes.task WHERE owner = ?1 AND tasks.task = ?2",
        )?;
        let rows = rows.query_map(task, |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    for id in ids {
        remove_node(&change, id)?;
    }
    change.execute("DELETE FROM tasks WHERE owner = ?1 AND task = ?2", task)?;
    count_change(&change)?;
    change.commit()?;
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let is_busy: bool = open.query_row(checkpoint, [], |row| row.get(0))?;
    if is_busy {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, None));
    }
    Ok(())
}

/// Replaces the indexed nodes of a task. Nodes that have not changed keep their id, and so their vector.
pub(super) fn put(
    open: &mut Connection,
    name: &StreamName,
    known: &Knowledge,
) -> Result<(), rusqlite::Error> {
    let change = open.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let task: i64 = change.query_row(
        "INSERT INTO tasks (owner, task, sequence) VALUES (?1, ?2, ?3)
         ON CONFLICT (owner, task) DO UPDATE SET sequence = excluded.sequence RETURNING id",
        params![
            name.owner.as_str(),
            name.task_id.as_str(),
            known.sequence().0
        ],
        |row| row.get(0),
    )?;
    {
        let mut before = nodes_of(&change, task)?;
        let mut moved = change.prepare("UPDATE nodes SET sequence = ?2 WHERE id = ?1")?;
        let mut nodes = change.prepare(
            "INSERT INTO nodes (task, node, kind, summary, sequence) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        let mut rows =
            change.prepare("INSERT INTO words (rowid, name, summary) VALUES (?1, ?2, ?3)")?;
        for node in known.graph().nodes() {
            let source = node.source.map(|source| source.0);
            let same = (node.id.as_str().to_owned(), node.summary.clone());
            match before.remove(&same) {
                Some((_, at)) if at == source => continue,
                Some((id, _)) => {
                    moved.execute(params![id, source])?;
                    continue;
                }
                None => {}
            }
            let id = nodes.insert(params![
                task,
                node.id.as_str(),
                node.kind.as_str(),
                node.summary,
                source
            ])?;
            let name = words(node.id.name()).join(" ");
            let summary = words(&node.summary).join(" ");
            rows.execute(params![id, name, summary])?;
        }
        for (id, _) in before.into_values() {
            remove_node(&change, id)?;
        }
    }
    count_change(&change)?;
    change.commit()
}

/// The indexed nodes of a task: by id and summary, their row and the event with the full content.
type Indexed = HashMap<(String, String), (i64, Option<u64>)>;

fn nodes_of(change: &Transaction<'_>, task: i64) -> Result<Indexed, rusqlite::Error> {
    let mut rows =
        change.prepare("SELECT node, summary, id, sequence FROM nodes WHERE task = ?1")?;
    let rows = rows.query_map([task], |row| {
        Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?)))
    })?;
    rows.collect()
}

/// The rows of the nodes that contain some of the words with their BM25 scores, best matches first.
pub(super) fn by_words(
    open: &Connection,
    owner: &Owner,
    wanted: &[String],
    limit: usize,
) -> Result<Vec<(i64, f64)>, rusqlite::Error> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    // They are of letters and digits alone.
    let wanted: Vec<String> = wanted.iter().map(|word| format!("\"{word}\"")).collect();
    // Only the rows: all that match are sorted, however few are wanted.
    let mut rows = open.prepare_cached(
        "SELECT nodes.id, -bm25(words, 3.0, 1.0) AS score
         FROM words JOIN nodes ON nodes.id = words.rowid JOIN tasks ON tasks.id = nodes.task
         WHERE words MATCH ?1 AND tasks.owner = ?2
         ORDER BY score DESC, tasks.sequence DESC, nodes.node LIMIT ?3",
    )?;
    let rows = rows.query_map(params![wanted.join(" OR "), owner.as_str(), limit], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    rows.collect()
}

/// The node of a row that was found with this score, if the owner has it.
pub(super) fn node(
    open: &Connection,
    owner: &Owner,
    (id, score): (i64, f64),
) -> Result<Option<Hit>, rusqlite::Error> {
    let mut rows = open.prepare_cached(
        "SELECT tasks.task, nodes.node, nodes.kind, nodes.summary, nodes.sequence
         FROM nodes JOIN tasks ON tasks.id = nodes.task WHERE nodes.id = ?1 AND tasks.owner = ?2",
    )?;
    let mut rows = rows.query_map(params![id, owner.as_str()], |row| {
        let task: String = row.get(0)?;
        let sequence: Option<u64> = row.get(4)?;
        Ok(Hit {
            // Only names that were checked are put in.
            task: TaskId::new(task).map_err(|_| rusqlite::Error::InvalidQuery)?,
            node: row.get(1)?,
            kind: row.get(2)?,
            summary: row.get(3)?,
            sequence: sequence.map(Sequence),
            score,
            similarity: None,
        })
    })?;
    rows.next().transpose()
}
