//! Reads the journal from the durable position, and enqueues a delivery for each hook that subscribes to an event.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use journeyman_api::{EventFilter, HOOK_EVENT_KINDS, TERMINAL_KINDS, Target};
use journeyman_event::payload::TaskWebhook;
use journeyman_event::{Event, Payload, Principal, Sequence};
use journeyman_journal::{Error as JournalError, Filter, ReadLimit};
use tokio_util::sync::CancellationToken;

use crate::config::task_hook_name;
use crate::outbox::{NewDelivery, Outbox};
use crate::store::number;
use crate::{Error, ON_END, Shared};

/// The largest batch of events.
const BATCH: ReadLimit = ReadLimit {
    events: 256,
    bytes: 1 << 20,
};
/// The largest number of pending deliveries of all hooks. Beyond it, the consumer stops reading until some were made.
const PENDING_MAX: i64 = 100_000;
/// The kind of the events that record erasures.
const ERASURE: &str = "erasure_started";
/// The first pause after an error.
const BACKOFF: Duration = Duration::from_secs(1);
/// The longest pause after an error.
const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// Enqueues deliveries until it is stopped or the journal is closed.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut backoff = BACKOFF;
    loop {
        let Err(error) = tokio::select! {
            result = consume(&shared, &mut backoff) => result,
            () = stop.cancelled() => return,
        };
        if let Error::Journal(JournalError::Closed) = error {
            return;
        }
        shared.report_stall(&error);
        tokio::select! {
            () = tokio::time::sleep(backoff) => {}
            () = stop.cancelled() => return,
        }
        backoff = BACKOFF_MAX.min(backoff * 2);
    }
}

fn filter() -> Filter {
    let kinds = HOOK_EVENT_KINDS.iter().chain([&ERASURE]);
    Filter {
        kinds: kinds.map(|kind| (*kind).to_owned()).collect(),
        ..Filter::default()
    }
}

async fn position(shared: &Shared) -> Result<Sequence, Error> {
    let position = shared.store.with(Outbox::position).await?;
    Ok(Sequence(u64::try_from(position).unwrap_or_default()))
}

/// Whether all current events were consumed.
pub(crate) async fn is_caught_up(shared: &Shared) -> bool {
    let Ok(position) = position(shared).await else {
        return true;
    };
    let (system, filter) = (Principal::system(), filter());
    let next = shared.options.journal.read(&system, &filter, position, 1);
    next.await.map_or(true, |page| page.events.is_empty())
}

async fn consume(shared: &Shared, backoff: &mut Duration) -> Result<Infallible, Error> {
    let (system, journal) = (Principal::system(), &shared.options.journal);
    let start = position(shared).await?;
    let mut subscription = journal.subscribe(&system, filter(), start);
    loop {
        let batch = match subscription.wait().await {
            Ok(()) => subscription.take(BATCH).await,
            Err(error) => Err(error),
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(JournalError::Damaged {
                sequence, reason, ..
            }) => {
                tracing::error!(%sequence, reason, "hooks skip a damaged event");
                skip(shared, sequence).await?;
                let start = position(shared).await?;
                subscription = journal.subscribe(&system, filter(), start);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let Some(last) = batch.last() else {
            continue;
        };
        wait_for_capacity(shared).await?;
        let last = number(last.sequence());
        let (mut deliveries, mut erased_of) = (Vec::new(), BTreeSet::new());
        for event in &batch {
            match event.payload() {
                Payload::ErasureStarted(erasure) => {
                    erased_of.insert(erasure.owner.to_string());
                }
                _ => deliveries.extend(deliveries_for(shared, event).await?),
            }
        }
        let now = shared.now();
        shared
            .store
            .with(move |outbox| {
                // Before the position moves, so that a crash in between repeats it.
                erased_of
                    .iter()
                    .try_for_each(|owner| outbox.forget(owner))?;
                outbox.enqueue(&deliveries, last, now)
            })
            .await?;
        *backoff = BACKOFF;
        shared.report_recovery();
        shared.wake.notify_one();
        shared.report_progress();
    }
}

/// Moves the position past an event that cannot be read.
async fn skip(shared: &Shared, damaged: Sequence) -> Result<(), Error> {
    let (damaged, now) = (number(damaged), shared.now());
    shared
        .store
        .with(move |outbox| {
            let position = outbox.position()?.max(damaged);
            outbox.enqueue(&[], position, now)
        })
        .await
}

async fn wait_for_capacity(shared: &Shared) -> Result<(), Error> {
    let mut progress = shared.progress.subscribe();
    while shared.store.with(Outbox::pending_count).await? >= PENDING_MAX {
        let Ok(()) = progress.changed().await else {
            return std::future::pending().await;
        };
    }
    Ok(())
}

/// Whether an event is not imported from another store.
fn is_ours(shared: &Shared, event: &Event) -> bool {
    let store = shared.options.journal.store_id();
    event.origin().is_none_or(|origin| origin.store == store)
}

/// The deliveries for an event, one per subscribed hook. Imported events and events copied by a fork have happened
/// elsewhere and get none.
async fn deliveries_for(shared: &Shared, event: &Event) -> Result<Vec<NewDelivery>, Error> {
    let payload = event.payload();
    // The submission of a fork has an origin in this store, but is new.
    let is_fork = is_ours(shared, event) && matches!(payload, Payload::TaskSubmitted(_));
    if event.origin().is_some() && !is_fork {
        return Ok(Vec::new());
    }
    let delivery = |hook: &str, hook_owner: Option<String>, target: String| NewDelivery {
        hook: hook.to_owned(),
        hook_owner,
        target,
        owner: event.owner().to_string(),
        task: event.task_id().to_string(),
        sequence: number(event.sequence()),
        kind: event.kind().to_owned(),
    };
    let mut deliveries = Vec::new();
    if let Some(on_end) = &shared.options.on_end
        && TERMINAL_KINDS.contains(&event.kind())
    {
        deliveries.push(delivery(ON_END, None, on_end.shown()));
    }
    for (name, webhook) in &shared.options.webhooks {
        if webhook.events.iter().any(|filter| filter.matches(payload)) {
            deliveries.push(delivery(name.as_str(), None, webhook.url.shown()));
        }
    }
    if let Some(webhook) = task_webhook(shared, event).await?
        && let Ok(filters) = EventFilter::parse_all(&webhook.events)
        && filters.iter().any(|filter| filter.matches(payload))
        && let Ok(target) = webhook.url.parse::<Target>()
    {
        let owner = event.owner().to_string();
        let name = task_hook_name(&owner, &webhook);
        deliveries.push(delivery(&name, Some(owner), target.shown()));
    }
    Ok(deliveries)
}

/// The webhook in the submission of an event's task. A submission that was imported was checked elsewhere, so its webhook
/// is not used.
async fn task_webhook(shared: &Shared, event: &Event) -> Result<Option<TaskWebhook>, Error> {
    if let Payload::TaskSubmitted(submission) = event.payload() {
        return Ok(submission.webhook.clone());
    }
    let (owner, task) = (Principal::user(event.owner().clone()), event.task_id());
    let (journal, filter) = (&shared.options.journal, Filter::of_task(task));
    let page = journal.read(&owner, &filter, Sequence::ZERO, 1);
    let first = match page.await {
        Ok(page) => page.events.into_iter().next(),
        Err(JournalError::Damaged { .. } | JournalError::Erased(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let ours = first.filter(|first| is_ours(shared, first));
    Ok(ours.and_then(|first| match first.payload() {
        Payload::TaskSubmitted(submission) => submission.webhook.clone(),
        _ => None,
    }))
}
