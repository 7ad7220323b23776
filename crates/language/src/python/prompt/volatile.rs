//! Recognises functions whose results differ from call to call or from day to day. A result of such a function in a
//! prompt is not a test.

use super::asked::Prompt;
use crate::prose::wording::{each, says_any};
use crate::python::literal::identifier;
use crate::python::mentions;

/// Parts of the names of functions with random results.
const DRAWN: &str =
    "coin, dice, flip, password, pick, rand, random, roll, shuffle, toss, token, uuid";
/// Parts of the names of functions whose results depend on the time of the call.
const TIMED: &str = "age, date, now, time, timestamp, today, tomorrow, yesterday";
/// Phrases about functions with random results.
const RANDOMLY: &str = "aleatorio, aléatoire, random, randomly, zufällig, zufällige, zufälligen";
/// Phrases about functions that use the current date.
const CURRENTLY: &str = "current date, heute, hoy, today, today's";

/// What a prompt says about results that differ from call to call.
pub(crate) struct Volatility<'p> {
    /// The lines that say that something is random.
    randomly: Vec<&'p str>,
    /// The lines that say that something depends on the current date.
    currently: Vec<&'p str>,
    is_seeded: bool,
}

impl<'p> Volatility<'p> {
    pub(crate) fn of(prompt: &Prompt<'p>) -> Self {
        let lines = || prompt.lines.iter().map(|line| line.text);
        let saying = |words: &str| lines().filter(|line| says_any(line, words)).collect();
        Self {
            randomly: saying(RANDOMLY),
            currently: saying(CURRENTLY),
            is_seeded: says_any(prompt.text, "seed, seeded"),
        }
    }

    /// Whether the results of the requested function differ from call to call or from day to day, because it is
    /// random or uses the current date.
    pub(crate) fn concerns(&self, call: &str, result: &str) -> bool {
        identifier(call)
            .is_some_and(|(name, arguments)| self.concerns_the_call(call, name, arguments, result))
    }

    fn concerns_the_call(&self, call: &str, name: &str, arguments: &str, result: &str) -> bool {
        let first = name.split('_').next().unwrap_or_default();
        let has_part = |words: &str| {
            name.split('_')
                .any(|part| each(words).any(|word| word == part.to_lowercase()))
        };
        let is_said = |lines: &[&str]| lines.iter().any(|line| mentions(line, name));
        let takes_nothing = arguments == "()";
        takes_nothing && (has_part(DRAWN) || has_part(TIMED) || is_like_no_other(result))
            || (["rand", "random", "shuffle"].contains(&first) || is_said(&self.randomly))
                && !self.is_seeded
            || (has_date(call) || has_date(result)) && is_said(&self.currently)
    }
}

/// Whether a result looks as if it were made for one call: an identifier, a hash, a moment.
fn is_like_no_other(result: &str) -> bool {
    /// Digits of such a result.
    const DIGITS_MIN: usize = 6;
    result.bytes().filter(u8::is_ascii_digit).count() >= DIGITS_MIN
        && !result.starts_with(['[', '(', '{'])
}

/// Whether a day is written in a text: `2026-11-29`.
fn has_date(text: &str) -> bool {
    let form = "dddd-dd-dd".as_bytes();
    text.as_bytes().windows(form.len()).any(|part| {
        let mut both = part.iter().zip(form);
        both.all(|(c, of)| {
            if *of == b'd' {
                c.is_ascii_digit()
            } else {
                c == of
            }
        })
    })
}
