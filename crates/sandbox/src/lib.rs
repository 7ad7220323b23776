//! Runs untrusted code in a probed sandbox; language adapters
