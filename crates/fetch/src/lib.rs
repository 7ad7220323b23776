//! Verified, resumable downloads and the managed Python environment.
//!
//! Floor 1. Packages come through `pip`, because `pip` honours what its user set for package
//! indexes, proxies and certificates; single files come over HTTP, also from a Hugging Face hub.
//! What is fetched is checked before it gets its name, and a fetch that was cut off goes on where it
//! was. It knows no models: it is told what to fetch.

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
