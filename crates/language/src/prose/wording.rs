//! What the sentences around an example say. No list of the words with which people take something back is complete, so
//! the words here are those that are understood: a sentence lets an example rule only where it fits. Each list of words
//! is one text with commas between the words.

use super::sentence_language::{
    SentenceLanguage, denies_in_another_language, is_in_another_language,
};

/// Words that name examples.
const EXAMPLES: &str = "assert, assertion, assertions, asserts, beispiel, beispiele, case, cases, doctest, doctests, eg, ejemplo, ejemplos, \
    esempi, esempio, example, examples, exemple, exemples, exemplo, exemplos, instance, przykład, przykłady, sample, \
    samples, test, tests, usage, voorbeeld, voorbeelden, örnek, örnekler, пример, примеры, тест, тесты, テスト, 例, 例子, \
    例如, 測試, 测试, 예, 예시";
/// Those of them that name other things as well: `Case does not count.`
const OF_MANY_THINGS: &str = "case, cases, instance, sample, samples, usage";
/// Words that demand what they introduce.
const DEMANDS: &str = "acceptance, criteria, desired, ensure, expect, expectation, expectations, expected, expects, hold, holds, \
    i'd, must, pass, passes, required, requirement, requirements, satisfies, satisfy, shall, should, spec, specification, \
    sure, want, wanted";
/// Verbs that ask for code.
const MAKING: &str =
    "add, build, create, define, develop, generate, implement, make, need, program, provide, write";
/// Verbs that ask for code that is there to be changed.
const MENDING: &str = "adapt, alter, change, complete, extend, finish, fix, modify, refactor, repair, replace, rewrite, switch, turn, \
    update";
/// Words that join examples, and say nothing without them.
const LINKS: &str = "also, and, calling, for, of, result, so, that, the, then";
/// The other words of the closed grammar. No combination of them denies, doubts or tells of what was.
const PLAIN: &str = "a, an, are, be, behave, behaves, behavior, behaviour, below, call, calls, can, class, code, could, few, following, \
    function, functions, give, gives, here, here's, i, input, inputs, is, it, it's, its, like, me, method, \
    module, more, output, outputs, please, pytest, python, results, return, returns, run, runs, session, some, such, thanks, these, this, thx, to, unit, \
    value, we, we'd, where, with, work, works, you, your";
/// Words before a number that counts them.
const NUMBERED: &str = "case, example, sample, test";
/// How a request begins, before its verb.
const POLITE: &str = "also, can u, can you, could you, hello, hey, hi, i need, i need you to, i want, i want you to, i would like, i'd like, kindly, \
    let's, need, now, please, then, us, we need, we want, would you";
/// What is asked for, where a request has no verb.
const THINGS: &str = "a class, a func, a function, a helper, a method, a module, a program, a python class, a python function, a python \
    module, a python program, a script, a small function, class, func, function, quick script";
/// What code is, where a request has no verb and the word stands later: `A slugify function`.
const NOUNS: &str = "calculator, class, converter, function, helper, method, module, parser, program, script, utility, validator";
/// How a prompt begins that only says what its code does: `Slugify a title`, `Counts vowels`.
const ACTIONS: &str = "add, calculate, capitalize, check, clamp, compute, concatenate, convert, count, decode, decompress, determine, divide, \
    double, drop, encode, escape, estimate, evaluate, expand, extract, filter, find, flatten, format, group, insert, \
    interleave, invert, join, list, map, mask, measure, merge, multiply, normalise, normalize, pad, parse, partition, \
    rank, remove, replace, reverse, rotate, round, scale, search, select, shift, shorten, shuffle, slugify, sort, split, \
    square, step, strip, subtract, sum, swap, tokenise, tokenize, transform, translate, transpose, trim, truncate, \
    unescape, validate, verify, wrap, zip";
/// A request in the middle of its sentence.
const WISHES: &str = "have to implement a function, have to write a class, have to write a function, have to write a method, have to write a \
    program, need a class, need a function, want a class, want a function, would like a function";
