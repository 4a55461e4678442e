//! A ledger that begins, with or without room for its file.

use std::fs::File;
use std::path::Path;

use redb::{Database, WriteTransaction};

use super::backup::Backup;
use super::tables::{self, META};
use super::{CACHE_BYTES, Commit, Fault, Holder, StoreError};
use crate::model::{LedgerId, Timestamp};
use crate::store::database::guarded;

/// What a ledger begins with.
#[derive(Debug)]
pub(super) struct Unborn {
    id: LedgerId,
    began_at: Timestamp,
    trusted: bool,
    kept: Option<Backup>,
    /// The same as a database, to be read.
    pub(super) memory: Database,
}

impl Unborn {
    pub(super) fn new(
        id: LedgerId,
        began_at: Timestamp,
        trusted: bool,
        kept: Option<Backup>,
    ) -> Result<Self, Fault> {
        let memory =
            guarded(|| Ok(Database::builder().create_with_backend(redb::backends::InMemoryBackend::new())?))?;
        let begun = Self { id, began_at, trusted, kept, memory };
        guarded(|| {
            let transaction = begun.memory.begin_write()?;
            tables::create(&transaction)?;
            begun.write(&transaction)?;
            Ok(transaction.commit()?)
        })?;
        Ok(begun)
    }

    fn write(&self, transaction: &WriteTransaction) -> Result<(), Fault> {
        tables::put(transaction, META, b"began_at", &self.began_at)?;
        tables::put(transaction, META, b"trusted", &self.trusted)?;
        if let Some(kept) = &self.kept {
            kept.restore(transaction)?;
        }
        tables::put(transaction, META, b"id", &self.id)
    }

    /// Makes the file at `path`: whole and durable, or not at all.
    pub(super) fn make(&self, path: &Path) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("create", path, error);
        let new = path.with_extension("redb.new");
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let holder = Holder::new(&new, CACHE_BYTES, tables::create);
        let written = holder.write(Commit::Durable, |transaction| self.write(transaction));
        holder.close();
        if let Err(fault) = written {
            // What is left of it takes room that others need; the next try removes it too.
            let _ = std::fs::remove_file(&new);
            return Err(fault.on("create", path));
        }
        std::fs::rename(&new, path).map_err(failed)?;
        // The rename itself is durable once the directory is.
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all()).map_err(failed)
    }
}
