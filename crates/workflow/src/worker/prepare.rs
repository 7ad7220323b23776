//! Prepares effects: builds the prompt of a model call or checks a tool call, and records the intent.

use bytes::Bytes;
use journeyman_context::{BuildError, BuiltContext, Descriptor, ToolOffer};
use journeyman_event::payload::{
    AnswerRejected, ContextRefused, FailureReason, Form, ModelCallStarted, ModelChanged,
    PauseReason, Purpose, Reserved, SentMessage, ToolCompleted, ToolExecuting, ToolOutcome,
    ToolRequest,
};
use journeyman_event::{ContentHash, EventId, ModuleName, Payload, TaskState, Tokens, word};
use journeyman_journal::Moment;
use journeyman_knowledge::Graph;
use journeyman_metrics::{Held, Planned, Refused, Who};

use journeyman_llm::ModelInfo;

use super::{TaskRun, Worker};
use crate::Error;
use crate::agent_lifecycle::{may_call, started};
use crate::decide::is_call;
use crate::fact::{Fact, Role};
use crate::recorder::Recorded;
use crate::telemetry::located;

/// How many characters of an unknown tool's name are kept.
const TOOL_NAME_MAX: usize = 128;

/// The change of the model since it was last recorded, if there was one.
fn model_changed(state: &TaskState, info: &ModelInfo) -> Option<ModelChanged> {
    let known = state.started.as_ref()?;
    let is_same = known.model == info.name
        && known.server == info.server
        && known.window == info.window.tokens;
    (!is_same).then(|| ModelChanged {
        model: info.name.clone(),
        server: info.server.clone(),
        window: info.window.tokens,
    })
}

/// Whether a prompt was refused because what it must have is larger than the window.
fn is_too_large(built: &Result<BuiltContext, BuildError>) -> bool {
    matches!(
        built,
        Err(BuildError::DoesNotFit {
            reason: FailureReason::Window,
            ..
        })
    )
}

/// The model call that a step asks for.
pub(super) struct Asked {
    pub(super) purpose: Purpose,
    pub(super) form: Form,
    pub(super) module: Option<ModuleName>,
    pub(super) temperature: f32,
}

