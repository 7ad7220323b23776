//! Makes the deliveries in the outbox: picks the due ones, makes each by its hook's channel, and records the outcome.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use journeyman_api::{Reference, Target};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::command::{self, CommandResult};
use crate::config::is_task_hook;
use crate::message::{self, Message};
use crate::outbox::{Outcome, PendingDelivery};
use crate::sender::{Request, SendResult};
use crate::{Channel, Error, Shared, secret};

/// The largest number of deliveries in flight.
const IN_FLIGHT_MAX: usize = 16;
/// The largest number of them for one hook. A failing hook has one.
const IN_FLIGHT_PER_HOOK_MAX: usize = 4;
/// The largest number of them for the webhooks of one owner's tasks, however many URLs they have.
const IN_FLIGHT_PER_OWNER_MAX: usize = 4;
/// The longest wait until the outbox is checked again while deliveries are pending, because the clock may be set.
const POLL: Duration = Duration::from_secs(1);
/// How often the outbox is cleaned up.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);
/// The number of failures of a hook above which each lengthens the back-off: as many may come from attempts that began
/// at once (`IN_FLIGHT_PER_HOOK_MAX`).
const HOOK_FAILURES_MIN: u32 = 3;
/// The largest exponent of the back-off.
const EXPONENT_MAX: u32 = 20;

struct Dispatcher {
    shared: Arc<Shared>,
    in_flight: JoinSet<Outcome>,
    /// The deliveries in flight, by the id of their tokio task.
    deliveries: HashMap<Id, PendingDelivery>,
    /// Outcomes that could not be recorded yet. No delivery starts before they are.
    unrecorded: Vec<(PendingDelivery, Outcome)>,
    swept_at: Option<tokio::time::Instant>,
    /// The time of the clock when it was last read. An earlier one shows that it was set back.
    last_now: i64,
}

