//! How urgent something is.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// How urgent something is, 0 to 100: a lower value comes first. Its own levels have names; any
/// number between is as good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

/// From this difference on, what is more urgent stops what is less urgent.
const PREEMPTION_GAP: u8 = 20;

impl Priority {
    /// Before everything else: what a user does to a running task.
    pub const CRITICAL: Self = Self(0);
    /// Before normal work.
    pub const HIGH: Self = Self(10);
    /// The default.
    pub const MEDIUM: Self = Self(20);
    /// After normal work.
    pub const LOW: Self = Self(30);
    /// When nothing else is to be done.
    pub const BACKGROUND: Self = Self(40);
    /// The last of all.
    pub const LAST: Self = Self(100);
    /// The levels that have names, the most urgent first.
    pub const LEVELS: [(&str, Self); 5] = [
        ("critical", Self::CRITICAL),
        ("high", Self::HIGH),
        ("medium", Self::MEDIUM),
        ("low", Self::LOW),
        ("background", Self::BACKGROUND),
    ];

    /// A priority from 0 to 100. None above.
    pub const fn new(value: u8) -> Option<Self> {
        if value <= Self::LAST.0 {
            Some(Self(value))
        } else {
            None
        }
    }

    /// 0 to 100; lower is more urgent.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// Whether this is so much more urgent that what runs with `running` has to stop for it.
    pub const fn should_preempt(self, running: Self) -> bool {
        running.0 >= self.0.saturating_add(PREEMPTION_GAP)
    }

    /// The level's name, where it has one.
    pub fn name(self) -> Option<&'static str> {
        let mut levels = Self::LEVELS.iter();
        levels
            .find(|(_, level)| *level == self)
            .map(|(name, _)| *name)
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::MEDIUM
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

fn refusal(given: &dyn fmt::Display) -> String {
    let names = Priority::LEVELS.map(|(name, level)| format!("{name} ({})", level.0));
    format!(
        "{given} is no priority; good ones are {}, and any number from 0 (first) to 100",
        names.join(", ")
    )
}

impl FromStr for Priority {
    type Err = String;

    /// A level's name in any case, or the number.
    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        // `normal` is what MEDIUM was called in the first journals.
        let lower = if lower == "normal" { "medium" } else { &lower };
        let mut levels = Self::LEVELS.iter();
        let named = levels.find(|(name, _)| *name == lower);
        let found = named.map(|(_, level)| *level);
        found
            .or_else(|| text.parse().ok().and_then(Self::new))
            .ok_or_else(|| refusal(&format_args!("{text:?}")))
    }
}

impl Serialize for Priority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.name() {
            Some(name) => serializer.serialize_str(name),
            None => serializer.serialize_u8(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrNumber)
    }
}

struct NameOrNumber;

impl Visitor<'_> for NameOrNumber {
    type Value = Priority;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a priority: its name, or a number from 0 to 100")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Priority, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Priority, E> {
        let small = u8::try_from(value).ok().and_then(Priority::new);
        small.ok_or_else(|| E::custom(refusal(&value)))
    }

    // In JSON `5.0` is a whole number too.
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Priority, E> {
        let levels = 0..=Priority::LAST.value();
        let mut levels = levels.filter(|level| f64::from(*level).total_cmp(&(value + 0.0)).is_eq());
        let level = levels.next().and_then(Priority::new);
        level.ok_or_else(|| E::custom(refusal(&value)))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Priority, E> {
        u64::try_from(value)
            .map_err(|_| E::custom(refusal(&value)))
            .and_then(|value| self.visit_u64(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_any_case_or_a_number_is_taken() {
        for (text, value) in [
            ("CRITICAL", 0),
            ("High", 10),
            ("normal", 20),
            ("35", 35),
            ("100", 100),
        ] {
            assert_eq!(text.parse::<Priority>().unwrap().value(), value);
        }
        let json: Vec<Priority> = serde_json::from_str("[\"Low\", 7, 40]").unwrap();
        assert_eq!(
            serde_json::to_string(&json).unwrap(),
            "[\"low\",7,\"background\"]"
        );
    }

    #[test]
    fn in_json_a_whole_number_may_have_a_point() {
        for (json, value) in [("35.0", 35), ("0.0", 0), ("-0.0", 0), ("1e2", 100)] {
            let read: Priority = serde_json::from_str(json).unwrap();
            assert_eq!(read.value(), value, "{json}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_good_ones() {
        for text in ["", "urgent", "-1", "101", "1.5"] {
            let refusal = text.parse::<Priority>().unwrap_err();
            assert!(refusal.contains("critical (0)"), "{refusal}");
        }
        for json in [
            "-1", "101", "300", "1.5", "-1.0", "101.0", "1e300", "null", "\"x\"",
        ] {
            assert!(serde_json::from_str::<Priority>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_difference_of_20_preempts_and_one_of_10_does_not() {
        assert!(Priority::CRITICAL.should_preempt(Priority::MEDIUM));
        assert!(Priority::HIGH.should_preempt(Priority::LOW));
        assert!(!Priority::CRITICAL.should_preempt(Priority::HIGH));
        assert!(!Priority::MEDIUM.should_preempt(Priority::LOW));
        assert!(!Priority::LOW.should_preempt(Priority::LOW));
        assert!(!Priority::BACKGROUND.should_preempt(Priority::CRITICAL));
        assert!(!Priority::LAST.should_preempt(Priority::LAST));
    }
}
