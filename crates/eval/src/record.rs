//! Records candidates: each problem is a task whose strategy does nothing but ask for code, in each form, again and again.
//! So the prompts are those of a real task, and an interrupted recording goes on where it was.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use journeyman_context::forms_of;
use journeyman_event::payload::{
    CodeOrigin, FailureReason, Form, Limits, ModelCallStarted, ModuleStarted, Purpose,
};
use journeyman_event::state::{ModuleState, PendingAnswer};
use journeyman_event::{EventId, Payload, Principal, Role, Sequence, TaskId, TaskState, Tokens};
use journeyman_journal::{Filter, Journal};
use journeyman_llm::ModelServer;
use journeyman_workflow::{Fact, HOT, ModuleStep, ModuleStrategy, WARM, Worker};
use tokio_util::sync::CancellationToken;

use crate::candidates::{Candidate, Recorded, Recording, hash_of};
use crate::dataset::Problem;
use crate::evaluate::{submission_of, task_id_of, work_on};
use crate::replay::code_of;
use crate::{Error, Scorer};

/// How many events are read at a time.
const PAGE: usize = 500;

/// How often code is asked for in each form, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Draws {
    /// The forms, as far as a problem has them.
    pub forms: Vec<Form>,
    /// The sampling temperatures of one form's answers, in order.
    pub temperatures: Vec<f32>,
}

impl Draws {
    /// So many draws in each form: the likeliest answer first, then warm and hot ones in turn.
    pub fn new(forms: Vec<Form>, count: usize) -> Self {
        let temperature = |draw| match draw {
            0 => 0.0,
            warm if warm % 2 == 1 => WARM,
            _ => HOT,
        };
        Self {
            forms,
            temperatures: (0..count).map(temperature).collect(),
        }
    }
}

/// The strategy that only asks.
#[derive(Clone, Debug)]
pub struct Sampling(Draws);

impl Sampling {
    /// Asks for these.
    pub fn new(draws: Draws) -> Arc<Self> {
        Arc::new(Self(draws))
    }
}

impl ModuleStrategy for Sampling {
    fn name(&self) -> &'static str {
        "sampling"
    }

    /// Whatever the answer is, it is one.
    fn read(
        &self,
        _: &TaskState,
        module: &ModuleState,
        answer: &PendingAnswer,
    ) -> Result<Vec<Fact>, String> {
        let version = module.version() + 1;
        let (name, text) = (&module.plan.name, answer.text.clone());
        let fact = Fact::new_code(Role::Coder, name, version, CodeOrigin::Generated, text);
        Ok(vec![fact])
    }

    fn next(&self, task: &TaskState, module: &ModuleState) -> ModuleStep {
        if !module.started {
            let name = &module.plan.name;
            let started = Fact::of_module(Role::Conductor, name, ModuleStarted {});
            return ModuleStep::Record(vec![started]);
        }
        let possible = forms_of(task, module);
        let forms = self.0.forms.iter().filter(|form| possible.contains(form));
        let mut draws = forms.flat_map(|form| self.0.temperatures.iter().map(move |t| (*form, *t)));
        let drawn = usize::try_from(module.version()).unwrap_or(usize::MAX);
        match draws.nth(drawn) {
            Some((form, temperature)) => ModuleStep::CallModel {
                purpose: Purpose::Code,
                form,
                temperature,
            },
            // Nothing was tested, so the task is not complete.
            None => ModuleStep::GiveUp {
                reason: FailureReason::Attempts,
                detail: format!("{drawn} candidates are recorded"),
            },
        }
    }
}

/// The input of a recording.
pub struct Record {
    /// The name of the data set.
    pub benchmark: String,
    /// The problems, in the order of the recording.
    pub problems: Vec<Problem>,
    /// How many problems are worked on at once.
    pub parallel: usize,
    /// What is asked for.
    pub draws: Draws,
    /// Identifies the program, so that the results of another version are not reused.
    pub program: String,
    /// A worker whose strategy is [`Sampling`] with these draws.
    pub worker: Worker,
    /// The worker's journal.
    pub journal: Journal,
    /// The model server.
    pub server: Arc<dyn ModelServer>,
    /// The scorer for the candidates.
    pub scorer: Scorer,
}

