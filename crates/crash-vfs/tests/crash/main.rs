//! `SQLite` on the disk that crashes: what it keeps, what it may lose, and that losses are found.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;
mod faults;
mod like_a_file;
mod power;
