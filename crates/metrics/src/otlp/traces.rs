//! Follows the journal and sends the spans that its events end.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use journeyman_event::{Event, Owner, Payload, Principal, Sequence, TaskId};
use journeyman_journal::{Error, Filter, Journal};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as SpanMessage};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Sent};
use super::spans::message;
use super::{Figures, Origin, add};
use crate::timing::{SPAN_KINDS, Timeline};

/// The most spans of one request, as in OpenTelemetry's own exporters.
const BATCH_MAX: usize = 512;
/// How long spans wait for others.
const DELAY: Duration = Duration::from_secs(1);
/// How many events are read at a time.
const PAGE: usize = 500;
/// The most tasks whose spans in progress are remembered. What is forgotten is read again when it is needed.
const TASKS_MAX: usize = 1_000;
/// The time until a request is repeated. It doubles each time.
const BACKOFF: Duration = Duration::from_secs(1);
/// The longest time until a request is repeated.
const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// The longest time that a collector may ask to wait.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// The export of traces.
pub(super) struct Traces {
    pub(super) journal: Journal,
    pub(super) client: Client,
    pub(super) origin: Origin,
    pub(super) figures: Arc<Figures>,
    pub(super) position_file: Option<PathBuf>,
    pub(super) stop: CancellationToken,
}

/// The tasks that spans are made of, the latest ones.
#[derive(Default)]
struct Tasks {
    timelines: HashMap<(Owner, TaskId), Timeline>,
    order: VecDeque<(Owner, TaskId)>,
}

impl Tasks {
    fn put(&mut self, key: (Owner, TaskId), timeline: Timeline) {
        if self.timelines.insert(key.clone(), timeline).is_none() {
            self.order.push_back(key);
        }
        while self.timelines.len() > TASKS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.timelines.remove(&oldest);
        }
    }

    fn forget(&mut self, key: &(Owner, TaskId)) {
        self.timelines.remove(key);
        self.order.retain(|other| other != key);
    }
}

impl Traces {
    pub(super) async fn run(self) {
        if let Err(error) = self.follow().await {
            tracing::error!(%error, "traces are no longer exported");
        }
    }

    async fn follow(&self) -> Result<(), Error> {
        let system = Principal::system();
        let mut position = self.position().await?;
        let mut events = self.journal.subscribe(&system, filter(), position);
        let mut tasks = Tasks::default();
        while !self.stop.is_cancelled() {
            let mut batch = Vec::new();
            let mut deadline = None;
            while batch.len() < BATCH_MAX {
                let event = tokio::select! {
                    event = events.next() => event?,
                    () = reached(deadline) => break,
                    () = self.stop.cancelled() => break,
                };
                position = event.sequence();
                batch.extend(self.spans(&mut tasks, &event).await?);
                if !batch.is_empty() {
                    deadline.get_or_insert_with(|| Instant::now() + DELAY);
                }
            }
            if !batch.is_empty() && self.send(batch).await {
                self.keep(position);
            }
        }
        self.rest(tasks, position).await
    }

    /// Sends what was recorded until now, without waiting for more.
    async fn rest(&self, mut tasks: Tasks, mut position: Sequence) -> Result<(), Error> {
        let kept = self.position().await?;
        // A batch that was not taken is made again.
        if kept < position {
            (position, tasks) = (kept, Tasks::default());
        }
        loop {
            let page = self
                .journal
                .read(&Principal::system(), &filter(), position, PAGE)
                .await?;
            let mut batch = Vec::new();
            for event in &page.events {
                batch.extend(self.spans(&mut tasks, event).await?);
            }
            position = page.events.last().map_or(position, Event::sequence);
            if !self.send(batch).await {
                return Ok(());
            }
            self.keep(position);
            if page.ended {
                return Ok(());
            }
        }
    }

