//! Tools that a user calls on a task, recorded like an agent's calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use journeyman_event::payload::{ToolCompleted, ToolExecuting};
use journeyman_event::state::ModuleState;
use journeyman_event::{EventId, Payload, Principal, TaskId};
use journeyman_tools::{
    CallContext, CallRef, Chain, ChainRefusal, Completed, Record, RecordError, Request, Spec,
};
use journeyman_workflow::{
    ActiveAgent, Fact, FileWriter, Recorded, Role, TaskWorkspace, completed_call, module_path,
    user_grants,
};
use tokio_util::sync::CancellationToken;

use crate::interventions::ended;
use crate::{Error, Intervention, OnlyAt, Tasks, check_may_change, give_up_soon};

impl Tasks {
    /// Every tool that a user may call.
    pub fn tools(&self) -> Vec<Spec> {
        let worker_context = self.options.worker_context.as_ref();
        worker_context
            .map(|worker_context| worker_context.tools.all())
            .unwrap_or_default()
    }

    /// The active agents of a principal's tasks.
    pub fn agents(&self, principal: &Principal) -> Vec<ActiveAgent> {
        let worker_context = self.options.worker_context.as_ref();
        worker_context
            .map(|worker_context| worker_context.agents.of(principal))
            .unwrap_or_default()
    }

    /// Calls tools on a task that has not ended, one after the other, each recorded. Ends with `cancel`, and
    /// when the caller does not wait any longer; what was begun has its outcome recorded. Where the task
    /// ends meanwhile, no more calls are made, and of the one under way the end is answered and not
    /// recorded: nothing comes after the end of a task. `only_at` is about the first call: what comes after it finds the
    /// version that it made.
    pub async fn call_tools(
        &self,
        principal: &Principal,
        task: &TaskId,
        steps: Vec<Request>,
        only_at: OnlyAt,
        cancel: &CancellationToken,
    ) -> Result<Chain, Error> {
        check_may_change(principal)?;
        let stop = cancel.child_token();
        let _gone = stop.clone().drop_guard();
        let (tasks, principal, task) = (self.clone(), principal.clone(), task.clone());
        let called = async move {
            let called = tasks.call_tools_now(&principal, &task, steps, only_at, &stop);
            called.await
        };
        self.detached.run(called).await
    }

    async fn call_tools_now(
        &self,
        principal: &Principal,
        task: &TaskId,
        steps: Vec<Request>,
        only_at: OnlyAt,
        cancel: &CancellationToken,
    ) -> Result<Chain, Error> {
        let state = self.current(principal, task).await?;
        only_at.check(task, &state)?;
        if state.status.is_ended() {
            return Err(ended(task, &state));
        }
        let Some(worker_context) = &self.options.worker_context else {
            return Err(Error::NoWorkers);
        };
        let context = CallContext {
            principal: principal.clone(),
            task_id: task.clone(),
            module: None,
            actor: Role::User.as_str().to_owned(),
            grants: user_grants(),
            workspace: Arc::new(TaskWorkspace {
                journal: self.options.journal.clone(),
                principal: principal.clone(),
                task: task.clone(),
                state,
                worker_context: worker_context.clone(),
                randomness: Arc::clone(&self.options.randomness),
                writer: Some(Arc::new(Edits {
                    tasks: self.clone(),
                    principal: principal.clone(),
                    task: task.clone(),
                })),
            }),
            cancel: cancel.clone(),
        };
        let record = UserCalls {
            tasks: self,
            principal,
            task,
            only_at: Mutex::new(only_at),
            other_version: Mutex::default(),
            intents: Mutex::default(),
        };
        let chain = worker_context
            .tools
            .dispatcher()
            .chain(&context, steps, &record);
        let chain = chain.await;
        if let Some(other_version) = lock(&record.other_version).take() {
            return Err(other_version);
        }
        chain.map_err(|refusal| match refusal {
            ChainRefusal::Refused { .. } => Error::NoTool {
                reason: refusal.to_string(),
            },
            ChainRefusal::Steps { .. } | ChainRefusal::Reference { .. } => {
                Error::bad("steps", refusal.to_string())
            }
        })
    }
}

/// Turns files written by a user into interventions.
struct Edits {
    tasks: Tasks,
    principal: Principal,
    task: TaskId,
}

#[async_trait]
impl FileWriter for Edits {
    async fn write(&self, path: &str, source: String) -> Result<u64, String> {
        let edit = Intervention::EditFile {
            path: path.to_owned(),
            source,
        };
        let state = self
            .tasks
            .intervene_now(&self.principal, &self.task, edit, &OnlyAt::Any)
            .await;
        let state = state.map_err(|error| error.to_string())?;
        let mut modules = state.modules.iter();
        let module = modules.find(|module| module_path(&state, &module.plan.name) == path);
        Ok(module.map_or(1, ModuleState::version))
    }
}

/// Records a user's calls.
struct UserCalls<'a> {
    tasks: &'a Tasks,
    principal: &'a Principal,
    task: &'a TaskId,
    /// For which versions of the task the first record is meant.
    only_at: Mutex<OnlyAt>,
    /// Why there was no first record, where the task has another version.
    other_version: Mutex<Option<Error>>,
    /// The intents of the calls that are under way, by number.
    intents: Mutex<HashMap<u64, EventId>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UserCalls<'_> {
    /// Records it whatever else happens to the task, unless that is its end, and gives the event's name.
    async fn record(
        &self,
        payload: Payload,
        cause: Option<EventId>,
    ) -> Result<Option<EventId>, Error> {
        let mut state = self.tasks.state(self.principal, self.task).await?;
        let fact = Fact {
            cause,
            ..Fact::of_task(Role::User, payload)
        };
        let recorder = self.tasks.recorder(self.principal);
        let only_at = lock(&self.only_at).clone();
        loop {
            only_at.check(self.task, &state)?;
            if state.status.is_ended() {
                return Err(ended(self.task, &state));
            }
            let facts = vec![fact.clone()];
            let cancel = give_up_soon();
            let recorded = recorder.record(self.task, &mut state, facts, Vec::new(), &cancel);
            if recorded.await? == Recorded::Appended {
                *lock(&self.only_at) = OnlyAt::Any;
                return Ok(state.last_event);
            }
        }
    }

    /// The dispatcher's error for a call that could not be recorded. Keeps [`Error::OtherVersion`] for the caller.
    fn not_recorded(&self, error: Error) -> RecordError {
        let words = error.to_string();
        if let Error::OtherVersion { .. } = error {
            *lock(&self.other_version) = Some(error);
        }
        RecordError(words)
    }
}

fn intent(call: &CallRef) -> ToolExecuting {
    ToolExecuting {
        agent: None,
        tool: call.tool.clone(),
        arguments: (*call.arguments).clone(),
        repeatable: call.known.as_ref().is_some_and(|known| known.repeatable),
    }
}

#[async_trait]
impl Record for UserCalls<'_> {
    async fn executing(&self, call: &CallRef) -> Result<(), RecordError> {
        let recorded = self.record(intent(call).into(), None).await;
        let event = recorded.map_err(|error| self.not_recorded(error))?;
        if let Some(event) = event {
            lock(&self.intents).insert(call.number, event);
        }
        Ok(())
    }

    async fn completed(&self, call: &CallRef, completed: &Completed) -> Result<(), RecordError> {
        let cause = lock(&self.intents).remove(&call.number);
        let payload: ToolCompleted = completed_call(&intent(call), completed);
        let recorded = self.record(payload.into(), cause).await;
        recorded.map_err(|error| self.not_recorded(error))?;
        Ok(())
    }
}
