//! The prose of a person or of a model, whatever it is about: how a sentence says a thing, and in which of people's
//! languages. No programming language is known here.

pub(crate) mod naming;
pub(crate) mod remark;
pub(crate) mod sentence_language;
pub(crate) mod wording;