impl Worker {
    /// Builds the prompt and records it with the intent to send it.
    ///
    /// Returns whether there was room for it: together with the calls in progress it must not exceed the
    /// remaining budget.
    pub(super) async fn prepare_call(
        &self,
        task_run: &mut TaskRun<'_>,
        asked: Asked,
    ) -> Result<bool, Error> {
        let Asked {
            purpose,
            form,
            module,
            temperature,
        } = asked;
        let graph = self.graph(task_run, purpose).await?;
        let state = &task_run.state;
        let role = Descriptor::of(purpose).role;
        let offers = self.offers(state, purpose);
        let names = offers.iter().map(|offer| offer.name.clone()).collect();
        let agent_started = started(state, purpose, module.as_ref(), names);
        let may_call =
            !agent_started.is_empty() || state.agent(module.as_ref()).is_some_and(may_call);
        let request = |window| journeyman_context::Request {
            state,
            purpose,
            form,
            module: module.as_ref(),
            window,
            tools: if may_call { &offers } else { &[] },
            graph: graph.as_ref(),
        };
        let mut changed = None;
        let model;
        let estimate = async |window| journeyman_context::estimate(request(window)).await;
        let models = &self.effects.worker_context.models;
        let built = match models.select(purpose, estimate).await {
            Ok(mut selected) => {
                let window = selected.info.window.tokens;
                let mut built = journeyman_context::build(selected.server, request(window)).await;
                // What cannot be cut may fit the largest window, however much of this one it was estimated to fill.
                if is_too_large(&built)
                    && let Ok(largest) = models.select(purpose, async |_| Tokens(u64::MAX)).await
                    && largest.info.window.tokens > window
                {
                    let request = request(largest.info.window.tokens);
                    built = journeyman_context::build(largest.server, request).await;
                    selected = largest;
                }
                model = selected.name.map(str::to_owned);
                if model.is_none() {
                    changed = model_changed(state, &selected.info);
                }
                built.map(|built| (built, selected.info))
            }
            Err(error) => {
                model = models.preferred(purpose).map(str::to_owned);
                Err(BuildError::Count(error))
            }
        };
        task_run.model.clone_from(&model);
        let (built, info) = match built {
            Ok(built) => built,
            // A task does not wait for a summary.
            Err(BuildError::Count(error)) if purpose.is_summary() => {
                let problem = error.to_string();
                let rejected = AnswerRejected { purpose, problem };
                return self.call_refused(task_run, module, rejected).await;
            }
            Err(BuildError::Count(error)) if error.is_transient() => {
                let (reason, problem) = (PauseReason::ModelUnreachable, error.to_string());
                if state.effects.is_empty() {
                    let fact = self.pause_fact(reason, &problem);
                    self.record(task_run, vec![fact]).await?;
                } else {
                    task_run.backoff.delay(reason, problem, error.wait());
                }
                return Ok(true);
            }
            Err(BuildError::Count(error)) => return Err(error.into()),
            Err(refusal @ BuildError::DoesNotFit { reason, .. }) => {
                let refused = ContextRefused {
                    purpose,
                    reason,
                    detail: refusal.to_string(),
                };
                return self.call_refused(task_run, module, refused).await;
            }
        };
        let is_beside = state.effects.iter().any(is_call);
        if is_beside && built.prompt_tokens + built.max_tokens > state.token_budget_free() {
            return Ok(false);
        }
        let bytes = built.messages.iter().map(|message| message.content.len());
        let bytes = Tokens(bytes.sum::<usize>() as u64);
        let planned = Planned {
            at: located(&info, model.as_deref()),
            // No text has more tokens than bytes; the chat template may add some.
            prompt: bytes.max(built.prompt_tokens),
            max_tokens: built.max_tokens,
        };
        // The journal may have to be read first; a stop does not wait for that.
        let reserving = task_run
            .cancel
            .run_until_cancelled(self.reserve(task_run, planned));
        let Some(reserved) = reserving.await else {
            return Ok(true);
        };
        let reserved = match reserved {
            Ok(reserved) => reserved,
            // The calls in progress may cost less than what is reserved for them.
            Err(_) if is_beside => return Ok(false),
            Err(refusal) => {
                let refused = ContextRefused {
                    purpose,
                    reason: FailureReason::Spending,
                    detail: refusal.to_string(),
                };
                return self.call_refused(task_run, module, refused).await;
            }
        };
        let (held, reserved) = reserved.unzip();
        let mut blobs = Vec::new();
        let mut keep = |text: String| {
            let hash = ContentHash::of(text.as_bytes());
            blobs.push(Bytes::from(text));
            hash
        };
        let messages = built
            .messages
            .into_iter()
            .map(|message| SentMessage {
                role: message.role.as_str().to_owned(),
                blob: keep(message.content),
            })
            .collect();
        let schema = built.schema.map(|schema| keep(schema.to_string()));
        let submission = task_run.state.submission.as_ref();
        let started = ModelCallStarted {
            purpose,
            form,
            messages,
            prompt_tokens: built.prompt_tokens,
            exact: built.exact,
            max_tokens: built.max_tokens,
            temperature,
            seed: self.recorder.randomness.next_u64() >> 33,
            schema,
            model,
            reserved,
            key: submission.and_then(|asked| asked.key.clone()),
            project: submission.and_then(|asked| asked.project.clone()),
        };
        let changed = changed.map(|changed| Fact::of_task(Role::Conductor, changed));
        let mut facts: Vec<Fact> = changed.into_iter().chain(agent_started).collect();
        facts.push(Fact {
            module: module.clone(),
            ..Fact::of_task(role, built.record)
        });
        facts.push(Fact {
            module,
            ..Fact::of_task(role, started)
        });
        let recorded = self.record_with(task_run, facts, blobs).await?;
        if let Some(held) = held
            && recorded == Recorded::Appended
        {
            held.keep();
        }
        Ok(true)
    }

