//! Hooks: a user's command that runs when a task ends (`on_end`), and webhooks.
//!
//! Floor 6. One consumer reads the journal from a durable position and enqueues a delivery for each hook that
//! subscribes to an event (`consumer.rs`). Deliveries are stored in an outbox beside the journal (`outbox.rs`)
//! until the dispatcher has made them (`dispatcher.rs`): each at least once, and the deliveries of one task to
//! one hook in the order of the task's events. A delivery refers to an event; its message is built from the
//! journal when it is delivered (`message.rs`).
//!
//! A hook can never stop, slow or fail a task: this crate only reads the journal, in background tasks, and when
//! the outbox cannot be written, deliveries wait.

mod address;
mod command;
mod config;
mod consumer;
mod dispatcher;
mod error;
mod message;
mod outbox;
mod secret;
mod sender;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use journeyman_api::HookView;
use journeyman_event::payload::TaskWebhook;
use journeyman_event::state::Ending;
use journeyman_event::{Owner, Randomness, TimeSource};
use journeyman_journal::Journal;
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use address::Networks;
pub use config::{HookName, ON_END, OnEnd, WebhookConfig};
pub use error::Error;
pub use outbox::Outbox;
pub use sender::{Lookup, SystemLookup};

use outbox::HookRow;
use store::Store;

/// The configuration and dependencies of [`Hooks`].
pub struct HooksOptions {
    /// The data folder that holds the outbox. `None` keeps the outbox in memory, for tests.
    pub data_dir: Option<PathBuf>,
    /// The journal to read events from.
    pub journal: Journal,
    /// The clock that says when deliveries are due.
    pub time: Arc<dyn TimeSource>,
    /// The source of the random jitter between attempts.
    pub randomness: Arc<dyn Randomness>,
    /// The command to run when a task ends.
    pub on_end: Option<OnEnd>,
    /// The configured webhooks.
    pub webhooks: BTreeMap<HookName, WebhookConfig>,
    /// The non-public networks that webhooks may be sent to.
    pub networks: Networks,
    /// The resolver for host names.
    pub lookup: Arc<dyn Lookup>,
    /// The environment of this process. Commands inherit some of it, and `env:NAME` references are read from it.
    pub environment: BTreeMap<String, String>,
    /// Maps how a task ended to the exit code of `run`.
    pub exit_code: fn(&Ending) -> u8,
    /// The timeouts and the back-off of webhooks.
    pub retry_policy: RetryPolicy,
}

impl HooksOptions {
    /// Options with no configured hooks and an outbox in memory. Webhooks of single tasks still work.
    pub fn silent(
        journal: Journal,
        time: Arc<dyn TimeSource>,
        randomness: Arc<dyn Randomness>,
    ) -> Self {
        Self {
            data_dir: None,
            journal,
            time,
            randomness,
            on_end: None,
            webhooks: BTreeMap::new(),
            networks: Networks::default(),
            lookup: Arc::new(SystemLookup),
            environment: BTreeMap::new(),
            exit_code: |_| 0,
            retry_policy: RetryPolicy::default(),
        }
    }
}

/// The timeouts and the back-off of webhook deliveries.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The timeout of one attempt, from resolving the host to receiving the response head.
    pub attempt_timeout: Duration,
    /// The back-off after the first failed attempt. It doubles with each attempt, and random jitter shortens it by up
    /// to half.
    pub backoff: Duration,
    /// The longest back-off.
    pub backoff_max: Duration,
    /// How long attempts of a delivery may fail before the delivery is dead.
    pub lifetime: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(15),
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_mins(15),
            lifetime: Duration::from_hours(24),
        }
    }
}

/// The state that the consumer, the dispatcher and the handle share.
pub(crate) struct Shared {
    options: HooksOptions,
    store: Store,
    /// Notified when there may be deliveries to make.
    wake: Notify,
    /// Incremented when deliveries were enqueued or outcomes recorded.
    progress: watch::Sender<u64>,
    sender: Result<sender::Sender, String>,
    /// The last logged reason why no deliveries are made.
    stall: StdMutex<Option<String>>,
}

