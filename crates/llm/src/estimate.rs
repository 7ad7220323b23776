//! Estimates token counts for servers that do not count. The estimate works by kind of character and is calibrated
//! with the usage that servers report.

use journeyman_event::Tokens;

use crate::{Message, Request};

/// The weight of one report in the calibration.
const WEIGHT: f64 = 0.3;
/// The range of plausible calibration factors. A report outside it is about something else and is ignored.
const RATIOS: std::ops::RangeInclusive<f64> = 0.25..=4.0;

/// The most tokens a call may use beyond its texts, for the chat template and for instructions that a server
/// adds.
const UNSEEN_MAX: u64 = 2_048;

/// Estimates the tokens of one model.
#[derive(Clone, Debug)]
pub struct Estimator {
    ratio: f64,
    /// Whether an implausible report has already been mentioned to the user.
    has_doubted: bool,
}

impl Default for Estimator {
    fn default() -> Self {
        Self {
            ratio: 1.0,
            has_doubted: false,
        }
    }
}

impl Estimator {
    /// The estimated number of tokens in a text.
    pub fn estimate(&self, text: &str) -> Tokens {
        to_tokens(raw(text) * self.ratio)
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

    /// Adjusts the estimate with a text whose number of tokens is known.
    pub fn calibrate(&mut self, text: &str, actual: Tokens) {
        let estimated = raw(text);
        if estimated < 1.0 {
            return;
        }
        let actual = f64::from(u32::try_from(actual.0).unwrap_or(u32::MAX));
        let ratio = actual / estimated;
        if RATIOS.contains(&ratio) {
            self.ratio += WEIGHT * (ratio - self.ratio);
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped to what fits
fn to_tokens(estimate: f64) -> Tokens {
    Tokens(estimate.ceil().clamp(0.0, 1e15) as u64)
}

/// Estimates tokens by kind of character, fitted to the byte-pair encodings of current models. A word of up to
/// seven letters, a digit, and a run of white space count as one token each, a punctuation character as
/// slightly less than one, two CJK characters as one, and an emoji as two.
fn raw(text: &str) -> f64 {
    let mut tokens = 0.0;
    let mut letters = 0_u32;
    let mut spaces = 0_u32;
    for c in text.chars() {
        if c.is_ascii_alphabetic() {
            letters += 1;
        } else {
            tokens += word(letters);
            letters = 0;
        }
        match c {
            ' ' | '\t' => spaces += 1,
            _ => {
                // One space belongs to the word that follows; more are a token of their own.
                tokens += if spaces > 1 { 1.0 } else { 0.0 };
                spaces = 0;
            }
        }
        tokens += match c {
            _ if c.is_ascii_alphabetic() => 0.0,
            ' ' | '\t' => 0.0,
            '\n' => 0.6,
            _ if c.is_ascii_digit() => 1.0,
            _ if c.is_ascii_punctuation() => 0.62,
            '\u{2e80}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7af}'
            | '\u{f900}'..='\u{faff}'
            | '\u{ff00}'..='\u{ffef}' => 0.55,
            '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}' => 1.2,
            _ if c.is_alphabetic() => 0.5,
            _ => 0.8,
        };
    }
    tokens + word(letters)
}

fn word(letters: u32) -> f64 {
    match letters {
        0 => 0.0,
        1..=8 => 1.0,
        more => f64::from(more) / 7.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts by the tokenizer of Qwen2.5-Coder, obtained from a llama.cpp server.
    const FIXTURES: &[(&str, u64, &str)] = &[
        (
            "prose",
            50,
            "The quick brown fox jumps over the lazy dog while the committee considers whether the proposal, which was submitted last week, deserves further attention. Nobody had expected that many people would come to the meeting, and yet the hall was full long before it began.",
        ),
        (
            "code",
            84,
            "def validate_email(address: str) -> bool:\n    \"\"\"Return True if the address is valid.\"\"\"\n    if not address or len(address) > 254:\n        return False\n    local, _, domain = address.rpartition(\"@\")\n    parts = domain.split(\".\")\n    return all(re.fullmatch(r\"[A-Za-z0-9-]{1,63}\", p) for p in parts)\n",
        ),
        (
            "cjk",
            31,
            "人工智能正在改变我们的生活方式。今天的天气很好,我们一起去公园散步吧。東京は日本の首都であり、世界最大の都市の一つです。",
        ),
        (
            "emoji",
            24,
            "Great job! 🎉🎉 See you tomorrow 😀👍 and bring the cake 🍰🎂 please 🙏🚀",
        ),
    ];

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
        for (name, actual, text) in FIXTURES {
            let error = error(&Estimator::default(), text, *actual);
            assert!(error <= 0.20, "{name}: {error:.3}");
        }
    }

    #[test]
    fn a_calibrated_estimate_is_within_a_twentieth() {
        for (name, actual, text) in FIXTURES {
            let mut estimator = Estimator::default();
            for _ in 0..12 {
                estimator.calibrate(text, Tokens(*actual));
            }
            let error = error(&estimator, text, *actual);
            assert!(error <= 0.05, "{name}: {error:.3}");
        }
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