    /// Records why a call is not made. There was room for it.
    async fn call_refused(
        &self,
        task_run: &mut TaskRun<'_>,
        module: Option<ModuleName>,
        why: impl Into<Payload>,
    ) -> Result<bool, Error> {
        let fact = Fact {
            module,
            ..Fact::of_task(Role::Conductor, why)
        };
        self.record(task_run, vec![fact]).await?;
        Ok(true)
    }

    /// Reserves the most that a call may cost, if a budget applies to it.
    async fn reserve(
        &self,
        task_run: &TaskRun<'_>,
        planned: Planned<'_>,
    ) -> Result<Option<(Held, Reserved)>, Refused> {
        let asked = task_run.state.submission.as_ref();
        let who = Who {
            owner: self.recorder.principal.owner().as_str().into(),
            key: asked.and_then(|asked| asked.key.as_deref()).map(Into::into),
            project: asked
                .and_then(|asked| asked.project.as_deref())
                .map(Into::into),
            task: task_run.task.as_str().into(),
        };
        let money = &self.effects.worker_context.money;
        if !money.is_limited(&who) {
            return Ok(None);
        }
        let id = EventId::new(&*self.recorder.time, &*self.recorder.randomness);
        let now = self.recorder.time.now();
        money.reserve(&who, planned, id.to_string(), now).await
    }

    /// The knowledge graph at the task's current state, if prompts for this purpose use it.
    async fn graph(
        &self,
        task_run: &mut TaskRun<'_>,
        purpose: Purpose,
    ) -> Result<Option<Graph>, Error> {
        if !Descriptor::of(purpose).takes_related {
            return Ok(None);
        }
        let (journal, principal) = (&self.recorder.journal, &self.recorder.principal);
        let moment = Some(Moment::Sequence(task_run.state.sequence));
        let known = &mut task_run.known;
        known
            .catch_up(journal, principal, task_run.task, moment)
            .await?;
        Ok(Some(known.graph()))
    }

    /// The tools offered to an agent with this purpose, as a model reads them. Plans use the results of the
    /// look-up step instead.
    pub(super) fn offers(&self, state: &TaskState, purpose: Purpose) -> Vec<ToolOffer> {
        let Descriptor {
            role, takes_tools, ..
        } = *Descriptor::of(purpose);
        if !takes_tools {
            return Vec::new();
        }
        let asked = state.submission.as_ref();
        let allowed = asked.and_then(|asked| asked.tools.as_deref());
        let specs = self
            .effects
            .worker_context
            .tools
            .offers(role, allowed)
            .into_iter();
        let offers = specs.map(|spec| ToolOffer {
            name: spec.name.to_string(),
            description: spec.description,
            schema: spec.input_schema.into(),
        });
        offers.collect()
    }

    /// Records the intent to call a tool, or why it is not called.
    pub(super) async fn prepare_tool(
        &self,
        task_run: &mut TaskRun<'_>,
        module: Option<ModuleName>,
        request: ToolRequest,
    ) -> Result<(), Error> {
        let (task, state) = (task_run.task, &task_run.state);
        let Some(agent) = state.agent(module.as_ref()) else {
            return Err(Error::NoEffect);
        };
        let role = Descriptor::of(agent.purpose).role;
        let agent = Some(agent.id.clone());
        let wanted = journeyman_tools::Request {
            name: request.name.clone(),
            arguments: request.arguments.clone(),
        };
        let context = self
            .effects
            .calls_of(task, state, role, module.clone(), task_run.cancel);
        let payload = match self
            .effects
            .worker_context
            .tools
            .dispatcher()
            .check(&context, wanted)
        {
            Ok(checked) => Payload::from(ToolExecuting {
                agent,
                tool: request.name,
                arguments: request.arguments,
                repeatable: checked.spec().repeatable,
            }),
            Err(refusal) => Payload::from(ToolCompleted {
                agent,
                tool: request.name.chars().take(TOOL_NAME_MAX).collect(),
                outcome: ToolOutcome::Refused,
                kind: word(&refusal.kind()),
                text: refusal.to_string(),
                truncated: false,
                wall_ms: 0,
            }),
        };
        let fact = Fact {
            module,
            ..Fact::of_task(role, payload)
        };
        self.record(task_run, vec![fact]).await?;
        Ok(())
    }
}
