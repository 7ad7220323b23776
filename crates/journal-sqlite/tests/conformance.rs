//! The engine does what every engine must.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use journeyman_journal_conformance::Store;
use journeyman_journal_sqlite::Sqlite;
use tempfile::TempDir;

fn store() -> Store {
    let folder = TempDir::new().unwrap();
    Store::new(Arc::new(Sqlite::new(folder.path().to_owned()))).keeping(folder)
}

journeyman_journal_conformance::suite!(store);
