//! Reads the prose of people and models: what a sentence means, and in which natural language it is. Knows no
//! programming language.

pub(crate) mod aside;
pub(crate) mod description;
pub(crate) mod naming;
pub(crate) mod remark;
pub(crate) mod sentence_language;
pub(crate) mod wording;
