//! Chains of calls, in which later calls use the results of earlier ones.

use serde_json::{Value, json};
use thiserror::Error;

use crate::{CallContext, Completed, Dispatcher, Record, Refusal, Request};

/// The object member that marks a reference to an earlier step.
const FROM: &str = "$from";
const POINTER: &str = "pointer";

/// The result of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// The results of the steps that were reached. Only the last one can have failed or not been recorded.
    pub completed: Vec<Completed>,
    /// Where the chain stopped, if it did not reach its end.
    pub stopped: Option<Stopped>,
}

/// Where and why a chain stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The number of the step, from 0.
    pub step: usize,
    /// The reason, in words.
    pub why: String,
}

/// Why a chain was not started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChainRefusal {
    /// It has no steps, or too many.
    #[error("a chain has 1 to {max} steps, this one has {steps}")]
    Steps {
        /// The number of steps.
        steps: usize,
        /// The most steps allowed.
        max: usize,
    },
    /// A reference to another step is invalid.
    #[error("step {step}: {problem}")]
    Reference {
        /// The step that contains the reference, from 0.
        step: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A step's tool does not exist, or may not be called.
    #[error("step {step}: {refusal}")]
    Refused {
        /// The number of the step, from 0.
        step: usize,
        /// Why the tool may not be called.
        refusal: Refusal,
    },
}

impl Dispatcher {
    /// Makes these calls in order and stops at the first that fails.
    ///
    /// In the arguments of a step, `{"$from": 0}` stands for the text that step 0 returned, and `{"$from": 0,
    /// "pointer": "/structured/x"}` for a part of its result `{"text": ..., "structured": ...}`. If any step's
    /// tool may not be called or any reference is invalid, no call is made.
    pub async fn chain(
        &self,
        context: &CallContext,
        steps: Vec<Request>,
        record: &dyn Record,
    ) -> Result<Chain, ChainRefusal> {
        let max = self.options.chain_max;
        if steps.is_empty() || steps.len() > max {
            let steps = steps.len();
            return Err(ChainRefusal::Steps { steps, max });
        }
        for (step, request) in steps.iter().enumerate() {
            for argument in request.arguments.values() {
                check_references(argument, step)
                    .map_err(|problem| ChainRefusal::Reference { step, problem })?;
            }
            if let Err(refusal) = self.permitted(context, &request.name) {
                let mut call = self.describe(context, request, Some(step));
                call.arguments = self.recordable(request.arguments.clone());
                self.refuse(&call, &refusal, record).await;
                return Err(ChainRefusal::Refused { step, refusal });
            }
        }
        let mut completed: Vec<Completed> = Vec::with_capacity(steps.len());
        for (step, mut request) in steps.into_iter().enumerate() {
            for argument in request.arguments.values_mut() {
                if let Err(why) = fill_in(argument, &completed) {
                    let stopped = Some(Stopped { step, why });
                    return Ok(Chain { completed, stopped });
                }
            }
            let ended = self.step(context, request, record, Some(step)).await;
            let failed = match (ended.is_ok(), ended.recorded) {
                (true, true) => None,
                (true, false) => Some("its end could not be recorded".to_owned()),
                (false, _) => Some(ended.text.clone()),
            };
            completed.push(ended);
            if let Some(why) = failed {
                let stopped = Some(Stopped { step, why });
                return Ok(Chain { completed, stopped });
            }
        }
        Ok(Chain {
            completed,
            stopped: None,
        })
    }
}

/// Parses a reference: the step, and the pointer into its result. `None` if the value is not one.
fn reference(value: &Value) -> Result<Option<(usize, &str)>, String> {
    let Some((members, from)) = value
        .as_object()
        .and_then(|all| Some((all, all.get(FROM)?)))
    else {
        return Ok(None);
    };
    let step = from.as_u64().and_then(|step| usize::try_from(step).ok());
    let step = step.ok_or_else(|| format!("`{FROM}` is the number of a step, from 0"))?;
    let pointer = match members.get(POINTER) {
        None => "/text",
        Some(Value::String(pointer)) => pointer,
        Some(_) => return Err(format!("`{POINTER}` is a JSON pointer as a string")),
    };
    match members.keys().find(|key| *key != FROM && *key != POINTER) {
        Some(other) => Err(format!("a reference has no member {other:?}")),
        None => Ok(Some((step, pointer))),
    }
}

fn check_references(value: &Value, step: usize) -> Result<(), String> {
    if let Some((from, _)) = reference(value)? {
        return if from < step {
            Ok(())
        } else {
            Err(format!("it refers to step {from}, which is not before it"))
        };
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|one| check_references(one, step)),
        Value::Object(members) => members
            .values()
            .try_for_each(|one| check_references(one, step)),
        _ => Ok(()),
    }
}

fn fill_in(value: &mut Value, completed: &[Completed]) -> Result<(), String> {
    if let Some((from, pointer)) = reference(value)? {
        let filled = taken(completed, from, pointer)?;
        *value = filled;
        return Ok(());
    }
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|one| fill_in(one, completed)),
        Value::Object(members) => members
            .values_mut()
            .try_for_each(|one| fill_in(one, completed)),
        _ => Ok(()),
    }
}

fn taken(completed: &[Completed], from: usize, pointer: &str) -> Result<Value, String> {
    let earlier = completed
        .get(from)
        .ok_or_else(|| format!("step {from} was not reached"))?;
    // Half a text would be used as if it were the whole.
    if earlier.truncated && !pointer.starts_with("/structured") {
        return Err(format!(
            "the text that step {from} answered was too long and is not whole"
        ));
    }
    let result = json!({"text": earlier.text, "structured": earlier.structured});
    let part = result.pointer(pointer).filter(|part| !part.is_null());
    part.cloned()
        .ok_or_else(|| format!("what step {from} answered has nothing at {pointer:?}"))
}
