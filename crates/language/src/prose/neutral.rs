//! Whether what stands beside an example says nothing against it: a comment, a parenthesis, a condition, a lead. No list
//! of the words with which people take things back is complete, so that the words listed here are those that are
//! understood; any other word, and any value that the example does not have, counts against it.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::sentence_language::SentenceLanguage;
use super::wording::{
    COMPLAINTS, DEMANDING, DOUBTS, FAULTS, FAULTY, INPUTS, REPORTS, SURROUNDINGS, WITHDRAWING,
    each, says_any, shows_what_was, starts_with_any, tells_of_people,
};

/// Words that describe an input or a result, beside those of inputs.
const DESCRIBING: &str = "absolute, adjacent, alphabetical, alternating, array, arrays, ascending, ascii, balanced, base, \
    basic, big, bit, bits, boolean, boundary, bounds, byte, bytes, capital, case, cases, chars, column, \
    columns, complex, consecutive, cube, cubed, decimal, decimals, descending, dict, difference, \
    distinct, divided, divisible, double, doubled, edge, factor, factors, fraction, general, greater, \
    hyphen, identical, inclusive, index, infinity, kept, large, larger, largest, length, longest, lower, \
    lowercase, match, matches, max, maximum, mean, median, middle, min, minimum, minus, mixed, \
    multiples, nan, nothing, occurrence, occurrences, overlapping, palindrome, plus, position, power, \
    prefix, prime, primes, product, quotient, range, ranges, remainder, reversed, root, rounded, row, \
    rows, shortest, side, sides, sign, simple, size, small, smaller, smallest, special, split, square, \
    squared, start, starts, step, suffix, sum, symbols, times, total, trivial, twice, typical, \
    unchanged, unicode, unique, unsorted, upper, uppercase, whole, wraps";
/// Small words between these. Alone they describe nothing: `at first`, `as is`.
const SMALL: &str = "a, all, also, an, and, any, are, as, at, be, because, by, contains, course, e, ends, etc, every, \
    exactly, first, for, from, given, has, have, i, in, into, is, it, its, last, missing, more, most, \
    non, none, null, of, on, once, only, or, per, please, second, since, so, than, thanks, the, then, \
    there, third, thx, to, too, with, within";
/// Words of what leads to examples, beside those that describe them.
const LEADING: &str = "acceptance, after, another, assert, assertion, assertions, asserts, behave, behaves, behavior, \
    behaviour, below, call, called, calling, calls, check, checks, class, clear, code, concrete, \
    correct, couple, criteria, criterion, demo, demonstration, desired, doc, docs, doctest, doctests, \
    done, e, eg, end, error, errors, example, examples, exception, exceptions, expect, expectation, \
    expectations, expected, few, following, follows, function, g, gives, good, happen, happy, helper, \
    here, here's, hold, holds, how, i, i'd, i/o, illustrate, illustrates, illustration, instance, \
    intended, interface, it's, like, looks, make, me, method, mind, module, must, need, needed, needs, \
    new, next, now, o, ok, our, output, outputs, pass, please, py, pytest, python, quick, quickstart, \
    raise, raises, repl, required, requirement, requirements, result, results, return, returned, \
    returns, right, run, runs, sample, samples, satisfy, scenario, scenarios, session, shell, should, \
    show, shows, snippet, some, something, spec, specification, such, sure, test, tested, tests, that, \
    that's, these, they, think, this, those, thus, unit, us, usage, use, used, uses, using, verify, \
    want, wanted, way, we, we'd, what, will, work, works, would, you, you'd, your";
/// Words of headings that stand over a task, beside those that lead to examples.
const HEADING: &str = "about, api, background, constraint, constraints, definition, deliverable, deliverables, description, \
    detail, details, feature, features, format, goal, implement, implementation, introduction, limits, \
    note, notes, overview, problem, request, rule, rules, signature, signatures, statement, story, \
    summary, task, title, todo, user, write";
/// Words that demand a result, and those of which a message of a failing check is made.
const OF_MESSAGES: &str = "case, check, error, expect, expected, expects, fail, failed, failing, fails, failure, function, get, \
    got, handle, handled, incorrect, mismatch, must, not, result, return, returned, returns, should, \
    test, wrong";
/// Words before a result that a remark names.
const NAMING_A_RESULT: &str = "be, equal, equals, expect, expected, expects, give, gives, is, must, not, returns, should, want";
/// How a condition begins.
const CONDITIONS: &str = "after, assuming, given, if, in case, once, provided, under, unless, until, when, whenever, while, \
    with, without";