/// A handle to the running hooks. Clones refer to the same hooks, which run until [`Hooks::close`].
#[derive(Clone)]
pub struct Hooks {
    shared: Arc<Shared>,
    /// Stops enqueueing and starting deliveries.
    stop: CancellationToken,
    /// Aborts the deliveries in flight.
    abort: CancellationToken,
    running: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// The hooks that a caller may see and retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The configured hooks, and the webhooks of all tasks.
    All,
    /// The webhooks of this owner's tasks.
    Owner(Owner),
}

impl Hooks {
    /// Starts to deliver new events, and the deliveries that earlier processes left in the outbox. Call it before any
    /// task runs: a new outbox starts at the current end of the journal. It never fails: when the outbox
    /// cannot be opened, this is logged and tried again.
    pub async fn start(options: HooksOptions) -> Self {
        let sender = sender::Sender::new(
            options.networks.clone(),
            Arc::clone(&options.lookup),
            options.retry_policy.attempt_timeout,
        );
        let store = Store::new(options.data_dir.clone(), options.journal.clone());
        // The consumer hits the same error, and reports it.
        let _ = store.with(Outbox::prune_hooks).await;
        let (progress, _) = watch::channel(0);
        let shared = Arc::new(Shared {
            options,
            store,
            wake: Notify::new(),
            progress,
            sender,
            stall: StdMutex::default(),
        });
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        let running = vec![
            tokio::spawn(consumer::run(Arc::clone(&shared), stop.clone())),
            tokio::spawn(dispatcher::run(
                Arc::clone(&shared),
                stop.clone(),
                abort.clone(),
            )),
        ];
        Self {
            shared,
            stop,
            abort,
            running: Arc::new(Mutex::new(running)),
        }
    }

    /// Lists the hooks and their statistics, sorted by name.
    pub async fn list(&self, scope: &Scope) -> Result<Vec<HookView>, Error> {
        let now = self.shared.now();
        let rows = self.shared.store.with(Outbox::hooks).await?;
        let mut views: BTreeMap<String, HookView> = BTreeMap::new();
        if *scope == Scope::All {
            for (name, target) in self.shared.configured() {
                let view = HookRow::unused(&name).view(&target, true, now);
                views.insert(name, view);
            }
        }
        for row in rows {
            let is_visible = match scope {
                Scope::All => true,
                Scope::Owner(owner) => row.owner.as_deref() == Some(owner.as_str()),
            };
            if !is_visible {
                continue;
            }
            let known = views.get(&row.name).map(|view| view.target.clone());
            let is_known = known.is_some() || config::is_task_hook(&row.name);
            let target = known.unwrap_or_else(|| row.target.clone());
            views.insert(row.name.clone(), row.view(&target, is_known, now));
        }
        Ok(views.into_values().collect())
    }

    /// Makes all pending and dead deliveries of a hook due now, and enables the hook if it was disabled. A revived
    /// delivery comes after later events of the same task that were already delivered.
    ///
    /// # Errors
    /// [`Error::NoSuchHook`] when the hook does not exist or is outside the scope.
    pub async fn retry(&self, hook: &str, scope: &Scope) -> Result<HookView, Error> {
        let find = |views: Vec<HookView>| views.into_iter().find(|view| view.hook == hook);
        let unknown = || Error::NoSuchHook {
            hook: hook.to_owned(),
        };
        find(self.list(scope).await?).ok_or_else(unknown)?;
        let (name, now) = (hook.to_owned(), self.shared.now());
        let retried = self
            .shared
            .store
            .with(move |outbox| outbox.retry(&name, now));
        let count = retried.await?;
        tracing::info!(hook, count, "the deliveries of a hook are retried");
        self.shared.wake.notify_one();
        find(self.list(scope).await?).ok_or_else(unknown)
    }

    /// Checks a task's webhook without resolving its host. The error says why its address is refused.
    pub fn check(&self, webhook: &TaskWebhook) -> Result<(), String> {
        self.shared.options.networks.check_webhook(webhook)
    }

