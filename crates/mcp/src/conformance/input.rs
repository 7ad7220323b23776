//! The suites' tools that ask for input in their result (SEP-2322): a call returns questions, and the next call
//! brings the answers. If there is more than one round, the client carries the number of the round, sealed.

use std::collections::BTreeMap;

use rmcp::model::{
    CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, CreateMessageRequest,
    CreateMessageRequestParams, ElicitRequest, InputRequest, InputRequests, InputRequiredResult,
    InputResponses, ListRootsRequest, RequestStateCodec, SamplingMessage,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use super::asks::{TOKENS_MAX, form};
use super::broken;

/// A request to a client.
pub(super) enum Ask {
    /// A request to its user: a message, and a field of this type.
    User(&'static str, &'static str, &'static str),
    /// A request to its model: a prompt.
    Model(&'static str),
    /// A request for its roots.
    Roots,
}

/// The requests of a round by name.
pub(super) type Round = &'static [(&'static str, Ask)];

/// Whether the client carries the number of the round.
#[derive(PartialEq, Eq)]
pub(super) enum State {
    None,
    Sealed,
}

/// The requests round by round, and the text before the answers at the end.
pub(super) struct Steps {
    pub(super) rounds: &'static [Round],
    pub(super) state: State,
    pub(super) words: &'static str,
}

/// The progress of a call.
pub(super) enum CallProgress {
    InputRequired(InputRequiredResult),
    Complete(String),
}

pub(super) const NAME: (&str, Ask) = (
    "user_name",
    Ask::User("What is your name?", "name", "string"),
);
const CONFIRM: (&str, Ask) = ("confirm", Ask::User("Please confirm", "ok", "boolean"));
const GREETING: (&str, Ask) = ("greeting", Ask::Model("Generate a greeting"));
const ROOTS: (&str, Ask) = ("client_roots", Ask::Roots);

/// The tools: name, description, steps.
const TOOLS: &[(&str, &str, Steps)] = &[
    (
        "test_input_required_result_elicitation",
        "Asks the user.",
        Steps {
            rounds: &[&[NAME]],
            state: State::None,
            words: "Hello",
        },
    ),
    (
        "test_input_required_result_sampling",
        "Asks the client's model.",
        Steps {
            rounds: &[&[(
                "capital_question",
                Ask::Model("What is the capital of France?"),
            )]],
            state: State::None,
            words: "The model says",
        },
    ),
    (
        "test_input_required_result_list_roots",
        "Asks for the client's roots.",
        Steps {
            rounds: &[&[ROOTS]],
            state: State::None,
            words: "The roots are",
        },
    ),
    (
        "test_input_required_result_request_state",
        "Has the client carry something along.",
        Steps {
            rounds: &[&[CONFIRM]],
            state: State::Sealed,
            words: "state-ok",
        },
    ),
    (
        "test_input_required_result_tampered_state",
        "Has the client carry something along, and sees when it was changed.",
        Steps {
            rounds: &[&[CONFIRM]],
            state: State::Sealed,
            words: "It is as it was",
        },
    ),
    (
        "test_input_required_result_multiple_inputs",
        "Asks for several things at once.",
        Steps {
            rounds: &[&[NAME, GREETING, ROOTS]],
            state: State::Sealed,
            words: "All is there",
        },
    ),
    (
        "test_input_required_result_multi_round",
        "Asks twice.",
        Steps {
            rounds: &[
                &[(
                    "step1",
                    Ask::User("Step 1: What is your name?", "name", "string"),
                )],
                &[(
                    "step2",
                    Ask::User("Step 2: What is your favorite color?", "color", "string"),
                )],
            ],
            state: State::Sealed,
            words: "Both are there",
        },
    ),
    (
        "test_input_required_result_capabilities",
        "Asks for what the client can be asked for.",
        Steps {
            rounds: &[&[NAME, GREETING, ROOTS]],
            state: State::None,
            words: "What can be had is there",
        },
    ),
    (
        "test_streaming_elicitation",
        "Asks the user.",
        Steps {
            rounds: &[&[NAME]],
            state: State::None,
            words: "Hello",
        },
    ),
];

/// The names and descriptions of the tools.
pub(super) fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    TOOLS.iter().map(|(name, words, _)| (*name, *words))
}

