//! What stands right beside an example: a comment or a parenthesis behind it, the message of a check, a comment on the
//! line above or below, a condition in its sentence. An example rules only where all of it is understood and neutral.

use super::asked::{Prompt, is_comment};
use super::prose_examples::{begins_with_an_example, results_shown};
use crate::prose::neutral::{
    Beside, begins_a_condition, begins_with_an_unknown_mark, has_opposed_example, is_courtesy,
    is_foreign_condition, is_neutral, is_neutral_lead, is_neutral_line, is_neutral_mark,
    is_neutral_message, is_neutral_trail, says_another_value,
};
use crate::prose::wording::{REPORTS, is_crossed, requests, says_any, shows_what_was};
use crate::python::literal::literal;

/// Lines around an example in which comments on it are looked for.
const LINES_MAX: usize = 60;

impl Prompt<'_> {
    /// The words of what the prompt asks for: the sentence that asks, and the names.
    pub(super) fn request_text(&self) -> &str {
        self.request_words.get_or_init(|| {
            let names: Vec<&str> = self.asked_names().collect();
            format!(
                "{} {}",
                self.request_sentence().unwrap_or_default(),
                names.join(" ")
            )
        })
    }

    /// Whether a comment behind the code on a line, or the message of its check, says something else than what the
    /// code does, or something that is not understood.
    pub(crate) fn is_reported_beside(&self, at: usize) -> bool {
        let line = self.lines[at].text;
        let (code, comment) = split_comment(line);
        if is_crossed(line) {
            return true;
        }
        let request = self.request_text();
        let beside = |example| Beside { example, request };
        // The answer of a session stands below its question.
        let bare = code.trim_start();
        let text_of = |at: Option<usize>| {
            at.and_then(|at| self.lines.get(at))
                .map_or("", |line| line.text)
        };
        let is_question = |text: &str| text.trim_start().starts_with(">>>");
        let (above, below) = (text_of(at.checked_sub(1)), text_of(Some(at + 1)));
        let example = if is_question(bare) && !is_question(below) {
            format!("{code} {}", split_comment(below).0)
        } else if is_question(above) {
            format!("{} {code}", split_comment(above).0)
        } else {
            code.to_owned()
        };
        let is_remark = !bare.is_empty()
            && (!is_question(above) || is_question(bare) || literal(bare).is_some());
        let expects_another = says_any(comment, "expected, should be")
            && comment.contains(|c: char| c.is_ascii_digit() || "[({".contains(c));
        let is_told = says_any(comment, REPORTS) || shows_what_was(comment) || expects_another;
        let message = message_of(bare);
        (is_remark && !is_neutral(comment, beside(&example)))
            || is_told
            || message.is_some_and(|(code, message)| !is_neutral_message(message, beside(code)))
    }

    /// Whether a comment on the lines right above a check or an example, or right below the last one, says something
    /// that is not understood to describe it.
    pub(super) fn is_remarked(&self, first: usize, last: usize) -> bool {
        // Inside of a test, comments say what its steps are.
        if !self.heads_around(first).is_empty() {
            return false;
        }
        let bare = |at: usize| self.lines[at].text.trim();
        let is_check = |at: usize| {
            let bare = bare(at);
            bare.starts_with("assert")
                || bare.starts_with(">>>")
                || literal(bare).is_some_and(|(_, rest)| rest.trim().is_empty())
                || results_shown(self, bare) > 0
                || begins_with_an_example(self, bare)
        };
        let is_heading = |at: usize| {
            is_comment(bare(at)) && !self.lines[at].is_fenced && bare(at).starts_with("##")
        };
        let mut above = (0..first)
            .rev()
            .take(LINES_MAX)
            .skip_while(|&at| is_check(at));
        let remark = above
            .next()
            .filter(|&at| is_comment(bare(at)) && !is_heading(at));
        let request = self.request_text();
        let beside = Beside {
            example: bare(first),
            request,
        };
        let is_unknown = |at: usize| !is_neutral_line(bare(at), beside);
        let mut run = remark
            .into_iter()
            .flat_map(|at| (0..=at).rev())
            .take_while(|&at| is_comment(bare(at)));
        if run.any(is_unknown) {
            return true;
        }
        let mut below = (last + 1..self.lines.len()).take(LINES_MAX);
        let comments: Vec<usize> = below
            .by_ref()
            .take_while(|&at| is_comment(bare(at)) && !is_heading(at))
            .collect();
        let next = comments.last().map_or(last + 1, |at| at + 1);
        let is_above_code = self.lines.get(next).is_some_and(|line| {
            !line.text.trim().is_empty() && !line.text.trim().starts_with("```")
        });
        !is_above_code && comments.into_iter().any(is_unknown)
    }

    /// Whether what stands behind an example on its line takes nothing of it back: it is empty, a neutral parenthesis or
    /// comment, or only explains it.
    pub(super) fn explains(&self, example: &str, trail: &str) -> bool {
        if results_shown(self, trail) > 0 {
            return true;
        }
        let (code, comment) = split_comment(trail);
        let (rest, inside) = without_parentheses(code);
        let request = self.request_text();
        let beside = Beside { example, request };
        let is_a_mark = !rest.contains(char::is_alphanumeric) && !is_neutral_mark(&rest);
        let goes_on = rest.trim_matches(|c: char| c.is_whitespace() || "`'\".,;:*_|)".contains(c));
        !is_a_mark
            && is_neutral(comment, beside)
            && inside.iter().all(|remark| is_neutral(remark, beside))
            && if begins_a_condition(goes_on) {
                !is_foreign_condition(goes_on, example)
            } else {
                goes_on.is_empty()
                    || is_courtesy(goes_on)
                    || !goes_on.starts_with(|c: char| c.is_ascii_digit())
                        && is_neutral_trail(&rest, beside)
            }
    }

    /// Whether what stands before an example in its sentence, or at the start of its line, leads to no example: it is
    /// made of an unknown mark, opposes the example, or is a condition on something else than its arguments.
    pub(super) fn leads_astray(&self, line: &str, lead: &str, example: &str) -> bool {
        let request = self.request_text();
        let bare = lead.trim_start_matches(|c: char| !c.is_alphanumeric());
        let last_clause = bare
            .rsplit([':', '—', ';'])
            .find(|part| !part.trim().is_empty());
        let is_foreign = |clause: &str| {
            let condition = clause
                .split_once(',')
                .map_or(clause, |(condition, _)| condition);
            begins_a_condition(clause) && is_foreign_condition(condition, example)
        };
        let names_examples = |clause: &&str| says_any(clause, "example, examples, sample");
        let clauses = bare.split([',', ':', ';', '—', '–']);
        let mut leads = clauses.filter(names_examples);
        begins_with_an_unknown_mark(line)
            || has_opposed_example(lead)
            || !requests(lead) && (is_foreign(bare) || last_clause.is_some_and(is_foreign))
            || leads.any(|clause| !requests(clause) && !is_neutral_lead(clause, request))
    }
}