/// Words that point at what stands beside a sentence, and not at what is asked for.
const POINTERS: &str = "above, assert, asserts, assertion, assertions, below, doctest, doctests, example, examples, following, follows, \
    here, next, test, tests, these, this, those";
/// Phrases in which such a word points at what is asked for.
const POINTED: &str =
    "this class, this code, this function, this method, this module, this program";
/// Words that may point back at an example, beside [`POINTERS`].
const POINTING_BACK: &str = "both, instead, it, line, lines, mine, one, ones, opposite, otherwise known, output, outputs, result, results, reverse, \
    that, them, they, value, values";
/// Words with which a sentence far below an example speaks of it.
const FAR_POINTERS: &str = "above, assert, assertion, assertions, asserts, both, doctest, doctests, earlier, example, examples, test, tests, \
    these, those";
/// Words at the start of what changes or takes back something before it.
const AMENDING: &str = "actually, addendum, amendment, cancel, change of plan, correction, delete, discard, disregard, drop, edit, edited, \
    erratum, forget, hang on, hm, hmm, hold on, ignore, instead, later, never mind, nevermind, no wait, nope, on reflection, \
    on second thought, on second thoughts, oops, p.s, postscript, ps, remove, revised, revision, scratch, skip, sorry, \
    strike, upd, update, updated, wait, whoops, withdraw";
/// Words of comments that mark where code is to be written.
const PLACES: &str = "add, begin, below, body, code, complete, end, fill, function, goes, here, implement, implementation, implemented, in, insert, \
    logic, me, method, of, out, please, put, solution, start, the, this, to be, todo, write, you, your";
/// Words of thanks and greetings.
const COURTESIES: &str = "a, advance, best, cheers, danke, gracias, grazie, in, kind, lot, many, merci, much, please, regards, so, thank, \
    thanks, thx, ty, very, you";
/// How a sentence begins that is about the code itself.
const USING: &str =
    "add, avoid, do not, don't, explain, follow, include, keep, no, only use, use, without, write";
/// What such a sentence is about.
const OF_THE_CODE: &str = "builtins, built-ins, classes, comments, dataclass, dataclasses, decorators, dependencies, docstring, docstrings, eval, global, globals, \
    imports, lambdas, libraries, library, logging, loop, loops, modules, network, numpy, operator, operators, packages, pandas, pep, print, \
    readme, recursion, regex, regexes, regular expressions, stdlib, third-party, type hints";
/// How a sentence begins that says what the code has to do.
const SUBJECTS: &str = "it, the class, the code, the function, the method, the module";
/// What the code has to do with inputs that no example shows.
const HANDLING: &str = "accept, handle, support";
/// What the code may be demanded to do before its examples.
const DOING: &str = "accept, convert, count, give, handle, ignore, keep, merge, raise, remove, return, support, take, treat, use, work";
/// Headings and labels of other parts of a prompt.
const SECTIONS: &str = "api, assumptions, background, bonus, constraint, constraints, description, edge, cases, exceptions, features, goal, \
    hint, hints, installation, license, limits, note, notes, problem, requirements, rules, signature, style, task, \
    user, story";
/// Words that deny what stands beside them, in texts that rule unless they are denied: docstrings, and names of tests.
const DENIALS: &str = "actual, anymore, bogus, broken, bug, buggy, bugs, characterisation, characterization, current, currently, \
    deprecated, documents, faulty, former, formerly, got, incorrect, incorrectly, known issue, legacy, \
    misleading, mistake, mistakes, must not, mustn't, no longer, nonsense, not correct, not right, not true, obsolete, \
    off by one, off-by-one, old, outdated, previous, previously, quirk, quirks, regression, should not, \
    shouldn't, stale, superseded, today, typo, unfixed, untrue, used to, workaround, wrong, wrongly, yesterday";