pub(super) fn tool(name: &str) -> Option<&'static Steps> {
    let (.., steps) = TOOLS.iter().find(|(known, ..)| *known == name)?;
    Some(steps)
}

impl Ask {
    /// Whether a client with these capabilities can handle the request.
    fn suits(&self, client: &ClientCapabilities) -> bool {
        match self {
            Self::User(..) => client.elicitation.is_some(),
            Self::Model(_) => client.sampling.is_some(),
            Self::Roots => client.roots.is_some(),
        }
    }

    pub(super) fn request(&self) -> Result<InputRequest, ErrorData> {
        Ok(match self {
            Self::User(message, field, kind) => {
                let mut fields = BTreeMap::new();
                fields.insert(field, json!({"type": kind}));
                let schema = json!({"type": "object", "properties": fields, "required": [field]});
                InputRequest::Elicitation(ElicitRequest::new(form(message, schema)?))
            }
            Self::Model(prompt) => {
                let messages = vec![SamplingMessage::user_text(*prompt)];
                let params = CreateMessageRequestParams::new(messages, TOKENS_MAX);
                InputRequest::CreateMessage(CreateMessageRequest::new(params))
            }
            Self::Roots => InputRequest::ListRoots(ListRootsRequest::default()),
        })
    }
}

/// Continues from the state the client carried and the answers it gave.
pub(super) fn go(
    codec: &RequestStateCodec,
    steps: &Steps,
    (carried, responses): (&Option<String>, &Option<InputResponses>),
    context: &RequestContext<RoleServer>,
) -> Result<CallProgress, ErrorData> {
    let client = context.client_capabilities().unwrap_or_default();
    // The round that the answers are for. Only this server can have sealed another one.
    let round = match (&steps.state, carried) {
        (State::None, _) => 0,
        (State::Sealed, Some(sealed)) => codec
            .open_json(sealed)
            .map_err(|_| ErrorData::invalid_params("`requestState` is not what was given", None))?,
        (State::Sealed, None) => return ask(codec, steps, 0, &client),
    };
    let mut said = Vec::new();
    for (name, what) in steps.rounds.get(round).copied().unwrap_or_default() {
        // Whatever else a response may be, an answer is an object.
        let response = responses
            .as_ref()
            .and_then(|responses| responses.get(*name));
        match response.filter(|response| response.is_object()) {
            Some(response) => said.push(answer(response)),
            None if what.suits(&client) => return ask(codec, steps, round, &client),
            None => {}
        }
    }
    if round + 1 < steps.rounds.len() {
        return ask(codec, steps, round + 1, &client);
    }
    Ok(CallProgress::Complete(format!(
        "{}: {}",
        steps.words,
        said.join(", ")
    )))
}

fn ask(
    codec: &RequestStateCodec,
    steps: &Steps,
    round: usize,
    client: &ClientCapabilities,
) -> Result<CallProgress, ErrorData> {
    let mut requests = InputRequests::new();
    for (name, what) in steps.rounds[round] {
        if what.suits(client) {
            requests.insert((*name).to_owned(), what.request()?);
        }
    }
    let state = match steps.state {
        State::None => None,
        State::Sealed => Some(codec.seal_json(&round).map_err(broken)?),
    };
    Ok(CallProgress::InputRequired(InputRequiredResult::new(
        Some(requests),
        state,
    )))
}

/// The essence of an answer: the single value of a form, a model's text, or the roots.
pub(super) fn answer(response: &Value) -> String {
    let content = &response["content"];
    if let Some(roots) = response["roots"].as_array() {
        let uris: Vec<&str> = roots
            .iter()
            .filter_map(|root| root["uri"].as_str())
            .collect();
        return uris.join(", ");
    }
    let fields = content.as_object();
    let value = content.get("text").or_else(|| fields?.values().next());
    let value = value.unwrap_or(&Value::Null);
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

impl From<CallProgress> for CallToolResponse {
    fn from(progress: CallProgress) -> Self {
        match progress {
            CallProgress::InputRequired(asks) => asks.into(),
            CallProgress::Complete(words) => {
                CallToolResult::success(vec![ContentBlock::text(words)]).into()
            }
        }
    }
}
