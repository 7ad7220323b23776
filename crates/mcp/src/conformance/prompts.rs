//! The suites' prompts.

use rmcp::model::{
    CompleteRequestParams, ContentBlock, GetPromptRequestParams, GetPromptResponse,
    GetPromptResult, Prompt, PromptArgument, PromptMessage, Reference, ResourceContents, Role,
};

use super::PICTURE;
use super::input::{Ask, CallProgress, State, Steps};

/// The name of the prompt that first asks the user.
pub(super) const ASKING: &str = "test_input_required_result_prompt";
const WITH_ARGUMENTS: &str = "test_prompt_with_arguments";

/// The question of [`ASKING`].
pub(super) const QUESTION: Steps = Steps {
    rounds: &[&[(
        "user_context",
        Ask::User("What context should the prompt use?", "context", "string"),
    )]],
    state: State::None,
    words: "The context is",
};

/// The prompts: name, text, arguments.
const PROMPTS: &[(&str, &str, &[&str])] = &[
    ("test_simple_prompt", "Some words.", &[]),
    (
        WITH_ARGUMENTS,
        "Words with what is given.",
        &["arg1", "arg2"],
    ),
    (
        "test_prompt_with_embedded_resource",
        "Words and a resource.",
        &["resourceUri"],
    ),
    ("test_prompt_with_image", "Words and a picture.", &[]),
    (ASKING, "Words with what the user says.", &[]),
];
/// The possible values of the first argument of [`WITH_ARGUMENTS`].
const PLACES: [&str; 3] = ["paris", "park", "party"];

pub(super) fn all() -> Vec<Prompt> {
    let prompts = PROMPTS.iter().map(|(name, words, arguments)| {
        let arguments = arguments.iter().map(|name| {
            PromptArgument::new(*name)
                .with_description("Some text.")
                .with_required(true)
        });
        Prompt::new(*name, Some(*words), Some(arguments.collect()))
    });
    prompts.collect()
}

/// Completions for an argument of [`WITH_ARGUMENTS`]; `None` for anything else.
pub(super) fn complete(request: &CompleteRequestParams) -> Option<Vec<String>> {
    match &request.r#ref {
        Reference::Prompt(prompt) if prompt.name == WITH_ARGUMENTS => {}
        _ => return None,
    }
    let places = PLACES.iter().filter(|place| {
        request.argument.name == "arg1" && place.starts_with(&request.argument.value)
    });
    Some(places.map(|place| (*place).to_owned()).collect())
}

fn user(content: ContentBlock) -> PromptMessage {
    PromptMessage::new(Role::User, content)
}

/// A prompt of [`all`] that asks nothing.
pub(super) fn get(request: &GetPromptRequestParams) -> Option<GetPromptResult> {
    let given = |name: &str| {
        let value = request.arguments.as_ref().and_then(|all| all.get(name));
        value.and_then(|value| value.as_str()).unwrap_or_default()
    };
    let contents = match request.name.as_str() {
        "test_simple_prompt" => vec![ContentBlock::text("This is a simple prompt for testing.")],
        WITH_ARGUMENTS => vec![ContentBlock::text(format!(
            "Prompt with arguments: arg1='{}', arg2='{}'",
            given("arg1"),
            given("arg2")
        ))],
        "test_prompt_with_embedded_resource" => {
            let text = "Embedded resource content for testing.";
            let text = ResourceContents::text(text, given("resourceUri"));
            vec![
                ContentBlock::resource(text.with_mime_type("text/plain")),
                ContentBlock::text("Please process the embedded resource above."),
            ]
        }
        "test_prompt_with_image" => vec![
            ContentBlock::image(PICTURE, "image/png"),
            ContentBlock::text("Please analyze the image above."),
        ],
        _ => return None,
    };
    Some(GetPromptResult::new(
        contents.into_iter().map(user).collect(),
    ))
}

/// The prompt [`ASKING`] at its current stage.
pub(super) fn asked(progress: CallProgress) -> GetPromptResponse {
    match progress {
        CallProgress::InputRequired(asks) => asks.into(),
        CallProgress::Complete(words) => {
            GetPromptResult::new(vec![user(ContentBlock::text(words))]).into()
        }
    }
}
