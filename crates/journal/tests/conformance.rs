//! The engine in memory does what every engine must.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use journeyman_journal::Memory;
use journeyman_journal_conformance::Store;

journeyman_journal_conformance::suite!(|| Store::new(Arc::new(Memory::new())));
