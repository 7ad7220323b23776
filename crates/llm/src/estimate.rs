//! Estimates token counts for servers that do not count. The estimate works by kind of character and is calibrated
//! with the usage that servers report.

use journeyman_event::Tokens;

use crate::{Message, Request};

/// How much of its error one report corrects.
const WEIGHT: f64 = 0.3;
/// The weight of one report in the mean error.
const ERROR_WEIGHT: f64 = 0.1;
/// The range of plausible calibration factors. A report outside it is about something else and is ignored.
const RATIOS: std::ops::RangeInclusive<f64> = 0.25..=4.0;

/// The most tokens a call may use beyond its texts, for the chat template and for instructions that a server
/// adds.
const UNSEEN_MAX: u64 = 2_048;

/// The kinds of text in whose tokens vocabularies differ most: words in Latin letters; digits, punctuation and white
/// space; Chinese, Japanese and Korean; everything else, such as emoji and other scripts.
const KINDS: usize = 4;
const WORDS: usize = 0;
const MARKS: usize = 1;
const CJK: usize = 2;
const OTHERS: usize = 3;

/// Estimates the tokens of one model.
#[derive(Clone, Debug)]
pub struct Estimator {
    /// A factor for each kind of text.
    ratios: [f64; KINDS],
    /// The mean of the reports' relative errors, the last ones weighing most.
    error: Option<f64>,
    /// Whether an implausible report has already been mentioned to the user.
    has_doubted: bool,
}

impl Default for Estimator {
    fn default() -> Self {
        Self {
            ratios: [1.0; KINDS],
            error: None,
            has_doubted: false,
        }
    }
}

impl Estimator {
    /// The estimated number of tokens in a text.
    pub fn estimate(&self, text: &str) -> Tokens {
        to_tokens(self.weighted(&raw(text)))
    }

    fn weighted(&self, parts: &[f64; KINDS]) -> f64 {
        let pairs = parts.iter().zip(self.ratios);
        pairs.map(|(part, ratio)| part * ratio).sum()
    }

    /// The mean relative error of the estimates against what the server reported, from 0; `None` before the first
    /// report. The last ten reports have about two thirds of the weight.
    pub fn error(&self) -> Option<f64> {
        self.error
    }

    /// The estimated number of tokens in a prompt, including a few per message for the chat template.
    pub(crate) fn estimate_prompt(&self, messages: &[Message]) -> Tokens {
        messages
            .iter()
            .map(|message| self.estimate(&message.content) + Tokens(5))
            .sum()
    }

    /// Corrects implausible figures in a server's report: no token is shorter than a byte, and hidden thoughts
    /// cannot exceed the token limit of the answer. The first correction is also reported in words for a
    /// person.
    pub(crate) fn doubt(
        &mut self,
        request: &Request,
        answer_bytes: usize,
        prompt: &mut Option<Tokens>,
        completion: &mut Option<Tokens>,
    ) -> Option<String> {
        let prompt_bytes: usize = request.messages.iter().map(|one| one.content.len()).sum();
        let most = |bytes: usize| Tokens(bytes as u64 + UNSEEN_MAX);
        let (prompt_max, answer_max) = (
            most(prompt_bytes),
            most(answer_bytes).max(request.max_tokens),
        );
        let prompt = prompt.take_if(|told| *told > prompt_max);
        let completion = completion.take_if(|told| *told > answer_max);
        let (what, told, bytes) = match (prompt, completion) {
            (Some(told), _) => ("a prompt", told, prompt_bytes),
            (None, Some(told)) => ("an answer", told, answer_bytes),
            (None, None) => return None,
        };
        let words = format!(
            "the model server reports {told} tokens for {what} of {bytes} bytes, which cannot be: such figures \
             of it are estimated"
        );
        (!std::mem::replace(&mut self.has_doubted, true)).then_some(words)
    }

    /// Adjusts the estimate with a prompt whose number of tokens is known.
    pub(crate) fn calibrate_prompt(&mut self, messages: &[Message], actual: Tokens) {
        let prompt: String = messages.iter().map(|m| m.content.as_str()).collect();
        self.calibrate(&prompt, actual);
    }

