//! The coding workflow: a pure decider with effects at its edge