    /// Waits until all current events were enqueued and each of their deliveries was attempted once, or until the
    /// timeout. Hooks that are already failing are not waited for. Returns whether the hooks are idle.
    pub async fn wait_until_idle(&self, timeout: Duration) -> bool {
        let mut progress = self.shared.progress.subscribe();
        let idle = async {
            loop {
                progress.mark_unchanged();
                if self.is_idle().await {
                    return;
                }
                if progress.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        tokio::time::timeout(timeout, idle).await.is_ok()
    }

    async fn is_idle(&self) -> bool {
        // In this order: events move from the journal into the outbox.
        if !consumer::is_caught_up(&self.shared).await {
            return false;
        }
        match self
            .shared
            .store
            .with(Outbox::hooks_with_first_attempts)
            .await
        {
            Ok(hooks) => !hooks.iter().any(|hook| self.shared.channel(hook).is_some()),
            // Without the outbox no deliveries are made.
            Err(_) => true,
        }
    }

    /// Stops enqueueing and starting deliveries, and waits for the deliveries in flight, at most for the grace period.
    /// The rest stays in the outbox for the next process.
    pub async fn close(&self, grace: Duration) {
        self.stop.cancel();
        let running: Vec<JoinHandle<()>> = std::mem::take(&mut *self.running.lock().await);
        let abort = self.abort.clone();
        let late = tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            abort.cancel();
        });
        for task in running {
            // A panic has ended the task too.
            let _ = task.await;
        }
        late.abort();
    }
}

/// How deliveries of a hook are made.
pub(crate) enum Channel<'a> {
    /// By running the `on_end` command.
    Command(&'a OnEnd),
    /// By sending a configured webhook.
    Webhook(&'a WebhookConfig),
    /// By sending the webhook in the task's submission.
    TaskWebhook,
}

impl Shared {
    /// The current time in milliseconds since the epoch.
    fn now(&self) -> i64 {
        self.options.time.now().as_millisecond()
    }

    /// Logs why no deliveries are made, once per reason.
    fn report_stall(&self, error: &Error) {
        let reason = error.to_string();
        let mut stall = self.stall.lock().unwrap_or_else(PoisonError::into_inner);
        if stall.as_ref() != Some(&reason) {
            tracing::error!(reason, "hooks receive no deliveries for now");
            *stall = Some(reason);
        }
    }

    /// Logs that deliveries are made again, after a stall.
    fn report_recovery(&self) {
        let mut stall = self.stall.lock().unwrap_or_else(PoisonError::into_inner);
        if stall.take().is_some() {
            tracing::info!("hooks receive deliveries again");
        }
    }

    fn report_progress(&self) {
        self.progress.send_modify(|count| *count += 1);
    }

    /// The channel of a hook; `None` when this process has no configuration for it.
    fn channel(&self, hook: &str) -> Option<Channel<'_>> {
        if config::is_task_hook(hook) {
            return Some(Channel::TaskWebhook);
        }
        if hook == ON_END {
            return self.options.on_end.as_ref().map(Channel::Command);
        }
        let mut webhooks = self.options.webhooks.iter();
        let found = webhooks.find(|(name, _)| name.as_str() == hook);
        found.map(|(_, webhook)| Channel::Webhook(webhook))
    }

    /// The names of the configured hooks, each with the part of its target that may be shown.
    fn configured(&self) -> Vec<(String, String)> {
        let command = self.options.on_end.iter();
        let command = command.map(|on_end| (ON_END.to_owned(), on_end.shown()));
        let webhooks = self.options.webhooks.iter();
        let webhooks = webhooks.map(|(name, one)| (name.to_string(), one.url.shown()));
        command.chain(webhooks).collect()
    }
}

/// A time in milliseconds since the epoch, as RFC 3339.
pub(crate) fn time_text(ms: i64) -> Option<String> {
    let at = Timestamp::from_millisecond(ms).ok()?;
    Some(format!("{at:.3}"))
}
