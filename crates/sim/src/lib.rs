//! The simulated model
