//! Verified, resumable downloads and the managed Python environment