/// Words that name what stands in given code, beside [`EXAMPLES`].
const OF_DOCSTRINGS: &str = "doc, docs, docstring, docstrings, doctest, doctests, example, examples, result, results, stub, stubs, test, tests";
/// Words that no whole sentence ends with: what they belong to follows.
const HANGING: &str = "a, about, against, also, although, an, and, as, at, because, but, by, for, from, in, into, is, just, like, me, not, of, on, only, or, \
    rather, see, since, so, than, that, the, then, think, thinks, to, unlike, us, was, were, what, when, where, while, whereas, who, with";
/// Verbs that what stands below completes, where no mark ends the sentence: `Write f(n) to replace what gives`.
const WANTING: &str = "be, does, did, gave, get, gets, getting, gives, got, had, has, have, is, returned, returns, said, says, shows, was, were";
/// What begins a clause beside a request.
const CLAUSES: &[&str] = &[
    ", ",
    " (",
    " - ",
    " – ",
    " — ",
    "; ",
    " although ",
    " because ",
    " since ",
    " though ",
    " when ",
    " where ",
    " whereas ",
    " while ",
    " why ",
];
/// Words with which such a clause speaks of other code than what is asked for.
const OF_OTHER_CODE: &str = "at the moment, attempt, attempts, chatgpt, claude, colleague, copilot, current, currently, excel, existing, gpt, i get,     i got, i have, i keep, i see, i wrote, java, javascript, library, mine, my, now, numpy, our, ours, pandas, php, production, ruby,     sql, stack overflow, the one, today, version, we get, we have";
/// Words with which a title tells of what code does, and not of what it is to do: `A function that failed in production`.
const REPORTING: &str = "am, are, been, but, bug, crashed, did, didn't, does, doesn't, fail, failed, fails, gave, had, happened, has, have, is, isn't, \
    issue, live, log, lost, never, not, observed, problem, prod, production, report, reported, returned, saw, seen, still, \
    twice, unexpected, unexpectedly, was, were, why";
/// Verbs of [`MENDING`] by which code that is shown may be what is wrong.
const REPAIRING: &str = "correct, debug, fix, repair";

/// Splits a list into its words and phrases.
pub(crate) fn each(words: &str) -> impl Iterator<Item = &str> {
    words.split(", ")
}

pub(super) fn has(words: &str, word: &str) -> bool {
    each(words).any(|known| known == word)
}

/// Whether one of these words occurs in a text.
pub(crate) fn says_any(text: &str, words: &str) -> bool {
    let text = text.to_lowercase().replace('’', "'");
    let part = |c: char| c.is_alphanumeric() || c == '_';
    each(words).any(|word| {
        text.match_indices(word).any(|(at, _)| {
            !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part)
        })
    })
}

/// The text after one of these words at the start of a text in small letters, the longest first.
fn after_any<'t>(text: &'t str, words: &str) -> Option<&'t str> {
    let found = each(words).filter_map(|word| {
        let rest = text.strip_prefix(word)?;
        (!rest.starts_with(|c: char| c.is_alphanumeric() || "_(".contains(c))).then_some(rest)
    });
    found.min_by_key(|rest| rest.len())
}

/// Whether a text starts with one of these words.
pub(crate) fn starts_with_any(text: &str, words: &str) -> bool {
    after_any(&text.to_lowercase(), words).is_some()
}

/// A sentence without the bullet or number of a list item.
pub(crate) fn opening(sentence: &str) -> &str {
    let is_mark = |c: char| " \n\t-*#\"`'>•".contains(c);
    let bare = sentence.trim_start_matches(is_mark);
    let numbered = bare.trim_start_matches(|c: char| c.is_ascii_digit());
    let item = numbered
        .strip_prefix(['.', ')'])
        .filter(|_| numbered.len() < bare.len());
    item.unwrap_or(bare).trim_start_matches(is_mark)
}

/// What a text of the closed grammar says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // a text may say each of them, with or without the others
pub(crate) struct Closed {
    pub(crate) has_words: bool,
    pub(crate) names_examples: bool,
    pub(crate) demands: bool,
    pub(crate) asks: bool,
}

