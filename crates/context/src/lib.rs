//! What goes into a model call, and why
