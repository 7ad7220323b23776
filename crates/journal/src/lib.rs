//! The append-only store of streams
