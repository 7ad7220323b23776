//! Runs a law over made-up values: for tests that feed a reader anything at all.
//!
//! Purpose: the fuzz targets of every crate run for a few hundred cases in each test run, and for as long as one likes
//! by hand: `JOURNEYMAN_FUZZ_SECONDS=600 cargo test --workspace fuzz`. Floor 1; the product must not contain it.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Checks a law on `cases` values of a strategy, and goes on with as many again until the seconds in the environment's
/// `JOURNEYMAN_FUZZ_SECONDS` have passed; nothing is kept between runs.
///
/// # Panics
/// Where the law does not hold, with the smallest value found for which it does not; and where the variable
/// is not a whole number.
pub fn fuzz<S: Strategy<Value: Debug>>(
    cases: u32,
    strategy: &S,
    law: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let time = Duration::from_secs(seconds());
    let start = Instant::now();
    loop {
        let config = Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        };
        if let Err(error) = TestRunner::new(config).run(strategy, &law) {
            panic!("{error}");
        }
        if start.elapsed() >= time {
            return;
        }
    }
}

fn seconds() -> u64 {
    let Ok(text) = std::env::var("JOURNEYMAN_FUZZ_SECONDS") else {
        return 0;
    };
    let read = text.parse();
    read.unwrap_or_else(|_| {
        panic!("JOURNEYMAN_FUZZ_SECONDS is {text:?}, not a whole number of seconds")
    })
}
