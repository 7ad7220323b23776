//! Python: its names, its sources as they are read, its tests as pytest (else unittest) runs them.

mod code;
mod evasion;
pub mod given;
pub mod literal;
pub mod own_fault;
mod runner;
mod suite;

pub use code::{
    completed_from, defined_name, file_name_of, foreign_imports, imported_from, is_builtin,
    is_identifier, is_name, is_standard, is_taken, is_test_module, is_third_party, mentions,
    stub_signatures, transliterated, undefined, with_full_imports, without_definitions,
    without_own_imports,
};
pub use evasion::evasion;
pub use runner::Python;
