//! The service through its public interface: signals and a journal in, figures out, each known in advance.

#![allow(clippy::unwrap_used, clippy::float_cmp)] // a test fails by panicking

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use journeyman_bus::Stamp;
use journeyman_event::payload::{
    Charge, EffectRetried, FailureReason, Form, ModelCallCompleted, ModelCallFailed,
    ModelCallStarted, Purpose, Reserved, TaskComplete, TaskFailed, TaskStarted, TaskSubmitted,
    TestPassed, Verification,
};
use journeyman_event::{
    Draft, EventId, NewEvent, Owner, Payload, PicoUsd, Principal, SeededRandom, Sequence,
    SteppedTime, TaskId, TimeSource, Tokens, VectorClock,
};
use journeyman_journal::{Append, Expected, Filter, Journal, Makers, Memory, StreamName};
use journeyman_metrics::{
    Format, ModelAt, Names, Planned, Prices, Refused, Report, StreamsView, Telemetry,
    TelemetryOptions, Who, erased_costs,
};
use journeyman_signal::{
    CostCalculated, Key, RequestCompleted, RequestFailed, RequestStarted, Signal, Signals,
    StreamCancelled, StreamCompleted, StreamFailed, StreamFirstToken, StreamStarted,
    StreamTokenGenerated, Text, TokensBatchGenerated, UsageRecorded,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// The clock of the tests: the evening of the day that is written about.
struct Evening;

impl TimeSource for Evening {
    fn now(&self) -> Timestamp {
        "2025-12-31T23:59:00Z".parse().unwrap()
    }
}

impl Stamp for Evening {
    fn id(&self) -> Uuid {
        Uuid::nil()
    }

    fn now(&self) -> Timestamp {
        TimeSource::now(self)
    }
}

/// A clock that stands where it was set.
struct SetTime(Mutex<Timestamp>);

impl TimeSource for SetTime {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

impl Stamp for SetTime {
    fn id(&self) -> Uuid {
        Uuid::nil()
    }

    fn now(&self) -> Timestamp {
        TimeSource::now(self)
    }
}

const MONEY: &str = r#"
version = "1"
[[price]]
model = "small"
input = "1"
output = "2"

[[budget]]
name = "each"
owner = "*"
limit = "1000"
period = "monthly"
mode = "hard"

[[budget]]
name = "tiny"
owner = "bo"
limit = "0.000001"
period = "total"
mode = "hard"
"#;

fn telemetry(money: &str) -> Telemetry {
    let (prices, budgets) = Prices::parse(money).unwrap();
    let options = TelemetryOptions {
        stamp: Arc::new(Evening),
        time: Arc::new(Evening),
        prices,
        budgets,
        otlp: None,
    };
    Telemetry::new(options).unwrap()
}

/// Report that fulfil this, as soon as they do.
async fn until(telemetry: &Telemetry, what: &str, fits: impl Fn(&Report) -> bool) -> Report {
    let began = Instant::now();
    loop {
        let figures = telemetry.report().unwrap();
        if fits(&figures) {
            return figures;
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "never {what}: {}",
            figures.to_json()
        );
        tokio::time::sleep(ms(1)).await;
    }
}

/// Writes events of tasks.
struct Author {
    journal: Journal,
    random: SeededRandom,
    time: SteppedTime,
}

impl Author {
    fn new() -> Self {
        let random = SeededRandom::new(1);
        Self {
            journal: Journal::open(Arc::new(Memory::new()), &random).unwrap(),
            random,
            time: SteppedTime::default(),
        }
    }

    fn id(&self) -> EventId {
        EventId::new(&self.time, &self.random)
    }

    async fn write(
        &self,
        (owner, task): (&str, &str),
        at: Timestamp,
        cause: Option<EventId>,
        payload: impl Into<Payload>,
    ) -> EventId {
        let (owner, task_id) = (Owner::new(owner).unwrap(), TaskId::new(task).unwrap());
        let id = self.id();
        let draft = Draft {
            id,
            task_id: task_id.clone(),
            owner: owner.clone(),
            module: None,
            occurred_at: at,
            actor: "conductor".to_owned(),
            clock: VectorClock::default(),
            causation_id: cause,
            code_version: 0,
            code_hash: None,
            payload: payload.into(),
        };
        let append = Append {
            task_id,
            expected: Expected::Any,
            events: vec![NewEvent::new(draft, at).unwrap()],
            blobs: Vec::new(),
            summary: None,
        };
        self.journal
            .append(&Principal::user(owner), append)
            .await
            .unwrap();
        id
    }

    /// One task with one call that was answered and one that failed or was cut off and made again.
    async fn task(&self, number: i64) {
        let owner = if number % 4 == 0 { "bo" } else { "ada" };
        let task = format!("t-{number}");
        let stream = (owner, task.as_str());
        let morning: Timestamp = "2025-12-31T00:00:00Z".parse().unwrap();
        let at = |seconds: i64| morning + SignedDuration::from_secs(number * 60 + seconds);
        let model = if number % 3 == 0 { "large" } else { "small" };
        self.write(stream, at(0), None, TaskSubmitted::of("x"))
            .await;
        let started = TaskStarted {
            model: model.to_owned(),
            server: "openai-compatible".to_owned(),
            window: Tokens(8_192),
            sandbox: "landlock".to_owned(),
            tools: Vec::new(),
            strategy: None,
        };
        self.write(stream, at(1), None, started).await;
        let cost = PicoUsd(u128::try_from(number).unwrap() * 1_000 + 7);
        let call = self.write(stream, at(2), None, call(number)).await;
        if number % 5 == 0 {
            let failed = ModelCallFailed {
                problem: format!("no answer from 10.0.0.{} after {number} s", number % 250),
                tokens: Tokens(if number % 10 == 0 { 50 } else { 0 }),
                fatal: false,
            };
            self.write(stream, at(3), Some(call), failed).await;
            let failed = TaskFailed {
                reason: FailureReason::Attempts,
                detail: format!("{number} calls brought nothing of use"),
            };
            self.write(stream, at(4), None, failed).await;
            return;
        }
        if number % 7 == 0 {
            self.write(stream, at(3), Some(call), EffectRetried { attempt: 2 })
                .await;
        }
        let completed = ModelCallCompleted {
            text: "y".to_owned(),
            cut_short: false,
            repeated: None,
            prompt_tokens: Tokens(100),
            cached_tokens: Tokens(if number % 2 == 0 { 64 } else { 0 }),
            cache_write_tokens: Tokens::ZERO,
            completion_tokens: Tokens(20),
            exact: true,
            first_token_ms: 10,
            total_ms: 1_000,
            served_model: None,
            service_tier: None,
            charge: Some(Charge {
                model: model.to_owned(),
                usd: (model == "small").then_some(cost),
                price: if model == "small" { "file 1" } else { "" }.to_owned(),
            }),
        };
        self.write(stream, at(4), Some(call), completed).await;
        let passed = TestPassed {
            tests: Vec::new(),
            idle: Vec::new(),
            skipped: Vec::new(),
            wall_ms: 250,
        };
        self.write(stream, at(5), None, passed).await;
        let verification = Verification::GivenTests;
        self.write(stream, at(6), None, TaskComplete { verification })
            .await;
    }
}

fn call(number: i64) -> ModelCallStarted {
    ModelCallStarted {
        purpose: if number % 2 == 0 {
            Purpose::Code
        } else {
            Purpose::Plan
        },
        form: Form::default(),
        messages: Vec::new(),
        prompt_tokens: Tokens(100),
        exact: true,
        max_tokens: Tokens(50),
        temperature: 0.2,
        seed: 1,
        schema: None,
        model: None,
        reserved: Some(Reserved {
            id: format!("r-{number}"),
            usd: PicoUsd(1_000_000),
        }),
        key: None,
        project: None,
    }
}

/// What survives a restart.
fn durable(figures: &Report) -> Value {
    let mut figures = figures.to_json();
    for part in ["costs", "errors", "budgets", "caches", "work", "models"] {
        assert!(!figures[part].is_null(), "{part}");
    }
    json!({
        "costs": figures["costs"].take(),
        "errors": figures["errors"].take(),
        "budgets": figures["budgets"].take(),
        "caches": figures["caches"].take(),
        "work": figures["work"].take(),
        "models": figures["models"].take(),
    })
}

#[tokio::test]
async fn a_day_of_mixed_traffic_has_the_figures_that_were_written_and_a_restart_has_the_same() {
    const TASKS: i64 = 400;
    let author = Author::new();
    let live = telemetry(MONEY);
    live.attach(author.journal.clone()).unwrap();
    live.catch_up().await.unwrap();
    for number in 0..TASKS {
        author.task(number).await;
    }
    let all = |figures: &Report| {
        let ended =
            ["task.completed", "task.failed"].map(|kind| figures.work.happened.get(kind).copied());
        ended.into_iter().flatten().sum::<u64>() == TASKS.unsigned_abs()
    };
    let figures = until(&live, "complete", all).await;

    // Every fifth task fails, and of those every second had used 50 tokens.
    let answered: Vec<i64> = (0..TASKS).filter(|number| number % 5 != 0).collect();
    let priced = answered.iter().filter(|number| *number % 3 != 0);
    let usd: u128 = priced
        .clone()
        .map(|number| u128::try_from(*number).unwrap() * 1_000 + 7)
        .sum();
    let total = figures.costs.total;
    assert_eq!(total.calls, 320 + 40);
    assert_eq!(total.prompt_tokens, 32_000);
    assert_eq!(total.completion_tokens, 320 * 20 + 40 * 50);
    assert_eq!(total.cached_tokens, 160 * 64);
    // A call that broke off counts with what it had set aside.
    assert_eq!(total.usd, PicoUsd(usd + 40 * 1_000_000));
    assert_eq!(total.unpriced_calls, 320 - priced.count() as u64);
    assert_eq!(figures.costs.by_day["2025-12-31"], total);
    assert_eq!(figures.errors.by_error["model_call_failed"], 80);
    assert_eq!(figures.errors.by_error["task_attempts"], 80);
    // Plan and code are two endpoints; what differs from call to call makes no group.
    let groups = figures
        .errors
        .groups
        .iter()
        .map(|group| (group.message.as_str(), group.count));
    assert_eq!(
        groups.collect::<std::collections::BTreeSet<_>>(),
        [
            ("<number> calls brought nothing of use", 80),
            ("no answer from <ip> after <duration>", 40),
        ]
        .into()
    );
    assert_eq!(figures.work.happened["task.completed"], 320);
    assert_eq!(figures.work.sandbox_runs["passed"], 320);
    assert_eq!(
        figures.errors.recoveries_succeeded,
        figures.errors.recoveries_attempted
    );
    assert_eq!(figures.budgets.len(), 3);
    let spent: PicoUsd = figures
        .budgets
        .iter()
        .filter(|one| one.budget == "each")
        .map(|one| one.spent_usd)
        .sum();
    assert_eq!(spent, total.usd);
    assert!(
        figures
            .budgets
            .iter()
            .all(|one| one.reserved_usd == PicoUsd::ZERO)
    );
    let lost = figures
        .subscribers
        .iter()
        .map(|one| one.dropped + one.failed);
    assert_eq!(lost.sum::<u64>(), 0);
    live.close().await;

    let again = telemetry(MONEY);
    again.attach(author.journal.clone()).unwrap();
    again.catch_up().await.unwrap();
    assert_eq!(durable(&again.report().unwrap()), durable(&figures));
}

/// However many of a task's calls were counted before it was erased, each counts once; and an account stands where it stood.
#[tokio::test]
async fn budgets_keep_what_erased_tasks_spent() {
    let author = Author::new();
    for number in 1..=40 {
        author.task(number).await;
    }
    let before = telemetry(MONEY);
    before.attach(author.journal.clone()).unwrap();
    before.catch_up().await.unwrap();
    let standing = |telemetry: &Telemetry| {
        let figures = telemetry.report().unwrap();
        let accounts = figures.budgets.into_iter();
        accounts
            .map(|one| (one.budget, one.scope, one.spent_usd))
            .collect::<Vec<_>>()
    };
    let expected = standing(&before);
    assert!(
        expected.iter().all(|(.., spent)| *spent > PicoUsd::ZERO),
        "{expected:?}"
    );
    let system = Principal::system();
    let makers = Makers {
        time: &author.time,
        randomness: &author.random,
    };
    for number in (1..=40).step_by(2) {
        let (owner, task) = ("ada", TaskId::new(format!("t-{number}")).unwrap());
        let name = StreamName::of(&Owner::new(owner).unwrap(), &task);
        let me = Principal::user(name.owner.clone());
        let filter = Filter::of_task(&task);
        let journal = &author.journal;
        let page = journal
            .read(&me, &filter, Sequence::ZERO, 100)
            .await
            .unwrap();
        let (spent, last) = (
            erased_costs(&page.events),
            page.events.last().unwrap().revision(),
        );
        journal
            .begin_erasure(&system, &name, last, "a wish", spent, makers)
            .await
            .unwrap();
    }
    author.journal.finish_erasures(makers).await.unwrap();
    // Something after the erasures, so that they are known to have been processed.
    author.task(41).await;
    let alone = telemetry(MONEY);
    alone.attach(author.journal.clone()).unwrap();
    alone.catch_up().await.unwrap();
    let figures = until(&before, "followed", |figures| {
        figures.budgets == alone.report().unwrap().budgets
    })
    .await;
    let last = PicoUsd(if 41 % 3 == 0 { 0 } else { 41 * 1_000 + 7 });
    let spent = |owner: &str| {
        let mut accounts = figures.budgets.iter();
        accounts
            .find(|one| one.budget == "each" && one.scope == owner)
            .map(|one| one.spent_usd)
    };
    let was = expected
        .iter()
        .find(|(_, scope, _)| scope == "ada")
        .unwrap();
    assert_eq!(spent("ada"), Some(was.2 + last));
    // Costs are those of tasks that are there.
    let costs = alone.report().unwrap().costs;
    assert!(costs.total.usd < before.report().unwrap().costs.total.usd);
}

fn who(owner: &str) -> Who {
    Who {
        owner: owner.into(),
        key: None,
        project: None,
        task: "t-1".into(),
    }
}

const PLANNED: Planned<'_> = Planned {
    at: ModelAt {
        configured: None,
        model: "small",
        server: "openai-compatible",
        url: "https://models.example.com/v1",
        tier: None,
    },
    prompt: Tokens(100),
    max_tokens: Tokens(50),
};

#[tokio::test]
async fn a_call_is_refused_by_what_an_earlier_process_spent_and_had_set_aside() {
    let author = Author::new();
    // 1 USD a million tokens: 0.000001 USD is the budget, and what was set aside takes it all.
    let at: Timestamp = "2025-12-31T12:00:00Z".parse().unwrap();
    let open = author.write(("bo", "t-1"), at, None, call(1)).await;
    let telemetry = telemetry(MONEY);
    telemetry.attach(author.journal.clone()).unwrap();
    let money = telemetry.money();
    let now = TimeSource::now(&Evening);
    assert!(money.is_limited(&who("bo")));
    let refused = money
        .reserve(&who("bo"), PLANNED, "n-1".to_owned(), now)
        .await
        .unwrap_err();
    let Refused::Spent { budget, wanted, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!(
        (&**budget, *wanted),
        ("tiny", PicoUsd(100 * 1_000_000 + 50 * 2_000_000))
    );
    let ada = money
        .reserve(&who("ada"), PLANNED, "n-2".to_owned(), now)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ada.1.usd, *wanted);
    drop(ada);
    let failed = ModelCallFailed {
        problem: "x".to_owned(),
        tokens: Tokens::ZERO,
        fatal: false,
    };
    author.write(("bo", "t-1"), at, Some(open), failed).await;
    until(&telemetry, "settled", |figures| {
        figures
            .budgets
            .iter()
            .all(|one| one.reserved_usd == PicoUsd::ZERO)
    })
    .await;
}

#[tokio::test]
async fn an_outage_is_one_group_of_errors_an_endpoint_and_raises_alerts_that_end_with_it() {
    let author = Author::new();
    let telemetry = telemetry("");
    telemetry.attach(author.journal.clone()).unwrap();
    telemetry.catch_up().await.unwrap();
    let signals = telemetry.signals();
    let at: Timestamp = "2025-12-31T12:00:00Z".parse().unwrap();
    for number in 0..20 {
        let task = format!("t-{number}");
        let intent = author.write(("ada", &task), at, None, call(number)).await;
        let failed = ModelCallFailed {
            problem: format!("timeout of 10.0.0.{number} after {number} s"),
            tokens: Tokens::ZERO,
            fatal: false,
        };
        author.write(("ada", &task), at, Some(intent), failed).await;
        request(
            &signals,
            u128::from(number.unsigned_abs()),
            Some("unreachable"),
        );
    }
    let raised = |figures: &Report, kind: &str| figures.alerts.raised.get(kind).copied();
    let figures = until(&telemetry, "raised", |figures| {
        raised(figures, "slo.violation") == Some(3)
            && raised(figures, "error.pattern_detected") == Some(4)
    })
    .await;
    // Calls for plans and for code are two endpoints. Each group has its third error, and ten within one second.
    let groups = figures.errors.groups.iter();
    let groups: Vec<_> = groups
        .map(|group| (group.message.as_str(), group.count, group.bursts))
        .collect();
    let same = ("timeout of <ip> after <duration>", 10, 1);
    assert_eq!(groups, [same, same]);
    assert_eq!(figures.objectives[0].alerts.len(), 3);
    for number in 1_000..12_000 {
        request(&signals, number, None);
    }
    let figures = until(&telemetry, "over", |figures| {
        figures.objectives[0].good == 11_000
    })
    .await;
    assert!(
        figures.objectives[0].alerts.is_empty(),
        "{:?}",
        figures.objectives
    );
    assert_eq!(figures.objectives[0].recovered_after, Some(0.0));
    assert_eq!(raised(&figures, "slo.violation"), Some(3));
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A request whose stream has these pieces.
fn stream(signals: &Signals, key: u128, pieces: u64) {
    let key = Key(key);
    let tell = |signal: Signal| signals.emit(|| signal);
    tell(
        StreamStarted {
            key,
            model: "m".into(),
        }
        .into(),
    );
    tell(
        StreamFirstToken {
            key,
            after: ms(200),
        }
        .into(),
    );
    for piece in 1..pieces {
        tell(
            StreamTokenGenerated {
                key,
                after: ms(200 + 40 * piece),
                tokens: 1,
            }
            .into(),
        );
    }
    let after = ms(200 + 40 * (pieces - 1));
    tell(
        StreamCompleted {
            key,
            after,
            tokens: pieces,
        }
        .into(),
    );
}

fn request(signals: &Signals, key: u128, error: Option<&str>) {
    let (key, endpoint, model) = (Key(key), "workflow/code".into(), Some("m".into()));
    let (took, clone) = (ms(100), || ("workflow/code".into(), Some("m".into())));
    signals.emit(|| {
        RequestStarted {
            key,
            endpoint,
            model,
        }
        .into()
    });
    let (endpoint, model) = clone();
    signals.emit(|| match error {
        None => RequestCompleted {
            key,
            endpoint,
            model,
            took,
        }
        .into(),
        Some(error) => RequestFailed {
            key,
            endpoint,
            model,
            took,
            error: error.into(),
        }
        .into(),
    });
}

#[tokio::test]
async fn fifty_requests_ten_streams_and_five_errors_are_counted_as_they_were() {
    let telemetry = telemetry("");
    let signals = telemetry.signals();
    request(&signals, 999, None); // nobody listens yet
    telemetry.begin().unwrap();
    for number in 0..50 {
        request(
            &signals,
            number,
            (number % 10 == 0).then_some("unreachable"),
        );
    }
    for number in 100..110 {
        stream(&signals, number, 11);
    }
    let figures = until(&telemetry, "counted", |figures| {
        figures
            .streaming
            .models
            .first()
            .is_some_and(|model| model.completed == 10)
            && figures
                .requests
                .endpoints
                .first()
                .is_some_and(|one| one.completed + one.failed == 50)
            && figures
                .objectives
                .first()
                .is_some_and(|one| one.good + one.bad == 50)
    })
    .await;
    let endpoint = &figures.requests.endpoints[0];
    assert_eq!((endpoint.completed, endpoint.failed), (45, 5));
    assert_eq!(endpoint.time.p99, Some(0.1));
    let model = &figures.streaming.models[0];
    assert_eq!((model.tokens, model.stalls, model.good), (110, 0, 10));
    assert_eq!(model.time_to_first_token.p50, Some(0.2));
    assert_eq!(model.inter_token_latency.p90, Some(0.04));
    assert_eq!(model.inter_chunk_latency.count, 100);
    assert_eq!(model.decode_tokens_per_second.p50, Some(25.0));
    let objective = &figures.objectives[0];
    assert_eq!((objective.good, objective.bad), (45, 5));
    assert!(
        (objective.burn_rates["1h"] - 10.0).abs() < 1e-9,
        "{objective:?}"
    );

    let page = telemetry
        .exposition(Format::Prometheus, Names::Vllm)
        .unwrap();
    for line in [
        "# TYPE journeyman_requests_total counter",
        "journeyman_requests_total{endpoint=\"workflow/code\",outcome=\"completed\"} 45",
        "journeyman_request_errors_total{endpoint=\"workflow/code\",error=\"unreachable\"} 5",
        "journeyman_time_to_first_token_seconds_bucket{model=\"m\",le=\"0.25\"} 10",
        "journeyman_time_to_first_token_seconds_count{model=\"m\"} 10",
        "vllm:time_to_first_token_seconds_count{model_name=\"m\"} 10",
    ] {
        assert!(page.lines().any(|known| known == line), "{line}\n{page}");
    }
    let open = telemetry
        .exposition(Format::OpenMetrics, Names::Own)
        .unwrap();
    assert!(
        open.ends_with("# EOF\n") && !open.contains("vllm:"),
        "{open}"
    );
}

/// The stream of a call in the hour below: how many tokens it has, when the first comes, and the time between them.
fn of_hour(number: u64) -> (u64, Duration, Duration) {
    let gap = if number.is_multiple_of(4) { 40 } else { 20 };
    (10 + number % 91, ms(100 + 50 * (number % 10)), ms(gap))
}

/// How a call of the hour ends. For six minutes, every second call fails.
fn fails(number: u64) -> bool {
    (500..600).contains(&number) && number.is_multiple_of(2)
}

fn is_cancelled(number: u64) -> bool {
    number % 100 == 99
}

#[tokio::test]
async fn an_hour_of_a_thousand_streams_has_the_figures_that_it_was_made_of() {
    let begin: Timestamp = "2025-12-31T12:00:00Z".parse().unwrap();
    let clock = Arc::new(SetTime(Mutex::new(begin)));
    let telemetry = Telemetry::new(TelemetryOptions {
        stamp: Arc::clone(&clock) as Arc<dyn Stamp>,
        time: Arc::clone(&clock) as Arc<dyn TimeSource>,
        prices: Prices::default(),
        otlp: None,
        budgets: Vec::new(),
    })
    .unwrap();
    telemetry.begin().unwrap();
    let signals = telemetry.signals();
    let tell = |signal: Signal| signals.emit(|| signal);
    for number in 0..1_000_u64 {
        let since = SignedDuration::from_millis(3_600 * number.cast_signed());
        *clock.0.lock().unwrap() = begin + since;
        let key = Key(number.into());
        let model: Text = if number.is_multiple_of(4) {
            "large"
        } else {
            "small"
        }
        .into();
        let endpoint = || Text::from("workflow/code");
        let (tokens, first, gap) = of_hour(number);
        let started = StreamStarted {
            key,
            model: model.clone(),
        };
        tell(started.into());
        if fails(number) {
            tell(StreamFailed { key, after: first }.into());
            let failed = RequestFailed {
                key,
                endpoint: endpoint(),
                model: Some(model),
                took: first,
                error: "unreachable".into(),
            };
            tell(failed.into());
            continue;
        }
        tell(StreamFirstToken { key, after: first }.into());
        let piece = |piece: u64| first + gap * u32::try_from(piece).unwrap();
        let pieces: Vec<Duration> = (1..tokens).map(piece).collect();
        for batch in pieces.chunks(64) {
            let after = batch.into();
            tell(TokensBatchGenerated { key, after }.into());
        }
        let (after, took) = (piece(tokens), piece(tokens));
        tell(if is_cancelled(number) {
            StreamCancelled { key, after }.into()
        } else {
            StreamCompleted { key, after, tokens }.into()
        });
        let completed = RequestCompleted {
            key,
            endpoint: endpoint(),
            model: Some(model.clone()),
            took,
        };
        tell(completed.into());
        let (owner, task): (Text, Text) = ("ada".into(), format!("t-{}", number % 50).into());
        let used = UsageRecorded {
            key: None,
            project: None,
            model: model.clone(),
            endpoint: endpoint(),
            owner: owner.clone(),
            task: task.clone(),
            prompt: 1_000,
            cached: 600,
            completion: tokens,
        };
        tell(used.into());
        let cost = CostCalculated {
            key: None,
            project: None,
            model,
            endpoint: endpoint(),
            owner,
            task,
            pico_usd: Some(u128::from(tokens) * 2_000_000),
            price: "file 1".into(),
        };
        tell(cost.into());
    }
    let report = until(&telemetry, "counted", |report| {
        report.subscribers.iter().all(|one| one.waiting == 0)
            && report
                .requests
                .endpoints
                .iter()
                .any(|one| one.completed + one.failed == 1_000)
            && report
                .objectives
                .iter()
                .any(|one| one.good + one.bad == 1_000)
    })
    .await;
    assert!(
        report
            .subscribers
            .iter()
            .all(|one| one.dropped + one.failed == 0)
    );

    for (model, is_of) in [
        (
            "large",
            &(|number: &u64| number.is_multiple_of(4)) as &dyn Fn(&u64) -> bool,
        ),
        ("small", &|number: &u64| !number.is_multiple_of(4)),
    ] {
        let numbers = || (0..1_000_u64).filter(is_of);
        let answered = || numbers().filter(|number| !fails(*number));
        let whole = || answered().filter(|number| !is_cancelled(*number));
        let of = |view: &StreamsView| view.model == model;
        let view = report
            .streaming
            .models
            .iter()
            .find(|view| of(view))
            .unwrap();
        assert_eq!(
            (view.completed, view.failed, view.cancelled),
            (
                whole().count() as u64,
                numbers().filter(|number| fails(*number)).count() as u64,
                answered().filter(|number| is_cancelled(*number)).count() as u64,
            )
        );
        assert_eq!(
            view.tokens,
            whole().map(|number| of_hour(number).0).sum::<u64>()
        );
        let gaps = answered().map(|number| of_hour(number).0 - 1);
        assert_eq!(view.inter_chunk_latency.count, gaps.sum::<u64>());
        let gap = of_hour(u64::from(model == "small")).2.as_secs_f64();
        for found in [
            view.inter_token_latency.p50,
            view.inter_token_latency.p999,
            view.inter_chunk_latency.p99,
            view.decode_tokens_per_second.p50.map(|rate| 1.0 / rate),
        ] {
            let found = found.unwrap();
            assert!((found / gap - 1.0).abs() < 0.01, "{found} {gap}");
        }
        let firsts = whole().map(|number| of_hour(number).1.as_secs_f64());
        let sum: f64 = firsts.sum();
        assert!((view.time_to_first_token.sum - sum).abs() < 1e-6);
        assert_eq!((view.stalls, view.good), (0, view.completed));
        assert_eq!(view.jitter.max, Some(0.0));
    }
    assert_eq!((report.streaming.active, report.streaming.lost), (0, 0));
    let requests = &report.requests.endpoints[0];
    assert_eq!((requests.completed, requests.failed), (950, 50));
    let tokens = || {
        (0..1_000_u64)
            .filter(|number| !fails(*number))
            .map(|number| of_hour(number).0)
    };
    let total = report.costs.total;
    assert_eq!(
        (total.calls, total.completion_tokens),
        (950, tokens().sum())
    );
    assert_eq!(
        total.usd,
        PicoUsd(u128::from(tokens().sum::<u64>()) * 2_000_000)
    );
    assert_eq!(report.costs.by_task.len(), 50);

    // At the 35th failure more than 6 % of all calls had failed, so the page of six hours began. It ended with the 834th call,
    // of which 50 are less. 5 % of an hour's calls are five times the error budget: the ticket stays.
    let objective = &report.objectives[0];
    assert_eq!((objective.good, objective.bad), (950, 50));
    assert_eq!(report.alerts.raised["slo.violation"], 2);
    let alerts: Vec<&str> = objective.alerts.iter().map(|alert| alert.window).collect();
    assert_eq!(alerts, ["3d"]);
    assert_eq!(objective.recovered_after, Some(f64::from(833 - 568) * 3.6));
    assert!(
        (objective.burn_rates["1h"] - 5.0).abs() < 1e-9,
        "{objective:?}"
    );
}
