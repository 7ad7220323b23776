//! The priority of a task: its named levels, and how it is read and written.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A priority from 0 to 100. Lower values run first. Some values have names; any value in between is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

/// The smallest difference at which a more urgent task preempts a running one.
const PREEMPTION_GAP: u8 = 20;

impl Priority {
    /// Runs before everything else. Used for a user's actions on a running task.
    pub const CRITICAL: Self = Self(0);
    /// Runs before normal work.
    pub const HIGH: Self = Self(10);
    /// The default priority.
    pub const MEDIUM: Self = Self(20);
    /// Runs after normal work.
    pub const LOW: Self = Self(30);
    /// Runs when there is nothing else to do.
    pub const BACKGROUND: Self = Self(40);
    /// The lowest priority.
    pub const LAST: Self = Self(100);
    /// The named levels, the most urgent first.
    pub const LEVELS: [(&str, Self); 5] = [
        ("critical", Self::CRITICAL),
        ("high", Self::HIGH),
        ("medium", Self::MEDIUM),
        ("low", Self::LOW),
        ("background", Self::BACKGROUND),
    ];

    /// A priority from 0 to 100; `None` if the value is larger.
    pub const fn new(value: u8) -> Option<Self> {
        if value <= Self::LAST.0 {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The value, 0 to 100; lower is more urgent.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// Whether this is urgent enough to preempt a task that runs with priority `running`.
    pub const fn should_preempt(self, running: Self) -> bool {
        running.0 >= self.0.saturating_add(PREEMPTION_GAP)
    }

    /// The name of the level, if the value has one.
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

    /// Parses the name of a level (in any case) or a number.
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