/// Makes deliveries until it is stopped. Then it waits for the deliveries in flight, until `abort`.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken, abort: CancellationToken) {
    let mut dispatcher = Dispatcher {
        shared,
        in_flight: JoinSet::new(),
        deliveries: HashMap::new(),
        unrecorded: Vec::new(),
        swept_at: None,
        last_now: i64::MIN,
    };
    loop {
        let wait = match dispatcher.dispatch().await {
            Ok(wait) => wait,
            Err(error) => {
                dispatcher.shared.report_stall(&error);
                POLL
            }
        };
        dispatcher.shared.report_progress();
        let shared = Arc::clone(&dispatcher.shared);
        tokio::select! {
            () = stop.cancelled() => break,
            () = dispatcher.next_finished(), if !dispatcher.in_flight.is_empty() => {}
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    while !dispatcher.in_flight.is_empty() {
        tokio::select! {
            () = dispatcher.next_finished() => {}
            () = abort.cancelled() => break,
        }
        if let Err(error) = dispatcher.record_outcomes().await {
            dispatcher.shared.report_stall(&error);
        }
    }
    // The next process repeats what is aborted here.
    dispatcher.in_flight.shutdown().await;
    if let Err(error) = dispatcher.record_outcomes().await {
        tracing::error!(%error, "the outcome of a delivery is not recorded; it will be repeated");
    }
}

impl Dispatcher {
    /// Starts as many due deliveries as the limits allow. Returns how long to wait for the next one.
    async fn dispatch(&mut self) -> Result<Duration, Error> {
        self.record_outcomes().await?;
        let now = self.shared.now();
        self.follow_clock(now).await?;
        self.sweep(now).await?;
        let due = self
            .shared
            .store
            .with(move |outbox| outbox.due(now))
            .await?;
        for due in due {
            let free = IN_FLIGHT_MAX.saturating_sub(self.in_flight.len());
            if free == 0 {
                break;
            }
            if self.shared.channel(&due.hook).is_none() {
                continue; // configured for another process of this data folder
            }
            let limit = match due.consecutive_failures {
                0 => IN_FLIGHT_PER_HOOK_MAX,
                _ => 1,
            };
            let of_hook = self.count_in_flight(|delivery| delivery.hook == due.hook);
            let of_owner = due.owner.as_ref().map_or(0, |owner| {
                self.count_in_flight(|one| is_task_hook(&one.hook) && one.owner == *owner)
            });
            let wanted = limit
                .saturating_sub(of_hook)
                .min(IN_FLIGHT_PER_OWNER_MAX.saturating_sub(of_owner))
                .min(free);
            if wanted == 0 {
                continue;
            }
            let hook = due.hook.clone();
            // In the outbox the deliveries in flight are still pending.
            let next = self
                .shared
                .store
                .with(move |outbox| outbox.next_deliveries(&hook, now, wanted + of_hook));
            let next = next.await?.into_iter();
            let is_in_flight = |id: i64| self.deliveries.values().any(|one| one.id == id);
            let new: Vec<PendingDelivery> = next.filter(|one| !is_in_flight(one.id)).collect();
            for delivery in new.into_iter().take(wanted) {
                self.start(delivery);
            }
        }
        let next = self
            .shared
            .store
            .with(move |outbox| Ok((outbox.has_pending()?, outbox.next_due(now)?)));
        Ok(match next.await? {
            (false, _) => SWEEP_INTERVAL,
            (true, None) => POLL,
            (true, Some(at)) => {
                let ms = at.saturating_sub(now).unsigned_abs();
                Duration::from_millis(ms).min(POLL)
            }
        })
    }

    fn count_in_flight(&self, is_counted: impl Fn(&PendingDelivery) -> bool) -> usize {
        let in_flight = self.deliveries.values();
        in_flight.filter(|delivery| is_counted(delivery)).count()
    }

    /// Makes everything due when the clock was set back. Else it would wait until the clock has caught up.
    async fn follow_clock(&mut self, now: i64) -> Result<(), Error> {
        if now < self.last_now {
            let store = &self.shared.store;
            store
                .with(move |outbox| outbox.make_due_beyond(now, now))
                .await?;
        }
        self.last_now = now;
        Ok(())
    }

    fn start(&mut self, delivery: PendingDelivery) {
        let (shared, copy) = (Arc::clone(&self.shared), delivery.clone());
        let handle = self
            .in_flight
            .spawn(async move { deliver(&shared, &copy).await });
        self.deliveries.insert(handle.id(), delivery);
    }

    /// Waits for the next delivery in flight to finish. Cancel-safe.
    async fn next_finished(&mut self) {
        let (id, outcome) = match self.in_flight.join_next_with_id().await {
            None => return,
            Some(Ok((id, outcome))) => (id, outcome),
            Some(Err(error)) => {
                let reason = format!("a bug in journeyman: {error}");
                let Some(delivery) = self.deliveries.get(&error.id()) else {
                    return;
                };
                (error.id(), self.shared.failed(delivery, reason, None))
            }
        };
        if let Some(delivery) = self.deliveries.remove(&id) {
            self.unrecorded.push((delivery, outcome));
        }
    }

    async fn record_outcomes(&mut self) -> Result<(), Error> {
        while let Some((delivery, outcome)) = self.unrecorded.last().cloned() {
            let (copy, result, now) = (delivery.clone(), outcome.clone(), self.shared.now());
            let recorded = self
                .shared
                .store
                .with(move |outbox| outbox.record_outcome(&copy, &result, now));
            let dead = recorded.await?;
            self.unrecorded.pop();
            log_outcome(&delivery, &outcome, dead);
        }
        Ok(())
    }

    async fn sweep(&mut self, now: i64) -> Result<(), Error> {
        if self
            .swept_at
            .is_some_and(|last| last.elapsed() < SWEEP_INTERVAL)
        {
            return Ok(());
        }
        let lifetime = millis(self.shared.options.retry_policy.lifetime);
        let known = self.shared.configured().into_iter();
        let known: Vec<String> = known.map(|(name, _)| name).collect();
        let dead = self.shared.store.with(move |outbox| {
            outbox.prune_hooks()?;
            outbox.bring_near(now)?;
            outbox.sweep(&known, now, lifetime)
        });
        let dead = dead.await?;
        if dead > 0 {
            tracing::warn!(
                dead,
                "deliveries of hooks that are no longer configured are dead"
            );
        }
        self.swept_at = Some(tokio::time::Instant::now());
        Ok(())
    }
}

/// Logs the outcome of an attempt. Repeated failures are logged once.
fn log_outcome(delivery: &PendingDelivery, outcome: &Outcome, dead: usize) {
    let (hook, task, kind) = (&delivery.hook, &delivery.task, &delivery.kind);
    match outcome {
        Outcome::Delivered { error: None } => tracing::debug!(hook, task, kind, "delivered"),
        Outcome::Delivered { error: Some(error) } => {
            tracing::warn!(hook, task, kind, error, "the command of a hook failed");
        }
        Outcome::Obsolete => tracing::debug!(hook, task, kind, "the task no longer exists"),
        Outcome::Disabled { error } => tracing::warn!(
            hook,
            error,
            dead,
            "a hook is disabled; `journeyman hooks retry` enables it"
        ),
        Outcome::Failed { error, .. } if dead > 0 => tracing::error!(
            hook,
            error,
            dead,
            "deliveries are dead; `journeyman hooks retry` revives them"
        ),
        Outcome::Failed { error, .. } if delivery.attempts == 0 => {
            tracing::warn!(
                hook,
                task,
                kind,
                error,
                "a delivery failed and will be retried"
            );
        }
        Outcome::Failed { error, .. } => tracing::debug!(hook, task, kind, error, "a retry failed"),
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl Shared {
    /// A failed attempt, with the time of the next one: after an exponential back-off, shortened by random jitter, and
    /// not before `retry_after`. The back-off also grows with the failures of the hook's other deliveries; otherwise a
    /// receiver that is down would get an attempt every second for as long as there are deliveries that were not tried.
    fn failed(
        &self,
        delivery: &PendingDelivery,
        error: String,
        retry_after: Option<Duration>,
    ) -> Outcome {
        let policy = self.options.retry_policy;
        // The first failures may come from attempts that began at once.
        let of_hook = delivery.hook_failures.saturating_sub(HOOK_FAILURES_MIN);
        let factor = 2_u32.saturating_pow(delivery.attempts.max(of_hook).min(EXPONENT_MAX));
        let backoff = policy
            .backoff
            .saturating_mul(factor)
            .min(policy.backoff_max);
        let half = millis(backoff) / 2;
        let random = i64::try_from(self.options.randomness.next_u64() >> 1).unwrap_or_default();
        let wait = millis(backoff) - random % (half + 1);
        let wait = wait.max(retry_after.map_or(0, millis));
        let next_attempt_at = self.now().saturating_add(wait);
        Outcome::Failed {
            error,
            next_attempt_at,
            paused_until: next_attempt_at,
            lifetime_ms: millis(policy.lifetime),
        }
    }
}

async fn deliver(shared: &Shared, delivery: &PendingDelivery) -> Outcome {
    let message = match message::build(shared, delivery).await {
        Ok(Some(message)) => message,
        Ok(None) => return Outcome::Obsolete,
        Err(error) => return shared.failed(delivery, error.to_string(), None),
    };
    match shared.channel(&delivery.hook) {
        Some(Channel::Command(on_end)) => {
            let result = command::run(on_end, &shared.options.environment, &message).await;
            log_command(delivery, &result);
            Outcome::Delivered {
                error: result.error,
            }
        }
        Some(Channel::Webhook(webhook)) => {
            let secret = webhook.secret.as_ref();
            post(shared, delivery, &message, &webhook.url, secret).await
        }
        Some(Channel::TaskWebhook) => {
            let Some(webhook) = &message.webhook else {
                return Outcome::Obsolete;
            };
            let secret = webhook.secret.as_deref().map(str::parse::<Reference>);
            match (webhook.url.parse::<Target>(), secret.transpose()) {
                (Ok(target), Ok(secret)) => {
                    post(shared, delivery, &message, &target, secret.as_ref()).await
                }
                (Err(error), _) | (_, Err(error)) => shared.failed(delivery, error, None),
            }
        }
        None => shared.failed(delivery, "the hook is not configured".to_owned(), None),
    }
}

fn log_command(delivery: &PendingDelivery, result: &CommandResult) {
    let (task, output) = (&delivery.task, result.output.trim());
    if let Some(error) = &result.error {
        tracing::warn!(task, error, output, "on_end");
    } else {
        tracing::info!(task, output, "on_end");
    }
}

async fn post(
    shared: &Shared,
    delivery: &PendingDelivery,
    message: &Message,
    target: &Target,
    secret: Option<&Reference>,
) -> Outcome {
    let sent = send(shared, message, target, secret).await;
    let result = sent.unwrap_or_else(|error| SendResult::Failed {
        error,
        retry_after: None,
    });
    match result {
        SendResult::Accepted => Outcome::Delivered { error: None },
        SendResult::Gone => Outcome::Disabled {
            error: "the receiver wants no further deliveries (status 410)".to_owned(),
        },
        SendResult::Failed { error, retry_after } => shared.failed(delivery, error, retry_after),
    }
}

async fn send(
    shared: &Shared,
    message: &Message,
    target: &Target,
    secret: Option<&Reference>,
) -> Result<SendResult, String> {
    let sender = shared.sender.as_ref().map_err(Clone::clone)?;
    let environment = &shared.options.environment;
    let url = secret::url(target, environment).await?;
    let signers = match secret {
        Some(reference) => secret::signers(reference, environment).await?,
        None => Vec::new(),
    };
    let request = Request {
        id: &message.id,
        body: &message.body,
        timestamp: shared.now().div_euclid(1_000),
        signers: &signers,
    };
    Ok(sender.post(url, request).await)
}