/// Names of arguments that a condition may speak of.
const LETTERS: &str = "b, i, j, k, m, n, p, q, s, t, x, y, z";
/// Marks of comments for tools.
const FOR_TOOLS: &[&str] = &[
    "doctest: +",
    "fmt: o",
    "noqa:",
    "pragma: no",
    "pylint: ",
    "type: ignore",
];
/// Words that lead on from an example, or thank.
const COURTESIES: &str = "and, cheers, course, etc, of, on, please, so, thanks, thx, too";
/// Numbers in words.
const NUMBERS: &[&str] = &[
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
];
/// Symbols outside of ASCII that say nothing.
const SYMBOLS: &str = "…”’»“‘「」。，、✅✔✓☑👍—–→➞⇒•·◦▪‣≈²³";

/// What a remark stands beside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside<'t> {
    /// The example, from its call to its result.
    pub(crate) example: &'t str,
    /// What the prompt asks for: its words may be used of an example.
    pub(crate) request: &'t str,
}

/// Whether a comment or a parenthesis beside an example only describes or explains it.
pub(crate) fn is_neutral(remark: &str, beside: Beside<'_>) -> bool {
    let bare = remark
        .trim()
        .trim_matches(|c: char| "# \t.,;:`*_|".contains(c) || SYMBOLS.contains(c));
    let bare = ["=>", "->", "==", "="]
        .iter()
        .find_map(|mark| bare.strip_prefix(mark))
        .unwrap_or(bare);
    if is_for_a_tool(bare) {
        return true;
    }
    if bare.is_empty() {
        let is_tick = |c: char| c.is_whitespace() || "#✅✔✓☑👍".contains(c);
        return remark.chars().all(is_tick);
    }
    let is_sum = || {
        let value = bare.contains(['+', '*']).then(|| sum(bare)).flatten();
        value.is_some_and(|value| last_number(beside.example) == Some(value.abs().to_string()))
    };
    if is_formula(bare) || is_sum() {
        return true;
    }
    has_known_marks(remark)
        && has_known_values(bare, beside)
        && describes(bare, beside)
        && (has_known_words(bare, beside, &[INPUTS, DESCRIBING, SMALL])
            || is_mostly_known(bare, beside))
}

/// Whether what stands behind an example in its sentence only describes it, or gives a reason in words that are mostly
/// understood.
pub(crate) fn is_neutral_trail(trail: &str, beside: Beside<'_>) -> bool {
    let bare = trail.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '(');
    let gives_a_reason = starts_with_any(bare, "because, since");
    is_neutral(trail, beside)
        && (gives_a_reason || has_known_words(bare, beside, &[INPUTS, DESCRIBING, SMALL]))
}

/// Whether the message of a check only says what the check demands.
pub(crate) fn is_neutral_message(message: &str, beside: Beside<'_>) -> bool {
    let is_alone = message.split_whitespace().count() < 2;
    let known: &[&str] = if is_alone {
        &[INPUTS, DESCRIBING, SMALL]
    } else {
        &[INPUTS, DESCRIBING, SMALL, OF_MESSAGES]
    };
    has_known_marks(message.trim_end_matches('!'))
        && has_known_values(message, beside)
        && describes(message, beside)
        && (has_known_words(message, beside, known) || is_mostly_known(message, beside))
}

/// Whether a comment behind an example is a sentence that ends at its result.
pub(crate) fn reasons(remark: &str, example: &str) -> bool {
    /// Words of a sentence.
    const WORDS_MIN: usize = 5;
    let denies = [REPORTS, FAULTS, DOUBTS, FAULTY, SURROUNDINGS]
        .iter()
        .any(|words| says_any(remark, words));
    words(remark).len() >= WORDS_MIN
        && !denies
        && !tells_of_people(remark)
        && SentenceLanguage::of(remark) == SentenceLanguage::English
        && last_number(remark) == last_number(example)
}

/// Whether a comment above or below an example only describes it or leads to it.
pub(crate) fn is_neutral_line(comment: &str, beside: Beside<'_>) -> bool {
    let bare = comment.trim_start_matches(['#', ' ']);
    let numbers_a_case = || says_any(bare, "case, example, scenario, step, test");
    is_for_a_tool(bare)
        || has_known_marks(bare.trim_end_matches('!'))
            && (numbers_a_case() || has_known_values(bare, beside))
            && describes(bare, beside)
            && has_known_words(bare, beside, &[INPUTS, DESCRIBING, SMALL, LEADING, HEADING])
}

