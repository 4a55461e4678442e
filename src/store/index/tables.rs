//! The tables of one state of the index, opened when they are first read.
//!
//! Promises: all are of the same state, whenever they are opened. Must not know:
//! what is in them.
//!
//! To open one costs about what reading a row does, and most answers need two or
//! three of the eight.

use std::cell::OnceCell;

use redb::{ReadOnlyTable, ReadTransaction};

use super::rows::{self, Definition};
use crate::store::error::Fault;

type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

pub(super) struct Tables {
    transaction: ReadTransaction,
    dirs: OnceCell<Table>,
    subdirs: OnceCell<Table>,
    chunks: OnceCell<Table>,
    ages: OnceCell<Table>,
    places: OnceCell<Table>,
    links: OnceCell<Table>,
    due: OnceCell<Table>,
    meta: OnceCell<Table>,
}

impl Tables {
    pub(super) fn of(transaction: ReadTransaction) -> Self {
        Self {
            transaction,
            dirs: OnceCell::new(),
            subdirs: OnceCell::new(),
            chunks: OnceCell::new(),
            ages: OnceCell::new(),
            places: OnceCell::new(),
            links: OnceCell::new(),
            due: OnceCell::new(),
            meta: OnceCell::new(),
        }
    }

    pub(super) fn dirs(&self) -> Result<&Table, Fault> {
        self.opened(&self.dirs, rows::DIRS)
    }

    pub(super) fn subdirs(&self) -> Result<&Table, Fault> {
        self.opened(&self.subdirs, rows::SUBDIRS)
    }

    pub(super) fn chunks(&self) -> Result<&Table, Fault> {
        self.opened(&self.chunks, rows::CHUNKS)
    }

    pub(super) fn ages(&self) -> Result<&Table, Fault> {
        self.opened(&self.ages, rows::AGES)
    }

    pub(super) fn places(&self) -> Result<&Table, Fault> {
        self.opened(&self.places, rows::PLACES)
    }

    pub(super) fn links(&self) -> Result<&Table, Fault> {
        self.opened(&self.links, rows::LINKS)
    }

    pub(super) fn due(&self) -> Result<&Table, Fault> {
        self.opened(&self.due, rows::DUE)
    }

    pub(super) fn meta(&self) -> Result<&Table, Fault> {
        self.opened(&self.meta, rows::META)
    }

    fn opened<'t>(&self, table: &'t OnceCell<Table>, definition: Definition) -> Result<&'t Table, Fault> {
        if let Some(open) = table.get() {
            return Ok(open);
        }
        let open = self.transaction.open_table(definition)?;
        Ok(table.get_or_init(|| open))
    }
}