impl Closed {
    /// Whether it introduces examples.
    pub(crate) fn is_lead(self) -> bool {
        self.names_examples || self.demands
    }
}

/// Reads what stands around examples, or leads to them; `None` if anything in it is not of the closed grammar.
pub(crate) fn closed(text: &str) -> Option<Closed> {
    let lower = text.to_lowercase().replace('’', "'");
    let lower = lower.replace("e.g.", "eg ").replace("e.g", "eg");
    let bare = opening(&lower);
    let is_known =
        |c: char| c.is_alphanumeric() || c.is_whitespace() || "'.,;:`*_()-：、。，".contains(c);
    let is_odd = [":-", ";-", ":(", ";(", ".."]
        .iter()
        .any(|mark| bare.contains(mark));
    if is_odd
        || !bare.chars().all(is_known)
        || bare.matches('(').count() != bare.matches(')').count()
    {
        return None;
    }
    let words = bare.split(|c: char| !(c.is_alphanumeric() || c == '\''));
    let (mut said, mut is_linked, mut mends, mut before) = (Closed::default(), true, false, "");
    for word in words.filter(|word| !word.is_empty()) {
        said.has_words = true;
        let names = has(EXAMPLES, word);
        let (demands, makes, repairs) = (has(DEMANDS, word), has(MAKING, word), has(MENDING, word));
        said.names_examples |= names;
        said.demands |= demands;
        said.asks |= makes;
        mends |= repairs;
        is_linked &= has(LINKS, word);
        let counts = word.bytes().all(|b| b.is_ascii_digit()) && has(NUMBERED, before);
        if !(names || demands || makes || repairs || counts || has(LINKS, word) || has(PLAIN, word))
        {
            return None;
        }
        before = word;
    }
    // `Fix these tests:` says that they are wrong.
    let is_of_use = said.is_lead() || said.asks || is_linked;
    (is_of_use && (!mends || said.demands)).then_some(said)
}

/// Whether what stands behind an example only ends its sentence.
pub(crate) fn only_ends(trail: &str) -> bool {
    let lower = trail.to_lowercase();
    let mut words = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.all(|word| has("please, thanks, thx", word))
}

/// Whether a sentence asks for code.
pub(crate) fn asks(sentence: &str) -> bool {
    let lower = sentence.to_lowercase().replace('’', "'");
    let mut clauses = lower.split([',', ':', ';', '!']).map(opening);
    clauses.any(|clause| {
        let bare = without_politeness(clause);
        let is_wished = bare.len() < clause.len() || clause.starts_with("function");
        after_any(bare, MENDING).is_some()
            || after_any(bare, MAKING)
                .is_some_and(|rest| !starts_with_any(rest.trim_start(), "it, sure, that"))
            || is_wished && after_any(bare, THINGS).is_some()
    }) || says_any(&lower, WISHES) && !says_any(&lower, "did not, didn't, do not, don't, never, no")
}

/// Whether a sentence begins with a request to write code that is not there.
pub(crate) fn asks_for_new_code(sentence: &str) -> bool {
    let lower = opening(sentence).to_lowercase();
    let made = after_any(without_politeness(&lower), MAKING);
    made.is_some_and(|rest| after_any(rest.trim_start(), THINGS).is_some())
}

/// Whether a sentence names what is wanted, as the first of a prompt may: `A module with a function f(x).`
pub(crate) fn names_a_thing(sentence: &str) -> bool {
    starts_with_any(sentence, THINGS)
        && !sentence.trim_end().ends_with([':', '：'])
        && !points_on(sentence)
}

/// Whether a sentence says what is wanted where nothing in its prompt asks for it: `Slugify a title.`, `A slugify function`.
pub(crate) fn is_title(sentence: &str) -> bool {
    /// The noun is among so many words.
    const WORDS_MAX: usize = 5;
    let lower = opening(sentence).to_lowercase();
    let mut words = lower
        .split(|c: char| !(c.is_alphanumeric() || c == '-'))
        .filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    let is_thing = has("a, an, i, we", first) && words.take(WORDS_MAX).any(|word| has(NOUNS, word));
    (is_action(first) || is_thing)
        && !sentence.trim_end().ends_with([':', '：', '?', '!'])
        && !points_on(sentence)
        && !denies(sentence)
        && !hangs(&lower)
        && !says_any(sentence, REPORTING)
}

