//! The texts of a language for models and users.

/// Texts for models and users in the terms of a language. Prompts are complete texts, because what works for a
/// small model differs between languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PromptTexts {
    /// The name as people know it, such as `Python`.
    pub title: &'static str,
    /// The info string of a fenced code block.
    pub fence: &'static str,
    /// System prompt: plan the modules of a task, as JSON.
    pub plan: &'static str,
    /// System prompt: write a module.
    pub code: &'static str,
    /// System prompt: write tests of a module.
    pub tests: &'static str,
    /// System prompt: correct a module that fails its tests.
    pub fix: &'static str,
    /// System prompt: review finished code, as JSON.
    pub review: &'static str,
    /// System prompt: answer a question.
    pub answer: &'static str,
    /// The request for tests of a module; `{module}` is replaced by its name.
    pub(crate) ask_for_tests: &'static str,
    /// How to import something from a module, as the end of a sentence; `{module}` is replaced by its name.
    pub(crate) import_from: &'static str,
    /// What tests require, and how a person installs it.
    pub test_tools: &'static str,
}

impl PromptTexts {
    /// A fenced block with this code.
    pub fn block(&self, code: &str) -> String {
        format!("```{}\n{code}\n```", self.fence)
    }

    /// How tests of a module are asked for.
    pub fn ask_for_tests(&self, module: &str) -> String {
        self.ask_for_tests.replace("{module}", module)
    }

    /// How something is imported from a module, as the end of a sentence.
    pub fn import_from(&self, module: &str) -> String {
        self.import_from.replace("{module}", module)
    }
}
