//! A worker over a journal in memory, with a model whose calls go as a test says and tests that pass.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use journeyman_bus::Bus;
use journeyman_event::payload::TaskSubmitted;
use journeyman_event::{Event, Payload, Principal, SeededRandom, TaskId, TaskState, Tokens};
use journeyman_gateway::Gateway;
use journeyman_journal::{Filter, Journal, Memory};
use journeyman_language::python::Interpreter;
use journeyman_language::{Runner, Runners};
use journeyman_llm::{
    Answer, Error, FinishReason, Message, ModelInfo, ModelServer, OnDelta, Request, TokenCount,
    Usage, Window, WindowSource,
};
use journeyman_metrics::Money;
use journeyman_sandbox::{Launcher, Sandbox};
use journeyman_signal::Signals;
use journeyman_workflow::{
    AgentRegistry, Control, Fact, ModelSlots, Notices, Recorder, Role, StopReason, Strategies,
    Toolbox, WholeFile, Worker, WorkerContext,
};
use tokio::sync::{Barrier, Notify};
use tokio_util::sync::CancellationToken;

use super::environment::{SystemRandom, SystemStamp, SystemTime};
use super::no_effects::NoEffects;

/// What the model says that a prompt takes.
pub(crate) const PROMPT: Tokens = Tokens(1_000);

/// How a call of the model goes.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It ends so when it is told to.
    At(Arc<Notify>, End),
    /// It ends so when as many calls are under way as the barrier wants.
    With(Arc<Barrier>, End),
    /// It never ends by itself.
    Never,
}

/// How a call of the model ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Answered,
    /// The server breaks it off.
    Broken,
    /// The server is busy.
    Busy,
    /// It is, and says that it is for an hour.
    BusyForLong,
    /// The server does not want it.
    Rejected,
}

impl End {
    fn result(self) -> Result<(), Error> {
        let url = "test:".to_owned();
        Err(match self {
            Self::Answered => return Ok(()),
            Self::Broken => Error::Broken {
                url,
                reason: "it died".to_owned(),
            },
            Self::Busy | Self::BusyForLong => Error::Failing {
                url,
                status: 429,
                is_told: true,
                message: "busy".to_owned(),
                retry_after: matches!(self, Self::BusyForLong).then_some(Duration::from_hours(1)),
            },
            Self::Rejected => Error::Rejected {
                status: 401,
                is_told: true,
                message: "no such key".to_owned(),
                named_in_address: false,
            },
        })
    }
}

/// A model that plans three modules: `a`, `b`, and `c`, which depends on `a`.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// How the next calls go, by what stands in the request; the others are answered at once.
    fates: Mutex<BTreeMap<&'static str, VecDeque<Fate>>>,
    /// Calls under way.
    open: AtomicUsize,
    /// Calls that were ever made, by module.
    calls: Mutex<BTreeMap<String, usize>>,
}

impl Model {
    /// The next call about this is to go so.
    pub(crate) fn next(&self, about: &'static str, fate: Fate) {
        let mut fates = self.fates.lock().unwrap();
        fates.entry(about).or_default().push_back(fate);
    }

    /// Calls that are under way.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Calls that were made about this.
    pub(crate) fn calls_about(&self, about: &str) -> usize {
        let calls = self.calls.lock().unwrap();
        calls.get(about).copied().unwrap_or(0)
    }

    async fn go(&self, about: &str, cancel: &CancellationToken) -> Result<(), Error> {
        let fate = {
            let mut fates = self.fates.lock().unwrap();
            fates.get_mut(about).and_then(VecDeque::pop_front)
        };
        let waits = async {
            match fate {
                None => End::Answered.result(),
                Some(Fate::At(moment, end)) => {
                    moment.notified().await;
                    end.result()
                }
                Some(Fate::With(barrier, end)) => {
                    barrier.wait().await;
                    end.result()
                }
                Some(Fate::Never) => std::future::pending().await,
            }
        };
        tokio::select! {
            gone = waits => gone,
            () = cancel.cancelled() => Err(Error::Interrupted {
                tokens: Tokens(7),
                was_asked: true,
                partial: String::new(),
            }),
        }
    }
}

/// Counts a call as long as it is under way.
struct Open<'m>(&'m AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl ModelServer for Model {
    async fn describe(&self) -> Result<ModelInfo, Error> {
        Ok(ModelInfo {
            name: "test".to_owned(),
            server: "test".to_owned(),
            url: "test:".to_owned(),
            window: Window {
                tokens: Tokens(8_192),
                source: WindowSource::Asked,
            },
            tokenizer: true,
            json_schema: true,
        })
    }

