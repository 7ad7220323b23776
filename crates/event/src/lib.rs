//! Events, principals, vector clocks, ordering, and the pure fold of a task's state