/// Whether a parenthesis behind an example names another result.
pub(super) fn names_another_result(example: &str, trail: &str) -> bool {
    let (_, inside) = without_parentheses(trail);
    inside
        .iter()
        .any(|remark| says_another_value(remark, example))
}

/// A line of code and the comment behind it.
fn split_comment(line: &str) -> (&str, &str) {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if c == open && before != '\\' => quote = None,
            None if c == '#' => return (&line[..at], &line[at + 1..]),
            None if c == '"' || c == '\'' && !before.is_alphabetic() => quote = Some(c),
            _ => {}
        }
        before = c;
    }
    (line, "")
}

/// The check on a line, and its message without quotation marks: `assert f(1) == 2, "it doubles"`.
pub(super) fn message_of(line: &str) -> Option<(&str, &str)> {
    let code = split_comment(line.strip_prefix("assert ")?).0.trim_end();
    let quote = code.chars().next_back().filter(|c| "\"'".contains(*c))?;
    let inside = &code[..code.len() - 1];
    let from = inside.rfind(quote)?;
    let before = inside[..from]
        .trim_end_matches(['f', 'r', 'b', 'u'])
        .trim_end();
    let check = before.strip_suffix(',')?;
    let is_closed =
        check.matches(['(', '[', '{']).count() == check.matches([')', ']', '}']).count();
    is_closed.then(|| (check, &inside[from + 1..]))
}

/// A text without what stands in parentheses, and that. Parentheses of a call belong to the text.
fn without_parentheses(text: &str) -> (String, Vec<String>) {
    let (mut rest, mut inside) = (String::new(), Vec::new());
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '(' if depth == 0 && !rest.ends_with(|c: char| c.is_alphanumeric() || c == ':') => {
                depth = 1;
                inside.push(String::new());
            }
            ')' if depth == 1 => depth = 0,
            _ if depth > 0 => {
                depth = match c {
                    '(' => depth + 1,
                    ')' => depth - 1,
                    _ => depth,
                };
                if let Some(last) = inside.last_mut() {
                    last.push(c);
                }
            }
            _ => rest.push(c),
        }
    }
    // One that nothing closes is none.
    if depth > 0 {
        rest.push('(');
    }
    (rest, inside)
}
