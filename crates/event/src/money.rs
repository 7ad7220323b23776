//! Amounts of money.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The decimal places of a dollar that are kept.
const PLACES: usize = 12;
/// The pico-dollars of a dollar.
const PER_USD: u128 = 1_000_000_000_000;

/// An amount in units of 10^-12 US dollars, so that the price of one token is a whole number.
///
/// Addition and subtraction saturate. In JSON it is a decimal string in dollars, such as `"0.0375"`, which parses to
/// the same amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PicoUsd(pub u128);

/// A text is not an amount in dollars.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an amount in dollars: digits, with at most 12 of them after a point, are needed, such as 0.15"
)]
pub struct InvalidAmount(String);

impl PicoUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// This price, for a number of units.
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count as u128))
    }

    /// `percent` hundredths of this amount, rounded down.
    pub const fn percent(self, percent: u32) -> Self {
        Self(self.0.saturating_mul(percent as u128) / 100)
    }

    /// The amount in dollars as a float, for charts and exporters. Never to be used for sums.
    #[allow(clippy::cast_precision_loss)] // that is what it is for
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / PER_USD as f64
    }
}

impl FromStr for PicoUsd {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let bad = || InvalidAmount(text.chars().take(64).collect());
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let has_point = text.contains('.');
        if whole.is_empty()
            || !is_digits(whole)
            || !is_digits(part)
            || part.len() > PLACES
            || (has_point && part.is_empty())
        {
            return Err(bad());
        }
        let whole: u128 = whole.parse().map_err(|_| bad())?;
        let part: u128 = format!("{part:0<PLACES$}").parse().map_err(|_| bad())?;
        let whole = whole.checked_mul(PER_USD).ok_or_else(bad)?;
        whole.checked_add(part).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for PicoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / PER_USD, self.0 % PER_USD);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let part = format!("{part:0PLACES$}");
        write!(f, "{whole}.{}", part.trim_end_matches('0'))
    }
}

impl Add for PicoUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for PicoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for PicoUsd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for PicoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl Serialize for PicoUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PicoUsd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_amount_is_written_as_people_write_it() {
        for (pico, text) in [
            (0, "0"),
            (1, "0.000000000001"),
            (37_500, "0.0000000375"),
            (PER_USD, "1"),
            (12 * PER_USD + PER_USD / 2, "12.5"),
        ] {
            assert_eq!(PicoUsd(pico).to_string(), text);
            assert_eq!(text.parse(), Ok(PicoUsd(pico)));
        }
        assert_eq!("0.150".parse(), Ok(PicoUsd(150_000_000_000)));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        let huge = "9".repeat(40);
        for bad in [
            "",
            "-1",
            ".5",
            "1.",
            "1,5",
            "1e3",
            " 1",
            "0.0000000000001",
            &huge,
        ] {
            assert!(bad.parse::<PicoUsd>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_is_read_back_as_it_was_written(pico in 0..u128::MAX / PER_USD) {
            let amount = PicoUsd(pico);
            let json = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(serde_json::from_str::<PicoUsd>(&json).unwrap(), amount);
        }

        #[test]
        fn a_price_is_the_same_whether_tokens_are_priced_one_by_one_or_together(
            price in 0..1_000_000_000_u128, counts in proptest::collection::vec(0..1_000_000_u64, 0..20),
        ) {
            let price = PicoUsd(price);
            let apart: PicoUsd = counts.iter().map(|count| price.times(*count)).sum();
            prop_assert_eq!(apart, price.times(counts.iter().sum()));
        }
    }
}
