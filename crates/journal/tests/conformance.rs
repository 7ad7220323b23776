//! Both engines do what every engine must.
#![allow(clippy::unwrap_used)]

mod sqlite {
    use std::sync::Arc;

    use journeyman_journal::Sqlite;
    use journeyman_journal_conformance::Store;
    use tempfile::TempDir;

    fn store() -> Store {
        let folder = TempDir::new().unwrap();
        Store::new(Arc::new(Sqlite::new(folder.path().to_owned()))).keeping(folder)
    }

    journeyman_journal_conformance::suite!(store);
}

mod memory {
    use std::sync::Arc;

    use journeyman_journal::Memory;
    use journeyman_journal_conformance::Store;

    journeyman_journal_conformance::suite!(|| Store::new(Arc::new(Memory::new())));
}
