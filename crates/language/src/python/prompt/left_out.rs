//! What looks like an example and is not run: which lines, and why.

use super::asked::{Prompt, is_comment};
use super::prose_examples::{call_at, calls_shown, examples_on, is_value_stated};
use crate::python::is_builtin;
use crate::python::literal::identifier;

/// A line that looks like a test, or the calls on it that are not run although others are.
pub(crate) struct LeftOut {
    /// The line, or the calls with it in parentheses.
    pub(crate) line: String,
    /// Why it is not run, as a clause.
    pub(crate) why: String,
}

/// Why an example that is read, and is not taken back, is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The prompt gives its call different results.
    Contradicted,
    /// Its result differs from call to call, or from day to day.
    Volatile,
    /// It is not of the types, or does not keep the rules, that the prompt states.
    AtOdds,
}

impl Doubt {
    fn in_words(self) -> &'static str {
        match self {
            Self::Contradicted => "the prompt gives this call different results",
            Self::Volatile => "its result is not the same at each call, or on each day",
            Self::AtOdds => "its values are not what the prompt says of types and inputs",
        }
    }
}

impl LeftOut {
    /// What is told of line `at`.
    pub(crate) fn of(prompt: &Prompt<'_>, at: usize, doubt: Option<Doubt>) -> Self {
        let line = prompt.lines[at].text.trim();
        Self {
            line: line.to_owned(),
            why: doubt.map_or_else(|| why(prompt, at), |doubt| doubt.in_words().to_owned()),
        }
    }
}

/// The first example on a line, without the words around it; the line, if none is found on it.
pub(super) fn example_on(prompt: &Prompt<'_>, line: &str) -> String {
    let is_code = [">>>", "assert", "self.assert", "#", "with "]
        .iter()
        .any(|start| line.starts_with(start));
    if is_code {
        return line.to_owned();
    }
    let example = examples_on(prompt, line).into_iter().next();
    let shown = || {
        let shown = calls_shown(prompt, line).into_iter().next()?;
        let start = line.find(shown.text)?;
        // Without a result that is read, it may be anything behind the call.
        let is_read = shown.value.is_some();
        Some(
            start..if is_read {
                start + shown.text.len()
            } else {
                line.len()
            },
        )
    };
    let text = example.or_else(shown).map_or(line, |range| &line[range]);
    text.trim_matches([' ', '`']).to_owned()
}

fn why(prompt: &Prompt<'_>, at: usize) -> String {
    let line = &prompt.lines[at];
    let bare = line.text.trim();
    if is_commented_out(prompt, at) {
        return "it is commented out".to_owned();
    }
    if let Some((name, asked)) = name_like_an_asked_one(prompt, bare) {
        return format!("the prompt asks for {asked}, and not for {name}");
    }
    if let Some(name) = call_of_another(prompt, bare) {
        return format!("the prompt does not ask for {name}");
    }
    if line.is_quotation {
        return "it is quoted".to_owned();
    }
    if !line.is_own {
        return "it is in a report, or in a block that is not Python".to_owned();
    }
    let is_stated = ["assert ", ">>> "]
        .iter()
        .any(|start| bare.starts_with(start))
        || !examples_on(prompt, bare).is_empty();
    if is_stated {
        "something beside it may take it back, or it needs what the prompt does not have".to_owned()
    } else {
        "it is no plain call with its result".to_owned()
    }
}

/// Whether a line has an example of what is asked for behind a mark of comments: `# >>> f(2)`, `# assert f(2) == 4`.
pub(super) fn is_commented_out(prompt: &Prompt<'_>, at: usize) -> bool {
    let line = &prompt.lines[at];
    let bare = line.text.trim();
    if !line.is_own || !is_comment(bare) {
        return false;
    }
    let code = bare.trim_start_matches(['#', ' ']);
    let is_session = code.starts_with(">>> ");
    let code = ["assert ", ">>> "]
        .iter()
        .find_map(|start| code.strip_prefix(start))
        .unwrap_or(code);
    let call = call_at(code, &|name| prompt.asks_for(name));
    call.is_some_and(|(_, rest)| is_session || is_value_stated(rest))
}

/// The name that a line calls, with its result, where it is that of what is asked for but for capitals and underscores.
fn name_like_an_asked_one<'l>(prompt: &Prompt<'l>, line: &'l str) -> Option<(&'l str, &'l str)> {
    let name = name_of_an_example(line)?;
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let asked = asked_like(prompt, name)?;
    (plain(asked) == plain(name)).then_some((name, asked))
}

/// What is asked for by a name that differs from another in capitals and underscores alone.
pub(super) fn asked_like<'p>(prompt: &Prompt<'p>, name: &str) -> Option<&'p str> {
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let mut names = prompt.asked_names();
    names
        .find(|asked| *asked != name && plain(asked) == plain(name))
        .filter(|_| !prompt.asks_for(name))
}

/// The name, with the object before it, that a line calls with its result, where the prompt asks for others.
fn call_of_another<'l>(prompt: &Prompt<'_>, line: &'l str) -> Option<&'l str> {
    let name = name_of_an_example(line)?;
    (prompt.asks_by_name() && !prompt.asks_for(name) && !is_builtin(name)).then_some(name)
}

/// The name that a line calls which consists of a call and its result.
fn name_of_an_example(line: &str) -> Option<&str> {
    let bare = line.trim_start_matches(['-', '*', ' ', '`']);
    let bare = ["assert ", ">>> "]
        .iter()
        .find_map(|start| bare.strip_prefix(start))
        .unwrap_or(bare);
    let end = bare.find('(')?;
    let path = &bare[..end];
    let last = path.rsplit('.').next()?;
    let is_path = path
        .split('.')
        .all(|part| identifier(part).is_some_and(|(_, rest)| rest.is_empty()));
    let (_, rest) = call_at(&bare[end - last.len()..], &|_| true)?;
    (is_path && is_value_stated(rest)).then_some(path)
}

/// Whether a line is an example of something that the prompt does not ask for: by another name, or as a method.
pub(super) fn is_of_another(prompt: &Prompt<'_>, line: &str) -> bool {
    call_of_another(prompt, line).is_some()
}
