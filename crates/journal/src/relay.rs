//! Passes the contents of a store to a walker on another thread, so that reading and verifying run in parallel.

use std::mem;
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;

use crate::Error;
use crate::engine::{Engine, RawStream, Row, Walker};

/// The size of a batch in bytes, exceeded by at most one record.
const BATCH_BYTES: usize = 256 << 10;
/// The most batches that wait for the walker.
const BATCHES_WAITING: usize = 4;

/// Walks the store with the walker on another thread.
pub(crate) fn walk(engine: &dyn Engine, walker: &mut (dyn Walker + Send)) -> Result<(), Error> {
    let (to, from) = mpsc::sync_channel::<Batch>(BATCHES_WAITING);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut batches = from.iter();
            // Dropping the receiver, where the walker breaks off, stops the reading.
            let _ = batches.try_for_each(|batch| batch.show(walker));
        });
        let mut relay = Relay {
            to,
            batch: Batch::default(),
        };
        engine.walk(&mut relay)?;
        let _ = relay.hand_over();
        Ok(())
    })
}

/// Records read, in order: the parts one after another, and their lengths.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    records: Vec<Record>,
}

/// A record, with the lengths of its parts in the batch's bytes.
enum Record {
    Blob {
        owner: usize,
        hash: usize,
        bytes: usize,
    },
    Event {
        sequence: i64,
        revision: i64,
        id: usize,
        kind: usize,
        owner: usize,
        task_id: usize,
        line: usize,
    },
    Unreadable {
        sequence: i64,
        reason: String,
    },
    Stream {
        owner: usize,
        task_id: usize,
        revision: i64,
        sequence: i64,
        summary: Option<usize>,
        summary_hash: Option<usize>,
        erasure: Option<i64>,
    },
}

impl Batch {
    fn keep(&mut self, part: impl AsRef<[u8]>) -> usize {
        self.bytes.extend_from_slice(part.as_ref());
        part.as_ref().len()
    }

    fn show(&self, walker: &mut (dyn Walker + Send)) -> ControlFlow<()> {
        let mut parts = Parts(&self.bytes);
        for record in &self.records {
            match *record {
                Record::Blob { owner, hash, bytes } => {
                    let (owner, hash) = (parts.text(owner), parts.next(hash));
                    walker.blob(owner, hash, parts.next(bytes))?;
                }
                Record::Event {
                    sequence,
                    revision,
                    id,
                    kind,
                    owner,
                    task_id,
                    line,
                } => walker.event(&Row {
                    sequence,
                    revision,
                    id: parts.next(id),
                    kind: parts.text(kind),
                    owner: parts.text(owner),
                    task_id: parts.text(task_id),
                    line: parts.text(line),
                })?,
                Record::Unreadable {
                    sequence,
                    ref reason,
                } => walker.unreadable(sequence, reason.clone())?,
                Record::Stream {
                    owner,
                    task_id,
                    revision,
                    sequence,
                    summary,
                    summary_hash,
                    erasure,
                } => walker.stream(&RawStream {
                    owner: parts.text(owner),
                    task_id: parts.text(task_id),
                    revision,
                    sequence,
                    summary: summary.map(|len| parts.next(len)),
                    summary_hash: summary_hash.map(|len| parts.next(len)),
                    erasure,
                })?,
            }
        }
        ControlFlow::Continue(())
    }
}

/// The parts of a batch that were not taken yet.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn next(&mut self, len: usize) -> &'a [u8] {
        let (part, rest) = self.0.split_at(len);
        self.0 = rest;
        part
    }

    /// A part that was valid UTF-8 when it was added.
    fn text(&mut self, len: usize) -> &'a str {
        std::str::from_utf8(self.next(len)).unwrap_or_default()
    }
}

/// Collects records into batches and sends them.
struct Relay {
    to: mpsc::SyncSender<Batch>,
    batch: Batch,
}

impl Relay {
    fn found(&mut self, record: Record) -> ControlFlow<()> {
        self.batch.records.push(record);
        if self.batch.bytes.len() < BATCH_BYTES {
            return ControlFlow::Continue(());
        }
        self.hand_over()
    }

    /// Sends the current batch. Stops the walk if the receiver is gone.
    fn hand_over(&mut self) -> ControlFlow<()> {
        let next = Batch {
            bytes: Vec::with_capacity(BATCH_BYTES + BATCH_BYTES / 8),
            records: Vec::new(),
        };
        match self.to.send(mem::replace(&mut self.batch, next)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

impl Walker for Relay {
    fn blob(&mut self, owner: &str, hash: &[u8], bytes: &[u8]) -> ControlFlow<()> {
        let record = Record::Blob {
            owner: self.batch.keep(owner),
            hash: self.batch.keep(hash),
            bytes: self.batch.keep(bytes),
        };
        self.found(record)
    }

    fn event(&mut self, row: &Row<'_>) -> ControlFlow<()> {
        let record = Record::Event {
            sequence: row.sequence,
            revision: row.revision,
            id: self.batch.keep(row.id),
            kind: self.batch.keep(row.kind),
            owner: self.batch.keep(row.owner),
            task_id: self.batch.keep(row.task_id),
            line: self.batch.keep(row.line),
        };
        self.found(record)
    }

    fn unreadable(&mut self, sequence: i64, reason: String) -> ControlFlow<()> {
        self.found(Record::Unreadable { sequence, reason })
    }

    fn stream(&mut self, stream: &RawStream<'_>) -> ControlFlow<()> {
        let record = Record::Stream {
            owner: self.batch.keep(stream.owner),
            task_id: self.batch.keep(stream.task_id),
            revision: stream.revision,
            sequence: stream.sequence,
            summary: stream.summary.map(|bytes| self.batch.keep(bytes)),
            summary_hash: stream.summary_hash.map(|bytes| self.batch.keep(bytes)),
            erasure: stream.erasure,
        };
        self.found(record)
    }
}
