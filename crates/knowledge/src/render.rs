//! A graph as a picture: for Graphviz, or drawn.

mod dot;
mod svg;

pub use dot::dot;
pub use svg::svg;