    /// Adjusts the estimate with a text whose number of tokens is known: the factor of each kind of text moves by its
    /// share in the error (normalised least mean squares; Widrow and Hoff, Adaptive switching circuits, 1960).
    pub fn calibrate(&mut self, text: &str, actual: Tokens) {
        let parts = raw(text);
        let (plain, estimated) = (parts.iter().sum::<f64>(), self.weighted(&parts));
        let actual = f64::from(u32::try_from(actual.0).unwrap_or(u32::MAX));
        if plain < 1.0 || !RATIOS.contains(&(actual / plain)) {
            return;
        }
        let missed = (actual - estimated) / actual;
        let before = self.error.unwrap_or(missed.abs());
        self.error = Some(before + ERROR_WEIGHT * (missed.abs() - before));
        let squares: f64 = parts.iter().map(|part| part * part).sum();
        for (ratio, part) in self.ratios.iter_mut().zip(parts) {
            let moved = *ratio + WEIGHT * (actual - estimated) * part / squares;
            *ratio = moved.clamp(*RATIOS.start(), *RATIOS.end());
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped to what fits
fn to_tokens(estimate: f64) -> Tokens {
    Tokens(estimate.ceil().clamp(0.0, 1e15) as u64)
}

/// Estimates tokens by kind of character, separately for each kind of text. The figures are fitted by least squares to
/// the byte-pair encoding of Qwen2.5-Coder, for prose, code, CJK and emoji: a word of up to eight letters and a digit
/// are about one token each, a punctuation character less than a half, a CJK character two thirds, an emoji one and a
/// half. `cargo run -p journeyman-llm --example token_figures` says how well they fit.
fn raw(text: &str) -> [f64; KINDS] {
    let mut parts = [0.0; KINDS];
    let mut letters = 0_u32;
    let mut spaces = 0_u32;
    for c in text.chars() {
        if c.is_ascii_alphabetic() {
            letters += 1;
        } else {
            parts[WORDS] += word(letters);
            letters = 0;
        }
        match c {
            ' ' | '\t' => spaces += 1,
            _ => {
                // One space belongs to the word that follows; more are a token of their own.
                parts[MARKS] += if spaces > 1 { 0.6 } else { 0.0 };
                spaces = 0;
            }
        }
        let (kind, tokens) = match c {
            _ if c.is_ascii_alphabetic() => continue,
            ' ' | '\t' => continue,
            '\n' => (MARKS, 0.5),
            _ if c.is_ascii_digit() => (MARKS, 1.1),
            _ if c.is_ascii_punctuation() => (MARKS, 0.42),
            '\u{3040}'..='\u{30ff}' => (CJK, 0.54),
            '\u{ac00}'..='\u{d7af}' => (CJK, 0.78),
            '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' => {
                (CJK, 0.68)
            }
            '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}' => (OTHERS, 1.5),
            _ if c.is_alphabetic() => (OTHERS, 0.38),
            _ => (OTHERS, 0.75),
        };
        parts[kind] += tokens;
    }
    parts[WORDS] += word(letters);
    parts
}

fn word(letters: u32) -> f64 {
    match letters {
        0 => 0.0,
        1..=8 => 1.12,
        more => f64::from(more) / 5.6,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Texts of each class with their tokens, as counted by llama.cpp with the vocabularies of Qwen2.5-Coder and of
    /// Gemma 3: `class count count`, the text, a line of equals signs.
    const TEXTS: &str = include_str!("estimate/texts.txt");
    const QWEN: usize = 0;
    const GEMMA: usize = 1;

    /// The texts of each class and their tokens in one vocabulary.
    fn texts(vocabulary: usize) -> BTreeMap<&'static str, Vec<(&'static str, u64)>> {
        let mut all: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
        for case in TEXTS.split("\n=====\n").filter(|case| !case.is_empty()) {
            let (head, text) = case.split_once('\n').unwrap();
            let (class, counts) = head.split_once(' ').unwrap();
            let count = counts.split(' ').nth(vocabulary).unwrap().parse().unwrap();
            all.entry(class).or_default().push((text, count));
        }
        assert!(all.len() == 4 && all.values().all(|texts| texts.len() == 4));
        all
    }

    #[test]
    fn a_report_that_cannot_be_is_taken_out_and_one_that_may_be_stays() {
        let message = |content: &str| Message {
            role: crate::MessageRole::User,
            content: content.to_owned(),
        };
        let request = Request {
            messages: vec![message(&"word ".repeat(200)), message("word")],
            max_tokens: Tokens(5_000),
            temperature: 0.0,
            seed: None,
            stop: Vec::new(),
            trace: None,
            schema: None,
        };
        let (prompt_max, answer_max) = (1_004 + UNSEEN_MAX, 10_000 + UNSEEN_MAX);
        for (answer, prompt, completion, stay) in [
            (10_000, prompt_max, answer_max, (true, true)),
            (10_000, prompt_max + 1, answer_max + 1, (false, false)),
            (10_000, 99_999_999, 3, (false, true)),
            (10_000, 3, u64::MAX, (true, false)),
            // Thoughts that are not shown are counted.
            (10, 3, 5_000, (true, true)),
            (10, 3, 5_001, (true, false)),
        ] {
            let (mut told, mut said) = (Some(Tokens(prompt)), Some(Tokens(completion)));
            let words = Estimator::default().doubt(&request, answer, &mut told, &mut said);
            assert_eq!(
                (told.is_some(), said.is_some()),
                stay,
                "{prompt} {completion}"
            );
            assert_eq!(words.is_none(), stay == (true, true), "{words:?}");
        }
        let mut estimator = Estimator::default();
        assert_eq!(estimator.doubt(&request, 0, &mut None, &mut None), None);
        let mut absurd = || estimator.doubt(&request, 0, &mut Some(Tokens(99_999)), &mut None);
        assert!(absurd().is_some() && absurd().is_none(), "once");
    }

    fn error(estimator: &Estimator, text: &str, actual: u64) -> f64 {
        let estimate = estimator.estimate(text).0;
        f64::from(u32::try_from(estimate.abs_diff(actual)).unwrap())
            / f64::from(u32::try_from(actual).unwrap())
    }

    #[test]
    fn a_cold_estimate_is_within_a_fifth() {
        for (class, texts) in texts(QWEN) {
            for (text, actual) in texts {
                let error = error(&Estimator::default(), text, actual);
                assert!(error <= 0.20, "{class}: {error:.3}: {text}");
            }
        }
    }

    #[test]
    fn what_is_learnt_of_one_class_serves_its_other_texts_and_spoils_no_other_class() {
        // What stays is how much single short texts differ within a class.
        for (vocabulary, class, error_max) in [
            (QWEN, "prose", 0.05),
            (QWEN, "code", 0.05),
            (QWEN, "cjk", 0.15),
            (QWEN, "emoji", 0.15),
            (GEMMA, "prose", 0.05),
            (GEMMA, "code", 0.05),
            (GEMMA, "cjk", 0.10),
            (GEMMA, "emoji", 0.15),
        ] {
            let all = texts(vocabulary);
            let mut estimator = Estimator::default();
            for _ in 0..10 {
                for at in 0..3 {
                    for (text, actual) in all.values().map(|texts| texts[at]) {
                        estimator.calibrate(text, Tokens(actual));
                    }
                }
            }
            let (text, actual) = all[class][3];
            let error = error(&estimator, text, actual);
            assert!(error <= error_max, "{vocabulary} {class}: {error:.3}");
        }
        // Of the second vocabulary code has fewer tokens and emoji more than of the first.
        let (text, actual) = texts(GEMMA)["code"][3];
        assert!(error(&Estimator::default(), text, actual) > 0.15);
    }

    #[test]
    fn the_mean_error_is_known_after_the_first_report_and_falls_with_what_is_learnt() {
        let mut estimator = Estimator::default();
        assert_eq!(estimator.error(), None);
        let (text, actual) = texts(GEMMA)["code"][0];
        estimator.calibrate(text, Tokens(actual));
        let first = estimator.error().unwrap();
        assert!(first > 0.15, "{first}");
        for _ in 0..30 {
            estimator.calibrate(text, Tokens(actual));
        }
        let last = estimator.error().unwrap();
        assert!(last < 0.02, "{last}");
    }

    #[test]
    fn an_absurd_report_changes_nothing() {
        let mut estimator = Estimator::default();
        estimator.calibrate("hello world", Tokens(1_000_000));
        estimator.calibrate("", Tokens(5));
        assert_eq!(
            estimator.estimate("hello world"),
            Estimator::default().estimate("hello world")
        );
    }
}