/// Whether all words of what leads to an example are those of leads, or of the request.
pub(crate) fn is_neutral_lead(lead: &str, request: &str) -> bool {
    // The name of a function that is called says nothing.
    let parts: Vec<&str> = lead.split('(').collect();
    let before_calls = parts
        .iter()
        .take(parts.len().saturating_sub(1))
        .map(|part| part.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_'));
    let lead: Vec<&str> = before_calls.chain(parts.last().copied()).collect();
    let lead = &lead.join(" ");
    let beside = Beside {
        example: "",
        request,
    };
    has_known_words(lead, beside, &[INPUTS, DESCRIBING, SMALL, LEADING])
        && !says_any(lead, "missing, no, none, not, nothing, null")
}

/// Whether all words of a heading are those of tasks and examples, or of the request.
pub(crate) fn is_neutral_heading(heading: &str, request: &str) -> bool {
    let beside = Beside {
        example: "",
        request,
    };
    has_known_words(
        heading,
        beside,
        &[INPUTS, DESCRIBING, SMALL, LEADING, HEADING],
    )
}

/// Whether a text begins like a condition.
pub(crate) fn begins_a_condition(text: &str) -> bool {
    starts_with_any(text, CONDITIONS)
}

/// Whether a text is a condition on something else than the arguments of the call in an example: `With strict set`.
pub(crate) fn is_foreign_condition(text: &str, example: &str) -> bool {
    let bare = text.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '(');
    let beside = Beside {
        example,
        request: "",
    };
    // `After:` alone is a label.
    begins_a_condition(bare)
        && words(bare).len() > 1
        && !has_known_words(
            bare,
            beside,
            &[INPUTS, DESCRIBING, SMALL, LETTERS, "if, passed, when"],
        )
}

/// Whether a parenthesis says another result than the example beside it, or denies it.
pub(crate) fn says_another_value(remark: &str, example: &str) -> bool {
    let last = last_number(remark);
    last.is_some()
        && last != last_number(example)
        && [NAMING_A_RESULT, REPORTS, DOUBTS, "correct"]
            .iter()
            .any(|words| says_any(remark, words))
}

/// Whether a word is made of a prefix and `example`: `Counter-examples`, `Gegenbeispiel`.
pub(crate) fn has_opposed_example(text: &str) -> bool {
    let lower = text.to_lowercase();
    let roots = [
        "example", "beispiel", "ejemplo", "exemplo", "exemple", "esempi",
    ];
    let is_opposed = ["反例", "负例", "負例", "坏例", "悪い例", "ダメな例", "반례"];
    is_opposed.iter().any(|word| lower.contains(word))
        || roots.iter().any(|root| {
            lower.match_indices(root).any(|(at, _)| {
                let before = &lower[..at];
                before.ends_with(char::is_alphabetic)
                    || before
                        .strip_suffix(['-', '‑', '–'])
                        .is_some_and(|before| before.ends_with(char::is_alphabetic))
            })
        })
}

/// Whether a line begins with a mark of which nothing is known: `× f(1) == 2`.
pub(crate) fn begins_with_an_unknown_mark(text: &str) -> bool {
    let first = text.trim_start().chars().next();
    first.is_some_and(|c| {
        "!?~^%$&\\/".contains(c) || !c.is_ascii() && !c.is_alphanumeric() && !SYMBOLS.contains(c)
    })
}

/// Whether what stands behind an example only leads on, or thanks.
pub(crate) fn is_courtesy(text: &str) -> bool {
    words(text)
        .iter()
        .all(|word| each(COURTESIES).any(|known| known == word))
}

/// Whether a text without words has only marks that end a sentence or an item.
pub(crate) fn is_neutral_mark(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_whitespace() || ".,;:`'\"*_|)]}".contains(c) || SYMBOLS.contains(c))
        && !text.contains("..")
        && !text.contains('…')
        && has_known_marks(&text.replace([')', ']', '}'], ""))
}

/// Whether a comment is one for a tool, and not for people.
fn is_for_a_tool(comment: &str) -> bool {
    comment == "noqa" || FOR_TOOLS.iter().any(|mark| comment.starts_with(mark))
}

/// Whether a remark has more than small words: a number, or a word that says something.
fn describes(remark: &str, beside: Beside<'_>) -> bool {
    let known = KnownWords::of(beside, &[]);
    let says = |word: &String| {
        number(word).is_some_and(|_| word != "one")
            || !each(SMALL).any(|small| small == word)
            || known.is_letter_in_it(word)
    };
    beside.example.is_empty() || words(remark).iter().any(says)
}