/// Whether a word says what code does: `count`, `counts`.
pub(super) fn is_action(word: &str) -> bool {
    let mut stems = ["s", "es"].iter().filter_map(|end| word.strip_suffix(end));
    has(ACTIONS, word) || stems.any(|verb| has(ACTIONS, verb))
}

fn without_politeness(clause: &str) -> &str {
    let mut bare = clause;
    while let Some(rest) = after_any(bare, POLITE) {
        bare = rest.trim_start();
    }
    bare
}

/// Whether an example may stand behind a sentence: it says what is asked for, and points at nothing beside it.
pub(crate) fn may_precede(sentence: &str) -> bool {
    let lower = opening(sentence).to_lowercase();
    let demands = || {
        starts_with_any(&lower, "return, returns") && lower.split_whitespace().count() > 2
            || after_any(&lower, SUBJECTS)
                .and_then(|rest| after_any(rest.trim_start(), "must, shall, should"))
                .is_some_and(|rest| starts_with_any(rest.trim_start(), DOING))
    };
    !sentence.trim_end().ends_with([':', '：'])
        && !points_on(sentence)
        && !hangs(&lower)
        && !tells_of_other_code(sentence)
        && (asks(sentence) || demands())
        || is_about_the_code(sentence)
        || is_rule(sentence)
}

/// Whether a sentence in small letters goes on in what stands below it: `Write f(n), in contrast to`.
fn hangs(sentence: &str) -> bool {
    let text = sentence.trim_end();
    if text.ends_with(['.', '!', '?']) && !text.ends_with("..") {
        return false;
    }
    let words = sentence.trim_end_matches(|c: char| !c.is_alphanumeric());
    let last = words.rsplit(|c: char| !c.is_alphanumeric()).next();
    last.is_some_and(|word| has(HANGING, word))
}

/// Whether a request that no mark ends, so that what stands below may belong to it, tells of other code: `Write f(n), mine
/// gives`.
fn tells_of_other_code(sentence: &str) -> bool {
    let lower = opening(sentence).to_lowercase().replace('’', "'");
    if lower.trim_end().ends_with(['.', '!', '?', '。']) {
        return false;
    }
    let last = lower
        .trim_end()
        .rsplit(|c: char| !c.is_alphanumeric())
        .next();
    let clause = CLAUSES.iter().filter_map(|mark| lower.find(mark)).min();
    last.is_some_and(|word| has(WANTING, word))
        || clause.is_some_and(|at| says_any(&lower[at..], OF_OTHER_CODE))
}

/// Whether a request is to write code once more: what is shown below may be what it does today.
pub(crate) fn asks_anew(request: &str) -> bool {
    says_any(request, "again, anew, better")
}

/// Whether a request speaks of code beside what it asks for, whose behaviour sentences behind it may tell.
pub(crate) fn speaks_of_other_code(request: &str) -> bool {
    /// Words by which it speaks of code that the asked one is to be like, or is to take the place of.
    const LIKENESSES: &str = "again, alternative, anew, better, clone, copy, counterpart, equivalent, like, port, replace, replacement, replaces, \
        rewrite, rid of, substitute, successor";
    says_any(request, OF_OTHER_CODE)
        || says_any(request, LIKENESSES)
        || denies(request)
        || repairs(request)
}

/// Whether a request is to repair code: what is shown below may be what the code does today.
pub(crate) fn repairs(sentence: &str) -> bool {
    let lower = opening(sentence).to_lowercase();
    after_any(without_politeness(&lower), REPAIRING).is_some()
}

