//! Events, principals, vector clocks, ordering, and the pure fold of a task's state.

mod tokens;

pub use tokens::Tokens;
