//! Verified, resumable downloads and the managed Python environment.
//!
//! Floor 1. Packages are installed through `pip`, which honours the user's settings for package indexes, proxies
//! and certificates. Single files are downloaded over HTTP, also from a Hugging Face hub. Everything is verified
//! before it gets its final name, and interrupted downloads continue where they stopped. This crate knows nothing
//! about models; callers say what to fetch.

mod download;
mod error;
mod http;
mod hub;
mod interpreter;
mod join;
mod lock;
mod parts;
mod progress;
mod python;
mod space;
mod store;

pub use download::{Download, download};
pub use error::Error;
pub use hub::{HUB, Hub, HubFile};
pub use parts::{Assembled, FilePlan, assemble, find_assembled, remove_assembled};
pub use progress::{OnProgress, Progress};
pub use python::{Environment, Requirement};
pub use store::{Stored, find_stored, list_stored, remove_stored};