/// Whether a sentence points at what stands beside it.
pub(crate) fn points_on(sentence: &str) -> bool {
    let mut lower = sentence.to_lowercase();
    for phrase in each(POINTED) {
        lower = lower.replace(phrase, "");
    }
    // `ValueError below 0` compares.
    for digit in 0..=9 {
        lower = lower
            .replace(&format!("below {digit}"), "")
            .replace(&format!("above {digit}"), "");
    }
    says_any(&lower, POINTERS)
}

/// Whether a sentence behind an example takes nothing back: it gives thanks, is about the code itself, or says what is to
/// be done with other inputs.
pub(crate) fn may_follow(sentence: &str) -> bool {
    is_courtesy(sentence) || is_about_the_code(sentence) || is_rule(sentence)
}

fn is_courtesy(sentence: &str) -> bool {
    let mut lines = sentence.trim().lines();
    let thanks = lines.next().unwrap_or_default().to_lowercase();
    let mut words = thanks
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let is_thanks = starts_with_any(
        &thanks,
        "best, cheers, danke, gracias, grazie, kind regards, many thanks, merci, regards, thank, thanks, thx, ty",
    ) && words.all(|word| has(COURTESIES, word));
    // A name signs it.
    let name = lines.next().unwrap_or_default().trim();
    is_thanks
        && lines.next().is_none()
        && !name.contains(' ')
        && !denies(name)
        && SentenceLanguage::of(name) != SentenceLanguage::English
}

fn points_back(sentence: &str) -> bool {
    points_on(sentence) || says_any(sentence, POINTING_BACK)
}

pub(super) fn is_about_the_code(sentence: &str) -> bool {
    let lower = opening(sentence).to_lowercase().replace('’', "'");
    let lower = lower.replace("pep 8", "pep").replace("pep8", "pep");
    let (verb, is_demanded) = predicate(&lower);
    let uses = after_any(verb, USING).is_some() || is_demanded && starts_with_any(verb, "not use");
    uses && says_any(verb, OF_THE_CODE)
        && !points_back(verb)
        && !verb.contains(|c: char| c.is_ascii_digit())
}

/// What a sentence in small letters asks to be done, and whether it says that the code must do it.
fn predicate(lower: &str) -> (&str, bool) {
    let bare = without_politeness(lower);
    let demanded = after_any(bare, SUBJECTS)
        .and_then(|rest| after_any(rest.trim_start(), "must, shall, should"));
    demanded.map_or((bare, false), |verb| (verb.trim_start(), true))
}

/// Whether a sentence says which error is raised, or what the code has to do with other inputs.
fn is_rule(sentence: &str) -> bool {
    let is_error = |word: &str| word.ends_with("Error") || word.ends_with("Exception");
    let mut words = sentence.split(|c: char| !c.is_alphanumeric());
    let lower = opening(sentence).to_lowercase();
    if says_any(sentence, "raise, raises") && words.any(is_error) {
        let of_code = after_any(&lower, SUBJECTS);
        let rest = of_code.unwrap_or(&lower);
        let is_conditional =
            of_code.is_none() || says_any(rest, "for, if, on, unless, when, where");
        let rest = rest
            .replace("it should raise", "")
            .replace("it must raise", "")
            .replace("it raises", "");
        return is_conditional
            && !points_on(&rest)
            && !rest.contains(|c: char| ('1'..='9').contains(&c))
            && !says_any(&rest, "both, instead, it, that, they");
    }
    let (verb, _) = predicate(&lower);
    after_any(verb, HANDLING).is_some_and(|rest| {
        !points_back(rest) && !rest.contains(|c: char| c.is_ascii_digit() || "\"'[{".contains(c))
    })
}

/// Whether a text is the heading or label of another part of a prompt: `Constraints:`.
pub(crate) fn is_section(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut words = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .peekable();
    words.peek().is_some() && words.all(|word| has(SECTIONS, word))
}

/// Whether sentences explain the example above them, as problems are set: `Explanation: nums[0] + nums[1] is 9.`
pub(crate) fn explains(sentences: &str) -> bool {
    let lower = opening(sentences).to_lowercase();
    let rest = after_any(&lower, "explanation").map(|rest| rest.trim_start_matches(['*', ' ']));
    rest.is_some_and(|rest| rest.starts_with(':')) && !denies(sentences) && !takes_back(sentences)
}