/// Whether a text has no mark with which people point, doubt or smile.
fn has_known_marks(text: &str) -> bool {
    let balance =
        |open: char, close: char| text.matches(open).count() == text.matches(close).count();
    !["<-", "<=", "<<", ">>", ":/", ":-", ":|", ";-"]
        .iter()
        .any(|mark| text.contains(mark))
        && !text.contains(['!', '?', '~', '^', '@', '$', '\\'])
        && balance('(', ')')
        && text
            .chars()
            .all(|c| c.is_ascii() || c.is_alphanumeric() || SYMBOLS.contains(c))
}

/// Whether a remark is an equation of a variable, in no word: `f(x) = 1 + 2x`.
fn is_formula(text: &str) -> bool {
    let (mut has_variable, mut is_plain) = (false, true);
    for word in words(text) {
        let letters = word.trim_start_matches(|c: char| c.is_ascii_digit());
        has_variable |= letters.len() == 1;
        is_plain &= letters.len() <= 1;
    }
    has_variable && is_plain && text.contains('=') && text.contains(['+', '*', '^'])
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase().replace('’', "'");
    let parts = lower.split(|c: char| !(c.is_alphanumeric() || c == '\''));
    let words = parts.map(|word| word.trim_matches('\''));
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A number as digits, whether it is written in words or not.
fn number(word: &str) -> Option<String> {
    if word.bytes().all(|b| b.is_ascii_digit()) {
        return Some(word.to_owned());
    }
    let at = NUMBERS.iter().position(|name| *name == word)?;
    Some(at.to_string())
}

/// The last number in a text.
fn last_number(text: &str) -> Option<String> {
    words(text).iter().rev().find_map(|word| number(word))
}

/// Whether the numbers of a remark are those of the example, and the one that it names as a result is its result.
fn has_known_values(remark: &str, beside: Beside<'_>) -> bool {
    let said = words(remark);
    let numbers = |text: &str| -> Vec<String> {
        words(text).iter().filter_map(|word| number(word)).collect()
    };
    let (of_example, of_request) = (numbers(beside.example), numbers(beside.request));
    // A number says nothing of another result where the result is none.
    let result = beside.example.trim_end_matches([' ', '`', '.', ',', ')']);
    let is_numeric = result.ends_with(|c: char| c.is_ascii_digit());
    (0..said.len()).all(|at| {
        let Some(value) = number(&said[at]) else {
            return true;
        };
        // `two words` counts something; `two` is a value.
        let next = said.get(at + 1).map_or("", String::as_str);
        let is_count = said[at].bytes().all(|b| b.is_ascii_alphabetic())
            && each(INPUTS).any(|known| known == next);
        let is_named = at > 0 && each(NAMING_A_RESULT).any(|word| word == said[at - 1]);
        let is_there = of_example.contains(&value) || of_request.contains(&value);
        let is_free = !is_numeric && said.len() > 1;
        is_count
            || (is_there || is_free && !is_named)
                && (!is_named || of_example.last() == Some(&value))
    })
}

fn has_known_words(text: &str, beside: Beside<'_>, lists: &[&str]) -> bool {
    let known = KnownWords::of(beside, lists);
    let all = words(text);
    (0..all.len()).all(|at| {
        let next = all.get(at + 1).map_or("", String::as_str);
        match all[at].as_str() {
            "no" => known.has_listed(next),
            "not" => known.has_listed("not") || ["found", "in"].contains(&next),
            "found" => at > 0 && all[at - 1] == "not" || known.has("found"),
            word => known.has(word),
        }
    })
}

/// Whether a remark of several words describes its example although some of them are not known: at least as many that say
/// something are, and nothing in it denies, demands or tells of people.
fn is_mostly_known(remark: &str, beside: Beside<'_>) -> bool {
    let lists = [INPUTS, DESCRIBING];
    let known = KnownWords::of(beside, &lists);
    // That something is not so explains an answer that says so.
    let result = beside.example.trim_end_matches([' ', '`', '.', ',']);
    let is_negative = ["False", "None", "[]", "\"\"", "''"]
        .iter()
        .any(|end| result.ends_with(end));
    let remark = remark.to_lowercase();
    let remark = if is_negative {
        remark
            .replace("but not ", "")
            .replace("not ", "")
            .replace("no ", "")
    } else {
        remark
    };
    let denies = [
        REPORTS,
        FAULTS,
        DOUBTS,
        FAULTY,
        COMPLAINTS,
        DEMANDING,
        WITHDRAWING,
        SURROUNDINGS,
    ]
    .iter()
    .any(|words| says_any(&remark, words));
    let said: Vec<String> = words(&remark)
        .into_iter()
        .filter(|word| !each(SMALL).any(|small| small == word))
        .collect();
    let count = said.iter().filter(|word| known.has(word)).count();
    let is_plain = |word: &String| known.has(word) || word.len() >= 4 && word.is_ascii();
    words(&remark).len() > 1
        && count > 0
        && 2 * count >= said.len()
        && said.iter().all(is_plain)
        && !denies
        && !tells_of_people(&remark)
        && !shows_what_was(&remark)
}

/// The words that are understood of a remark.
struct KnownWords<'t> {
    lists: &'t [&'t str],
    of_the_example: HashSet<String>,
    /// The example in small letters: its letters may be spoken of.
    example: String,
    of_the_request: HashSet<String>,
}