/// Records candidates of all problems. `on_problem` is called with the id of each and how many there are. Problems that
/// have no module of their own before a model plans one have no candidates. Cancelled, it returns those of the problems
/// that are finished.
///
/// # Errors
/// The model server's, the worker's and the journal's.
pub async fn record(
    input: &Record,
    on_problem: &(dyn Fn(&str, usize) + Sync),
    cancel: &CancellationToken,
) -> Result<Recording, Error> {
    let info = input.server.describe().await?;
    let limits = Limits {
        tokens_max: Some(Tokens(u64::MAX / 2)),
        active_ms_max: u64::MAX / 2,
        ..Limits::default()
    };
    let problems = input.problems.iter().enumerate();
    let mut all: Vec<(usize, Vec<Candidate>)> = stream::iter(problems)
        .map(async |(number, problem)| {
            let submission = submission_of(problem, limits);
            let what = format!("{:?} {}", input.draws, input.program);
            let task = task_id_of("record", &what, &info, problem, &submission)?;
            let state = work_on(&input.worker, &input.journal, &task, submission, cancel).await?;
            if !state.status.is_ended() {
                return Ok(None);
            }
            let mut candidates = candidates_of(&input.journal, &task, &problem.id).await?;
            judge(&input.scorer, &state, &mut candidates).await?;
            on_problem(&problem.id, candidates.len());
            Ok::<_, Error>(Some((number, candidates)))
        })
        .buffer_unordered(input.parallel.max(1))
        .try_filter_map(async |finished| Ok(finished))
        .try_collect()
        .await?;
    all.sort_by_key(|(number, _)| *number);
    Ok(Recording {
        recorded: Recorded {
            benchmark: input.benchmark.clone(),
            model: info.name,
            server: info.server,
            window: info.window.tokens,
        },
        candidates: all
            .into_iter()
            .flat_map(|(_, candidates)| candidates)
            .collect(),
    })
}

/// Finds out which candidates are right, each code once.
async fn judge(
    scorer: &Scorer,
    task: &TaskState,
    candidates: &mut [Candidate],
) -> Result<(), Error> {
    let mut known: HashMap<String, bool> = HashMap::new();
    for candidate in candidates {
        let Some(code) = code_of(task, candidate) else {
            continue;
        };
        let right = match known.get(&code) {
            Some(right) => *right,
            None => scorer.score(&candidate.problem, &code).await?.passed,
        };
        known.insert(code, right);
        candidate.right = Some(right);
    }
    Ok(())
}

/// The answers to a task's requests for code, in the order in which they were given.
async fn candidates_of(
    journal: &Journal,
    task: &TaskId,
    problem: &str,
) -> Result<Vec<Candidate>, Error> {
    let filter = Filter {
        kinds: vec![
            "model_call_started".to_owned(),
            "model_call_completed".to_owned(),
        ],
        ..Filter::of_task(task)
    };
    let mut asked: HashMap<EventId, ModelCallStarted> = HashMap::new();
    let mut candidates = Vec::new();
    let mut after = Sequence::default();
    loop {
        let page = journal
            .read(&Principal::local(), &filter, after, PAGE)
            .await
            .map_err(journeyman_workflow::Error::from)?;
        for event in &page.events {
            match event.payload() {
                Payload::ModelCallStarted(call) => {
                    asked.insert(event.id(), call.clone());
                }
                Payload::ModelCallCompleted(done) => {
                    let call = event
                        .causation_id()
                        .and_then(|intent| asked.remove(&intent));
                    let Some(call) = call.filter(|call| call.purpose == Purpose::Code) else {
                        continue;
                    };
                    let messages = call.messages.iter();
                    let parts = messages.map(|message| (message.role.as_str(), message.blob));
                    candidates.push(Candidate {
                        problem: problem.to_owned(),
                        form: call.form,
                        temperature: call.temperature,
                        prompt: hash_of(parts),
                        text: done.text.clone(),
                        cut_short: done.cut_short,
                        repeated: done.repeated.clone(),
                        prompt_tokens: done.prompt_tokens,
                        completion_tokens: done.completion_tokens,
                        ms: done.total_ms,
                        right: None,
                    });
                }
                _ => {}
            }
        }
        match page.events.last() {
            Some(last) if !page.ended => after = last.sequence(),
            _ => return Ok(candidates),
        }
    }
}