    /// The spans that an event ends.
    async fn spans(&self, tasks: &mut Tasks, event: &Event) -> Result<Vec<SpanMessage>, Error> {
        let key = (event.owner().clone(), event.task_id().clone());
        if !tasks.timelines.contains_key(&key) {
            let timeline = self.past(&key, event.sequence()).await?;
            tasks.put(key.clone(), timeline);
        }
        let Some(timeline) = tasks.timelines.get_mut(&key) else {
            return Ok(Vec::new());
        };
        timeline.take(event);
        let (ended, trace) = (timeline.ended(), timeline.trace_id());
        let state = timeline.tracestate();
        let spans = ended.iter();
        let spans = spans
            .filter_map(|span| message(trace?, state, span))
            .collect();
        if matches!(
            event.payload(),
            Payload::TaskComplete(_) | Payload::TaskFailed(_) | Payload::TaskCancelled(_)
        ) {
            tasks.forget(&key);
        }
        Ok(spans)
    }

    /// What came before an event of a task. Its spans were exported then.
    async fn past(&self, key: &(Owner, TaskId), before: Sequence) -> Result<Timeline, Error> {
        let mut timeline = Timeline::new(self.journal.store_id());
        let (owner, task) = (Principal::user(key.0.clone()), key.1.clone());
        let filter = Filter {
            task_id: Some(task),
            until: Some(Sequence(before.0.saturating_sub(1))),
            ..filter()
        };
        let mut position = Sequence::ZERO;
        loop {
            let page = match self.journal.read(&owner, &filter, position, PAGE).await {
                Ok(page) => page,
                // Nothing of it is exported any more.
                Err(Error::Erased(_)) => break,
                Err(error) => return Err(error),
            };
            page.events.iter().for_each(|event| timeline.take(event));
            position = page.events.last().map_or(position, Event::sequence);
            if page.ended {
                break;
            }
        }
        timeline.ended();
        Ok(timeline)
    }

    /// Sends spans, again and again while the collector may take them later. Whether they are done with: taken, or
    /// refused for good. When the process ends, each is sent once more.
    async fn send(&self, spans: Vec<SpanMessage>) -> bool {
        if spans.is_empty() {
            return true;
        }
        let count = spans.len() as u64;
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.origin.resource.clone()),
                scope_spans: vec![ScopeSpans {
                    scope: Some(self.origin.scope.clone()),
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        let mut backoff = BACKOFF;
        loop {
            let (dropped, why) = match self.client.traces(&request).await {
                Sent::Taken { refused, why } => (refused.min(count), why),
                Sent::Refused(why) => {
                    add(&self.figures.requests_failed, 1);
                    (count, why)
                }
                Sent::Later { why, wait } => {
                    add(&self.figures.requests_failed, 1);
                    tracing::warn!(%why, "spans are exported later");
                    let wait = wait.map_or(backoff, |asked| asked.min(RETRY_AFTER_MAX));
                    let wait = tokio::time::sleep(wait);
                    if self.stop.run_until_cancelled(wait).await.is_none() {
                        return false;
                    }
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                    continue;
                }
            };
            if dropped > 0 {
                tracing::warn!(dropped, %why, "the collector refused spans");
            }
            add(&self.figures.spans_dropped, dropped);
            add(&self.figures.spans_exported, count - dropped);
            return true;
        }
    }

    /// The position of the last export; the end of the journal, if there was none from this store.
    async fn position(&self) -> Result<Sequence, Error> {
        let head = self.journal.head(&Principal::system()).await?.sequence;
        let kept = self.position_file.as_deref().and_then(|path| {
            let text = std::fs::read_to_string(path).ok()?;
            let (store, sequence) = text.trim().split_once(' ')?;
            let is_ours = store == self.journal.store_id();
            is_ours.then(|| sequence.parse().ok().map(Sequence))?
        });
        if let Some(kept) = kept.filter(|kept| *kept <= head) {
            return Ok(kept);
        }
        self.keep(head);
        Ok(head)
    }

    /// Keeps the position. If that fails, or a crash takes it, some spans are exported twice, with the same ids.
    fn keep(&self, position: Sequence) {
        let Some(path) = &self.position_file else {
            return;
        };
        let text = format!("{} {}\n", self.journal.store_id(), position.0);
        if let Err(error) = replace(path, &text) {
            tracing::warn!(%error, "the position of exported traces is not kept");
        }
    }
}

/// Waits until this time; for ever without one.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    std::fs::write(&draft, text)?;
    std::fs::rename(draft, path)
}

fn filter() -> Filter {
    Filter {
        kinds: SPAN_KINDS.iter().map(|kind| (*kind).to_owned()).collect(),
        ..Filter::default()
    }
}