impl<'t> KnownWords<'t> {
    fn of(beside: Beside<'_>, lists: &'t [&'t str]) -> Self {
        Self {
            lists,
            of_the_example: words(beside.example).into_iter().collect(),
            example: beside.example.to_lowercase(),
            of_the_request: words(beside.request).into_iter().collect(),
        }
    }

    fn has_listed(&self, word: &str) -> bool {
        self.lists
            .iter()
            .any(|list| each(list).any(|known| known == word))
    }

    /// Whether a word is a letter of a text in the example.
    fn is_letter_in_it(&self, word: &str) -> bool {
        let mut texts = self.example.split(['"', '\'']).skip(1).step_by(2);
        word.len() == 1 && texts.any(|text| text.contains(word))
    }

    /// Whether a word is a number, or one of the lists, the example or the request, in any of its forms.
    fn has(&self, word: &str) -> bool {
        static DENYING: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
            [REPORTS, FAULTS, DOUBTS, FAULTY, "bad"]
                .into_iter()
                .flat_map(each)
                .collect()
        });
        number(word).is_some()
            || self.has_listed(word)
            || self.of_the_example.contains(word)
            || self.is_letter_in_it(word)
            || !DENYING.contains(word)
                && forms(word).iter().any(|form| {
                    self.of_the_request.contains(form) || self.of_the_example.contains(form)
                })
    }
}

/// A word, and what it may be a form of: `clamps` of `clamp`.
fn forms(word: &str) -> Vec<String> {
    /// Letters of a word that has forms.
    const LETTERS_MIN: usize = 3;
    let stems = ["s", "es", "ed", "d", "ing"]
        .iter()
        .filter_map(|end| word.strip_suffix(end))
        .filter(|stem| stem.len() >= LETTERS_MIN);
    let mut all: Vec<String> = stems.map(str::to_owned).collect();
    all.push(word.to_owned());
    all.push(format!("{word}s"));
    all
}

/// The value of a sum of products of whole numbers: `1000 + 3 * 4`, up to an equals sign.
fn sum(text: &str) -> Option<i64> {
    let left = text.split('=').next()?.replace(" - ", " + -");
    let mut products = left.split('+').map(|term| {
        let mut factors = term
            .split('*')
            .map(|factor| factor.trim().parse::<i64>().ok());
        factors.try_fold(1_i64, |product, factor| product.checked_mul(factor?))
    });
    products.try_fold(0_i64, |sum, product| sum.checked_add(product?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_neutral_where_its_words_and_values_are_those_of_the_example() {
        let beside = Beside {
            example: "clamp(7, 0, 5) == 5",
            request: "Write a function clamp(x, low, high) that keeps x within its bounds.",
        };
        for remark in [
            "",
            "5",
            "upper bound",
            "clamps to the upper bound",
            "2 + 3",
            "edge case",
            "7 is larger",
            "noqa",
        ] {
            assert!(is_neutral(remark, beside), "{remark}");
        }
        for remark in [
            "nope",
            "7 was expected",
            "8",
            "should be 7",
            "2 + 2",
            "hm?",
            "so far",
            "<- here",
            "kaputt",
            "upper bound is off by one",
            "Ann's",
        ] {
            assert!(!is_neutral(remark, beside), "{remark}");
        }
    }

    #[test]
    fn words_are_in_order_and_none_is_there_twice() {
        for list in [
            DESCRIBING,
            SMALL,
            LEADING,
            HEADING,
            OF_MESSAGES,
            NAMING_A_RESULT,
            CONDITIONS,
            COURTESIES,
        ] {
            assert!(each(list).is_sorted_by(|one, next| one < next), "{list}");
        }
    }
}
