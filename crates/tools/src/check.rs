//! Checks a call before it is made: whether the tool exists, the caller may call it, and the arguments fit.

use std::sync::Arc;

use serde_json::Value;

use crate::dispatcher::cut;
use crate::grants::Missing;
use crate::registry::Registered;
use crate::{Arguments, CallContext, Dispatcher, Fault, Refusal, Request, Spec};

/// The deepest nesting of arguments.
const DEPTH_MAX: usize = 32;

/// A call that passed all checks.
pub struct Checked {
    pub(crate) registered: Arc<Registered>,
    pub(crate) context: CallContext,
    pub(crate) arguments: Arc<Arguments>,
}

impl Checked {
    /// The properties of the tool.
    pub fn spec(&self) -> &Spec {
        self.registered.tool.spec()
    }
}

impl Dispatcher {
    /// Checks whether the tool exists, the caller may call it, and the arguments fit. Makes no call.
    pub fn check(&self, context: &CallContext, request: Request) -> Result<Checked, Refusal> {
        let registered = self.permitted(context, &request.name)?;
        let spec = registered.tool.spec();
        let name = || spec.name.to_string();
        self.measure(&request.arguments)
            .map_err(|problem| Refusal::ArgumentsTooLarge {
                name: name(),
                problem,
            })?;
        let mut faults = registered.schema.faults(&request.arguments);
        if faults.is_empty()
            && let Err(problem) = registered.tool.check(&request.arguments)
        {
            let path = String::new();
            faults.push(Fault { path, problem });
        }
        if !faults.is_empty() {
            let name = name();
            return Err(Refusal::Arguments { name, faults });
        }
        Ok(Checked {
            registered,
            context: context.clone(),
            arguments: Arc::new(request.arguments),
        })
    }

    /// Looks up a tool that exists and that the caller may call.
    pub(crate) fn permitted(
        &self,
        context: &CallContext,
        name: &str,
    ) -> Result<Arc<Registered>, Refusal> {
        let Some(registered) = self.registry.find(name) else {
            if let Some((server, why)) = self.registry.why_away(name) {
                let server = server.to_string();
                return Err(Refusal::Unavailable { server, why });
            }
            let permitted = self.registry.list(&context.grants);
            return Err(Refusal::unknown(cut(name), &permitted));
        };
        let (name, actor) = (name.to_owned(), context.actor.clone());
        match context.grants.missing(registered.tool.spec()) {
            None => Ok(registered),
            Some(Missing::Permission(permission)) => Err(Refusal::Permission {
                name,
                actor,
                permission,
            }),
            Some(Missing::Name) => Err(Refusal::NotAllowed { name, actor }),
        }
    }

    /// The arguments to record for a refused call: empty if they are too large.
    pub(crate) fn recordable(&self, arguments: Arguments) -> Arc<Arguments> {
        if self.measure(&arguments).is_ok() {
            Arc::new(arguments)
        } else {
            Arc::default()
        }
    }

    fn measure(&self, arguments: &Arguments) -> Result<(), String> {
        if arguments.values().any(|one| nested_deeper(one, DEPTH_MAX)) {
            return Err(format!("they are nested deeper than {DEPTH_MAX} levels"));
        }
        let bytes = serde_json::to_string(arguments).map_or(usize::MAX, |text| text.len());
        let max = self.options.arguments_bytes_max;
        if bytes > max {
            return Err(format!("they have {bytes} bytes; {max} are the most"));
        }
        Ok(())
    }
}

fn nested_deeper(value: &Value, levels: usize) -> bool {
    let deeper = |value| levels == 0 || nested_deeper(value, levels - 1);
    match value {
        Value::Array(items) => items.iter().any(deeper),
        Value::Object(members) => members.values().any(deeper),
        _ => false,
    }
}
