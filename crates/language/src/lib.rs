//! What is known of a programming language: its names and layout, how its sources are read, and how its tests
//! are run.
//!
//! Floor 3. It knows no task and records nothing. Code is run through a `Sandbox` alone.

mod error;
pub mod python;
mod report;
mod runner;

pub use error::{Error, Result};
pub use report::{
    DeadCode, DeadCodeKind, ImportCheck, TestOutcome, TestReport, TestResult, TestRunner,
};
pub use runner::Runner;
