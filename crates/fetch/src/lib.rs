//! Verified, resumable downloads and the managed Python environment.
//!
//! Floor 1. Everything comes through `pip`, because `pip` honours what its user set for package
//! indexes, proxies and certificates. What is fetched is checked before it gets its name, and a
//! fetch that was cut off goes on where it was. It knows no models: it is told what to fetch.

mod error;
mod interpreter;
mod join;
mod lock;
mod parts;
mod progress;
mod python;

pub use error::Error;
pub use parts::{FilePlan, assemble};
pub use progress::{Progress, Report};
pub use python::{Environment, PYTEST, Requirement};