    async fn count(&self, _: &[Message]) -> Result<TokenCount, Error> {
        Ok(TokenCount {
            tokens: PROMPT,
            exact: true,
        })
    }

    async fn answer(
        &self,
        request: &Request,
        _: &mut OnDelta<'_>,
        cancel: &CancellationToken,
    ) -> Result<Answer, Error> {
        let asked = &request.messages.last().unwrap().content;
        let wish = asked.lines().next_back().unwrap();
        let modules = ["a", "b", "c"].into_iter();
        let about = { modules }.find(|name| {
            wish.contains(&format!("p/{name}.py")) || wish.contains(&format!("`p.{name}`"))
        });
        let text = match about {
            None => r#"{"package":"p","modules":[
                {"name":"a","purpose":"x","functions":["def f()"],"depends_on":[]},
                {"name":"b","purpose":"y","functions":["def f()"],"depends_on":[]},
                {"name":"c","purpose":"z","functions":["def f()"],"depends_on":["a"]}]}"#
                .to_owned(),
            Some(name) if wish.contains("pytest") => {
                format!(
                    "```python\nfrom p.{name} import f\n\ndef test_f():\n    assert f() == 1\n```"
                )
            }
            Some(name) => format!("```python\ndef f():\n    return 1  # {name}\n```"),
        };
        let about = about.unwrap_or("plan");
        *self
            .calls
            .lock()
            .unwrap()
            .entry(about.to_owned())
            .or_default() += 1;
        self.open.fetch_add(1, Ordering::SeqCst);
        let open = Open(&self.open);
        self.go(about, cancel).await?;
        drop(open);
        Ok(Answer {
            text,
            finish: FinishReason::Stop,
            repeated: None,
            usage: Usage {
                prompt: PROMPT,
                completion: Tokens(50),
                cached: Tokens::ZERO,
                cache_write: Tokens::ZERO,
                exact: true,
            },
            time_to_first_token_ms: 1,
            total_ms: 2,
            served_model: None,
            service_tier: None,
            remark: None,
        })
    }
}

/// A journal, and all that a worker needs.
pub(crate) struct Shop {
    pub(crate) journal: Journal,
    pub(crate) model: Arc<Model>,
    pub(crate) task: TaskId,
    worker_context: WorkerContext,
    _work: tempfile::TempDir,
}

impl Shop {
    /// With so many places at the model server, and a task.
    pub(crate) async fn with(places: Option<usize>, asked: TaskSubmitted) -> Self {
        let python = Interpreter::discover(Path::new("python3")).await.unwrap();
        let launcher = Launcher {
            program: env!("CARGO_BIN_EXE_journeyman").into(),
            arguments: vec!["sandbox-init".into()],
        };
        let options = journeyman_sandbox::SandboxOptions {
            readable: python.readable().to_vec(),
            ..journeyman_sandbox::SandboxOptions::new(launcher)
        };
        let sandbox = Sandbox::probe(options, python.interpreter()).await.unwrap();
        let work = tempfile::tempdir().unwrap();
        let model = Arc::new(Model::default());
        let shop = Self {
            journal: Journal::open(Arc::new(Memory::new()), &SeededRandom::new(1)).unwrap(),
            task: TaskId::new("t-1").unwrap(),
            worker_context: WorkerContext {
                models: Gateway::new(model.clone(), Vec::new()),
                slots: ModelSlots::new(places),
                sandbox,
                runners: Runners::new(vec![Arc::new(NoEffects)]),
                strategies: Strategies::new(Arc::new(WholeFile), Vec::new()),
                tools: Toolbox::built_in().unwrap(),
                agents: AgentRegistry::default(),
                signals: Signals::nowhere(),
                money: Money::default(),
                work_folder: work.path().to_owned(),
            },
            model,
            _work: work,
        };
        let asked = TaskSubmitted {
            tools: Some(Vec::new()),
            ..asked
        };
        let cancel = CancellationToken::new();
        shop.worker()
            .submit(&shop.task, asked, &cancel)
            .await
            .unwrap();
        shop
    }

    fn worker(&self) -> Worker {
        Worker::new(journeyman_workflow::WorkerOptions {
            journal: self.journal.clone(),
            principal: Principal::local(),
            worker_context: self.worker_context.clone(),
            time: Arc::new(SystemTime),
            randomness: Arc::new(SystemRandom),
            notices: Notices::new(Bus::start(), Arc::new(SystemStamp)),
        })
    }

    /// Works on the task until it rests.
    pub(crate) async fn work(&self) -> TaskState {
        let never = Control::interruptible(CancellationToken::new());
        self.work_under(&never).await
    }

