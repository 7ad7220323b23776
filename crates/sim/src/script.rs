//! The configuration of the simulated model, parsed from its URL: `sim:?seed=7&wrong=30`.

use std::str::FromStr;

use thiserror::Error;

/// Latencies and failure rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// The seed for all random choices.
    pub seed: u64,
    /// Milliseconds between two pieces.
    pub latency_ms: u64,
    /// The percentage of code answers that fail their tests.
    pub wrong: u8,
    /// The percentage of answers without usable content.
    pub malformed: u8,
    /// The percentage of calls that find no server.
    pub unreachable: u8,
    /// The size of the context window in tokens.
    pub window: u64,
    /// The number of questions asked where questions are allowed.
    pub questions: u8,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            seed: 0,
            latency_ms: 2,
            wrong: 30,
            malformed: 10,
            unreachable: 0,
            window: 8_192,
            questions: 0,
        }
    }
}

/// A URL that is not a valid script.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the simulated model's URL {url:?} is not valid at {part:?}; it is \
     sim:?seed=N&latency_ms=N&wrong=PERCENT&malformed=PERCENT&unreachable=PERCENT&window=TOKENS&\
     questions=NUMBER, \
     each part optional"
)]
pub struct InvalidScript {
    /// The invalid URL.
    pub url: String,
    /// The part that is invalid.
    pub part: String,
}

impl FromStr for Script {
    type Err = InvalidScript;

    fn from_str(url: &str) -> Result<Self, InvalidScript> {
        let invalid = |part: &str| InvalidScript {
            url: url.to_owned(),
            part: part.to_owned(),
        };
        let rest = url.strip_prefix("sim:").ok_or_else(|| invalid(url))?;
        let mut script = Self::default();
        for part in rest
            .trim_start_matches('?')
            .split('&')
            .filter(|part| !part.is_empty())
        {
            let (key, value) = part.split_once('=').ok_or_else(|| invalid(part))?;
            let number: u64 = value.parse().map_err(|_| invalid(part))?;
            let percent = || {
                u8::try_from(number)
                    .ok()
                    .filter(|&n| n <= 100)
                    .ok_or_else(|| invalid(part))
            };
            match key {
                "seed" => script.seed = number,
                "latency_ms" if number <= 60_000 => script.latency_ms = number,
                "wrong" => script.wrong = percent()?,
                "malformed" => script.malformed = percent()?,
                "unreachable" => script.unreachable = percent()?,
                "window" if number >= 1_024 => script.window = number,
                "questions" => script.questions = percent()?,
                _ => return Err(invalid(part)),
            }
        }
        Ok(script)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_from_its_url() {
        assert_eq!("sim:".parse(), Ok(Script::default()));
        let script: Script = "sim:?seed=7&wrong=100&latency_ms=0".parse().unwrap();
        assert_eq!((script.seed, script.wrong, script.latency_ms), (7, 100, 0));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for bad in [
            "http://x",
            "sim:?wrong=101",
            "sim:?speed=1",
            "sim:?seed",
            "sim:?seed=x",
        ] {
            assert!(bad.parse::<Script>().is_err(), "{bad}");
        }
    }
}
