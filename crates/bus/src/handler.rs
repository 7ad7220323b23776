//! Runs handlers: catches panics, limits their time, and skips messages while the circuit breaker is open.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use crate::statistics::add;
use crate::subscriber::{BATCH_MAX, Subscriber};

/// The error of a handler; it is only logged.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// How one handler run ended.
pub(crate) enum HandlerOutcome {
    /// The handler returned `Ok` in time.
    Succeeded,
    Failed(String),
    TimedOut,
}

impl HandlerOutcome {
    /// Interprets a handler's result, or the panic that ended it.
    pub(crate) fn of(result: Result<Result<(), HandlerError>, Box<dyn Any + Send>>) -> Self {
        match result {
            Ok(Ok(())) => Self::Succeeded,
            Ok(Err(error)) => Self::Failed(error.to_string()),
            Err(panic) => Self::Failed(format!("it panicked: {}", words_of(&*panic))),
        }
    }
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without words")
}

/// Counts the result of a handler run and reports it to the circuit breaker.
pub(crate) fn note<M>(subscriber: &Subscriber<M>, outcome: HandlerOutcome) {
    let counters = &subscriber.counters;
    match outcome {
        HandlerOutcome::Succeeded => {
            add(&counters.delivered, 1);
            subscriber.breaker.succeeded();
            return;
        }
        HandlerOutcome::Failed(problem) => {
            add(&counters.failed, 1);
            tracing::warn!(subscriber = subscriber.name, problem, "handler failed");
        }
        HandlerOutcome::TimedOut => {
            add(&counters.timed_out, 1);
            tracing::warn!(
                subscriber = subscriber.name,
                limit = ?subscriber.time_limit,
                "handler took too long"
            );
        }
    }
    subscriber.breaker.failed();
}

/// Whether the handler gets the next message; if not, the message is counted as skipped.
fn gets_it<M>(subscriber: &Subscriber<M>) -> bool {
    if !subscriber.queue.is_open() {
        add(&subscriber.counters.discarded, 1);
        return false;
    }
    let admitted = subscriber.breaker.admits();
    if !admitted {
        add(&subscriber.counters.skipped, 1);
    }
    admitted
}

/// Handles messages in an async task until the subscriber is closed.
pub(crate) async fn serve<M, F, Fut>(subscriber: Arc<Subscriber<M>>, handler: F)
where
    F: Fn(Arc<M>) -> Fut,
    Fut: Future<Output = Result<(), HandlerError>>,
{
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut times = Vec::with_capacity(BATCH_MAX);
    while poll_fn(|context| subscriber.poll_work(context, &mut batch)).await {
        let full = batch.len() == BATCH_MAX;
        let mut start = Instant::now();
        for message in batch.drain(..) {
            if !gets_it(&subscriber) {
                continue;
            }
            let handling = AssertUnwindSafe(async { handler(message).await }).catch_unwind();
            let mut handling = std::pin::pin!(handling);
            // Most handlers are done at once: no timer for them.
            let outcome = match futures_util::poll!(&mut handling) {
                Poll::Ready(result) => HandlerOutcome::of(result),
                Poll::Pending => tokio::time::timeout(subscriber.time_limit, handling)
                    .await
                    .map_or(HandlerOutcome::TimedOut, HandlerOutcome::of),
            };
            let end = Instant::now();
            times.push(end.saturating_duration_since(start));
            start = end;
            note(&subscriber, outcome);
        }
        subscriber.counters.took(&times);
        times.clear();
        if full {
            // More is likely to wait; others want the thread as well.
            tokio::task::yield_now().await;
        }
    }
}

/// Handles messages on a thread of its own until the subscriber is closed.
pub(crate) fn serve_blocking<M, F>(subscriber: &Subscriber<M>, handler: F)
where
    F: Fn(&M) -> Result<(), HandlerError>,
{
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let context = Context::from_waker(&waker);
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let mut times: Vec<Duration> = Vec::with_capacity(BATCH_MAX);
    loop {
        match subscriber.poll_work(&context, &mut batch) {
            Poll::Ready(true) => {}
            Poll::Ready(false) => return,
            Poll::Pending => {
                std::thread::park();
                continue;
            }
        }
        let mut start = Instant::now();
        for message in batch.drain(..) {
            if !gets_it(subscriber) {
                continue;
            }
            subscriber.begins(start);
            let result = catch_unwind(AssertUnwindSafe(|| handler(&message)));
            subscriber.ends();
            let end = Instant::now();
            let time = end.saturating_duration_since(start);
            start = end;
            times.push(time);
            note(
                subscriber,
                timed(subscriber, time, HandlerOutcome::of(result)),
            );
        }
        subscriber.counters.took(&times);
        times.clear();
    }
}

/// A run that exceeded the time limit counts as timed out even if it succeeded, because a blocking handler
/// cannot be stopped.
pub(crate) fn timed<M>(
    subscriber: &Subscriber<M>,
    time: Duration,
    outcome: HandlerOutcome,
) -> HandlerOutcome {
    match outcome {
        HandlerOutcome::Succeeded if time > subscriber.time_limit => HandlerOutcome::TimedOut,
        other => other,
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