    /// The same, unless it is told to stop before.
    pub(crate) async fn work_under(&self, control: &Control) -> TaskState {
        let worker = self.worker();
        let work = worker.run(&self.task, control);
        let limit = Duration::from_mins(1);
        tokio::time::timeout(limit, work)
            .await
            .expect("it ends")
            .unwrap()
    }

    /// Works on the task until so many calls are under way, and is then no more, as after a crash.
    pub(crate) async fn crash_with(&self, calls: usize) {
        tokio::select! {
            state = self.work() => panic!("{:?}", state.ending),
            () = self.until(|model| model.open() == calls) => {}
        }
        // What was under way is gone.
        self.until(|model| model.open() == 0).await;
    }

    /// Works on the task until something happens, and is then told to stop.
    pub(crate) async fn stop_when(
        &self,
        happens: impl Fn(&Model) -> bool,
        why: StopReason,
    ) -> TaskState {
        let token = CancellationToken::new();
        let control = Control::new(token.clone(), move || why.clone());
        let stop = async {
            self.until(happens).await;
            token.cancel();
        };
        let (state, ()) = tokio::join!(self.work_under(&control), stop);
        state
    }

    /// Waits for something that the model sees.
    pub(crate) async fn until(&self, happens: impl Fn(&Model) -> bool) {
        let looks = async {
            while !happens(&self.model) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let limit = Duration::from_mins(1);
        tokio::time::timeout(limit, looks)
            .await
            .expect("it happens");
    }

    /// Waits until an event of this kind is there, and gives all of them.
    pub(crate) async fn until_recorded(&self, kind: &str) -> Vec<Event> {
        let looks = async {
            loop {
                let events = self.events().await;
                if events.iter().any(|event| event.kind() == kind) {
                    return events;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let limit = Duration::from_mins(1);
        let found = tokio::time::timeout(limit, looks);
        found.await.expect("it is recorded")
    }

    /// Records facts beside whoever works.
    pub(crate) async fn record(&self, facts: Vec<Fact>) {
        let recorder = Recorder {
            journal: self.journal.clone(),
            principal: Principal::local(),
            time: Arc::new(SystemTime),
            randomness: Arc::new(SystemRandom),
            notices: Notices::new(Bus::start(), Arc::new(SystemStamp)),
        };
        let mut state = TaskState::fold(&self.events().await).unwrap();
        let cancel = CancellationToken::new();
        let recorded =
            recorder.record_with_retry(&self.task, &mut state, &facts, &cancel, |_| true);
        assert!(recorded.await.unwrap());
    }

    /// The user writes a module's file.
    pub(crate) fn edited(module: &str, version: u64, source: &str) -> Fact {
        let name = module.parse().unwrap();
        let origin = journeyman_event::payload::CodeOrigin::Edited;
        Fact::new_code(Role::User, &name, version, origin, source.to_owned())
    }

    /// All of the task's events.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let filter = Filter::of_task(&self.task);
        let after = journeyman_event::Sequence::ZERO;
        let page = self
            .journal
            .read(&Principal::local(), &filter, after, 1_000)
            .await;
        let page = page.unwrap();
        assert!(page.ended);
        page.events
    }
}

/// The most effects, and the most calls of the model, that were under way at once. Each intent has at most
/// one outcome.
pub(crate) fn most_at_once(events: &[Event]) -> (usize, usize) {
    let (mut open, mut ended) = (BTreeMap::new(), Vec::new());
    let mut most = (0, 0);
    for event in events {
        match event.payload() {
            Payload::ModelCallStarted(_) => {
                open.insert(event.id(), true);
            }
            Payload::TestStarted(_) | Payload::AnalysisStarted(_) => {
                open.insert(event.id(), false);
            }
            Payload::ModelCallCompleted(_)
            | Payload::ModelCallFailed(_)
            | Payload::EffectInterrupted(_)
            | Payload::TestPassed(_)
            | Payload::TestFailed(_)
            | Payload::DeadCodeAnalysis(_) => {
                let intent = event.causation_id().unwrap();
                assert!(!ended.contains(&intent), "two outcomes of {intent}");
                assert!(
                    open.remove(&intent).is_some(),
                    "an outcome without its intent"
                );
                ended.push(intent);
            }
            _ => {}
        }
        let calls = open.values().filter(|is_call| **is_call).count();
        most = (most.0.max(open.len()), most.1.max(calls));
    }
    most
}

/// The events of these kinds, as kind and module.
pub(crate) fn told<'e>(events: &'e [Event], kinds: &[&str]) -> Vec<(&'e str, &'e str)> {
    let of_kinds = events.iter().filter(|event| kinds.contains(&event.kind()));
    let told = of_kinds.map(|event| {
        let module = event.module().map_or("", |name| name.as_str());
        (event.kind(), module)
    });
    told.collect()
}