/// Whether a sentence that is not understood may take back what stands anywhere above it.
pub(crate) fn takes_back(sentence: &str) -> bool {
    amends_or_points_far(sentence) || is_in_another_language(sentence)
}

fn amends_or_points_far(sentence: &str) -> bool {
    starts_with_any(opening(sentence), AMENDING) || says_any(sentence, FAR_POINTERS)
}

/// Whether a sentence that is not understood may speak of examples anywhere below it. A label or a heading speaks of what
/// stands under it.
pub(crate) fn doubts(sentence: &str) -> bool {
    let is_of_a_part = sentence.trim_end().ends_with([':', '：']) || sentence.starts_with('#');
    let mut examples = each(EXAMPLES).filter(|word| !has(OF_MANY_THINGS, word));
    !is_of_a_part
        && (amends_or_points_far(sentence)
            || examples.any(|word| says_any(sentence, word))
            || says_any(sentence, "below, following, follows")
            || denies(sentence))
}

/// Whether a sentence may speak of what the docstring of given code shows.
pub(crate) fn doubts_docstrings(sentence: &str) -> bool {
    says_any(sentence, OF_DOCSTRINGS) || denies(sentence)
}

/// Whether a label in a docstring names examples or demands something.
pub(crate) fn speaks_of_examples(label: &str) -> bool {
    says_any(label, EXAMPLES) || says_any(label, DEMANDS)
}

/// Whether the words of a name in a test say that something is wrong, or of the past: `broken_outputs`, `old_results`, `v1`.
pub(crate) fn names_a_fault(words: &str) -> bool {
    let is_version = |word: &str| {
        let number = word.strip_prefix('v').unwrap_or_default();
        !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    };
    words.split([' ', '.']).any(is_version)
        || says_any(
            words,
            "before, bogus, broken, bug, buggy, bugs, excel, faulty, former, incorrect, legacy, obsolete, old, older, outdated, prev, \
             previous, prior, prod, production, wrong, yesterday",
        )
}

/// Whether a comment only marks where code is to be written: `TODO: implement this`, `your code here`.
pub(crate) fn marks_a_place(comment: &str) -> bool {
    let lower = comment.to_lowercase();
    let mut words = lower
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .filter(|word| !word.is_empty())
        .peekable();
    words.peek().is_some() && words.all(|word| has(PLACES, word))
}

/// Whether a text denies what stands beside it.
pub(crate) fn denies(text: &str) -> bool {
    says_any(text, DENIALS) || denies_in_another_language(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_is_understood_as_a_whole_or_not_at_all() {
        for lead in [
            "Examples:",
            "For example:",
            "e.g.",
            "Example 2:",
            "It should return:",
            "**Tests (must pass)**",
            "Beispiele:",
            "Your code should pass these tests:",
        ] {
            assert!(closed(lead).is_some_and(Closed::is_lead), "{lead}");
        }
        for lead in [
            "Since 2019 example:",
            "Counter-examples:",
            "Examples of Bob:",
            "Not an example:",
            "Result:",
            "Fix these tests:",
            "Examples?",
            "Examples :(",
        ] {
            assert!(!closed(lead).is_some_and(Closed::is_lead), "{lead}");
        }
    }

    #[test]
    fn a_sentence_behind_an_example_is_understood_or_takes_it_back() {
        for sentence in [
            "Thanks a lot!",
            "Please use no imports.",
            "Anything else raises ValueError.",
            "It must handle empty lists.",
        ] {
            assert!(may_follow(sentence), "{sentence}");
        }
        for sentence in [
            "Thanks to Bob for it.",
            "Use the opposite.",
            "Raise the number to twelve.",
            "The last number counts twice.",
            "It must be twelve.",
            "Danach nicht mehr.",
        ] {
            assert!(!may_follow(sentence), "{sentence}");
        }
    }
}
